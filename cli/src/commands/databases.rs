//! `keepfast sources`, and `keepfast restore --database`.

use std::time::Duration;

use anyhow::{Result, anyhow};
use keepfast_operations::choose::LATEST;
use keepfast_operations::databases::{
    DatabaseRestore, DatabaseRestoreReport, DatabaseSource, plan_restore, restore_database, survey,
};
use keepfast_server::convert;
use keepfast_server::definitions;
use keepfast_sources::address::Address;
use keepfast_sources::restore::{Existing, RestoreOptions, RestorePlan};
use keepfast_sources::survey::{Survey, Weight};
use serde::Serialize;

use super::plans::read;
use crate::args::{Common, Restore, SourcesAction, TestSource};
use crate::console::Console;
use crate::render::{self, counted};
use crate::{Outcome, databases, secrets};

/// `keepfast sources`.
pub fn sources(common: &Common, action: &SourcesAction) -> Result<Outcome> {
    let SourcesAction::Test(options) = action;
    test(common, options)
}

fn test(common: &Common, options: &TestSource) -> Result<Outcome> {
    let console = Console::new(common)?;
    let sources: Vec<DatabaseSource> = match &options.plan {
        Some(plan) => {
            let config = read(common)?;
            let found = convert::backup::request(definitions::plan(&config, plan)?)?.databases;
            if found.is_empty() {
                return Err(anyhow!("plan {plan} backs up no database"));
            }
            found
        }
        None => databases::of(&options.databases)?,
    };
    let mut surveys = Vec::new();
    for source in &sources {
        surveys.push(survey(source, &secrets::children(), console.run().cancel())?);
    }
    if common.json {
        render::document(&surveys);
    } else {
        surveys.iter().for_each(print_survey);
    }
    Ok(if surveys.iter().all(Survey::is_whole) { Outcome::Complete } else { Outcome::WithFindings })
}

fn print_survey(survey: &Survey) {
    render::line(&format!("{}: {}", survey.address, survey.server));
    for tool in &survey.tools {
        render::line(&format!("program   {} ({})", tool.program, tool.version));
    }
    for database in &survey.databases {
        let size = database.bytes.map_or_else(String::new, |bytes| format!(", {}", render::bytes(bytes)));
        render::line(&format!("database  {}: {}{size}", database.name, counted(database.tables, "table")));
    }
    for finding in &survey.findings {
        let weight = match finding.weight {
            Weight::Advice => "advice",
            Weight::Incomplete => "missing",
            Weight::Impossible => "refused",
        };
        render::line(&format!("{weight:<9} {}", finding.text));
    }
    if survey.is_whole() {
        render::line("a backup would be whole");
    }
}

/// Restores a dump into a database.
pub fn restore(common: &Common, options: &Restore, to: &Address) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = request_of(options, to);
    let shared = super::shared(common, &console)?;
    if options.dry_run {
        let (folder, plan) =
            console.during("looked at", || plan_restore(&request, &shared, console.run()))?;
        if common.json {
            render::document(&PlanDocument { folder: &folder, dry_run: true, plan: &plan });
        } else {
            print_plan(&folder, to, &plan);
        }
        return Ok(Outcome::Complete);
    }
    let report = console.during("restored", || restore_database(&request, &shared, console.run()))?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print(to, &report);
    }
    let is_right = report.report.checks.iter().all(|check| check.is_right);
    Ok(if is_right { Outcome::Complete } else { Outcome::WithFindings })
}

/// What would be restored, as programs see it.
#[derive(Serialize)]
struct PlanDocument<'p> {
    folder: &'p str,
    dry_run: bool,
    #[serde(flatten)]
    plan: &'p RestorePlan,
}

fn request_of(options: &Restore, to: &Address) -> DatabaseRestore {
    let into = &options.into;
    DatabaseRestore {
        snapshot: options.snapshot.clone().unwrap_or_else(|| LATEST.to_owned()),
        at: options.at.clone(),
        filter: super::host_filter_of(&options.filter),
        to: to.clone(),
        password: databases::password(
            into.database_password_file.as_deref(),
            into.database_password_command.as_deref(),
        ),
        options: RestoreOptions {
            database: into.from_database.clone(),
            schemas: into.schemas.clone(),
            tables: into.tables.clone(),
            globals: into.globals,
            existing: if into.replace { Existing::Replace } else { Existing::Refuse },
            until: into.until.clone(),
            parallel: into.parallel,
        },
        programs: Vec::new(),
    }
}

fn print_plan(folder: &str, to: &Address, plan: &RestorePlan) {
    render::line(&format!("{folder} would be restored into {to}"));
    for (number, step) in (1..).zip(&plan.steps) {
        render::line(&format!("{number:>3}. {step}"));
    }
    for lost in &plan.replaces {
        render::line(&format!("replaces  {lost}"));
    }
    for warning in &plan.warnings {
        render::line(&format!("note      {warning}"));
    }
    render::line(&format!("data      {}", render::bytes(plan.bytes)));
}

fn print(to: &Address, report: &DatabaseRestoreReport) {
    let DatabaseRestoreReport { snapshot, folder, report, seconds } = report;
    render::line(&format!("{folder} of snapshot {} restored into {to}", &snapshot[..8]));
    render::line(&format!(
        "restored  {}, {}, {}",
        counted(report.databases, "database"),
        counted(report.tables, "table"),
        counted(report.rows, "row"),
    ));
    let wrong: Vec<_> = report.checks.iter().filter(|check| !check.is_right).collect();
    for check in &wrong {
        let expected = check.expected.as_deref().unwrap_or("no fault");
        render::line(&format!("differs   {}: {} instead of {expected}", check.name, check.found));
    }
    if wrong.is_empty() && !report.checks.is_empty() {
        let count = u64::try_from(report.checks.len()).unwrap_or(u64::MAX);
        render::line(&format!("compared  {}: all as in the dump", counted(count, "figure")));
    }
    for warning in &report.warnings {
        render::line(&format!("note      {warning}"));
    }
    let time = Duration::from_secs_f64(*seconds);
    render::line(&format!("time      {:.1} s, {}", seconds, render::rate(report.bytes, time)));
}
