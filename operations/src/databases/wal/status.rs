//! How a log stands: how far it goes, what waits, and what is missing.

use std::path::PathBuf;

use keepfast_engine::run::RunContext;
use keepfast_sources::postgres::base::Base;
use keepfast_sources::postgres::wal::{Archive, Spool, WalName};
use serde::Serialize;

use super::LogName;
use super::archive::{Lists, joined, parts_of, system_of_log};
use super::bases::{FoundBase, bases_of};
use crate::error::{DatabaseError, Result};
use crate::open::{Mode, SharedRepository};

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: LogName,
    /// The folder in which it waits, if that is on this machine.
    pub spool: Option<PathBuf>,
}

/// How a log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogStatus {
    /// Its name.
    pub name: LogName,
    /// The system identifier of the server; none before the first segment.
    pub system: Option<String>,
    /// How many snapshots have parts of it.
    pub snapshots: u64,
    /// How many whole segments are there, waiting ones too.
    pub segments: u64,
    /// The newest of them.
    pub newest: Option<String>,
    /// The bytes that wait in the spool; none if there is no spool here.
    pub waiting_bytes: Option<u64>,
    /// The base backups of the server.
    pub bases: Vec<BaseDocument>,
    /// What is missing: a sentence each.
    pub gaps: Vec<String>,
}

/// A base backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseDocument {
    /// The snapshot.
    pub snapshot: String,
    /// The folder in it.
    pub folder: String,
    /// The version of the server.
    pub server: String,
    /// In which history it was made.
    pub timeline: u32,
    /// From where on it needs the log.
    pub start: String,
    /// Where it was complete: the first position that can be restored from it.
    pub stop: String,
    /// When that was.
    pub stopped: String,
}

impl From<&FoundBase<'_>> for BaseDocument {
    fn from(found: &FoundBase<'_>) -> Self {
        let base = &found.base;
        Self {
            snapshot: found.snapshot.head.id.short(),
            folder: found.folder.clone(),
            server: base.server.clone(),
            timeline: base.timeline.number(),
            start: base.start.to_string(),
            stop: base.stop.to_string(),
            stopped: base.stopped.to_string(),
        }
    }
}

/// Looks at a log, and at the base backups of its server.
pub fn status(request: &Status, shared: &SharedRepository, run: &RunContext) -> Result<LogStatus> {
    let name = &request.name;
    let spool = request.spool.as_ref().map(Spool::find).transpose()?.flatten();
    let opened = shared.open(run, Mode::Usual)?;
    let parts = parts_of(name, &opened, &Lists::default(), run)?;
    let system = system_of_log(spool.as_ref(), &parts)?;
    if parts.is_empty() && system.is_none() {
        return Err(DatabaseError::NoLog { name: name.to_string() }.into());
    }
    let mut archive = Archive::read(&joined(name, spool.as_ref(), &parts)?)?;
    let is_segment = |name: &WalName| matches!(name, WalName::Segment(_));
    let segments = u64::try_from(archive.names().filter(is_segment).count()).unwrap_or(u64::MAX);
    let newest = archive.names().filter(is_segment).max();
    let mut found = Vec::new();
    let mut gaps = Vec::new();
    if let Some(system) = system {
        found = bases_of(&opened, Some(system.system), run)?;
        for base in &found {
            archive = archive.with(Archive::of(base.log(&opened, run)?, []));
        }
        let bases: Vec<Base> = found.iter().map(|found| found.base.clone()).collect();
        gaps = archive.gaps(&bases, system.segment_bytes).iter().map(ToString::to_string).collect();
    }
    Ok(LogStatus {
        name: name.clone(),
        system: system.map(|system| system.system.to_string()),
        snapshots: u64::try_from(parts.len()).unwrap_or(u64::MAX),
        segments,
        newest: newest.map(|name| name.to_string()),
        waiting_bytes: spool.as_ref().map(Spool::waiting_bytes).transpose()?,
        bases: found.iter().map(Into::into).collect(),
        gaps,
    })
}
