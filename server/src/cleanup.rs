//! What a plan's retention will remove in the coming time; or retention without a run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::{ForecastReport, ForgetReport};
use keepfast_operations::requests::{Forecast, Forget, ForgetWhich, forecast as forecast_in, forget};
use keepfast_schedule::plan::JitterSeed;
use serde::Serialize;

use crate::convert::{retention, schedule};
use crate::error::Result;

/// How far a forecast looks ahead.
pub const AHEAD: Duration = Duration::from_secs(90 * 86_400);
/// Runs that are looked at, at most.
const RUNS_MAX: usize = 2500;

/// What becomes of a plan's snapshots.
#[derive(Debug, Clone, Serialize)]
pub struct PlanForecast {
    /// The plan.
    pub plan: String,
    /// Its repository.
    pub repository: String,
    /// When its next run is due; null if it runs only when it is told to. Then a run is imagined that begins now.
    pub next_run: Option<Timestamp>,
    /// What its retention will do; null if it has none, so that everything stays.
    #[serde(flatten)]
    pub forecast: Option<ForecastReport>,
}

/// Says what will become of a plan's snapshots, if its runs take place as planned and are good. Nothing is changed.
pub fn forecast(
    config: &Config,
    definition: &Definition<Plan>,
    host: &str,
    shared: &SharedRepository,
    now: Timestamp,
    run: &RunContext,
) -> Result<PlanForecast> {
    let runs = runs(config, definition, now)?;
    let next_run = runs.first().copied();
    let retention = retention::request(config, definition, host)?;
    let forecast = retention.map(|retention| {
        let imagined = if definition.value.enabled && runs.is_empty() { vec![now] } else { runs };
        let runs_unix_s = imagined.into_iter().map(Timestamp::as_second).collect();
        forecast_in(&Forecast { retention, host: host.to_owned(), runs_unix_s }, shared, run)
    });
    Ok(PlanForecast {
        plan: definition.name.clone(),
        repository: definition.value.repository.name.clone(),
        next_run,
        forecast: forecast.transpose()?,
    })
}

/// The runs that are due in the coming time.
fn runs(config: &Config, definition: &Definition<Plan>, now: Timestamp) -> Result<Vec<Timestamp>> {
    let schedule = schedule::plan(config, definition, JitterSeed(0))?;
    let Some(schedule) = schedule.filter(|_| definition.value.enabled) else { return Ok(Vec::new()) };
    let ahead = SignedDuration::try_from(AHEAD).unwrap_or(SignedDuration::MAX);
    let until = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let slots = schedule.schedule.slots_between(now, until, now, RUNS_MAX);
    Ok(slots.into_iter().map(|planned| planned.slot.instant()).collect())
}

/// Forgets what a plan's retention doesn't keep, with its floor and its brake. Nothing happens if it has none.
pub fn apply(
    config: &Config,
    definition: &Definition<Plan>,
    host: &str,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Option<ForgetReport>> {
    let Some(retention) = retention::request(config, definition, host)? else { return Ok(None) };
    let request = Forget { which: ForgetWhich::ByPolicy(Box::new(retention)), dry_run: false };
    Ok(Some(forget(&request, shared, run)?))
}
