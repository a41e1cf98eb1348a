//! Decides whether and when a failed request is repeated.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::failure::{Class, Failure};
use super::requests::Requests;
use crate::traffic::add;

/// The first wait is at most this long, and the maximum doubles with each wait.
const WAIT_FIRST: Duration = Duration::from_millis(200);
/// No wait is longer than this.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// An operation that has waited for this long sends a notice.
const QUIET: Duration = Duration::from_secs(5);
/// If a body arrives damaged this many times, that isn't chance.
const DAMAGED_MAX: u32 = 5;

/// The repeats of one operation.
pub(super) struct Backoff<'r> {
    requests: &'r Requests,
    began: Option<Instant>,
    tries: u32,
    damaged: u32,
    /// Whether this operation has sent its notice.
    notified: bool,
}

impl<'r> Backoff<'r> {
    pub(super) fn new(requests: &'r Requests) -> Self {
        Self { requests, began: None, tries: 0, damaged: 0, notified: false }
    }

    /// Waits until the next try. Returns the failure if there must be no other try.
    pub(super) async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let answers = self.requests.connection.has_answered.load(Ordering::Relaxed);
        let overloaded = match failure.class {
            Class::Throttled => true,
            // Only a store that answers can be overloaded. One that can't be reached doesn't get the repeats.
            Class::Unknown => failure.status.is_some(),
            Class::Conflict | Class::Taken | Class::UploadGone => false,
            Class::Damaged => {
                self.damaged += 1;
                if self.damaged >= DAMAGED_MAX {
                    let message = format!(
                        "{}; this happened {DAMAGED_MAX} times: something between this machine and the store changes what is sent",
                        failure.message
                    );
                    return Err(Failure { message, ..failure });
                }
                false
            }
            Class::NotFound
            | Class::BeyondEnd
            | Class::StoredDamaged
            | Class::Cancelled
            | Class::Final(_) => {
                return Err(failure);
            }
        };
        let now = (self.requests.options().clock)();
        let waited = now - *self.began.get_or_insert(now);
        let options = self.requests.options();
        let limit = if answers { options.retry_for } else { options.retry_first_for.min(options.retry_for) };
        if waited >= limit {
            let message = if answers {
                format!(
                    "{}; tried again for {} s: run the command again when the store works; everything stored so far is intact",
                    failure.message,
                    waited.as_secs()
                )
            } else {
                format!("{}; check the endpoint and the network", failure.message)
            };
            return Err(Failure { message, ..failure });
        }
        if waited >= QUIET && !self.notified && answers {
            self.notified = true;
            self.requests.notify_once(&failure.message, limit);
        }
        let ceiling = WAIT_FIRST.saturating_mul(1 << self.tries.min(10)).min(WAIT_MAX);
        let may_be_soon = !overloaded || self.requests.connection.retry_budget.spend();
        // Random, so that threads that failed together don't repeat together.
        let wait = if may_be_soon {
            ceiling.mul_f64(random_fraction())
        } else {
            WAIT_MAX.mul_f64(0.5 + random_fraction() / 2.0)
        };
        self.tries += 1;
        self.requests.grace.sleep(wait.min(limit.saturating_sub(waited))).await?;
        add(&self.requests.counters.retries, 1);
        Ok(())
    }
}

/// A random number from 0 to 1.
fn random_fraction() -> f64 {
    // Without random numbers all wait for the longest time.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
