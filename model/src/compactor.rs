//! Compaction: decided sessions become entries of the catalogue, and their small objects are removed.

use crate::mutant::Mutant;
use crate::rules::{Rules, Step};
use crate::store::{Place, Register, Sid, Store};

/// What a compactor knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compactor {
    /// Nothing. So it is after a crash, too.
    #[default]
    Idle,
    /// It has chosen a session that is decided and dead.
    Chosen(Sid),
    /// It removes the session's objects, in any order.
    Removing {
        /// The session.
        sid: Sid,
        /// Whether the register must still be removed.
        register: bool,
        /// Whether the session object and the decisions must still be removed.
        session: bool,
    },
}

/// What a compactor can do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompactorStep {
    /// Choose a dead session.
    Choose(Sid),
    /// Create `catalogue/<n>`.
    WriteCatalogue,
    /// Remove `snapshots/<sid>`.
    RemoveRegister,
    /// Remove `sessions/<sid>` and `states/<sid>/…`.
    RemoveSession,
    /// Crash, at any time.
    Crash,
}

impl Compactor {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, step: CompactorStep, store: &mut Store, rules: &Rules) -> Step {
        match (step, *self) {
            (CompactorStep::Choose(sid), Self::Idle) => self.choose(sid, store, rules),
            (CompactorStep::WriteCatalogue, Self::Chosen(sid)) => self.write_catalogue(sid, store, rules),
            (CompactorStep::RemoveRegister, Self::Removing { sid, register: true, session }) => {
                store.snapshots.remove(sid);
                store.fences.remove(sid);
                store.junk.remove(Place::Register(sid));
                self.removing(sid, false, session)
            }
            (CompactorStep::RemoveSession, Self::Removing { sid, register, session: true }) => {
                store.sessions.remove(sid);
                store.forgotten.remove(sid);
                self.removing(sid, register, false)
            }
            (CompactorStep::Crash, stage) if stage != Self::Idle => {
                *self = Self::Idle;
                Step::Done
            }
            _ => Step::Impossible,
        }
    }

    /// Chooses a fenced session, or a forgotten snapshot that a finished epoch names. For every later epoch
    /// such a snapshot is old, so no later second listing needs it.
    fn choose(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        let named = store
            .epochs
            .iter()
            .filter(|epoch| epoch.done.is_some())
            .any(|epoch| epoch.condemned.is_some_and(|condemned| condemned.snapshots.contains(sid)));
        let may = match store.register(sid) {
            Register::Empty | Register::Junk => false,
            Register::Fence => true,
            Register::Snapshot => {
                let dead = store.forgotten.contains(sid);
                dead && (named || rules.lacks(Mutant::CompactionBeforeEpoch))
            }
        };
        let allowed = store.catalogue.iter().count() < usize::from(rules.bounds.compactions);
        if !may || !allowed || store.catalogue.contains(sid) {
            return Step::Impossible;
        }
        if rules.lacks(Mutant::RemovalBeforeCatalogue) {
            store.snapshots.remove(sid);
            store.fences.remove(sid);
        }
        *self = Self::Chosen(sid);
        Step::Done
    }

    /// The catalogue comes first, removal after it. The session's packs and segments stay unchanged.
    fn write_catalogue(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        store.catalogue.insert(sid);
        self.removing(sid, !rules.lacks(Mutant::RemovalBeforeCatalogue), true)
    }

    fn removing(&mut self, sid: Sid, register: bool, session: bool) -> Step {
        *self = if register || session { Self::Removing { sid, register, session } } else { Self::Idle };
        Step::Done
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let sid = |sid: Sid| sid.swapped(one, other);
        match *self {
            Self::Idle => Self::Idle,
            Self::Chosen(it) => Self::Chosen(sid(it)),
            Self::Removing { sid: it, register, session } => {
                Self::Removing { sid: sid(it), register, session }
            }
        }
    }
}
