//! From one crate's verdicts to another's, each in this one place.

use keepfast_observe::metrics::Verdict as Observed;
use keepfast_store::{Ending, VerdictKind};

use super::report::Verdict;

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::Ok,
            Verdict::Findings => Self::Findings,
            Verdict::Failed => Self::Failed,
            Verdict::Cancelled => Self::Cancelled,
        }
    }
}

/// A verdict of the state as metrics have it.
#[must_use]
pub const fn observed(verdict: VerdictKind) -> Observed {
    match verdict {
        VerdictKind::Ok => Observed::Ok,
        VerdictKind::Findings => Observed::Findings,
        VerdictKind::Failed => Observed::Failed,
        VerdictKind::Missed => Observed::Missed,
        VerdictKind::Skipped => Observed::Skipped,
        VerdictKind::Cancelled => Observed::Cancelled,
        VerdictKind::Lost => Observed::Lost,
    }
}
