//! A store that moves at most a number of bytes in a second in each direction.

use std::sync::Arc;
use std::time::Instant;

use crate::link::Direction;
use crate::throttle::Throttle;
use crate::{Backend, BackendError, Cancel, Created, Found, Listed, LiveLimits, Traffic};

/// Limits the average rate in each direction: an object or range passes whole, and the next one waits.
pub struct LimitedBackend {
    inner: Arc<dyn Backend>,
    upload: Throttle,
    download: Throttle,
    cancel: Cancel,
}

impl LimitedBackend {
    /// Limits `inner`. Nothing waits any more once the run is cancelled.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, limits: LiveLimits, cancel: Cancel, clock: fn() -> Instant) -> Self {
        Self {
            inner,
            upload: Throttle::new(limits.clone(), Direction::Upload, clock),
            download: Throttle::new(limits, Direction::Download, clock),
            cancel,
        }
    }
}

impl Backend for LimitedBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.upload.wait(parts.iter().map(|part| part.len()).sum(), &self.cancel);
        self.inner.create(name, parts)
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.inner.sync()
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.inner.read_into(name, bytes_max, bytes)?;
        // The number of bytes is known only now; what is read next waits for them.
        self.download.wait(bytes.len(), &self.cancel);
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
        self.download.wait(bytes.len(), &self.cancel);
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
