//! Who hears about progress, skipped files and findings.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Something that a user wants to know.
#[derive(Debug)]
pub enum Event<'a> {
    /// A file or directory that isn't in the snapshot, or wasn't restored.
    Skipped {
        /// Which.
        path: &'a Path,
        /// Why.
        why: String,
    },
    /// A file that was removed after its directory was listed; nothing is lost.
    Vanished {
        /// Which.
        path: &'a Path,
    },
    /// A file that was written to while it was read; the next run reads it again.
    Changed {
        /// Which.
        path: &'a Path,
    },
    /// A stored object that is damaged or missing, and what that means.
    Finding {
        /// The object, or the snapshot and file that it hits.
        object: String,
        /// What is wrong.
        what: String,
    },
    /// A stored object that can't be read now, and what needs it: it may be there all the same.
    Unreachable {
        /// The object, or the snapshot and file that needs it.
        object: String,
        /// Why it can't be read.
        what: String,
    },
    /// An entry that a restore would remove, if it weren't a dry run.
    WouldRemove {
        /// Which.
        path: &'a Path,
    },
    /// Something worth a line, without consequence for the result.
    Notice(String),
}

/// Numbers that grow while a verb runs; whoever draws a progress bar reads them.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files done.
    pub files: AtomicU64,
    /// Bytes done.
    pub bytes: AtomicU64,
    /// Files to do, as far as known; 0 when unknown.
    pub files_expected: AtomicU64,
    /// Bytes to do, as far as known; 0 when unknown.
    pub bytes_expected: AtomicU64,
}

impl Progress {
    /// Counts done work.
    pub fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        // Sparse files may be as large as they like, and many.
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_add(bytes)));
    }

    /// Says how much there is to do.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.files_expected.store(files, Ordering::Relaxed);
        self.bytes_expected.store(bytes, Ordering::Relaxed);
    }
}

/// Listens to a verb. Called from many threads.
pub trait Monitor: Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);

    /// The numbers to count in.
    fn progress(&self) -> &Progress;

    /// Set from outside when the verb shall stop at the next good moment.
    fn stop(&self) -> &AtomicBool;

    /// Whether to stop.
    fn stopped(&self) -> bool {
        self.stop().load(Ordering::Relaxed)
    }
}

/// Hears everything and says nothing.
#[derive(Debug, Default)]
pub struct Unheard {
    progress: Progress,
    stop: AtomicBool,
}

impl Monitor for Unheard {
    fn event(&self, _: Event<'_>) {}

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}
