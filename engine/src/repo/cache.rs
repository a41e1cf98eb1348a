//! The folders of what this machine keeps of a repository: the local index, and copies of small
//! objects. Several processes may work with one repository at a time; each takes a folder of its
//! own for its index, so that none waits for another.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use keepfast_format::ids::RepositoryId;
use keepfast_format::node::Timestamp;
use rustix::fs::FlockOperation;

use super::private;
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
        private::make(cache).map_err(refused(cache))?;
        private::make_hidden(&parent).map_err(refused(&parent))?;
        for slot in 0..SLOTS {
            let path = parent.join(format!("index-{slot}.lock"));
            let lock = private::open_lock(&path).map_err(|error| unusable(&path, &error.to_string()))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let slot = Self { folder: parent.join(format!("index-{slot}")), _lock: lock };
                slot.make_folder()?;
                return Ok(slot);
            }
        }
        Err(unusable(&parent, "too many processes use it at the same time"))
    }

    /// Makes the folder for this user alone. What someone else could have put there goes: that costs time.
    fn make_folder(&self) -> Result<()> {
        if private::make_hidden(&self.folder).is_ok() { Ok(()) } else { self.wipe() }
    }

    /// Empties the folder.
    pub fn wipe(&self) -> Result<()> {
        // A link in its place goes, and nothing that it leads to.
        let removed = match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(&self.folder),
            removed => removed,
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => private::make_hidden(&self.folder),
        }
        .map_err(|error| unusable(&self.folder, &error.to_string()))
    }

    /// Remembers that the next run shall start with an empty folder.
    pub fn mark_damaged(&self) {
        // If even this can't be written, the next run finds the damage as this one did.
        let _ = private::open_lock(&self.folder.join(DAMAGED));
    }

    /// Whether an earlier run found the folder damaged.
    pub fn is_damaged(&self) -> bool {
        self.folder.join(DAMAGED).exists()
    }
}

impl Drop for CacheSlot {
    /// The index is closed by now, and RocksDB gives its files the modes that all programs' files get.
    fn drop(&mut self) {
        private::hide_files(&self.folder);
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

/// A folder that the system or its state doesn't let be used.
fn refused(path: &Path) -> impl FnOnce(std::io::Error) -> EngineError {
    move |error| EngineError::UnsafeCache { path: path.to_owned(), why: error.to_string() }
}

/// Fails if something is in a cache's place that this user alone can't change, or that is a link.
pub fn check_cache(cache: &Path) -> Result<()> {
    match private::check(cache) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(cache)(error)),
        _ => Ok(()),
    }
}

/// Removes the index of a repository, as far as no process is using it, and copies of objects. Returns
/// the bytes freed.
pub fn clear_cache(cache: &Path, repository: RepositoryId) -> Result<u64> {
    check_cache(cache)?;
    check_cache(&repository_folder(cache, repository))?;
    let mut freed = 0;
    for (folder, bytes) in describe_cache(cache, repository) {
        // Copies of objects are of use one by one; whoever misses one reads it from the store.
        let free = folder.ends_with(COPIES)
            || private::open_lock(&folder.with_extension("lock"))
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
    let mut folders: Vec<(PathBuf, u64)> = folders_in(&repository_folder(cache, repository))
        .map(|folder| {
            let bytes = bytes_in(&folder);
            (folder, bytes)
        })
        .collect();
    folders.sort_unstable();
    folders
}

/// What a cache has of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRepository {
    /// Which.
    pub repository: RepositoryId,
    /// Where.
    pub folder: PathBuf,
    /// How much.
    pub bytes: u64,
    /// When something was last made there.
    pub used: Timestamp,
}

/// What a cache has of other repositories than this one: nothing removes it when those are gone.
#[must_use]
pub fn other_caches(cache: &Path, repository: RepositoryId) -> Vec<CachedRepository> {
    let mut others: Vec<CachedRepository> = folders_in(cache)
        .filter_map(|folder| {
            let other = RepositoryId::from_hex(folder.file_name()?.to_str()?)?;
            let inner: Vec<PathBuf> = folders_in(&folder).collect();
            let times = inner.iter().chain([&folder]).filter_map(|folder| folder.symlink_metadata().ok());
            let seconds = times.map(|found| found.mtime()).max()?;
            Some(CachedRepository {
                repository: other,
                bytes: inner.iter().map(|folder| bytes_in(folder)).sum(),
                used: Timestamp { seconds, nanos: 0 },
                folder,
            })
        })
        .filter(|other| other.repository != repository)
        .collect();
    others.sort_unstable_by_key(|other| (other.used, other.repository));
    others
}

/// The folders in a folder, without links to some.
fn folders_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
