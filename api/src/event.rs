//! What has happened, as it is told to programs that watch.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::run::{Progress, Verdict};

/// Something that has happened: what to load again, not the thing itself. The stream has it as the data of a message whose
/// `id` is the sequence and whose `event` is the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place: each next one has a larger number.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: `run.queued`, `run.starting`, `run.running`, `run.phase`, `run.ended`, `problem.opened`,
    /// `problem.resolved`, `plan.paused` and others.
    pub kind: String,
    /// What it is about: `plan:www`.
    pub subject: String,
    /// The run, if it is about one.
    pub run: Option<String>,
    /// The plan, if it is about one.
    pub plan: Option<String>,
    /// The repository, if it is about one.
    pub repository: Option<String>,
    /// The problem, if it is about one.
    pub problem: Option<u64>,
    /// What came of the run, if it has ended.
    pub verdict: Option<Verdict>,
}

/// How far a run is that works. The stream has it as the data of a message `run.progress` without an `id`: it isn't
/// stored, and a newer one replaces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProgressEvent {
    /// The run.
    pub run: String,
    /// Its plan.
    pub plan: Option<String>,
    /// Its repository.
    pub repository: Option<String>,
    /// What it does now.
    pub phase: Option<String>,
    /// How far it is.
    pub progress: Option<Progress>,
}

/// From where the stream begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// After this sequence; else with what happens from now on. A header `Last-Event-ID` counts for more.
    pub after: Option<u64>,
}
