//! Summing up what is stored.

use std::collections::HashSet;

use keepfast_engine::forget::{NeededBytes, freed_by};
use keepfast_engine::run::RunContext;
use keepfast_engine::stats as engine;
use keepfast_format::ids::SessionId;
use serde::{Deserialize, Serialize};

use crate::choose::{Choice, Filter};
use crate::error::{ChoiceError, Result};
use crate::open::{Mode, SharedRepository};
use crate::reports::{FreedReport, NeededReport, StatsReport};

/// Sums over the repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stats {}

/// What forgetting snapshots would free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    /// `latest`, `latest~N`, or the starts of ids.
    pub ids: Vec<String>,
}

/// What snapshots need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needed {
    /// Which snapshots: those that any of these filters lets pass.
    pub any_of: Vec<Filter>,
}

/// Sums up how much is stored.
pub fn stats(_: &Stats, shared: &SharedRepository, run: &RunContext) -> Result<StatsReport> {
    let opened = shared.open(run, Mode::Usual)?;
    let sums = engine::stats(&opened.repository, &opened.index, &opened.snapshots)?;
    Ok(StatsReport::new(&sums, run.troubles()))
}

/// Sums up what forgetting snapshots would free.
pub fn freed(request: &Freed, shared: &SharedRepository, run: &RunContext) -> Result<FreedReport> {
    if request.ids.is_empty() {
        return Err(ChoiceError::NothingSaid.into());
    }
    let opened = shared.open(run, Mode::Usual)?;
    let choice = Choice { ids: request.ids.clone(), filter: Filter::default() };
    let chosen: HashSet<SessionId> = choice.resolve(&opened.snapshots, shared, run)?.into_iter().collect();
    let freed = freed_by(&opened.repository, &opened.index, &opened.snapshots, &chosen, run)?;
    Ok(FreedReport::new(chosen.len(), freed, run.troubles()))
}

/// Sums up what snapshots need: what several of them share once, and what others need as well in full. Trees are read, and
/// no files.
pub fn needed(request: &Needed, shared: &SharedRepository, run: &RunContext) -> Result<NeededReport> {
    let opened = shared.open(run, Mode::Usual)?;
    let filters = request.any_of.iter().map(|filter| filter.resolve(&opened.snapshots));
    let filters = filters.collect::<Result<Vec<_>>>()?;
    let mut needed = NeededBytes::new(&opened.repository, &opened.index, run)?;
    let (mut snapshots, mut bytes_stored) = (0, 0);
    for stored in &opened.snapshots.all {
        if filters.iter().any(|filter| filter.matches(stored)) {
            snapshots += 1;
            bytes_stored = needed.add(&stored.snapshot.body)?;
        }
    }
    run.report_suspects(|_| false);
    Ok(NeededReport { snapshots, bytes_stored, troubles: run.troubles() })
}
