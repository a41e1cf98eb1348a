//! What prunes would do, found out in the background: that takes seconds for a small repository and minutes for a large one,
//! because the trees of all snapshots are read. What was found is kept, with its age, until the server ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_backend::Cancel;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository;
use keepfast_operations::error::with_causes;
use keepfast_operations::reports::PlanDocument;
use keepfast_operations::requests::{Prune, prune};
use tokio::sync::{Semaphore, watch};

use crate::connect;
use crate::error::{Result, ServerError};
use crate::surroundings::Surroundings;
use crate::warm::WarmRepositories;
use crate::work::upkeep::{prune_by_hand, prune_work};

/// What takes longer is ended.
const TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// What prunes would do.
pub struct PrunePreviews {
    around: Surroundings,
    warm: Arc<WarmRepositories>,
    known: Mutex<BTreeMap<String, Preview>>,
    /// One at a time: each reads as much as a prune.
    turn: Semaphore,
    changed: watch::Sender<()>,
}

/// What a prune of a repository would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// What the definition says, as a hash.
    hash: String,
    /// Since when it is being found out.
    pub working_since: Option<Timestamp>,
    /// What was found last, and when that was begun.
    pub found: Option<(Timestamp, PlanDocument)>,
    /// Why it couldn't be found the last time.
    pub error: Option<String>,
}

impl PrunePreviews {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(around: Surroundings, warm: Arc<WarmRepositories>) -> Self {
        Self {
            around,
            warm,
            known: Mutex::default(),
            turn: Semaphore::new(1),
            changed: watch::Sender::new(()),
        }
    }

    /// What is known.
    #[must_use]
    pub fn known(&self, repository: &str) -> Preview {
        self.locked().get(repository).cloned().unwrap_or_default()
    }

    /// Begins to find out what a prune would do, unless what is known was begun at `fresh_from` or later, or it is being
    /// found out already.
    ///
    /// # Errors
    /// The repository isn't defined.
    pub fn begin(
        self: &Arc<Self>,
        config: &Arc<Config>,
        repository: &str,
        fresh_from: Timestamp,
        now: Timestamp,
    ) -> Result<()> {
        let hash = connect::definition(config, repository)?.hash.to_string();
        {
            let mut known = self.locked();
            let preview = known.entry(repository.to_owned()).or_default();
            if preview.hash != hash && preview.working_since.is_none() {
                *preview = Preview { hash, ..Preview::default() };
            }
            let is_fresh = preview.found.as_ref().is_some_and(|(at, _)| *at >= fresh_from);
            if is_fresh || preview.working_since.is_some() {
                return Ok(());
            }
            preview.working_since = Some(now);
        }
        let (of, config, name) = (Arc::clone(self), Arc::clone(config), repository.to_owned());
        drop(tokio::spawn(async move {
            let done = of.find(&config, &name).await;
            let mut known = of.locked();
            let preview = known.entry(name).or_default();
            preview.working_since = None;
            match done {
                Ok(plan) => (preview.found, preview.error) = (Some((now, plan)), None),
                Err(error) => preview.error = Some(with_causes(&error)),
            }
            drop(known);
            of.changed.send_replace(());
        }));
        Ok(())
    }

    /// What is known as soon as it isn't being found out any more, or after this long.
    pub async fn wait(&self, repository: &str, longest: Duration) -> Preview {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while self.known(repository).working_since.is_some() && changed.changed().await.is_ok() {}
        };
        // What is known meanwhile is an answer as well.
        let _ = tokio::time::timeout(longest, waiting).await;
        self.known(repository)
    }

    async fn find(self: &Arc<Self>, config: &Arc<Config>, repository: &str) -> Result<PlanDocument> {
        let ended = || ServerError::Ended { what: "the look at what a prune would do" };
        let _turn = self.turn.acquire().await.map_err(|_| ended())?;
        let cancel = Cancel::new();
        let (of, config, name, on_time) =
            (Arc::clone(self), Arc::clone(config), repository.to_owned(), cancel.clone());
        let mut looking = tokio::task::spawn_blocking(move || of.look(&config, &name, cancel));
        match tokio::time::timeout(TIME_MAX, &mut looking).await {
            Ok(done) => done.map_err(|_| ended())?,
            Err(_) => {
                on_time.cancel();
                looking.await.map_err(|_| ended())?
            }
        }
    }

    fn look(&self, config: &Config, repository: &str, cancel: Cancel) -> Result<PlanDocument> {
        let definition = connect::definition(config, repository)?;
        // A connection of its own, as a prune has one: it reads for minutes.
        let shared = connect::repository(config, &self.around, definition)?;
        Ok(prune(&request(definition), &shared, &self.warm.run(cancel))?.plan)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Preview>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the repository's own prune does, without doing it.
fn request(definition: &Definition<Repository>) -> Prune {
    let work = prune_work(definition).unwrap_or_else(|| prune_by_hand(definition));
    Prune { dry_run: true, ..work.request }
}
