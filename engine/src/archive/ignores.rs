//! Files named `.keepfastignore`: what the directories that they are in say of themselves is left out.
//!
//! Their lines are patterns as everywhere else, with the file's directory in the root's place: `/build` is
//! the entry of that name beside the file, `build` and `a/build` are anywhere below. The file that is
//! deepest decides among those that have a pattern which fits; what a user excludes isn't brought back.
//!
//! Anyone who can write into a directory can put one there, so they are bounded in size and number. One
//! that can't be used leaves nothing out.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::error::{EngineError, Result};
use crate::fs::dir;
use crate::fs::pattern_lines::PatternLines;
use crate::fs::select::{Patterns, Verdict};

/// The files' name.
pub const IGNORE_FILE: &CStr = c".keepfastignore";
const BYTES_MAX: u64 = 64 << 10;
/// Those above each other that count: every entry below is compared with all of them.
const NESTED_MAX: usize = 8;

/// The files that say something of a directory.
#[derive(Debug)]
pub struct Ignores {
    above: Option<Arc<Self>>,
    patterns: Patterns,
    /// Bytes of the path of the file's directory, which is the root of what it says.
    folder_bytes: usize,
    nested: usize,
}

impl Ignores {
    /// Reads the file in a directory whose path has this many bytes without a slash at its end.
    pub fn read(handle: &OwnedFd, above: Option<&Arc<Self>>, folder_bytes: usize) -> Result<Self> {
        let nested = above.map_or(1, |above| above.nested + 1);
        if nested > NESTED_MAX {
            let why = format!("{NESTED_MAX} others of its name are above it, and no more count");
            return Err(EngineError::Unusable(why));
        }
        let content = dir::read_file(handle, IGNORE_FILE, BYTES_MAX)
            .map_err(|error| EngineError::Unusable(format!("it can't be read: {error}")))?;
        let patterns = Patterns::new(&PatternLines::of(&content)?.patterns)?;
        Ok(Self { above: above.cloned(), patterns, folder_bytes, nested })
    }

    /// What is most likely not as it was meant in the deepest file. Below another one there is no telling:
    /// it may take back what that leaves out.
    pub fn doubts(&self) -> &[String] {
        if self.above.is_none() { self.patterns.doubts() } else { &[] }
    }

    /// Whether an entry is left out, given its whole path and its name.
    pub fn leave_out(&self, path: &[u8], name: &[u8]) -> bool {
        let mut next = Some(self);
        while let Some(ignores) = next {
            let below = path.get(ignores.folder_bytes..).unwrap_or_default();
            if let Some(verdict) = ignores.patterns.verdict(below, name) {
                return verdict == Verdict::Matches;
            }
            next = ignores.above.as_deref();
        }
        false
    }
}
