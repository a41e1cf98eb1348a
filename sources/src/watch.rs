//! How long something takes.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A stopwatch, which says nothing of the time of day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch(Duration);

impl Watch {
    /// Begins to measure.
    pub fn start() -> Self {
        Self(since_boot())
    }

    /// How long ago that was.
    pub fn passed(self) -> Duration {
        since_boot().saturating_sub(self.0)
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}
