//! Restores: where files of a snapshot may go, what would happen there, and what has.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::{Progress, RunError, RunState, Verdict};
use crate::snapshot::EntryType;

/// Conflicts that a preview names, at most.
pub const CONFLICTS_MAX: usize = 500;
/// Warnings that a preview has, at most.
pub const WARNINGS_MAX: usize = 100;
/// Entries that a report names, at most.
pub const FAILURES_MAX: usize = 500;
/// Paths that a restore names, at most.
pub const PATHS_MAX: usize = 1000;

/// Where restores may go on the machine of the server that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlaces {
    /// The machine.
    pub machine: String,
    /// The folders that the configuration names (`[server] restore_to`), in its order; none if restores to another place are
    /// not wanted.
    pub places: Vec<RestorePlace>,
    /// Plans of this machine whose files the caller may restore to their original place.
    pub original: Vec<String>,
}

/// A folder below which restores may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlace {
    /// The folder, as the configuration names it.
    pub place: String,
    /// Bytes that are free there; null if that can't be said.
    pub free_bytes: Option<u64>,
    /// Why nothing can be restored there at the moment; null if it can.
    pub problem: Option<String>,
}

/// What is to be restored, where to, and what happens with files that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The repository.
    pub repository: String,
    /// The snapshot, by its whole id.
    pub snapshot: String,
    /// Only these paths and what is below them, as documents have them (`path`); everything if there are none. To name any
    /// takes the right to see names.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Where to.
    pub destination: RestoreDestination,
    /// What happens with files that are there.
    #[serde(default)]
    pub overwrite: RestoreOverwrite,
    /// Whether everything is read back afterwards and compared with the snapshot.
    #[serde(default = "yes")]
    pub verify: bool,
    /// The machine, as `places` or the preview has said it: a server of another machine refuses the request then. Without it,
    /// whichever server answers.
    #[serde(default)]
    pub machine: Option<String>,
}

fn yes() -> bool {
    true
}

/// Where files go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum RestoreDestination {
    /// Below one of the folders for restores. An entry lands there at its full path: `/srv/www/a` at `PLACE/FOLDER/srv/www/a`.
    Folder {
        /// The folder for restores, as `places` has it.
        place: String,
        /// A folder below it, `tuesday` or `ann/letters`, in the same form as a `path`; it is made if it isn't there. Without
        /// it, the folder for restores itself.
        #[serde(default)]
        folder: Option<String>,
        /// The folder of the snapshot whose content lands there directly: with `/srv/www`, `/srv/www/a` lands at
        /// `PLACE/FOLDER/a`. It takes the right to see names. Without it, or with `/`, full paths.
        #[serde(default)]
        contents_of: Option<String>,
    },
    /// Where they were backed up, on this machine: below the sources of the snapshot's plan.
    Original,
}

/// What happens with files that are there. Folders are never replaced by something else, and nothing is removed that the
/// snapshot doesn't have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreOverwrite {
    /// Nothing is restored unless the folder is empty or isn't there. Not for the original place.
    #[default]
    Refuse,
    /// They are replaced.
    Always,
    /// Those with another size or time are replaced; of the others, owner, mode and attributes are put right.
    IfChanged,
    /// They stay as they are.
    Never,
}

/// What a restore would do, as it looks at this moment. Nothing has been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePreview {
    /// The machine where files would be written.
    pub machine: String,
    /// The folder there, as a `path`: `/` for the original place.
    pub target: String,
    /// Regular files that would be written.
    pub files: u64,
    /// Folders that would be made, or are there and get their metadata.
    pub dirs: u64,
    /// Links, named pipes, sockets and devices that would be made.
    pub others: u64,
    /// Further names of files with several.
    pub hard_links: u64,
    /// Files that are there and would stay as they are.
    pub unchanged: u64,
    /// Files whose content would stay, and whose metadata would be put right.
    pub corrected: u64,
    /// Entries that could not be restored, or not in full: `warnings` names the first of them.
    pub skipped: u64,
    /// Devices that would be left out.
    pub devices_left_out: u64,
    /// Bytes that would be written.
    pub bytes: u64,
    /// Bytes that are free where they would be written; null if that can't be said.
    pub free_bytes: Option<u64>,
    /// Whether there is room; null if that can't be said.
    pub has_room: Option<bool>,
    /// Whether everything was looked at. A preview ends after 20 seconds: then the numbers are those of a part.
    pub is_whole: bool,
    /// How many entries are in the way of others.
    pub conflicts_count: u64,
    /// The first 500 of them, in the order in which they would be restored; null for a caller that may not see names.
    pub conflicts: Option<Vec<RestoreConflict>>,
    /// What a person should know before; the first 100. Those that name files are left out for a caller that may not see names.
    pub warnings: Vec<String>,
    /// Why the restore would be refused; null if it can be started. Then nothing was counted.
    pub refused: Option<String>,
}

/// Something that is there where an entry of the snapshot would be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreConflict {
    /// The name of the entry of the snapshot, for people.
    pub name: String,
    /// Its path in the snapshot, as queries take it.
    pub path: String,
    /// How what is there differs.
    pub conflict: ConflictKind,
    /// What would happen.
    pub outcome: ConflictOutcome,
    /// What the entry of the snapshot is.
    #[serde(rename = "type")]
    pub kind: EntryType,
    /// The size of the file in the snapshot, in bytes.
    pub size: Option<u64>,
    /// When the content of the entry in the snapshot was changed last.
    pub mtime: Timestamp,
    /// What is there.
    pub type_there: EntryType,
    /// The size of the file that is there, in bytes.
    pub size_there: Option<u64>,
    /// When the content of what is there was changed last.
    pub mtime_there: Timestamp,
}

/// How what is there differs from an entry of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictKind {
    /// It has another size or time, and is not newer.
    Content,
    /// It was changed after the entry of the snapshot was.
    Newer,
    /// It is something else: a folder where a file would be, say.
    Type,
}

/// What would happen with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictOutcome {
    /// The entry of the snapshot replaces it.
    Replaced,
    /// It stays, and the entry of the snapshot is not restored.
    Kept,
    /// It can't be replaced: the entry of the snapshot is not restored, and the report names it.
    Failed,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    /// Its run.
    pub run: String,
    /// The repository.
    pub repository: String,
    /// The snapshot.
    pub snapshot: String,
    /// Of which moment the snapshot is.
    pub time: Timestamp,
    /// Whose data it has.
    pub host: String,
    /// The plan that made it; null if none did.
    pub plan: Option<String>,
    /// The machine on which files are written.
    pub machine: String,
    /// Whether they go to their original place.
    pub original: bool,
    /// The folder that they go to, as a `path`: `/` for the original place.
    pub target: String,
    /// How many paths were named; 0 if everything is restored.
    pub paths_count: u64,
    /// What happens with files that are there.
    pub overwrite: RestoreOverwrite,
    /// Whether everything is read back and compared.
    pub verify: bool,
    /// The user who wanted it.
    pub by: String,
    /// The run that it repeats.
    pub parent: Option<String>,
    /// How far it is.
    pub state: RunState,
    /// What came of it; null while it isn't over. `findings` if entries are missing or differ: the report says which.
    pub verdict: Option<Verdict>,
    /// What it does now: `opening`, `checks`, `restore`, `verify`.
    pub phase: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// When it was stored.
    pub created: Timestamp,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<RunError>,
}

impl Row for Restore {
    const COLUMNS: &'static [&'static str] = &[
        "run",
        "repository",
        "snapshot",
        "time",
        "host",
        "plan",
        "machine",
        "original",
        "target",
        "paths_count",
        "overwrite",
        "verify",
        "by",
        "parent",
        "state",
        "verdict",
        "phase",
        "created",
        "began",
        "ended",
        "error.category",
        "error.fingerprint",
        "error.message",
    ];
}

/// A restore with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RestoreDetail {
    /// The restore.
    #[serde(flatten)]
    pub restore: Restore,
    /// The paths that were named; null for a caller that may not see names.
    pub paths: Option<Vec<String>>,
    /// The folder of the snapshot whose content lands in the target directly; null if there is none, and for a caller that
    /// may not see names.
    pub contents_of: Option<String>,
    /// What came of it; null while it isn't over, and where it did nothing.
    pub report: Option<RestoreResult>,
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RestoreResult {
    /// Regular files that were written.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Links, named pipes, sockets and devices.
    pub others: u64,
    /// Further names of files with several.
    pub hard_links: u64,
    /// Files that were left as they were.
    pub unchanged: u64,
    /// Files whose content was left as it was, and whose metadata was put right.
    pub corrected: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Files that were read back and are what the snapshot says, by their hashes; 0 if that wasn't wanted.
    pub verified: u64,
    /// Entries that were not restored, or not in full, or that differed when they were read back.
    pub skipped: u64,
    /// Entries that were restored without privileges that they had: setuid, setgid, capabilities.
    pub privileges_dropped: u64,
    /// Devices that were left out.
    pub devices_left_out: u64,
    /// How long it took.
    pub seconds: f64,
    /// The first 500 entries that were skipped; null for a caller that may not see names.
    pub failures: Option<Vec<RestoreFailure>>,
}

/// An entry that was not restored, or not in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreFailure {
    /// Where it would be: a path on the machine, for people.
    pub path: String,
    /// Why.
    pub why: String,
}

/// Which restores: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RestoreQuery {
    /// Of this plan's snapshots.
    pub plan: Option<String>,
    /// From this repository.
    pub repository: Option<String>,
    /// Of this host's data.
    pub host: Option<String>,
    /// With this verdict.
    #[param(inline)]
    pub verdict: Option<Verdict>,
    /// That haven't ended (`true`).
    pub open: Option<bool>,
}
