//! What a failed run means: its category, the pattern that it shares with others, and when it is tried again.

pub mod kinds;

use std::num::NonZeroU32;
use std::time::Duration;

use keepfast_config::config::Definition;
use keepfast_config::model::plan::Plan;
use keepfast_config::model::repository::Repository;
use keepfast_observe::errors::{Category, ErrorFacts, Growth, Pattern, RetryPolicy};
use keepfast_store::{ErrorCategory, Fingerprint, RunError, Text};

use crate::error::{Result, ServerError};
use crate::work::report::PlanReport;

/// What a plan works with, as far as texts of errors may name it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Names that differ from one plan to the next: its own, of its repository, its host, its store.
    names: Vec<String>,
    /// The kind of store.
    backend: &'static str,
}

impl Scene {
    /// That of a plan on a host. The repository is none if the plan names one that isn't defined.
    #[must_use]
    pub fn of(plan: &str, repository: Option<&Definition<Repository>>, host: &str) -> Self {
        let mut names = vec![plan.to_owned(), host.to_owned()];
        let mut backend = "";
        if let Some(repository) = repository {
            let url = repository.value.url.value.to_string();
            backend = if url.starts_with("s3://") { "s3" } else { "directory" };
            names.push(repository.name.clone());
            if let Some(bucket) = url.strip_prefix("s3://").and_then(|rest| rest.split('/').next()) {
                names.push(bucket.to_owned());
            }
            names.push(url);
        }
        Self { names, backend }
    }
}

/// What made a run fail, as the state keeps it; nothing if it didn't fail.
pub fn run_error(report: &PlanReport, scene: &Scene) -> Result<Option<RunError>> {
    let Some(text) = &report.error else { return Ok(None) };
    let names: Vec<&str> = scene.names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let pattern = Pattern::of(&ErrorFacts {
        code: report.code.unwrap_or_default(),
        place: report.failed_in.unwrap_or_default(),
        backend: scene.backend,
        text,
        names: &names,
    });
    let category = report.category.unwrap_or(Category::Bug).name();
    let fingerprint = pattern.fingerprint.to_string();
    Ok(Some(RunError {
        category: ErrorCategory::new(category).map_err(ServerError::name(category))?,
        fingerprint: Fingerprint::new(&*fingerprint).map_err(ServerError::name(&fingerprint))?,
        message: Text::from(text.as_str()),
    }))
}

/// How long to wait before a run is tried again of which this many attempts have failed, the last one with an error of
/// this category. Nothing if it isn't: because the plan has no `retry`, because there were enough attempts, or because
/// trying again doesn't help. `seed` spreads the waits of runs that failed together: take another one for each run.
#[must_use]
pub fn retry(plan: &Plan, category: Category, attempts: NonZeroU32, seed: u64) -> Option<Duration> {
    let defined = plan.retry.as_ref()?;
    let policy = RetryPolicy {
        attempts: defined.attempts.into(),
        first: defined.first.0,
        growth: Growth::new(f64::from(defined.factor.get())).ok()?,
        longest: defined.longest.0,
        ..RetryPolicy::default()
    };
    policy.wait(category, attempts, seed)
}
