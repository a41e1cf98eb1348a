//! What every backend promises, asked of each of them.

#![allow(clippy::print_stderr, reason = "tests say what they can't test here")]

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;

use keepfast_backend::{Backend, BackendError, Created, LocalBackend, MemoryBackend, Operation};

/// A fresh store, and the folder that keeps it, if one does.
fn stores() -> Vec<(Arc<dyn Backend>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // The store's own directory comes into being with the first object.
    let local = LocalBackend::new(folder.path().join("not/there/yet"));
    vec![(Arc::new(MemoryBackend::default()), None), (Arc::new(local), Some(folder))]
}

fn for_each_store(judge: impl Fn(&Arc<dyn Backend>)) {
    for (store, _folder) in stores() {
        judge(&store);
    }
}

fn listed(store: &dyn Backend, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    store.list(prefix, &mut |object| found.push((object.name, object.bytes))).expect("it lists");
    found.sort_unstable();
    found
}

fn kind<T>(result: Result<T, BackendError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it works"),
        Err(error) => error.source.kind(),
    }
}

#[test]
fn what_was_created_is_read_back_and_listed() {
    for_each_store(|store| {
        assert_eq!(
            store.create("packs/ab/one", &[b"first ", b"", b"second"]).expect("it is made"),
            Created::New
        );
        assert_eq!(store.create("packs/empty", &[]).expect("it is made"), Created::New);
        store.sync().expect("it can be made durable");
        assert_eq!(store.read("packs/ab/one", 12).expect("it is there"), b"first second");
        assert_eq!(store.read("packs/empty", 0).expect("it is there"), b"");
        let expected = [("packs/ab/one".to_owned(), 12), ("packs/empty".to_owned(), 0)];
        assert_eq!(listed(&**store, "packs/"), expected);
    });
}

#[test]
fn an_object_of_many_parts_and_megabytes_comes_back_whole() {
    for_each_store(|store| {
        let parts: Vec<Vec<u8>> = (0..3000_usize).map(|n| vec![n as u8; n % 5000]).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        store.create("packs/big", &slices).expect("it is made");
        assert!(store.read("packs/big", 1 << 30).expect("it is there") == parts.concat());
    });
}

#[test]
fn parts_of_whole_pages_and_parts_of_odd_lengths_follow_one_another() {
    let memory: Vec<u8> = (0..12_000_000_u32).map(|n| (n % 251) as u8).collect();
    let page = memory.as_ptr().align_offset(4096);
    for_each_store(|store| {
        for (number, cuts) in
            [vec![5 << 20], vec![(5 << 20) + 123, 1 << 20], vec![1, 9_000_001]].iter().enumerate()
        {
            let mut rest = &memory[page..];
            let mut parts = Vec::new();
            for cut in cuts {
                let (part, after) = rest.split_at(*cut);
                parts.push(part);
                rest = after;
            }
            parts.extend([&memory[page..page + 10_000], &memory[page..page + 3]]);
            let name = format!("packs/{number}");
            store.create(&name, &parts).expect("it is made");
            assert!(store.read(&name, 1 << 30).expect("it is there") == parts.concat(), "{name}");
        }
    });
}

#[test]
fn a_create_never_overwrites() {
    for_each_store(|store| {
        store.create("config/0", &[b"first"]).expect("it is made");
        assert_eq!(store.create("config/0", &[b"second"]).expect("it answers"), Created::AlreadyThere);
        assert_eq!(store.read("config/0", 100).expect("it is there"), b"first");
    });
}

#[test]
fn of_many_creates_of_one_name_at_once_exactly_one_wins() {
    const THREADS: usize = 20;
    for_each_store(|store| {
        for round in 0..20 {
            let name = format!("snapshots/{round}");
            let start = Barrier::new(THREADS);
            let winners: Vec<Vec<u8>> = thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS)
                    .map(|thread| {
                        let (start, name) = (&start, &name);
                        scope.spawn(move || {
                            let body = vec![thread as u8; 10_000 + thread];
                            start.wait();
                            let created = store.create(name, &[&body]).expect("it answers");
                            // Whoever won: from now on everybody sees it, whole.
                            let seen = store.read(name, 1 << 20).expect("it is there");
                            assert_eq!(seen.len(), 10_000 + usize::from(seen[0]));
                            (created == Created::New).then_some(body)
                        })
                    })
                    .collect();
                threads.into_iter().filter_map(|thread| thread.join().expect("it doesn't panic")).collect()
            });
            assert_eq!(winners.len(), 1, "{} creates won", winners.len());
            assert_eq!(store.read(&name, 1 << 20).expect("it is there"), winners[0]);
        }
        assert_eq!(listed(&**store, "snapshots/").len(), 20);
    });
}

#[test]
fn a_listing_has_what_begins_with_its_prefix_and_nothing_else() {
    for_each_store(|store| {
        for name in ["a/1", "a/2/3", "ab/1", "b/1"] {
            store.create(name, &[name.as_bytes()]).expect("it is made");
        }
        assert_eq!(listed(&**store, "a/"), [("a/1".to_owned(), 3), ("a/2/3".to_owned(), 5)]);
        assert_eq!(listed(&**store, "a/2/"), [("a/2/3".to_owned(), 5)]);
        assert_eq!(listed(&**store, "nothing/"), []);
    });
}

#[test]
fn a_store_that_is_not_there_lists_as_empty() {
    for_each_store(|store| assert_eq!(listed(&**store, "config/"), []));
}

#[test]
fn ranges_end_where_the_object_ends() {
    for_each_store(|store| {
        store.create("packs/x", &[b"0123456789"]).expect("it is made");
        let range = |offset, length| store.read_range("packs/x", offset, length).expect("it is there");
        assert_eq!(range(0, 10), b"0123456789");
        assert_eq!(range(3, 4), b"3456");
        assert_eq!(range(8, 100), b"89");
        assert_eq!(range(10, 1), b"");
        assert_eq!(range(u64::from(u32::MAX) * 4, 1), b"");
        assert_eq!(range(5, 0), b"");
    });
}

#[test]
fn an_object_over_the_limit_is_refused() {
    for_each_store(|store| {
        store.create("packs/x", &[b"0123456789"]).expect("it is made");
        assert_eq!(store.read("packs/x", 10).expect("it is there").len(), 10);
        assert_eq!(kind(store.read("packs/x", 9)), ErrorKind::FileTooLarge);
    });
}

#[test]
fn what_is_not_there_is_told_as_not_found() {
    for_each_store(|store| {
        let error = store.read("packs/none", 1).expect_err("it isn't there");
        assert!(error.is_not_found() && error.operation == Operation::Read);
        assert!(error.to_string().contains("packs/none"), "{error}");
        assert!(store.read_range("packs/none", 0, 1).expect_err("it isn't there").is_not_found());
    });
}

#[test]
fn removing_is_final_and_removing_nothing_is_fine() {
    for_each_store(|store| {
        store.create("packs/x", &[b"x"]).expect("it is made");
        store.remove("packs/x").expect("it is removed");
        store.remove("packs/x").expect("it is gone already");
        store.remove("nothing/at/all").expect("it never was");
        assert!(store.read("packs/x", 1).expect_err("it is gone").is_not_found());
        assert_eq!(listed(&**store, "packs/"), []);
        assert_eq!(store.create("packs/x", &[b"y"]).expect("it is made again"), Created::New);
    });
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it can be listed").flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()))
        } else {
            found.push(entry.path())
        }
    }
    found
}

#[test]
fn a_directory_holds_nothing_but_the_objects() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = LocalBackend::new(folder.path());
    store.create("packs/ab/x", &[b"x"]).expect("it is made");
    store.create("packs/ab/x", &[b"again"]).expect("it answers");
    store.sync().expect("it can be made durable");
    assert_eq!(files_below(folder.path()), [folder.path().join("packs/ab/x")]);
}

#[test]
fn a_create_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = LocalBackend::new(folder.path());
    store.create("packs/x", &[b"x"]).expect("it is made");
    // A file in the place of a folder, and a name that no file system takes.
    let long = format!("packs/{}", "n".repeat(300));
    for name in ["packs/x/below", long.as_str()] {
        let error = store.create(name, &[b"body"]).expect_err("it can't be made");
        assert_eq!(error.operation, Operation::Create);
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(files_below(folder.path()), [folder.path().join("packs/x")]);
}

#[test]
fn a_full_disk_is_told_as_such_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user can't mount a small file system");
        return;
    }
    let _mount = Mounted(folder.path());
    let store = LocalBackend::new(folder.path());
    store.create("packs/fits", &[&[1; 100_000]]).expect("there is room");
    let error = store.create("packs/too big", &[&[2; 3_000_000]]).expect_err("there is no room");
    assert_eq!(error.source.kind(), ErrorKind::StorageFull);
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(files_below(folder.path()), [folder.path().join("packs/fits")]);
    store.create("packs/fits too", &[&[3; 500_000]]).expect("what failed takes no room");
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn what_another_process_is_writing_is_not_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = LocalBackend::new(folder.path());
    store.create("packs/x", &[b"x"]).expect("it is made");
    std::fs::write(folder.path().join("packs/.writing-1-0"), "half").expect("it can be written");
    assert_eq!(listed(&store, "packs/"), [("packs/x".to_owned(), 1)]);
}
