//! Directories on file systems that lack most features of Linux's own (sshfs, exfat-fuse).

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use keepfast_backend::{
    Backend, BackendErrorKind, Created, Flaw, LocalBackend, LocalStore, RateLimits, RunLink, Store,
};
use keepfast_testkit::servers::{Links, PlainDisk};
use std::time::Instant;
use tempfile::TempDir;

use crate::probe::probed;

/// A file system with this kind of links, and the folder that it is in.
fn disk(links: Links) -> (TempDir, PlainDisk) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let disk = PlainDisk::mount(folder.path().join("disk"), links);
    (folder, disk)
}

/// The files in a folder and below it, without directories.
fn files_below(folder: PathBuf) -> Vec<String> {
    let mut folders = vec![folder];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be listed") {
            let entry = entry.expect("it can be listed");
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.file_name().into_string().expect("names are text"));
            }
        }
    }
    files.sort_unstable();
    files
}

#[test]
fn a_store_that_cant_name_files_exclusively_says_so_and_keeps_nothing() {
    let (_folder, disk) = disk(Links::Refused);
    let store = LocalBackend::new(disk.path());
    let error = store.create("packs/x", &[b"bytes"]).expect_err("it can't be made safely");
    assert!(error.no_exclusive_names().is_some());
    let said = error.to_string();
    assert!(
        said.contains("packs/x") && said.contains("neither link files nor rename them without"),
        "{said}"
    );
    assert!(said.contains("two writers") && said.contains("Operation not permitted"), "{said}");
    assert_eq!(files_below(disk.behind().to_owned()), Vec::<String>::new());
}

#[test]
fn what_is_there_can_be_read_listed_and_removed_and_stays_as_it_is() {
    let (_folder, disk) = disk(Links::Refused);
    LocalBackend::new(disk.behind()).create("packs/x", &[b"first"]).expect("it lacks nothing");
    let store = LocalBackend::new(disk.path());
    assert_eq!(store.create("packs/x", &[b"second"]).expect("it is there"), Created::AlreadyThere);
    assert_eq!(store.read("packs/x", 100).expect("it can be read"), b"first");
    let mut listed = Vec::new();
    store.list("packs/", &mut |object| listed.push(object.name)).expect("it can be listed");
    assert_eq!(listed, ["packs/x"]);
    store.sync().expect("all names can be flushed, if not those of a directory");
    store.remove("packs/x").expect("it can be removed");
    assert!(store.read("packs/x", 100).expect_err("it is gone").is_not_found());
}

/// The declaration passes through a limit, and holds for later runs too.
#[test]
fn a_single_writer_creates_and_never_overwrites() {
    let (_folder, disk) = disk(Links::Refused);
    let shared = LocalStore::new(disk.path(), Instant::now);
    let limits = RateLimits { upload_bytes_per_s: Some(1 << 30), download_bytes_per_s: None };
    let store = shared.for_run(RunLink { limits: limits.into(), ..RunLink::default() });
    store.expect_one_writer();
    let large = vec![7; 3 << 20];
    assert_eq!(store.create("packs/large", &[&large, b"end"]).expect("it is made"), Created::New);
    assert_eq!(store.create("packs/large", &[b"other"]).expect("it is there"), Created::AlreadyThere);
    store.sync().expect("it is durable");
    let expected = [&large[..], b"end"].concat();
    assert!(store.read("packs/large", 1 << 30).expect("it can be read") == expected);

    // Threads of several runs of the one writer meet.
    let start = Barrier::new(8);
    let (shared, start) = (&shared, &start);
    let winners: Vec<u8> = thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|racer| {
                scope.spawn(move || {
                    let run = shared.for_run(RunLink::default());
                    start.wait();
                    let created = run.create("packs/race", &[&[racer]]).expect("it works");
                    (created == Created::New).then_some(racer)
                })
            })
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().expect("no thread panics")).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(store.read("packs/race", 1).expect("it can be read"), winners);
    assert_eq!(files_below(disk.behind().to_owned()), ["large", "race"]);
}

/// A directory or another file would also be in the way of a link.
#[test]
fn what_stands_at_a_name_isnt_replaced_whatever_it_is() {
    let (_folder, disk) = disk(Links::Refused);
    fs::create_dir_all(disk.path().join("packs/folder")).expect("it can be made");
    std::os::unix::fs::symlink("nowhere", disk.behind().join("packs/link")).expect("it can be made");
    let store = LocalBackend::new(disk.path());
    store.expect_one_writer();
    for name in ["packs/folder", "packs/link"] {
        assert_eq!(store.create(name, &[b"x"]).expect("its name is taken"), Created::AlreadyThere);
    }
}

#[test]
fn a_link_whose_answer_was_lost_is_made() {
    let (_folder, disk) = disk(Links::AnswerLost);
    let store = LocalBackend::new(disk.path());
    assert_eq!(store.create("packs/x", &[b"bytes"]).expect("it is made"), Created::New);
    assert_eq!(store.create("packs/x", &[b"other"]).expect("it is there"), Created::AlreadyThere);
    assert_eq!(store.read("packs/x", 100).expect("it can be read"), b"bytes");
    assert_eq!(files_below(disk.behind().to_owned()), ["x"]);
}

#[test]
fn a_link_that_is_refused_because_its_name_was_just_taken_has_lost() {
    for declared in [false, true] {
        let (_folder, disk) = disk(Links::OthersAreFaster);
        let store = LocalBackend::new(disk.path());
        if declared {
            store.expect_one_writer();
        }
        assert_eq!(store.create("packs/x", &[b"bytes"]).expect("it is there"), Created::AlreadyThere);
        assert_eq!(store.read("packs/x", 100).expect("it can be read"), b"another's");
        assert_eq!(files_below(disk.behind().to_owned()), ["x"]);
    }
}

/// If an object can't be named for another reason, the file system isn't to blame.
#[test]
fn what_goes_wrong_otherwise_is_told_as_it_is() {
    let (_folder, disk) = disk(Links::Refused);
    fs::write(disk.path().join("packs"), "in the way").expect("it can be written");
    let error = LocalBackend::new(disk.path()).create("packs/x", &[b"x"]).expect_err("it can't be made");
    assert!(error.no_exclusive_names().is_none());
    assert_eq!(error.kind, BackendErrorKind::Other);
}

#[test]
fn a_probe_finds_what_is_missing_and_nothing_else_and_leaves_nothing() {
    let (_folder, disk) = disk(Links::Refused);
    let report = probed(&LocalBackend::new(disk.path()));
    let flaws: Vec<Flaw> = report.flaws.iter().map(|(flaw, _)| *flaw).collect();
    assert_eq!(flaws, [Flaw::NoExclusiveNames]);
    assert!(report.is_safe_for_one_writer() && !report.is_sound());
    assert_eq!(files_below(disk.behind().to_owned()), Vec::<String>::new());
}
