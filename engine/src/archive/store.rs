//! Storing what is complete: a page when its last entry is known, a directory when its
//! last page is, whichever thread that happens on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::state::{State, StatePageWriter, StateTree};
use keepfast_format::tree::{PageRef, PageWriter, Tree};

use super::pending::{Directory, Entry, Page, Place, StoredPage};
use super::worker::Worker;
use crate::error::Result;
use crate::repo::store_blob;

impl Worker<'_> {
    /// Says what became of an entry.
    pub fn fill(&mut self, place: &Place, entry: Entry) -> Result<()> {
        self.put(place, entry);
        self.count_down(&place.page)
    }

    fn put(&self, place: &Place, entry: Entry) {
        let shared = self.shared;
        if shared.options.skip_if_unchanged && is_named(place) && !self.is_in_parent(place, entry.as_ref()) {
            shared.is_changed.store(true, Ordering::Relaxed);
        }
        lock(&place.page.entries)[place.slot] = entry;
    }

    /// Whether the parent has the same, or nothing either.
    fn is_in_parent(&self, place: &Place, entry: Option<&(Node, State)>) -> bool {
        let mut parent = place.page.directory.parent.cursor(self.shared.trees);
        let known = parent.find(place.name().to_bytes());
        known.is_ok_and(|known| known.map(|(node, _)| node) == entry.map(|(node, _)| node))
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
            self.put(place, own);
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
                let (tree, state) =
                    (self.store_metadata(&nodes.finish())?, self.store_metadata(&states.finish())?);
                stored.push(StoredPage { first: std::mem::take(&mut first), tree, state });
            }
        }
        if !nodes.is_empty() {
            let (tree, state) =
                (self.store_metadata(&nodes.finish())?, self.store_metadata(&states.finish())?);
            stored.push(StoredPage { first, tree, state });
        }
        Ok(stored)
    }

    fn store_directory(&mut self, directory: &Directory) -> Result<(ChunkId, ChunkId)> {
        let mut pages: Vec<StoredPage> =
            std::mem::take(&mut *lock(&directory.stored)).into_iter().flatten().collect();
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
                let index =
                    pages.into_iter().map(|page| PageRef { first: page.first, id: page.tree }).collect();
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

    /// Stores bytes as a blob.
    pub fn store_blob(&mut self, bytes: &[u8]) -> Result<Content> {
        store_blob(bytes, &mut |plain| self.store_metadata(plain))
    }
}

/// Whether this was named as a source, or is gone from where one leads.
fn is_named(place: &Place) -> bool {
    let wanted = &place.page.directory.wanted;
    wanted.is_way() && !wanted.of(place.name().to_bytes()).is_way()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
