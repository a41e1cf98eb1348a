//! Restore: turns a snapshot back into files. Plans first (which parts of which frames go
//! where), then runs the plan: each frame is read and opened once.

mod arriving;
mod conflict;
mod delete;
mod denied;
mod entries;
mod folders;
mod mounts;
mod plan;
mod sample;
mod selection;
mod spelling;
mod target;
mod temporary;
mod verify;
mod walk;
mod watching;
mod write;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkIds;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use keepfast_format::{FormatError, names};

use crate::error::{EngineError, Mismatch, Result};
use crate::fs::select::Patterns;
use crate::repo::{FrameCache, Index, Repository, Trees};
use crate::run::{Phase, RunContext, Troubles};
pub use conflict::{Conflict, Outcome, There, ThereKind};
use plan::RestorePlan;
pub use sample::Sample;
use selection::Selection;
use target::Target;
use walk::{Links, Walk};

/// What to do with files that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse a target that isn't empty.
    Refuse,
    /// Replace them.
    Always,
    /// Replace those with another size or modification time; put the metadata of the others right.
    IfChanged,
    /// Leave them.
    Never,
}

/// How the target is reached.
#[derive(Debug, Clone, Default)]
pub enum Reach {
    /// By its path, which may lead over symbolic links. A target that isn't there is made.
    #[default]
    ByPath,
    /// It is open: nothing of its path is looked up again, so that no one can put another directory in its place.
    Open {
        /// The directory, opened to be listed. `None` in a dry run whose target isn't there.
        handle: Option<Arc<OwnedFd>>,
        /// Whether it was made for this restore.
        is_new: bool,
    },
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Where to. Of a target that is open, only for messages.
    pub target: PathBuf,
    /// How the target is reached.
    pub reach: Reach,
    /// The folder of the snapshot whose contents go there; the whole snapshot, if empty.
    pub folder: Vec<u8>,
    /// Only these paths of the snapshot and what is below them; all, if empty.
    pub paths: Vec<Vec<u8>>,
    /// Only what matches, and what is below it; all, if there are no patterns.
    pub include: Patterns,
    /// Not what matches.
    pub exclude: Patterns,
    /// Of all that, only these; all, if there is no sample.
    pub sample: Option<Sample>,
    /// What to do with files that are there.
    pub overwrite: Overwrite,
    /// Go on with a restore that was cut short: the target needn't be empty, files that are complete
    /// are kept, and what was begun of others is removed.
    pub resume: bool,
    /// Remove what is in restored directories and not in the snapshot, where that has the directory's
    /// whole listing.
    pub delete: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Read everything back afterwards and compare it, with its metadata.
    pub verify: bool,
    /// Give owners by number, not by name.
    pub numeric_owners: bool,
    /// Leave out devices, and give nothing setuid, setgid or attributes that the kernel trusts.
    pub no_privileges: bool,
}

impl RestoreOptions {
    /// What is done to files that are there.
    fn overwrite_files(&self) -> Overwrite {
        match self.overwrite {
            Overwrite::Refuse | Overwrite::Always if self.resume => Overwrite::IfChanged,
            other => other,
        }
    }

    /// Whether nothing of the snapshot was chosen.
    fn restores_all(&self) -> bool {
        self.folder.iter().all(|byte| *byte == b'/')
            && self.paths.is_empty()
            && self.include.is_empty()
            && self.sample.is_none()
    }
}

/// What a restore did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// Regular files written.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, fifos, sockets, devices.
    pub others: u64,
    /// Further names of files with several.
    pub hard_links: u64,
    /// Files left as they were.
    pub unchanged: u64,
    /// Files whose content was left as it was, and whose metadata was wrong.
    pub corrected: u64,
    /// Entries removed.
    pub deleted: u64,
    /// Entries restored without privileges that they had, as asked for.
    pub privileges_dropped: u64,
    /// Devices that weren't restored, as asked for.
    pub devices_left_out: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files read back and found right.
    pub verified: u64,
    /// What kept the restore from being complete: among it how many entries weren't restored, or not in full,
    /// or differ when read back.
    pub troubles: Troubles,
}

impl RestoreReport {
    /// Both together, of two parts of one run: its troubles are those that the later part has told.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            files: self.files + later.files,
            dirs: self.dirs + later.dirs,
            others: self.others + later.others,
            hard_links: self.hard_links + later.hard_links,
            unchanged: self.unchanged + later.unchanged,
            corrected: self.corrected + later.corrected,
            deleted: self.deleted + later.deleted,
            privileges_dropped: self.privileges_dropped + later.privileges_dropped,
            devices_left_out: self.devices_left_out + later.devices_left_out,
            bytes: self.bytes.saturating_add(later.bytes),
            verified: self.verified + later.verified,
            troubles: later.troubles,
        }
    }
}

/// Restores a snapshot.
pub fn restore(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<RestoreReport> {
    let restored = restore_snapshot(repository, index, snapshot, options, run).map_err(|error| match error {
        EngineError::Interrupted => EngineError::RestoreInterrupted,
        other => other,
    });
    run.report_suspects(|_| false);
    restored.map(|report| RestoreReport { troubles: run.troubles(), ..report })
}

/// Compares what is in a target with the snapshot, and writes nothing: content, modes, times, attributes, and owners where
/// they could be given. `options` are those with which it was restored. Every entry that is missing or differs is an event.
/// Returns how many regular files are right.
pub fn compare(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<u64> {
    // Nothing of the target is made or changed to open it.
    let options = &RestoreOptions { dry_run: true, overwrite: Overwrite::IfChanged, ..options.clone() };
    let compared = compare_target(repository, index, snapshot, options, run);
    run.report_suspects(|_| false);
    compared
}

fn compare_target(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<u64> {
    let frames = FrameCache::new(repository, index, run);
    let data = FrameCache::of_data(repository, index, run);
    let trees = Trees::new(&frames);
    let folder = find_folder(trees, snapshot, &options.folder)?;
    run.enter(Phase::Verifying);
    let root = folder.as_ref().map_or(snapshot.body.tree, |folder| folder.tree);
    let selection = &Selection::new(options, snapshot);
    let target = Target::open(options, snapshot, folder.map(|folder| folder.node), None, run.host())?;
    let ids = ids_of(&frames, snapshot)?;
    let missing = verify::Missing::Told;
    let comparison = verify::Comparison { trees, data: &data, ids, target: &target, selection, missing };
    verify::verify(&comparison, &root, run)
}

/// The hasher under a snapshot's keys.
fn ids_of<'f>(frames: &'f FrameCache<'_>, snapshot: &Snapshot) -> Result<&'f ChunkIds> {
    frames.hashers().under(snapshot.head.key).ok_or_else(|| {
        let name = names::snapshot(snapshot.head.id);
        EngineError::damaged(name)(FormatError::NoKey { what: "snapshot" })
    })
}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What it would do.
    pub report: RestoreReport,
    /// Whether everything was looked at. If the run was to end before that, the report counts a part.
    pub is_whole: bool,
}

/// Looks what a restore would do, as a dry run does, and tells of what is in the way. A run that is cancelled ends it with
/// what was found until then.
pub fn preview(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    conflicts: &(dyn Fn(Conflict) + Sync),
    run: &RunContext,
) -> Result<Preview> {
    let watch = Some(conflicts).filter(|_| options.dry_run);
    let looked = carry_out(repository, index, snapshot, options, watch, run);
    run.report_suspects(|_| false);
    let Preview { report, is_whole } = match looked {
        // It has seen nothing of the target.
        Err(EngineError::Interrupted) => Preview { report: RestoreReport::default(), is_whole: false },
        looked => looked?,
    };
    Ok(Preview { report: RestoreReport { troubles: run.troubles(), ..report }, is_whole })
}

fn restore_snapshot(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<RestoreReport> {
    carry_out(repository, index, snapshot, options, None, run).map(|done| done.report)
}

/// Restores; or, for a preview, looks until it is cancelled.
fn carry_out(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions,
    watch: Option<conflict::Watch<'_>>,
    run: &RunContext,
) -> Result<Preview> {
    let frames = FrameCache::new(repository, index, run);
    let data = FrameCache::of_data(repository, index, run);
    let trees = Trees::new(&frames);
    let folder = find_folder(trees, snapshot, &options.folder)?;
    run.enter(Phase::Restoring);
    let root = folder.as_ref().map_or(snapshot.body.tree, |folder| folder.tree);
    for path in &options.paths {
        if trees.find(&snapshot.body.tree, path)?.is_none() {
            return Err(not_there(path, Mismatch::Nothing, snapshot));
        }
    }
    if options.restores_all() {
        let seen = &snapshot.body.statistics;
        run.expect(seen.files(), seen.bytes_total);
    }
    let links = Links::new(trees, snapshot, run)?;
    let selection = &Selection::new(options, snapshot);
    let mut target = Target::open(options, snapshot, folder.map(|folder| folder.node), watch, run.host())?;
    let plan = RestorePlan::default();
    let mut walk = Walk { trees, options, selection, run, target: &mut target, plan, links, data: &data };
    let is_whole = match walk.run(&root) {
        Ok(()) => true,
        Err(EngineError::Interrupted) if watch.is_some() => false,
        Err(error) => {
            target.abandon();
            return Err(error);
        }
    };
    let dirs = target.finish(run);
    let mut verified = 0;
    if options.verify && !options.dry_run {
        run.enter(Phase::Verifying);
        let ids = ids_of(&frames, snapshot)?;
        let missing = verify::Missing::ToldBefore;
        let comparison = verify::Comparison { trees, data: &data, ids, target: &target, selection, missing };
        verified = verify::verify(&comparison, &root, run)?;
    }
    Ok(Preview { report: RestoreReport { verified, ..target.report(dirs) }, is_whole })
}

/// A folder of a snapshot.
struct Folder {
    node: Node,
    tree: ChunkId,
}

/// The folder whose contents are restored; `None` for the whole snapshot.
fn find_folder(trees: Trees<'_>, snapshot: &Snapshot, folder: &[u8]) -> Result<Option<Folder>> {
    if folder.iter().all(|byte| *byte == b'/') {
        return Ok(None);
    }
    let found = trees.find(&snapshot.body.tree, folder)?;
    if let Some(Node { kind: NodeKind::Directory { tree }, .. }) = found {
        return Ok(found.map(|node| Folder { node, tree }));
    }
    let found = if found.is_some() { Mismatch::NoDirectory } else { Mismatch::Nothing };
    Err(not_there(folder, found, snapshot))
}

fn not_there(path: &[u8], found: Mismatch, snapshot: &Snapshot) -> EngineError {
    EngineError::NotInSnapshot { path: path.to_vec(), found, snapshot: snapshot.head.id }
}

/// Whether an error concerns one object alone, so that the rest can still be restored.
fn is_local(error: &EngineError) -> bool {
    matches!(error, EngineError::Damaged { .. } | EngineError::Missing { .. })
}

/// Bytes as a path, for messages.
fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
