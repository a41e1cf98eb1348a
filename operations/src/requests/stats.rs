//! Summing up what is stored.

use std::collections::HashSet;

use keepfast_engine::forget::freed_by;
use keepfast_engine::run::RunContext;
use keepfast_engine::stats as engine;
use keepfast_format::ids::SessionId;
use serde::{Deserialize, Serialize};

use crate::choose::{Choice, Filter};
use crate::error::{ChoiceError, Result};
use crate::open::{Mode, SharedRepository};
use crate::reports::{FreedReport, StatsReport};

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
