//! The complete protocol: all invariants hold in every history within these bounds, and the events for which
//! a bound is explored do happen.
//!
//! Processes may crash, pause and be late at every step; only the numbers of processes and epochs are
//! bounded. The short tests always run, the long ones are for soaking.

#![allow(clippy::print_stdout, reason = "tests report how far they explored")]

use keepfast_model::properties::{
    FENCED_PACK, FENCED_WRITER, FREED_NAME, JUNK_OVERCOME, LATE_COMMIT, LISTING_SPARES, OBJECTION_SPARES,
    PACK_REMOVED, READER_RELOADS, REGISTER_TAKEN, SEGMENT_REMOVED, STALE_COMMIT, SUBTREE_MOVED, TAKEOVER,
    TWIN_NOT_SPARED, TWIN_REMOVED,
};
use keepfast_model::{Bounds, Protocol};

/// Explores all histories. No invariant may break, and the events must happen.
#[track_caller]
fn assert_sound(bounds: Bounds, events: &[&str]) {
    let found = Protocol::new(bounds.clone()).explore(1);
    println!("{} states, longest history {} steps: {bounds:?}", found.states, found.depth);
    for invariant in found.broken() {
        println!("{invariant:?} is broken:");
        for step in found.example(invariant).into_iter().flatten() {
            println!("    {step:?}");
        }
    }
    assert!(found.broken().is_empty(), "{:?} are broken", found.broken());
    for event in events {
        assert!(found.example(event).is_some(), "it never happens that {event}");
    }
}

/// The bounds of a test that isn't about choices: each choice has one option.
fn plain() -> Bounds {
    Bounds {
        lost_answers: false,
        any_subset: false,
        early_fences: false,
        segments_removed: false,
        ..Bounds::default()
    }
}

#[test]
fn one_writer_two_collectors_two_epochs() {
    let bounds = Bounds { collectors: 2, epochs: 2, segments_removed: false, ..Bounds::default() };
    let events =
        [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, LATE_COMMIT, FENCED_WRITER, STALE_COMMIT];
    assert_sound(bounds, &events);
}

/// Segments of dead packs, and an index that may have been loaded with any of them, for one epoch.
#[test]
fn one_writer_and_a_collector_that_removes_segments() {
    let bounds = Bounds::default();
    assert_sound(bounds, &[PACK_REMOVED, OBJECTION_SPARES, LATE_COMMIT, STALE_COMMIT, SEGMENT_REMOVED]);
}

#[test]
fn two_writers_with_uploads_and_a_collector() {
    let bounds = Bounds { writers: 2, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, LISTING_SPARES, FENCED_WRITER, STALE_COMMIT]);
}

/// All kinds of processes at once. The writers find their chunks in the index and in the parent, and upload
/// none.
#[test]
fn two_writers_two_collectors_and_a_reader() {
    let bounds = Bounds { writers: 2, collectors: 2, reader: true, uploads: false, ..plain() };
    let events = [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, FENCED_WRITER, STALE_COMMIT];
    assert_sound(bounds, &events);
}

/// Without the reader, which changes nothing. Instead, the answer to any create may be lost.
#[test]
#[ignore = "ten seconds; for soaking"]
fn two_writers_and_two_collectors_with_lost_answers() {
    let bounds = Bounds { writers: 2, collectors: 2, uploads: false, lost_answers: true, ..plain() };
    let events = [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, LATE_COMMIT, FENCED_WRITER];
    assert_sound(bounds, &events);
}

#[test]
fn a_repack_alongside_a_writer_and_a_reader() {
    let bounds = Bounds { repacks: 1, reader: true, early_fences: true, ..plain() };
    let events = [PACK_REMOVED, LISTING_SPARES, FENCED_WRITER, STALE_COMMIT, READER_RELOADS, SUBTREE_MOVED];
    assert_sound(bounds, &events);
}

#[test]
fn two_repacks_by_two_collectors_while_a_reader_reads() {
    let bounds = Bounds { writers: 0, collectors: 2, epochs: 2, repacks: 2, reader: true, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, READER_RELOADS]);
}

#[test]
fn compaction_alongside_a_writer_and_a_collector() {
    let bounds = Bounds { compactions: 1, segments_removed: false, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, FENCED_WRITER, LATE_COMMIT, FREED_NAME]);
}

#[test]
fn compaction_alongside_two_writers_that_share_subtrees() {
    let bounds = Bounds { writers: 2, compactions: 1, uploads: false, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, LISTING_SPARES, FENCED_WRITER, FREED_NAME]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn one_writer_two_collectors_two_epochs_and_removed_segments() {
    let bounds = Bounds { collectors: 2, epochs: 2, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LATE_COMMIT, SEGMENT_REMOVED]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn a_repack_with_every_choice_alongside_a_writer_and_a_reader() {
    let bounds = Bounds { repacks: 1, reader: true, ..Bounds::default() };
    let events = [PACK_REMOVED, LISTING_SPARES, FENCED_WRITER, STALE_COMMIT, READER_RELOADS, SUBTREE_MOVED];
    assert_sound(bounds, &[&events[..], &[SEGMENT_REMOVED]].concat());
}

#[test]
#[ignore = "half a minute; for soaking"]
fn two_repacks_with_every_choice_by_two_collectors_while_a_reader_reads() {
    let bounds =
        Bounds { writers: 0, collectors: 2, epochs: 2, repacks: 2, reader: true, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, READER_RELOADS, SEGMENT_REMOVED]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn two_compactions_alongside_a_writer_and_a_collector() {
    let bounds = Bounds { compactions: 2, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, FENCED_WRITER, LATE_COMMIT, FREED_NAME, SEGMENT_REMOVED]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn two_writers_and_two_collectors_with_early_fences() {
    let bounds = Bounds { writers: 2, collectors: 2, uploads: false, ..Bounds::default() };
    let events = [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, LATE_COMMIT, FENCED_WRITER];
    assert_sound(bounds, &[&events[..], &[SEGMENT_REMOVED]].concat());
}

#[test]
#[ignore = "ten seconds; for soaking"]
fn compaction_alongside_a_repack_and_a_writer() {
    let bounds = Bounds { epochs: 2, repacks: 1, compactions: 1, uploads: false, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, FENCED_WRITER, SUBTREE_MOVED, FENCED_PACK]);
}

#[test]
#[ignore = "two minutes; for soaking"]
fn two_writers_two_collectors_and_a_reader_with_lost_answers() {
    let bounds = Bounds { writers: 2, collectors: 2, reader: true, uploads: false, ..Bounds::default() };
    let events = [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, LATE_COMMIT, FENCED_WRITER];
    assert_sound(bounds, &events);
}

#[test]
#[ignore = "two minutes; for soaking"]
fn two_writers_with_uploads_and_two_collectors() {
    let bounds = Bounds { writers: 2, collectors: 2, ..plain() };
    let events = [PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, FENCED_WRITER, STALE_COMMIT];
    assert_sound(bounds, &events);
}

#[test]
#[ignore = "four minutes; for soaking"]
fn two_writers_and_a_collector_with_every_choice() {
    let bounds = Bounds { writers: 2, ..Bounds::default() };
    let events = [PACK_REMOVED, LISTING_SPARES, LATE_COMMIT, FENCED_WRITER, STALE_COMMIT];
    assert_sound(bounds, &events);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn a_repack_by_two_collectors_alongside_a_writer_and_a_reader() {
    let bounds = Bounds { collectors: 2, repacks: 1, reader: true, any_subset: true, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, LISTING_SPARES, FENCED_WRITER, READER_RELOADS]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn a_repack_by_two_collectors_in_two_epochs_alongside_a_writer() {
    let bounds = Bounds { collectors: 2, epochs: 2, repacks: 1, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, LISTING_SPARES, FENCED_WRITER]);
}

#[test]
#[ignore = "a minute; for soaking"]
fn compaction_alongside_two_writers_that_share_packs() {
    let bounds = Bounds { writers: 2, compactions: 1, parents: false, ..plain() };
    assert_sound(
        bounds,
        &[PACK_REMOVED, LISTING_SPARES, OBJECTION_SPARES, FENCED_WRITER, FREED_NAME, FENCED_PACK],
    );
}

/// With twins of packs, which appear at any time, with the id of any pack and of any session. Safety doesn't
/// depend on the rule that a name isn't condemned while another name keeps its id alive, so the rule is off.
fn with_twins(bounds: Bounds) -> Bounds {
    Bounds { twins: 1, twins_condemned_alone: true, ..bounds }
}

#[test]
fn a_twin_alongside_a_writer_and_a_collector() {
    let bounds = with_twins(Bounds { copies: true, ..Bounds::default() });
    assert_sound(bounds, &[PACK_REMOVED, TWIN_REMOVED, OBJECTION_SPARES, LATE_COMMIT]);
}

#[test]
fn a_twin_alongside_two_writers_and_a_collector() {
    let bounds = with_twins(Bounds { writers: 2, uploads: false, ..plain() });
    assert_sound(bounds, &[PACK_REMOVED, TWIN_NOT_SPARED, OBJECTION_SPARES, FENCED_WRITER]);
}

/// Here the rule is on, with two twins.
#[test]
fn two_twins_where_an_id_kept_alive_is_not_condemned() {
    let bounds = Bounds { twins: 2, any_subset: true, early_fences: true, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, STALE_COMMIT, FENCED_WRITER]);
}

/// An objection by pack id spares too much, never too little.
#[test]
fn a_twin_and_objections_by_pack_id() {
    let bounds = with_twins(Bounds { objections_by_id: true, ..Bounds::default() });
    assert_sound(bounds, &[PACK_REMOVED, TWIN_REMOVED, OBJECTION_SPARES]);
}

#[test]
fn a_twin_alongside_a_repack_and_a_reader() {
    let bounds = Bounds { writers: 0, repacks: 1, epochs: 2, reader: true, copies: true, ..plain() };
    assert_sound(with_twins(bounds), &[PACK_REMOVED, TWIN_REMOVED, READER_RELOADS]);
}

#[test]
fn junk_alongside_a_writer_and_a_collector() {
    let bounds = Bounds { junk: 1, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, OBJECTION_SPARES, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
fn junk_alongside_a_writer_and_two_collectors() {
    let bounds = Bounds { junk: 1, collectors: 2, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
#[ignore = "five seconds; for soaking"]
fn junk_twice_alongside_a_writer_and_two_collectors() {
    let bounds = Bounds { junk: 2, collectors: 2, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, OBJECTION_SPARES, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
#[ignore = "ten seconds; for soaking"]
fn junk_twice_alongside_a_writer_two_collectors_and_two_epochs() {
    let bounds = Bounds { junk: 2, collectors: 2, epochs: 2, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, TAKEOVER, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn junk_alongside_a_compaction_and_a_writer() {
    let bounds = Bounds { junk: 1, compactions: 1, ..Bounds::default() };
    assert_sound(bounds, &[PACK_REMOVED, FREED_NAME, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
#[ignore = "five seconds; for soaking"]
fn junk_alongside_two_writers_with_early_fences() {
    let bounds = Bounds { junk: 1, writers: 2, uploads: false, early_fences: true, ..plain() };
    assert_sound(bounds, &[PACK_REMOVED, LISTING_SPARES, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
fn a_twin_and_junk_alongside_a_writer_and_a_collector() {
    let bounds = with_twins(Bounds { junk: 1, ..Bounds::default() });
    assert_sound(bounds, &[PACK_REMOVED, TWIN_REMOVED, REGISTER_TAKEN, JUNK_OVERCOME]);
}

#[test]
#[ignore = "five seconds; for soaking"]
fn two_twins_alongside_a_writer_and_a_collector() {
    let bounds = Bounds { twins: 2, ..with_twins(Bounds { copies: true, ..Bounds::default() }) };
    assert_sound(bounds, &[PACK_REMOVED, TWIN_REMOVED, OBJECTION_SPARES, LATE_COMMIT]);
}

#[test]
#[ignore = "half a minute; for soaking"]
fn a_twin_alongside_two_writers_and_two_collectors() {
    let bounds = Bounds { writers: 2, collectors: 2, uploads: false, any_subset: true, ..plain() };
    let events = [PACK_REMOVED, TAKEOVER, TWIN_NOT_SPARED, OBJECTION_SPARES, FENCED_WRITER];
    assert_sound(with_twins(bounds), &events);
}

#[test]
#[ignore = "two minutes; for soaking"]
fn a_twin_alongside_two_writers_with_uploads() {
    let bounds = Bounds { writers: 2, ..plain() };
    assert_sound(with_twins(bounds), &[PACK_REMOVED, TWIN_NOT_SPARED, FENCED_WRITER]);
}

#[test]
#[ignore = "a minute; for soaking"]
fn a_twin_alongside_a_writer_two_collectors_and_two_epochs() {
    let bounds = Bounds { collectors: 2, epochs: 2, any_subset: true, ..plain() };
    assert_sound(with_twins(bounds), &[PACK_REMOVED, TAKEOVER, TWIN_REMOVED, OBJECTION_SPARES]);
}

#[test]
#[ignore = "two minutes; for soaking"]
fn a_twin_alongside_a_repack_a_writer_and_a_reader() {
    let bounds = Bounds { repacks: 1, reader: true, copies: true, any_subset: true, ..plain() };
    assert_sound(with_twins(bounds), &[PACK_REMOVED, TWIN_REMOVED, READER_RELOADS]);
}

#[test]
#[ignore = "ten seconds; for soaking"]
fn a_twin_alongside_two_repacks_and_a_reader() {
    let bounds = Bounds { writers: 0, repacks: 2, epochs: 2, reader: true, copies: true, ..plain() };
    assert_sound(with_twins(bounds), &[PACK_REMOVED, TWIN_REMOVED, READER_RELOADS]);
}

#[test]
#[ignore = "two minutes; for soaking"]
fn a_twin_alongside_a_compaction_and_a_writer() {
    let bounds = with_twins(Bounds { compactions: 1, ..Bounds::default() });
    assert_sound(bounds, &[PACK_REMOVED, TWIN_REMOVED, FREED_NAME]);
}
