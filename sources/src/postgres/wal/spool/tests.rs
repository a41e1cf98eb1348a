//! A spool takes each file once, durably, up to its limit, and lets go only what is stored.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Pushed, Spool, SpoolLimit};
use crate::error::SourceError;
use crate::files::{Files, FolderFiles};
use crate::postgres::lsn::{SegmentBytes, SegmentNumber, Timeline};
use crate::postgres::wal::header::example;
use crate::postgres::wal::{SegmentName, WalName};
use crate::sink::FolderSink;

const MIB: u64 = 1 << 20;

/// A server's folder of the log, a spool, and an archive.
struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn spool(&self, limit_bytes: u64) -> Spool {
        Spool::open(self.folder.path().join("spool"), SpoolLimit(limit_bytes)).expect("a spool")
    }

    fn archive(&self) -> PathBuf {
        let path = self.folder.path().join("archive");
        fs::create_dir_all(&path).expect("a folder");
        path
    }

    fn ship(&self, spool: &Spool) {
        let batch = spool.batch(u64::MAX, false).expect("a batch");
        let shipped = batch.send(&FolderSink::new(self.archive())).expect("an archive");
        spool.confirm(shipped).expect("a ledger");
    }

    /// A segment of a server, with a mark in its middle.
    fn segment(&self, number: u64, system: u64, mark: u8) -> PathBuf {
        let length = SegmentBytes::new(MIB).expect("a length");
        let name = SegmentName::new(Timeline::FIRST, SegmentNumber(number), length);
        let mut bytes = example(name, system, length);
        bytes[5000] = mark;
        self.file(&name.to_string(), &bytes)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        path
    }
}

fn paths(files: &dyn Files) -> Vec<String> {
    let name = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
    files.list().expect("a list").into_iter().map(|file| name(file.path)).collect()
}

fn error(result: Result<Pushed, SourceError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn the_same_bytes_may_come_again_and_other_bytes_never_take_their_place() {
    let lab = Lab::new();
    let spool = lab.spool(10 * MIB);
    let file = lab.segment(1, 77, 1);
    assert_eq!(spool.push(&file).expect("new"), Pushed::Taken);
    assert_eq!(spool.push(&file).expect("again"), Pushed::WasThere);
    let other = lab.segment(1, 77, 2);
    let said = error(spool.push(&other));
    assert!(said.contains("with other bytes was archived before"), "{said}");
    // After it was given away as well, by another process, and without the repository.
    lab.ship(&spool);
    assert_eq!(paths(&spool), [""; 0]);
    let spool = lab.spool(10 * MIB);
    assert!(error(spool.push(&other)).contains("with other bytes"));
    assert_eq!(spool.push(&lab.segment(1, 77, 1)).expect("again"), Pushed::WasThere);
    assert_eq!(paths(&FolderFiles::new(lab.archive())), ["000000010000000000000001"]);
    assert_eq!(
        fs::read(lab.archive().join("wal/00000001/000000010000000000000001")).expect("a segment")[5000],
        1
    );
}

#[test]
fn behind_its_limit_it_takes_nothing_and_says_so_until_something_was_given_away() {
    let lab = Lab::new();
    let spool = lab.spool(2 * MIB + 100);
    for number in [1, 2] {
        spool.push(&lab.segment(number, 77, 0)).expect("room");
    }
    let said = error(spool.push(&lab.segment(3, 77, 0)));
    assert!(
        said.contains("is full: 2097152 bytes of the log wait") && said.contains("PostgreSQL keeps"),
        "{said}"
    );
    assert_eq!(
        spool.push(&lab.segment(1, 77, 0)).expect("it is there"),
        Pushed::WasThere,
        "also when it is full"
    );
    assert_eq!(spool.waiting_bytes().expect("a sum"), 2 * MIB);
    lab.ship(&spool);
    assert_eq!(spool.push(&lab.segment(3, 77, 0)).expect("room"), Pushed::Taken);
}

#[test]
fn what_is_no_segment_of_this_server_is_refused() {
    let lab = Lab::new();
    let spool = lab.spool(100 * MIB);
    spool.push(&lab.segment(1, 77, 0)).expect("the first one says of which server it is");
    let said = error(spool.push(&lab.segment(2, 78, 0)));
    assert!(said.contains("system identifier 78") && said.contains("the log of 77"), "{said}");
    let moved = lab.folder.path().join("000000010000000000000009");
    fs::copy(lab.segment(3, 77, 0), &moved).expect("a copy");
    assert!(error(spool.push(&moved)).contains("which its name doesn't"));
    let whole = fs::read(lab.segment(4, 77, 0)).expect("a segment");
    assert!(error(spool.push(&lab.file("000000010000000000000004", &whole[..5000]))).contains("5000 bytes"));
    assert!(error(spool.push(&lab.file("000000010000000000000004", &whole[..20]))).contains("shorter"));
    assert!(
        error(spool.push(&lab.file("000000010000000000000004", &[0; 8192]))).contains("doesn't begin as")
    );
    assert!(error(spool.push(&lab.file("notes.txt", b"x"))).contains("isn't the name"));
    assert!(error(spool.push(&lab.file("00000002.history", b"no history"))).contains("00000002.history"));
    assert!(spool.push(Path::new("/no/such/000000010000000000000005")).is_err());
    assert_eq!(paths(&spool), ["000000010000000000000001"], "nothing of it stays");
    assert_eq!(spool.waiting_bytes().expect("a sum"), MIB);
}

#[test]
fn all_kinds_of_files_are_taken_and_given_away_in_the_order_of_a_restore() {
    let lab = Lab::new();
    let spool = lab.spool(100 * MIB);
    let length = SegmentBytes::new(MIB).expect("a length");
    let second = |number| SegmentName::new(Timeline::new(2).expect("two"), SegmentNumber(number), length);
    spool.push(&lab.file(&second(4).to_string(), &example(second(4), 77, length))).expect("a segment");
    spool
        .push(&lab.file("00000002.history", b"1\t0/480000\tno recovery target specified\n"))
        .expect("a history");
    spool.push(&lab.segment(3, 77, 0)).expect("a segment");
    let partial = lab.folder.path().join("000000010000000000000004.partial");
    fs::copy(lab.segment(4, 77, 0), &partial).expect("a copy");
    assert_eq!(spool.push(&partial).expect("a begin"), Pushed::Taken);
    fs::copy(lab.segment(4, 77, 9), &partial).expect("a copy");
    assert_eq!(
        spool.push(&partial).expect("another begin"),
        Pushed::WasThere,
        "it must not block the archive"
    );
    spool
        .push(&lab.file("000000010000000000000003.00000028.backup", b"START WAL LOCATION: 0/300028"))
        .expect("a label");
    let names = |bytes_max| -> Vec<String> {
        let batch = spool.batch(bytes_max, true).expect("a batch");
        batch.files.iter().map(|file| file.name.to_string()).collect()
    };
    assert_eq!(
        names(u64::MAX),
        [
            "000000010000000000000003",
            "000000010000000000000004.partial",
            "000000010000000000000003.00000028.backup",
            "00000002.history",
            "000000020000000000000004"
        ]
    );
    assert_eq!(names(1), ["000000010000000000000003"], "at least one");
    assert_eq!(names(2 * MIB).len(), 2);
    lab.ship(&spool);
    assert!(spool.batch(u64::MAX, true).expect("none").is_empty());
    assert_eq!(spool.newest().expect("a ledger"), Some(WalName::Segment(second(4))));
}

#[test]
fn what_was_stored_before_a_crash_is_not_stored_again_and_what_differs_is_set_aside() {
    let lab = Lab::new();
    let spool = lab.spool(100 * MIB);
    for number in [1, 2, 3] {
        spool.push(&lab.segment(number, 77, 0)).expect("room");
    }
    // Stored, and not confirmed.
    let batch = spool.batch(2 * MIB, false).expect("a batch");
    let unconfirmed = batch.send(&FolderSink::new(lab.archive())).expect("an archive");
    drop(unconfirmed);
    let archive = FolderFiles::new(lab.archive());
    let stored = lab.archive().join("wal/00000001/000000010000000000000002");
    let mut bytes = fs::read(&stored).expect("a segment");
    bytes[6000] ^= 1;
    fs::write(&stored, bytes).expect("another segment");
    let compared = spool.batch(u64::MAX, false).expect("a batch").compare(&archive).expect("both");
    let names = |batch: &super::super::Batch| -> Vec<u64> {
        let length = SegmentBytes::new(MIB).expect("a length");
        let number = |name: WalName| match name {
            WalName::Segment(name) => name.number(length).expect("a number").0,
            other => panic!("{other}"),
        };
        batch.files.iter().map(|file| number(file.name)).collect()
    };
    assert_eq!(
        (names(&compared.new), names(&compared.same), names(&compared.other)),
        (vec![3], vec![1], vec![2])
    );
    spool.confirm(compared.same.as_shipped().expect("sums")).expect("a ledger");
    let place = spool.set_aside(compared.other.files[0].name).expect("a place");
    assert!(place.exists());
    assert_eq!(paths(&spool), ["000000010000000000000003"]);
    assert_eq!(spool.waiting_bytes().expect("a sum"), 2 * MIB, "it takes room until someone looks");
}

#[test]
fn a_push_that_was_killed_leaves_nothing_that_is_taken_for_a_segment() {
    let lab = Lab::new();
    let spool = lab.spool(2 * MIB);
    let half = lab.folder.path().join("spool/ready/000000010000000000000001.unfinished");
    fs::write(&half, [7; 1000]).expect("a file");
    assert_eq!(paths(&spool), [""; 0]);
    spool.push(&lab.segment(1, 77, 0)).expect("its place is taken");
    assert!(!half.exists());
    assert_eq!(paths(&spool), ["000000010000000000000001"]);
}
