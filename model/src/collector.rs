//! The garbage collector: one epoch after the other, its own or taken over from another collector.
//!
//! A collector that crashes forgets everything and begins again at step 0.

use crate::mutant::Mutant;
use crate::rules::{Answer, Rules, Step};
use crate::store::{Condemned, Epoch, Pack, Packs, Place, Register, Sid, Sids, Store};

/// What a collector knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Stage {
    /// Nothing.
    #[default]
    Idle,
    /// Steps 0 and 1: it has listed sessions and snapshots for a new epoch.
    Listed {
        /// The number of the new epoch: that of the newest one plus 1.
        epoch: Epoch,
        /// All listed snapshots, dead or alive.
        snapshots: Sids,
        /// Sessions whose register wasn't empty.
        decided: Sids,
    },
    /// Step 2, if live chunks are rewritten: its own session is open.
    Rewriting {
        /// As listed.
        epoch: Epoch,
        /// As listed.
        snapshots: Sids,
        /// As listed, without those that only the catalogue names.
        decided: Sids,
        /// The session that rewrites.
        session: Sid,
    },
    /// Step 2: it has chosen what to condemn.
    Marked {
        /// As listed.
        epoch: Epoch,
        /// The content of `condemned`.
        condemned: Condemned,
        /// Sessions that were undecided. Only for the mutants that list sessions too early.
        early: Sids,
        /// The session that has rewritten packs for this.
        session: Sids,
    },
    /// Step 3: `condemned` exists, made by this collector or by another.
    Published {
        /// The unfinished epoch.
        epoch: Epoch,
        /// The session that has rewritten packs for this.
        session: Sids,
    },
    /// Step 4: it waits for acks.
    Waiting {
        /// The unfinished epoch.
        epoch: Epoch,
        /// Sessions that were undecided when they were listed and had not acked.
        silent: Sids,
        /// The session that has rewritten packs for this.
        session: Sids,
    },
    /// Step 5: it has computed a verdict, which isn't stored yet.
    ListedAgain {
        /// The unfinished epoch.
        epoch: Epoch,
        /// condemned − spared, as this collector has computed it.
        verdict: Packs,
    },
    /// Step 7: it removes packs.
    Removing {
        /// Packs that a verdict names and that are still to be removed.
        packs: Packs,
    },
}

/// What a collector can do next, in the order of the design's steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CollectorStep {
    /// (0), (1)
    Begin,
    /// (1), (2)
    Mark(Packs),
    /// (2)
    OpenRewritingSession,
    /// (2)
    WritePack,
    /// (2)
    IndexPack,
    /// (2)
    FenceOwnSession,
    /// (2)
    CondemnRewritten(Packs),
    /// (3)
    CreateCondemned(Answer),
    /// (4)
    ListSessions,
    /// (4), and at any other time
    Fence(Sid),
    /// (5)
    ListAgain,
    /// (6)
    CreateDone(Answer),
    /// (7)
    Remove(Pack),
    /// Removes packs that are dead for ever and were stored again.
    SweepDead,
    /// At any time.
    Crash,
}

/// A collector. All that it knows is its stage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Collector {
    /// How far it is.
    pub stage: Stage,
}

impl Collector {
    /// Runs one step, if it is possible now.
    pub fn step(&mut self, step: CollectorStep, store: &mut Store, rules: &Rules) -> Step {
        match step {
            CollectorStep::Begin => self.begin(store, rules),
            CollectorStep::Mark(packs) => self.mark(packs, store, rules),
            CollectorStep::OpenRewritingSession => self.open_rewriting_session(store, rules),
            CollectorStep::WritePack => self.write_pack(store),
            CollectorStep::IndexPack => self.index_pack(store),
            CollectorStep::FenceOwnSession => self.fence_own_session(store, rules),
            CollectorStep::CondemnRewritten(packs) => self.condemn_rewritten(packs, store, rules),
            CollectorStep::CreateCondemned(answer) => self.create_condemned(answer, store, rules),
            CollectorStep::ListSessions => self.list_sessions(store, rules),
            CollectorStep::Fence(sid) => self.fence(sid, store, rules),
            CollectorStep::ListAgain => self.list_again(store, rules),
            CollectorStep::CreateDone(answer) => self.create_done(answer, store, rules),
            CollectorStep::Remove(pack) => self.remove(pack, store, rules),
            CollectorStep::SweepDead => self.sweep_dead(store),
            CollectorStep::Crash => self.crash(),
        }
    }

    /// Steps 0 and 1: read the newest epoch. If it has no verdict, take it over; otherwise list sessions and
    /// snapshots.
    fn begin(&mut self, store: &Store, rules: &Rules) -> Step {
        if self.stage != Stage::Idle {
            return Step::Impossible;
        }
        if !store.epochs_are_readable() {
            return Step::Impossible;
        }
        let newest = store.newest_epoch();
        if newest > store.newest_verdict() {
            self.stage = if rules.lacks(Mutant::TakeoverWithoutWaiting) {
                Stage::Waiting { epoch: newest, silent: Sids::default(), session: Sids::default() }
            } else {
                Stage::Published { epoch: newest, session: Sids::default() }
            };
            return Step::Done;
        }
        if newest >= rules.bounds.epochs || !store.registers_are_readable() {
            return Step::Impossible;
        }
        let (snapshots, decided) = (store.snapshots, store.snapshots.union(store.fences));
        self.stage = Stage::Listed { epoch: newest + 1, snapshots, decided };
        Step::Done
    }

    /// Steps 1 and 2: *then* read the states and the catalogue. Condemn packs without live chunks whose owner
    /// was decided in the listing.
    fn mark(&mut self, packs: Packs, store: &mut Store, rules: &Rules) -> Step {
        let Stage::Listed { epoch, snapshots, decided } = self.stage else { return Step::Impossible };
        let live = snapshots.difference(store.forgotten).difference(store.catalogue);
        let mut possible = condemnable(decided, store, rules);
        if !live.is_empty() {
            possible = possible.intersection(without_live_chunks(store, rules));
        }
        if !may_condemn(packs, possible, store, rules) {
            return Step::Impossible;
        }
        if rules.lacks(Mutant::RemovalBeforeVerdict) {
            store.packs = store.packs.difference(packs);
        }
        let early = store.sessions.difference(store.decided());
        let condemned = Condemned { packs, snapshots };
        self.stage =
            Stage::Marked { epoch, condemned, early: early_listing(early, rules), session: Sids::default() };
        Step::Done
    }

    /// Step 2, repacking: a session of the collector's own.
    fn open_rewriting_session(&mut self, store: &mut Store, rules: &Rules) -> Step {
        let Stage::Listed { epoch, snapshots, decided } = self.stage else { return Step::Impossible };
        let first = rules.bounds.writers + 1;
        let used = store.sessions.union(store.catalogue);
        let free = (first..first + rules.bounds.repacks).map(Sid).find(|sid| !used.contains(*sid));
        let live = snapshots.difference(store.forgotten).difference(store.catalogue);
        let Some(session) = free.filter(|_| !live.is_empty()) else { return Step::Impossible };
        store.sessions.insert(session);
        self.stage = Stage::Rewriting { epoch, snapshots, decided, session };
        Step::Done
    }

    /// Step 2, repacking: the live chunk is read from a pack, and written into a new one.
    fn write_pack(&mut self, store: &mut Store) -> Step {
        let Stage::Rewriting { session, .. } = self.stage else { return Step::Impossible };
        if store.sound_packs().is_empty() || !store.packs_sent.insert(session.pack()) {
            return Step::Impossible;
        }
        store.packs.insert(session.pack());
        Step::Done
    }

    /// Step 2, repacking: readers find the new copy before the old one is condemned.
    fn index_pack(&mut self, store: &mut Store) -> Step {
        let Stage::Rewriting { session, .. } = self.stage else { return Step::Impossible };
        let stored = store.packs.contains(session.pack());
        if !stored || !store.indexed.insert(session.pack()) {
            return Step::Impossible;
        }
        Step::Done
    }

    /// Step 2, repacking: the session is closed in its own register before step 3, by this collector or by
    /// another one that assumed the session was silent.
    fn fence_own_session(&mut self, store: &mut Store, rules: &Rules) -> Step {
        let Stage::Rewriting { session, .. } = self.stage else { return Step::Impossible };
        let indexed = store.indexed.contains(session.pack()) || rules.lacks(Mutant::RepackNotIndexed);
        if !indexed || !store.packs.contains(session.pack()) || store.register(session) != Register::Empty {
            return Step::Impossible;
        }
        store.fences.insert(session);
        Step::Done
    }

    /// Step 2: packs whose live chunks were just rewritten and indexed.
    fn condemn_rewritten(&mut self, packs: Packs, store: &Store, rules: &Rules) -> Step {
        let Stage::Rewriting { epoch, snapshots, decided, session } = self.stage else {
            return Step::Impossible;
        };
        let own = session.pack();
        let indexed = store.indexed.contains(own) || rules.lacks(Mutant::RepackNotIndexed);
        let closed = store.fences.contains(session) || rules.lacks(Mutant::RepackNotFenced);
        if !indexed || !closed || !store.packs.contains(own) || packs.contains(own) {
            return Step::Impossible;
        }
        if !may_condemn(packs, condemnable(decided, store, rules), store, rules) {
            return Step::Impossible;
        }
        let condemned = Condemned { packs, snapshots };
        self.stage = Stage::Marked { epoch, condemned, early: Sids::default(), session: Sids::only(session) };
        Step::Done
    }

    /// Step 3. On a conflict the collector begins again and forgets everything.
    fn create_condemned(&mut self, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let Stage::Marked { epoch, condemned, early, session } = self.stage else { return Step::Impossible };
        if rules.lacks(Mutant::EpochNamesFreed) && store.epoch(epoch).done.is_some() {
            let objects = store.epoch_mut(epoch);
            (objects.condemned, objects.done) = (None, None);
        }
        if store.junk.contains(Place::Condemned(epoch)) {
            self.stage = Stage::Idle;
            return Step::Done;
        }
        let name = &mut store.epoch_mut(epoch).condemned;
        match (*name, answer) {
            (None, Answer::Lost) => *name = Some(condemned),
            (None, Answer::Received) => {
                *name = Some(condemned);
                self.stage = self.published(epoch, early, session, rules);
            }
            (Some(_), Answer::Lost) => return Step::Impossible,
            (Some(found), Answer::Received) if found == condemned => {
                self.stage = self.published(epoch, early, session, rules);
            }
            (Some(_), Answer::Received) => self.stage = Stage::Idle,
        }
        Step::Done
    }

    fn published(&self, epoch: Epoch, early: Sids, session: Sids, rules: &Rules) -> Stage {
        if rules.lacks(Mutant::SessionsListedBeforeCondemned) {
            Stage::Waiting { epoch, silent: early, session }
        } else {
            Stage::Published { epoch, session }
        }
    }

    /// Step 4: sessions are listed *after* `condemned` exists, registers and the catalogue after the
    /// sessions.
    fn list_sessions(&mut self, store: &Store, rules: &Rules) -> Step {
        let Stage::Published { epoch, session } = self.stage else { return Step::Impossible };
        let mut silent = silent(store.sessions, epoch, store);
        if rules.lacks(Mutant::JunkDecides) {
            silent = silent.difference(store.junk_registers());
        }
        self.stage = Stage::Waiting { epoch, silent, session };
        Step::Done
    }

    /// Step 4, and at any other time: a session that has been silent longer than the timeout gets a FENCE.
    /// The clock may show any time, and the FENCE of a paused collector may find a register that compaction
    /// has made free.
    fn fence(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        let known = store.sessions.union(store.catalogue).contains(sid);
        if !known || store.register(sid) != Register::Empty {
            return Step::Impossible;
        }
        let waits = match self.stage {
            Stage::Waiting { epoch, silent: listed, .. } => silent(listed, epoch, store).contains(sid),
            _ => false,
        };
        if !waits && !rules.bounds.early_fences {
            return Step::Impossible;
        }
        if let Stage::Waiting { silent: listed, session, .. } = &mut self.stage {
            match () {
                () if !waits => {}
                () if rules.lacks(Mutant::ClockTrusted) => {
                    listed.remove(sid);
                    return Step::Done;
                }
                () if rules.lacks(Mutant::LockBroken) => {
                    listed.remove(sid);
                    store.sessions.remove(sid);
                    return Step::Done;
                }
                // Only this collector can end its own session: it would wait for itself.
                () if rules.lacks(Mutant::RepackNotFenced) && session.contains(sid) => {
                    return Step::Impossible;
                }
                () => {}
            }
        }
        store.fences.insert(sid);
        Step::Done
    }

    /// Step 5, when every session has acked or is decided: spare the packs that the objections name, and the
    /// packs of all snapshots that `condemned` doesn't name, whether these are forgotten or not.
    fn list_again(&mut self, store: &Store, rules: &Rules) -> Step {
        let Stage::Waiting { epoch, silent: listed, .. } = self.stage else { return Step::Impossible };
        let objects = store.epoch(epoch);
        let Some(condemned) = objects.condemned.filter(|_| silent(listed, epoch, store).is_empty()) else {
            return Step::Impossible;
        };
        let mut newer = store.snapshots.difference(store.catalogue).difference(condemned.snapshots);
        if rules.lacks(Mutant::ForgottenNotSpared) {
            newer = newer.difference(store.forgotten);
        }
        let objections = match () {
            () if rules.bounds.objections_by_id => objects.objections.of_same_ids(),
            () => objects.objections,
        };
        let mut verdict = condemned.packs.difference(objections);
        if !newer.is_empty() && !rules.lacks(Mutant::NoSecondListing) {
            verdict = verdict.twins();
        }
        if rules.lacks(Mutant::VerdictById) {
            verdict = verdict.of_same_ids();
        }
        if !store.registers_are_readable() {
            verdict = Packs::default();
        }
        self.stage = Stage::ListedAgain { epoch, verdict };
        Step::Done
    }

    /// Step 6: the verdict is a register. A collector that finds a verdict there takes it instead of its own.
    /// A collector that finds an object that isn't authentic stops.
    fn create_done(&mut self, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let Stage::ListedAgain { epoch, verdict } = self.stage else { return Step::Impossible };
        if store.junk.contains(Place::Done(epoch)) {
            self.remove_next(if rules.lacks(Mutant::JunkOverruled) { verdict } else { Packs::default() });
            return Step::Done;
        }
        let condemned = store.epoch(epoch).condemned.map(|condemned| condemned.packs).unwrap_or_default();
        let name = &mut store.epoch_mut(epoch).done;
        if answer == Answer::Lost && name.is_some() {
            return Step::Impossible;
        }
        let found = *name.get_or_insert(verdict);
        if answer == Answer::Received {
            let named = if rules.lacks(Mutant::NoVerdict) { verdict } else { found };
            self.remove_next(named.intersection(condemned));
        }
        Step::Done
    }

    /// Step 7: remove exactly what the verdict names.
    fn remove(&mut self, pack: Pack, store: &mut Store, rules: &Rules) -> Step {
        let Stage::Removing { mut packs } = self.stage else { return Step::Impossible };
        if !packs.remove(pack) {
            return Step::Impossible;
        }
        let named = Packs::only(pack);
        let names = if rules.lacks(Mutant::RemovalById) { named.of_same_ids() } else { named };
        store.packs = store.packs.difference(names);
        self.remove_next(packs);
        Step::Done
    }

    fn remove_next(&mut self, packs: Packs) {
        self.stage = if packs.is_empty() { Stage::Idle } else { Stage::Removing { packs } };
    }

    /// Packs in a verdict are dead for ever: any collector that lists a dead pack removes it.
    fn sweep_dead(&mut self, store: &Store) -> Step {
        let packs = store.packs.intersection(store.dead_packs());
        if self.stage != Stage::Idle || packs.is_empty() {
            return Step::Impossible;
        }
        self.stage = Stage::Removing { packs };
        Step::Done
    }

    /// Only what the store has is left.
    fn crash(&mut self) -> Step {
        if self.stage == Stage::Idle {
            return Step::Impossible;
        }
        self.stage = Stage::Idle;
        Step::Done
    }

    /// Whether it waits for a session of its own, which no other process ends before the timeout.
    #[must_use]
    pub fn waits_for_itself(&self, store: &Store) -> bool {
        match self.stage {
            Stage::Waiting { epoch, silent: listed, session } => {
                !silent(listed, epoch, store).intersection(session).is_empty()
            }
            _ => false,
        }
    }

    /// The unfinished epoch for which it waits or has listed again.
    #[must_use]
    pub fn swept_epoch(&self) -> Option<Epoch> {
        match self.stage {
            Stage::Waiting { epoch, .. } | Stage::ListedAgain { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let mut this = *self;
        let sids = |set: &mut Sids| *set = set.swapped(one, other);
        let packs = |set: &mut Packs| *set = set.swapped(one, other);
        match &mut this.stage {
            Stage::Idle => {}
            Stage::Listed { snapshots, decided, .. } | Stage::Rewriting { snapshots, decided, .. } => {
                sids(snapshots);
                sids(decided);
            }
            Stage::Marked { condemned, early, .. } => {
                packs(&mut condemned.packs);
                sids(&mut condemned.snapshots);
                sids(early);
            }
            Stage::Published { .. } => {}
            Stage::Waiting { silent, .. } => sids(silent),
            Stage::ListedAgain { verdict, .. } => packs(verdict),
            Stage::Removing { packs: left } => packs(left),
        }
        this
    }
}

/// Those of these sessions that are undecided and have acked neither this epoch nor a newer one.
fn silent(listed: Sids, epoch: Epoch, store: &Store) -> Sids {
    let acks = store.epochs[usize::from(epoch) - 1..].iter().map(|epoch| epoch.acks);
    acks.fold(listed.difference(store.decided()), Sids::difference)
}

/// A listing of sessions from before step 3. Only a mutant keeps it.
fn early_listing(early: Sids, rules: &Rules) -> Sids {
    if rules.lacks(Mutant::SessionsListedBeforeCondemned) { early } else { Sids::default() }
}

/// Step 2: packs that exist, aren't dead, and whose owner was decided in the listing.
fn condemnable(decided: Sids, store: &Store, rules: &Rules) -> Packs {
    let undead = store.packs.difference(store.dead_packs());
    match () {
        () if rules.lacks(Mutant::CondemnsUndecided) => undead,
        () => undead.intersection(decided.union(store.catalogue).names()),
    }
}

/// Step 2, while a snapshot is live: names that no segment lists. In each of the others the chunk may count,
/// or another live chunk.
fn without_live_chunks(store: &Store, rules: &Rules) -> Packs {
    let copies = store.copies.intersection(store.packs).difference(store.dead_packs());
    match () {
        () if rules.lacks(Mutant::UnlistedCounts) && !copies.is_empty() => store.packs.difference(copies),
        () => store.packs.twins(),
    }
}

/// Step 2: whether the choice of packs is allowed. A name isn't chosen while another name of the same id is
/// alive and listed in a segment: otherwise a twin, which no segment lists, could keep its pack for ever.
fn may_condemn(packs: Packs, possible: Packs, store: &Store, rules: &Rules) -> bool {
    let known = store.indexed.difference(store.dead_packs());
    let held = |chosen: Packs| match () {
        () if rules.bounds.twins_condemned_alone => Packs::default(),
        () => known.difference(chosen).of_same_ids(),
    };
    let chosen = match () {
        () if rules.bounds.any_subset => packs.difference(held(packs)),
        () => possible.difference(held(possible)),
    };
    !packs.is_empty() && packs.is_subset(possible) && packs == chosen
}
