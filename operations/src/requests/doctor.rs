//! Finding out whether the store can be trusted, how fast it answers, and whether what is there opens.

use keepfast_engine::EngineError;
use keepfast_engine::repo::{Epochs, Snapshots, check_parameters, find_condemned, older};
use keepfast_engine::run::RunContext;
use serde::{Deserialize, Serialize};

use crate::error::{OperationsError, Result};
use crate::open::{Mode, SharedRepository};
use crate::probe::probe;
use crate::reports::{DoctorReport, RepositoryDocument, StoreDocument, StrangeDocument};

/// A look at the store and at the repository in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doctor {}

/// Probes the store, then opens what is there.
pub fn doctor(request: &Doctor, shared: &SharedRepository, run: &RunContext) -> Result<DoctorReport> {
    doctor_with(request, &mut |_| {}, shared, run)
}

/// As [`doctor`], and `probed` hears of the store before anything is opened: that may fail.
pub fn doctor_with(
    _: &Doctor,
    probed: &mut dyn FnMut(&StoreDocument),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DoctorReport> {
    let (target, location) = (shared.target(), shared.backend(run).location());
    let store =
        StoreDocument::new(location, &probe(&target.place, &target.s3, shared.children(), run.link())?);
    probed(&store);
    let repository = match look(shared, run) {
        Ok(found) => Some(found),
        Err(OperationsError::Engine(EngineError::NoRepository { .. })) => None,
        Err(error) => return Err(error),
    };
    Ok(DoctorReport { store, repository, troubles: run.troubles() })
}

fn look(shared: &SharedRepository, run: &RunContext) -> Result<RepositoryDocument> {
    let repository = shared.repository(run, Mode::Afresh)?;
    let snapshots = Snapshots::load(&repository, run)?;
    let (_, mut ignored) = check_parameters(&repository)?;
    ignored.extend(snapshots.ignored.iter().cloned());
    let mut strange: Vec<StrangeDocument> = ignored
        .into_iter()
        .map(|finding| StrangeDocument { object: finding.object.to_string(), why: finding.what })
        .collect();
    let epochs = Epochs::list(&repository)?;
    strange.extend(epochs.flaws().iter().map(|flaw| {
        let finding = flaw.finding.clone();
        StrangeDocument { object: finding.object.to_string(), why: finding.what }
    }));
    if let Some(EngineError::Blocked { object, why, .. }) =
        epochs.unfinished().and_then(|n| find_condemned(&repository, n).err())
    {
        strange.push(StrangeDocument { object, why });
    }
    let older = older(&repository, &snapshots)?;
    strange.extend(
        older
            .iter()
            .map(|older| StrangeDocument { object: older.object().to_string(), why: older.to_string() }),
    );
    Ok(RepositoryDocument {
        id: repository.id().to_string(),
        single_writer: repository.config().is_single_writer(),
        snapshots: snapshots.all.len(),
        snapshots_damaged: snapshots.damaged.len(),
        strange,
    })
}
