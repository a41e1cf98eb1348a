//! Limits: how many bytes go through in a second, and how many requests may be repeats.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::pace::Pace;

/// Lets bytes through at a rate.
#[derive(Debug)]
pub(super) struct Limit(Pace);

impl Limit {
    pub(super) fn new(bytes_per_s: Option<u64>, clock: fn() -> Instant) -> Self {
        Self(Pace::new(bytes_per_s, clock))
    }

    /// Waits until `bytes` more may go.
    pub(super) async fn pass(&self, bytes: usize) {
        let wait = self.0.wait_for(bytes);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Repeats that a store takes at once before they are spaced out.
const BURST: f64 = 50.0;
/// How much of a repeat each success pays for.
const EARNED: f64 = 0.1;

/// What keeps many threads from hammering at a store that is overloaded: a repeat costs one,
/// a success earns a tenth. With nothing left, a repeat waits as long as any may.
#[derive(Debug)]
pub(super) struct Budget(Mutex<f64>);

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(BURST))
    }
}

impl Budget {
    pub(super) fn earn(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + EARNED).min(BURST);
    }

    /// Whether a repeat may come as soon as it likes.
    pub(super) fn spend(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *left >= 1.0;
        *left = (*left - 1.0).max(0.0);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn a_budget_is_spent_and_earned_back() {
        let budget = Budget::default();
        assert_eq!((0..60).filter(|_| budget.spend()).count(), 50);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        (0..11).for_each(|_| budget.earn());
        assert!(budget.spend());
    }
}
