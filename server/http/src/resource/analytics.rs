//! Figures of backups over time, and plans that are unlike what is usual for them.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use keepfast_api::analytics::{
    Analytics, AnalyticsPlan, AnalyticsPoint, AnalyticsQuery, BackupFigures, Performance, PerformanceFigure,
    PerformanceQuery, PerformanceState, Span,
};
use keepfast_api::list::{List, PageQuery};
use keepfast_api::run::Verdict;
use keepfast_observe::anomaly::{Comparison, Figure, Standing};
use keepfast_server::convert::anomaly::rules;
use keepfast_server::state::stored;
use keepfast_server::usual::newest_run;
use keepfast_store::{BackupFilter, BackupSum, HostId, PlanId, UtcTime};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::overview::zone_of;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Query;
use crate::state::{Api, Shared};

/// Days before the last one, if no first day is said.
const DAYS_USUAL: i64 = 30;
/// Parts that a period may have.
const POINTS_MAX: usize = 120;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(analytics))
        .routes(routes!(analytics_points))
        .routes(routes!(analytics_plans))
        .routes(routes!(performance))
}

/// Figures of the backups that were due in a period: in all, over time, and of each plan.
///
/// Slots that were missed and runs that were lost count as backups that did not succeed, so that silence never looks like
/// success.
#[utoipa::path(get, path = "/analytics", tag = "analytics", params(AnalyticsQuery),
    responses((status = 200, body = Analytics)))]
async fn analytics(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<AnalyticsQuery>,
) -> Result<Document<Analytics>> {
    Ok(Document::new(figures(&api, &caller, wanted).await?))
}

/// The points of that alone, the earliest first.
#[utoipa::path(get, path = "/analytics/points", tag = "analytics", params(AnalyticsQuery, PageQuery),
    responses((status = 200, body = List<AnalyticsPoint>)))]
async fn analytics_points(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<AnalyticsQuery>,
    pages: Pages,
) -> Result<Listed> {
    pages.of_all("analytics", figures(&api, &caller, wanted).await?.points).await
}

/// The plans of that alone, in the order of their names.
#[utoipa::path(get, path = "/analytics/plans", tag = "analytics", params(AnalyticsQuery, PageQuery),
    responses((status = 200, body = List<AnalyticsPlan>)))]
async fn analytics_plans(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<AnalyticsQuery>,
    pages: Pages,
) -> Result<Listed> {
    pages.of_all("analytics-plans", figures(&api, &caller, wanted).await?.plans).await
}

/// The newest good run of each plan beside what is usual for it, in the order of plans.
///
/// The limits are those of the plan's `anomaly` settings.
#[utoipa::path(get, path = "/performance", tag = "analytics", params(PerformanceQuery, PageQuery),
    responses((status = 200, body = List<Performance>)))]
async fn performance(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<PerformanceQuery>,
    pages: Pages,
) -> Result<Listed> {
    let PerformanceQuery { plan, project, state } = wanted;
    let config = api.config();
    let states = api.store().plan_states().await?;
    let mut rows = Vec::new();
    for known in &states {
        let name = known.plan.as_str();
        let Some(definition) = config.plans.get(name) else { continue };
        let is_wanted = plan.as_ref().is_none_or(|plan| plan == name) && is_in(&api, name, project.as_ref());
        if !is_wanted || !caller.sees(&api.plan(name)) {
            continue;
        }
        let Some(newest) = newest_run(known, &rules(definition)?) else { continue };
        let runs = u32::try_from(newest.runs).unwrap_or(u32::MAX);
        rows.extend(newest.figures.iter().map(|figure| compared(name, figure, runs)));
    }
    rows.retain(|row| state.is_none_or(|state| row.state == state));
    pages.of_all("performance", rows).await
}

fn is_in(api: &Api, plan: &str, project: Option<&String>) -> bool {
    let Some(project) = project else { return true };
    let config = api.config();
    let own = config.plans.get(plan).and_then(|plan| plan.value.project.as_ref());
    own.is_some_and(|own| own.name == *project)
}

fn compared(plan: &str, figure: &Comparison, runs: u32) -> Performance {
    let Comparison { figure, value, usual, limit, standing } = *figure;
    Performance {
        plan: plan.to_owned(),
        figure: match figure {
            Figure::Duration => PerformanceFigure::Duration,
            Figure::SourceBytes => PerformanceFigure::SourceBytes,
            Figure::NewBytes => PerformanceFigure::NewBytes,
            Figure::StoredBytes => PerformanceFigure::StoredBytes,
        },
        state: match standing {
            Standing::Beyond => PerformanceState::Beyond,
            Standing::High => PerformanceState::High,
            Standing::Low => PerformanceState::Low,
            Standing::Usual => PerformanceState::Usual,
            Standing::Unknown => PerformanceState::Unknown,
        },
        value,
        usual,
        limit,
        factor: usual.filter(|usual| *usual > 0.0).map(|usual| value / usual),
        runs,
    }
}

async fn figures(api: &Api, caller: &Caller, wanted: AnalyticsQuery) -> Result<Analytics> {
    let AnalyticsQuery { from, until, by, zone, plan, project, host } = wanted;
    let (by, (zone, name)) = (by.unwrap_or_default(), zone_of(api, zone)?);
    let beyond = |_| Failure::unprocessable("a day of the period is beyond the calendar");
    let until = until.unwrap_or_else(|| zone.to_datetime(api.now()).date());
    let from = match from {
        Some(from) => from,
        None => until.checked_sub((DAYS_USUAL - 1).days()).map_err(beyond)?,
    };
    if from > until {
        return Err(Failure::unprocessable("`from` is later than `until`"));
    }
    let days = parts(from, until, by).map_err(beyond)?.ok_or_else(|| {
        Failure::unprocessable(&format!(
            "the period has more than {POINTS_MAX} parts: ask for a shorter one, or for longer parts"
        ))
    })?;
    let end = until.tomorrow().map_err(beyond)?;
    let mut bounds = Vec::with_capacity(days.len() + 1);
    for day in days.iter().copied().chain([end]) {
        bounds.push(begin_of(day, &zone).map_err(beyond)?);
    }
    let stored_bounds: Vec<UtcTime> = bounds.iter().map(|bound| stored(*bound)).collect();
    let filter =
        BackupFilter { plan: plan.map(PlanId::new).transpose()?, host: host.map(HostId::new).transpose()? };
    let mut sums = api.store().backup_sums(&stored_bounds, &filter).await?;
    let mut seen = BTreeMap::new();
    sums.retain(|sum| {
        let is_seen =
            || is_in(api, sum.plan.as_str(), project.as_ref()) && caller.sees(&api.plan(sum.plan.as_str()));
        *seen.entry(sum.plan.clone()).or_insert_with(is_seen)
    });
    let mut total = Adding::default();
    let mut points: Vec<Adding> = days.iter().map(|_| Adding::default()).collect();
    let mut plans: BTreeMap<String, Adding> = BTreeMap::new();
    for sum in &sums {
        total.add(sum);
        plans.entry(sum.plan.to_string()).or_default().add(sum);
        if let Some(point) = points.get_mut(sum.part) {
            point.add(sum);
        }
    }
    let of_point = |(at, point): (usize, Adding)| AnalyticsPoint {
        day: days[at],
        begins: bounds[at],
        ends: bounds[at + 1],
        figures: point.figures(),
    };
    let of_plan = |(plan, figures): (String, Adding)| AnalyticsPlan { plan, figures: figures.figures() };
    Ok(Analytics {
        zone: name,
        by,
        from,
        until,
        total: total.figures(),
        points: points.into_iter().enumerate().map(of_point).collect(),
        plans: plans.into_iter().map(of_plan).collect(),
    })
}

fn begin_of(day: Date, zone: &TimeZone) -> std::result::Result<Timestamp, jiff::Error> {
    Ok(day.to_zoned(zone.clone())?.timestamp())
}

/// The first days of the parts of a period; nothing if they are too many.
fn parts(from: Date, until: Date, by: Span) -> std::result::Result<Option<Vec<Date>>, jiff::Error> {
    let mut days = vec![from];
    let mut next = from;
    loop {
        next = match by {
            Span::Day => next.tomorrow()?,
            Span::Week => next.nth_weekday(1, Weekday::Monday)?,
            Span::Month => next.last_of_month().tomorrow()?,
        };
        if next > until {
            return Ok(Some(days));
        }
        if days.len() == POINTS_MAX {
            return Ok(None);
        }
        days.push(next);
    }
}

/// Sums that are added up.
#[derive(Default)]
struct Adding {
    figures: BackupFigures,
    durations_ms: Vec<u64>,
}

impl Adding {
    fn add(&mut self, sum: &BackupSum) {
        let figures = &mut self.figures;
        match sum.verdict {
            Some(verdict) => *figures.verdicts.entry(convert::verdict(verdict)).or_default() += sum.slots,
            None => figures.open += sum.slots,
        }
        for (figure, more) in [
            (&mut figures.files, sum.files),
            (&mut figures.bytes, sum.source_bytes),
            (&mut figures.read_bytes, sum.read_bytes),
            (&mut figures.new_bytes, sum.new_bytes),
            (&mut figures.stored_bytes, sum.stored_bytes),
        ] {
            *figure = figure.saturating_add(more);
        }
        self.durations_ms.extend_from_slice(&sum.durations_ms);
    }

    fn figures(self) -> BackupFigures {
        let Self { mut figures, mut durations_ms } = self;
        let count = |verdicts: &[Verdict]| -> u64 {
            verdicts.iter().filter_map(|verdict| figures.verdicts.get(verdict)).sum()
        };
        figures.good = count(&[Verdict::Ok, Verdict::Findings]);
        figures.due = figures.good + count(&[Verdict::Failed, Verdict::Lost, Verdict::Missed]);
        figures.success = ratio(figures.good, figures.due);
        figures.deduplication = ratio(figures.bytes, figures.new_bytes);
        figures.compression = ratio(figures.new_bytes, figures.stored_bytes);
        durations_ms.sort_unstable();
        figures.measured = u64::try_from(durations_ms.len()).unwrap_or(u64::MAX);
        figures.duration_median_s = at_most(&durations_ms, 50);
        figures.duration_p95_s = at_most(&durations_ms, 95);
        figures
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The time that this many of a hundred took at most, in seconds: the smallest that does (nearest rank).
#[allow(clippy::cast_precision_loss, reason = "milliseconds of a run are few")]
fn at_most(sorted_ms: &[u64], percent: usize) -> Option<f64> {
    let rank = (sorted_ms.len() * percent).div_ceil(100);
    sorted_ms.get(rank.checked_sub(1)?).map(|ms| *ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use keepfast_api::analytics::Span;

    use super::{at_most, parts};

    #[test]
    fn weeks_begin_on_mondays_and_months_on_their_first_days() {
        let of =
            |by| parts(date(2026, 10, 29), date(2026, 11, 10), by).expect("in the calendar").expect("few");
        assert_eq!(of(Span::Day).len(), 13);
        assert_eq!(of(Span::Week), [date(2026, 10, 29), date(2026, 11, 2), date(2026, 11, 9)]);
        assert_eq!(of(Span::Month), [date(2026, 10, 29), date(2026, 11, 1)]);
        let monday = date(2026, 11, 2);
        assert_eq!(parts(monday, monday, Span::Week).expect("in the calendar"), Some(vec![monday]));
        assert_eq!(parts(date(2026, 1, 1), date(2026, 12, 31), Span::Day).expect("in the calendar"), None);
        assert_eq!(
            parts(date(2026, 1, 1), date(2026, 12, 31), Span::Week).expect("few").map(|of| of.len()),
            Some(53)
        );
    }

    #[test]
    fn percentiles_are_times_that_runs_took() {
        let times: Vec<u64> = (1..=20).map(|time| time * 1000).collect();
        assert_eq!((at_most(&times, 50), at_most(&times, 95)), (Some(10.0), Some(19.0)));
        assert_eq!((at_most(&[7000], 50), at_most(&[7000], 95)), (Some(7.0), Some(7.0)));
        assert_eq!(at_most(&[], 50), None);
    }
}
