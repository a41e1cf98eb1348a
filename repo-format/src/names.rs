//! Names of stored objects (SPEC, "Names of objects").

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
pub const STATES: &str = "states/";
/// Prefix of lists of dead sessions.
pub const CATALOGUE: &str = "catalogue/";

/// All folders of a repository.
pub const FOLDERS: [&str; 11] =
    [CONFIG, KEYS, KEYRING, PACKS, INDEX, SESSIONS, SNAPSHOTS, EPOCHS, ACKS, STATES, CATALOGUE];

/// The two objects of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochPart {
    /// What the epoch would remove.
    Condemned,
    /// What the epoch removes: its verdict.
    Done,
}

/// `epochs/<n>/condemned` or `epochs/<n>/done`.
#[must_use]
pub fn epoch(n: u32, part: EpochPart) -> String {
    match part {
        EpochPart::Condemned => format!("{EPOCHS}{n:08x}/condemned"),
        EpochPart::Done => format!("{EPOCHS}{n:08x}/done"),
    }
}

/// `acks/<epoch>/`, the prefix of all answers to an epoch.
#[must_use]
pub fn acks_to(epoch: u32) -> String {
    format!("{ACKS}{epoch:08x}/")
}

/// `acks/<epoch>/<session id>`.
#[must_use]
pub fn ack(epoch: u32, session: SessionId) -> String {
    format!("{ACKS}{epoch:08x}/{session}")
}

/// `acks/<epoch>/<session id>.<tail>`: the name of a session's ack when another object had taken its first
/// name.
#[must_use]
pub fn ack_beside(epoch: u32, session: SessionId, tail: u64) -> String {
    format!("{ACKS}{epoch:08x}/{session}.{tail:016x}")
}

/// `states/<session id>/`, the prefix of all decisions about a snapshot.
#[must_use]
pub fn states_of(snapshot: SessionId) -> String {
    format!("{STATES}{snapshot}/")
}

/// `states/<session id>/<n>`.
#[must_use]
pub fn state(snapshot: SessionId, n: u32) -> String {
    format!("{STATES}{snapshot}/{n:08x}")
}

/// `catalogue/<n>`.
#[must_use]
pub fn catalogue(n: u32) -> String {
    format!("{CATALOGUE}{n:08x}")
}

/// `config/<n>`.
#[must_use]
pub fn config(n: u32) -> String {
    format!("{CONFIG}{n:08x}")
}

/// `keyring/<n>`.
#[must_use]
pub fn keyring(n: u32) -> String {
    format!("{KEYRING}{n:08x}")
}

/// `keys/<id>`.
#[must_use]
pub fn slot(id: SlotId) -> String {
    format!("{KEYS}{id}")
}

/// `packs/<2 hex>/<pack id>.<session id>`.
#[must_use]
pub fn pack(id: PackId, session: SessionId) -> String {
    let hex = id.to_string();
    format!("{PACKS}{}/{hex}.{session}", &hex[..2])
}

/// `index/<session id>.<n>`.
#[must_use]
pub fn segment(session: SessionId, n: u32) -> String {
    format!("{INDEX}{session}.{n:08x}")
}

/// `sessions/<session id>`.
#[must_use]
pub fn session(session: SessionId) -> String {
    format!("{SESSIONS}{session}")
}

/// `snapshots/<session id>`.
#[must_use]
pub fn snapshot(session: SessionId) -> String {
    format!("{SNAPSHOTS}{session}")
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
pub fn parse_pack(name: &str) -> Option<(PackId, SessionId)> {
    let (folder, rest) = name.strip_prefix(PACKS)?.split_once('/')?;
    let (id, session) = rest.split_once('.')?;
    if folder.len() != 2 || !id.starts_with(folder) {
        return None;
    }
    Some((PackId::from_hex(id)?, SessionId::from_name(session)?))
}

/// Reads an index segment's name.
#[must_use]
pub fn parse_segment(name: &str) -> Option<(SessionId, u32)> {
    let (session, n) = name.strip_prefix(INDEX)?.split_once('.')?;
    Some((SessionId::from_name(session)?, parse_u32(n)?))
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

/// The parts of an ack's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckName {
    /// The epoch that it answers. Epochs are counted from 1.
    pub epoch: u32,
    /// The session that answers.
    pub session: SessionId,
    /// The number after the session id, if another object had taken the name without it.
    pub tail: Option<u64>,
}

impl AckName {
    /// The object's name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.tail {
            None => ack(self.epoch, self.session),
            Some(tail) => ack_beside(self.epoch, self.session, tail),
        }
    }
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
pub fn parse_state(name: &str) -> Option<(SessionId, u32)> {
    let (snapshot, n) = name.strip_prefix(STATES)?.split_once('/')?;
    Some((SessionId::from_name(snapshot)?, parse_u32(n)?))
}

/// What an object is, according to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectName {
    /// The config of this number.
    Config(u32),
    /// A key slot.
    Slot(SlotId),
    /// The keyring of this number.
    Keyring(u32),
    /// A pack, and the session that wrote it.
    Pack(PackId, SessionId),
    /// A session's index segment of this number.
    Segment(SessionId, u32),
    /// A session object.
    Session(SessionId),
    /// A snapshot or FENCE.
    Snapshot(SessionId),
    /// A decision about a snapshot, of this number.
    State(SessionId, u32),
    /// One of the two objects of an epoch.
    Epoch(u32, EpochPart),
    /// A session's answer to an epoch.
    Ack(AckName),
    /// The object of the catalogue of this number.
    Catalogue(u32),
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
            PACKS => parse_pack(name).map(|(id, session)| Self::Pack(id, session)),
            INDEX => parse_segment(name).map(|(session, n)| Self::Segment(session, n)),
            SESSIONS => parse_session(SESSIONS, name).map(Self::Session),
            SNAPSHOTS => parse_session(SNAPSHOTS, name).map(Self::Snapshot),
            STATES => parse_state(name).map(|(snapshot, n)| Self::State(snapshot, n)),
            EPOCHS => parse_epoch(name).map(|(n, part)| Self::Epoch(n, part)),
            ACKS => parse_ack(name).map(Self::Ack),
            CATALOGUE => parse_numbered(CATALOGUE, name).map(Self::Catalogue),
            _ => None,
        }
    }
}

fn parse_u32(text: &str) -> Option<u32> {
    decode_hex(text).map(u32::from_be_bytes)
}

fn parse_u64(text: &str) -> Option<u64> {
    decode_hex(text).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::{AckName, ObjectName, ack, ack_beside, epoch, parse_ack, parse_epoch, parse_state, state};
    use super::{EpochPart, pack, parse_numbered, parse_pack, parse_segment, segment};
    use crate::ids::{HolderId, PackId, SessionId};

    #[test]
    fn names_are_read_back_and_near_misses_are_not() {
        let sid = SessionId { writer: HolderId::new([1; 8]), random: [2; 16] };
        let id = PackId::new([0xfe; 32]);
        let name = pack(id, sid);
        assert_eq!(parse_pack(&name), Some((id, sid)));
        assert_eq!(parse_pack(&name.replacen("/fe/", "/fd/", 1)), None);
        assert_eq!(parse_segment(&segment(sid, 9)), Some((sid, 9)));
        assert_eq!(parse_numbered("config/", "config/0000000a"), Some(10));
        assert_eq!(parse_numbered("config/", "config/a"), None);
        assert_eq!(parse_numbered("config/", "config/+000000a"), None);
        assert_eq!(parse_epoch(&epoch(7, EpochPart::Done)), Some((7, EpochPart::Done)));
        assert_eq!(parse_epoch("epochs/00000007/don"), None);
        assert_eq!(parse_epoch("epochs/7/done"), None);
        assert_eq!(parse_ack(&ack(0xff, sid)), Some(AckName { epoch: 0xff, session: sid, tail: None }));
        assert_eq!(parse_ack(&ack(1, sid).replace("/0", "/+")), None);
        let tailed = ack_beside(2, sid, 0xa);
        let read = parse_ack(&tailed).expect("it is the name of an ack");
        assert_eq!((read.tail, read.name()), (Some(0xa), tailed.clone()));
        for near_miss in [&tailed[..tailed.len() - 1], &format!("{tailed}0"), &tailed.to_uppercase()] {
            assert_eq!(parse_ack(near_miss), None, "{near_miss}");
        }
        assert_eq!(parse_ack(&tailed.replace('.', "-")), None);
        assert_eq!(parse_ack(&format!("{}.", ack(2, sid))), None);
        assert_eq!(parse_state(&state(sid, 3)), Some((sid, 3)));
        assert_eq!(parse_state(&state(sid, 3).replace('-', "/")), None);
    }

    #[test]
    fn a_name_has_one_kind_or_none() {
        let sid = SessionId { writer: HolderId::new([1; 8]), random: [2; 16] };
        let id = PackId::new([0xfe; 32]);
        assert_eq!(ObjectName::parse("config/0000000a"), Some(ObjectName::Config(10)));
        assert_eq!(ObjectName::parse(&pack(id, sid)), Some(ObjectName::Pack(id, sid)));
        assert_eq!(ObjectName::parse(&state(sid, 3)), Some(ObjectName::State(sid, 3)));
        let strange = ["", "config", "config/", "/config/0000000a", "config/0000000a/", "config//0000000a"];
        let others = ["keyring/0000000A", "other/0000000a", "acks/00000000", "README", "index/0000000a"];
        for name in strange.iter().chain(&others) {
            assert_eq!(ObjectName::parse(name), None, "{name}");
        }
    }
}
