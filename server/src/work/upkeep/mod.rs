//! One check or prune of a repository. It is the same, no matter what starts it.

pub mod quota;
pub mod rolling;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository;
use keepfast_config::values::amount::ShareOrSize;
use keepfast_engine::prune::UnusedLimit;
use keepfast_engine::run::{RunContext, Troubles};
use keepfast_operations::OperationsError;
use keepfast_operations::error::with_causes;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::reports::{CheckReport, PruneReport};
use keepfast_operations::requests::{CIRCLE, Check, Prune, ReadPacks, check, prune};
use serde::Serialize;
use serde_json::Value;

use super::is_interruption;
use super::record::{Level, Record, Step};
use super::report::Verdict;
use crate::convert::schedule::upkeep;
use crate::error::{Result, ScheduleError, ServerError};
use rolling::{Readings, Rolling};

/// A check, ready to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckWork {
    /// The name of the repository.
    pub repository: String,
    /// How much of the data is read.
    pub rolling: Rolling,
    /// What earlier checks have read: [`readings_of`] the newest of them that has a report.
    pub readings: Readings,
    /// When the next check is due.
    pub next: Timestamp,
    /// What it may use, and so on; which packs it reads follows from the rest.
    pub request: Check,
}

/// A prune, ready to be carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneWork {
    /// The name of the repository.
    pub repository: String,
    /// How to prune.
    pub request: Prune,
}

/// What came of a check or a prune. As JSON it is the document that the state keeps.
#[derive(Debug, Serialize)]
pub struct UpkeepReport {
    /// The repository.
    pub repository: String,
    /// What came of it, in a word.
    pub verdict: Verdict,
    /// Why it didn't do its work.
    pub error: Option<String>,
    /// How often something should be looked at: what is damaged or missing, and what can't be read now.
    pub findings: u64,
    /// What the check did; null if it failed, or was none.
    pub check: Option<CheckReport>,
    /// Which part of the data the check has read; null if it failed, or was none.
    pub read: Option<ReadDocument>,
    /// For the next check: what has been read, and when. Null if this was none.
    pub readings: Option<Readings>,
    /// What the prune did; null if it failed, or was none.
    pub prune: Option<PruneReport>,
    /// The error that made it fail, if an operation failed.
    #[serde(skip)]
    pub failure: Option<OperationsError>,
}

/// Which part of the data a check has read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReadDocument {
    /// Where the part begins on the circle of all packs, which is 4294967296 long.
    pub begin: u32,
    /// How long it is.
    pub length: u64,
    /// Bytes of packs that were read.
    pub bytes_read: u64,
    /// Bytes of all packs.
    pub bytes_all: u64,
    /// Each pack that was there at this time has been read since, as far as it is still there. Null while some was never
    /// read.
    pub all_read_since: Option<Timestamp>,
}

/// What earlier checks have read, as the report of the newest of them says. Nothing if it says nothing.
#[must_use]
pub fn readings_of(report: &Value) -> Readings {
    let readings = report.get("readings").cloned().map(serde_json::from_value);
    let readings: Readings = readings.and_then(Result::ok).unwrap_or_default();
    readings.sensible()
}

/// The check of a repository that its definition asks for; nothing if it asks for none.
pub fn check_work(
    config: &Config,
    definition: &Definition<Repository>,
    readings: Readings,
    now: Timestamp,
) -> Result<Option<CheckWork>> {
    let Some(plan) = &definition.value.check else { return Ok(None) };
    let next = next_of(config, &plan.cron.0, now).map_err(|source| ServerError::Schedule {
        definition: format!("repository {}", definition.name),
        source,
    })?;
    Ok(Some(CheckWork {
        repository: definition.name.clone(),
        rolling: Rolling {
            thousandths: plan.read_data.thousandths,
            full_within: plan.full_within.map(|length| length.0),
        },
        readings,
        // Of a cron expression that has no next time, this is the last check: it reads everything.
        next: next.unwrap_or(Timestamp::MAX),
        request: Check::default(),
    }))
}

/// A check that a person asks for where the definition asks for none: that everything is there, without reading data.
#[must_use]
pub fn check_by_hand(definition: &Definition<Repository>) -> CheckWork {
    CheckWork {
        repository: definition.name.clone(),
        rolling: Rolling { thousandths: 0, full_within: None },
        readings: Readings::default(),
        next: Timestamp::MAX,
        request: Check::default(),
    }
}

/// A prune that a person asks for where the definition asks for none.
#[must_use]
pub fn prune_by_hand(definition: &Definition<Repository>) -> PruneWork {
    PruneWork { repository: definition.name.clone(), request: Prune::default() }
}

fn next_of(config: &Config, cron: &str, now: Timestamp) -> Result<Option<Timestamp>, ScheduleError> {
    let (schedule, _) = upkeep(config, cron)?;
    Ok(schedule.next(now, now).map(keepfast_schedule::slot::Slot::instant))
}

/// The prune of a repository that its definition asks for; nothing if it asks for none.
#[must_use]
pub fn prune_work(definition: &Definition<Repository>) -> Option<PruneWork> {
    let plan = definition.value.prune.as_ref()?;
    Some(PruneWork {
        repository: definition.name.clone(),
        request: Prune {
            max_unused: match plan.max_unused {
                ShareOrSize::Share(share) => UnusedLimit::Thousandths(share.thousandths),
                ShareOrSize::Size(size) => UnusedLimit::Bytes(size.bytes),
            },
            max_rewrite_bytes: plan.max_rewrite.map(|size| size.bytes),
            session_timeout_s: plan.session_timeout.0.as_secs(),
            ..Prune::default()
        },
    })
}

/// Checks. What is recorded goes to `record`; the report says what came of it.
pub fn carry_out_check(
    work: &CheckWork,
    shared: &SharedRepository,
    run: &RunContext,
    record: &dyn Record,
) -> UpkeepReport {
    record.step(Step::Check);
    let began = instant(run.now());
    let begin = work.readings.next;
    let length = work.readings.length(work.rolling, began, work.next);
    let request = Check { read: ReadPacks::Stretch { begin, length }, ..work.request };
    let mut report = UpkeepReport::new(&work.repository);
    match check(&request, shared, run) {
        Ok(check) => {
            let is_complete = check.packs_unreachable == 0;
            let readings = work.readings.clone().after(length, began, is_complete);
            let all_read_since = readings.all_read_since();
            let (bytes_read, bytes_all) = (check.bytes_read, check.packs_bytes);
            report.read = Some(ReadDocument { begin, length, bytes_read, bytes_all, all_read_since });
            report.readings = Some(readings);
            record.line(Level::Info, &said(length, bytes_read, bytes_all, all_read_since));
            report.done(check.troubles, record);
            report.check = Some(check);
        }
        Err(error) => {
            report.fail(error, record);
            report.readings = Some(work.readings.clone());
        }
    }
    report
}

fn said(length: u64, read: u64, all: u64, since: Option<Timestamp>) -> String {
    let since = since.map_or_else(
        || "not all of them have been read yet".to_owned(),
        |since| format!("all have been read since {since}"),
    );
    let thousandths = length * 1000 / CIRCLE;
    let share = format!("{}.{}%", thousandths / 10, thousandths % 10);
    format!("{share} of the packs were to be read: {read} of {all} bytes; {since}")
}

/// Prunes. What is recorded goes to `record`; the report says what came of it.
pub fn carry_out_prune(
    work: &PruneWork,
    shared: &SharedRepository,
    run: &RunContext,
    record: &dyn Record,
) -> UpkeepReport {
    record.step(Step::Prune);
    let mut report = UpkeepReport::new(&work.repository);
    match prune(&work.request, shared, run) {
        Ok(prune) => {
            let (packs, bytes) = (prune.packs_removed, prune.bytes_removed);
            record.line(Level::Info, &format!("{bytes} bytes in {packs} packs were removed"));
            report.done(prune.troubles, record);
            report.prune = Some(prune);
        }
        Err(error) => report.fail(error, record),
    }
    report
}

impl UpkeepReport {
    /// Of a run that couldn't begin. What earlier checks have read is handed on to the next one.
    #[must_use]
    pub fn failed(repository: &str, error: &str, readings: Option<Readings>) -> Self {
        Self { error: Some(error.to_owned()), readings, ..Self::new(repository) }
    }

    /// Bytes that are stored, as far as this has found it: a check counts all packs, a prune those before it, what it
    /// wrote and what it removed.
    #[must_use]
    pub fn found_bytes(&self) -> Option<u64> {
        let after = |prune: &PruneReport| {
            prune.plan.bytes.saturating_add(prune.bytes_written).saturating_sub(prune.bytes_removed)
        };
        self.read.as_ref().map(|read| read.bytes_all).or_else(|| self.prune.as_ref().map(after))
    }

    fn new(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            verdict: Verdict::Failed,
            error: None,
            findings: 0,
            check: None,
            read: None,
            readings: None,
            prune: None,
            failure: None,
        }
    }

    fn done(&mut self, troubles: Troubles, record: &dyn Record) {
        self.findings = troubles.skipped + troubles.damaged + troubles.unreachable;
        self.verdict = if self.findings > 0 { Verdict::Findings } else { Verdict::Ok };
        if self.findings > 0 {
            record.line(Level::Warning, &format!("{} findings", self.findings));
        }
    }

    fn fail(&mut self, error: OperationsError, record: &dyn Record) {
        let text = with_causes(&error);
        record.line(Level::Error, &text);
        self.verdict = if is_interruption(&error) { Verdict::Cancelled } else { Verdict::Failed };
        self.error = Some(text);
        self.failure = Some(error);
    }
}

/// An instant of a run's clock; those beyond the calendar are its edges.
fn instant(at: keepfast_format::node::Timestamp) -> Timestamp {
    let edge = if at.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(at.seconds, at.nanos.cast_signed()).unwrap_or(edge)
}
