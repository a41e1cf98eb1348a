//! From what the state has to what goes over the wire.

use jiff::Timestamp;
use keepfast_api::{plan, problem, run};
use keepfast_observe::errors::Category;
use keepfast_schedule::slot::PlannedSlot;
use keepfast_server::state::instant;
use keepfast_server::status::StandingWord;
use keepfast_store::{
    ErrorPattern, Level, LogLine, Pause, Problem, Run, RunError, RunKind, RunState, Text, Trigger,
    VerdictKind,
};
use serde::Deserialize;
use serde_json::Value;

/// Declares functions from words of one kind to the same words of another.
macro_rules! same_words {
    ($($name:ident: $from:ty => $to:ty { $($word:ident),* $(,)? };)*) => {$(
        pub fn $name(word: $from) -> $to {
            match word { $(<$from>::$word => <$to>::$word,)* }
        }
    )*};
}

same_words! {
    run_kind: RunKind => run::RunKind { Backup, Check, Prune, Forget, Copy, Drill, Restore };
    stored_kind: run::RunKind => RunKind { Backup, Check, Prune, Forget, Copy, Drill, Restore };
    verdict: VerdictKind => run::Verdict { Ok, Findings, Failed, Missed, Skipped, Cancelled, Lost };
    stored_verdict: run::Verdict => VerdictKind { Ok, Findings, Failed, Missed, Skipped, Cancelled, Lost };
    level: Level => run::LogLevel { Debug, Info, Warning, Error };
    stored_level: run::LogLevel => Level { Debug, Info, Warning, Error };
    run_state: RunState => run::RunState { Waiting, Starting, Running, Ended };
    trigger: Trigger => run::Trigger { Schedule, CatchUp, Manual, Api, Retry };
    standing: StandingWord => plan::Standing { Ok, Manual, Running, Overdue, Paused, Disabled };
}

/// A run, at an instant.
pub fn run(run: &Run, now: Timestamp) -> run::Run {
    let reason = run.verdict.as_ref().and_then(|verdict| verdict.reason()).map(Text::to_string);
    let waits = run.waits.as_ref().and_then(|waits| Some(waits.get("text")?.as_str()?.to_owned()));
    let began = run.started.map(instant);
    run::Run {
        run: run.id.to_string(),
        kind: run_kind(run.kind),
        plan: run.subject.plan.as_ref().map(ToString::to_string),
        repository: run.subject.repository.as_ref().map(ToString::to_string),
        host: run.subject.host.as_ref().map(ToString::to_string),
        trigger: trigger(run.trigger),
        slot: run.slot.map(|slot| instant(slot.at)),
        slots: run.slot.map_or(1, |slot| slot.count),
        parent: run.parent.as_ref().map(ToString::to_string),
        root: run.root.to_string(),
        attempt: run.attempt,
        state: run_state(run.state),
        verdict: run.verdict.as_ref().map(|of| verdict(of.kind())),
        reason: reason.or(waits),
        phase: run.phase.as_ref().map(ToString::to_string),
        progress: run
            .counters
            .as_ref()
            .and_then(|counters| progress(counters, began, run.ended.map_or(now, instant))),
        created: instant(run.created),
        not_before: run.not_before.map(instant),
        began,
        ended: run.ended.map(instant),
        cancel_requested: run.cancel_requested.map(instant),
        server: run.executor.as_ref().map(|executor| executor.server.to_string()),
        error: run.error.as_ref().map(run_error),
    }
}

fn run_error(error: &RunError) -> run::RunError {
    run::RunError {
        category: error.category.to_string(),
        fingerprint: error.fingerprint.to_string(),
        message: error.message.to_string(),
        advice: advice(error.category.as_str()),
    }
}

fn advice(category: &str) -> String {
    Category::named(category).map_or_else(String::new, |category| category.advice().to_owned())
}

/// What the engine counts.
#[derive(Deserialize)]
struct Counters {
    files: u64,
    bytes: u64,
    files_expected: u64,
    bytes_expected: u64,
}

/// How far a run is, that began at an instant, at another one. An earlier one where the clock was set back gives no rate.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
pub fn progress(counters: &Value, began: Option<Timestamp>, now: Timestamp) -> Option<run::Progress> {
    let Counters { files, bytes, files_expected, bytes_expected } = Counters::deserialize(counters).ok()?;
    let known = |number: u64| (number > 0).then_some(number);
    let seconds = began.map(|began| now.duration_since(began).as_secs_f64()).filter(|seconds| *seconds > 0.0);
    let bytes_per_s = seconds.map(|seconds| bytes as f64 / seconds);
    let left = known(bytes_expected).map(|expected| expected.saturating_sub(bytes));
    let left_s = left
        .zip(bytes_per_s.filter(|rate| *rate > 0.0))
        .map(|(left, rate)| (left as f64 / rate).ceil() as u64);
    Some(run::Progress {
        files,
        files_expected: known(files_expected),
        bytes,
        bytes_expected: known(bytes_expected),
        bytes_per_s,
        left_s,
    })
}

/// A line of a log.
pub fn log_line(line: LogLine) -> run::LogLine {
    run::LogLine {
        at: instant(line.at),
        level: level(line.level),
        message: line.message,
        fields: line.fields,
    }
}

/// A pause.
pub fn pause(pause: &Pause) -> plan::Pause {
    plan::Pause {
        since: instant(pause.since),
        until: pause.until.map(instant),
        by: pause.by.to_string(),
        reason: pause.reason.as_ref().map(ToString::to_string),
    }
}

/// A slot that is to come.
pub fn upcoming_slot(planned: PlannedSlot) -> plan::UpcomingSlot {
    let notes = planned.notes.iter();
    plan::UpcomingSlot {
        at: planned.slot.instant(),
        wall: planned.wall.to_string(),
        notes: notes
            .map(|note| plan::SlotNote { code: note.code().to_owned(), text: note.to_string() })
            .collect(),
    }
}

/// A problem.
pub fn problem(problem: &Problem) -> problem::Problem {
    problem::Problem {
        problem: problem.number.number(),
        subject: problem.subject.to_string(),
        kind: problem.kind.to_string(),
        opened: instant(problem.opened),
        last_seen: instant(problem.last_seen),
        seen: problem.seen,
        resolved: problem.resolved.map(instant),
        acknowledged: problem.acknowledged.as_ref().map(|(at, _)| instant(*at)),
        acknowledged_by: problem.acknowledged.as_ref().map(|(_, by)| by.to_string()),
        muted_until: problem.muted_until.map(instant),
        document: problem.document.clone(),
    }
}

/// A pattern of errors.
pub fn pattern(pattern: &ErrorPattern) -> problem::Pattern {
    problem::Pattern {
        fingerprint: pattern.fingerprint.to_string(),
        category: pattern.category.to_string(),
        message: pattern.message.to_string(),
        advice: advice(pattern.category.as_str()),
        first_seen: instant(pattern.first_seen),
        last_seen: instant(pattern.last_seen),
        seen: pattern.seen,
        hosts: pattern.hosts,
        first_version: pattern.first_version.to_string(),
        first_config: pattern.first_config.to_string(),
        last_run: pattern.last_run.to_string(),
    }
}
