//! Restoring.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Instant;

use jiff::tz::TimeZone;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::list;
use keepfast_engine::repo::Repository;
use keepfast_engine::restore::{self as engine, Overwrite, Reach, RestoreOptions};
use keepfast_engine::run::RunContext;
use keepfast_format::snapshot::Snapshot;
use serde::{Deserialize, Serialize};

use super::{limited, share_of};
use crate::choose::{Filter, LATEST, choose, split};
use crate::error::Result;
use crate::host::monotonic;
use crate::open::{Mode, Opened, SharedRepository};
use crate::paths::absolute;
use crate::patterns::compile;
use crate::remark::Remark;
use crate::reports::RestoreReport;
use crate::resources::{Resources, Work};
use crate::times;

/// What to restore, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Restore {
    /// The directory to restore into.
    pub target: PathBuf,
    /// `latest`, `latest~N`, or the start of an id; with `:/folder`, only that folder's contents.
    #[serde(default = "latest")]
    pub snapshot: String,
    /// Only what was made at this time or before: up to the end of that minute, day or second.
    #[serde(default)]
    pub at: Option<String>,
    /// Which snapshots `latest` is among.
    #[serde(default)]
    pub filter: Filter,
    /// Only these paths of the snapshot, and what is below them.
    #[serde(default)]
    pub paths: Vec<PathBuf>,
    /// Only what matches, and what is below it.
    #[serde(default, with = "crate::child::words")]
    pub include: Vec<OsString>,
    /// Not what matches.
    #[serde(default, with = "crate::child::words")]
    pub exclude: Vec<OsString>,
    /// What is done with files that are there; without this, the target has to be empty.
    #[serde(default)]
    pub overwrite: Option<OverwriteWhen>,
    /// Go on with a restore into the same target that was cut short.
    #[serde(default)]
    pub resume: bool,
    /// Remove what is in restored directories and not in the snapshot.
    #[serde(default)]
    pub delete: bool,
    /// Write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Read everything back afterwards and compare it with the snapshot.
    #[serde(default)]
    pub verify: bool,
    /// Give owners by number, even where their names are known here.
    #[serde(default)]
    pub numeric_owners: bool,
    /// Leave out devices, and drop all attributes that the kernel trusts.
    #[serde(default)]
    pub no_privileges: bool,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
}

/// When a file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverwriteWhen {
    /// Always.
    Always,
    /// If its size or modification time differs; if not, its mode, owner and attributes are put right.
    IfChanged,
    /// Never.
    Never,
}

fn latest() -> String {
    LATEST.to_owned()
}

impl Restore {
    /// All of the newest snapshot.
    #[must_use]
    pub fn latest_into(target: PathBuf) -> Self {
        Self {
            target,
            snapshot: latest(),
            at: None,
            filter: Filter::default(),
            paths: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            overwrite: None,
            resume: false,
            delete: false,
            dry_run: false,
            verify: false,
            numeric_owners: false,
            no_privileges: false,
            resources: Resources::default(),
        }
    }
}

/// Restores.
pub fn restore(request: &Restore, shared: &SharedRepository, run: &RunContext) -> Result<RestoreReport> {
    let begun = monotonic();
    let run = &limited(run, &request.resources);
    let begun_at_latest =
        request.at.as_deref().map(|text| times::end_of(text, &TimeZone::system())).transpose()?;
    let (wanted, folder) = split(&request.snapshot);
    let options = options_of(request, folder, shared, run)?;
    let opened = shared.open(run, Mode::Usual)?;
    let share =
        share_of(&request.resources, Work::ReadFrames, opened.repository.config().pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    let filter = keepfast_engine::repo::SnapshotFilter {
        begun_at_latest,
        ..request.filter.resolve(&opened.snapshots)?
    };
    let snapshot = &choose(&opened.snapshots, wanted, &filter, shared, run)?.snapshot;
    let report = engine::restore(&opened.repository, &opened.index, snapshot, &options, run)?;
    let done = Done { snapshot, options: &options, begun };
    Ok(done.report(&report, &opened.repository, run))
}

/// Restores a snapshot, by its whole id, in parts: each into a target of its own. The caller has opened the repository for
/// this run.
pub fn restore_in(
    opened: &Opened,
    id: &str,
    parts: &[RestoreOptions],
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Option<RestoreReport>> {
    let begun = monotonic();
    let pack_bytes = opened.repository.config().pack_bytes;
    let share = share_of(&Resources::default(), Work::ReadFrames, pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    let snapshot = &choose(&opened.snapshots, id, &Default::default(), shared, run)?.snapshot;
    let mut sum: Option<engine::RestoreReport> = None;
    for part in parts {
        let report = engine::restore(&opened.repository, &opened.index, snapshot, part, run)?;
        sum = Some(sum.unwrap_or_default().and(report));
    }
    let Some((report, options)) = sum.zip(parts.first()) else { return Ok(None) };
    let done = Done { snapshot, options, begun };
    Ok(Some(done.report(&report, &opened.repository, run)))
}

/// What a report says beside what the engine has counted.
struct Done<'d> {
    snapshot: &'d Snapshot,
    options: &'d RestoreOptions,
    begun: Instant,
}

impl Done<'_> {
    fn report(
        &self,
        report: &engine::RestoreReport,
        repository: &Repository,
        run: &RunContext,
    ) -> RestoreReport {
        RestoreReport {
            snapshot: self.snapshot.head.id.short(),
            target: self.options.target.display().to_string(),
            dry_run: self.options.dry_run,
            files: report.files,
            dirs: report.dirs,
            others: report.others,
            hard_links: report.hard_links,
            unchanged: report.unchanged,
            corrected: report.corrected,
            deleted: report.deleted,
            skipped: report.troubles.skipped,
            privileges_dropped: report.privileges_dropped,
            devices_left_out: report.devices_left_out,
            verified: report.verified,
            bytes: report.bytes,
            traffic: repository.backend().traffic().map(Into::into),
            seconds: self.begun.elapsed().as_secs_f64(),
            troubles: run.troubles(),
        }
    }
}

fn options_of(
    request: &Restore,
    folder: &str,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<RestoreOptions> {
    let patterns = |globs: &[OsString]| -> Result<Patterns> {
        let compiled = compile(&globs.iter().map(|glob| glob.as_bytes()).collect::<Vec<_>>())?;
        compiled.doubts.into_iter().for_each(|doubt| shared.remark(run, &Remark::Pattern(doubt)));
        Ok(compiled.patterns)
    };
    Ok(RestoreOptions {
        target: absolute(&request.target)?,
        reach: Reach::ByPath,
        folder: folder.as_bytes().to_vec(),
        paths: request.paths.iter().map(|path| list::normal(path.as_os_str().as_bytes())).collect(),
        include: patterns(&request.include)?,
        exclude: patterns(&request.exclude)?,
        sample: None,
        overwrite: match request.overwrite {
            None => Overwrite::Refuse,
            Some(OverwriteWhen::Always) => Overwrite::Always,
            Some(OverwriteWhen::IfChanged) => Overwrite::IfChanged,
            Some(OverwriteWhen::Never) => Overwrite::Never,
        },
        resume: request.resume,
        delete: request.delete,
        dry_run: request.dry_run,
        verify: request.verify,
        numeric_owners: request.numeric_owners,
        no_privileges: request.no_privileges,
    })
}
