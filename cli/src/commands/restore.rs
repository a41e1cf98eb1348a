//! `keepfast restore`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use keepfast_engine::EngineError;
use keepfast_operations::OperationsError;
use keepfast_operations::choose::LATEST;
use keepfast_operations::paths::absolute;
use keepfast_operations::reports::RestoreReport;
use keepfast_operations::requests::{self, restore};

use super::outcome_of;
use crate::args::{Common, OverwriteWhen, Restore};
use crate::console::Console;
use crate::render::{self, counted};
use crate::{Outcome, databases};

/// Restores.
pub fn run(common: &Common, options: &Restore) -> Result<Outcome> {
    if let Some(to) = &options.database {
        return super::databases::restore(common, options, &databases::address(to)?);
    }
    let console = Console::new(common)?;
    let request = request_of(common, options);
    let shared = super::shared(common, &console)?;
    let report = console
        .during("restored", || restore(&request, &shared, console.run()))
        .map_err(|error| advise(error, options))?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print(options, &report);
    }
    Ok(outcome_of(report.troubles))
}

fn request_of(common: &Common, options: &Restore) -> requests::Restore {
    let globs = |globs: &[String]| globs.iter().map(OsString::from).collect();
    requests::Restore {
        snapshot: options.snapshot.clone().unwrap_or_else(|| LATEST.to_owned()),
        at: options.at.clone(),
        filter: super::host_filter_of(&options.filter),
        paths: options.paths.clone(),
        include: globs(&options.include),
        exclude: globs(&options.exclude),
        overwrite: options.overwrite.map(|when| match when {
            OverwriteWhen::Always => requests::OverwriteWhen::Always,
            OverwriteWhen::IfChanged => requests::OverwriteWhen::IfChanged,
            OverwriteWhen::Never => requests::OverwriteWhen::Never,
        }),
        resume: options.resume,
        delete: options.delete,
        dry_run: options.dry_run,
        verify: options.verify,
        numeric_owners: options.numeric_owners,
        no_privileges: options.no_privileges,
        resources: common.resources(),
        ..requests::Restore::latest_into(target_of(options))
    }
}

/// The directory. The parser of the flags asks for one.
fn target_of(options: &Restore) -> PathBuf {
    options.target.clone().unwrap_or_default()
}

/// What to do after a restore that was stopped.
fn advise(error: OperationsError, options: &Restore) -> anyhow::Error {
    let is_stopped = matches!(error.engine(), Some(EngineError::RestoreInterrupted));
    let target = target_of(options);
    let target = absolute(&target).unwrap_or(target);
    if !is_stopped || options.dry_run {
        return error.into();
    }
    let advice = format!("{error}; the same command with --resume goes on in {}", target.display());
    anyhow::Error::new(error).context(advice)
}

fn print(options: &Restore, report: &RestoreReport) {
    let verb = if options.dry_run { "would be restored" } else { "restored" };
    render::line(&format!("snapshot {} {verb} to {}", &report.snapshot[..8], report.target));
    render::line(&format!(
        "files   {}, {}, {}, {}; {} unchanged, {} skipped",
        counted(report.files, "file"),
        counted(report.dirs, "directory"),
        counted(report.others, "other"),
        counted(report.hard_links, "hard link"),
        render::count(report.unchanged),
        render::count(report.skipped),
    ));
    if report.corrected > 0 {
        render::line(&format!(
            "put the metadata of {} right whose content was unchanged",
            counted(report.corrected, "file")
        ));
    }
    if options.no_privileges {
        render::line(&format!(
            "dropped privileges of {}, left out {}",
            counted(report.privileges_dropped, "entry"),
            counted(report.devices_left_out, "device"),
        ));
    }
    if report.deleted > 0 {
        render::line(&format!(
            "{} {} that the snapshot doesn't have",
            if options.dry_run { "would remove" } else { "removed" },
            counted(report.deleted, "entry")
        ));
    }
    if options.verify && !options.dry_run {
        render::line(&format!("checked {} against the snapshot", counted(report.verified, "file")));
    }
    let time = Duration::from_secs_f64(report.seconds);
    render::line(&format!("data    {}", render::bytes(report.bytes)));
    if let Some(traffic) = report.traffic {
        render::line(&render::traffic(traffic));
    }
    render::line(&format!("time    {:.1} s, {}", time.as_secs_f64(), render::rate(report.bytes, time)));
}
