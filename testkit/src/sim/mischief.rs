//! Junk: what a user that may only create objects, and has no key, puts between the objects of others at
//! any moment of a history. None of it may cost a snapshot, or stop a restore.
//!
//! Left out is what is known to stop collectors or writers until an owner removes it: junk in a
//! register, under the next epoch, in the catalogue. It has tests of its own.

use keepfast_engine::error::Result;
use keepfast_format::ids::SessionId;
use keepfast_format::names::{self, EpochPart, ObjectName};

use super::process::SimProcess;

/// What is put there: a byte, like most of what isn't signed.
const JUNK: &[u8] = &[0];

/// Puts one object into the store. `tell` gets its name first: a create may take effect though it fails.
pub(super) fn put_junk(process: &SimProcess, tell: impl FnOnce(ObjectName)) -> Result<()> {
    if let Some(name) = choose(process)? {
        tell(name);
        process.backend().create(&name.to_string(), &[JUNK])?;
    }
    Ok(())
}

fn choose(process: &SimProcess) -> Result<Option<ObjectName>> {
    let listed = |prefix: &str| -> Result<Vec<String>> {
        let mut found = Vec::new();
        process.backend().list(prefix, &mut |listed| found.push(listed.name))?;
        Ok(found)
    };
    let any = |names: &[String]| (!names.is_empty()).then(|| names[process.below(names.len())].clone());
    let sessions = |prefix: &str| -> Result<Option<SessionId>> {
        Ok(any(&listed(prefix)?).and_then(|name| names::parse_session(prefix, &name)))
    };
    let epochs = listed(names::EPOCHS)?;
    let newest = epochs.iter().filter_map(|name| names::parse_epoch(name)).map(|(n, _)| n).max().unwrap_or(0);
    let number = [0, 1, 2, u32::MAX][process.below(4)];
    Ok(match process.below(8) {
        // Alongside a pack, under its id: of a session that is decided, or of one that isn't.
        0..=2 => {
            let prefix = [names::SNAPSHOTS, names::SESSIONS][process.below(2)];
            let pack = any(&listed(names::PACKS)?).and_then(|name| names::parse_pack(&name));
            pack.zip(sessions(prefix)?).map(|(pack, session)| names::pack(pack.id, session))
        }
        // Where a writer is about to answer, or to decide.
        3 => sessions(names::SESSIONS)?.map(|session| names::ack(newest + 1, session)),
        4 => sessions(names::SNAPSHOTS)?.map(|session| names::decision(session, number)),
        // Where something newer would be.
        5 => Some([names::config(1 + number / 2), names::keyring(1 + number / 2)][process.below(2)]),
        // Far beyond what a history reaches: the next ones stop collectors, as they have to.
        6 => Some(names::epoch(newest + 1000 + number / 2, EpochPart::Done)),
        // A segment of a session, with a number that the session never reaches.
        _ => sessions(names::SESSIONS)?.map(|session| names::segment(session, 7_000_000 + number / 2)),
    })
}
