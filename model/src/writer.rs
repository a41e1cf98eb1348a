//! The writer: one session from its session object to its snapshot.

use crate::mutant::Mutant;
use crate::rules::{Answer, Rules, Step};
use crate::store::{Epoch, Packs, Register, Set, Sid, Store};

/// How far a session is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Phase {
    /// No session object yet; the cache may already be filled.
    #[default]
    Idle,
    /// The session object exists.
    Open,
    /// The create of the snapshot has been sent; whatever its answer, only the same bytes may follow.
    Committing,
    /// The register holds this session's snapshot; the catalogue is still to be read.
    Committed,
    /// The user was told that the backup succeeded.
    Reported,
    /// Fenced; the user was told that this session failed.
    Lost,
}

/// The session's own pack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Upload {
    /// Not written.
    #[default]
    Unsent,
    /// A create has been sent and not been answered.
    InFlight,
    /// The store has said that the pack is there.
    Stored,
}

/// How a session came to refer to the chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Reference {
    /// It doesn't.
    #[default]
    None,
    /// By its id: found in the index, or written.
    Chunk,
    /// As part of a subtree taken over from the parent.
    Subtree,
}

/// A writer and its local state. Its cache and its memory are one: all of `index` may be old.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Writer {
    /// How far it is.
    pub phase: Phase,
    /// The newest epoch that it has read; what that epoch condemns it refers to no more.
    pub seen: Option<Epoch>,
    /// The verdicts of all epochs up to this one are known.
    pub verdicts: Epoch,
    /// The newest epoch that it has acked.
    pub acked: Option<Epoch>,
    /// Objections that were collected for an ack that isn't created yet.
    pub objections: Option<Packs>,
    /// Locations of the chunk in the local index.
    pub index: Packs,
    /// For the mutant with one location per chunk.
    pub location: Packs,
    /// Whether it refers to the chunk.
    pub refers: Reference,
    /// A parent was listed as committed and not forgotten, since the last ack.
    pub parent: bool,
    /// Its own pack.
    pub pack: Upload,
    /// Nobody reads this: its cache was old, rolled back or lost when it read its first epoch.
    pub stale_cache: bool,
}

/// These mutants take verdicts out of the index when they are learned, instead of asking them each time.
fn filters_once(rules: &Rules) -> bool {
    rules.lacks(Mutant::LateSegmentsUnfiltered) || rules.lacks(Mutant::CacheAheadOfItsContent)
}

/// What a writer can do next, in the order of the design's steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterStep {
    /// Any time.
    LoadIndex,
    /// (1)
    CreateSession(Answer),
    /// (2), (4)
    ReadNewestEpoch,
    /// (4)
    ReadVerdict,
    /// (4)
    CollectObjections,
    /// (2), (4)
    CreateAck(Answer),
    /// (3)
    ReferToKnownChunk,
    /// (3)
    ListParent,
    /// (3)
    TakeOverSubtree,
    /// (3)
    SendPack,
    /// (3)
    HearThatPackIsStored,
    /// (3)
    WriteSegment,
    /// (5)
    CreateSnapshot(Answer),
    /// (5)
    ReadCatalogue,
}

impl Writer {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, sid: Sid, step: WriterStep, store: &mut Store, rules: &Rules) -> Step {
        match step {
            WriterStep::LoadIndex => self.load_index(store, rules),
            WriterStep::CreateSession(answer) => self.create_session(sid, answer, store, rules),
            WriterStep::ReadNewestEpoch => self.read_newest_epoch(store, rules),
            WriterStep::ReadVerdict => self.read_verdict(store, rules),
            WriterStep::CollectObjections => self.collect_objections(store, rules),
            WriterStep::CreateAck(answer) => self.create_ack(sid, answer, store),
            WriterStep::ReferToKnownChunk => self.refer_to_known_chunk(store, rules),
            WriterStep::ListParent => self.list_parent(store),
            WriterStep::TakeOverSubtree => self.take_over_subtree(),
            WriterStep::SendPack => self.send_pack(sid, store, rules),
            WriterStep::HearThatPackIsStored => self.hear_that_pack_is_stored(sid, store),
            WriterStep::WriteSegment => self.write_segment(sid, store),
            WriterStep::CreateSnapshot(answer) => self.create_snapshot(sid, answer, store, rules),
            WriterStep::ReadCatalogue => self.read_catalogue(sid, store, rules),
        }
    }

    /// Whether it has acked once, and so may refer to chunks.
    fn is_working(&self) -> bool {
        self.phase == Phase::Open && self.acked.is_some()
    }

    /// The index takes up all segments there are. It may do so long before the session begins, and never
    /// again: that is a stale cache, and one rolled back.
    fn load_index(&mut self, store: &Store, rules: &Rules) -> Step {
        if !matches!(self.phase, Phase::Idle | Phase::Open) {
            return Step::Impossible;
        }
        let new = store.indexed.without(self.index);
        self.index = self.index.with(new);
        if rules.lacks(Mutant::OneLocationPerChunk) && !new.is_empty() {
            self.location = new;
        }
        Step::Done
    }

    /// Step 1.
    fn create_session(&mut self, sid: Sid, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let early = rules.lacks(Mutant::EpochReadBeforeSession);
        if self.phase != Phase::Idle || (early && self.seen.is_none()) {
            return Step::Impossible;
        }
        store.sessions.insert(sid);
        if answer == Answer::Heard {
            self.phase = Phase::Open;
        }
        Step::Done
    }

    /// Steps 2 and 4: read the newest epoch and all verdicts so far, and *first* stop referring to what it
    /// condemned. That includes subtrees of which nobody has looked what is below them.
    fn read_newest_epoch(&mut self, store: &Store, rules: &Rules) -> Step {
        let newest = store.newest_epoch();
        let right_time = match self.seen {
            None if rules.lacks(Mutant::EpochReadBeforeSession) => self.phase == Phase::Idle,
            None => self.phase == Phase::Open,
            Some(seen) => self.phase == Phase::Open && self.acked == self.seen && newest > seen,
        };
        if !right_time {
            return Step::Impossible;
        }
        let believed = self.seen.is_none() && rules.lacks(Mutant::CacheAheadOfItsContent);
        if self.seen.is_none() {
            self.stale_cache = self.index != store.indexed.without(store.dead_packs());
        }
        self.seen = Some(newest);
        if believed {
            self.verdicts = store.newest_verdict();
        } else {
            self.learn_verdicts(store.newest_verdict(), store, rules);
        }
        if !rules.lacks(Mutant::ParentListedOnce) {
            self.parent = false;
        }
        if newest == 0 {
            // Nobody reads acks of the time before the first epoch.
            self.acked = Some(0);
        }
        Step::Done
    }

    /// An epoch that was unfinished has its verdict: what it spared can be used again.
    fn read_verdict(&mut self, store: &Store, rules: &Rules) -> Step {
        let newest = store.newest_verdict();
        if !self.is_working() || self.seen != Some(newest) || self.verdicts == newest {
            return Step::Impossible;
        }
        self.learn_verdicts(newest, store, rules);
        Step::Done
    }

    fn learn_verdicts(&mut self, newest: Epoch, store: &Store, rules: &Rules) {
        if filters_once(rules) {
            self.index = self.index.without(store.verdicts_up_to(newest));
        }
        self.verdicts = newest;
    }

    /// Known locations that may be referred to: not dead, and not condemned by an unfinished epoch.
    #[must_use]
    pub fn usable_packs(&self, store: &Store, rules: &Rules) -> Packs {
        let heeded = if rules.lacks(Mutant::ObjectionsBeforeStopping) { self.acked } else { self.seen };
        let condemned = match heeded {
            Some(epoch) if epoch > self.verdicts => store.epoch(epoch).condemned.map(|it| it.packs),
            _ => None,
        };
        let known = self.index.without(condemned.unwrap_or_default());
        match () {
            () if rules.lacks(Mutant::ProbesForPacks) => known.among(store.packs),
            () if rules.lacks(Mutant::VerdictsForgotten) => match self.seen {
                Some(epoch) if epoch > 0 => known.without(store.epoch(epoch).done.unwrap_or_default()),
                _ => known,
            },
            () if filters_once(rules) => known,
            () => known.without(store.verdicts_up_to(self.verdicts)),
        }
    }

    /// Step 4, *then*: every condemned pack in which lies a chunk already referred to. For that the tables of
    /// all condemned packs are loaded: a subtree's chunks may lie where this index has never looked.
    fn collect_objections(&mut self, store: &Store, rules: &Rules) -> Step {
        let Some(epoch) = self.seen.filter(|_| self.acked != self.seen && self.objections.is_none()) else {
            return Step::Impossible;
        };
        if self.phase != Phase::Open {
            return Step::Impossible;
        }
        let tables = match () {
            () if rules.lacks(Mutant::OneLocationPerChunk) => self.location,
            () if rules.lacks(Mutant::ObjectionsFromStaleIndex) => self.index,
            () => self.index.with(store.indexed),
        };
        let condemned = store.epoch(epoch).condemned.map(|condemned| condemned.packs).unwrap_or_default();
        let objects = match self.refers {
            Reference::None => false,
            Reference::Chunk => !rules.lacks(Mutant::AckWithoutObjections),
            Reference::Subtree => {
                !rules.lacks(Mutant::AckWithoutObjections) && !rules.lacks(Mutant::SubtreesNotObjected)
            }
        };
        self.objections = Some(if objects { condemned.among(tables) } else { Packs::default() });
        Step::Done
    }

    /// Steps 2 and 4, *then*. A retry carries the same bytes, as the objections are kept until it is
    /// answered.
    fn create_ack(&mut self, sid: Sid, answer: Answer, store: &mut Store) -> Step {
        let (Some(epoch), Some(objections), Phase::Open) = (self.seen, self.objections, self.phase) else {
            return Step::Impossible;
        };
        let objects = store.epoch_mut(epoch);
        if objects.acks.insert(sid) {
            objects.objections = objects.objections.with(objections);
        }
        if answer == Answer::Heard {
            self.acked = self.seen;
            self.objections = None;
        }
        Step::Done
    }

    /// Step 3: dedup against the index. Undelete does no more than this for every chunk of the forgotten
    /// tree.
    fn refer_to_known_chunk(&mut self, store: &Store, rules: &Rules) -> Step {
        let usable = self.usable_packs(store, rules);
        if !self.is_working() || self.refers != Reference::None || usable.is_empty() {
            return Step::Impossible;
        }
        self.refers = Reference::Chunk;
        if rules.lacks(Mutant::OneLocationPerChunk) {
            self.location = usable.iter().take(1).fold(Set::default(), |_, pack| Set::only(pack));
        }
        Step::Done
    }

    /// Step 3: a listing made after the *newest* ack, and with no newer epoch in sight.
    fn list_parent(&mut self, store: &Store) -> Step {
        let in_time = self.is_working() && self.acked == self.seen && self.refers == Reference::None;
        if !in_time || self.parent || store.live_snapshots().is_empty() {
            return Step::Impossible;
        }
        self.parent = true;
        Step::Done
    }

    /// Step 3: a subtree of the parent counts as a reference to every chunk below it.
    fn take_over_subtree(&mut self) -> Step {
        if !self.is_working() || !self.parent || self.refers != Reference::None {
            return Step::Impossible;
        }
        self.refers = Reference::Subtree;
        self.parent = false;
        Step::Done
    }

    /// Step 3: the upload runs beside everything else, so that a poll may fall between this and its answer.
    fn send_pack(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        if !self.is_working() || self.refers != Reference::None || self.pack != Upload::Unsent {
            return Step::Impossible;
        }
        store.packs_sent.insert(sid.pack());
        self.pack = Upload::InFlight;
        if rules.lacks(Mutant::CommitBeforePack) {
            self.refers = Reference::Chunk;
        }
        Step::Done
    }

    /// Step 3: created, or there already with one's own bytes.
    fn hear_that_pack_is_stored(&mut self, sid: Sid, store: &Store) -> Step {
        if self.phase != Phase::Open || self.pack != Upload::InFlight || !store.packs.has(sid.pack()) {
            return Step::Impossible;
        }
        self.pack = Upload::Stored;
        self.index.insert(sid.pack());
        if self.refers == Reference::None {
            self.refers = Reference::Chunk;
        }
        Step::Done
    }

    /// Step 3. A foreign segment under one's own name, which closes the series, means that the session is
    /// lost.
    fn write_segment(&mut self, sid: Sid, store: &mut Store) -> Step {
        if self.phase != Phase::Open || self.pack != Upload::Stored || store.indexed.has(sid.pack()) {
            return Step::Impossible;
        }
        if store.closed.has(sid) {
            self.end(Phase::Lost);
        } else {
            store.indexed.insert(sid.pack());
        }
        Step::Done
    }

    /// Step 5: the first create wins. No poll is needed before it.
    fn create_snapshot(&mut self, sid: Sid, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let ready = match self.pack {
            Upload::Unsent => true,
            Upload::InFlight => rules.lacks(Mutant::CommitBeforePack),
            Upload::Stored => store.indexed.has(sid.pack()),
        };
        let begins = self.is_working() && self.refers != Reference::None && ready;
        if !begins && self.phase != Phase::Committing {
            return Step::Impossible;
        }
        if rules.lacks(Mutant::FenceOverwritten) {
            store.fences.remove(sid);
        }
        match store.register(sid) {
            Register::Fence => {
                self.end(Phase::Lost);
                return Step::Done;
            }
            Register::Empty => {
                store.snapshots.insert(sid);
                store.snapshots_sent.insert(sid);
            }
            Register::Snapshot => {}
        }
        match answer {
            Answer::Lost => self.phase = Phase::Committing,
            // Without compaction the catalogue stays empty.
            Answer::Heard if rules.bounds.compactions > 0 => self.end(Phase::Committed),
            Answer::Heard => self.end(Phase::Reported),
        }
        Step::Done
    }

    /// Step 5, then: one's own id named dead in the catalogue counts as a FENCE.
    fn read_catalogue(&mut self, sid: Sid, store: &Store, rules: &Rules) -> Step {
        if self.phase != Phase::Committed {
            return Step::Impossible;
        }
        let dead = store.catalogue.dead.has(sid) && !rules.lacks(Mutant::CatalogueNotRead);
        self.phase = if dead { Phase::Lost } else { Phase::Reported };
        Step::Done
    }

    /// Nothing else of the local state matters any more.
    fn end(&mut self, phase: Phase) {
        *self = Self { phase, stale_cache: self.stale_cache, ..Self::default() };
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        Self {
            objections: self.objections.map(|packs| packs.swapped(one, other)),
            index: self.index.swapped(one, other),
            location: self.location.swapped(one, other),
            ..*self
        }
    }
}
