//! What operations did: as JSON these are the documents that the command line prints with `--json`.
//!
//! Names and order of the fields are a promise to programs that read them. What kept a result from being complete is in
//! `troubles`, which isn't part of a document.

mod cache;
mod contents;
mod diff;
mod edits;
mod forecast;
mod prune;
mod retention;
mod snapshot;
mod stats;
mod store;
mod traffic;

use keepfast_engine::run::Troubles;
use serde::Serialize;

pub use cache::{AcceptReport, CacheReport, FolderDocument, OtherCacheDocument};
pub use contents::{DumpReport, EntriesReport, EntryDocument, EntryKind};
pub use diff::{ChangeDocument, ChangeWord, DiffReport};
pub use edits::{RelabelledSnapshot, RemovedDocument, RewriteReport, RewrittenSnapshot, TagReport};
pub use forecast::{ForecastReport, ForecastedSnapshot, GoesDocument, KeepingReport};
pub use prune::{PlanDocument, PruneReport};
pub use retention::{
    DecisionDocument, DecisionsReport, ForgetReport, GroupDocument, NewStanding, ReasonDocument,
    SizeDocument, StandingReport, UndeleteReport, UndeletedSnapshot, VerdictDocument,
};
pub use snapshot::{ChangesDocument, ListedSnapshot, SnapshotDocument, SnapshotsReport, StatisticsDocument};
pub use stats::{FreedReport, NeededReport, StatsReport};
pub use store::{
    DoctorReport, FlawDocument, InitReport, LatenciesDocument, LatencyDocument, RepositoryDocument,
    StoreDocument, StrangeDocument,
};
pub use traffic::TrafficDocument;

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// The snapshot; none on a dry run, or if nothing has changed and none was wanted then.
    pub snapshot: Option<SnapshotDocument>,
    /// Nothing was stored.
    pub dry_run: bool,
    /// What was counted.
    pub summary: StatisticsDocument,
    /// Nothing has changed since the parent, and so no snapshot was made.
    pub unchanged: bool,
    /// What became of the parent's files; null without a parent, if parts of it can't be read, and on a dry run.
    pub changes: Option<ChangesDocument>,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// Entries that ignore files have left out, each without what is below it.
    pub ignored: u64,
    /// How many packs and segments were stored.
    pub packs: u64,
    /// What was asked of the store, if that is counted.
    pub traffic: Option<TrafficDocument>,
    /// How long it took.
    pub seconds: f64,
    /// The snapshot that it was compared with.
    pub parent: Option<String>,
    /// What kept the snapshot from being complete, and what was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: String,
    /// The directory that it was restored into.
    pub target: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// Regular files written.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, fifos, sockets, devices.
    pub others: u64,
    /// Further names of files with several.
    pub hard_links: u64,
    /// Files left as they were.
    pub unchanged: u64,
    /// Files whose content was left as it was, and whose metadata was wrong.
    pub corrected: u64,
    /// Entries removed.
    pub deleted: u64,
    /// Entries that couldn't be restored, or not in full.
    pub skipped: u64,
    /// Entries restored without privileges that they had, as asked for.
    pub privileges_dropped: u64,
    /// Devices that weren't restored, as asked for.
    pub devices_left_out: u64,
    /// Files read back and found right.
    pub verified: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What was asked of the store, if that is counted.
    pub traffic: Option<TrafficDocument>,
    /// How long it took.
    pub seconds: f64,
    /// What kept the restore from being complete.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What a check looked at and found.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Snapshots that are there and not forgotten.
    pub snapshots: usize,
    /// Configs, keyrings, key slots, sessions, snapshots and index segments.
    pub objects: u64,
    /// Packs that are there.
    pub packs: u64,
    /// Their stored bytes.
    #[serde(skip)]
    pub packs_bytes: u64,
    /// Packs that were to be read and can't be now.
    #[serde(skip)]
    pub packs_unreachable: u64,
    /// Packs that were read in full.
    pub packs_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// Trees, each counted once.
    pub trees: u64,
    /// Files, in trees counted once.
    pub files: u64,
    /// Damaged or missing objects, and what nothing explains.
    pub findings: u64,
    /// Files of snapshots that can't be restored in full.
    pub files_hit: u64,
    /// Objects that can't be read now, and what needs them. They may be sound.
    pub unreachable: u64,
    /// Files of snapshots that need one of these, and of which nothing is known to be damaged.
    pub files_unreachable: u64,
    /// What was asked of the store, if that is counted.
    pub traffic: Option<TrafficDocument>,
    /// How long it took.
    pub seconds: f64,
    /// What was told of.
    #[serde(skip)]
    pub troubles: Troubles,
}
