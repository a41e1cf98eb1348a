//! From a folder of a snapshot back into a database.

use std::io::{self, Read};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use keepfast_engine::EngineError;
use keepfast_engine::list::list;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_engine::run::{Phase, RunContext};
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::address::Address;
use keepfast_sources::context::Progress;
use keepfast_sources::engines;
use keepfast_sources::files::{FileOf, Files};
use keepfast_sources::manifest::{MANIFEST, Manifest};
use keepfast_sources::restore::{RestoreOptions, RestorePlan, RestoreReport};
use serde::{Deserialize, Serialize};

use super::{Resolver, Surroundings};
use crate::choose::{Filter, choose, split};
use crate::error::{DatabaseError, Result};
use crate::folder::SnapshotFolder;
use crate::open::{Mode, Opened, SharedRepository};
use crate::secret::SecretSource;
use crate::times;

/// What to restore into which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRestore {
    /// `latest`, `latest~N`, or the start of an id; with `:/folder`, the dump in that folder. Otherwise the snapshot has
    /// one dump of the kind.
    pub snapshot: String,
    /// Only what was made at this time or before.
    pub at: Option<String>,
    /// Which snapshots `latest` is among.
    pub filter: Filter,
    /// The server, and the database that is restored into.
    pub to: Address,
    /// The password of its user.
    pub password: Option<SecretSource>,
    /// What of the dump, and what becomes of what is there.
    pub options: RestoreOptions,
    /// Folders in which programs are looked for before the usual ones.
    pub programs: Vec<PathBuf>,
}

/// What was restored from where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseRestoreReport {
    /// The snapshot.
    pub snapshot: String,
    /// The folder of the dump in it.
    pub folder: String,
    /// What was restored, and how it compares.
    #[serde(flatten)]
    pub report: RestoreReport,
    /// Seconds from the first look at the snapshot to the end.
    pub seconds: f64,
}

/// The dumps that a snapshot has: the folders in its root directory that say so themselves.
pub fn dumps_in(opened: &Opened, snapshot: &Snapshot, run: &RunContext) -> Result<Vec<(String, Manifest)>> {
    let mut dumps = Vec::new();
    for name in dump_folders(opened, snapshot, run)? {
        let folder = SnapshotFolder::new(opened, snapshot, &path_of(&name), run);
        dumps.push((name, Manifest::read(&FromFolder(&folder))?));
    }
    Ok(dumps)
}

/// The folders in the root directory of a snapshot that have a file with the name of a manifest.
pub(crate) fn dump_folders(opened: &Opened, snapshot: &Snapshot, run: &RunContext) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut found = |path: &[u8], node: &Node| {
        let name = path.strip_prefix(b"/").unwrap_or(path);
        if let (NodeKind::Directory { .. }, Ok(name)) = (&node.kind, str::from_utf8(name)) {
            names.push(name.to_owned());
        }
        Ok(())
    };
    list(&opened.repository, &opened.index, snapshot, b"/", false, run, &mut found)?;
    let mut dumps = Vec::new();
    for name in names {
        if has_manifest(opened, snapshot, &name, run)? {
            dumps.push(name);
        }
    }
    Ok(dumps)
}

fn has_manifest(opened: &Opened, snapshot: &Snapshot, name: &str, run: &RunContext) -> Result<bool> {
    let mut has_it = false;
    let path = path_of(&format!("{name}/{MANIFEST}"));
    let mut found = |_: &[u8], node: &Node| {
        has_it |= matches!(node.kind, NodeKind::File { .. });
        Ok(())
    };
    match list(&opened.repository, &opened.index, snapshot, &path, false, run, &mut found) {
        Ok(()) => Ok(has_it),
        Err(EngineError::NotInSnapshot { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The path of a folder in the root directory.
pub(super) fn path_of(name: &str) -> Vec<u8> {
    format!("/{name}").into_bytes()
}

/// What a restore would do.
pub fn plan_restore(
    request: &DatabaseRestore,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<(String, RestorePlan)> {
    let found = Found::of(request, shared, run)?;
    let plan = found.with(request, shared, run, |files, to, context| {
        engines::plan(files, to, &request.options, context)
    })?;
    Ok((found.folder, plan))
}

/// Restores a database.
pub fn restore_database(
    request: &DatabaseRestore,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DatabaseRestoreReport> {
    let begun = crate::host::monotonic();
    let found = Found::of(request, shared, run)?;
    run.enter(Phase::Restoring);
    let report = found.with(request, shared, run, |files, to, context| {
        engines::restore(files, to, &request.options, context)
    })?;
    Ok(DatabaseRestoreReport {
        snapshot: found.snapshot.head.id.to_string(),
        folder: found.folder,
        report,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// The dump that a request means.
struct Found {
    opened: Opened,
    snapshot: Snapshot,
    folder: String,
}

impl Found {
    fn of(request: &DatabaseRestore, shared: &SharedRepository, run: &RunContext) -> Result<Self> {
        let begun_at_latest =
            request.at.as_deref().map(|text| times::end_of(text, &TimeZone::system())).transpose()?;
        let (wanted, folder) = split(&request.snapshot);
        let opened = shared.open(run, Mode::Usual)?;
        let filter = SnapshotFilter { begun_at_latest, ..request.filter.resolve(&opened.snapshots)? };
        let snapshot = choose(&opened.snapshots, wanted, &filter, shared, run)?.snapshot.clone();
        let folder = match folder.trim_matches('/') {
            "" => only_dump(&opened, &snapshot, &request.to, run)?,
            folder => folder.to_owned(),
        };
        Ok(Self { opened, snapshot, folder })
    }

    fn with<T>(
        &self,
        request: &DatabaseRestore,
        shared: &SharedRepository,
        run: &RunContext,
        act: impl FnOnce(
            &dyn Files,
            &Address,
            &keepfast_sources::context::Context<'_>,
        ) -> keepfast_sources::Result<T>,
    ) -> Result<T> {
        let by = Resolver { children: shared.children(), kept: shared.kept_secrets(), cancel: run.cancel() };
        let to = by.resolve(&request.to, request.password.as_ref())?;
        let surroundings = Surroundings::new(shared.children(), run.cancel(), &request.programs)?;
        let folder = SnapshotFolder::new(&self.opened, &self.snapshot, &path_of(&self.folder), run);
        let progress = |_: Progress<'_>| {};
        Ok(act(&FromFolder(&folder), &to, &surroundings.context(&progress))?)
    }
}

fn only_dump(opened: &Opened, snapshot: &Snapshot, to: &Address, run: &RunContext) -> Result<String> {
    let mut dumps = dumps_in(opened, snapshot, run)?;
    let all: Vec<String> = dumps.iter().map(|(name, _)| name.clone()).collect();
    if dumps.len() > 1 {
        dumps.retain(|(_, manifest)| manifest.engine == to.engine);
    }
    let snapshot = snapshot.head.id.short();
    match <[_; 1]>::try_from(dumps) {
        Ok([(name, _)]) => Ok(name),
        Err(_) if all.is_empty() => Err(DatabaseError::NoDump { snapshot }.into()),
        Err(_) => Err(DatabaseError::WhichDump { snapshot, folders: all.join(", ") }.into()),
    }
}

/// A folder of a snapshot as the sources read it.
pub(crate) struct FromFolder<'f>(pub &'f SnapshotFolder<'f>);

impl Files for FromFolder<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let mut files = Vec::new();
        for file in self.0.files().map_err(io::Error::other)? {
            let path = String::from_utf8(file.path).map_err(|error| {
                io::Error::other(format!("the name of a file in the dump isn't text: {error}"))
            })?;
            files.push(FileOf { path, bytes: file.size });
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        self.0.open(path.as_bytes()).map_err(io::Error::other)
    }
}
