//! What a process has to know of each pack while it works: whether it may be referred to, and
//! whether it has been.
//!
//! Referring to a pack and condemning it are one atomic step each on the same byte, as with
//! hazard pointers (Michael, 2004): whichever comes second sees the first. So no reference is
//! made to a condemned pack, and none that was made before is overlooked.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard};

use keepfast_format::ids::PackId;

/// A verdict has named it: it is gone, or will be.
const DEAD: u8 = 1;
/// It isn't stored, though no verdict has named it.
const MISSING: u8 = 2;
/// An epoch without a verdict would remove it.
const CONDEMNED: u8 = 4;
/// This session refers to something in it.
const REFERRED: u8 = 8;
/// Something in it wasn't what an index segment or its directory says, when this process read it.
const DEMOTED: u8 = 16;
/// It is known whether an owner lists it.
const CLASSED: u8 = 32;
/// An owner lists it.
const OWNERS: u8 = 64;
/// What stays when a session begins.
const LASTING: u8 = DEAD | MISSING | DEMOTED | CLASSED | OWNERS;

const BLOCK: usize = 1 << 16;
const BLOCKS: usize = 1 << 12;

/// A byte for each pack, by the number that the index gave it.
pub struct PackMarks {
    blocks: Box<[OnceLock<Box<[AtomicU8]>>]>,
    /// What epochs that this session has seen condemn, whether it is in the index or not.
    condemned: RwLock<HashSet<PackId>>,
}

/// Packs are being added to the index: meanwhile nothing is condemned.
pub struct Adding<'m> {
    marks: &'m PackMarks,
    condemned: RwLockReadGuard<'m, HashSet<PackId>>,
}

impl Adding<'_> {
    /// A pack gets its number. If it is condemned, nothing will refer to it.
    pub fn add(&self, id: &PackId, number: u32) {
        if self.condemned.contains(id) {
            self.marks.condemn(number);
        }
    }
}

impl Default for PackMarks {
    fn default() -> Self {
        Self { blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect(), condemned: RwLock::default() }
    }
}

impl PackMarks {
    /// Packs beyond the table, of which there are none before 2 PiB, are never referred to.
    fn mark(&self, pack: u32) -> Option<&AtomicU8> {
        let (block, place) = (pack as usize / BLOCK, pack as usize % BLOCK);
        self.blocks.get(block)?.get_or_init(|| (0..BLOCK).map(|_| AtomicU8::new(0)).collect()).get(place)
    }

    /// A pack without any mark costs no memory.
    fn get(&self, pack: u32) -> u8 {
        let block = self.blocks.get(pack as usize / BLOCK).and_then(OnceLock::get);
        block.and_then(|block| block.get(pack as usize % BLOCK)).map_or(0, |mark| mark.load(Ordering::SeqCst))
    }

    /// Refers to a pack, unless it may not be.
    pub fn refer(&self, pack: u32) -> bool {
        self.refer_unless(pack, DEAD | MISSING | DEMOTED)
    }

    /// Refers to a pack that is referred to already, by what was taken over: that something in it is
    /// wrong is no reason to let go of the rest.
    pub fn hold(&self, pack: u32) -> bool {
        self.refer_unless(pack, DEAD | MISSING)
    }

    fn refer_unless(&self, pack: u32, unusable: u8) -> bool {
        let Some(mark) = self.mark(pack) else { return false };
        let refer = |marks: u8| may_refer(marks, unusable).then_some(marks | REFERRED);
        mark.load(Ordering::SeqCst) & (REFERRED | unusable) == REFERRED
            || mark.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refer).is_ok()
    }

    /// Whether a pack may be referred to.
    pub fn is_usable(&self, pack: u32) -> bool {
        may_refer(self.get(pack), DEAD | MISSING | DEMOTED)
    }

    /// Whether a pack can be expected to be stored.
    pub fn is_readable(&self, pack: u32) -> bool {
        self.get(pack) & (DEAD | MISSING) == 0
    }

    /// Whether a pack can be expected to be stored, and to hold what it is said to hold.
    pub fn is_sound(&self, pack: u32) -> bool {
        self.get(pack) & (DEAD | MISSING | DEMOTED) == 0
    }

    /// Whether something in it was found to be wrong.
    pub fn is_demoted(&self, pack: u32) -> bool {
        self.get(pack) & DEMOTED != 0
    }

    /// Whether an owner lists it; `find_out` is asked once.
    pub fn is_owners(&self, pack: u32, find_out: impl FnOnce() -> bool) -> bool {
        let known = self.get(pack);
        if known & CLASSED != 0 {
            return known & OWNERS != 0;
        }
        let is_owners = find_out();
        if let Some(mark) = self.mark(pack) {
            mark.fetch_or(if is_owners { CLASSED | OWNERS } else { CLASSED }, Ordering::SeqCst);
        }
        is_owners
    }

    /// Whether a verdict has named it.
    pub fn is_dead(&self, pack: u32) -> bool {
        self.get(pack) & DEAD != 0
    }

    /// Begins to add packs to the index.
    pub fn adding(&self) -> Adding<'_> {
        let condemned = self.condemned.read().unwrap_or_else(PoisonError::into_inner);
        Adding { marks: self, condemned }
    }

    /// An epoch condemns these packs. `condemn_known` condemns those that the index knows;
    /// others are condemned when it learns of them.
    pub fn condemn_all<T>(
        &self,
        ids: impl IntoIterator<Item = PackId>,
        condemn_known: impl FnOnce(&HashSet<PackId>) -> T,
    ) -> T {
        let mut condemned = self.condemned.write().unwrap_or_else(PoisonError::into_inner);
        condemned.extend(ids);
        condemn_known(&condemned)
    }

    /// From now on nothing refers to it that hasn't before. Returns whether something has.
    pub fn condemn(&self, pack: u32) -> bool {
        self.mark(pack).is_some_and(|mark| mark.fetch_or(CONDEMNED, Ordering::SeqCst) & REFERRED != 0)
    }

    /// A verdict names it.
    pub fn bury(&self, pack: u32) {
        if let Some(mark) = self.mark(pack) {
            mark.fetch_or(DEAD, Ordering::SeqCst);
        }
    }

    /// It isn't in the store.
    pub fn miss(&self, pack: u32) {
        if let Some(mark) = self.mark(pack) {
            mark.fetch_or(MISSING, Ordering::SeqCst);
        }
    }

    /// Something in it is wrong. Returns whether nobody has said so before.
    pub fn demote(&self, pack: u32) -> bool {
        self.mark(pack).is_some_and(|mark| mark.fetch_or(DEMOTED, Ordering::SeqCst) & DEMOTED == 0)
    }

    /// Another session begins: it refers to nothing yet, and has heard of no epoch.
    pub fn begin_session(&self) {
        self.condemned.write().unwrap_or_else(PoisonError::into_inner).clear();
        for mark in self.blocks.iter().filter_map(OnceLock::get).flatten() {
            mark.fetch_and(LASTING, Ordering::SeqCst);
        }
    }
}

/// What was referred to before it was condemned stays in use: the session objects to its removal.
fn may_refer(marks: u8, unusable: u8) -> bool {
    marks & unusable == 0 && (marks & CONDEMNED == 0 || marks & REFERRED != 0)
}

#[cfg(test)]
mod tests {
    use super::PackMarks;
    use keepfast_format::ids::PackId;

    #[test]
    fn what_comes_second_sees_what_came_first() {
        let marks = PackMarks::default();
        assert!(marks.refer(3), "nothing speaks against it");
        assert!(marks.condemn(3), "that is an objection");
        assert!(marks.refer(3), "what is objected to stays in use");
        assert!(!marks.condemn(70_000), "nothing refers to it");
        assert!(!marks.refer(70_000) && !marks.refer(70_000), "it is condemned, however often one asks");
        assert!(!marks.condemn(70_000), "asking was no reference");
        assert!(marks.is_readable(70_000) && !marks.is_usable(70_000), "it can be read for all that");
    }

    #[test]
    fn what_was_condemned_before_it_was_known_is_never_referred_to() {
        let marks = PackMarks::default();
        let (one, other) = (PackId::new([1; 32]), PackId::new([2; 32]));
        marks.condemn_all([one], |_| ());
        let adding = marks.adding();
        adding.add(&one, 5);
        adding.add(&other, 6);
        drop(adding);
        assert!(!marks.refer(5) && marks.refer(6));
    }

    #[test]
    fn what_was_found_wrong_is_held_but_not_referred_to() {
        let marks = PackMarks::default();
        assert!(marks.refer(1) && marks.demote(1) && !marks.demote(1), "it is said once");
        assert!(!marks.refer(1) && !marks.is_usable(1) && !marks.is_sound(1));
        assert!(marks.hold(1) && marks.is_readable(1));
        assert!(marks.condemn(1), "what is held is objected to");
    }

    #[test]
    fn whose_a_pack_is_is_found_out_once() {
        let marks = PackMarks::default();
        assert!(marks.is_owners(1, || true) && !marks.is_owners(2, || false));
        marks.begin_session();
        assert!(marks.is_owners(1, || false) && !marks.is_owners(2, || true));
        assert!(marks.is_sound(1) && marks.is_usable(2));
    }

    #[test]
    fn the_dead_stay_dead_when_a_session_begins() {
        let marks = PackMarks::default();
        marks.refer(1);
        marks.bury(1);
        marks.miss(2);
        marks.condemn(4);
        marks.begin_session();
        assert!(!marks.refer(1) && !marks.refer(2) && marks.refer(4));
        assert!(marks.is_dead(1) && !marks.is_dead(2));
    }
}
