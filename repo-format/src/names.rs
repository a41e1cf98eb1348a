//! Names of stored objects (SPEC, "Names of objects").
//!
//! A store has names as text, and in it anyone may have put anything. A name is known to be the format's once it
//! is an [`ObjectName`], or the name of one kind of object.

use std::fmt;

use crate::ids::{PackId, SessionId, SlotId, decode_hex};

/// Prefix of configs.
pub const CONFIG: &str = "config/";
/// Prefix of key slots.
pub const KEYS: &str = "keys/";
/// Prefix of keyrings.
pub const KEYRING: &str = "keyring/";
/// The common beginning of the names of key slots and keyrings, to list both at once.
pub const KEY_OBJECTS: &str = "key";
/// Prefix of packs.
pub const PACKS: &str = "packs/";
/// Prefix of index segments.
pub const INDEX: &str = "index/";
/// Prefix of session objects.
pub const SESSIONS: &str = "sessions/";
/// Prefix of snapshots.
pub const SNAPSHOTS: &str = "snapshots/";
/// Prefix of garbage collection's epochs.
pub const EPOCHS: &str = "epochs/";
/// Prefix of sessions' answers to epochs.
pub const ACKS: &str = "acks/";
/// Prefix of decisions about snapshots.
pub const DECISIONS: &str = "states/";
/// Prefix of lists of dead sessions.
pub const CATALOGUE: &str = "catalogue/";

/// All folders of a repository.
pub const FOLDERS: [&str; 11] =
    [CONFIG, KEYS, KEYRING, PACKS, INDEX, SESSIONS, SNAPSHOTS, EPOCHS, ACKS, DECISIONS, CATALOGUE];

/// The two objects of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpochPart {
    /// What the epoch would remove.
    Condemned,
    /// What the epoch removes: its verdict.
    Done,
}

/// The name of a stored pack, in its two parts: `packs/<2 hex>/<pack id>.<session id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName {
    /// Its id.
    pub id: PackId,
    /// The session that wrote it.
    pub session: SessionId,
}

impl PackName {
    /// Length of the binary form: pack id, then session id.
    pub const SIZE: usize = PackId::SIZE + SessionId::SIZE;

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let (id, session) = bytes.split_at_mut(PackId::SIZE);
        id.copy_from_slice(self.id.as_bytes());
        session.copy_from_slice(&self.session.to_bytes());
        bytes
    }

    /// The name that a binary form stands for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (mut id, mut session) = ([0; PackId::SIZE], [0; SessionId::SIZE]);
        id.copy_from_slice(&bytes[..PackId::SIZE]);
        session.copy_from_slice(&bytes[PackId::SIZE..]);
        Self { id: PackId::new(id), session: SessionId::from_bytes(&session) }
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, session } = self;
        write!(f, "{PACKS}{:02x}/{id}.{session}", id.as_bytes()[0])
    }
}

/// The name of an index segment: `index/<session id>.<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The session that wrote it.
    pub session: SessionId,
    /// Its number among the session's segments, from 0.
    pub n: u32,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{INDEX}{}.{:08x}", self.session, self.n)
    }
}

/// The name of a decision about a snapshot: `states/<session id>/<n>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionName {
    /// The snapshot.
    pub snapshot: SessionId,
    /// The decision's number among those about this snapshot, from 0.
    pub n: u32,
}

impl fmt::Display for DecisionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DECISIONS}{}/{:08x}", self.snapshot, self.n)
    }
}

/// The name of an ack: `acks/<epoch>/<session id>`, or `acks/<epoch>/<session id>.<tail>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckName {
    /// The epoch that it answers. Epochs are counted from 1.
    pub epoch: u32,
    /// The session that answers.
    pub session: SessionId,
    /// The number after the session id, if another object had taken the name without it.
    pub tail: Option<u64>,
}

impl fmt::Display for AckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ACKS}{:08x}/{}", self.epoch, self.session)?;
        self.tail.map_or(Ok(()), |tail| write!(f, ".{tail:016x}"))
    }
}

/// The name of a stored object, which says what the object is. A value is always a name of the format; its text
/// is what it displays. Names compare as their texts do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// A session's answer to an epoch.
    Ack(AckName),
    /// The object of the catalogue of this number.
    Catalogue(u32),
    /// The config of this number.
    Config(u32),
    /// One of the two objects of an epoch.
    Epoch(u32, EpochPart),
    /// An index segment.
    Segment(SegmentName),
    /// The keyring of this number.
    Keyring(u32),
    /// A key slot.
    Slot(SlotId),
    /// A pack.
    Pack(PackName),
    /// A session object.
    Session(SessionId),
    /// A snapshot or FENCE.
    Snapshot(SessionId),
    /// A decision about a snapshot.
    Decision(DecisionName),
}

impl ObjectName {
    /// Reads a name. `None` if it isn't exactly a name of the format.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let folder = name.split_inclusive('/').next()?;
        match folder {
            CONFIG => parse_numbered(CONFIG, name).map(Self::Config),
            KEYS => parse_slot(name).map(Self::Slot),
            KEYRING => parse_numbered(KEYRING, name).map(Self::Keyring),
            PACKS => parse_pack(name).map(Self::Pack),
            INDEX => parse_segment(name).map(Self::Segment),
            SESSIONS => parse_session(SESSIONS, name).map(Self::Session),
            SNAPSHOTS => parse_session(SNAPSHOTS, name).map(Self::Snapshot),
            DECISIONS => parse_decision(name).map(Self::Decision),
            EPOCHS => parse_epoch(name).map(|(n, part)| Self::Epoch(n, part)),
            ACKS => parse_ack(name).map(Self::Ack),
            CATALOGUE => parse_numbered(CATALOGUE, name).map(Self::Catalogue),
            _ => None,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ack(name) => name.fmt(f),
            Self::Catalogue(n) => write!(f, "{CATALOGUE}{n:08x}"),
            Self::Config(n) => write!(f, "{CONFIG}{n:08x}"),
            Self::Epoch(n, EpochPart::Condemned) => write!(f, "{EPOCHS}{n:08x}/condemned"),
            Self::Epoch(n, EpochPart::Done) => write!(f, "{EPOCHS}{n:08x}/done"),
            Self::Segment(name) => name.fmt(f),
            Self::Keyring(n) => write!(f, "{KEYRING}{n:08x}"),
            Self::Slot(id) => write!(f, "{KEYS}{id}"),
            Self::Pack(name) => name.fmt(f),
            Self::Session(session) => write!(f, "{SESSIONS}{session}"),
            Self::Snapshot(session) => write!(f, "{SNAPSHOTS}{session}"),
            Self::Decision(name) => name.fmt(f),
        }
    }
}

impl From<AckName> for ObjectName {
    fn from(name: AckName) -> Self {
        Self::Ack(name)
    }
}

impl From<SegmentName> for ObjectName {
    fn from(name: SegmentName) -> Self {
        Self::Segment(name)
    }
}

impl From<PackName> for ObjectName {
    fn from(name: PackName) -> Self {
        Self::Pack(name)
    }
}

impl From<DecisionName> for ObjectName {
    fn from(name: DecisionName) -> Self {
        Self::Decision(name)
    }
}

/// `epochs/<n>/condemned` or `epochs/<n>/done`.
#[must_use]
pub const fn epoch(n: u32, part: EpochPart) -> ObjectName {
    ObjectName::Epoch(n, part)
}

/// `acks/<epoch>/`, the prefix of all answers to an epoch.
#[must_use]
pub fn acks_to(epoch: u32) -> String {
    format!("{ACKS}{epoch:08x}/")
}

/// `acks/<epoch>/<session id>`.
#[must_use]
pub const fn ack(epoch: u32, session: SessionId) -> ObjectName {
    ObjectName::Ack(AckName { epoch, session, tail: None })
}

/// `acks/<epoch>/<session id>.<tail>`: the name of a session's ack when another object had taken its first
/// name.
#[must_use]
pub const fn ack_with_tail(epoch: u32, session: SessionId, tail: u64) -> ObjectName {
    ObjectName::Ack(AckName { epoch, session, tail: Some(tail) })
}

/// `states/<session id>/`, the prefix of all decisions about a snapshot.
#[must_use]
pub fn decisions_about(snapshot: SessionId) -> String {
    format!("{DECISIONS}{snapshot}/")
}

/// `states/<session id>/<n>`.
#[must_use]
pub const fn decision(snapshot: SessionId, n: u32) -> ObjectName {
    ObjectName::Decision(DecisionName { snapshot, n })
}

/// `catalogue/<n>`.
#[must_use]
pub const fn catalogue(n: u32) -> ObjectName {
    ObjectName::Catalogue(n)
}

/// `config/<n>`.
#[must_use]
pub const fn config(n: u32) -> ObjectName {
    ObjectName::Config(n)
}

/// `keyring/<n>`.
#[must_use]
pub const fn keyring(n: u32) -> ObjectName {
    ObjectName::Keyring(n)
}

/// `keys/<id>`.
#[must_use]
pub const fn slot(id: SlotId) -> ObjectName {
    ObjectName::Slot(id)
}

/// `packs/<2 hex>/<pack id>.<session id>`.
#[must_use]
pub const fn pack(id: PackId, session: SessionId) -> ObjectName {
    ObjectName::Pack(PackName { id, session })
}

/// `index/<session id>.<n>`.
#[must_use]
pub const fn segment(session: SessionId, n: u32) -> ObjectName {
    ObjectName::Segment(SegmentName { session, n })
}

/// `sessions/<session id>`.
#[must_use]
pub const fn session(session: SessionId) -> ObjectName {
    ObjectName::Session(session)
}

/// `snapshots/<session id>`.
#[must_use]
pub const fn snapshot(session: SessionId) -> ObjectName {
    ObjectName::Snapshot(session)
}

/// Reads the number at the end of the name of a config, a keyring or an object of the catalogue.
#[must_use]
pub fn parse_numbered(prefix: &str, name: &str) -> Option<u32> {
    parse_u32(name.strip_prefix(prefix)?)
}

/// Reads a key slot's name.
#[must_use]
pub fn parse_slot(name: &str) -> Option<SlotId> {
    SlotId::from_hex(name.strip_prefix(KEYS)?)
}

/// Reads a pack's name. The two-digit folder must match the id.
#[must_use]
pub fn parse_pack(name: &str) -> Option<PackName> {
    let (folder, rest) = name.strip_prefix(PACKS)?.split_once('/')?;
    let (id, session) = rest.split_once('.')?;
    if folder.len() != 2 || !id.starts_with(folder) {
        return None;
    }
    Some(PackName { id: PackId::from_hex(id)?, session: SessionId::from_name(session)? })
}

/// Reads an index segment's name.
#[must_use]
pub fn parse_segment(name: &str) -> Option<SegmentName> {
    let (session, n) = name.strip_prefix(INDEX)?.split_once('.')?;
    Some(SegmentName { session: SessionId::from_name(session)?, n: parse_u32(n)? })
}

/// Reads the name of a session object or of a snapshot, according to the prefix.
#[must_use]
pub fn parse_session(prefix: &str, name: &str) -> Option<SessionId> {
    SessionId::from_name(name.strip_prefix(prefix)?)
}

/// Reads the name of an epoch's object.
#[must_use]
pub fn parse_epoch(name: &str) -> Option<(u32, EpochPart)> {
    let (n, part) = name.strip_prefix(EPOCHS)?.split_once('/')?;
    let part = match part {
        "condemned" => EpochPart::Condemned,
        "done" => EpochPart::Done,
        _ => return None,
    };
    // 0 means the time before the first epoch. It isn't an epoch.
    let n = parse_u32(n).filter(|n| *n > 0)?;
    Some((n, part))
}

/// Reads an ack's name in either form.
#[must_use]
pub fn parse_ack(name: &str) -> Option<AckName> {
    let (epoch, rest) = name.strip_prefix(ACKS)?.split_once('/')?;
    let (session, tail) = match rest.split_once('.') {
        None => (rest, None),
        Some((session, tail)) => (session, Some(parse_u64(tail)?)),
    };
    // No session answers the time before the first epoch.
    let epoch = parse_u32(epoch).filter(|n| *n > 0)?;
    Some(AckName { epoch, session: SessionId::from_name(session)?, tail })
}

/// Reads the name of a decision about a snapshot.
#[must_use]
pub fn parse_decision(name: &str) -> Option<DecisionName> {
    let (snapshot, n) = name.strip_prefix(DECISIONS)?.split_once('/')?;
    Some(DecisionName { snapshot: SessionId::from_name(snapshot)?, n: parse_u32(n)? })
}

fn parse_u32(text: &str) -> Option<u32> {
    decode_hex(text).map(u32::from_be_bytes)
}

fn parse_u64(text: &str) -> Option<u64> {
    decode_hex(text).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::{AckName, DecisionName, EpochPart, FOLDERS, ObjectName, PackName, SegmentName};
    use super::{
        ack, ack_with_tail, catalogue, config, decision, epoch, keyring, pack, segment, session, slot,
    };
    use super::{
        parse_ack, parse_decision, parse_epoch, parse_numbered, parse_pack, parse_segment, snapshot,
    };
    use crate::ids::{HolderId, PackId, SessionId, SlotId};

    #[test]
    fn names_are_read_back_and_near_misses_are_not() {
        let sid = SessionId { writer: HolderId::new([1; 8]), random: [2; 16] };
        let id = PackId::new([0xfe; 32]);
        let name = pack(id, sid).to_string();
        assert_eq!(parse_pack(&name), Some(PackName { id, session: sid }));
        assert_eq!(parse_pack(&name.replacen("/fe/", "/fd/", 1)), None);
        assert_eq!(parse_segment(&segment(sid, 9).to_string()), Some(SegmentName { session: sid, n: 9 }));
        assert_eq!(parse_numbered("config/", "config/0000000a"), Some(10));
        assert_eq!(parse_numbered("config/", "config/a"), None);
        assert_eq!(parse_numbered("config/", "config/+000000a"), None);
        assert_eq!(parse_epoch(&epoch(7, EpochPart::Done).to_string()), Some((7, EpochPart::Done)));
        assert_eq!(parse_epoch("epochs/00000007/don"), None);
        assert_eq!(parse_epoch("epochs/7/done"), None);
        let name = ack(0xff, sid).to_string();
        assert_eq!(parse_ack(&name), Some(AckName { epoch: 0xff, session: sid, tail: None }));
        assert_eq!(parse_ack(&name.replace("/0", "/+")), None);
        assert_eq!(parse_ack(&format!("{name}.")), None);
        let tailed = ack_with_tail(2, sid, 0xa).to_string();
        assert_eq!(parse_ack(&tailed), Some(AckName { epoch: 2, session: sid, tail: Some(0xa) }));
        for near_miss in [&tailed[..tailed.len() - 1], &format!("{tailed}0"), &tailed.to_uppercase()] {
            assert_eq!(parse_ack(near_miss), None, "{near_miss}");
        }
        assert_eq!(parse_ack(&tailed.replace('.', "-")), None);
        let name = decision(sid, 3).to_string();
        assert_eq!(parse_decision(&name), Some(DecisionName { snapshot: sid, n: 3 }));
        assert_eq!(parse_decision(&name.replace('-', "/")), None);
    }

    #[test]
    fn a_name_has_one_kind_or_none() {
        let sid = SessionId { writer: HolderId::new([1; 8]), random: [2; 16] };
        let id = PackId::new([0xfe; 32]);
        assert_eq!(ObjectName::parse("config/0000000a"), Some(ObjectName::Config(10)));
        let name = PackName { id, session: sid };
        assert_eq!(ObjectName::parse(&name.to_string()), Some(ObjectName::Pack(name)));
        let name = DecisionName { snapshot: sid, n: 3 };
        assert_eq!(ObjectName::parse(&name.to_string()), Some(ObjectName::Decision(name)));
        let strange = ["", "config", "config/", "/config/0000000a", "config/0000000a/", "config//0000000a"];
        let others = ["keyring/0000000A", "other/0000000a", "acks/00000000", "README", "index/0000000a"];
        for name in strange.iter().chain(&others) {
            assert_eq!(ObjectName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn names_of_all_kinds_are_read_back_and_compare_as_their_texts_do() {
        let mut names = Vec::new();
        for byte in [0x1f, 0xf1] {
            let n = u32::from(byte);
            let sid = SessionId { writer: HolderId::new([byte; 8]), random: [2; 16] };
            names.extend([catalogue(n), config(n), keyring(n), slot(SlotId::new([byte; 16]))]);
            for sid in [sid, SessionId { random: [byte; 16], ..sid }] {
                names.extend([pack(PackId::new([byte; 32]), sid), pack(PackId::new([7; 32]), sid)]);
                names.extend([session(sid), snapshot(sid)]);
                for n in [1, n] {
                    names.extend([segment(sid, n), decision(sid, n), ack(n, sid), ack_with_tail(n, sid, 0)]);
                    names.extend([epoch(n, EpochPart::Condemned), epoch(n, EpochPart::Done)]);
                }
            }
        }
        let is_there = |folder: &&str| names.iter().any(|name| name.to_string().starts_with(*folder));
        assert!(FOLDERS.iter().all(is_there), "each folder has a name here");
        for name in &names {
            assert_eq!(ObjectName::parse(&name.to_string()), Some(*name));
            for other in &names {
                assert_eq!(name.cmp(other), name.to_string().cmp(&other.to_string()), "{name}, {other}");
            }
        }
    }
}
