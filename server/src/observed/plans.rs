//! Plans as metrics.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_observe::metrics::{PlanObservation, RunCounts, RunObservation, Verdict};
use keepfast_store::{
    PageSize, PlanId, PlanState, Problem, Run, RunCount, RunFilter, RunKind, Store, Subject, SubjectKind,
    UtcTime,
};
use serde_json::Value as Document;

use crate::error::{Result, ServerError};
use crate::state::{instant, stored};
use crate::status::{self, PlanStatus, StandingWord};
use crate::usual::{anomaly_of, is_anomaly};
use crate::work::verdicts::observed;

/// Of a plan's newest runs, this many may be open: one at work, one that waits, and one of each that a server has lost.
const OPEN_RUNS_MAX: usize = 8;

/// All plans that are defined.
pub async fn all(config: &Config, store: &Store, now: Timestamp, host: &str) -> Result<Vec<PlanObservation>> {
    // Also makes sure that each is known from now on.
    let statuses = status::all(config, store, now, host).await?;
    let states = store.plan_states().await?;
    let counts = store.run_counts(stored(now)).await?;
    let problems = store.open_problems().await?;
    let known = Known { config, host, now, states: &states, counts: &counts, problems: &problems };
    let mut plans = Vec::with_capacity(statuses.len());
    for status in &statuses {
        let plan = PlanId::new(&*status.plan).map_err(ServerError::name(&status.plan))?;
        let last = last_run(store, &plan).await?;
        plans.push(known.observe(status, &plan, last));
    }
    Ok(plans)
}

/// What is known of all plans.
struct Known<'k> {
    config: &'k Config,
    host: &'k str,
    now: Timestamp,
    states: &'k [PlanState],
    counts: &'k [RunCount],
    problems: &'k [Problem],
}

impl Known<'_> {
    fn observe(
        &self,
        status: &PlanStatus,
        plan: &PlanId,
        last_run: Option<RunObservation>,
    ) -> PlanObservation {
        let defined = self.config.plans.get(&status.plan).map(|definition| &definition.value);
        let added = self.states.iter().find(|state| state.plan == *plan).map(|state| instant(state.born));
        let subject = Subject::of(SubjectKind::Plan, plan.as_str());
        let anomaly = self.problems.iter().find(|problem| is_anomaly(problem) && problem.subject == subject);
        let anomaly = anomaly.map(anomaly_of);
        let may_pause =
            defined.and_then(|plan| plan.anomaly.as_ref()).is_none_or(|rules| rules.pause_retention);
        // At least one, also if the state can't say what it was.
        let open_anomalies = |found: usize| u64::try_from(found.max(1)).unwrap_or(u64::MAX);
        PlanObservation {
            plan: status.plan.clone(),
            project: defined.and_then(|plan| plan.project.as_ref()).map(|project| project.name.clone()),
            repository: status.repository.clone(),
            host: self.host.to_owned(),
            added: added.unwrap_or(self.now),
            promise: status.promise_s.map(Duration::from_secs),
            last_success: status.achieved,
            last_run,
            overdue_by: status.overdue_since.map(|since| elapsed(stored(since), stored(self.now))),
            next_slot: status.next.filter(|_| !is_idle(status.standing)),
            paused: is_idle(status.standing),
            open_anomalies: anomaly.as_ref().map_or(0, |open| open_anomalies(open.anomalies.len())),
            retention_paused: may_pause && anomaly.is_some_and(|open| open.about_data),
            runs: self.runs(plan),
            drill: None,
        }
    }

    fn runs(&self, plan: &PlanId) -> RunCounts {
        let mut counts = RunCounts::default();
        for count in self.counts.iter().filter(|count| count.plan == *plan) {
            let field = match observed(count.verdict) {
                Verdict::Ok => &mut counts.ok,
                Verdict::Findings => &mut counts.findings,
                Verdict::Failed => &mut counts.failed,
                Verdict::Missed => &mut counts.missed,
                Verdict::Skipped => &mut counts.skipped,
                Verdict::Cancelled => &mut counts.cancelled,
                Verdict::Lost => &mut counts.lost,
            };
            *field = field.saturating_add(count.runs);
        }
        counts
    }
}

/// The time between two instants; nothing if a clock was set back between them.
fn elapsed(from: UtcTime, to: UtcTime) -> Duration {
    let micros = to.as_micros().saturating_sub(from.as_micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Whether a plan runs at no time by itself: it owes nothing meanwhile.
fn is_idle(standing: StandingWord) -> bool {
    matches!(standing, StandingWord::Paused | StandingWord::Disabled)
}

/// The newest backup of a plan that ended.
async fn last_run(store: &Store, plan: &PlanId) -> Result<Option<RunObservation>> {
    let filter = RunFilter { plan: Some(plan.clone()), kind: Some(RunKind::Backup), ..RunFilter::default() };
    let newest = store.runs(&filter, None, PageSize::at_most(OPEN_RUNS_MAX)).await?.rows;
    let Some(run) = newest.into_iter().find(|run| run.verdict.is_some()) else { return Ok(None) };
    let report = store.run_report(&run.id).await?;
    Ok(of_run(&run, report.as_ref()))
}

/// A run that ended. What its report doesn't say is 0, as of a run that never began.
fn of_run(run: &Run, report: Option<&Document>) -> Option<RunObservation> {
    let (verdict, ended) = (run.verdict.as_ref()?, run.ended?);
    let number = |path: &str| {
        report.and_then(|report| report.pointer(path)).and_then(Document::as_u64).unwrap_or_default()
    };
    let summary = |field: &str| number(&format!("/backup/summary/{field}"));
    let files = ["files_new", "files_changed", "files_unchanged"].map(summary);
    Some(RunObservation {
        ended: instant(ended),
        verdict: observed(verdict.kind()),
        duration: run.started.map(|started| elapsed(started, ended)).unwrap_or_default(),
        source_bytes: summary("bytes_total"),
        read_bytes: summary("bytes_read"),
        new_bytes: summary("bytes_new"),
        stored_bytes: summary("bytes_stored"),
        files: files.into_iter().fold(0, u64::saturating_add),
        findings: number("/findings"),
    })
}
