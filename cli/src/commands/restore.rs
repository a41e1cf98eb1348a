//! `keepfast restore`.

use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use anyhow::Result;
use jiff::tz::TimeZone;
use keepfast_backend::Traffic;
use keepfast_engine::repo::SnapshotFilter;
use keepfast_engine::restore::{Overwrite, RestoreOptions, RestoreReport, restore};
use keepfast_engine::{EngineError, list};
use keepfast_operations::choose::{LATEST, choose, split, writers_of};
use keepfast_operations::open::Mode;
use keepfast_operations::paths::absolute;
use keepfast_operations::times;
use serde_json::json;

use super::outcome;
use crate::Outcome;
use crate::args::{Common, OverwriteWhen, Restore};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::patterns;
use crate::render;

/// Restores.
pub fn run(common: &Common, options: &Restore) -> Result<Outcome> {
    let begun = Instant::now();
    let console = Console::new(common)?;
    let until = options.at.as_deref().map(|text| times::end_of(text, &TimeZone::system())).transpose()?;
    let (wanted, folder) = split(options.snapshot.as_deref().unwrap_or(LATEST));
    let restore_options = RestoreOptions {
        target: absolute(&options.target)?,
        folder: folder.as_bytes().to_vec(),
        paths: options.paths.iter().map(|path| list::normal(path.as_os_str().as_bytes())).collect(),
        include: patterns::compile(&options.include, &console)?,
        exclude: patterns::compile(&options.exclude, &console)?,
        overwrite: match options.overwrite {
            None => Overwrite::Refuse,
            Some(OverwriteWhen::Always) => Overwrite::Always,
            Some(OverwriteWhen::IfChanged) => Overwrite::IfChanged,
            Some(OverwriteWhen::Never) => Overwrite::Never,
        },
        resume: options.resume,
        delete: options.delete,
        dry_run: options.dry_run,
        verify: options.verify,
        numeric_owners: options.numeric_owners,
        no_privileges: options.no_privileges,
        // Until it is known how large packs are.
    };
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let share = manners::share(common, opened.repository.config().pack_bytes, Work::ReadFrames)?;
    let run = &console.run().clone().with_threads(share.threads);
    let filter = SnapshotFilter {
        writers: writers_of(options.writer.as_deref(), &opened.snapshots)?,
        host: options.host.clone(),
        tags: options.tags.clone(),
        paths: Vec::new(),
        until,
    };
    let snapshot = &choose(&opened.snapshots, wanted, &filter, &shared, console.run())?.snapshot;
    let report = console
        .during("restored", || restore(&opened.repository, &opened.index, snapshot, &restore_options, run))
        .map_err(|error| advise(error, &restore_options))?;
    let id = snapshot.head.id.short();
    let traffic = opened.repository.backend().traffic();
    if common.json {
        render::document(&json!({
            "snapshot": id,
            "target": restore_options.target.display().to_string(),
            "dry_run": options.dry_run,
            "files": report.files, "dirs": report.dirs, "others": report.others,
            "hard_links": report.hard_links, "unchanged": report.unchanged, "corrected": report.corrected,
            "deleted": report.deleted, "skipped": report.troubles.skipped, "privileges_dropped": report.privileges_dropped,
            "devices_left_out": report.devices_left_out,
            "verified": report.verified, "bytes": report.bytes,
            "traffic": render::traffic_json(traffic),
            "seconds": begun.elapsed().as_secs_f64(),
        }));
    } else if !common.quiet {
        print(&id, &restore_options, &report, traffic, begun);
    }
    Ok(outcome(&console))
}

/// What to do after a restore that was stopped.
fn advise(error: EngineError, options: &RestoreOptions) -> anyhow::Error {
    if !matches!(error, EngineError::RestoreInterrupted) || options.dry_run {
        return error.into();
    }
    let advice = format!("{error}; the same command with --resume goes on in {}", options.target.display());
    anyhow::Error::new(error).context(advice)
}

fn print(
    id: &str,
    options: &RestoreOptions,
    report: &RestoreReport,
    traffic: Option<Traffic>,
    begun: Instant,
) {
    let verb = if options.dry_run { "would be restored" } else { "restored" };
    render::line(&format!("snapshot {} {verb} to {}", &id[..8], options.target.display()));
    render::line(&format!(
        "files   {} files, {} directories, {} others, {} hard links; {} unchanged, {} skipped",
        render::count(report.files),
        render::count(report.dirs),
        render::count(report.others),
        render::count(report.hard_links),
        render::count(report.unchanged),
        render::count(report.troubles.skipped),
    ));
    if report.corrected > 0 {
        render::line(&format!(
            "put the metadata of {} files right whose content was unchanged",
            render::count(report.corrected)
        ));
    }
    if options.no_privileges {
        render::line(&format!(
            "dropped privileges of {} entries, left out {} devices",
            render::count(report.privileges_dropped),
            render::count(report.devices_left_out),
        ));
    }
    if report.deleted > 0 {
        render::line(&format!(
            "{} {} entries that the snapshot doesn't have",
            if options.dry_run { "would remove" } else { "removed" },
            render::count(report.deleted)
        ));
    }
    if options.verify && !options.dry_run {
        render::line(&format!("checked {} files against the snapshot", render::count(report.verified)));
    }
    let time = begun.elapsed();
    render::line(&format!("data    {}", render::bytes(report.bytes)));
    if let Some(traffic) = traffic {
        render::line(&render::traffic(traffic));
    }
    render::line(&format!("time    {:.1} s, {}", time.as_secs_f64(), render::rate(report.bytes, time)));
}
