//! `keepfast prune`, and `stats --delete`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use keepfast_backend::Traffic;
use keepfast_engine::forget::freed_by;
use keepfast_engine::prune::{PruneOptions, PrunePlan, PruneReport, plan_prune, prune};
use keepfast_engine::repo::{SnapshotFilter, WriterOptions};
use keepfast_format::ids::SessionId;
use keepfast_operations::choose::choose;
use keepfast_operations::open::{Mode, Opened};
use serde_json::{Value, json};

use super::outcome;
use crate::Outcome;
use crate::args::{Common, Prune, Pruning};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::render;

/// Dead sessions are moved into the catalogue when there are this many.
const COMPACT_FROM: usize = 1000;

/// Prunes, or says what that would do.
pub fn run(common: &Common, options: &Prune) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    run_in(&opened, common, options.dry_run, &options.pruning, &console)
}

/// As [`run`], in a repository that is open.
pub fn run_in(
    opened: &Opened,
    common: &Common,
    dry_run: bool,
    pruning: &Pruning,
    console: &Console,
) -> Result<Outcome> {
    let begun = Instant::now();
    let pack_bytes = opened.repository.config().pack_bytes;
    let share = manners::share(common, pack_bytes, Work::Rewrite)?;
    let run = &console.run().clone().with_threads(share.threads);
    let options = PruneOptions {
        max_unused: pruning.max_unused,
        max_rewrite_bytes: pruning.max_repack,
        session_timeout: pruning.session_timeout,
        accept_missing: pruning.accept_missing.clone(),
        compact_from: COMPACT_FROM,
        step_back: !pruning.full_speed,
        writer: WriterOptions { uploads: share.uploads, ..WriterOptions::default() },
        program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let (repository, index) = (&opened.repository, &opened.index);
    let report = if dry_run {
        let plan = plan_prune(repository, index, &options, run)?;
        PruneReport { plan, ..PruneReport::default() }
    } else {
        console.during("pruned", || prune(repository, index, &options, run))?
    };
    let traffic = repository.backend().traffic();
    if common.json {
        render::document(&to_json(&report, dry_run, pack_bytes, traffic, begun.elapsed()));
    } else if !common.quiet {
        print_plan(&report.plan, pack_bytes);
        if !dry_run {
            print_report(&report);
        }
        if let Some(traffic) = traffic {
            render::line(&render::traffic(traffic));
        }
        render::line(&format!("time       {:.1} s", begun.elapsed().as_secs_f64()));
    }
    Ok(outcome(console))
}

fn print_plan(plan: &PrunePlan, pack_bytes: u32) {
    render::line(&format!("stored     {} in {} packs", render::bytes(plan.bytes), render::count(plan.packs)));
    render::line(&format!(
        "unused     {} in {} packs that nothing needs",
        render::bytes(plan.unused_bytes),
        render::count(plan.unused.len() as u64)
    ));
    render::line(&format!(
        "rewrite    {} in {} packs, of which {} are needed",
        render::bytes(plan.rewrite_bytes),
        render::count(plan.rewrite.len() as u64),
        render::bytes(plan.rewrite_live_bytes)
    ));
    if plan.open_sessions > 0 {
        render::line(&format!(
            "running    {} in {} packs of {} backups that have neither ended nor failed: they stay until those end, \
             or have been silent for the --session-timeout",
            render::bytes(plan.open_bytes),
            render::count(plan.open_packs),
            render::count(plan.open_sessions)
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
        render::bytes(plan.bytes_after()),
        render::bytes(plan.waste_bytes),
        render::count(plan.requests(pack_bytes))
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

fn to_json(
    report: &PruneReport,
    dry_run: bool,
    pack_bytes: u32,
    traffic: Option<Traffic>,
    time: Duration,
) -> Value {
    let plan = &report.plan;
    json!({
        "dry_run": dry_run,
        "plan": {
            "packs": plan.packs, "bytes": plan.bytes,
            "unused_packs": plan.unused.len(), "unused_bytes": plan.unused_bytes,
            "rewrite_packs": plan.rewrite.len(), "rewrite_bytes": plan.rewrite_bytes,
            "rewrite_needed_bytes": plan.rewrite_live_bytes,
            "running_sessions": plan.open_sessions, "running_packs": plan.open_packs,
            "running_bytes": plan.open_bytes, "doubles": plan.doubles,
            "bytes_after": plan.bytes_after(), "waste_bytes": plan.waste_bytes,
            "requests": plan.requests(pack_bytes),
        },
        "epochs": report.epochs,
        "packs_removed": report.packs_removed, "bytes_removed": report.bytes_removed,
        "packs_spared": report.packs_spared, "packs_rewritten": report.packs_rewritten,
        "bytes_read": report.bytes_read, "bytes_written": report.bytes_written,
        "sessions_fenced": report.sessions_fenced, "objects_removed": report.objects_removed,
        "traffic": render::traffic_json(traffic),
        "seconds": time.as_secs_f64(),
    })
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
