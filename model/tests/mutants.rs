//! Every weakened rule breaks the invariant that it protects.

#![allow(clippy::print_stdout, reason = "tests print the history that they found")]

use keepfast_model::creator::{Content, CreatorStep};
use keepfast_model::properties::{
    I1_CHUNKS, I1_READERS, I2_COMPLETE, I2_REPORTED, I3_REFERENCES, I4_VERDICTS, I5_TIMEOUTS, I6_CACHES,
    NO_SELF_WAIT,
};
use keepfast_model::rules::Answer;
use keepfast_model::state::Action;
use keepfast_model::store::{Pack, Sid};
use keepfast_model::writer::WriterStep;
use keepfast_model::{Bounds, Mutant, Protocol};

/// States after which a search is given up. The longest search here needs a third of them.
const STATES_MAX: usize = 20_000_000;

/// The smallest bounds in which most rules matter: one writer, one collector, one epoch.
fn small() -> Bounds {
    Bounds { lost_answers: false, any_subset: false, ..Bounds::default() }
}

#[track_caller]
fn assert_caught(mutant: Mutant, bounds: Bounds, given: &[Action], invariant: &'static str) {
    let protocol = Protocol::lacking(mutant, bounds).after(given).expect("the given steps can be taken");
    let found = protocol.hunt(invariant, STATES_MAX);
    let Some(steps) = found.example(invariant) else {
        panic!("{mutant:?} isn't caught by {invariant:?} in {} states", found.states);
    };
    let count = given.len() + steps.len();
    println!("{mutant:?} breaks {invariant:?} in {count} steps ({} states):", found.states);
    for step in given.iter().chain(steps) {
        println!("    {step:?}");
    }
}

/// A session that exists and has found that there is no epoch.
fn opened(sid: Sid) -> Vec<Action> {
    let steps = [WriterStep::CreateSession(Answer::Received), WriterStep::ReadNewestEpoch];
    steps.map(|step| Action::Writer(sid, step)).to_vec()
}

/// A cache that lists all packs.
fn loaded(sid: Sid) -> Vec<Action> {
    vec![Action::Writer(sid, WriterStep::LoadIndex)]
}

/// Snapshots that are forgotten.
fn forgotten(sids: &[Sid]) -> Vec<Action> {
    sids.iter().map(|sid| Action::Forget(*sid)).collect()
}

/// A session that has also stored a pack and hasn't indexed it yet.
fn uploaded(sid: Sid) -> Vec<Action> {
    let mut steps = opened(sid);
    steps.push(Action::Writer(sid, WriterStep::SendPack));
    steps.push(Action::PackArrives(sid.pack()));
    steps.push(Action::Writer(sid, WriterStep::LearnThatPackIsStored));
    steps
}

/// A session that has committed, with a pack of its own.
fn committed(sid: Sid) -> Vec<Action> {
    let mut steps = uploaded(sid);
    let last = [WriterStep::WriteSegment, WriterStep::CreateSnapshot(Answer::Received)];
    steps.extend(last.map(|step| Action::Writer(sid, step)));
    steps
}

/// A session that has given up, so that it is decided.
fn ended(sid: Sid) -> Vec<Action> {
    let steps = [WriterStep::CreateSession(Answer::Received), WriterStep::GiveUp];
    steps.map(|step| Action::Writer(sid, step)).to_vec()
}

/// A twin: a name with the id of the first pack and the id of this session.
fn twin_of_the_first_pack(owner: Sid, content: Content) -> Vec<Action> {
    vec![Action::Creator(CreatorStep::CreateTwin(Pack::named(Sid(0), owner), content))]
}

/// A creator, a writer and a session that has ended. A name may be condemned whatever other names keep alive.
fn twins() -> Bounds {
    Bounds { writers: 2, twins: 1, twins_condemned_alone: true, uploads: false, ..small() }
}

macro_rules! caught {
    ($($test:ident: $mutant:ident with $bounds:expr => $invariant:ident $(after $given:expr)?;)+) => {
        $(#[test]
        fn $test() {
            let given: &[Vec<Action>] = &[$($given)?];
            assert_caught(Mutant::$mutant, $bounds, &given.concat(), $invariant);
        })+
    };
}

caught! {
    an_ack_without_objections: AckWithoutObjections with small() => I3_REFERENCES;
    objections_before_stopping: ObjectionsBeforeStopping with small() => I3_REFERENCES;
    an_epoch_read_before_the_session: EpochReadBeforeSession with small() => I3_REFERENCES;
    late_segments_unfiltered: LateSegmentsUnfiltered with small() => I3_REFERENCES;
    a_cache_ahead_of_its_content: CacheAheadOfItsContent with small() => I6_CACHES;
    verdicts_forgotten: VerdictsForgotten with Bounds { epochs: 2, repacks: 1, ..small() } => I3_REFERENCES;
    a_probe_for_a_pack: ProbesForPacks with small() => I3_REFERENCES;
    one_location_per_chunk: OneLocationPerChunk
        with Bounds { writers: 2, epochs: 2, any_subset: true, parents: false, ..small() } => I3_REFERENCES
        after [loaded(Sid(1)), committed(Sid(2)), forgotten(&[Sid(0), Sid(2)])].concat();
    subtrees_not_objected: SubtreesNotObjected with small() => I3_REFERENCES;
    a_parent_not_looked_up: ParentNotLookedUp with small() => I3_REFERENCES;
    a_parent_listed_too_early: ParentListedTooEarly with small() => I3_REFERENCES;
    an_unknown_chunk_not_objected: UnknownNotObjected with small() => I6_CACHES;
    a_dead_support: DeadSupport with Bounds { epochs: 2, repacks: 1, ..small() } => I3_REFERENCES;
    a_commit_before_its_pack: CommitBeforePack with small() => I2_COMPLETE;
    an_overwritten_fence: FenceOverwritten with small() => I1_CHUNKS;
    a_catalogue_not_read: CatalogueNotRead with Bounds { compactions: 1, ..small() } => I2_REPORTED;
    ghosts_as_parents: GhostsListed
        with Bounds { writers: 2, compactions: 1, uploads: false, ..small() } => I3_REFERENCES;
    ghosts_restored: GhostsListed with Bounds { compactions: 1, reader: true, ..small() } => I1_READERS;

    sessions_listed_too_early: SessionsListedBeforeCondemned with small() => I1_CHUNKS;
    undecided_sessions_condemned: CondemnsUndecided with small() => I3_REFERENCES;
    freed_epoch_names: EpochNamesFreed with Bounds { collectors: 2, ..small() } => I3_REFERENCES;
    a_clock_that_is_trusted: ClockTrusted with small() => I1_CHUNKS;
    a_broken_lock: LockBroken with small() => I5_TIMEOUTS;
    no_second_listing: NoSecondListing with small() => I1_CHUNKS;
    a_forgotten_snapshot_not_spared: ForgottenNotSpared
        with Bounds { writers: 2, ..small() } => I3_REFERENCES;
    collectors_that_disagree: NoVerdict
        with Bounds { writers: 2, collectors: 2, parents: false, uploads: false, ..small() } => I3_REFERENCES;
    a_takeover_that_does_not_wait: TakeoverWithoutWaiting with small() => I3_REFERENCES;
    a_repack_that_waits_for_itself: RepackNotFenced with Bounds { repacks: 1, ..small() } => NO_SELF_WAIT;
    a_repack_not_indexed: RepackNotIndexed
        with Bounds { writers: 0, repacks: 1, reader: true, ..small() } => I1_READERS;
    a_removal_before_the_verdict: RemovalBeforeVerdict with small() => I4_VERDICTS;

    a_verdict_by_id: VerdictById
        with Bounds { twins: 1, twins_condemned_alone: true, ..small() } => I1_CHUNKS;
    a_verdict_by_id_where_no_name_keeps_the_id_alive: VerdictById
        with Bounds { twins_condemned_alone: false, ..twins() } => I3_REFERENCES
        after [ended(Sid(2)), twin_of_the_first_pack(Sid(2), Content::Junk)].concat();
    a_removal_by_id: RemovalById
        with Bounds { twins: 1, twins_condemned_alone: true, ..small() } => I4_VERDICTS;
    one_name_per_id: OneNamePerId with twins() => I3_REFERENCES
        after [ended(Sid(2)), twin_of_the_first_pack(Sid(2), Content::Junk)].concat();
    a_support_that_no_segment_lists: UnlistedSupports
        with Bounds { twins: 1, copies: true, ..small() } => I3_REFERENCES;
    a_counting_pack_that_no_segment_lists: UnlistedCounts
        with Bounds { twins: 1, copies: true, twins_condemned_alone: true, ..small() } => I1_CHUNKS;
    junk_that_answers: JunkAnswers with Bounds { junk: 1, ..small() } => I3_REFERENCES;
    junk_that_decides: JunkDecides with Bounds { junk: 1, ..small() } => I3_REFERENCES;
    junk_that_spares_all: JunkSparesAll with Bounds { junk: 1, ..small() } => I3_REFERENCES;
    junk_overruled: JunkOverruled with Bounds { junk: 1, ..small() } => I4_VERDICTS;
    junk_removed_twice: JunkRemovedTwice with Bounds { junk: 1, ..small() } => I4_VERDICTS;

    a_removal_before_the_catalogue: RemovalBeforeCatalogue
        with Bounds { compactions: 1, ..small() } => I2_REPORTED;
    a_compaction_before_its_epoch: CompactionBeforeEpoch
        with Bounds { writers: 2, compactions: 1, uploads: false, ..small() } => I3_REFERENCES
        after [loaded(Sid(1)), opened(Sid(1))].concat();

    an_undelete_without_a_session: UndeleteWithoutSession with Bounds { writers: 0, ..small() } => I1_CHUNKS;
    a_reader_that_never_reloads: ReaderNeverReloads
        with Bounds { writers: 0, repacks: 1, reader: true, ..small() } => I1_READERS;
    a_reader_that_reloads_once: ReaderReloadsOnce
        with Bounds { writers: 0, repacks: 2, epochs: 2, reader: true, ..small() } => I1_READERS;
}
