//! Files named `.keepfastignore`: what the directories that they are in say of themselves is left out.
//!
//! Their lines are patterns as everywhere else, with the file's directory in the root's place: `/build` is
//! the entry of that name beside the file, `build` and `a/build` are anywhere below. The file that is
//! deepest decides among those that have a pattern which fits; what a user excludes isn't brought back.
//!
//! Anyone who can write into a directory can put one there, so they are bounded in size and number. One
//! that can't be used leaves nothing out.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;

use crate::error::{EngineError, Result};
use crate::fs::dir;
use crate::fs::pattern_lines::PatternLines;
use crate::fs::select::{Patterns, Reached, Verdict};

/// The files' name.
pub const IGNORE_FILE: &CStr = c".keepfastignore";
const BYTES_MAX: u64 = 16 << 10;
/// A file counts for this many directories in each other: what patterns have matched is kept for each that
/// is open, and directories are in each other as deep as anyone likes.
const DEPTH_MAX: u32 = 128;
/// Those above each other that count: every entry below is compared with all of them.
const NESTED_MAX: usize = 8;

/// The files that say something of a directory, the deepest last.
#[derive(Debug, Clone, Default)]
pub struct Ignores(Vec<IgnoreFile>);

#[derive(Debug, Clone)]
struct IgnoreFile {
    patterns: Arc<Patterns>,
    /// What the path from the file's directory to this one has matched.
    reached: Reached,
    /// Bytes of the path of the file's directory, which is the root of what it says.
    folder_bytes: usize,
    /// How many directories below the file's own this one is.
    depth: u32,
}

impl Ignores {
    /// Whether no file says anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the same files say of a directory below.
    pub fn below(&self, name: &[u8]) -> Self {
        let below = |file: &IgnoreFile| IgnoreFile {
            reached: file.patterns.below(&file.reached, name),
            depth: file.depth + 1,
            ..file.clone()
        };
        Self(self.0.iter().filter(|file| file.depth < DEPTH_MAX).map(below).collect())
    }

    /// Reads the file in a directory whose path has this many bytes without a slash at its end. Returns what
    /// is most likely not as it was meant in it; below another one there is no telling, as it may take back
    /// what that leaves out.
    pub fn add(&mut self, handle: &OwnedFd, folder_bytes: usize) -> Result<Vec<String>> {
        if self.0.len() == NESTED_MAX {
            let why = format!("{NESTED_MAX} others of its name are above it, and no more count");
            return Err(EngineError::Unusable(why));
        }
        let (content, owner) = dir::read_file(handle, IGNORE_FILE, BYTES_MAX).map_err(|error| {
            EngineError::Unusable(match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => "it is a symbolic link, which isn't followed".to_owned(),
                _ if error.kind() == io::ErrorKind::FileTooLarge => {
                    format!("it is larger than {} KiB", BYTES_MAX >> 10)
                }
                _ => format!("it can't be read: {error}"),
            })
        })?;
        // In a directory that many may write into, what someone puts there says nothing of others' files.
        let folder =
            rustix::fs::fstat(handle).map_err(EngineError::file(IGNORE_FILE.to_string_lossy().as_ref()))?;
        if ![0, folder.st_uid, rustix::process::geteuid().as_raw()].contains(&owner) {
            let why = format!("it belongs to user {owner}, and the directory doesn't");
            return Err(EngineError::Unusable(why));
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
