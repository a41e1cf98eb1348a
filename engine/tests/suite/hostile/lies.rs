//! A writer that lies about what is in packs: what others have stored is read all the same, and what
//! snapshots need isn't given up for a lie. The same cures damage to one of two copies.

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use keepfast_backend::{MemoryBackend, Operation};
use keepfast_engine::dump::dump;
use keepfast_engine::repo::{FrameCache, SnapshotFilter, list_segments, read_segment};
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::SessionId;
use keepfast_format::keys::{ChunkKind, Identity, Role};
use keepfast_format::names::{self, PackName};
use keepfast_format::node::Extents;
use keepfast_format::numbers::u32_of;
use keepfast_format::pack::ChunkEntry;
use keepfast_testkit::{
    Crafted, CraftedPack, Crafter, Ear, HookedBackend, Lab, Opened, assert_agreement, assert_same, craft,
    quiet, store, tree,
};

/// The password of the writer whose backups are lied about.
const VICTIM: &[u8] = b"victim";

/// The holder that made the backups that are lied about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Owner,
    Writer,
}

/// A repository with a backup of the victim's, and a writer that will lie.
struct Scene {
    lab: Lab,
    crafter: Crafter,
    liar: Identity,
}

impl Scene {
    fn of(victim: Victim) -> Self {
        let lab = Lab::on(Arc::new(MemoryBackend::default()));
        let crafter = Crafter::of(&lab);
        crafter.enrol(Role::Writer, VICTIM);
        let liar = crafter.enrol(Role::Writer, b"liar");
        tree::small(&lab.source());
        tree::write(lab.source().join("large"), tree::noise(9, 3 << 20));
        let mut scene = Self { lab, crafter, liar };
        scene.back_up_as(victim);
        scene
    }

    fn back_up_as(&mut self, victim: Victim) {
        let owner = self.lab.password.clone();
        let fresh = self.lab.path("the victim's cache");
        let cache = std::mem::replace(&mut self.lab.cache, fresh);
        if victim == Victim::Writer {
            self.lab.password = VICTIM.to_vec();
        }
        self.lab.try_backup(&Ear::default()).expect("the backup works");
        self.lab.password = owner;
        self.lab.cache = cache;
    }

    /// All chunks that segments list, of one kind.
    fn chunks(&self, kind: ChunkKind) -> Vec<ChunkEntry> {
        let Opened { repository, .. } = self.lab.open();
        let names = list_segments(&repository).expect("segments can be listed");
        let segments = names.iter().map(|name| read_segment(&repository, *name).expect("it can be read"));
        let packs = segments.flat_map(|segment| segment.packs).filter(|(pack, _)| pack.kind == kind);
        packs.flat_map(|(_, table)| table.chunks).collect()
    }

    /// Packs that have other bytes under the ids of all chunks, as long as `len` says.
    fn lies(&self, len: impl Fn(u32) -> u32) -> Vec<CraftedPack> {
        [ChunkKind::Data, ChunkKind::Metadata]
            .map(|kind| {
                let chunks = self.chunks(kind);
                let wrong = chunks.iter().map(|chunk| vec![0x5a; len(chunk.bytes) as usize]).collect();
                self.crafter.lying_pack(kind, &[wrong], |table| {
                    for (entry, chunk) in table.chunks.iter_mut().zip(&chunks) {
                        entry.id = chunk.id;
                    }
                })
            })
            .into()
    }

    /// Commits a snapshot of the liar's, with these packs and segments that list them.
    fn tell(&self, packs: &[CraftedPack], store: bool) -> SessionId {
        let session = self.crafter.begin(&self.liar);
        let root = self.crafter.pack(ChunkKind::Metadata, &[vec![craft::page(Vec::new())]]);
        let tree = root.table.chunks[0].id;
        let mut records = vec![root.record()];
        self.crafter.put_pack(session, &root);
        for pack in packs {
            if store {
                self.crafter.put_pack(session, pack);
            }
            records.push(pack.record());
        }
        self.crafter.put_segment(&self.liar, session, 0, &records);
        self.crafter.put_snapshot(&self.liar, &self.crafter.snapshot_of(session, tree));
        session
    }

    /// What was backed up comes back whole, is dumped whole, and no check says otherwise; with the
    /// caches of before and without any.
    #[track_caller]
    fn assert_unhurt(&mut self) {
        let victims = self.victims();
        for fresh in [false, true] {
            if fresh {
                self.lab.cache =
                    self.lab.path(&format!("fresh cache {}", u64::from_le_bytes(*self.crafter.random())));
            }
            assert_restores(&self.lab, &victims, &self.lab.source());
            let opened = self.lab.open();
            let stored = opened.snapshots.find(&victims, &SnapshotFilter::default()).expect("it is there");
            let mut out = Vec::new();
            let path = self.lab.in_snapshot("large");
            dump(&opened.repository, &opened.index, &stored.snapshot, &path, &mut out, &Ear::default())
                .expect("it can be dumped");
            assert_eq!(out, tree::noise(9, 3 << 20), "the dumped file is another");
            drop(opened);
            assert_nothing_lost(&self.lab, "");
        }
    }

    /// The id of the victim's newest snapshot.
    fn victims(&self) -> String {
        let opened = self.lab.open();
        let is_liars = |session: SessionId| session.writer == self.liar.holder();
        let mut all = opened.snapshots.all.iter().map(|stored| stored.snapshot.head.id);
        all.rfind(|id| !is_liars(*id)).expect("the victim has one").to_string()
    }
}

/// A check and restores agree, and nothing is lost. Returns what the check found.
#[track_caller]
fn assert_nothing_lost(lab: &Lab, what: &str) -> Vec<String> {
    let verdicts = assert_agreement(lab);
    assert!(verdicts.lost.is_empty(), "{what}: {verdicts:#?}");
    verdicts.findings
}

/// A snapshot restores to what is in a folder. Returns what was found on the way.
#[track_caller]
fn assert_restores(lab: &Lab, which: &str, expected: &Path) -> Vec<String> {
    let (ear, target) = (Ear::default(), lab.fresh_target());
    let report = lab.try_restore(which, &ear, |options| options.target.clone_from(&target));
    let report = report.unwrap_or_else(|error| panic!("it doesn't restore: {error}"));
    assert_eq!((report.troubles.skipped, ear.skipped()), (0, Vec::new()), "files are skipped");
    assert_same(expected, &lab.restored_source(&target));
    ear.findings()
}

/// 1.6 KB are enough to list every chunk of a small repository as one without bytes.
#[test]
fn a_segment_that_lists_everything_as_empty_hides_nothing() {
    for victim in [Victim::Owner, Victim::Writer] {
        for store in [true, false] {
            let mut scene = Scene::of(victim);
            drop(scene.lab.open());
            scene.tell(&scene.lies(|_| 0), store);
            scene.assert_unhurt();
        }
    }
}

#[test]
fn packs_with_other_bytes_of_the_right_lengths_hide_nothing() {
    for victim in [Victim::Owner, Victim::Writer] {
        let mut scene = Scene::of(victim);
        drop(scene.lab.open());
        scene.tell(&scene.lies(|len| len), true);
        scene.assert_unhurt();
    }
}

/// A liar that was there first is read first: the lie is found, the pack is named, and is read last from then on.
#[test]
fn a_pack_that_lied_is_named_and_read_no_more() {
    let mut scene = Scene::of(Victim::Writer);
    let lies = scene.lies(|len| len);
    // The victim's segments go and come back: so the index learns of the liar's first.
    let segments = store::names(&*scene.lab.backend, "index/");
    let bytes: Vec<Vec<u8>> = segments.iter().map(|name| store::bytes(&*scene.lab.backend, name)).collect();
    segments.iter().for_each(|name| scene.lab.backend.remove(&name.to_string()).expect("it can be removed"));
    scene.tell(&lies, true);
    scene.lab.cache = scene.lab.path("a cache that knows the lies");
    drop(scene.lab.try_open(&Ear::default()).expect("it opens"));
    for (name, bytes) in segments.iter().zip(&bytes) {
        scene.crafter.put(name, bytes);
    }
    let victims = scene.victims();
    let findings = assert_restores(&scene.lab, &victims, &scene.lab.source());
    for lie in &lies {
        let id = lie.id().to_string();
        assert_eq!(findings.iter().filter(|finding| finding.contains(&id)).count(), 1, "{findings:#?}");
    }
    assert_eq!(findings.len(), 2, "nothing else is named: {findings:#?}");
}

/// A chunk that a writer claims to have without bytes is stored by the next backup that has it.
#[test]
fn an_empty_lie_is_no_reason_not_to_store() {
    let mut scene = Scene::of(Victim::Owner);
    let content = tree::noise(4711, 3000);
    let lie = scene.crafter.lying_pack(ChunkKind::Data, &[vec![Vec::new()]], |table| {
        table.chunks[0].id = scene.crafter.chunk_id(ChunkKind::Data, &content);
    });
    scene.tell(&[lie], true);
    tree::write(scene.lab.source().join("new folder/new"), content);
    scene.back_up_as(Victim::Owner);
    let victims = scene.victims();
    assert_restores(&scene.lab, &victims, &scene.lab.source());
    scene.assert_unhurt();
}

/// A prune counts a chunk wherever a writer says that it is: what is right isn't given up for a lie.
#[test]
fn a_lie_never_makes_the_right_copy_garbage() {
    let lengths: [fn(u32) -> u32; 2] = [|_| 0, |len| len];
    for len in lengths {
        for victim in [Victim::Owner, Victim::Writer] {
            let mut scene = Scene::of(victim);
            drop(scene.lab.open());
            let session = scene.tell(&scene.lies(len), true);
            // Something to rewrite: a part of what the victim has stored is needed no more.
            std::fs::remove_file(scene.lab.source().join("large")).expect("it can be removed");
            scene.back_up_as(victim);
            let opened = scene.lab.open();
            let mut own = opened.snapshots.all.iter().map(|stored| stored.snapshot.head.id);
            let oldest = own.find(|id| *id != session).expect("the victim has backed up").to_string();
            drop(opened);
            scene.lab.forget(&[&oldest]);
            scene.lab.prune_with_cache(&scene.lab.cache, &Ear::default(), |_| {}).expect("it prunes");
            scene.lab.forget(&[&session.to_string()]);
            for _ in 0..2 {
                let fresh = scene.lab.path("the pruner's cache");
                scene.lab.prune_with_cache(&fresh, &Ear::default(), |_| {}).expect("it prunes again");
            }
            let victims = scene.victims();
            assert_restores(&scene.lab, &victims, &scene.lab.source());
            scene.lab.cache = scene.lab.path("another cache");
            assert_restores(&scene.lab, &victims, &scene.lab.source());
            assert_nothing_lost(&scene.lab, "pruned");
        }
    }
}

/// A repository with one file, whose chunks two sessions have stored, each with one that nothing needs;
/// and the packs of both.
fn stored_twice(lab: &Lab, by: Victim) -> (SessionId, Vec<u8>, Vec<String>) {
    let crafter = Crafter::of(lab);
    let writer = match by {
        Victim::Owner => crafter.owner.clone(),
        Victim::Writer => crafter.enrol(Role::Writer, b"writer"),
    };
    let plain = tree::noise(5, 50_000);
    let id = crafter.chunk_id(ChunkKind::Data, &plain);
    let content = Content::Inline(vec![ChunkRef { id, len: u32_of(plain.len()) }]);
    let root = craft::page(vec![craft::file("file", plain.len() as u64, content, Extents::Dense)]);
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = |waste| Crafted {
        data: vec![plain.clone(), tree::noise(waste, 50_000)],
        metadata: vec![root.clone()],
    };
    let session = crafter.commit(&writer, &made(70), tree, |_| {});
    crafter.commit(&writer, &made(71), tree, |_| {});
    let packs = crafter.names(names::PACKS);
    assert_eq!(packs.len(), 4, "each chunk is stored twice");
    (session, plain, packs)
}

#[track_caller]
fn assert_restores_file(lab: &Lab, session: SessionId, plain: &[u8], what: &str) {
    let target = lab.fresh_target();
    let restored =
        lab.try_restore(&session.to_string(), &Ear::default(), |options| options.target.clone_from(&target));
    let report = restored.unwrap_or_else(|error| panic!("{what}: it doesn't restore: {error}"));
    assert_eq!((report.files, report.troubles.skipped, report.verified), (1, 0, 1), "{what}");
    assert_eq!(std::fs::read(target.join("file")).expect("it is there"), plain, "{what}");
}

/// If one of two copies is damaged, the other is read; check names the damaged one, and no file is affected.
#[test]
fn damage_to_one_of_two_copies_hits_nothing() {
    let whole = Lab::on(Arc::new(MemoryBackend::default()));
    let (session, plain, packs) = stored_twice(&whole, Victim::Writer);
    for name in &packs {
        for damage in [
            store::Damage::Flip { thousandths: 0 },
            store::Damage::Flip { thousandths: 90 },
            store::Damage::Flip { thousandths: 500 },
            store::Damage::Truncate,
            store::Damage::Remove,
        ] {
            let backend = Arc::new(MemoryBackend::default());
            store::copy(&*whole.backend, &*backend);
            store::damage(&*backend, name, damage);
            let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
            lab.backend = backend;
            let what = format!("{damage:?} of {name}");
            assert_restores_file(&lab, session, &plain, &what);
            let ear = Ear::default();
            let report = lab.try_check(&ear).expect("check runs");
            assert_eq!(report.files_hit, 0, "{what}: {:#?}", ear.findings());
            assert!(
                ear.findings().iter().any(|finding| finding.contains(name)),
                "{what}: {:#?}",
                ear.findings()
            );
            // Nor does a prune give up the good copy for the bad one.
            lab.prune_with_cache(&lab.path("pruner's"), &Ear::default(), |_| {}).expect("the prune works");
            lab.cache = lab.path("another cache");
            assert_restores_file(&lab, session, &plain, &format!("{what}, pruned"));
        }
    }
}

/// What no copy of is right is lost; a check says so of the same files as a restore.
#[test]
fn damage_to_both_copies_is_named_with_what_it_hits() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let (_, _, packs) = stored_twice(&lab, Victim::Writer);
    let is_data = |name: &&String| store::bytes(&*lab.backend, name).len() > 50_000;
    for name in packs.iter().filter(is_data) {
        store::damage(&*lab.backend, name, store::Damage::Flip { thousandths: 300 });
    }
    let verdicts = assert_agreement(&lab);
    assert_eq!((verdicts.lost.len(), verdicts.restored), (2, 0), "both snapshots: {verdicts:#?}");
}

/// Packs that have got another session's name and are damaged, too, hit what can't be restored.
#[test]
fn a_damaged_pack_under_another_sessions_name_hits_what_was_in_it() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("large"), tree::noise(9, 3 << 20));
    lab.backup();
    let crafter = Crafter::of(&lab);
    let other = SessionId { writer: crafter.owner.holder(), random: *crafter.random() };
    for name in crafter.names(names::PACKS) {
        let PackName { id, .. } = names::parse_pack(&name).expect("it is a pack");
        let mut bytes = crafter.get(&name);
        lab.backend.remove(&name).expect("it can be removed");
        if bytes.len() > 1 << 20 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        crafter.put(names::pack(id, other), &bytes);
    }
    for cache in ["cold", "warm"] {
        if cache == "cold" {
            lab.cache = lab.path("cold");
        }
        let verdicts = assert_agreement(&lab);
        // Whatever shares the frame with the middle of the large file.
        let large = lab.source().join("large").display().to_string();
        assert!(verdicts.lost.iter().any(|lost| lost.ends_with(&large)), "{cache}: {verdicts:#?}");
    }
}

/// Threads that miss chunks at once ask the packs themselves, one thread for all: the others find what
/// that has found.
#[test]
fn threads_that_ask_packs_at_once_find_the_same() {
    let mut lab = Lab::with(tree::small);
    lab.backup();
    let crafter = Crafter::of(&lab);
    let other = SessionId { writer: crafter.owner.holder(), random: *crafter.random() };
    for name in crafter.names(names::PACKS) {
        let PackName { id, .. } = names::parse_pack(&name).expect("it is a pack");
        let bytes = crafter.get(&name);
        lab.backend.remove(&name).expect("it can be removed");
        crafter.put(names::pack(id, other), &bytes);
    }
    let honest = Arc::clone(&lab.backend);
    // Long enough for every thread to have found nothing in the index.
    lab.backend = HookedBackend::new(Arc::clone(&honest), |_, operation, name| {
        if operation == Operation::Read && name.starts_with(names::PACKS) {
            thread::sleep(Duration::from_millis(200));
        }
        None
    });
    let Opened { repository, snapshots, index } = lab.open();
    let body = &snapshots.all[0].snapshot.body;
    let frames = FrameCache::new(&repository, &index, quiet());
    let wanted = [body.tree, body.state.expect("it has a state tree"), body.tree];
    let begin = Barrier::new(wanted.len());
    thread::scope(|scope| {
        for id in wanted {
            let (frames, begin) = (&frames, &begin);
            scope.spawn(move || {
                begin.wait();
                frames.chunk(ChunkKind::Metadata, id).map(drop).expect("its pack is there");
            });
        }
    });
    lab.backend = honest;
}

/// A prune counts a chunk in one pack of an owner. Where it finds that one damaged, while it reads trees
/// or rewrites packs, the other copy stays.
#[test]
fn a_prune_that_finds_one_of_two_copies_damaged_keeps_the_other() {
    let whole = Lab::on(Arc::new(MemoryBackend::default()));
    let (session, plain, packs) = stored_twice(&whole, Victim::Owner);
    for name in &packs {
        let backend = Arc::new(MemoryBackend::default());
        store::copy(&*whole.backend, &*backend);
        store::damage(&*backend, name, store::Damage::Flip { thousandths: 300 });
        let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
        lab.backend = backend;
        for run in 0..2 {
            let pruned = lab.prune_with_cache(&lab.path("pruner's"), &Ear::default(), |_| {});
            pruned.unwrap_or_else(|error| panic!("{name}, prune {run}: {error}"));
            lab.cache = lab.path(&format!("cache {run}"));
            assert_restores_file(&lab, session, &plain, &format!("{name} is damaged, prune {run}"));
            assert_nothing_lost(&lab, name);
        }
    }
}

/// Where a segment says the wrong of a pack, the pack's own directory is right.
#[test]
fn where_a_segment_is_wrong_the_packs_own_directory_is_asked() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let (one, other) = (tree::noise(6, 4000), tree::noise(7, 4000));
    let refer = |plain: &[u8]| {
        let chunk = ChunkRef { id: crafter.chunk_id(ChunkKind::Data, plain), len: u32_of(plain.len()) };
        Content::Inline(vec![chunk])
    };
    let root = craft::page(vec![
        craft::file("one", 4000, refer(&one), Extents::Dense),
        craft::file("other", 4000, refer(&other), Extents::Dense),
    ]);
    let data = crafter.pack(ChunkKind::Data, &[vec![one.clone(), other.clone()]]);
    let metadata = crafter.pack(ChunkKind::Metadata, &[vec![root.clone()]]);
    let session = crafter.begin(&writer);
    let mut lie = data.record();
    lie.table.chunks.swap(0, 1);
    crafter.put_pack(session, &data);
    crafter.put_pack(session, &metadata);
    crafter.put_segment(&writer, session, 0, &[lie, metadata.record()]);
    crafter
        .put_snapshot(&writer, &crafter.snapshot_of(session, crafter.chunk_id(ChunkKind::Metadata, &root)));
    for cache in ["cold", "warm"] {
        if cache == "cold" {
            lab.cache = lab.path("cold");
        }
        let (ear, target) = (Ear::default(), lab.fresh_target());
        let restored =
            lab.try_restore(&session.to_string(), &ear, |options| options.target.clone_from(&target));
        assert_eq!(restored.expect("it restores").troubles.skipped, 0, "{cache}: {:?}", ear.skipped());
        for (name, plain) in [("one", &one), ("other", &other)] {
            assert_eq!(&std::fs::read(target.join(name)).expect("it is there"), plain, "{cache}");
        }
        let findings = assert_nothing_lost(&lab, cache);
        let id = data.id().to_string();
        assert!(findings.iter().any(|finding| finding.contains(&id)), "{findings:#?}");
    }
}

/// A pack that has got another session's name is missed by its own, and read all the same.
#[test]
fn a_pack_under_another_sessions_name_is_missed_and_read() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    lab.backup();
    let crafter = Crafter::of(&lab);
    let other = SessionId { writer: crafter.owner.holder(), random: *crafter.random() };
    let packs = crafter.names(names::PACKS);
    for name in &packs {
        let PackName { id, .. } = names::parse_pack(name).expect("it is a pack");
        let bytes = crafter.get(name);
        lab.backend.remove(name).expect("it can be removed");
        crafter.put(names::pack(id, other), &bytes);
    }
    for fresh in [false, true] {
        if fresh {
            lab.cache = lab.path("fresh");
        }
        assert_restores(&lab, "latest", &lab.source());
        let findings = assert_nothing_lost(&lab, "misnamed");
        for name in &packs {
            let missing = format!("{name}: it is missing");
            assert!(findings.contains(&missing), "{findings:#?}");
        }
    }
    // A segment that lists packs of others as its own hides nothing either, where theirs are lost.
    let liar = crafter.enrol(Role::Writer, b"liar");
    let session = crafter.begin(&liar);
    let opened = lab.open();
    let segments = list_segments(&opened.repository).expect("they are listed");
    let read = read_segment(&opened.repository, segments[0]).expect("it is read");
    let records: Vec<_> = read
        .packs
        .into_iter()
        .map(|(pack, table)| keepfast_format::segment::PackRecord {
            id: pack.name.id,
            kind: pack.kind,
            stored_bytes: pack.stored_bytes,
            table,
        })
        .collect();
    drop(opened);
    crafter.put_segment(&liar, session, 0, &records);
    segments.iter().for_each(|name| lab.backend.remove(&name.to_string()).expect("it can be removed"));
    lab.cache = lab.path("without the segments");
    assert_restores(&lab, "latest", &lab.source());
}
