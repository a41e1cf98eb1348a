//! Stores beyond a network, where each request costs time and money.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_backend::{MemoryBackend, Operation};
use keepfast_engine::repo::{Repository, Snapshots};
use keepfast_format::names;
use keepfast_testkit::lab::PASSWORD;
use keepfast_testkit::{Lab, RecordingBackend, assert_same, quiet, tree};

fn far_lab() -> (Lab, Arc<RecordingBackend>) {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    let recording = RecordingBackend::far(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    (lab, recording)
}

/// Opens with copies below `cache`, and loads the snapshots. Returns how many there are, and how
/// many objects were read below each prefix.
fn snapshots_with(recording: &Arc<RecordingBackend>, cache: &Path) -> (usize, BTreeMap<String, usize>) {
    recording.take();
    let found = Repository::find(recording.clone()).expect("it is there");
    let repository = found.open(PASSWORD, Some(cache)).expect("it opens");
    let snapshots = Snapshots::load(&repository, quiet()).expect("snapshots load");
    assert!(snapshots.damaged.is_empty(), "{:?}", snapshots.damaged);
    let mut reads = BTreeMap::new();
    for call in recording.take().iter().filter(|call| call.operation == Operation::Read) {
        let folder = call.name.split_inclusive('/').next().unwrap_or_default();
        *reads.entry(folder.to_owned()).or_default() += 1;
    }
    (snapshots.all.len() + snapshots.forgotten.len(), reads)
}

fn copies(cache: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for repository in fs::read_dir(cache).into_iter().flatten().flatten() {
        let objects = fs::read_dir(repository.path().join("objects"));
        files.extend(objects.into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    files
}

#[test]
fn small_objects_are_read_once_and_copies_of_them_are_no_authority() {
    let (lab, recording) = far_lab();
    for n in 0..4 {
        tree::write(lab.source().join("file"), tree::noise(n, 10_000));
        lab.backup();
    }
    lab.forget(&["latest~3"]);
    let cache = lab.path("copies");
    let (count, reads) = snapshots_with(&recording, &cache);
    assert_eq!((count, reads[names::SNAPSHOTS], reads[names::DECISIONS]), (4, 4, 1));
    // From now on only what proves the password is read: a copy of that would help someone that guesses.
    let (count, reads) = snapshots_with(&recording, &cache);
    assert_eq!((count, reads), (4, BTreeMap::from([(names::KEYS.to_owned(), 1)])));
    assert!(copies(&cache).iter().all(|file| !file.to_string_lossy().contains("keys")));
    // Copies that someone has changed or exchanged count for nothing.
    let files = copies(&cache);
    let (first, second) = (fs::read(&files[0]), fs::read(&files[1]));
    fs::write(&files[0], second.expect("a copy")).expect("it can be written");
    fs::write(&files[1], first.expect("a copy")).expect("it can be written");
    for file in &files[2..] {
        fs::write(file, b"something else").expect("it can be written");
    }
    let (count, reads) = snapshots_with(&recording, &cache);
    assert_eq!((count, reads.values().sum::<usize>()), (4, files.len() + 1));
    // What the store doesn't have any more isn't there, and its copies go.
    let before = copies(&cache).len();
    let gone = lab.open().snapshots.all[0].snapshot.head.id;
    lab.backend.remove(&names::snapshot(gone).to_string()).expect("it can go");
    let (count, _) = snapshots_with(&recording, &cache);
    assert_eq!((count, copies(&cache).len()), (3, before - 1));
}

/// Each byte of metadata comes once, however many threads look for it at the same time.
#[test]
fn ranges_that_several_threads_need_are_read_once() {
    let (lab, recording) = far_lab();
    for folder in 0..60 {
        for file in 0..20 {
            tree::write(lab.source().join(format!("{folder}/{file}")), tree::noise(folder * 100 + file, 300));
        }
    }
    lab.backup();
    recording.take();
    let report = lab.prune();
    assert_eq!(report.packs_removed, 0);
    let mut ranges = BTreeMap::new();
    for call in recording.take() {
        if call.operation == Operation::Read && call.name.starts_with(names::PACKS) {
            *ranges.entry(call.name).or_insert(0) += 1;
        }
    }
    assert!(!ranges.is_empty() && ranges.values().all(|reads| *reads == 1), "{ranges:?}");
    assert_same(&lab.source(), &lab.restore("latest"));
}
