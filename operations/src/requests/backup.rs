//! Backing up.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keepfast_engine::EngineError;
use keepfast_engine::archive::{
    ArchiveOptions, ParentChoice, Source, archive, can_be_read_again, estimate, has_parent,
};
use keepfast_engine::fs::meta::FileId;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::repo::{WriterOptions, open_index_in_memory};
use keepfast_engine::run::{Event, RunContext};
use serde::{Deserialize, Serialize};

use super::{PROGRAM, limited, share_of};
use crate::child::{ChildMessages, Children};
use crate::choose::remark_if_ahead;
use crate::chunking::{self, ChunkingBelow};
use crate::databases::{self, DatabaseSource};
use crate::error::Result;
use crate::host::{SystemHost, monotonic};
use crate::open::{Mode, Opened, SharedRepository};
use crate::patterns::{compile_with_files, elsewhere};
use crate::remark::{AheadUse, Remark};
use crate::reports::BackupReport;
use crate::resources::{Resources, Work};
use crate::sources::{self, PathSources};
use crate::streams::{Empty, Inputs, StreamGroup, StreamSource};

/// How often a backup that waits for its input looks for garbage collections.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What to back up, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Backup {
    /// Files and directories.
    pub sources: PathSources,
    /// Commands whose output is backed up, next to files or alone.
    pub streams: Vec<StreamSource>,
    /// Databases, each of which becomes a folder in the snapshot's root directory.
    pub databases: Vec<DatabaseSource>,
    /// Whether a stream may have nothing in it.
    pub empty: Empty,
    /// Labels for the snapshot.
    pub tags: Vec<String>,
    /// The machine's name in the snapshot; else this machine's.
    pub host: Option<String>,
    /// Patterns of what to leave out.
    #[serde(with = "crate::child::words")]
    pub exclude: Vec<OsString>,
    /// Files with more patterns of what to leave out.
    pub exclude_from: Vec<PathBuf>,
    /// Leave out directories that are marked as caches.
    pub exclude_caches: bool,
    /// Leave out what is in directories that have an entry of one of these names.
    #[serde(with = "crate::child::words")]
    pub exclude_if_present: Vec<OsString>,
    /// Leave out files and directories that `chattr +d` has marked, unless they are named.
    pub exclude_nodump: bool,
    /// Leave out files that have more bytes than this.
    pub exclude_larger_than: Option<u64>,
    /// Directories that are left out, wherever they are. The repository's and the cache's always are.
    pub never_enter: Vec<PathBuf>,
    /// Leave out what files named `.keepfastignore` say.
    pub ignore_files: bool,
    /// Stay within the file systems of the paths.
    pub one_file_system: bool,
    /// Don't take a changed ctime for a changed file.
    pub ignore_ctime: bool,
    /// Don't take a changed inode number for a changed file.
    pub ignore_inode: bool,
    /// The snapshot to compare with; else the newest of the same writer, machine and paths.
    pub parent: Option<String>,
    /// Read all files again, and compare with no snapshot.
    pub force: bool,
    /// Make no snapshot if nothing has changed since the one that it is compared with, labels included.
    pub skip_if_unchanged: bool,
    /// Store nothing.
    pub dry_run: bool,
    /// The level of zstd compression.
    pub compression_level: i32,
    /// Open what was sealed again before it is stored.
    pub verify_writes: bool,
    /// Where no snapshot says how much there is to read, count it at the same time: for someone who looks at progress.
    pub estimate: bool,
    /// How files are cut into chunks, by their paths in the snapshot; the others are cut as it suits them
    /// ([`Chunking::Auto`](crate::chunking::Chunking::Auto)).
    pub chunking: Vec<ChunkingBelow>,
    /// What it may use.
    pub resources: Resources,
}

impl Default for Backup {
    fn default() -> Self {
        let writer = WriterOptions::default();
        Self {
            sources: PathSources::default(),
            streams: Vec::new(),
            databases: Vec::new(),
            empty: Empty::default(),
            tags: Vec::new(),
            host: None,
            exclude: Vec::new(),
            exclude_from: Vec::new(),
            exclude_caches: false,
            exclude_if_present: Vec::new(),
            exclude_nodump: false,
            exclude_larger_than: None,
            never_enter: Vec::new(),
            ignore_files: true,
            one_file_system: false,
            ignore_ctime: false,
            ignore_inode: false,
            parent: None,
            force: false,
            skip_if_unchanged: false,
            dry_run: false,
            compression_level: writer.compression_level,
            verify_writes: writer.verify,
            estimate: false,
            chunking: Vec::new(),
            resources: Resources::default(),
        }
    }
}

/// Backs up. Commands begin when the repository is open; if one fails, there is no snapshot.
pub fn backup(request: &Backup, shared: &SharedRepository, run: &RunContext) -> Result<BackupReport> {
    // Whatever starts this: what they say of errors may have secrets in it, so it isn't shown as it is.
    let children = Children { messages: ChildMessages::Captured, ..shared.children().clone() };
    let start = |group: &StreamGroup| {
        let streams = request.streams.iter().map(|source| group.command(source, &children));
        Ok(streams.collect::<Result<Vec<_>>>()?.into())
    };
    backup_with(request, !request.streams.is_empty(), start, shared, run)
}

/// As [`backup`], with streams and folders that the caller starts when the repository is open, and none of the request's
/// own streams. `has_inputs` says whether there will be any.
pub fn backup_with(
    request: &Backup,
    has_inputs: bool,
    start: impl FnOnce(&StreamGroup) -> Result<Inputs>,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<BackupReport> {
    let begun = monotonic();
    let run = &limited(run, &request.resources);
    let patterns = compile_with_files(&request.exclude, &request.exclude_from)?;
    patterns.doubts.iter().for_each(|doubt| shared.remark(run, &Remark::Pattern(doubt.clone())));
    let mut options = options_of(request, patterns.patterns, shared);
    let has_inputs = has_inputs || !request.databases.is_empty();
    let has_no_paths = has_inputs && request.sources.paths.is_empty();
    let paths = if has_no_paths { Vec::new() } else { paths_of(request, shared, run)? };
    let opened = shared.open(run, Mode::Usual)?;
    let Opened { repository, snapshots, index } = &opened;
    let share = share_of(&request.resources, Work::Write, repository.config().pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    options.writer.uploads = share.uploads;
    // Now that nothing else can keep the backup from beginning.
    let group = StreamGroup::new(request.empty, run.cancel());
    let Inputs { streams, mut folders } = start(&group)?;
    for source in &request.databases {
        folders.push(databases::folder_of(source, &group, shared, run)?);
    }
    let source = Source { paths: &paths, streams, folders };
    let ended = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        let is_unknown = || !has_inputs && !has_parent(repository, snapshots, &options, &paths);
        if request.estimate && is_unknown() {
            scope.spawn(|| estimate(&paths, &options, &ended, run));
        }
        let report = match archive(repository, index, snapshots, source, &options, run) {
            Err(error @ EngineError::Cache { .. }) if !has_inputs && can_be_read_again(&paths, &options) => {
                shared.remark(run, &Remark::BeginsAgain { why: error.to_string() });
                open_index_in_memory(repository, snapshots, run).and_then(|index| {
                    archive(repository, &index, snapshots, Source::paths(&paths), &options, run)
                })
            }
            report => report,
        };
        ended.store(true, Ordering::Relaxed);
        report
    });
    let report = report.map_err(|error| group.explain(error))?;
    let mut all = snapshots.all.iter();
    if let Some(parent) = all.find(|stored| Some(stored.snapshot.head.id.short()) == report.parent) {
        remark_if_ahead(parent, AheadUse::Parent, shared, run);
    }
    Ok(BackupReport {
        snapshot: report.snapshot.as_ref().map(Into::into),
        dry_run: request.dry_run,
        summary: (&report.statistics).into(),
        unchanged: report.is_unchanged,
        changes: report.changes.as_ref().map(Into::into),
        changed_while_read: report.changed_while_read,
        ignored: report.ignored,
        packs: report.packs,
        traffic: repository.backend().traffic().map(Into::into),
        seconds: begun.elapsed().as_secs_f64(),
        parent: report.parent,
        troubles: run.troubles(),
    })
}

/// The paths that are there. What is worth a line about others is told.
fn paths_of(request: &Backup, shared: &SharedRepository, run: &RunContext) -> Result<Vec<PathBuf>> {
    let paths = sources::find(&request.sources, &mut |remark| match remark {
        sources::Remark::Skipped { path, why } => run.tell(&Event::Skipped { path, why }),
        remark => shared.remark(run, &Remark::Path(remark)),
    })?;
    let stored = request.sources.stored_as.as_ref().map_or(paths.as_slice(), std::slice::from_ref);
    for doubt in elsewhere(&request.exclude, stored) {
        shared.remark(run, &Remark::Pattern(doubt));
    }
    Ok(paths)
}

fn options_of(request: &Backup, exclude: Patterns, shared: &SharedRepository) -> ArchiveOptions {
    let target = shared.target();
    let own = target.place.directory().into_iter().chain(target.cache.as_deref());
    let own = own.chain(request.never_enter.iter().map(PathBuf::as_path));
    let sources = &request.sources;
    ArchiveOptions {
        host: request.host.clone().unwrap_or_else(|| SystemHost.name()),
        user: SystemHost.user(),
        tags: request.tags.clone(),
        program: PROGRAM.to_owned(),
        exclude,
        exclude_caches: request.exclude_caches,
        exclude_if_present: request.exclude_if_present.iter().map(|name| name.as_bytes().to_vec()).collect(),
        exclude_larger_than: request.exclude_larger_than,
        ignore_files: request.ignore_files,
        exclude_nodump: request.exclude_nodump,
        one_file_system: request.one_file_system,
        follow_sources: sources.follow_sources,
        follow: sources.follow,
        read_special: sources.read_special,
        cutting: chunking::rules(&request.chunking),
        stored_as: sources.stored_as.clone(),
        skip_if_unchanged: request.skip_if_unchanged,
        ignore_ctime: request.ignore_ctime,
        ignore_inode: request.ignore_inode,
        parent: match (&request.parent, request.force) {
            (Some(parent), _) => ParentChoice::Named(parent.clone()),
            (None, true) => ParentChoice::None,
            (None, false) => ParentChoice::Newest,
        },
        dry_run: request.dry_run,
        writer: WriterOptions {
            compression_level: request.compression_level,
            verify: request.verify_writes,
            ..WriterOptions::default()
        },
        heartbeat: HEARTBEAT,
        never_enter: own
            .filter_map(|own| own.metadata().ok())
            .map(|found| FileId { device: found.dev(), inode: found.ino() })
            .collect(),
    }
}
