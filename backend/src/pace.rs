//! Bytes at a rate.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says how long to wait so that bytes go at a rate. Shared by threads.
#[derive(Debug)]
pub struct Pace {
    bytes_per_s: Option<u64>,
    clock: fn() -> Instant,
    /// When all that was let through is through.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// So many bytes in a second; any number without one.
    pub fn new(bytes_per_s: Option<u64>, clock: fn() -> Instant) -> Self {
        Self { bytes_per_s: bytes_per_s.filter(|rate| *rate > 0), clock, free_at: Mutex::default() }
    }

    /// How long to wait until `bytes` more may go. They count as going then.
    pub fn wait_for(&self, bytes: usize) -> Duration {
        let Some(rate) = self.bytes_per_s else { return Duration::ZERO };
        let now = (self.clock)();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = free_at.map_or(now, |at| at.max(now));
        *free_at = Some(begin + Duration::from_secs_f64(bytes as f64 / rate as f64));
        begin - now
    }
}
