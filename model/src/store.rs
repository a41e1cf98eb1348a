//! The object store as the protocol sees it: which objects exist, and the content of those few that have
//! some.
//!
//! Every object is immutable, so a set of names, or the first value of a register, describes it fully.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

/// Most epochs of a history. [`Bounds`](crate::Bounds) may allow fewer.
pub const EPOCHS_MAX: usize = 3;

/// Most sessions of a history, including the first one.
pub const SIDS_MAX: u8 = 4;

/// A value that a [`Set`] can contain.
pub trait Member: Copy {
    /// Its number, from 0 to 15.
    fn number(self) -> u8;
    /// The inverse of [`Member::number`].
    fn numbered(number: u8) -> Self;
}

/// A session's id, which is also the id of its snapshot. Session 0 committed before the history begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub u8);

/// The name of a pack: a pack id and a session id. A session writes at most one pack. The pack's id has the
/// session's number, and the pack has the only chunk of the model. A name with the id of one session's pack
/// and the id of another session is a twin, which a [creator](crate::creator) makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pack(u8);

impl Sid {
    /// The pack that this session may write.
    #[must_use]
    pub fn pack(self) -> Pack {
        Pack::named(self, self)
    }

    /// With two sessions' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        match self.0 {
            number if number == one => Self(other),
            number if number == other => Self(one),
            number => Self(number),
        }
    }
}

impl Pack {
    /// The name with the id of the pack that `writer` writes, and with the id of the session `owner`.
    #[must_use]
    pub fn named(writer: Sid, owner: Sid) -> Self {
        Self(writer.0 * SIDS_MAX + owner.0)
    }

    /// The session that writes the pack with this id.
    #[must_use]
    pub fn writer(self) -> Sid {
        Sid(self.0 / SIDS_MAX)
    }

    /// The session that the pack's name ends with.
    #[must_use]
    pub fn owner(self) -> Sid {
        Sid(self.0 % SIDS_MAX)
    }

    /// Whether the session that the name ends with isn't the one that writes the pack.
    #[must_use]
    pub fn is_twin(self) -> bool {
        self.writer() != self.owner()
    }

    /// With two sessions' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        Self::named(self.writer().swapped(one, other), self.owner().swapped(one, other))
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
        match (self.writer(), self.owner()) {
            (writer, owner) if writer == owner => write!(f, "P{}", writer.0),
            (writer, owner) => write!(f, "P{}.{owner:?}", writer.0),
        }
    }
}

/// A set of sessions, packs or places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Set<T> {
    bits: u16,
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
    /// The set that contains member n if bit n is set.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self { bits, of: PhantomData }
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self::from_bits(self.bits | other.bits)
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self::from_bits(self.bits & other.bits)
    }

    /// The members of this set that aren't in the other.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self::from_bits(self.bits & !other.bits)
    }

    /// Whether the other set has all members of this one.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.difference(other).is_empty()
    }

    /// With the bits of `mask`, shifted by `one`, exchanged with those shifted by `other`.
    fn exchanged(self, mask: u16, one: u8, other: u8) -> Self {
        let differ = (self.bits >> one ^ self.bits >> other) & mask;
        Self::from_bits(self.bits ^ (differ << one | differ << other))
    }
}

impl<T: Member> Set<T> {
    /// A set of one.
    #[must_use]
    pub fn only(member: T) -> Self {
        Self::from_bits(1 << member.number())
    }

    /// Whether the set has this member.
    #[must_use]
    pub fn contains(self, member: T) -> bool {
        self.bits >> member.number() & 1 == 1
    }

    /// Adds a member. False if the set had it already.
    pub fn insert(&mut self, member: T) -> bool {
        let new = !self.contains(member);
        self.bits |= 1 << member.number();
        new
    }

    /// Removes a member. False if the set didn't have it.
    pub fn remove(&mut self, member: T) -> bool {
        let was = self.contains(member);
        self.bits &= !(1 << member.number());
        was
    }

    /// The members in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = T> {
        (0..16).filter(move |number| self.bits >> number & 1 == 1).map(T::numbered)
    }
}

/// In a set of packs, four consecutive bits are the names with one pack id.
const ONE_ID: u16 = 0b1111;
/// Every fourth bit: the names that end with the same session.
const ONE_OWNER: u16 = 0b0001_0001_0001_0001;
/// Names that aren't twins.
const WRITTEN: u16 = 0b1000_0100_0010_0001;

impl Sids {
    /// The packs that these sessions may have written.
    #[must_use]
    pub fn packs(self) -> Packs {
        self.names().without_twins()
    }

    /// All packs' names that end with these sessions.
    #[must_use]
    pub fn names(self) -> Packs {
        Packs::from_bits(self.bits * ONE_OWNER)
    }

    /// With two sessions' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        self.exchanged(1, one, other)
    }
}

impl Packs {
    /// Those that no session has written.
    #[must_use]
    pub fn twins(self) -> Self {
        Self::from_bits(self.bits & !WRITTEN)
    }

    /// Those that sessions may have written.
    #[must_use]
    pub fn without_twins(self) -> Self {
        Self::from_bits(self.bits & WRITTEN)
    }

    /// All names that have the id of one of these.
    #[must_use]
    pub fn of_same_ids(self) -> Self {
        let ids = (self.bits | self.bits >> 1 | self.bits >> 2 | self.bits >> 3) & ONE_OWNER;
        Self::from_bits(ids * ONE_ID)
    }

    /// With two sessions' names exchanged.
    #[must_use]
    pub fn swapped(self, one: u8, other: u8) -> Self {
        self.exchanged(ONE_ID, one * SIDS_MAX, other * SIDS_MAX).exchanged(ONE_OWNER, one, other)
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
    /// The packs that these acks object to.
    pub objections: Packs,
    /// `epochs/<g>/done`: the verdict.
    pub done: Option<Packs>,
}

/// What a register `snapshots/<sid>` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// The session is undecided.
    Empty,
    /// It has committed.
    Snapshot,
    /// It can't commit any more.
    Fence,
    /// Bytes without a valid signature. They decide nothing, but the name is taken until an operator removes
    /// them.
    Junk,
}

/// A name under which an object that isn't authentic affects processes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// `snapshots/<sid>`.
    Register(Sid),
    /// `epochs/<g>/condemned`. It has an effect as soon as g is the next epoch.
    Condemned(Epoch),
    /// `epochs/<g>/done`. It has an effect as soon as the epoch exists.
    Done(Epoch),
}

impl Member for Place {
    fn number(self) -> u8 {
        match self {
            Self::Register(sid) => sid.0,
            Self::Condemned(epoch) => 4 + epoch,
            Self::Done(epoch) => 8 + epoch,
        }
    }
    fn numbered(number: u8) -> Self {
        match number {
            0..4 => Self::Register(Sid(number)),
            4..8 => Self::Condemned(number - 4),
            _ => Self::Done(number - 8),
        }
    }
}

/// The number of the last epoch before the first one for which this doesn't hold; 0 if there is none.
fn last_epoch(epochs: &[EpochObjects], holds: impl Fn(&EpochObjects) -> bool) -> Epoch {
    (1..).zip(epochs).take_while(|(_, epoch)| holds(epoch)).last().map_or(0, |(number, _)| number)
}

fn verdicts(epochs: &[EpochObjects]) -> Packs {
    epochs.iter().filter_map(|epoch| epoch.done).fold(Packs::default(), Packs::union)
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
    /// Decisions `states/<sid>/0` that say that the snapshot is forgotten.
    pub forgotten: Sids,
    /// `packs/…`.
    pub packs: Packs,
    /// The twins that have the bytes of the pack whose id they have. The other twins are junk.
    pub copies: Packs,
    /// Packs that index segments list.
    pub indexed: Packs,
    /// Epoch g is at index g − 1.
    pub epochs: [EpochObjects; EPOCHS_MAX],
    /// `catalogue/…`: compacted sessions, which are fenced or whose snapshots are forgotten. They are dead
    /// for ever. The catalogue says nothing about packs.
    pub catalogue: Sids,
    /// Pack creates that have been sent: each may still take effect, at any time and more than once.
    pub packs_sent: Packs,
    /// The same for snapshots. Only compaction makes their names free.
    pub snapshots_sent: Sids,
    /// Names that are taken by bytes without a valid signature.
    pub junk: Set<Place>,
    /// The number of such objects that were ever made. No process reads this.
    pub junk_made: u8,
    /// Every snapshot that a user has ever forgotten. No process reads this.
    pub ever_forgotten: Sids,
}

impl Store {
    /// Session 0 has committed a snapshot of the chunk, which is in its pack.
    #[must_use]
    pub fn with_one_snapshot() -> Self {
        let (first, pack) = (Sids::only(Sid(0)), Packs::only(Sid(0).pack()));
        Self {
            sessions: first,
            snapshots: first,
            fences: Sids::default(),
            forgotten: Sids::default(),
            packs: pack,
            copies: Packs::default(),
            indexed: pack,
            epochs: [EpochObjects::default(); EPOCHS_MAX],
            catalogue: Sids::default(),
            packs_sent: pack,
            snapshots_sent: Sids::default(),
            junk: Set::default(),
            junk_made: 0,
            ever_forgotten: Sids::default(),
        }
    }

    /// What a read of the register returns.
    #[must_use]
    pub fn register(&self, sid: Sid) -> Register {
        match () {
            () if self.snapshots.contains(sid) => Register::Snapshot,
            () if self.fences.contains(sid) => Register::Fence,
            () if self.junk.contains(Place::Register(sid)) => Register::Junk,
            () => Register::Empty,
        }
    }

    /// Whether all objects under `epochs/` up to the newest epoch can be read, and the next name is free. If
    /// not, no process begins to write or to remove, or goes on to the next epoch.
    #[must_use]
    pub fn epochs_are_readable(&self) -> bool {
        let newest = self.newest_epoch();
        !self.junk.iter().any(|place| match place {
            Place::Register(_) => false,
            Place::Condemned(epoch) => epoch == newest + 1,
            Place::Done(epoch) => epoch <= newest,
        })
    }

    /// Registers that can't be read.
    #[must_use]
    pub fn junk_registers(&self) -> Sids {
        Sids::from_bits(self.junk.bits & ONE_ID)
    }

    /// Whether all registers can be read. Those of compacted sessions don't matter.
    #[must_use]
    pub fn registers_are_readable(&self) -> bool {
        self.junk_registers().is_subset(self.catalogue)
    }

    /// Sessions that have committed or been fenced, including the compacted ones.
    #[must_use]
    pub fn decided(&self) -> Sids {
        self.snapshots.union(self.fences).union(self.catalogue)
    }

    /// Snapshots that can be restored: listed, not forgotten, and not in the catalogue, which is read last.
    #[must_use]
    pub fn live_snapshots(&self) -> Sids {
        self.snapshots.difference(self.forgotten).difference(self.catalogue)
    }

    /// The newest epoch, 0 if there is none.
    #[must_use]
    pub fn newest_epoch(&self) -> Epoch {
        last_epoch(&self.epochs, |epoch| epoch.condemned.is_some())
    }

    /// The objects of an epoch from 1.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch) -> &EpochObjects {
        &self.epochs[usize::from(epoch) - 1]
    }

    /// The objects of an epoch from 1, to create one.
    pub fn epoch_mut(&mut self, epoch: Epoch) -> &mut EpochObjects {
        &mut self.epochs[usize::from(epoch) - 1]
    }

    /// The newest epoch that has a verdict.
    #[must_use]
    pub fn newest_verdict(&self) -> Epoch {
        last_epoch(&self.epochs, |epoch| epoch.done.is_some())
    }

    /// The packs that the verdicts of the epochs up to this one name.
    #[must_use]
    pub fn verdicts_up_to(&self, epoch: Epoch) -> Packs {
        verdicts(&self.epochs[..usize::from(epoch)])
    }

    /// Packs that are dead for ever: exactly those that verdicts name.
    #[must_use]
    pub fn dead_packs(&self) -> Packs {
        verdicts(&self.epochs)
    }

    /// Packs in which a process that loads the whole index finds the chunk.
    #[must_use]
    pub fn sound_packs(&self) -> Packs {
        self.packs.intersection(self.indexed).difference(self.dead_packs())
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
            copies: packs(self.copies),
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
            junk: self.junk.exchanged(1, one, other),
            junk_made: self.junk_made,
            ever_forgotten: sids(self.ever_forgotten),
        }
    }
}
