//! Counts the requests and bytes of a run: network stores bill both.

use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests to a store and bytes of objects so far. A request that failed and was repeated counts each time,
/// as it is billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that write: whole objects, parts of objects, and the requests that begin and complete uploads
    /// in parts.
    pub puts: u64,
    /// Requests that read objects, or facts about them.
    pub gets: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Requests that remove.
    pub deletes: u64,
    /// How many of these requests repeated one that failed.
    pub retries: u64,
    /// Bytes of objects sent.
    pub bytes_up: u64,
    /// Bytes of objects received.
    pub bytes_down: u64,
}

impl Traffic {
    /// Requests of all kinds.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.puts + self.gets + self.lists + self.deletes
    }
}

impl Sub for Traffic {
    type Output = Self;

    /// The difference to an earlier count.
    fn sub(self, earlier: Self) -> Self {
        Self {
            puts: self.puts - earlier.puts,
            gets: self.gets - earlier.gets,
            lists: self.lists - earlier.lists,
            deletes: self.deletes - earlier.deletes,
            retries: self.retries - earlier.retries,
            bytes_up: self.bytes_up - earlier.bytes_up,
            bytes_down: self.bytes_down - earlier.bytes_down,
        }
    }
}

/// The counters of one run.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub puts: AtomicU64,
    pub gets: AtomicU64,
    pub lists: AtomicU64,
    pub deletes: AtomicU64,
    pub retries: AtomicU64,
    pub bytes_up: AtomicU64,
    pub bytes_down: AtomicU64,
}

impl Counters {
    pub(crate) fn traffic(&self) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic {
            puts: read(&self.puts),
            gets: read(&self.gets),
            lists: read(&self.lists),
            deletes: read(&self.deletes),
            retries: read(&self.retries),
            bytes_up: read(&self.bytes_up),
            bytes_down: read(&self.bytes_down),
        }
    }
}

/// Adds to a count.
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
