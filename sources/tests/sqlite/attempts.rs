//! Dumps that can't succeed: each says why.

use std::path::Path;
use std::time::Duration;

use keepfast_sources::SourceError;
use keepfast_sources::dump::{DumpOptions, Selection};
use keepfast_sources::engines::dump;

use crate::kv::{Acting, Around};
use crate::round_trips::{address, shop};

fn attempt(path: &Path, sink: &Acting<'_>, around: &Around) -> SourceError {
    let options = DumpOptions { connect_timeout: Duration::from_millis(300), ..DumpOptions::default() };
    dump(&address(path), &options, sink, &around.context()).expect_err("no dump")
}

#[test]
fn what_is_locked_encrypted_damaged_or_not_there_is_named() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    let open = shop(&path, "delete");
    open.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let locked = attempt(&path, &Acting::full(1), &around).to_string();
    assert!(locked.contains("shop.db: it can't be read: it is locked by"), "{locked}");
    open.execute_batch("ROLLBACK").expect("no lock");

    let other = around.folder.path().join("other.db");
    assert!(matches!(attempt(&other, &Acting::full(1), &around), SourceError::File { .. }));
    std::fs::write(&other, [0x5a; 8192]).expect("it is written");
    let other = attempt(&other, &Acting::full(1), &around).to_string();
    assert!(other.contains("it is encrypted, or isn't a database of SQLite"), "{other}");
    let folder = attempt(around.folder.path(), &Acting::full(1), &around).to_string();
    assert!(folder.contains("it isn't a file"), "{folder}");
    let part = DumpOptions {
        selection: Selection { tables: vec!["orders".to_owned()], ..Selection::default() },
        ..DumpOptions::default()
    };
    let part = dump(&address(&path), &part, &Acting::full(1), &around.context());
    assert!(matches!(part, Err(SourceError::Unsupported { .. })), "{part:?}");

    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[100] = 0x77;
    let damaged = around.folder.path().join("damaged.db");
    std::fs::write(&damaged, bytes).expect("it is written");
    let damaged = attempt(&damaged, &Acting::full(1 << 30), &around).to_string();
    assert!(damaged.contains("it is damaged"), "{damaged}");
}

#[test]
fn a_full_disk_and_a_cancelled_run_are_errors_and_the_lock_is_let_go() {
    let around = Around::new();
    let path = around.folder.path().join("shop.db");
    let open = shop(&path, "delete");
    let full = attempt(&path, &Acting::full(20_000), &around);
    assert!(matches!(&full, SourceError::Transfer { .. }), "{full:?}");
    let cancelled = attempt(
        &path,
        &Acting::new(20_000, || {
            around.cancel.cancel();
            Ok(())
        }),
        &around,
    );
    assert!(matches!(cancelled, SourceError::Cancelled), "{cancelled:?}");
    open.busy_timeout(Duration::ZERO).expect("a setting");
    open.execute_batch("BEGIN EXCLUSIVE; DELETE FROM orders; COMMIT").expect("no one reads any more");
    around.assert_scratch_is_empty();
}
