//! All plans at a glance: the facts of one sentence, and a matrix of plans and days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::{Run, RunKind, Verdict};

/// How all plans stand. The sentence "41 of 42 plans keep their promise; shop-db is overdue for 8 hours; the last proven
/// restore was 3 days ago" has its facts here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Of which instant it is.
    pub at: Timestamp,
    /// The server's time zone.
    pub zone: String,
    /// How bad it is.
    pub state: OverviewState,
    /// How many plans stand how.
    pub plans: PlanCounts,
    /// Plans that break their promise, the one that has for the longest time first; at most 20.
    pub overdue: Vec<OverduePlan>,
    /// When a drill last showed that a plan can be restored; null if none ever did.
    pub last_proven: Option<Timestamp>,
    /// When the newest good snapshot of all plans was made; null if there is none.
    pub last_achieved: Option<Timestamp>,
    /// Problems that are there.
    pub problems: ProblemCounts,
    /// Runs that haven't ended.
    pub runs: OpenRunCounts,
    /// The runs at work; at most 20.
    pub running: Vec<Run>,
    /// What begins in the next twelve hours, soonest first; at most 50.
    pub upcoming: Vec<UpcomingRun>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverviewState {
    /// Each promise is kept, and there is no problem that no one has seen.
    Ok,
    /// Each promise is kept, and there are problems.
    Problems,
    /// A promise is broken.
    Overdue,
    /// There are no plans.
    Empty,
}

/// How many plans stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanCounts {
    /// All.
    pub total: u32,
    /// Those that promise something and are neither paused nor disabled.
    pub promising: u32,
    /// Those of them that keep it.
    pub kept: u32,
    /// Those that break it.
    pub overdue: u32,
    /// Those that are late, while a run works to change that.
    pub catching_up: u32,
    /// Those that are paused.
    pub paused: u32,
    /// Those that don't run.
    pub disabled: u32,
    /// Those that promise nothing.
    pub manual: u32,
    /// Those that have no good snapshot.
    pub without_snapshot: u32,
}

/// A plan that breaks its promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverduePlan {
    /// The plan.
    pub plan: String,
    /// Since when.
    pub since: Timestamp,
    /// Its newest good snapshot; null if there is none.
    pub achieved: Option<Timestamp>,
}

/// How many problems there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemCounts {
    /// All.
    pub open: u32,
    /// Those that no user has acknowledged or muted.
    pub unseen: u32,
}

/// How many runs haven't ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenRunCounts {
    /// Those that no server has taken.
    pub waiting: u64,
    /// Those at work.
    pub active: u64,
}

/// A run that is due soon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpcomingRun {
    /// When.
    pub at: Timestamp,
    /// What it does.
    pub kind: RunKind,
    /// Its plan.
    pub plan: Option<String>,
    /// Its repository.
    pub repository: String,
    /// The time zone of its schedule.
    pub zone: String,
}

impl Row for UpcomingRun {
    const COLUMNS: &'static [&'static str] = &["at", "kind", "plan", "repository", "zone"];
}

/// An expression to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PreviewQuery {
    /// Five fields.
    pub cron: String,
    /// The time zone, by the name of IANA; the server's if nothing is said.
    pub zone: Option<String>,
    /// How many instants.
    #[param(minimum = 1, maximum = 100, default = 10)]
    pub count: Option<u32>,
}

/// Which days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MatrixQuery {
    /// How many days, the last one included.
    #[param(minimum = 1, maximum = 92, default = 30)]
    pub days: Option<u32>,
    /// The last day; today if nothing is said.
    #[param(value_type = Option<String>, format = Date)]
    pub last: Option<Date>,
    /// The time zone in which days begin, by the name of IANA; the server's if nothing is said.
    pub zone: Option<String>,
    /// Of this plan alone.
    pub plan: Option<String>,
}

/// What came of the backups of each plan on each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Matrix {
    /// The time zone in which days begin.
    pub zone: String,
    /// The days, the earliest first.
    #[schema(value_type = Vec<String>, format = Date)]
    pub days: Vec<Date>,
    /// The plans, in the order of their names.
    pub plans: Vec<MatrixRow>,
}

/// What came of a plan's backups on each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatrixRow {
    /// The plan.
    pub plan: String,
    /// For each day what came of its backups.
    pub cells: Vec<Cell>,
}

/// What came of a plan's backups on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cell {
    /// The worst of it, in a word.
    pub state: CellState,
    /// How many slots and runs ended how. A verdict that none has is left out.
    pub verdicts: BTreeMap<Verdict, u32>,
    /// How many runs haven't ended.
    pub open: u32,
}

/// What came of a plan's backups on a day, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// All were good.
    Ok,
    /// One had findings.
    Findings,
    /// One failed.
    Failed,
    /// One was lost.
    Lost,
    /// A slot was missed.
    Missed,
    /// All that were due were skipped, or ended by a user.
    Skipped,
    /// One is at work or waits.
    Running,
    /// The plan was paused, and nothing ran.
    Paused,
    /// Nothing was due.
    NotDue,
    /// The plan wasn't there.
    Unborn,
}
