//! `keepfast prune`, and `stats --delete`.

use std::collections::HashSet;

use anyhow::Result;
use keepfast_engine::forget::freed_by;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_format::ids::SessionId;
use keepfast_operations::choose::choose;
use keepfast_operations::open::{Mode, Opened, SharedRepository};
use keepfast_operations::reports::{PlanDocument, PruneReport};
use keepfast_operations::requests::{self, prune_in};
use serde_json::json;

use super::{outcome, outcome_of};
use crate::Outcome;
use crate::args::{Common, Prune, Pruning};
use crate::console::Console;
use crate::render;

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
    render::line(&format!("stored     {} in {} packs", render::bytes(plan.bytes), render::count(plan.packs)));
    render::line(&format!(
        "unused     {} in {} packs that nothing needs",
        render::bytes(plan.unused_bytes),
        render::count(plan.unused_packs as u64)
    ));
    render::line(&format!(
        "rewrite    {} in {} packs, of which {} are needed",
        render::bytes(plan.rewrite_bytes),
        render::count(plan.rewrite_packs as u64),
        render::bytes(plan.rewrite_needed_bytes)
    ));
    if plan.running_sessions > 0 {
        render::line(&format!(
            "running    {} in {} packs of {} backups that have neither ended nor failed: they stay until those end, \
             or have been silent for the --session-timeout",
            render::bytes(plan.running_bytes),
            render::count(plan.running_packs),
            render::count(plan.running_sessions)
        ));
    }
    if plan.doubles > 0 {
        render::line(&format!(
            "doubles    {} objects under the id of a pack that is needed: they stay, and 'keepfast check' names them",
            render::count(plan.doubles)
        ));
    }
    render::line(&format!(
        "after      {}, of which {} unused; about {} requests",
        render::bytes(plan.bytes_after),
        render::bytes(plan.waste_bytes),
        render::count(plan.requests)
    ));
}

fn print_report(report: &PruneReport) {
    render::line(&format!(
        "removed    {} in {} packs, {} small objects",
        render::bytes(report.bytes_removed),
        render::count(report.packs_removed),
        render::count(report.objects_removed)
    ));
    if report.packs_rewritten > 0 {
        render::line(&format!(
            "rewritten  {} packs: {} read, {} written",
            render::count(report.packs_rewritten),
            render::bytes(report.bytes_read),
            render::bytes(report.bytes_written)
        ));
    }
    if report.packs_spared > 0 {
        render::line(&format!(
            "spared     {} packs that running backups need",
            render::count(report.packs_spared)
        ));
    }
    if report.sessions_fenced > 0 {
        render::line(&format!(
            "ended      {} backups that were silent for too long",
            render::count(report.sessions_fenced)
        ));
    }
}

/// Says what forgetting snapshots would free.
pub fn freed(common: &Common, ids: &[String]) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let mut chosen: HashSet<SessionId> = HashSet::new();
    for id in ids {
        let filter = SnapshotFilter::default();
        chosen.insert(choose(&opened.snapshots, id, &filter, &shared, console.run())?.snapshot.head.id);
    }
    let freed = freed_by(&opened.repository, &opened.index, &opened.snapshots, &chosen, console.run())?;
    if common.json {
        render::document(&json!({
            "snapshots": chosen.len(), "chunks": freed.chunks, "bytes": freed.bytes,
            "bytes_stored": freed.stored_bytes, "bytes_in_whole_packs": freed.packs_bytes,
        }));
    } else {
        render::line(&format!(
            "only in {} snapshots: {} in {} chunks, stored in {}",
            chosen.len(),
            render::bytes(freed.bytes),
            render::count(freed.chunks),
            render::bytes(freed.stored_bytes)
        ));
        render::line(&format!(
            "of that {} are packs with nothing else in them; the rest goes when packs are rewritten",
            render::bytes(freed.packs_bytes)
        ));
    }
    Ok(outcome(&console))
}
