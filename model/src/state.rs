//! All processes around one store, and what each of them can do next.

use crate::collector::{Collector, CollectorStep};
use crate::compactor::{Compactor, CompactorStep};
use crate::creator::{Content, CreatorStep};
use crate::mutant::Mutant;
use crate::reader::{Reader, ReaderStep};
use crate::rules::{Answer, Bounds, Rules, Step};
use crate::store::{Pack, Packs, Place, Register, Sid, Store};
use crate::writer::{Writer, WriterStep};

/// Everything at one moment of a history.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct State {
    /// All objects.
    pub store: Store,
    /// Sessions 1 and 2.
    pub writers: [Writer; 2],
    /// The collectors.
    pub collectors: [Collector; 2],
    /// The reader.
    pub reader: Reader,
    /// The compactor.
    pub compactor: Compactor,
}

/// One step of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The writer of this session.
    Writer(Sid, WriterStep),
    /// The first or second collector.
    Collector(usize, CollectorStep),
    /// The reader.
    Reader(ReaderStep),
    /// The compactor.
    Compactor(CompactorStep),
    /// A creator, which has no key, or the operator, who removes what the creator made.
    Creator(CreatorStep),
    /// The create of a pack, which was sent before, takes effect: for the first time, or late, or again.
    PackArrives(Pack),
    /// The create of a snapshot takes effect once more, under a name that compaction has made free.
    SnapshotArrivesAgain(Sid),
    /// A process that has read the verdicts removes a segment that lists only dead packs.
    RemoveSegment(Pack),
    /// The create of such a segment takes effect late or again.
    SegmentArrives(Pack),
    /// A user forgets a snapshot.
    Forget(Sid),
    /// A user takes the forgetting back. Only a mutant has this step.
    TakeForgettingBack(Sid),
}

impl State {
    /// There is one committed snapshot, and no process has taken a step.
    #[must_use]
    pub fn first() -> Self {
        Self {
            store: Store::with_one_snapshot(),
            writers: [Writer::default(); 2],
            collectors: [Collector::default(); 2],
            reader: Reader::default(),
            compactor: Compactor::default(),
        }
    }

    /// Runs one step, if it is possible now.
    pub fn step(&mut self, action: Action, rules: &Rules) -> Step {
        let store = &mut self.store;
        match action {
            Action::Writer(sid, step) => self.writers[usize::from(sid.0) - 1].step(sid, step, store, rules),
            Action::Collector(which, step) => self.collectors[which].step(step, store, rules),
            Action::Reader(step) => self.reader.step(step, store, rules),
            Action::Compactor(step) => self.compactor.step(step, store, rules),
            Action::Creator(step) => step.run(store, rules),
            Action::PackArrives(pack) => {
                if store.packs_sent.contains(pack) && store.packs.insert(pack) {
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
            Action::SnapshotArrivesAgain(sid) => {
                let free = store.catalogue.contains(sid) && store.register(sid) == Register::Empty;
                if free && store.snapshots_sent.contains(sid) && store.snapshots.insert(sid) {
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
            Action::RemoveSegment(pack) => {
                if store.dead_packs().contains(pack) && store.indexed.remove(pack) {
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
            Action::SegmentArrives(pack) => {
                if store.dead_packs().contains(pack) && store.indexed.insert(pack) {
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
            Action::Forget(sid) => {
                if store.live_snapshots().contains(sid) {
                    store.forgotten.insert(sid);
                    store.ever_forgotten.insert(sid);
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
            Action::TakeForgettingBack(sid) => {
                if rules.lacks(Mutant::UndeleteWithoutSession) && store.forgotten.remove(sid) {
                    Step::Done
                } else {
                    Step::Impossible
                }
            }
        }
    }

    /// Forgets what can't matter any more, so that states that differ only by that become equal.
    pub fn forget_irrelevant(&mut self, rules: &Rules) {
        let last = rules.bounds.epochs;
        // Compaction makes registers free again, and mutants may ignore registers: there, it matters.
        let decided_for_ever = rules.mutant.is_none() && rules.bounds.compactions == 0;
        if !decided_for_ever || self.store.newest_verdict() < last {
            return;
        }
        for (sid, writer) in (1..).map(Sid).zip(&mut self.writers) {
            if self.store.register(sid) == Register::Fence {
                writer.forget_after_fence(last);
            }
        }
    }

    /// The same state for all states that differ only by the names of equal processes.
    #[must_use]
    pub fn representative(&self) -> Self {
        self.with_collectors_sorted().min(self.with_writers_swapped().with_collectors_sorted())
    }

    /// As [`Self::representative`], where session 2 doesn't belong to a writer.
    #[must_use]
    pub fn with_collectors_sorted(&self) -> Self {
        let mut this = *self;
        this.collectors.sort_unstable();
        this
    }

    fn with_writers_swapped(&self) -> Self {
        let [one, other] = self.writers.map(|writer| writer.swapped(1, 2));
        Self {
            store: self.store.swapped(1, 2),
            writers: [other, one],
            collectors: self.collectors.map(|collector| collector.swapped(1, 2)),
            reader: self.reader.swapped(1, 2),
            compactor: self.compactor.swapped(1, 2),
        }
    }
}

/// Every action that may ever be possible. [`State::step`] decides whether it is possible now.
#[must_use]
pub fn possible_actions(rules: &Rules) -> Vec<Action> {
    let bounds = &rules.bounds;
    let writers = 1..=bounds.writers;
    let sids = || (0..=bounds.writers + bounds.repacks).map(Sid);
    let packs = || sids().map(Sid::pack);
    let twins = twins(bounds);
    let names = || packs().chain(twins.iter().copied());
    let sets = sets(&names().collect::<Vec<_>>(), bounds);
    let answers =
        || [Answer::Received, Answer::Lost].into_iter().take(if bounds.lost_answers { 2 } else { 1 });
    let mut actions = Vec::new();

    for sid in writers.map(Sid) {
        let mut steps = vec![
            WriterStep::LoadIndex,
            WriterStep::ReadNewestEpoch,
            WriterStep::ReadVerdict,
            WriterStep::StopReferring,
            WriterStep::CollectObjections,
            WriterStep::CheckRegister,
        ];
        steps.extend(bounds.early_fences.then_some(WriterStep::GiveUp));
        steps.extend(names().map(WriterStep::ReferToKnownChunk));
        if bounds.parents {
            steps.extend([WriterStep::ListParent, WriterStep::TakeOverSubtree]);
            steps.extend(names().map(WriterStep::LookUpSubtree));
        }
        if bounds.uploads {
            let upload = [WriterStep::SendPack, WriterStep::LearnThatPackIsStored, WriterStep::WriteSegment];
            steps.extend(upload);
        }
        steps.extend(answers().map(WriterStep::CreateSession));
        steps.extend(answers().map(WriterStep::CreateAck));
        steps.extend(answers().map(WriterStep::CreateSnapshot));
        steps.extend((bounds.compactions > 0).then_some(WriterStep::ReadCatalogue));
        actions.extend(steps.into_iter().map(|step| Action::Writer(sid, step)));
    }
    for which in 0..usize::from(bounds.collectors) {
        let mut steps = vec![
            CollectorStep::Begin,
            CollectorStep::ListSessions,
            CollectorStep::ListAgain,
            CollectorStep::SweepDead,
            CollectorStep::Crash,
        ];
        steps.extend(sets.iter().copied().map(CollectorStep::Mark));
        if bounds.repacks > 0 {
            steps.extend([
                CollectorStep::OpenRewritingSession,
                CollectorStep::WritePack,
                CollectorStep::IndexPack,
                CollectorStep::FenceOwnSession,
            ]);
            steps.extend(sets.iter().copied().map(CollectorStep::CondemnRewritten));
        }
        steps.extend(answers().map(CollectorStep::CreateCondemned));
        steps.extend(sids().map(CollectorStep::Fence));
        steps.extend(answers().map(CollectorStep::CreateDone));
        steps.extend(names().map(CollectorStep::Remove));
        actions.extend(steps.into_iter().map(|step| Action::Collector(which, step)));
    }
    if bounds.reader {
        let steps = [ReaderStep::LoadIndex, ReaderStep::Reload, ReaderStep::GiveUp].into_iter();
        let steps = steps.chain(sids().map(ReaderStep::Choose)).chain(packs().map(ReaderStep::Read));
        actions.extend(steps.map(Action::Reader));
    }
    if bounds.compactions > 0 {
        let steps = [
            CompactorStep::WriteCatalogue,
            CompactorStep::RemoveRegister,
            CompactorStep::RemoveSession,
            CompactorStep::Crash,
        ];
        let steps = steps.into_iter().chain(sids().map(CompactorStep::Choose));
        actions.extend(steps.map(Action::Compactor));
        actions.extend(sids().map(Action::SnapshotArrivesAgain));
    }
    actions.extend(names().map(Action::PackArrives));
    actions.extend(creators_steps(rules, &twins).into_iter().map(Action::Creator));
    if bounds.segments_removed {
        actions.extend(packs().map(Action::RemoveSegment));
        actions.extend(packs().map(Action::SegmentArrives));
    }
    actions.extend(sids().map(Action::Forget));
    if rules.lacks(Mutant::UndeleteWithoutSession) {
        actions.extend(sids().map(Action::TakeForgettingBack));
    }
    actions
}

/// The twins' names that a creator may use, of the packs of all sessions.
fn twins(bounds: &Bounds) -> Vec<Pack> {
    let sids = || (0..=bounds.writers + bounds.repacks).map(Sid);
    let names = sids().flat_map(|writer| sids().map(move |owner| Pack::named(writer, owner)));
    if bounds.twins == 0 { Vec::new() } else { names.filter(|name| name.is_twin()).collect() }
}

/// All sets of these names that can be stored at once, except the empty set.
fn sets(names: &[Pack], bounds: &Bounds) -> Vec<Packs> {
    let mut sets = vec![Packs::default()];
    for name in names {
        let others: Vec<Packs> = sets.iter().map(|set| set.union(Packs::only(*name))).collect();
        sets.extend(others.into_iter().filter(|set| set.twins().iter().count() <= usize::from(bounds.twins)));
    }
    sets.remove(0);
    sets
}

fn creators_steps(rules: &Rules, twins: &[Pack]) -> Vec<CreatorStep> {
    let bounds = &rules.bounds;
    let contents = || [Content::Junk, Content::Copy].into_iter().take(if bounds.copies { 2 } else { 1 });
    let twins =
        twins.iter().flat_map(|twin| contents().map(|content| CreatorStep::CreateTwin(*twin, content)));
    let mut steps: Vec<CreatorStep> = twins.collect();
    if bounds.junk > 0 {
        let sids = || (0..=bounds.writers + bounds.repacks).map(Sid);
        let mut places: Vec<Place> = sids().map(Place::Register).collect();
        for epoch in 1..=bounds.epochs {
            places.extend([Place::Condemned(epoch), Place::Done(epoch)]);
            if rules.lacks(Mutant::JunkAnswers) {
                steps.extend(sids().map(|sid| CreatorStep::CreateJunkAck(epoch, sid)));
            }
        }
        steps.extend(places.iter().copied().map(CreatorStep::CreateJunk));
        steps.extend(places.iter().copied().map(CreatorStep::RemoveJunk));
    }
    steps
}
