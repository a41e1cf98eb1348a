//! Dumps, their restores, and drills.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{ask, boot, dump, examine, plan, restore, survey};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_sources::sink::FolderSink;
use rusqlite::Connection;

use crate::kv::{Around, flipped};

pub fn address(path: &Path) -> Address {
    Address::parse(&format!("sqlite://{}", path.display())).expect("an address")
}

/// A database with tables, an index, a trigger, and rows of each type.
pub fn shop(path: &Path, journal: &str) -> Connection {
    let shop = Connection::open(path).expect("a database");
    shop.busy_timeout(Duration::from_secs(30)).expect("a setting");
    shop.query_row(&format!("PRAGMA journal_mode={journal}"), [], |_| Ok(())).expect("a setting");
    shop.execute_batch(
        "PRAGMA synchronous=OFF;
         PRAGMA user_version=7;
         CREATE TABLE customers(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
         CREATE TABLE orders(id INTEGER PRIMARY KEY, customer REFERENCES customers(id), cents INT, \
           twice INT GENERATED ALWAYS AS (cents * 2));
         CREATE INDEX by_customer ON orders(customer);
         CREATE TABLE names(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
         CREATE TABLE seen(what TEXT);
         CREATE TRIGGER sees AFTER INSERT ON customers BEGIN INSERT INTO seen VALUES (new.name); END;
         CREATE VIEW totals AS SELECT customer, sum(cents) FROM orders GROUP BY customer;
         CREATE VIRTUAL TABLE words USING fts5(text);
         INSERT INTO customers(name) VALUES ('ann'), ('bob'), ('cleo');
         DELETE FROM customers WHERE name = 'cleo';
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
           INSERT INTO orders(id, customer, cents) SELECT i, 1 + i % 2, i * 3 FROM n;
         INSERT INTO names VALUES ('a', x'00ff'), ('b', NULL);
         INSERT INTO words VALUES ('the quick brown fox')",
    )
    .expect("a shop");
    shop
}

pub fn dumped(path: &Path, around: &Around, name: &str) -> (FolderFiles, Manifest) {
    let place = around.place(name);
    let manifest = dump(&address(path), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
        .expect("a dump");
    around.assert_scratch_is_empty();
    (FolderFiles::new(place), manifest)
}

pub fn number(of: &Connection, sql: &str) -> i64 {
    of.query_row(sql, [], |row| row.get(0)).expect(sql)
}

#[test]
fn what_lies_in_the_log_is_dumped_too_and_an_unchanged_database_gives_the_same_bytes() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    let open = shop(&path, "wal");
    open.execute_batch("PRAGMA wal_autocheckpoint=0; INSERT INTO names VALUES ('in the log', 1)")
        .expect("a row");
    let (files, manifest) = dumped(&path, &around, "one");
    let rows = |name: &str| {
        let table = manifest.databases[0].tables.iter().find(|table| table.name == name).expect(name);
        table.rows
    };
    assert_eq!(
        (rows("orders"), rows("names"), rows("customers"), rows("words")),
        (Some(2000), Some(3), Some(2), None)
    );
    assert_eq!(manifest.position["user_version"], "7");
    drop(open);
    let (_, again) = dumped(&path, &around, "two");
    let read = |name: &str| std::fs::read(around.folder.path().join(name).join("main.db")).expect("a file");
    assert_eq!(again.databases, manifest.databases);
    assert!(read("one") == read("two"), "it hasn't changed, wherever its pages were");

    let target = around.folder.path().join("restored.db");
    let options = RestoreOptions::default();
    let planned = plan(&files, &address(&target), &options, &around.context()).expect("a plan");
    assert!(planned.replaces.is_empty() && planned.steps[0].contains("restored.db"), "{planned:?}");
    let report = restore(&files, &address(&target), &options, &around.context()).expect("a restore");
    assert!(report.checks.len() >= 6 && report.checks.iter().all(|check| check.is_right), "{report:?}");
    let restored = Connection::open(&target).expect("a database");
    assert_eq!(number(&restored, "SELECT count(*) FROM names"), 3);
    assert_eq!(number(&restored, "SELECT sum(twice) FROM orders"), 12_006_000);
    assert_eq!(number(&restored, "SELECT count(*) FROM words WHERE words MATCH 'quick'"), 1);
}

/// Cents move from one account to the other; together they are always the same.
fn transfers_go_on(journal: &str, dumps: usize) {
    let around = Around::new();
    let path = around.folder.path().join("bank.db");
    let bank = shop(&path, journal);
    bank.execute_batch(
        "CREATE TABLE accounts(id INTEGER PRIMARY KEY, cents INT, moves INT); \
        INSERT INTO accounts SELECT id, 1000, 0 FROM orders",
    )
    .expect("accounts");
    let is_over = AtomicBool::new(false);
    let values = std::thread::scope(|scope| {
        let is_over = &is_over;
        scope.spawn(move || {
            let mut n = 0_i64;
            while !is_over.load(Ordering::Relaxed) {
                n += 1;
                let (from, to) = (1 + n * 7 % 2000, 1 + n * 13 % 2000);
                bank.execute_batch(&format!(
                    "BEGIN IMMEDIATE; UPDATE accounts SET cents = cents - 5, moves = moves + 1 WHERE id = {from}; \
                     UPDATE accounts SET cents = cents + 5, moves = moves + 1 WHERE id = {to}; COMMIT"
                ))
                .expect("a transfer");
                // As a program that waits for its users: with a journal, others get in between two transfers.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let result: Vec<_> = (0..dumps)
            .map(|n| {
                let place = around.place(&format!("dump{n}"));
                let dumped = dump(
                    &address(&path),
                    &DumpOptions::default(),
                    &FolderSink::new(&place),
                    &around.context(),
                );
                dumped.map(|manifest| (place, manifest))
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        result
    });
    let mut last = -1;
    for value in values {
        let (place, _) = value.expect("a dump");
        let copy = address(&place.join("main.db"));
        let ask = |sql: &str| ask(&copy, sql, &around.context()).expect(sql).expect("a number");
        assert_eq!(ask("SELECT sum(cents) FROM accounts"), "2000000");
        let moves: i64 = ask("SELECT sum(moves) FROM accounts").parse().expect("a number");
        assert!(moves % 2 == 0 && moves >= last, "{moves} after {last}");
        last = moves;
        let checks = examine(&copy, &around.context()).expect("it is examined");
        assert!(checks.iter().all(|check| check.is_right), "{checks:?}");
    }
    assert!(last > 0, "no one has written");
}

#[test]
fn a_dump_under_writers_shows_one_moment_with_a_log() {
    transfers_go_on("wal", 6);
}

#[test]
fn a_dump_under_writers_shows_one_moment_with_a_journal() {
    transfers_go_on("delete", 6);
}

#[test]
fn a_drill_finds_a_planted_fault() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    drop(shop(&path, "delete"));
    let (files, manifest) = dumped(&path, &around, "dump");
    let options = |name: &str| BootOptions {
        folder: around.place(name),
        account: None,
        version: manifest.server.clone(),
        memory: None,
        until: None,
    };
    let Boot::Running(booted) =
        boot(Engine::Sqlite, &files, &options("server"), &around.context()).expect("it is there")
    else {
        panic!("it isn't here");
    };
    assert!(
        booted.checks.len() >= 4 && booted.checks.iter().all(|check| check.is_right),
        "{:?}",
        booted.checks
    );
    let examined = examine(&booted.address, &around.context()).expect("it is examined");
    assert!(examined.len() == 2 && examined.iter().all(|check| check.is_right), "{examined:?}");
    let ask = |sql: &str| ask(&booted.address, sql, &around.context()).map_err(|error| error.to_string());
    assert_eq!(ask("SELECT max(cents) FROM orders"), Ok(Some("6000".to_owned())));
    assert_eq!(ask("SELECT value FROM names WHERE key = 'a'"), Ok(Some("00ff".to_owned())));
    assert_eq!((ask("SELECT NULL"), ask("SELECT 1 WHERE 0")), (Ok(None), Ok(None)));
    assert!(ask("DELETE FROM orders").is_err_and(|error| error.contains("readonly")));
    assert!(ask("SELEC 1").is_err_and(|error| error.contains("syntax")));

    // One number in the index of orders becomes another.
    let damaged = around.folder.path().join("damaged");
    let index = Connection::open(&path).expect("a database");
    let page = number(&index, "SELECT rootpage FROM sqlite_schema WHERE name = 'by_customer'");
    drop(index);
    let at = usize::try_from(page).expect("it fits") * 4096 - 3;
    flipped(&around.folder.path().join("dump"), &damaged, "main.db", |_| at);
    let Ok(Boot::Running(booted)) =
        boot(Engine::Sqlite, &FolderFiles::new(&damaged), &options("second"), &around.context())
    else {
        panic!("it isn't here");
    };
    let examined = examine(&booted.address, &around.context()).expect("it is examined");
    assert!(!examined[0].is_right && examined[0].name == "integrity_check", "{examined:?}");
    let target = around.folder.path().join("restored.db");
    let refused = restore(
        &FolderFiles::new(&damaged),
        &address(&target),
        &RestoreOptions::default(),
        &around.context(),
    );
    assert!(matches!(refused, Err(SourceError::Dump { .. })), "{refused:?}");
    assert!(!target.exists());
}

#[test]
fn a_survey_says_what_a_dump_would_have() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    let open = shop(&path, "delete");
    let found = survey(&address(&path), &DumpOptions::default(), &around.context()).expect("a survey");
    assert!(found.is_whole() && found.findings[0].text.contains("journal_mode=WAL"), "{found:?}");
    assert_eq!(found.databases[0].bytes, Some(std::fs::metadata(&path).expect("a file").len()));
    assert!(found.databases[0].tables >= 5);
    open.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let quick = DumpOptions { connect_timeout: Duration::from_millis(200), ..DumpOptions::default() };
    let locked = survey(&address(&path), &quick, &around.context()).expect("a survey");
    assert!(!locked.is_whole() && locked.findings[0].text.contains("it is locked by"), "{locked:?}");
    // Replacing comes only after the lock is free, too.
    let replacing = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
    open.execute_batch("ROLLBACK").expect("no lock");
    let (files, _) = dumped(&path, &around, "dump");
    open.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let refused = restore(&files, &address(&path), &replacing, &around.context());
    assert!(refused.is_err_and(|error| error.to_string().contains("can't be replaced: it is locked")));
}
