//! Limits bytes to a rate, which may change at any time.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Cancel;
use crate::link::{Direction, LiveLimits};

/// A wait is cut into pieces of this length, so that a new rate is heeded soon by those that wait already.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const NANOS_PER_S: u128 = 1_000_000_000;

/// Lets bytes pass at a rate. All threads of a run share it.
///
/// What waits is kept as bytes and not as a time: how long they take is known only while they pass.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: LiveLimits,
    direction: Direction,
    clock: fn() -> Instant,
    line: Mutex<Line>,
}

/// Positions are thousand-millionths of bytes, as many as pass at a byte a second in a nanosecond: so nothing is lost
/// where the clock is read often and the rate is low.
#[derive(Debug, Default)]
struct Line {
    /// Where the newest bytes end.
    accepted: u128,
    /// How much has passed, at the instant `at`. Never more than was accepted: a pause gives no credit.
    passed: u128,
    at: Option<Instant>,
}

impl Line {
    fn pass(&mut self, rate: NonZeroU64, now: Instant) {
        let elapsed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let more = u128::from(rate.get()).saturating_mul(elapsed.as_nanos());
        self.passed = self.passed.saturating_add(more).min(self.accepted);
        self.at = Some(now);
    }
}

/// Bytes that wait for those before them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    begin: u128,
}

impl Throttle {
    /// Keeps what these limits say for a direction.
    pub(crate) fn new(limits: LiveLimits, direction: Direction, clock: fn() -> Instant) -> Self {
        Self { limits, direction, clock, line: Mutex::default() }
    }

    /// Accepts `bytes` more. Nothing where there is no limit. The caller waits for the bytes before its own, and not for
    /// its own.
    pub(crate) fn accept(&self, bytes: usize) -> Option<Ticket> {
        let rate = self.limits.rate(self.direction)?;
        let now = (self.clock)();
        let mut line = self.line.lock();
        line.pass(rate, now);
        let begin = line.accepted;
        line.accepted = begin.saturating_add(bytes as u128 * NANOS_PER_S);
        Some(Ticket { begin })
    }

    /// How long to wait before asking again, or nothing if the bytes may pass.
    pub(crate) fn wait_more(&self, ticket: Ticket) -> Option<Duration> {
        let mut line = self.line.lock();
        let Some(rate) = self.limits.rate(self.direction) else {
            // There is no limit any more: all that waits may pass.
            line.passed = line.accepted;
            return None;
        };
        line.pass(rate, (self.clock)());
        let before = ticket.begin.checked_sub(line.passed).filter(|before| *before > 0)?;
        let nanos = u64::try_from(before.div_ceil(u128::from(rate.get()))).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos).min(LOOK_AGAIN))
    }

    /// Waits until `bytes` more may pass, or until the run is cancelled.
    pub(crate) fn wait(&self, bytes: usize, cancel: &Cancel) {
        let Some(ticket) = self.accept(bytes) else { return };
        while let Some(more) = self.wait_more(ticket) {
            if cancel.wait(more) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{LOOK_AGAIN, Throttle, Ticket};
    use crate::link::{Direction, LiveLimits, RateLimits};

    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn up(bytes_per_s: Option<u64>) -> RateLimits {
        RateLimits { upload_bytes_per_s: bytes_per_s, download_bytes_per_s: None }
    }

    fn throttle(bytes_per_s: Option<u64>, clock: fn() -> Instant) -> (Throttle, LiveLimits) {
        let limits = LiveLimits::new(up(bytes_per_s));
        (Throttle::new(limits.clone(), Direction::Upload, clock), limits)
    }

    /// A clock that stands unless it is moved. Each test has one of its own.
    macro_rules! clock {
        ($name:ident, $now:ident) => {
            static $name: AtomicU64 = AtomicU64::new(0);
            fn $now() -> Instant {
                *BEGIN + Duration::from_millis($name.load(Ordering::Relaxed))
            }
        };
    }

    /// Waits on a clock that moves as far as is asked for, and returns how long that was.
    fn waited(throttle: &Throttle, ticket: Option<Ticket>, clock: &AtomicU64) -> Duration {
        let mut all = Duration::ZERO;
        while let Some(more) = ticket.and_then(|ticket| throttle.wait_more(ticket)) {
            let step = more.max(Duration::from_millis(1));
            clock.fetch_add(u64::try_from(step.as_millis()).expect("it is short"), Ordering::Relaxed);
            all += step;
        }
        all
    }

    #[test]
    fn each_waits_for_those_before_and_the_first_for_none() {
        clock!(CLOCK, now);
        let (throttle, _) = throttle(Some(1000), now);
        let [first, second, third] = [1500, 1, 1].map(|bytes| throttle.accept(bytes));
        assert_eq!(waited(&throttle, first, &CLOCK), Duration::ZERO);
        assert_eq!(waited(&throttle, second, &CLOCK), Duration::from_millis(1500));
        assert_eq!(waited(&throttle, third, &CLOCK), Duration::from_millis(1));
    }

    /// A slow clock, or one that is looked at often, makes no byte free.
    #[test]
    fn a_pause_gives_no_credit_and_a_low_rate_loses_nothing() {
        clock!(CLOCK, now);
        let (throttle, _) = throttle(Some(1), now);
        throttle.accept(2);
        CLOCK.fetch_add(60_000, Ordering::Relaxed);
        assert_eq!(waited(&throttle, throttle.accept(3), &CLOCK), Duration::ZERO);
        let next = throttle.accept(1);
        for _ in 0..2_999 {
            CLOCK.fetch_add(1, Ordering::Relaxed);
            assert!(next.and_then(|next| throttle.wait_more(next)).is_some());
        }
        CLOCK.fetch_add(1, Ordering::Relaxed);
        assert!(next.and_then(|next| throttle.wait_more(next)).is_none());
    }

    #[test]
    fn those_that_wait_already_heed_a_new_rate() {
        clock!(CLOCK, now);
        let (throttle, limits) = throttle(Some(1), now);
        throttle.accept(1_000_000);
        let waits = throttle.accept(1).expect("there is a limit");
        assert_eq!(throttle.wait_more(waits), Some(LOOK_AGAIN), "eleven days, in pieces");
        limits.set(up(Some(1_000_000)));
        assert_eq!(waited(&throttle, Some(waits), &CLOCK), Duration::from_secs(1));
        throttle.accept(1_000_000);
        let waits = throttle.accept(1).expect("there is a limit");
        limits.set(up(None));
        assert_eq!(throttle.wait_more(waits), None);
        limits.set(up(Some(1)));
        assert_eq!(throttle.wait_more(waits), None, "what may pass stays free");
    }

    #[test]
    fn without_a_rate_there_is_no_wait() {
        for rate in [None, Some(0)] {
            let (throttle, _) = throttle(rate, Instant::now);
            assert!((0..3).all(|_| throttle.accept(usize::MAX).is_none()));
        }
    }
}
