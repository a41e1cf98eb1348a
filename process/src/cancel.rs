//! Asks a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The interval at which a wait checks whether the run is cancelled. A signal handler may set the flag, and it
/// can't wake a thread.
const TICK: Duration = Duration::from_millis(50);

/// Whether one run must end at the next suitable moment. Clones share one flag; each run has its own.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Not cancelled, until someone calls [`Cancel::cancel`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The flag itself, for a signal handler.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Asks the run to end. There is no way back.
    pub fn cancel(&self) {
        // The flag publishes no other data, so that relaxed access is enough: a run that sees it late ends late.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the run must end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits this long, or until the run is cancelled. Returns whether it is cancelled.
    pub fn wait(&self, time: Duration) -> bool {
        let mut left = time;
        while !left.is_zero() && !self.is_cancelled() {
            let nap = left.min(TICK);
            thread::sleep(nap);
            left -= nap;
        }
        self.is_cancelled()
    }
}

/// Uses a flag that other code sets, such as a signal handler.
impl From<Arc<AtomicBool>> for Cancel {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Cancel;

    #[test]
    fn a_clone_ends_a_wait_that_would_take_a_day() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| cancel.wait(Duration::from_secs(86_400)));
            other.cancel();
            assert!(waiter.join().expect("the waiter ends"));
        });
    }

    #[test]
    fn a_wait_that_no_one_cancels_takes_its_time_and_says_so() {
        assert!(!Cancel::new().wait(Duration::from_millis(1)));
    }
}
