//! How many requests to a store may be repeats.

use parking_lot::Mutex;

/// Repeats that a store takes at once before they are spaced out.
const BURST: f64 = 50.0;
/// The part of a repeat that each success pays for.
const EARNED: f64 = 0.1;

/// What keeps the threads of all runs from hammering at a store that is overloaded: a repeat costs one, a
/// success earns a tenth. With nothing left, a repeat waits as long as any may.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<f64>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(BURST))
    }
}

impl RetryBudget {
    pub(super) fn earn(&self) {
        let mut left = self.0.lock();
        *left = (*left + EARNED).min(BURST);
    }

    /// Whether a repeat may come as soon as it likes.
    pub(super) fn spend(&self) -> bool {
        let mut left = self.0.lock();
        let is_enough = *left >= 1.0;
        *left = (*left - 1.0).max(0.0);
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::RetryBudget;

    #[test]
    fn a_budget_is_spent_and_earned_back() {
        let budget = RetryBudget::default();
        assert_eq!((0..60).filter(|_| budget.spend()).count(), 50);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        (0..11).for_each(|_| budget.earn());
        assert!(budget.spend());
    }
}
