//! What has to be known of each pack while work goes on: by all, whether it is there; by each
//! session, whether it may be referred to, and whether it has been.
//!
//! For a session, referring to a pack and condemning it are one atomic step each on the same byte,
//! as with hazard pointers (Michael, 2004): whichever comes second sees the first. So no reference
//! is made to a condemned pack, and none that was made before is overlooked. Each session has
//! bytes of its own: what one refers to, another that begins or is asked meanwhile doesn't touch.

use std::collections::HashSet;

use keepfast_format::names::PackName;

use super::numbers::PackNumber;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{
    Arc, MARKS_PER_BLOCK as BLOCK, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, Weak,
};

/// Of the index: a verdict has named it: it is gone, or will be.
const DEAD: u8 = 1;
/// Of the index: it isn't stored, though no verdict has named it.
const MISSING: u8 = 2;
/// Of the index: something in it wasn't what an index segment or its directory says, when it was read.
const DEMOTED: u8 = 4;
/// Of the index: it is known whether an owner lists it.
const CLASSED: u8 = 8;
/// Of the index: an owner lists it.
const OWNERS: u8 = 16;
/// Of a session: an epoch without a verdict would remove it.
const CONDEMNED: u8 = 1;
/// Of a session: it refers to something in it.
const REFERRED: u8 = 2;

/// Blocks of marks: enough for as many packs as numbers are given.
const BLOCKS: usize = 1 << 12;

/// A byte for each pack, by the number that the index gave it. Where none is set, there is no memory.
struct Table {
    blocks: Box<[OnceLock<Box<[AtomicU8]>>]>,
}

impl Default for Table {
    fn default() -> Self {
        Self { blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect() }
    }
}

impl Table {
    /// Packs beyond the table, of which there are none before 2 PiB, have no mark.
    fn mark(&self, pack: PackNumber) -> Option<&AtomicU8> {
        let (block, place) = (pack.index() / BLOCK, pack.index() % BLOCK);
        self.blocks.get(block)?.get_or_init(|| (0..BLOCK).map(|_| AtomicU8::new(0)).collect()).get(place)
    }

    fn get(&self, pack: PackNumber) -> u8 {
        let block = self.blocks.get(pack.index() / BLOCK).and_then(OnceLock::get);
        block.and_then(|block| block.get(pack.index() % BLOCK)).map_or(0, |mark| mark.load(Ordering::SeqCst))
    }

    /// Sets marks, and returns which there were before. What is beyond the table counts as marked.
    fn set(&self, pack: PackNumber, what: u8) -> u8 {
        self.mark(pack).map_or(what, |mark| mark.fetch_or(what, Ordering::SeqCst))
    }
}

/// What all know of each pack.
#[derive(Default)]
pub struct PackMarks {
    marks: Table,
    /// The sessions that are under way. Who holds this for writing adds no pack meanwhile; who adds
    /// packs holds it for reading, and so sees every session that has condemned something.
    sessions: RwLock<Vec<Weak<SessionMarks>>>,
}

/// What one session knows of each pack.
#[derive(Default)]
pub struct SessionMarks {
    marks: Table,
    /// What epochs that this session has seen condemn, whether it is in the index or not.
    condemned: Mutex<HashSet<PackName>>,
}

/// Packs are being added to the index: meanwhile no session condemns anything.
pub struct Adding<'m> {
    sessions: RwLockReadGuard<'m, Vec<Weak<SessionMarks>>>,
}

impl Adding<'_> {
    /// A pack gets its number. A session for which it is condemned won't refer to it.
    pub fn add(&self, pack: &PackName, number: PackNumber) {
        for session in self.sessions.iter().filter_map(Weak::upgrade) {
            if session.condemned().contains(pack) {
                session.marks.set(number, CONDEMNED);
            }
        }
    }
}

impl PackMarks {
    /// Whether a pack can be expected to be stored.
    pub fn is_readable(&self, pack: PackNumber) -> bool {
        self.marks.get(pack) & (DEAD | MISSING) == 0
    }

    /// Whether a pack can be expected to be stored, and to hold what it is said to hold.
    pub fn is_sound(&self, pack: PackNumber) -> bool {
        self.marks.get(pack) & (DEAD | MISSING | DEMOTED) == 0
    }

    /// Whether something in it was found to be wrong.
    pub fn is_demoted(&self, pack: PackNumber) -> bool {
        self.marks.get(pack) & DEMOTED != 0
    }

    /// Something in it is wrong. Returns whether that is new.
    pub fn demote(&self, pack: PackNumber) -> bool {
        self.marks.set(pack, DEMOTED) & DEMOTED == 0
    }

    /// Whether an owner lists it; `find_out` is asked once.
    pub fn is_owners(&self, pack: PackNumber, find_out: impl FnOnce() -> bool) -> bool {
        let known = self.marks.get(pack);
        if known & CLASSED != 0 {
            return known & OWNERS != 0;
        }
        let is_owners = find_out();
        self.marks.set(pack, if is_owners { CLASSED | OWNERS } else { CLASSED });
        is_owners
    }

    /// Whether a verdict has named it.
    pub fn is_dead(&self, pack: PackNumber) -> bool {
        self.marks.get(pack) & DEAD != 0
    }

    /// A verdict names it.
    pub fn bury(&self, pack: PackNumber) {
        self.marks.set(pack, DEAD);
    }

    /// It isn't in the store.
    pub fn miss(&self, pack: PackNumber) {
        self.marks.set(pack, MISSING);
    }

    /// Begins to add packs to the index.
    pub fn adding(&self) -> Adding<'_> {
        Adding { sessions: self.sessions.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// A session begins: it refers to nothing yet, and has heard of no epoch.
    pub fn begin_session(&self) -> Arc<SessionMarks> {
        let session = Arc::new(SessionMarks::default());
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|known| known.strong_count() > 0);
        sessions.push(Arc::downgrade(&session));
        session
    }

    /// For a session, an epoch condemns these packs. `condemn_known` condemns those that the index
    /// knows; others are condemned when it learns of them.
    pub fn condemn_all<T>(
        &self,
        session: &SessionMarks,
        packs: impl IntoIterator<Item = PackName>,
        condemn_known: impl FnOnce() -> T,
    ) -> T {
        let _nothing_is_added = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        session.condemned().extend(packs);
        condemn_known()
    }
}

impl SessionMarks {
    /// Refers to a pack of the index with these marks, unless it may not be. What was referred to before
    /// it was condemned stays in use: the session objects to its removal.
    ///
    /// That the pack is there is looked at first, and apart. A pack that dies in between was condemned
    /// before: the session has either heard of that, and refuses here, or hasn't acked that epoch, and
    /// so is fenced and can't commit.
    pub fn refer(&self, index: &PackMarks, pack: PackNumber) -> bool {
        index.is_sound(pack) && self.refer_unless_condemned(pack)
    }

    /// Refers to a pack that is referred to already, by what was taken over: that something in it is
    /// wrong is no reason to let go of the rest.
    pub fn hold(&self, index: &PackMarks, pack: PackNumber) -> bool {
        index.is_readable(pack) && self.refer_unless_condemned(pack)
    }

    fn refer_unless_condemned(&self, pack: PackNumber) -> bool {
        let Some(mark) = self.marks.mark(pack) else { return false };
        let refer = |marks: u8| (marks & CONDEMNED == 0 || marks & REFERRED != 0).then_some(marks | REFERRED);
        mark.load(Ordering::SeqCst) & REFERRED != 0
            || mark.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refer).is_ok()
    }

    /// From now on nothing of the session refers to it that hasn't before. Returns whether something has.
    pub fn condemn(&self, pack: PackNumber) -> bool {
        self.marks.mark(pack).is_some_and(|mark| mark.fetch_or(CONDEMNED, Ordering::SeqCst) & REFERRED != 0)
    }

    fn condemned(&self) -> MutexGuard<'_, HashSet<PackName>> {
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{PackMarks, PackNumber};
    use keepfast_format::ids::{HolderId, PackId, SessionId};
    use keepfast_format::names::PackName;

    fn number(pack: u32) -> PackNumber {
        PackNumber::new(pack)
    }

    fn pack(id: u8, session: u8) -> PackName {
        let session = SessionId { writer: HolderId::new([0; 8]), random: [session; 16] };
        PackName { id: PackId::new([id; 32]), session }
    }

    #[test]
    fn what_comes_second_sees_what_came_first() {
        let marks = PackMarks::default();
        let session = marks.begin_session();
        assert!(session.refer(&marks, number(3)), "nothing speaks against it");
        assert!(session.condemn(number(3)), "that is an objection");
        assert!(session.refer(&marks, number(3)), "what is objected to stays in use");
        assert!(!session.condemn(number(70_000)), "nothing refers to it");
        assert!(
            !session.refer(&marks, number(70_000)) && !session.refer(&marks, number(70_000)),
            "however often one asks"
        );
        assert!(!session.condemn(number(70_000)), "asking was no reference");
        assert!(marks.is_readable(number(70_000)), "it can be read for all that");
    }

    #[test]
    fn what_was_found_wrong_is_held_but_not_referred_to() {
        let marks = PackMarks::default();
        let session = marks.begin_session();
        assert!(
            session.refer(&marks, number(1)) && marks.demote(number(1)) && !marks.demote(number(1)),
            "it is said once"
        );
        assert!(!session.refer(&marks, number(1)) && !marks.is_sound(number(1)));
        assert!(session.hold(&marks, number(1)) && marks.is_readable(number(1)));
        assert!(session.condemn(number(1)), "what is held is objected to");
    }

    #[test]
    fn whose_a_pack_is_is_found_out_once() {
        let marks = PackMarks::default();
        assert!(marks.is_owners(number(1), || true) && !marks.is_owners(number(2), || false));
        assert!(marks.is_owners(number(1), || false) && !marks.is_owners(number(2), || true));
        assert!(marks.is_sound(number(1)) && marks.is_sound(number(2)));
    }

    #[test]
    fn what_was_condemned_before_it_was_known_is_never_referred_to() {
        let marks = PackMarks::default();
        let (session, other) = (marks.begin_session(), marks.begin_session());
        marks.condemn_all(&session, [pack(1, 1)], || ());
        let adding = marks.adding();
        adding.add(&pack(1, 1), number(5));
        adding.add(&pack(1, 2), number(6));
        adding.add(&pack(2, 1), number(7));
        drop(adding);
        assert!(!session.refer(&marks, number(5)), "it is condemned");
        assert!(session.refer(&marks, number(6)), "another object under the same id isn't");
        assert!(session.refer(&marks, number(7)));
        assert!(other.refer(&marks, number(5)), "another session hasn't heard of that epoch");
    }

    #[test]
    fn sessions_that_share_an_index_keep_what_each_of_them_refers_to() {
        let marks = PackMarks::default();
        let first = marks.begin_session();
        assert!(first.refer(&marks, number(1)));
        let second = marks.begin_session();
        assert!(!second.condemn(number(1)), "the second refers to nothing");
        assert!(!second.refer(&marks, number(1)), "and may not any more");
        assert!(first.condemn(number(1)), "the first objects all the same");
        drop(first);
        assert!(marks.begin_session().refer(&marks, number(1)), "a third knows nothing of either");
    }

    #[test]
    fn the_dead_stay_dead_for_every_session() {
        let marks = PackMarks::default();
        let before = marks.begin_session();
        assert!(before.refer(&marks, number(1)));
        marks.bury(number(1));
        marks.miss(number(2));
        let after = marks.begin_session();
        assert!(
            !before.refer(&marks, number(1))
                && !after.refer(&marks, number(1))
                && !after.refer(&marks, number(2))
        );
        assert!(marks.is_dead(number(1)) && !marks.is_dead(number(2)) && after.refer(&marks, number(4)));
    }
}
