//! What a prune did.

use keepfast_engine::prune::PrunePlan;
use keepfast_engine::run::Troubles;
use serde::Serialize;

use super::TrafficDocument;

/// What a prune did.
#[derive(Debug, Clone, Serialize)]
pub struct PruneReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// What it set out to do in its last turn.
    pub plan: PlanDocument,
    /// Epochs that it finished, those of interrupted runs among them.
    pub epochs: Vec<u32>,
    /// Packs that were removed.
    pub packs_removed: u64,
    /// Their stored bytes.
    pub bytes_removed: u64,
    /// Packs that were condemned and stay, because a running backup or a new snapshot needs them.
    pub packs_spared: u64,
    /// Packs that were rewritten.
    pub packs_rewritten: u64,
    /// Stored bytes that were read for that.
    pub bytes_read: u64,
    /// Stored bytes that were written for that.
    pub bytes_written: u64,
    /// Sessions that were ended because they were silent for too long.
    pub sessions_fenced: u64,
    /// Small objects that were removed.
    pub objects_removed: u64,
    /// What was asked of the store, if that is counted.
    pub traffic: Option<TrafficDocument>,
    /// How long it took.
    pub seconds: f64,
    /// What was found that isn't as it should be.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What a prune sets out to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlanDocument {
    /// Packs before.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that nothing needs.
    pub unused_packs: usize,
    /// Their bytes.
    pub unused_bytes: u64,
    /// Packs with little that is needed.
    pub rewrite_packs: usize,
    /// Their bytes.
    pub rewrite_bytes: u64,
    /// What of that is needed, and stays in new packs.
    pub rewrite_needed_bytes: u64,
    /// Sessions whose outcome is open.
    pub running_sessions: u64,
    /// Their packs, which stay.
    pub running_packs: u64,
    /// The bytes of these.
    pub running_bytes: u64,
    /// Objects under the id of a pack that is needed, and of another session: they stay.
    pub doubles: u64,
    /// Stored bytes of packs afterwards.
    pub bytes_after: u64,
    /// What of that isn't needed, in packs that aren't worth the rewriting.
    pub waste_bytes: u64,
    /// About how many requests it takes.
    pub requests: u64,
}

/// A plan for packs of this size.
impl From<(&PrunePlan, u32)> for PlanDocument {
    fn from((plan, pack_bytes): (&PrunePlan, u32)) -> Self {
        Self {
            packs: plan.packs,
            bytes: plan.bytes,
            unused_packs: plan.unused.len(),
            unused_bytes: plan.unused_bytes,
            rewrite_packs: plan.rewrite.len(),
            rewrite_bytes: plan.rewrite_bytes,
            rewrite_needed_bytes: plan.rewrite_live_bytes,
            running_sessions: plan.open_sessions,
            running_packs: plan.open_packs,
            running_bytes: plan.open_bytes,
            doubles: plan.doubles,
            bytes_after: plan.bytes_after(),
            waste_bytes: plan.waste_bytes,
            requests: plan.requests(pack_bytes),
        }
    }
}
