//! Binary logs: received while they are written, and played again up to a moment.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_sources::dump::{DumpOptions, Selection};
use keepfast_sources::engines::restore;
use keepfast_sources::error::{Result, SourceError};
use keepfast_sources::mysql::binlog::{ReceiveOptions, Received, Receiver, examine};
use keepfast_sources::restore::{Existing, RestoreOptions, RestoreReport, Until};
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, address, address_of, files, wait_for};

fn options(spool: &Path, from: Option<&str>) -> ReceiveOptions {
    ReceiveOptions {
        spool: spool.to_owned(),
        server_id: NonZeroU32::new(99).expect("a number"),
        from: from.map(str::to_owned),
        connect_timeout: Duration::from_secs(5),
    }
}

/// Waits until this many logs are final.
fn receive(receiver: &mut Receiver, count: usize) -> Vec<Received> {
    let mut all = Vec::new();
    wait_for("a log", || {
        all.extend(receiver.finished().expect("it receives"));
        all.len() >= count
    });
    all
}

/// The server's clock: a moment after all that was done, and before all that follows.
fn a_moment(server: &MariaDbServer) -> String {
    server.query("SELECT SLEEP(1.1);");
    let now = server.query("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ');");
    server.query("SELECT SLEEP(1.1);");
    now
}

/// A dump with its logs, of a server in which things were done at three times.
struct Past {
    lab: Lab,
    dump: PathBuf,
    moment: String,
    gtid: String,
}

impl Past {
    fn new() -> Self {
        let server = MariaDbServer::start();
        let lab = Lab::new();
        server.query(
            "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, text TEXT);
             INSERT INTO shop.orders VALUES (1, 'before the dump'); CREATE USER u@localhost;
             CREATE USER backup@localhost IDENTIFIED BY 'it\\'s \"a\" \\\\ # secret';
             GRANT SELECT, RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, REPLICATION SLAVE, SHOW VIEW, EVENT, TRIGGER
                 ON *.* TO backup@localhost;",
        );
        let from = address_of(&server, "backup", "it's \"a\" \\ # secret");
        let (manifest, dump) = lab.dump(&from, "dump");
        assert_eq!(manifest.position.get("databases").map(String::as_str), Some("all"));
        let spool = lab.folder("spool");
        let first = manifest.position.get("file").map(String::as_str);
        let mut receiver =
            Receiver::start(&from, &options(&spool, first), &lab.context()).expect("it receives");
        server.query(
            "INSERT INTO shop.orders VALUES (2, 'in the dump''s log'); FLUSH BINARY LOGS;
             GRANT SELECT ON shop.* TO u@localhost; CREATE TABLE shop.newer (a INT);
             INSERT INTO shop.orders VALUES (3, 'in the second log');",
        );
        let gtid = server.query("SELECT @@gtid_binlog_pos;");
        let moment = a_moment(&server);
        server.query(
            "INSERT INTO shop.orders VALUES (4, 'too late'); DROP TABLE shop.newer; FLUSH BINARY LOGS;",
        );
        server.query("INSERT INTO shop.orders VALUES (5, 'much too late'); FLUSH BINARY LOGS;");
        let received = receive(&mut receiver, 3);
        let logs = dump.join("binlogs");
        fs::create_dir(&logs).expect("a folder");
        for log in &received {
            fs::copy(&log.path, logs.join(log.name.as_str())).expect("it is kept");
            assert_eq!(
                fs::read(&log.path).expect("a log"),
                fs::read(server.data().join(log.name.as_str())).expect("the server's"),
                "it is the server's log, byte for byte"
            );
            assert!(log.facts.is_ended && log.facts.has_checksums && log.facts.next.is_some(), "{log:?}");
            receiver.forget(log).expect("it is removed");
        }
        // What was cut off is received again.
        drop(receiver);
        let mut receiver =
            Receiver::start(&from, &options(&spool, None), &lab.context()).expect("it receives");
        server.query("FLUSH BINARY LOGS;");
        assert_eq!(receive(&mut receiver, 1)[0].name.as_str(), "binlog.000004");
        server.query("PURGE BINARY LOGS TO 'binlog.000003';");
        let gap =
            Receiver::start(&from, &options(&lab.folder("other"), Some("binlog.000002")), &lab.context());
        let gap = gap.err().expect("a gap").to_string();
        assert!(gap.contains("binlog.000002") && gap.contains("older than binlog.000003"), "{gap}");
        server.kill();
        wait_for("the end of the receiver", || match receiver.finished() {
            Ok(_) => false,
            Err(error) => {
                assert!(matches!(error, SourceError::Program { .. }), "{error}");
                true
            }
        });
        Self { lab, dump, moment, gtid }
    }

    fn restore(&self, to: &MariaDbServer, until: Until) -> Result<RestoreReport> {
        let options = RestoreOptions {
            until: Some(until),
            globals: true,
            existing: Existing::Replace,
            ..RestoreOptions::default()
        };
        restore(&files(&self.dump), &address(to), &options, &self.lab.context())
    }
}

/// Up to a time, a position and a transaction; and with a log that is damaged, missing, or not old enough.
#[test]
fn a_restore_ends_at_the_moment_that_was_asked_for() {
    let past = Past::new();
    let to = MariaDbServer::start();
    let orders = || to.query("SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.orders;");
    past.restore(&to, Until::Time(past.moment.clone())).expect("it is restored");
    assert_eq!(orders(), "1,2,3");
    assert_eq!(to.query("SELECT COUNT(*) FROM shop.newer;"), "0", "it was dropped later");
    assert!(to.query("SHOW GRANTS FOR u@localhost;").contains("SELECT ON `shop`"), "of the log");

    to.query("DROP USER u@localhost;");
    past.restore(&to, Until::Transaction(past.gtid.clone())).expect("it is restored");
    assert_eq!(orders(), "1,2,3");
    to.query("DROP USER u@localhost;");
    past.restore(&to, Until::Position("binlog.000001:999999".to_owned())).expect("it is restored");
    assert_eq!(orders(), "1,2");
    to.query("DROP USER u@localhost;");
    let report = past.restore(&to, Until::Time("2099-01-01T00:00:00Z".to_owned())).expect("it is restored");
    assert_eq!(orders(), "1,2,3,4,5");
    assert!(report.warnings.iter().any(|text| text.contains("last change in the binary logs")), "{report:?}");

    let early =
        past.restore(&to, Until::Time("2020-01-01T00:00:00Z".to_owned())).expect_err("before the dump");
    assert!(early.to_string().contains("choose an older dump"), "{early}");
    to.query("CREATE DATABASE other;");
    let other = past.restore(&to, Until::Time(past.moment.clone())).expect_err("another database");
    assert!(other.to_string().contains("it has other"), "{other}");
    to.query("DROP DATABASE other; DROP DATABASE shop; DROP USER u@localhost;");

    // A flipped byte: nothing of the logs is played.
    let log = past.dump.join("binlogs/binlog.000002");
    let sound = fs::read(&log).expect("a log");
    let mut flipped = sound.clone();
    let at = flipped.windows(13).position(|text| text == b"in the second").expect("the row");
    flipped[at] ^= 1;
    fs::write(&log, &flipped).expect("it is damaged");
    let error = past.restore(&to, Until::Time(past.moment.clone())).expect_err("a flipped byte");
    assert!(error.to_string().contains("binlog.000002") && error.to_string().contains("checksum"), "{error}");
    assert_eq!(orders(), "1", "only the dump is there");
    // One that is cut off, and one that is missing in the middle.
    fs::write(&log, &sound[..sound.len() - 10]).expect("it is cut");
    let cut = past.restore(&to, Until::Time(past.moment.clone())).expect_err("cut off");
    assert!(cut.to_string().contains("within an event"), "{cut}");
    fs::remove_file(&log).expect("it is removed");
    let gap = past.restore(&to, Until::Time(past.moment.clone())).expect_err("a gap");
    assert!(gap.to_string().contains("after binlog.000001"), "{gap}");
    fs::write(&log, &sound).expect("it is back");
    fs::remove_file(past.dump.join("binlogs/binlog.000001")).expect("it is removed");
    let first = past.restore(&to, Until::Time(past.moment.clone())).expect_err("the first is missing");
    assert!(first.to_string().contains("binlog.000001"), "{first}");
}

/// Each byte of a log that is flipped is noticed.
#[test]
fn any_flipped_byte_of_a_log_is_noticed() {
    let server = MariaDbServer::start();
    server
        .query("CREATE DATABASE a; CREATE TABLE a.t (a INT); INSERT INTO a.t VALUES (1); FLUSH BINARY LOGS;");
    let log = fs::read(server.data().join("binlog.000001")).expect("a log");
    let facts = examine("binlog.000001", &mut log.as_slice()).expect("it is sound");
    assert_eq!(facts.next.as_deref(), Some("binlog.000002"));
    assert!(facts.is_ended && facts.first.is_some() && facts.latest >= facts.first);
    let mut unnoticed = Vec::new();
    for at in 0..log.len() {
        let mut flipped = log.clone();
        flipped[at] ^= 0x10;
        if examine("binlog.000001", &mut flipped.as_slice()).is_ok_and(|found| found.has_checksums) {
            unnoticed.push(at);
        }
    }
    assert_eq!(unnoticed, [0_usize; 0]);
}

/// The logs of one database of a server with several; and what can't be played is refused before anything is done.
#[test]
fn one_database_is_played_alone() {
    let (server, to) = (MariaDbServer::start(), MariaDbServer::start());
    server.query(
        "CREATE DATABASE one; CREATE DATABASE two; CREATE TABLE one.t (a INT); CREATE TABLE two.t (a INT);",
    );
    let lab = Lab::new();
    let (_, dump) = lab.dump(&address(&server).with_database("one"), "one");
    let selection = Selection { databases: vec!["one".to_owned(), "tw?".to_owned()], ..Selection::default() };
    let some = DumpOptions { selection, ..DumpOptions::default() };
    let (_, both) = lab.dump_with(&address(&server), "both", &some);
    server.query("INSERT INTO one.t VALUES (1); INSERT INTO two.t VALUES (2); FLUSH BINARY LOGS;");
    for dump in [&dump, &both] {
        fs::create_dir(dump.join("binlogs")).expect("a folder");
        let name = "binlogs/binlog.000001";
        fs::copy(server.data().join("binlog.000001"), dump.join(name)).expect("a log");
    }
    let until = Some(Until::Time("2099-01-01T00:00:00Z".to_owned()));
    let options = RestoreOptions { until, ..RestoreOptions::default() };
    restore(&files(&dump), &address(&to), &options, &lab.context()).expect("it is restored");
    assert_eq!(to.query("SELECT a FROM one.t; SHOW DATABASES LIKE 'two';"), "1");
    to.query("DROP DATABASE one;");
    let renamed = restore(&files(&dump), &address(&to).with_database("x"), &options, &lab.context());
    let refused = renamed.expect_err("another name").to_string();
    assert!(refused.contains("keep their names"), "{refused}");
    let some = restore(&files(&both), &address(&to), &options, &lab.context()).expect_err("some databases");
    assert!(some.to_string().contains("for one or for all"), "{some}");
    assert_eq!(to.query("SHOW DATABASES LIKE 'o%';"), "");
}
