//! The catalogue of dead sessions, as the store has it.

use std::collections::HashSet;

use keepfast_format::catalogue::Catalogue;
use keepfast_format::ids::SessionId;
use keepfast_format::{limits, names};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::repository::Repository;
use crate::error::Result;

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
    repository.objects().read(&names::catalogue(n), limits::EPOCH_OBJECT_BYTES_MAX, |bytes| {
        Catalogue::open(bytes, repository.id(), n, repository.identity().owners())
    })
}

/// All sessions that the catalogue names. Whoever lists sessions or snapshots reads this
/// *afterwards*: what is removed was named here before.
pub fn dead_sessions(repository: &Repository) -> Result<HashSet<SessionId>> {
    let objects: Vec<Catalogue> = list_catalogue(repository)?
        .into_par_iter()
        .map(|n| read_catalogue(repository, n))
        .collect::<Result<_>>()?;
    Ok(objects.into_iter().flat_map(|object| object.sessions).collect())
}

/// Whether the catalogue names a session.
pub fn names_dead(repository: &Repository, session: SessionId) -> Result<bool> {
    // The newest first: that is where one's own session would be.
    for n in list_catalogue(repository)?.into_iter().rev() {
        if read_catalogue(repository, n)?.sessions.binary_search(&session).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
