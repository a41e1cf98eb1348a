//! `keepfast backup`.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use keepfast_backend::Traffic;
use keepfast_engine::archive::{
    ArchiveOptions, ArchiveReport, ParentChoice, Source, Stream, archive, estimate, has_parent,
};
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::monitor::{Event, Monitor};
use keepfast_engine::repo::WriterOptions;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::{Opened, outcome, snapshots};
use crate::Outcome;
use crate::args::{Backup, Common};
use crate::console::Console;
use crate::manners::{self, Work};
use crate::render;
use crate::settings;
use crate::usage::Usage;

/// How often a backup that waits for its input looks for garbage collections.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Backs up.
pub fn run(common: &Common, options: &Backup) -> Result<Outcome> {
    let begun = Instant::now();
    let console = Console::new(common)?;
    let mut archive_options = archive_options(common, options)?;
    let is_stream = options.stdin || options.command;
    if options.stdin_name.is_some() && !is_stream {
        return Err(Usage("--stdin-name goes with --stdin or --command".to_owned()).into());
    }
    let paths = if is_stream { Vec::new() } else { existing_paths(options, &console)? };
    let opened = Opened::with_warnings(common, &console)?;
    let share = manners::share(common, opened.repository.config().pack_bytes, Work::Write)?;
    archive_options.threads = share.threads;
    archive_options.writer.uploads = share.uploads;
    let source = match (&options.stdin_name, options.stdin, options.command) {
        (Some(name), true, _) => Source::Stream(standard_input(name, &console)?),
        (Some(name), _, true) => Source::Stream(output_of(name, &options.paths, &console)?),
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
            archive(&opened.repository, &opened.index, &opened.snapshots, source, &archive_options, &console)
        });
        ended.store(true, Ordering::Relaxed);
        report
    })?;
    print(common, options, &report, opened.repository.backend().traffic(), begun);
    Ok(outcome(&console))
}

fn archive_options(common: &Common, options: &Backup) -> Result<ArchiveOptions<'static>> {
    let mut patterns = options.exclude.clone();
    for file in &options.exclude_from {
        let lines = std::fs::read_to_string(file)
            .with_context(|| format!("the exclude file {} can't be read", file.display()))?;
        let is_pattern = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        patterns.extend(lines.lines().filter(is_pattern).map(str::to_owned));
    }
    let mut never_enter = Vec::new();
    let repository = common.repo.as_deref().map(settings::local_path);
    for own in repository.into_iter().chain(settings::cache_dir(common).ok()) {
        never_enter.extend(own.metadata().map(|metadata| (metadata.dev(), metadata.ino())));
    }
    Ok(ArchiveOptions {
        host: options.host.clone().unwrap_or_else(settings::host),
        user: settings::user(),
        tags: options.tags.clone(),
        program: concat!("keepfast ", env!("CARGO_PKG_VERSION")).to_owned(),
        exclude: Patterns::new(&patterns)?,
        exclude_caches: options.exclude_caches,
        one_file_system: options.one_file_system,
        follow_sources: options.follow_sources,
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

/// The paths that are there; the others are named and skipped, but not all of them can be.
fn existing_paths(options: &Backup, console: &Console) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut last_error = None;
    for path in &options.paths {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => {
                if metadata.is_symlink() && !options.follow_sources {
                    console.event(Event::Notice(format!(
                        "{} is a symbolic link, and the link is backed up; --follow-sources, or a slash behind the \
                         name of a directory, backs up what it points to",
                        path.display()
                    )));
                }
                paths.push(settings::absolute(path)?);
            }
            Err(error) => {
                if options.paths.len() > 1 {
                    console.event(Event::Skipped { path, why: error.to_string() });
                }
                last_error = Some((path, error));
            }
        }
    }
    match last_error {
        Some((path, error)) if paths.is_empty() => {
            Err(anyhow::Error::new(error).context(format!("{} can't be backed up", path.display())))
        }
        _ => Ok(paths),
    }
}

fn standard_input(name: &str, console: &Console) -> Result<Stream<'static>> {
    let input = io::stdin().as_fd().try_clone_to_owned().context("standard input can't be read")?;
    Ok(Stream {
        name: name.as_bytes().to_vec(),
        reader: Box::new(Interruptible { input, stop: console.stop_flag() }),
        ended: Box::new(|| Ok(())),
    })
}

/// Starts a command, to read its output. However it ends other than well, nothing is committed.
fn output_of(name: &str, command: &[PathBuf], console: &Console) -> Result<Stream<'static>> {
    let (program, arguments) = command.split_first().context("no command given after `--`")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} can't be run", program.display()))?;
    let input = child.stdout.take().map(OwnedFd::from).context("the command has no output")?;
    let program = program.clone();
    let mut child = ChildGuard(child);
    Ok(Stream {
        name: name.as_bytes().to_vec(),
        reader: Box::new(Interruptible { input, stop: console.stop_flag() }),
        ended: Box::new(move || match child.0.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!(
                "the command {} failed ({status}): no snapshot was made; see what it printed, and run the backup again",
                program.display()
            )),
            Err(error) => Err(format!("how {} ended can't be told: {error}", program.display())),
        }),
    })
}

/// Ends the command when the backup ends before it does.
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // After a `wait` both of these do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A pipe or terminal whose reading ends when the program is asked to stop.
struct Interruptible {
    input: OwnedFd,
    stop: Arc<AtomicBool>,
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            match poll(&mut fds, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::read(&self.input, buffer)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
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
            "changed_while_read": report.changed_while_read,
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
