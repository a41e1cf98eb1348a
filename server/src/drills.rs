//! What the state knows of drills: the newest of each, and when a plan was last proven.

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::drill::Drill;
use keepfast_drills::evidence::Evidence;
use keepfast_drills::verdict::Verdict;
use keepfast_store::{DrillId, PageSize, PlanId, Run, RunFilter, RunKind, Store, VerdictKind};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Result, ServerError};
use crate::state::instant;

/// Of runs of one verdict, this many are looked at for one that passed: one with findings may not have.
const LOOKED_AT: usize = 20;

/// A drill, and what came of it last.
#[derive(Debug, Clone, Serialize)]
pub struct DrillStatus {
    /// The drill.
    pub drill: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Its plan.
    pub plan: String,
    /// The plan's repository.
    pub repository: String,
    /// Its newest run that has evidence; null if there is none.
    pub last: Option<LastDrill>,
    /// When its newest run ended that passed.
    pub passed: Option<Timestamp>,
}

/// A run of a drill that has evidence.
#[derive(Debug, Clone, Serialize)]
pub struct LastDrill {
    /// The run.
    pub run: String,
    /// How the run ended.
    #[serde(skip)]
    pub outcome: Option<VerdictKind>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it has shown.
    pub evidence: Evidence,
    /// The snapshot that keeps the evidence.
    pub kept: Option<String>,
    /// What should be looked at.
    pub problems: Vec<String>,
}

/// All drills, in the order of their names.
pub async fn all(config: &Config, store: &Store) -> Result<Vec<DrillStatus>> {
    let mut all = Vec::with_capacity(config.drills.len());
    for definition in config.drills.values() {
        all.push(one(config, store, definition).await?);
    }
    Ok(all)
}

/// A drill.
pub async fn one(config: &Config, store: &Store, definition: &Definition<Drill>) -> Result<DrillStatus> {
    let drill = DrillId::new(&*definition.name).map_err(ServerError::name(&definition.name))?;
    let of_drill = RunFilter { drill: Some(drill), kind: Some(RunKind::Drill), ..RunFilter::default() };
    let newest = store.reported_runs(&of_drill, None, PageSize::at_most(LOOKED_AT)).await?.rows;
    let last = newest.iter().find_map(|(run, report)| of_report(run, report.as_ref()?));
    let plan = &definition.value.plan.name;
    let repository = config.plans.get(plan).map(|plan| plan.value.repository.name.clone());
    Ok(DrillStatus {
        drill: definition.name.clone(),
        description: definition.value.description.clone(),
        plan: plan.clone(),
        repository: repository.unwrap_or_default(),
        last,
        passed: newest_pass(store, &of_drill).await?,
    })
}

/// What a run of a drill has shown; nothing if it has no evidence.
#[must_use]
pub fn of_report(run: &Run, report: &Value) -> Option<LastDrill> {
    let problems = report.get("problems").and_then(Value::as_array).into_iter().flatten();
    Some(LastDrill {
        run: run.id.to_string(),
        outcome: run.verdict.as_ref().map(keepfast_store::Verdict::kind),
        ended: run.ended.map(instant),
        evidence: serde_json::from_value(report.get("evidence")?.clone()).ok()?,
        kept: report.get("kept").and_then(Value::as_str).map(str::to_owned),
        problems: problems.filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// Takes out of the report of a drill what names files.
pub fn without_names(report: &mut Value) {
    if let Some(fields) = report.as_object_mut() {
        for name in ["error", "problems", "evidence"] {
            fields.remove(name);
        }
    }
}

/// When a drill last showed that a plan can be restored; nothing if none did.
pub async fn proven(store: &Store, plan: &PlanId) -> Result<Option<Timestamp>> {
    newest_pass(
        store,
        &RunFilter { plan: Some(plan.clone()), kind: Some(RunKind::Drill), ..RunFilter::default() },
    )
    .await
}

async fn newest_pass(store: &Store, drills: &RunFilter) -> Result<Option<Timestamp>> {
    let mut newest = None;
    // A drill that passed has findings if it took longer than it may.
    for verdict in [VerdictKind::Ok, VerdictKind::Findings] {
        let filter = RunFilter { verdict: Some(verdict), ..drills.clone() };
        let runs = store.reported_runs(&filter, None, PageSize::at_most(LOOKED_AT)).await?.rows;
        let has_passed = |(run, report): &(Run, Option<Value>)| {
            let word = report.as_ref()?.pointer("/evidence/verdict")?.as_str()?;
            (word == Verdict::Pass.word()).then(|| run.ended.map(instant))?
        };
        newest = newest.max(runs.iter().find_map(has_passed));
    }
    Ok(newest)
}
