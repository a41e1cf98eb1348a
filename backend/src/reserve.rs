//! Room that a repository's directory keeps, so that a full disk isn't the end: what ends a failed run,
//! and what a garbage collection has to write before it can remove anything, still fits.

use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, Mode, OFlags};

/// It begins as names of files being written do, so it is no object.
const NAME: &str = ".writing-reserve";
const BYTES: u64 = 1 << 20;
/// Objects up to this size may use the reserve. Packs may not: it would be gone with the next one.
const SMALL_BYTES: usize = 256 << 10;

/// The reserve of one directory, for all runs of this process.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    /// Held while the reserve is made or used up, so that no run makes it again of the room that another one
    /// has just given back for its own object.
    in_use: Mutex<()>,
}

impl Reserve {
    /// That of the store in `root`. Nothing is made yet.
    pub fn of(root: &Path) -> Self {
        Self { path: root.join(NAME), in_use: Mutex::default() }
    }

    /// Makes it, if it isn't there. Where it can't be made there is none, which harms nothing but on a full
    /// disk.
    pub fn make(&self) {
        let _in_use = self.in_use.lock();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) else { return };
        if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_err() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives it back for an object of this size, which didn't fit, and calls `write` to write that again.
    /// `None` if the reserve is of no use.
    pub fn give_back_for<T>(&self, bytes: usize, write: impl FnOnce() -> T) -> Option<T> {
        if bytes > SMALL_BYTES {
            return None;
        }
        let _in_use = self.in_use.lock();
        fs::remove_file(&self.path).ok()?;
        Some(write())
    }
}
