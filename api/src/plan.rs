//! Plans: what they promise, what they achieve, when they run next.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::{RunState, Trigger, Verdict};

/// How a plan stands to its promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It keeps it.
    Ok,
    /// It promises nothing.
    Manual,
    /// It is late, and a run works to change that.
    Running,
    /// It breaks it.
    Overdue,
    /// It is paused.
    Paused,
    /// It doesn't run.
    Disabled,
}

/// A plan in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Its name.
    pub plan: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// Its repository.
    pub repository: String,
    /// How it stands to its promise.
    pub standing: Standing,
    /// Its promise, in seconds: no good snapshot is older than this. Null if it promises nothing.
    pub promise_s: Option<u64>,
    /// When the run of its newest good snapshot began; null if there is none.
    pub achieved: Option<Timestamp>,
    /// When its newest drill showed that it can be restored; null if none did.
    pub proven: Option<Timestamp>,
    /// Since when it breaks its promise.
    pub overdue_since: Option<Timestamp>,
    /// When it runs next; null if it runs only when it is told to.
    pub next: Option<Timestamp>,
    /// The time zone of its schedule and its retention.
    pub zone: String,
    /// Its pause.
    pub pause: Option<Pause>,
    /// Its newest run.
    pub last: Option<LastRun>,
}

impl Row for Plan {
    const COLUMNS: &'static [&'static str] = &[
        "plan",
        "description",
        "project",
        "repository",
        "standing",
        "promise_s",
        "achieved",
        "proven",
        "overdue_since",
        "next",
        "zone",
        "pause.since",
        "pause.until",
        "last.run",
        "last.verdict",
        "last.began",
        "last.ended",
    ];
}

/// A plan's newest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastRun {
    /// Its id.
    pub run: String,
    /// How far it is.
    pub state: RunState,
    /// What came of it; null while it isn't over.
    pub verdict: Option<Verdict>,
    /// When it began, or was stored.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The time in which a plan doesn't run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Until when; null for until it is resumed.
    pub until: Option<Timestamp>,
    /// Who has paused it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Pauses a plan, or changes its pause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPause {
    /// Until when; without it, until it is resumed.
    pub until: Option<Timestamp>,
    /// Why, for other people.
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// A plan with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanDetail {
    /// The plan.
    #[serde(flatten)]
    pub plan: Plan,
    /// When it runs; null if it runs only when it is told to.
    pub schedule: Option<Schedule>,
    /// Its next ten slots.
    pub upcoming: Vec<UpcomingSlot>,
    /// Where it is defined: `conf.d/www.toml:3`.
    pub origin: String,
    /// All that it is defined by, with the origin of each value.
    pub settings: Vec<Setting>,
}

/// When a plan runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// Its cron expression, where it runs by the calendar.
    pub cron: Option<String>,
    /// The time after the last good run, in seconds, where it runs by elapsed time.
    pub every_s: Option<u64>,
    /// A run begins up to this much later.
    pub jitter_s: u64,
    /// A slot is missed if nothing could begin in this time.
    pub deadline_s: Option<u64>,
    /// Whether the newest slot that was missed is made up for.
    pub catches_up: bool,
}

/// An instant at which a plan runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingSlot {
    /// The instant.
    pub at: Timestamp,
    /// What a clock in the plan's zone shows then: `2026-03-29T03:00:00`.
    pub wall: String,
    /// What a change of the clock does to it.
    pub notes: Vec<SlotNote>,
}

impl Row for UpcomingSlot {
    const COLUMNS: &'static [&'static str] = &["at", "wall", "notes"];
}

/// What a change of the clock does to a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotNote {
    /// For programs: `moved`, `once-of-two`, `both-of-two`, `dropped`, `hole`.
    pub code: String,
    /// For people.
    pub text: String,
}

/// A value that a definition has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its key: `plan.www.retention.daily`.
    pub path: String,
    /// The value, as TOML. A secret is a reference, never the secret itself.
    pub value: String,
    /// Where it comes from: `conf.d/www.toml:14`, or `default`.
    pub origin: String,
}

impl Row for Setting {
    const COLUMNS: &'static [&'static str] = &["path", "value", "origin"];
}

/// A run of a plan as a point of its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPoint {
    /// The run.
    pub run: String,
    /// Why it is there.
    pub trigger: Trigger,
    /// What came of it; null while it isn't over.
    pub verdict: Option<Verdict>,
    /// Its slot, or when it was stored.
    pub due: Timestamp,
    /// For how many slots it stands.
    pub slots: u32,
    /// How long it took, in seconds; null if it never began or isn't over.
    pub duration_s: Option<f64>,
    /// Files in its snapshot; null if it made none.
    pub files: Option<u64>,
    /// Bytes of all files in its snapshot.
    pub bytes: Option<u64>,
    /// Bytes that were new.
    pub new_bytes: Option<u64>,
    /// Bytes that the repository has grown by.
    pub stored_bytes: Option<u64>,
    /// Entries that were skipped.
    pub skipped: Option<u64>,
}

impl Row for HistoryPoint {
    const COLUMNS: &'static [&'static str] = &[
        "run",
        "trigger",
        "verdict",
        "due",
        "slots",
        "duration_s",
        "files",
        "bytes",
        "new_bytes",
        "stored_bytes",
        "skipped",
    ];
}

/// Which plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlanQuery {
    /// Of this project.
    pub project: Option<String>,
    /// With this repository.
    pub repository: Option<String>,
    /// That stand like this.
    #[param(inline)]
    pub standing: Option<Standing>,
}
