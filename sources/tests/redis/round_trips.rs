//! Dumps that are restored into another server.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_sources::SourceError;
use keepfast_sources::address::Address;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{dump, plan, restore};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::RedisServer;

use crate::kv::Around;

pub const SETTINGS: &str = "enable-debug-command yes\n";

pub fn address(server: &RedisServer) -> Address {
    Address::parse(&format!("redis://localhost?socket={}", server.socket().display())).expect("an address")
}

/// Values of each type that this server writes, small and large.
fn fill(server: &RedisServer) {
    let long = "compressible ".repeat(40);
    let mut commands = format!(
        "SET text hello\nSET number 12345\nSET small 7\nSET {}k v\nSET long \"{long}\"\nSET soon x PX 90000000\n\
         SET bytes \"\\x00\\xff\\r\\n\"\nRPUSH list a b 3 \"{long}\"\nSADD ints 1 2 3\nSADD set a b c\nZADD zset 1.5 a -inf b\n\
         HSET hash f v g \"{long}\"\nXADD stream 1-1 f v\nXADD stream 2-1 f w\nXGROUP CREATE stream readers 0\n\
         XREADGROUP GROUP readers ann COUNT 1 STREAMS stream >\nPFADD counts a b c\n\
         FUNCTION LOAD \"#!lua name=shop\\nredis.register_function('two', function() return 2 end)\"\n\
         SELECT 3\nSET other \"in three\"\nSELECT 0\n",
        "x".repeat(300),
    );
    for n in 0..1000 {
        commands += &format!(
            "RPUSH biglist element{n}\nSADD bigset member{n}\nZADD bigzset {n}.25 m{n}\nHSET bighash f{n} v{n}\n"
        );
    }
    let said = server.ask(&commands);
    assert!(!said.contains("ERR"), "{said}");
}

#[test]
fn each_type_of_value_comes_back_in_each_database() {
    let (from, to) = (RedisServer::start(SETTINGS), RedisServer::start(SETTINGS));
    fill(&from);
    let around = Around::new();
    let place = around.place("dump");
    let manifest =
        dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
            .expect("a dump");
    let rows = |name: &str| {
        let database = manifest.databases.iter().find(|database| database.name == name).expect(name);
        database.tables[0].rows
    };
    assert_eq!((rows("0"), rows("3")), (Some(18), Some(1)));
    assert!(manifest.moment.as_ref().is_some_and(|moment| moment.starts_with("20")), "{manifest:?}");
    assert!(manifest.position.contains_key("replication") && manifest.position.contains_key("offset"));

    let (files, options) = (FolderFiles::new(&place), RestoreOptions::default());
    let planned = plan(&files, &address(&to), &options, &around.context()).expect("a plan");
    assert_eq!(planned.steps.len(), 2, "{planned:?}");
    assert!(
        planned.steps[0].starts_with("18 keys of database 0") && planned.replaces.is_empty(),
        "{planned:?}"
    );
    let report = restore(&files, &address(&to), &options, &around.context()).expect("a restore");
    assert_eq!((report.databases, report.rows), (2, 19));
    assert!(report.checks.len() >= 6 && report.checks.iter().all(|check| check.is_right), "{report:?}");
    assert_eq!(to.ask("DEBUG DIGEST"), from.ask("DEBUG DIGEST"));
    assert_eq!(to.ask("FCALL two 0"), "2");
    assert_eq!(to.ask("PEXPIRETIME soon"), from.ask("PEXPIRETIME soon"));

    let refused = restore(&files, &address(&to), &options, &around.context());
    assert!(matches!(refused, Err(SourceError::Occupied { .. })), "{refused:?}");
    let _ = to.ask("SET text changed\nSET mine stays\nDEL set");
    let replacing = RestoreOptions { existing: Existing::Replace, ..options };
    let planned = plan(&files, &address(&to), &replacing, &around.context()).expect("a plan");
    assert!(planned.replaces[0].contains("18 keys in database 0"), "{planned:?}");
    assert!(planned.warnings.iter().any(|warning| warning.contains("stay as they are")), "{planned:?}");
    let report = restore(&files, &address(&to), &replacing, &around.context()).expect("a restore");
    assert!(report.checks.iter().all(|check| check.is_right), "{report:?}");
    assert_eq!(to.ask("GET text\nGET mine\nSCARD set\nDEL mine"), "hello\nstays\n3\n1");
    assert_eq!(to.ask("DEBUG DIGEST"), from.ask("DEBUG DIGEST"));
}

#[test]
fn one_database_goes_where_it_is_told_to_and_keys_that_have_expired_do_not_come_back() {
    let (from, to) = (RedisServer::start(SETTINGS), RedisServer::start(SETTINGS));
    // The server finds keys that have expired when it looks for them: then this one never looks.
    let _ =
        from.ask("DEBUG SET-ACTIVE-EXPIRE 0\nSELECT 3\nSET kept v\nSET gone v PX 1\nSELECT 0\nSET other v");
    let around = Around::new();
    let place = around.place("dump");
    dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
        .expect("a dump");
    let files = FolderFiles::new(&place);
    let target = address(&to).with_database("5");
    let ambiguous = restore(&files, &target, &RestoreOptions::default(), &around.context());
    assert!(ambiguous.is_err_and(|error| error.to_string().contains("several databases")));
    let options = RestoreOptions { database: Some("3".to_owned()), ..RestoreOptions::default() };
    let report = restore(&files, &target, &options, &around.context()).expect("a restore");
    assert_eq!(report.rows, 1);
    assert!(report.checks.iter().all(|check| check.is_right), "{report:?}");
    assert_eq!(to.ask("SELECT 5\nKEYS *\nSELECT 0\nDBSIZE"), "OK\nkept\nOK\n0");
    let missing = RestoreOptions { database: Some("9".to_owned()), ..options };
    let missing = restore(&files, &target, &missing, &around.context()).map_err(|error| error.to_string());
    assert_eq!(missing, Err("database 9: it isn't in the dump".to_owned()));
}

/// Two numbers are always raised in one transaction.
#[test]
fn a_dump_under_writers_shows_one_moment() {
    let (from, to) = (RedisServer::start(SETTINGS), RedisServer::start(SETTINGS));
    let _ = from.ask("DEBUG POPULATE 20000 filler 200");
    let around = Around::new();
    let is_over = AtomicBool::new(false);
    let values = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = from.client();
            let mut client =
                client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the client starts");
            let mut input = client.stdin.take().expect("a pipe");
            while !is_over.load(Ordering::Relaxed) {
                input.write_all(b"MULTI\nINCR a\nINCR b\nEXEC\n").expect("the client reads");
            }
            drop(input);
            client.wait().expect("it ends");
        });
        while from.ask("GET a").is_empty() {
            std::thread::yield_now();
        }
        let mut values = Vec::new();
        for n in 0..4 {
            let place = around.place(&format!("dump{n}"));
            let context = around.context();
            let dumped = dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &context);
            let replacing = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
            let restored =
                dumped.and_then(|_| restore(&FolderFiles::new(&place), &address(&to), &replacing, &context));
            values.push(restored.map(|report| (report, to.ask("MGET a b"))));
        }
        is_over.store(true, Ordering::Relaxed);
        values
    });
    let mut last = 0;
    for value in values {
        let (report, pair) = value.expect("a dump and a restore");
        assert!(report.checks.iter().all(|check| check.is_right), "{report:?}");
        let (a, b) = pair.split_once('\n').expect("two values");
        assert_eq!(a, b);
        let a: u64 = a.parse().unwrap_or_default();
        assert!(a > last, "{a} after {last}");
        last = a;
    }
}
