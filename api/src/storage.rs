//! Storage: what repositories take, when they are full, what that costs, and what can be done about it.
//!
//! Money is in whole millionths of its currency (`_micros`), so that sums are exact. A gigabyte is 1,000,000,000 bytes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list::Row;

/// What a repository takes, and what will become of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryStorage {
    /// The repository.
    pub repository: String,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// Where it is.
    pub url: String,
    /// What is stored now; null before the first check or prune.
    pub used: Option<UsedStorage>,
    /// How much it grows in a day, by the newest 30 days; negative if it shrinks. Null if there is too little history.
    pub growth_bytes_per_day: Option<i64>,
    /// The quota, in bytes.
    pub quota_bytes: Option<u64>,
    /// The share of the quota at which the server warns, from 0 to 1.
    pub quota_warns: Option<f64>,
    /// Of a directory: the file system that it is in, as this server sees it.
    pub disk: Option<DiskSpace>,
    /// When there is no room left, likely; null if nothing can be said, or not within ten years.
    pub full_on: Option<Timestamp>,
    /// Why nothing is said about that; null if something is.
    pub no_forecast: Option<NoForecast>,
    /// What it costs; null if its definition has no price.
    pub cost: Option<StorageCost>,
    /// What can be done.
    pub advice: Vec<StorageAdvice>,
}

impl Row for RepositoryStorage {
    const COLUMNS: &'static [&'static str] = &[
        "repository",
        "project",
        "url",
        "used.bytes",
        "used.measured",
        "growth_bytes_per_day",
        "quota_bytes",
        "disk.total_bytes",
        "disk.free_bytes",
        "full_on",
        "no_forecast",
        "cost.currency",
        "cost.month_micros",
        "cost.month_in_90_days_micros",
        "cost.restore_micros",
        "advice",
    ];
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsedStorage {
    /// Bytes: those that were found, and those that backups have stored since.
    pub bytes: u64,
    /// Bytes that the newest check or prune has found.
    pub measured_bytes: u64,
    /// When that was.
    pub measured: Timestamp,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskSpace {
    /// Its bytes.
    pub total_bytes: u64,
    /// Bytes that the server can write.
    pub free_bytes: u64,
}

/// Why nothing is said about when there is no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoForecast {
    /// The runs in the history are of less than a week.
    TooLittleHistory,
    /// It doesn't grow.
    DoesNotGrow,
    /// There is neither a quota nor a file system whose space is known.
    NoLimit,
    /// No check or prune has found how much is stored.
    NotMeasured,
    /// There is room for more than ten years.
    BeyondTenYears,
}

/// What a repository costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageCost {
    /// The currency, for people.
    pub currency: String,
    /// The price of a gigabyte for a month; null if none is defined.
    pub storage_per_gb_month_micros: Option<u64>,
    /// The price of a gigabyte that is read; null if none is defined.
    pub egress_per_gb_micros: Option<u64>,
    /// A month of what is stored now.
    pub month_micros: Option<u64>,
    /// A month of what is stored in 90 days, if it grows like this.
    pub month_in_90_days_micros: Option<u64>,
    /// Reading all that is stored once, as a restore of everything does.
    pub restore_micros: Option<u64>,
}

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageAdvice {
    /// What.
    pub code: AdviceCode,
    /// How urgent it is.
    pub urgency: AdviceUrgency,
    /// How much: days for `no_check`, `no_prune` and `full_soon`, bytes for `unused_space`, thousandths for `quota_near`, `disk_near` and
    /// `one_plan_grows`. Null where there is no number.
    pub value: Option<u64>,
    /// The plan that it is about.
    pub plan: Option<String>,
    /// For people.
    pub text: String,
}

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdviceCode {
    /// Check it: no check ended well for a long time, or none ever did.
    NoCheck,
    /// Prune it: no snapshot needs much of what is stored.
    UnusedSpace,
    /// Prune it, or give it a prune that has a schedule: nothing has removed what forgotten snapshots needed for a long time.
    NoPrune,
    /// Raise the quota or keep less: it is used nearly or wholly.
    QuotaNear,
    /// Make room: the file system is nearly full.
    DiskNear,
    /// Make room or keep less: it is full within 30 days if it grows like this.
    FullSoon,
    /// Look at that plan: most of the growth is its.
    OnePlanGrows,
}

/// How urgent something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdviceUrgency {
    /// It is good to know.
    Low,
    /// It should be done soon.
    Medium,
    /// Backups will fail, or can't be trusted.
    High,
}

/// When a repository is full, and from what that follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StorageForecast {
    /// What the list of storage says of it.
    #[serde(flatten)]
    pub storage: RepositoryStorage,
    /// By what `growth_bytes_per_day` and `full_on` were found.
    pub growth: Vec<GrowthWindow>,
    /// What limits it; the one that is reached first. Null if nothing does.
    pub limit: Option<StorageLimit>,
    /// How much was stored at the end of each day, the earliest first, at most 90: as checks and prunes have found it, and
    /// backups have added to that.
    pub days: Vec<StorageDay>,
    /// What its plans have added in the newest 90 days, the most first.
    pub plans: Vec<PlanGrowth>,
}

/// How fast a repository grew in the newest days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrowthWindow {
    /// How many days: 30 or 90.
    pub days: u32,
    /// Of how many of them there are figures.
    pub days_known: u32,
    /// Bytes in a day: the median of the slopes between all pairs of days that are a week apart or more (Theil-Sen).
    pub bytes_per_day: i64,
    /// One of ten such slopes is lower than this.
    pub bytes_per_day_low: i64,
    /// One of ten such slopes is higher than this.
    pub bytes_per_day_high: i64,
    /// When there is no room left at that pace; null if it isn't within ten years.
    pub full_on: Option<Timestamp>,
    /// When that is at the earliest: at the higher pace.
    pub full_on_earliest: Option<Timestamp>,
    /// When that is at the latest: at the lower pace.
    pub full_on_latest: Option<Timestamp>,
}

/// What limits a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageLimit {
    /// What it is.
    pub kind: LimitKind,
    /// How many bytes can be stored before it is reached.
    pub left_bytes: u64,
}

/// What limits a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Its quota.
    Quota,
    /// The file system that it is in.
    Disk,
}

/// How much was stored at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StorageDay {
    /// When the day ends, in the server's time zone; of today, now.
    pub at: Timestamp,
    /// Bytes; those that were never measured are missing in all of them alike.
    pub bytes: u64,
    /// Bytes that backups have stored on that day.
    pub added_bytes: u64,
    /// Whether a check or prune on that day has found how much is stored.
    pub measured: bool,
}

/// What a plan has added to a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanGrowth {
    /// The plan.
    pub plan: String,
    /// Bytes that it has stored in the newest 30 days.
    pub stored_bytes_30_days: u64,
    /// Bytes that it has stored in the newest 90 days.
    pub stored_bytes_90_days: u64,
    /// Its share of what all plans have stored in the newest 90 days, from 0 to 1.
    pub share: f64,
}

/// What a prune of a repository would do, as it was last found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PrunePreview {
    /// The repository.
    pub repository: String,
    /// Whether the server is finding it out: ask again in some seconds.
    pub working: bool,
    /// Since when it is.
    pub working_since: Option<Timestamp>,
    /// When what follows was found; null before it was.
    pub found: Option<Timestamp>,
    /// What a prune would do.
    pub plan: Option<PrunePlan>,
    /// Why it couldn't be found the last time.
    pub error: Option<String>,
}

/// What a prune would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrunePlan {
    /// Packs before.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that nothing needs, and that are removed.
    pub unused_packs: u64,
    /// Their bytes.
    pub unused_bytes: u64,
    /// Packs with little that is needed, and that are rewritten.
    pub rewrite_packs: u64,
    /// Their bytes.
    pub rewrite_bytes: u64,
    /// What of that is needed, and stays in new packs.
    pub rewrite_needed_bytes: u64,
    /// Packs of backups that are at work, which stay.
    pub running_packs: u64,
    /// Their bytes.
    pub running_bytes: u64,
    /// Bytes of packs afterwards.
    pub bytes_after: u64,
    /// What it frees.
    pub freed_bytes: u64,
    /// What no snapshot needs and stays, in packs that aren't worth the rewriting.
    pub waste_bytes: u64,
    /// About how many requests it takes.
    pub requests: u64,
}

/// Whether a preview may be old.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PrunePreviewQuery {
    /// How old it may be, in seconds. The server finds out again what is older, which can take minutes.
    #[param(minimum = 0, maximum = 31_536_000, default = 3600)]
    pub max_age_s: Option<u64>,
}
