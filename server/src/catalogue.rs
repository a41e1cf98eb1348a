//! Keeping the catalogue of snapshots like the repositories: what they have is read on a thread of its own, compared with
//! the catalogue, and only what differs is written. A repository that can't be reached keeps its rows, and it is known
//! since when they are old.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::repo::StoredSnapshot;
use keepfast_format::node::Timestamp as FileTime;
use keepfast_operations::error::with_causes;
use keepfast_operations::open::Mode;
use keepfast_store::{HostId, PageSize, PlanId, RepositoryId, Snapshot, SnapshotId, Store, Tag, UtcTime};

use crate::convert::backup::LABEL_PREFIX;
use crate::error::{Result, ServerError};
use crate::state::{instant, now};
use crate::warm::WarmRepositories;

/// How often a repository is looked at: others may write to it.
pub const EVERY: Duration = Duration::from_secs(15 * 60);
/// Rows that are older than this aren't like the repository any more, even if nothing went wrong: no server looks.
const OLD_AFTER: Duration = Duration::from_secs(2 * 15 * 60);
/// Rows that are written in one transaction: others that write wait no longer than for these.
const AT_ONCE: usize = 200;
/// Between two transactions others that write have their turn.
const BETWEEN: Duration = Duration::from_millis(20);
/// What a snapshot's host is called if it says none that can be shown.
const NO_HOST: &str = "?";

/// What went wrong with repositories when they were looked at last.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<String, String>>);

impl Troubles {
    fn set(&self, repository: &str, trouble: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => all.insert(repository.to_owned(), trouble),
            None => all.remove(repository),
        };
    }

    fn get(&self, repository: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(repository).cloned()
    }
}

/// How old what the catalogue says of a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    /// When it was last like the repository; nothing if it never was.
    pub refreshed: Option<Timestamp>,
    /// Since when it may not be like the repository any more.
    pub stale_since: Option<Timestamp>,
    /// Why the repository couldn't be looked at the last time, if it couldn't.
    pub error: Option<String>,
}

/// How old what the catalogue says of a repository is.
///
/// # Errors
/// The state can't be read.
pub async fn age(store: &Store, troubles: &Troubles, repository: &RepositoryId) -> Result<Age> {
    let refreshed = store.catalogue_refreshed(repository).await?;
    let error = troubles.get(repository.as_str());
    let is_old = error.is_some() || refreshed.is_none_or(|at| at < now().minus(OLD_AFTER));
    Ok(Age {
        refreshed: refreshed.map(instant),
        stale_since: refreshed.filter(|_| is_old).map(instant),
        error,
    })
}

/// What came of a look at a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Snapshots that the catalogue did not have.
    pub added: usize,
    /// Snapshots that the repository has no more.
    pub removed: usize,
}

/// Makes the catalogue like a repository.
///
/// # Errors
/// The repository can't be opened, or the state can't be written. The rows that there are stay.
pub async fn refresh(
    store: &Store,
    warm: &Arc<WarmRepositories>,
    troubles: &Troubles,
    config: &Arc<Config>,
    repository: &str,
) -> Result<Refreshed> {
    let done = look_and_write(store, warm, config, repository).await;
    troubles.set(repository, done.as_ref().err().map(|error| with_causes(error)));
    done
}

async fn look_and_write(
    store: &Store,
    warm: &Arc<WarmRepositories>,
    config: &Arc<Config>,
    name: &str,
) -> Result<Refreshed> {
    let id = RepositoryId::new(name).map_err(ServerError::name(name))?;
    let looked_at = now();
    let again = Arc::clone(warm);
    let (warm, config, of) = (Arc::clone(warm), Arc::clone(config), id.clone());
    let looking = tokio::task::spawn_blocking(move || {
        warm.with(&config, of.as_str(), |shared| {
            let looked = shared.look(&warm.run(Cancel::new()), Mode::Usual)?;
            let is_protected =
                |stored: &StoredSnapshot| looked.snapshots.protected.contains(&stored.snapshot.head.id);
            let rows = looked.snapshots.all.iter().map(|stored| row(&of, stored, is_protected(stored)));
            Ok(rows.collect::<Vec<_>>())
        })
    });
    let listed = looking.await.map_err(|_| ServerError::Ended { what: "the look at a repository" })??;
    let refreshed = write(store, &id, listed).await?;
    if refreshed.removed > 0 {
        again.changed(name);
    }
    store.store_catalogue_refreshed(&id, looked_at).await?;
    Ok(refreshed)
}

/// Writes what differs. A snapshot never changes under its id but for its protection, so that and ids alone are compared.
async fn write(store: &Store, repository: &RepositoryId, listed: Vec<Snapshot>) -> Result<Refreshed> {
    let present: BTreeSet<SnapshotId> = listed.iter().map(|row| row.id.clone()).collect();
    let mut known = BTreeMap::new();
    let mut after: Option<SnapshotId> = None;
    loop {
        let page = store.snapshot_ids(repository, after.as_ref(), PageSize::MAX).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        known.extend(page);
    }
    let mut missing = listed;
    let turned = |protected: bool| -> Vec<SnapshotId> {
        let turned = missing.iter().filter(|row| row.protected == protected);
        turned.filter(|row| known.get(&row.id) == Some(&!protected)).map(|row| row.id.clone()).collect()
    };
    let turned = [(true, turned(true)), (false, turned(false))];
    missing.retain(|row| !known.contains_key(&row.id));
    let gone: Vec<SnapshotId> = known.into_keys().filter(|id| !present.contains(id)).collect();
    for rows in missing.chunks(AT_ONCE) {
        store.store_snapshots(rows).await?;
        tokio::time::sleep(BETWEEN).await;
    }
    for ids in gone.chunks(AT_ONCE) {
        store.remove_snapshots(repository, ids).await?;
        tokio::time::sleep(BETWEEN).await;
    }
    for (protected, ids) in turned {
        for ids in ids.chunks(AT_ONCE) {
            store.set_protected(repository, ids, protected).await?;
            tokio::time::sleep(BETWEEN).await;
        }
    }
    Ok(Refreshed { added: missing.len(), removed: gone.len() })
}

/// A snapshot as the catalogue has it. What no name can be is left out: a program that may write to a repository can say anything.
fn row(repository: &RepositoryId, stored: &StoredSnapshot, protected: bool) -> Snapshot {
    let (head, body) = (&stored.snapshot.head, &stored.snapshot.body);
    let plan = body.tags.iter().find_map(|tag| tag.strip_prefix(LABEL_PREFIX));
    let host = HostId::new(&*body.host).or_else(|_| HostId::new(NO_HOST));
    let id = SnapshotId::new(head.id.short());
    Snapshot {
        repository: repository.clone(),
        id: id.unwrap_or_else(|_| unreachable!("32 digits are a name")),
        time: time(body.start),
        host: host.unwrap_or_else(|_| unreachable!("a question mark is a name")),
        plan: plan.and_then(|plan| PlanId::new(plan).ok()),
        tags: body.tags.iter().filter_map(|tag| Tag::new(&**tag).ok()).collect(),
        files: body.statistics.files(),
        size_bytes: body.statistics.bytes_total,
        new_bytes: body.statistics.bytes_stored,
        clean: body.statistics.skipped == 0,
        protected,
        checked: None,
        drilled: None,
    }
}

fn time(at: FileTime) -> UtcTime {
    let micros = i128::from(at.seconds) * 1_000_000 + i128::from(at.nanos / 1000);
    let edge = if micros < 0 { i64::MIN } else { i64::MAX };
    UtcTime::from_micros(i64::try_from(micros).unwrap_or(edge))
}
