//! The local index is a cache: deleted, garbled or of another time, it never makes a snapshot
//! wrong (I6).

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_backend::{Backend, LocalBackend, MemoryBackend, Operation};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{
    Repository, Session, SessionOptions, Snapshots, WriterOptions, list_segments, open_index,
    open_index_in_memory, read_segment, write_packs,
};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_testkit::{Call, Ear, Lab, Opened, RecordingBackend, assert_same, quiet, store, tree};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort_unstable();
    found
}

/// Works with the repository. An index that turns out to be damaged may end one command, which must say so,
/// but not the same one again.
#[track_caller]
fn assert_works(lab: &Lab) {
    let report = at_the_second_time(|ear| lab.try_backup(ear));
    assert_eq!(report.statistics.skipped, 0);
    at_the_second_time(|ear| lab.try_restore("latest", ear, |options| options.target = lab.fresh_target()));
    at_the_second_time(|ear| lab.try_check(ear));
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
}

#[track_caller]
fn at_the_second_time<T>(work: impl Fn(&Ear) -> keepfast_engine::error::Result<T>) -> T {
    for attempt in 0..2 {
        let ear = Ear::default();
        match work(&ear) {
            Ok(done) => {
                ear.assert_content();
                return done;
            }
            Err(EngineError::Cache { why, .. }) if attempt == 0 => assert!(why.contains("rebuilds"), "{why}"),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the index was damaged twice");
}

#[test]
fn i6_a_deleted_index_is_rebuilt_and_nothing_is_uploaded_again() {
    let mut lab = Lab::with(tree::small);
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let created = lab.undisturbed(|| {
        lab.backup();
        fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
        recording.take();
        lab.backup();
        recording.take_created_folders()
    });
    assert_eq!(created, ["sessions", "snapshots"]);
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn i6_an_index_with_any_of_its_files_garbled_makes_no_snapshot_wrong() {
    let lab = Lab::with(tree::small);
    lab.backup();
    tree::write(lab.source().join("more"), tree::noise(5, 50_000));
    lab.backup();
    let kept = lab.path("cache as it was");
    copy_folder(&lab.cache, &kept);
    let mut garbled = 0;
    for file in files_below(&kept) {
        let length = fs::read(&file).expect("it is there").len();
        for position in [0, length / 3, length / 2, length.saturating_sub(60), length.saturating_sub(1)] {
            if length == 0 {
                continue;
            }
            fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
            copy_folder(&kept, &lab.cache);
            let path = lab.cache.join(file.strip_prefix(&kept).expect("it is below"));
            let mut bytes = fs::read(&path).expect("it can be read");
            let end = (position + 16).min(length);
            bytes[position..end].iter_mut().for_each(|byte| *byte ^= 0xff);
            fs::write(&path, bytes).expect("it can be written");
            tree::write(lab.source().join("changing"), tree::noise(1000 + garbled, 5000));
            assert_works(&lab);
            garbled += 1;
        }
    }
    assert!(garbled > 15, "only {garbled} files were garbled");
}

#[test]
fn i6_an_index_with_any_of_its_files_cut_short_or_missing_makes_no_snapshot_wrong() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let kept = lab.path("cache as it was");
    copy_folder(&lab.cache, &kept);
    for (seed, file) in (0..).zip(files_below(&kept)) {
        for cut in [true, false] {
            fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
            copy_folder(&kept, &lab.cache);
            let path = lab.cache.join(file.strip_prefix(&kept).expect("it is below"));
            if cut {
                let bytes = fs::read(&path).expect("it can be read");
                fs::write(&path, &bytes[..bytes.len() / 2]).expect("it can be written");
            } else {
                fs::remove_file(&path).expect("it can be removed");
            }
            tree::write(lab.source().join("changing"), tree::noise(2000 + seed, 5000));
            assert_works(&lab);
        }
    }
}

#[test]
fn i6_an_index_that_knows_more_than_the_repository_is_not_believed() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let old = LocalBackend::new(lab.path("the repository's past"));
    store::copy(&*lab.backend, &old);
    tree::write(lab.source().join("only later"), tree::noise(6, 200_000));
    lab.backup();
    // The repository is restored from its own backup; the cache isn't.
    lab.backend = Arc::new(old);
    lab.backup();
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
}

/// The same, where the index got its knowledge from the packs and not from segments.
#[test]
fn i6_an_index_that_was_rebuilt_from_packs_that_are_gone_is_not_believed() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let old = LocalBackend::new(lab.path("the repository's past"));
    store::copy(&*lab.backend, &old);
    tree::write(lab.source().join("only later"), tree::noise(6, 200_000));
    lab.backup();
    for name in store::names(&*lab.backend, "index/") {
        lab.backend.remove(&name).expect("it can be removed");
    }
    fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
    drop(lab.open());
    for name in store::names(&old, "index/") {
        old.remove(&name).expect("it can be removed");
    }
    lab.backend = Arc::new(old);
    let ear = Ear::default();
    lab.try_backup(&ear).expect("the backup works");
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn an_index_without_segments_is_rebuilt_from_the_packs() {
    let lab = Lab::with(tree::small);
    lab.backup();
    for name in store::names(&*lab.backend, "index/") {
        lab.backend.remove(&name).expect("it can be removed");
    }
    fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
    assert_same(&lab.source(), &lab.restore("latest"));
    // Good for reading, but a new snapshot refers only to what a segment lists.
    assert!(lab.backup().statistics.bytes_new > 0, "the chunks are stored and listed again");
    assert_eq!(lab.backup().statistics.bytes_new, 0, "and only once");
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn a_pack_with_a_garbled_directory_still_gives_its_chunks_when_no_segment_lists_them() {
    let lab = Lab::with(|root| {
        tree::small(root);
        tree::write(root.join("several frames"), tree::noise(4, 3 << 20));
    });
    lab.backup();
    for name in store::names(&*lab.backend, "index/") {
        lab.backend.remove(&name).expect("it can be removed");
    }
    for name in store::names(&*lab.backend, "packs/") {
        // The footer is the last of it, the directory before.
        let length = store::bytes(&*lab.backend, &name).len();
        for position in [length - 1, length - 12, length - 40] {
            store::flip(&*lab.backend, &name, position);
        }
    }
    fs::remove_dir_all(&lab.cache).expect("the cache can be removed");
    let target = lab.fresh_target();
    lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
        .expect("it restores");
    assert_same(&lab.source(), &lab.restored_source(&target));
}

#[test]
fn two_processes_use_one_cache_folder_at_the_same_time() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let one = lab.open();
    let two = lab.open();
    assert_ne!(one.index.folder(), two.index.folder());
    let target = lab.fresh_target();
    let snapshot = &two.snapshots.all[0].snapshot;
    two.restore(snapshot, &Ear::default(), |options| options.target.clone_from(&target))
        .expect("it restores");
    assert_same(&lab.source(), &lab.restored_source(&target));
    drop(one);
    let three = open_index(&two.repository, &lab.cache, &two.snapshots, &Ear::default()).expect("it opens");
    assert_ne!(three.folder(), two.index.folder());
}

/// Enough chunks that they come into an index as files. Two machines that don't know of each
/// other store some of them twice.
#[test]
fn i6_an_index_of_very_many_chunks_is_loaded_once_and_knows_them_all() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let ids = lab.open().repository.chunk_ids();
    let other = {
        let one = lab.open();
        lab.cache = lab.path("the other machine's cache");
        let other = lab.open();
        store_numbers(&one, 0..100_000);
        store_numbers(&other, 60_000..160_000);
        lab.cache.clone()
    };
    lab.cache = lab.path("a third machine's cache");
    for opening in 1..=2 {
        recording.take();
        let opened = lab.open();
        let segments = recording.take().iter().filter(|call| is_read_of_segment(call)).count();
        assert_eq!(segments > 0, opening == 1, "{segments} segments were read when it was opened");
        let known: Vec<ChunkId> =
            (0..160_000_u64).map(|number| ids.id(ChunkKind::Data, &number.to_le_bytes())).collect();
        let wanted = known.iter().map(|id| (*id).into()).collect();
        let located = opened.index.locate_all(wanted, quiet().pool()).expect("the index answers");
        for id in &known {
            let place = located.get(*id).flatten().expect("it was stored");
            assert_eq!(place.len, 8);
            assert!(opened.index.pack(place.pack).expect("its pack is known").frame(place.frame).is_ok());
        }
        assert!(!opened.index.contains(&ids.id(ChunkKind::Data, b"never stored")));
    }
    // Loaded into one that has something already.
    lab.cache = other;
    let opened = lab.open();
    assert!((0..160_000_u64).all(|n| opened.index.contains(&ids.id(ChunkKind::Data, &n.to_le_bytes()))));
}

fn is_read_of_segment(call: &Call) -> bool {
    call.operation == Operation::Read && call.name.starts_with("index/")
}

/// Stores chunks of eight bytes: numbers.
fn store_numbers(opened: &Opened, numbers: Range<u64>) {
    let ear = Ear::default();
    let options = SessionOptions { program: "test", parent: None, ended: None };
    let session =
        Session::begin(&opened.repository, &opened.index, &options, &ear).expect("a session begins");
    let written = write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        for number in numbers {
            frames.store(ChunkKind::Data, &number.to_le_bytes())?;
        }
        frames.finish()
    });
    written.expect("the chunks are stored");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be listed").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the file can be copied");
        }
    }
}

#[test]
fn chunks_are_found_together_where_they_are_found_one_by_one() {
    let lab = Lab::with(tree::small);
    // Two packs at least, and enough that a few of them are a small part.
    for round in 0..2 {
        tree::write(lab.source().join(round.to_string()), tree::noise(round, 4_000_000));
        lab.backup();
    }
    let Opened { repository, index, .. } = lab.open();
    let names = list_segments(&repository).expect("it can be listed");
    let segments = names.iter().map(|name| read_segment(&repository, *name).expect("it can be read"));
    let tables = segments.flat_map(|segment| segment.packs).map(|(_, table)| table);
    let all: Vec<ChunkId> = tables.flat_map(|table| table.chunks).map(|chunk| chunk.id).collect();
    let unknown = (0..=u8::MAX).map(|byte| ChunkId::new([byte; ChunkId::SIZE]));
    let everything: Vec<ChunkId> = all.iter().copied().chain(unknown).collect();
    // All of them, every third, so few that they are looked up each by itself, and none.
    for step in [1, 3, everything.len() / 4, usize::MAX] {
        let asked: Vec<ChunkId> = everything.iter().copied().skip(step / 2).step_by(step).rev().collect();
        let wanted = asked.iter().map(|id| (*id).into()).collect();
        let located = index.locate_all(wanted, quiet().pool()).expect("the index works");
        for id in asked {
            let alone = index.locate(&id.into()).expect("the index works");
            assert_eq!(alone.is_some(), all.contains(&id));
            assert_eq!(located.get(id), Some(alone), "every {step}th");
        }
    }
}

/// The folder of the laboratory's only index.
fn index_folder(lab: &Lab) -> PathBuf {
    let lock = files_below(&lab.cache).into_iter().find(|file| file.ends_with("index-0.lock"));
    lock.expect("there is one").with_extension("")
}

/// The index's database, as any program can open it.
fn database(folder: &Path) -> rocksdb::DB {
    let mut options = rocksdb::Options::default();
    options.set_merge_operator_associative("join", |_, before, added| {
        Some(before.into_iter().chain(added).flatten().copied().collect())
    });
    rocksdb::DB::open(&options, folder).expect("it opens")
}

fn entries(folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = database(folder);
    let all = database.iterator(rocksdb::IteratorMode::Start);
    all.map(|entry| entry.expect("it can be read")).map(|(key, value)| (key.into(), value.into())).collect()
}

/// Says of content that was never stored that it is where something else is.
#[test]
fn i6_what_an_index_is_made_to_say_of_a_chunk_is_not_believed() {
    let lab = Lab::with(tree::small);
    // Of the same length, so that nothing but the content tells them apart.
    let [stored, content] = [76, 77].map(|seed| tree::noise(seed, 3_000));
    tree::write(lab.source().join("nearby/old"), &stored);
    lab.backup();
    lab.backup();
    let ids = lab.open().repository.chunk_ids();
    let key = |bytes: &[u8]| [b"c".as_slice(), ids.id(ChunkKind::Data, bytes).as_bytes()].concat();
    let folder = index_folder(&lab);
    let known = entries(&folder);
    let (_, place) = known.iter().find(|(known, _)| *known == key(&stored)).expect("it is known");
    let database = database(&folder);
    database.put(key(&content), place).expect("it is put");
    database.flush().expect("it is flushed");
    drop(database);
    tree::write(lab.source().join("alone/new"), &content);
    assert_works(&lab);
}

/// Entries in each other's places, changed, or of an index of the same repository that was here before.
#[test]
fn i6_entries_that_were_made_or_moved_are_not_believed() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let folder = index_folder(&lab);
    let before = entries(&folder);
    fs::remove_dir_all(&lab.cache).expect("it can be removed");
    tree::write(lab.source().join("more"), tree::noise(5, 50_000));
    lab.backup();
    lab.backup();
    let kept = lab.path("cache as it was");
    copy_folder(&lab.cache, &kept);
    let now = entries(&folder);
    let mut forged = 0;
    for space in [b'c', b'p', b's', b'v'] {
        let of_space = |entries: &[(Vec<u8>, Vec<u8>)]| -> Vec<(Vec<u8>, Vec<u8>)> {
            entries.iter().filter(|(key, _)| key[0] == space).cloned().collect()
        };
        let (now, before) = (of_space(&now), of_space(&before));
        let (key, value) = now.last().expect("there is one").clone();
        let mut changed = value.clone();
        changed[0] ^= 1;
        let other = now.first().map(|(_, value)| value.clone()).filter(|other| *other != value);
        let old = before.iter().map(|(_, value)| value.clone()).next();
        for value in [Some(changed), other, old, Some(Vec::new())].into_iter().flatten() {
            fs::remove_dir_all(&lab.cache).expect("it can be removed");
            copy_folder(&kept, &lab.cache);
            let database = database(&folder);
            database.put(&key, &value).expect("it is put");
            database.flush().expect("it is flushed");
            drop(database);
            tree::write(lab.source().join("changing"), tree::noise(3000 + forged, 5000));
            assert_works(&lab);
            forged += 1;
        }
    }
    assert!(forged > 12, "only {forged}");
}

#[test]
fn an_index_in_memory_does_the_same_work() {
    let lab = Lab::with(tree::small);
    lab.backup();
    fs::remove_dir_all(&lab.cache).expect("it can be removed");
    let repository = Repository::open(Arc::clone(&lab.backend), &lab.password).expect("it opens");
    let snapshots = Snapshots::load(&repository, quiet()).expect("they can be read");
    let index = open_index_in_memory(&repository, &snapshots, &Ear::default()).expect("it opens");
    let known = lab.open();
    let mut chunks = 0;
    known
        .index
        .for_each_pack(|number, pack| {
            assert_eq!(index.pack(number).expect("it is known").name, pack.name);
            chunks += pack.frames.iter().map(|frame| frame.chunks).sum::<u32>();
        })
        .expect("they can be read");
    assert!(chunks > 10);
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// What one version of RocksDB has written, no other one reads.
#[test]
fn an_index_of_another_rocksdb_is_built_again() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let folder = index_folder(&lab);
    let mark = folder.join("mark");
    fs::write(&mark, "").expect("written");
    lab.backup();
    assert!(mark.exists(), "an index of this version is kept");
    for options in files_below(&folder) {
        if options.to_string_lossy().contains("/OPTIONS-") {
            let text = fs::read_to_string(&options).expect("options");
            assert!(text.contains("rocksdb_version="), "{text}");
            fs::write(&options, text.replace("rocksdb_version=", "rocksdb_version=1")).expect("written");
        }
    }
    lab.backup();
    assert!(!mark.exists(), "nothing is left of another version's index");
    assert_works(&lab);
}
