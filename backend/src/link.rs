//! What one run brings along to a store that many runs share.

use std::fmt;
use std::sync::Arc;

use crate::Cancel;

/// Bytes of objects in a second that one run may move, at most; any number where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// To the store.
    pub upload_bytes_per_s: Option<u64>,
    /// From the store.
    pub download_bytes_per_s: Option<u64>,
}

/// Hears of something worth a line, such as a store that doesn't answer for a while.
pub type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// What ends a run's requests, how fast they may be, and who hears that they are repeated.
#[derive(Clone, Default)]
pub struct RunLink {
    /// Ends all waiting of this run, and of no other.
    pub cancel: Cancel,
    /// How fast this run may be.
    pub limits: RateLimits,
    /// Hears of long waits.
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
