//! A dump of a database in a snapshot, as engines read it.

use std::io::{self, Read};

use keepfast_engine::run::RunContext;
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::files::{FileOf, Files};

use crate::folder::SnapshotFolder;
use crate::open::Opened;

/// A folder of a snapshot whose files engines read.
pub struct DumpFiles<'d>(SnapshotFolder<'d>);

impl<'d> DumpFiles<'d> {
    /// The folder at this path.
    #[must_use]
    pub fn new(opened: &'d Opened, snapshot: &'d Snapshot, folder: &[u8], run: &'d RunContext) -> Self {
        Self(SnapshotFolder::new(opened, snapshot, folder, run))
    }
}

impl Files for DumpFiles<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let files = self.0.files().map_err(io::Error::other)?;
        let named = |path: Vec<u8>, bytes| match String::from_utf8(path) {
            Ok(path) => Ok(FileOf { path, bytes }),
            Err(error) => {
                let path = String::from_utf8_lossy(error.as_bytes()).into_owned();
                Err(io::Error::other(format!("{path} isn't text")))
            }
        };
        let mut files =
            files.into_iter().map(|file| named(file.path, file.size)).collect::<io::Result<Vec<_>>>()?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        self.0.open(path.as_bytes()).map_err(io::Error::other)
    }
}
