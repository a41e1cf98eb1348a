//! Snapshots as programs see them.

use keepfast_engine::archive::Changes;
use keepfast_engine::run::Troubles;
use keepfast_format::node::Timestamp;
use keepfast_format::snapshot::{Snapshot, Statistics};
use serde::Serialize;

use crate::times::serialize_rfc3339;

/// A list of snapshots.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct SnapshotsReport {
    /// The snapshots, oldest first.
    pub snapshots: Vec<ListedSnapshot>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// A snapshot in a list of those that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedSnapshot {
    /// The snapshot. Its writer is the one that its history is counted under.
    #[serde(flatten)]
    pub snapshot: SnapshotDocument,
    /// No policy and no one who forgets removes it.
    pub protected: bool,
    /// Its time is later than the present, so some clock is wrong.
    #[serde(skip)]
    pub is_ahead: bool,
}

/// A snapshot. What isn't UTF-8 of a path is shown as far as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotDocument {
    /// Its id.
    pub id: String,
    /// When the run began.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub time: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub end: Timestamp,
    /// The machine.
    pub host: String,
    /// The user that ran it.
    pub user: String,
    /// What was backed up: absolute paths, or names of streams.
    pub paths: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// The snapshot that it was compared with.
    pub parent: Option<String>,
    /// The root tree.
    pub tree: String,
    /// The writer.
    pub writer: String,
    /// The program's name and version.
    pub program: String,
    /// What the run counted.
    pub summary: StatisticsDocument,
}

/// What a run counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StatisticsDocument {
    /// Files that the parent snapshot doesn't have.
    pub files_new: u64,
    /// Files that differ from the parent snapshot's.
    pub files_changed: u64,
    /// Files taken over from the parent snapshot.
    pub files_unchanged: u64,
    /// Files and directories that couldn't be read.
    pub skipped: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of all files, holes left out.
    pub bytes_total: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes of chunks that the repository didn't have.
    pub bytes_new: u64,
    /// Bytes stored for them, with metadata.
    pub bytes_stored: u64,
}

/// What became of the files of the snapshot that a backup was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChangesDocument {
    /// Files that it has.
    pub files_before: u64,
    /// Files of these that aren't in their places any more.
    pub files_deleted: u64,
    /// Files of these whose content is another now.
    pub files_rewritten: u64,
    /// Files that are new in their places and that the repository had elsewhere, as after a folder was renamed.
    pub files_moved: u64,
}

impl From<&Changes> for ChangesDocument {
    fn from(changes: &Changes) -> Self {
        let Changes { files_before, files_deleted, files_rewritten, files_moved } = *changes;
        Self { files_before, files_deleted, files_rewritten, files_moved }
    }
}

impl From<&Snapshot> for SnapshotDocument {
    fn from(snapshot: &Snapshot) -> Self {
        let (head, body) = (&snapshot.head, &snapshot.body);
        Self {
            id: head.id.short(),
            time: body.start,
            end: body.end,
            host: body.host.clone(),
            user: body.user.clone(),
            paths: body.paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect(),
            tags: body.tags.clone(),
            parent: body.parent.map(|parent| parent.short()),
            tree: body.tree.to_string(),
            writer: head.id.writer.to_string(),
            program: body.program.clone(),
            summary: (&body.statistics).into(),
        }
    }
}

impl From<&Statistics> for StatisticsDocument {
    fn from(counts: &Statistics) -> Self {
        Self {
            files_new: counts.files_new,
            files_changed: counts.files_changed,
            files_unchanged: counts.files_unchanged,
            skipped: counts.skipped,
            dirs: counts.dirs,
            bytes_total: counts.bytes_total,
            bytes_read: counts.bytes_read,
            bytes_new: counts.bytes_new,
            bytes_stored: counts.bytes_stored,
        }
    }
}
