//! Figures of backups over time: what came of them, how long they took, and how much they read and stored; and which
//! plans are unlike what is usual for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::run::Verdict;

/// Which backups, and how they are put together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AnalyticsQuery {
    /// The first day; thirty days before the last one if nothing is said.
    #[param(value_type = Option<String>, format = Date)]
    pub from: Option<Date>,
    /// The last day; today if nothing is said.
    #[param(value_type = Option<String>, format = Date)]
    pub until: Option<Date>,
    /// How much time a point stands for; days if nothing is said. There are at most 120 points.
    #[param(inline)]
    pub by: Option<Span>,
    /// The time zone in which days begin, by the name of IANA; the server's if nothing is said.
    pub zone: Option<String>,
    /// Of this plan.
    pub plan: Option<String>,
    /// Of the plans of this project.
    pub project: Option<String>,
    /// Of this host.
    pub host: Option<String>,
}

/// How much time a point stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// A day.
    #[default]
    Day,
    /// A week, from its Monday on.
    Week,
    /// A month.
    Month,
}

/// Figures of the backups that were due in a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analytics {
    /// The time zone in which days begin.
    pub zone: String,
    /// How much time a point stands for.
    pub by: Span,
    /// The first day.
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// The last day.
    #[schema(value_type = String, format = Date)]
    pub until: Date,
    /// Of all of them.
    pub total: BackupFigures,
    /// Of each part of the period, the earliest first. The first and the last one may be cut by the period.
    pub points: Vec<AnalyticsPoint>,
    /// Of each plan that had any, in the order of their names.
    pub plans: Vec<AnalyticsPlan>,
}

/// Figures of a part of the period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnalyticsPoint {
    /// Its first day.
    #[schema(value_type = String, format = Date)]
    pub day: Date,
    /// When it begins.
    pub begins: Timestamp,
    /// When the next one begins.
    pub ends: Timestamp,
    /// The figures.
    #[serde(flatten)]
    pub figures: BackupFigures,
}

impl Row for AnalyticsPoint {
    const COLUMNS: &'static [&'static str] = &[
        "day",
        "begins",
        "ends",
        "due",
        "good",
        "success",
        "verdicts.ok",
        "verdicts.findings",
        "verdicts.failed",
        "verdicts.lost",
        "verdicts.missed",
        "verdicts.skipped",
        "verdicts.cancelled",
        "open",
        "measured",
        "duration_median_s",
        "duration_p95_s",
        "files",
        "bytes",
        "read_bytes",
        "new_bytes",
        "stored_bytes",
        "deduplication",
        "compression",
    ];
}

/// Figures of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnalyticsPlan {
    /// The plan. It needn't be defined any more.
    pub plan: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: BackupFigures,
}

impl Row for AnalyticsPlan {
    const COLUMNS: &'static [&'static str] = &[
        "plan",
        "due",
        "good",
        "success",
        "verdicts.ok",
        "verdicts.findings",
        "verdicts.failed",
        "verdicts.lost",
        "verdicts.missed",
        "verdicts.skipped",
        "verdicts.cancelled",
        "open",
        "measured",
        "duration_median_s",
        "duration_p95_s",
        "files",
        "bytes",
        "read_bytes",
        "new_bytes",
        "stored_bytes",
        "deduplication",
        "compression",
    ];
}

/// What came of backups, and how much they did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackupFigures {
    /// How many slots and runs ended how. A verdict that none has is left out.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// How many runs haven't ended.
    pub open: u64,
    /// How many should have made a snapshot: `ok`, `findings`, `failed`, `lost` and `missed`. What was skipped for a reason or
    /// ended by a user isn't among them.
    pub due: u64,
    /// How many of those did: `ok` and `findings`.
    pub good: u64,
    /// The share of those that did, from 0 to 1; null if none was due. A slot that was missed counts as one that did not.
    pub success: Option<f64>,
    /// How many runs the figures below are of: those that made a snapshot and counted what they did.
    pub measured: u64,
    /// How long half of these took at most, in seconds.
    pub duration_median_s: Option<f64>,
    /// How long 95 of 100 of these took at most, in seconds.
    pub duration_p95_s: Option<f64>,
    /// Files in their snapshots, summed up.
    pub files: u64,
    /// Bytes of all files in their snapshots, summed up.
    pub bytes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes that the repository didn't have.
    pub new_bytes: u64,
    /// Bytes that were stored for them.
    pub stored_bytes: u64,
    /// How many times as much is in the snapshots as was new: `bytes / new_bytes`. Null if nothing was new.
    pub deduplication: Option<f64>,
    /// How many times as much was new as was stored for it: `new_bytes / stored_bytes`. Null if nothing was stored.
    pub compression: Option<f64>,
}

/// A figure of a plan's newest good run, beside what is usual for the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Performance {
    /// The plan.
    pub plan: String,
    /// Which figure.
    pub figure: PerformanceFigure,
    /// How it stands.
    pub state: PerformanceState,
    /// How much it is in the newest run: seconds, or bytes.
    pub value: f64,
    /// How much is usual: the median of the good runs before; null while there are too few.
    pub usual: Option<f64>,
    /// The greatest amount that is still usual; of a source, the smallest. Null if the plan has no rule for it, or there are
    /// too few runs.
    pub limit: Option<f64>,
    /// How many times what is usual it is; null if nothing is.
    pub factor: Option<f64>,
    /// Good runs that it is compared with.
    pub runs: u32,
}

impl Row for Performance {
    const COLUMNS: &'static [&'static str] =
        &["plan", "figure", "state", "value", "usual", "limit", "factor", "runs"];
}

/// A figure that is compared with what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerformanceFigure {
    /// How long the run took.
    Duration,
    /// Bytes in its snapshot.
    SourceBytes,
    /// Bytes that the repository didn't have.
    NewBytes,
    /// Bytes that were stored for them.
    StoredBytes,
}

/// How a figure stands to what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerformanceState {
    /// Beyond the limit: the run has an anomaly.
    Beyond,
    /// More than one and a half times what is usual, and within the limit.
    High,
    /// Less than half of what is usual, and within the limit.
    Low,
    /// Like other runs.
    Usual,
    /// There are too few runs to know what is usual.
    Unknown,
}

/// Which figures of which plans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PerformanceQuery {
    /// Of this plan.
    pub plan: Option<String>,
    /// Of the plans of this project.
    pub project: Option<String>,
    /// That stand like this.
    #[param(inline)]
    pub state: Option<PerformanceState>,
}
