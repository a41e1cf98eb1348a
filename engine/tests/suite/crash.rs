//! Backups that die. Whatever they leave, the next one works, and all that is committed is
//! whole (I1, I2, I3, I4).

use std::sync::Arc;

use keepfast_backend::{Backend, LocalBackend, MemoryBackend, Operation};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{Repository, Snapshots};
use keepfast_testkit::lab::{PASSWORD, init_options};
use keepfast_testkit::recording::bytes_created;
use keepfast_testkit::{Ear, Fault, FaultyBackend, Lab, RecordingBackend, assert_same, quiet, store, tree};

/// More calls than any backup here makes.
const CALLS_MAX: u64 = 200;

/// Stops a second backup at every one of its calls, each time in a copy of the repository.
fn stop_everywhere(fresh: impl Fn(&Lab) -> Arc<dyn Backend>, fault: impl Fn(u64) -> Fault) {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let first = lab.restore("latest");
    tree::write(lab.source().join("new.bin"), tree::noise(50, 300_000));
    tree::write(lab.source().join("a.txt"), "changed\n");
    let (original, cache) = (Arc::clone(&lab.backend), lab.cache.clone());
    for call in 1..CALLS_MAX {
        let copy = fresh(&lab);
        store::copy(&*original, &*copy);
        let faulty = FaultyBackend::new(Arc::clone(&copy), fault(call));
        lab.backend = faulty.clone();
        lab.cache = lab.path(&format!("cache of {call}"));
        let failed = lab.try_backup(&Ear::default()).is_err();
        if !faulty.has_failed() {
            assert!(!failed && call > 5, "the backup ended after {call} calls without being stopped");
            return;
        }
        lab.backend = copy;
        let committed = lab.open().snapshots.all.len();
        assert!((1..=2).contains(&committed), "after call {call} there are {committed} snapshots");
        lab.assert_sound();
        if committed == 2 {
            // The commit's answer was lost, but the snapshot wasn't.
            assert_same(&lab.source(), &lab.restore("latest"));
        }
        assert_same(&first, &lab.restore(&format!("latest~{}", committed - 1)));
        lab.backup();
        assert_same(&lab.source(), &lab.restore("latest"));
        lab.assert_sound();
        // And for a machine that has seen nothing of all this.
        lab.cache = lab.path(&format!("other cache of {call}"));
        assert_same(&lab.source(), &lab.restore("latest"));
        std::fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
    }
    lab.cache = cache;
    panic!("the backup still makes calls after {CALLS_MAX}");
}

fn in_memory(_: &Lab) -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::default())
}

#[test]
fn i4_a_backup_that_dies_before_any_call_leaves_a_sound_repository() {
    stop_everywhere(in_memory, |call| Fault::From { call });
}

#[test]
fn i4_a_backup_that_dies_after_any_call_leaves_a_sound_repository() {
    stop_everywhere(in_memory, |call| Fault::DoneThenFrom { call });
}

#[test]
fn i4_a_backup_into_a_directory_that_dies_at_any_call_leaves_a_sound_repository() {
    let number = std::sync::atomic::AtomicU64::new(0);
    let in_directory = |lab: &Lab| -> Arc<dyn Backend> {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(LocalBackend::new(lab.path(&format!("copy {number}"))))
    };
    stop_everywhere(in_directory, |call| Fault::From { call });
}

#[test]
fn an_init_that_dies_at_any_call_is_told_from_a_repository() {
    for call in 1..CALLS_MAX {
        let store: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
        let faulty = FaultyBackend::new(Arc::clone(&store), Fault::DoneThenFrom { call });
        let made = Repository::init(faulty.clone(), PASSWORD, &init_options());
        if !faulty.has_failed() {
            assert!(made.is_ok() && call > 3);
            return;
        }
        assert!(made.is_err(), "init says that it worked though call {call} failed");
        match Repository::init(Arc::clone(&store), PASSWORD, &init_options()) {
            Ok(_) | Err(EngineError::HalfMadeRepository { .. }) => {}
            Err(EngineError::RepositoryExists { .. }) => {
                drop(Repository::open(store, PASSWORD).expect("what is called a repository opens"));
            }
            Err(error) => panic!("after call {call} init says: {error}"),
        }
    }
}

#[test]
fn i2_nothing_is_committed_before_all_that_it_refers_to() {
    let mut lab = Lab::with(tree::small);
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    lab.backup();
    let order: Vec<String> = recording
        .take()
        .into_iter()
        .filter_map(|call| match call.operation {
            Operation::Sync => Some("sync".to_owned()),
            Operation::Create => Some(call.name.split('/').next().unwrap_or_default().to_owned()),
            _ => None,
        })
        .collect();
    let steps: Vec<&str> = order.iter().map(String::as_str).collect();
    assert_eq!(steps.first(), Some(&"sessions"), "a run announces itself before anything else: {steps:?}");
    assert_eq!(steps[steps.len() - 3..], ["sync", "snapshots", "sync"], "the commit is last: {steps:?}");
    let last_pack = steps.iter().rposition(|step| *step == "packs");
    let last_segment = steps.iter().rposition(|step| *step == "index");
    assert!(last_pack.is_some() && last_pack < last_segment, "every pack is listed: {steps:?}");
    for (at, _) in steps.iter().enumerate().filter(|(_, step)| **step == "index") {
        assert_eq!(steps[at - 1], "sync", "packs are durable before a segment lists them: {steps:?}");
    }
}

/// What an interrupted first backup has stored is not stored again.
fn assert_resumes(lab: &mut Lab, all_bytes: u64) {
    let before = store::stored_bytes(&*lab.backend, "packs/");
    assert!(before > 0, "the run was stopped before it had stored anything");
    assert!(before < all_bytes, "the run was stopped after it had stored everything");
    assert!(lab.open().snapshots.all.is_empty(), "there is a snapshot of a run that was stopped");
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    lab.backup();
    let again = bytes_created(&recording.take(), "packs/");
    assert!(
        before + again < all_bytes + all_bytes / 10,
        "{before} bytes were there, {again} came, and the whole is {all_bytes}"
    );
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
}

/// A tree of 24 MiB, and how many bytes of packs it takes.
fn big_tree() -> (Lab, u64) {
    let build = |root: &std::path::Path| {
        for number in 0..12 {
            tree::write(root.join(format!("{number}.bin")), tree::noise(number, 2 << 20));
        }
    };
    let whole = Lab::with(build);
    whole.backup();
    (Lab::with(build), store::stored_bytes(&*whole.backend, "packs/"))
}

#[test]
fn a_backup_that_is_told_to_stop_is_taken_up_by_the_next_one() {
    let (mut lab, all_bytes) = big_tree();
    let stopped = lab.try_backup(&Ear::stopping_after(12 << 20));
    assert!(matches!(stopped, Err(EngineError::Interrupted)), "{stopped:?}");
    assert_resumes(&mut lab, all_bytes);
}

#[test]
fn a_backup_whose_uploads_fail_midway_is_taken_up_by_the_next_one() {
    let (mut lab, all_bytes) = big_tree();
    let store = Arc::clone(&lab.backend);
    // The session, some packs and what lists them, and then one that fails.
    lab.backend =
        FaultyBackend::new(Arc::clone(&store), Fault::Once { operation: Operation::Create, call: 5 });
    let failed = lab.try_backup(&Ear::default());
    assert!(matches!(failed, Err(EngineError::Backend(_))), "{failed:?}");
    lab.backend = store;
    assert_resumes(&mut lab, all_bytes);
}

#[test]
fn a_store_that_is_full_or_read_only_says_so_and_stays_sound() {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let mut lab = Lab::with(tree::small);
    lab.backup();
    tree::write(lab.source().join("new"), tree::noise(8, 100_000));
    let store = Arc::clone(&lab.backend);
    for (kind, advice) in [
        (StorageFull, "free some space"),
        (ReadOnlyFilesystem, "mount it"),
        (PermissionDenied, "a user who may"),
    ] {
        for good in 0..5 {
            lab.backend = FaultyBackend::new(
                Arc::clone(&store),
                Fault::Only { operation: Operation::Create, good, kind },
            );
            if let Err(error) = lab.try_backup(&Ear::default()) {
                assert!(error.to_string().contains(advice), "{error}");
            }
            lab.backend = Arc::clone(&store);
            lab.assert_sound();
        }
    }
    // Reading still works where writing doesn't.
    lab.backend = FaultyBackend::new(
        store,
        Fault::Only { operation: Operation::Create, good: 0, kind: ReadOnlyFilesystem },
    );
    lab.assert_sound();
    drop(lab.restore("latest"));
}

#[test]
fn a_store_that_cannot_be_made_durable_commits_nothing() {
    let mut lab = Lab::with(tree::small);
    let store = Arc::clone(&lab.backend);
    let kind = std::io::ErrorKind::Other;
    lab.backend =
        FaultyBackend::new(Arc::clone(&store), Fault::Only { operation: Operation::Sync, good: 0, kind });
    let failed = lab.try_backup(&Ear::default());
    assert!(failed.is_err());
    lab.backend = store;
    assert!(lab.open().snapshots.all.is_empty());
    lab.assert_round_trip();
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_by_the_next_listing() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let store = Arc::clone(&lab.backend);
    tree::write(lab.source().join("new"), "new");
    let recording = RecordingBackend::new(Arc::clone(&store));
    lab.backend = recording.clone();
    lab.backup();
    let creates = recording.take_created_folders();
    assert_eq!(creates.last().map(String::as_str), Some("snapshots"));
    let repository = Repository::open(store, PASSWORD).expect("it opens");
    assert_eq!(Snapshots::load(&repository, quiet()).expect("they load").all.len(), 2);
}
