//! `keepfast backup`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use keepfast_operations::chunking::ChunkingBelow;
use keepfast_operations::reports::BackupReport;
use keepfast_operations::requests::{self, backup_with};
use keepfast_operations::sources::PathSources;
use keepfast_operations::streams::Empty;

use super::outcome_of;
use crate::args::{Backup, Common};
use crate::console::Console;
use crate::usage::Usage;
use crate::{Outcome, databases, render, settings, sources, streams};

/// Backs up.
pub fn run(common: &Common, options: &Backup) -> Result<Outcome> {
    let console = Console::new(common)?;
    let is_only_stream = options.stdin || options.command;
    let has_streams = is_only_stream || !options.streams.is_empty();
    let databases = databases::of(&options.databases)?;
    if options.stdin_name.is_some() && !is_only_stream {
        return Err(Usage("--stdin-name goes with --stdin or --command".to_owned()).into());
    }
    if options.allow_empty && !has_streams {
        return Err(Usage("--allow-empty goes with --stdin, --command or --stream".to_owned()).into());
    }
    // With --command they are the command's words.
    let paths = if is_only_stream { Vec::new() } else { sources::paths(options)? };
    let sources = PathSources {
        paths,
        stored_as: options.stored_as.clone(),
        follow: options.follow,
        follow_sources: options.follow_sources,
        read_special: options.read_special,
    };
    let request = requests::Backup { sources, databases, ..request_of(common, options, &console) };
    let shared = super::shared(common, &console)?;
    let start = |group: &_| streams::start(options, group);
    let report = console
        .during("backed up", || backup_with(&request, has_streams, start, &shared, console.run()))
        .map_err(sources::explained)?;
    if common.json {
        render::document(&report);
    } else if !common.quiet {
        print(options, &report);
    }
    Ok(outcome_of(report.troubles))
}

/// What the flags ask for, but for the sources.
fn request_of(common: &Common, options: &Backup, console: &Console) -> requests::Backup {
    requests::Backup {
        empty: if options.allow_empty { Empty::Allowed } else { Empty::Refused },
        tags: options.tags.clone(),
        host: options.host.clone(),
        exclude: options.exclude.clone(),
        exclude_from: options.exclude_from.clone(),
        exclude_caches: options.exclude_caches,
        exclude_if_present: options.exclude_if_present.clone(),
        exclude_nodump: options.exclude_nodump,
        exclude_larger_than: options.exclude_larger_than,
        // Also when nothing is kept there.
        never_enter: vec![settings::cache_dir(common)],
        ignore_files: !options.no_ignore_files,
        one_file_system: options.one_file_system,
        ignore_ctime: options.ignore_ctime,
        ignore_inode: options.ignore_inode,
        parent: options.parent.clone(),
        force: options.force,
        skip_if_unchanged: options.skip_if_unchanged,
        dry_run: options.dry_run,
        compression_level: options.compression,
        verify_writes: !options.no_verify_writes,
        estimate: console.is_watched(),
        chunking: vec![ChunkingBelow { path: PathBuf::from("/"), chunking: options.chunking }],
        resources: common.resources(),
        ..requests::Backup::default()
    }
}

fn print(options: &Backup, report: &BackupReport) {
    let counts = &report.summary;
    let time = Duration::from_secs_f64(report.seconds);
    match &report.snapshot {
        Some(snapshot) => render::line(&format!("snapshot {} saved", &snapshot.id[..8])),
        None if report.unchanged => render::line("nothing has changed: no snapshot was made"),
        None => render::line("dry run: nothing was stored"),
    }
    let parent = report
        .parent
        .as_ref()
        .map_or_else(String::new, |parent| format!(" (compared with {})", &parent[..8]));
    render::line(&format!(
        "files   {} new, {} changed, {} unchanged, {} skipped{parent}",
        render::count(counts.files_new),
        render::count(counts.files_changed),
        render::count(counts.files_unchanged),
        render::count(counts.skipped),
    ));
    if report.ignored > 0 {
        let entries = render::counted(report.ignored, "entry");
        render::line(&format!("ignored {entries}, by .keepfastignore"));
    }
    let verb = if options.dry_run { "to read" } else { "read" };
    let stored = if options.dry_run {
        String::new()
    } else {
        format!(", {} new, {} stored", render::bytes(counts.bytes_new), render::bytes(counts.bytes_stored))
    };
    render::line(&format!(
        "data    {} in all, {} {verb}{stored}",
        render::bytes(counts.bytes_total),
        render::bytes(counts.bytes_read),
    ));
    let dedup = render::factor(counts.bytes_read, counts.bytes_new).map(|times| format!("dedup {times}"));
    let compression =
        render::factor(counts.bytes_new, counts.bytes_stored).map(|times| format!("compression {times}"));
    let ratios: Vec<String> = dedup.into_iter().chain(compression).collect();
    if !ratios.is_empty() && !options.dry_run {
        render::line(&format!("ratio   {}", ratios.join(", ")));
    }
    if let Some(traffic) = report.traffic {
        render::line(&render::traffic(traffic));
    }
    render::line(&format!("time    {:.1} s, {}", time.as_secs_f64(), render::rate(counts.bytes_total, time)));
}
