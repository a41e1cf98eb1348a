//! A run's words on their way into the state: steps, undo commands, and the lines of its log.

use std::sync::{Arc, Mutex, PoisonError};

use keepfast_engine::run::{Counters, Event, Listener};
use keepfast_operations::hooks::Hook;
use keepfast_store::{Executor, Held, HostId, Level, LogLine, LogWriter, Progress, Store, Text, UndoId};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::state::{self, now};
use crate::work::record::{self, Record, Step, UndoTicket};

/// Lines of a log that wait to be written, at most. A run that says more in a few seconds says nothing new.
const LINES_WAITING_MAX: usize = 20_000;

/// Writes a run's words into the state.
pub struct StateRecord {
    /// Where the state is waited for.
    pub handle: Handle,
    /// The state.
    pub store: Store,
    /// The run.
    pub held: Held,
    /// The machine that has to undo its hooks.
    pub machine: HostId,
    /// This process.
    pub executor: Executor,
    /// The run's log.
    pub log: Arc<RunLog>,
    /// The part of the run that was told last.
    pub step: Mutex<Option<&'static str>>,
}

impl Record for StateRecord {
    fn run_id(&self) -> String {
        self.held.run.id.to_string()
    }

    fn step(&self, step: Step) {
        let code = step.code();
        let is_new = self.step.lock().unwrap_or_else(PoisonError::into_inner).replace(code) != Some(code);
        if is_new && let Ok(phase) = code.to_owned().try_into() {
            let progress = Progress { phase: Some(phase), counters: None };
            // A beat that fails is made again; the run's end says whether it is still held.
            let _ = self.handle.block_on(self.store.beat(now(), &self.held, Some(&progress)));
        }
        match &step {
            Step::Hook { program } => self.line(record::Level::Info, &format!("hook {program}")),
            Step::Undo { program } => self.line(record::Level::Info, &format!("undo {program}")),
            Step::Opening
            | Step::Checks
            | Step::Backup
            | Step::Judging
            | Step::Retention
            | Step::Check
            | Step::Prune
            | Step::Restore
            | Step::Verify
            | Step::Databases
            | Step::Corruption
            | Step::Evidence => {
                self.line(record::Level::Info, code);
            }
        }
    }

    fn line(&self, level: record::Level, text: &str) {
        let level = match level {
            record::Level::Info => Level::Info,
            record::Level::Warning => Level::Warning,
            record::Level::Error => Level::Error,
        };
        self.log.line(level, text, None);
    }

    fn store_undo(&self, undo: &Hook) -> Result<UndoTicket, String> {
        let id = state::random_name().map_err(|error| error.to_string())?;
        let command: Value = serde_json::to_value(undo).map_err(|error| error.to_string())?;
        let named = UndoId::new(&*id).map_err(|error| error.to_string())?;
        let stored = self.store.store_undo(now(), &self.held, &named, &self.machine, &command);
        self.handle.block_on(stored).map_err(|error| error.to_string())?;
        Ok(UndoTicket(id))
    }

    fn undoing(&self, ticket: &UndoTicket) -> bool {
        let Ok(id) = UndoId::new(&*ticket.0) else { return false };
        match self.handle.block_on(self.store.take_undo(now(), &id, &self.executor)) {
            Ok(taken) => taken.is_some(),
            Err(error) => {
                // A service that stays stopped is worse than one that is started twice.
                self.line(
                    record::Level::Warning,
                    &format!("the state did not record that the hook was undone: {error}"),
                );
                true
            }
        }
    }

    fn undone(&self, ticket: &UndoTicket, failure: Option<&str>) {
        let Ok(id) = UndoId::new(&*ticket.0) else { return };
        let failure = failure.map(Text::from);
        let done = self.store.undo_done(now(), &id, &self.executor, failure.as_ref());
        if let Err(error) = self.handle.block_on(done) {
            self.line(
                record::Level::Warning,
                &format!("the state did not record that the hook was undone: {error}"),
            );
        }
    }
}

/// The log of a run: lines wait here until they are written into the state, which takes longer than a run should wait.
pub struct RunLog {
    waiting: Mutex<Waiting>,
    writer: tokio::sync::Mutex<LogWriter>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<LogLine>,
    /// Lines that found no room.
    left_out: u64,
}

impl RunLog {
    /// The log that this writes.
    pub fn new(writer: LogWriter) -> Self {
        Self { waiting: Mutex::default(), writer: tokio::sync::Mutex::new(writer) }
    }

    /// Adds a line, with the event that it tells.
    pub fn line(&self, level: Level, text: &str, event: Option<Value>) {
        let fields = event.map(|event| ("event".to_owned(), event)).into_iter().collect();
        let line = LogLine { at: now(), level, message: text.to_owned(), fields };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() < LINES_WAITING_MAX {
            waiting.lines.push(line);
        } else {
            waiting.left_out += 1;
        }
    }

    /// Writes what waits. What can't be written now is written with the next.
    pub async fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut writer = self.writer.lock().await;
        let mut is_writable = true;
        for line in waiting.lines {
            // After one failure the rest waits for the next call: each try may take as long as the database is busy.
            if writer.line(line) && is_writable {
                is_writable = writer.flush().await.is_ok();
            }
        }
        if waiting.left_out > 0 {
            let message = format!("{} more lines came too fast and were left out", waiting.left_out);
            writer.line(LogLine { at: now(), level: Level::Warning, message, fields: Default::default() });
        }
        if is_writable {
            let _ = writer.flush().await;
        }
    }
}

/// Hears of a run for its log, and passes everything on.
pub struct Told {
    /// The log.
    pub log: Arc<RunLog>,
    /// What else hears.
    pub next: Arc<dyn Listener>,
}

impl Listener for Told {
    fn event(&self, event: &Event) {
        let level = match event {
            Event::Phase(_) | Event::Gone { .. } | Event::WouldRemove { .. } | Event::Notice(_) => {
                Level::Info
            }
            Event::Skipped { .. } | Event::Changed { .. } => Level::Warning,
            Event::Damaged { .. } | Event::Unreachable { .. } => Level::Error,
        };
        self.log.line(level, event.message(), serde_json::to_value(event).ok());
        self.next.event(event);
    }

    fn counted(&self, counters: &Counters) {
        self.next.counted(counters);
    }
}
