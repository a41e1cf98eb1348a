//! What a run brings to a store that many runs share.

use std::fmt;
use std::sync::Arc;

use crate::Cancel;

/// How many bytes of objects one run may move in a second, at most. `None` means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Bytes sent to the store.
    pub upload_bytes_per_s: Option<u64>,
    /// Bytes received from the store.
    pub download_bytes_per_s: Option<u64>,
}

/// Receives notices for the user, such as one about a store that hasn't answered for a while.
pub type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// What ends a run's requests, what limits them, and what receives notices about repeats.
#[derive(Clone, Default)]
pub struct RunLink {
    /// Ends this run's waiting, and no other run's.
    pub cancel: Cancel,
    /// The run's limits.
    pub limits: RateLimits,
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
