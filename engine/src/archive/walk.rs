//! One walk over the source, as all its threads see it. Each thread has a walker, which finds out what there
//! is and what has to be done with it, and a sink, which does it.

use std::sync::{Mutex, PoisonError};

use super::ArchiveOptions;
use super::hard_links::HardLinks;
use super::job::Job;
use super::parent::Parent;
use super::pieces::PieceJob;
use super::streams::Streams;
use crate::error::{EngineError, Result};
use crate::fs::sources::Sources;
use crate::jobs::Jobs;
use crate::run::RunContext;

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
    /// Streams, and folders that programs write, that no thread has begun.
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

    /// Whether there is no use in going on: the run was cancelled, or a thread of the walk has failed.
    pub fn should_stop(&self) -> bool {
        self.is_cancelled() || self.jobs.is_stopped()
    }

    /// Whether the run was cancelled. If so, this ends the work of all threads.
    fn is_cancelled(&self) -> bool {
        let is_cancelled = self.run.is_cancelled();
        if is_cancelled {
            self.fail(EngineError::Interrupted);
        }
        is_cancelled
    }
}
