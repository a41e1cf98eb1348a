//! That one process is the server of a machine.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_operations::child::Children;
use keepfast_store::{ServerLock, Store, StoreError};
use tokio::time::sleep;

use crate::error::{Result, ServerError};
use crate::state;

/// How often, and how long each time, the lock is waited for.
const LOOKS_MAX: u32 = 10;
const LOOK: Duration = Duration::from_millis(50);

/// The lock of a machine's server. It is the system's lock on an open file, so it ends with its process, however that
/// ends.
#[derive(Debug)]
pub enum MachineLock {
    /// That of the database in a file, which also gives the right to change its tables.
    Sqlite(ServerLock),
    /// One beside a database that others use as well.
    Folder(#[allow(dead_code, reason = "it is held, not read")] File),
}

impl MachineLock {
    /// Takes the lock; an error if another process has it.
    pub async fn take(config: &Config, folder: &Path) -> Result<Self> {
        let mut tries = 0;
        loop {
            match Self::take_now(config, folder) {
                // A process that only looks whether there is a server has the lock for an instant.
                Err(ServerError::ServerRuns { .. } | ServerError::Store(StoreError::InUse { .. }))
                    if tries < LOOKS_MAX =>
                {
                    tries += 1;
                    sleep(LOOK).await;
                }
                taken => return taken,
            }
        }
    }

    fn take_now(config: &Config, folder: &Path) -> Result<Self> {
        if let Some(file) = state::file(config) {
            return Ok(Self::Sqlite(ServerLock::take(&file)?));
        }
        let path = beside(folder);
        let failed = |source| ServerError::StateFile { file: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self::Folder(file)),
            Err(TryLockError::WouldBlock) => Err(ServerError::ServerRuns { lock: path }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether a process has the lock: whether a server of this machine runs with the state.
    ///
    /// # Errors
    /// The lock's file is there and can't be looked at.
    pub fn is_held(config: &Config) -> Result<bool> {
        if let Some(file) = state::file(config) {
            return Ok(ServerLock::is_held(&file)?);
        }
        let path = beside(&state::folder(config));
        let failed = |source| ServerError::StateFile { file: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Opens the state as the server.
    pub async fn open(&self, config: &Config, children: &Children) -> Result<Store> {
        match self {
            Self::Sqlite(lock) => Ok(Store::open_sqlite(lock).await?),
            Self::Folder(_) => state::open(config, children).await,
        }
    }
}

/// The lock of a machine whose state is in a database that others use as well.
fn beside(folder: &Path) -> PathBuf {
    folder.join(state::SERVER_LOCK)
}
