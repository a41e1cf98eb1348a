//! SPEC's worked example: a whole repository of one file, and each value on the way from its
//! password to the file's bytes. SPEC.md lists the values; `worked/` has the objects.

use keepfast_format::numbers::{u32_of, u64_of};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keepfast_format::config::Config;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::frame::OpenFrame;
use keepfast_format::ids::{ChunkId, PackId, SlotId};
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::pack::{ChunkEntry, FrameEntry, HEADER_BYTES, PackCipher, PackTable};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::snapshot::{Snapshot, SnapshotBody, SnapshotHead, Statistics};
use keepfast_format::tree::Tree;
use keepfast_format::{compress::Compressor, names, session::Session};
use zeroize::Zeroizing;

use crate::fixtures::{self, bytes, owner, repository, secrets, session_id};
use crate::{bless, walk};

/// The one file's bytes.
pub const PLAIN: &[u8] = b"Hello, stranger!\n";
/// The one file's name, in the root.
pub const NAME: &[u8] = b"hello";

fn chunk_id(kind: ChunkKind, plain: &[u8]) -> ChunkId {
    secrets().chunk_ids().id(kind, plain)
}

/// A pack of one chunk, and what a segment says of it.
fn pack(kind: ChunkKind, ephemeral: &str, plain: &[u8]) -> (Vec<u8>, PackRecord) {
    let cipher = PackCipher::create(repository(), &secrets(), kind, &Zeroizing::new(bytes(ephemeral)))
        .expect("the sealing key is a good one");
    let mut frame = OpenFrame::default();
    frame.push(plain);
    let sealed = frame.close(&mut Compressor::new(3), Vec::new()).seal(&cipher, 0);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a short example");
    let entry = FrameEntry {
        offset: u32_of(HEADER_BYTES),
        sealed_bytes: length(&sealed),
        plain_bytes: length(plain),
        chunks: 1,
    };
    let chunk = ChunkEntry { id: chunk_id(kind, plain), bytes: length(plain) };
    let table = PackTable { frames: vec![entry], chunks: vec![chunk] };
    let stored = [cipher.header().as_slice(), &sealed, &cipher.tail(&table, 4 << 20)].concat();
    let record = PackRecord { id: PackId::of(&stored), kind, stored_bytes: u64_of(stored.len()), table };
    (stored, record)
}

fn root() -> Vec<u8> {
    let content = ChunkRef {
        id: chunk_id(ChunkKind::Data, PLAIN),
        len: u32::try_from(PLAIN.len()).expect("a short example"),
    };
    let kind = NodeKind::File {
        size: u64_of(PLAIN.len()),
        content: Content::Inline(vec![content]),
        extents: Extents::Dense,
    };
    Tree::Page(vec![Node {
        name: NAME.to_vec(),
        mode: 0o644,
        uid: 1000,
        gid: 100,
        mtime: Timestamp { seconds: 1_700_000_000, nanos: 0 },
        xattrs: Vec::new(),
        kind,
        unknown: None,
    }])
    .encode()
}

fn snapshot(packs: &[PackRecord]) -> Snapshot {
    let head = SnapshotHead {
        id: session_id(),
        sequence: 0,
        previous: None,
        config_n: 0,
        epoch: 0,
        segments: 1,
        pack_list: Snapshot::pack_list_hash(packs.iter().map(|pack| &pack.id)),
        heads: Vec::new(),
        key: secrets().key(),
    };
    let time = Timestamp { seconds: 1_700_000_000, nanos: 0 };
    let body = SnapshotBody {
        start: time,
        end: time,
        host: "harbour".into(),
        user: "ann".into(),
        paths: vec![NAME.to_vec()],
        tags: Vec::new(),
        parent: None,
        tree: chunk_id(ChunkKind::Metadata, &root()),
        state: None,
        hard_links: Content::empty(),
        users: vec![(1000, b"ann".to_vec())],
        groups: vec![(100, b"users".to_vec())],
        statistics: Statistics { files_new: 1, bytes_total: u64_of(PLAIN.len()), ..Statistics::default() },
        program: "keepfast 0.1.0".into(),
        origin: None,
    };
    Snapshot::new(head, body)
}

/// All objects of the repository, by name.
pub fn objects() -> BTreeMap<String, Vec<u8>> {
    let (data_pack, data) = pack(ChunkKind::Data, "worked data ephemeral", PLAIN);
    let (metadata_pack, metadata) = pack(ChunkKind::Metadata, "worked metadata ephemeral", &root());
    let (sid, owner) = (session_id(), owner());
    let session = Session { config_n: 0, ..fixtures::session() }.seal(repository(), &owner);
    let config = Config::new(repository(), 1_700_000_000).seal(&owner).expect("the sizes are valid");
    let slot = fixtures::slot_bytes();
    let (data_name, metadata_name) = (names::pack(data.id, sid), names::pack(metadata.id, sid));
    let records = [data, metadata];
    let salt = bytes("worked segment salt");
    let segment = segment::seal(repository(), &secrets(), &owner, sid, 0, &records, salt);
    let snapshot = snapshot(&records).seal(repository(), &secrets(), &owner);
    let objects = [
        (names::slot(SlotId::of(&slot)), slot),
        (names::keyring(0), fixtures::keyring_bytes()),
        (names::config(0), config),
        (names::session(sid), session),
        (data_name, data_pack),
        (metadata_name, metadata_pack),
        (names::segment(sid, 0), segment),
        (names::snapshot(sid), snapshot),
    ];
    objects.into_iter().map(|(name, bytes)| (name.to_string(), bytes)).collect()
}

fn folder() -> PathBuf {
    bless::folder().join("worked")
}

/// What is stored below a folder, by name.
fn stored(folder: &Path, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_dir() {
            found.extend(stored(&path, &format!("{name}/")));
        } else {
            found.insert(name, std::fs::read(&path).expect("a readable object"));
        }
    }
    found
}

/// This is one test, because its first part may write the files that the rest reads.
#[test]
fn the_worked_example_is_stored_and_every_value_in_spec_is_found_on_the_way() {
    if bless::wanted() {
        let _ = std::fs::remove_dir_all(folder());
        for (name, bytes) in objects() {
            let path = folder().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            std::fs::write(path, bytes).expect("it can be written");
        }
    }
    let stored = stored(&folder(), "");
    assert_eq!(stored, objects(), "the program makes other objects");
    let found = walk::from_password_to_file(&stored, fixtures::PASSWORD);
    assert_eq!(walk::file_of(&found), PLAIN);
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../SPEC.md");
    let listed = walk::listed_in(&std::fs::read_to_string(spec).expect("SPEC.md is there"));
    let lines: Vec<String> = found.iter().map(walk::line).collect();
    assert!(found == listed, "SPEC.md should list:\n{}\nand lists {} values", lines.concat(), listed.len());
}
