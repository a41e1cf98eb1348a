//! The two-person rule: what one person asks for, and another one agrees to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// It waits for a second person.
    Open,
    /// A second person has agreed, and what was asked for hasn't begun.
    Granted,
    /// A second person has refused.
    Denied,
    /// The person who asked doesn't want it any more.
    Withdrawn,
    /// What was asked for has begun.
    Used,
    /// No one has decided in time.
    Expired,
}

/// A request for a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    pub approval: String,
    /// What is asked for: `snapshot.forget`, `snapshot.unprotect`, `snapshot.tag`, `run.start`, `run.retry`, `config.write`,
    /// `config.remove`.
    pub action: String,
    /// With what: `snapshot:main/5f0c…`, `prune:main`, `managed:www`.
    pub object: String,
    /// In a sentence.
    pub summary: String,
    /// All that matters of how: just this is done.
    pub document: Value,
    /// How far it is.
    pub state: ApprovalState,
    /// Who has asked.
    pub requested_by: String,
    /// When.
    pub requested: Timestamp,
    /// From when on nothing follows.
    pub expires: Timestamp,
    /// Who has decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<Timestamp>,
    /// What the decision said.
    pub reason: Option<String>,
    /// Whether the caller may agree and refuse.
    pub may_decide: bool,
    /// Whether the caller may withdraw it.
    pub may_withdraw: bool,
}

impl Row for Approval {
    const COLUMNS: &'static [&'static str] = &[
        "approval",
        "action",
        "object",
        "summary",
        "state",
        "requested_by",
        "requested",
        "expires",
        "decided_by",
        "decided",
        "reason",
    ];
}

/// Which requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// Only those that wait for a second person.
    pub open: Option<bool>,
}

/// Why a request is agreed to, refused or withdrawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideApproval {
    /// For other people.
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// What came of agreeing: what was asked for has been done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalDone {
    /// The request.
    pub approval: Approval,
    /// What the first person would have been answered without a second one.
    pub result: Value,
}
