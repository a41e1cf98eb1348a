//! Compaction: decided sessions become a line in the catalogue, and their small objects go.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Packs, Register, Sid, Sids, Store};

/// What a compactor knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compactor {
    /// Nothing; after a crash, too.
    #[default]
    Idle,
    /// The session is decided, and dead.
    Chosen(Sid),
    /// Nobody can learn of further packs of this session.
    Closed(Sid),
    /// What the catalogue is to say.
    Listed {
        /// The session.
        sid: Sid,
        /// Those of its packs that live on.
        live_packs: Packs,
    },
    /// The session's objects go, in any order.
    Removing {
        /// The session.
        sid: Sid,
        /// Whether the register still has to go.
        register: bool,
        /// Whether the session object and the states still have to go.
        session: bool,
    },
}

/// What a compactor can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompactorStep {
    /// Choose a dead session.
    Choose(Sid),
    /// End a fenced session's series of segments.
    CloseSegments,
    /// List the session's live packs.
    ListLivePacks,
    /// Create `catalogue/<n>`.
    WriteCatalogue,
    /// Remove `snapshots/<sid>`.
    RemoveRegister,
    /// Remove `sessions/<sid>` and `states/<sid>/…`.
    RemoveSession,
    /// Any time.
    Crash,
}

impl Compactor {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, step: CompactorStep, store: &mut Store, rules: &Rules) -> Step {
        match (step, *self) {
            (CompactorStep::Choose(sid), Self::Idle) => self.choose(sid, store, rules),
            (CompactorStep::CloseSegments, Self::Chosen(sid)) => self.close_segments(sid, store, rules),
            (CompactorStep::ListLivePacks, Self::Closed(sid)) => self.list_live_packs(sid, store, rules),
            (CompactorStep::WriteCatalogue, Self::Listed { sid, live_packs }) => {
                self.write_catalogue(sid, live_packs, store, rules)
            }
            (CompactorStep::RemoveRegister, Self::Removing { sid, register: true, session }) => {
                store.snapshots.remove(sid);
                store.fences.remove(sid);
                self.removing(sid, false, session)
            }
            (CompactorStep::RemoveSession, Self::Removing { sid, register, session: true }) => {
                store.sessions.remove(sid);
                store.forgotten.remove(sid);
                self.removing(sid, register, false)
            }
            (CompactorStep::Crash, state) if state != Self::Idle => {
                *self = Self::Idle;
                Step::Done
            }
            _ => Step::Impossible,
        }
    }

    /// A fenced session; or a forgotten snapshot that a finished epoch names, so that every second listing
    /// yet to come is one for which the snapshot is an old one.
    fn choose(&mut self, sid: Sid, store: &Store, rules: &Rules) -> Step {
        let named = store
            .epochs
            .iter()
            .filter(|epoch| epoch.done.is_some())
            .any(|epoch| epoch.condemned.is_some_and(|condemned| condemned.snapshots.has(sid)));
        let may = match store.register(sid) {
            Register::Empty => false,
            Register::Fence => true,
            Register::Snapshot => {
                let dead = store.forgotten.has(sid);
                dead && (named || rules.lacks(Mutant::CompactionBeforeEpoch))
            }
        };
        let allowed = store.catalogue.dead.iter().count() < usize::from(rules.bounds.compactions);
        if !may || !allowed || store.catalogue.dead.has(sid) {
            return Step::Impossible;
        }
        *self = Self::Chosen(sid);
        Step::Done
    }

    /// A closing segment takes the next number of the session's series: a fenced session that doesn't know it
    /// yet can write packs, and nobody will ever learn of them.
    fn close_segments(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        if !rules.lacks(Mutant::CompactionWithoutClosing) {
            store.closed.insert(sid);
        }
        *self = Self::Closed(sid);
        Step::Done
    }

    fn list_live_packs(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        let live_packs = Sids::only(sid).packs().among(store.indexed).without(store.dead_packs());
        if rules.lacks(Mutant::RemovalBeforeCatalogue) {
            store.snapshots.remove(sid);
            store.fences.remove(sid);
        }
        *self = Self::Listed { sid, live_packs };
        Step::Done
    }

    /// The catalogue first, removal after.
    fn write_catalogue(&mut self, sid: Sid, live_packs: Packs, store: &mut Store, rules: &Rules) -> Step {
        store.catalogue.dead.insert(sid);
        store.catalogue.live_packs = store.catalogue.live_packs.with(live_packs);
        self.removing(sid, !rules.lacks(Mutant::RemovalBeforeCatalogue), true)
    }

    fn removing(&mut self, sid: Sid, register: bool, session: bool) -> Step {
        *self = if register || session { Self::Removing { sid, register, session } } else { Self::Idle };
        Step::Done
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let sid = |sid: Sid| match sid.0 {
            number if number == one => Sid(other),
            number if number == other => Sid(one),
            number => Sid(number),
        };
        match *self {
            Self::Idle => Self::Idle,
            Self::Chosen(it) => Self::Chosen(sid(it)),
            Self::Closed(it) => Self::Closed(sid(it)),
            Self::Listed { sid: it, live_packs } => {
                Self::Listed { sid: sid(it), live_packs: live_packs.swapped(one, other) }
            }
            Self::Removing { sid: it, register, session } => {
                Self::Removing { sid: sid(it), register, session }
            }
        }
    }
}
