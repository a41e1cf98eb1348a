//! The room in file systems of repositories, for answers that don't wait for one that is away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepfast_api::storage::DiskSpace;
use keepfast_server::space;

/// Longer than this, no answer waits for a file system.
const WAITS: Duration = Duration::from_secs(1);

/// The file systems of repositories.
#[derive(Debug, Default)]
pub struct Disks {
    /// Held while one is asked: a file system that never answers costs one thread, and no more.
    asked: Mutex<BTreeMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl Disks {
    /// The file system that a folder is in; nothing if it can't be said, or not soon.
    pub async fn space(&self, folder: &Path) -> Option<DiskSpace> {
        tokio::time::timeout(WAITS, self.asked(folder)).await.ok()?
    }

    async fn asked(&self, folder: &Path) -> Option<DiskSpace> {
        let turn = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(asked.entry(folder.to_owned()).or_default())
        };
        let turn = turn.lock_owned().await;
        let folder = folder.to_owned();
        let looking = tokio::task::spawn_blocking(move || {
            let found = space::of_folder(&folder);
            drop(turn);
            found
        });
        let found = looking.await.ok()??;
        Some(DiskSpace { total_bytes: found.total_bytes, free_bytes: found.free_bytes })
    }
}
