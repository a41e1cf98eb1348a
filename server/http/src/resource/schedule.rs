//! What is due, and when a schedule would run.

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::overview::{PreviewQuery, UpcomingRun};
use keepfast_api::plan::UpcomingSlot;
use keepfast_schedule::cron::Cron;
use keepfast_schedule::plan::JitterSeed;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::zone::Zone;
use keepfast_server::daemon::jobs::{self, Job};
use keepfast_store::HostId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::plans;
use crate::answer::{Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Query;
use crate::state::{Api, Shared};

/// How far the schedule looks ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Runs of one schedule that are shown, at most.
const OF_EACH_MAX: usize = 200;
const PREVIEW_USUAL: u32 = 10;
const PREVIEW_MAX: u32 = 100;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(schedule)).routes(routes!(schedule_preview))
}

/// What is due in the next seven days, soonest first.
#[utoipa::path(get, path = "/schedule", tag = "plans", params(PageQuery),
    responses((status = 200, body = List<UpcomingRun>)))]
async fn schedule(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let plans = plans::seen(&api, &caller).await?;
    let upcoming = upcoming(&api, &caller, &plans, api.now(), AHEAD, OF_EACH_MAX)?;
    pages.of_all("schedule", upcoming).await
}

/// The next instants of a cron expression, and what changes of the clock do to them.
#[utoipa::path(get, path = "/schedule/preview", tag = "plans", params(PreviewQuery),
    responses((status = 200, body = List<UpcomingSlot>)))]
async fn schedule_preview(
    State(api): State<Shared>,
    _: Caller,
    Query(wanted): Query<PreviewQuery>,
    pages: Pages,
) -> Result<Listed> {
    let invalid = |why: &dyn std::fmt::Display| Failure::unprocessable(&why.to_string());
    let count = wanted.count.unwrap_or(PREVIEW_USUAL);
    if !(1..=PREVIEW_MAX).contains(&count) {
        let detail = format!("`count` is a number from 1 to {PREVIEW_MAX}.");
        return Err(Failure::new(ErrorCode::InvalidRequest, detail));
    }
    let zone = wanted.zone.unwrap_or_else(|| api.config().server.value.timezone.0.clone());
    let zone = Zone::named(&zone, jiff::tz::db()).map_err(|error| invalid(&error))?;
    let cron = wanted.cron.parse::<Cron>().map_err(|error| invalid(&error))?;
    let now = api.now();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let slots = Schedule::calendar(cron, zone).next_slots(now, now, count);
    pages.of_all("schedule-preview", slots.into_iter().map(convert::upcoming_slot).collect()).await
}

/// What is due in a time, soonest first.
pub fn upcoming(
    api: &Api,
    caller: &Caller,
    plans: &[plans::Seen],
    now: Timestamp,
    ahead: SignedDuration,
    of_each_max: usize,
) -> Result<Vec<UpcomingRun>> {
    let config = api.config();
    let host = HostId::new(&*api.inside.around.host)?;
    let until = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let mut upcoming = Vec::new();
    for scheduled in jobs::all(&config, JitterSeed(0), &host).scheduled.into_iter().filter(|job| job.enabled)
    {
        let of_server = || config.server.value.timezone.0.clone();
        let (plan, repository, zone, anchor) = match &scheduled.job {
            Job::Backup { plan } => {
                let Some(seen) = plans.iter().find(|seen| seen.plan.plan == *plan) else { continue };
                let plans::Seen { plan, anchor } = seen;
                if plan.pause.as_ref().is_some_and(|pause| pause.until.is_none_or(|end| end > until)) {
                    continue;
                }
                (Some(plan.plan.clone()), plan.repository.clone(), plan.zone.clone(), *anchor)
            }
            // No schedule makes it.
            Job::Restore { .. } => continue,
            Job::Drill { drill } => {
                let Some(plan) = config.drills.get(drill).map(|drill| &drill.value.plan.name) else {
                    continue;
                };
                let Some(seen) = plans.iter().find(|seen| seen.plan.plan == *plan) else { continue };
                (Some(plan.clone()), seen.plan.repository.clone(), of_server(), now)
            }
            Job::Check { repository } | Job::Prune { repository } => {
                if !caller.sees(&api.repository(repository)) {
                    continue;
                }
                (None, repository.clone(), of_server(), now)
            }
        };
        let slots = scheduled.schedule.schedule.slots_between(now, until, anchor, of_each_max);
        upcoming.extend(slots.into_iter().map(|planned| UpcomingRun {
            at: planned.slot.instant(),
            kind: convert::run_kind(scheduled.job.kind()),
            plan: plan.clone(),
            repository: repository.clone(),
            zone: zone.clone(),
        }));
    }
    upcoming.sort_by_key(|run| run.at);
    Ok(upcoming)
}
