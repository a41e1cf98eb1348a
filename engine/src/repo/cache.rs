//! The folders of what this machine keeps of a repository: the local index, and copies of small
//! objects. Several processes may work with one repository at a time; each takes a folder of its
//! own for its index, so that none waits for another.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use keepfast_format::ids::RepositoryId;
use keepfast_format::node::Timestamp;
use rustix::fs::FlockOperation;

use super::{made_by, private};
use crate::error::{EngineError, Result};

/// How many processes can share a cache directory before one of them has to give up.
const SLOTS: u32 = 64;

/// The least that must be free on the cache's file system: an index begins with buffers of this size.
const FREE_BYTES_MIN: u64 = 32 << 20;

/// Where an index is.
pub(super) enum Slot {
    /// In a folder of the cache.
    Disk(CacheSlot),
    /// In memory, for as long as it is open.
    Memory,
}

impl Slot {
    /// Whether it is in memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory)
    }

    /// Its folder; in memory nothing else is.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Disk(slot) => slot.folder.clone(),
            Self::Memory => PathBuf::from("/index in memory"),
        }
    }

    /// Empties it.
    pub fn wipe(&self) -> Result<()> {
        match self {
            Self::Disk(slot) => slot.wipe(),
            // Each that is opened begins empty.
            Self::Memory => Ok(()),
        }
    }

    /// An empty folder in it.
    pub fn empty_folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.folder().join(name);
        if self.is_in_memory() {
            return Ok(folder);
        }
        // A run that was killed may have left something there.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => private::make(&folder)?,
        }
        Ok(folder)
    }

    /// Remembers that the next run shall start with an empty folder.
    pub fn mark_damaged(&self) {
        if let Self::Disk(slot) = self {
            slot.mark_damaged();
        }
    }

    /// Whether an earlier run found the folder damaged.
    pub fn is_damaged(&self) -> bool {
        match self {
            Self::Disk(slot) => slot.folder.join(DAMAGED).exists(),
            Self::Memory => false,
        }
    }
}

/// A folder that this process alone uses, for as long as the value lives.
pub(super) struct CacheSlot {
    folder: PathBuf,
    _lock: File,
}

impl CacheSlot {
    /// Takes the first free folder for this repository below `cache`.
    pub fn take(cache: &Path, repository: RepositoryId) -> Result<Self> {
        let parent = repository_folder(cache, repository);
        private::make(cache).map_err(refused(cache))?;
        private::make_hidden(&parent).map_err(refused(&parent))?;
        let free = rustix::fs::statvfs(&parent).map_or(u64::MAX, |found| found.f_bavail * found.f_frsize);
        if free < FREE_BYTES_MIN {
            return Err(unusable(&parent, "its file system is full, or nearly"));
        }
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

    /// Makes the folder for this user alone. What another user could have put there is removed, and what another
    /// RocksDB has made: that costs time.
    fn make_folder(&self) -> Result<()> {
        let is_usable =
            private::make_hidden(&self.folder).is_ok() && made_by::is_of_this_version(&self.folder);
        if is_usable { Ok(()) } else { self.wipe() }
    }

    /// Empties the folder.
    fn wipe(&self) -> Result<()> {
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

    fn mark_damaged(&self) {
        // If even this can't be written, the next run finds the damage as this one did.
        let _ = private::open_lock(&self.folder.join(DAMAGED));
    }
}

impl Drop for CacheSlot {
    /// The index is closed by now, and RocksDB gives its files the modes that all programs' files get.
    fn drop(&mut self) {
        private::hide_files(&self.folder);
    }
}

const DAMAGED: &str = "damaged";

/// The index that a process takes if no other one has it.
const FIRST_INDEX: &str = "index-0";

/// The folder of copies of small objects, next to those of the index.
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

/// A folder that the system doesn't let be used, or that isn't safe to use.
fn refused(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    move |error| match error.raw_os_error() {
        Some(_) => unusable(path, &error.to_string()),
        None => EngineError::UnsafeCache { path: path.to_owned(), why: error.to_string() },
    }
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
        if remove_unused(&folder)? {
            freed += bytes;
        }
    }
    Ok(freed)
}

/// Removes a folder of a repository unless a process uses it as its index. Returns whether it did.
fn remove_unused(folder: &Path) -> Result<bool> {
    // Copies of objects are of use one by one; a program that misses one reads it from the store.
    let lock = if folder.ends_with(COPIES) {
        None
    } else {
        let Ok(lock) = private::open_lock(&folder.with_extension("lock")) else { return Ok(false) };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        Some(lock)
    };
    let removed = fs::remove_dir_all(folder).map_err(|error| unusable(folder, &error.to_string()));
    drop(lock);
    removed.map(|()| true)
}

/// Removes what is kept of other repositories, and indexes of this one that only several processes at a time
/// need, until all together is no larger than `bytes_max`: first what was not used for longest. Returns the
/// bytes freed.
pub fn trim_cache(cache: &Path, repository: RepositoryId, bytes_max: u64) -> Result<u64> {
    check_cache(cache)?;
    let own = repository_folder(cache, repository);
    let is_repository = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.and_then(RepositoryId::from_hex).is_some()
    };
    let (mut total, mut found) = (0, Vec::new());
    for folder in folders_in(cache).filter(is_repository).flat_map(|folder| folders_in(&folder)) {
        let bytes = bytes_in(&folder);
        total += bytes;
        let stays = folder.starts_with(&own) && (folder.ends_with(COPIES) || folder.ends_with(FIRST_INDEX));
        if !stays && let Ok(metadata) = folder.symlink_metadata() {
            found.push((metadata.mtime(), folder, bytes));
        }
    }
    found.sort_unstable();
    let mut freed = 0;
    for (_, folder, bytes) in found {
        if total <= bytes_max {
            break;
        }
        if check_cache(&folder).is_ok() && remove_unused(&folder)? {
            total -= bytes;
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
        .filter(|other| other.repository != repository && other.bytes > 0)
        .collect();
    others.sort_unstable_by_key(|other| (other.used, other.repository));
    others
}

/// The folders in a folder, without links to some.
fn folders_in(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
