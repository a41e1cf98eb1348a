//! Forgetting and pruning, while everything else goes on in the repository.

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keepfast_backend::{Backend, MemoryBackend, Operation};
use keepfast_engine::archive::{Source, Stream};
use keepfast_engine::dump::dump;
use keepfast_engine::forget::{UndeleteOptions, forget, freed_by, protect, undelete};
use keepfast_engine::prune::UnusedLimit;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_engine::{EngineError, error};
use keepfast_testkit::{Ear, Fault, FaultyBackend, Lab, TestHost, assert_same, store, tree};

/// Objects below a prefix.
fn count(lab: &Lab, prefix: &str) -> usize {
    let mut count = 0;
    lab.backend.list(prefix, &mut |_| count += 1).expect("a listing");
    count
}

fn stored_bytes(lab: &Lab) -> u64 {
    let mut bytes = 0;
    lab.backend.list("packs/", &mut |listed| bytes += listed.bytes).expect("a listing");
    bytes
}

/// A source that changes: a file that stays, one that is replaced, and some that share content.
fn write_version(lab: &Lab, version: u64) {
    tree::write(lab.source().join("stays.bin"), tree::noise(1, 300_000));
    tree::write(lab.source().join("changes.bin"), tree::noise(100 + version, 400_000));
    // Half of it is new in each version, so that packs end up needed in part.
    let mut half = tree::noise(200 + version / 2, 150_000);
    half.extend(tree::noise(300 + version, 150_000));
    tree::write(lab.source().join("half.bin"), half);
    tree::write(lab.source().join(format!("small {version}.txt")), format!("version {version}").into_bytes());
}

/// A repository with four versions, the first two of which are forgotten.
fn half_forgotten(lab: &Lab) {
    for version in 0..4 {
        write_version(lab, version);
        lab.backup();
    }
    lab.forget(&["latest~2", "latest~3"]);
}

#[test]
fn what_only_forgotten_snapshots_need_goes_and_the_rest_restores() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    let before = stored_bytes(&lab);
    let report = lab.prune();
    let after = stored_bytes(&lab);
    assert!(after < before, "{before} bytes before, {after} after: {report:?}");
    assert!(report.packs_rewritten > 0 && report.plan.waste_bytes == 0, "{report:?}");
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
    assert_eq!(lab.open().snapshots.all.len(), 2);
    // There is nothing left to do.
    let again = lab.prune();
    assert_eq!((again.packs_removed, again.packs_rewritten, again.objects_removed), (0, 0, 0), "{again:?}");
}

#[test]
fn a_limit_of_waste_keeps_packs_from_being_rewritten() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    let unlimited = lab
        .prune_with_cache(&lab.cache, &Ear::default(), |options| options.max_unused = UnusedLimit::Unlimited);
    let unlimited = unlimited.expect("the prune works");
    assert_eq!((unlimited.packs_rewritten, unlimited.bytes_written), (0, 0), "{unlimited:?}");
    assert!(unlimited.plan.waste_bytes > 0, "{unlimited:?}");
    let none = lab.prune_with_cache(&lab.cache, &Ear::default(), |options| options.max_rewrite_bytes = 0);
    assert_eq!(none.expect("the prune works").packs_rewritten, 0);
    lab.assert_sound();
    assert!(lab.prune().packs_rewritten > 0, "without limits there is something to rewrite");
    lab.assert_sound();
}

#[test]
fn caches_of_before_the_prune_are_as_good_as_new_ones() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    let (old, fresh) = (lab.cache.clone(), lab.path("the pruner's cache"));
    half_forgotten(&lab);
    lab.cache = fresh;
    lab.prune();
    lab.cache = old;
    // Contents of forgotten snapshots come back: the cache knows them in packs that are gone.
    write_version(&lab, 0);
    lab.backup();
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.cache = lab.path("another machine's cache");
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
}

fn undelete_oldest(lab: &Lab) -> error::Result<()> {
    let opened = lab.open();
    let stored = &opened.snapshots.forgotten[0];
    let options = UndeleteOptions { program: "testkit".to_owned() };
    undelete(&opened.repository, &opened.index, &opened.snapshots, stored, &options, &Ear::default())
        .map(drop)
}

#[test]
fn a_forgotten_snapshot_comes_back_until_a_prune_has_removed_its_packs() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    write_version(&lab, 0);
    lab.backup();
    let first = lab.restore("latest");
    write_version(&lab, 1);
    lab.backup();
    lab.forget(&["latest~1"]);
    assert_eq!(lab.open().snapshots.all.len(), 1);
    undelete_oldest(&lab).expect("nothing is gone");
    let opened = lab.open();
    assert_eq!(opened.snapshots.all.len(), 2);
    drop(opened);
    // It has its time back, and so its place.
    lab.prune();
    lab.assert_sound();
    assert_same(&first, &lab.restore("latest~1"));

    lab.forget(&["latest~1"]);
    lab.prune();
    let error = undelete_oldest(&lab).expect_err("its packs are gone").to_string();
    assert!(error.contains("can't be brought back"), "{error}");
    lab.assert_sound();
}

#[test]
fn protected_snapshots_are_not_forgotten() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    write_version(&lab, 0);
    lab.backup();
    let opened = lab.open();
    let id = opened.snapshots.all[0].snapshot.head.id;
    protect(&opened.repository, &[id], true, &Ear::default()).expect("it can be protected");
    let opened = lab.open();
    assert!(opened.snapshots.protected.contains(&id));
    let error = forget(&opened.repository, &opened.snapshots, &[id], &Ear::default())
        .expect_err("it is protected")
        .to_string();
    assert!(error.contains("is protected"), "{error}");
    protect(&opened.repository, &[id], false, &Ear::default()).expect("the protection can end");
    let opened = lab.open();
    forget(&opened.repository, &opened.snapshots, &[id], &Ear::default())
        .expect("it isn't protected any more");
    assert!(lab.open().snapshots.all.is_empty());
}

#[test]
fn freeing_is_told_before_it_happens() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    lab.prune();
    let opened = lab.open();
    let oldest = opened.snapshots.all[0].snapshot.head.id;
    let freed = freed_by(
        &opened.repository,
        &opened.index,
        &opened.snapshots,
        &HashSet::from([oldest]),
        &Ear::default(),
    )
    .expect("it can be told");
    drop(opened);
    let before = stored_bytes(&lab);
    lab.forget(&["latest~1"]);
    lab.prune();
    let really = before - stored_bytes(&lab);
    // Headers and directories of packs come and go with them.
    let slack = 20_000;
    assert!(
        freed.stored_bytes.abs_diff(really) < slack,
        "{freed:?} were promised, and {really} bytes are gone"
    );
}

/// I4: at whatever call a prune dies, everything that isn't forgotten is there, and the next
/// prune ends what it began.
#[test]
fn i4_a_prune_that_dies_at_any_call_harms_nothing() {
    let whole = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&whole);
    let counting = FaultyBackend::new(Arc::clone(&whole.backend), Fault::From { call: u64::MAX });
    let objects = copy_of(&whole);
    let mut counted = whole;
    counted.backend = Arc::clone(&counting) as Arc<dyn Backend>;
    counted.prune();
    let calls = counting.calls();
    assert!(calls > 40, "a prune has {calls} calls");
    let expected = counted.restore("latest");
    for call in 1..=calls {
        for fault in [Fault::From { call }, Fault::DoneThenFrom { call }] {
            let store: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
            for (name, bytes) in &objects {
                store.create(name, &[bytes]).expect("memory takes all");
            }
            counted.backend = FaultyBackend::new(Arc::clone(&store), fault);
            let cache = counted.path(&format!("cache {call} {fault:?}"));
            let died = counted.prune_with_cache(&cache, &Ear::default().run().with_threads(1), |_| {});
            counted.backend = store;
            counted.cache = cache;
            counted.assert_sound();
            let report = counted.prune();
            counted.assert_sound();
            assert_eq!(counted.open().snapshots.all.len(), 2, "{fault:?}: {died:?}, {report:?}");
            assert_same(&expected, &counted.restore("latest"));
        }
    }
}

/// All objects of a laboratory.
fn copy_of(lab: &Lab) -> Vec<(String, Vec<u8>)> {
    let mut names = Vec::new();
    for prefix in ["config/", "keys/", "keyring/", "sessions/", "snapshots/", "states/", "index/", "packs/"] {
        lab.backend.list(prefix, &mut |listed| names.push(listed.name)).expect("a listing");
    }
    names
        .into_iter()
        .map(|name| (name.clone(), lab.backend.read(&name, u64::MAX).expect("it is there")))
        .collect()
}

#[test]
fn two_prunes_at_once_do_the_work_of_one() {
    for round in 0..5 {
        let lab = Lab::on(Arc::new(MemoryBackend::default()));
        half_forgotten(&lab);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|which| {
                    let cache = lab.path(&format!("cache {round} {which}"));
                    let lab = &lab;
                    scope.spawn(move || lab.prune_with_cache(&cache, &Ear::default(), |_| {}))
                })
                .collect();
            for thread in threads {
                thread.join().expect("no panic").expect("each prune works");
            }
        });
        lab.assert_sound();
        assert_same(&lab.source(), &lab.restore("latest"));
        assert_eq!(lab.open().snapshots.all.len(), 2);
    }
}

/// Bytes that come in two halves; between them something else happens.
struct Interrupted {
    bytes: Vec<u8>,
    at: usize,
    reached: Sender<()>,
    go_on: Receiver<()>,
}

impl Read for Interrupted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let half = self.bytes.len() / 2;
        if self.at == half {
            self.reached.send(()).expect("the test waits for this");
            self.go_on.recv().expect("the test says so");
        }
        let end = if self.at < half { half } else { self.bytes.len() };
        let length = buffer.len().min(end - self.at);
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Backs a stream up, and does something else in the middle of it. `while_paused` gets what
/// lets the backup go on.
fn back_up_around(lab: &Lab, bytes: Vec<u8>, while_paused: impl FnOnce(&Sender<()>)) -> error::Result<()> {
    let (reached, wait) = channel();
    let (go_on, gone_on) = channel();
    let cache = lab.path("the backup's cache");
    std::thread::scope(|scope| {
        let backup = scope.spawn(move || {
            let reader = Interrupted { bytes, at: 0, reached, go_on: gone_on };
            let stream = Stream {
                name: b"dump".to_vec(),
                reader: Box::new(reader),
                cutting: Default::default(),
                ended: Box::new(|| Ok(())),
            };
            lab.archive_with_cache(&cache, Source::stream(stream), &Ear::default(), |_| {}).map(drop)
        });
        wait.recv().expect("the backup gets there");
        while_paused(&go_on);
        // It may have been let go already.
        let _ = go_on.send(());
        backup.join().expect("no panic")
    })
}

/// A file that two snapshots have, as the bytes of a stream: the first snapshot is to be forgotten.
fn shared_with_a_forgotten_one(lab: &Lab) -> Vec<u8> {
    let bytes = tree::noise(7, 3_000_000);
    tree::write(lab.source().join("shared.bin"), bytes.clone());
    lab.backup();
    std::fs::remove_file(lab.source().join("shared.bin")).expect("it is there");
    tree::write(lab.source().join("other.bin"), tree::noise(8, 500_000));
    lab.backup();
    bytes
}

fn largest_pack(lab: &Lab) -> String {
    let mut packs = Vec::new();
    lab.backend.list("packs/", &mut |listed| packs.push((listed.bytes, listed.name))).expect("a listing");
    packs.into_iter().max().expect("there is one").1
}

#[test]
fn i3_a_running_backup_objects_and_keeps_what_it_refers_to() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let bytes = shared_with_a_forgotten_one(&lab);
    let pack_of_shared = largest_pack(&lab);
    let ended = back_up_around(&lab, bytes.clone(), |go_on| {
        lab.forget(&["latest~1"]);
        let slept = Arc::new(Mutex::new(0));
        let (counted, go_on) = (Arc::clone(&slept), go_on.clone());
        let sleep = move |_| {
            // The first time that it has to wait, the backup goes on, and answers.
            let mut slept = counted.lock().expect("no panic");
            if *slept == 0 {
                go_on.send(()).expect("the backup waits");
            }
            *slept += 1;
            assert!(*slept < 100_000, "the backup never answers");
            std::thread::sleep(Duration::from_millis(1));
        };
        let (host, cache) = (lab.host().waiting(sleep), lab.path("the pruner's cache"));
        let report = lab.prune_on(host, &cache, &Ear::default(), |options| {
            // The laboratory's clock runs ten minutes with every look at it.
            options.session_timeout = Duration::from_secs(1 << 40);
        });
        let report = report.expect("the prune works");
        assert!(*slept.lock().expect("no panic") > 0, "no one was waited for");
        // The forgotten snapshot's trees may go; the backup refers to the bytes alone.
        assert!(store::names(&*lab.backend, "packs/").contains(&pack_of_shared), "{report:?}");
        assert_eq!(report.sessions_fenced, 0, "{report:?}");
        assert!(report.packs_spared > 0, "{report:?}");
    });
    ended.expect("the backup isn't disturbed");
    lab.assert_sound();
    assert_stream(&lab, &bytes);
}

#[test]
fn i3_a_silent_backup_is_ended_and_says_so() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let bytes = shared_with_a_forgotten_one(&lab);
    let ended = back_up_around(&lab, bytes, |_| {
        lab.forget(&["latest~1"]);
        let report = lab.prune();
        assert_eq!(report.sessions_fenced, 1, "{report:?}");
        assert!(report.packs_removed > 0, "{report:?}");
    });
    assert!(matches!(ended, Err(EngineError::Fenced)), "{ended:?}");
    lab.assert_sound();
    assert_eq!(lab.open().snapshots.all.len(), 1);
}

/// Even if nothing else can go, what a killed backup has left goes, once it has been silent for too long.
#[test]
fn what_a_killed_backup_has_left_goes_though_nothing_else_does() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    lab.backup();
    let before = store::names(&*lab.backend, "packs/");
    tree::write(lab.source().join("large"), tree::noise(4, 40 << 20));
    let whole = Arc::clone(&lab.backend);
    lab.backend = FaultyBackend::new(
        Arc::clone(&whole),
        Fault::Only { operation: Operation::Create, good: 2, kind: std::io::ErrorKind::ConnectionReset },
    );
    lab.try_backup(&Ear::default()).expect_err("it is killed");
    lab.backend = whole;
    assert!(store::names(&*lab.backend, "packs/").len() > before.len(), "it has stored nothing");
    let cache = lab.path("the pruner's cache");
    let patient = lab.prune_with_cache(&cache, &Ear::default(), |options| {
        options.session_timeout = Duration::from_secs(1 << 40);
    });
    let patient = patient.expect("the prune works");
    assert_eq!((patient.packs_removed, patient.sessions_fenced), (0, 0), "{patient:?}");
    let report = lab.prune();
    assert_eq!(report.sessions_fenced, 1, "{report:?}");
    assert_eq!(store::names(&*lab.backend, "packs/"), before);
    lab.assert_sound();
    lab.assert_round_trip();
}

/// A backup of files is ended in the middle, and begins again by itself.
#[test]
fn i3_a_backup_of_files_that_was_ended_begins_again() {
    let lab = Arc::new(Lab::on(Arc::new(MemoryBackend::default())));
    for version in 0..3 {
        write_version(&lab, version);
        lab.backup();
    }
    write_version(&lab, 3);
    let (asked, pruned) = (Mutex::new(0), Arc::clone(&lab));
    let clock = move || {
        let lab = &pruned;
        let mut asked = asked.lock().expect("no panic");
        *asked += 1;
        if *asked == 6 {
            lab.forget(&["latest", "latest~1", "latest~2"]);
            let cache = lab.path("the pruner's cache");
            let report = lab.prune_with_cache(&cache, &Ear::default(), |_| {}).expect("the prune works");
            assert_eq!(report.sessions_fenced, 1, "{report:?}");
        }
        lab.now()
    };
    let run = Ear::default().run().with_threads(1);
    let report = lab.archive_on(TestHost::new(Arc::new(clock)), Source::paths(&[lab.source()]), &run, |_| {});
    report.expect("the second attempt works");
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
}

fn assert_stream(lab: &Lab, bytes: &[u8]) {
    let target = lab.fresh_target();
    let opened = lab.open();
    let stored = opened.snapshots.find("latest", &SnapshotFilter::default()).expect("a snapshot");
    opened
        .restore(&stored.snapshot, &Ear::default(), |options| options.target.clone_from(&target))
        .expect("the restore works");
    let restored = std::fs::read(target.join("dump")).expect("the stream is there");
    assert!(restored == bytes, "the stream came back with other bytes");
}

/// An index that had to read packs whose segment was away, and then gets the segment, knows each
/// of these packs by two numbers.
#[test]
fn a_pack_with_two_numbers_is_not_taken_for_unused() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    let mut segments = Vec::new();
    lab.backend.list("index/", &mut |listed| segments.push(listed.name)).expect("a listing");
    let bytes: Vec<Vec<u8>> =
        segments.iter().map(|name| lab.backend.read(name, u64::MAX).expect("it is there")).collect();
    segments.iter().for_each(|name| lab.backend.remove(name).expect("it can go"));
    let cache = lab.path("a cache that was made without segments");
    drop(lab.try_open_with(&cache, &Ear::default()).expect("packs are read instead"));
    for (name, bytes) in segments.iter().zip(&bytes) {
        lab.backend.create(name, &[bytes]).expect("it can come back");
    }
    lab.prune_with_cache(&cache, &Ear::default(), |_| {}).expect("the prune works");
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// What a snapshot needs is gone: nothing else may go, it could be what a repair needs.
#[test]
fn i8_a_prune_stops_where_something_is_missing() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    let (mut packs, mut kept) = (Vec::new(), None);
    lab.backend.list("packs/", &mut |listed| packs.push(listed.name)).expect("a listing");
    for name in &packs {
        let bytes = lab.backend.read(name, u64::MAX).expect("it is there");
        lab.backend.remove(name).expect("it can go");
        let hit = lab.try_check(&Ear::default()).map_or(true, |report| report.files_hit > 0);
        if hit {
            kept = Some((name.clone(), bytes));
            break;
        }
        lab.backend.create(name, &[&bytes]).expect("it can come back");
    }
    let (name, bytes) = kept.expect("some pack is needed");
    let before = count(&lab, "packs/");
    let error = lab.prune_with_cache(&lab.path("fresh"), &Ear::default(), |_| {}).expect_err("it stops");
    assert!(error.to_string().contains("nothing was removed"), "{error}");
    assert_eq!((count(&lab, "packs/"), count(&lab, "epochs/")), (before, 0));
    lab.backend.create(&name, &[&bytes]).expect("it can come back");
    lab.prune();
    lab.assert_sound();
}

/// A restore and a dump that began before a prune has moved everything finish after it.
#[test]
fn readers_find_what_a_prune_has_moved() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    half_forgotten(&lab);
    let (restoring, dumping) =
        (lab.open_with(&lab.path("a reader's cache")), lab.open_with(&lab.path("another's")));
    let report = lab.prune();
    assert!(report.packs_rewritten > 0, "{report:?}");
    let find = |opened: &keepfast_testkit::Opened| {
        opened.snapshots.find("latest", &SnapshotFilter::default()).expect("a snapshot").snapshot.clone()
    };
    let (target, ear) = (lab.fresh_target(), Ear::default());
    restoring
        .restore(&find(&restoring), &ear, |options| options.target.clone_from(&target))
        .expect("the restore works");
    ear.assert_content();
    assert_same(&lab.source(), &lab.restored_source(&target));
    let mut dumped = Vec::new();
    let path = lab.in_snapshot("half.bin");
    dump(&dumping.repository, &dumping.index, &find(&dumping), &path, &mut dumped, &Ear::default())
        .expect("the dump works");
    assert!(dumped == std::fs::read(lab.source().join("half.bin")).expect("a file"), "other bytes came out");
}

#[test]
fn dead_sessions_become_entries_of_the_catalogue() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    for version in 0..6 {
        write_version(&lab, version);
        lab.backup();
    }
    lab.forget(&["latest~1", "latest~2", "latest~3", "latest~4"]);
    let compacting = || {
        lab.prune_with_cache(&lab.cache, &Ear::default(), |options| options.compact_from = 1)
            .expect("the prune works")
    };
    compacting();
    assert_eq!(count(&lab, "catalogue/"), 1);
    // Two snapshots are left; rewriting sessions have gone the same way.
    assert_eq!((count(&lab, "snapshots/"), count(&lab, "states/"), count(&lab, "acks/")), (2, 0, 0));
    assert_eq!(count(&lab, "sessions/"), 2);
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
    compacting();
    assert_eq!(count(&lab, "catalogue/"), 1, "there was nothing more to say");
    write_version(&lab, 7);
    lab.backup();
    lab.assert_sound();
    let _: PathBuf = lab.restore("latest~2");
}
