//! What must hold in every state, and what must happen in some.

use crate::collector::Collector;
use crate::reader::Reader;
use crate::state::State;
use crate::store::{Condemned, EpochObjects, Pack, Packs, Sid, Store};
use crate::writer::{Phase, Reference, Upload, Writer};

/// I1, in the store: the chunk of a snapshot that is neither forgotten nor dead is in a pack that is stored,
/// indexed and not dead.
pub const I1_CHUNKS: &str = "I1 every chunk of a live snapshot is stored";
/// I1, for a reader.
pub const I1_READERS: &str = "I1 readers miss nothing of a snapshot that isn't forgotten";
/// I2, for a session's own pack.
pub const I2_COMPLETE: &str = "I2 a snapshot is absent or complete";
/// I2, for the report to the user.
pub const I2_REPORTED: &str = "I2 success is reported of committed snapshots only";
/// I3, before the commit.
pub const I3_REFERENCES: &str = "I3 no session that may still commit refers to a lost chunk";
/// I3, for the pack that a reference depends on.
pub const I3_SUPPORTS: &str =
    "I3 no session that may still commit loses the pack that its reference depends on";
/// I4, whichever processes have crashed and whichever continue.
pub const I4_VERDICTS: &str = "I4 only packs that a verdict names are ever removed";
/// I5: after a timeout a session may be fenced, but not ignored.
pub const I5_TIMEOUTS: &str = "I5 a session that missed an epoch with a verdict can't commit any more";
/// I6: I1 for sessions that began with a cache that was old, rolled back, incomplete or lost.
pub const I6_CACHES: &str = "I6 snapshots made with a stale cache have all chunks";
/// Progress: the only wait of the protocol is for other sessions, which can be fenced.
pub const NO_SELF_WAIT: &str = "no collector waits for itself";

/// This and the following are events that must happen. Otherwise the model would show less than it seems to.
pub const PACK_REMOVED: &str = "a pack is removed";
/// Two collectors in the same epoch.
pub const TAKEOVER: &str = "an epoch is taken over";
/// Step 5, first half.
pub const OBJECTION_SPARES: &str = "an objection spares a pack";
/// Step 5, second half.
pub const LISTING_SPARES: &str = "the second listing spares a pack";
/// A writer that was paused while an epoch was published.
pub const LATE_COMMIT: &str = "a writer that missed an epoch commits";
/// A writer that was fenced while it was paused.
pub const FENCED_WRITER: &str = "a fenced writer learns it";
/// A cache that lists dead packs.
pub const STALE_COMMIT: &str = "a session with a stale cache commits";
/// Repacking, with a reader that misses the old pack.
pub const READER_RELOADS: &str = "a reader finds a chunk that has moved";
/// Compaction, with a register whose name is free again.
pub const FREED_NAME: &str = "a commit lands in a freed register, and its writer learns it";
/// A case without a need for an objection: a subtree was taken over, and its chunk has moved meanwhile.
pub const SUBTREE_MOVED: &str = "a subtree depends on a pack that was written by a repack";
/// A pack of a fenced session is used like any other pack.
pub const FENCED_PACK: &str = "a session refers to a pack of a fenced and compacted session";
/// Segments of dead packs.
pub const SEGMENT_REMOVED: &str = "a segment is removed";

/// A twin is removed like every pack without live chunks.
pub const TWIN_REMOVED: &str = "a twin is removed, and the pack of its id stays";
/// Two names with one id are condemned, and a session needs one of them.
pub const TWIN_NOT_SPARED: &str = "a pack is spared, and its condemned twin is dead";
/// Bytes without a valid signature make a session fail, so that a new one must be begun.
pub const REGISTER_TAKEN: &str = "a session finds junk in its register, and is lost";
/// Bytes without a valid signature stop collectors while they are stored.
pub const JUNK_OVERCOME: &str = "a verdict is given where junk was removed";

/// The name of a property, and whether it holds for a state.
pub type Property = (&'static str, fn(&State) -> bool);

/// What must hold in every state.
pub const ALWAYS: [Property; 10] = [
    (I1_CHUNKS, |state| state.store.live_snapshots().is_empty() || chunk_is_stored(&state.store)),
    (I1_READERS, readers_miss_nothing),
    (I2_COMPLETE, own_packs_are_stored),
    (I2_REPORTED, reports_are_true),
    (I3_REFERENCES, references_are_stored),
    (I3_SUPPORTS, supports_are_stored),
    (I4_VERDICTS, |state| gone(&state.store).is_subset(state.store.dead_packs())),
    (I5_TIMEOUTS, no_session_is_ignored),
    (I6_CACHES, stale_caches_do_no_harm),
    (NO_SELF_WAIT, |state| state.collectors.iter().all(|it| !it.waits_for_itself(&state.store))),
];

/// What must happen in some state, if the bounds allow it.
pub const SOMETIMES: [Property; 16] = [
    (PACK_REMOVED, |state| !gone(&state.store).is_empty()),
    (TAKEOVER, |state| {
        let [one, other] = state.collectors.map(|collector| Collector::swept_epoch(&collector));
        one.is_some() && one == other
    }),
    (OBJECTION_SPARES, |state| {
        finished(&state.store).any(|(condemned, epoch, verdict)| {
            // Only the objection can have spared it: there is no newer snapshot.
            let alone = state.store.snapshots.is_subset(condemned.snapshots);
            let spared = condemned.packs.intersection(epoch.objections).difference(verdict);
            alone && !state.store.snapshots.is_empty() && !spared.is_empty()
        })
    }),
    (LISTING_SPARES, |state| {
        finished(&state.store).any(|(condemned, epoch, verdict)| {
            !condemned.packs.difference(epoch.objections).difference(verdict).is_empty()
        })
    }),
    (LATE_COMMIT, |state| {
        let missed = |sid| {
            finished(&state.store)
                .any(|(condemned, epoch, _)| !condemned.snapshots.contains(sid) && !epoch.acks.contains(sid))
        };
        writers(state).any(|(sid, writer)| {
            writer.phase == Phase::Committing && state.store.snapshots.contains(sid) && missed(sid)
        })
    }),
    (FENCED_WRITER, |state| writers(state).any(|(_, writer)| writer.phase == Phase::Lost)),
    (STALE_COMMIT, |state| {
        let stale = |writer: &Writer| writer.stale_cache && writer.phase == Phase::Reported;
        !gone(&state.store).is_empty() && writers(state).any(|(_, writer)| stale(writer))
    }),
    (READER_RELOADS, |state| state.reader == Reader::Restored),
    (FREED_NAME, |state| {
        let freed = state.store.snapshots.intersection(state.store.catalogue);
        writers(state).any(|(sid, writer)| writer.phase == Phase::Lost && freed.contains(sid))
    }),
    (SUBTREE_MOVED, |state| {
        let rewritten = |(sid, pack): (Sid, Pack)| {
            let owner = pack.owner();
            owner != sid && state.store.fences.contains(owner) && !gone(&state.store).is_empty()
        };
        let mut subtrees = supports(state)
            .filter(|(sid, _)| state.writers[usize::from(sid.0) - 1].refers == Reference::Subtree);
        subtrees.any(rewritten)
    }),
    (FENCED_PACK, |state| {
        let compacted = state.store.catalogue.difference(state.store.ever_forgotten);
        supports(state).any(|(_, pack)| compacted.contains(pack.owner()))
    }),
    (SEGMENT_REMOVED, |state| {
        let store = &state.store;
        let dead = store.dead_packs().without_twins();
        !dead.intersection(store.packs_sent).difference(store.indexed).is_empty()
    }),
    (TWIN_REMOVED, |state| {
        let store = &state.store;
        let removed = store.packs_sent.twins().difference(store.packs).of_same_ids();
        !store.live_snapshots().is_empty() && !store.sound_packs().intersection(removed).is_empty()
    }),
    (TWIN_NOT_SPARED, |state| {
        let buried = |verdict: Packs| verdict.twins().of_same_ids();
        finished(&state.store).any(|(condemned, _, verdict)| {
            !condemned.packs.difference(verdict).intersection(buried(verdict)).without_twins().is_empty()
        })
    }),
    (REGISTER_TAKEN, |state| {
        let taken = state.store.junk_registers();
        !taken.is_empty()
            && writers(state).any(|(sid, writer)| writer.phase == Phase::Lost && taken.contains(sid))
    }),
    (JUNK_OVERCOME, |state| {
        let store = &state.store;
        store.junk_made > 0 && store.junk.is_empty() && store.newest_verdict() > 0
    }),
];

fn writers(state: &State) -> impl Iterator<Item = (Sid, &Writer)> {
    (1..).map(Sid).zip(&state.writers)
}

fn finished(store: &Store) -> impl Iterator<Item = (Condemned, &EpochObjects, Packs)> {
    store.epochs.iter().filter_map(|epoch| Some((epoch.condemned?, epoch, epoch.done?)))
}

/// Packs that were stored once and are removed.
fn gone(store: &Store) -> Packs {
    let stored_once = store.indexed.union(store.packs_sent.twins()).union(store.dead_packs());
    stored_once.difference(store.packs)
}

fn chunk_is_stored(store: &Store) -> bool {
    !store.sound_packs().is_empty()
}

fn readers_miss_nothing(state: &State) -> bool {
    match state.reader {
        Reader::Missing { snapshot } => state.store.ever_forgotten.contains(snapshot),
        _ => true,
    }
}

/// This includes the packs of forgotten snapshots: a pack that was removed later was complete before.
fn own_packs_are_stored(state: &State) -> bool {
    let store = &state.store;
    let own = store.snapshots.packs().intersection(store.packs_sent);
    own.is_subset(store.indexed.intersection(store.packs).union(store.dead_packs()))
}

fn reports_are_true(state: &State) -> bool {
    let store = &state.store;
    let committed = store.snapshots.difference(store.catalogue).union(store.ever_forgotten);
    writers(state).all(|(sid, writer)| writer.phase != Phase::Reported || committed.contains(sid))
}

/// A session's own pack may not be indexed yet.
fn references_are_stored(state: &State) -> bool {
    let store = &state.store;
    writers(state).all(|(sid, writer)| {
        let stored = matches!(writer.pack, Upload::Stored | Upload::Indexed);
        let own = stored && store.packs.difference(store.dead_packs()).contains(sid.pack());
        writer.refers == Reference::None || store.decided().contains(sid) || own || chunk_is_stored(store)
    })
}

/// The packs that the references of undecided sessions depend on.
fn supports(state: &State) -> impl Iterator<Item = (Sid, Pack)> {
    let undecided = writers(state).filter(|(sid, _)| !state.store.decided().contains(*sid));
    undecided.filter_map(|(sid, writer)| Some((sid, writer.support?)))
}

fn supports_are_stored(state: &State) -> bool {
    let stored = state.store.packs.difference(state.store.dead_packs());
    supports(state).all(|(_, pack)| stored.contains(pack))
}

/// A session that has read no epoch yet will read the newest. An ack counts even if its writer doesn't know
/// that it was stored.
fn no_session_is_ignored(state: &State) -> bool {
    let finished = state.store.newest_verdict();
    writers(state).all(|(sid, writer)| {
        let missed = writer.acked.or(writer.seen).is_some_and(|epoch| epoch < finished);
        !missed || state.store.epoch(finished).acks.contains(sid) || state.store.decided().contains(sid)
    })
}

fn stale_caches_do_no_harm(state: &State) -> bool {
    let live = state.store.live_snapshots();
    let harmed = |(sid, writer): (Sid, &Writer)| writer.stale_cache && live.contains(sid);
    chunk_is_stored(&state.store) || !writers(state).any(harmed)
}
