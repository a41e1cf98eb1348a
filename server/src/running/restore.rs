//! A restore, from its beginning to its end.

use std::sync::{Arc, Mutex, PoisonError};

use keepfast_config::config::Config;
use keepfast_engine::EngineError;
use keepfast_engine::run::{Event, Listener, Phase, RunContext};
use keepfast_operations::OperationsError;
use keepfast_operations::error::with_causes;
use keepfast_operations::open::Mode;
use keepfast_operations::reports::RestoreReport;
use keepfast_operations::requests::restore_in;
use keepfast_store::{Figures, Held};
use serde::Serialize;

use super::end::Ended;
use super::record::{StateRecord, Told};
use super::{Workshop, lease};
use crate::connect;
use crate::error::{Result, ServerError};
use crate::failure::{self, kinds};
use crate::restores::error::RestoreError;
use crate::restores::order::{Order, OverwriteFiles};
use crate::restores::parts::{How, Part, Planning};
use crate::restores::{has_begun, stored};
use crate::state::now;
use crate::work::record::{Level, Record, Step};
use crate::work::report::Verdict;

/// Entries that a report names, at most.
const FAILURES_MAX: usize = 500;

/// What came of a restore. As JSON it is the document that the state keeps.
#[derive(Debug, Serialize)]
pub struct RestoreOutcome {
    /// In a word.
    pub verdict: Verdict,
    /// Why it didn't do its work.
    pub error: Option<String>,
    /// How often something should be looked at.
    pub findings: u64,
    /// What it did; null if it failed or was cancelled.
    pub restore: Option<RestoreReport>,
    /// The first entries that were not restored, or not in full, or that differ.
    pub failures: Vec<FailedEntry>,
    #[serde(skip)]
    failure: Option<ServerError>,
}

/// An entry that was not restored, or not in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedEntry {
    /// Where it would be.
    pub path: String,
    /// Why.
    pub why: String,
}

impl Workshop {
    pub(super) fn carry_out_restore(&self, config: &Config, held: &Held, run: &RunContext) -> Result<()> {
        let outcome = match self.restore(config, held, run) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.end(config, held, &self.unbegun(config, held, &error)?)?;
                return Err(error);
            }
        };
        let kind = outcome.failure.as_ref().map(kinds::of_server);
        let error = |text: &String| {
            let kind = kind.unwrap_or_else(kinds::unknown);
            failure::error_of(text, kind, held.run.kind.as_str(), &self.scene(config, held))
        };
        let ended = Ended {
            ending: outcome.verdict.into(),
            report: serde_json::to_value(&outcome).ok(),
            error: outcome.error.as_ref().map(error).transpose()?,
            category: kind.map(|kind| kind.category),
            baseline: None,
            figures: Figures::default(),
        };
        self.end(config, held, &ended)
    }

    fn restore(&self, config: &Config, held: &Held, run: &RunContext) -> Result<RestoreOutcome> {
        let missing = || ServerError::NoRun { id: held.run.id.to_string() };
        if held.run.only_server.as_ref() != Some(&self.executor.server) {
            return Err(RestoreError::NotHere.into());
        }
        let order = self.handle.block_on(stored(&self.store, &held.run.id))?.ok_or_else(missing)?;
        let resume = self.handle.block_on(has_begun(&self.store, &held.run))?;
        let definition = connect::definition(config, &order.repository)?;
        let shared = connect::repository(config, &self.around, definition)?;
        let record = Arc::new(self.record(held));
        self.handle.block_on(self.store.start(now(), held))?;
        let heard = Arc::new(Heard {
            record: Arc::clone(&record),
            told: Told { log: record.log.clone(), next: run.listener() },
            failures: Mutex::default(),
        });
        let run = &run.clone().with_listener(Arc::clone(&heard) as Arc<dyn Listener>);
        let beating = lease::Beating::begin(&self.handle, &record, run, None, None);
        let planning = Planning { config, around: &self.around, order: &order };
        let done = (|| -> Result<RestoreReport> {
            record.step(Step::Opening);
            let opened = shared.open(run, Mode::Usual)?;
            record.step(Step::Checks);
            let found =
                opened.snapshots.all.iter().find(|one| one.snapshot.head.id.short() == order.snapshot);
            let found = found.ok_or_else(|| ServerError::NoSnapshot {
                repository: order.repository.clone(),
                id: order.snapshot.clone(),
            })?;
            let parts = planning.parts(Some(&found.snapshot.body.paths), true)?;
            check_empty(&order, &parts, resume)?;
            // From here on, what is in the target may be of this run: one that repeats it goes on with it.
            record.step(Step::Restore);
            let how = How {
                overwrite: order.overwrite,
                resume,
                dry_run: false,
                verify: order.verify,
                with_privileges: order.keeps_privileges(),
            };
            let options: Vec<_> = parts.iter().map(|part| part.options(how)).collect();
            let done = restore_in(&opened, &order.snapshot, &options, &shared, run);
            if let Err(OperationsError::Engine(EngineError::TargetNotEmpty { .. })) = &done {
                record.step(Step::Checks);
            }
            Ok(done?.ok_or(RestoreError::NoPlan)?)
        })();
        beating.end(&self.handle);
        let failures = std::mem::take(&mut *heard.failures.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(outcome(done, failures, &record))
    }
}

fn check_empty(order: &Order, parts: &[Part], resume: bool) -> Result<(), RestoreError> {
    for part in parts.iter().filter(|_| order.overwrite == OverwriteFiles::Refuse && !resume) {
        if !part.spot.is_empty()? {
            return Err(RestoreError::NotEmpty { target: part.spot.path.clone() });
        }
    }
    Ok(())
}

fn outcome(done: Result<RestoreReport>, failures: Vec<FailedEntry>, record: &StateRecord) -> RestoreOutcome {
    match done {
        Ok(report) => {
            let troubles = report.troubles;
            let findings = troubles.skipped + troubles.damaged + troubles.unreachable;
            let verdict = if findings > 0 { Verdict::Findings } else { Verdict::Ok };
            let text = format!(
                "{} files and {} bytes were restored, {} files were read back",
                report.files, report.bytes, report.verified
            );
            record.line(Level::Info, &text);
            if findings > 0 {
                record.line(Level::Warning, &format!("{findings} findings"));
            }
            RestoreOutcome { verdict, error: None, findings, restore: Some(report), failures, failure: None }
        }
        Err(error) => {
            let text = with_causes(&error);
            let is_cancelled = matches!(
                &error,
                ServerError::Operations(inner)
                    if matches!(inner.engine(), Some(EngineError::Interrupted | EngineError::RestoreInterrupted))
            );
            record.line(if is_cancelled { Level::Info } else { Level::Error }, &text);
            // That someone wants its end is no error, of which patterns are kept.
            let (error, failure) = if is_cancelled { (None, None) } else { (Some(text), Some(error)) };
            let verdict = if is_cancelled { Verdict::Cancelled } else { Verdict::Failed };
            RestoreOutcome { verdict, error, findings: 0, restore: None, failures, failure }
        }
    }
}

/// Hears of a restore: for its log, for the state, which says what it does now, and for its report.
struct Heard {
    record: Arc<StateRecord>,
    told: Told,
    failures: Mutex<Vec<FailedEntry>>,
}

impl Listener for Heard {
    fn event(&self, event: &Event) {
        match event {
            Event::Phase(Phase::Verifying) => self.record.step(Step::Verify),
            Event::Skipped { .. } | Event::Damaged { .. } | Event::Unreachable { .. } => {
                let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                if failures.len() < FAILURES_MAX {
                    let (path, why) = (event.object().into_owned(), event.message().to_owned());
                    failures.push(FailedEntry { path, why });
                }
            }
            _ => {}
        }
        self.told.event(event);
    }

    fn counted(&self, counters: &keepfast_engine::run::Counters) {
        self.told.counted(counters);
    }
}
