//! Directories that are being backed up: a page is stored when its last entry is known, a
//! directory when its last page is, whichever thread that happens on.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::state::{State, StatePageWriter, StateTree};
use keepfast_format::tree::{PageRef, PageWriter, Tree, page_ends_after};

use super::parent::ParentDirectory;
use super::selection::Selection;
use super::worker::Worker;
use crate::error::Result;
use crate::fs::dir::Names;

/// What becomes of an entry: its node and state, or nothing if it was skipped.
pub type Entry = Option<(Node, State)>;

/// A directory whose entries are being backed up.
pub struct Directory {
    /// Its absolute path.
    pub path: Vec<u8>,
    /// Its handle; none for the root of a stream.
    pub handle: Option<OwnedFd>,
    /// The names of its entries.
    pub names: Names,
    /// What the parent snapshot has of it.
    pub parent: ParentDirectory,
    /// Which entries were asked for; all, if none.
    pub selection: Option<Arc<Selection>>,
    /// The device that it is on.
    pub device: u64,
    own: Mutex<Option<(Node, State)>>,
    place: Option<Place>,
    page_starts: Vec<usize>,
    stored: Mutex<Vec<Vec<StoredPage>>>,
    pages_left: AtomicUsize,
}

/// A page of a directory whose entries are being backed up.
pub struct Page {
    /// Its directory.
    pub directory: Arc<Directory>,
    number: usize,
    entries: Mutex<Vec<Entry>>,
    entries_left: AtomicUsize,
}

/// Where an entry belongs.
#[derive(Clone)]
pub struct Place {
    /// The page.
    pub page: Arc<Page>,
    /// The entry's number in the page.
    pub slot: usize,
}

struct StoredPage {
    first: Vec<u8>,
    tree: ChunkId,
    state: ChunkId,
}

/// What a directory needs to be begun.
pub struct DirectoryStart {
    pub path: Vec<u8>,
    pub handle: Option<OwnedFd>,
    pub names: Names,
    pub parent: ParentDirectory,
    pub selection: Option<Arc<Selection>>,
    pub device: u64,
    /// Its own node and state, without trees; the root has none.
    pub own: Option<(Node, State)>,
    pub place: Option<Place>,
}

impl Directory {
    /// Begins a directory: its names are cut into pages.
    pub fn begin(start: DirectoryStart) -> Arc<Self> {
        let mut page_starts = vec![0];
        let mut in_page = 0;
        for index in 0..start.names.len() {
            in_page += 1;
            if page_ends_after(start.names.get(index).to_bytes(), in_page) && index + 1 < start.names.len() {
                page_starts.push(index + 1);
                in_page = 0;
            }
        }
        let pages = page_starts.len();
        Arc::new(Self {
            path: start.path,
            handle: start.handle,
            names: start.names,
            parent: start.parent,
            selection: start.selection,
            device: start.device,
            own: Mutex::new(start.own),
            place: start.place,
            page_starts,
            stored: Mutex::new((0..pages).map(|_| Vec::new()).collect()),
            pages_left: AtomicUsize::new(pages),
        })
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.page_starts.len()
    }

    /// The absolute path of an entry.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path.clone();
        if path.last() != Some(&b'/') {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Begins one of its pages.
    pub fn page(self: &Arc<Self>, number: usize) -> Arc<Page> {
        let count = self.page_end(number) - self.page_starts[number];
        Arc::new(Page {
            directory: Arc::clone(self),
            number,
            entries: Mutex::new((0..count).map(|_| None).collect()),
            // One more than the entries: the page isn't complete while it is being walked.
            entries_left: AtomicUsize::new(count + 1),
        })
    }

    fn page_end(&self, number: usize) -> usize {
        self.page_starts.get(number + 1).copied().unwrap_or(self.names.len())
    }
}

impl Page {
    /// The numbers of its names in the directory's list.
    pub fn name_range(&self) -> std::ops::Range<usize> {
        self.directory.page_starts[self.number]..self.directory.page_end(self.number)
    }
}

impl Worker<'_> {
    /// Says what became of an entry.
    pub fn fill(&mut self, place: &Place, entry: Entry) -> Result<()> {
        lock(&place.page.entries)[place.slot] = entry;
        self.count_down(&place.page)
    }

    /// Says that all entries of a page have been looked at.
    pub fn end_walk_of(&mut self, page: &Arc<Page>) -> Result<()> {
        self.count_down(page)
    }

    /// Stores what is complete: the page, then its directory, then the page that that is in, …
    fn count_down(&mut self, page: &Arc<Page>) -> Result<()> {
        let mut page = Arc::clone(page);
        loop {
            if page.entries_left.fetch_sub(1, Ordering::AcqRel) > 1 {
                return Ok(());
            }
            let directory = Arc::clone(&page.directory);
            let stored = self.store_page(&page)?;
            lock(&directory.stored)[page.number] = stored;
            if directory.pages_left.fetch_sub(1, Ordering::AcqRel) > 1 {
                return Ok(());
            }
            let (tree, state) = self.store_directory(&directory)?;
            let Some(place) = &directory.place else {
                self.shared.set_root(tree, state);
                return Ok(());
            };
            let own = lock(&directory.own).take().map(|(node, own)| {
                let node = Node { kind: NodeKind::Directory { tree }, ..node };
                (node, State { children: Some(state), ..own })
            });
            lock(&place.page.entries)[place.slot] = own;
            page = Arc::clone(&place.page);
        }
    }

    /// Stores a page's nodes and states; more than one page where the nodes are very long.
    fn store_page(&mut self, page: &Page) -> Result<Vec<StoredPage>> {
        let entries = std::mem::take(&mut *lock(&page.entries));
        let mut nodes = PageWriter::default();
        let mut states = StatePageWriter::default();
        let mut first = Vec::new();
        let mut stored = Vec::new();
        for (node, state) in entries.into_iter().flatten() {
            if nodes.is_empty() {
                first.clone_from(&node.name);
            }
            nodes.push(&node);
            states.push(&state);
            if nodes.is_full() {
                let (tree, state) = (self.store_metadata(&nodes.finish())?, self.store_metadata(&states.finish())?);
                stored.push(StoredPage { first: std::mem::take(&mut first), tree, state });
            }
        }
        if !nodes.is_empty() {
            let (tree, state) = (self.store_metadata(&nodes.finish())?, self.store_metadata(&states.finish())?);
            stored.push(StoredPage { first, tree, state });
        }
        Ok(stored)
    }

    fn store_directory(&mut self, directory: &Directory) -> Result<(ChunkId, ChunkId)> {
        let mut pages: Vec<StoredPage> = std::mem::take(&mut *lock(&directory.stored)).into_iter().flatten().collect();
        match pages.len() {
            0 => {
                let tree = self.store_metadata(&Tree::Page(Vec::new()).encode())?;
                Ok((tree, self.store_metadata(&StateTree::Page(Vec::new()).encode())?))
            }
            1 => {
                let page = pages.remove(0);
                Ok((page.tree, page.state))
            }
            _ => {
                let states = pages.iter().map(|page| page.state).collect();
                let index = pages.into_iter().map(|page| PageRef { first: page.first, id: page.tree }).collect();
                let tree = self.store_metadata(&Tree::Index(index).encode())?;
                Ok((tree, self.store_metadata(&StateTree::Index(states).encode())?))
            }
        }
    }

    /// Stores a metadata chunk.
    pub fn store_metadata(&mut self, plain: &[u8]) -> Result<ChunkId> {
        match &mut self.frames {
            Some(frames) => frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id),
            // A dry run: nothing is stored, and no id leaves it.
            None => Ok(ChunkId::new([0; ChunkId::SIZE])),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
