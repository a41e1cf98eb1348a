//! What a run brings to a store that many runs share.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Cancel;

/// How many bytes of objects one run may move in a second, at most. `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Bytes sent to the store.
    pub upload_bytes_per_s: Option<u64>,
    /// Bytes received from the store.
    pub download_bytes_per_s: Option<u64>,
}

/// The limits of one run, which may change while it goes on. Clones are the same limits.
#[derive(Debug, Clone, Default)]
pub struct LiveLimits {
    /// None: there are no limits, and there won't be any.
    rates: Option<Arc<Rates>>,
}

#[derive(Debug, Default)]
struct Rates {
    upload: Rate,
    download: Rate,
}

/// Bytes in a second; 0 is no limit. Each number stands for itself, and a reader that sees a new one late is late by
/// as much: relaxed access is enough.
#[derive(Debug, Default)]
pub(crate) struct Rate(AtomicU64);

impl Rate {
    fn set(&self, bytes_per_s: Option<u64>) {
        self.0.store(bytes_per_s.unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn bytes_per_s(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed))
    }
}

/// In which direction bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the store.
    Upload,
    /// From the store.
    Download,
}

impl LiveLimits {
    /// Limits that begin like this and can be changed.
    #[must_use]
    pub fn new(begin: RateLimits) -> Self {
        let limits = Self { rates: Some(Arc::default()) };
        limits.set(begin);
        limits
    }

    /// From now on these limits hold, for what waits already as well. Limits that were made as none stay none.
    pub fn set(&self, limits: RateLimits) {
        if let Some(rates) = &self.rates {
            rates.upload.set(limits.upload_bytes_per_s);
            rates.download.set(limits.download_bytes_per_s);
        }
    }

    /// What holds now.
    #[must_use]
    pub fn now(&self) -> RateLimits {
        let of = |direction| self.rate(direction).map(NonZeroU64::get);
        RateLimits {
            upload_bytes_per_s: of(Direction::Upload),
            download_bytes_per_s: of(Direction::Download),
        }
    }

    /// Whether there are no limits now, and there won't be any.
    pub(crate) fn are_none(&self) -> bool {
        self.rates.is_none()
    }

    pub(crate) fn rate(&self, direction: Direction) -> Option<NonZeroU64> {
        let rates = self.rates.as_ref()?;
        match direction {
            Direction::Upload => rates.upload.bytes_per_s(),
            Direction::Download => rates.download.bytes_per_s(),
        }
    }
}

impl From<RateLimits> for LiveLimits {
    fn from(limits: RateLimits) -> Self {
        if limits == RateLimits::default() { Self::default() } else { Self::new(limits) }
    }
}

/// Receives notices for the user, such as one about a store that hasn't answered for a while.
pub type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// What ends a run's requests, what limits them, and what receives notices about repeats.
#[derive(Clone, Default)]
pub struct RunLink {
    /// Ends this run's waiting, and no other run's.
    pub cancel: Cancel,
    /// The run's limits.
    pub limits: LiveLimits,
    /// Receives notices about long waits.
    pub notices: Option<Notices>,
}

impl fmt::Debug for RunLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLink")
            .field("cancel", &self.cancel)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
