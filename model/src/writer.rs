//! The writer: one session from its session object to its snapshot.

use crate::mutant::Mutant;
use crate::rules::{Answer, Rules, Step};
use crate::store::{Epoch, Pack, Packs, Register, Set, Sid, Store};

/// How far a session is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Phase {
    /// There is no session object yet. The cache may already be filled.
    #[default]
    Idle,
    /// The session object exists.
    Open,
    /// The create of the snapshot has been sent. Whatever the answer is, only the same bytes may be sent
    /// again.
    Committing,
    /// The register holds this session's snapshot. The catalogue must still be read.
    Committed,
    /// The user was told that the backup succeeded.
    Reported,
    /// Fenced, by another process or by itself. The user was told that this session failed.
    Lost,
}

/// The session's own pack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Upload {
    /// Not written.
    #[default]
    Unsent,
    /// A create has been sent, and no answer has arrived.
    InFlight,
    /// The store has answered that the pack exists.
    Stored,
    /// Its segment is written.
    Indexed,
}

/// How a session came to refer to the chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Reference {
    /// It doesn't.
    #[default]
    None,
    /// By the chunk's id: it found the chunk in the index, or wrote it.
    Chunk,
    /// As part of a subtree taken over from the parent.
    Subtree,
}

/// A writer and its local state. Its cache and its memory are the same: all of `index` may be old.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Writer {
    /// How far it is.
    pub phase: Phase,
    /// The newest epoch that it has read.
    pub seen: Option<Epoch>,
    /// The verdicts of all epochs up to this one are known.
    pub verdicts: Epoch,
    /// The newest epoch that it has acked.
    pub acked: Option<Epoch>,
    /// Objections that were collected for an ack that isn't created yet.
    pub objections: Option<Packs>,
    /// Locations of the chunk in the local index.
    pub index: Packs,
    /// Whether it refers to the chunk.
    pub refers: Reference,
    /// The pack that the reference depends on. Once chosen, it stays, whatever is loaded into the index
    /// later.
    pub support: Option<Pack>,
    /// Whether it has stopped referring to packs that the newest seen epoch condemns.
    pub stopped: bool,
    /// Whether a parent was listed in time, so that its subtrees may be taken over.
    pub parent: bool,
    /// Its own pack.
    pub pack: Upload,
    /// Whether its cache was old, rolled back or lost when it read its first epoch. No process reads this.
    pub stale_cache: bool,
}

/// Whether the mutant removes the packs of a verdict from the index when it reads the verdict, instead of
/// applying all verdicts to each lookup.
fn filters_once(rules: &Rules) -> bool {
    rules.lacks(Mutant::LateSegmentsUnfiltered) || rules.lacks(Mutant::CacheAheadOfItsContent)
}

/// The packs that a rebuilt index finds by reading the packs themselves: their ids are the hashes of their
/// bytes. The id of junk isn't.
fn rebuilt(store: &Store, rules: &Rules) -> Packs {
    let readable = store.packs.without_twins().union(store.packs.intersection(store.copies));
    if rules.lacks(Mutant::UnlistedSupports) { readable } else { Packs::default() }
}

/// What a writer can do next, in the order of the design's steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterStep {
    /// At any time.
    LoadIndex,
    /// (1)
    CreateSession(Answer),
    /// (2), (4)
    ReadNewestEpoch,
    /// (4)
    ReadVerdict,
    /// (4)
    LookUpSubtree(Pack),
    /// (4)
    StopReferring,
    /// (4)
    CollectObjections,
    /// (2), (4)
    CreateAck(Answer),
    /// (4)
    CheckRegister,
    /// (3)
    ReferToKnownChunk(Pack),
    /// (3)
    ListParent,
    /// (3)
    TakeOverSubtree,
    /// (3)
    SendPack,
    /// (3)
    LearnThatPackIsStored,
    /// (3)
    WriteSegment,
    /// (5)
    CreateSnapshot(Answer),
    /// (5)
    ReadCatalogue,
    /// At any time until (5)
    GiveUp,
}

impl Writer {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, sid: Sid, step: WriterStep, store: &mut Store, rules: &Rules) -> Step {
        match step {
            WriterStep::LoadIndex => self.load_index(store, rules),
            WriterStep::CreateSession(answer) => self.create_session(sid, answer, store, rules),
            WriterStep::ReadNewestEpoch => self.read_newest_epoch(store, rules),
            WriterStep::ReadVerdict => self.read_verdict(store, rules),
            WriterStep::LookUpSubtree(pack) => self.look_up_subtree(pack, store, rules),
            WriterStep::StopReferring => self.stop_referring(store, rules),
            WriterStep::CollectObjections => self.collect_objections(store, rules),
            WriterStep::CreateAck(answer) => self.create_ack(sid, answer, store),
            WriterStep::CheckRegister => self.check_register(sid, store),
            WriterStep::ReferToKnownChunk(pack) => self.refer_to_known_chunk(pack, store, rules),
            WriterStep::ListParent => self.list_parent(store, rules),
            WriterStep::TakeOverSubtree => self.take_over_subtree(),
            WriterStep::SendPack => self.send_pack(sid, store, rules),
            WriterStep::LearnThatPackIsStored => self.learn_that_pack_is_stored(sid, store),
            WriterStep::WriteSegment => self.write_segment(sid, store),
            WriterStep::CreateSnapshot(answer) => self.create_snapshot(sid, answer, store, rules),
            WriterStep::ReadCatalogue => self.read_catalogue(sid, store, rules),
            WriterStep::GiveUp => self.give_up(sid, store),
        }
    }

    /// Whether it has acked once, and so may refer to chunks.
    fn is_working(&self) -> bool {
        self.phase == Phase::Open && self.acked.is_some()
    }

    /// The index loads all segments. It may do so long before the session begins, and never again: that is
    /// a stale cache, or one that was rolled back.
    fn load_index(&mut self, store: &Store, rules: &Rules) -> Step {
        if !matches!(self.phase, Phase::Idle | Phase::Open) {
            return Step::Impossible;
        }
        let new = store.indexed.union(rebuilt(store, rules)).difference(self.index);
        self.index = self.index.union(new);
        if rules.lacks(Mutant::OneLocationPerChunk) && self.support.is_some() {
            self.support = new.iter().next().or(self.support);
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
        if answer == Answer::Received {
            self.phase = Phase::Open;
        }
        Step::Done
    }

    /// Steps 2 and 4: read the newest epoch and all verdicts so far. No parent is listed and no subtree taken
    /// over from here to the ack.
    fn read_newest_epoch(&mut self, store: &Store, rules: &Rules) -> Step {
        let newest = store.newest_epoch();
        let right_time = match self.seen {
            None if rules.lacks(Mutant::EpochReadBeforeSession) => self.phase == Phase::Idle,
            None => self.phase == Phase::Open,
            Some(seen) => self.phase == Phase::Open && self.acked == self.seen && newest > seen,
        };
        if !right_time || !store.epochs_are_readable() {
            return Step::Impossible;
        }
        let first = self.seen.is_none();
        if first {
            self.stale_cache = self.index != store.indexed.difference(store.dead_packs());
        }
        self.seen = Some(newest);
        // There is no other thread yet that could refer to a chunk.
        self.stopped = first;
        if first && rules.lacks(Mutant::CacheAheadOfItsContent) {
            self.verdicts = store.newest_verdict();
        } else {
            self.learn_verdicts(store.newest_verdict(), store, rules);
        }
        if newest == 0 {
            // No process reads acks of the time before the first epoch.
            self.acked = Some(0);
        }
        Step::Done
    }

    /// Step 4, for a chunk below the parent that was never looked up: the known packs on which it may depend.
    /// Packs that the epoch doesn't condemn are preferred, because an objection keeps a condemned pack from
    /// being removed.
    fn supports(&self, store: &Store, rules: &Rules) -> Packs {
        let looks = match self.refers {
            Reference::Subtree => !rules.lacks(Mutant::SubtreesNotObjected),
            Reference::None => self.parent && !rules.lacks(Mutant::ParentNotLookedUp),
            Reference::Chunk => false,
        };
        if !looks || self.support.is_some() {
            return Packs::default();
        }
        let known = match () {
            () if rules.lacks(Mutant::DeadSupport) => self.index,
            () => self.undead(store, rules),
        };
        let others = known.difference(self.condemned(store));
        if others.is_empty() { known } else { others }
    }

    /// Step 4, *first*: other threads may still refer to packs that the epoch condemns. The index may have
    /// been loaded just before.
    fn look_up_subtree(&mut self, pack: Pack, store: &Store, rules: &Rules) -> Step {
        let seen = self.phase == Phase::Open && self.acked != self.seen && !self.stopped;
        if !seen || !self.supports(store, rules).contains(pack) {
            return Step::Impossible;
        }
        self.support = Some(pack);
        Step::Done
    }

    /// Step 4, *then*.
    fn stop_referring(&mut self, store: &Store, rules: &Rules) -> Step {
        let seen = self.phase == Phase::Open && self.acked != self.seen && !self.stopped;
        if !seen || !self.supports(store, rules).is_empty() {
            return Step::Impossible;
        }
        self.stopped = true;
        Step::Done
    }

    /// An epoch that was unfinished has a verdict now: packs that it spared can be used again.
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
            self.index = self.index.difference(store.verdicts_up_to(newest));
        }
        self.verdicts = newest;
    }

    /// The packs that the newest seen epoch condemns.
    fn condemned(&self, store: &Store) -> Packs {
        let epoch = self.seen.filter(|epoch| *epoch > 0);
        let condemned = epoch.and_then(|epoch| store.epoch(epoch).condemned);
        condemned.map(|condemned| condemned.packs).unwrap_or_default()
    }

    /// Known locations, except those that are dead according to the known verdicts.
    fn undead(&self, store: &Store, rules: &Rules) -> Packs {
        match () {
            () if rules.lacks(Mutant::ProbesForPacks) => self.index.intersection(store.packs),
            () if rules.lacks(Mutant::VerdictsForgotten) => match self.seen {
                Some(epoch) if epoch > 0 => {
                    self.index.difference(store.epoch(epoch).done.unwrap_or_default())
                }
                _ => self.index,
            },
            () if filters_once(rules) => self.index,
            () => self.index.difference(store.verdicts_up_to(self.verdicts)),
        }
    }

    /// Known locations to which the session may refer: neither dead nor condemned by an unfinished epoch.
    #[must_use]
    pub fn usable_packs(&self, store: &Store, rules: &Rules) -> Packs {
        let stopped = self.stopped && !rules.lacks(Mutant::ObjectionsBeforeStopping);
        let condemned = match if stopped { self.seen } else { self.acked } {
            Some(epoch) if epoch > self.verdicts => store.epoch(epoch).condemned.map(|it| it.packs),
            _ => None,
        };
        self.undead(store, rules).difference(condemned.unwrap_or_default())
    }

    /// Step 4, *then*: object to the removal of the pack that the reference depends on, if it is condemned.
    /// For a chunk below the parent that no known pack has, object to the removal of every condemned pack.
    fn collect_objections(&mut self, store: &Store, rules: &Rules) -> Step {
        let due = self.seen.is_some() && self.acked != self.seen && self.objections.is_none();
        let early = rules.lacks(Mutant::ObjectionsBeforeStopping);
        if self.phase != Phase::Open || !due || !(self.stopped || early) {
            return Step::Impossible;
        }
        let condemned = self.condemned(store);
        let unknown = match self.refers {
            Reference::Subtree => !rules.lacks(Mutant::SubtreesNotObjected),
            Reference::None => self.parent && !rules.lacks(Mutant::ParentNotLookedUp),
            Reference::Chunk => false,
        };
        self.objections = Some(match self.support {
            _ if rules.lacks(Mutant::AckWithoutObjections) => Packs::default(),
            Some(pack) if rules.lacks(Mutant::OneNamePerId) => {
                let listed = condemned.intersection(Set::only(pack).of_same_ids());
                listed.iter().last().map(Set::only).unwrap_or_default()
            }
            Some(pack) => condemned.intersection(Set::only(pack)),
            None if unknown && !rules.lacks(Mutant::UnknownNotObjected) => condemned,
            None => Packs::default(),
        });
        Step::Done
    }

    /// Steps 2 and 4, *then*. A retry sends the same bytes, because the objections are kept until an answer
    /// arrives.
    fn create_ack(&mut self, sid: Sid, answer: Answer, store: &mut Store) -> Step {
        let (Some(epoch), Some(objections), Phase::Open) = (self.seen, self.objections, self.phase) else {
            return Step::Impossible;
        };
        let objects = store.epoch_mut(epoch);
        if objects.acks.insert(sid) {
            objects.objections = objects.objections.union(objections);
        }
        if answer == Answer::Received {
            self.acked = self.seen;
            self.objections = None;
        }
        Step::Done
    }

    /// Step 4: a verdict without an ack of this session can only mean that the session was fenced.
    fn check_register(&mut self, sid: Sid, store: &Store) -> Step {
        let newest = store.newest_verdict();
        let missed = self.acked.is_some_and(|epoch| epoch < newest);
        let taken = store.register(sid) != Register::Empty;
        if self.phase != Phase::Open || !missed || !taken {
            return Step::Impossible;
        }
        self.end(Phase::Lost);
        Step::Done
    }

    /// Step 3: deduplicate against the index, with any of the usable packs as support. Undelete does exactly
    /// this for every chunk of the forgotten tree.
    fn refer_to_known_chunk(&mut self, pack: Pack, store: &Store, rules: &Rules) -> Step {
        let possible = match self.support {
            Some(support) => Set::only(support),
            None => self.usable_packs(store, rules),
        };
        if !self.is_working() || self.refers != Reference::None || !possible.contains(pack) {
            return Step::Impossible;
        }
        self.refers = Reference::Chunk;
        self.support = Some(pack);
        Step::Done
    }

    /// Step 3: a listing made after the *newest* ack, when no newer epoch was seen. A session that finds no
    /// epoch at all may use a listing from before it began: for example of session 0, which was not forgotten
    /// then.
    fn list_parent(&mut self, store: &Store, rules: &Rules) -> Step {
        let working = self.is_working() && self.acked == self.seen;
        let before = self.seen == Some(0) || rules.lacks(Mutant::ParentListedTooEarly);
        let listed = match () {
            () if rules.lacks(Mutant::GhostsListed) => store.snapshots.difference(store.forgotten),
            () => store.live_snapshots(),
        };
        let live = before || !listed.is_empty();
        if !working || self.refers != Reference::None || self.parent || !live {
            return Step::Impossible;
        }
        self.parent = true;
        Step::Done
    }

    /// Step 3: a subtree of the parent counts as a reference to every chunk below it. If an epoch was seen
    /// since the parent was listed, all its chunks have been looked up.
    fn take_over_subtree(&mut self) -> Step {
        let working = self.is_working() && self.acked == self.seen;
        if !working || !self.parent || self.refers != Reference::None {
            return Step::Impossible;
        }
        self.refers = Reference::Subtree;
        self.parent = false;
        Step::Done
    }

    /// Step 3: the upload runs in parallel, so a poll may come between this step and its answer.
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

    /// Step 3: the pack was created, or exists already with the session's own bytes.
    fn learn_that_pack_is_stored(&mut self, sid: Sid, store: &Store) -> Step {
        if self.phase != Phase::Open || self.pack != Upload::InFlight || !store.packs.contains(sid.pack()) {
            return Step::Impossible;
        }
        self.pack = Upload::Stored;
        self.index.insert(sid.pack());
        if self.refers == Reference::None {
            self.refers = Reference::Chunk;
            self.support.get_or_insert(sid.pack());
        }
        Step::Done
    }

    /// Step 3.
    fn write_segment(&mut self, sid: Sid, store: &mut Store) -> Step {
        if self.phase != Phase::Open || self.pack != Upload::Stored {
            return Step::Impossible;
        }
        self.pack = Upload::Indexed;
        store.indexed.insert(sid.pack());
        Step::Done
    }

    /// Step 5: the first create wins. No poll is needed before it.
    fn create_snapshot(&mut self, sid: Sid, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let ready = match self.pack {
            Upload::Unsent => true,
            Upload::InFlight => rules.lacks(Mutant::CommitBeforePack),
            Upload::Stored => false,
            Upload::Indexed => true,
        };
        let begins = self.is_working() && self.refers != Reference::None && ready;
        if !begins && self.phase != Phase::Committing {
            return Step::Impossible;
        }
        if rules.lacks(Mutant::FenceOverwritten) {
            store.fences.remove(sid);
        }
        match store.register(sid) {
            Register::Fence | Register::Junk => {
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
            Answer::Received if rules.bounds.compactions > 0 => self.end(Phase::Committed),
            Answer::Received => self.end(Phase::Reported),
        }
        Step::Done
    }

    /// Step 5, then: the session's own id in the catalogue counts as a FENCE.
    fn read_catalogue(&mut self, sid: Sid, store: &Store, rules: &Rules) -> Step {
        if self.phase != Phase::Committed {
            return Step::Impossible;
        }
        let dead = store.catalogue.contains(sid) && !rules.lacks(Mutant::CatalogueNotRead);
        self.phase = if dead { Phase::Lost } else { Phase::Reported };
        Step::Done
    }

    /// After an error, until the snapshot is sent: the session creates its own FENCE, so that no prune waits
    /// for it.
    fn give_up(&mut self, sid: Sid, store: &mut Store) -> Step {
        if self.phase != Phase::Open {
            return Step::Impossible;
        }
        if store.register(sid) == Register::Empty {
            store.fences.insert(sid);
        }
        self.end(Phase::Lost);
        Step::Done
    }

    /// For a fenced session, when the last epoch of a history has its verdict: other processes can see only
    /// its pack.
    pub fn forget_after_fence(&mut self, last: Epoch) {
        *self = match self.phase {
            Phase::Idle | Phase::Open => Self {
                phase: Phase::Open,
                seen: Some(last),
                verdicts: last,
                acked: Some(last),
                stopped: true,
                pack: self.pack,
                ..Self::default()
            },
            Phase::Committing | Phase::Committed | Phase::Reported | Phase::Lost => {
                Self { phase: Phase::Lost, ..Self::default() }
            }
        };
    }

    /// Ends the session: the rest of the local state doesn't matter any more.
    fn end(&mut self, phase: Phase) {
        *self = Self { phase, stale_cache: self.stale_cache, ..Self::default() };
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        Self {
            objections: self.objections.map(|packs| packs.swapped(one, other)),
            index: self.index.swapped(one, other),
            support: self.support.map(|pack| pack.swapped(one, other)),
            ..*self
        }
    }
}
