//! Repositories that stay open between requests of people who look into them: to open one takes seconds where it is far,
//! and a person who browses asks for the next folder at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::run::{Host, RunContext, Unheard};
use keepfast_operations::open::{Mode, Opened, SharedRepository};

use crate::connect;
use crate::error::{Result, ServerError};
use crate::surroundings::Surroundings;

/// Repositories that are kept, at most: each has an index open.
const KEPT_MAX: usize = 8;
/// What no one has used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// What was opened longer ago is opened again before it is used: others write to the repository.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// What lacks a snapshot and was opened longer ago is opened again, as the snapshot may be new.
const LACKS_FOR: Duration = Duration::from_secs(5);
/// Threads of a request.
const THREADS: usize = 2;

/// Repositories that stay open.
pub struct WarmRepositories {
    around: Surroundings,
    host: Arc<dyn Host>,
    kept: Mutex<BTreeMap<String, Arc<Kept>>>,
}

/// A repository that stays open.
struct Kept {
    /// What its definition says, as a hash.
    hash: String,
    shared: SharedRepository,
    /// Held while it is opened, so that this is done once and on one connection.
    opened: Mutex<Option<(Instant, Arc<Opened>)>>,
    used: Mutex<Instant>,
}

/// A snapshot in a repository that is open.
pub struct Found {
    /// The repository.
    pub opened: Arc<Opened>,
    /// The snapshot.
    pub stored: StoredSnapshot,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WarmRepositories {
    /// None is open yet. `host` is the machine that the engine works on.
    #[must_use]
    pub fn new(around: Surroundings, host: Arc<dyn Host>) -> Self {
        Self { around, host, kept: Mutex::default() }
    }

    /// What belongs to a request: it ends when `cancel` says so.
    #[must_use]
    pub fn run(&self, cancel: Cancel) -> RunContext {
        let run = RunContext::new(Arc::clone(&self.host), Arc::new(Unheard));
        run.with_cancel(cancel).with_threads(THREADS)
    }

    /// Does something with the connection to a repository that people look into.
    ///
    /// # Errors
    /// The repository isn't defined or its definition can't be used, or `work` fails.
    pub fn with<T>(
        &self,
        config: &Config,
        repository: &str,
        work: impl FnOnce(&SharedRepository) -> Result<T>,
    ) -> Result<T> {
        work(&self.kept(config, repository)?.shared)
    }

    /// A snapshot by its whole id.
    ///
    /// # Errors
    /// The repository can't be opened, or doesn't have the snapshot.
    pub fn snapshot(&self, config: &Config, repository: &str, id: &str) -> Result<Found> {
        let kept = self.kept(config, repository)?;
        let mut held = locked(&kept.opened);
        let find = |opened: &Arc<Opened>| {
            let stored =
                opened.snapshots.all.iter().find(|stored| stored.snapshot.head.id.short() == id)?.clone();
            Some(Found { opened: Arc::clone(opened), stored })
        };
        if let Some((at, opened)) = held.as_ref().filter(|(at, _)| at.elapsed() < FRESH_FOR) {
            match find(opened) {
                Some(found) => return Ok(found),
                None if at.elapsed() < LACKS_FOR => return Err(missing(repository, id)),
                None => {}
            }
        }
        // Not of one request: others use what it opens, and it may end before them.
        let opened = Arc::new(kept.shared.open(&self.run(Cancel::new()), Mode::Usual)?);
        *held = Some((Instant::now(), Arc::clone(&opened)));
        find(&opened).ok_or_else(|| missing(repository, id))
    }

    /// A repository was changed: what was opened before is opened again.
    pub fn changed(&self, repository: &str) {
        let kept = locked(&self.kept).get(repository).cloned();
        if let Some(kept) = kept {
            *locked(&kept.opened) = None;
        }
    }

    /// Closes what no one uses any more.
    pub fn close_idle(&self) {
        locked(&self.kept).retain(|_, kept| locked(&kept.used).elapsed() < IDLE_MAX);
    }

    fn kept(&self, config: &Config, repository: &str) -> Result<Arc<Kept>> {
        let definition = connect::definition(config, repository)?;
        let hash = definition.hash.to_string();
        let mut all = locked(&self.kept);
        if let Some(kept) = all.get(repository).filter(|kept| kept.hash == hash) {
            *locked(&kept.used) = Instant::now();
            return Ok(Arc::clone(kept));
        }
        if all.len() >= KEPT_MAX && !all.contains_key(repository) {
            let oldest = all.iter().min_by_key(|(_, kept)| *locked(&kept.used)).map(|(name, _)| name.clone());
            oldest.map(|name| all.remove(&name));
        }
        let kept = Arc::new(Kept {
            hash,
            shared: connect::repository(config, &self.around, definition)?,
            opened: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        all.insert(repository.to_owned(), Arc::clone(&kept));
        Ok(kept)
    }
}

fn missing(repository: &str, id: &str) -> ServerError {
    ServerError::NoSnapshot { repository: repository.to_owned(), id: id.to_owned() }
}
