//! Goals of time: how long a restore may take, and how old its data may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was measured, and what it may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Milliseconds that were measured; none if there was nothing to measure.
    pub measured_ms: Option<u64>,
    /// Milliseconds that it may be; none without a goal.
    pub goal_ms: Option<u64>,
}

impl Measured {
    /// A measured time and its goal.
    #[must_use]
    pub fn new(measured: Option<Duration>, goal: Option<Duration>) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self { measured_ms: measured.map(ms), goal_ms: goal.map(ms) }
    }

    /// Whether the goal is missed. Without a goal, or without a measurement, nothing is.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.measured_ms.zip(self.goal_ms).is_some_and(|(measured, goal)| measured > goal)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Measured};

    #[test]
    fn a_goal_is_missed_only_by_what_was_measured() {
        let of = |measured: Option<u64>, goal: Option<u64>| {
            Measured::new(measured.map(Duration::from_secs), goal.map(Duration::from_secs)).is_missed()
        };
        assert!(of(Some(61), Some(60)));
        assert!(!of(Some(60), Some(60)) && !of(Some(99), None) && !of(None, Some(1)));
    }
}
