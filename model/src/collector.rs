//! The garbage collector: one epoch after the other, begun by itself or taken over from another.
//!
//! A collector that crashes keeps nothing, and begins again at step 0.

use crate::mutant::Mutant;
use crate::rules::{Answer, Rules, Step};
use crate::store::{Condemned, EPOCHS_MAX, Epoch, Pack, Packs, Place, Register, Sid, Sids, Store};

/// What a collector knows between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Turn {
    /// Nothing.
    #[default]
    Idle,
    /// Steps 0 and 1: the epoch that it wants to make, and what it listed.
    Listed {
        /// The newest epoch + 1.
        epoch: Epoch,
        /// All snapshots, dead or alive.
        snapshots: Sids,
        /// Sessions whose register wasn't empty.
        decided: Sids,
    },
    /// Step 2, when live chunks move: its own session is open.
    Rewriting {
        /// As listed.
        epoch: Epoch,
        /// As listed.
        snapshots: Sids,
        /// As listed, and not as the catalogue says.
        decided: Sids,
        /// The session that rewrites.
        session: Sid,
    },
    /// Step 2: what it wants to condemn.
    Marked {
        /// As listed.
        epoch: Epoch,
        /// What `condemned` is to say.
        condemned: Condemned,
        /// Only for the mutants that list sessions too early: those that were undecided.
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
    /// Step 4.
    Waiting {
        /// The unfinished epoch.
        epoch: Epoch,
        /// Sessions that were undecided when they were listed, and had not acked.
        silent: Sids,
        /// The session that has rewritten packs for this.
        session: Sids,
    },
    /// Step 5: its own opinion, of no weight yet.
    ListedAgain {
        /// The unfinished epoch.
        epoch: Epoch,
        /// condemned − spared, as this collector sees it.
        verdict: Packs,
    },
    /// Step 7: what is still to be removed.
    Removing {
        /// Named by a verdict.
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
    /// (4), any time
    Fence(Sid),
    /// (5)
    ListAgain,
    /// (6)
    CreateDone(Answer),
    /// (7)
    Remove(Pack),
    /// Dead for ever.
    SweepDead,
    /// Any time.
    Crash,
}

/// A collector is where it is in its turn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Collector {
    /// Where that is.
    pub turn: Turn,
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

    /// Steps 0 and 1: read the newest epoch; take it over if it has no verdict, else list sessions and
    /// snapshots.
    fn begin(&mut self, store: &Store, rules: &Rules) -> Step {
        if self.turn != Turn::Idle {
            return Step::Impossible;
        }
        if !store.can_hear_epochs() {
            return Step::Impossible;
        }
        let newest = store.newest_epoch();
        if newest > store.newest_verdict() {
            self.turn = if rules.lacks(Mutant::TakeoverWithoutWaiting) {
                Turn::Waiting { epoch: newest, silent: Sids::default(), session: Sids::default() }
            } else {
                Turn::Published { epoch: newest, session: Sids::default() }
            };
            return Step::Done;
        }
        if newest >= rules.bounds.epochs || !store.can_read_registers() {
            return Step::Impossible;
        }
        let (snapshots, decided) = (store.snapshots, store.snapshots.with(store.fences));
        self.turn = Turn::Listed { epoch: newest + 1, snapshots, decided };
        Step::Done
    }

    /// Steps 1 and 2: *then* read the states and the catalogue. Condemn packs without live chunks whose owner
    /// was decided in the listing.
    fn mark(&mut self, packs: Packs, store: &mut Store, rules: &Rules) -> Step {
        let Turn::Listed { epoch, snapshots, decided } = self.turn else { return Step::Impossible };
        let live = snapshots.without(store.forgotten).without(store.catalogue);
        let mut possible = condemnable(decided, store, rules);
        if !live.is_empty() {
            possible = possible.among(without_live_chunks(store, rules));
        }
        if !may_condemn(packs, possible, store, rules) {
            return Step::Impossible;
        }
        if rules.lacks(Mutant::RemovalBeforeVerdict) {
            store.packs = store.packs.without(packs);
        }
        let early = store.sessions.without(store.decided());
        let condemned = Condemned { packs, snapshots };
        self.turn =
            Turn::Marked { epoch, condemned, early: kept_early(early, rules), session: Sids::default() };
        Step::Done
    }

    /// Step 2, repacking: a session of the collector's own.
    fn open_rewriting_session(&mut self, store: &mut Store, rules: &Rules) -> Step {
        let Turn::Listed { epoch, snapshots, decided } = self.turn else { return Step::Impossible };
        let first = rules.bounds.writers + 1;
        let used = store.sessions.with(store.catalogue);
        let free = (first..first + rules.bounds.repacks).map(Sid).find(|sid| !used.has(*sid));
        let live = snapshots.without(store.forgotten).without(store.catalogue);
        let Some(session) = free.filter(|_| !live.is_empty()) else { return Step::Impossible };
        store.sessions.insert(session);
        self.turn = Turn::Rewriting { epoch, snapshots, decided, session };
        Step::Done
    }

    /// Step 2, repacking: the live chunk is read from a pack, and written into a new one.
    fn write_pack(&mut self, store: &mut Store) -> Step {
        let Turn::Rewriting { session, .. } = self.turn else { return Step::Impossible };
        if store.sound_packs().is_empty() || !store.packs_sent.insert(session.pack()) {
            return Step::Impossible;
        }
        store.packs.insert(session.pack());
        Step::Done
    }

    /// Step 2, repacking: readers find the new copy before the old one is condemned.
    fn index_pack(&mut self, store: &mut Store) -> Step {
        let Turn::Rewriting { session, .. } = self.turn else { return Step::Impossible };
        let stored = store.packs.has(session.pack());
        if !stored || !store.indexed.insert(session.pack()) {
            return Step::Impossible;
        }
        Step::Done
    }

    /// Step 2, repacking: the session is closed in its own register before step 3, by this collector or by
    /// another one that took it for silent.
    fn fence_own_session(&mut self, store: &mut Store, rules: &Rules) -> Step {
        let Turn::Rewriting { session, .. } = self.turn else { return Step::Impossible };
        let indexed = store.indexed.has(session.pack()) || rules.lacks(Mutant::RepackNotIndexed);
        if !indexed || !store.packs.has(session.pack()) || store.register(session) != Register::Empty {
            return Step::Impossible;
        }
        store.fences.insert(session);
        Step::Done
    }

    /// Step 2: packs whose live chunks were just rewritten and indexed.
    fn condemn_rewritten(&mut self, packs: Packs, store: &Store, rules: &Rules) -> Step {
        let Turn::Rewriting { epoch, snapshots, decided, session } = self.turn else {
            return Step::Impossible;
        };
        let own = session.pack();
        let indexed = store.indexed.has(own) || rules.lacks(Mutant::RepackNotIndexed);
        let closed = store.fences.has(session) || rules.lacks(Mutant::RepackNotFenced);
        if !indexed || !closed || !store.packs.has(own) || packs.has(own) {
            return Step::Impossible;
        }
        if !may_condemn(packs, condemnable(decided, store, rules), store, rules) {
            return Step::Impossible;
        }
        let condemned = Condemned { packs, snapshots };
        self.turn = Turn::Marked { epoch, condemned, early: Sids::default(), session: Sids::only(session) };
        Step::Done
    }

    /// Step 3. On conflict start over, with nothing kept.
    fn create_condemned(&mut self, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let Turn::Marked { epoch, condemned, early, session } = self.turn else { return Step::Impossible };
        if rules.lacks(Mutant::EpochNamesFreed) && store.epoch(epoch).done.is_some() {
            let objects = store.epoch_mut(epoch);
            (objects.condemned, objects.done) = (None, None);
        }
        if store.junk.has(Place::Condemned(epoch)) {
            self.turn = Turn::Idle;
            return Step::Done;
        }
        let name = &mut store.epoch_mut(epoch).condemned;
        match (*name, answer) {
            (None, Answer::Lost) => *name = Some(condemned),
            (None, Answer::Heard) => {
                *name = Some(condemned);
                self.turn = self.published(epoch, early, session, rules);
            }
            (Some(_), Answer::Lost) => return Step::Impossible,
            (Some(found), Answer::Heard) if found == condemned => {
                self.turn = self.published(epoch, early, session, rules);
            }
            (Some(_), Answer::Heard) => self.turn = Turn::Idle,
        }
        Step::Done
    }

    fn published(&self, epoch: Epoch, early: Sids, session: Sids, rules: &Rules) -> Turn {
        if rules.lacks(Mutant::SessionsListedBeforeCondemned) {
            Turn::Waiting { epoch, silent: early, session }
        } else {
            Turn::Published { epoch, session }
        }
    }

    /// Step 4: sessions are listed *after* `condemned` exists, registers and the catalogue after the
    /// sessions.
    fn list_sessions(&mut self, store: &Store, rules: &Rules) -> Step {
        let Turn::Published { epoch, session } = self.turn else { return Step::Impossible };
        let mut silent = silent(store.sessions, epoch, store);
        if rules.lacks(Mutant::JunkDecides) {
            silent = silent.without(store.junk_registers());
        }
        self.turn = Turn::Waiting { epoch, silent, session };
        Step::Done
    }

    /// Step 4 and at any other time: a session silent beyond the timeout gets a FENCE. What the clock says is
    /// anything, and the FENCE of a paused collector may also find a register that compaction has made free.
    fn fence(&mut self, sid: Sid, store: &mut Store, rules: &Rules) -> Step {
        let known = store.sessions.with(store.catalogue).has(sid);
        if !known || store.register(sid) != Register::Empty {
            return Step::Impossible;
        }
        let waits = match self.turn {
            Turn::Waiting { epoch, silent: listed, .. } => silent(listed, epoch, store).has(sid),
            _ => false,
        };
        if !waits && !rules.bounds.early_fences {
            return Step::Impossible;
        }
        if let Turn::Waiting { silent: listed, session, .. } = &mut self.turn {
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
                // It waits for what only it can end.
                () if rules.lacks(Mutant::RepackNotFenced) && session.has(sid) => return Step::Impossible,
                () => {}
            }
        }
        store.fences.insert(sid);
        Step::Done
    }

    /// Step 5, once everyone has acked or is decided: spare what the objections name, and all that snapshots
    /// not named in `condemned` refer to, forgotten or not.
    fn list_again(&mut self, store: &Store, rules: &Rules) -> Step {
        let Turn::Waiting { epoch, silent: listed, .. } = self.turn else { return Step::Impossible };
        let objects = store.epoch(epoch);
        let Some(condemned) = objects.condemned.filter(|_| silent(listed, epoch, store).is_empty()) else {
            return Step::Impossible;
        };
        let mut newer = store.snapshots.without(store.catalogue).without(condemned.snapshots);
        if rules.lacks(Mutant::ForgottenNotSpared) {
            newer = newer.without(store.forgotten);
        }
        let objections = match () {
            () if rules.bounds.objections_by_id => objects.objections.of_same_ids(),
            () => objects.objections,
        };
        let mut verdict = condemned.packs.without(objections);
        if !newer.is_empty() && !rules.lacks(Mutant::NoSecondListing) {
            verdict = verdict.twins();
        }
        if rules.lacks(Mutant::VerdictById) {
            verdict = verdict.of_same_ids();
        }
        if !store.can_read_registers() {
            verdict = Packs::default();
        }
        self.turn = Turn::ListedAgain { epoch, verdict };
        Step::Done
    }

    /// Step 6: the verdict is a register; who finds one there takes it instead of its own. Who finds there
    /// what isn't authentic stops.
    fn create_done(&mut self, answer: Answer, store: &mut Store, rules: &Rules) -> Step {
        let Turn::ListedAgain { epoch, verdict } = self.turn else { return Step::Impossible };
        if store.junk.has(Place::Done(epoch)) {
            self.remove_next(if rules.lacks(Mutant::JunkOverruled) { verdict } else { Packs::default() });
            return Step::Done;
        }
        let condemned = store.epoch(epoch).condemned.map(|condemned| condemned.packs).unwrap_or_default();
        let name = &mut store.epoch_mut(epoch).done;
        if answer == Answer::Lost && name.is_some() {
            return Step::Impossible;
        }
        let found = *name.get_or_insert(verdict);
        if answer == Answer::Heard {
            let named = if rules.lacks(Mutant::NoVerdict) { verdict } else { found };
            self.remove_next(named.among(condemned));
        }
        Step::Done
    }

    /// Step 7: exactly what the verdict names.
    fn remove(&mut self, pack: Pack, store: &mut Store, rules: &Rules) -> Step {
        let Turn::Removing { mut packs } = self.turn else { return Step::Impossible };
        if !packs.remove(pack) {
            return Step::Impossible;
        }
        let named = Packs::only(pack);
        let names = if rules.lacks(Mutant::RemovalById) { named.of_same_ids() } else { named };
        store.packs = store.packs.without(names);
        self.remove_next(packs);
        Step::Done
    }

    fn remove_next(&mut self, packs: Packs) {
        self.turn = if packs.is_empty() { Turn::Idle } else { Turn::Removing { packs } };
    }

    /// Dead for ever: any collector that lists a dead pack removes it.
    fn sweep_dead(&mut self, store: &Store) -> Step {
        let packs = store.packs.among(store.dead_packs());
        if self.turn != Turn::Idle || packs.is_empty() {
            return Step::Impossible;
        }
        self.turn = Turn::Removing { packs };
        Step::Done
    }

    /// Nothing is kept but what the store has.
    fn crash(&mut self) -> Step {
        if self.turn == Turn::Idle {
            return Step::Impossible;
        }
        self.turn = Turn::Idle;
        Step::Done
    }

    /// Whether it waits for a session of its own, which nobody but itself will end before the timeout.
    #[must_use]
    pub fn waits_for_itself(&self, store: &Store) -> bool {
        match self.turn {
            Turn::Waiting { epoch, silent: listed, session } => {
                !silent(listed, epoch, store).among(session).is_empty()
            }
            _ => false,
        }
    }

    /// The unfinished epoch that it waits for or has listed again.
    #[must_use]
    pub fn swept_epoch(&self) -> Option<Epoch> {
        match self.turn {
            Turn::Waiting { epoch, .. } | Turn::ListedAgain { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// With the names of two sessions, and of their packs, exchanged.
    #[must_use]
    pub fn swapped(&self, one: u8, other: u8) -> Self {
        let mut this = *self;
        let sids = |set: &mut Sids| *set = set.swapped(one, other);
        let packs = |set: &mut Packs| *set = set.swapped(one, other);
        match &mut this.turn {
            Turn::Idle => {}
            Turn::Listed { snapshots, decided, .. } | Turn::Rewriting { snapshots, decided, .. } => {
                sids(snapshots);
                sids(decided);
            }
            Turn::Marked { condemned, early, .. } => {
                packs(&mut condemned.packs);
                sids(&mut condemned.snapshots);
                sids(early);
            }
            Turn::Published { .. } => {}
            Turn::Waiting { silent, .. } => sids(silent),
            Turn::ListedAgain { verdict, .. } => packs(verdict),
            Turn::Removing { packs: left } => packs(left),
        }
        this
    }
}

/// Of these sessions, those that are undecided and have no ack of this epoch or a newer one.
fn silent(listed: Sids, epoch: Epoch, store: &Store) -> Sids {
    let acks = (epoch..=EPOCHS_MAX as Epoch).map(|epoch| store.epoch(epoch).acks);
    acks.fold(listed.without(store.decided()), Sids::without)
}

/// Only mutants keep a listing of sessions from before step 3.
fn kept_early(early: Sids, rules: &Rules) -> Sids {
    if rules.lacks(Mutant::SessionsListedBeforeCondemned) { early } else { Sids::default() }
}

/// Step 2: packs that exist, aren't dead, and whose owner was decided in the listing.
fn condemnable(decided: Sids, store: &Store, rules: &Rules) -> Packs {
    let undead = store.packs.without(store.dead_packs());
    match () {
        () if rules.lacks(Mutant::CondemnsUndecided) => undead,
        () => undead.among(decided.with(store.catalogue).names()),
    }
}

/// Step 2, while a snapshot is live: names that no segment has. In any of the others the chunk may count, or
/// another one that is live.
fn without_live_chunks(store: &Store, rules: &Rules) -> Packs {
    let copies = store.copies.among(store.packs).without(store.dead_packs());
    match () {
        () if rules.lacks(Mutant::UnlistedCounts) && !copies.is_empty() => store.packs.without(copies),
        () => store.packs.twins(),
    }
}

/// Step 2: what of the possible is chosen. An id stays that another name holds alive, one that a segment has:
/// a twin, which none has, could otherwise keep its pack for ever.
fn may_condemn(packs: Packs, possible: Packs, store: &Store, rules: &Rules) -> bool {
    let known = store.indexed.without(store.dead_packs());
    let held = |chosen: Packs| match () {
        () if rules.bounds.twins_condemned_alone => Packs::default(),
        () => known.without(chosen).of_same_ids(),
    };
    let chosen = match () {
        () if rules.bounds.any_subset => packs.without(held(packs)),
        () => possible.without(held(possible)),
    };
    !packs.is_empty() && packs.is_within(possible) && packs == chosen
}
