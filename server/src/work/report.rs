//! What came of a run of a plan.

use std::time::Duration;

use keepfast_config::model::hook::Moment;
use keepfast_observe::errors::Category;
use keepfast_operations::OperationsError;
use keepfast_operations::error::with_causes;
use keepfast_operations::hooks::HookEnded;
use keepfast_operations::reports::{BackupReport, ForgetReport};
use keepfast_store::Figures;
use serde::{Serialize, Serializer};

use crate::error::ServerError;
use crate::failure::kinds;
use crate::idle::Idle;
use crate::usual::{AnomalyDocument, Judged};

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
    /// What kind of error that is: `network`, `credentials`, `space`, `permission`, `source`, `damage`,
    /// `configuration`, `bug`.
    #[serde(serialize_with = "serialize_category")]
    pub category: Option<Category>,
    /// The part of the run in which it failed; null if it couldn't begin.
    pub failed_in: Option<&'static str>,
    /// How often something should be looked at: entries that were skipped, damaged objects, hooks that failed,
    /// retention that couldn't be done, what is unusual.
    pub findings: u64,
    /// What the backup did; null if there was none.
    pub backup: Option<BackupReport>,
    /// What retention did; null if the plan has none, or it wasn't its turn.
    pub retention: Option<ForgetReport>,
    /// What is unusual beside the plan's good runs before.
    pub anomalies: Vec<AnomalyDocument>,
    /// Whether retention removed nothing because an anomaly is open.
    pub retention_paused: bool,
    /// The hooks that ran, in their order.
    pub hooks: Vec<HookDocument>,
    /// What should be looked at and isn't an entry or an object: hooks that failed, retention that couldn't be done.
    pub problems: Vec<String>,
    /// The error that made it fail, if an operation failed.
    #[serde(skip)]
    pub failure: Option<OperationsError>,
    /// By which code the error's pattern is known.
    #[serde(skip)]
    pub code: Option<&'static str>,
    /// What is to be stored about what is usual.
    #[serde(skip)]
    pub judged: Option<Judged>,
    /// Whether retention could not be done.
    #[serde(skip)]
    pub retention_failed: bool,
    /// That retention has removed nothing, and should have.
    #[serde(skip)]
    pub idle_retention: Option<Idle>,
}

fn serialize_category<S: Serializer>(category: &Option<Category>, serializer: S) -> Result<S::Ok, S::Error> {
    category.map(Category::name).serialize(serializer)
}

impl PlanReport {
    /// Of a run that couldn't begin.
    #[must_use]
    pub fn failed(plan: &str, error: &ServerError) -> Self {
        let kinds::Kind { code, category } = kinds::of_server(error);
        Self {
            error: Some(with_causes(error)),
            category: Some(category),
            code: Some(code),
            ..Self::new(plan)
        }
    }

    /// What the run has counted; nothing if it made no backup.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let Some(BackupReport { summary, dry_run: false, .. }) = &self.backup else {
            return Figures::default();
        };
        Figures {
            files: Some(summary.files_new + summary.files_changed + summary.files_unchanged),
            source_bytes: Some(summary.bytes_total),
            read_bytes: Some(summary.bytes_read),
            new_bytes: Some(summary.bytes_new),
            stored_bytes: Some(summary.bytes_stored),
            found_bytes: None,
        }
    }

    /// The run took longer than it may.
    pub fn too_late(&mut self, timeout: Duration) {
        self.verdict = Verdict::Failed;
        self.error = Some(format!("the run took longer than {} s and was ended", timeout.as_secs()));
        // What it has stored is used by the next try.
        (self.category, self.code) = (Some(Category::Network), Some("timeout"));
        self.failure = None;
    }

    pub(super) fn new(plan: &str) -> Self {
        Self {
            plan: plan.to_owned(),
            verdict: Verdict::Failed,
            error: None,
            category: None,
            failed_in: None,
            findings: 0,
            backup: None,
            retention: None,
            anomalies: Vec::new(),
            retention_paused: false,
            hooks: Vec::new(),
            problems: Vec::new(),
            failure: None,
            code: None,
            judged: None,
            retention_failed: false,
            idle_retention: None,
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
