//! Repositories: what is stored, and what was checked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list::Row;
use crate::plan::Setting;
use crate::run::Verdict;

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Repository {
    /// Its name.
    pub repository: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Where it is.
    pub url: String,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// Plans that back up to it.
    pub plans: Vec<String>,
    /// Snapshots that the catalogue knows; null while it knows nothing of this repository.
    pub snapshots: Option<u64>,
    /// Bytes that are stored, as the newest check or prune has found them; null before the first.
    pub stored_bytes: Option<u64>,
    /// When that was.
    pub measured: Option<Timestamp>,
    /// The quota, in bytes.
    pub quota_bytes: Option<u64>,
    /// Its newest check that ended.
    pub checked: Option<UpkeepDone>,
    /// Everything that is there was read since; null before that is so.
    pub all_read_since: Option<Timestamp>,
    /// Its newest prune that ended.
    pub pruned: Option<UpkeepDone>,
}

impl Row for Repository {
    const COLUMNS: &'static [&'static str] = &[
        "repository",
        "description",
        "url",
        "project",
        "plans",
        "snapshots",
        "stored_bytes",
        "measured",
        "quota_bytes",
        "checked.verdict",
        "checked.at",
        "all_read_since",
        "pruned.verdict",
        "pruned.at",
    ];
}

/// What came of something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpkeepDone {
    /// The run.
    pub run: String,
    /// What came of it.
    pub verdict: Verdict,
    /// When it ended.
    pub at: Timestamp,
}

/// A repository with all that it is defined by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryDetail {
    /// The repository.
    #[serde(flatten)]
    pub repository: Repository,
    /// Where it is defined.
    pub origin: String,
    /// All that it is defined by, with the origin of each value.
    pub settings: Vec<Setting>,
}

/// What was stored at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoragePoint {
    /// The run that found it.
    pub run: String,
    /// When.
    pub at: Timestamp,
    /// Bytes.
    pub stored_bytes: u64,
}

impl Row for StoragePoint {
    const COLUMNS: &'static [&'static str] = &["run", "at", "stored_bytes"];
}
