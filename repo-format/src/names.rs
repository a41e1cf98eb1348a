//! Names of stored objects (SPEC, "Names of objects").

use crate::ids::{PackId, SessionId, SlotId};

/// Prefix of configs.
pub const CONFIG: &str = "config/";
/// Prefix of key slots.
pub const KEYS: &str = "keys/";
/// Prefix of keyrings.
pub const KEYRING: &str = "keyring/";
/// What both of these begin with: they can be listed together.
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

/// The two objects of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochPart {
    /// What it would remove.
    Condemned,
    /// What it removes.
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

/// Reads the number at the end of a config's or keyring's name.
#[must_use]
pub fn parse_numbered(prefix: &str, name: &str) -> Option<u32> {
    parse_u32(name.strip_prefix(prefix)?)
}

/// Reads a key slot's name.
#[must_use]
pub fn parse_slot(name: &str) -> Option<SlotId> {
    SlotId::from_hex(name.strip_prefix(KEYS)?)
}

/// Reads a pack's name; the two-digit folder must fit the id.
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

/// Reads the name of a session object or snapshot, whichever the prefix says.
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
    // 0 is the time before the first epoch, and no epoch.
    let n = parse_u32(n).filter(|n| *n > 0)?;
    Some((n, part))
}

/// Reads an ack's name.
#[must_use]
pub fn parse_ack(name: &str) -> Option<(u32, SessionId)> {
    let (epoch, session) = name.strip_prefix(ACKS)?.split_once('/')?;
    Some((parse_u32(epoch)?, SessionId::from_name(session)?))
}

/// Reads the name of a decision about a snapshot.
#[must_use]
pub fn parse_state(name: &str) -> Option<(SessionId, u32)> {
    let (snapshot, n) = name.strip_prefix(STATES)?.split_once('/')?;
    Some((SessionId::from_name(snapshot)?, parse_u32(n)?))
}

fn parse_u32(text: &str) -> Option<u32> {
    let lower_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == 8 && lower_hex).then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::{EpochPart, pack, parse_numbered, parse_pack, parse_segment, segment};
    use super::{ack, epoch, parse_ack, parse_epoch, parse_state, state};
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
        assert_eq!(parse_ack(&ack(0xff, sid)), Some((0xff, sid)));
        assert_eq!(parse_ack(&ack(1, sid).replace("/0", "/+")), None);
        assert_eq!(parse_state(&state(sid, 3)), Some((sid, 3)));
        assert_eq!(parse_state(&state(sid, 3).replace('-', "/")), None);
    }
}
