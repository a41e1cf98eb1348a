//! How those metrics are read from an observation that take more than a field.

use crate::metrics::observation::{
    DrillObservation, DrillVerdict, Observation, PlanObservation, RunObservation, ServerObservation, Verdict,
};
use crate::metrics::sample::{Number, Samples, each, one, perhaps};

/// A value of the newest run: 0 before there is one, so that the metric exists from the plan's birth.
pub fn of_last_run<N: Into<Number>>(plan: &PlanObservation, value: fn(&RunObservation) -> N) -> Samples {
    one(plan.last_run.as_ref().map_or(Number::Whole(0), |run| value(run).into()))
}

/// 1 for the verdict of the newest run, and 0 for the others.
pub fn last_verdict(plan: &PlanObservation) -> Samples {
    let last = plan.last_run.map(|run| run.verdict);
    each(Verdict::ALL.map(|verdict| (verdict.name(), last == Some(verdict))))
}

/// All verdicts, from 0: a counter that begins with 1 shows no increase when it appears.
pub fn runs(plan: &PlanObservation) -> Samples {
    each(Verdict::ALL.map(|verdict| (verdict.name(), plan.runs.of(verdict))))
}

/// The share of the snapshot's bytes that the repository had before. A run without data adds nothing.
pub fn deduplication(run: &RunObservation) -> Number {
    if run.source_bytes == 0 {
        return Number::Real(1.0);
    }
    // Shares need no more digits than a float has.
    let new_share = run.new_bytes as f64 / run.source_bytes as f64;
    Number::Real((1.0 - new_share).clamp(0.0, 1.0))
}

/// A value of the plan's drills, if it has any.
pub fn of_drill<N: Into<Number>>(plan: &PlanObservation, value: fn(&DrillObservation) -> N) -> Samples {
    perhaps(plan.drill.as_ref().map(value))
}

/// 1 for the verdict of the newest drill, and 0 for the others.
pub fn last_drill_verdict(plan: &PlanObservation) -> Samples {
    let of = |drill: DrillObservation| {
        each(DrillVerdict::ALL.map(|verdict| (verdict.name(), drill.last_verdict == Some(verdict))))
    };
    plan.drill.map(of).unwrap_or_default()
}

/// All verdicts of drills, from 0.
pub fn drills(plan: &PlanObservation) -> Samples {
    let of = |drill: DrillObservation| {
        each(DrillVerdict::ALL.map(|verdict| (verdict.name(), drill.drills.of(verdict))))
    };
    plan.drill.map(of).unwrap_or_default()
}

/// A value of the server, if there is one.
pub fn of_server<N: Into<Number>>(all: &Observation, value: fn(&ServerObservation) -> N) -> Samples {
    perhaps(all.server.as_ref().map(value))
}
