//! Restores where something is already.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use keepfast_sources::SourceError;
use keepfast_sources::engines::{plan, restore};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::restore::{Existing, RestoreOptions};
use rusqlite::Connection;

use crate::kv::{Around, copied};
use crate::round_trips::{address, dumped, number, shop};

fn replacing() -> RestoreOptions {
    RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() }
}

#[test]
fn a_database_is_replaced_only_if_that_is_wanted_and_its_log_does_not_outlive_it() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    drop(shop(&path, "wal"));
    let (files, _) = dumped(&path, &around, "dump");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("a mode");
    // A program that is killed leaves its log: what is in there must not come into what is restored.
    let mut other = Command::new("python3")
        .args([
            "-c",
            "import sqlite3, sys, os\nc = sqlite3.connect(sys.argv[1])\n\
            c.execute('PRAGMA wal_autocheckpoint=0')\nc.execute('DELETE FROM orders')\nc.commit()\n\
            print('done', flush=True)\nsys.stdin.read()",
        ])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut line = String::new();
    BufReader::new(other.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert_eq!(line.trim(), "done");
    let log = around.folder.path().join("shop.db-wal");
    assert!(std::fs::metadata(&log).is_ok_and(|log| log.len() > 0));

    let refused = restore(&files, &address(&path), &RestoreOptions::default(), &around.context());
    assert!(matches!(refused, Err(SourceError::Occupied { .. })), "{refused:?}");
    let planned = plan(&files, &address(&path), &replacing(), &around.context()).expect("a plan");
    assert!(planned.replaces[0].contains("shop.db"), "{planned:?}");
    let error = restore(&files, &address(&path), &replacing(), &around.context()).expect_err("it is in use");
    assert!(error.to_string().contains("can't be replaced: it is locked by python3 (process "), "{error}");
    assert_eq!(number(&Connection::open(&path).expect("a database"), "SELECT count(*) FROM orders"), 0);

    other.kill().expect("it is killed");
    other.wait().expect("it ends");
    restore(&files, &address(&path), &replacing(), &around.context()).expect("a restore");
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
    let left: Vec<_> = std::fs::read_dir(around.folder.path()).expect("a folder").flatten().collect();
    let left: Vec<String> =
        left.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(
        !left.iter().any(|name| name.starts_with("shop.db-") || name.starts_with(".keepfast")),
        "{left:?}"
    );
    assert_eq!(number(&Connection::open(&path).expect("a database"), "SELECT count(*) FROM orders"), 2000);
}

#[test]
fn what_is_no_database_any_more_is_replaced_and_a_stray_log_is_not_read() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    drop(shop(&path, "wal"));
    let (files, _) = dumped(&path, &around, "dump");
    std::fs::write(&path, "overwritten by something that is no database").expect("it is written");
    restore(&files, &address(&path), &replacing(), &around.context()).expect("a restore");
    assert_eq!(number(&Connection::open(&path).expect("a database"), "SELECT count(*) FROM orders"), 2000);

    let gone = around.folder.path().join("gone.db");
    std::fs::write(around.folder.path().join("gone.db-wal"), "a log without its database")
        .expect("it is written");
    let refused = restore(&files, &address(&gone), &RestoreOptions::default(), &around.context());
    assert!(refused.is_err_and(|error| error.to_string().contains("gone.db-wal is there")));
    restore(&files, &address(&gone), &replacing(), &around.context()).expect("a restore");
    assert!(!around.folder.path().join("gone.db-wal").exists());

    let cut = around.folder.path().join("cut");
    copied(&around.folder.path().join("dump"), &cut);
    let file = std::fs::File::options().write(true).open(cut.join("main.db")).expect("a file");
    file.set_len(8192).expect("it can be cut");
    let error = restore(&FolderFiles::new(&cut), &address(&gone), &replacing(), &around.context());
    assert!(matches!(error, Err(SourceError::Dump { .. })), "{error:?}");
    assert_eq!(number(&Connection::open(&gone).expect("a database"), "SELECT count(*) FROM orders"), 2000);
}

#[test]
fn single_tables_come_back_with_their_indexes_and_triggers_and_others_stay() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    let open = shop(&path, "wal");
    let (files, _) = dumped(&path, &around, "dump");
    open.execute_batch(
        "DELETE FROM orders; DROP TABLE customers; UPDATE names SET value = 'new'; CREATE TABLE mine(a)",
    )
    .expect("a bad day");
    let options = |tables: &[&str], existing| RestoreOptions {
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        existing,
        ..RestoreOptions::default()
    };
    let both = options(&["orders", "cust*"], Existing::Refuse);
    let refused =
        restore(&files, &address(&path), &both, &around.context()).map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.contains("table orders of")));
    let both = options(&["orders", "cust*"], Existing::Replace);
    let planned = plan(&files, &address(&path), &both, &around.context()).expect("a plan");
    assert_eq!((planned.steps.len(), planned.replaces.len()), (2, 1), "{planned:?}");
    let report = restore(&files, &address(&path), &both, &around.context()).expect("a restore");
    assert_eq!((report.tables, report.rows), (2, 2002));
    assert!(report.checks.iter().all(|check| check.is_right) && report.warnings.is_empty(), "{report:?}");
    around.assert_scratch_is_empty();
    assert_eq!(number(&open, "SELECT count(*) FROM orders"), 2000);
    assert_eq!(number(&open, "SELECT count(*) FROM names WHERE value = 'new'"), 2, "it wasn't asked for");
    assert_eq!(
        number(&open, "SELECT count(*) FROM sqlite_schema WHERE name IN ('by_customer', 'sees', 'mine')"),
        3
    );
    open.execute_batch("INSERT INTO customers(name) VALUES ('dora')").expect("a row");
    assert_eq!(number(&open, "SELECT id FROM customers WHERE name = 'dora'"), 4, "no number is given twice");

    let missing = options(&["nothing"], Existing::Refuse);
    let missing =
        restore(&files, &address(&path), &missing, &around.context()).map_err(|error| error.to_string());
    assert_eq!(missing, Err("table nothing: it isn't in the dump".to_owned()));
    let alone = around.folder.path().join("alone.db");
    restore(&files, &address(&alone), &options(&["names"], Existing::Refuse), &around.context())
        .expect("a restore");
    assert_eq!(number(&Connection::open(&alone).expect("a database"), "SELECT count(*) FROM names"), 2);
}
