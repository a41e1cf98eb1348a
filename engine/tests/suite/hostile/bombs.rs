//! Metadata that claims more than is stored: a few hundred bytes of lists that stand for 2^60, blobs
//! that repeat themselves, extents that are none, pages that don't fit their index. Each verb ends at
//! once, and loses nothing but what lies.

use keepfast_engine::dump::dump;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_format::content::{ChunkRef, Content, List, ListItem};
use keepfast_format::ids::{ChunkId, SessionId};
use keepfast_format::keys::{ChunkKind, Role};
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node, extents_to_bytes};
use keepfast_format::numbers::u32_of;
use keepfast_format::tree::{PageRef, Tree, encode_blob};
use keepfast_testkit::{Crafted, Crafter, Ear, Lab, craft};

const GOOD: &[u8] = b"a file that tells the truth";

/// A repository with a snapshot of a hostile writer, under construction.
struct Bomb {
    // Dropped before the laboratory, which has the store.
    crafter: Crafter,
    lab: Lab,
    made: Crafted,
}

impl Bomb {
    fn new() -> Self {
        let lab = Lab::with(|source| drop(keepfast_testkit::tree::write(source.join("own.txt"), "own")));
        lab.backup();
        let crafter = Crafter::of(&lab);
        Self { lab, crafter, made: Crafted::default() }
    }

    fn data(&mut self, plain: &[u8]) -> ChunkRef {
        self.made.data.push(plain.to_vec());
        ChunkRef { id: self.crafter.chunk_id(ChunkKind::Data, plain), len: u32_of(plain.len()) }
    }

    fn metadata(&mut self, plain: Vec<u8>) -> ChunkId {
        let id = self.crafter.chunk_id(ChunkKind::Metadata, &plain);
        if !self.made.metadata.contains(&plain) {
            self.made.metadata.push(plain);
        }
        id
    }

    fn good(&mut self) -> Node {
        let chunk = self.data(GOOD);
        craft::file("good", GOOD.len() as u64, Content::Inline(vec![chunk]), Extents::Dense)
    }

    /// Lists of lists, each `width` times the one below, which stand for `bytes` bytes; the first of
    /// them for `chunk`.
    fn nested(&mut self, chunk: ChunkRef, width: usize, levels: u8) -> (Content, u64) {
        let (mut id, mut bytes) = (chunk.id, u64::from(chunk.len));
        for level in 1..=levels {
            let list = List { level, items: vec![ListItem { id, bytes }; width] };
            bytes = list.bytes();
            id = self.metadata(list.encode());
        }
        (Content::List { level: levels, id }, bytes)
    }

    /// Commits a snapshot of these entries.
    fn commit(&self, made: &Crafted, tree: ChunkId, links: Content) -> SessionId {
        let writer = self.crafter.enrol(Role::Writer, b"writer");
        self.crafter.commit(&writer, made, tree, |snapshot| snapshot.body.hard_links = links)
    }

    /// Commits a snapshot of a good file and `bad`, which each verb refuses for `why` and nothing else.
    #[track_caller]
    fn assert_only_bad_is_lost(mut self, bad: Node, why: &str) {
        let good = self.good();
        let root = self.metadata(craft::page(vec![bad, good]));
        let session = self.commit(&self.made, root, Content::empty());
        let ear = Ear::default();
        let report = self.lab.try_check(&ear).expect("the check ends");
        assert_eq!((report.files_hit, report.findings), (1, 1), "{:?}", ear.findings());
        assert!(ear.findings()[0].contains("/bad: "), "{:?}", ear.findings());
        assert!(ear.findings()[0].contains(why), "{:?}", ear.findings());

        let (ear, target) = (Ear::default(), self.lab.fresh_target());
        let restored = self.lab.try_restore(&session.to_string(), &ear, |options| {
            options.target.clone_from(&target);
            options.verify = true;
        });
        let restored = restored.expect("the restore ends");
        assert_eq!(restored.files, 1);
        assert!(ear.skipped().iter().any(|skipped| skipped.contains(why)), "{:?}", ear.skipped());
        assert_eq!(std::fs::read(target.join("good")).expect("it was restored"), GOOD);
        assert!(!target.join("bad").exists(), "half a file isn't a restored one");
        let refused = self.dump(session, b"bad").expect_err("it can't be written in full");
        assert!(refused.contains(why), "{refused}");
        assert_eq!(self.dump(session, b"good").expect("it is whole"), GOOD);
        self.lab.prune();
        self.lab.assert_round_trip();
    }

    fn dump(&self, session: SessionId, path: &[u8]) -> Result<Vec<u8>, String> {
        let opened = self.lab.open();
        let found = opened.snapshots.find(&session.to_string(), &SnapshotFilter::default());
        let (snapshot, ear, mut out) = (&found.expect("it is there").snapshot, Ear::default(), Vec::new());
        dump(&opened.repository, &opened.index, snapshot, path, &mut out, &ear)
            .map(|_| out)
            .map_err(|error| error.to_string())
    }
}

fn bad(size: u64, content: Content, extents: Extents) -> Node {
    craft::file("bad", size, content, extents)
}

/// Twelve levels of lists of 32 the same items are 2^60 bytes and more, in 14 KB: each is read once.
#[test]
fn a_file_of_2_to_the_60_bytes_is_checked_and_planned_at_once() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"x");
    let (content, bytes) = bomb.nested(chunk, 32, 12);
    assert_eq!(bytes, 1 << 60);
    let good = bomb.good();
    let root = bomb.metadata(craft::page(vec![bad(bytes, content, Extents::Dense), good]));
    let session = bomb.commit(&bomb.made, root, Content::empty());
    let report = bomb.lab.assert_sound();
    assert!(report.files >= 2);
    let target = bomb.lab.fresh_target();
    let planned = bomb.lab.try_restore(&session.to_string(), &Ear::default(), |options| {
        options.target.clone_from(&target);
        options.dry_run = true;
    });
    assert_eq!(planned.expect("a plan needs no bytes").files, 2);
    bomb.lab.prune();
    // A restore of it would fill the disk.
    bomb.crafter = bomb.crafter.compares_nothing();
}

/// The same of a chunk that is nowhere: the file is named, once, and nothing waits for 2^60 bytes.
#[test]
fn a_lost_chunk_below_2_to_the_60_bytes_is_found_once() {
    let mut bomb = Bomb::new();
    let lost = ChunkRef { id: ChunkId::new([7; 32]), len: 1 };
    let (content, bytes) = bomb.nested(lost, 32, 12);
    let good = bomb.good();
    let root = bomb.metadata(craft::page(vec![bad(bytes, content, Extents::Dense), good]));
    bomb.commit(&bomb.made, root, Content::empty());
    let ear = Ear::default();
    let report = bomb.lab.try_check(&ear).expect("the check ends");
    assert_eq!(report.files_hit, 1, "{:?}", ear.findings());
}

#[test]
fn a_list_that_adds_up_to_something_else_is_refused() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"some bytes");
    let (content, bytes) = bomb.nested(chunk, 2, 2);
    bomb.assert_only_bad_is_lost(bad(bytes + 1, content, Extents::Dense), "don't add up");
}

#[test]
fn a_list_below_that_adds_up_to_something_else_is_refused() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"some bytes");
    let one = bomb.metadata(List { level: 1, items: vec![ListItem { id: chunk.id, bytes: 10 }] }.encode());
    let two = bomb.metadata(List { level: 2, items: vec![ListItem { id: one, bytes: 11 }] }.encode());
    let content = Content::List { level: 2, id: two };
    bomb.assert_only_bad_is_lost(bad(11, content, Extents::Dense), "don't add up");
}

#[test]
fn a_content_of_another_length_than_its_file_is_refused() {
    for size in [1, 1 << 40] {
        let mut bomb = Bomb::new();
        let chunk = bomb.data(b"some bytes");
        bomb.assert_only_bad_is_lost(bad(size, Content::Inline(vec![chunk]), Extents::Dense), "don't add up");
    }
}

#[test]
fn extents_over_the_size_are_refused() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"some bytes");
    let extents = Extents::Inline(vec![(5, 10)]);
    bomb.assert_only_bad_is_lost(bad(14, Content::Inline(vec![chunk]), extents), "over the file's size");
}

/// A blob of extents in which one piece stands many times through lists: never joined.
#[test]
fn a_blob_that_repeats_a_piece_is_refused() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"some bytes");
    let plain = encode_blob(&extents_to_bytes(&[(0, 5), (9, 5)]));
    let len = u32_of(plain.len());
    let id = bomb.metadata(plain);
    let (blob, _) = bomb.nested(ChunkRef { id, len }, 32, 4);
    let node = bad(14, Content::Inline(vec![chunk]), Extents::Blob(blob));
    bomb.assert_only_bad_is_lost(node, "twice");
}

/// The same with a total that no file's extents need.
#[test]
fn a_blob_over_its_limit_is_refused_before_it_is_joined() {
    let mut bomb = Bomb::new();
    let chunk = bomb.data(b"some bytes");
    let plain = encode_blob(&extents_to_bytes(&[(0, 5), (9, 5)]));
    let len = u32_of(plain.len());
    let id = bomb.metadata(plain);
    let (blob, bytes) = bomb.nested(ChunkRef { id, len }, 256, 5);
    assert!(bytes > limits::EXTENTS_BLOB_BYTES_MAX);
    let node = bad(14, Content::Inline(vec![chunk]), Extents::Blob(blob));
    bomb.assert_only_bad_is_lost(node, "over its limit");
}

/// Hard links are lost, and said to be; the files are restored.
#[test]
fn a_blob_of_hard_links_that_never_ends_loses_only_the_links() {
    let mut bomb = Bomb::new();
    let good = bomb.good();
    let root = bomb.metadata(craft::page(vec![good]));
    let plain = encode_blob(&[0; 40]);
    let len = u32_of(plain.len());
    let id = bomb.metadata(plain);
    let (blob, _) = bomb.nested(ChunkRef { id, len }, 256, 5);
    let session = bomb.commit(&bomb.made, root, blob);
    let ear = Ear::default();
    let report = bomb.lab.try_check(&ear).expect("the check ends");
    assert_eq!((report.findings, report.files_hit), (1, 0), "{:?}", ear.findings());
    assert!(ear.findings()[0].contains("hard links are lost"), "{:?}", ear.findings());
    let target = bomb.lab.fresh_target();
    let restored = bomb
        .lab
        .try_restore(&session.to_string(), &Ear::default(), |options| options.target.clone_from(&target))
        .expect("the restore ends");
    assert_eq!((restored.files, restored.troubles.skipped), (1, 0));
}

/// Pages that don't begin as their index says, or go on beyond the next one, or are indexes.
#[test]
fn a_directory_whose_pages_dont_fit_its_index_is_refused() {
    let page = |bomb: &mut Bomb, names: &[&str]| {
        let file = |name: &&str| craft::file(name, 0, Content::empty(), Extents::Dense);
        bomb.metadata(craft::page(names.iter().map(file).collect()))
    };
    type Make<'m> = &'m dyn Fn(&mut Bomb) -> Vec<PageRef>;
    let first = |name: &str, id| PageRef { first: name.into(), id };
    let cases: [(&str, Make<'_>); 4] = [
        ("begin with the name", &|bomb| vec![first("a", page(bomb, &["b"]))]),
        ("begin with the name", &|bomb| vec![first("a", page(bomb, &[]))]),
        ("belong into the page after", &|bomb| {
            vec![first("a", page(bomb, &["a", "d"])), first("c", page(bomb, &["c"]))]
        }),
        ("an index lists an index", &|bomb| {
            let below = vec![first("a", page(bomb, &["a"]))];
            let index = bomb.metadata(Tree::Index(below).encode());
            vec![first("a", index)]
        }),
    ];
    for (why, make) in cases {
        let mut bomb = Bomb::new();
        let pages = make(&mut bomb);
        let folder = bomb.metadata(Tree::Index(pages).encode());
        let good = bomb.good();
        let root = bomb.metadata(craft::page(vec![craft::directory("folder", folder), good]));
        let session = bomb.commit(&bomb.made, root, Content::empty());
        let ear = Ear::default();
        let report = bomb.lab.try_check(&ear).expect("the check ends");
        assert_eq!(report.files_hit, 1, "{:?}", ear.findings());
        assert!(ear.findings()[0].contains(why), "{:?}", ear.findings());
        let (ear, target) = (Ear::default(), bomb.lab.fresh_target());
        let restored = bomb
            .lab
            .try_restore(&session.to_string(), &ear, |options| options.target.clone_from(&target))
            .expect("the restore ends");
        assert!(restored.troubles.skipped > 0 && ear.skipped().iter().any(|skipped| skipped.contains(why)));
        assert_eq!(std::fs::read(target.join("good")).expect("it was restored"), GOOD);
    }
}
