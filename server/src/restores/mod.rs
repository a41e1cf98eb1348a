//! Restores that people ask a server for: where they may go, what they would do, and how they begin.

pub mod error;
pub mod order;
pub mod parts;
pub mod place;
pub mod preview;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use keepfast_config::config::Config;
use keepfast_store::{
    ConfigHash, Errand, HostId, NewRun, PlanId, RepositoryId, RunFilter, RunId, RunKind, RunSubject,
    ServerId, Store, Trigger,
};

use self::error::RestoreError;
use self::order::{Destination, Order, OverwriteFiles};
use self::parts::Planning;
use self::place::{Absent, Guarded, Spot};
use crate::connect;
use crate::error::{Result, ServerError};
use crate::state::now;
use crate::surroundings::Surroundings;

/// A folder below which restores may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceDocument {
    /// The folder.
    pub place: PathBuf,
    /// Bytes that are free there; `None` if that can't be said.
    pub free_bytes: Option<u64>,
    /// Why nothing can be restored there.
    pub problem: Option<String>,
}

/// The folders below which restores may write. It works in the thread of its caller.
#[must_use]
pub fn places(config: &Config, around: &Surroundings) -> Vec<PlaceDocument> {
    let guarded = Guarded::of(config, around);
    let look = |place: &Path| -> Result<Spot, RestoreError> {
        let spot = Spot::at(place, Absent::Left)?;
        if spot.handle.is_none() {
            return Err(RestoreError::NotThere { folder: place.to_owned() });
        }
        guarded.check(&spot, None)?;
        Ok(spot)
    };
    let places = config.server.value.restore_to.iter().map(|place| {
        let looked = look(&place.value.0);
        PlaceDocument {
            place: place.value.0.clone(),
            free_bytes: looked.as_ref().ok().and_then(Spot::free_bytes),
            problem: looked.err().map(|error| keepfast_operations::error::with_causes(&error)),
        }
    });
    places.collect()
}

/// Plans whose sources are on this machine, so that their files have an original place here.
pub fn plans_here(config: &Config) -> impl Iterator<Item = &str> {
    let is_here = |(name, plan): &(&String, &keepfast_config::config::Definition<_>)| {
        let plan: &keepfast_config::model::plan::Plan = &plan.value;
        plan.hosts.is_none()
            && *name != crate::recovery::STATE_PLAN
            && plan.source.0.iter().any(|source| source.paths().next().is_some())
    };
    config.plans.iter().filter(is_here).map(|(name, _)| name.as_str())
}

impl Order {
    /// The directory that files go to, for people.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        match &self.destination {
            Destination::Folder { place, folder, .. } if folder.0.is_empty() => place.clone(),
            Destination::Folder { place, folder, .. } => place.join(std::ffi::OsStr::from_bytes(&folder.0)),
            Destination::Original => PathBuf::from("/"),
        }
    }
}

/// What begins a restore.
pub struct Start<'s> {
    /// The definitions.
    pub config: &'s Config,
    /// The state.
    pub store: &'s Store,
    /// This machine.
    pub around: &'s Surroundings,
    /// This server, which alone carries it out.
    pub server: &'s ServerId,
}

impl Start<'_> {
    /// Looks whether it can begin, without a look into the repository. It works in the thread of its caller.
    ///
    /// # Errors
    /// Nothing can be restored there.
    pub fn check(config: &Config, around: &Surroundings, order: &Order) -> Result<(), RestoreError> {
        let parts = Planning { config, around, order }.parts(None, false)?;
        for part in &parts {
            if order.overwrite == OverwriteFiles::Refuse && !part.spot.is_empty()? {
                return Err(RestoreError::NotEmpty { target: part.spot.path.clone() });
            }
        }
        Ok(())
    }

    /// Queues it. If there is a run with this id, that is what is returned, with what it was asked for.
    ///
    /// # Errors
    /// The state can't be written, or the repository isn't defined.
    pub async fn queue(
        &self,
        order: &Order,
        trigger: Trigger,
        id: RunId,
    ) -> Result<(keepfast_store::Run, Order)> {
        let definition = connect::definition(self.config, &order.repository)?;
        let named = ServerError::name;
        let plan = order.plan.as_deref();
        let new = NewRun {
            id,
            kind: RunKind::Restore,
            subject: RunSubject {
                plan: plan.map(|plan| PlanId::new(plan).map_err(named(plan))).transpose()?,
                repository: Some(RepositoryId::new(&*order.repository).map_err(named(&order.repository))?),
                host: Some(HostId::new(&*order.host).map_err(named(&order.host))?),
                drill: None,
            },
            trigger,
            config: ConfigHash::new(definition.hash.to_string()).map_err(named("hash"))?,
            not_before: None,
            errand: Some(Errand { server: self.server.clone(), request: document(order)? }),
        };
        if let Some(run) = self.store.queue(now(), &new).await? {
            return Ok((run, order.clone()));
        }
        let missing = || ServerError::NoRun { id: new.id.to_string() };
        let run = self.store.run(&new.id).await?.ok_or_else(missing)?;
        let order = stored(self.store, &run.id).await?.ok_or_else(missing)?;
        Ok((run, order))
    }
}

fn document(order: &Order) -> Result<serde_json::Value> {
    serde_json::to_value(order)
        .map_err(|source| ServerError::Document { what: "what is to be restored".to_owned(), source })
}

/// What is to be restored, from what the state has.
///
/// # Errors
/// This program doesn't understand it.
pub fn read(request: serde_json::Value) -> Result<Order> {
    serde_json::from_value(request)
        .map_err(|source| ServerError::Document { what: "what is to be restored".to_owned(), source })
}

/// What a run is to restore; nothing if it isn't there or is no restore.
///
/// # Errors
/// The state can't be read, or this program doesn't understand what it says.
pub async fn stored(store: &Store, run: &RunId) -> Result<Option<Order>> {
    store.run_request(run).await?.map(read).transpose()
}

/// Whether an earlier run that this one repeats has begun to write: then what is in the target is its work, and this one
/// goes on with it.
pub(crate) async fn has_begun(store: &Store, run: &keepfast_store::Run) -> Result<bool> {
    if run.parent.is_none() {
        return Ok(false);
    }
    let lineage = RunFilter { root: Some(run.root.clone()), ..RunFilter::default() };
    let runs = store.runs(&lineage, None, keepfast_store::PageSize::MAX).await?.rows;
    let writes = |phase: &str| matches!(phase, "restore" | "verify");
    Ok(runs.iter().any(|other| {
        other.number < run.number && other.phase.as_ref().is_some_and(|phase| writes(phase.as_str()))
    }))
}
