//! Strategies with which proptest generates valid values.

use keepfast_format::config::{Config, Features};
use keepfast_format::content::{ChunkRef, Content, List, ListItem};
use keepfast_format::ids::{ChunkId, HolderId, ObjectHash, SessionId};
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::snapshot::{Head, Snapshot, SnapshotBody, SnapshotHead, Statistics};
use keepfast_format::state::{EntryState, StateTree};
use keepfast_format::tree::{PageRef, Tree};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::prop_oneof;

use crate::fixtures;

fn id() -> impl Strategy<Value = ChunkId> {
    any::<[u8; 32]>().prop_map(ChunkId::new)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos })
}

fn content() -> impl Strategy<Value = Content> {
    let chunk = (id(), 1..=u32::MAX).prop_map(|(id, len)| ChunkRef { id, len });
    prop_oneof![
        vec(chunk, 0..=32).prop_map(Content::Inline),
        (1..=12_u8, id()).prop_map(|(level, id)| Content::List { level, id }),
    ]
}

/// Ascending pairs that don't overlap, from the gaps and lengths between them.
fn extents(most: usize) -> impl Strategy<Value = Vec<(u64, u64)>> {
    vec((any::<u32>(), 1..=u32::MAX), 0..=most).prop_map(|steps| {
        let mut end = 0;
        let place = |(gap, length): (u32, u32)| {
            let offset = end + u64::from(gap);
            end = offset + u64::from(length);
            (offset, u64::from(length))
        };
        steps.into_iter().map(place).collect()
    })
}

/// A file with other files before or after it in its chunk.
fn bundled() -> impl Strategy<Value = NodeKind> {
    let parts = (0..1000_u32, 1..1000_u32, 0..1000_u32)
        .prop_filter("a bundle is longer than the file", |parts| parts.0 + parts.2 > 0);
    (id(), parts).prop_map(|(id, (from, size, behind))| NodeKind::File {
        size: size.into(),
        content: Content::Inline(vec![ChunkRef { id, len: from + size + behind }]),
        extents: Extents::Bundled { from },
    })
}

fn kind() -> BoxedStrategy<NodeKind> {
    let extents = prop_oneof![
        Just(Extents::Dense),
        extents(32).prop_map(Extents::Inline),
        content().prop_map(Extents::Blob),
    ];
    let numbers = || (any::<u32>(), any::<u32>());
    prop_oneof![
        4 => (any::<u64>(), content(), extents)
            .prop_map(|(size, content, extents)| NodeKind::File { size, content, extents }),
        1 => bundled(),
        1 => id().prop_map(|tree| NodeKind::Directory { tree }),
        1 => vec(1..=255_u8, 1..30).prop_map(|target| NodeKind::Symlink { target }),
        1 => prop_oneof![Just(NodeKind::Fifo), Just(NodeKind::Socket)],
        1 => numbers().prop_map(|(major, minor)| NodeKind::CharDevice { major, minor }),
        1 => numbers().prop_map(|(major, minor)| NodeKind::BlockDevice { major, minor }),
    ]
    .boxed()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { byte });
    vec(byte, 1..12).prop_filter("names of the directory itself", |name| !matches!(&name[..], b"." | b".."))
}

pub fn tree() -> impl Strategy<Value = Tree> {
    let xattr_name = vec(1..=255_u8, 1..8);
    let fields =
        (0..=0o7777_u16, any::<(u32, u32)>(), time(), btree_map(xattr_name, vec(any::<u8>(), 0..9), 0..4));
    let nodes = btree_map(name(), (fields, kind()), 0..9).prop_map(|nodes| {
        let node = |(name, ((mode, (uid, gid), mtime, xattrs), kind))| Node {
            name,
            mode,
            uid,
            gid,
            mtime,
            xattrs: Vec::from_iter(xattrs),
            kind,
            unknown: None,
        };
        nodes.into_iter().map(node).collect()
    });
    let pages = btree_map(name(), id(), 1..9)
        .prop_map(|pages| pages.into_iter().map(|(first, id)| PageRef { first, id }).collect());
    prop_oneof![nodes.prop_map(Tree::Page), pages.prop_map(Tree::Index)]
}

pub fn state() -> impl Strategy<Value = StateTree> {
    let state = (time(), any::<(u64, u64)>(), option::of(id()))
        .prop_map(|(ctime, (inode, device), children)| EntryState { ctime, inode, device, children });
    prop_oneof![vec(state, 0..9).prop_map(StateTree::Page), vec(id(), 0..9).prop_map(StateTree::Index)]
}

pub fn list() -> impl Strategy<Value = List> {
    let item = (id(), 1..=16_u64 << 20).prop_map(|(id, bytes)| ListItem { id, bytes });
    (1..=12_u8, vec(item, 1..=256)).prop_map(|(level, items)| List { level, items })
}

pub fn link_groups() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    vec(vec(vec(any::<u8>(), 0..20), 2..5), 0..5)
}

pub fn extent_list() -> impl Strategy<Value = Vec<(u64, u64)>> {
    extents(100)
}

pub fn config() -> impl Strategy<Value = Config> {
    let names = || vec(".{0,9}", 0..3);
    let sizes = (10..=22_u32, 4096..=16_u32 << 20, 4096..=16_u32 << 20, 4_u32 << 20..=128 << 20);
    let numbers = (any::<u32>(), option::of(any::<[u8; 32]>()), any::<u64>());
    (sizes, numbers, names(), names(), names()).prop_map(|(sizes, numbers, read, write, collect)| {
        let mut config = Config::new(fixtures::repository(), numbers.2);
        config.chunker = keepfast_format::chunker::ChunkerParams::of_average(1 << sizes.0);
        (config.data_frame_bytes, config.metadata_frame_bytes, config.pack_bytes) =
            (sizes.1, sizes.2, sizes.3);
        (config.n, config.previous) = (numbers.0, numbers.1.map(ObjectHash::new));
        config.features = Features { read, write, collect };
        config
    })
}

fn snapshot_head() -> impl Strategy<Value = SnapshotHead> {
    let session = option::of(any::<[u8; 16]>());
    let seen = (any::<[u8; 8]>(), any::<u64>(), any::<[u8; 32]>(), session).prop_map(
        |(writer, sequence, hash, random)| Head {
            writer: HolderId::new(writer),
            sequence,
            hash: ObjectHash::new(hash),
            random,
        },
    );
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>());
    (numbers, option::of(any::<[u8; 32]>()), any::<[u8; 32]>(), vec(seen, 0..4)).prop_map(
        |((sequence, config_n, epoch, segments), previous, pack_list, heads)| SnapshotHead {
            id: fixtures::session_id(),
            sequence,
            previous: previous.map(ObjectHash::new),
            config_n,
            epoch,
            segments,
            pack_list: ObjectHash::new(pack_list),
            heads,
            key: fixtures::secrets().key(),
        },
    )
}

pub fn snapshot() -> impl Strategy<Value = Snapshot> {
    let texts = (".{0,9}", ".{0,9}", ".{0,9}", vec(".{0,9}", 0..3));
    let session = || option::of(any::<[u8; 24]>());
    let roots = (id(), option::of(id()), content(), session(), session());
    let names = || vec((any::<u32>(), vec(any::<u8>(), 0..9)), 0..4);
    let lists = (vec(vec(any::<u8>(), 0..9), 0..3), names(), names());
    let body = (time(), time(), texts, roots, lists, any::<[u64; 9]>()).prop_map(
        |(start, end, (host, user, program, tags), roots, (paths, users, groups), n)| SnapshotBody {
            start,
            end,
            host,
            user,
            paths,
            tags,
            parent: roots.3.map(|bytes| SessionId::from_bytes(&bytes)),
            tree: roots.0,
            state: roots.1,
            hard_links: roots.2,
            users,
            groups,
            statistics: Statistics {
                files_new: n[0],
                files_changed: n[1],
                files_unchanged: n[2],
                skipped: n[3],
                dirs: n[4],
                bytes_total: n[5],
                bytes_read: n[6],
                bytes_new: n[7],
                bytes_stored: n[8],
            },
            program,
            origin: roots.4.map(|bytes| SessionId::from_bytes(&bytes)),
        },
    );
    (snapshot_head(), body).prop_map(|(head, body)| Snapshot::new(head, body))
}

/// Frames of chunks, some of which compress.
pub fn frames() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let chunk =
        prop_oneof![vec(any::<u8>(), 0..200), (any::<u8>(), 0..2000_usize).prop_map(|(b, n)| vec![b; n])];
    vec(vec(chunk, 0..5), 0..4)
}
