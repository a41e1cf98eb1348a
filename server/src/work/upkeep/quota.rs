//! How much repositories and projects take, and whether that is too much.

use std::sync::Arc;

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_config::model::project::Quota;
use keepfast_config::model::repository::Repository;
use keepfast_engine::run::RunContext;
use keepfast_operations::choose::Filter;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::{Needed, Stats, needed, stats};
use keepfast_operations::units::bytes;
use serde::Serialize;

use crate::convert::backup::label;
use crate::error::Result;

/// The word for problems of this kind.
pub const KIND: &str = "quota";
const WHOLE: u128 = 1000;

/// How much is used of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaDocument {
    /// What the quota is of: `repository:main`, `project:shop`.
    pub subject: String,
    /// Bytes that are stored.
    pub used_bytes: u64,
    /// Bytes that may be stored.
    pub size_bytes: u64,
    /// Bytes from which on it is told.
    pub warn_bytes: u64,
    /// What is wrong; null if nothing is.
    pub problem: Option<QuotaProblem>,
}

/// A quota that is nearly or fully used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotaProblem {
    /// Always [`KIND`].
    pub kind: &'static str,
    /// More is stored than may be.
    pub is_over: bool,
    /// In words.
    pub text: String,
}

/// What a quota says to this many bytes. It tells, and stops no backup: what can't be backed up is lost.
#[must_use]
pub fn judge(subject: &str, quota: &Quota, used_bytes: u64) -> QuotaDocument {
    let size_bytes = quota.size.bytes;
    let warn = u128::from(size_bytes) * u128::from(quota.warn.thousandths) / WHOLE;
    let warn_bytes = u64::try_from(warn).unwrap_or(size_bytes);
    let is_over = used_bytes > size_bytes;
    let problem = (used_bytes > warn_bytes || is_over).then(|| QuotaProblem {
        kind: KIND,
        is_over,
        text: format!(
            "{} are stored, which is {} the {} that may be",
            bytes(used_bytes),
            if is_over { "more than" } else { "nearly" },
            bytes(size_bytes),
        ),
    });
    QuotaDocument { subject: subject.to_owned(), used_bytes, size_bytes, warn_bytes, problem }
}

/// How much of its quota a repository takes; nothing if it has none. Objects are listed, and none is read.
pub fn of_repository(
    definition: &Definition<Repository>,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Option<QuotaDocument>> {
    let Some(quota) = &definition.value.quota else { return Ok(None) };
    let used = stats(&Stats {}, shared, run)?.bytes_stored;
    Ok(Some(judge(&format!("repository:{}", definition.name), quota, used)))
}

/// How much of its quota a project takes; nothing if it has none, or isn't defined. `open` opens a repository by its name.
///
/// Repositories of the project count in full. Of other repositories counts what snapshots of the project's plans need,
/// also if others need it as well: then trees of snapshots are read.
pub fn of_project(
    config: &Config,
    project: &str,
    open: &mut dyn FnMut(&str) -> Result<Arc<SharedRepository>>,
    run: &RunContext,
) -> Result<Option<QuotaDocument>> {
    let definition = config.projects.get(project);
    let Some(quota) = definition.and_then(|definition| definition.value.quota.as_ref()) else {
        return Ok(None);
    };
    let mut used = 0_u64;
    for repository in config.repositories.values() {
        let is_own = repository.value.project.as_ref().is_some_and(|own| own.name == project);
        let plans = plans_in(config, project, &repository.name);
        let more = if is_own {
            let shared = open(&repository.name)?;
            stats(&Stats {}, &shared, run)?.bytes_stored
        } else if plans.is_empty() {
            0
        } else {
            let of_plan =
                |plan: &&Definition<Plan>| Filter { tags: vec![label(&plan.name)], ..Filter::default() };
            let any_of = plans.iter().map(of_plan).collect();
            let shared = open(&repository.name)?;
            needed(&Needed { any_of }, &shared, run)?.bytes_stored
        };
        used = used.saturating_add(more);
    }
    Ok(Some(judge(&format!("project:{project}"), quota, used)))
}

fn plans_in<'c>(config: &'c Config, project: &str, repository: &str) -> Vec<&'c Definition<Plan>> {
    let is_meant = |plan: &&Definition<Plan>| {
        plan.value.repository.name == repository
            && plan.value.project.as_ref().is_some_and(|own| own.name == project)
    };
    config.plans.values().filter(is_meant).collect()
}

#[cfg(test)]
mod tests {
    use keepfast_config::model::project::Quota;
    use keepfast_config::values::amount::{Share, Size};

    use super::judge;

    #[test]
    fn a_quota_is_told_before_it_is_used_up() {
        let quota = Quota { size: Size { bytes: 1000 }, warn: Share { thousandths: 800 } };
        let of = |used| judge("repository:main", &quota, used).problem.map(|problem| problem.is_over);
        assert_eq!(
            [of(0), of(800), of(801), of(1000), of(1001)],
            [None, None, Some(false), Some(false), Some(true)]
        );
        let said = |used| judge("repository:main", &quota, used).problem.expect("a problem").text;
        assert_eq!(said(900), "900 B are stored, which is nearly the 1000 B that may be");
        assert_eq!(said(2048), "2.0 KiB are stored, which is more than the 1000 B that may be");
        let largest = Quota { size: Size { bytes: u64::MAX }, ..quota };
        assert_eq!(
            judge("repository:main", &largest, u64::MAX).problem.map(|problem| problem.is_over),
            Some(false)
        );
    }
}
