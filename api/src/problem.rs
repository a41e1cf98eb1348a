//! Problems, and patterns of errors.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;

/// Something that is wrong, until it isn't any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Its number.
    pub problem: u64,
    /// What it is about: `plan:www`.
    pub subject: String,
    /// What is wrong: `overdue`, `anomaly`, `quota`, `config`.
    pub kind: String,
    /// Since when.
    pub opened: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// How often it was seen.
    pub seen: u64,
    /// When it was gone; null while it is there.
    pub resolved: Option<Timestamp>,
    /// When a user said to have seen it.
    pub acknowledged: Option<Timestamp>,
    /// Which user that was.
    pub acknowledged_by: Option<String>,
    /// Until when no one wants to hear of it.
    pub muted_until: Option<Timestamp>,
    /// What there is to know about it.
    pub document: Value,
}

impl Row for Problem {
    const COLUMNS: &'static [&'static str] = &[
        "problem",
        "subject",
        "kind",
        "opened",
        "last_seen",
        "seen",
        "resolved",
        "acknowledged",
        "acknowledged_by",
        "muted_until",
        "document",
    ];
}

/// Which problems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProblemQuery {
    /// Those that are there, or those that were; the first if nothing is said.
    #[param(inline)]
    pub state: Option<ProblemState>,
    /// About this: `plan:www`.
    pub subject: Option<String>,
}

/// Whether a problem is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemState {
    /// It is.
    #[default]
    Open,
    /// It was.
    Resolved,
}

/// Mutes a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Until when.
    pub until: Timestamp,
}

/// Errors with the same cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pattern {
    /// What they have in common.
    pub fingerprint: String,
    /// Their category: `network`, `space`, `damage`.
    pub category: String,
    /// What the newest one says.
    pub message: String,
    /// What to do about errors of this category.
    pub advice: String,
    /// When the first one came.
    pub first_seen: Timestamp,
    /// When the last one came.
    pub last_seen: Timestamp,
    /// How many there were.
    pub seen: u64,
    /// On how many hosts.
    pub hosts: u32,
    /// The program's version when the first one came.
    pub first_version: String,
    /// The definitions of the run with the first one, as a hash.
    pub first_config: String,
    /// The run with the last one.
    pub last_run: String,
}

impl Row for Pattern {
    const COLUMNS: &'static [&'static str] = &[
        "fingerprint",
        "category",
        "message",
        "advice",
        "first_seen",
        "last_seen",
        "seen",
        "hosts",
        "first_version",
        "first_config",
        "last_run",
    ];
}
