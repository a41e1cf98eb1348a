//! The catalogue of dead sessions, as the store has it.

use std::collections::HashSet;

use keepfast_format::catalogue::Catalogue;
use keepfast_format::ids::SessionId;
use keepfast_format::{limits, names};

use super::repository::Repository;
use crate::error::{EngineError, Finding, Result};
use crate::run::Pool;

/// Numbers of the catalogue's objects, in ascending order.
pub fn list_catalogue(repository: &Repository) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    repository.backend().list(names::CATALOGUE, &mut |listed| {
        numbers.extend(names::parse_numbered(names::CATALOGUE, &listed.name));
    })?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// One object of the catalogue.
pub fn read_catalogue(repository: &Repository, n: u32) -> Result<Catalogue> {
    repository.objects().read(names::catalogue(n), limits::EPOCH_OBJECT_BYTES_MAX, |bytes| {
        Catalogue::open(bytes, repository.id(), n, repository.identity().owners())
    })
}

/// The sessions that the catalogue names.
#[derive(Debug, Default)]
pub struct DeadSessions {
    /// The sessions.
    pub sessions: HashSet<SessionId>,
    /// Objects of the catalogue that aren't authentic. No one knows which sessions they named.
    pub ignored: Vec<Finding>,
}

impl DeadSessions {
    /// Fails unless these are all of them: for programs that write or remove.
    pub fn must_be_all(&self) -> Result<()> {
        must_be_authentic(&self.ignored)
    }
}

/// Fails if any object of the catalogue isn't authentic.
pub(super) fn must_be_authentic(ignored: &[Finding]) -> Result<()> {
    ignored.first().map_or(Ok(()), |ignored| Err(in_the_way(ignored.clone())))
}

/// All sessions that the catalogue names. A program that lists sessions or snapshots reads this
/// *afterwards*: compaction names a session here before it removes the session's objects.
pub fn dead_sessions(repository: &Repository, pool: &Pool) -> Result<DeadSessions> {
    let numbers = list_catalogue(repository)?;
    let objects = pool.map(&numbers, |n| read_catalogue(repository, *n));
    let mut dead = DeadSessions::default();
    for (n, object) in numbers.into_iter().zip(objects) {
        match object {
            Ok(object) => dead.sessions.extend(object.sessions),
            Err(error) => dead.ignored.push(Finding::from_damage(names::catalogue(n), error)?),
        }
    }
    Ok(dead)
}

/// Whether the catalogue names a session. Fails if it may: an object of it isn't authentic.
pub fn names_dead(repository: &Repository, session: SessionId) -> Result<bool> {
    let (is_named, ignored) = search(repository, session)?;
    match ignored {
        Some(ignored) if !is_named => Err(in_the_way(ignored)),
        _ => Ok(is_named),
    }
}

/// Whether the catalogue names a session, as far as it is authentic: for readers.
pub fn is_named_dead(repository: &Repository, session: SessionId) -> Result<bool> {
    search(repository, session).map(|(is_named, _)| is_named)
}

fn search(repository: &Repository, session: SessionId) -> Result<(bool, Option<Finding>)> {
    let mut ignored = None;
    // The newest first: that is where the session of this run would be.
    for n in list_catalogue(repository)?.into_iter().rev() {
        match read_catalogue(repository, n) {
            Ok(object) if object.sessions.binary_search(&session).is_ok() => return Ok((true, ignored)),
            Ok(_) => {}
            Err(error) => ignored = Some(Finding::from_damage(names::catalogue(n), error)?),
        }
    }
    Ok((false, ignored))
}

fn in_the_way(ignored: Finding) -> EngineError {
    let remedy =
        "it is restored from a copy of the repository, or, if no owner has ever put it there, removed";
    ignored.blocks(remedy.to_owned())
}
