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
use crate::failure::kinds::Kind;
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

/// What made a run of a plan fail, as the state keeps it; nothing if it didn't fail.
pub fn run_error(report: &PlanReport, scene: &Scene) -> Result<Option<RunError>> {
    let Some(text) = &report.error else { return Ok(None) };
    let kind =
        Kind { code: report.code.unwrap_or_default(), category: report.category.unwrap_or(Category::Bug) };
    error_of(text, kind, report.failed_in.unwrap_or_default(), scene).map(Some)
}

/// An error as the state keeps it. `place` is the part of the run in which it came.
pub fn error_of(text: &str, kind: Kind, place: &str, scene: &Scene) -> Result<RunError> {
    let names: Vec<&str> = scene.names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let pattern =
        Pattern::of(&ErrorFacts { code: kind.code, place, backend: scene.backend, text, names: &names });
    let category = kind.category.name();
    let fingerprint = pattern.fingerprint.to_string();
    Ok(RunError {
        category: ErrorCategory::new(category).map_err(ServerError::name(category))?,
        fingerprint: Fingerprint::new(&*fingerprint).map_err(ServerError::name(&fingerprint))?,
        message: Text::from(text),
    })
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::num::NonZeroU32;

    use keepfast_backend::{BackendError, BackendErrorKind, Operation};
    use keepfast_engine::EngineError;
    use keepfast_engine::error::SlotsLeft;
    use keepfast_observe::errors::Category;
    use keepfast_operations::OperationsError;
    use keepfast_operations::error::SourceError;

    use super::{Scene, retry, run_error};
    use crate::error::ServerError;
    use crate::testing::state::{Desk, plan};
    use crate::work::report::PlanReport;

    fn backend(kind: BackendErrorKind, object: &str) -> ServerError {
        let error = BackendError::of_kind(Operation::Create, object, kind);
        ServerError::Operations(OperationsError::Engine(EngineError::from(error)))
    }

    fn source(kind: io::ErrorKind) -> ServerError {
        let error = SourceError::NotThere { path: "/srv/www".into(), source: kind.into() };
        ServerError::Operations(error.into())
    }

    #[test]
    fn each_failure_has_the_category_of_what_a_person_does_about_it() {
        let password = EngineError::WrongPassword { location: "here".to_owned(), left: SlotsLeft::default() };
        let unsupported =
            ServerError::Unsupported { definition: "plan www".to_owned(), what: "that".to_owned() };
        for (error, category) in [
            (backend(BackendErrorKind::Unreachable, "s3://b/packs/1"), Category::Network),
            (backend(BackendErrorKind::Full, "/srv/backup/packs/1"), Category::Space),
            (backend(BackendErrorKind::Denied, "s3://b/packs/1"), Category::Permission),
            (backend(BackendErrorKind::Untrustworthy, "s3://b/packs/1"), Category::Damage),
            (backend(BackendErrorKind::Region, "s3://b"), Category::Configuration),
            (ServerError::Operations(OperationsError::Engine(password)), Category::Credentials),
            (ServerError::Operations(EngineError::FaultyMachine.into()), Category::Damage),
            (source(io::ErrorKind::NotFound), Category::Source),
            (source(io::ErrorKind::PermissionDenied), Category::Permission),
            (unsupported, Category::Configuration),
        ] {
            let report = PlanReport::failed("www", &error);
            assert_eq!(report.category, Some(category), "{error}");
            let said = serde_json::to_value(&report).expect("a document");
            assert_eq!(said["category"], category.name());
        }
    }

    #[test]
    fn the_same_failure_of_other_plans_has_the_same_pattern() {
        let desk = Desk::new(&[plan("www", ""), plan("shop", "")].concat());
        let repository = desk.config.repositories.get("main");
        let of = |plan: &str, host: &str, object: &str, kind| {
            let report = PlanReport::failed(plan, &backend(kind, object));
            let error = run_error(&report, &Scene::of(plan, repository, host)).expect("names are valid");
            error.expect("it failed")
        };
        let one = of("www", "web1", "s3://bucket/packs/3fa85f6457174562", BackendErrorKind::Unreachable);
        let again = of("shop", "db", "s3://bucket/packs/99f0a1b2c3d4e5f6", BackendErrorKind::Unreachable);
        assert_eq!(one.fingerprint, again.fingerprint);
        assert_eq!(one.category.as_str(), "network");
        let other = of("www", "web1", "s3://bucket/packs/3fa85f6457174562", BackendErrorKind::Denied);
        assert_ne!(one.fingerprint, other.fingerprint);
        let good = PlanReport { error: None, ..PlanReport::failed("www", &source(io::ErrorKind::NotFound)) };
        assert_eq!(run_error(&good, &Scene::of("www", repository, "web1")).expect("valid"), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_as_often_as_the_plan_says() {
        let retries = "retry = { attempts = 4, first = \"10m\", factor = 3, longest = \"1h\" }";
        let desk = Desk::new(&[plan("www", retries), plan("never", "")].concat());
        let of = |name: &str| &desk.config.plans.get(name).expect("it is defined").value;
        let waits = |name: &str, category| {
            let wait = |attempts| retry(of(name), category, NonZeroU32::new(attempts)?, 7);
            (1..).map_while(wait).map(|wait| wait.as_secs().div_ceil(60)).collect::<Vec<u64>>()
        };
        let network = waits("www", Category::Network);
        assert_eq!(network.len(), 3);
        // Up to a fifth is taken away, so that runs that failed together aren't tried together.
        for (minutes, full) in network.iter().zip([10, 30, 60]) {
            assert!((full * 4 / 5..=full).contains(minutes), "{network:?}");
        }
        assert_eq!(waits("www", Category::Source).len(), 1);
        for category in Category::ALL {
            let may_pass = matches!(category, Category::Network | Category::Source);
            assert_eq!(waits("www", category).is_empty(), !may_pass, "{category:?}");
            assert!(waits("never", category).is_empty(), "{category:?}");
        }
    }
}
