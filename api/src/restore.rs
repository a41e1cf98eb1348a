//! Restores onto the machine of the server.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When a file that is there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// Always.
    Always,
    /// If its size or modification time differs.
    IfChanged,
    /// Never.
    Never,
}

/// What is to be restored, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The repository.
    pub repository: String,
    /// The snapshot.
    pub snapshot: String,
    /// Only these paths, as documents have them, and what is below them; everything if there is none.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The folder to restore into, on the machine of the server. `/` is the original place.
    pub target: String,
    /// What is done with files that are there; without this, the folder has to be empty or missing.
    #[serde(default)]
    pub overwrite: Option<Overwrite>,
    /// Whether what is in restored folders and not in the snapshot is removed.
    #[serde(default)]
    pub delete: bool,
    /// Whether everything is read back afterwards and compared with the snapshot.
    #[serde(default)]
    pub verify: bool,
}

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePreview {
    /// Files that would be written.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Links, pipes, sockets, devices.
    pub others: u64,
    /// Bytes that would be written.
    pub bytes: u64,
    /// Files that are there and would be left as they are.
    pub unchanged: u64,
    /// Files that are there and would be replaced.
    pub conflicts: u64,
    /// Entries that would be removed.
    pub deleted: u64,
    /// Why it can't be done like this; null if it can.
    pub refused: Option<String>,
}

/// A folder below which the server may restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlace {
    /// The folder.
    pub path: String,
}

impl crate::list::Row for RestorePlace {
    const COLUMNS: &'static [&'static str] = &["path"];
}
