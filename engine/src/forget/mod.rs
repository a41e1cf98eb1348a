//! Forget and undelete: which snapshots count, and taking that back as long as it is possible.

mod size;

use std::collections::HashSet;

use keepfast_format::decision::DecisionKind;
use keepfast_format::ids::SessionId;
use keepfast_format::snapshot::{Snapshot, SnapshotBody};

use crate::error::{EngineError, Result};
use crate::repo::{
    CommitRequest, FrameCache, Index, PackNumber, Reach, Repository, Seen, Session, SessionOptions,
    Snapshots, StoredSnapshot, WriterTotals, decide, hold_all,
};
use crate::run::RunContext;
pub use size::NeededBytes;

/// Forgets snapshots: from the next prune on, what only they need is removed. All of them are
/// looked at first; if one is protected, none is forgotten.
pub fn forget(
    repository: &Repository,
    snapshots: &Snapshots,
    ids: &[SessionId],
    run: &RunContext,
) -> Result<()> {
    snapshots.must_be_unprotected(ids)?;
    run.pool().map(ids, |id| decide(repository, *id, DecisionKind::Forgotten, run)).into_iter().collect()
}

/// Protects snapshots from being forgotten, or ends that.
pub fn protect(repository: &Repository, ids: &[SessionId], protected: bool, run: &RunContext) -> Result<()> {
    let kind = if protected { DecisionKind::Protected } else { DecisionKind::Unprotected };
    ids.iter().try_for_each(|id| decide(repository, *id, kind, run))
}

/// How to undelete.
pub struct UndeleteOptions {
    /// The program's name and version.
    pub program: String,
}

/// Brings a forgotten snapshot back: a new session commits the same tree. It fails, and leaves
/// everything as it is, if a prune has removed something of it, or is about to.
pub fn undelete(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    forgotten: &StoredSnapshot,
    options: &UndeleteOptions,
    run: &RunContext,
) -> Result<Snapshot> {
    let begun = SessionOptions { program: &options.program, parent: None, ended: None };
    let session = Session::begin(repository, index, &begun, run)?;
    let held = index.compare_with_store(repository).and_then(|()| refer_to_all(&session, forgotten, run));
    let committed = held.and_then(|()| {
        let snapshot = &forgotten.snapshot;
        // It stays part of its writer's history, even if another writer brings it back.
        let origin = Some(forgotten.origin_of_next());
        let body = SnapshotBody { parent: None, origin, ..snapshot.body.clone() };
        let totals = &WriterTotals::default();
        session.commit(CommitRequest {
            body,
            key: snapshot.head.key,
            totals,
            snapshots,
            made_from: Some(snapshot),
        })
    });
    run.report_suspects(|_| false);
    // A snapshot that was sent may yet arrive, where the store has failed.
    if !matches!(committed, Ok(_) | Err(EngineError::Backend(_) | EngineError::Fenced)) {
        session.give_up();
    }
    committed
}

fn refer_to_all(session: &Session<'_>, forgotten: &StoredSnapshot, run: &RunContext) -> Result<()> {
    if hold_all(session, &forgotten.snapshot.body, run)? {
        return Ok(());
    }
    Err(EngineError::PartsRemoved { snapshot: forgotten.snapshot.head.id })
}

/// What forgetting some snapshots would free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freed {
    /// Chunks that only these snapshots refer to.
    pub chunks: u64,
    /// Bytes of their plaintext.
    pub bytes: u64,
    /// Stored bytes of packs with nothing else in them: these go with the next prune.
    pub packs_bytes: u64,
    /// Stored bytes of all of these chunks, a frame's counted by the share of its plaintext.
    pub stored_bytes: u64,
}

/// Sums up what forgetting these snapshots would free.
pub fn freed_by(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    ids: &HashSet<SessionId>,
    run: &RunContext,
) -> Result<Freed> {
    let frames = FrameCache::without_refresh(repository, index, run);
    let seen = Seen::of(index)?;
    let (going, staying): (Vec<&StoredSnapshot>, Vec<&StoredSnapshot>) =
        snapshots.all.iter().partition(|stored| ids.contains(&stored.snapshot.head.id));
    let bodies = |stored: Vec<&'_ StoredSnapshot>| -> Vec<SnapshotBody> {
        stored.into_iter().map(|stored| stored.snapshot.body.clone()).collect()
    };
    Reach::new(&frames).walk(&bodies(staying), &seen, &mut |_| Ok(()))?;
    let stays =
        |pack: PackNumber| -> u64 { seen.in_frames(pack).iter().map(|chunks| u64::from(*chunks)).sum() };
    let mut live_before = Vec::new();
    index.for_each_pack(|number, _| {
        live_before.resize(live_before.len().max(number.index() + 1), 0);
        live_before[number.index()] = stays(number);
    })?;
    let mut freed = Freed::default();
    let mut hit: HashSet<PackNumber> = HashSet::new();
    Reach::new(&frames).walk(&bodies(going), &seen, &mut |reached| {
        let first = reached.places.first().ok_or_else(|| FrameCache::missing(&reached.wanted.id))?;
        freed.chunks += 1;
        freed.bytes += u64::from(first.len);
        for place in reached.places {
            let pack = index.pack(place.pack)?;
            let frame = pack.frame(place.frame)?;
            // Summed in plaintext per frame first would be exact to the byte; this is to a byte a chunk.
            freed.stored_bytes +=
                u64::from(place.len) * u64::from(frame.sealed_bytes) / u64::from(frame.plain_bytes.max(1));
            hit.insert(place.pack);
        }
        Ok(())
    })?;
    run.report_suspects(|_| false);
    for number in hit {
        if live_before.get(number.index()).copied().unwrap_or(0) == 0 {
            freed.packs_bytes += index.pack(number)?.stored_bytes;
        }
    }
    Ok(freed)
}
