//! The lock of the process that is the server of a SQLite database. It is the system's lock on an open file,
//! so it ends with its process, however that ends; that the file exists says nothing.

use std::fs::{File, TryLockError};
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
        let mut name = state.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| StoreError::file(&path, "opened", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { state: state.to_owned(), path, _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { lock: path }),
            Err(TryLockError::Error(source)) => Err(StoreError::file(path, "locked", source)),
        }
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
