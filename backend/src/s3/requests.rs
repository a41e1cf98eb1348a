//! Makes requests: what all runs share, and what each run has for itself.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;

use super::body::{Progress, unless_stalled};
use super::budget::RetryBudget;
use super::failure::{Class, Failure};
use super::grace::{Grace, TICK};
use super::knowledge::{Checksum, ETags};
use super::options::S3Options;
use crate::link::Direction;
use crate::throttle::Throttle;
use crate::traffic::{Counters, add};
use crate::{Notices, RunLink};

/// A connected store and what is known about it. All runs share it.
pub(super) struct Connection {
    pub client: Client,
    pub options: S3Options,
    pub checksum: Checksum,
    pub e_tags: ETags,
    pub retry_budget: RetryBudget,
    /// Whether the store has ever answered.
    pub has_answered: AtomicBool,
    /// `None` only while the connection is dropped.
    pub runtime: Option<Runtime>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Every call waits for its own requests, so that no request is running now.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The requests of one run.
pub(super) struct Requests {
    pub connection: Arc<Connection>,
    pub grace: Grace,
    pub upload: Throttle,
    pub download: Throttle,
    pub counters: Counters,
    notices: Option<Notices>,
    /// Whether the run was notified of trouble, and no request has succeeded since.
    is_notified: AtomicBool,
}

impl Requests {
    pub(super) fn new(connection: Arc<Connection>, link: RunLink) -> Self {
        let RunLink { cancel, limits, notices } = link;
        let clock = connection.options.clock;
        Self {
            connection,
            grace: Grace::new(cancel, clock),
            upload: Throttle::new(limits.clone(), Direction::Upload, clock),
            download: Throttle::new(limits, Direction::Download, clock),
            counters: Counters::default(),
            notices,
            is_notified: AtomicBool::new(false),
        }
    }

    pub(super) fn options(&self) -> &S3Options {
        &self.connection.options
    }

    pub(super) fn client(&self) -> &Client {
        &self.connection.client
    }

    /// The bucket's name for an object.
    pub(super) fn key(&self, name: &str) -> String {
        match self.options().prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// How long a request may make no progress.
    pub(super) fn stall_timeout(&self) -> Duration {
        self.grace.stall_timeout(self.options().stall_timeout)
    }

    /// Makes one request and counts it.
    pub(super) async fn ask<T, E>(
        &self,
        count: &AtomicU64,
        progress: &Progress,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        add(count, 1);
        // This is the largest of the SDK's futures. On the heap, it isn't copied from caller to caller.
        let request = Box::pin(request);
        let answer = match unless_stalled(progress, || self.stall_timeout(), request).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error)),
            Err(_) => Err(self.stalled()),
        };
        let status = answer.as_ref().map_or_else(|failure| failure.status, |_| Some(200));
        if status.is_some() {
            self.connection.has_answered.store(true, Ordering::Relaxed);
        }
        if status.is_some_and(|status| status < 500) {
            self.is_notified.store(false, Ordering::Relaxed);
            self.connection.retry_budget.earn();
        }
        answer
    }

    pub(super) fn stalled(&self) -> Failure {
        let seconds = self.options().stall_timeout.as_secs();
        Failure::new(Class::Unknown, format!("there was no progress for {seconds} s"))
    }

    /// Waits until `bytes` more may pass. The wait counts as progress, since the limit causes it and not the
    /// store. Once the run is cancelled it doesn't: the grace is only for requests that move bytes within the
    /// limit.
    pub(super) async fn pass(&self, throttle: &Throttle, bytes: usize, progress: &Progress) {
        let Some(ticket) = throttle.accept(bytes) else { return };
        while let Some(more) = throttle.wait_more(ticket) {
            tokio::time::sleep(more.min(TICK)).await;
            if !self.grace.is_cancelled() {
                progress.add_wait();
            }
        }
    }

    /// Notifies the run of trouble, once until a request succeeds again.
    pub(super) fn notify_once(&self, message: &str, limit: Duration) {
        if let Some(notices) = &self.notices
            && !self.is_notified.swap(true, Ordering::Relaxed)
        {
            let place = self.options().location();
            let seconds = limit.as_secs();
            notices(&format!("{place}: {message}; trying again for up to {seconds} s"));
        }
    }
}
