//! Limits how many requests to a store are repeats.

use parking_lot::Mutex;

/// Repeats that may come in a row before they are spaced out.
const BURST: f64 = 50.0;
/// The part of a repeat that each success earns.
const EARNED: f64 = 0.1;

/// Keeps the threads of all runs from sending too many repeats to an overloaded store: a repeat costs 1, a
/// success earns a tenth. When the budget is empty, a repeat waits for the longest time.
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

    /// Takes one repeat from the budget. Returns whether the budget had it.
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
