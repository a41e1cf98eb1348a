//! Repositories as metrics.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::{CheckPlan, Repository};
use keepfast_observe::errors::Category;
use keepfast_observe::metrics::{CheckObservation, PlanObservation, RepositoryObservation};
use keepfast_schedule::cron::Cron;
use keepfast_schedule::names::PlanName;
use keepfast_schedule::plan::PlanSchedule;
use keepfast_schedule::promise::Promise;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::zone::Zone;
use keepfast_store::{PageSize, RepositoryId, Run, RunFilter, RunKind, Store, VerdictKind};
use serde_json::Value as Document;

use crate::error::{Result, ScheduleError, ServerError};
use crate::state::instant;

/// Of a repository's newest runs, this many are looked at for one that ended.
const RUNS_MAX: usize = 8;

/// All repositories that are defined.
pub async fn all(
    config: &Config,
    store: &Store,
    now: Timestamp,
    plans: &[PlanObservation],
) -> Result<Vec<RepositoryObservation>> {
    let snapshots = store.snapshot_counts().await?;
    let checks = RunFilter { kind: Some(RunKind::Check), ..RunFilter::default() };
    // Checks are rare: the newest page has the last one of each repository.
    let checks = store.runs(&checks, None, PageSize::MAX).await?.rows;
    let mut repositories = Vec::with_capacity(config.repositories.len());
    for definition in config.repositories.values() {
        let name = &definition.name;
        let id = RepositoryId::new(&**name).map_err(ServerError::name(name))?;
        let added = plans.iter().filter(|plan| plan.repository == *name).map(|plan| plan.added).min();
        let check = match &definition.value.check {
            None => None,
            Some(planned) => {
                let last = checks
                    .iter()
                    .find(|run| is_finished(run) && run.subject.repository.as_ref() == Some(&id));
                Some(check(config, definition, planned, store, last, now).await?)
            }
        };
        repositories.push(RepositoryObservation {
            repository: name.clone(),
            project: definition.value.project.as_ref().map(|project| project.name.clone()),
            // A plan that is new was born a moment after the instant that this is about.
            added: added.map_or(now, |added| added.min(now)),
            size_bytes: None,
            quota_bytes: definition.value.quota.as_ref().map(|quota| quota.size.bytes),
            snapshots: snapshots.iter().find(|count| count.repository == id).map(|count| count.snapshots),
            unreachable: is_unreachable(store, &id).await?,
            check,
        });
    }
    Ok(repositories)
}

/// Whether the newest run that ended didn't reach the repository.
async fn is_unreachable(store: &Store, repository: &RepositoryId) -> Result<bool> {
    let filter = RunFilter { repository: Some(repository.clone()), ..RunFilter::default() };
    let newest = store.runs(&filter, None, PageSize::at_most(RUNS_MAX)).await?.rows;
    // A run that never began says nothing about the repository.
    let last = newest.iter().find(|run| run.started.is_some() && run.verdict.is_some());
    let error = last.and_then(|run| run.error.as_ref());
    Ok(error.is_some_and(|error| error.category.as_str() == Category::Network.name()))
}

fn is_finished(run: &Run) -> bool {
    let verdict = run.verdict.as_ref().map(keepfast_store::Verdict::kind);
    matches!(verdict, Some(VerdictKind::Ok | VerdictKind::Findings))
}

async fn check(
    config: &Config,
    definition: &Definition<Repository>,
    planned: &CheckPlan,
    store: &Store,
    last: Option<&Run>,
    now: Timestamp,
) -> Result<CheckObservation> {
    let promise = promise(config, planned, now).map_err(|source| ServerError::Schedule {
        definition: format!("repository {}", definition.name),
        source,
    })?;
    let report = match last {
        Some(run) => store.run_report(&run.id).await?,
        None => None,
    };
    // Either a number, or a list of them.
    let findings = report.as_ref().and_then(|report| report.get("findings"));
    let findings = findings.map_or(0, |findings| match findings {
        Document::Array(list) => u64::try_from(list.len()).unwrap_or(u64::MAX),
        number => number.as_u64().unwrap_or_default(),
    });
    Ok(CheckObservation { promise, last_finished: last.and_then(|run| run.ended).map(instant), findings })
}

/// The age that the newest check may have: the longest gap between two, and the time that one takes.
fn promise(config: &Config, planned: &CheckPlan, now: Timestamp) -> Result<Duration, ScheduleError> {
    let zone = Zone::named(&config.server.value.timezone.0, jiff::tz::db())?;
    let schedule = Schedule::calendar(planned.cron.0.parse::<Cron>()?, zone.clone());
    let schedule = PlanSchedule {
        jitter: planned.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        ..PlanSchedule::new(PlanName::from("check"), schedule, zone)
    };
    Ok(Promise::of(&schedule, None, None, now).map_or(Duration::MAX, |promise| promise.within))
}
