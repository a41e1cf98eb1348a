//! What a policy of retention will do in the coming time: future runs are imagined, and the policy is asked after each.

use std::collections::{HashMap, HashSet};

use keepfast_engine::forget::freed_by;
use keepfast_engine::retention::{Candidate, Decision, Group, Miss, Verdict};
use keepfast_engine::run::RunContext;
use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::node::Timestamp;
use keepfast_format::numbers::u64_of;
use serde::{Deserialize, Serialize};

use super::retention::Retention;
use crate::error::Result;
use crate::open::{Looked, Mode, SharedRepository};
use crate::reports::{
    ForecastReport, ForecastedSnapshot, FreedReport, GoesDocument, KeepingReport, SizeDocument,
};

/// Runs that are imagined, at most.
const RUNS_MAX: usize = 2500;

/// Which policy, and when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// The policy, and the snapshots that it decides about.
    pub retention: Retention,
    /// The machine whose snapshots are imagined.
    pub host: String,
    /// When it will make one, in seconds since the beginning of 1970, oldest first. Only the first 2,500 count.
    pub runs_unix_s: Vec<i64>,
}

/// A future run at which snapshots go.
#[derive(Debug, Clone, Copy)]
struct Coming {
    /// From one on.
    run: usize,
    at: Timestamp,
}

/// Says what stays and what goes: now, and after each of the coming runs, if all of them make complete snapshots. Nothing
/// is changed.
///
/// How large future snapshots are isn't known: a limit of size is heeded as it is now, and what doesn't fit now goes at the
/// next run.
pub fn forecast(request: &Forecast, shared: &SharedRepository, run: &RunContext) -> Result<ForecastReport> {
    let looked = shared.look(run, Mode::Usual)?;
    let Foreseen { snapshots, size, braked_now, simulated } = foresee(request, &looked, shared, run)?;
    let going_by = |last: usize| -> HashSet<SessionId> {
        let going = simulated.going.iter().filter(|(_, coming)| coming.run <= last);
        going.map(|(id, _)| *id).collect()
    };
    let freed = |ids: &HashSet<SessionId>| frees(ids, &looked, shared, run);
    Ok(ForecastReport {
        snapshots,
        size,
        braked_now,
        braked_later: simulated.braked,
        runs: simulated.runs,
        until: simulated.until,
        frees_next_run: freed(&going_by(1))?,
        frees_in_all: freed(&going_by(usize::MAX))?,
        troubles: run.troubles(),
    })
}

/// The same, without what that frees: it takes no reading of what goes, so the answer comes sooner.
pub fn keeping(request: &Forecast, shared: &SharedRepository, run: &RunContext) -> Result<KeepingReport> {
    let looked = shared.look(run, Mode::Usual)?;
    let Foreseen { snapshots, simulated, .. } = foresee(request, &looked, shared, run)?;
    Ok(KeepingReport { snapshots, until: simulated.until, troubles: run.troubles() })
}

/// What becomes of snapshots.
struct Foreseen {
    snapshots: Vec<ForecastedSnapshot>,
    size: Option<SizeDocument>,
    braked_now: Option<String>,
    simulated: Simulated,
}

fn foresee(
    request: &Forecast,
    looked: &Looked,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<Foreseen> {
    let retention = &request.retention;
    let candidates = retention.candidates(looked)?;
    let mut groups = retention.decide(&candidates, run.now())?;
    let size = retention.fit(&mut groups, looked, shared, run)?.map(SizeDocument::from);
    let braked_now = retention.braked(&groups).map(|error| error.to_string());
    let too_large: HashSet<SessionId> =
        groups.iter().flat_map(|group| &group.decisions).filter_map(no_room).collect();
    let simulated = Simulation { request, looked, too_large: &too_large }.run(&candidates)?;
    let snapshots = groups.iter().flat_map(|group| &group.decisions).map(|decision| ForecastedSnapshot {
        decision: decision.into(),
        goes: simulated
            .going
            .get(&decision.snapshot.id)
            .map(|coming| GoesDocument { run: coming.run, at: coming.at }),
    });
    let snapshots = snapshots.collect();
    Ok(Foreseen { snapshots, size, braked_now, simulated })
}

/// A snapshot that goes because there is no room for it.
fn no_room(decision: &Decision<'_>) -> Option<SessionId> {
    match &decision.verdict {
        Verdict::Forget(misses) if misses.iter().any(|miss| matches!(miss, Miss::Size { .. })) => {
            Some(decision.snapshot.id)
        }
        _ => None,
    }
}

fn frees(
    ids: &HashSet<SessionId>,
    looked: &Looked,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<FreedReport> {
    if ids.is_empty() {
        return Ok(FreedReport::default());
    }
    let index = shared.index_of(looked, run)?;
    let freed = freed_by(&looked.repository, &index, &looked.snapshots, ids, run)?;
    Ok(FreedReport::new(ids.len(), freed, run.troubles()))
}

struct Simulation<'a> {
    request: &'a Forecast,
    looked: &'a Looked,
    too_large: &'a HashSet<SessionId>,
}

#[derive(Default)]
struct Simulated {
    /// Of snapshots that there are.
    going: HashMap<SessionId, Coming>,
    /// Why nothing goes from some run on.
    braked: Option<String>,
    runs: usize,
    until: Option<Timestamp>,
}

impl Simulation<'_> {
    fn run(&self, candidates: &[Candidate<'_>]) -> Result<Simulated> {
        let Self { request, looked, too_large } = self;
        let retention = &request.retention;
        let writer = looked.repository.identity().holder();
        let newest = candidates.iter().max_by_key(|candidate| candidate.time);
        let real: HashSet<SessionId> = candidates.iter().map(|candidate| candidate.id).collect();
        let mut left = candidates.to_vec();
        let mut simulated = Simulated::default();
        for (number, at) in request.runs_unix_s.iter().take(RUNS_MAX).enumerate() {
            let at = Timestamp { seconds: *at, nanos: 0 };
            left.push(Candidate {
                id: imagined(number),
                writer: looked.snapshots.lineages.line(writer),
                time: at,
                edition: 0,
                host: &request.host,
                paths: newest.map_or(&[], |newest| newest.paths),
                tags: &retention.filter.tags,
                protected: false,
                is_complete: true,
            });
            let mut groups = retention.decide(&left, at)?;
            if number == 0 {
                let decisions = groups.iter_mut().flat_map(|group| &mut group.decisions);
                let too_large = decisions.filter(|decision| too_large.contains(&decision.snapshot.id));
                too_large.for_each(|decision| decision.verdict = Verdict::Forget(Vec::new()));
            }
            (simulated.runs, simulated.until) = (number + 1, Some(at));
            if let Some(error) = retention.braked(&groups) {
                // Nothing goes at the runs after that either: there is more and more that would.
                simulated.braked = Some(error.to_string());
                break;
            }
            let going: HashSet<SessionId> = groups.iter().flat_map(Group::forgotten).collect();
            let coming = Coming { run: number + 1, at };
            simulated.going.extend(going.intersection(&real).map(|id| (*id, coming)));
            left.retain(|candidate| !going.contains(&candidate.id));
        }
        Ok(simulated)
    }
}

/// An id of a writer that no one is: writers are hashes of keys.
fn imagined(number: usize) -> SessionId {
    let mut random = [0; 16];
    random[..8].copy_from_slice(&u64_of(number).to_be_bytes());
    SessionId { writer: HolderId::new([0; 8]), random }
}
