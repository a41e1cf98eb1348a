//! Definitions that are written through the API: the files in `managed.d` beside the first file of the definitions. No other
//! file is ever written.

mod check;
mod folder;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use check::{Checked, check};
pub use folder::Folder;

/// Bytes of a managed file, at most.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Letters of a name, at most.
const NAME_LETTERS_MAX: usize = 64;
/// What a file's name ends with.
const END: &str = ".toml";

/// The name of a managed file: small letters, digits and `-`, so that it is one file in one folder on any file system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManagedName(String);

impl ManagedName {
    /// A name; nothing if it is none.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=NAME_LETTERS_MAX).contains(&name.len()) && name.bytes().all(is_letter);
        is_name.then(|| Self(name.to_owned()))
    }

    /// It.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its file.
    fn file(&self) -> String {
        format!("{}{END}", self.0)
    }
}

impl fmt::Display for ManagedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What files are to say; nothing for those that are to be removed.
pub type Texts = BTreeMap<ManagedName, Option<String>>;

/// Why a managed file can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the file {} can't be {doing}", .file.display())]
pub struct ManagedError {
    /// Which.
    pub file: PathBuf,
    /// What it can't be: `read`, `written`, `removed`.
    pub doing: &'static str,
    /// Why.
    pub source: std::io::Error,
}

#[cfg(test)]
mod tests {
    use super::ManagedName;

    #[test]
    fn a_name_is_one_file_of_the_folder() {
        assert!(ManagedName::new("shop-2").is_some());
        let long = "a".repeat(65);
        for wrong in ["", ".", "..", "a/b", "../x", "A", "a.b", "a b", "\u{e9}", "a\0", long.as_str(), "a\n"]
        {
            assert!(ManagedName::new(wrong).is_none(), "{wrong:?}");
        }
    }
}
