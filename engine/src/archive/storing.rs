//! The sink that stores: content and nodes go into the repository. A page is stored as soon as its last entry
//! is complete, a directory as soon as its last page is, by whichever thread completes it.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::chunker::Chunker;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::state::EntryState;
use rustix::fs::Stat;

use super::bundle::Bundle;
use super::folder::records::FolderJob;
use super::parent::Kept;
use super::pending::{Directory, Entry, Page, PendingEntry, Place};
use super::pieces::{PieceJob, StreamJob};
use super::sink::{Sink, Unread};
use super::tally::{Novelty, Reporter, Tally};
use super::walk::Walk;
use crate::chunk::pages::{OpenPage, States, StoredPage, TreeIds, end_directory};
use crate::chunk::{Piece, reference_to};
use crate::error::{EngineError, Result};
use crate::repo::{FrameWriter, PackWriter, store_blob};

/// What the threads that store share.
pub struct Storage<'a> {
    /// Where chunks go.
    pub(super) writer: &'a PackWriter<'a>,
    /// Where data is cut.
    pub(super) chunker: &'a Chunker,
    /// Buffers of pieces that are stored, to be used again.
    pub(super) buffers: Mutex<Vec<Piece>>,
    /// Whether something of what was named isn't as the parent has it.
    is_changed: AtomicBool,
    /// The root directory, once it is stored.
    root: Mutex<Option<TreeIds>>,
}

impl<'a> Storage<'a> {
    /// Nothing was stored yet.
    pub fn new(writer: &'a PackWriter<'a>, chunker: &'a Chunker) -> Self {
        Self {
            writer,
            chunker,
            buffers: Mutex::default(),
            is_changed: AtomicBool::new(false),
            root: Mutex::default(),
        }
    }

    /// Whether something of what was named isn't as the parent has it.
    pub fn is_changed(&self) -> bool {
        // All threads that store have ended by now.
        self.is_changed.load(Ordering::Relaxed)
    }

    /// Whether there is no use in going on with a walk. If so, this ends the work of all threads.
    pub(super) fn should_stop(&self, walk: &Walk<'_>) -> bool {
        if walk.should_stop() {
            return true;
        }
        let has_failed = self.writer.has_failed();
        if has_failed {
            // The writer reports why.
            walk.jobs.stop();
        }
        has_failed
    }

    /// The root directory. It is missing if the threads were stopped.
    pub fn into_root(self) -> Result<TreeIds> {
        self.root.into_inner().unwrap_or_else(PoisonError::into_inner).ok_or(EngineError::Interrupted)
    }
}

/// A chunk that was stored, or that was there.
pub struct StoredChunk {
    /// What refers to it.
    pub(super) reference: ChunkRef,
    /// Whether the repository didn't have it.
    pub(super) is_new: bool,
}

/// One thread's sink that stores.
pub struct StoringSink<'a> {
    pub(super) walk: &'a Walk<'a>,
    pub(super) storage: &'a Storage<'a>,
    pub(super) reporter: Reporter<'a>,
    frames: FrameWriter<'a>,
    /// A buffer for files that are read whole.
    pub(super) buffer: Vec<u8>,
    /// Small files of the current page that will share a chunk.
    pub(super) bundle: Bundle,
}

impl<'a> StoringSink<'a> {
    /// Stores through this storage.
    pub fn new(walk: &'a Walk<'a>, storage: &'a Storage<'a>) -> Self {
        Self {
            walk,
            storage,
            reporter: Reporter::new(walk.run),
            frames: storage.writer.frames(),
            buffer: Vec::new(),
            bundle: Bundle::default(),
        }
    }

    /// Stores bytes as one chunk.
    pub(super) fn store_chunk(&mut self, plain: &[u8]) -> Result<StoredChunk> {
        let (id, is_new) = self.frames.store(ChunkKind::Data, plain)?;
        Ok(StoredChunk { reference: reference_to(id, plain)?, is_new })
    }

    /// Whether a file that is new in its place is new to the repository too. Its time decides as well: a note that
    /// a program has put into every directory has the same content everywhere, and was moved from nowhere.
    pub(super) fn novelty(&self, node: &Node, has_new_chunks: bool) -> Novelty {
        let has_content = matches!(&node.kind, NodeKind::File { size, .. } if *size > 0);
        let is_moved = has_content && !has_new_chunks && self.walk.parent.is_after(node.mtime);
        if is_moved { Novelty::Moved } else { Novelty::New }
    }

    /// Stores a metadata chunk.
    pub(super) fn store_metadata(&mut self, plain: &[u8]) -> Result<ChunkId> {
        self.frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id)
    }

    /// Stores bytes as a blob.
    pub fn store_blob(&mut self, bytes: &[u8]) -> Result<Content> {
        store_blob(bytes, &mut |plain| self.store_metadata(plain))
    }

    /// Takes an entry over from the parent.
    pub(super) fn keep_as_it_is(&mut self, place: &Place, kept: Kept) -> Result<()> {
        let entry = self.reporter.count_kept(self.walk, place, kept);
        self.put(place, Some(entry))
    }

    fn set_entry(&self, place: &Place, entry: Option<Entry>) {
        let is_compared = self.walk.options.skip_if_unchanged && is_named(place);
        if is_compared && !self.is_in_parent(place, entry.as_ref()) {
            self.storage.is_changed.store(true, Ordering::Relaxed);
        }
        lock(&place.page.entries)[place.slot] = entry;
    }

    /// Whether the parent has the same entry, or like this snapshot none.
    fn is_in_parent(&self, place: &Place, entry: Option<&Entry>) -> bool {
        let mut parent = place.page.directory.parent.cursor(self.walk.parent.trees());
        let found = parent.find(place.name().to_bytes());
        found.is_ok_and(|found| found.map(|known| known.node) == entry.map(|entry| &entry.node))
    }

    /// Counts down what a page waits for, and stores what is complete: the page, then its directory, then the
    /// page that has the directory's place, and so on.
    ///
    /// `AcqRel`: the thread that counts down to zero has to see the entries that all others have set.
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
            let ids = self.store_directory(&directory)?;
            let Some(place) = &directory.place else {
                *lock(&self.storage.root) = Some(ids);
                return Ok(());
            };
            let own = lock(&directory.own).take().map(|PendingEntry { metadata, state }| {
                let state = EntryState { children: ids.state, ..state };
                PendingEntry { metadata, state }.of_kind(NodeKind::Directory { tree: ids.tree })
            });
            self.set_entry(place, own);
            page = Arc::clone(&place.page);
        }
    }

    /// Stores a page's nodes and states; as more than one page if the nodes are very long.
    fn store_page(&mut self, page: &Page) -> Result<Vec<StoredPage>> {
        let entries = std::mem::take(&mut *lock(&page.entries));
        let mut open = OpenPage::new(States::Kept);
        let mut stored = Vec::new();
        for entry in entries.into_iter().flatten() {
            open.push(&entry.node, Some(&entry.state));
            if open.is_full() {
                stored.extend(open.end(&mut |plain| self.store_metadata(plain))?);
            }
        }
        stored.extend(open.end(&mut |plain| self.store_metadata(plain))?);
        Ok(stored)
    }

    fn store_directory(&mut self, directory: &Directory) -> Result<TreeIds> {
        let pages = std::mem::take(&mut *lock(&directory.stored)).into_iter().flatten().collect();
        end_directory(pages, States::Kept, &mut |plain| self.store_metadata(plain))
    }
}

impl<'a> Sink<'a> for StoringSink<'a> {
    fn reporter(&mut self) -> &mut Reporter<'a> {
        &mut self.reporter
    }

    fn put(&mut self, place: &Place, entry: Option<Entry>) -> Result<()> {
        self.set_entry(place, entry);
        self.count_down(&place.page)
    }

    fn keep(&mut self, place: &Place, kept: Kept, directory: BorrowedFd<'_>) -> Result<()> {
        match kept.node.kind {
            NodeKind::File { size, extents: Extents::Dense | Extents::Bundled { .. }, .. }
                if self.is_bundled(size) =>
            {
                self.bundle_kept(place, size, kept, directory)
            }
            _ => self.keep_as_it_is(place, kept),
        }
    }

    fn read_file(&mut self, file: Unread<'_>) -> Result<()> {
        self.store_file(file)
    }

    fn read_special(&mut self, file: Unread<'_>, _: &Stat) -> Result<()> {
        self.begin_special(file)
    }

    fn run_stream(&mut self, job: StreamJob) -> Result<()> {
        self.read_stream(job)
    }

    fn run_piece(&mut self, job: PieceJob) -> Result<()> {
        self.store_piece(job)
    }

    fn run_folder(&mut self, job: FolderJob) -> Result<()> {
        self.write_folder(job)
    }

    fn end_bundle(&mut self, directory: BorrowedFd<'_>) -> Result<()> {
        self.store_members(directory)
    }

    fn end_page(&mut self, page: &Arc<Page>) -> Result<()> {
        self.count_down(page)
    }

    fn may_refer(&self, node: &Node) -> bool {
        let writer = self.storage.writer;
        let Some(trees) = self.walk.parent.trees() else { return true };
        let NodeKind::File { content, extents, .. } = &node.kind else { return true };
        if writer.may_take_over() {
            return true;
        }
        let refer = |content: &Content| {
            trees.all_chunks(content, &mut |wanted| writer.refer(wanted)).unwrap_or(false)
        };
        refer(content)
            && match extents {
                Extents::Blob(blob) => refer(blob),
                _ => true,
            }
    }

    fn should_stop(&self) -> bool {
        self.storage.should_stop(self.walk)
    }

    fn poll(&self) -> Result<()> {
        self.storage.writer.poll()
    }

    fn finish(self) -> Tally {
        if let Err(error) = self.frames.finish() {
            self.walk.fail(error);
        }
        self.reporter.tally
    }
}

/// Whether this was named as a source, or was removed from where one leads.
fn is_named(place: &Place) -> bool {
    let wanted = &place.page.directory.wanted;
    wanted.is_on_the_way() && !wanted.of(place.name().to_bytes()).is_on_the_way()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
