//! A thread of a backup, and what all of them share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::chunker::Chunker;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, Timestamp};
use keepfast_format::snapshot::Statistics;
use keepfast_format::state::State;

use super::ArchiveOptions;
use super::bundle::Bundle;
use super::options::Stream;
use super::parent::ParentDirectory;
use super::pending::{DirectoryJob, PagesJob, Place};
use super::stream::{PieceJob, StreamJob};
use crate::chunk::Piece;
use crate::error::{EngineError, Result};
use crate::fs::meta::FileId;
use crate::fs::sources::Sources;
use crate::jobs::{Jobs, Next};
use crate::repo::{FrameWriter, PackWriter, Trees};
use crate::run::RunContext;

/// What there is to do.
pub enum Job {
    /// Open a directory and list it.
    Directory(DirectoryJob),
    /// Walk a directory's pages.
    Pages(PagesJob),
    /// Read a large file, or a stream, and hand out its pieces.
    Stream(StreamJob),
}

/// What the threads of a backup share.
pub struct Shared<'a> {
    /// How to back up.
    pub options: &'a ArchiveOptions,
    /// What was asked for.
    pub sources: &'a Sources,
    /// Where chunks go; nowhere on a dry run.
    pub writer: Option<&'a PackWriter<'a>>,
    /// The parent snapshot's trees, if there is a parent.
    pub trees: Option<Trees<'a>>,
    /// Files that were changed at this time or later are read again, whatever the parent says.
    pub racy_from: Timestamp,
    /// Where data is cut.
    pub chunker: &'a Chunker,
    /// Who hears about it.
    pub run: &'a RunContext,
    /// What there is to do.
    pub jobs: Jobs<Job, PieceJob>,
    /// Buffers of pieces that are done.
    pub buffers: Mutex<Vec<Piece>>,
    /// Paths of files with several links.
    pub links: Mutex<HashMap<FileId, Vec<Vec<u8>>>>,
    /// Something of what was named isn't as the parent has it.
    pub is_changed: AtomicBool,
    /// Whether a damaged parent has been reported.
    pub parent_reported: AtomicBool,
    /// Streams that no one reads yet, by their names.
    streams: Mutex<BTreeMap<Vec<u8>, Stream>>,
    root: Mutex<Option<(ChunkId, ChunkId)>>,
    error: Mutex<Option<EngineError>>,
}

/// What one thread has counted and seen.
#[derive(Debug, Default)]
pub struct Tally {
    /// Counts.
    pub statistics: Statistics,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// Entries that files in the tree have left out.
    pub ignored: u64,
    /// User ids that were seen.
    pub users: BTreeSet<u32>,
    /// Group ids that were seen.
    pub groups: BTreeSet<u32>,
}

/// One thread of a backup.
pub struct Worker<'a> {
    /// What it shares with the others.
    pub shared: &'a Shared<'a>,
    /// Its frames; none on a dry run.
    pub frames: Option<FrameWriter<'a>>,
    /// Its counts.
    pub tally: Tally,
    /// A buffer for files that are read whole.
    pub buffer: Vec<u8>,
    /// Small files of the page that is being walked.
    pub bundle: Bundle,
    /// Its entries that were listed and couldn't be found.
    pub missing: Vec<Place>,
}

impl<'a> Shared<'a> {
    /// Nothing done yet.
    pub fn new(
        options: &'a ArchiveOptions,
        sources: &'a Sources,
        writer: Option<&'a PackWriter<'a>>,
        trees: Option<Trees<'a>>,
        racy_from: Timestamp,
        chunker: &'a Chunker,
        run: &'a RunContext,
    ) -> Self {
        Self {
            options,
            sources,
            writer,
            trees,
            racy_from,
            chunker,
            run,
            jobs: Jobs::new(run.threads() + 1),
            buffers: Mutex::default(),
            links: Mutex::default(),
            is_changed: AtomicBool::new(false),
            parent_reported: AtomicBool::new(false),
            streams: Mutex::default(),
            root: Mutex::default(),
            error: Mutex::default(),
        }
    }

    /// Streams that no one reads yet, by their names.
    pub fn streams(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root has been stored.
    pub fn set_root(&self, tree: ChunkId, state: ChunkId) {
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = Some((tree, state));
    }

    /// The root tree and state, or what kept them from being stored.
    pub fn into_root(self) -> Result<(ChunkId, ChunkId)> {
        if let Some(error) = self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        self.root.into_inner().unwrap_or_else(PoisonError::into_inner).ok_or(EngineError::Interrupted)
    }

    /// Ends the work of all threads; the first error is the one that counts.
    pub fn fail(&self, error: EngineError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.jobs.stop();
    }

    /// Ends the work of all threads if someone asked for it, or uploading failed.
    pub fn should_stop(&self) -> bool {
        if self.run.is_cancelled() {
            self.fail(EngineError::Interrupted);
            return true;
        }
        if self.writer.is_some_and(PackWriter::has_failed) {
            self.jobs.stop();
            return true;
        }
        false
    }
}

impl<'a> Worker<'a> {
    /// A thread that has done nothing yet.
    pub fn new(shared: &'a Shared<'a>) -> Self {
        let frames = shared.writer.map(PackWriter::frames);
        Self {
            shared,
            frames,
            tally: Tally::default(),
            buffer: Vec::new(),
            bundle: Bundle::default(),
            missing: Vec::new(),
        }
    }

    /// Works until all is done, and returns what was counted.
    pub fn run(mut self) -> Tally {
        while let Some(next) = self.shared.jobs.next() {
            let _doing = self.shared.jobs.doing();
            if !self.shared.should_stop() {
                let worked = match next {
                    Next::Piece(piece) => self.run_piece(piece),
                    Next::Job(Job::Directory(job)) => self.run_directory(job),
                    Next::Job(Job::Pages(job)) => self.run_pages(job),
                    Next::Job(Job::Stream(job)) => self.run_stream(job),
                };
                let polled = self.shared.writer.map_or(Ok(()), PackWriter::poll);
                if let Err(error) = worked.and(polled) {
                    self.shared.fail(error);
                }
            }
        }
        if let Some(Err(error)) = self.frames.take().map(FrameWriter::finish) {
            self.shared.fail(error);
        }
        self.tally
    }
}

impl Tally {
    /// Counts bytes. Sparse files may be as large as they like, and many.
    pub fn count_bytes(&mut self, read: u64, total: u64) {
        let sum = &mut self.statistics;
        sum.bytes_read = sum.bytes_read.saturating_add(read);
        sum.bytes_total = sum.bytes_total.saturating_add(total);
    }

    /// Adds what another thread has counted.
    pub fn add(&mut self, other: Self) {
        let more = other.statistics;
        let sum = &mut self.statistics;
        sum.files_new += more.files_new;
        sum.files_changed += more.files_changed;
        sum.files_unchanged += more.files_unchanged;
        sum.skipped += more.skipped;
        sum.dirs += more.dirs;
        self.count_bytes(more.bytes_read, more.bytes_total);
        self.changed_while_read += other.changed_while_read;
        self.ignored += other.ignored;
        self.users.extend(other.users);
        self.groups.extend(other.groups);
    }
}

impl Shared<'_> {
    /// What was read of the parent snapshot; nothing if it can't be read, which is said the first time.
    pub fn of_parent<T: Default>(&self, read: Result<T>) -> T {
        read.unwrap_or_else(|error| {
            if !self.parent_reported.swap(true, Ordering::Relaxed) {
                self.run.notice(format!(
                    "parts of the parent snapshot can't be read, so files there are read again: {error}"
                ));
            }
            T::default()
        })
    }

    /// The parent's directory below one, by what is known of its entry.
    pub fn parent_below(&self, known: Option<(&Node, &State)>) -> ParentDirectory {
        let Some(trees) = self.trees else { return ParentDirectory::default() };
        self.of_parent(ParentDirectory::below(trees, known))
    }
}
