//! What the store lists of packs, and of what is named after sessions.

use std::collections::{BTreeSet, HashMap};

use keepfast_format::ids::SessionId;
use keepfast_format::names::{self, PackName};

use super::repository::Repository;
use crate::error::Result;

/// The packs in the store, and their stored sizes, in bytes.
pub fn list_packs(repository: &Repository) -> Result<HashMap<PackName, u64>> {
    let mut stored = HashMap::new();
    repository.backend().list(names::PACKS, &mut |listed| {
        if let Some(name) = names::parse_pack(&listed.name) {
            stored.insert(name, listed.bytes);
        }
    })?;
    Ok(stored)
}

/// The sessions that have an object in this folder: `names::SESSIONS` has all that were begun and
/// not compacted, `names::SNAPSHOTS` those that are decided by a register.
pub fn list_sessions(repository: &Repository, folder: &str) -> Result<BTreeSet<SessionId>> {
    let mut sessions = BTreeSet::new();
    repository.backend().list(folder, &mut |listed| {
        sessions.extend(names::parse_session(folder, &listed.name));
    })?;
    Ok(sessions)
}
