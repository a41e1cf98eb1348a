//! A file of a log for a server that recovers.

use std::path::PathBuf;

use keepfast_engine::run::RunContext;
use keepfast_sources::files::Files;
use keepfast_sources::postgres::wal::{Fetched, Spool, WalName, fetch};

use super::LogName;
use super::archive::{Lists, Part, joined, snapshots_of};
use crate::error::{DatabaseError, Result};
use crate::open::{Mode, SharedRepository};

/// Which file, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// The log.
    pub name: LogName,
    /// The file.
    pub file: WalName,
    /// Where it is written.
    pub into: PathBuf,
    /// A spool that is looked into first: what is there is given without the repository.
    pub spool: Option<PathBuf>,
}

/// Writes a file where a server wants it. That it isn't there is said only if all of the log was looked at: a server
/// takes it for the end of the log.
pub fn get(request: &Get, shared: &SharedRepository, run: &RunContext) -> Result<Fetched> {
    let path = request.file.path();
    let spool = request.spool.as_ref().map(Spool::find).transpose()?.flatten();
    if let Some(spool) = &spool
        && has(spool, &path)
    {
        return Ok(fetch(spool, request.file, &request.into)?);
    }
    let opened = shared.open(run, Mode::Usual)?;
    let (lists, stored) = (Lists::default(), snapshots_of(&request.name, &opened)?);
    let waits = spool.as_ref().is_some_and(|spool| spool.list().is_ok_and(|files| !files.is_empty()));
    if stored.is_empty() && !waits {
        return Err(DatabaseError::NoLog { name: request.name.to_string() }.into());
    }
    // What was received of a segment may be in a newer snapshot than the whole one, so that all are looked at before it is
    // given.
    let mut parts = Vec::new();
    for stored in stored {
        let part = Part::new(&request.name, &opened, stored, &lists, run)?;
        let is_it = part.has(&path);
        parts.push(part);
        if is_it {
            break;
        }
    }
    let fetched = fetch(&joined(&request.name, spool.as_ref(), &parts)?, request.file, &request.into)?;
    let damaged = opened.snapshots.damaged.len();
    if fetched == Fetched::NotThere && damaged > 0 {
        return Err(DatabaseError::LogUnknown { file: request.file.to_string(), count: damaged }.into());
    }
    Ok(fetched)
}

fn has(spool: &Spool, path: &str) -> bool {
    spool.list().is_ok_and(|files| files.iter().any(|file| file.path == path))
}
