//! Walks the snapshot's tree: makes what is no regular file, plans the files, and removes what
//! isn't in the snapshot.

use std::collections::{HashMap, HashSet};

use keepfast_format::content::ChunkRef;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::delete::{Emptied, Listing};
use super::denied::Denied;
use super::entries::{Linked, Room};
use super::folders::{DirectoryNumber, ROOT};
use super::plan::{self, FileNumber, FilePlan, RestorePlan};
use super::selection::{Picked, Selection, Spot, Trail};
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
    /// Groups whose first name is planned, or is there.
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
    /// Who listens.
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

/// Where the walk is.
struct Place {
    /// The directory's number.
    directory: DirectoryNumber,
    /// Its path in the snapshot, or that of an entry.
    trail: Trail,
    /// How much of that is the directory's.
    prefix: usize,
    spot: Spot,
    listing: Listing,
}

impl Place {
    fn path_of(&mut self, name: &[u8]) -> &[u8] {
        self.trail.of_entry(self.prefix, name)
    }
}

/// A directory that is to be walked.
struct Pending {
    tree: ChunkId,
    /// Its number.
    directory: DirectoryNumber,
    /// How long the path of the directory is that it is in, in bytes.
    path_bytes_above: usize,
    spot: Spot,
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
        let spot = self.selection.at_the_top();
        let mut trail = self.selection.trail();
        let mut stack = vec![Pending { tree: *root, directory: ROOT, path_bytes_above: trail.len(), spot }];
        while let Some(Pending { tree, directory, path_bytes_above, spot }) = stack.pop() {
            if directory != ROOT {
                trail.turn_to(path_bytes_above, self.target.folders.name(directory).to_bytes());
            }
            let prefix = trail.len();
            let mut place = Place { directory, trail, prefix, spot, listing: Listing::default() };
            let mut below = Vec::new();
            let trees = self.trees;
            let read = trees.for_each_node(&tree, &mut |node| {
                below.extend(self.entry(&mut place, node)?);
                self.run.go_on()
            });
            match read {
                Ok(()) => self.tidy(&mut place)?,
                Err(error) if is_local(&error) => self.target.unreadable(directory, &error, self.run),
                Err(error) => return Err(error),
            }
            below.reverse();
            stack.extend(below);
            trail = place.trail;
        }
        Ok(())
    }

    /// Removes what isn't in the snapshot, where all names are known that are.
    fn tidy(&mut self, place: &mut Place) -> Result<()> {
        let Place { directory, trail, prefix, spot, listing } = place;
        if self.options.resume {
            self.target.remove_leftovers(*directory, &listing.names);
        }
        let path = trail.of_entry(*prefix, b"");
        if self.options.delete && spot.picked == Picked::All && self.selection.is_listed(path) {
            let emptied = Emptied { number: *directory, path, excluded: &spot.excluded };
            self.target.delete_others(&emptied, listing, self.run)?;
        }
        Ok(())
    }

    /// One entry; a directory is returned, to be walked.
    fn entry(&mut self, place: &mut Place, node: Node) -> Result<Option<Pending>> {
        let wanted = self.options.delete || (self.options.resume && temporary::is_one(&node.name));
        if wanted {
            place.listing.names.push(node.name.clone());
        }
        let is_spelled_again = place.listing.spellings.add(&node.name);
        let above = place.directory;
        let path = place.trail.of_entry(place.prefix, &node.name);
        let Some(picked) = self.selection.pick(path, &node, &place.spot) else {
            return Ok(None);
        };
        let is_restored = picked == Picked::All || matches!(node.kind, NodeKind::Directory { .. });
        if is_spelled_again && is_restored && self.target.ignores_case(above) {
            self.target.skipped(above, &node.name, Denied::ONE_NAME.why(), self.run);
            return Ok(None);
        }
        if let NodeKind::Directory { tree } = node.kind {
            let spot = self.selection.below(&place.spot, &node.name, picked);
            let number = self.target.directory(above, node, picked == Picked::All, self.run)?;
            return Ok(number.map(|directory| Pending {
                tree,
                directory,
                path_bytes_above: place.prefix,
                spot,
            }));
        }
        if picked != Picked::All {
            return Ok(None);
        }
        // Before it could become the first name of a group of links.
        if self.options.no_privileges && privileges::is_device(&node) {
            self.target.count_device_left_out();
            return Ok(None);
        }
        let group = match self.links.groups.is_empty() {
            true => None,
            false => self.links.groups.get(&place.path_of(&node.name)[1..]).copied(),
        };
        if let Some(group) = group.filter(|group| self.links.begun.contains(group)) {
            // What is there and may not be replaced is left alone.
            let is_made = match self.options.overwrite {
                Overwrite::Never => self.target.room(above, &node, self.run)? == Room::Free,
                _ => self.target.way_is_made(above, &node.name, self.run)?,
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
        match self.target.room(above, &node, self.run)? {
            Room::Free => {}
            Room::Kept(identity) => {
                if let Some(group) = group {
                    let first = First { directory: above, name: node.name, identity: Some(identity) };
                    self.target.set_first(group, first);
                    self.links.begun.insert(group);
                }
                return Ok(());
            }
            Room::Left | Room::Denied => return Ok(()),
        }
        self.links.begun.extend(group);
        if let Some(group) = group.filter(|_| self.options.dry_run) {
            self.target.set_first(group, First { directory: above, name: node.name.clone(), identity: None });
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
                    // What is planned of a file that was given up is written nowhere, and it may claim to be
                    // of any length.
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
