//! `keepfast cleanup` and `keepfast estimate`: what plans will remove, and what a run would do.

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_operations::reports::{ForecastReport, ForecastedSnapshot, ForgetReport, SizeDocument};
use keepfast_schedule::span::in_words;
use keepfast_server::cleanup::{PlanForecast, apply, forecast};
use keepfast_server::connect::Repositories;
use keepfast_server::definitions;
use keepfast_server::estimate::{EstimateReport, copy_state, estimate};
use keepfast_server::running::prepare;
use serde::Serialize;

use super::outcome_of;

use super::plans::{read, surroundings, table};
use crate::args::{Cleanup, Common, Estimate};
use crate::console::Console;
use crate::render::{self, counted, short};
use crate::{Outcome, lines, verdicts};

/// What a cleanup did, or will do, as programs see it.
#[derive(Serialize)]
struct CleanupDocument {
    /// Nothing was forgotten.
    dry_run: bool,
    /// Each plan, in the order of names, or as they were named.
    plans: Vec<PlanDocument>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PlanDocument {
    /// Without a dry run.
    Removed {
        plan: String,
        /// Null if the plan keeps everything.
        retention: Option<ForgetReport>,
    },
    Forecast(Box<PlanForecast>),
    Failed {
        plan: String,
        error: String,
    },
}

/// Shows what the retention of plans will remove; or removes what it doesn't keep now.
pub fn cleanup(common: &Common, options: &Cleanup) -> Result<Outcome> {
    let console = Console::new(common)?;
    let config = read(common)?;
    let chosen: Vec<&Definition<Plan>> = match options.plans.is_empty() {
        true => config.plans.values().collect(),
        false => {
            options.plans.iter().map(|name| definitions::plan(&config, name)).collect::<Result<_, _>>()?
        }
    };
    let around = surroundings(common);
    let mut repositories = Repositories::new(&config, &around);
    let mut outcome = Outcome::Complete;
    let (mut plans, mut failure) = (Vec::new(), None);
    for definition in chosen {
        let done = one(&config, definition, &around.host, &mut repositories, options.dry_run, &console);
        let (document, is_well) = match done {
            Ok(done) => done,
            Err(error) => {
                let error = error.context(format!("plan {}", definition.name));
                let text = render::with_causes(&error);
                // The last one is told as the error of the command.
                if let Some(before) = failure.replace(error) {
                    console.warn(&render::with_causes(&before));
                }
                (PlanDocument::Failed { plan: definition.name.clone(), error: text }, true)
            }
        };
        if !is_well {
            outcome = Outcome::WithFindings;
        }
        if !common.json && !common.quiet {
            print(&document);
        }
        plans.push(document);
    }
    if common.json {
        render::document(&CleanupDocument { dry_run: options.dry_run, plans });
    }
    match failure {
        Some(error) => Err(error),
        None if outcome_of(console.run().troubles()) == Outcome::WithFindings => Ok(Outcome::WithFindings),
        None => Ok(outcome),
    }
}

/// A plan's document, and whether its retention does what it is meant to do.
fn one(
    config: &Config,
    definition: &Definition<Plan>,
    host: &str,
    repositories: &mut Repositories<'_>,
    dry_run: bool,
    console: &Console,
) -> Result<(PlanDocument, bool)> {
    let shared = repositories.get(&definition.value.repository.name)?;
    if dry_run {
        let plan = forecast(config, definition, host, &shared, Timestamp::now(), console.run())?;
        let is_well = plan.forecast.as_ref().is_none_or(|forecast| why_not(forecast).is_none());
        return Ok((PlanDocument::Forecast(Box::new(plan)), is_well));
    }
    let retention = apply(config, definition, host, &shared, console.run())?;
    Ok((PlanDocument::Removed { plan: definition.name.clone(), retention }, true))
}

/// Why retention removes nothing though its rules say so.
fn why_not(forecast: &ForecastReport) -> Option<&str> {
    forecast.braked_now.as_deref().or(forecast.braked_later.as_deref())
}

fn print(document: &PlanDocument) {
    match document {
        PlanDocument::Forecast(plan) => print_forecast(plan),
        PlanDocument::Removed { plan, retention: None } => {
            render::line(&format!("plan {plan}: it has no retention, so everything stays"));
        }
        PlanDocument::Removed { plan, retention: Some(report) } => {
            let forgotten = u64::try_from(report.forgotten()).unwrap_or(u64::MAX);
            render::line(&format!("plan {plan}: {} forgotten", counted(forgotten, "snapshot")));
            if let ForgetReport::ByPolicy(report) = report {
                verdicts::table(&report.groups, &render::local_time)
                    .iter()
                    .for_each(|line| render::line(line));
            }
        }
        PlanDocument::Failed { .. } => {}
    }
}

fn print_forecast(plan: &PlanForecast) {
    let Some(forecast) = &plan.forecast else {
        return render::line(&format!("plan {}: it has no retention, so everything stays", plan.plan));
    };
    let count = |is: &dyn Fn(&ForecastedSnapshot) -> bool| {
        let number = forecast.snapshots.iter().filter(|snapshot| is(snapshot)).count();
        render::count(u64::try_from(number).unwrap_or(u64::MAX))
    };
    let next = count(&|snapshot| snapshot.goes.is_some_and(|goes| goes.run == 1));
    let later = count(&|snapshot| snapshot.goes.is_some_and(|goes| goes.run > 1));
    render::line(&format!(
        "plan {}: {} stay, {next} go at the next run, {later} go later, within {}",
        plan.plan,
        count(&|snapshot| snapshot.goes.is_none()),
        counted(u64::try_from(forecast.runs).unwrap_or(u64::MAX), "run"),
    ));
    if let Some(why) = why_not(forecast) {
        render::line(&format!("nothing goes: {why}"));
    }
    let rows = forecast.snapshots.iter().map(|snapshot| {
        let decision = &snapshot.decision;
        let whys: Vec<&str> = decision.reasons.iter().map(|reason| reason.text.as_str()).collect();
        [
            short(&decision.id).to_owned(),
            render::local_time(decision.time),
            match snapshot.goes {
                None => "stays".to_owned(),
                Some(goes) if goes.run == 1 => "next run".to_owned(),
                Some(goes) => render::local_time(goes.at),
            },
            // A label may be anything that a stranger has written.
            lines::visible(&whys.join("; ")).into_owned(),
        ]
    });
    table(&["ID", "TIME", "GOES", "WHAT THE RULES SAY NOW"], rows);
    if let Some(SizeDocument { max_bytes, bytes }) = forecast.size {
        render::line(&format!(
            "what fits now needs {} of {}",
            render::bytes(bytes),
            render::bytes(max_bytes)
        ));
    }
    render::line(&format!(
        "freed by the prune after that: {} after the next run, {} after all of these",
        render::bytes(forecast.frees_next_run.bytes_stored),
        render::bytes(forecast.frees_in_all.bytes_stored),
    ));
}

/// Shows what a run of a plan would read and store.
pub fn estimate_plan(common: &Common, options: &Estimate) -> Result<Outcome> {
    let console = Console::new(common)?;
    let config = read(common)?;
    let around = surroundings(common);
    let (mut work, shared) = prepare(&config, &options.plan, &around)?;
    let _copy = copy_state(&mut work, &config, &around)?;
    let report = estimate(&work, &around.host, &shared, console.run())
        .map_err(|error| anyhow!(error).context(format!("plan {}", options.plan)))?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print_estimate(&report);
    }
    Ok(outcome_of(console.run().troubles()))
}

fn print_estimate(report: &EstimateReport) {
    render::line(&format!(
        "files   {} new, {} changed, {} unchanged, {} skipped",
        render::count(report.files_new),
        render::count(report.files_changed),
        render::count(report.files_unchanged),
        render::count(report.skipped),
    ));
    for stream in &report.streams {
        let before = stream.bytes_before.map_or_else(|| "not known".to_owned(), render::bytes);
        render::line(&format!("stream  {}: {before}", stream.name));
    }
    render::line(&format!(
        "data    {} in all, {} to read",
        render::bytes(report.bytes_total),
        render::bytes(report.bytes_to_read)
    ));
    match (report.bytes_to_store, report.seconds) {
        (None, None) => {
            render::line("no run of this plan has ended yet, so nothing is known of time and space")
        }
        (stored, seconds) => {
            if let Some(stored) = stored {
                render::line(&format!("stored  about {}", render::bytes(stored)));
            }
            if let Some(seconds) =
                seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
            {
                let runs = counted(u64::try_from(report.earlier_runs).unwrap_or(u64::MAX), "run");
                render::line(&format!("time    about {}, as the last {runs}", in_words(seconds)));
            }
        }
    }
}
