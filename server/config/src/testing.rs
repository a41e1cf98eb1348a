//! What tests of this crate share: facts of a machine that has zones and nothing else, and a single file.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Facts, Files};

pub(crate) struct NoFacts;

impl Facts for NoFacts {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn is_zone(&self, name: &str) -> bool {
        ["UTC", "Europe/Paris"].contains(&name)
    }

    fn zones(&self) -> Vec<String> {
        vec!["UTC".to_owned(), "Europe/Paris".to_owned()]
    }
}

/// One file, whatever it is called.
pub(crate) struct OneFile(pub(crate) String);

impl Files for OneFile {
    fn read(&self, _: &Path, _: usize) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}
