//! Ignore files, named `.keepfastignore`: each leaves entries of its own directory out, and what is below it.
//!
//! Their lines are the same patterns as everywhere else, but the file's directory takes the root's place:
//! `/build` is the entry of that name next to the file, `build` and `a/build` are anywhere below. If
//! patterns of several files match an entry, the deepest file decides. It can't bring back what a user
//! excludes.
//!
//! A program that can write into a directory can put such a file there, so their size and number are limited.
//! A file that can't be used leaves nothing out.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{EngineError, PatternFileFlaw, Result};
use crate::fs::dir;
use crate::fs::pattern_lines::PatternLines;
use crate::fs::select::{Patterns, Reached, Verdict};

/// The files' name.
pub const IGNORE_FILE: &CStr = c".keepfastignore";
const BYTES_MAX: u64 = 16 << 10;
/// A file counts down to this many levels below its directory. What its patterns have matched is kept for
/// each open directory, and nothing else limits how deep directories are nested.
const DEPTH_MAX: u32 = 128;
/// At most this many files count in nested directories: every entry is compared with all files above it.
const NESTED_MAX: usize = 8;

/// The ignore files that count for a directory, the deepest last.
#[derive(Debug, Clone, Default)]
pub struct Ignores(Vec<IgnoreFile>);

#[derive(Debug, Clone)]
struct IgnoreFile {
    patterns: Arc<Patterns>,
    /// What the path from the file's directory to this one has matched.
    reached: Reached,
    /// The length of its directory's path.
    folder_bytes: usize,
    /// How many levels this directory is below the file's own.
    depth: u32,
}

impl Ignores {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same files, for a directory in this one.
    pub fn below(&self, name: &[u8]) -> Self {
        let below = |file: &IgnoreFile| IgnoreFile {
            reached: file.patterns.below(&file.reached, name),
            depth: file.depth + 1,
            ..file.clone()
        };
        Self(self.0.iter().filter(|file| file.depth < DEPTH_MAX).map(below).collect())
    }

    /// Reads the file in a directory whose path, without a slash at its end, has this many bytes. Returns
    /// doubts about its patterns; none if there is another file above, because this one may take back what
    /// that one leaves out.
    pub fn add(&mut self, handle: &OwnedFd, folder_bytes: usize) -> Result<Vec<String>> {
        if self.0.len() == NESTED_MAX {
            return Err(EngineError::PatternFile(PatternFileFlaw::TooManyAbove(NESTED_MAX)));
        }
        let (content, owner) = dir::read_file(handle, IGNORE_FILE, BYTES_MAX).map_err(|error| {
            EngineError::PatternFile(match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => PatternFileFlaw::Link,
                _ if error.kind() == io::ErrorKind::FileTooLarge => {
                    PatternFileFlaw::TooLarge(BYTES_MAX >> 10)
                }
                _ => PatternFileFlaw::Unreadable(error.to_string()),
            })
        })?;
        // In a directory that many users may write into, the file of one user must not leave out the files of
        // others.
        let folder =
            rustix::fs::fstat(handle).map_err(EngineError::file(IGNORE_FILE.to_string_lossy().as_ref()))?;
        if ![0, folder.st_uid, rustix::process::geteuid().as_raw()].contains(&owner) {
            return Err(EngineError::PatternFile(PatternFileFlaw::OtherOwner(owner)));
        }
        let patterns = Patterns::new(&PatternLines::of(&content)?.patterns)?;
        let doubts = if self.is_empty() { patterns.doubts().to_vec() } else { Vec::new() };
        let reached = patterns.top();
        self.0.push(IgnoreFile { patterns: Arc::new(patterns), reached, folder_bytes, depth: 0 });
        Ok(doubts)
    }

    /// Whether an entry of the directory is left out.
    pub fn leave_out(&self, name: &[u8], path: impl Fn() -> Vec<u8>) -> bool {
        let deepest_first = self.0.iter().rev();
        let mut verdicts = deepest_first.filter_map(|file| {
            let below = || path().get(file.folder_bytes..).unwrap_or_default().to_vec();
            file.patterns.verdict_in(&file.reached, name, below)
        });
        verdicts.next() == Some(Verdict::Matches)
    }
}
