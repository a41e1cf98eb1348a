//! What a plan's retention will remove in the coming time; or retention without a run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::{ForecastReport, ForgetReport, KeepingReport};
use keepfast_operations::requests::{
    Forecast, Forget, ForgetWhich, forecast as forecast_in, forget, keeping as keeping_in,
};
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
    /// What its retention will do; nothing if it has none, so that everything stays.
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
    let (next_run, request) = coming(config, definition, host, now)?;
    let forecast = request.map(|request| forecast_in(&request, shared, run));
    Ok(PlanForecast {
        plan: definition.name.clone(),
        repository: definition.value.repository.name.clone(),
        next_run,
        forecast: forecast.transpose()?,
    })
}

/// What keeps a plan's snapshots, and when they go.
#[derive(Debug, Clone)]
pub struct PlanKeeping {
    /// When its next run is due; nothing if it runs only when it is told to.
    pub next_run: Option<Timestamp>,
    /// What keeps each of them.
    pub report: KeepingReport,
}

/// The same as [`forecast`], without what is freed; nothing if the plan has no retention, so that everything stays.
pub fn keeping(
    config: &Config,
    definition: &Definition<Plan>,
    host: &str,
    shared: &SharedRepository,
    now: Timestamp,
    run: &RunContext,
) -> Result<Option<PlanKeeping>> {
    let (next_run, request) = coming(config, definition, host, now)?;
    let Some(request) = request else { return Ok(None) };
    Ok(Some(PlanKeeping { next_run, report: keeping_in(&request, shared, run)? }))
}

/// When a plan's next run is due, and what is to be foreseen; nothing if it has no retention.
fn coming(
    config: &Config,
    definition: &Definition<Plan>,
    host: &str,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Forecast>)> {
    let runs = runs(config, definition, now)?;
    let next_run = runs.first().copied();
    let retention = retention::request(config, definition, host)?;
    let request = retention.map(|retention| {
        // Whole seconds are told: in the next one, all snapshots that there are lie in the past.
        let soon = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
        let imagined = if definition.value.enabled && runs.is_empty() { vec![soon] } else { runs };
        let runs_unix_s = imagined.into_iter().map(Timestamp::as_second).collect();
        Forecast { retention, host: host.to_owned(), runs_unix_s }
    });
    Ok((next_run, request))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;
    use keepfast_operations::open::SharedRepository;
    use keepfast_operations::reports::ForgetReport;
    use keepfast_operations::requests::{Backup, backup};
    use keepfast_operations::sources::PathSources;

    use super::{PlanForecast, apply, forecast, keeping};
    use crate::testing::repository::{Desk, config, run};

    const PLAN: &str = "[plan.www]\nrepository = \"main\"\nsource = [{ files = [\"/srv\"] }]\n";

    fn back_up(desk: &Desk, shared: &SharedRepository, content: &str) -> String {
        let source = desk.path("source");
        fs::create_dir_all(&source).expect("a folder");
        fs::write(source.join("file"), content.repeat(1000)).expect("a file");
        let request = Backup {
            sources: PathSources { paths: vec![source], ..PathSources::default() },
            tags: vec!["plan:www".to_owned()],
            host: Some("ann".to_owned()),
            ..Backup::default()
        };
        backup(&request, shared, &run()).expect("a backup").snapshot.expect("a snapshot").id
    }

    fn going(plan: &PlanForecast, is_meant: impl Fn(usize) -> bool) -> Vec<String> {
        let snapshots = &plan.forecast.as_ref().expect("it has retention").snapshots;
        let going = snapshots.iter().filter(|one| one.goes.is_some_and(|goes| is_meant(goes.run)));
        going.map(|one| one.decision.id.clone()).collect()
    }

    /// What goes at the next run is what the next run lets go.
    #[test]
    fn a_forecast_says_what_runs_will_do() {
        let desk = Desk::new();
        let text = format!(
            "{}{PLAN}schedule = {{ cron = \"30 1 * * *\" }}\nretention = {{ last = 3, max_removed = 2 }}\n",
            desk.repository("")
        );
        let config = config(&text);
        let (shared, plan) = (desk.shared(&config), &config.plans["www"]);
        let ids: Vec<String> = ["a", "b", "c", "d"].map(|content| back_up(&desk, &shared, content)).to_vec();
        let now = Timestamp::now();
        let of = || forecast(&config, plan, "ann", &shared, now, &run()).expect("a forecast");
        let before = of();
        assert_eq!(
            going(&before, |run| run == 1),
            ids[..2],
            "one for each that is too many, and one for the new one"
        );
        assert_eq!(going(&before, |run| run == 2), ids[2..3]);
        assert_eq!(going(&before, |run| run == 3), ids[3..]);
        let said = before.forecast.as_ref().expect("it has retention");
        assert!((89..=91).contains(&said.runs), "a run each night for ninety days: {}", said.runs);
        assert!(said.frees_next_run.bytes > 0 && said.frees_in_all.bytes > said.frees_next_run.bytes);
        assert_eq!(said.frees_in_all.snapshots, 4);
        let kept = keeping(&config, plan, "ann", &shared, now, &run()).expect("an answer");
        let kept = kept.expect("it has retention");
        assert_eq!((kept.report.snapshots, kept.report.until), (said.snapshots.clone(), said.until));
        assert_eq!(kept.next_run, before.next_run);
        back_up(&desk, &shared, "e");
        let Some(ForgetReport::ByPolicy(done)) =
            apply(&config, plan, "ann", &shared, &run()).expect("it is done")
        else {
            panic!("it has a policy")
        };
        assert_eq!(done.groups[0].forgotten, 2);
        let left = of().forecast.expect("it has retention").snapshots;
        let left: Vec<&str> = left.iter().map(|one| one.decision.id.as_str()).collect();
        assert_eq!(left[..2], [&ids[2], &ids[3]]);
    }

    #[test]
    fn a_brake_is_foretold_and_a_plan_without_retention_keeps_everything() {
        let desk = Desk::new();
        let braked = config(&format!("{}{PLAN}retention = {{ last = 1 }}\n", desk.repository("")));
        let shared = desk.shared(&braked);
        for content in ["a", "b", "c"] {
            back_up(&desk, &shared, content);
        }
        let now = Timestamp::now();
        let said = forecast(&braked, &braked.plans["www"], "ann", &shared, now, &run()).expect("a forecast");
        assert_eq!(going(&said, |_| true), Vec::<String>::new());
        let inside = said.forecast.expect("it has retention");
        assert!(
            inside.braked_now.is_some_and(|why| why.contains("2 snapshots of 3"))
                && inside.braked_later.is_some()
        );
        assert_eq!((said.next_run, inside.runs), (None, 1), "it runs when it is told to");
        apply(&braked, &braked.plans["www"], "ann", &shared, &run()).expect_err("the brake holds");
        let free = config(&format!("{}{PLAN}", desk.repository("")));
        let said = forecast(&free, &free.plans["www"], "ann", &shared, now, &run()).expect("a forecast");
        assert!(said.forecast.is_none());
        assert!(apply(&free, &free.plans["www"], "ann", &shared, &run()).expect("nothing").is_none());
    }
}
