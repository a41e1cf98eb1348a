//! Comparing what the store shows with what this client has seen before.

use std::collections::HashMap;
use std::io;

use keepfast_format::ids::{ObjectHash, SessionId};

use super::epochs::{Epochs, newest_verdict};
use super::memory::{Memory, Older, Remembered, SeenHead};
use super::repository::Repository;
use super::snapshots::Snapshots;
use crate::error::{EngineError, Result};

/// A comparison with what was seen before, and whether what is seen now could be remembered.
#[derive(Debug)]
pub struct Recollection {
    /// What was seen before and isn't there any more.
    pub older: Vec<Older>,
    /// Why what is shown now can't be remembered. Only the next comparison depends on it.
    pub written: io::Result<()>,
}

/// What was seen before of this repository, at this place, and isn't there any more. Nothing, if
/// nothing was remembered.
pub fn older(repository: &Repository, snapshots: &Snapshots) -> Result<Vec<Older>> {
    match repository.seen() {
        Some(seen) => Ok(compare(seen, &shown(repository, snapshots)?, snapshots)),
        None => Ok(Vec::new()),
    }
}

/// Compares as [`older`] does, and remembers what the store shows, if the repository was opened with a
/// memory.
pub fn remember(repository: &Repository, snapshots: &Snapshots) -> Result<Recollection> {
    let Some(memory) = repository.memory() else {
        return Ok(Recollection { older: Vec::new(), written: Ok(()) });
    };
    let shown = shown(repository, snapshots)?;
    let older = repository.seen().map_or_else(Vec::new, |seen| compare(seen, &shown, snapshots));
    Ok(Recollection { older, written: memory.add(&shown) })
}

fn compare(seen: &Remembered, shown: &Remembered, snapshots: &Snapshots) -> Vec<Older> {
    let there: HashMap<SessionId, ObjectHash> =
        known(snapshots).map(|head| (head.session, head.hash)).collect();
    seen.missing_in(shown, |head| {
        // A damaged one is named as such.
        there.get(&head.session) == Some(&head.hash)
            || snapshots.dead.contains(&head.session)
            || snapshots.unreadable().any(|(id, _)| id == head.session)
    })
}

/// Accepts what the store shows, whatever was seen before at this place.
pub fn accept(repository: &Repository, snapshots: &Snapshots, memory: &Memory) -> Result<()> {
    let shown = shown(repository, snapshots)?;
    memory.replace(&shown).map_err(EngineError::file(memory.path()))
}

fn shown(repository: &Repository, snapshots: &Snapshots) -> Result<Remembered> {
    let seen = repository.seen().map_or(0, |seen| seen.verdict);
    let verdict = newest_verdict(repository, &Epochs::list(repository)?, seen)?;
    let mut shown = Remembered { verdict, ..repository.shown() };
    known(snapshots).for_each(|head| shown.add_head(head));
    Ok(shown)
}

fn known(snapshots: &Snapshots) -> impl Iterator<Item = SeenHead> {
    snapshots.with_forgotten().map(|stored| SeenHead {
        sequence: stored.snapshot.head.sequence,
        session: stored.snapshot.head.id,
        hash: stored.hash,
    })
}
