//! Every weakened rule is caught, and by the invariant that it endangers.

use keepfast_model::properties::{
    I1_CHUNKS, I1_READERS, I2_COMPLETE, I2_REPORTED, I3_REFERENCES, I4_VERDICTS, I5_TIMEOUTS, I6_CACHES,
    NO_SELF_WAIT,
};
use keepfast_model::{Bounds, Mutant, Protocol};

/// More states than any of the hunts here needs.
const STATES_MAX: usize = 12_000_000;

/// The smallest world in which most rules matter: one writer, one collector, one epoch.
fn small() -> Bounds {
    Bounds { lost_answers: false, any_subset: false, ..Bounds::default() }
}

#[track_caller]
fn assert_caught(mutant: Mutant, bounds: Bounds, invariant: &'static str) {
    let found = Protocol::lacking(mutant, bounds).hunt(invariant, STATES_MAX);
    let Some(steps) = found.example(invariant) else {
        panic!("{mutant:?} isn't caught by {invariant:?} in {} states", found.states);
    };
    println!("{mutant:?} breaks {invariant:?} in {} steps ({} states):", steps.len(), found.states);
    for step in steps {
        println!("    {step:?}");
    }
}

macro_rules! caught {
    ($($test:ident: $mutant:ident with $bounds:expr => $invariant:ident;)+) => {
        $(#[test]
        fn $test() {
            assert_caught(Mutant::$mutant, $bounds, $invariant);
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
        with Bounds { writers: 2, epochs: 2, any_subset: true, parents: false, ..small() } => I3_REFERENCES;
    subtrees_not_objected: SubtreesNotObjected with small() => I3_REFERENCES;
    a_parent_listed_once: ParentListedOnce with small() => I3_REFERENCES;
    objections_from_a_stale_index: ObjectionsFromStaleIndex with small() => I6_CACHES;
    a_commit_before_its_pack: CommitBeforePack with small() => I2_COMPLETE;
    an_overwritten_fence: FenceOverwritten with small() => I1_CHUNKS;
    a_catalogue_not_read: CatalogueNotRead with Bounds { compaction: true, ..small() } => I2_REPORTED;

    sessions_listed_too_early: SessionsListedBeforeCondemned with small() => I1_CHUNKS;
    undecided_sessions_condemned: CondemnsUndecided with small() => I3_REFERENCES;
    a_stale_mark: StaleMarkPublished
        with Bounds { collectors: 2, epochs: 2, repacks: 1, ..small() } => I1_CHUNKS;
    freed_epoch_names: EpochNamesFreed with Bounds { collectors: 2, ..small() } => I3_REFERENCES;
    a_clock_that_is_trusted: ClockTrusted with small() => I1_CHUNKS;
    a_broken_lock: LockBroken with small() => I5_TIMEOUTS;
    no_second_listing: NoSecondListing with small() => I1_CHUNKS;
    a_forgotten_snapshot_not_spared: ForgottenNotSpared with Bounds { writers: 2, ..small() } => I3_REFERENCES;
    sweepers_that_disagree: NoVerdict with Bounds { writers: 2, collectors: 2, ..small() } => I3_REFERENCES;
    a_takeover_that_does_not_wait: TakeoverWithoutWaiting with small() => I3_REFERENCES;
    a_repack_that_waits_for_itself: RepackNotFenced with Bounds { repacks: 1, ..small() } => NO_SELF_WAIT;
    a_repack_not_indexed: RepackNotIndexed
        with Bounds { writers: 0, repacks: 1, reader: true, ..small() } => I1_READERS;
    a_removal_before_the_verdict: RemovalBeforeVerdict with small() => I4_VERDICTS;

    a_removal_before_the_catalogue: RemovalBeforeCatalogue
        with Bounds { compaction: true, ..small() } => I2_REPORTED;
    a_compaction_before_its_epoch: CompactionBeforeEpoch
        with Bounds { writers: 2, compaction: true, uploads: false, ..small() } => I3_REFERENCES;
    a_compaction_without_closing: CompactionWithoutClosing
        with Bounds { writers: 2, compaction: true, parents: false, ..small() } => I3_REFERENCES;

    an_undelete_without_a_session: UndeleteWithoutSession with Bounds { writers: 0, ..small() } => I1_CHUNKS;
    a_reader_that_never_reloads: ReaderNeverReloads
        with Bounds { writers: 0, repacks: 1, reader: true, ..small() } => I1_READERS;
    a_reader_that_reloads_once: ReaderReloadsOnce
        with Bounds { writers: 0, repacks: 2, epochs: 2, reader: true, ..small() } => I1_READERS;
}
