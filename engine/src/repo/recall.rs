//! Comparing what the store shows with what this client has seen before.

use std::collections::HashMap;
use std::io;

use keepfast_format::ids::{ObjectHash, SessionId};
use keepfast_format::names;

use super::epochs::{Epochs, newest_verdict};
use super::memory::{Memory, Older, Remembered, SeenHead};
use super::repository::Repository;
use super::snapshots::Snapshots;
use crate::error::{EngineError, Result};

/// What was seen before of this repository, at this place, and isn't there any more. Nothing, if
/// nothing was remembered.
pub fn older(repository: &Repository, snapshots: &Snapshots) -> Result<Vec<Older>> {
    let Some(seen) = repository.seen() else { return Ok(Vec::new()) };
    let there: HashMap<SessionId, ObjectHash> = known(snapshots).map(|head| (head.session, head.hash)).collect();
    let is_accounted_for = |head: &SeenHead| {
        // A damaged one is named as such.
        let name = names::snapshot(head.session);
        there.get(&head.session) == Some(&head.hash)
            || snapshots.dead.contains(&head.session)
            || snapshots.damaged.iter().any(|(object, _)| *object == name)
    };
    Ok(seen.missing_in(&shown(repository, snapshots)?, is_accounted_for))
}

/// Remembers what the store shows, if this repository was opened with a memory. The inner error is why
/// that can't be written: nothing but the next comparison depends on it.
pub fn remember(repository: &Repository, snapshots: &Snapshots) -> Result<io::Result<()>> {
    let shown = shown(repository, snapshots)?;
    Ok(repository.memory().map_or(Ok(()), |memory| memory.add(&shown)))
}

/// Takes what the store shows for right, whatever was seen before at this place.
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
    snapshots.all.iter().chain(&snapshots.forgotten).map(|stored| SeenHead {
        sequence: stored.snapshot.head.sequence,
        session: stored.snapshot.head.id,
        hash: stored.hash,
    })
}
