//! That one process is the server of a machine.

use std::fs::{File, TryLockError};
use std::path::Path;

use keepfast_config::config::Config;
use keepfast_operations::child::Children;
use keepfast_store::{ServerLock, Store};

use crate::error::{Result, ServerError};
use crate::state;

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
    pub fn take(config: &Config, folder: &Path) -> Result<Self> {
        let state = &config.server.value.state;
        if state.postgres.is_none() {
            let file = state.sqlite.as_ref().map_or_else(|| folder.join("state.db"), |file| file.0.clone());
            return Ok(Self::Sqlite(ServerLock::take(&file)?));
        }
        let path = folder.join(state::SERVER_LOCK);
        let failed = |source| ServerError::StateFile { file: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self::Folder(file)),
            Err(TryLockError::WouldBlock) => Err(ServerError::ServerRuns { lock: path }),
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
