//! `keepfast backup`.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use keepfast_backend::Traffic;
use keepfast_engine::EngineError;
use keepfast_engine::archive::{
    ArchiveOptions, ArchiveReport, ParentChoice, Source, archive, can_be_read_again, estimate, has_parent,
};
use keepfast_engine::monitor::Monitor;
use keepfast_engine::repo::{WriterOptions, open_index_in_memory};
use serde_json::json;

use super::{Opened, outcome, snapshots, tell_if_ahead};
use crate::Outcome;
use crate::args::{Backup, Common};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::patterns;
use crate::render;
use crate::settings;
use crate::sources;
use crate::streams::{self, Empty};
use crate::usage::{Usage, wrong_pattern};

/// How often a backup that waits for its input looks for garbage collections.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Backs up.
pub fn run(common: &Common, options: &Backup) -> Result<Outcome> {
    let begun = Instant::now();
    let console = Console::new(common)?;
    let mut archive_options = archive_options(common, options, &console)?;
    let is_stream = options.stdin || options.command;
    if options.stdin_name.is_some() && !is_stream {
        return Err(Usage("--stdin-name goes with --stdin or --command".to_owned()).into());
    }
    if options.allow_empty && !is_stream {
        return Err(Usage("--allow-empty goes with --stdin or --command".to_owned()).into());
    }
    let empty = if options.allow_empty { Empty::Allowed } else { Empty::Refused };
    let paths = if is_stream { Vec::new() } else { sources::existing_paths(options, &console)? };
    if !is_stream {
        let stored = options.stored_as.as_ref().map_or(paths.as_slice(), std::slice::from_ref);
        patterns::warn_of_elsewhere(&options.exclude, stored, &console);
    }
    let opened = Opened::with_warnings(common, &console)?;
    let share = manners::share(common, opened.repository.config().pack_bytes, Work::Write)?;
    archive_options.threads = share.threads;
    archive_options.writer.uploads = share.uploads;
    let source = match (&options.stdin_name, options.stdin, options.command) {
        (Some(name), true, _) => Source::Stream(streams::standard_input(name, empty, &console)?),
        (Some(name), _, true) => Source::Stream(streams::output_of(name, &options.paths, empty, &console)?),
        _ => Source::Paths(&paths),
    };
    let ended = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        // Without a parent snapshot nobody knows how much there is, and only a bar wants to.
        let unknown = !has_parent(&opened.repository, &opened.snapshots, &archive_options, &paths);
        if console.is_watched() && unknown && !is_stream {
            scope.spawn(|| estimate(&paths, &archive_options, &ended, console.progress()));
        }
        let report = console.during("backed up", || {
            let Opened { repository, snapshots, index } = &opened;
            match archive(repository, index, snapshots, source, &archive_options, &console) {
                Err(error @ EngineError::Cache { .. })
                    if !is_stream && can_be_read_again(&paths, &archive_options) =>
                {
                    console.warn(&format!("{error}. The backup begins again, with an index in memory"));
                    let index = open_index_in_memory(repository, snapshots, &console)?;
                    let source = Source::Paths(&paths);
                    archive(repository, &index, snapshots, source, &archive_options, &console)
                }
                report => report,
            }
        });
        ended.store(true, Ordering::Relaxed);
        report
    })?;
    let mut all = opened.snapshots.all.iter();
    if let Some(parent) = all.find(|stored| Some(stored.snapshot.head.id.short()) == report.parent) {
        tell_if_ahead(parent, "unchanged files were taken over from it", &console);
    }
    print(common, options, &report, opened.repository.backend().traffic(), begun);
    Ok(outcome(&console))
}

fn archive_options(common: &Common, options: &Backup, console: &Console) -> Result<ArchiveOptions<'static>> {
    let mut never_enter = Vec::new();
    let repository = common.repo.as_deref().map(settings::local_path);
    for own in repository.into_iter().chain([settings::cache_dir(common)]) {
        never_enter.extend(own.metadata().map(|metadata| (metadata.dev(), metadata.ino())));
    }
    Ok(ArchiveOptions {
        host: options.host.clone().unwrap_or_else(settings::host),
        user: settings::user(),
        tags: options.tags.clone(),
        program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        exclude: patterns::excluded(&options.exclude, &options.exclude_from, console)
            .map_err(wrong_pattern)?,
        exclude_caches: options.exclude_caches,
        exclude_if_present: options.exclude_if_present.iter().map(|name| name.as_bytes().to_vec()).collect(),
        exclude_larger_than: options.exclude_larger_than,
        ignore_files: !options.no_ignore_files,
        exclude_nodump: options.exclude_nodump,
        one_file_system: options.one_file_system,
        follow_sources: options.follow_sources,
        follow: options.follow,
        read_special: options.read_special,
        stored_as: options.stored_as.clone(),
        skip_if_unchanged: options.skip_if_unchanged,
        ignore_ctime: options.ignore_ctime,
        ignore_inode: options.ignore_inode,
        parent: match (&options.parent, options.force) {
            (Some(parent), _) => ParentChoice::Named(parent.clone()),
            (None, true) => ParentChoice::None,
            (None, false) => ParentChoice::Newest,
        },
        dry_run: options.dry_run,
        // Until it is known how large packs are.
        threads: 1,
        writer: WriterOptions {
            compression_level: options.compression,
            verify: !options.no_verify_writes,
            ..WriterOptions::default()
        },
        heartbeat: HEARTBEAT,
        never_enter,
        clock: &settings::now,
        user_name: &settings::user_name,
        group_name: &settings::group_name,
    })
}

fn print(
    common: &Common,
    options: &Backup,
    report: &ArchiveReport,
    traffic: Option<Traffic>,
    begun: Instant,
) {
    let counts = &report.statistics;
    let time = begun.elapsed();
    if common.json {
        let mut document = json!({
            "snapshot": report.snapshot.as_ref().map(snapshots::to_json),
            "dry_run": options.dry_run,
            "summary": snapshots::statistics(counts),
            "unchanged": report.is_unchanged,
            "changed_while_read": report.changed_while_read,
            "ignored": report.ignored,
            "packs": report.packs,
            "traffic": render::traffic_json(traffic),
            "seconds": time.as_secs_f64(),
        });
        document["parent"] = json!(report.parent);
        return render::document(&document);
    }
    if common.quiet {
        return;
    }
    match &report.snapshot {
        Some(snapshot) => render::line(&format!("snapshot {} saved", &snapshot.head.id.short()[..8])),
        None if report.is_unchanged => render::line("nothing has changed: no snapshot was made"),
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
        let entries = if report.ignored == 1 { "entry" } else { "entries" };
        render::line(&format!("ignored {} {entries}, by .keepfastignore", render::count(report.ignored)));
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
    if let Some(traffic) = traffic {
        render::line(&render::traffic(traffic));
    }
    render::line(&format!("time    {:.1} s, {}", time.as_secs_f64(), render::rate(counts.bytes_total, time)));
}
