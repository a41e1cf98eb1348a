//! A store to which only so many bytes go in a second, and from which only so many come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::pace::Pace;
use crate::{Backend, BackendError, Created, Found, Listed, Traffic};

/// How often a wait looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);

/// Limits what goes to a store and comes from it, on average: objects and ranges go whole, and
/// what comes after them waits.
pub struct LimitedBackend {
    inner: Arc<dyn Backend>,
    up: Pace,
    down: Pace,
    stop: Option<Arc<AtomicBool>>,
}

impl LimitedBackend {
    /// Limits `inner` to so many bytes in a second each way. Nothing waits any more when `stop` is set.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Backend>,
        up_bytes_per_s: Option<u64>,
        down_bytes_per_s: Option<u64>,
        clock: fn() -> Instant,
        stop: Option<Arc<AtomicBool>>,
    ) -> Self {
        Self { inner, up: Pace::new(up_bytes_per_s, clock), down: Pace::new(down_bytes_per_s, clock), stop }
    }

    fn pass(&self, pace: &Pace, bytes: usize) {
        let mut left = pace.wait_for(bytes);
        let stopped = || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        while !left.is_zero() && !stopped() {
            let nap = left.min(TICK);
            thread::sleep(nap);
            left -= nap;
        }
    }
}

impl Backend for LimitedBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.pass(&self.up, parts.iter().map(|part| part.len()).sum());
        self.inner.create(name, parts)
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.inner.sync()
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.inner.read_into(name, bytes_max, bytes)?;
        // How many they are is known only now; what is read next waits for them.
        self.pass(&self.down, bytes.len());
        Ok(())
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.inner.read_range_into(name, offset, length, bytes)?;
        self.pass(&self.down, bytes.len());
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.inner.list(prefix, found)
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.inner.survey(found)
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.inner.remove(name)
    }

    fn expect_one_writer(&self) {
        self.inner.expect_one_writer();
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    fn traffic(&self) -> Option<Traffic> {
        self.inner.traffic()
    }
}
