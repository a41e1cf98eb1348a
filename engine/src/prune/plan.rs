//! What a prune is going to do, as a value.

use std::collections::{HashMap, HashSet};

use keepfast_format::ids::{PackId, SessionId};
use keepfast_format::limits;
use keepfast_format::names::PackName;
use keepfast_format::numbers::u64_of;

use super::PruneOptions;
use super::live::Live;
use crate::error::Result;
use crate::repo::{Index, PackNumber};

/// How much of what is stored may stay though nothing needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnusedLimit {
    /// This many thousandths of what is stored afterwards.
    Thousandths(u32),
    /// This many bytes.
    Bytes(u64),
    /// All of it: nothing is rewritten.
    Unlimited,
}

impl UnusedLimit {
    fn bytes_of(self, whole: u64) -> u64 {
        match self {
            Self::Thousandths(thousandths) => part_of(whole, thousandths.into(), 1000),
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
        }
    }
}

/// `whole` × `part` / `of`, without a product that is too large. Beyond the largest number, that number.
fn part_of(whole: u64, part: u64, of: u64) -> u64 {
    let exact = u128::from(whole) * u128::from(part) / u128::from(of.max(1));
    u64::try_from(exact).unwrap_or(u64::MAX)
}

/// What goes, what is rewritten, and what stays. Sizes are stored bytes; those of parts of
/// packs are computed from the share of their plaintext.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Packs before.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that nothing needs, in ascending order.
    pub unused: Vec<PackName>,
    /// Their bytes.
    pub unused_bytes: u64,
    /// Packs with little that is needed, by their numbers in the index.
    pub rewrite: Vec<PackNumber>,
    /// Their bytes.
    pub rewrite_bytes: u64,
    /// What of that is needed, and stays in new packs.
    pub rewrite_live_bytes: u64,
    /// What isn't needed and stays all the same, in packs that aren't worth the rewriting.
    pub waste_bytes: u64,
    /// Packs of sessions whose outcome is open: they stay.
    pub open_packs: u64,
    /// Their bytes.
    pub open_bytes: u64,
    /// Sessions whose outcome is open.
    pub open_sessions: u64,
    /// Objects under the id of a pack that is needed, and of another session: they stay.
    pub doubles: u64,
}

impl PrunePlan {
    /// Stored bytes of packs afterwards.
    #[must_use]
    pub fn bytes_after(&self) -> u64 {
        (self.bytes + self.rewrite_live_bytes).saturating_sub(self.unused_bytes + self.rewrite_bytes)
    }

    /// Requests that the removal and the rewriting take: reads, writes and removals of packs.
    #[must_use]
    pub fn requests(&self, pack_bytes: u32) -> u64 {
        let written = self.rewrite_live_bytes.div_ceil(u64::from(pack_bytes.max(1)));
        2 * u64_of(self.rewrite.len()) + written + u64_of(self.unused.len())
    }
}

/// What is needed of a pack that the index knows. It has several numbers, if it was read before its segment was.
#[derive(Default)]
struct PackUse {
    plain: u64,
    needed: u64,
    dead: bool,
    /// The numbers under which anything in it is needed.
    live: Vec<PackNumber>,
}

/// A pack that is needed in part.
struct Partial {
    numbers: Vec<PackNumber>,
    stored: u64,
    live: u64,
}

/// Step 2: what could be condemned. Only packs whose owner's outcome was known in the listing.
pub fn make(
    index: &Index,
    live: &Live,
    open_sessions: u64,
    is_decided: &dyn Fn(&SessionId) -> bool,
    options: &PruneOptions,
) -> Result<PrunePlan> {
    let mut plan = PrunePlan {
        packs: u64_of(live.stored.len()),
        bytes: live.stored.values().sum(),
        open_sessions,
        ..PrunePlan::default()
    };
    let mut known: HashMap<PackName, PackUse> = HashMap::new();
    index.for_each_pack(|number, pack| {
        let plain: u64 = pack.frames.iter().map(|frame| u64::from(frame.plain_bytes)).sum();
        let known = known.entry(pack.name).or_default();
        known.plain = plain;
        known.dead |= index.is_dead(number);
        if live.plain_bytes_in(number) > 0 || has_live_chunks(live, number) {
            known.needed += live.plain_bytes_in(number);
            known.live.push(number);
        }
    })?;
    // A second object under the id of a pack that is needed was put there with bad intent: it stays, so that
    // nothing that is said of it can be taken for said of the pack.
    let needed_ids: HashSet<PackId> =
        known.iter().filter(|(_, pack)| !pack.live.is_empty()).map(|(name, _)| name.id).collect();
    let mut partial = Vec::new();
    for (name, pack) in &known {
        // Others are gone, or about to be.
        let Some(stored) = live.stored.get(name).copied().filter(|_| !pack.dead) else { continue };
        let needed = pack.needed.min(pack.plain);
        if !is_decided(&name.session) {
            plan.open_packs += 1;
            plan.open_bytes += stored;
        } else if pack.live.is_empty() && needed_ids.contains(&name.id) {
            plan.doubles += 1;
        } else if pack.live.is_empty() {
            plan.unused.push(*name);
            plan.unused_bytes += stored;
        } else if needed < pack.plain {
            let share = part_of(stored, needed, pack.plain);
            partial.push(Partial { numbers: pack.live.clone(), stored, live: share });
        }
    }
    // Packs that no segment lists: only the session that wrote them can ever have referred to them.
    for (name, stored) in &live.stored {
        if !known.contains_key(name) {
            if needed_ids.contains(&name.id) {
                plan.doubles += 1;
            } else if is_decided(&name.session) {
                plan.unused.push(*name);
                plan.unused_bytes += stored;
            } else {
                plan.open_packs += 1;
                plan.open_bytes += stored;
            }
        }
    }
    plan.unused.sort_unstable();
    // One epoch's objects have a limit; what is over it goes with the next.
    plan.unused.truncate(limits::EPOCH_ITEMS_MAX / 2);
    choose_rewrites(&mut plan, partial, options);
    Ok(plan)
}

/// A chunk without bytes makes a pack live all the same.
fn has_live_chunks(live: &Live, number: PackNumber) -> bool {
    live.seen.in_frames(number).iter().any(|chunks| *chunks > 0)
}

/// The packs with the least that is needed first, until what is left unused is little enough.
fn choose_rewrites(plan: &mut PrunePlan, mut partial: Vec<Partial>, options: &PruneOptions) {
    partial.sort_by_key(|pack| {
        let share = u128::from(pack.live) * 1_000_000 / u128::from(pack.stored.max(1));
        (share, pack.numbers.first().copied())
    });
    let mut waste: u64 = partial.iter().map(|pack| pack.stored - pack.live).sum();
    let mut after = plan.bytes - plan.unused_bytes;
    for pack in &partial {
        let enough = waste <= options.max_unused.bytes_of(after);
        let affordable = plan.rewrite_bytes + pack.stored <= options.max_rewrite_bytes;
        if enough || plan.rewrite.len() >= limits::EPOCH_ITEMS_MAX / 2 {
            break;
        }
        if affordable {
            plan.rewrite.extend(&pack.numbers);
            plan.rewrite_bytes += pack.stored;
            plan.rewrite_live_bytes += pack.live;
            waste -= pack.stored - pack.live;
            after -= pack.stored - pack.live;
        }
    }
    plan.waste_bytes = waste;
}
