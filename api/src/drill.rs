//! Drills: restores on trial, and what they have shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::list::Row;
use crate::run::Verdict;

/// What came of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillVerdict {
    /// All that was asked is as it should be.
    Pass,
    /// Something isn't.
    Fail,
    /// It couldn't be tested, which says nothing about the backup.
    NotTested,
}

/// A drill in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drill {
    /// Its name.
    pub drill: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// The plan that it proves.
    pub plan: String,
    /// The plan's repository.
    pub repository: String,
    /// When it runs, as a cron expression in the server's time zone.
    pub cron: String,
    /// Its newest run that has shown something; null if none has.
    pub last: Option<DrillRun>,
    /// When its newest run ended that passed; null if none did.
    pub passed: Option<Timestamp>,
}

impl Row for Drill {
    const COLUMNS: &'static [&'static str] = &[
        "drill",
        "description",
        "plan",
        "repository",
        "cron",
        "last.run",
        "last.verdict",
        "last.ended",
        "last.restore.measured_s",
        "last.restore.goal_s",
        "last.age.measured_s",
        "last.age.goal_s",
        "passed",
    ];
}

/// A run of a drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillRun {
    /// The run.
    pub run: String,
    /// How the run ended; null while it isn't over.
    pub outcome: Option<Verdict>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it has shown; null if it has no evidence.
    pub verdict: Option<DrillVerdict>,
    /// The snapshot that was tested.
    pub snapshot: Option<String>,
    /// From when the tested data is.
    pub of: Option<Timestamp>,
    /// How long the restore took.
    pub restore: DrillTime,
    /// How old the newest snapshot was.
    pub age: DrillTime,
    /// What was tested, and what came of each.
    pub parts: Vec<DrillPart>,
    /// What should be looked at. Empty for those who may not see the names of files.
    pub problems: Vec<String>,
    /// The snapshot that keeps the evidence; null if none does.
    pub kept: Option<String>,
}

impl Row for DrillRun {
    const COLUMNS: &'static [&'static str] = &[
        "run",
        "outcome",
        "ended",
        "verdict",
        "snapshot",
        "of",
        "restore.measured_s",
        "restore.goal_s",
        "age.measured_s",
        "age.goal_s",
        "kept",
    ];
}

/// A time that was measured, and its goal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillTime {
    /// What was measured, in seconds; null if nothing was.
    pub measured_s: Option<f64>,
    /// What it may be; null without a goal.
    pub goal_s: Option<f64>,
    /// Whether it is more.
    pub missed: bool,
}

/// A part of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillPart {
    /// What was tested: `files`, `database …`, `corruption`.
    pub name: String,
    /// What came of it.
    pub verdict: DrillVerdict,
    /// Why it failed or couldn't be tested, where no check says so.
    pub why: Option<String>,
    /// What was asked. Empty for those who may not see the names of files.
    pub checks: Vec<DrillCheck>,
}

/// A question, and whether the answer is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillCheck {
    /// What was asked.
    pub name: String,
    /// What should be found; null if any answer that isn't an error is right.
    pub expected: Option<String>,
    /// What was found.
    pub found: String,
    /// Whether that is right.
    pub right: bool,
}

/// The evidence of a drill, to be kept elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DrillEvidence {
    /// The run.
    pub run: String,
    /// The snapshot of the repository that has the same document, signed, and the log whose digest it has; null if none does.
    pub kept: Option<String>,
    /// The document, as `keepfast --json drill show` prints it.
    pub evidence: Value,
}
