//! Runs: what has run, what is to run, and what people ask of them.

use axum::extract::State;
use axum::http::HeaderMap;
use keepfast_access::role::Right;
use keepfast_api::approval::Approval;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::run::{Attempt, CancelOutcome, Cancelled, Run, RunDetail, RunQuery, StartRun};
use keepfast_api::session::SignedInBy;
use keepfast_server::daemon::jobs::Job;
use keepfast_server::state::{instant, stored};
use keepfast_server::{connect, definitions, drills, runs};
use keepfast_store::{
    Fingerprint, HostId, PageSize, PlanId, RepositoryId, Run as StoredRun, RunFilter, RunId, RunKind,
    RunNumber, Trigger, Verdict, VerdictKind,
};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::restores::{self, Intervention};
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::deeds::{self, Deed, Outcome};
use crate::guard::Caller;
use crate::once::run_id;
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};

/// Runs of one lineage that are shown, at most.
const ATTEMPTS_MAX: usize = 100;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list_runs, start_run))
        .routes(routes!(run))
        .routes(routes!(cancel_run))
        .routes(routes!(retry_run))
}

/// The runs, those that were stored last first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunQuery, PageQuery),
    responses((status = 200, body = List<Run>)))]
async fn list_runs(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<RunQuery>,
    pages: Pages,
) -> Result<Listed> {
    let filter = filter(wanted)?;
    pages
        .of("runs", move |before: Option<RunNumber>, size| {
            let (api, filter, caller) = (api.clone(), filter.clone(), caller.clone());
            async move {
                let page = api.store().runs(&filter, before, size).await?;
                let now = api.now();
                Ok(page.only(|run| caller.sees(&api.about(run))).map(|run| convert::run(&run, now)))
            }
        })
        .await
}

/// Start a backup, a check, a prune or a drill.
///
/// It waits until a server has room for it.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = StartRun,
    responses((status = 202, body = Run),
        (status = 200, body = Approval, description = "A second person is asked, and nothing has begun")))]
async fn start_run(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(wanted): Body<StartRun>,
) -> Result<Outcome<Run>> {
    let (job, on, right) = match &wanted {
        StartRun::Backup { plan } => (Job::Backup { plan: plan.clone() }, api.plan(plan), Right::Run),
        StartRun::Check { repository } => {
            (Job::Check { repository: repository.clone() }, api.repository(repository), Right::Run)
        }
        StartRun::Prune { repository } => {
            (Job::Prune { repository: repository.clone() }, api.repository(repository), Right::Prune)
        }
        StartRun::Drill { drill } => {
            let plan = definitions::drill(&api.config(), drill)?.value.plan.name.clone();
            (Job::Drill { drill: drill.clone() }, api.plan(&plan), Right::Run)
        }
    };
    caller.must(right, &on)?;
    if let StartRun::Prune { repository } = &wanted {
        let deed = Deed::Prune { repository: repository.clone() };
        if deed.needs_second(&api) {
            connect::definition(&api.config(), repository)?;
            return Ok(Outcome::Asked(Box::new(Document::new(deeds::ask(&api, &caller, &deed).await?))));
        }
    }
    let id = run_id(&headers, &caller, "start")?;
    Ok(Outcome::Done(Document::accepted(begin(&api, &caller, &job, id).await?)))
}

/// Queues a run, with or without a second person.
pub async fn begin(api: &Shared, caller: &Caller, job: &Job, id: RunId) -> Result<Run> {
    let trigger = match caller.by() {
        SignedInBy::Session => Trigger::Manual,
        SignedInBy::Token => Trigger::Api,
    };
    let config = api.config();
    let run = runs::start(&config, api.store(), job, &api.inside.around.host, trigger, id).await?;
    if Job::of(&run).as_ref() != Some(job) {
        return Err(reused());
    }
    api.wake();
    caller.record(api.store(), "run.start", &job.text(), json!({ "run": run.id })).await?;
    Ok(convert::run(&run, api.now()))
}

/// A run with its report, and the runs that repeat it.
#[utoipa::path(get, path = "/runs/{run}", tag = "runs", params(("run" = String, Path)),
    responses((status = 200, body = RunDetail)))]
async fn run(State(api): State<Shared>, caller: Caller, Name(id): Name) -> Result<Document<RunDetail>> {
    let found = find(&api, &caller, &id).await?;
    let lineage = RunFilter { root: Some(found.root.clone()), ..RunFilter::default() };
    let lineage = api.store().runs(&lineage, None, PageSize::at_most(ATTEMPTS_MAX)).await?.rows;
    let attempts = lineage.iter().rev().map(|run| Attempt {
        run: run.id.to_string(),
        attempt: run.attempt,
        state: convert::run_state(run.state),
        verdict: run.verdict.as_ref().map(|verdict| convert::verdict(verdict.kind())),
        ended: run.ended.map(instant),
    });
    let mut report = api.store().run_report(&found.id).await?;
    if found.kind == RunKind::Drill && !caller.may(Right::SeeNames, &api.about(&found)) {
        report.iter_mut().for_each(drills::without_names);
    }
    if found.kind == RunKind::Restore && !caller.may(Right::SeeNames, &api.about(&found)) {
        report.iter_mut().for_each(convert::restores::without_names);
    }
    Ok(Document::new(RunDetail {
        report,
        attempts: attempts.collect(),
        good_before: good_before(&api, &found).await?.map(|run| run.id.to_string()),
        run: convert::run(&found, api.now()),
    }))
}

/// End a run, or ask for that.
#[utoipa::path(post, path = "/runs/{run}/cancel", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = Cancelled)))]
async fn cancel_run(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
) -> Result<Document<Cancelled>> {
    let run = find(&api, &caller, &id).await?;
    must(&api, &caller, &run, Intervention::Cancel).await?;
    let outcome = match runs::cancel(api.store(), &run.id).await? {
        runs::Cancelled::Ended => CancelOutcome::Ended,
        runs::Cancelled::Asked => CancelOutcome::Asked,
        runs::Cancelled::Over => CancelOutcome::Over,
    };
    api.wake();
    caller.record(api.store(), "run.cancel", &format!("run:{}", run.id), Value::Null).await?;
    Ok(Document::accepted(Cancelled { run: run.id.to_string(), outcome }))
}

/// Do again what a run was to do.
#[utoipa::path(post, path = "/runs/{run}/retry", tag = "runs", params(("run" = String, Path)),
    responses((status = 202, body = Run),
        (status = 200, body = Approval, description = "A second person is asked, and nothing has begun")))]
async fn retry_run(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
    headers: HeaderMap,
) -> Result<Outcome<Run>> {
    let run = find(&api, &caller, &id).await?;
    must(&api, &caller, &run, Intervention::Repeat).await?;
    if let Some(Job::Prune { repository }) = Job::of(&run) {
        let deed = Deed::PruneAgain { repository, run: run.id.to_string() };
        if deed.needs_second(&api) {
            return Ok(Outcome::Asked(Box::new(Document::new(deeds::ask(&api, &caller, &deed).await?))));
        }
    }
    let id = run_id(&headers, &caller, "retry")?;
    Ok(Outcome::Done(Document::accepted(begin_again(&api, &caller, &run, id).await?)))
}

/// Queues what a run was to do, with or without a second person.
pub async fn begin_again(api: &Shared, caller: &Caller, run: &StoredRun, id: RunId) -> Result<Run> {
    let queued = runs::retry_as(api.store(), run, id).await?;
    api.wake();
    let object = format!("run:{}", run.id);
    caller.record(api.store(), "run.retry", &object, json!({ "run": queued.id })).await?;
    Ok(convert::run(&queued, api.now()))
}

/// A run by its whole id, if the caller may see it.
pub async fn find(api: &Api, caller: &Caller, id: &str) -> Result<StoredRun> {
    let missing = || Failure::not_found("run", id);
    let found = api.store().run(&RunId::new(id).map_err(|_| missing())?).await?.ok_or_else(missing)?;
    if caller.sees(&api.about(&found)) { Ok(found) } else { Err(missing()) }
}

/// Refuses to start or end such a run to those that may not.
async fn must(api: &Api, caller: &Caller, run: &StoredRun, intervention: Intervention) -> Result<()> {
    let right = match run.kind {
        RunKind::Restore => return restores::must(api, caller, run, intervention).await,
        RunKind::Prune => Right::Prune,
        _ => Right::Run,
    };
    caller.must(right, &api.about(run))
}

async fn good_before(api: &Api, run: &StoredRun) -> Result<Option<StoredRun>> {
    let Some(plan) = &run.subject.plan else { return Ok(None) };
    let mut newest: Option<StoredRun> = None;
    for verdict in [VerdictKind::Ok, VerdictKind::Findings] {
        let filter = RunFilter {
            plan: Some(plan.clone()),
            kind: Some(run.kind),
            verdict: Some(verdict),
            ..RunFilter::default()
        };
        let found = api.store().runs(&filter, Some(run.number), PageSize::at_most(1)).await?.rows.pop();
        let is_newer = |found: &StoredRun| newest.as_ref().is_none_or(|newest| found.number > newest.number);
        if let Some(found) = found.filter(is_newer) {
            newest = Some(found);
        }
    }
    Ok(newest.filter(|run| matches!(run.verdict, Some(Verdict::Ok | Verdict::Findings))))
}

fn filter(wanted: RunQuery) -> Result<RunFilter> {
    let RunQuery { plan, repository, host, kind, verdict, fingerprint, open, from, until } = wanted;
    Ok(RunFilter {
        plan: plan.map(PlanId::new).transpose()?,
        repository: repository.map(RepositoryId::new).transpose()?,
        host: host.map(HostId::new).transpose()?,
        kind: kind.map(convert::stored_kind),
        verdict: verdict.map(convert::stored_verdict),
        fingerprint: fingerprint.map(Fingerprint::new).transpose()?,
        root: None,
        drill: None,
        open_only: open.unwrap_or(false),
        upkeep_only: false,
        due_from: from.map(stored),
        due_until: until.map(stored),
    })
}

fn reused() -> Failure {
    Failure::new(ErrorCode::IdempotencyKeyReused, "Use another key for another run.")
}
