//! Looking into a snapshot: its entries, and the content of one of its files.

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use keepfast_engine::run::RunContext;
use keepfast_engine::{EngineError, dump as dumping, list};
use serde::{Deserialize, Serialize};

use super::limited;
use crate::choose::{Filter, LATEST, choose};
use crate::error::Result;
use crate::open::{Mode, SharedRepository};
use crate::reports::{DumpReport, EntriesReport, EntryDocument};
use crate::resources::Resources;

/// Which entries to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListEntries {
    /// Of which snapshot: `latest`, `latest~N`, or the start of an id.
    pub snapshot: String,
    /// Which snapshots `latest` is among.
    pub filter: Filter,
    /// The directory whose entries are listed, or the entry.
    pub path: PathBuf,
    /// List what is in directories below, too.
    pub recursive: bool,
}

impl Default for ListEntries {
    fn default() -> Self {
        Self {
            snapshot: LATEST.to_owned(),
            filter: Filter::default(),
            path: PathBuf::from("/"),
            recursive: false,
        }
    }
}

/// Which file to write out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// Of which snapshot: `latest`, `latest~N`, or the start of an id.
    pub snapshot: String,
    /// Which snapshots `latest` is among.
    #[serde(default)]
    pub filter: Filter,
    /// The file: its path, or a stream's name.
    pub path: PathBuf,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
}

/// Lists what is in a snapshot.
pub fn list_entries(
    request: &ListEntries,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<EntriesReport> {
    let mut entries = Vec::new();
    let mut keep = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    let report = list_entries_with(request, &mut keep, shared, run)?;
    Ok(EntriesReport { entries, ..report })
}

/// As [`list_entries`], with the entries given to `found` one by one and not kept. It may end the listing.
pub fn list_entries_with(
    request: &ListEntries,
    found: &mut dyn FnMut(EntryDocument) -> ControlFlow<()>,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<EntriesReport> {
    let opened = shared.open(run, Mode::Usual)?;
    let filter = request.filter.resolve(&opened.snapshots)?;
    let snapshot = &choose(&opened.snapshots, &request.snapshot, &filter, shared, run)?.snapshot;
    let path = request.path.as_os_str().as_bytes();
    let mut is_ended = false;
    let mut each = |path: &[u8], node: &_| match found(EntryDocument::new(path, node)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            is_ended = true;
            Err(EngineError::Interrupted)
        }
    };
    let (repository, index) = (&opened.repository, &opened.index);
    match list::list(repository, index, snapshot, path, request.recursive, run, &mut each) {
        Err(EngineError::Interrupted) if is_ended => {}
        listed => listed?,
    }
    Ok(EntriesReport { snapshot: snapshot.head.id.short(), entries: Vec::new(), troubles: run.troubles() })
}

/// Writes a file of a snapshot to `out`.
pub fn dump(
    request: &Dump,
    out: &mut dyn Write,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DumpReport> {
    let run = &limited(run, &request.resources);
    let opened = shared.open(run, Mode::Usual)?;
    let filter = request.filter.resolve(&opened.snapshots)?;
    let snapshot = &choose(&opened.snapshots, &request.snapshot, &filter, shared, run)?.snapshot;
    let path = request.path.as_os_str().as_bytes();
    let bytes = dumping::dump(&opened.repository, &opened.index, snapshot, path, out, run)?;
    Ok(DumpReport { snapshot: snapshot.head.id.short(), bytes, troubles: run.troubles() })
}
