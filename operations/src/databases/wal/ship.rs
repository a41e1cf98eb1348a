//! From a spool into the repository.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_engine::run::RunContext;
use keepfast_sources::postgres::wal::{Batch, Compared, Shipped, Spool, system_of};
use serde::Serialize;

use super::super::dump::IntoFolder;
use super::LogName;
use super::archive::{Lists, joined, parts_of, refuse_other, system_of_log};
use crate::error::{Result, with_causes};
use crate::open::{Mode, SharedRepository};
use crate::requests::{Backup, backup_with};
use crate::resources::Resources;
use crate::streams::{Inputs, StreamGroup};

/// What to ship.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ship {
    /// The folder in which the log waits.
    pub spool: PathBuf,
    /// What it is called in the repository.
    pub name: LogName,
    /// Also what was received of the segment that isn't full. It is stored again when it has grown.
    pub with_begun: bool,
    /// The machine's name in the snapshot; else this machine's.
    pub host: Option<String>,
    /// What it may use.
    pub resources: Resources,
}

/// What was shipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ShipReport {
    /// The snapshot; none if nothing was to be stored.
    pub snapshot: Option<String>,
    /// How many files are in it.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many files were in the repository before, with the same bytes.
    pub were_there: u64,
    /// Files of whose names the repository has others.
    pub set_aside: Vec<SetAside>,
}

/// A file that was taken out of the way, because the repository has another one of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: PathBuf,
}

/// Stores what waits as one snapshot. Nothing leaves the spool before that is committed; if nothing waits, there is no
/// snapshot, and the repository isn't asked.
pub fn ship(
    request: &Ship,
    lists: &Lists,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<ShipReport> {
    let mut report = ShipReport::default();
    let Some(spool) = Spool::find(&request.spool)? else { return Ok(report) };
    let batch = spool.batch(u64::MAX, request.with_begun)?;
    if batch.is_empty() {
        return Ok(report);
    }
    let Compared { new, same, other } = compare(request, batch, &spool, lists, shared, run)?;
    report.were_there = count(same.files.len());
    spool.confirm(same.as_shipped()?)?;
    for file in other.files {
        report.set_aside.push(SetAside { name: file.name.to_string(), place: spool.set_aside(file.name)? });
    }
    if new.is_empty() {
        return Ok(report);
    }
    let (files, bytes) = (count(new.files.len()), new.files.iter().map(|file| file.bytes).sum::<u64>());
    if let (Some(snapshot), Some(shipped)) = store(request, new, shared, run)? {
        spool.confirm(shipped)?;
        report = ShipReport { snapshot: Some(snapshot), files, bytes, ..report };
    }
    Ok(report)
}

fn compare(
    request: &Ship,
    batch: Batch,
    spool: &Spool,
    lists: &Lists,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Compared> {
    let opened = shared.open(run, Mode::Usual)?;
    let parts = parts_of(&request.name, &opened, lists, run)?;
    if let (Some(there), Some(here)) = (system_of_log(None, &parts)?, system_of(spool)?) {
        let what = format!("the one in {}", request.spool.display());
        refuse_other(&request.name, there.system, here.system, what)?;
    }
    Ok(batch.compare(&joined(&request.name, None, &parts)?)?)
}

/// Makes the snapshot. What was read comes back only if it was committed.
fn store(
    request: &Ship,
    batch: Batch,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<(Option<String>, Option<Shipped>)> {
    let backup = Backup {
        tags: vec![request.name.label()],
        host: request.host.clone(),
        // No two of these snapshots have a file in common.
        force: true,
        resources: request.resources,
        ..Backup::default()
    };
    let sent: Arc<Mutex<Option<Shipped>>> = Arc::default();
    let start = |group: &StreamGroup| {
        let sent = Arc::clone(&sent);
        let folder = group.folder(&request.name.folder(), move |sink, _| {
            let shipped = batch.send(&IntoFolder(sink)).map_err(|error| with_causes(&error))?;
            *sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(shipped);
            Ok(())
        });
        Ok(Inputs { folders: vec![folder], ..Inputs::default() })
    };
    let report = backup_with(&backup, true, start, shared, run)?;
    let shipped = sent.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok((report.snapshot.map(|snapshot| snapshot.id), shipped))
}

fn count(files: usize) -> u64 {
    u64::try_from(files).unwrap_or(u64::MAX)
}
