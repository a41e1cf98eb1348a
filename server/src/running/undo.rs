//! What undoes the hooks of runs that were interrupted.

use keepfast_config::config::Config;
use keepfast_operations::error::with_causes;
use keepfast_operations::hooks::Hook;
use keepfast_store::{PlanId, RepositoryId, Run, Text};

use super::Workshop;
use crate::error::Result;
use crate::state::now;
use crate::work::hook_variables;

/// An undo command that failed, and the plan whose hook it undoes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoFailure {
    /// The plan; nothing if its run is no longer known.
    pub plan: Option<PlanId>,
    /// What went wrong.
    pub problem: String,
}

impl Workshop {
    /// Carries out what undoes the hooks of runs that have ended without doing so, the last hook first. `of` chooses the
    /// runs; commands whose run isn't known any more are always carried out. Returns what went wrong.
    ///
    /// The commands are waited for: call it where that may take a while.
    pub async fn settle_undos(&self, config: &Config, of: impl Fn(&Run) -> bool) -> Result<Vec<UndoFailure>> {
        let mut failures = Vec::new();
        let mut left = self.store.left_undos(&self.machine).await?;
        left.reverse();
        for undo in left {
            let run = self.store.run(&undo.run).await?;
            if !run.as_ref().is_none_or(&of) {
                continue;
            }
            let Some(undo) = self.store.take_undo(now(), &undo.id, &self.executor).await? else { continue };
            let subject = run.map(|run| run.subject).unwrap_or_default();
            let mut children = self.around.children_of(config);
            let plan = subject.plan.as_ref().map_or("", PlanId::as_str);
            let repository = subject.repository.as_ref().map_or("", RepositoryId::as_str);
            children.variables.extend(hook_variables(plan, repository, undo.run.as_str()));
            let failure = match serde_json::from_value::<Hook>(undo.command.clone()) {
                Ok(hook) => {
                    let ended =
                        tokio::task::spawn_blocking(move || hook.run(&children, &Default::default())).await;
                    match ended {
                        Ok(ended) => ended.err().map(|error| with_causes(&error)),
                        Err(error) => Some(format!("the command's thread ended: {error}")),
                    }
                }
                Err(error) => Some(format!("the stored command can't be read: {error}")),
            };
            if let Some(failure) = &failure {
                let problem =
                    format!("what undoes a hook of the interrupted run {} failed: {failure}", undo.run);
                failures.push(UndoFailure { plan: subject.plan, problem });
            }
            self.store.undo_done(now(), &undo.id, &self.executor, failure.map(Text::from).as_ref()).await?;
        }
        Ok(failures)
    }
}
