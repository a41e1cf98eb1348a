//! `keepfast drill`: restores on trial, and what they have shown.

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use keepfast_config::config::Config as Definitions;
use keepfast_drills::evidence::Evidence;
use keepfast_drills::goal::Measured;
use keepfast_drills::verdict::Verdict as Proved;
use keepfast_server::drills::{self, DrillStatus, LastDrill};
use keepfast_server::once::{self, Ran};
use keepfast_server::running::drill::DrillOutcome;
use keepfast_server::work::report::Verdict;
use keepfast_server::{StateHandle, runs, state};
use tokio::runtime::Runtime;

use super::{plans, told};
use crate::args::{Common, DrillAction};
use crate::console::Console;
use crate::usage::Usage;
use crate::{Outcome, render, secrets};

/// Does something with drills.
pub fn run(common: &Common, action: &DrillAction) -> Result<Outcome> {
    match action {
        DrillAction::Run { drill } => carry_out(common, drill),
        DrillAction::List => list(common),
        DrillAction::Show { which } => show(common, which),
    }
}

fn carry_out(common: &Common, drill: &str) -> Result<Outcome> {
    let console = Console::new(common)?;
    let config = plans::read(common)?;
    let around = plans::surroundings(common);
    let Ran { report, told } =
        console.during("drill", || once::drill(&config, drill, &around, console.run()));
    told::say(common, &told);
    let DrillOutcome { verdict, error, problems, evidence, kept, failure, .. } = match report {
        Ok(outcome) if common.json => {
            render::document(&outcome);
            outcome
        }
        outcome => outcome?,
    };
    if let Some(evidence) = evidence.as_ref().filter(|_| !common.json && !common.quiet) {
        print_evidence(evidence);
        row("kept", kept.as_deref().map_or("not in the repository", render::short));
    }
    if !common.json {
        problems.iter().for_each(|problem| render::note("warning", problem, false));
    }
    match verdict {
        Verdict::Ok => Ok(Outcome::Complete),
        Verdict::Findings => Ok(Outcome::WithFindings),
        Verdict::Failed | Verdict::Cancelled => {
            let what = format!("drill {drill} failed");
            // The kind of the error gives the exit code.
            Err(match (failure, error) {
                (Some(failure), _) => anyhow::Error::new(failure).context(what),
                (None, why) => anyhow!("{what}: {}", why.as_deref().unwrap_or("it was ended")),
            })
        }
    }
}

/// The state, and what waits for it.
fn opened(common: &Common) -> Result<(Definitions, Runtime, StateHandle)> {
    let config = plans::read(common)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = runtime.block_on(state::open(&config, &secrets::children()))?;
    Ok((config, runtime, store))
}

fn list(common: &Common) -> Result<Outcome> {
    let (config, runtime, store) = opened(common)?;
    let drills = runtime.block_on(drills::all(&config, &store))?;
    if common.json {
        render::document(&drills);
    } else if drills.is_empty() {
        render::line("no drills: the configuration defines none");
    } else {
        print_list(&drills);
    }
    Ok(Outcome::Complete)
}

fn print_list(drills: &[DrillStatus]) {
    let now = Timestamp::now();
    let ago = |at: Option<Timestamp>| at.map(|at| format!("{} ago", plans::age(at, now)));
    let rows = drills.iter().map(|drill| {
        let last = drill.last.as_ref();
        let evidence = last.map(|last| &last.evidence);
        [
            drill.drill.clone(),
            drill.plan.clone(),
            evidence.map_or_else(|| "never".to_owned(), |evidence| evidence.verdict.to_string()),
            last.and_then(|last| ago(last.ended)).unwrap_or_default(),
            ago(drill.passed).unwrap_or_else(|| "never".to_owned()),
            evidence.map(|evidence| measured(evidence.restore)).unwrap_or_default(),
            evidence.map(|evidence| measured(evidence.age)).unwrap_or_default(),
            last.and_then(|last| last.problems.first().cloned()).unwrap_or_default(),
        ]
    });
    plans::table(&["DRILL", "PLAN", "LAST", "", "PROVEN", "RESTORE", "AGE", ""], rows);
}

fn show(common: &Common, which: &str) -> Result<Outcome> {
    let (config, runtime, store) = opened(common)?;
    let LastDrill { run, evidence, kept, .. } = runtime.block_on(found(&config, &store, which))?;
    if common.json {
        render::document(&evidence);
    } else {
        row("run", &run);
        print_evidence(&evidence);
        row("kept", kept.as_deref().unwrap_or("not in the repository"));
        evidence.problems().iter().for_each(|problem| row("problem", problem));
    }
    Ok(Outcome::Complete)
}

/// The newest run of a drill with evidence, or the run that is meant.
async fn found(config: &Definitions, store: &StateHandle, which: &str) -> Result<LastDrill> {
    if let Some(definition) = config.drills.get(which) {
        let last = drills::one(config, store, definition).await?.last;
        return last.ok_or_else(|| Usage(format!("no run of drill {which} has evidence")).into());
    }
    let run = runs::find(store, which).await?;
    let report = runs::report(store, &run.id).await?;
    let of_run = report.and_then(|report| drills::of_report(&run, &report));
    of_run.ok_or_else(|| Usage(format!("run {which} is no drill that has evidence")).into())
}

fn row(name: &str, value: &str) {
    render::line(&format!("{name:<11}{value}"));
}

fn print_evidence(evidence: &Evidence) {
    row("drill", &format!("{} of plan {} in {}", evidence.drill, evidence.plan, evidence.repository));
    row("verdict", &evidence.verdict.to_string());
    if let Some(snapshot) = &evidence.snapshot {
        row("snapshot", &format!("{} of {}", render::short(&snapshot.id), snapshot.time));
    }
    row("began", &evidence.began.to_string());
    row("restore", &measured(evidence.restore));
    row("age", &measured(evidence.age));
    for part in &evidence.parts {
        row("tested", &format!("{}: {}", part.name, part.verdict));
        for check in &part.checks {
            let mark = if check.is_right { "right" } else { "wrong" };
            render::line(&format!("  {mark:<7} {}: {}", check.name, check.found));
        }
        if let Some(why) = part.why.as_ref().filter(|_| part.verdict != Proved::Pass) {
            render::line(&format!("  {why}"));
        }
    }
    row("log", &format!("BLAKE3 {}", evidence.log_blake3));
}

/// A time and its goal.
fn measured(measured: Measured) -> String {
    let words = |ms: u64| match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{} s", ms / 1000),
        _ => keepfast_schedule::span::in_words(std::time::Duration::from_secs(ms / 1000)),
    };
    match (measured.measured_ms, measured.goal_ms) {
        (None, _) => "-".to_owned(),
        (Some(found), None) => words(found),
        (Some(found), Some(goal)) if measured.is_missed() => {
            format!("{} (goal {}: missed)", words(found), words(goal))
        }
        (Some(found), Some(goal)) => format!("{} (goal {})", words(found), words(goal)),
    }
}
