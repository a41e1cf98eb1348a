//! Runs: one execution each of a backup, check, prune; their reports and logs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Makes a snapshot.
    Backup,
    /// Verifies a repository.
    Check,
    /// Removes what no snapshot needs.
    Prune,
    /// Removes snapshots by retention.
    Forget,
    /// Copies snapshots to another repository.
    Copy,
    /// Restores on trial, and tests what was restored.
    Drill,
    /// Restores.
    Restore,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// No server has taken it.
    Waiting,
    /// A server has taken it and prepares it.
    Starting,
    /// It works.
    Running,
    /// It has a verdict.
    Ended,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It did its work, and found something that a person should look at.
    Findings,
    /// It did not do its work.
    Failed,
    /// It should have run and did not.
    Missed,
    /// It was right not to run.
    Skipped,
    /// A user ended it.
    Cancelled,
    /// Its server died or was cut off.
    Lost,
}

/// Why a run is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its slot came.
    Schedule,
    /// Its slot was missed, and is made up for.
    CatchUp,
    /// A person wanted it.
    Manual,
    /// A program wanted it.
    Api,
    /// The run before it failed or was lost.
    Retry,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub run: String,
    /// What it does.
    pub kind: RunKind,
    /// Its plan.
    pub plan: Option<String>,
    /// Its repository.
    pub repository: Option<String>,
    /// The host whose data it is about.
    pub host: Option<String>,
    /// Why it is there.
    pub trigger: Trigger,
    /// The slot that it is for.
    pub slot: Option<Timestamp>,
    /// For how many slots it stands: more than one only where slots were missed or skipped together.
    pub slots: u32,
    /// The run that it repeats.
    pub parent: Option<String>,
    /// The first run of all that repeat one another.
    pub root: String,
    /// 1, and 1 more for each run that it repeats.
    pub attempt: u32,
    /// How far it is.
    pub state: RunState,
    /// What came of it; null while it isn't over.
    pub verdict: Option<Verdict>,
    /// Why it was missed or skipped, or why it waits.
    pub reason: Option<String>,
    /// What it does now: `before`, `backup`, `retention`.
    pub phase: Option<String>,
    /// How far it is; null before it begins and where it can't be said.
    pub progress: Option<Progress>,
    /// When it was stored.
    pub created: Timestamp,
    /// When it may start at the earliest, where it has to wait.
    pub not_before: Option<Timestamp>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// When a user asked for its end.
    pub cancel_requested: Option<Timestamp>,
    /// The server that has taken it.
    pub server: Option<String>,
    /// Why it failed.
    pub error: Option<RunError>,
}

impl Row for Run {
    const COLUMNS: &'static [&'static str] = &[
        "run",
        "kind",
        "plan",
        "repository",
        "host",
        "trigger",
        "slot",
        "slots",
        "parent",
        "root",
        "attempt",
        "state",
        "verdict",
        "reason",
        "phase",
        "created",
        "began",
        "ended",
        "server",
        "error.category",
        "error.fingerprint",
        "error.message",
    ];
}

/// How far a run is, as of its last beat: every few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Files that are done.
    pub files: u64,
    /// Files in all, as far as that is known; null where it isn't.
    pub files_expected: Option<u64>,
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes in all, as far as that is known.
    pub bytes_expected: Option<u64>,
    /// Bytes in a second, since the run began.
    pub bytes_per_s: Option<f64>,
    /// Seconds until it is done, if it goes on like this.
    pub left_s: Option<u64>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunError {
    /// The kind of error: `network`, `credentials`, `space`, `permission`, `source`, `damage`, `configuration`, `bug`.
    pub category: String,
    /// What errors with the same cause have in common.
    pub fingerprint: String,
    /// What it says.
    pub message: String,
    /// What to do about errors of this category.
    pub advice: String,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// What came of it, as `keepfast run --json` prints it for a backup, `check --json` for a check; null while it isn't
    /// over, and where it did nothing.
    pub report: Option<Value>,
    /// All runs that repeat one another, the first one first; it alone if there are no others.
    pub attempts: Vec<Attempt>,
    /// The newest good run of the same plan before it; null if there is none.
    pub good_before: Option<String>,
}

/// A run among those that repeat one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// The run.
    pub run: String,
    /// Which of them it is, from 1.
    pub attempt: u32,
    /// How far it is.
    pub state: RunState,
    /// What came of it.
    pub verdict: Option<Verdict>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// Which runs: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Of this plan.
    pub plan: Option<String>,
    /// With this repository.
    pub repository: Option<String>,
    /// Of this host.
    pub host: Option<String>,
    /// That do this.
    #[param(inline)]
    pub kind: Option<RunKind>,
    /// With this verdict.
    #[param(inline)]
    pub verdict: Option<Verdict>,
    /// With this error.
    pub fingerprint: Option<String>,
    /// That haven't ended (`true`).
    pub open: Option<bool>,
    /// Due from this instant on.
    pub from: Option<Timestamp>,
    /// Due before this instant.
    pub until: Option<Timestamp>,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StartRun {
    /// A backup.
    Backup {
        /// Of this plan.
        plan: String,
    },
    /// A check.
    Check {
        /// Of this repository.
        repository: String,
    },
    /// A prune.
    Prune {
        /// Of this repository.
        repository: String,
    },
    /// A restore on trial.
    Drill {
        /// This drill.
        drill: String,
    },
}

/// What came of asking for the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// The run.
    pub run: String,
    /// What came of it.
    pub outcome: CancelOutcome,
}

/// What came of asking for the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It waited, and has ended.
    Ended,
    /// It works, and ends within seconds.
    Asked,
    /// It was over.
    Over,
}

/// How serious a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For those who look for a fault of the program.
    Debug,
    /// What happens.
    Info,
    /// Someone should look at it.
    Warning,
    /// Something wasn't done.
    Error,
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// How serious it is.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// What belongs to it.
    pub fields: Map<String, Value>,
}

impl Row for LogLine {
    const COLUMNS: &'static [&'static str] = &["at", "level", "message", "fields"];
}

/// Which lines of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// This serious or more.
    #[param(inline)]
    pub level: Option<LogLevel>,
    /// With this in their message, in any case.
    pub search: Option<String>,
}
