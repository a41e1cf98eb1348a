//! What this machine keeps of repositories.

use keepfast_engine::run::Troubles;
use keepfast_format::node::Timestamp;
use serde::Serialize;

use crate::times::serialize_rfc3339;

/// What a cache has.
#[derive(Debug, Clone, Serialize)]
pub struct CacheReport {
    /// The directory.
    pub cache: String,
    /// Folders of this repository: indexes, and copies of objects.
    pub folders: Vec<FolderDocument>,
    /// What there is of other repositories.
    pub others: Vec<OtherCacheDocument>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// A folder in a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderDocument {
    /// Where it is.
    pub path: String,
    /// The size of what is in it.
    pub bytes: u64,
}

/// What a cache has of another repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherCacheDocument {
    /// Its id.
    pub repository: String,
    /// The folder.
    pub path: String,
    /// The size of what is in it.
    pub bytes: u64,
    /// When it was used last.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub used: Timestamp,
}

/// What is expected at a place from now on.
#[derive(Debug, Clone, Serialize)]
pub struct AcceptReport {
    /// The repository.
    pub repository: String,
    /// Where it is.
    pub location: String,
    /// The number of its config.
    pub config: u32,
    /// How many snapshots it has.
    pub snapshots: usize,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}
