//! Walks the snapshot's tree: makes what is no regular file, plans the files, and removes what
//! isn't in the snapshot.

use std::collections::{HashMap, HashSet};

use keepfast_format::content::ChunkRef;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::delete::{Emptied, Listing};
use super::denied::Denied;
use super::entries::{Action, Linked};
use super::folders::{DirectoryNumber, ROOT};
use super::plan::{self, FileNumber, FilePlan, RestorePlan};
use super::selection::{Picked, SelectedDirectory, Selection, SnapshotPath};
use super::target::{First, LinkGroup, Target};
use super::{Overwrite, RestoreOptions, is_local, temporary, write};
use crate::error::{EngineError, Result};
use crate::fs::privileges;
use crate::repo::{FrameCache, Trees};
use crate::run::{Event, RunContext};

/// Files with several names.
#[derive(Default)]
pub struct Links {
    /// The group of each path in the snapshot, without a slash at its beginning.
    groups: HashMap<Vec<u8>, LinkGroup>,
    /// Groups whose first name is planned or exists.
    begun: HashSet<LinkGroup>,
    later: Vec<Later>,
}

/// A further name.
struct Later {
    group: LinkGroup,
    directory: DirectoryNumber,
    node: Node,
}

impl Links {
    /// Those of a snapshot.
    pub fn new(trees: Trees<'_>, snapshot: &Snapshot, run: &RunContext) -> Result<Self> {
        let mut links = Self::default();
        let groups = match trees.hard_links(snapshot) {
            Err(error) if is_local(&error) => {
                let object = format!("snapshot {}", snapshot.head.id.short());
                let what = format!("its hard links are restored as files of their own: {error}");
                run.tell(&Event::Damaged { object, what });
                Vec::new()
            }
            other => other?,
        };
        for (number, group) in groups.into_iter().enumerate() {
            links.groups.extend(group.into_iter().map(|path| (path, LinkGroup(number))));
        }
        Ok(links)
    }
}

/// The walk.
pub struct Walk<'a, 't> {
    /// The snapshot's trees.
    pub trees: Trees<'a>,
    /// How to restore.
    pub options: &'a RestoreOptions,
    /// What is restored of the snapshot.
    pub selection: &'t Selection<'a>,
    /// The run that this is part of.
    pub run: &'a RunContext,
    /// Where to.
    pub target: &'t mut Target<'a>,
    /// What is to be written.
    pub plan: RestorePlan,
    /// Files with several names.
    pub links: Links,
    /// The content of files.
    pub data: &'a FrameCache<'a>,
}

/// The directory that is being read.
struct CurrentDirectory {
    /// The directory's number.
    directory: DirectoryNumber,
    /// Its path in the snapshot, or that of one of its entries.
    path_buffer: SnapshotPath,
    /// How long the directory's own path is.
    path_bytes: usize,
    selected: SelectedDirectory,
    listing: Listing,
}

impl CurrentDirectory {
    fn path_of(&mut self, name: &[u8]) -> &[u8] {
        self.path_buffer.of_entry(self.path_bytes, name)
    }
}

/// A directory that is to be walked.
struct Pending {
    tree: ChunkId,
    /// Its number.
    directory: DirectoryNumber,
    /// How long the path of the directory is that it is in, in bytes.
    path_bytes_above: usize,
    selected: SelectedDirectory,
}

impl Walk<'_, '_> {
    /// Restores all below a tree into the target.
    pub fn run(&mut self, root: &ChunkId) -> Result<()> {
        let done = self.directories(root).and_then(|()| self.run_plan()).and_then(|()| self.link_all());
        if done.is_err() {
            write::abandon(&self.plan, self.target);
        }
        done
    }

    fn directories(&mut self, root: &ChunkId) -> Result<()> {
        let selected = self.selection.at_the_top();
        let mut path_buffer = self.selection.path();
        let mut stack =
            vec![Pending { tree: *root, directory: ROOT, path_bytes_above: path_buffer.len(), selected }];
        while let Some(Pending { tree, directory, path_bytes_above, selected }) = stack.pop() {
            if directory != ROOT {
                path_buffer.turn_to(path_bytes_above, self.target.folders.name(directory).to_bytes());
            }
            let path_bytes = path_buffer.len();
            let mut current = CurrentDirectory {
                directory,
                path_buffer,
                path_bytes,
                selected,
                listing: Listing::default(),
            };
            let mut below = Vec::new();
            let trees = self.trees;
            let read = trees.for_each_node(&tree, &mut |node| {
                below.extend(self.entry(&mut current, node)?);
                self.run.go_on()
            });
            match read {
                Ok(()) => self.tidy(&mut current)?,
                Err(error) if is_local(&error) => self.target.unreadable(directory, &error, self.run),
                Err(error) => return Err(error),
            }
            below.reverse();
            stack.extend(below);
            path_buffer = current.path_buffer;
        }
        Ok(())
    }

    /// Removes what isn't in the snapshot, if the whole listing of the directory is known.
    fn tidy(&mut self, current: &mut CurrentDirectory) -> Result<()> {
        let CurrentDirectory { directory, path_buffer, path_bytes, selected, listing } = current;
        if self.options.resume {
            self.target.remove_leftovers(*directory, &listing.names);
        }
        let path = path_buffer.of_entry(*path_bytes, b"");
        if self.options.delete && selected.picked == Picked::All && self.selection.is_listed(path) {
            let emptied = Emptied { number: *directory, path, excluded: &selected.excluded };
            self.target.delete_others(&emptied, listing, self.run)?;
        }
        Ok(())
    }

    /// One entry; a directory is returned, to be walked.
    fn entry(&mut self, current: &mut CurrentDirectory, node: Node) -> Result<Option<Pending>> {
        let wanted = self.options.delete || (self.options.resume && temporary::is_one(&node.name));
        if wanted {
            current.listing.names.push(node.name.clone());
        }
        let is_spelled_again = current.listing.spellings.add(&node.name);
        let above = current.directory;
        let path = current.path_buffer.of_entry(current.path_bytes, &node.name);
        let Some(picked) = self.selection.pick(path, &node, &current.selected) else {
            return Ok(None);
        };
        let is_restored = picked == Picked::All || matches!(node.kind, NodeKind::Directory { .. });
        if is_spelled_again && is_restored && self.target.ignores_case(above) {
            self.target.skipped(above, &node.name, Denied::ONE_NAME.why(), self.run);
            return Ok(None);
        }
        if let NodeKind::Directory { tree } = node.kind {
            let selected = self.selection.below(&current.selected, &node.name, picked);
            let number = self.target.directory(above, node, picked == Picked::All, self.run)?;
            return Ok(number.map(|directory| Pending {
                tree,
                directory,
                path_bytes_above: current.path_bytes,
                selected,
            }));
        }
        if picked != Picked::All {
            return Ok(None);
        }
        // Checked before the group of links: a device that is left out must not become its first name.
        if self.options.no_privileges && privileges::is_device(&node) {
            self.target.count_device_left_out();
            return Ok(None);
        }
        let group = match self.links.groups.is_empty() {
            true => None,
            false => self.links.groups.get(&current.path_of(&node.name)[1..]).copied(),
        };
        if let Some(group) = group.filter(|group| self.links.begun.contains(group)) {
            // An entry that exists and may not be replaced is left alone.
            let is_made = match self.options.overwrite {
                Overwrite::Never => self.target.action_for(above, &node, self.run)? == Action::Write,
                _ => {
                    let is_made = self.target.make_directory_of(above, &node.name, self.run)?;
                    self.target.watch_entry(above, &node);
                    is_made
                }
            };
            if is_made {
                self.links.later.push(Later { group, directory: above, node });
            }
            return Ok(None);
        }
        self.make(above, node, group)?;
        Ok(None)
    }

    /// Makes an entry that is no directory.
    fn make(&mut self, above: DirectoryNumber, node: Node, group: Option<LinkGroup>) -> Result<()> {
        match self.target.action_for(above, &node, self.run)? {
            Action::Write => {}
            Action::Keep(identity) => {
                if let Some(group) = group {
                    let first = First { directory: above, name: node.name, identity: Some(identity) };
                    self.target.set_first_name(group, first);
                    self.links.begun.insert(group);
                }
                return Ok(());
            }
            Action::Leave | Action::Failed => return Ok(()),
        }
        self.links.begun.extend(group);
        if let Some(group) = group.filter(|_| self.options.dry_run) {
            self.target
                .set_first_name(group, First { directory: above, name: node.name.clone(), identity: None });
        }
        match &node.kind {
            NodeKind::File { .. } => self.file(above, node, group),
            _ => self.target.special(above, &node, group, self.run),
        }
    }

    /// Plans a file. One whose list of parts can't be read is skipped; what is planned of it
    /// isn't written.
    fn file(&mut self, above: DirectoryNumber, node: Node, group: Option<LinkGroup>) -> Result<()> {
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(()) };
        let (size, content, start) = (*size, content.clone(), extents.content_start());
        let (layout, dry_run) = (self.trees.layout(size, &content, extents), self.options.dry_run);
        let mut number = self.plan.begin_file(FilePlan::new(above, node, size, group));
        let planned = layout.and_then(|layout| {
            let mut places = plan::Places::new(start, &layout.extents);
            let trees = self.trees;
            let mut visit = |chunk: ChunkRef| {
                if self.run.is_cancelled() {
                    return Err(EngineError::Interrupted);
                }
                if self.plan.has_all_parts() {
                    number = self.run_plan_within(number)?;
                    // Parts of a file that was given up are written nowhere, and it may claim any length: planning
                    // the rest of it could take forever.
                    if self.plan.file(number).was_given_up() {
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
                // Only whether its chunks exist matters, and content may repeat one list of chunks many times.
                trees.for_each_chunk_once(&content, bytes, &mut |_| true, &mut visit)
            } else {
                trees.for_each_chunk(&content, bytes, &mut visit)
            }
        });
        match planned {
            Ok(()) => {}
            // If it was given up before, `give_up_file` doesn't report it again.
            Err(error) if is_local(&error) => {
                write::give_up_file(self.plan.file(number), self.target, &error, self.run);
            }
            Err(error) => return Err(error),
        }
        if self.plan.is_full() { self.run_plan() } else { Ok(()) }
    }

    fn run_plan(&mut self) -> Result<()> {
        let mut plan = std::mem::take(&mut self.plan);
        write::run(&mut plan, self.target, self.data, self.options, self.run)
    }

    /// Runs what is planned so far of a large file, and goes on with the file in a new plan.
    /// Returns its number there.
    fn run_plan_within(&mut self, number: FileNumber) -> Result<FileNumber> {
        let mut plan = std::mem::take(&mut self.plan);
        plan.file_mut(number).continues = true;
        write::run(&mut plan, self.target, self.data, self.options, self.run)?;
        let mut file = plan.take_file(number);
        file.continues = false;
        Ok(self.plan.begin_file(file))
    }

    /// Makes the further names of files. If the first name of a file couldn't be written, the next one
    /// becomes the first.
    fn link_all(&mut self) -> Result<()> {
        let mut later = std::mem::take(&mut self.links.later);
        while !later.is_empty() {
            let mut tried = HashSet::new();
            let mut left = Vec::new();
            for Later { group, directory, node } in later {
                if self.run.is_cancelled() {
                    return Err(EngineError::Interrupted);
                }
                if let Some(first) = self.target.first(group) {
                    match self.target.link(&first, directory, &node.name, self.run)? {
                        Linked::Done => {}
                        Linked::Impossible(why) => {
                            let why = format!("{why}; it is restored as a file of its own");
                            self.target.skipped(directory, &node.name, why, self.run);
                            self.make(directory, node, None)?;
                        }
                    }
                } else if tried.insert(group) {
                    self.make(directory, node, Some(group))?;
                } else {
                    left.push(Later { group, directory, node });
                }
            }
            self.run_plan()?;
            later = left;
        }
        Ok(())
    }
}
