//! Where a dump is read from when it is restored.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files of a dump. They can be read from several threads at once.
pub trait Files: Sync {
    /// All files, by their paths in the dump, in the order of their bytes.
    fn list(&self) -> io::Result<Vec<FileOf>>;

    /// Opens a file. Reading it fails if any byte isn't as it was backed up.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// A file of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOf {
    /// Its path in the dump.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A dump in a folder of this machine.
#[derive(Debug)]
pub struct FolderFiles {
    root: PathBuf,
}

impl FolderFiles {
    /// What lies in this folder.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn collect(&self, folder: &Path, into: &mut Vec<FileOf>) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            if kind.is_dir() {
                self.collect(&path, into)?;
            } else if kind.is_file() {
                let below = path.strip_prefix(&self.root).map_err(io::Error::other)?;
                let text = below
                    .to_str()
                    .ok_or_else(|| io::Error::other(format!("{} isn't text", below.display())))?;
                into.push(FileOf { path: text.to_owned(), bytes: entry.metadata()?.len() });
            }
        }
        Ok(())
    }
}

impl Files for FolderFiles {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let mut files = Vec::new();
        self.collect(&self.root, &mut files)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(fs::File::open(self.root.join(path))?))
    }
}
