//! Makes the tree of a folder of what is recorded of its entries, from the bottom up, and compares it with the parent.
//!
//! Memory: for the current directory and each one that it is in, its open page. Nothing recurses.

use keepfast_format::node::{Extents, NodeKind, Timestamp};
use keepfast_format::state::EntryState;

use super::EntryAttributes;
use super::records::{OpenFolder, Record, RecordKind, StoredFile};
use crate::archive::parent::{InParent, ParentCursor, ParentEntry};
use crate::archive::pending::{Entry, Metadata, PendingEntry};
use crate::archive::sink::Sink;
use crate::archive::storing::StoringSink;
use crate::chunk::pages::{Pager, States, TreeIds};
use crate::error::Result;

/// The mode of a file that the program gives none.
const FILE_MODE: u16 = 0o600;
/// The mode of a directory that the program gives none.
const DIRECTORY_MODE: u16 = 0o700;
/// The mode that links have.
const LINK_MODE: u16 = 0o777;
/// The bits of a mode that a node has.
const MODE_BITS: u16 = 0o7777;

/// A directory whose entries come, in the order of their names.
struct Level<'a> {
    name: Vec<u8>,
    attributes: EntryAttributes,
    /// What the parent has in its place.
    in_parent: InParent,
    /// What the parent has in it.
    below: ParentCursor<'a>,
    made: Pager,
}

impl<'a> StoringSink<'a> {
    /// Stores the tree of a folder whose files are all stored, and puts it in its place.
    pub(super) fn store_folder(&mut self, folder: &OpenFolder) -> Result<()> {
        let mut root = folder.place.page.directory.parent.cursor(self.walk.parent.trees());
        let mut levels = vec![self.begin_level(folder.name.clone(), EntryAttributes::default(), &mut root)];
        for (path, Record { attributes, kind }) in folder.take_records() {
            if self.should_stop() {
                return Ok(());
            }
            // The last directories are complete if this isn't in them.
            while levels.len() > path.depth() + 1 {
                self.end_level(&mut levels, folder)?;
            }
            let Some(level) = levels.last_mut() else { break };
            let name = path.name().to_vec();
            match kind {
                RecordKind::Directory { .. } => {
                    let below = self.begin_level(name, attributes, &mut level.below);
                    levels.push(below);
                }
                RecordKind::Symlink { target } => {
                    let kind = NodeKind::Symlink { target: target.into_vec() };
                    let in_parent = earlier(self.walk.parent.or_default(level.below.find(&name)));
                    let entry = self.entry(name, attributes, kind, &in_parent, folder);
                    self.push(level, &entry)?;
                }
                RecordKind::Stored(StoredFile { size, content, has_new_chunks }) => {
                    let kind = NodeKind::File { size, content, extents: Extents::Dense };
                    let in_parent = earlier(self.walk.parent.or_default(level.below.find(&name)));
                    let entry = self.entry(name, attributes, kind, &in_parent, folder);
                    let novelty = self.novelty(&entry.node, has_new_chunks);
                    self.reporter.count_kind(&entry.node, &in_parent, novelty);
                    self.push(level, &entry)?;
                }
                // All files are stored by now.
                RecordKind::Coming | RecordKind::Read => {}
            }
        }
        let mut top = None;
        while !levels.is_empty() {
            top = self.end_level(&mut levels, folder)?;
        }
        self.put(&folder.place, top)
    }

    fn begin_level(
        &self,
        name: Vec<u8>,
        attributes: EntryAttributes,
        above: &mut ParentCursor<'_>,
    ) -> Level<'a> {
        let parent = &self.walk.parent;
        let found = parent.or_default(above.find(&name));
        let in_parent = earlier(found);
        let below = parent.below(found).into_cursor(parent.trees());
        Level { name, attributes, in_parent, below, made: Pager::new(States::Kept) }
    }

    /// Stores the last of these directories, which is complete. Its entry goes into the one before, or is returned if it
    /// was the first.
    fn end_level(&mut self, levels: &mut Vec<Level<'a>>, folder: &OpenFolder) -> Result<Option<Entry>> {
        let Some(Level { name, attributes, in_parent, made, .. }) = levels.pop() else { return Ok(None) };
        let TreeIds { tree, state } = made.finish(&mut |plain| self.store_metadata(plain))?;
        let mut entry = self.entry(name, attributes, NodeKind::Directory { tree }, &in_parent, folder);
        entry.state.children = state;
        self.reporter.tally.statistics.dirs += 1;
        let Some(above) = levels.last_mut() else { return Ok(Some(entry)) };
        self.push(above, &entry)?;
        Ok(None)
    }

    fn push(&mut self, level: &mut Level<'_>, entry: &Entry) -> Result<()> {
        level.made.push(&entry.node, Some(&entry.state), &mut |plain| self.store_metadata(plain))
    }

    fn entry(
        &mut self,
        name: Vec<u8>,
        attributes: EntryAttributes,
        kind: NodeKind,
        in_parent: &InParent,
        folder: &OpenFolder,
    ) -> Entry {
        let usual_mode = match kind {
            NodeKind::Directory { .. } => DIRECTORY_MODE,
            NodeKind::Symlink { .. } => LINK_MODE,
            _ => FILE_MODE,
        };
        let same = match in_parent {
            InParent::Earlier(earlier) if earlier.kind == kind => Some(earlier.mtime),
            _ => None,
        };
        let metadata = Metadata {
            name,
            mode: attributes.mode.unwrap_or(usual_mode) & MODE_BITS,
            uid: attributes.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw()),
            gid: attributes.gid.unwrap_or_else(|| rustix::process::getegid().as_raw()),
            mtime: attributes.mtime.or(same).unwrap_or(folder.begun),
            xattrs: Vec::new(),
        };
        self.reporter.tally.users.insert(metadata.uid);
        self.reporter.tally.groups.insert(metadata.gid);
        // A ctime that no file has: if there is a file in this place one day, it is read. The same in each snapshot, so
        // that equal folders have equal states.
        let state = EntryState { ctime: Timestamp::default(), inode: 0, device: 0, children: None };
        PendingEntry { metadata, state }.of_kind(kind)
    }
}

fn earlier(found: Option<ParentEntry<'_>>) -> InParent {
    found.map_or(InParent::Absent, |known| InParent::Earlier(Box::new(known.node.clone())))
}
