//! One walk over the source, as all its threads see it. Each thread has a walker, which finds out what there
//! is and what has to be done with it, and a sink, which does it.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::ArchiveOptions;
use super::hard_links::HardLinks;
use super::options::Source;
use super::parent::{Parent, ParentDirectory};
use super::pending::{Directory, Place};
use super::pieces::{PieceJob, StreamJob};
use super::sink::Sink;
use super::stand_in;
use super::streams::Streams;
use super::tally::Tally;
use super::walker::Walker;
use crate::error::{EngineError, Result};
use crate::fs::sources::{Sources, Wanted};
use crate::jobs::Jobs;
use crate::run::{RunContext, in_threads};

/// Something that a thread of a walk has to do.
pub enum Job {
    /// Open a directory and list it.
    Directory(DirectoryJob),
    /// Walk a directory's pages.
    Pages(PagesJob),
    /// Read a large file, or a stream, and hand out its pieces.
    Stream(StreamJob),
}

/// A directory to open.
pub struct DirectoryJob {
    /// Where its node goes.
    pub place: Place,
    /// The directory that it is in. A handle stays open only for as long as there is something to open from
    /// it: nothing limits how deep directories are nested.
    pub above: Arc<OwnedFd>,
    /// What the parent snapshot has of it.
    pub parent: ParentDirectory,
    /// Which of its entries were asked for.
    pub wanted: Wanted,
}

/// A directory whose pages, from a number on, are to be walked.
pub struct PagesJob {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Its handle.
    pub handle: Arc<OwnedFd>,
    /// The first page.
    pub from: usize,
}

/// What the threads of a walk share.
pub struct Walk<'a> {
    /// How to back up.
    pub options: &'a ArchiveOptions,
    /// What was asked for.
    pub sources: &'a Sources,
    /// What the walk is compared with.
    pub parent: Parent<'a>,
    /// The run that it is part of.
    pub run: &'a RunContext,
    /// What there is to do.
    pub jobs: Jobs<Job, PieceJob>,
    /// Files with several names.
    pub links: HardLinks,
    /// Streams that no thread reads yet.
    pub streams: Streams,
    error: Mutex<Option<EngineError>>,
}

impl<'a> Walk<'a> {
    /// A walk that hasn't begun.
    pub fn new(
        options: &'a ArchiveOptions,
        sources: &'a Sources,
        parent: Parent<'a>,
        run: &'a RunContext,
    ) -> Self {
        Self {
            options,
            sources,
            parent,
            run,
            jobs: Jobs::new(run.threads() + 1),
            links: HardLinks::default(),
            streams: Streams::default(),
            error: Mutex::default(),
        }
    }

    /// Walks the source, with a sink of its own for each thread. Returns what was counted.
    pub fn run<'w, S: Sink<'w>>(
        &'w self,
        source: Source<'_>,
        new_sink: impl Fn() -> S + Sync,
    ) -> Result<Tally> {
        // A thread for each stream, since the programs that write them may wait for each other, and one for files.
        let needed = source.streams.len() + usize::from(!source.paths.is_empty());
        let threads = self.run.threads().max(needed);
        self.streams.take(source.streams)?;
        let parent = self.parent.root();
        let mut first = Walker::new(self, new_sink());
        match (&self.options.stored_as, source.paths) {
            (_, []) => first.begin_streams()?,
            (Some(_), [directory]) => stand_in::begin(&mut first, directory, parent)?,
            _ => first.begin_paths(parent)?,
        }
        let mut tally = first.sink.finish();
        for counted in in_threads(threads, || Walker::new(self, new_sink()).run()) {
            tally.add(counted);
        }
        self.check()?;
        Ok(tally)
    }

    /// Fails if a thread of the walk has failed.
    pub fn check(&self) -> Result<()> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), Err)
    }

    /// Ends the work of all threads. The first error is the one that is reported.
    pub fn fail(&self, error: EngineError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.jobs.stop();
    }

    /// Whether the run was cancelled. If so, this ends the work of all threads.
    pub fn is_cancelled(&self) -> bool {
        let is_cancelled = self.run.is_cancelled();
        if is_cancelled {
            self.fail(EngineError::Interrupted);
        }
        is_cancelled
    }
}
