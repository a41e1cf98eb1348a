//! `keepfast backup`.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use keepfast_backend::Traffic;
use keepfast_engine::EngineError;
use keepfast_engine::archive::{
    ArchiveOptions, ArchiveReport, ParentChoice, Source, archive, can_be_read_again, estimate, has_parent,
};
use keepfast_engine::repo::{WriterOptions, open_index_in_memory};
use keepfast_operations::choose::remark_if_ahead;
use keepfast_operations::open::{Mode, Opened};
use keepfast_operations::remark::AheadUse;
use keepfast_operations::streams::{Empty, StreamGroup};
use serde_json::json;

use super::{outcome, snapshots};
use crate::Outcome;
use crate::args::{Backup, Common};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::patterns;
use crate::render;
use crate::settings;
use crate::sources;
use crate::streams;
use crate::usage::Usage;

/// How often a backup that waits for its input looks for garbage collections.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Backs up.
pub fn run(common: &Common, options: &Backup) -> Result<Outcome> {
    let begun = Instant::now();
    let console = Console::new(common)?;
    let mut archive_options = archive_options(common, options, &console)?;
    let is_only_stream = options.stdin || options.command;
    let has_streams = is_only_stream || !options.streams.is_empty();
    if options.stdin_name.is_some() && !is_only_stream {
        return Err(Usage("--stdin-name goes with --stdin or --command".to_owned()).into());
    }
    if options.allow_empty && !has_streams {
        return Err(Usage("--allow-empty goes with --stdin, --command or --stream".to_owned()).into());
    }
    let empty = if options.allow_empty { Empty::Allowed } else { Empty::Refused };
    let has_paths = !(is_only_stream || options.paths.is_empty() && options.files_from.is_empty());
    let paths = if has_paths { sources::existing_paths(options, &console)? } else { Vec::new() };
    if has_paths {
        let stored = options.stored_as.as_ref().map_or(paths.as_slice(), std::slice::from_ref);
        patterns::warn_of_elsewhere(&options.exclude, stored, &console);
    }
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let share = manners::share(common, opened.repository.config().pack_bytes, Work::Write)?;
    let run = &console.run().clone().with_threads(share.threads);
    archive_options.writer.uploads = share.uploads;
    // Now that nothing else can keep the backup from beginning.
    let group = StreamGroup::new(empty, run.cancel());
    let source = Source { paths: &paths, streams: streams::start(options, &group)? };
    let ended = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        // Without a parent snapshot nobody knows how much there is, and only a bar wants to.
        let unknown = !has_parent(&opened.repository, &opened.snapshots, &archive_options, &paths);
        if console.is_watched() && unknown && !has_streams {
            scope.spawn(|| estimate(&paths, &archive_options, &ended, run));
        }
        let report = console.during("backed up", || {
            let Opened { repository, snapshots, index } = &opened;
            match archive(repository, index, snapshots, source, &archive_options, run) {
                Err(error @ EngineError::Cache { .. })
                    if !has_streams && can_be_read_again(&paths, &archive_options) =>
                {
                    console.warn(&format!("{error}; remove that folder, or choose another with --cache-dir. The backup begins again, with an index in memory"));
                    let index = open_index_in_memory(repository, snapshots, run)?;
                    let source = Source::paths(&paths);
                    archive(repository, &index, snapshots, source, &archive_options, run)
                }
                report => report,
            }
        });
        ended.store(true, Ordering::Relaxed);
        report
    })
    .map_err(|error| group.explain(error))?;
    let mut all = opened.snapshots.all.iter();
    if let Some(parent) = all.find(|stored| Some(stored.snapshot.head.id.short()) == report.parent) {
        remark_if_ahead(parent, AheadUse::Parent, &shared, console.run());
    }
    print(common, options, &report, opened.repository.backend().traffic(), begun);
    Ok(outcome(&console))
}

fn archive_options(common: &Common, options: &Backup, console: &Console) -> Result<ArchiveOptions> {
    let mut never_enter = Vec::new();
    let place = settings::place(common)?;
    let repository = place.directory().map(Path::to_owned);
    for own in repository.into_iter().chain([settings::cache_dir(common)]) {
        never_enter.extend(own.metadata().map(|metadata| (metadata.dev(), metadata.ino())));
    }
    Ok(ArchiveOptions {
        host: options.host.clone().unwrap_or_else(settings::host),
        user: settings::user(),
        tags: options.tags.clone(),
        program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        exclude: patterns::excluded(&options.exclude, &options.exclude_from, console)?,
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
        writer: WriterOptions {
            compression_level: options.compression,
            verify: !options.no_verify_writes,
            ..WriterOptions::default()
        },
        heartbeat: HEARTBEAT,
        never_enter,
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
