//! Fixed secrets and one valid object of each structure, the same in every run.
//!
//! Every secret is `bytes(label)`: BLAKE3's extendable output for the label's letters.

use keepfast_format::chunker::{Chunker, ChunkerParams};
use keepfast_format::compress::Compressor;
use keepfast_format::config::Config;
use keepfast_format::content::{ChunkRef, Content, List, ListItem};
use keepfast_format::frame::{ClosedFrame, OpenFrame};
use keepfast_format::ids::{ChunkId, DomainId, HolderId, ObjectHash, PackId, RepositoryId, SessionId};
use keepfast_format::keyring::{Holder, Keyring};
use keepfast_format::keys::{ChunkKind, DomainSecrets, Identity, KeyRef};
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::numbers::{u32_of, u64_of, usize_of};
use keepfast_format::pack::{ChunkEntry, FrameEntry, HEADER_BYTES, PackCipher, PackTable};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::session::Session;
use keepfast_format::slot::{KeySlot, PasswordCost};
use keepfast_format::snapshot::{Head, Snapshot, SnapshotBody, SnapshotHead, Statistics};
use keepfast_format::state::{EntryState, StateTree};
use keepfast_format::tree::{PageRef, Tree};
use zeroize::Zeroizing;

/// The password of the fixture's key slot.
pub const PASSWORD: &[u8] = b"correct horse";
/// Its cost: little memory, but more than one block for each lane.
pub const COST: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, lanes: 1 };
/// The number of the fixture's segment in its session.
pub const SEGMENT_N: u32 = 3;

/// `N` bytes that depend on the label alone.
pub fn bytes<const N: usize>(label: &str) -> [u8; N] {
    let mut out = [0; N];
    blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut out);
    out
}

/// `length` bytes that depend on the label alone.
pub fn stream(label: &str, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(label.as_bytes()).finalize_xof().fill(&mut out);
    out
}

pub fn repository() -> RepositoryId {
    RepositoryId::new(bytes("repository"))
}

pub fn owner() -> Identity {
    Identity::first_owner(&Zeroizing::new(bytes("owner")))
}

pub fn secrets() -> DomainSecrets {
    DomainSecrets::new(DomainId::new(bytes("domain")), &Zeroizing::new(bytes("domain secrets")))
}

pub fn session_id() -> SessionId {
    SessionId { writer: owner().holder(), random: bytes("session") }
}

pub fn chunk_id(label: &str) -> ChunkId {
    ChunkId::new(bytes(label))
}

/// Looks up the owner's key; other holders have none.
pub fn writer<'k>(owner_key: &'k [u8; 32]) -> impl FnOnce(HolderId) -> Option<&'k [u8; 32]> {
    move |id| (id == owner().holder()).then_some(owner_key)
}

pub fn chunker(params: ChunkerParams) -> Chunker {
    Chunker::new(params, &secrets()).expect("valid sizes")
}

/// The lengths of all chunks of `bytes`.
pub fn cut_all(chunker: &Chunker, mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !bytes.is_empty() {
        let length = chunker.cut(bytes);
        lengths.push(length);
        bytes = &bytes[length..];
    }
    lengths
}

pub fn pack_cipher() -> PackCipher {
    PackCipher::create(repository(), &secrets(), ChunkKind::Data, &Zeroizing::new(bytes("pack ephemeral")))
        .expect("the sealing key is a good one")
}

/// The plaintext of the fixture's chunks by frame. The first frame isn't compressible, so that its bytes
/// don't depend on zstd's version; the second one is.
pub fn frames_plain() -> [Vec<Vec<u8>>; 2] {
    [
        vec![stream("chunk a", 300), stream("chunk b", 17), Vec::new()],
        vec![b"keepfast ".repeat(100), vec![0; 500]],
    ]
}

pub fn closed_frame(chunks: &[Vec<u8>]) -> ClosedFrame {
    let mut frame = OpenFrame::default();
    for chunk in chunks {
        frame.push(chunk);
    }
    frame.close(&mut Compressor::new(3), Vec::new())
}

/// A whole pack of these frames with its table; `pack_bytes` as for [`PackCipher::tail`].
pub fn pack_of(frames: &[Vec<Vec<u8>>], pack_bytes: u32) -> (Vec<u8>, PackTable) {
    let cipher = pack_cipher();
    let ids = secrets().chunk_ids();
    let mut pack = cipher.header().to_vec();
    let mut table = PackTable::default();
    for (number, chunks) in frames.iter().enumerate() {
        let closed = closed_frame(chunks);
        let plain_bytes = closed.plain_bytes();
        let sealed = closed.seal(&cipher, u32_of(number));
        table.frames.push(FrameEntry {
            offset: u32_of(pack.len()),
            sealed_bytes: u32_of(sealed.len()),
            plain_bytes,
            chunks: u32_of(chunks.len()),
        });
        pack.extend_from_slice(&sealed);
        table.chunks.extend(
            chunks
                .iter()
                .map(|chunk| ChunkEntry { id: ids.id(ChunkKind::Data, chunk), bytes: u32_of(chunk.len()) }),
        );
    }
    pack.extend(cipher.tail(&table, pack_bytes));
    (pack, table)
}

/// The fixture's pack, padded like the last pack of a run.
pub fn pack() -> (Vec<u8>, PackTable) {
    pack_of(&frames_plain(), 4 << 20)
}

/// A pack of the incompressible frame alone, so that its bytes are fixed.
pub fn stored_pack() -> (Vec<u8>, PackTable) {
    pack_of(&frames_plain()[..1], 4 << 20)
}

/// Frame 0 of the fixture's pack.
pub fn frame() -> Vec<u8> {
    let (pack, table) = pack();
    pack[HEADER_BYTES..HEADER_BYTES + usize_of(table.frames[0].sealed_bytes)].to_vec()
}

pub fn config() -> Config {
    let mut config = Config::new(repository(), 1_700_000_000);
    config.n = 1;
    config.previous = Some(ObjectHash::of(b"config 0"));
    config.features.collect = vec!["states".into()];
    config
}

pub fn config_bytes() -> Vec<u8> {
    config().seal(&owner()).expect("the fixture's sizes are valid")
}

pub fn keyring_bytes() -> Vec<u8> {
    Keyring::create(repository(), &owner(), &secrets(), &Zeroizing::new(bytes("keyring ephemeral")))
        .expect("the owner's key is a good one")
}

/// The domain's secrets after they were changed.
pub fn newer_secrets() -> DomainSecrets {
    let key = KeyRef { version: 2, ..secrets().key() };
    DomainSecrets::of_version(key, &Zeroizing::new(bytes("newer domain secrets")))
}

/// A keyring after a change of keys. It still has the older version, for objects that are stored under it.
pub fn keyring_of_two_versions() -> Vec<u8> {
    let holders = vec![Holder::of(&owner())];
    // The newer one is first: a reader must not rely on the order.
    let secrets = [&newer_secrets(), &secrets()];
    let mut labels = ["newer keyring ephemeral", "keyring ephemeral"].into_iter();
    let ephemeral = || Zeroizing::new(bytes(labels.next().expect("one for each version")));
    Keyring::seal(repository(), &owner(), None, holders, &secrets, ephemeral)
        .expect("the owner's key is a good one")
}

pub fn slot_bytes() -> Vec<u8> {
    KeySlot::wrap(&owner(), repository(), PASSWORD, COST, bytes("slot salt"), bytes("slot nonce"))
        .expect("the fixture's cost is usable")
}

pub fn session() -> Session {
    Session {
        id: session_id(),
        config_n: 1,
        program: "keepfast 0.1.0".into(),
        begun_unix_s: None,
        is_collector: false,
    }
}

pub fn session_bytes() -> Vec<u8> {
    session().seal(repository(), &owner())
}

pub fn snapshot() -> Snapshot {
    let head = SnapshotHead {
        id: session_id(),
        sequence: 7,
        previous: Some(ObjectHash::of(b"snapshot 6")),
        config_n: 1,
        epoch: 0,
        segments: 4,
        pack_list: Snapshot::pack_list_hash(&[PackId::new(bytes("pack 0")), PackId::new(bytes("pack 1"))]),
        heads: vec![Head {
            writer: HolderId::new(bytes("another writer")),
            sequence: 2,
            hash: ObjectHash::of(b"another snapshot"),
            random: None,
        }],
        key: secrets().key(),
    };
    let body = SnapshotBody {
        start: Timestamp { seconds: 1_700_000_000, nanos: 5 },
        end: Timestamp { seconds: -1, nanos: 999_999_999 },
        host: "härbor".into(),
        user: "ann".into(),
        paths: vec![b"/home/ann".to_vec(), b"/\xff".to_vec()],
        tags: vec!["nightly".into()],
        parent: Some(SessionId { writer: owner().holder(), random: bytes("parent") }),
        tree: chunk_id("tree"),
        state: Some(chunk_id("state")),
        hard_links: Content::Inline(vec![ChunkRef { id: chunk_id("links"), len: 60 }]),
        users: vec![(0, b"root".to_vec()), (1000, b"ann".to_vec())],
        groups: vec![(0, b"root".to_vec())],
        statistics: Statistics { files_new: 1, dirs: 2, bytes_stored: u64::MAX, ..Statistics::default() },
        program: "keepfast 0.1.0".into(),
        origin: None,
    };
    Snapshot::new(head, body)
}

pub fn snapshot_bytes() -> Vec<u8> {
    snapshot().seal(repository(), &secrets(), &owner())
}

/// Two packs for the fixture's segment, with a hook among the chunks of each.
pub fn records() -> Vec<PackRecord> {
    let (pack, table) = stored_pack();
    let hook = |label: &str| {
        let mut id: [u8; 32] = bytes(label);
        id[0] = 0xc0;
        ChunkEntry { id: ChunkId::new(id), bytes: 1 }
    };
    let mut first = table;
    first.chunks[0] = ChunkEntry { bytes: first.chunks[0].bytes, ..hook("hook 0") };
    let second = PackTable {
        frames: vec![FrameEntry {
            offset: u32_of(HEADER_BYTES),
            sealed_bytes: 99,
            plain_bytes: 1,
            chunks: 1,
        }],
        chunks: vec![hook("hook 1")],
    };
    vec![
        PackRecord {
            id: PackId::of(&pack),
            kind: ChunkKind::Data,
            stored_bytes: u64_of(pack.len()),
            table: first,
        },
        PackRecord {
            id: PackId::new(bytes("pack 1")),
            kind: ChunkKind::Metadata,
            stored_bytes: 4096,
            table: second,
        },
    ]
}

pub fn segment_bytes() -> Vec<u8> {
    segment::seal(
        repository(),
        &secrets(),
        &owner(),
        session_id(),
        SEGMENT_N,
        &records(),
        bytes("segment salt"),
    )
}

/// A node of each kind and with each optional field, ascending by name.
pub fn nodes() -> Vec<Node> {
    let node = |name: &str, kind: NodeKind| Node {
        name: name.into(),
        mode: 0o644,
        uid: 1000,
        gid: 100,
        mtime: Timestamp { seconds: 1_700_000_000, nanos: 0 },
        xattrs: Vec::new(),
        kind,
        unknown: None,
    };
    let file = |size, content, extents| NodeKind::File { size, content, extents };
    let one = Content::Inline(vec![ChunkRef { id: chunk_id("data"), len: 11 }]);
    let list = Content::List { level: 2, id: chunk_id("list") };
    let bundle = Content::Inline(vec![ChunkRef { id: chunk_id("bundle"), len: 305 }]);
    let mut nodes = vec![
        node("a block device", NodeKind::BlockDevice { major: 8, minor: 1 }),
        node("b character device", NodeKind::CharDevice { major: 1, minor: u32::MAX }),
        node("c directory", NodeKind::Directory { tree: chunk_id("subtree") }),
        node("d empty file", file(0, Content::empty(), Extents::Dense)),
        node("e fifo", NodeKind::Fifo),
        node("f file", file(11, one.clone(), Extents::Dense)),
        node("g large file", file(1 << 40, list.clone(), Extents::Dense)),
        node("h socket", NodeKind::Socket),
        node("i sparse file", file(1 << 20, one.clone(), Extents::Inline(vec![(4096, 5), (8192, 6)]))),
        node("j holes only", file(1 << 20, Content::empty(), Extents::Inline(Vec::new()))),
        node("k very sparse file", file(1 << 30, list, Extents::Blob(one))),
        node("l symbolic link", NodeKind::Symlink { target: b"../\xff".to_vec() }),
        node("m first of a bundle", file(5, bundle.clone(), Extents::Bundled { from: 0 })),
        node("n last of a bundle", file(300, bundle, Extents::Bundled { from: 5 })),
    ];
    nodes[5].mtime = Timestamp { seconds: -5, nanos: 999_999_999 };
    nodes[5].xattrs = vec![(b"user.a".to_vec(), b"1".to_vec()), (b"user.b".to_vec(), Vec::new())];
    nodes[2].mode = 0o7777;
    nodes[13].xattrs = vec![(b"user.c".to_vec(), b"3".to_vec())];
    nodes
}

pub fn tree() -> Tree {
    Tree::Page(nodes())
}

pub fn tree_index() -> Tree {
    Tree::Index(vec![
        PageRef { first: b"a".to_vec(), id: chunk_id("page 0") },
        PageRef { first: b"m\xff".to_vec(), id: chunk_id("page 1") },
    ])
}

pub fn state() -> StateTree {
    let state =
        EntryState { ctime: Timestamp { seconds: -1, nanos: 1 }, inode: 12, device: 2049, children: None };
    StateTree::Page(vec![state, EntryState { children: Some(chunk_id("state page")), ..state }])
}

pub fn state_index() -> StateTree {
    StateTree::Index(vec![chunk_id("state page 0"), chunk_id("state page 1")])
}

pub fn list() -> List {
    List {
        level: 1,
        items: vec![
            ListItem { id: chunk_id("data 0"), bytes: 16384 },
            ListItem { id: chunk_id("data 1"), bytes: 3 },
        ],
    }
}

/// Two groups of hard links.
pub fn links() -> Vec<Vec<Vec<u8>>> {
    vec![vec![b"home/a".to_vec(), b"home/b".to_vec()], vec![b"x".to_vec(), b"y\xff".to_vec(), b"z".to_vec()]]
}

pub fn session_with_begin_bytes() -> Vec<u8> {
    Session { begun_unix_s: Some(1_700_000_000), ..session() }.seal(repository(), &owner())
}
