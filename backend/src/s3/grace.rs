//! Limits what a cancelled run may still do: it waits for nothing any more, and requests that make progress may
//! go on for a moment.

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::failure::{Class, Failure};
use crate::Cancel;

/// The interval at which a wait checks whether the run is cancelled.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Requests that make progress may take this long, counted from when a request first saw that the run is
/// cancelled: what they upload needn't be uploaded again by the next run.
const GRACE: Duration = Duration::from_secs(10);
/// A request of a cancelled run ends if it makes no progress for this long.
const STALL: Duration = Duration::from_secs(2);

/// One run's cancellation, as its requests to a store see it. The grace is counted once for all of them.
#[derive(Debug)]
pub(super) struct Grace {
    cancel: Cancel,
    clock: fn() -> Instant,
    /// When a request first saw that the run is cancelled.
    seen: OnceLock<Instant>,
}

impl Grace {
    pub(super) fn new(cancel: Cancel, clock: fn() -> Instant) -> Self {
        Self { cancel, clock, seen: OnceLock::new() }
    }

    /// Whether the run is cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        let is_cancelled = self.cancel.is_cancelled();
        if is_cancelled {
            self.seen.get_or_init(self.clock);
        }
        is_cancelled
    }

    /// How long a request may make no progress: `usual`, or less once the run is cancelled.
    pub(super) fn stall_timeout(&self, usual: Duration) -> Duration {
        if self.is_cancelled() { STALL.min(usual) } else { usual }
    }

    /// Runs an operation until it ends, or until the run's grace is over.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let is_over = async {
            while !self.is_cancelled() {
                tokio::time::sleep(TICK).await;
            }
            let seen = *self.seen.get_or_init(self.clock);
            tokio::time::sleep((seen + GRACE).saturating_duration_since((self.clock)())).await;
        };
        tokio::select! {
            biased;
            result = work => result,
            () = is_over => Err(cancelled()),
        }
    }

    /// Waits, unless the run is cancelled.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Failure> {
        let mut left = time;
        while !left.is_zero() {
            if self.is_cancelled() {
                return Err(cancelled());
            }
            let nap = left.min(TICK);
            tokio::time::sleep(nap).await;
            left -= nap;
        }
        if self.is_cancelled() { Err(cancelled()) } else { Ok(()) }
    }
}

/// The failure of an operation that ends because the run is cancelled.
pub(super) fn cancelled() -> Failure {
    Failure::new(Class::Cancelled, "interrupted")
}
