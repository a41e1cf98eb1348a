//! `keepfast run`, `keepfast status`, `keepfast schedule`, `keepfast config`.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use keepfast_config::config::{Config as Definitions, Kind};
use keepfast_config::diagnostic::render::Style;
use keepfast_config::documents::json_schema;
use keepfast_config::load::Loaded;
use keepfast_operations::host::SystemHost;
use keepfast_schedule::slot::PlannedSlot;
use keepfast_schedule::span::in_words;
use keepfast_server::convert::references::Referred;
use keepfast_server::once::{self, Ran};
use keepfast_server::running;
use keepfast_server::secrets::unreadable;
use keepfast_server::status::{PlanStatus, StandingWord, View};
use keepfast_server::surroundings::Surroundings;
use keepfast_server::work::report::{PlanReport, Verdict};
use keepfast_server::{definitions, state, status};
use serde::Serialize;

use super::{delivery, outcome_of, reload, told, wizard};
use crate::args::{Common, ConfigAction, RunPlan, ScheduleAction};
use crate::colour::{self, Colour, Stream};
use crate::console::Console;
use crate::render::{self, counted};
use crate::usage::Usage;
use crate::{Outcome, lines, secrets, settings};

/// What this process brings to runs.
pub(super) fn surroundings(common: &Common) -> Surroundings {
    Surroundings {
        host: SystemHost.name(),
        cache: settings::cache_dir(common),
        children: secrets::children(),
        secrets: Default::default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Runs a plan.
pub fn run(common: &Common, options: &RunPlan) -> Result<Outcome> {
    let console = Console::new(common)?;
    let sinks = delivery::sinks(options)?;
    let config = read(common)?;
    let around = surroundings(common);
    let Ran { report, told } =
        console.during("plan", || once::run(&config, &options.plan, &around, console.run()));
    // Whatever came of it: monitoring has to hear of failures most of all.
    delivery::deliver(&console, &config, &options.plan, &around.host, &sinks);
    told::say(common, &told);
    let report = report?;
    if common.json {
        render::document(&report);
    } else {
        if !common.quiet {
            print_run(&report);
        }
        // Also for cron, which mails what is written here.
        report.problems.iter().for_each(|problem| render::note("warning", problem, false));
    }
    match report.verdict {
        Verdict::Ok => Ok(Outcome::Complete),
        Verdict::Findings => Ok(Outcome::WithFindings),
        Verdict::Failed | Verdict::Cancelled => {
            let plan = format!("plan {} failed", report.plan);
            // The kind of the error gives the exit code.
            Err(match (report.failure, report.error) {
                (Some(error), _) => anyhow::Error::new(error).context(plan),
                (None, why) => anyhow!("{plan}: {}", why.as_deref().unwrap_or("it was ended")),
            })
        }
    }
}

fn print_run(report: &PlanReport) {
    for hook in &report.hooks {
        let said = match (&hook.error, hook.seconds) {
            (Some(error), _) => error.clone(),
            (None, Some(seconds)) => format!("{} ended well after {seconds:.1} s", hook.program),
            (None, None) => hook.program.clone(),
        };
        render::line(&format!("{:<9} {said}", hook.on));
    }
    if let Some(backup) = &report.backup {
        let summary = &backup.summary;
        render::line(&match &backup.snapshot {
            Some(snapshot) => format!(
                "snapshot  {}: {}, {} new, {} stored",
                render::short(&snapshot.id),
                render::bytes(summary.bytes_total),
                render::bytes(summary.bytes_new),
                render::bytes(summary.bytes_stored),
            ),
            None => "snapshot  none: nothing has changed".to_owned(),
        });
    }
    if let Some(retention) = &report.retention {
        let forgotten = u64::try_from(retention.forgotten()).unwrap_or(u64::MAX);
        render::line(&format!("retention {} forgotten", counted(forgotten, "snapshot")));
    }
    if report.findings > 0 {
        render::line(&format!("findings  {}", render::count(report.findings)));
    }
}

/// Shows how each plan stands. Exits with 3 if one is overdue.
pub fn status(common: &Common) -> Result<Outcome> {
    let config = read(common)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plans = runtime.block_on(async {
        let store = state::open(&config, &secrets::children()).await?;
        let host = &SystemHost.name();
        status::all(&View { config: &config, store: &store, host, now: Timestamp::now() }).await
    })?;
    if common.json {
        render::document(&plans);
    } else if plans.is_empty() {
        render::line("no plans: the configuration defines none");
    } else {
        print_status(&plans);
    }
    let is_overdue = plans.iter().any(|plan| plan.standing == StandingWord::Overdue);
    Ok(if is_overdue { Outcome::WithFindings } else { Outcome::Complete })
}

fn print_status(plans: &[PlanStatus]) {
    let now = Timestamp::now();
    let proven = |plan: &PlanStatus| {
        plan.proven.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)))
    };
    let rows = plans.iter().map(|plan| {
        let achieved = plan.achieved.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)));
        let last = plan.last.as_ref().map_or("none yet", |last| last.verdict.unwrap_or(last.state));
        [
            plan.standing.word().to_owned(),
            plan.plan.clone(),
            plan.promise_s.map_or_else(|| "-".to_owned(), |seconds| in_words(Duration::from_secs(seconds))),
            achieved,
            proven(plan),
            plan.next.map_or_else(|| "-".to_owned(), |next| format!("in {}", age(now, next))),
            last.to_owned(),
            plan.last.as_ref().and_then(|last| last.error.clone()).unwrap_or_default(),
        ]
    });
    let standing_colour = |word: &str| match word {
        "ok" => Some(Colour::Good),
        "running" | "paused" => Some(Colour::Doubtful),
        "overdue" => Some(Colour::Bad),
        _ => None,
    };
    marked_table(
        &["STANDING", "PLAN", "PROMISE", "NEWEST GOOD", "PROVEN", "NEXT", "LAST RUN", ""],
        rows,
        standing_colour,
    );
}

/// Lists the next runs.
pub fn schedule(common: &Common, action: &ScheduleAction) -> Result<Outcome> {
    let ScheduleAction::List { plans, count } = action;
    let config = read(common)?;
    let now = Timestamp::now();
    let chosen: Vec<_> = match plans.is_empty() {
        true => config.plans.values().collect(),
        false => plans.iter().map(|name| definitions::plan(&config, name)).collect::<Result<_, _>>()?,
    };
    let mut listed: Vec<Listed> = Vec::new();
    for definition in chosen.iter().filter(|definition| definition.value.enabled) {
        let slots = status::next_slots(&config, definition, now, now, usize::from(count.get()))?;
        let zone = &config.zone(&definition.value).0;
        let of_plan = |planned| Listed { plan: definition.name.clone(), zone: zone.clone(), planned };
        listed.extend(slots.into_iter().map(of_plan));
    }
    listed.sort_by_key(|listed| listed.planned.slot);
    if common.json {
        render::document(&listed.iter().map(SlotDocument::from).collect::<Vec<_>>());
        return Ok(Outcome::Complete);
    }
    if listed.is_empty() {
        render::line("no runs: no plan that was asked for has a schedule");
        return Ok(Outcome::Complete);
    }
    let rows = listed.iter().map(|Listed { plan, zone, planned }| {
        let notes: Vec<String> = planned.notes.iter().map(ToString::to_string).collect();
        [
            wall(planned, zone).strftime("%a %Y-%m-%d %H:%M").to_string(),
            zone.clone(),
            format!("in {}", age(now, planned.slot.instant())),
            plan.clone(),
            notes.join("; "),
        ]
    });
    table(&["AT", "ZONE", "", "PLAN", ""], rows);
    Ok(Outcome::Complete)
}

/// A slot of a plan.
struct Listed {
    plan: String,
    zone: String,
    planned: PlannedSlot,
}

/// A slot as programs see it.
#[derive(Serialize)]
struct SlotDocument {
    plan: String,
    at: Timestamp,
    wall: String,
    zone: String,
    notes: Vec<String>,
}

impl From<&Listed> for SlotDocument {
    fn from(Listed { plan, zone, planned }: &Listed) -> Self {
        Self {
            plan: plan.clone(),
            at: planned.slot.instant(),
            wall: wall(planned, zone).to_string(),
            zone: zone.clone(),
            notes: planned.notes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What the clock of a plan's zone shows; by elapsed time, slots have no zone of their own.
fn wall(planned: &PlannedSlot, zone: &str) -> jiff::civil::DateTime {
    let at = planned.slot.instant();
    at.in_tz(zone).map_or(planned.wall, |zoned| zoned.datetime())
}

/// Checks or shows the configuration.
pub fn config(common: &Common, action: &ConfigAction) -> Result<Outcome> {
    match action {
        ConfigAction::Schema => {
            render::document(&json_schema());
            Ok(Outcome::Complete)
        }
        ConfigAction::Check { resolve } => check(common, *resolve),
        ConfigAction::Reload => reload::run(common, &read(common)?),
        ConfigAction::Wizard { file } => wizard::run(common, file.as_deref()),
        ConfigAction::Show { path, origin } => {
            let Loaded { config, report } = definitions::read(&first(common));
            let config = config.ok_or_else(|| invalid(common, &report))?;
            let sources = origin.then(|| report.sources());
            let lines = config.effective.to_toml(path, sources);
            if lines.is_empty() {
                return Err(Usage(format!("the configuration has nothing at {path:?}")).into());
            }
            if common.json {
                render::document(&config.effective.to_json(path, sources));
            } else {
                lines::raw(lines.as_bytes());
            }
            Ok(Outcome::Complete)
        }
    }
}

fn check(common: &Common, resolve: bool) -> Result<Outcome> {
    let Loaded { config, report } = definitions::read(&first(common));
    if common.json {
        render::document(&report.to_json());
    } else {
        lines::raw(report.render(style(Stream::Out)).as_bytes());
    }
    let Some(config) = config else {
        return Err(Usage("the configuration has errors".to_owned()).into());
    };
    let mut is_well = report.diagnostics().all().is_empty();
    if resolve {
        is_well &= opens_all(common, &config)?;
    }
    if !common.json && is_well {
        let count = |number: usize, noun| counted(u64::try_from(number).unwrap_or(u64::MAX), noun);
        render::line(&format!(
            "{}: {}, {}, nothing to remark",
            first(common).display(),
            count(config.names(Kind::Plan).len(), "plan"),
            repositories(config.repositories.len()),
        ));
    }
    Ok(if is_well { Outcome::Complete } else { Outcome::WithFindings })
}

fn repositories(number: usize) -> String {
    if number == 1 { "1 repository".to_owned() } else { format!("{number} repositories") }
}

/// Prepares every plan, opens every repository that one uses, and reads all other secrets. Says which can't be.
fn opens_all(common: &Common, config: &Definitions) -> Result<bool> {
    let console = Console::new(common)?;
    let around = surroundings(common);
    let mut are_well = true;
    for plan in config.plans.values().filter(|plan| plan.value.enabled) {
        let opened = running::prepare(config, &plan.name, &around).map_err(anyhow::Error::from).and_then(
            |(_, shared)| {
                let mode = keepfast_operations::open::Mode::Usual;
                Ok(shared.repository(console.run(), mode).map(drop)?)
            },
        );
        match opened {
            Ok(()) => console.say(&format!("plan {}: its repository opens", plan.name)),
            Err(error) => {
                are_well = false;
                console.warn(&format!("plan {}: {}", plan.name, render::with_causes(&error)));
            }
        }
    }
    // A secret behind a pipe can be read only once: opening a repository has read its own.
    let plans = config.plans.values().filter(|plan| plan.value.enabled);
    let opened: Vec<&str> = plans.map(|plan| plan.value.repository.name.as_str()).collect();
    let is_left = |referred: &Referred<'_>| referred.kind != "repository" || !opened.contains(&referred.name);
    let cancel = console.run().cancel();
    for (referred, error) in unreadable(config, &secrets::children(), cancel, is_left) {
        are_well = false;
        let why = render::with_causes(&error.into());
        console.warn(&format!("{}: {why}", referred.definition()));
    }
    Ok(are_well && outcome_of(console.run().troubles()) == Outcome::Complete)
}

/// Where the first file of definitions is.
pub fn first(common: &Common) -> std::path::PathBuf {
    settings::config_file(common.config.clone())
}

/// The configuration; if there is an error, all that is wrong with it is told first.
pub fn read(common: &Common) -> Result<Definitions> {
    let Loaded { config, report } = definitions::read(&first(common));
    config.ok_or_else(|| invalid(common, &report))
}

pub(super) fn invalid(
    common: &Common,
    report: &keepfast_config::diagnostic::render::Report,
) -> anyhow::Error {
    if common.json {
        lines::message_document(&report.to_json());
    } else {
        lines::raw_message(report.render(style(Stream::Err)).as_bytes());
    }
    Usage("the configuration has errors".to_owned()).into()
}

fn style(stream: Stream) -> Style {
    if colour::is_on(stream) { Style::Coloured } else { Style::Plain }
}

/// A table for people: columns as wide as they need, the last one as long as it is.
pub fn table<const N: usize>(head: &[&str; N], rows: impl Iterator<Item = [String; N]>) {
    marked_table(head, rows, |_| None);
}

/// As [`table`], with a colour for the first word of some rows.
fn marked_table<const N: usize>(
    head: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
    colour: impl Fn(&str) -> Option<Colour>,
) {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let line = line.trim_end();
        match colour(&row[0]).zip(line.strip_prefix(row[0].as_str())) {
            Some((colour, rest)) => lines::result_marked(colour, &row[0], rest),
            None => render::line(line),
        }
    }
}

/// The time between two instants, in its two largest units.
pub(super) fn age(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    in_words(Duration::from_secs(seconds.unsigned_abs()))
}
