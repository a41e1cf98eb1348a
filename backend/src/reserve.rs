//! Room that a repository's directory keeps, so that a full disk isn't the end: what ends a failed run,
//! and what a garbage collection has to write before it can remove anything, still fits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use rustix::fs::{FallocateFlags, Mode, OFlags};

/// It begins as names of files being written do, so it is no object.
const NAME: &str = ".writing-reserve";
const BYTES: u64 = 1 << 20;
/// Objects up to this size may use the reserve. Packs may not: it would be gone with the next one.
const SMALL_BYTES: usize = 256 << 10;

/// The reserve of one directory.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    made: Once,
}

impl Reserve {
    /// That of the store in `root`. Nothing is made yet.
    pub fn of(root: &Path) -> Self {
        Self { path: root.join(NAME), made: Once::new() }
    }

    /// Makes it, once, if it isn't there. Where it can't be made there is none, which harms nothing but on
    /// a full disk.
    pub fn make(&self) {
        self.made.call_once(|| {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let Ok(file) = rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) else { return };
            if rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, BYTES).is_err() {
                let _ = fs::remove_file(&self.path);
            }
        });
    }

    /// Gives it back for an object of this size, which didn't fit. `false` if that is of no use.
    pub fn give_back_for(&self, bytes: usize) -> bool {
        bytes <= SMALL_BYTES && fs::remove_file(&self.path).is_ok()
    }
}
