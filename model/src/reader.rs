//! The reader: a restore of one snapshot, with an index that may be old.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Epoch, Pack, Packs, Sid, Store};

/// What a reader knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Reader {
    /// Nothing.
    #[default]
    Idle,
    /// It has an index: a cache, from any time.
    Loaded(Loaded),
    /// It restores a snapshot.
    Restoring {
        /// Which.
        snapshot: Sid,
        /// The locations of the chunk that are left to try.
        index: Loaded,
        /// Whether the index is newer than the choice of the snapshot.
        reloaded: bool,
    },
    /// It has the chunk, from an index that it had to load again. (Without that, it is idle again.)
    Restored,
    /// It told its user that the chunk is lost.
    Missing {
        /// Which snapshot it was.
        snapshot: Sid,
    },
}

/// An index, and when it was loaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Loaded {
    /// Locations of the chunk.
    pub packs: Packs,
    /// The newest verdict when the loading began.
    pub verdict: Epoch,
}

/// What a reader can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReaderStep {
    /// Load all segments.
    LoadIndex,
    /// Choose one of the snapshots that can be restored.
    Choose(Sid),
    /// Read the chunk there.
    Read(Pack),
    /// All known packs are missing: load the index again.
    Reload,
    /// All known packs are missing, and the index is as new as can be.
    GiveUp,
}

impl Reader {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, step: ReaderStep, store: &Store, rules: &Rules) -> Step {
        let next = match (step, *self) {
            (ReaderStep::LoadIndex, Self::Idle) => Some(Self::Loaded(load(store))),
            (ReaderStep::Choose(snapshot), Self::Loaded(index)) => {
                let listed = match () {
                    () if rules.lacks(Mutant::GhostsListed) => store.snapshots.without(store.forgotten),
                    () => store.live_snapshots(),
                };
                listed.has(snapshot).then_some(Self::Restoring { snapshot, index, reloaded: false })
            }
            (ReaderStep::Read(pack), Self::Restoring { snapshot, mut index, reloaded }) => {
                // What is read is hashed, so that even a pack that is dead will do.
                index.packs.remove(pack).then_some(match (store.packs.has(pack), reloaded) {
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
                let lost = index.packs.is_empty() && !may_reload(index, reloaded, store, rules);
                lost.then_some(Self::Missing { snapshot })
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
        let loaded = |index: Loaded| Loaded { packs: index.packs.swapped(one, other), ..index };
        match *self {
            Self::Idle | Self::Restored => *self,
            Self::Loaded(index) => Self::Loaded(loaded(index)),
            Self::Restoring { snapshot, index, reloaded } => {
                Self::Restoring { snapshot: sid(snapshot), index: loaded(index), reloaded }
            }
            Self::Missing { snapshot } => Self::Missing { snapshot: sid(snapshot) },
        }
    }
}

fn load(store: &Store) -> Loaded {
    Loaded { packs: store.indexed, verdict: store.newest_verdict() }
}

/// The index may be older than the snapshot, until it was loaded again. After that a pack can only have gone
/// by a verdict, and as long as there are newer ones, the index may be too old again.
fn may_reload(index: Loaded, reloaded: bool, store: &Store, rules: &Rules) -> bool {
    match () {
        () if rules.lacks(Mutant::ReaderNeverReloads) => false,
        () if rules.lacks(Mutant::ReaderReloadsOnce) => !reloaded,
        () => !reloaded || store.newest_verdict() > index.verdict,
    }
}
