//! Rewriting: what is needed of packs moves into new ones, which are indexed before the old
//! ones are condemned. So a reader finds it before, meanwhile and after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::frame::FrameReader;
use keepfast_format::keys::KeyRef;
use keepfast_format::names::PackName;
use keepfast_format::numbers::u64_of;

use super::Prune;
use super::live::Live;
use crate::error::{EngineError, Result};
use crate::repo::{
    FrameCache, FrameNumber, FramePlace, FrameSpan, FrameWriter, Ordinal, PackNumber, PackWriter, Rewriting,
    Seen, StoredPack, windows,
};
use crate::run::Phase;

/// Sealed bytes that one thread moves at a time.
const PIECE_BYTES: u64 = 8 << 20;
/// From a store that is far, more are read at a time.
const FAR_PIECE_BYTES: u64 = 17 << 20;

impl Prune<'_> {
    /// Step 2: rewrites what the plan says, in sessions of its own that commit nothing and are ended
    /// here: one for each version of the keys, since chunks stay under theirs. Returns the packs that
    /// can be condemned.
    pub(super) fn rewrite(&mut self, live: &Live) -> Result<Vec<PackName>> {
        let mut under: BTreeMap<KeyRef, Vec<PackNumber>> = BTreeMap::new();
        for number in &self.report.plan.rewrite {
            under.entry(self.index.pack(*number)?.key).or_default().push(*number);
        }
        let mut moved = Vec::new();
        for (key, numbers) in under {
            moved.extend(self.rewrite_under(key, &numbers, live)?);
        }
        Ok(moved)
    }

    fn rewrite_under(&mut self, key: KeyRef, numbers: &[PackNumber], live: &Live) -> Result<Vec<PackName>> {
        let far = self.repository.backend().is_far();
        let together = if far { FAR_PIECE_BYTES } else { PIECE_BYTES };
        let mut pieces = Vec::new();
        for number in numbers {
            let pack = self.index.pack(*number)?;
            pieces.extend(windows(&pack.frames, together).map(|frames| Piece { number: *number, frames }));
        }
        self.run.enter(Phase::Rewriting);
        let now = self.run.now();
        let rewriting = Rewriting::begin(self.repository, key, &self.options.program, now)?;
        let job = Job {
            prune: self,
            frames: FrameCache::new(self.repository, self.index, self.run)
                .reading_together(together, self.run.threads()),
            seen: &live.seen,
            pieces: &pieces,
            next: AtomicUsize::new(0),
            read_bytes: AtomicU64::new(0),
            outcome: Mutex::default(),
        };
        let written = rewriting.write(self.index, self.options.writer, |writer| job.run(writer));
        // It is ended whatever has happened: nothing refers to it, and no one shall wait for it.
        let ended = rewriting.end()?;
        let ((), totals) = written?;
        let bytes_read = job.read_bytes.into_inner();
        let Outcome { moved, stay } = job.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A pack has moved when each piece has, by each number that the index knows it by.
        let moved: Vec<PackName> = moved.into_iter().filter(|pack| !stay.contains(pack)).collect();
        self.observed.decided.insert(ended);
        self.report.packs_rewritten += u64_of(moved.len());
        self.report.bytes_read += bytes_read;
        self.report.bytes_written += totals.bytes_stored;
        Ok(moved)
    }
}

/// What one thread moves at a time: frames of a pack that are read together.
struct Piece {
    number: PackNumber,
    frames: FrameSpan,
}

struct Job<'a> {
    prune: &'a Prune<'a>,
    frames: FrameCache<'a>,
    seen: &'a Seen,
    pieces: &'a [Piece],
    next: AtomicUsize,
    read_bytes: AtomicU64,
    outcome: Mutex<Outcome>,
}

/// What became of packs.
#[derive(Default)]
struct Outcome {
    moved: BTreeSet<PackName>,
    stay: BTreeSet<PackName>,
}

impl Job<'_> {
    fn run(&self, writer: &PackWriter<'_>) -> Result<()> {
        self.prune.run.pool().in_each_thread(|| self.work(writer)).into_iter().collect()
    }

    /// What one thread does.
    fn work(&self, writer: &PackWriter<'_>) -> Result<()> {
        let mut frames = writer.frames();
        let mut reader = FrameReader::default();
        while let Some(piece) = self.pieces.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            self.prune.step_back()?;
            if writer.has_failed() {
                break;
            }
            let pack = self.prune.index.pack(piece.number)?;
            let name = pack.name;
            if self.outcome().stay.contains(&name) {
                continue;
            }
            match self.move_piece(piece, &pack, &mut frames, &mut reader) {
                Ok(()) => drop(self.outcome().moved.insert(name)),
                // It stays as it is, for `check` to report.
                Err(error @ (EngineError::Damaged { .. } | EngineError::Missing { .. })) => {
                    if matches!(error, EngineError::Damaged { .. }) {
                        self.prune.index.demote(piece.number, &error, self.prune.run)?;
                    }
                    if self.outcome().stay.insert(name) {
                        self.prune.say(format!("{} isn't rewritten: {error}", pack.name));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        frames.finish()
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_piece(
        &self,
        piece: &Piece,
        pack: &StoredPack,
        writer: &mut FrameWriter<'_>,
        reader: &mut FrameReader,
    ) -> Result<()> {
        let live = self.seen.in_frames(piece.number);
        let is_live = |frame: &FrameNumber| live.get(frame.index()).is_some_and(|chunks| *chunks > 0);
        for frame in piece.frames.iter().filter(is_live) {
            let place = FramePlace { pack: piece.number, frame };
            self.frames.open_neighbours(reader, place)?;
            self.read_bytes.fetch_add(pack.frame(frame)?.sealed_bytes.into(), Ordering::Relaxed);
            for (ordinal, plain) in Ordinal::all().zip(reader.chunks()) {
                if !self.seen.contains(place, ordinal) {
                    continue;
                }
                let id = writer.id(pack.kind, plain);
                // A writer may have written another chunk under the id that snapshots know.
                let known = self.prune.index.locations(&id)?;
                if !known.iter().any(|at| at.frame_place() == place && at.ordinal == ordinal) {
                    return Err(FrameCache::not_it(pack));
                }
                writer.store_again(pack.kind, id, plain)?;
            }
        }
        Ok(())
    }
}
