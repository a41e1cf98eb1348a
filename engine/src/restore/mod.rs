//! Restore: turns a snapshot back into files. Plans first (which parts of which frames go
//! where), then runs the plan: each frame is read and opened once.

mod arriving;
mod plan;
mod target;
mod verify;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use keepfast_format::content::ChunkRef;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use keepfast_format::{FormatError, names};

use crate::error::{EngineError, Result};
use crate::fs::privileges;
use crate::fs::select::Patterns;
use crate::monitor::{Event, Monitor};
use crate::repo::{FrameCache, Index, Repository, Trees};
use plan::{FilePlan, RestorePlan};
use target::Target;

/// What to do with files that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Refuse a target that isn't empty.
    Refuse,
    /// Replace them.
    Always,
    /// Replace those with another size or modification time.
    IfChanged,
    /// Leave them.
    Never,
}

/// How to restore.
pub struct RestoreOptions<'a> {
    /// Where to.
    pub target: PathBuf,
    /// The folder of the snapshot whose contents go there; the whole snapshot, if empty.
    pub folder: Vec<u8>,
    /// Only these paths of the snapshot and what is below them; all, if empty.
    pub paths: Vec<Vec<u8>>,
    /// Only what matches, and what is below it; all, if there are no patterns.
    pub include: Patterns,
    /// Not what matches.
    pub exclude: Patterns,
    /// What to do with files that are there.
    pub overwrite: Overwrite,
    /// Remove what is in restored directories and not in the snapshot.
    pub delete: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Read everything back afterwards and compare.
    pub verify: bool,
    /// Give owners by number, not by name.
    pub numeric_owners: bool,
    /// Leave out devices, and give nothing setuid, setgid or attributes that the kernel trusts.
    pub no_privileges: bool,
    /// Threads that read and write.
    pub threads: usize,
    /// The id of a user's name here.
    pub user_id: &'a (dyn Fn(&[u8]) -> Option<u32> + Sync),
    /// The id of a group's name here.
    pub group_id: &'a (dyn Fn(&[u8]) -> Option<u32> + Sync),
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
    /// Entries removed.
    pub deleted: u64,
    /// Entries that couldn't be restored, or not in full.
    pub skipped: u64,
    /// Entries restored without privileges that they had, as asked for.
    pub privileges_dropped: u64,
    /// Devices that weren't restored, as asked for.
    pub devices_left_out: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files read back and found right.
    pub verified: u64,
}

/// Restores a snapshot.
pub fn restore(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<RestoreReport> {
    let restored = restore_snapshot(repository, index, snapshot, options, monitor);
    index.report_demoted(monitor, |_| false);
    restored
}

fn restore_snapshot(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    options: &RestoreOptions<'_>,
    monitor: &dyn Monitor,
) -> Result<RestoreReport> {
    let frames = FrameCache::new(repository, index);
    let data = FrameCache::of_data(repository, index);
    let trees = Trees::new(&frames);
    let folder = find_folder(trees, snapshot, &options.folder)?;
    let root = folder.as_ref().map_or(snapshot.body.tree, |(_, tree)| *tree);
    for path in &options.paths {
        if trees.find(&snapshot.body.tree, path)?.is_none() {
            return Err(not_there(path, "isn't", snapshot));
        }
    }
    let seen = &snapshot.body.statistics;
    monitor.progress().expect(seen.files(), seen.bytes_total);
    let target = Target::open(options, snapshot, folder.map(|(node, _)| node))?;
    let mut walk = Walk {
        trees,
        options,
        monitor,
        target,
        plan: RestorePlan::default(),
        links: Links::new(trees, snapshot, monitor)?,
        data: &data,
    };
    walk.directory(&root, 0, Picked::from(&options.paths, &options.include))?;
    walk.run_plan()?;
    walk.link_all()?;
    let mut report = walk.target.finish(monitor);
    if options.verify && !options.dry_run {
        let ids = frames.hashers().under(snapshot.head.key).ok_or_else(|| {
            let name = names::snapshot(snapshot.head.id);
            EngineError::damaged(name)(FormatError::NoKey { what: "snapshot" })
        })?;
        let comparison = verify::Comparison { trees, data: &data, ids };
        verify::verify(&comparison, &root, options, monitor, &mut report)?;
    }
    Ok(report)
}

/// The folder whose contents are restored, and its tree; none for the whole snapshot.
fn find_folder(trees: Trees<'_>, snapshot: &Snapshot, folder: &[u8]) -> Result<Option<(Node, ChunkId)>> {
    if folder.iter().all(|byte| *byte == b'/') {
        return Ok(None);
    }
    let found = trees.find(&snapshot.body.tree, folder)?;
    if let Some(Node { kind: NodeKind::Directory { tree }, .. }) = found {
        return Ok(found.map(|node| (node, tree)));
    }
    let what = if found.is_some() { "isn't a directory" } else { "isn't" };
    Err(not_there(folder, what, snapshot))
}

fn not_there(path: &[u8], what: &str, snapshot: &Snapshot) -> EngineError {
    EngineError::Unusable(format!(
        "{} {what} in snapshot {}; `keepfast ls` shows what there is",
        as_path(path).display(),
        snapshot.head.id.short(),
    ))
}

/// Whether an entry was picked by a path or pattern above it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Picked {
    /// Everything from here down.
    All,
    /// Only what paths or patterns say.
    BySelection,
}

impl Picked {
    fn from(paths: &[Vec<u8>], include: &Patterns) -> Self {
        if paths.is_empty() && include.is_empty() { Self::All } else { Self::BySelection }
    }
}

/// Files with several names: the first one restored, by group.
#[derive(Default)]
struct Links {
    groups: HashMap<Vec<u8>, usize>,
    first: HashMap<usize, Vec<u8>>,
    later: Vec<(usize, Vec<u8>)>,
}

impl Links {
    fn new(trees: Trees<'_>, snapshot: &Snapshot, monitor: &dyn Monitor) -> Result<Self> {
        let mut links = Self::default();
        let groups = match trees.hard_links(snapshot) {
            Err(error) if is_local(&error) => {
                let object = format!("snapshot {}", snapshot.head.id.short());
                let what = format!("its hard links are restored as files of their own: {error}");
                monitor.event(Event::Finding { object, what });
                Vec::new()
            }
            other => other?,
        };
        for (number, group) in groups.into_iter().enumerate() {
            links.groups.extend(group.into_iter().map(|path| (path, number)));
        }
        Ok(links)
    }
}

/// Walks the snapshot's tree, makes what is no regular file, and plans the files.
struct Walk<'a> {
    trees: Trees<'a>,
    options: &'a RestoreOptions<'a>,
    monitor: &'a dyn Monitor,
    target: Target<'a>,
    plan: RestorePlan,
    links: Links,
    data: &'a FrameCache<'a>,
}

impl Walk<'_> {
    /// One directory, and with a stack of its own all that is below it.
    fn directory(&mut self, root: &ChunkId, number: usize, picked: Picked) -> Result<()> {
        let mut stack = vec![(*root, number, picked)];
        while let Some((tree, number, picked)) = stack.pop() {
            let mut below = Vec::new();
            let mut names = Vec::new();
            let trees = self.trees;
            let read = trees.for_each_node(&tree, &mut |node| {
                if self.options.delete {
                    names.push(node.name.clone());
                }
                below.extend(self.entry(number, node, picked)?);
                if self.monitor.stopped() { Err(EngineError::Interrupted) } else { Ok(()) }
            });
            match read {
                // Only where all names are known is it clear which others there are.
                Ok(()) if self.options.delete && picked == Picked::All => {
                    self.target.delete_others(number, &names, self.monitor);
                }
                Ok(()) => {}
                Err(error) if is_local(&error) => self.target.unreadable(number, &error, self.monitor),
                Err(error) => return Err(error),
            }
            below.reverse();
            stack.extend(below);
        }
        Ok(())
    }

    /// One entry; a directory is returned, to be walked.
    fn entry(
        &mut self,
        above: usize,
        node: Node,
        picked: Picked,
    ) -> Result<Option<(ChunkId, usize, Picked)>> {
        let path = self.target.path_of(above, &node.name);
        let in_snapshot = self.path_in_snapshot(&path);
        let Some(picked) = self.pick(&in_snapshot, &node, picked) else { return Ok(None) };
        if let NodeKind::Directory { tree } = node.kind {
            let number = self.target.directory(above, node, picked == Picked::All, self.monitor)?;
            return Ok(number.map(|number| (tree, number, picked)));
        }
        if picked != Picked::All {
            return Ok(None);
        }
        // Before it could become the first name of a group of links.
        if self.options.no_privileges && privileges::is_device(&node) {
            self.target.count_device_left_out();
            return Ok(None);
        }
        let in_group = in_snapshot.strip_prefix(b"/").unwrap_or(&in_snapshot);
        let group = self.links.groups.get(in_group).copied();
        let may_write = self.target.may_write(above, &node, self.monitor)?;
        // What is as it should be may serve as a link's other end; what was left alone may not.
        let usable = may_write || self.options.overwrite == Overwrite::IfChanged;
        if let Some(group) = group.filter(|_| usable) {
            if self.links.first.contains_key(&group) {
                self.links.later.push((group, path));
                return Ok(None);
            }
            self.links.first.insert(group, path.clone());
        }
        if !may_write {
            return Ok(None);
        }
        match &node.kind {
            NodeKind::File { .. } => self.file(above, node)?,
            _ => self.target.special(above, &node, self.monitor)?,
        }
        Ok(None)
    }

    fn path_in_snapshot(&self, path: &[u8]) -> Vec<u8> {
        let folder = self.options.folder.strip_suffix(b"/").unwrap_or(&self.options.folder);
        let mut whole = Vec::with_capacity(folder.len() + path.len() + 2);
        if !folder.is_empty() && folder[0] != b'/' {
            whole.push(b'/');
        }
        whole.extend_from_slice(folder);
        whole.push(b'/');
        whole.extend_from_slice(path);
        whole
    }

    /// Whether an entry is restored, or, for a directory, may have something in it that is.
    fn pick(&self, path: &[u8], node: &Node, above: Picked) -> Option<Picked> {
        let options = self.options;
        if options.exclude.matches(path, &node.name) {
            return None;
        }
        if above == Picked::All {
            return Some(Picked::All);
        }
        let below = |path: &[u8], above: &[u8]| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        if options.include.matches(path, &node.name) || options.paths.iter().any(|wanted| below(path, wanted))
        {
            return Some(Picked::All);
        }
        let leads_there =
            !options.include.is_empty() || options.paths.iter().any(|wanted| below(wanted, path));
        let is_directory = matches!(node.kind, NodeKind::Directory { .. });
        (is_directory && leads_there).then_some(Picked::BySelection)
    }

    /// Plans a file. One whose list of parts can't be read is skipped; what is planned of it
    /// isn't written.
    fn file(&mut self, above: usize, node: Node) -> Result<()> {
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(()) };
        let (size, content, start) = (*size, content.clone(), extents.content_start());
        let (layout, dry_run) = (self.trees.layout(size, &content, extents), self.options.dry_run);
        let mut number = self.plan.begin_file(FilePlan::new(above, node, size));
        let planned = layout.and_then(|layout| {
            let mut places = plan::Places::new(start, &layout.extents);
            let trees = self.trees;
            let mut visit = |chunk: ChunkRef| {
                if self.monitor.stopped() {
                    return Err(EngineError::Interrupted);
                }
                if self.plan.has_all_parts() {
                    number = self.run_plan_within(number)?;
                    // What is planned of a file that was given up is written nowhere, and it may claim to be
                    // of any length.
                    if self.plan.files[number as usize].was_given_up() {
                        return Err(FrameCache::missing(&chunk.id));
                    }
                }
                let plan = &mut self.plan;
                places.take(chunk.len, |from, take, at| {
                    plan.need(number, chunk, from, take, at);
                });
                Ok(())
            };
            let bytes = layout.content_bytes;
            if dry_run {
                // Whether its chunks are there is all that counts: a list may be in it many times.
                trees.for_each_chunk_once(&content, bytes, &mut |_| true, &mut visit)
            } else {
                trees.for_each_chunk(&content, bytes, &mut visit)
            }
        });
        match planned {
            Ok(()) => {}
            // One that was given up before isn't told of again.
            Err(error) if is_local(&error) => {
                write::give_up_file(&self.plan.files[number as usize], &self.target, &error, self.monitor);
            }
            Err(error) => return Err(error),
        }
        if self.plan.is_full() { self.run_plan() } else { Ok(()) }
    }

    fn run_plan(&mut self) -> Result<()> {
        let mut plan = std::mem::take(&mut self.plan);
        write::run(&mut plan, &mut self.target, self.data, self.options, self.monitor)
    }

    /// Runs what is planned so far of a large file, and goes on with the file in a new plan.
    /// Returns its number there.
    fn run_plan_within(&mut self, number: u32) -> Result<u32> {
        let mut plan = std::mem::take(&mut self.plan);
        plan.files[number as usize].continues = true;
        write::run(&mut plan, &mut self.target, self.data, self.options, self.monitor)?;
        let mut file = plan.files.swap_remove(number as usize);
        file.continues = false;
        Ok(self.plan.begin_file(file))
    }

    fn link_all(&mut self) -> Result<()> {
        for (group, path) in std::mem::take(&mut self.links.later) {
            let first = self.links.first.get(&group).cloned().unwrap_or_default();
            self.target.link(&first, &path, self.monitor)?;
        }
        Ok(())
    }
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
