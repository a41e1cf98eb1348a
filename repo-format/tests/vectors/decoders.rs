//! Every decoder by the name of its structure. Each reads an object's bytes completely, as a reader does,
//! with the fixture's keys.

use keepfast_format::numbers::{u32_of, usize_of};
use std::sync::LazyLock;

use keepfast_format::FormatError;
use keepfast_format::catalogue::Catalogue;
use keepfast_format::config::Config;
use keepfast_format::content::List;
use keepfast_format::decision::Decision;
use keepfast_format::epoch::{Ack, Condemned, StoredVerdict};
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::keyring::Keyring;
use keepfast_format::pack::{DirectoryPlace, PackCipher, PackHeader};
use keepfast_format::segment::SegmentHead;
use keepfast_format::session::Session;
use keepfast_format::signed::Envelope;
use keepfast_format::slot::KeySlot;
use keepfast_format::snapshot::Register;
use keepfast_format::state::StateTree;
use keepfast_format::tree::{Tree, decode_blob};
use keepfast_format::{links, node};

use crate::collected::{CATALOGUE_N, DECISION_N, EPOCH, writers_session_id};
use crate::fixtures::{
    self, PASSWORD, SEGMENT_N, owner, pack_cipher, repository, secrets, session_id, writer,
};
use crate::{collected, craft};

/// A decoder of one structure.
pub type Decode = fn(&[u8]) -> Result<(), FormatError>;

/// The structures, the decoder of each, and a valid example for it.
pub const ALL: &[(&str, Decode, fn() -> Vec<u8>)] = &[
    ("ack", open_ack, collected::ack_bytes),
    ("blob", |b| decode_blob(b).map(drop), || keepfast_format::tree::encode_blob(b"piece")),
    ("catalogue", open_catalogue, collected::catalogue_bytes),
    ("condemned", open_condemned, collected::condemned_bytes),
    ("config", |b| Config::open(b, repository(), 1, owner().owners()).map(drop), fixtures::config_bytes),
    ("decision", open_decision, collected::decision_bytes),
    ("envelope", |b| Envelope::decode(b).map(drop), fixtures::session_bytes),
    ("extents", |b| node::extents_from_bytes(b).map(drop), || node::extents_to_bytes(&[(1, 2), (3, 4)])),
    ("fence_by_writer", open_fence_by_writer, collected::fence_by_writer_bytes),
    ("frame", |b| FrameReader::default().open(&pack_cipher(), 0, b), fixtures::frame),
    ("keyring", open_keyring, fixtures::keyring_bytes),
    ("links", |b| links::decode(b).map(drop), || links::encode(&fixtures::links())),
    ("list", |b| List::decode(b).map(drop), || fixtures::list().encode()),
    ("pack", open_pack, || fixtures::pack().0),
    ("pack_footer", |b| DirectoryPlace::decode(b, 1000).map(drop), || craft::footer(400, 300)),
    ("pack_header", |b| PackHeader::decode(b).map(drop), || pack_cipher().header().to_vec()),
    ("segment", open_segment, fixtures::segment_bytes),
    ("session", open_session, fixtures::session_bytes),
    ("slot", open_slot, fixtures::slot_bytes),
    ("snapshot", open_snapshot, fixtures::snapshot_bytes),
    ("state", |b| StateTree::decode(b).map(drop), || fixtures::state().encode()),
    ("tree", |b| Tree::decode(b).map(drop), || fixtures::tree().encode()),
    ("verdict", open_verdict, collected::verdict_bytes),
    ("verdict_by_ids", open_verdict, collected::verdict_by_ids_bytes),
];

/// The decoder of a structure.
pub fn decoder(structure: &str) -> Option<Decode> {
    ALL.iter().find(|(name, ..)| *name == structure).map(|(_, decode, _)| *decode)
}

fn open_keyring(bytes: &[u8]) -> Result<(), FormatError> {
    let owner = owner();
    Keyring::open(bytes, repository(), 0, owner.owners())?.secrets(&owner).map(drop)
}

fn open_pack(bytes: &[u8]) -> Result<(), FormatError> {
    let header = PackHeader::decode(bytes)?;
    let cipher = PackCipher::open_pack(&header, repository(), &secrets())?;
    let table = cipher.directory(bytes)?;
    let mut reader = FrameReader::default();
    for (number, frame) in table.frames.iter().enumerate() {
        let start = usize_of(frame.offset);
        reader.open(&cipher, u32_of(number), &bytes[start..start + usize_of(frame.sealed_bytes)])?;
    }
    Ok(())
}

fn open_segment(bytes: &[u8]) -> Result<(), FormatError> {
    let what = "index segment";
    let key = owner().verifying_key();
    let head = SegmentHead::open(bytes, repository(), session_id(), SEGMENT_N, writer(&key))?;
    let at = |(offset, length): (usize, usize)| {
        bytes.get(offset..offset + length).ok_or(FormatError::Truncated { what })
    };
    head.open_hooks(repository(), &secrets(), at(head.hooks_place())?)?;
    for ordinal in 0..head.packs.len() {
        let place = head.table_place(ordinal).expect("each pack has a table");
        head.open_table(repository(), &secrets(), ordinal, at(place)?)?;
    }
    // The head can't tell whether bytes follow the last section, so a reader of the whole object checks it.
    if bytes.len() > head.total_bytes() { Err(FormatError::TrailingBytes { what }) } else { Ok(()) }
}

fn open_session(bytes: &[u8]) -> Result<(), FormatError> {
    Session::open(bytes, repository(), &owner().verifying_key()).map(drop)
}

fn open_slot(bytes: &[u8]) -> Result<(), FormatError> {
    KeySlot::decode(bytes)?.unwrap(PASSWORD).map(drop)
}

/// Opens a snapshot register with the fixture's keys.
pub fn register(bytes: &[u8]) -> Result<Register, FormatError> {
    let (owner, secrets) = (owner(), secrets());
    let key = owner.verifying_key();
    let lookup = |wanted| (wanted == secrets.key()).then_some(&secrets);
    Register::open(bytes, repository(), session_id(), writer(&key), owner.owners(), lookup)
}

fn open_snapshot(bytes: &[u8]) -> Result<(), FormatError> {
    register(bytes).map(drop)
}

/// The holders that may write, according to the keyring of these decoders. No slot pins "another owner".
static WRITERS: LazyLock<Vec<(HolderId, [u8; 32])>> = LazyLock::new(|| {
    let holder = |label: &str| {
        let id = craft::holder_id(label).try_into().expect("eight bytes");
        (HolderId::new(id), craft::verifying_key(label))
    };
    ["owner", "another owner", "writer", "another writer"].map(holder).to_vec()
});

fn writer_key(wanted: HolderId) -> Option<&'static [u8; 32]> {
    WRITERS.iter().find(|(id, _)| *id == wanted).map(|(_, key)| key)
}

/// Opens the register of a session of a writer that isn't an owner.
pub fn writers_register(bytes: &[u8]) -> Result<Register, FormatError> {
    Register::open(bytes, repository(), *WRITERS_SESSION, writer_key, owner().owners(), |_| None)
}

/// A static, because making the writer's identity takes the work of a password.
static WRITERS_SESSION: LazyLock<SessionId> = LazyLock::new(writers_session_id);

fn open_fence_by_writer(bytes: &[u8]) -> Result<(), FormatError> {
    writers_register(bytes).map(drop)
}

fn open_condemned(bytes: &[u8]) -> Result<(), FormatError> {
    Condemned::open(bytes, repository(), EPOCH, owner().owners()).map(drop)
}

fn open_ack(bytes: &[u8]) -> Result<(), FormatError> {
    Ack::open(bytes, repository(), EPOCH, *WRITERS_SESSION, writer_key).map(drop)
}

fn open_verdict(bytes: &[u8]) -> Result<(), FormatError> {
    StoredVerdict::open(bytes, repository(), EPOCH, owner().owners()).map(drop)
}

fn open_decision(bytes: &[u8]) -> Result<(), FormatError> {
    Decision::open(bytes, repository(), *WRITERS_SESSION, DECISION_N, owner().owners()).map(drop)
}

fn open_catalogue(bytes: &[u8]) -> Result<(), FormatError> {
    Catalogue::open(bytes, repository(), CATALOGUE_N, owner().owners()).map(drop)
}
