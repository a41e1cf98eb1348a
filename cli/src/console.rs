//! Talking to a person or a script while a command runs: progress, skipped files, findings.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use keepfast_backend::Cancel;
use keepfast_engine::monitor::{Event, Monitor, Progress};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::args::Common;
use crate::{lines, render};

const REDRAW: Duration = Duration::from_millis(100);
const JSON_PROGRESS: Duration = Duration::from_secs(1);

/// Hears the engine's events, counts in its progress, and carries the wish to stop.
pub struct Console {
    json: bool,
    quiet: bool,
    bar: ProgressBar,
    progress: Progress,
    cancel: Cancel,
    /// The flag of `cancel`.
    stop: Arc<AtomicBool>,
    findings: AtomicU64,
}

impl Console {
    /// A console that stops at the first SIGINT or SIGTERM, and ends the process at the second.
    pub fn new(common: &Common) -> Result<Self> {
        let cancel = Cancel::new();
        let stop = cancel.flag();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let visible = !common.json && !common.quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Ok(Self {
            json: common.json,
            quiet: common.quiet,
            bar: ProgressBar::with_draw_target(None, target),
            progress: Progress::default(),
            cancel,
            stop,
            findings: AtomicU64::new(0),
        })
    }

    /// Whether anything was skipped or found.
    pub fn has_findings(&self) -> bool {
        self.findings.load(Ordering::Relaxed) > 0
    }

    /// What signals cancel.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The flag that signals set.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Whether somebody looks at a progress bar.
    pub fn is_watched(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// A line for a person.
    pub fn say(&self, line: &str) {
        if !self.quiet && !self.json {
            self.bar.suspend(|| lines::message(line));
        }
    }

    /// A warning: something that is most likely not as it was meant.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| render::note("warning", text, self.json));
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
        let pause = if self.json { JSON_PROGRESS } else { REDRAW };
        let mut styled = None;
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
            let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
            let (files, bytes) = (read(&self.progress.files), read(&self.progress.bytes));
            let (files_expected, bytes_expected) =
                (read(&self.progress.files_expected), read(&self.progress.bytes_expected));
            if self.json && !self.quiet {
                let line = json!({
                    "type": "progress", "seconds": begun.elapsed().as_secs_f64(), "files": files, "bytes": bytes,
                    "files_expected": files_expected, "bytes_expected": bytes_expected,
                });
                lines::message_document(&line);
            }
            if self.bar.is_hidden() {
                continue;
            }
            let total_known = bytes_expected > 0;
            if styled != Some(total_known) {
                self.bar.set_style(style(total_known));
                styled = Some(total_known);
            }
            self.bar.set_length(bytes_expected.max(bytes));
            self.bar.set_position(bytes);
            self.bar.set_message(format!("{what} {} files, {}", HumanCount(files), HumanBytes(bytes)));
        }
        self.bar.finish_and_clear();
    }

    fn tell(&self, kind: &str, object: &str, what: &str) {
        if self.json {
            lines::message_document(&json!({ "type": kind, "object": object, "message": what }));
        } else {
            self.bar.suspend(|| lines::message(&format!("{kind}: {object}: {what}")));
        }
    }
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

impl Monitor for Console {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Skipped { path, why } => {
                self.findings.fetch_add(1, Ordering::Relaxed);
                self.tell("skipped", &path.display().to_string(), &why);
            }
            Event::Finding { object, what } => {
                self.findings.fetch_add(1, Ordering::Relaxed);
                self.tell("damaged", &object, &what);
            }
            Event::Unreachable { object, what } => {
                self.findings.fetch_add(1, Ordering::Relaxed);
                self.tell("unreachable", &object, &what);
            }
            Event::Vanished { path } if !self.quiet => {
                self.tell("gone", &path.display().to_string(), "it was removed before it could be read");
            }
            Event::Changed { path } if !self.quiet => {
                self.tell(
                    "changed",
                    &path.display().to_string(),
                    "it was written to while it was read; the next backup reads it again",
                );
            }
            // It is what a dry run was asked for.
            Event::WouldRemove { path } if self.json => {
                self.tell("would_remove", &path.display().to_string(), "the snapshot doesn't have it");
            }
            Event::WouldRemove { path } => {
                self.bar.suspend(|| lines::message(&format!("would remove {}", path.display())));
            }
            Event::Notice(line) if !self.quiet => self.tell("note", "keepfast", &line),
            Event::Vanished { .. } | Event::Changed { .. } | Event::Notice(_) => {}
        }
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}
