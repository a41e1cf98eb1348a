//! The reader: a restore of one snapshot, with an index that may be out of date.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Epoch, Pack, Packs, Sid, Store};

/// What a reader knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Reader {
    /// Nothing.
    #[default]
    Idle,
    /// It has an index: a cache, loaded at any time.
    Loaded(ReaderIndex),
    /// It restores a snapshot.
    Restoring {
        /// The snapshot.
        snapshot: Sid,
        /// The index, with the locations of the chunk that are left to try.
        index: ReaderIndex,
        /// Whether the index was loaded after the snapshot was chosen.
        reloaded: bool,
    },
    /// It has the chunk, by an index that it had to load again. (If it had not, it is idle again.)
    Restored,
    /// It has told its user that the chunk is lost.
    Missing {
        /// The snapshot that has the chunk.
        snapshot: Sid,
    },
}

/// An index, and when it was loaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ReaderIndex {
    /// Locations of the chunk.
    pub packs: Packs,
    /// The epoch of the newest verdict when loading began.
    pub verdict: Epoch,
}

/// What a reader can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReaderStep {
    /// Load all segments.
    LoadIndex,
    /// Choose one of the snapshots that can be restored.
    Choose(Sid),
    /// Read the chunk from this pack.
    Read(Pack),
    /// All known packs are missing: load the index again.
    Reload,
    /// All known packs are missing, and the index is up to date.
    GiveUp,
}

impl Reader {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, step: ReaderStep, store: &Store, rules: &Rules) -> Step {
        let next = match (step, *self) {
            (ReaderStep::LoadIndex, Self::Idle) => Some(Self::Loaded(load(store))),
            (ReaderStep::Choose(snapshot), Self::Loaded(index)) => {
                let listed = match () {
                    () if rules.lacks(Mutant::GhostsListed) => store.snapshots.difference(store.forgotten),
                    () => store.live_snapshots(),
                };
                listed.contains(snapshot).then_some(Self::Restoring { snapshot, index, reloaded: false })
            }
            (ReaderStep::Read(pack), Self::Restoring { snapshot, mut index, reloaded }) => {
                // The reader checks the chunk's hash, so even a dead pack may serve.
                index.packs.remove(pack).then_some(match (store.packs.contains(pack), reloaded) {
                    (true, true) => Self::Restored,
                    (true, false) => Self::Idle,
                    (false, _) => Self::Restoring { snapshot, index, reloaded },
                })
            }
            (ReaderStep::Reload, Self::Restoring { snapshot, index, reloaded }) => {
                let again = index.packs.is_empty() && may_reload(index, reloaded, store, rules);
                again.then(|| Self::Restoring { snapshot, index: load(store), reloaded: true })
            }
            (ReaderStep::GiveUp, Self::Restoring { snapshot, index, reloaded }) => {
                let is_lost = index.packs.is_empty() && !may_reload(index, reloaded, store, rules);
                is_lost.then_some(Self::Missing { snapshot })
            }
            _ => None,
        };
        match next {
            Some(next) => {
                *self = next;
                Step::Done
            }
            None => Step::Impossible,
        }
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let sid = |sid: Sid| sid.swapped(one, other);
        let swapped_index =
            |index: ReaderIndex| ReaderIndex { packs: index.packs.swapped(one, other), ..index };
        match *self {
            Self::Idle | Self::Restored => *self,
            Self::Loaded(index) => Self::Loaded(swapped_index(index)),
            Self::Restoring { snapshot, index, reloaded } => {
                Self::Restoring { snapshot: sid(snapshot), index: swapped_index(index), reloaded }
            }
            Self::Missing { snapshot } => Self::Missing { snapshot: sid(snapshot) },
        }
    }
}

fn load(store: &Store) -> ReaderIndex {
    ReaderIndex { packs: store.indexed, verdict: store.newest_verdict() }
}

/// Whether another load can help. The index may be older than the snapshot until it was loaded again. After
/// that only a verdict can have removed a pack, so the index may be too old again while there are verdicts
/// that are newer than it.
fn may_reload(index: ReaderIndex, reloaded: bool, store: &Store, rules: &Rules) -> bool {
    match () {
        () if rules.lacks(Mutant::ReaderNeverReloads) => false,
        () if rules.lacks(Mutant::ReaderReloadsOnce) => !reloaded,
        () => !reloaded || store.newest_verdict() > index.verdict,
    }
}
