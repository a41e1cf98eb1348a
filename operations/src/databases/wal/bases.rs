//! Base backups in a repository.

use keepfast_engine::EngineError;
use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::run::RunContext;
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::SourceError;
use keepfast_sources::address::Engine;
use keepfast_sources::manifest::{Form, Manifest};
use keepfast_sources::postgres::base::Base;
use keepfast_sources::postgres::wal::WalName;

use super::super::{FromFolder, dump_folders, path_of};
use super::LABEL;
use crate::error::{OperationsError, Result};
use crate::folder::SnapshotFolder;
use crate::open::Opened;

/// A base backup, and where it is.
pub(super) struct FoundBase<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The folder in it.
    pub folder: String,
    /// What it says of itself.
    pub base: Base,
}

impl FoundBase<'_> {
    /// As a person names it.
    pub fn place(&self) -> String {
        format!("{}:/{}", self.snapshot.head.id.short(), self.folder)
    }

    /// The part of the log that it has itself.
    pub fn log(&self, opened: &Opened, run: &RunContext) -> Result<Vec<WalName>> {
        let path = path_of(&format!("{}/data/pg_wal", self.folder));
        let files = match SnapshotFolder::new(opened, self.snapshot, &path, run).files() {
            Err(OperationsError::Engine(EngineError::NotInSnapshot { .. })) => return Ok(Vec::new()),
            files => files?,
        };
        let name = |path: Vec<u8>| -> Option<WalName> { String::from_utf8(path).ok()?.parse().ok() };
        Ok(files.into_iter().filter_map(|file| name(file.path)).collect())
    }
}

/// The base backups of a server that are there; without an identifier, those of all servers.
pub(super) fn bases_of<'a>(
    opened: &'a Opened,
    system: Option<u64>,
    run: &RunContext,
) -> Result<Vec<FoundBase<'a>>> {
    let mut bases = Vec::new();
    for stored in &opened.snapshots.all {
        let is_log = stored.snapshot.body.tags.iter().any(|label| label.starts_with(LABEL));
        if !is_log {
            bases.extend(bases_in(opened, stored, run)?);
        }
    }
    bases.retain(|found| system.is_none_or(|system| system == found.base.system));
    Ok(bases)
}

/// The base backups in a snapshot.
pub(super) fn bases_in<'a>(
    opened: &Opened,
    stored: &'a StoredSnapshot,
    run: &RunContext,
) -> Result<Vec<FoundBase<'a>>> {
    let mut bases = Vec::new();
    for folder in dump_folders(opened, &stored.snapshot, run)? {
        let files = SnapshotFolder::new(opened, &stored.snapshot, &path_of(&folder), run);
        let manifest = match Manifest::read(&FromFolder(&files)) {
            // A file of this name that is no manifest.
            Err(SourceError::Dump { .. }) => continue,
            manifest => manifest?,
        };
        if manifest.engine == Engine::Postgres && manifest.form == Form::Physical {
            bases.push(FoundBase { snapshot: &stored.snapshot, folder, base: Base::of(&manifest)? });
        }
    }
    Ok(bases)
}
