//! Whether repositories and projects keep within their quotas, as problems. A quota tells, and stops no backup.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::units::bytes;
use keepfast_store::{ProblemKind, Subject};
use serde_json::json;
use tokio::time::Instant;

use super::Workshop;
use crate::connect::Repositories;
use crate::error::{Result, ServerError};
use crate::state::now;
use crate::work::upkeep::quota::{KIND, QuotaDocument, of_project, of_repository};

/// How often a repository is looked at, at most: to list what is stored costs requests.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What a person can do.
const ADVICE: &str = "Forget snapshots and prune, or raise the quota. Backups go on.";

impl Workshop {
    /// Looks at the quota of a repository and of the projects that use it, if it is time for that. What can't be
    /// looked at now is looked at later: a quota must not make a run fail.
    pub(super) fn look_at_quota(
        &self,
        config: &Config,
        repository: &str,
        shared: &SharedRepository,
        run: &RunContext,
    ) {
        let mut looked = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.get(repository).is_some_and(|at| at.elapsed() < LOOKED_AT_EVERY) {
            return;
        }
        looked.insert(repository.to_owned(), Instant::now());
        drop(looked);
        if let Err(error) = self.quotas_of(config, repository, shared, run) {
            run.notice(format!("the quota can't be looked at: {error}"));
        }
    }

    fn quotas_of(
        &self,
        config: &Config,
        repository: &str,
        shared: &SharedRepository,
        run: &RunContext,
    ) -> Result<()> {
        if let Some(definition) = config.repositories.get(repository)
            && let Some(quota) = of_repository(definition, shared, run)?
        {
            self.handle.block_on(self.tell_quota(&quota))?;
        }
        let mut repositories = Repositories::new(config, &self.around);
        let mut open = |name: &str| -> Result<Arc<SharedRepository>> { repositories.get(name) };
        for (project, definition) in
            config.projects.iter().filter(|(_, project)| project.value.quota.is_some())
        {
            let is_used = config.repositories.values().any(|other| {
                other.name == repository
                    && other.value.project.as_ref().is_some_and(|own| own.name == definition.name)
            }) || config.plans.values().any(|plan| {
                plan.value.repository.name == repository
                    && plan.value.project.as_ref().is_some_and(|own| own.name == definition.name)
            });
            if is_used && let Some(quota) = of_project(config, project, &mut open, run)? {
                self.handle.block_on(self.tell_quota(&quota))?;
            }
        }
        Ok(())
    }

    async fn tell_quota(&self, quota: &QuotaDocument) -> Result<()> {
        let kind = ProblemKind::new(KIND).map_err(ServerError::name(KIND))?;
        let subject = Subject::try_from(quota.subject.clone()).map_err(ServerError::name(&quota.subject))?;
        match &quota.problem {
            Some(problem) => {
                // An error is told by itself where a warning was told before.
                let severity = if problem.is_over { "error" } else { "warning" };
                let document = json!({
                    "summary": problem.text,
                    "severity": severity,
                    "advice": ADVICE,
                    "facts": { "Stored": bytes(quota.used_bytes), "Quota": bytes(quota.size_bytes) },
                    "is_over": problem.is_over,
                    "used_bytes": quota.used_bytes,
                    "size_bytes": quota.size_bytes,
                });
                let known = self.store.open_problems().await?;
                let known = known.iter().find(|known| known.subject == subject && known.kind == kind);
                let is_worse =
                    problem.is_over && known.is_some_and(|known| known.document["is_over"] == false);
                self.store.see_problem(now(), &subject, &kind, &document, None).await?;
                if is_worse {
                    self.store.problem_is_worse(now(), &subject, &kind).await?;
                }
            }
            None => drop(self.store.resolve_problem(now(), &subject, &kind).await?),
        }
        Ok(())
    }
}
