//! The end of a run, as the state keeps it.

use std::num::NonZeroU32;
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_observe::errors::{Category, RetryPolicy};
use keepfast_operations::error::with_causes;
use keepfast_store::{
    Ending, Figures, Held, NextTry, PlanId, ProgramVersion, RepositoryId, RunError, RunId, RunKind,
    StoreError, Work,
};
use serde_json::Value;

use super::Workshop;
use crate::error::{Result, ServerError};
use crate::failure::kinds::Kind;
use crate::failure::{self, Scene};
use crate::state::{self, now};

/// How often the end of a run is written again if the state fails, and the time between two tries.
const END_TRIES: u32 = 12;
const END_AGAIN: Duration = Duration::from_secs(5);

/// What came of a run.
pub(super) struct Ended {
    /// In a word.
    pub ending: Ending,
    /// Its report.
    pub report: Option<Value>,
    /// What it has counted.
    pub figures: Figures,
    /// Why it failed.
    pub error: Option<RunError>,
    /// The kind of error that made it fail.
    pub category: Option<Category>,
    /// What later runs are compared with.
    pub baseline: Option<Value>,
}

impl Workshop {
    /// Ends a run whose thread has panicked.
    pub fn broken(&self, config: &Config, held: &Held, text: &str) -> Result<()> {
        let kind = Kind { code: "panic", category: Category::Bug };
        let error = failure::error_of(text, kind, "", &self.scene(config, held))?;
        self.end(
            config,
            held,
            &Ended {
                ending: Ending::Failed,
                report: None,
                figures: Figures::default(),
                error: Some(error),
                category: Some(Category::Bug),
                baseline: None,
            },
        )
    }

    /// What texts of errors may name.
    pub(super) fn scene(&self, config: &Config, held: &Held) -> Scene {
        let subject = &held.run.subject;
        let repository = subject.repository.as_ref().map_or("", RepositoryId::as_str);
        let plan = subject.plan.as_ref().map_or("", PlanId::as_str);
        Scene::of(plan, config.repositories.get(repository), &self.around.host)
    }

    /// Writes the end of a run. A database that is away for a moment must not make a good run a lost one.
    pub(super) fn end(&self, config: &Config, held: &Held, ended: &Ended) -> Result<()> {
        let version = &*self.around.version;
        let work = Work {
            ending: ended.ending.clone(),
            report: ended.report.clone(),
            counters: None,
            figures: ended.figures,
            error: ended.error.clone(),
            baseline: ended.baseline.clone(),
            retry: self.next_try(config, held, ended)?,
            version: ProgramVersion::new(version).map_err(ServerError::name(version))?,
        };
        self.until_stored(async || self.store.end(now(), held, &work).await.map(drop).map_err(Into::into))
    }

    /// Does something with the state again and again, for as long as that may help.
    pub(super) fn until_stored(&self, store: impl AsyncFn() -> Result<()>) -> Result<()> {
        self.handle.block_on(async {
            let mut tries = 0;
            loop {
                tries += 1;
                match store().await {
                    Ok(()) => return Ok(()),
                    Err(error @ ServerError::Store(StoreError::NotHeld { .. })) => return Err(error),
                    Err(error) if tries >= END_TRIES => return Err(error),
                    Err(_) => tokio::time::sleep(END_AGAIN).await,
                }
            }
        })
    }

    /// When a run that failed is tried again; nothing if it isn't.
    fn next_try(&self, config: &Config, held: &Held, ended: &Ended) -> Result<Option<NextTry>> {
        let (Ending::Failed, Some(category), true) = (&ended.ending, ended.category, self.retries) else {
            return Ok(None);
        };
        let run = &held.run;
        let attempts = NonZeroU32::new(run.attempt).unwrap_or(NonZeroU32::MIN);
        let seed = u64::from_le_bytes(
            *blake3::hash(run.id.as_str().as_bytes()).as_bytes().first_chunk().unwrap_or(&[0; 8]),
        );
        let wait = match run.kind {
            RunKind::Backup => {
                let plan = run.subject.plan.as_ref().and_then(|plan| config.plans.get(plan.as_str()));
                plan.and_then(|plan| failure::retry(&plan.value, category, attempts, seed))
            }
            // A person waits for it, and decides.
            RunKind::Restore => None,
            // Upkeep comes seldom: what a network has kept it from is done before its next slot.
            _ => RetryPolicy::default().wait(category, attempts, seed),
        };
        let Some(wait) = wait else { return Ok(None) };
        let id = RunId::new(state::random_name()?).map_err(ServerError::name("run"))?;
        Ok(Some(NextTry { id, not_before: now().plus(wait) }))
    }

    /// The error of what couldn't begin.
    pub(super) fn unbegun(&self, config: &Config, held: &Held, error: &ServerError) -> Result<Ended> {
        let kind = failure::kinds::of_server(error);
        let text = with_causes(error);
        Ok(Ended {
            ending: Ending::Failed,
            report: None,
            figures: Figures::default(),
            category: Some(kind.category),
            error: Some(failure::error_of(&text, kind, "", &self.scene(config, held))?),
            baseline: None,
        })
    }
}
