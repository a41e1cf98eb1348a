//! `keepfast prune`.

use anyhow::Result;
use keepfast_operations::open::{Mode, Opened, SharedRepository};
use keepfast_operations::reports::{PlanDocument, PruneReport};
use keepfast_operations::requests::{self, prune_in};

use super::outcome_of;
use crate::Outcome;
use crate::args::{Common, Prune, Pruning};
use crate::console::Console;
use crate::render::{self, agreeing, bytes, counted};

/// Prunes, or says what that would do.
pub fn run(common: &Common, options: &Prune) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    run_in(&opened, &shared, common, options.dry_run, &options.pruning, &console)
}

/// As [`run`], in a repository that is open.
pub fn run_in(
    opened: &Opened,
    shared: &SharedRepository,
    common: &Common,
    dry_run: bool,
    pruning: &Pruning,
    console: &Console,
) -> Result<Outcome> {
    let request = requests::Prune {
        max_unused: pruning.max_unused,
        max_rewrite_bytes: Some(pruning.max_repack),
        session_timeout_s: pruning.session_timeout.as_secs(),
        accept_missing: pruning.accept_missing.clone(),
        step_back: !pruning.full_speed,
        dry_run,
        resources: common.resources(),
    };
    let work = || prune_in(&request, opened, shared, console.run());
    let report = if dry_run { work()? } else { console.during("pruned", work)? };
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print_plan(&report.plan);
        if !dry_run {
            print_report(&report);
        }
        if let Some(traffic) = report.traffic {
            render::line(&render::traffic(traffic));
        }
        render::line(&format!("time       {:.1} s", report.seconds));
    }
    Ok(outcome_of(report.troubles))
}

fn print_plan(plan: &PlanDocument) {
    render::line(&format!("stored     {} in {}", bytes(plan.bytes), counted(plan.packs, "pack")));
    render::line(&format!(
        "unused     {} in {} that nothing needs",
        bytes(plan.unused_bytes),
        counted(plan.unused_packs as u64, "pack")
    ));
    render::line(&format!(
        "rewrite    {} in {}, of which {} are needed",
        bytes(plan.rewrite_bytes),
        counted(plan.rewrite_packs as u64, "pack"),
        bytes(plan.rewrite_needed_bytes)
    ));
    if plan.running_sessions > 0 {
        let (has, they) = (plan.running_sessions, plan.running_packs);
        render::line(&format!(
            "running    {} in {} of {} that {} neither ended nor failed: {} until {}, or {} been silent for the \
             --session-timeout",
            bytes(plan.running_bytes),
            counted(plan.running_packs, "pack"),
            counted(plan.running_sessions, "backup"),
            agreeing(has, "has", "have"),
            agreeing(they, "it stays", "they stay"),
            agreeing(has, "that one ends", "those end"),
            agreeing(has, "has", "have"),
        ));
    }
    if plan.doubles > 0 {
        render::line(&format!(
            "doubles    {} under the id of a pack that is needed: {}, and `keepfast check` names {}",
            counted(plan.doubles, "object"),
            agreeing(plan.doubles, "it stays", "they stay"),
            agreeing(plan.doubles, "it", "them"),
        ));
    }
    render::line(&format!(
        "after      {}, of which {} unused; about {}",
        bytes(plan.bytes_after),
        bytes(plan.waste_bytes),
        counted(plan.requests, "request")
    ));
}

fn print_report(report: &PruneReport) {
    render::line(&format!(
        "removed    {} in {}, {}",
        bytes(report.bytes_removed),
        counted(report.packs_removed, "pack"),
        counted(report.objects_removed, "small object")
    ));
    if report.packs_rewritten > 0 {
        render::line(&format!(
            "rewritten  {}: {} read, {} written",
            counted(report.packs_rewritten, "pack"),
            bytes(report.bytes_read),
            bytes(report.bytes_written)
        ));
    }
    if report.packs_spared > 0 {
        render::line(&format!(
            "spared     {} that running backups need",
            counted(report.packs_spared, "pack")
        ));
    }
    if report.sessions_fenced > 0 {
        render::line(&format!(
            "ended      {} that {} silent for too long",
            counted(report.sessions_fenced, "backup"),
            agreeing(report.sessions_fenced, "was", "were")
        ));
    }
}
