//! Snapshots: what the catalogue says of them, and what is in them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::Verdict;

/// What a check or a drill has shown of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotProof {
    /// What it has shown.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
}

/// A snapshot, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its repository.
    pub repository: String,
    /// Its id.
    pub snapshot: String,
    /// Of which moment it is.
    pub time: Timestamp,
    /// Whose data it has.
    pub host: String,
    /// The plan that made it; null if none did.
    pub plan: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How many files it has.
    pub files: u64,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Bytes that it has added to the repository.
    pub new_bytes: u64,
    /// Whether everything could be read that it should have.
    pub clean: bool,
    /// Whether it is protected: no policy and no one who forgets removes it.
    pub protected: bool,
    /// What the newest check has shown of it.
    pub checked: Option<SnapshotProof>,
    /// What the newest drill has shown of it.
    pub drilled: Option<SnapshotProof>,
}

impl Row for Snapshot {
    const COLUMNS: &'static [&'static str] = &[
        "repository",
        "snapshot",
        "time",
        "host",
        "plan",
        "tags",
        "files",
        "size_bytes",
        "new_bytes",
        "clean",
        "protected",
        "checked.verdict",
        "checked.at",
        "drilled.verdict",
        "drilled.at",
    ];
}

/// A snapshot with the run that made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotDetail {
    /// The snapshot.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// The run that made it; null if the history has it no more, or another program made it.
    pub run: Option<String>,
    /// What that run has counted, as `keepfast backup --json` prints it.
    pub report: Option<Value>,
}

/// Which snapshots: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SnapshotQuery {
    /// With all of these words in the names of host, plan and tags.
    pub search: Option<String>,
    /// Of this plan.
    pub plan: Option<String>,
    /// Of this host.
    pub host: Option<String>,
    /// In this repository.
    pub repository: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// That are protected (`true`), or that aren't.
    pub protected: Option<bool>,
    /// Of this instant or later ones.
    pub from: Option<Timestamp>,
    /// Of earlier instants than this.
    pub until: Option<Timestamp>,
}

/// How old what the catalogue says of a repository is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueAge {
    /// The repository.
    pub repository: String,
    /// When the catalogue was last like it; null if it never was.
    pub refreshed: Option<Timestamp>,
    /// Since when the catalogue may not be like it any more; null while it is.
    pub stale_since: Option<Timestamp>,
    /// Why the repository couldn't be looked at the last time.
    pub error: Option<String>,
}

impl Row for CatalogueAge {
    const COLUMNS: &'static [&'static str] = &["repository", "refreshed", "stale_since", "error"];
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryType {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Chardev,
    /// A block device.
    Blockdev,
}

/// An entry of a folder of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its name for people: what isn't text is the replacement character.
    pub name: String,
    /// Its path from the root down, as queries take it: what isn't text stands as `%` and two hexadecimal digits, and so do
    /// `%` and control characters.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// The size of a file, in bytes.
    pub size: Option<u64>,
    /// Its permissions, as octal digits.
    pub mode: String,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// When its content was changed last.
    pub mtime: Timestamp,
    /// Where a symbolic link leads, for people.
    pub target: Option<String>,
}

impl Row for Entry {
    const COLUMNS: &'static [&'static str] =
        &["path", "name", "type", "size", "mode", "uid", "gid", "mtime", "target"];
}

/// Where in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PathQuery {
    /// The path, as documents have it; the root without it.
    pub path: Option<String>,
}

/// The archive that a folder is sent as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveFormat {
    /// Tar: as many entries as there are.
    #[default]
    Tar,
    /// Zip, of at most 100,000 entries.
    Zip,
}

/// What of a snapshot is sent, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContentQuery {
    /// The path, as documents have it; the root without it.
    pub path: Option<String>,
    /// As what a folder is sent: `tar` if nothing is said. A file is sent as it is.
    #[param(inline)]
    pub format: Option<ArchiveFormat>,
}

/// What a snapshot is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The second snapshot, of the same repository: what is only in it is added.
    pub with: String,
    /// Only what is at or below this path, as documents have it.
    pub path: Option<String>,
}

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is in the second snapshot alone.
    Added,
    /// It is in the first snapshot alone.
    Removed,
    /// The bytes of a file, or where a link or a device leads, are others.
    Content,
    /// Only its mode, owner, time or extended attributes are others.
    Metadata,
    /// It is of another type.
    Type,
}

/// An entry that is different in another snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its name for people.
    pub name: String,
    /// Its path, as queries take it.
    pub path: String,
    /// How it differs.
    pub change: ChangeKind,
    /// What it is; what it was, if it is no more.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// The size of the file that it was, in bytes.
    pub size_before: Option<u64>,
    /// The size of the file that it is, in bytes.
    pub size_after: Option<u64>,
}

impl Row for Change {
    const COLUMNS: &'static [&'static str] = &["change", "path", "name", "type", "size_before", "size_after"];
}

/// Tags that a snapshot gets and loses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TagChange {
    /// Tags that it gets.
    pub add: Vec<String>,
    /// Tags that it loses.
    pub remove: Vec<String>,
}

/// Whose retention is asked for. If any rule is named, these rules stand in place of the plan's, and those that aren't named keep
/// nothing; the plan's tags to keep and its brake (`max_removed`) hold in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RetentionQuery {
    /// The plan.
    pub plan: String,
    /// The newest ones: a number, or `all`. So are the other counts.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub last: Option<String>,
    /// The newest of each of this many hours.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub hourly: Option<String>,
    /// The newest of each of this many days.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub daily: Option<String>,
    /// The newest of each of this many weeks.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub weekly: Option<String>,
    /// The newest of each of this many months.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub monthly: Option<String>,
    /// The newest of each of this many years.
    #[param(pattern = "^(all|[0-9]+)$")]
    pub yearly: Option<String>,
    /// All that are no older than this before the newest, such as `30d` or `1y6mo`. So are the other ages.
    pub within: Option<String>,
    /// The newest of each hour of this time before the newest.
    pub within_hourly: Option<String>,
    /// The newest of each day of this time before the newest.
    pub within_daily: Option<String>,
    /// The newest of each week of this time before the newest.
    pub within_weekly: Option<String>,
    /// The newest of each month of this time before the newest.
    pub within_monthly: Option<String>,
    /// The newest of each year of this time before the newest.
    pub within_yearly: Option<String>,
    /// This many of the newest clean snapshots stay, whatever the rules say. By itself, it names no rules.
    #[param(maximum = 4_294_967_295_u32)]
    pub at_least: Option<u32>,
    /// What the plan's snapshots may take in all, such as `500GiB`.
    pub max_size: Option<String>,
}

/// What keeps which snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeptQuery {
    /// Of this plan.
    pub plan: String,
    /// Only this one.
    pub snapshot: Option<String>,
}

/// A snapshot, and what its plan's retention does with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptSnapshot {
    /// The snapshot.
    pub snapshot: String,
    /// When its run began.
    pub time: Timestamp,
    /// Whether it is protected: no policy forgets it.
    pub protected: bool,
    /// What keeps it now, in words; if nothing does, it goes at the next run.
    pub kept_by: Vec<String>,
    /// After which of the coming runs it goes, if all of them are good: 1 is the next. Null if it stays as far as was looked
    /// ahead.
    pub goes_after_runs: Option<u64>,
    /// When that run is due; null as well if its plan runs only when it is told to.
    pub goes: Option<Timestamp>,
    /// How far was looked ahead; null if no run is due.
    pub foreseen_until: Option<Timestamp>,
}

impl Row for KeptSnapshot {
    const COLUMNS: &'static [&'static str] =
        &["snapshot", "time", "protected", "kept_by", "goes_after_runs", "goes", "foreseen_until"];
}

/// What was decided about a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotStanding {
    /// Whether it is protected: no policy and no one forgets it.
    pub protected: bool,
}

/// What became of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotChanged {
    /// The snapshot that was meant.
    pub snapshot: String,
    /// The snapshot that stands in its place now: another one if its tags were changed or it was brought back, the same if it
    /// was only protected or not; null if it was forgotten.
    pub now: Option<String>,
}
