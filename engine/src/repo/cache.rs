//! The folders of what this machine keeps of a repository: the local index, and copies of small
//! objects. Several processes may work with one repository at a time; each takes a folder of its
//! own for its index, so that none waits for another.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use keepfast_format::ids::RepositoryId;
use rustix::fs::FlockOperation;

use crate::error::{EngineError, Result};

/// How many processes can share a cache directory before one of them has to give up.
const SLOTS: u32 = 64;

/// A folder that this process alone uses, for as long as the value lives.
pub(super) struct CacheSlot {
    pub folder: PathBuf,
    _lock: File,
}

impl CacheSlot {
    /// Takes the first free folder for this repository below `cache`.
    pub fn take(cache: &Path, repository: RepositoryId) -> Result<Self> {
        let parent = repository_folder(cache, repository);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&parent)
            .map_err(|error| unusable(&parent, &error.to_string()))?;
        for slot in 0..SLOTS {
            let path = parent.join(format!("index-{slot}.lock"));
            let lock = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|error| unusable(&path, &error.to_string()))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self { folder: parent.join(format!("index-{slot}")), _lock: lock });
            }
        }
        Err(unusable(&parent, "too many processes use it at the same time"))
    }

    /// Empties the folder.
    pub fn wipe(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unusable(&self.folder, &error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Remembers that the next run shall start with an empty folder.
    pub fn mark_damaged(&self) {
        // If even this can't be written, the next run finds the damage as this one did.
        let _ = File::create(self.folder.join(DAMAGED));
    }

    /// Whether an earlier run found the folder damaged.
    pub fn is_damaged(&self) -> bool {
        self.folder.join(DAMAGED).exists()
    }
}

const DAMAGED: &str = "damaged";

/// The folder of copies of small objects, beside those of the index.
const COPIES: &str = "objects";

fn repository_folder(cache: &Path, repository: RepositoryId) -> PathBuf {
    cache.join(repository.to_string())
}

/// Where copies of a repository's small objects are.
pub(super) fn copies_folder(cache: &Path, repository: RepositoryId) -> PathBuf {
    repository_folder(cache, repository).join(COPIES)
}

fn unusable(path: &Path, why: &str) -> EngineError {
    EngineError::Cache { path: path.to_owned(), why: why.to_owned() }
}

/// Removes the index of a repository, as far as no process is using it, and copies of objects. Returns
/// the bytes freed.
pub fn clear_cache(cache: &Path, repository: RepositoryId) -> Result<u64> {
    let mut freed = 0;
    for (folder, bytes) in describe_cache(cache, repository) {
        let lock = folder.with_extension("lock");
        // Copies of objects are of use one by one; whoever misses one reads it from the store.
        let free = folder.ends_with(COPIES)
            || File::open(&lock)
                .is_ok_and(|lock| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok());
        if free {
            fs::remove_dir_all(&folder).map_err(|error| unusable(&folder, &error.to_string()))?;
            freed += bytes;
        }
    }
    Ok(freed)
}

/// The folders of a repository: indexes, copies of objects, with their sizes in bytes.
#[must_use]
pub fn describe_cache(cache: &Path, repository: RepositoryId) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = fs::read_dir(repository_folder(cache, repository)) else { return Vec::new() };
    let mut folders: Vec<(PathBuf, u64)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .map(|folder| {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let bytes = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
            (folder, bytes)
        })
        .collect();
    folders.sort_unstable();
    folders
}
