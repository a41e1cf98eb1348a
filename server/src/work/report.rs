//! What came of a run of a plan.

use keepfast_config::model::hook::Moment;
use keepfast_operations::OperationsError;
use keepfast_operations::hooks::HookEnded;
use keepfast_operations::reports::{BackupReport, ForgetReport};
use serde::Serialize;

/// What came of a run, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It did its work, and found something that a person should look at.
    Findings,
    /// It did not do its work.
    Failed,
    /// Someone ended it.
    Cancelled,
}

/// What came of a run of a plan. As JSON it is the document that the state keeps, and that `--json` prints.
#[derive(Debug, Serialize)]
pub struct PlanReport {
    /// The plan.
    pub plan: String,
    /// What came of it, in a word.
    pub verdict: Verdict,
    /// Why it didn't do its work.
    pub error: Option<String>,
    /// How often something should be looked at: entries that were skipped, damaged objects, hooks that failed,
    /// retention that couldn't be done.
    pub findings: u64,
    /// What the backup did; null if there was none.
    pub backup: Option<BackupReport>,
    /// What retention did; null if the plan has none, or it wasn't its turn.
    pub retention: Option<ForgetReport>,
    /// The hooks that ran, in their order.
    pub hooks: Vec<HookDocument>,
    /// What should be looked at and isn't an entry or an object: hooks that failed, retention that couldn't be done.
    pub problems: Vec<String>,
    /// The error that made it fail, if an operation failed.
    #[serde(skip)]
    pub failure: Option<OperationsError>,
}

impl PlanReport {
    /// Of a run that couldn't begin.
    #[must_use]
    pub fn failed(plan: &str, error: &str) -> Self {
        Self { error: Some(error.to_owned()), ..Self::new(plan) }
    }

    pub(super) fn new(plan: &str) -> Self {
        Self {
            plan: plan.to_owned(),
            verdict: Verdict::Failed,
            error: None,
            findings: 0,
            backup: None,
            retention: None,
            hooks: Vec::new(),
            problems: Vec::new(),
            failure: None,
        }
    }
}

/// A hook that ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookDocument {
    /// When it runs.
    pub on: &'static str,
    /// Its program.
    pub program: String,
    /// How long it took, in seconds; null if it didn't end by itself.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl HookDocument {
    pub(super) fn ended(moment: Moment, ended: &HookEnded) -> Self {
        Self { on: moment.word(), program: ended.program.clone(), seconds: Some(ended.seconds), error: None }
    }

    pub(super) fn failed(moment: Moment, program: &str, error: &str) -> Self {
        Self { on: moment.word(), program: program.to_owned(), seconds: None, error: Some(error.to_owned()) }
    }
}
