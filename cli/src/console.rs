//! Talking to a person or a script while a command runs: progress, skipped files, findings.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use keepfast_backend::Cancel;
use keepfast_engine::run::{Event, Listener, Progress, RunContext};
use keepfast_operations::host::SystemHost;
use keepfast_operations::remark::{AheadUse, Remark};
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::Common;
use crate::{lines, render, sources};

const REDRAW: Duration = Duration::from_millis(100);
const JSON_PROGRESS: Duration = Duration::from_secs(1);

/// What a command has to talk to: the run that the engine works in, and the person or script that hears of it.
#[derive(Clone)]
pub struct Console {
    run: RunContext,
    display: Arc<Display>,
}

/// Where a run's events go.
struct Display {
    json: bool,
    quiet: bool,
    bar: ProgressBar,
    /// A part of the work has begun: before, someone may be asked for a password.
    is_working: AtomicBool,
}

impl Console {
    /// A console whose run is cancelled by the first SIGINT or SIGTERM; the second one ends the process.
    pub fn new(common: &Common) -> Result<Self> {
        let cancel = Cancel::new();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, cancel.flag())?;
            signal_hook::flag::register(signal, cancel.flag())?;
        }
        let visible = !common.json && !common.quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let resources = common.resources();
        let display = Arc::new(Display {
            json: common.json,
            quiet: common.quiet,
            bar,
            is_working: AtomicBool::new(false),
        });
        let listener: Arc<dyn Listener> = Arc::clone(&display) as Arc<dyn Listener>;
        let run = RunContext::new(Arc::new(SystemHost), listener)
            .with_cancel(cancel)
            .with_threads(resources.threads(SystemHost.processors()))
            .with_limits(resources.limits.for_backend());
        Ok(Self { run, display })
    }

    /// What the engine works in.
    pub fn run(&self) -> &RunContext {
        &self.run
    }

    /// Whether someone looks at a progress bar.
    pub fn is_watched(&self) -> bool {
        !self.display.bar.is_hidden()
    }

    /// A line of a result, for a person. Scripts get the whole result at the end.
    pub fn print(&self, line: &str) {
        if !self.display.quiet && !self.display.json {
            self.display.bar.suspend(|| render::line(line));
        }
    }

    /// A line for a person.
    pub fn say(&self, line: &str) {
        if !self.display.quiet && !self.display.json {
            self.display.bar.suspend(|| lines::message(line));
        }
    }

    /// A warning: something that is most likely not as it was meant.
    pub fn warn(&self, text: &str) {
        if !self.display.quiet {
            self.display.bar.suspend(|| render::note("warning", text, self.display.json));
        }
    }

    /// Something that changes nothing about the result.
    pub fn say_note(&self, text: &str) {
        if !self.display.quiet {
            self.display.bar.suspend(|| render::note("note", text, self.display.json));
        }
    }

    /// What an operation has to say, with what can be done about it here.
    pub fn remark(&self, remark: &Remark) {
        match remark {
            // Someone who doesn't hear of this can't tell whether data is gone.
            Remark::MemoryLost { .. } | Remark::NotExpected { .. } => {
                self.display.bar.suspend(|| render::note("warning", &remark.to_string(), self.display.json));
            }
            Remark::Older(_) => self.run.notice(format!(
                "{remark}; if it was set back on purpose, `keepfast cache accept` takes it as it is"
            )),
            Remark::IndexInMemory { why } => {
                self.warn(&Remark::IndexInMemory { why: other_cache(why) }.to_string());
            }
            Remark::BeginsAgain { why } => {
                self.warn(&Remark::BeginsAgain { why: other_cache(why) }.to_string());
            }
            Remark::Path(remark) => self.run.notice(sources::note(remark)),
            Remark::SeveralWriters { .. } => {
                self.run.notice(format!("{remark}; --writer ID chooses among those of one"));
            }
            Remark::Ahead { snapshot, host, time, used } => {
                let others =
                    if *used == AheadUse::Latest { "; `keepfast snapshots` lists the others" } else { "" };
                self.run.notice(format!(
                    "snapshot {} of {host} says that it was made at {}, which is in the future: the clock here or \
                     there is wrong; {}{others}",
                    &snapshot.short()[..8],
                    render::local_time(*time),
                    used.consequence(),
                ));
            }
            _ if remark.is_warning() => self.warn(&remark.to_string()),
            _ => self.run.notice(remark.to_string()),
        }
    }

    /// Runs `work` while progress is shown; `what` is the verb of the line.
    pub fn during<T>(&self, what: &'static str, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            scope.spawn(move || self.draw(what, &ended));
            let value = work();
            drop(end);
            value
        })
    }

    fn draw(&self, what: &'static str, ended: &mpsc::Receiver<()>) {
        let begun = Instant::now();
        let Display { json, quiet, bar, is_working } = &*self.display;
        let pause = if *json { JSON_PROGRESS } else { REDRAW };
        let mut styled = None;
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
            if !is_working.load(Ordering::Relaxed) {
                continue;
            }
            let progress = self.run.counters().progress();
            if *json && !quiet {
                let seconds = begun.elapsed().as_secs_f64();
                lines::message_document(&ProgressLine { kind: "progress", seconds, progress });
            }
            if bar.is_hidden() {
                continue;
            }
            let total_known = progress.bytes_expected > 0;
            if styled != Some(total_known) {
                bar.set_style(style(total_known));
                styled = Some(total_known);
            }
            bar.set_length(progress.bytes_expected.max(progress.bytes));
            bar.set_position(progress.bytes);
            let files = render::counted(progress.files, "file");
            bar.set_message(format!("{what} {files}, {}", HumanBytes(progress.bytes)));
        }
        bar.finish_and_clear();
    }
}

/// What can be done about a cache that can't be used.
fn other_cache(why: &str) -> String {
    format!("{why}; remove that folder, or choose another with --cache-dir")
}

/// How far a run is, as scripts see it.
#[derive(Serialize)]
struct ProgressLine {
    #[serde(rename = "type")]
    kind: &'static str,
    seconds: f64,
    #[serde(flatten)]
    progress: Progress,
}

/// With a total there is a bar and a time of arrival; without one only a rate.
fn style(total_known: bool) -> ProgressStyle {
    let template = if total_known {
        "{spinner} {msg}  {bar:24} {percent:>3} %  {binary_bytes_per_sec}  {eta} left"
    } else {
        "{spinner} {msg}  {binary_bytes_per_sec}  {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Listener for Display {
    fn event(&self, event: &Event) {
        let is_minor = matches!(event, Event::Gone { .. } | Event::Changed { .. } | Event::Notice(_));
        // That a phase begins is told to scripts: for people the progress bar says enough.
        let is_phase = matches!(event, Event::Phase(_));
        if is_phase {
            self.is_working.store(true, Ordering::Relaxed);
        }
        if (self.quiet && (is_minor || is_phase)) || (is_phase && !self.json) {
            return;
        }
        if self.json {
            return lines::message_document(event);
        }
        self.bar.suspend(|| match event {
            // It is what a dry run was asked for.
            Event::WouldRemove { path } => lines::message(&format!("would remove {}", path.display())),
            _ => lines::message(&format!("{}: {}: {}", event.kind(), event.object(), event.message())),
        });
    }
}
