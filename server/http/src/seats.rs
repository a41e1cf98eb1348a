//! How many requests may look into repositories at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Requests that look into repositories at once.
pub const LOOKS_MAX: usize = 8;
/// Contents that are sent at once.
pub const DOWNLOADS_MAX: usize = 16;

/// Those that look at this moment.
pub struct Looks {
    /// Into folders and differences.
    pub looks: Arc<Semaphore>,
    /// Into contents.
    pub downloads: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
        }
    }
}
