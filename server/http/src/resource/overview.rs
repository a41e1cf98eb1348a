//! All plans at a glance.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use keepfast_api::error::ErrorCode;
use keepfast_api::overview::{
    Cell, CellState, Matrix, MatrixQuery, MatrixRow, OpenRunCounts, OverduePlan, Overview, OverviewState,
    PlanCounts, ProblemCounts,
};
use keepfast_api::plan::{Plan, Standing};
use keepfast_api::run::Verdict;
use keepfast_server::state::{instant, stored};
use keepfast_store::{OutcomeCount, Pause};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{plans, schedule};
use crate::answer::{Document, Failure, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Query;
use crate::state::{Api, Shared};

/// How far the overview looks ahead.
const AHEAD: SignedDuration = SignedDuration::from_hours(12);
const UPCOMING_MAX: usize = 50;
const RUNNING_MAX: usize = 20;
const OVERDUE_MAX: usize = 20;
const DAYS_USUAL: u32 = 30;
const DAYS_MAX: u32 = 92;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(overview)).routes(routes!(matrix))
}

/// How all plans stand.
#[utoipa::path(get, path = "/overview", tag = "overview", responses((status = 200, body = Overview)))]
async fn overview(State(api): State<Shared>, caller: Caller) -> Result<Document<Overview>> {
    let (now, config) = (api.now(), api.config());
    let seen = plans::seen(&api, &caller).await?;
    let plans = || seen.iter().map(|seen| &seen.plan);
    let problems = api.store().open_problems().await?;
    let problems = problems.iter().filter(|problem| caller.sees(&api.subject(problem.subject.as_str())));
    let (mut open, mut unseen) = (0, 0);
    for problem in problems {
        let is_muted = problem.muted_until.is_some_and(|until| instant(until) > now);
        open += 1;
        unseen += u32::from(problem.acknowledged.is_none() && !is_muted);
    }
    let counts = counts(plans());
    let runs = api.store().open_run_counts().await?;
    let active = api.active_runs().await?;
    let running = active.iter().filter(|run| caller.sees(&api.about(run))).take(RUNNING_MAX);
    let mut overdue: Vec<OverduePlan> = plans()
        .filter_map(|plan| {
            let since = plan.overdue_since?;
            Some(OverduePlan { plan: plan.plan.clone(), since, achieved: plan.achieved })
        })
        .collect();
    overdue.sort_by_key(|plan| plan.since);
    overdue.truncate(OVERDUE_MAX);
    let mut upcoming = schedule::upcoming(&api, &caller, &seen, now, AHEAD, UPCOMING_MAX)?;
    upcoming.truncate(UPCOMING_MAX);
    Ok(Document::new(Overview {
        at: now,
        zone: config.server.value.timezone.0.clone(),
        state: match counts {
            PlanCounts { total: 0, .. } => OverviewState::Empty,
            PlanCounts { overdue: 1.., .. } => OverviewState::Overdue,
            _ if unseen > 0 => OverviewState::Problems,
            _ => OverviewState::Ok,
        },
        overdue,
        last_proven: plans().filter_map(|plan| plan.proven).max(),
        last_achieved: plans().filter_map(|plan| plan.achieved).max(),
        problems: ProblemCounts { open, unseen },
        runs: OpenRunCounts { waiting: runs.waiting, active: runs.active },
        running: running.map(|run| convert::run(run, now)).collect(),
        upcoming,
        plans: counts,
    }))
}

fn counts<'p>(plans: impl Iterator<Item = &'p Plan>) -> PlanCounts {
    let mut counts = PlanCounts::default();
    for plan in plans {
        counts.total += 1;
        let of_standing = match plan.standing {
            Standing::Ok => &mut counts.kept,
            Standing::Overdue => &mut counts.overdue,
            Standing::Running => &mut counts.catching_up,
            Standing::Paused => &mut counts.paused,
            Standing::Disabled => &mut counts.disabled,
            Standing::Manual => &mut counts.manual,
        };
        *of_standing += 1;
        counts.without_snapshot += u32::from(plan.achieved.is_none());
    }
    counts.promising = counts.kept + counts.overdue + counts.catching_up;
    counts
}

/// What came of the backups of each plan on each day.
#[utoipa::path(get, path = "/overview/matrix", tag = "overview", params(MatrixQuery),
    responses((status = 200, body = Matrix)))]
async fn matrix(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<MatrixQuery>,
) -> Result<Document<Matrix>> {
    let (now, config) = (api.now(), api.config());
    let (zone, name) = zone_of(&api, wanted.zone)?;
    let count = wanted.days.unwrap_or(DAYS_USUAL);
    if !(1..=DAYS_MAX).contains(&count) {
        let detail = format!("`days` is a number from 1 to {DAYS_MAX}.");
        return Err(Failure::new(ErrorCode::InvalidRequest, detail));
    }
    let last = wanted.last.unwrap_or_else(|| zone.to_datetime(now).date());
    let beyond = |_| Failure::unprocessable("`last` is beyond the calendar");
    let first = last.checked_sub((i64::from(count) - 1).days()).map_err(beyond)?;
    let days: Vec<Date> = first.series(1.day()).take(usize::try_from(count).unwrap_or(usize::MAX)).collect();
    let mut bounds = Vec::with_capacity(days.len() + 1);
    for day in days.iter().copied().chain([last.tomorrow().map_err(beyond)?]) {
        bounds.push(day.to_zoned(zone.clone()).map_err(beyond)?.timestamp());
    }
    let stored_bounds: Vec<_> = bounds.iter().map(|bound| stored(*bound)).collect();
    let counts = api.store().outcome_counts(&stored_bounds).await?;
    let born: BTreeMap<String, Timestamp> = api
        .store()
        .plan_states()
        .await?
        .into_iter()
        .map(|state| (state.plan.to_string(), instant(state.born)))
        .collect();
    let pauses = api.store().all_pauses_since(stored_bounds[0]).await?;
    let is_wanted = |plan: &&String| wanted.plan.as_ref().is_none_or(|wanted| wanted == *plan);
    let plans = config.plans.keys().filter(is_wanted).filter(|plan| caller.sees(&api.plan(plan)));
    let rows = plans.map(|plan| MatrixRow {
        plan: plan.clone(),
        cells: cells(plan, &bounds, &counts, born.get(plan).copied(), &pauses, now),
    });
    Ok(Document::new(Matrix { zone: name, plans: rows.collect(), days }))
}

/// The time zone that a request names, or the server's; and its name.
pub fn zone_of(api: &Api, wanted: Option<String>) -> Result<(TimeZone, String)> {
    let name = wanted.unwrap_or_else(|| api.config().server.value.timezone.0.clone());
    match TimeZone::get(&name) {
        Ok(zone) => Ok((zone, name)),
        Err(_) => Err(Failure::unprocessable(&format!("there is no time zone {name:?}"))),
    }
}

fn cells(
    plan: &str,
    bounds: &[Timestamp],
    counts: &[OutcomeCount],
    born: Option<Timestamp>,
    pauses: &[Pause],
    now: Timestamp,
) -> Vec<Cell> {
    let is_paused = |from: Timestamp, until: Timestamp| {
        pauses.iter().filter(|pause| pause.plan.as_str() == plan).any(|pause| {
            let end = pause.ended.or(pause.until).map_or(now, instant);
            instant(pause.since) < until && end > from
        })
    };
    let mut cells: Vec<Cell> = bounds
        .windows(2)
        .map(|day| {
            let state = match born {
                _ if is_paused(day[0], day[1].min(now)) => CellState::Paused,
                Some(born) if born < day[1] => CellState::NotDue,
                _ => CellState::Unborn,
            };
            Cell { state, verdicts: BTreeMap::new(), open: 0 }
        })
        .collect();
    for count in counts.iter().filter(|count| count.plan.as_str() == plan) {
        let Some(cell) = cells.get_mut(count.part) else { continue };
        let slots = u32::try_from(count.slots).unwrap_or(u32::MAX);
        match count.verdict {
            Some(verdict) => *cell.verdicts.entry(convert::verdict(verdict)).or_default() += slots,
            None => cell.open += slots,
        }
    }
    for cell in &mut cells {
        cell.state = worst(cell);
    }
    cells
}

/// The worst that happened on a day. What was skipped or ended by a user is no fault, so good runs count for more than
/// that; and a run at work doesn't hide that one before it failed.
fn worst(cell: &Cell) -> CellState {
    let has = |verdict| cell.verdicts.contains_key(&verdict);
    match () {
        () if has(Verdict::Failed) => CellState::Failed,
        () if has(Verdict::Lost) => CellState::Lost,
        () if has(Verdict::Missed) => CellState::Missed,
        () if cell.open > 0 => CellState::Running,
        () if has(Verdict::Findings) => CellState::Findings,
        () if has(Verdict::Ok) => CellState::Ok,
        () if cell.state == CellState::Paused => CellState::Paused,
        () if has(Verdict::Skipped) || has(Verdict::Cancelled) => CellState::Skipped,
        () => cell.state,
    }
}
