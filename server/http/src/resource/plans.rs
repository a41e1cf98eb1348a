//! Plans: how each stands to its promise, when it runs, what it is defined by, and its pause.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::plan::{HistoryPoint, LastRun, Pause, Plan, PlanDetail, PlanQuery, Schedule, SetPause};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan as DefinedPlan;
use keepfast_config::model::schedule::CatchUp;
use keepfast_server::state::instant;
use keepfast_server::status::{self, PlanStatus, View};
use keepfast_server::{definitions, runs};
use keepfast_store::{PlanId, Run, RunFilter, RunKind, RunNumber, RunState, VerdictKind};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::setting;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};

/// Slots that are shown of a plan.
const UPCOMING: usize = 10;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(plans))
        .routes(routes!(plan))
        .routes(routes!(plan_history))
        .routes(routes!(pause_plan, resume_plan))
}

/// All plans, in the order of their names.
#[utoipa::path(get, path = "/plans", tag = "plans", params(PlanQuery, PageQuery),
    responses((status = 200, body = List<Plan>)))]
async fn plans(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<PlanQuery>,
    pages: Pages,
) -> Result<Listed> {
    let PlanQuery { project, repository, standing } = wanted;
    let mut all = all(&api, &caller).await?;
    all.retain(|plan| {
        project.as_ref().is_none_or(|project| plan.project.as_ref() == Some(project))
            && repository.as_ref().is_none_or(|repository| plan.repository == *repository)
            && standing.is_none_or(|standing| plan.standing == standing)
    });
    pages.of_all("plans", all).await
}

/// A plan with its schedule and all that it is defined by.
#[utoipa::path(get, path = "/plans/{plan}", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, body = PlanDetail)))]
async fn plan(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<Document<PlanDetail>> {
    caller.must(Right::See, &api.plan(&name))?;
    let followed = api.followed();
    let (config, sources) = (&followed.config, followed.report.sources());
    let definition = definitions::plan(config, &name)?;
    let found = seen(&api, &caller).await?.into_iter().find(|seen| seen.plan.plan == name);
    let Seen { plan, anchor } = found.ok_or_else(|| Failure::not_found("plan", &name))?;
    let upcoming = status::next_slots(config, definition, anchor, api.now(), UPCOMING)?;
    let lines = config.effective.lines(&format!("plan.{name}"));
    Ok(Document::new(PlanDetail {
        plan,
        schedule: schedule(&definition.value),
        upcoming: upcoming.into_iter().map(convert::upcoming_slot).collect(),
        origin: sources.short(definition.origin),
        settings: lines.into_iter().map(|line| setting(line, sources)).collect(),
    }))
}

/// The backups of a plan as points of its history, the newest first.
#[utoipa::path(get, path = "/plans/{plan}/history", tag = "plans", params(("plan" = String, Path), PageQuery),
    responses((status = 200, body = List<HistoryPoint>)))]
async fn plan_history(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::See, &api.plan(&name))?;
    let filter =
        RunFilter { plan: Some(PlanId::new(&*name)?), kind: Some(RunKind::Backup), ..RunFilter::default() };
    pages
        .of(&format!("history-{name}"), move |before: Option<RunNumber>, size| {
            let (api, filter) = (api.clone(), filter.clone());
            async move {
                let page = api.store().reported_runs(&filter, before, size).await?;
                Ok(page.map(|(run, report)| point(&run, report.as_ref())))
            }
        })
        .await
}

/// Pause a plan, or change its pause.
#[utoipa::path(put, path = "/plans/{plan}/pause", tag = "plans", params(("plan" = String, Path)),
    request_body = SetPause, responses((status = 200, body = Pause)))]
async fn pause_plan(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    Body(pause): Body<SetPause>,
) -> Result<Document<Pause>> {
    caller.must(Right::Run, &api.plan(&name))?;
    if pause.until.is_some_and(|until| until <= api.now()) {
        return Err(Failure::new(ErrorCode::Unprocessable, "`until` has passed."));
    }
    let config = api.config();
    let reason = pause.reason.as_deref();
    runs::pause(&config, api.store(), &name, pause.until, caller.name().as_str(), reason).await?;
    api.wake();
    let after = json!({ "until": pause.until, "reason": pause.reason });
    caller.record(api.store(), "plan.pause", &format!("plan:{name}"), after).await?;
    let paused = api.store().paused_plans().await?;
    let paused = paused.iter().find(|paused| paused.plan.as_str() == name);
    let gone = || Failure::new(ErrorCode::Conflict, "Someone else has resumed the plan at this moment.");
    Ok(Document::new(convert::pause(paused.ok_or_else(gone)?)))
}

/// Let a plan go on. Nothing happens if it isn't paused.
#[utoipa::path(delete, path = "/plans/{plan}/pause", tag = "plans", params(("plan" = String, Path)),
    responses((status = 204)))]
async fn resume_plan(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<StatusCode> {
    caller.must(Right::Run, &api.plan(&name))?;
    if runs::resume(&api.config(), api.store(), &name).await? {
        api.wake();
        caller.record(api.store(), "plan.resume", &format!("plan:{name}"), Value::Null).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A plan that the caller may see.
pub struct Seen {
    /// The plan.
    pub plan: Plan,
    /// What its schedule counts from if it is one of elapsed time.
    pub anchor: Timestamp,
}

/// All plans that the caller may see, in the order of their names.
async fn all(api: &Api, caller: &Caller) -> Result<Vec<Plan>> {
    Ok(seen(api, caller).await?.into_iter().map(|seen| seen.plan).collect())
}

/// The same, with what their schedules count from.
pub async fn seen(api: &Api, caller: &Caller) -> Result<Vec<Seen>> {
    let (config, now) = (api.config(), api.now());
    let statuses = {
        let mut promises = api.promises.lock().await;
        let view = View { config: &config, store: api.store(), host: &api.inside.around.host, now };
        status::all_with(&view, &mut promises).await?
    };
    let paused = api.store().paused_plans().await?;
    let is_open = |pause: &&keepfast_store::Pause| pause.until.is_none_or(|until| instant(until) > now);
    let paused: BTreeMap<&str, Pause> =
        paused.iter().filter(is_open).map(|pause| (pause.plan.as_str(), convert::pause(pause))).collect();
    let seen = statuses.into_iter().filter(|status| caller.sees(&api.plan(&status.plan)));
    let with_definition = seen.filter_map(|status| Some((config.plans.get(&status.plan)?, status)));
    Ok(with_definition
        .map(|(definition, status)| {
            let (pause, anchor) = (paused.get(&*status.plan).cloned(), status.anchor);
            Seen { plan: one(&config, definition, status, pause), anchor }
        })
        .collect())
}

fn one(
    config: &Config,
    definition: &Definition<DefinedPlan>,
    status: PlanStatus,
    pause: Option<Pause>,
) -> Plan {
    let value = &definition.value;
    Plan {
        plan: status.plan,
        description: value.description.clone(),
        project: value.project.as_ref().map(|project| project.name.clone()),
        repository: status.repository,
        standing: convert::standing(status.standing),
        promise_s: status.promise_s,
        achieved: status.achieved,
        proven: status.proven,
        overdue_since: status.overdue_since,
        next: status.next,
        zone: config.zone(value).0.clone(),
        pause,
        last: status.last.and_then(last_run),
    }
}

fn last_run(last: status::LastRun) -> Option<LastRun> {
    Some(LastRun {
        run: last.run,
        state: convert::run_state(RunState::parse(last.state)?),
        verdict: last.verdict.and_then(VerdictKind::parse).map(convert::verdict),
        began: last.began,
        ended: last.ended,
        error: last.error,
    })
}

fn schedule(plan: &DefinedPlan) -> Option<Schedule> {
    let schedule = plan.schedule.as_ref()?;
    Some(Schedule {
        cron: schedule.cron.as_ref().map(|cron| cron.0.clone()),
        every_s: schedule.every.map(|every| every.0.as_secs()),
        jitter_s: schedule.jitter.map_or(0, |jitter| jitter.0.as_secs()),
        deadline_s: schedule.deadline.map(|deadline| deadline.0.as_secs()),
        catches_up: schedule.catch_up == CatchUp::Once,
    })
}

fn point(run: &Run, report: Option<&Value>) -> HistoryPoint {
    let summary = report.and_then(|report| report.pointer("/backup/summary"));
    let number = |name: &str| summary.and_then(|summary| summary.get(name)).and_then(Value::as_u64);
    let files = ["files_new", "files_changed", "files_unchanged"].map(number);
    HistoryPoint {
        run: run.id.to_string(),
        trigger: convert::trigger(run.trigger),
        verdict: run.verdict.as_ref().map(|verdict| convert::verdict(verdict.kind())),
        due: instant(run.slot.map_or(run.created, |slot| slot.at)),
        slots: run.slot.map_or(1, |slot| slot.count),
        duration_s: run.started.zip(run.ended).map(|(began, ended)| seconds(instant(began), instant(ended))),
        files: summary.map(|_| files.into_iter().flatten().sum()),
        bytes: number("bytes_total"),
        new_bytes: number("bytes_new"),
        stored_bytes: number("bytes_stored"),
        skipped: number("skipped"),
    }
}

/// How long something took; 0 if the clock was set back meanwhile.
fn seconds(began: Timestamp, ended: Timestamp) -> f64 {
    ended.duration_since(began).as_secs_f64().max(0.0)
}
