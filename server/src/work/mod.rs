//! One run of a plan: hooks, the backup, what undoes the hooks, retention. It is the same, no matter what starts it.
//!
//! The order, and why:
//!
//! 1. The repository is opened. If that fails, nothing has been touched yet.
//! 2. What would keep the run from its work is looked at: room, rights, paths. A path that a `before` hook may mount is
//!    left to the backup.
//! 3. `before` hooks. What undoes one is recorded *before* it runs, so that a crash in the middle still leaves a record.
//! 4. The backup.
//! 5. What undoes the `before` hooks, the last one first, however the backup went: a service that was stopped comes
//!    back before anything else takes time.
//! 6. `after` hooks, if the backup has begun.
//! 7. The run is compared with those before it. What is unusual is a finding.
//! 8. Retention, if there is a new snapshot and no anomaly of the data is open: the snapshots before it may be the last
//!    good ones. If it fails, the run has a finding: the backup is made.
//! 9. Hooks of `success` or of `failure`: now it is known which of them it is.
//! 10. `always` hooks.

pub mod checks;
pub mod pace;
pub mod record;
pub mod report;
pub mod upkeep;
pub mod verdicts;

use std::ffi::OsString;

use jiff::Timestamp;
use keepfast_config::model::hook::{Moment, OnError};
use keepfast_engine::EngineError;
use keepfast_engine::run::RunContext;
use keepfast_observe::anomaly::Rules;
use keepfast_observe::errors::Category;
use keepfast_operations::OperationsError;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::hooks::{Hook, HookError};
use keepfast_operations::open::{Mode, SharedRepository};
use keepfast_operations::requests::{Backup, Forget, ForgetWhich, Retention, backup, forget};

use crate::convert::hook::PlanHook;
use crate::failure::kinds::{self, Kind};
use crate::idle::Idle;
use crate::usual::Usual;
use checks::Hindrance;
use record::{Level, Record, Step};
use report::{HookDocument, PlanReport, Verdict};

/// A plan, ready to be carried out.
#[derive(Debug, Clone)]
pub struct PlanWork {
    /// Its name.
    pub plan: String,
    /// The name of its repository.
    pub repository: String,
    /// Hooks, in the order of the file.
    pub hooks: Vec<PlanHook>,
    /// What is backed up.
    pub backup: Backup,
    /// What is kept.
    pub retention: Option<Retention>,
    /// What is unusual.
    pub rules: Rules,
}

/// What is known of a plan before a run of it.
#[derive(Debug, Default)]
pub struct Before {
    /// What went wrong since: these are findings of the run.
    pub problems: Vec<String>,
    /// What the run is compared with.
    pub usual: Usual,
}

/// Carries a plan out. What is recorded goes to `record`; the report says what came of it.
pub fn carry_out(
    work: &PlanWork,
    shared: &SharedRepository,
    run: &RunContext,
    record: &dyn Record,
    before: Before,
) -> PlanReport {
    let Before { problems, usual } = before;
    let report = PlanReport::new(&work.plan);
    let mut doing = Doing { work, shared, run, record, usual, report, step: "", failure: None };
    for problem in problems {
        doing.find(problem);
    }
    doing.run();
    doing.report.verdict = match &doing.failure {
        Some(Failure { is_cancelled: true, .. }) => Verdict::Cancelled,
        Some(_) => Verdict::Failed,
        None if doing.report.findings > 0 => Verdict::Findings,
        None => Verdict::Ok,
    };
    if let Some(Failure { text, kind, step, error, .. }) = doing.failure {
        let report = &mut doing.report;
        report.error = Some(text);
        (report.category, report.code) = (Some(kind.category), Some(kind.code));
        report.failed_in = Some(step);
        report.failure = error;
    }
    doing.report
}

/// Why a run doesn't do its work.
struct Failure {
    text: String,
    kind: Kind,
    step: &'static str,
    is_cancelled: bool,
    error: Option<OperationsError>,
}

struct Doing<'w> {
    work: &'w PlanWork,
    shared: &'w SharedRepository,
    run: &'w RunContext,
    record: &'w dyn Record,
    usual: Usual,
    report: PlanReport,
    /// The code of the part that the run is in.
    step: &'static str,
    failure: Option<Failure>,
}

impl Doing<'_> {
    fn run(&mut self) {
        self.enter(Step::Opening);
        // A run that can't reach its store must not stop a service for it first.
        if let Err(error) = self.shared.repository(self.run, Mode::Usual) {
            self.fail(error);
        }
        if self.failure.is_none() {
            self.check();
        }
        let mut undos = Vec::new();
        if self.failure.is_none() {
            self.before(&mut undos);
        }
        let has_begun = self.failure.is_none();
        if has_begun {
            self.back_up();
        }
        for undo in undos.into_iter().rev() {
            self.undo(undo);
        }
        if has_begun {
            self.hooks(Moment::After);
        }
        if self.failure.is_none() {
            self.judge();
        }
        let has_snapshot = self.report.backup.as_ref().is_some_and(|backup| backup.snapshot.is_some());
        if self.failure.is_none() && has_snapshot {
            self.retain();
        }
        let outcome = if self.failure.is_none() { Moment::Success } else { Moment::Failure };
        self.hooks(outcome);
        self.hooks(Moment::Always);
    }

    fn enter(&mut self, step: Step) {
        self.step = step.code();
        self.record.step(step);
    }

    fn fail(&mut self, error: OperationsError) {
        let (is_cancelled, kind) = (is_interruption(&error), kinds::of_operations(&error));
        self.fail_as(Failure {
            text: with_causes(&error),
            kind,
            step: self.step,
            is_cancelled,
            error: Some(error),
        });
    }

    fn fail_with(&mut self, text: String, kind: Kind) {
        self.fail_as(Failure { text, kind, step: self.step, is_cancelled: false, error: None });
    }

    fn fail_as(&mut self, failure: Failure) {
        self.record.line(Level::Error, &failure.text);
        self.failure.get_or_insert(failure);
    }

    /// Fails at once if the run can't do its work.
    fn check(&mut self) {
        self.enter(Step::Checks);
        let checked = checks::places(self.shared.target(), self.usual.last_stored_bytes()).and_then(|()| {
            let may_mount = self.work.hooks.iter().any(|hook| hook.moment == Moment::Before);
            if may_mount { Ok(()) } else { checks::paths(&self.work.backup.sources) }
        });
        match checked {
            Ok(()) => {}
            Err(Hindrance::Source(error)) => self.fail(error),
            Err(Hindrance::Here { text, category, code }) => self.fail_with(text, Kind { code, category }),
        }
    }

    fn find(&mut self, text: String) {
        self.record.line(Level::Warning, &text);
        self.report.findings += 1;
        self.report.problems.push(text);
    }

    fn before(&mut self, undos: &mut Vec<(record::UndoTicket, Hook)>) {
        let work = self.work;
        for hook in work.hooks.iter().filter(|hook| hook.moment == Moment::Before) {
            if let Some(undo) = &hook.undo {
                match self.record.store_undo(undo) {
                    Ok(ticket) => undos.push((ticket, undo.clone())),
                    Err(error) => {
                        let text = format!(
                            "what undoes the hook {} can't be recorded, so the hook was not run: {error}",
                            hook.hook.run.program()
                        );
                        let kind = Kind { code: "undo_not_recorded", category: Category::Network };
                        return self.fail_with(text, kind);
                    }
                }
            }
            self.hook(hook);
            if self.failure.is_some() {
                return;
            }
        }
    }

    fn hooks(&mut self, moment: Moment) {
        let work = self.work;
        for hook in work.hooks.iter().filter(|hook| hook.moment == moment) {
            self.hook(hook);
        }
    }

    fn hook(&mut self, hook: &PlanHook) {
        let program = hook.hook.run.program();
        self.enter(Step::Hook { program: program.clone() });
        // A cancelled run still puts things in order.
        let cancel =
            if hook.moment == Moment::Before { self.run.cancel().clone() } else { Default::default() };
        match hook.hook.run(&self.children(), &cancel) {
            Ok(ended) => {
                self.record.hook_said(&ended);
                self.report.hooks.push(HookDocument::ended(hook.moment, &ended));
            }
            Err(error) => {
                if let HookError::Failed { ended, .. } = &error {
                    self.record.hook_said(ended);
                }
                let text = with_causes(&error);
                self.report.hooks.push(HookDocument::failed(hook.moment, &program, &text));
                match hook.on_error {
                    OnError::Abort => self.fail_as(Failure {
                        text,
                        kind: Kind { code: "hook", category: Category::Source },
                        step: self.step,
                        is_cancelled: cancel.is_cancelled(),
                        error: None,
                    }),
                    OnError::Warn => self.find(text),
                }
            }
        }
    }

    fn undo(&mut self, (ticket, undo): (record::UndoTicket, Hook)) {
        self.enter(Step::Undo { program: undo.run.program() });
        if !self.record.undoing(&ticket) {
            return self.record.line(Level::Warning, "another process has undone the hook");
        }
        let failure = match undo.run(&self.children(), &Default::default()) {
            Ok(ended) => {
                self.record.hook_said(&ended);
                None
            }
            Err(error) => Some(with_causes(&error)),
        };
        self.record.undone(&ticket, failure.as_deref());
        if let Some(text) = failure {
            self.find(format!("what undoes a hook failed: {text}"));
        }
    }

    fn back_up(&mut self) {
        self.enter(Step::Backup);
        match backup(&self.work.backup, self.shared, self.run) {
            Ok(report) => {
                let troubles = report.troubles;
                self.report.findings += troubles.skipped + troubles.damaged + troubles.unreachable;
                self.report.backup = Some(report);
            }
            Err(error) => self.fail(error),
        }
    }

    /// Compares the run with those before it.
    fn judge(&mut self) {
        self.enter(Step::Judging);
        let Some(backup) = self.report.backup.as_ref().filter(|backup| !backup.dry_run) else { return };
        let judged = self.usual.judge(backup, &self.record.run_id(), Timestamp::now(), &self.work.rules);
        for anomaly in &judged.found {
            self.find(format!("unusual: {}", anomaly.text));
        }
        self.report.anomalies.clone_from(&judged.found);
        self.report.judged = Some(judged);
    }

    fn retain(&mut self) {
        let Some(retention) = &self.work.retention else { return };
        self.enter(Step::Retention);
        let judged = self.report.judged.as_ref();
        if let Some(open) = judged.and_then(|judged| judged.pauses_retention.as_ref()) {
            let text = format!(
                "retention is paused, and nothing was removed: run {} of {} was unusual ({}). Look whether the data is as \
                 it should be; then `keepfast accept-anomaly {}` lets retention go on",
                open.run,
                open.since.strftime("%Y-%m-%d %H:%M UTC"),
                open.text(),
                self.work.plan,
            );
            self.report.retention_paused = true;
            return self.find(text);
        }
        let request = Forget { which: ForgetWhich::ByPolicy(Box::new(retention.clone())), dry_run: false };
        match forget(&request, self.shared, self.run) {
            Ok(report) => {
                self.report.idle_retention = Idle::of(&retention.keep, &report);
                self.report.retention = Some(report);
            }
            Err(error) if is_interruption(&error) => self.fail(error),
            Err(error) => {
                self.report.retention_failed = true;
                self.find(format!("retention failed: {}", with_causes(&error)));
            }
        }
    }

    /// How hooks are started: with facts of the run in their environment, and without secrets.
    fn children(&self) -> Children {
        let report = &self.report;
        let snapshot = report.backup.as_ref().and_then(|backup| backup.snapshot.as_ref());
        let mut variables = hook_variables(&self.work.plan, &self.work.repository, &self.record.run_id());
        let mut add = |name: &str, value: String| variables.push((name.to_owned(), OsString::from(value)));
        if let Some(snapshot) = snapshot {
            add("KEEPFAST_SNAPSHOT", snapshot.id.clone());
        }
        if report.backup.is_some() || self.failure.is_some() {
            add("KEEPFAST_FINDINGS", report.findings.to_string());
        }
        if let Some(failure) = &self.failure {
            add("KEEPFAST_ERROR", failure.text.clone());
        }
        let mut children = self.shared.children().clone();
        children.variables.extend(variables);
        children
    }
}

/// What each hook is told of its run.
pub fn hook_variables(plan: &str, repository: &str, run: &str) -> Vec<(String, OsString)> {
    let variables =
        [("KEEPFAST_PLAN", plan), ("KEEPFAST_REPOSITORY_NAME", repository), ("KEEPFAST_RUN", run)];
    variables.map(|(name, value)| (name.to_owned(), OsString::from(value))).to_vec()
}

fn is_interruption(error: &OperationsError) -> bool {
    matches!(error.engine(), Some(EngineError::Interrupted))
}
