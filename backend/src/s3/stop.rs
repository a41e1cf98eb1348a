//! Ending when the caller wants to: nothing that doesn't go well is waited for then.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::failure::{Class, Failure};
use super::options::S3Options;

/// How often a wait looks whether it is to end.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// What still goes well may take so long, counted from when it was first seen that it is to end:
/// what was uploaded by then needn't be uploaded again.
const GRACE: Duration = Duration::from_secs(10);
/// What doesn't go on for so long then, doesn't go well.
const STALL: Duration = Duration::from_secs(2);

/// The wish to end, of all requests to a store.
#[derive(Debug, Default)]
pub(super) struct Stop {
    seen: OnceLock<Instant>,
}

impl Stop {
    /// Whether it is to end.
    pub(super) fn is_set(&self, options: &S3Options) -> bool {
        let stop = options.stop.as_deref();
        let set = stop.is_some_and(|stop: &AtomicBool| stop.load(Ordering::Relaxed));
        if set {
            self.seen.get_or_init(options.clock);
        }
        set
    }

    /// How long a request may make no progress.
    pub(super) fn stall_timeout(&self, options: &S3Options) -> Duration {
        if self.is_set(options) { STALL.min(options.stall_timeout) } else { options.stall_timeout }
    }

    /// Runs an operation, once it is to end for a moment only.
    pub(super) async fn unless_set<T>(
        &self,
        options: &S3Options,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if options.stop.is_none() {
            return work.await;
        }
        let is_over = async {
            while !self.is_set(options) {
                tokio::time::sleep(TICK).await;
            }
            let seen = *self.seen.get_or_init(options.clock);
            tokio::time::sleep((seen + GRACE).saturating_duration_since((options.clock)())).await;
        };
        tokio::select! {
            biased;
            result = work => result,
            () = is_over => Err(stopped()),
        }
    }

    /// Waits, unless it is to end.
    pub(super) async fn sleep(&self, options: &S3Options, time: Duration) -> Result<(), Failure> {
        let mut left = time;
        while !left.is_zero() {
            if self.is_set(options) {
                return Err(stopped());
            }
            let nap = if options.stop.is_some() { left.min(TICK) } else { left };
            tokio::time::sleep(nap).await;
            left -= nap;
        }
        if self.is_set(options) { Err(stopped()) } else { Ok(()) }
    }
}

/// What is said of an operation that ends early.
pub(super) fn stopped() -> Failure {
    Failure::new(Class::Stopped, "interrupted")
}
