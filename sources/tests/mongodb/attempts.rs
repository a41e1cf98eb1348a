//! Dumps that can't succeed, changes that are made meanwhile, rights and passwords.

use keepfast_sources::SourceError;
use keepfast_sources::dump::{DumpOptions, OnMissing};
use keepfast_sources::engines::{dump, restore, survey};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::restore::RestoreOptions;
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::MongoServer;

use crate::kv::{Acting, Around, with_password};
use crate::round_trips::{SHOP, address};

const PASSWORD: &str = "correct-horse-battery";

#[test]
fn changes_of_meanwhile_are_in_the_oplog_and_what_goes_wrong_is_an_error() {
    let (server, to) = (MongoServer::start(), MongoServer::start());
    let _ = server.script(SHOP);
    let around = Around::new();
    let patient =
        DumpOptions { connect_timeout: std::time::Duration::from_secs(3), ..DumpOptions::default() };
    let attempt =
        |sink: &Acting<'_>| dump(&address(&server), &patient, sink, &around.context()).expect_err("no dump");
    let full = attempt(&Acting::full(1000));
    assert!(matches!(&full, SourceError::Transfer { .. }), "{full:?}");

    // A document that is written while others are read.
    let place = around.place("dump");
    let folder = FolderSink::new(&place);
    let writing = Writing { folder: &folder, server: &server };
    let manifest =
        dump(&address(&server), &DumpOptions::default(), &writing, &around.context()).expect("a dump");
    let log = std::fs::read(place.join("oplog.bson")).expect("a file");
    assert!(log.windows(9).any(|window| window == b"meanwhile"), "{} bytes", log.len());
    assert_ne!(manifest.position["oplog_first"], manifest.position["oplog_last"]);
    // The stand-in can't repeat changes, so it is asked to, and refuses.
    let error =
        restore(&FolderFiles::new(&place), &address(&to), &RestoreOptions::default(), &around.context());
    let error = error.expect_err("the stand-in can't do that").to_string();
    assert!(error.contains("applyOps"), "{error}");

    let killed = attempt(&Acting::new(1000, || {
        server.kill();
        Ok(())
    }));
    assert!(matches!(&killed, SourceError::Server { .. }), "{killed:?}");
    let quick =
        DumpOptions { connect_timeout: std::time::Duration::from_millis(500), ..DumpOptions::default() };
    let gone = survey(&address(&server), &quick, &around.context());
    assert!(matches!(gone, Err(SourceError::Connect { .. })), "{gone:?}");
    around.cancel.cancel();
    let cancelled = survey(&address(&to), &quick, &around.context());
    assert!(matches!(cancelled, Err(SourceError::Cancelled)), "{cancelled:?}");
}

/// Writes a document into the server before it takes the first file.
struct Writing<'w> {
    folder: &'w FolderSink,
    server: &'w MongoServer,
}

impl keepfast_sources::sink::Sink for Writing<'_> {
    fn file(
        &self,
        file: &keepfast_sources::sink::NewFile<'_>,
        content: &mut dyn std::io::Read,
    ) -> std::io::Result<u64> {
        if file.path == "shop/orders.bson" {
            let _ = self.server.script("client.other.things.insert_one({'_id': 'meanwhile'})");
        }
        self.folder.file(file, content)
    }

    fn folder(&self, path: &str, attributes: keepfast_sources::sink::Attributes) -> std::io::Result<()> {
        self.folder.folder(path, attributes)
    }

    fn link(
        &self,
        path: &str,
        target: &str,
        attributes: keepfast_sources::sink::Attributes,
    ) -> std::io::Result<()> {
        self.folder.link(path, target, attributes)
    }
}

#[test]
fn rights_that_are_missing_are_named_with_what_grants_them_and_passwords_are_never_shown() {
    let server = MongoServer::start();
    let _ = server.script(SHOP);
    let _ = server.script(&format!(
        "client.admin.command('createUser', 'root', pwd='{PASSWORD}', roles=['root'])\n\
         client.admin.command('createUser', 'reader', pwd='{PASSWORD}', roles=[{{'role': 'read', 'db': 'shop'}}])"
    ));
    server.require_passwords();
    let around = Around::new();
    around.secrets.learn(PASSWORD.as_bytes());
    let with = |user: &str, password: &str| {
        with_password(&format!("mongodb://{user}@127.0.0.1:{}?tls=off", server.port()), password)
    };
    let options = DumpOptions::default();
    let whole = survey(&with("root", PASSWORD), &options, &around.context()).expect("a survey");
    assert!(whole.is_whole() && whole.databases.iter().any(|found| found.name == "shop"), "{whole:?}");
    let manifest =
        dump(&with("root", PASSWORD), &options, &FolderSink::new(around.place("dump")), &around.context());
    let manifest = manifest.expect("a dump");
    let admin = manifest.databases.iter().find(|database| database.name == "admin").expect("users");
    assert_eq!(
        admin.tables.iter().find(|table| table.name == "system.users").and_then(|table| table.rows),
        Some(2)
    );

    let reader = with("reader", PASSWORD);
    let found = survey(&reader, &options, &around.context()).expect("a survey");
    assert!(!found.is_whole() && found.findings[0].text.contains("grantRolesToUser"), "{found:?}");
    let error = dump(&reader, &options, &Acting::full(u64::MAX), &around.context()).expect_err("no dump");
    assert!(matches!(&error, SourceError::Missing { .. }), "{error:?}");
    assert!(error.to_string().contains("grantRolesToUser"), "{error}");
    // Not even what there is can be asked, so that nothing could say what is missing.
    let lenient = DumpOptions { on_missing: OnMissing::Report, ..options.clone() };
    for address in [reader.clone(), reader.with_database("other")] {
        let error =
            dump(&address, &lenient, &Acting::full(u64::MAX), &around.context()).expect_err("no dump");
        assert!(matches!(&error, SourceError::Missing { .. }), "{error:?}");
    }
    let part = dump(&reader.with_database("shop"), &options, &Acting::full(u64::MAX), &around.context());
    assert_eq!(part.expect("a part").databases.len(), 1);

    for address in [with("root", "wrong-password"), address(&server)] {
        let error = survey(&address, &options, &around.context()).map(|found| found.databases);
        let shown = format!("{error:?} {address:?}");
        assert!(!shown.contains("wrong-password") && !shown.contains(PASSWORD), "{shown}");
    }
    let error = survey(&with("root", "wrong-password"), &options, &around.context());
    assert!(matches!(error, Err(SourceError::Connect { .. })), "{error:?}");
}
