//! The local caches of simulated machines: kept, emptied, or set back to an earlier time.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::SimProcess;

/// A machine's cache, and perhaps an old copy of it.
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache with this folder, which may be there already.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the engine has it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("now")
    }

    fn copy(&self) -> PathBuf {
        self.folder.join("copy")
    }

    /// Before a run: keeps it, mostly; or empties it, or puts the copy in its place.
    pub fn disturb(&self, process: &SimProcess) {
        match process.below(6) {
            0 => {
                process.note(format_args!("its cache is empty"));
                empty(&self.path());
            }
            1 | 2 if self.copy().exists() => {
                process.note(format_args!("its cache is an old one"));
                empty(&self.path());
                copy(&self.copy(), &self.path());
            }
            _ => {}
        }
    }

    /// After a run: copies it, now and then.
    pub fn keep_copy(&self, process: &SimProcess) {
        if process.below(3) == 0 {
            empty(&self.copy());
            copy(&self.path(), &self.copy());
        }
    }
}

fn empty(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        panic!("{}: {error}", folder.display());
    }
}

/// Copies a folder that no process uses.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be made");
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("the file can be copied");
        }
    }
}
