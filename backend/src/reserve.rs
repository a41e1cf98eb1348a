//! Space that a repository's directory keeps for a full disk: the objects that end a failed run, and the
//! objects that a garbage collection must write before it can remove anything, still fit.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, Mode, OFlags};

/// It begins like the names of files being written, so that listings leave it out.
const NAME: &str = ".writing-reserve";
const BYTES: u64 = 1 << 20;
/// Objects up to this size may use the reserve. Packs may not: the next pack would use it up.
const SMALL_BYTES: usize = 256 << 10;

/// The reserve of one directory, for all runs of this process.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    /// Held while the reserve is made or used up: otherwise one run could make the reserve again from the
    /// space that another run has just freed for its own object.
    in_use: Mutex<()>,
}

impl Reserve {
    /// The reserve of the store in `root`. Nothing is made yet.
    pub fn of(root: &Path) -> Self {
        Self { path: root.join(NAME), in_use: Mutex::default() }
    }

    /// Makes the reserve, unless it is there. If it can't be made, there is none: that matters only on a full
    /// disk.
    pub fn make(&self) {
        let _in_use = self.in_use.lock();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) else { return };
        if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_err() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Frees the reserve for an object of this size that didn't fit, and calls `write` to write the object
    /// again. `None` if the reserve doesn't help.
    pub fn free_for<T>(&self, bytes: usize, write: impl FnOnce() -> T) -> Option<T> {
        if bytes > SMALL_BYTES {
            return None;
        }
        let _in_use = self.in_use.lock();
        fs::remove_file(&self.path).ok()?;
        Some(write())
    }
}
