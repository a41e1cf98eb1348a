//! The parent snapshot: what a backup compares the source with.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_format::FormatError;
use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::snapshot::SnapshotBody;
use keepfast_format::state::{EntryState, StateTree};
use keepfast_format::tree::{PageRef, Tree};
use rustix::fs::{FileType, Stat};

use super::ArchiveOptions;
use crate::error::{EngineError, Result};
use crate::fs::meta;
use crate::repo::{FrameCache, StoredSnapshot, Trees};
use crate::run::RunContext;

/// A file that was changed less than this before the parent began is read again: the file system's clock may
/// be coarser than the parent's, or behind it.
const RACY_SECONDS: i64 = 2;

/// The parent snapshot, if there is one.
pub struct Parent<'a> {
    snapshot: Option<&'a StoredSnapshot>,
    /// None if there is no parent.
    trees: Option<Trees<'a>>,
    /// Files that were changed at this time or later are read again, whatever the parent has of them.
    racy_from: Timestamp,
    /// Whether damage was reported.
    is_reported: AtomicBool,
    run: &'a RunContext,
}

impl<'a> Parent<'a> {
    /// This snapshot, whose trees are read through this cache.
    pub fn new(
        snapshot: Option<&'a StoredSnapshot>,
        frames: &'a FrameCache<'a>,
        run: &'a RunContext,
    ) -> Self {
        let racy_from = snapshot.map_or(Timestamp::default(), |parent| Timestamp {
            seconds: parent.snapshot.body.start.seconds.saturating_sub(RACY_SECONDS),
            ..parent.snapshot.body.start
        });
        let trees = snapshot.map(|_| Trees::new(frames));
        Self { snapshot, trees, racy_from, is_reported: AtomicBool::new(false), run }
    }

    /// Whether all of it that was looked for could be read.
    pub fn is_readable(&self) -> bool {
        // All threads that walk have ended by now.
        !self.is_reported.load(Ordering::Relaxed)
    }

    /// Whether a file with this time was last written before the snapshot was made.
    pub fn is_after(&self, mtime: Timestamp) -> bool {
        self.snapshot.is_some() && mtime < self.racy_from
    }

    /// Its trees.
    pub fn trees(&self) -> Option<Trees<'a>> {
        self.trees
    }

    /// Its root directory; an empty one if there is none.
    pub fn root(&self) -> ParentDirectory {
        let loaded = match (self.trees, self.snapshot.map(|parent| &parent.snapshot.body)) {
            (Some(trees), Some(SnapshotBody { tree, state: Some(state), .. })) => {
                ParentDirectory::load(trees, tree, state)
            }
            _ => Ok(ParentDirectory::default()),
        };
        self.or_default(loaded)
    }

    /// Its directory that this entry of it is.
    pub fn below(&self, entry: Option<ParentEntry<'_>>) -> ParentDirectory {
        let Some(trees) = self.trees else { return ParentDirectory::default() };
        self.or_default(ParentDirectory::below(trees, entry))
    }

    /// What was read of it; nothing if that failed, which is reported the first time.
    pub fn or_default<T: Default>(&self, read: Result<T>) -> T {
        read.unwrap_or_else(|error| {
            if !self.is_reported.swap(true, Ordering::Relaxed) {
                self.run.notice(format!(
                    "parts of the parent snapshot can't be read, so files there are read again: {error}"
                ));
            }
            T::default()
        })
    }

    /// Whether an entry is as the parent has it, so that it needn't be read.
    pub fn is_same(&self, stat: &Stat, known: ParentEntry<'_>, options: &ArchiveOptions) -> bool {
        let ParentEntry { node, state } = known;
        let now = meta::state(stat);
        let same_kind = match (&node.kind, meta::file_type(stat)) {
            (NodeKind::File { size, .. }, FileType::RegularFile) => u64::try_from(stat.st_size) == Ok(*size),
            (NodeKind::Symlink { .. }, FileType::Symlink)
            | (NodeKind::Fifo, FileType::Fifo)
            | (NodeKind::Socket, FileType::Socket)
            | (NodeKind::CharDevice { .. }, FileType::CharacterDevice)
            | (NodeKind::BlockDevice { .. }, FileType::BlockDevice) => true,
            _ => false,
        };
        same_kind
            && node.mtime == meta::mtime(stat)
            && (options.ignore_ctime || state.ctime == now.ctime)
            && (options.ignore_inode || state.inode == now.inode)
            && node.mode == meta::permissions(stat)
            && node.uid == stat.st_uid
            && node.gid == stat.st_gid
            && node.mtime < self.racy_from
            && (options.ignore_ctime || now.ctime < self.racy_from)
    }

    /// How many bytes of content a file of it has, holes left out.
    pub fn content_bytes(&self, size: u64, content: &Content, extents: &Extents) -> u64 {
        match (extents, self.trees) {
            (Extents::Dense | Extents::Bundled { .. }, _) | (_, None) => size,
            // If this fails, it failed when the file was compared too, or fails again when it is needed.
            (_, Some(trees)) => trees.layout(size, content, extents).map_or(0, |layout| layout.content_bytes),
        }
    }
}

/// A directory of the parent snapshot: its nodes and their states.
#[derive(Debug, Clone, Default)]
pub struct ParentDirectory {
    pages: Vec<PageRef>,
    states: Vec<ChunkId>,
    /// The page, if there is only one: it was read to find that out.
    single: Option<Arc<ParentPage>>,
}

#[derive(Debug)]
struct ParentPage {
    nodes: Vec<Node>,
    states: Vec<EntryState>,
}

impl ParentDirectory {
    /// Reads a directory of the parent.
    pub fn load(trees: Trees<'_>, tree: &ChunkId, state: &ChunkId) -> Result<Self> {
        match (trees.tree(tree)?, trees.state(state)?) {
            (Tree::Page(nodes), StateTree::Page(states)) => {
                Ok(Self { single: Some(Arc::new(pair(state, nodes, states)?)), ..Self::default() })
            }
            (Tree::Index(pages), StateTree::Index(states)) if pages.len() == states.len() => {
                Ok(Self { pages, states, single: None })
            }
            _ => Err(mismatch(state)),
        }
    }

    fn below(trees: Trees<'_>, entry: Option<ParentEntry<'_>>) -> Result<Self> {
        match entry.map(|entry| (&entry.node.kind, &entry.state.children)) {
            Some((NodeKind::Directory { tree }, Some(state))) => Self::load(trees, tree, state),
            _ => Ok(Self::default()),
        }
    }

    /// Looks up names in ascending order.
    pub fn cursor<'p>(&'p self, trees: Option<Trees<'p>>) -> ParentCursor<'p> {
        ParentCursor::new(Cow::Borrowed(self), trees)
    }

    /// As [`ParentDirectory::cursor`], with nothing else kept of it.
    pub fn into_cursor(self, trees: Option<Trees<'_>>) -> ParentCursor<'_> {
        ParentCursor::new(Cow::Owned(self), trees)
    }
}

/// An entry as the parent snapshot has it.
#[derive(Debug, Clone, Copy)]
pub struct ParentEntry<'p> {
    /// Its node.
    pub node: &'p Node,
    /// Its state.
    pub state: &'p EntryState,
}

/// What the parent snapshot has of a file that is to be read.
#[derive(Debug)]
pub enum InParent {
    /// Nothing.
    Absent,
    /// An entry that may have been changed since.
    Earlier(Box<Node>),
    /// The same file: it is read only because its bundle has changed.
    Same(Box<Kept>),
}

/// An entry that is as the parent has it, and can be taken over.
#[derive(Debug)]
pub struct Kept {
    /// The parent's node.
    pub node: Node,
    /// Its state now.
    pub state: EntryState,
    /// Whether it has several names.
    pub is_linked: bool,
    /// Whether a link in its place is followed to it.
    pub followed: bool,
}

/// Walks a parent's directory in step with a sorted list of names.
pub struct ParentCursor<'p> {
    directory: Cow<'p, ParentDirectory>,
    trees: Option<Trees<'p>>,
    page: Option<Arc<ParentPage>>,
    number: Option<usize>,
    position: usize,
}

impl<'p> ParentCursor<'p> {
    fn new(directory: Cow<'p, ParentDirectory>, trees: Option<Trees<'p>>) -> Self {
        let page = directory.single.clone();
        Self { directory, trees, page, number: None, position: 0 }
    }

    /// The parent's entry of this name. Names must be asked for in ascending order.
    pub fn find(&mut self, name: &[u8]) -> Result<Option<ParentEntry<'_>>> {
        if self.directory.single.is_none() {
            self.turn_to(name)?;
        }
        let Some(page) = &self.page else { return Ok(None) };
        while page.nodes.get(self.position).is_some_and(|node| node.name.as_slice() < name) {
            self.position += 1;
        }
        let node = page.nodes.get(self.position).filter(|node| node.name == name);
        Ok(node.map(|node| ParentEntry { node, state: &page.states[self.position] }))
    }

    /// Reads the page that a name would be in, unless it is the current one.
    fn turn_to(&mut self, name: &[u8]) -> Result<()> {
        let pages = &self.directory.pages;
        let from = self.number.unwrap_or(0);
        let ahead = pages[from..].partition_point(|page| page.first.as_slice() <= name);
        let Some(wanted) = (from + ahead).checked_sub(1) else { return Ok(()) };
        let Some(trees) = self.trees.filter(|_| self.number != Some(wanted)) else { return Ok(()) };
        let state = &self.directory.states[wanted];
        let nodes = trees.page(pages, wanted)?;
        let StateTree::Page(states) = trees.state(state)? else { return Err(mismatch(state)) };
        self.page = Some(Arc::new(pair(state, nodes, states)?));
        self.number = Some(wanted);
        self.position = 0;
        Ok(())
    }
}

fn pair(state: &ChunkId, nodes: Vec<Node>, states: Vec<EntryState>) -> Result<ParentPage> {
    if nodes.len() == states.len() { Ok(ParentPage { nodes, states }) } else { Err(mismatch(state)) }
}

fn mismatch(state: &ChunkId) -> EngineError {
    EngineError::Damaged {
        object: format!("state tree {state}"),
        source: FormatError::Malformed { what: "state tree", why: "it doesn't fit its tree" },
    }
}
