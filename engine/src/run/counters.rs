//! What a run counts. Others may read the numbers at any time, to draw a progress bar.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::events::Event;

/// Numbers that grow while a run goes on.
#[derive(Debug, Default)]
pub struct Counters {
    files: AtomicU64,
    bytes: AtomicU64,
    files_expected: AtomicU64,
    bytes_expected: AtomicU64,
    skipped: AtomicU64,
    damaged: AtomicU64,
    unreachable: AtomicU64,
}

/// How much of its work a run has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Files to do, as far as known; 0 when unknown.
    pub files_expected: u64,
    /// Bytes to do, as far as known; 0 when unknown.
    pub bytes_expected: u64,
}

/// How often something kept the result of a run from being complete.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Troubles {
    /// Entries that aren't in the snapshot, or weren't restored in full.
    pub skipped: u64,
    /// Damaged or missing objects, and what they hit.
    pub damaged: u64,
    /// Objects that can't be read now, and what needs them.
    pub unreachable: u64,
}

impl Troubles {
    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Counters {
    /// How much is done.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            files: read(&self.files),
            bytes: read(&self.bytes),
            files_expected: read(&self.files_expected),
            bytes_expected: read(&self.bytes_expected),
        }
    }

    /// What kept the result from being complete.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        Troubles {
            skipped: read(&self.skipped),
            damaged: read(&self.damaged),
            unreachable: read(&self.unreachable),
        }
    }

    /// Counts work that is done.
    pub(super) fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        // Sparse files may be as large as they like, and many.
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_add(bytes)));
    }

    /// Says how much work there is.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.files_expected.store(files, Ordering::Relaxed);
        self.bytes_expected.store(bytes, Ordering::Relaxed);
    }

    /// Counts an event that is a trouble.
    pub(super) fn count_event(&self, event: &Event) {
        let count = match event {
            Event::Skipped { .. } => &self.skipped,
            Event::Damaged { .. } => &self.damaged,
            Event::Unreachable { .. } => &self.unreachable,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

// Each number stands for itself, and none says anything about other memory.
fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}
