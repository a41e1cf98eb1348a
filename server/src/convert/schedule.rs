//! When a plan runs.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_config::model::schedule::{
    CatchUp as DefinedCatchUp, Conditions, Overlap as DefinedOverlap, Power, Schedule as Defined,
    When as DefinedWhen,
};
use keepfast_config::values::window::Window as DefinedWindow;
use keepfast_schedule::condition::Condition;
use keepfast_schedule::cron::Cron;
use keepfast_schedule::names::PlanName;
use keepfast_schedule::plan::{CatchUp, JitterSeed, Overlap, PlanSchedule, When};
use keepfast_schedule::promise::Promise;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::window::{Days, Window};
use keepfast_schedule::zone::Zone;

use crate::error::{Result, ScheduleError, ServerError};

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A plan's schedule; nothing if it runs only when it is told to. `seed` spreads the starts of plans.
pub fn plan(
    config: &Config,
    definition: &Definition<Plan>,
    seed: JitterSeed,
) -> Result<Option<PlanSchedule>> {
    let Some(defined) = &definition.value.schedule else { return Ok(None) };
    of(config, definition, defined, seed)
        .map(Some)
        .map_err(|source| ServerError::Schedule { definition: format!("plan {}", definition.name), source })
}

/// When upkeep of repositories is done that a cron expression says, and the zone that it is meant in: the server's.
pub fn upkeep(config: &Config, cron: &str) -> Result<(Schedule, Zone), ScheduleError> {
    let zone = Zone::named(&config.server.value.timezone.0, jiff::tz::db())?;
    Ok((Schedule::calendar(cron.parse::<Cron>()?, zone.clone()), zone))
}

fn of(
    config: &Config,
    definition: &Definition<Plan>,
    defined: &Defined,
    seed: JitterSeed,
) -> Result<PlanSchedule, ScheduleError> {
    let zone = Zone::named(&config.zone(&definition.value).0, jiff::tz::db())?;
    let schedule = match (&defined.cron, defined.every) {
        (Some(cron), _) => Schedule::calendar(cron.0.parse::<Cron>()?, zone.clone()),
        (None, Some(every)) => Schedule::elapsed(every.0)?,
        (None, None) => unreachable!("a schedule has one of the two, or it isn't decoded"),
    };
    Ok(PlanSchedule {
        jitter: defined.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        seed,
        deadline: defined.deadline.map(|deadline| deadline.0),
        catch_up: match defined.catch_up {
            DefinedCatchUp::Once => CatchUp::Once,
            DefinedCatchUp::Never => CatchUp::Never,
        },
        overlap: match definition.value.overlap {
            DefinedOverlap::Skip => Overlap::Skip,
            DefinedOverlap::QueueOne => Overlap::QueueOne,
        },
        when: match defined.when {
            DefinedWhen::Always => When::Always,
            DefinedWhen::Online => When::Online,
        },
        conditions: defined.only.as_ref().map(conditions).transpose()?.unwrap_or_default(),
        ..PlanSchedule::new(PlanName::from(definition.name.as_str()), schedule, zone)
    })
}

fn conditions(defined: &Conditions) -> Result<Vec<Condition>, ScheduleError> {
    let mut conditions = Vec::new();
    if !defined.windows.is_empty() {
        let windows: Result<Vec<Window>, _> = defined.windows.iter().map(window).collect();
        conditions.push(Condition::Within(windows?));
    }
    if defined.workdays {
        conditions.push(Condition::Workdays { except: Vec::new() });
    }
    if !defined.not_on.is_empty() {
        let days: Result<Vec<Days>, _> = defined.not_on.iter().map(|day| day.0.to_string().parse()).collect();
        conditions.push(Condition::NeverOn(days?));
    }
    if defined.power == Power::Mains {
        conditions.push(Condition::MainsPower);
    }
    if defined.command.is_some() {
        conditions.push(Condition::CommandSaysYes);
    }
    Ok(conditions)
}

/// A window as schedules take it.
pub fn window(defined: &DefinedWindow) -> Result<Window, ScheduleError> {
    Ok(text(defined).parse()?)
}

/// A window as text, which both sides read alike.
pub(crate) fn text(window: &DefinedWindow) -> String {
    let days: Vec<&str> = DAY_NAMES
        .iter()
        .zip(window.days.days)
        .filter(|(_, is_open)| *is_open)
        .map(|(name, _)| *name)
        .collect();
    let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    format!("{} {}-{}", days.join(","), time(window.from.minutes), time(window.to.minutes))
}

/// What a plan promises, at an instant: what it says itself, else what follows from its schedule. Nothing if it says
/// nothing and never runs twice by itself.
#[must_use]
pub fn promise(plan: &Plan, schedule: Option<&PlanSchedule>, now: Timestamp) -> Option<Promise> {
    let rpo = plan.rpo.as_ref().map(|rpo| rpo.value.0);
    let alert_after = plan.schedule.as_ref().and_then(|schedule| schedule.alert_after).map(|length| length.0);
    match schedule {
        Some(schedule) => Promise::of(schedule, rpo, alert_after, now),
        None => rpo.map(|within| Promise { within, alert_after }),
    }
}
