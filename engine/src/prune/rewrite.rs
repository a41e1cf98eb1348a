//! Rewriting: what is needed of packs moves into new ones, which are indexed before the old
//! ones are condemned. So whoever reads finds it, before, meanwhile and after.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use keepfast_format::epoch::PackName;
use keepfast_format::frame::FrameReader;

use super::Prune;
use super::live::Live;
use crate::error::{EngineError, Result};
use crate::repo::{FrameCache, FrameWriter, PackWriter, Rewriting, Seen, StoredPack};

impl Prune<'_> {
    /// Step 2: rewrites what the plan says, in a session of its own that commits nothing and is
    /// ended here. Returns the packs that can be condemned.
    pub(super) fn rewrite(&mut self, live: &Live) -> Result<Vec<PackName>> {
        let numbers = self.report.plan.rewrite.clone();
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let rewriting = Rewriting::begin(self.repository, &self.options.program, (self.options.clock)())?;
        let job = Job {
            prune: self,
            frames: FrameCache::new(self.repository, self.index),
            seen: &live.seen,
            numbers: &numbers,
            next: AtomicUsize::new(0),
            read_bytes: AtomicU64::new(0),
            outcome: Mutex::default(),
        };
        let written = rewriting.write(self.index, self.options.writer, |writer| job.run(writer));
        // It is ended whatever has happened: nothing refers to it, and nobody shall wait for it.
        rewriting.end()?;
        let ((), totals) = written?;
        let bytes_read = job.read_bytes.into_inner();
        let Outcome { moved, stay } = job.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        // A pack that the index knows by two numbers has moved when both have.
        let moved: Vec<PackName> = moved.into_iter().filter(|pack| !stay.contains(pack)).collect();
        self.report.packs_rewritten += moved.len() as u64;
        self.report.bytes_read += bytes_read;
        self.report.bytes_written += totals.bytes_stored;
        Ok(moved)
    }
}

struct Job<'a> {
    prune: &'a Prune<'a>,
    frames: FrameCache<'a>,
    seen: &'a Seen,
    numbers: &'a [u32],
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
        if self.prune.options.threads <= 1 {
            return self.work(writer);
        }
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.prune.options.threads.max(1)).map(|_| scope.spawn(|| self.work(writer))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(worked) => worked,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// What one thread does.
    fn work(&self, writer: &PackWriter<'_>) -> Result<()> {
        let mut frames = writer.frames();
        let mut reader = FrameReader::default();
        while let Some(number) = self.numbers.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            self.prune.stop_if_asked()?;
            if writer.has_failed() {
                break;
            }
            let pack = self.prune.index.pack(*number)?;
            let name = PackName { id: pack.id, session: pack.session };
            let done = self.move_pack(*number, &pack, &mut frames, &mut reader);
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok(()) => drop(outcome.moved.insert(name)),
                // It stays as it is, for `check` to report.
                Err(error @ (EngineError::Damaged { .. } | EngineError::Missing { .. })) => {
                    outcome.stay.insert(name);
                    drop(outcome);
                    self.prune.say(format!("{} isn't rewritten: {error}", pack.name()));
                }
                Err(error) => return Err(error),
            }
        }
        frames.finish()
    }

    fn move_pack(
        &self,
        number: u32,
        pack: &StoredPack,
        writer: &mut FrameWriter<'_>,
        reader: &mut FrameReader,
    ) -> Result<()> {
        for (frame, live) in (0..).zip(self.seen.in_frames(number)) {
            if live == 0 {
                continue;
            }
            self.frames.open_neighbours(reader, number, frame)?;
            self.read_bytes.fetch_add(pack.frame(frame)?.sealed_bytes.into(), Ordering::Relaxed);
            for (ordinal, plain) in (0..).zip(reader.chunks()) {
                if !self.seen.contains(number, frame, ordinal) {
                    continue;
                }
                let id = writer.store_again(pack.kind, plain)?;
                // Somebody may have written another chunk under the id that snapshots know.
                let known = self.prune.index.locations(&id)?;
                if !known.iter().any(|at| (at.pack, at.frame, at.ordinal) == (number, frame, ordinal)) {
                    return Err(EngineError::damaged(pack.name())(
                        keepfast_format::FormatError::NotAuthentic { what: "chunk" },
                    ));
                }
            }
        }
        Ok(())
    }
}
