//! The object store as the protocol sees it: which objects exist, and what the few with content say.
//!
//! Every object is immutable, so that a set of names, or a register's first value, is all there is to know.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

/// Epochs that a history may have at most; [`Bounds`](crate::Bounds) allow these or fewer.
pub const EPOCHS_MAX: usize = 3;

/// Sessions that a history may have at most, the first one included.
pub const SIDS_MAX: u8 = 4;

/// A small number that sets can hold.
pub trait Member: Copy {
    /// From 0 to 15.
    fn number(self) -> u8;
    /// The inverse of [`Member::number`].
    fn numbered(number: u8) -> Self;
}

/// A session's id, which is also that of its snapshot. Session 0 committed before the history begins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(pub u8);

/// The name of a pack: a pack id and a session id. A session writes one pack at most, whose id has the
/// session's number, and which holds the one chunk of the model. A name with the id of one session's pack and
/// the id of another session is a twin, made by a [creator](crate::creator).
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
    /// Member n is in it if bit n is set.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
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

    /// With the bits of `mask` exchanged between two places.
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
        (0..16).filter(move |number| self.bits >> number & 1 == 1).map(T::numbered)
    }
}

/// In a set of packs, four bits in a row are the names with one pack id.
const ONE_ID: u16 = 0b1111;
/// Every fourth bit: the names that end with one session.
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
    /// Bytes that nobody has signed. They decide nothing; but the name is taken, until an operator removes
    /// them.
    Junk,
}

/// A name under which what isn't authentic matters to others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// `snapshots/<sid>`.
    Register(Sid),
    /// `epochs/<g>/condemned`. It matters as soon as g is the next epoch.
    Condemned(Epoch),
    /// `epochs/<g>/done`. It matters as soon as the epoch exists.
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
    /// Of the twins, those that have the bytes of the pack whose id they have; the others are junk.
    pub copies: Packs,
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
    /// Names taken by bytes that nobody has signed.
    pub junk: Set<Place>,
    /// Nobody reads this: how many such objects were ever made.
    pub junk_made: u8,
    /// Nobody reads this: every snapshot that a user has ever forgotten.
    pub ever_forgotten: Sids,
}

impl Store {
    /// Session 0 has committed a snapshot of the chunk, which lies in its pack.
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

    /// What a read of the register gives.
    #[must_use]
    pub fn register(&self, sid: Sid) -> Register {
        match () {
            () if self.snapshots.has(sid) => Register::Snapshot,
            () if self.fences.has(sid) => Register::Fence,
            () if self.junk.has(Place::Register(sid)) => Register::Junk,
            () => Register::Empty,
        }
    }

    /// Whether all that stands under `epochs/` up to the newest epoch can be read, and nothing takes the next
    /// name: else nobody begins to write or to remove, or goes on to the next epoch.
    #[must_use]
    pub fn can_hear_epochs(&self) -> bool {
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

    /// Whether all registers can be read; those of compacted sessions needn't be.
    #[must_use]
    pub fn can_read_registers(&self) -> bool {
        self.junk_registers().is_within(self.catalogue)
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
