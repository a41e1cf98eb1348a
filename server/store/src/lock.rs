//! The lock of the process that is the server of a SQLite database. It is the system's lock on an open file,
//! so it ends with its process, however that ends; that the file exists says nothing.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// Held as long as this value lives: no other process is the server meanwhile.
#[derive(Debug)]
pub struct ServerLock {
    state: PathBuf,
    path: PathBuf,
    _file: File,
}

impl ServerLock {
    /// Takes the lock of the database `state`, a file beside it; it is an error if another process has it.
    pub fn take(state: &Path) -> Result<Self> {
        let path = Self::file_of(state);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| StoreError::file(&path, "opened", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { state: state.to_owned(), path, _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { lock: path }),
            Err(TryLockError::Error(source)) => Err(StoreError::file(path, "locked", source)),
        }
    }

    /// Whether a process has the lock of the database `state`. Processes that look at the same time don't disturb each
    /// other; one that takes the lock at this instant may have to try again.
    pub fn is_held(state: &Path) -> Result<bool> {
        let path = Self::file_of(state);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::file(path, "opened", error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(StoreError::file(path, "locked", source)),
        }
    }

    fn file_of(state: &Path) -> PathBuf {
        let mut name = state.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// The database whose server this is.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The file that is locked.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
