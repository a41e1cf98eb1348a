//! What became of snapshots that were changed.

use keepfast_engine::edit::Removal;
use keepfast_engine::run::Troubles;
use serde::Serialize;

use super::snapshot::SnapshotDocument;
use super::traffic::TrafficDocument;

/// What became of snapshots that were to have other labels.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct TagReport {
    /// Each of them.
    pub snapshots: Vec<RelabelledSnapshot>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// A snapshot that was to have other labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RelabelledSnapshot {
    /// The snapshot.
    pub id: String,
    /// Another one is in its place; else it had these labels already.
    pub changed: bool,
    /// It was forgotten.
    pub forgotten: bool,
    /// The one in its place.
    pub snapshot: Option<SnapshotDocument>,
}

/// What became of snapshots from which something was to be left out.
#[derive(Debug, Clone, Serialize)]
pub struct RewriteReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Snapshots in whose place others are were forgotten.
    pub forget: bool,
    /// Each of them.
    pub snapshots: Vec<RewrittenSnapshot>,
    /// What was asked of the store, if that is counted.
    pub traffic: Option<TrafficDocument>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// A snapshot from which something was to be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewrittenSnapshot {
    /// The snapshot.
    pub id: String,
    /// Something in it matches.
    pub changed: bool,
    /// What matches, with all that is below it.
    pub removed: RemovedDocument,
    /// What matches and stays, because it was backed up by name or leads to what was.
    pub named: Vec<String>,
    /// It was forgotten.
    pub forgotten: bool,
    /// The one in its place.
    pub snapshot: Option<SnapshotDocument>,
}

/// What is left out of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RemovedDocument {
    /// Files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, fifos, sockets, devices.
    pub others: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

impl From<&Removal> for RemovedDocument {
    fn from(removal: &Removal) -> Self {
        Self { files: removal.files, dirs: removal.dirs, others: removal.others, bytes: removal.bytes }
    }
}
