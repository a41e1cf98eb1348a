//! Where a walker puts what it finds. One sink stores it; the other, for a dry run, only counts it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::node::{Extents, Node};
use rustix::fs::Stat;

use super::folder::counting::{CountedFolder, count_folder};
use super::folder::records::{FolderCount, FolderJob};
use super::parent::{InParent, Kept};
use super::pending::{Entry, Page, PendingEntry, Place};
use super::pieces::{PieceJob, StreamJob};
use super::reading::{OpenedFile, bytes_of_special, file_kind};
use super::tally::{Novelty, Reporter, Tally};
use super::walk::Walk;
use crate::error::{EngineError, Result};
use crate::fs::meta::{self, Attributes};

/// A file that is to be read.
pub struct Unread<'f> {
    /// Where it goes.
    pub place: &'f Place,
    /// The directory that it is in.
    pub directory: BorrowedFd<'f>,
    /// What the parent snapshot has in its place.
    pub in_parent: InParent,
    /// Whether it is what a link in its place points to.
    pub followed: bool,
}

/// Where what one walker finds goes. For each place exactly one of [`Sink::put`], [`Sink::keep`],
/// [`Sink::read_file`], [`Sink::read_special`], [`Sink::run_stream`] and [`Sink::run_folder`] is called.
pub trait Sink<'a> {
    /// Counts and reports for this thread.
    fn reporter(&mut self) -> &mut Reporter<'a>;

    /// An entry is complete, or there is none in the snapshot.
    fn put(&mut self, place: &Place, entry: Option<Entry>) -> Result<()>;

    /// An entry is as the parent has it.
    fn keep(&mut self, place: &Place, kept: Kept, directory: BorrowedFd<'_>) -> Result<()>;

    /// A regular file isn't as the parent has it, as far as known.
    fn read_file(&mut self, file: Unread<'_>) -> Result<()>;

    /// A block device or fifo has content that is to be in the snapshot.
    fn read_special(&mut self, file: Unread<'_>, stat: &Stat) -> Result<()>;

    /// A large file or stream is to be read.
    fn run_stream(&mut self, job: StreamJob) -> Result<()>;

    /// A piece of a large file or stream was read.
    fn run_piece(&mut self, job: PieceJob) -> Result<()>;

    /// A program is to write a folder.
    fn run_folder(&mut self, job: FolderJob) -> Result<()>;

    /// All entries of a page were found: none of this directory's files has to wait for others any more.
    fn end_bundle(&mut self, directory: BorrowedFd<'_>) -> Result<()>;

    /// The walk of a page has ended.
    fn end_page(&mut self, page: &Arc<Page>) -> Result<()>;

    /// Whether the snapshot may refer to all that a node of the parent refers to.
    fn may_refer(&self, node: &Node) -> bool;

    /// Whether there is no use in going on. If so, this ends the work of all threads.
    fn should_stop(&self) -> bool;

    /// Looks for a garbage collection, if that is due.
    fn poll(&self) -> Result<()>;

    /// There is no more to do for this thread.
    fn finish(self) -> Tally;
}

/// The sink of a dry run: it opens files to see whether they can be read, and reads none.
pub struct CountingSink<'a> {
    walk: &'a Walk<'a>,
    reporter: Reporter<'a>,
}

impl<'a> CountingSink<'a> {
    /// Nothing was counted yet.
    pub fn new(walk: &'a Walk<'a>) -> Self {
        Self { walk, reporter: Reporter::new(walk.run) }
    }
}

impl<'a> Sink<'a> for CountingSink<'a> {
    fn reporter(&mut self) -> &mut Reporter<'a> {
        &mut self.reporter
    }

    fn put(&mut self, _: &Place, _: Option<Entry>) -> Result<()> {
        Ok(())
    }

    fn keep(&mut self, place: &Place, kept: Kept, _: BorrowedFd<'_>) -> Result<()> {
        self.reporter.count_kept(self.walk, place, kept);
        Ok(())
    }

    fn read_file(&mut self, file: Unread<'_>) -> Result<()> {
        let Unread { place, directory, in_parent, followed } = file;
        let opened = OpenedFile::open(directory, place.name(), followed, || self.should_stop());
        let OpenedFile { handle, stat, size, extents, data_bytes } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.reporter.lost(place, error);
                return Ok(());
            }
        };
        if self.walk.options.is_too_large(&stat) {
            self.reporter.too_large(self.walk, place, &stat);
        } else {
            let PendingEntry { metadata, .. } = self.reporter.pending(place, &stat, meta::xattrs_of(&handle));
            let extents = extents.map_or(Extents::Dense, |data| Extents::Inline(data.to_pairs()));
            let node = metadata.into_node(file_kind(size, Content::empty(), extents));
            self.walk.links.note(&stat, place);
            self.reporter.count_file(&node, &in_parent, Novelty::New, data_bytes);
        }
        Ok(())
    }

    fn read_special(&mut self, file: Unread<'_>, stat: &Stat) -> Result<()> {
        let Unread { place, directory, in_parent, followed } = file;
        let PendingEntry { metadata, .. } = self.reporter.pending(place, stat, Attributes::default());
        let node = metadata.into_node(file_kind(0, Content::empty(), Extents::Dense));
        let bytes = bytes_of_special(directory, place.name(), stat, followed);
        self.reporter.count_file(&node, &in_parent, Novelty::New, bytes);
        Ok(())
    }

    fn run_stream(&mut self, job: StreamJob) -> Result<()> {
        let why = "a dry run reads no streams, as they can't be read twice".to_owned();
        Err(EngineError::StreamFailed { name: job.file.path.clone(), why })
    }

    fn run_piece(&mut self, _: PieceJob) -> Result<()> {
        Ok(())
    }

    fn run_folder(&mut self, job: FolderJob) -> Result<()> {
        let CountedFolder { entries: FolderCount { files, dirs }, bytes } = count_folder(self.walk, job)?;
        let tally = &mut self.reporter.tally;
        tally.statistics.files_new += files;
        tally.statistics.dirs += dirs;
        tally.count_bytes(bytes, bytes);
        Ok(())
    }

    fn end_bundle(&mut self, _: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }

    fn end_page(&mut self, _: &Arc<Page>) -> Result<()> {
        Ok(())
    }

    fn may_refer(&self, _: &Node) -> bool {
        true
    }

    fn should_stop(&self) -> bool {
        self.walk.should_stop()
    }

    fn poll(&self) -> Result<()> {
        Ok(())
    }

    fn finish(self) -> Tally {
        self.reporter.tally
    }
}
