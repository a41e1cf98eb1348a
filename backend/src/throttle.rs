//! Limits bytes to a rate.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Cancel;

/// Computes how long to wait so that bytes pass at a rate. All threads of a run share it.
#[derive(Debug)]
pub(crate) struct Throttle {
    bytes_per_s: Option<NonZeroU64>,
    clock: fn() -> Instant,
    /// When all bytes that were accepted so far have passed at this rate.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// At most this many bytes in a second. Without a rate, or with 0, there is no limit.
    pub(crate) fn new(bytes_per_s: Option<u64>, clock: fn() -> Instant) -> Self {
        Self { bytes_per_s: bytes_per_s.and_then(NonZeroU64::new), clock, free_at: Mutex::default() }
    }

    /// Accepts `bytes` more, and returns how long the caller must wait before they may pass. A caller waits
    /// for the bytes before its own, and not for its own.
    pub(crate) fn delay_for(&self, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_s else { return Duration::ZERO };
        let now = (self.clock)();
        let mut free_at = self.free_at.lock();
        let begin = free_at.map_or(now, |at| at.max(now));
        // A time beyond the clock's range is ignored.
        *free_at = begin.checked_add(time_of(bytes as u64, rate)).or(Some(begin));
        begin - now
    }

    /// Waits until `bytes` more may pass, or until the run is cancelled.
    pub(crate) fn wait(&self, bytes: usize, cancel: &Cancel) {
        cancel.wait(self.delay_for(bytes));
    }
}

/// How long bytes take at a rate.
fn time_of(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanos = u128::from(bytes % rate) * 1_000_000_000 / u128::from(rate.get());
    // Less than a second.
    let nanos = u32::try_from(nanos).unwrap_or(0);
    Duration::new(bytes / rate, nanos)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Throttle;

    #[test]
    fn each_waits_for_those_before_and_the_first_for_none() {
        let throttle = Throttle::new(Some(1000), Instant::now);
        assert_eq!(throttle.delay_for(1500), Duration::ZERO);
        let second = throttle.delay_for(1);
        assert!(second <= Duration::from_millis(1500) && second > Duration::from_millis(1000), "{second:?}");
        assert!(throttle.delay_for(usize::MAX) > second - Duration::from_millis(100));
    }

    #[test]
    fn without_a_rate_there_is_no_wait() {
        for rate in [None, Some(0)] {
            let throttle = Throttle::new(rate, Instant::now);
            assert!((0..3).all(|_| throttle.delay_for(usize::MAX).is_zero()));
        }
    }
}
