//! What a run is judged by.

use std::time::Duration;

/// Figures of one run. "Before" is the snapshot that the run compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFigures {
    /// How long it took.
    pub duration: Duration,
    /// Bytes of everything that is in the snapshot.
    pub source_bytes: u64,
    /// Bytes of these that the repository didn't have, before compression.
    pub new_bytes: u64,
    /// Bytes that the new ones take in the store, after compression.
    pub stored_bytes: u64,
    /// Files in the snapshot before.
    pub files_before: u64,
    /// Files of the snapshot before that are gone.
    pub files_deleted: u64,
    /// Files of the snapshot before whose content is another now.
    pub files_rewritten: u64,
    /// Files that are new in their place and whose whole content the repository had, as after a folder was
    /// renamed. With 0, where no one counts them, each such move counts as a deletion.
    pub files_moved: u64,
}

impl RunFigures {
    /// The share of files that are gone. A file that was moved is deleted in one place and added in another.
    pub(super) fn deleted_share(&self) -> FileShare {
        let count = self.files_deleted.saturating_sub(self.files_moved);
        FileShare { count, share: share(count, self.files_before) }
    }

    /// The share of files whose content is another now.
    pub(super) fn rewritten_share(&self) -> FileShare {
        FileShare { count: self.files_rewritten, share: share(self.files_rewritten, self.files_before) }
    }

    /// What of the new data is left after compression: near to 1 for what is encrypted or random. This stands
    /// for the entropy of the data, which no one measures while it is read.
    pub(super) fn compressed_share(&self) -> f64 {
        share(self.stored_bytes, self.new_bytes)
    }

    /// How long it took, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.duration.as_secs_f64()
    }

    /// The share of the source that is new.
    pub(super) fn new_share(&self) -> f64 {
        share(self.new_bytes, self.source_bytes)
    }
}

/// A number of files, and the share that it is of those before.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileShare {
    /// How many.
    pub count: u64,
    /// As a share, at most 1.
    pub share: f64,
}

/// A part as a share of a whole; 0 of nothing. Shares need no more digits than a float has.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}
