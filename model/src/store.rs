//! The object store as the protocol sees it: which objects exist, and what the few with content say.
//!
//! Every object is immutable, so that a set of names, or a register's first value, is all there is to know.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

/// Epochs that a history may have at most; [`Bounds`](crate::Bounds) allow these or fewer.
pub const EPOCHS_MAX: usize = 3;

/// A small number that sets can hold.
pub trait Member: Copy {
    /// From 0 to 7.
    fn number(self) -> u8;
    /// The inverse of [`Member::number`].
    fn numbered(number: u8) -> Self;
}

/// A session's id, which is also that of its snapshot. Session 0 committed before the history begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub u8);

/// A pack. A session writes one at most, and the pack has its session's number. Each holds the one chunk
/// of the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pack(pub u8);

impl Sid {
    /// The pack that this session may write.
    #[must_use]
    pub fn pack(self) -> Pack {
        Pack(self.0)
    }
}

impl Pack {
    /// The session that the pack's name ends with.
    #[must_use]
    pub fn owner(self) -> Sid {
        Sid(self.0)
    }

    /// With two packs' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        match self.0 {
            number if number == one => Self(other),
            number if number == other => Self(one),
            number => Self(number),
        }
    }
}

impl Member for Sid {
    fn number(self) -> u8 {
        self.0
    }
    fn numbered(number: u8) -> Self {
        Self(number)
    }
}

impl Member for Pack {
    fn number(self) -> u8 {
        self.0
    }
    fn numbered(number: u8) -> Self {
        Self(number)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.0)
    }
}

/// A set of sessions or packs, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T> {
    bits: u8,
    of: PhantomData<T>,
}

/// Sessions, or their snapshots.
pub type Sids = Set<Sid>;
/// Packs.
pub type Packs = Set<Pack>;

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self::from_bits(0)
    }
}

impl<T> Set<T> {
    /// Member n is in it if bit n is set.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self { bits, of: PhantomData }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// What is in either.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self::from_bits(self.bits | other.bits)
    }

    /// What is in both.
    #[must_use]
    pub fn among(self, other: Self) -> Self {
        Self::from_bits(self.bits & other.bits)
    }

    /// What is in this one only.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self::from_bits(self.bits & !other.bits)
    }

    /// Whether the other has all of this.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// With two members' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        let differ = (self.bits >> one ^ self.bits >> other) & 1;
        Self::from_bits(self.bits ^ (differ << one | differ << other))
    }
}

impl<T: Member> Set<T> {
    /// A set of one.
    #[must_use]
    pub fn only(member: T) -> Self {
        Self::from_bits(1 << member.number())
    }

    /// Whether it is in the set.
    #[must_use]
    pub fn has(self, member: T) -> bool {
        self.bits >> member.number() & 1 == 1
    }

    /// Adds it; false if it was there.
    pub fn insert(&mut self, member: T) -> bool {
        let new = !self.has(member);
        self.bits |= 1 << member.number();
        new
    }

    /// Takes it out; false if it wasn't there.
    pub fn remove(&mut self, member: T) -> bool {
        let was = self.has(member);
        self.bits &= !(1 << member.number());
        was
    }

    /// In order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = T> {
        (0..8).filter(move |number| self.bits >> number & 1 == 1).map(T::numbered)
    }
}

/// Packs have their sessions' numbers.
impl Sids {
    /// The packs that these sessions may have written.
    #[must_use]
    pub fn packs(self) -> Packs {
        Packs::from_bits(self.bits)
    }
}

impl<T: Member + fmt::Debug> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The number of an epoch, from 1; 0 is the time before the first.
pub type Epoch = u8;

/// `epochs/<g>/condemned`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Condemned {
    /// The packs that this epoch wants to remove.
    pub packs: Packs,
    /// The snapshots that the mark had listed, dead or alive.
    pub snapshots: Sids,
}

/// The objects of one epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EpochObjects {
    /// `epochs/<g>/condemned`: the epoch exists once this does.
    pub condemned: Option<Condemned>,
    /// The sessions that have created `acks/<g>/<sid>`.
    pub acks: Sids,
    /// What all these acks together object to.
    pub objections: Packs,
    /// `epochs/<g>/done`: the verdict.
    pub done: Option<Packs>,
}

/// What a register `snapshots/<sid>` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// Nobody has decided this session.
    Empty,
    /// It has committed.
    Snapshot,
    /// It can't commit any more.
    Fence,
}

/// All objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Store {
    /// `sessions/<sid>`.
    pub sessions: Sids,
    /// Registers `snapshots/<sid>` with a snapshot.
    pub snapshots: Sids,
    /// Registers `snapshots/<sid>` with a FENCE.
    pub fences: Sids,
    /// States `states/<sid>/0` that say that the snapshot is forgotten.
    pub forgotten: Sids,
    /// `packs/…`.
    pub packs: Packs,
    /// Packs named in index segments.
    pub indexed: Packs,
    /// Epoch g is at g − 1.
    pub epochs: [EpochObjects; EPOCHS_MAX],
    /// `catalogue/…`: compacted sessions, fenced or their snapshots forgotten. They are dead for ever; of
    /// packs it says nothing.
    pub catalogue: Sids,
    /// Pack creates that have been sent: each may still take effect, at any time and more than once.
    pub packs_sent: Packs,
    /// The same for snapshots; only compaction makes their names free.
    pub snapshots_sent: Sids,
    /// Nobody reads this: every snapshot that a user has ever forgotten.
    pub ever_forgotten: Sids,
}

impl Store {
    /// Session 0 has committed a snapshot of the chunk, which lies in its pack.
    #[must_use]
    pub fn with_one_snapshot() -> Self {
        let (first, pack) = (Sids::only(Sid(0)), Packs::only(Pack(0)));
        Self {
            sessions: first,
            snapshots: first,
            fences: Sids::default(),
            forgotten: Sids::default(),
            packs: pack,
            indexed: pack,
            epochs: [EpochObjects::default(); EPOCHS_MAX],
            catalogue: Sids::default(),
            packs_sent: pack,
            snapshots_sent: Sids::default(),
            ever_forgotten: Sids::default(),
        }
    }

    /// What a read of the register gives.
    #[must_use]
    pub fn register(&self, sid: Sid) -> Register {
        match () {
            () if self.snapshots.has(sid) => Register::Snapshot,
            () if self.fences.has(sid) => Register::Fence,
            () => Register::Empty,
        }
    }

    /// Sessions that have committed or been fenced, the compacted ones among them.
    #[must_use]
    pub fn decided(&self) -> Sids {
        self.snapshots.with(self.fences).with(self.catalogue)
    }

    /// Snapshots that can be restored: listed, not forgotten, and not dead in the catalogue, which is read
    /// last.
    #[must_use]
    pub fn live_snapshots(&self) -> Sids {
        self.snapshots.without(self.forgotten).without(self.catalogue)
    }

    /// The newest epoch, 0 if there is none.
    #[must_use]
    pub fn newest_epoch(&self) -> Epoch {
        self.epochs.iter().take_while(|epoch| epoch.condemned.is_some()).count() as Epoch
    }

    /// The objects of an epoch from 1.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch) -> &EpochObjects {
        &self.epochs[usize::from(epoch) - 1]
    }

    /// For creating an object of an epoch from 1.
    pub fn epoch_mut(&mut self, epoch: Epoch) -> &mut EpochObjects {
        &mut self.epochs[usize::from(epoch) - 1]
    }

    /// The newest epoch that has a verdict.
    #[must_use]
    pub fn newest_verdict(&self) -> Epoch {
        self.epochs.iter().take_while(|epoch| epoch.done.is_some()).count() as Epoch
    }

    /// What the verdicts of the epochs up to this one name.
    #[must_use]
    pub fn verdicts_up_to(&self, epoch: Epoch) -> Packs {
        let verdicts = self.epochs.iter().take(usize::from(epoch)).filter_map(|epoch| epoch.done);
        verdicts.fold(Packs::default(), Packs::with)
    }

    /// Packs that are dead for ever: those that verdicts name, and no others.
    #[must_use]
    pub fn dead_packs(&self) -> Packs {
        self.verdicts_up_to(EPOCHS_MAX as Epoch)
    }

    /// Packs in which anyone who loads the whole index finds the chunk.
    #[must_use]
    pub fn sound_packs(&self) -> Packs {
        self.packs.among(self.indexed).without(self.dead_packs())
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let sids = |set: Sids| set.swapped(one, other);
        let packs = |set: Packs| set.swapped(one, other);
        Self {
            sessions: sids(self.sessions),
            snapshots: sids(self.snapshots),
            fences: sids(self.fences),
            forgotten: sids(self.forgotten),
            packs: packs(self.packs),
            indexed: packs(self.indexed),
            epochs: self.epochs.map(|epoch| EpochObjects {
                condemned: epoch.condemned.map(|condemned| Condemned {
                    packs: packs(condemned.packs),
                    snapshots: sids(condemned.snapshots),
                }),
                acks: sids(epoch.acks),
                objections: packs(epoch.objections),
                done: epoch.done.map(packs),
            }),
            catalogue: sids(self.catalogue),
            packs_sent: packs(self.packs_sent),
            snapshots_sent: sids(self.snapshots_sent),
            ever_forgotten: sids(self.ever_forgotten),
        }
    }
}
