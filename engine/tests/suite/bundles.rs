//! Small files that share a chunk with their neighbours: each can be restored by itself, and the directory
//! alone decides which are together.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use keepfast_engine::archive::{ParentChoice, Source};
use keepfast_engine::dump::dump;
use keepfast_engine::fs::meta::FileId;
use keepfast_engine::repo::{
    FrameCache, InitOptions, Session, SessionOptions, SnapshotFilter, Trees, WriterOptions, write_packs,
};
use keepfast_engine::restore::Overwrite;
use keepfast_engine::run::Event;
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
use keepfast_format::links::LinkGroup;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::tree::{Tree, bundle_ends_after};
use keepfast_testkit::lab::init_options;
use keepfast_testkit::{Ear, Lab, assert_same, quiet, store, tree};

const FILES: usize = 300;
const LARGEST: usize = limits::BUNDLED_FILE_BYTES as usize;

fn name(number: usize) -> String {
    format!("{number:03}")
}

/// This many names that don't end a bundle.
fn one_bundle(count: usize) -> Vec<String> {
    (0..).map(name).filter(|name| !bundle_ends_after(name.as_bytes())).take(count).collect()
}

/// This many small files, and between them entries of other kinds: empty, large, a link, a folder, holes.
fn build(root: &Path) {
    for number in 0..FILES {
        let length = [1, 17, 400, 2000, LARGEST][number % 5];
        tree::write(root.join(name(number)), tree::noise(number as u64, length));
    }
    tree::write(root.join("005 empty"), "");
    tree::write(root.join("007 large"), tree::noise(1000, LARGEST + 1));
    tree::write(root.join("009 folder/in it"), "small");
    for name in one_bundle(5) {
        tree::write(root.join("one bundle").join(&name), &name);
    }
    tree::write_sparse(root.join("011 holes"), 3000, &[]);
    std::os::unix::fs::symlink("000", root.join("013 link")).expect("the link can be made");
    tree::settle(root);
}

/// The nodes of the source tree's own files in the newest snapshot.
fn nodes(lab: &Lab) -> Vec<Node> {
    nodes_of(lab, &lab.source())
}

/// The nodes of a directory in the newest snapshot.
fn nodes_of(lab: &Lab, folder: &Path) -> Vec<Node> {
    let opened = lab.open();
    let frames = FrameCache::new(&opened.repository, &opened.index, quiet());
    let mut nodes = Vec::new();
    let tree = lab.tree_of(folder);
    Trees::new(&frames)
        .for_each_node(&tree, &mut |node| {
            nodes.push(node);
            Ok(())
        })
        .expect("the tree is readable");
    nodes
}

/// The groups of hard links of the newest snapshot.
fn hard_links(lab: &Lab) -> Vec<LinkGroup> {
    let opened = lab.open();
    let newest = opened.snapshots.find("latest", &SnapshotFilter::default()).expect("there is one");
    let frames = FrameCache::new(&opened.repository, &opened.index, quiet());
    Trees::new(&frames).hard_links(&newest.snapshot).expect("they are readable")
}

/// The chunk of a file that is in a bundle.
fn bundle_of(node: &Node) -> Option<ChunkId> {
    match &node.kind {
        NodeKind::File { content: Content::Inline(chunks), extents: Extents::Bundled { .. }, .. } => {
            chunks.first().map(|chunk| chunk.id)
        }
        _ => None,
    }
}

fn size_of(node: &Node) -> u64 {
    if let NodeKind::File { size, .. } = node.kind { size } else { 0 }
}

/// Names of small files that share a bundle, by the rule of SPEC.
fn together(nodes: &[Node]) -> Vec<Vec<&Node>> {
    let is_small = |node: &&Node| {
        let dense =
            matches!(&node.kind, NodeKind::File { extents: Extents::Dense | Extents::Bundled { .. }, .. });
        dense && (1..=LARGEST as u64).contains(&size_of(node))
    };
    let mut bundles: Vec<Vec<&Node>> = vec![Vec::new()];
    for node in nodes.iter().filter(is_small) {
        let last = bundles.last().expect("there is always one");
        let bytes: u64 = last.iter().map(|node| size_of(node)).sum();
        let ended = last.last().is_some_and(|last| bundle_ends_after(&last.name));
        if ended || bytes + size_of(node) > LARGEST as u64 * u64::from(limits::BUNDLED_FILES) {
            bundles.push(Vec::new());
        }
        bundles.last_mut().expect("there is always one").push(node);
    }
    bundles
}

#[test]
fn names_and_sizes_decide_which_neighbours_share_a_chunk() {
    let lab = Lab::with(build);
    lab.backup();
    let nodes = nodes(&lab);
    let bundles = together(&nodes);
    assert!(bundles.len() > FILES / 20, "{} bundles", bundles.len());
    for bundle in &bundles {
        let first = bundle_of(bundle[0]);
        assert_eq!(first.is_some(), bundle.len() > 1, "one alone has a chunk of its own");
        assert!(bundle.iter().all(|node| bundle_of(node) == first));
    }
    let mut ids: Vec<_> = bundles.iter().filter_map(|bundle| bundle_of(bundle[0])).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "each bundle has its own chunk");
    assert_eq!(nodes.iter().filter(|node| bundle_of(node).is_some()).count(), {
        bundles.iter().map(Vec::len).filter(|files| *files > 1).sum::<usize>()
    });
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
}

#[test]
fn a_bundle_has_room_for_sixteen_of_the_largest_files() {
    let lab = Lab::with(|root| {
        for (number, name) in (0..).zip(one_bundle(40)) {
            tree::write(root.join(name), tree::noise(number, LARGEST));
        }
    });
    lab.backup();
    let nodes = nodes(&lab);
    let lengths: Vec<usize> =
        nodes.chunk_by(|a, b| bundle_of(a) == bundle_of(b)).map(<[Node]>::len).collect();
    assert_eq!(lengths, [16, 16, 8]);
}

#[test]
fn the_same_directory_is_the_same_tree_whatever_was_backed_up_before() {
    let lab = Lab::with(build);
    let file = |number: usize| lab.source().join(name(number));
    let edits: &[(&str, &dyn Fn())] = &[
        ("changed", &|| drop(tree::write(file(20), tree::noise(2000, 17)))),
        ("longer", &|| drop(tree::write(file(40), tree::noise(2001, 900)))),
        ("no longer small", &|| drop(tree::write(file(60), tree::noise(2002, LARGEST + 5)))),
        ("small again", &|| drop(tree::write(file(60), tree::noise(2003, 5)))),
        ("empty", &|| drop(tree::write(file(80), ""))),
        ("with holes", &|| tree::write_sparse(file(90), 2000, &[])),
        ("removed", &|| fs::remove_file(file(100)).expect("it can be removed")),
        ("first removed", &|| fs::remove_file(file(0)).expect("it can be removed")),
        ("last of a bundle removed", &|| {
            let last = lab.source().join("one bundle").join(one_bundle(5).last().expect("there are five"));
            fs::remove_file(last).expect("it can be removed");
        }),
        ("last removed", &|| fs::remove_file(file(FILES - 1)).expect("it can be removed")),
        ("new", &|| drop(tree::write(lab.source().join("120 new"), "new"))),
        ("renamed", &|| fs::rename(file(140), lab.source().join("200 renamed")).expect("it can be renamed")),
        ("a folder", &|| {
            fs::remove_file(file(160)).expect("it can be removed");
            fs::create_dir(file(160)).expect("it can be made");
        }),
    ];
    lab.backup();
    for (what, edit) in edits {
        edit();
        let report = lab.backup();
        assert!(report.statistics.files_unchanged > 280, "{what}: {report:?}");
        let followed = lab.tree_of(&lab.source());
        lab.backup_with(|options| options.parent = ParentChoice::None);
        assert_eq!(lab.tree_of(&lab.source()), followed, "{what}");
        assert_same(&lab.source(), &lab.restore("latest"));
    }
    lab.assert_sound();
}

#[test]
fn a_changed_file_makes_its_neighbours_be_read_and_one_bundle_be_stored() {
    let lab = Lab::with(build);
    lab.backup();
    let before = nodes(&lab);
    let bundles = together(&before);
    let bundle = bundles.iter().find(|bundle| bundle.len() > 3).expect("there is one of several");
    let changed = lab.source().join(std::str::from_utf8(&bundle[1].name).expect("names are numbers"));
    let length = fs::read(&changed).expect("it is there").len();
    tree::write(&changed, tree::noise(3000, length));
    let report = lab.backup();
    let statistics = report.statistics;
    let expected: u64 = bundle.iter().map(|node| size_of(node)).sum();
    assert_eq!((statistics.files_new, statistics.files_changed), (0, 1), "neighbours count as unchanged");
    assert_eq!(statistics.bytes_read, expected);
    let unchanged = lab.backup().statistics;
    assert_eq!(unchanged.bytes_total, statistics.bytes_total, "what is read for its neighbours counts once");
    assert_eq!(unchanged.files_unchanged, statistics.files_unchanged + 1);
    let after = nodes(&lab);
    let moved: Vec<_> =
        before.iter().zip(&after).filter(|(a, b)| a.kind != b.kind).map(|(a, _)| &a.name).collect();
    assert_eq!(moved, bundle.iter().map(|node| &node.name).collect::<Vec<_>>());
}

#[test]
fn a_small_file_is_restored_dumped_and_verified_by_itself() {
    let lab = Lab::with(build);
    lab.backup();
    let opened = lab.open();
    let newest = opened.snapshots.find("latest", &SnapshotFilter::default()).expect("there is one");
    for number in 0..50 {
        let mut out = Vec::new();
        let ear = Ear::default();
        let path = lab.in_snapshot(&name(number));
        dump(&opened.repository, &opened.index, &newest.snapshot, &path[1..], &mut out, &ear)
            .expect("it is dumped");
        assert!(out == fs::read(lab.source().join(name(number))).expect("it is there"), "{number}");
    }
    let target = lab.fresh_target();
    let restore = |overwrite: Overwrite, ear: &Ear| {
        lab.try_restore("latest", ear, |options| {
            options.target.clone_from(&target);
            options.paths = (20..30).map(|number| lab.in_snapshot(&name(number))).collect();
            options.overwrite = overwrite;
        })
        .expect("the restore works")
    };
    let ear = Ear::default();
    assert_eq!(restore(Overwrite::Refuse, &ear).verified, 10);
    ear.assert_content();
    let one = lab.restored_source(&target).join(name(23));
    let mut bytes = fs::read(&one).expect("it is restored");
    assert!(bytes == fs::read(lab.source().join(name(23))).expect("it is there"));
    // Of the same length, so that only reading shows the change.
    bytes[7] ^= 1;
    tree::write(&one, bytes);
    let report = restore(Overwrite::Never, &ear);
    assert_eq!((report.verified, report.troubles.skipped), (9, 1));
    assert!(matches!(&ear.heard()[..], [Event::Skipped { path, .. }] if *path == one), "{:?}", ear.heard());
}

#[test]
fn small_files_with_several_names_are_restored_linked_after_a_neighbour_changed() {
    let lab = Lab::with(|root| {
        build(root);
        for number in 30..60 {
            let linked = root.join("linked").join(name(number));
            fs::create_dir_all(root.join("linked")).expect("the folder can be made");
            fs::hard_link(root.join(name(number)), linked).expect("the link can be made");
        }
        tree::settle(root);
    });
    lab.backup();
    for number in (0..FILES).step_by(9) {
        tree::write(lab.source().join(name(number)), tree::noise(4000 + number as u64, 33));
    }
    lab.assert_round_trip();
    let followed = hard_links(&lab);
    assert_eq!(followed.len(), 30);
    lab.backup_with(|options| options.parent = ParentChoice::None);
    assert_eq!(hard_links(&lab), followed);
}

/// Backs up five small files, and again with the last one changed. In the second backup the first file is
/// found unchanged; then the test changes it, and then the backup reads it because of its bundle.
fn backed_up_while(trick: impl Fn(&Path) + Send + Sync + 'static) -> (Lab, Vec<Event>) {
    let [first, .., last] = &one_bundle(5)[..] else { panic!("there are five") };
    let lab = Lab::with(|root| {
        for name in one_bundle(5) {
            tree::write(root.join(&name), tree::noise(1, 100));
        }
        // Its name comes after the first file's, and it is left out: a backup reports that when it gets there.
        fs::create_dir(root.join(format!("{first} left out"))).expect("it can be made");
        fs::create_dir(root.join("zz")).expect("it can be made");
        fs::hard_link(root.join(first), root.join("zz/another name")).expect("it can be linked");
        tree::settle(root);
    });
    let left_out = fs::metadata(lab.source().join(format!("{first} left out"))).expect("it is there");
    lab.backup();
    tree::write(lab.source().join(last), tree::noise(2, 100));
    let path = lab.source().join(first);
    // When the backup reports that, the test makes its change.
    let ear = Ear::with_event_hook(move |event| {
        if matches!(event, Event::Notice(_)) {
            trick(&path);
        }
    });
    let report = lab.archive(Source::paths(&[lab.source()]), &ear.run().with_threads(1), |options| {
        options.never_enter = vec![FileId { device: left_out.dev(), inode: left_out.ino() }];
    });
    let statistics = report.expect("the backup works").statistics;
    assert_eq!((statistics.files_unchanged, statistics.files_changed, statistics.skipped), (5, 1, 0));
    let heard = ear.heard();
    lab.assert_sound();
    (lab, heard)
}

#[test]
fn a_neighbour_that_cannot_be_read_again_is_taken_over_from_the_parent() {
    let old = tree::noise(1, 100);
    let tricks: [fn(&Path); 2] = [
        |path| fs::remove_file(path).expect("it can be removed"),
        |path| {
            fs::remove_file(path).expect("it can be removed");
            drop(UnixListener::bind(path).expect("a socket can be there"));
        },
    ];
    for trick in tricks {
        let (lab, heard) = backed_up_while(trick);
        assert!(matches!(&heard[..], [Event::Notice(_)]), "nothing is missing: {heard:?}");
        let restored = lab.restore("latest");
        for name in &one_bundle(5)[..4] {
            assert!(fs::read(restored.join(name)).expect("it is restored") == old, "{name}");
        }
        lab.assert_round_trip();
    }
}

#[test]
fn a_neighbour_that_is_replaced_before_it_is_read_again_is_no_hard_link_of_the_old_file() {
    let (old, new) = (tree::noise(1, 100), tree::noise(3, 100));
    let written = new.clone();
    let (lab, _) = backed_up_while(move |path| {
        let beside = path.with_extension("new");
        tree::write(&beside, &written);
        fs::rename(&beside, path).expect("it can be replaced");
    });
    let restored = lab.restore("latest");
    assert!(fs::read(restored.join(&one_bundle(1)[0])).expect("it is restored") == new);
    assert!(fs::read(restored.join("zz/another name")).expect("it is restored") == old);
    lab.assert_round_trip();
}

#[test]
fn a_lost_bundle_hits_the_files_in_it_and_no_others() {
    let lab = Lab::with(|root| {
        for number in 0..40 {
            tree::write(root.join("one").join(name(number)), tree::noise(number as u64, 1500));
        }
        tree::settle(root);
    });
    lab.backup();
    let before = store::names(&*lab.backend, "packs/");
    for number in 0..40 {
        tree::write(lab.source().join("two").join(name(number)), tree::noise(100 + number as u64, 1500));
    }
    lab.backup();
    let size = |name: &String| store::bytes(&*lab.backend, name).len();
    let mut new = store::names(&*lab.backend, "packs/");
    new.retain(|name| !before.contains(name));
    let data = new.into_iter().max_by_key(size).expect("there are new packs");
    lab.backend.remove(&data).expect("it can be removed");
    let ear = Ear::default();
    assert_eq!(lab.try_check(&ear).expect("the check runs").files_hit, 40);
    let ear = Ear::default();
    let target = lab.fresh_target();
    lab.try_restore("latest", &ear, |options| options.target.clone_from(&target))
        .expect("the rest is restored");
    let restored = lab.restored_source(&target);
    assert_same(&lab.source().join("one"), &restored.join("one"));
    assert_eq!(fs::read_dir(restored.join("two")).expect("it is restored").count(), 0);
    let skipped = ear.heard().into_iter().filter(|heard| matches!(heard, Event::Skipped { .. })).count();
    assert_eq!(skipped, 40);
}

/// A writer may claim that a chunk is longer than it is, and that a file begins after the chunk's end.
#[test]
fn a_file_beyond_the_end_of_its_bundle_is_skipped_and_its_neighbours_restored() {
    let lab = Lab::with(build);
    lab.backup();
    let mut nodes = nodes_of(&lab, &lab.source().join("one bundle"));
    let opened = lab.open();
    let ear = Ear::default();
    let options = SessionOptions { program: "testkit", parent: None, ended: None };
    let session = Session::begin(&opened.repository, &opened.index, &options, &ear).expect("it begins");
    let NodeKind::File { content: Content::Inline(chunks), extents, .. } = &mut nodes[4].kind else {
        panic!("the last one is a file")
    };
    chunks[0].len = 1 << 20;
    *extents = Extents::Bundled { from: 1 << 19 };
    let (tree, _) = write_packs(&session, WriterOptions::default(), |writer| {
        let mut frames = writer.frames();
        let (tree, _) = frames.store(ChunkKind::Metadata, &Tree::Page(nodes).encode())?;
        frames.finish()?;
        Ok(tree)
    })
    .expect("it is stored");
    let mut snapshot = opened.snapshots.all[0].snapshot.clone();
    snapshot.body.tree = tree;
    let target = lab.fresh_target();
    opened
        .restore(&snapshot, &ear, |options| options.target.clone_from(&target))
        .expect("the rest is restored");
    let heard = ear.heard();
    assert!(matches!(&heard[..], [Event::Skipped { why, .. }] if why.contains("chunk")), "{heard:?}");
    for name in &one_bundle(5)[..4] {
        assert_eq!(fs::read(target.join(name)).expect("it is restored"), name.as_bytes());
    }
}

#[test]
fn repositories_with_smaller_chunks_bundle_smaller_files() {
    let chunker = ChunkerParams::of_average(1 << 10);
    let lab = Lab::made_with(&InitOptions { chunker, ..init_options() });
    build(&lab.source());
    lab.assert_round_trip();
    let nodes = nodes(&lab);
    let largest = nodes.iter().filter(|node| bundle_of(node).is_some()).map(size_of).max();
    assert_eq!(largest, Some(17), "the next larger ones have 400 bytes, the smallest chunk 256");
    lab.assert_sound();
}
