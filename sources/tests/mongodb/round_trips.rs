//! Dumps that are restored, on the same server and another.

use std::path::Path;

use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::context::Context;
use keepfast_sources::dump::{Content, DumpOptions, Selection};
use keepfast_sources::engines::{ask, boot, dump, examine, plan, restore};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::MongoServer;

use crate::kv::{Around, copied};

pub fn address(server: &MongoServer) -> Address {
    // The stand-in doesn't end a connection that greets it by TLS, so finding out that it has none takes a timeout.
    Address::parse(&format!("mongodb://127.0.0.1:{}?tls=off", server.port())).expect("an address")
}

/// Documents of each type, indexes, a validator, a view, a capped collection.
pub const SHOP: &str = r#"
import bson, datetime, re
from bson import Decimal128, Int64, Binary, Code, MinKey, MaxKey, Timestamp, ObjectId, Regex, DBRef
db = client.shop
db.create_collection('orders', validator={'$jsonSchema': {'required': ['cents']}})
db.orders.insert_many([{'_id': 600 - n, 'cents': n * 3, 'customer': 'ann' if n % 2 else 'bob', 'filler': 'x' * 300} for n in range(600)])
db.orders.create_index([('customer', 1), ('cents', -1)], name='by customer')
db.orders.create_index('cents', sparse=True)
db['odd names/%'].insert_one({'_id': 1})
db.types.insert_many([
    {'_id': ObjectId('0123456789abcdef01234567'), 'd': Decimal128('1.10'), 'l': Int64(5), 'b': Binary(b'\x00\xff', 5)},
    {'_id': 'text', 'c': Code('f()'), 'min': MinKey(), 'max': MaxKey(), 't': Timestamp(5, 6), 'r': Regex('^a', 'i')},
    {'_id': 3.5, 'when': datetime.datetime(2026, 1, 2), 'list': [1, None, {'a': True}], 'ä': 'ü', 'nan': float('nan')},
])
db.create_collection('last', capped=True, size=100000, max=50)
db['last'].insert_many([{'_id': n} for n in (3, 1, 2)])
db.create_collection('cheap', viewOn='orders', pipeline=[{'$match': {'cents': {'$lt': 30}}}])
client.other.things.insert_one({'_id': 1, 'a': 'b'})
"#;

fn dumped(server: &MongoServer, around: &Around, name: &str) -> (FolderFiles, Manifest) {
    let place = around.place(name);
    let manifest =
        dump(&address(server), &DumpOptions::default(), &FolderSink::new(&place), &around.context());
    (FolderFiles::new(place), manifest.expect("a dump"))
}

fn rows(manifest: &Manifest) -> Vec<(String, Option<u64>)> {
    let databases = manifest.databases.iter().filter(|database| database.name != "admin");
    databases
        .flat_map(|database| {
            database.tables.iter().map(|table| (format!("{}.{}", database.name, table.name), table.rows))
        })
        .collect()
}

/// The files of a dump have the same bytes, but for what the server knows a collection by.
fn assert_same(one: &Path, other: &Path) {
    let mut count = 0;
    for entry in std::fs::read_dir(one).expect("a dump").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = |folder: &Path| std::fs::read(folder.join(&name)).expect(&name);
        if name.ends_with(".metadata.json") {
            let json = |folder: &Path| {
                let mut json: serde_json::Value = serde_json::from_slice(&read(folder)).expect(&name);
                json.as_object_mut().expect("an object").remove("uuid");
                json
            };
            assert_eq!(json(one), json(other), "{name}");
        } else {
            assert!(read(one) == read(other), "{name}");
        }
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn documents_indexes_options_and_views_come_back_byte_for_byte() {
    let (from, to) = (MongoServer::start(), MongoServer::start());
    let _ = from.script(SHOP);
    let around = Around::new();
    let (files, manifest) = dumped(&from, &around, "one");
    let expected: Vec<(String, Option<u64>)> = [
        ("other.things", Some(1)),
        ("shop.cheap", None),
        ("shop.last", Some(3)),
        ("shop.odd names/%", Some(1)),
        ("shop.orders", Some(600)),
        ("shop.types", Some(3)),
    ]
    .map(|(name, rows)| (name.to_owned(), rows))
    .to_vec();
    assert_eq!(rows(&manifest), expected);
    assert!(manifest.moment.is_some() && manifest.position.contains_key("oplog_last"), "{manifest:?}");
    let at = |name: &str| around.folder.path().join(name);
    assert!(at("one/shop/odd%20names%2F%25.bson").exists() && at("one/oplog.bson").exists());
    let (_, _) = dumped(&from, &around, "again");
    assert_same(&at("one/shop"), &at("again/shop"));

    let options = RestoreOptions::default();
    let planned = plan(&files, &address(&to), &options, &around.context()).expect("a plan");
    assert!(planned.replaces.is_empty(), "{planned:?}");
    let step = "the collection with 600 documents shop.orders is made as shop.orders";
    assert!(planned.steps.iter().any(|planned| planned == step), "{planned:?}");
    assert!(planned.warnings.iter().any(|warning| warning.contains("users and roles")), "{planned:?}");
    let report = restore(&files, &address(&to), &options, &around.context()).expect("a restore");
    assert_eq!((report.databases, report.tables, report.rows), (2, 6, 608));
    assert!(report.checks.len() == 10 && report.checks.iter().all(|check| check.is_right), "{report:?}");
    let (_, second) = dumped(&to, &around, "two");
    assert_eq!(rows(&second), expected);
    assert_same(&at("one/shop"), &at("two/shop"));

    let refused = restore(&files, &address(&to), &options, &around.context());
    assert!(matches!(refused, Err(SourceError::Occupied { .. })), "{refused:?}");
    let _ = to.script("client.shop.orders.delete_many({'customer': 'ann'})\nclient.shop.mine.insert_one({})");
    let one = RestoreOptions {
        existing: Existing::Replace,
        database: Some("shop".to_owned()),
        tables: vec!["ord*".to_owned()],
        ..RestoreOptions::default()
    };
    let planned = plan(&files, &address(&to), &one, &around.context()).expect("a plan");
    assert_eq!(planned.replaces, ["collection shop.orders"]);
    restore(&files, &address(&to), &one, &around.context()).expect("a restore");
    assert_eq!(
        to.script("print(client.shop.orders.count_documents({}), client.shop.mine.count_documents({}))"),
        "600 1"
    );

    let renamed = RestoreOptions { database: Some("shop".to_owned()), ..RestoreOptions::default() };
    let copy = address(&to).with_database("copy");
    let report = restore(&files, &copy, &renamed, &around.context()).expect("a restore");
    assert!(report.checks.iter().all(|check| check.is_right), "{report:?}");
    assert_eq!(to.script("print(client.copy.cheap.count_documents({}))"), "10");
    let ambiguous = restore(&files, &copy, &RestoreOptions::default(), &around.context());
    assert!(ambiguous.is_err_and(|error| error.to_string().contains("several databases")));

    let examined = examine(&copy, &around.context()).expect("it is examined");
    assert!(examined.len() == 4 && examined.iter().all(|check| check.is_right), "{examined:?}");
    let ask = |query: &str| ask(&copy, query, &around.context()).map_err(|error| error.to_string());
    assert_eq!(ask(r#"{"count": "orders", "query": {"customer": "ann"}}"#), Ok(Some("300".to_owned())));
    let most = r#"{"aggregate": "orders", "pipeline": [{"$group": {"_id": null, "most": {"$max": "$cents"}}}], "cursor": {}}"#;
    assert_eq!(ask(most), Ok(Some("1797".to_owned())));
    assert!(ask("count orders").is_err_and(|error| error.contains("isn't a command in JSON")));
}

#[test]
fn a_part_of_a_server_is_dumped_and_a_damaged_dump_is_refused() {
    let server = MongoServer::start();
    let _ = server.script(SHOP);
    let around = Around::new();
    let options = DumpOptions {
        selection: Selection {
            databases: vec!["sh*".to_owned()],
            exclude_tables: vec!["types".to_owned()],
            ..Selection::default()
        },
        ..DumpOptions::default()
    };
    let place = around.place("part");
    let manifest =
        dump(&address(&server), &options, &FolderSink::new(&place), &around.context()).expect("a dump");
    assert_eq!(manifest.databases.len(), 1);
    let types = manifest.databases[0].tables.iter().find(|table| table.name == "types").expect("types");
    assert_eq!((types.rows, &types.file), (None, &None));
    assert!(place.join("shop/types.metadata.json").exists() && !place.join("oplog.bson").exists());
    let shape = Selection { content: Content::Schema, ..Selection::default() };
    let shape = DumpOptions { selection: shape, ..DumpOptions::default() };
    let only = address(&server).with_database("shop");
    let manifest =
        dump(&only, &shape, &FolderSink::new(around.place("shape")), &around.context()).expect("a dump");
    assert!(manifest.databases[0].tables.iter().all(|table| table.rows.is_none()), "{manifest:?}");

    let damaged = around.folder.path().join("damaged");
    copied(&place, &damaged);
    let file = std::fs::File::options().write(true).open(damaged.join("shop/orders.bson")).expect("a file");
    file.set_len(50_000).expect("it can be cut");
    let target = address(&server).with_database("copy");
    let cut = restore(&FolderFiles::new(&damaged), &target, &RestoreOptions::default(), &around.context());
    assert!(cut.is_err_and(|error| {
        error.to_string().contains("shop/orders.bson isn't as a dump has it: it ends in")
    }));
    let shorter = around.folder.path().join("shorter");
    copied(&place, &shorter);
    let first = std::fs::read(shorter.join("shop/orders.bson")).expect("a file");
    let length = usize::from(first[0]) + (usize::from(first[1]) << 8);
    std::fs::write(shorter.join("shop/orders.bson"), &first[..length * 10]).expect("a file");
    let replacing = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
    let report =
        restore(&FolderFiles::new(&shorter), &target, &replacing, &around.context()).expect("a restore");
    let wrong: Vec<&str> =
        report.checks.iter().filter(|check| !check.is_right).map(|check| check.name.as_str()).collect();
    assert_eq!(wrong, ["documents of copy.orders", "documents of copy.orders in the dump"]);

    // One that can't be started says nothing about the dump.
    let programs = around.place("programs");
    let program = programs.join("mongod");
    std::fs::write(&program, "#!/bin/sh\necho no luck >&2\nexit 1\n").expect("a program");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    for (programs, why) in
        [(Vec::new(), "mongod isn't installed"), (vec![programs], "doesn't start: no luck")]
    {
        let options = BootOptions {
            folder: around.place(why),
            account: None,
            version: manifest.server.clone(),
            memory: None,
            until: None,
        };
        let context = Context { programs, ..around.context() };
        let booted = boot(Engine::Mongodb, &FolderFiles::new(&place), &options, &context);
        assert!(matches!(booted, Ok(Boot::NotHere(found)) if found.contains(why)));
    }
}
