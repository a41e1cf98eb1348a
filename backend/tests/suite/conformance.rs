//! What every backend promises, asked of each of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use keepfast_backend::{
    Backend, BackendError, BackendErrorKind, Created, LocalBackend, LocalStore, MemoryBackend, Operation,
    RunLink, S3Store, Store, Unusable,
};
use keepfast_testkit::servers::{Kind, Server};

use crate::s3;

/// A new store, and how many times a race is run in it.
struct Tested {
    store: Arc<dyn Backend>,
    rounds: usize,
}

impl std::ops::Deref for Tested {
    type Target = Arc<dyn Backend>;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

/// Makes a test of each promise for stores that cost nothing to make, and one test of all
/// promises for each server.
macro_rules! promises {
    ($($promise:ident),+ $(,)?) => {
        mod here {
            $(#[test]
            fn $promise() {
                super::in_memory_and_on_disk(super::$promise);
            })+
        }

        const PROMISES: &[(&str, fn(&Tested))] = &[$((stringify!($promise), $promise)),+];
    };
}

promises!(
    what_was_created_is_read_back_and_listed,
    an_object_of_many_parts_and_megabytes_comes_back_whole,
    parts_of_whole_pages_and_parts_of_odd_lengths_follow_one_another,
    a_create_never_overwrites,
    of_many_creates_of_one_name_at_once_exactly_one_wins,
    a_listing_has_what_begins_with_its_prefix_and_nothing_else,
    a_listing_of_many_objects_has_each_once,
    a_store_that_is_not_there_lists_as_empty,
    ranges_end_where_the_object_ends,
    an_object_over_the_limit_is_refused,
    what_is_not_there_is_told_as_not_found,
    removing_is_final_and_removing_nothing_is_fine,
);

fn in_memory_and_on_disk(promise: fn(&Tested)) {
    promise(&Tested { store: Arc::new(MemoryBackend::default()), rounds: 20 });
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    // The store's own directory is made with the first object.
    promise(&Tested { store: Arc::new(LocalBackend::new(folder.path().join("not/there/yet"))), rounds: 20 });
}

/// Tests every promise, in a bucket or below a prefix of its own: once with whole objects, once with
/// all but the smallest sent in parts.
fn on_server(kind: Kind, rounds: usize, rounds_in_parts: usize) {
    let server = Server::start(kind);
    for (number, (name, promise)) in PROMISES.iter().enumerate() {
        eprintln!("{name}");
        for (multipart_from_bytes, rounds) in [(u64::MAX, rounds), (9_000, rounds_in_parts)] {
            let mut options = s3::options(&server, if number % 2 == 0 { "" } else { "some/prefix" });
            options.multipart_from_bytes = multipart_from_bytes;
            options.uncontested_prefixes = vec![String::new()];
            options.part_bytes = 5 << 20;
            options.page_objects = 7;
            let store = S3Store::connect(options).expect("the options are sound");
            promise(&Tested { store: Arc::new(store.for_run(RunLink::default())), rounds });
        }
    }
}

// Both servers check whether there is an object before they complete an upload in parts, and not
// in the same step: of many uploads at the same time several win. So only uncontested objects are
// sent in parts, and no races are run with them.
#[test]
fn s3_on_seaweedfs() {
    on_server(Kind::SeaweedFs, 1, 0);
}

#[test]
fn s3_on_moto() {
    on_server(Kind::Moto, 5, 0);
}

fn listed(store: &dyn Backend, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    store.list(prefix, &mut |object| found.push((object.name, object.bytes))).expect("it lists");
    found.sort_unstable();
    found
}

fn kind<T>(result: Result<T, BackendError>) -> BackendErrorKind {
    match result {
        Ok(_) => panic!("it works"),
        Err(error) => error.kind,
    }
}

fn what_was_created_is_read_back_and_listed(store: &Tested) {
    assert_eq!(store.create("packs/ab/one", &[b"first ", b"", b"second"]).expect("it is made"), Created::New);
    assert_eq!(store.create("packs/empty", &[]).expect("it is made"), Created::New);
    store.sync().expect("it can be made durable");
    assert_eq!(store.read("packs/ab/one", 12).expect("it is there"), b"first second");
    assert_eq!(store.read("packs/empty", 0).expect("it is there"), b"");
    let expected = [("packs/ab/one".to_owned(), 12), ("packs/empty".to_owned(), 0)];
    assert_eq!(listed(&*store.store, "packs/"), expected);
}

fn an_object_of_many_parts_and_megabytes_comes_back_whole(store: &Tested) {
    let parts: Vec<Vec<u8>> = (0..3000_usize).map(|n| vec![n.to_le_bytes()[0]; n % 5000]).collect();
    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    store.create("packs/big", &slices).expect("it is made");
    assert!(store.read("packs/big", 1 << 30).expect("it is there") == parts.concat());
}

fn parts_of_whole_pages_and_parts_of_odd_lengths_follow_one_another(store: &Tested) {
    let memory: Vec<u8> = (0..251).cycle().take(12_000_000).collect();
    let page = memory.as_ptr().align_offset(4096);
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
}

fn a_create_never_overwrites(store: &Tested) {
    store.create("config/0", &[b"first"]).expect("it is made");
    assert_eq!(store.create("config/0", &[b"second"]).expect("it answers"), Created::AlreadyThere);
    assert_eq!(store.read("config/0", 100).expect("it is there"), b"first");
}

fn of_many_creates_of_one_name_at_once_exactly_one_wins(store: &Tested) {
    const THREADS: u8 = 20;
    for round in 0..store.rounds {
        let name = format!("snapshots/{round}");
        let start = Barrier::new(THREADS.into());
        let winners: Vec<Vec<u8>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (start, name) = (&start, &name);
                    scope.spawn(move || {
                        let body = vec![thread; 10_000 + usize::from(thread)];
                        start.wait();
                        let created = store.create(name, &[&body]).expect("it answers");
                        // Whichever create won: from now on every reader sees the whole object.
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
    assert_eq!(listed(&*store.store, "snapshots/").len(), store.rounds);
}

fn a_listing_has_what_begins_with_its_prefix_and_nothing_else(store: &Tested) {
    for name in ["a/1", "a/2/3", "ab/1", "b/1"] {
        store.create(name, &[name.as_bytes()]).expect("it is made");
    }
    assert_eq!(listed(&*store.store, "a/"), [("a/1".to_owned(), 3), ("a/2/3".to_owned(), 5)]);
    assert_eq!(listed(&*store.store, "a/2/"), [("a/2/3".to_owned(), 5)]);
    assert_eq!(listed(&*store.store, "nothing/"), []);
}

fn a_listing_of_many_objects_has_each_once(store: &Tested) {
    // Their order isn't the order of their bytes in stores where a slash sorts before everything else.
    let mut names: Vec<String> = (0..20).map(|n| format!("packs/{:02x}/{n}", n % 5)).collect();
    names.extend((0..5).map(|n| format!("packs/{n:02x}-{n}")));
    for name in &names {
        store.create(name, &[b"x"]).expect("it is made");
    }
    let mut expected: Vec<(String, u64)> = names.into_iter().map(|name| (name, 1)).collect();
    expected.sort_unstable();
    assert_eq!(listed(&*store.store, "packs/"), expected);
}

fn a_store_that_is_not_there_lists_as_empty(store: &Tested) {
    assert_eq!(listed(&*store.store, "config/"), []);
}

fn ranges_end_where_the_object_ends(store: &Tested) {
    store.create("packs/x", &[b"0123456789"]).expect("it is made");
    let range = |offset, length| store.read_range("packs/x", offset, length).expect("it is there");
    assert_eq!(range(0, 10), b"0123456789");
    assert_eq!(range(3, 4), b"3456");
    assert_eq!(range(8, 100), b"89");
    assert_eq!(range(10, 1), b"");
    assert_eq!(range(u64::from(u32::MAX) * 4, 1), b"");
    assert_eq!(range(5, 0), b"");
}

fn an_object_over_the_limit_is_refused(store: &Tested) {
    store.create("packs/x", &[b"0123456789"]).expect("it is made");
    assert_eq!(store.read("packs/x", 10).expect("it is there").len(), 10);
    assert_eq!(kind(store.read("packs/x", 9)), BackendErrorKind::Unusable(Unusable::TooLarge));
}

fn what_is_not_there_is_told_as_not_found(store: &Tested) {
    let error = store.read("packs/none", 1).expect_err("it isn't there");
    assert!(error.is_not_found() && error.operation == Operation::Read);
    assert!(error.to_string().contains("packs/none"), "{error}");
    assert!(store.read_range("packs/none", 0, 1).expect_err("it isn't there").is_not_found());
}

fn removing_is_final_and_removing_nothing_is_fine(store: &Tested) {
    store.create("packs/x", &[b"x"]).expect("it is made");
    store.remove("packs/x").expect("it is removed");
    store.remove("packs/x").expect("it is gone already");
    store.remove("nothing/at/all").expect("it never was");
    assert!(store.read("packs/x", 1).expect_err("it is gone").is_not_found());
    assert_eq!(listed(&*store.store, "packs/"), []);
    assert_eq!(store.create("packs/x", &[b"y"]).expect("it is made again"), Created::New);
}

/// All files but the reserve for a full disk.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("it can be listed").flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()))
        } else if entry.file_name() != ".writing-reserve" {
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
    let Some(_mount) = Mounted::on(folder.path(), "size=1m") else { return };
    let store = LocalBackend::new(folder.path());
    store.create("packs/fits", &[&[1; 100_000]]).expect("there is room");
    let error = store.create("packs/too big", &[&[2; 3_000_000]]).expect_err("there is no room");
    assert_eq!(error.kind, BackendErrorKind::Full);
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(files_below(folder.path()), [folder.path().join("packs/fits")]);
    store.create("packs/fits too", &[&[3; 500_000]]).expect("what failed takes no room");
}

#[test]
fn on_a_full_disk_there_is_room_for_small_objects() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let Some(_mount) = Mounted::on(folder.path(), "size=3m") else { return };
    let shared = LocalStore::new(folder.path(), Instant::now);
    shared.for_run(RunLink::default()).create("packs/fits", &[&[1; 100_000]]).expect("there is room");
    // Another program takes all the rest.
    let rest = vec![2; 3 << 20];
    std::fs::write(folder.path().join("rest"), &rest).expect_err("it is more than there is");
    let store = shared.for_run(RunLink::default());
    store.create("packs/large", &[&[3; 1_000_000]]).expect_err("there is no room for packs");
    for number in 0..4 {
        store
            .create(&format!("snapshots/{number}"), &[&[4; 100_000]])
            .expect("there is room for small objects");
    }
    // As soon as there is room again, the next run keeps it for the next time, even in the same process. The run
    // that had to use the reserve doesn't take the room again.
    std::fs::remove_file(folder.path().join("rest")).expect("it can be removed");
    let kept = folder.path().join(".writing-reserve");
    store.create("packs/still the same run", &[b"x"]).expect("there is room");
    assert!(!kept.exists());
    shared.for_run(RunLink::default()).create("packs/again", &[b"x"]).expect("there is room");
    assert_eq!(kept.metadata().expect("it is kept").len(), 1 << 20);
    let mut listed = Vec::new();
    store.list("", &mut |object| listed.push(object.name)).expect("it can be listed");
    assert_eq!(listed.len(), 7, "{listed:?}");
}

/// A small file system, for as long as the value lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn on(folder: &'a Path, options: &str) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: this user can't mount a small file system");
        None
    }
}

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
