//! Edits: snapshots that get other labels, and snapshots that lose files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use keepfast_backend::{MemoryBackend, Operation};
use keepfast_engine::EngineError;
use keepfast_engine::archive::{ParentChoice, Source, Stream};
use keepfast_engine::edit::{EditOptions, Edited, Editor, Exclusion, LabelChange, Removal};
use keepfast_engine::error::Result;
use keepfast_engine::forget::protect;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::repo::{
    FrameCache, Index, Repository, SnapshotFilter, Snapshots, StoredPack, StoredSnapshot, Trees,
    WriterOptions,
};
use keepfast_engine::run::RunContext;
use keepfast_format::content::Content;
use keepfast_format::ids::{ChunkId, SessionId};
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::names;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::tree::page_ends_after;
use keepfast_testkit::{
    Crafted, Crafter, Ear, HookedBackend, Lab, Opened, RecordingBackend, assert_same, craft, quiet, store,
    tree,
};

/// Opens the laboratory's repository, and edits snapshots in it.
fn editing<T>(lab: &Lab, run: &RunContext, work: impl FnOnce(&Editor<'_>, &mut Snapshots) -> T) -> T {
    let Opened { repository, mut snapshots, index } = lab.try_open(run).expect("it opens");
    edit_in(lab, (&repository, &index), &mut snapshots, run, work)
}

fn edit_in<T>(
    lab: &Lab,
    (repository, index): (&Repository, &Index),
    snapshots: &mut Snapshots,
    run: &RunContext,
    work: impl FnOnce(&Editor<'_>, &mut Snapshots) -> T,
) -> T {
    let options = EditOptions { program: "testkit".to_owned(), writer: WriterOptions::default() };
    work(&Editor::new(repository, index, options, &lab.run(run)), snapshots)
}

fn id_of(snapshots: &Snapshots, which: &str) -> SessionId {
    let found = snapshots.find(which, &SnapshotFilter::default());
    found.expect("there is such a snapshot").snapshot.head.id
}

/// Leaves what matches out of a snapshot; returns how much that is, and what became of the snapshot.
fn try_rewrite(
    lab: &Lab,
    which: &str,
    patterns: &[&str],
    forget: bool,
    run: &RunContext,
) -> Result<(Removal, Edited)> {
    let patterns = Patterns::new(patterns).expect("the patterns compile");
    editing(lab, run, |editor, snapshots| {
        let id = id_of(snapshots, which);
        let mut exclusion = Exclusion::new(&patterns);
        let stored = snapshots.all.iter().find(|stored| stored.snapshot.head.id == id).expect("it is there");
        let removal = editor.find_matches(stored, &mut exclusion)?;
        let edited = editor.rewrite(snapshots, id, &exclusion, &removal, forget)?;
        Ok((removal, edited))
    })
}

#[track_caller]
fn rewrite(lab: &Lab, which: &str, patterns: &[&str], forget: bool) -> (Removal, SessionId) {
    match try_rewrite(lab, which, patterns, forget, &Ear::default()).expect("it can be rewritten") {
        (removal, Edited::Replaced(by)) => (removal, by),
        (removal, Edited::Unchanged) => panic!("nothing was left out: {removal:?}"),
    }
}

fn adding(label: &str) -> LabelChange {
    LabelChange::Alter { add: vec![label.to_owned()], remove: Vec::new() }
}

fn try_relabel(lab: &Lab, which: &str, label: &str) -> Result<Edited> {
    editing(lab, &Ear::default(), |editor, snapshots| {
        let id = id_of(snapshots, which);
        editor.relabel(snapshots, id, &adding(label))
    })
}

/// The snapshot with this id.
fn stored(lab: &Lab, id: SessionId) -> StoredSnapshot {
    let snapshots = lab.open().snapshots;
    snapshots.find(&id.to_string(), &SnapshotFilter::default()).expect("it is there").clone()
}

fn ids(lab: &Lab) -> Vec<SessionId> {
    lab.open().snapshots.all.iter().map(|stored| stored.snapshot.head.id).collect()
}

/// Restores a snapshot and compares it with the source, from which the same files were removed. That has changed
/// the times of their directories, so all times are made the same first.
#[track_caller]
fn assert_restores(lab: &Lab, id: SessionId) {
    let restored = lab.restore(&id.to_string());
    tree::settle(&lab.source());
    tree::settle(&restored);
    assert_same(&lab.source(), &restored);
}

/// The node of something in the source, as a snapshot has it.
fn node_of(lab: &Lab, id: SessionId, below: &str) -> Option<Node> {
    let Opened { repository, snapshots, index } = lab.open();
    let frames = FrameCache::new(&repository, &index, quiet());
    let found = snapshots.find(&id.to_string(), &SnapshotFilter::default()).expect("it is there");
    let path = lab.in_snapshot(below);
    Trees::new(&frames).find(&found.snapshot.body.tree, &path).expect("trees are readable")
}

#[test]
fn a_rewritten_snapshot_is_what_a_backup_with_the_same_exclusions_makes() {
    let lab = Lab::new();
    tree::nasty(&lab.source());
    // Several pages. Some lose the name that they end with.
    for n in 0..6000 {
        tree::write(lab.source().join(format!("pages/{n}")), "");
        tree::write(lab.source().join(format!("more/{n}")), "");
    }
    // If only the last entry of a page goes, the next page begins earlier.
    let end = (0..5000).find(|n| page_ends_after(n.to_string().as_bytes(), 1)).expect("a page ends");
    let end = format!("more/{end}");
    tree::write(lab.source().join("deep/er/cache/a/b"), tree::noise(1, 200_000));
    tree::write(lab.source().join("deep/er/cache/c"), tree::noise(2, 9_000));
    tree::write(lab.source().join("deep/er/stays"), tree::noise(3, 9_000));
    tree::write(lab.source().join("deep/dump.gone"), tree::noise(4, 300_000));
    tree::write_sparse(lab.source().join("deep/holes.gone"), 1 << 20, &[(4096, 8192), (500_000, 100)]);
    std::os::unix::fs::symlink("stays", lab.source().join("deep/er/link.gone")).expect("a link");
    tree::settle(&lab.source());
    let original = lab.backup().snapshot.expect("a snapshot");
    let patterns = ["cache", "*.gone", "pages/*7", "pages/1?5*", &end];
    let compared = lab.backup_with(|options| {
        options.exclude = Patterns::new(&patterns).expect("they compile");
        options.parent = ParentChoice::None;
    });
    let compared = compared.snapshot.expect("a snapshot");

    let (removal, by) = rewrite(&lab, &original.head.id.to_string(), &patterns, false);
    let rewritten = stored(&lab, by).snapshot;
    let tree_in = |id| node_of(&lab, id, "").expect("the source is there").kind;
    assert_eq!(tree_in(by), tree_in(compared.head.id), "each page is what a backup makes");
    let (counts, expected) = (rewritten.body.statistics, compared.body.statistics);
    assert_eq!((counts.files(), counts.dirs), (expected.files(), expected.dirs));
    assert_eq!(counts.bytes_total, expected.bytes_total);
    assert_eq!(removal.bytes, original.body.statistics.bytes_total - expected.bytes_total);
    assert!(removal.bytes > 200_000 + 9_000 + 300_000 + 8192);
    assert_eq!((removal.dirs, removal.others), (2, 1));
    assert_same(&lab.restore(&by.to_string()), &lab.restore(&compared.head.id.to_string()));
    // All its other fields are those of the original.
    let (before, after) = (&original.body, &rewritten.body);
    assert_eq!((before.start, before.end, &before.host), (after.start, after.end, &after.host));
    assert_eq!((&before.paths, &before.users, before.parent), (&after.paths, &after.users, after.parent));
    assert_eq!(after.origin, Some(original.head.id));
    assert!(after.state.is_some());
    lab.assert_sound();
    // Change detection works with it: files that it has are unchanged, and files that it lacks are new.
    let report = lab.backup_with(|options| options.parent = ParentChoice::Named(by.to_string()));
    assert_eq!(report.statistics.files_unchanged, counts.files());
    assert_eq!(report.statistics.files_new, removal.files);
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn a_rewrite_reads_no_files_and_writes_only_the_trees_that_change() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    for n in 0..40 {
        for file in 0..40 {
            tree::write(lab.source().join(format!("{n}/{file}")), tree::noise(n * 100 + file, 5_000));
        }
    }
    tree::write(lab.source().join("7/secret"), tree::noise(9999, 100_000));
    lab.backup();
    let mut data = BTreeSet::new();
    let is_data =
        |_, pack: StoredPack| data.extend((pack.kind == ChunkKind::Data).then(|| pack.name.to_string()));
    lab.open().index.for_each_pack(is_data).expect("packs are known");
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    let (_, by) = rewrite(&lab, "latest", &["secret"], true);
    let calls = recording.take();
    let read = calls.iter().filter(|call| call.operation == Operation::Read);
    assert!(!read.clone().any(|call| data.contains(&call.name)), "data was read");
    let created: u64 = keepfast_testkit::recording::bytes_created(&calls, "packs/");
    assert!(created > 0 && created < 20_000, "{created} bytes were written");
    assert_eq!(ids(&lab), [by]);
    assert!(node_of(&lab, by, "7/secret").is_none() && node_of(&lab, by, "7/39").is_some());
    fs::remove_file(lab.source().join("7/secret")).expect("it can go");
    lab.prune();
    lab.assert_sound();
}

/// Small files share a chunk with their neighbours. As long as one of these refers to the chunk, a prune can't
/// remove what was left out.
#[test]
fn what_was_left_out_of_a_bundle_goes_with_the_next_prune() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    for (n, length) in (0..64).zip(300..) {
        tree::write(lab.source().join(format!("dir/{n:02}")), tree::noise(n, length));
    }
    tree::settle(&lab.source());
    let original = lab.backup().snapshot.expect("a snapshot").head.id;
    let bundle_in = |id, name: &str| match node_of(&lab, id, name).map(|node| node.kind) {
        Some(NodeKind::File {
            content: Content::Inline(chunks), extents: Extents::Bundled { .. }, ..
        }) => Some(chunks[0].id),
        _ => None,
    };
    // One in the middle of a bundle of three and more, and one of a bundle of two.
    let bundles: Vec<(String, ChunkId)> = (0..64)
        .map(|n| format!("dir/{n:02}"))
        .filter_map(|name| bundle_in(original, &name).map(|bundle| (name, bundle)))
        .collect();
    let large = bundles.windows(3).find(|three| three[0].1 == three[2].1).expect("a bundle of three");
    let size_of = |bundle: ChunkId| bundles.iter().filter(|(_, other)| *other == bundle).count();
    let pair = bundles.iter().find(|(_, bundle)| size_of(*bundle) == 2).expect("a bundle of two");
    let patterns = [large[1].0.as_str(), pair.0.as_str()];
    let (removal, by) = rewrite(&lab, "latest", &patterns, true);
    assert_eq!(removal.files, 2);
    assert!(bundle_in(by, &large[0].0).is_some_and(|bundle| bundle != large[0].1));
    lab.prune();
    lab.assert_sound();
    let index = lab.open_with(&lab.path("another cache")).index;
    for bundle in [large[1].1, pair.1] {
        assert!(!index.contains(&bundle), "what was left out is still stored");
    }
    for name in patterns {
        fs::remove_file(lab.source().join(name)).expect("it can go");
    }
    assert_restores(&lab, by);
}

#[test]
fn hard_links_stay_links_when_the_first_name_goes() {
    let lab = Lab::new();
    let path = |name: &str| lab.source().join(name);
    tree::write(path("a/first"), tree::noise(1, 20_000));
    for name in ["b", "c"] {
        fs::hard_link(path("a/first"), path(name)).expect("a link");
    }
    tree::write(path("d/one"), "small");
    fs::hard_link(path("d/one"), path("d/other")).expect("a link");
    lab.backup();
    let (_, by) = rewrite(&lab, "latest", &["a", "other"], true);
    {
        let snapshot = stored(&lab, by).snapshot;
        let Opened { repository, index, .. } = lab.open();
        let frames = FrameCache::new(&repository, &index, quiet());
        let groups = Trees::new(&frames).hard_links(&snapshot).expect("they are readable");
        let path = |name: &str| lab.in_snapshot(name)[1..].to_vec();
        assert_eq!(groups, [[path("b"), path("c")]], "not even the names are left");
    }
    fs::remove_dir_all(path("a")).expect("it can go");
    fs::remove_file(path("d/other")).expect("it can go");
    assert_restores(&lab, by);
    lab.assert_sound();
}

#[test]
fn new_labels_make_another_snapshot_of_the_same_time_in_the_old_ones_place() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    let oldest = lab.backup_with(|options| options.tags = vec!["nightly".to_owned()]);
    let oldest = oldest.snapshot.expect("a snapshot");
    let newest = lab.backup().snapshot.expect("a snapshot").head.id;
    let Edited::Replaced(by) = try_relabel(&lab, "latest~1", "kept").expect("it works") else {
        panic!("the label is new");
    };
    assert_eq!(ids(&lab), [by, newest], "it has the old one's place");
    let relabelled = stored(&lab, by).snapshot;
    assert_eq!(relabelled.body.tags, ["nightly", "kept"]);
    let but_for_labels = keepfast_format::snapshot::SnapshotBody {
        tags: oldest.body.tags.clone(),
        origin: oldest.body.origin,
        ..relabelled.body.clone()
    };
    assert_eq!(but_for_labels, oldest.body);
    // The same change again changes nothing.
    let before = store::names(&*lab.backend, "");
    assert_eq!(try_relabel(&lab, &by.to_string(), "kept").expect("it works"), Edited::Unchanged);
    assert_eq!(store::names(&*lab.backend, ""), before);
    lab.prune();
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore(&by.to_string()));
}

/// A run that edits many snapshots numbers the new ones one after the other, and each names the one before.
#[test]
fn edits_of_one_run_are_numbered_and_newer_than_what_they_are_made_from() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("secret"), "secret");
    for _ in 0..3 {
        lab.backup();
    }
    let patterns = Patterns::new(&["secret"]).expect("it compiles");
    let all = ids(&lab);
    let made = editing(&lab, &Ear::default(), |editor, snapshots| -> Result<Vec<SessionId>> {
        let mut exclusion = Exclusion::new(&patterns);
        let mut made = Vec::new();
        for id in &all {
            let found = snapshots.find(&id.to_string(), &SnapshotFilter::default())?.clone();
            let removal = editor.find_matches(&found, &mut exclusion)?;
            if let Edited::Replaced(by) = editor.rewrite(snapshots, *id, &exclusion, &removal, false)? {
                made.push(by);
            }
        }
        Ok(made)
    });
    let made = made.expect("they can be rewritten");
    let snapshots = lab.open().snapshots;
    let sequence = |id: &SessionId| stored(&lab, *id).snapshot.head.sequence;
    assert_eq!(made.iter().map(sequence).collect::<Vec<_>>(), [3, 4, 5]);
    let expected: Vec<SessionId> = all.iter().zip(&made).flat_map(|(old, new)| [*old, *new]).collect();
    assert_eq!(ids(&lab), expected, "each stands behind the one that it was made from");
    assert_eq!(id_of(&snapshots, "latest"), made[2]);
    assert!(snapshots.missing().is_empty());
    assert_eq!(lab.backup().parent, Some(made[2].short()));
    lab.assert_sound();
}

/// The machine crashes after the new snapshot was made, and before the old one was forgotten.
#[test]
fn an_edit_that_was_cut_short_is_completed_by_the_next() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("secret"), "secret");
    lab.backup();
    let old = ids(&lab)[0];
    let store = Arc::clone(&lab.backend);
    let edits: [&dyn Fn(&Lab) -> Result<Edited>; 2] =
        [&|lab| try_relabel(lab, &old.to_string(), "kept"), &|lab| {
            Ok(try_rewrite(lab, &old.to_string(), &["secret"], true, &Ear::default())?.1)
        }];
    for edit in edits {
        lab.backend = Arc::new(MemoryBackend::default());
        store::copy(&*store, &*lab.backend);
        let good = Arc::clone(&lab.backend);
        lab.backend = HookedBackend::new(Arc::clone(&good), |_, operation, name| {
            let is_end = operation == Operation::Create && name.starts_with(names::DECISIONS);
            is_end.then_some(std::io::ErrorKind::ConnectionReset)
        });
        assert!(matches!(edit(&lab), Err(EngineError::Backend(_))));
        let both = ids(&lab);
        assert_eq!(both.len(), 2);
        lab.backend = good;
        lab.assert_sound();
        let Edited::Replaced(by) = edit(&lab).expect("it works now") else { panic!("it isn't done") };
        assert_eq!(both, [old, by], "the new one was there already");
        assert_eq!(ids(&lab), [by]);
        lab.prune();
        lab.assert_sound();
    }
}

#[test]
fn what_another_run_has_forgotten_or_changed_meanwhile_is_left_alone() {
    for prunes in [false, true] {
        let lab = Lab::on(Arc::new(MemoryBackend::default()));
        tree::small(&lab.source());
        lab.backup();
        let Opened { repository, mut snapshots, index } = lab.open_with(&lab.path("a cache of its own"));
        let id = id_of(&snapshots, "latest");
        lab.forget(&["latest"]);
        if prunes {
            lab.prune_with_cache(&lab.path("another cache"), &Ear::default(), |_| {}).expect("it prunes");
        }
        let ear = Ear::default();
        let edited = edit_in(&lab, (&repository, &index), &mut snapshots, &ear, |editor, snapshots| {
            editor.relabel(snapshots, id, &adding("x"))
        });
        let error = edited.expect_err("it is gone").to_string();
        assert!(error.contains(&id.short()[..8]), "{error}");
        drop((repository, index));
        assert!(ids(&lab).is_empty(), "nothing comes back by an edit");
        lab.assert_sound();
    }
}

#[test]
fn protected_snapshots_are_not_replaced() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("secret"), "secret");
    lab.backup();
    let id = ids(&lab)[0];
    protect(&lab.open().repository, &[id], true, &Ear::default()).expect("it can be protected");
    let before = store::names(&*lab.backend, "");
    for edited in [
        try_relabel(&lab, "latest", "x"),
        try_rewrite(&lab, "latest", &["secret"], true, &Ear::default()).map(|(_, edited)| edited),
    ] {
        let error = edited.expect_err("it is protected").to_string();
        assert!(error.contains("is protected"), "{error}");
    }
    assert_eq!(store::names(&*lab.backend, ""), before, "nothing was written");
    // A new snapshot next to it may be made.
    let (_, by) = rewrite(&lab, "latest", &["secret"], false);
    assert_eq!(ids(&lab), [id, by]);
}

/// Another writer's snapshot stays that writer's, and only an owner may replace it.
#[test]
fn an_edited_snapshot_stays_part_of_its_writers_history() {
    let mut lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    tree::write(lab.source().join("secret"), "secret");
    lab.backup();
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer").holder();
    let owner = std::mem::replace(&mut lab.password, b"writer".to_vec());
    let writers_cache = lab.path("the writer's cache");
    let cache = std::mem::replace(&mut lab.cache, writers_cache.clone());
    lab.backup();
    let before = store::names(&*lab.backend, "");
    let error = try_relabel(&lab, "latest", "x").expect_err("it is no owner");
    assert!(matches!(error, EngineError::NotAllowed { .. }), "{error}");
    assert_eq!(store::names(&*lab.backend, ""), before, "nothing was written");

    (lab.password, lab.cache) = (owner, cache);
    let (_, by) = rewrite(&lab, "latest", &["secret"], true);
    let Edited::Replaced(by) = try_relabel(&lab, &by.to_string(), "x").expect("it works") else {
        panic!("the label is new");
    };
    let newest = stored(&lab, by);
    assert_eq!((newest.writer, newest.snapshot.head.id.writer), (writer, crafter.owner.holder()));
    // The owner's next backup isn't compared with it, the writer's is.
    let own = ids(&lab)[0];
    assert_eq!(lab.backup().parent, Some(own.short()));
    lab.password = b"writer".to_vec();
    lab.cache = writers_cache;
    assert_eq!(lab.backup().parent, Some(by.short()));
}

/// A writer that knows what an edit will make can't have the original forgotten for a forged snapshot.
#[test]
fn only_an_own_snapshot_counts_as_one_that_was_made_before() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    let crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let root = craft::page(vec![craft::file("file", 0, Content::empty(), Extents::Dense)]);
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    let old = crafter.commit(&writer, &made, tree, |_| {});
    let lie = crafter.commit(&writer, &Crafted::default(), tree, |snapshot| {
        snapshot.body.tags = vec!["x".to_owned()];
        snapshot.body.origin = Some(old);
    });
    let Edited::Replaced(by) = try_relabel(&lab, &old.to_string(), "x").expect("it works") else {
        panic!("the label is new");
    };
    assert!(by != lie && by.writer == crafter.owner.holder());
}

#[test]
fn a_snapshot_that_cannot_be_read_is_refused_and_nothing_is_made() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let crafter = Crafter::of(&lab).compares_nothing();
    let lost = ChunkId::new([7; 32]);
    let root = craft::page(vec![
        craft::file("secret", 0, Content::empty(), Extents::Dense),
        craft::directory("stays", lost),
    ]);
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    let id = crafter.commit(&crafter.owner.clone(), &made, tree, |_| {});
    let error = try_rewrite(&lab, "latest", &["secret"], true, &Ear::default());
    let error = error.expect_err("a part of it is missing").to_string();
    assert!(error.contains(&lost.to_string()), "{error}");
    assert_eq!(ids(&lab), [id]);
}

#[test]
fn states_that_cannot_be_read_are_left_out_and_reported() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let crafter = Crafter::of(&lab).compares_nothing();
    let empty = |name| craft::file(name, 0, Content::empty(), Extents::Dense);
    let root = craft::page(vec![empty("secret"), empty("stays")]);
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    crafter.commit(&crafter.owner.clone(), &made, tree, |snapshot| {
        snapshot.body.state = Some(ChunkId::new([7; 32]));
    });
    let ear = Ear::default();
    let edited = try_rewrite(&lab, "latest", &["secret"], true, &ear).expect("it works").1;
    let Edited::Replaced(by) = edited else { panic!("it matches") };
    let heard = format!("{:?}", ear.heard());
    assert!(heard.contains("reads all files again"), "{heard}");
    let body = stored(&lab, by).snapshot.body;
    assert_eq!(body.state, None);
    let Opened { repository, index, .. } = lab.open();
    let frames = FrameCache::new(&repository, &index, quiet());
    let found = |name: &[u8]| Trees::new(&frames).find(&body.tree, name).expect("it is readable").is_some();
    assert!(found(b"stays") && !found(b"secret"));
}

/// A backup has what was named, whatever is excluded; and it has its stream.
#[test]
fn what_was_backed_up_by_name_stays_and_is_reported() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::write(lab.source().join("secret"), "secret");
    let named = lab.source().join("secret");
    let ear = Ear::default();
    lab.archive(Source::paths(std::slice::from_ref(&named)), &ear, |_| {}).expect("it works");
    let (removal, edited) =
        try_rewrite(&lab, "latest", &["secret"], true, &Ear::default()).expect("it works");
    assert_eq!(edited, Edited::Unchanged);
    assert_eq!(removal.named, [named.as_os_str().as_bytes().to_vec()]);

    let reader = Box::new(std::io::Cursor::new(b"rows".to_vec()));
    let stream = Stream {
        name: b"dump.sql".to_vec(),
        reader,
        cutting: Default::default(),
        ended: Box::new(|| Ok(())),
    };
    lab.archive(Source::stream(stream), &Ear::default(), |_| {}).expect("it works");
    let (removal, edited) = try_rewrite(&lab, "latest", &["*.sql"], true, &Ear::default()).expect("it works");
    assert_eq!((edited, removal.named.len()), (Edited::Unchanged, 1));
}

#[test]
fn a_snapshot_under_earlier_keys_stays_under_them() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    for n in 0..12 {
        tree::write(lab.source().join(format!("small/{n}")), tree::noise(n, 100));
    }
    tree::settle(&lab.source());
    lab.backup();
    let mut crafter = Crafter::of(&lab);
    crafter.rotate();
    let (_, by) = rewrite(&lab, "latest", &["small/5", "small/8"], true);
    assert_eq!(stored(&lab, by).snapshot.head.key.version, 1);
    let mut versions = BTreeSet::new();
    let note = |_, pack: StoredPack| versions.extend((pack.name.session == by).then_some(pack.key.version));
    lab.open().index.for_each_pack(note).expect("packs are known");
    assert_eq!(versions, BTreeSet::from([1]), "and so is all that it stores");
    lab.prune();
    lab.assert_sound();
    for name in ["small/5", "small/8"] {
        fs::remove_file(lab.source().join(name)).expect("it can go");
    }
    assert_restores(&lab, by);
}

/// If packs are known to be missing, an edit looks up each chunk instead of taking it over.
#[test]
fn a_missing_pack_does_not_disturb_snapshots_that_do_not_need_it() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::write(lab.source().join("a"), tree::noise(1, 5 << 20));
    lab.backup();
    let before = store::names(&*lab.backend, names::PACKS);
    tree::write(lab.source().join("secret"), tree::noise(2, 5 << 20));
    lab.backup();
    let mut lost = BTreeSet::new();
    let note =
        |_, pack: StoredPack| lost.extend((pack.kind == ChunkKind::Data).then(|| pack.name.to_string()));
    lab.open().index.for_each_pack(note).expect("packs are known");
    let lost = lost.into_iter().find(|name| !before.contains(name));
    lab.backend.remove(&lost.expect("it was stored in a pack")).expect("it can go");
    // With the file that needs the pack, the edit is refused; without that file, nothing is missing.
    let error = try_relabel(&lab, "latest", "x").expect_err("a part of it is missing").to_string();
    assert!(error.contains("parts of it are missing"), "{error}");
    let (_, by) = rewrite(&lab, "latest", &["secret"], true);
    fs::remove_file(lab.source().join("secret")).expect("it can go");
    assert_restores(&lab, by);
}

/// An edit that is cancelled leaves nothing behind that counts.
#[test]
fn an_edit_that_is_interrupted_changes_nothing() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::small(&lab.source());
    lab.backup();
    let id = ids(&lab)[0];
    let patterns = Patterns::new(&["*"]).expect("it compiles");
    let ear = Ear::default();
    let error = editing(&lab, &ear, |editor, snapshots| {
        let mut exclusion = Exclusion::new(&patterns);
        let found = snapshots.all[0].clone();
        let removal = editor.find_matches(&found, &mut exclusion).expect("it is readable");
        ear.cancel().cancel();
        editor.rewrite(snapshots, id, &exclusion, &removal, true).expect_err("it was stopped")
    });
    assert!(matches!(error, EngineError::Interrupted), "{error}");
    assert_eq!(ids(&lab), [id]);
    lab.prune();
    lab.assert_sound();
}
