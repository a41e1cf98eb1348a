//! What is there, and what of it snapshots need.

use std::collections::{BTreeSet, HashMap, HashSet};

use keepfast_format::ids::SessionId;
use keepfast_format::names::{self, PackName};

use crate::error::{EngineError, Loss, Result};
use crate::repo::{
    FrameCache, Index, PackNumber, Reach, Repository, Seen, Snapshots, list_packs, list_sessions,
};
use crate::run::RunContext;

/// Step 1: sessions and snapshots, listed in this order, and what was decided about them, read
/// after that.
pub struct Listing {
    /// The snapshots.
    pub snapshots: Snapshots,
    /// Sessions that can't commit any more, or have.
    pub decided: HashSet<SessionId>,
    /// Sessions whose outcome is open.
    pub open: BTreeSet<SessionId>,
}

impl Listing {
    /// Lists them.
    pub fn take(repository: &Repository, run: &RunContext) -> Result<Self> {
        let mut open = list_sessions(repository, names::SESSIONS)?;
        let snapshots = Snapshots::load(repository, run)?;
        let decided: HashSet<SessionId> = snapshots.decided().collect();
        open.retain(|session| !decided.contains(session));
        Ok(Self { snapshots, decided, open })
    }

    /// The snapshots that were listed, forgotten or not, in ascending order.
    pub fn snapshot_ids(&self) -> Vec<SessionId> {
        let all = self.snapshots.with_forgotten();
        let ids: BTreeSet<SessionId> = all.map(|stored| stored.snapshot.head.id).collect();
        ids.into_iter().collect()
    }
}

/// What of each pack is live.
pub struct Live {
    /// The chunks.
    pub seen: Seen,
    /// Bytes of plaintext of live chunks, by the packs' numbers.
    pub plain_bytes: Vec<u64>,
    /// Packs in the store, and their sizes.
    pub stored: HashMap<PackName, u64>,
}

impl Live {
    /// Step 1: marks everything that snapshots refer to that aren't forgotten: each chunk in one pack of
    /// an owner, or if there is none in every pack that has it. If anything of it is missing, nothing
    /// may be removed: it could be what the repair needs.
    pub fn mark(
        repository: &Repository,
        index: &Index,
        snapshots: &Snapshots,
        run: &RunContext,
    ) -> Result<Self> {
        loop {
            let demotions = index.demotions();
            let live = Self::mark_once(repository, index, snapshots, run)?;
            // What was found wrong on the way may be all that some chunks were counted in.
            if index.demotions() == demotions {
                return Ok(live);
            }
        }
    }

    fn mark_once(
        repository: &Repository,
        index: &Index,
        snapshots: &Snapshots,
        run: &RunContext,
    ) -> Result<Self> {
        let before = index.horizon();
        let stored = list_packs(repository)?;
        index.miss_all_but(before, |pack| stored.contains_key(pack))?;
        let frames = FrameCache::without_refresh(repository, index, run);
        let seen = Seen::of(index)?;
        let mut plain_bytes = Vec::new();
        let live = snapshots.all.iter().map(|stored| &stored.snapshot.body);
        Reach::new(&frames).walk(live, &seen, &mut |reached| {
            if !reached.places.first().is_some_and(|place| index.is_readable(place.pack)) {
                return Err(EngineError::Missing {
                    object: format!("chunk {}", reached.wanted.id),
                    loss: Loss::LiveChunk,
                });
            }
            for place in reached.places {
                let number = place.pack.index();
                if plain_bytes.len() <= number {
                    plain_bytes.resize(number + 1, 0);
                }
                plain_bytes[number] += u64::from(place.len);
            }
            Ok(())
        })?;
        Ok(Self { seen, plain_bytes, stored })
    }

    /// Bytes of plaintext of a pack's live chunks.
    pub fn plain_bytes_in(&self, pack: PackNumber) -> u64 {
        self.plain_bytes.get(pack.index()).copied().unwrap_or(0)
    }
}
