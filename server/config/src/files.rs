//! What is asked of the machine: files, variables, and facts about what a file names. All of it is handed in.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Where files of configuration are read from.
pub trait Files {
    /// All bytes of a file. One that is larger than `bytes_max` may be cut behind `bytes_max + 1` bytes.
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>>;

    /// The paths of the files and folders in a folder, each with the folder in front, in any order.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
}

/// Facts that a check of the configuration can use. Each one has an answer for a caller that doesn't know.
pub trait Facts {
    /// The value of a variable of the environment.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Whether users other than its owner and root can read this file. Nothing where that isn't known, or the file isn't
    /// there.
    fn is_readable_by_others(&self, path: &Path) -> Option<bool> {
        let _ = path;
        None
    }

    /// Whether each plan is to have a drill. Where it isn't, no warning asks for one.
    fn has_drills(&self) -> bool {
        true
    }

    /// Whether a pattern of what to leave out can be used, and if not, why.
    fn check_pattern(&self, pattern: &str) -> Result<(), String> {
        let _ = pattern;
        Ok(())
    }

    /// Whether there is a time zone of this IANA name.
    fn is_zone(&self, name: &str) -> bool {
        jiff::tz::TimeZone::get(name).is_ok()
    }

    /// Names of time zones, to suggest one.
    fn zones(&self) -> Vec<String> {
        jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect()
    }
}

/// What bounds the work, whatever the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in one file.
    pub file_bytes: usize,
    /// Files in all.
    pub files: usize,
    /// Tables and lists inside of one another.
    pub levels: usize,
    /// Templates that inherit one another.
    pub templates_deep: usize,
    /// Bytes of one string after substitution.
    pub text_bytes: usize,
    /// Diagnostics that are kept; the others are counted.
    pub diagnostics: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1 << 20,
            files: 256,
            levels: 16,
            templates_deep: 4,
            text_bytes: 64 << 10,
            diagnostics: 200,
        }
    }
}
