//! From a folder of a snapshot back into a database.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_engine::run::{Phase, RunContext};
use keepfast_sources::address::Address;
use keepfast_sources::context::Progress;
use keepfast_sources::files::{FileOf, Files};
use keepfast_sources::manifest::{MANIFEST, Manifest};
use keepfast_sources::restore::{self as sources, RestoreOptions, RestorePlan, RestoreReport};
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
pub fn dumps_in(opened: &Opened, id: &str, run: &RunContext) -> Result<Vec<(String, Manifest)>> {
    let root = SnapshotFolder::open(opened, id, Path::new("/"), run)?;
    let names = root.directories()?;
    let mut dumps = Vec::new();
    for name in names {
        let folder = SnapshotFolder::open(opened, id, &Path::new("/").join(&name), run)?;
        if folder.has(MANIFEST)? {
            dumps.push((name, Manifest::read(&FromFolder(&folder))?));
        }
    }
    Ok(dumps)
}

/// What a restore would do.
pub fn plan_restore(
    request: &DatabaseRestore,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<(String, RestorePlan)> {
    let found = Found::of(request, shared, run)?;
    let plan = found.with(request, shared, run, |files, to, context| {
        sources::plan(files, to, &request.options, context)
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
        sources::restore(files, to, &request.options, context)
    })?;
    Ok(DatabaseRestoreReport {
        snapshot: found.id,
        folder: found.folder,
        report,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// The dump that a request means.
struct Found {
    opened: Opened,
    id: String,
    folder: String,
}

impl Found {
    fn of(request: &DatabaseRestore, shared: &SharedRepository, run: &RunContext) -> Result<Self> {
        let begun_at_latest =
            request.at.as_deref().map(|text| times::end_of(text, &TimeZone::system())).transpose()?;
        let (wanted, folder) = split(&request.snapshot);
        let opened = shared.open(run, Mode::Usual)?;
        let filter = SnapshotFilter { begun_at_latest, ..request.filter.resolve(&opened.snapshots)? };
        let id = choose(&opened.snapshots, wanted, &filter, shared, run)?.snapshot.head.id.to_string();
        let folder = match folder {
            Some(folder) => folder.to_string_lossy().trim_matches('/').to_owned(),
            None => only_dump(&opened, &id, &request.to, run)?,
        };
        Ok(Self { opened, id, folder })
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
        let folder = SnapshotFolder::open(&self.opened, &self.id, &Path::new("/").join(&self.folder), run)?;
        let progress = |_: Progress<'_>| {};
        Ok(act(&FromFolder(&folder), &to, &surroundings.context(&progress))?)
    }
}

fn only_dump(opened: &Opened, id: &str, to: &Address, run: &RunContext) -> Result<String> {
    let mut dumps = dumps_in(opened, id, run)?;
    let all: Vec<String> = dumps.iter().map(|(name, _)| name.clone()).collect();
    if dumps.len() > 1 {
        dumps.retain(|(_, manifest)| manifest.engine == to.engine);
    }
    match <[_; 1]>::try_from(dumps) {
        Ok([(name, _)]) => Ok(name),
        Err(_) if all.is_empty() => Err(DatabaseError::NoDump { snapshot: id.to_owned() }.into()),
        Err(_) => Err(DatabaseError::WhichDump { snapshot: id.to_owned(), folders: all.join(", ") }.into()),
    }
}

/// A folder of a snapshot as the sources read it.
struct FromFolder<'f>(&'f SnapshotFolder<'f>);

impl Files for FromFolder<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let files = self.0.files().map_err(io::Error::other)?;
        Ok(files.into_iter().map(|(path, bytes)| FileOf { path, bytes }).collect())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        self.0.read(path).map_err(io::Error::other)
    }
}
