//! What a policy of retention will do.

use keepfast_engine::run::Troubles;
use keepfast_format::node::Timestamp;
use serde::{Serialize, Serializer};

use super::{DecisionDocument, FreedReport, SizeDocument};
use crate::times::{rfc3339, serialize_rfc3339};

/// What a policy says now, and what it will do.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastReport {
    /// The snapshots that there are, with what the policy says about each now, and when it will go.
    pub snapshots: Vec<ForecastedSnapshot>,
    /// What comes of a limit of size now; null if there is none.
    pub size: Option<SizeDocument>,
    /// Why nothing would go now, if too much would.
    pub braked_now: Option<String>,
    /// Why nothing will go from some coming run on, if too much would.
    pub braked_later: Option<String>,
    /// How many coming runs were imagined.
    pub runs: usize,
    /// When the last of them is.
    #[serde(serialize_with = "serialize_optional")]
    pub until: Option<Timestamp>,
    /// What is freed by what goes at the next run.
    pub frees_next_run: FreedReport,
    /// What is freed by all that goes until then.
    pub frees_in_all: FreedReport,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What a policy says now, and when snapshots will go.
#[derive(Debug, Clone)]
pub struct KeepingReport {
    /// The snapshots that there are.
    pub snapshots: Vec<ForecastedSnapshot>,
    /// When the last of the coming runs is that were imagined.
    pub until: Option<Timestamp>,
    /// What was found damaged.
    pub troubles: Troubles,
}

/// A snapshot, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForecastedSnapshot {
    /// What the policy says about it now.
    #[serde(flatten)]
    pub decision: DecisionDocument,
    /// When it will go; null if it stays as long as anyone looked ahead.
    pub goes: Option<GoesDocument>,
}

/// When a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GoesDocument {
    /// After which of the coming runs: 1 is the next.
    pub run: usize,
    /// When that begins.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub at: Timestamp,
}

fn serialize_optional<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(serializer)
}
