//! What sessions hold on to and collectors reach, where something goes wrong meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use keepfast_backend::{MemoryBackend, Operation};
use keepfast_engine::repo::{
    FrameCache, FrameWriter, Reach, Reached, Repository, Seen, Session, SessionOptions, Snapshots,
    WriterOptions, open_index, refresh_index, write_packs,
};
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::epoch::{Ack, Condemned};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
use keepfast_format::names::{self, EpochPart, PackName};
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::numbers::u32_of;
use keepfast_format::snapshot::SnapshotBody;
use keepfast_format::tree::Tree;
use keepfast_testkit::lab::PASSWORD;
use keepfast_testkit::{Ear, Fault, FaultyBackend, Lab, Opened, quiet, tree};

/// Publishes an epoch that condemns every pack that there is. Returns their names.
fn condemn_everything(lab: &Lab) -> Vec<PackName> {
    let opened = lab.open();
    let mut packs = Vec::new();
    let mut add = |listed: keepfast_backend::Listed| {
        packs.extend(names::parse_pack(&listed.name));
    };
    lab.backend.list(names::PACKS, &mut add).expect("a listing");
    packs.sort_unstable();
    let names = packs.clone();
    let snapshots = opened.snapshots.all.iter().map(|stored| stored.snapshot.head.id).collect();
    let bytes =
        Condemned { epoch: 1, packs, snapshots }.seal(opened.repository.id(), opened.repository.identity());
    lab.backend.create(&names::epoch(1, EpochPart::Condemned).to_string(), &[&bytes]).expect("it is new");
    names
}

/// Polls twice, in a session that has taken something over from its parent, on a store that fails
/// once. Returns what it objects to, if it is the first poll that failed.
fn objections_after_failure(lab: &Lab, operation: Operation, call: u64) -> Option<Vec<PackName>> {
    let store = FaultyBackend::new(Arc::clone(&lab.backend), Fault::Once { operation, call });
    let ear = Ear::default();
    let repository = Repository::open(store.clone(), PASSWORD).ok()?;
    let snapshots = Snapshots::load(&repository, quiet()).ok()?;
    let index = open_index(&repository, &lab.cache, &snapshots, &ear).ok()?;
    let options =
        SessionOptions { program: "testkit", parent: Some(&snapshots.all.first()?.snapshot), ended: None };
    let session = Session::begin(&repository, &index, &options, &ear).ok()?;
    assert!(session.may_take_over());
    condemn_everything(lab);
    let first = session.poll();
    let second = session.poll();
    lab.backend.remove(&names::epoch(1, EpochPart::Condemned).to_string()).expect("it can go");
    first.err()?;
    second.expect("the store fails only once");
    let ack = lab.backend.read(&names::ack(1, session.id()).to_string(), limits::EPOCH_OBJECT_BYTES_MAX);
    let writer = |holder| repository.writer_key(holder);
    let ack = Ack::open(&ack.expect("it has answered"), repository.id(), 1, session.id(), writer);
    Some(ack.expect("the ack is authentic").objections)
}

/// A look at the parent that fails must not be forgotten: what was taken over stays referred to.
#[test]
fn i3_objections_survive_any_failure_on_the_way_to_them() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    for n in 0..8 {
        tree::write(lab.source().join(format!("{n}/file")), tree::noise(n, 50_000));
    }
    lab.backup();
    let all = condemn_everything(&lab);
    lab.backend.remove(&names::epoch(1, EpochPart::Condemned).to_string()).expect("it can go");
    let mut failures = 0;
    for operation in [Operation::List, Operation::Read] {
        for call in 1..40 {
            if let Some(objections) = objections_after_failure(&lab, operation, call) {
                assert_eq!(objections, all, "{operation:?} {call}");
                failures += 1;
            }
        }
    }
    assert!(failures > 4, "only {failures} polls failed");
}

fn node(name: &str, kind: NodeKind) -> Node {
    Node {
        name: name.as_bytes().to_vec(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Timestamp::default(),
        xattrs: Vec::new(),
        kind,
        unknown: None,
    }
}

fn file(name: &str, chunk: ChunkId, bytes: u32) -> Node {
    let content = Content::Inline(vec![ChunkRef { id: chunk, len: bytes }]);
    node(name, NodeKind::File { size: bytes.into(), content, extents: Extents::Dense })
}

fn store_tree(frames: &mut FrameWriter<'_>, nodes: Vec<Node>) -> (ChunkId, u32) {
    let bytes = Tree::Page(nodes).encode();
    let (id, _) = frames.store(ChunkKind::Metadata, &bytes).expect("it is stored");
    (id, u32_of(bytes.len()))
}

fn body_of(opened: &Opened, tree: ChunkId) -> SnapshotBody {
    let body = opened.snapshots.all[0].snapshot.body.clone();
    SnapshotBody { tree, state: None, hard_links: Content::Inline(Vec::new()), ..body }
}

/// A writer may say that a directory's chunk is a file's content. A walk that has seen it as that must
/// still go into it where it is a directory.
#[test]
fn a_tree_that_was_met_as_content_is_walked_all_the_same() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    lab.backup();
    let opened = lab.open();
    let ear = Ear::default();
    let options = SessionOptions { program: "testkit", parent: None, ended: None };
    let session = Session::begin(&opened.repository, &opened.index, &options, &ear).expect("it begins");
    let ((data, pretender, honest), _) = write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        let (data, _) = frames.store(ChunkKind::Data, b"what a file has")?;
        let (folder, bytes) = store_tree(&mut frames, vec![file("file", data, 15)]);
        let (pretender, _) = store_tree(&mut frames, vec![file("no folder", folder, bytes)]);
        let (honest, _) = store_tree(&mut frames, vec![node("folder", NodeKind::Directory { tree: folder })]);
        frames.finish()?;
        Ok((data, pretender, honest))
    })
    .expect("all is stored");
    let frames = FrameCache::without_refresh(&opened.repository, &opened.index, quiet());
    let seen = Seen::of(&opened.index).expect("the index is read");
    let mut visited = BTreeSet::new();
    for tree in [pretender, honest] {
        let mut visit = |reached: Reached<'_>| {
            visited.insert(reached.wanted.id);
            Ok(())
        };
        Reach::new(&frames).walk([&body_of(&opened, tree)], &seen, &mut visit).expect("it is walked");
    }
    assert!(visited.contains(&data), "a folder's file isn't reached");
}

/// Several threads may learn at once that there are new segments: each is loaded once.
#[test]
fn segments_are_loaded_once_however_many_threads_ask() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    lab.backup();
    let opened = lab.open();
    let other = lab.path("another machine's cache");
    for n in 0..6 {
        tree::write(lab.source().join("file"), tree::noise(n, 30_000));
        lab.archive_with_cache(
            &other,
            keepfast_engine::archive::Source::paths(&[lab.source()]),
            &Ear::default(),
            |_| {},
        )
        .expect("the backup works");
    }
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| refresh_index(&opened.repository, &opened.index, quiet())))
            .collect();
        for thread in threads {
            thread.join().expect("no panic").expect("the index is brought up to date");
        }
    });
    let (mut packs, mut ids) = (0, BTreeSet::new());
    opened
        .index
        .for_each_pack(|_, pack| {
            packs += 1;
            ids.insert(pack.name.id);
        })
        .expect("the index is read");
    assert_eq!(packs, ids.len(), "packs have several numbers");
    assert!(packs > 6, "only {packs} packs are known");
}
