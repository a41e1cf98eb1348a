//! A dump shows one state, whatever others write meanwhile.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::dump;
use keepfast_sources::restore::RestoreOptions;
use keepfast_sources::sink::{Attributes, FolderSink, NewFile, Sink};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::Lab;

/// Does something before the first table is taken.
struct First<'a> {
    sink: FolderSink,
    is_done: AtomicBool,
    then: &'a (dyn Fn() + Sync),
}

impl Sink for First<'_> {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        if file.path.contains("/data/") && !self.is_done.swap(true, Ordering::SeqCst) {
            (self.then)();
        }
        self.sink.file(file, content)
    }

    fn folder(&self, path: &str, attributes: Attributes) -> io::Result<()> {
        self.sink.folder(path, attributes)
    }

    fn link(&self, path: &str, target: &str, attributes: Attributes) -> io::Result<()> {
        self.sink.link(path, target, attributes)
    }
}

/// Money moves between two tables all the time: in each dump it is all there. Someone who wants to change a table in its form
/// waits, and the dump doesn't wait for them in turn.
#[test]
fn a_dump_shows_one_state_while_others_write() {
    let lab = Lab::of(PostgresVersion::Debian);
    let bank = lab.server.database();
    lab.server.execute(
        &bank,
        "CREATE TABLE savings (id integer PRIMARY KEY, money bigint); CREATE TABLE debts (id integer PRIMARY KEY, money bigint);
        INSERT INTO savings SELECT n, 1000 FROM generate_series(1, 20000) n; INSERT INTO debts SELECT n, 0 FROM generate_series(1, 20000) n;
        CREATE TABLE later (x text); INSERT INTO later VALUES ('kept')",
    );
    let moved = "DO $$ BEGIN FOR n IN 1..1000000 LOOP
        UPDATE savings SET money = money - 7 WHERE id = 1 + n % 20000; UPDATE debts SET money = money + 7 WHERE id = 1 + (n * 31) % 20000;
        COMMIT; EXIT WHEN EXISTS (SELECT FROM pg_class WHERE relname = 'enough'); END LOOP; END $$";
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2).map(|_| scope.spawn(|| lab.server.execute(&bank, moved))).collect();
        let changing = || {
            scope.spawn(|| {
                lab.server.execute(&bank, "ALTER TABLE later ADD COLUMN y integer; TRUNCATE later")
            });
            let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
            while lab.server.query(&bank, waits) == "0" {
                std::thread::yield_now();
            }
        };
        let sink = First {
            sink: FolderSink::new(lab.place("dump")),
            is_done: AtomicBool::new(false),
            then: &changing,
        };
        let options = DumpOptions { parallel: 3.try_into().expect("not zero"), ..DumpOptions::default() };
        let done = dump(&lab.address(&bank), &options, &sink, &lab.context());
        lab.server.execute(&bank, "CREATE TABLE enough ()");
        done.expect("a dump");
        drop(writers);
    });
    lab.restore("dump", &lab.address("copy"), &RestoreOptions::default()).expect("a restore");
    let all = "SELECT (SELECT sum(money) FROM savings) + (SELECT sum(money) FROM debts)";
    assert_eq!(lab.server.query("copy", all), "20000000");
    assert_ne!(lab.server.query("copy", "SELECT sum(money) FROM debts"), "0", "something was written before");
    assert_eq!(lab.server.query("copy", "SELECT * FROM later"), "kept");
    assert_eq!(lab.server.query(&bank, "SELECT count(*) FROM later"), "0", "the other got its turn");
}
