//! What metrics are made of: everything that there is to tell at one moment.

use std::time::Duration;

use jiff::Timestamp;

/// Everything that there is to tell at one moment.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The moment.
    pub at: Timestamp,
    /// Plans, one for each host that they run on.
    pub plans: Vec<PlanObservation>,
    /// Repositories.
    pub repositories: Vec<RepositoryObservation>,
    /// Targets of notifications.
    pub targets: Vec<TargetObservation>,
    /// The server; none if one plan was run without it.
    pub server: Option<ServerObservation>,
}

/// A plan on one host.
#[derive(Debug, Clone)]
pub struct PlanObservation {
    /// Its name.
    pub plan: String,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// The repository that it writes to first.
    pub repository: String,
    /// The host whose data it backs up.
    pub host: String,
    /// When the plan first was in the configuration.
    pub added: Timestamp,
    /// The age that its newest good snapshot may have at most; none if it runs only when it is told to.
    pub promise: Option<Duration>,
    /// When the newest run began that ended as `ok` or `findings`.
    pub last_success: Option<Timestamp>,
    /// The newest run that ended.
    pub last_run: Option<RunObservation>,
    /// By how much the promise is broken; none while it is kept.
    pub overdue_by: Option<Duration>,
    /// When it runs next; none if no run is due, as while it is paused.
    pub next_slot: Option<Timestamp>,
    /// Whether it is paused.
    pub paused: bool,
    /// Anomalies that no one has accepted yet.
    pub open_anomalies: u64,
    /// Whether retention removes nothing until an anomaly is accepted.
    pub retention_paused: bool,
    /// Runs that ended, since the plan was added.
    pub runs: RunCounts,
    /// Its drills, if it has any.
    pub drill: Option<DrillObservation>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It did everything.
    Ok,
    /// It finished, and something needs a look: files that couldn't be read, damage.
    Findings,
    /// It failed.
    Failed,
    /// It never began, though its time had come.
    Missed,
    /// It was left out for a reason, as while the plan is paused.
    Skipped,
    /// It was cancelled.
    Cancelled,
    /// Its process died or was cut off.
    Lost,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Findings, Self::Failed, Self::Missed, Self::Skipped, Self::Cancelled, Self::Lost];

    /// Its name in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Findings => "findings",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Those that did everything.
    pub ok: u64,
    /// Those that finished with findings.
    pub findings: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that never began.
    pub missed: u64,
    /// Those that were left out for a reason.
    pub skipped: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// Those whose process died.
    pub lost: u64,
}

impl RunCounts {
    /// Those with this verdict.
    #[must_use]
    pub const fn of(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::Ok => self.ok,
            Verdict::Findings => self.findings,
            Verdict::Failed => self.failed,
            Verdict::Missed => self.missed,
            Verdict::Skipped => self.skipped,
            Verdict::Cancelled => self.cancelled,
            Verdict::Lost => self.lost,
        }
    }
}

/// A run that ended. A run that never began has zeros.
#[derive(Debug, Clone, Copy)]
pub struct RunObservation {
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub verdict: Verdict,
    /// How long it took.
    pub duration: Duration,
    /// Bytes of everything that is in its snapshot.
    pub source_bytes: u64,
    /// Bytes that it read, because they could have changed.
    pub read_bytes: u64,
    /// Bytes of these that the repository didn't have.
    pub new_bytes: u64,
    /// Bytes that it added to the store, after compression.
    pub stored_bytes: u64,
    /// Files in its snapshot.
    pub files: u64,
    /// Findings: files that couldn't be read, damage.
    pub findings: u64,
}

/// How a drill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrillVerdict {
    /// The backup was restored and is what it should be.
    Passed,
    /// The backup couldn't be restored, or isn't what it should be.
    Failed,
    /// The drill couldn't be carried out, which says nothing about the backup.
    NotTested,
}

impl DrillVerdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::NotTested];

    /// Its name in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotTested => "not_tested",
        }
    }
}

/// How many drills ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrillCounts {
    /// Those that passed.
    pub passed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that couldn't be carried out.
    pub not_tested: u64,
}

impl DrillCounts {
    /// Those with this verdict.
    #[must_use]
    pub const fn of(&self, verdict: DrillVerdict) -> u64 {
        match verdict {
            DrillVerdict::Passed => self.passed,
            DrillVerdict::Failed => self.failed,
            DrillVerdict::NotTested => self.not_tested,
        }
    }
}

/// The drills of a plan.
#[derive(Debug, Clone, Copy)]
pub struct DrillObservation {
    /// The age that the newest proof may have at most, if the plan promises that.
    pub promise: Option<Duration>,
    /// When the newest drill ended that passed.
    pub last_passed: Option<Timestamp>,
    /// How the newest drill ended, if there was one.
    pub last_verdict: Option<DrillVerdict>,
    /// How long the newest restore took that passed.
    pub restore_duration: Option<Duration>,
    /// How many ended how, since the plan was added.
    pub drills: DrillCounts,
}

/// A repository.
#[derive(Debug, Clone)]
pub struct RepositoryObservation {
    /// Its name.
    pub repository: String,
    /// The project that it belongs to.
    pub project: Option<String>,
    /// When it first was in the configuration.
    pub added: Timestamp,
    /// Bytes that it takes in its store, if they were ever counted.
    pub size_bytes: Option<u64>,
    /// Bytes that it may take, if there is a limit.
    pub quota_bytes: Option<u64>,
    /// Snapshots in it, if they were ever listed.
    pub snapshots: Option<u64>,
    /// Whether the last attempt to reach it failed.
    pub unreachable: bool,
    /// Its checks, if any are planned.
    pub check: Option<CheckObservation>,
}

/// The checks of a repository.
#[derive(Debug, Clone, Copy)]
pub struct CheckObservation {
    /// The age that the newest check may have at most.
    pub promise: Duration,
    /// When the newest check ended that went through, whatever it found.
    pub last_finished: Option<Timestamp>,
    /// What that one found.
    pub findings: u64,
}

/// A target of notifications.
#[derive(Debug, Clone)]
pub struct TargetObservation {
    /// Its name.
    pub target: String,
    /// Deliveries that are waiting for their next attempt.
    pub waiting: u64,
    /// Deliveries that were given up since one last arrived.
    pub undeliverable: u64,
}

/// The server.
#[derive(Debug, Clone)]
pub struct ServerObservation {
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether the newest state of the configuration's files is valid, and so in force.
    pub config_valid: bool,
    /// Jumps of the clock since the server started.
    pub clock_jumps: u64,
    /// Runs that wait.
    pub queued_runs: u64,
    /// Runs that are under way.
    pub active_runs: u64,
}
