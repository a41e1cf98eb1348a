//! One run of a plan: hooks, the backup, what undoes the hooks, retention. It is the same, no matter what starts it.
//!
//! The order, and why:
//!
//! 1. The repository is opened. If that fails, nothing has been touched yet.
//! 2. `before` hooks. What undoes one is recorded *before* it runs, so that a crash in the middle still leaves a record.
//! 3. The backup.
//! 4. What undoes the `before` hooks, the last one first, however the backup went: a service that was stopped comes
//!    back before anything else takes time.
//! 5. `after` hooks, if the backup has begun.
//! 6. Retention, if there is a new snapshot. If it fails, the run has a finding: the backup is made.
//! 7. Hooks of `success` or of `failure`: now it is known which of them it is.
//! 8. `always` hooks.

pub mod pace;
pub mod record;
pub mod report;
pub mod upkeep;

use std::ffi::OsString;

use keepfast_config::model::hook::{Moment, OnError};
use keepfast_engine::EngineError;
use keepfast_engine::run::RunContext;
use keepfast_operations::OperationsError;
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::hooks::{Hook, HookError};
use keepfast_operations::open::{Mode, SharedRepository};
use keepfast_operations::requests::{Backup, Forget, ForgetWhich, Retention, backup, forget};

use crate::convert::hook::PlanHook;
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
}

/// Carries a plan out. What is recorded goes to `record`; the report says what came of it.
///
/// `problems` are those of before: they are findings of this run.
pub fn carry_out(
    work: &PlanWork,
    shared: &SharedRepository,
    run: &RunContext,
    record: &dyn Record,
    problems: Vec<String>,
) -> PlanReport {
    let mut doing = Doing { work, shared, run, record, report: PlanReport::new(&work.plan), failure: None };
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
    if let Some(Failure { text, error, .. }) = doing.failure {
        doing.report.error = Some(text);
        doing.report.failure = error;
    }
    doing.report
}

/// Why a run doesn't do its work.
struct Failure {
    text: String,
    is_cancelled: bool,
    error: Option<OperationsError>,
}

struct Doing<'w> {
    work: &'w PlanWork,
    shared: &'w SharedRepository,
    run: &'w RunContext,
    record: &'w dyn Record,
    report: PlanReport,
    failure: Option<Failure>,
}

impl Doing<'_> {
    fn run(&mut self) {
        self.record.step(Step::Opening);
        // A run that can't reach its store must not stop a service for it first.
        if let Err(error) = self.shared.repository(self.run, Mode::Usual) {
            self.fail(error);
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
        let has_snapshot = self.report.backup.as_ref().is_some_and(|backup| backup.snapshot.is_some());
        if self.failure.is_none() && has_snapshot {
            self.retain();
        }
        let outcome = if self.failure.is_none() { Moment::Success } else { Moment::Failure };
        self.hooks(outcome);
        self.hooks(Moment::Always);
    }

    fn fail(&mut self, error: OperationsError) {
        let is_cancelled = is_interruption(&error);
        self.fail_with(with_causes(&error), is_cancelled, Some(error));
    }

    fn fail_with(&mut self, text: String, is_cancelled: bool, error: Option<OperationsError>) {
        self.record.line(Level::Error, &text);
        self.failure.get_or_insert(Failure { text, is_cancelled, error });
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
                        return self.fail_with(text, false, None);
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
        self.record.step(Step::Hook { program: program.clone() });
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
                    OnError::Abort => self.fail_with(text, cancel.is_cancelled(), None),
                    OnError::Warn => self.find(text),
                }
            }
        }
    }

    fn undo(&mut self, (ticket, undo): (record::UndoTicket, Hook)) {
        self.record.step(Step::Undo { program: undo.run.program() });
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
        self.record.step(Step::Backup);
        match backup(&self.work.backup, self.shared, self.run) {
            Ok(report) => {
                let troubles = report.troubles;
                self.report.findings += troubles.skipped + troubles.damaged + troubles.unreachable;
                self.report.backup = Some(report);
            }
            Err(error) => self.fail(error),
        }
    }

    fn retain(&mut self) {
        let Some(retention) = &self.work.retention else { return };
        self.record.step(Step::Retention);
        let request = Forget { which: ForgetWhich::ByPolicy(Box::new(retention.clone())), dry_run: false };
        match forget(&request, self.shared, self.run) {
            Ok(report) => self.report.retention = Some(report),
            Err(error) if is_interruption(&error) => self.fail(error),
            Err(error) => self.find(format!("retention failed: {}", with_causes(&error))),
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
