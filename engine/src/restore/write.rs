//! Running a plan: frames are opened by all threads, and written where they belong.

use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::frame::FrameReader;
use keepfast_format::keys::ChunkKind;
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::pack::HEADER_BYTES;
use rustix::io::Errno;

use super::RestoreOptions;
use super::arriving::{Arriving, Awaited, Needed};
use super::denied::Denied;
use super::folders::Identity;
use super::plan::{FilePlan, FileState, FrameRead, Part, ReadLimits, RestorePlan};
use super::target::Target;
use crate::error::{EngineError, Result};
use crate::jobs::{Jobs, Next};
use crate::repo::{FrameCache, Location, PackNumber, StoredPack};
use crate::run::RunContext;

/// Files that stay open between two of their parts.
const OPEN_FILES_MAX: usize = 256;
/// Files, or parts of them, that a thread writes without asking what else there is to do. A frame with
/// twice as many is written by all threads: it may be all that there is to read.
const PARTS_AT_ONCE: usize = 128;
/// Only frames up to this size are shared: each is kept until all of it is written.
const SHARED_BYTES_MAX: usize = 4 << 20;

/// Runs a plan with all threads.
pub fn run(
    plan: &mut RestorePlan,
    target: &Target<'_>,
    frames: &FrameCache<'_>,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<()> {
    let ran = run_all(plan, target, frames, options, run);
    if ran.is_err() {
        abandon(plan, target);
    }
    ran
}

fn run_all(
    plan: &mut RestorePlan,
    target: &Target<'_>,
    frames: &FrameCache<'_>,
    options: &RestoreOptions,
    run: &RunContext,
) -> Result<()> {
    let unlocated = plan.locate(frames.index(), run.pool())?;
    if options.dry_run {
        for part in unlocated {
            give_up_file(plan.file(part.file), target, &FrameCache::missing(&part.id), run);
        }
        for file in plan.files.iter().filter(|file| !file.continues && !lock(&file.state).failed) {
            target.count_file(file.size);
        }
        return Ok(());
    }
    let far = frames.repository().backend().is_far();
    let limits = if far { ReadLimits::FAR } else { ReadLimits::NEAR };
    let reads =
        plan.reads(limits, |pack, frame| frames.index().pack(pack)?.frame(frame).copied(), run.pool())?;
    let empty: Vec<&FilePlan> = plan.files.iter().filter(|file| file.parts == 0).collect();
    let writing = Writing {
        plan,
        target,
        frames,
        limits,
        run,
        jobs: Jobs::new(run.threads() + 1),
        is_shared: run.threads() > 1,
        open: AtomicUsize::new(0),
        error: Mutex::new(None),
    };
    // What is pushed last is done first.
    writing.jobs.push(empty.chunks(PARTS_AT_ONCE).map(Job::Empty));
    writing.jobs.push(reads.iter().rev().map(Job::Read));
    writing.place_one_by_one(unlocated)?;
    run.pool().in_each_thread(|| writing.work());
    match writing.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Removes what has been written of files that aren't complete: the restore has failed.
pub fn abandon(plan: &RestorePlan, target: &Target<'_>) {
    for file in &plan.files {
        target.discard(file.directory, &mut lock(&file.state));
    }
}

struct Writing<'a, 't> {
    plan: &'a RestorePlan,
    target: &'a Target<'t>,
    frames: &'a FrameCache<'a>,
    limits: ReadLimits,
    run: &'a RunContext,
    jobs: Jobs<Job<'a>, Batch>,
    /// Whether there is more than one thread.
    is_shared: bool,
    open: AtomicUsize,
    error: Mutex<Option<EngineError>>,
}

/// One thing to do.
enum Job<'a> {
    /// Neighbouring frames.
    Read(&'a FrameRead),
    /// Files without content.
    Empty(&'a [&'a FilePlan]),
}

/// Verified parts of one frame, by file.
struct Batch {
    plain: Arc<[u8]>,
    parts: Vec<Part>,
}

/// Memory that a thread reuses from one read to the next.
#[derive(Default)]
struct Memory {
    reader: FrameReader,
    /// For a backend that reads all at once.
    room: Vec<u8>,
    /// A frame of which a part has come.
    held: Vec<u8>,
}

impl Writing<'_, '_> {
    fn work(&self) {
        let mut memory = Memory::default();
        while let Some(next) = self.jobs.next() {
            let _doing = self.jobs.doing();
            let done = match next {
                Next::Job(Job::Read(read)) => self.read(read, &mut memory),
                Next::Job(Job::Empty(files)) => files.iter().try_for_each(|file| self.write(file, &[], &[])),
                Next::Piece(batch) => self.write_by_file(&batch.parts, &batch.plain),
            };
            let stopped = self.run.go_on();
            if let Err(error) = done.and(stopped) {
                lock(&self.error).get_or_insert(error);
                self.jobs.stop();
            }
        }
    }

    /// Reads neighbouring frames and writes what is in them, each as soon as it has come.
    fn read(&self, read: &FrameRead, memory: &mut Memory) -> Result<()> {
        let pack = self.frames.index().pack(read.pack)?;
        let entries = &pack.frames[read.frames.first.index()..=read.frames.last.index()];
        let parts = &self.plan.parts[read.parts.clone()];
        let end = entries.last().map_or(0, |entry| entry.offset + entry.sealed_bytes);
        let mut start = entries[0].offset;
        let mut cipher = self.frames.known_cipher(read.pack);
        let mut awaited = Vec::with_capacity(entries.len() + 1);
        if cipher.is_none() && u64::from(start) <= self.limits.gap_bytes.max(u64_of(HEADER_BYTES)) {
            // The header is read with them: the pack's key is in it.
            start = 0;
            awaited.push(Awaited { range: 0..HEADER_BYTES, what: Needed::Header });
        } else if cipher.is_none() {
            match self.frames.cipher(read.pack, &pack, None) {
                Ok(known) => cipher = Some(known),
                Err(error) => return self.place_failed(parts.to_vec(), read.pack, error),
            }
        }
        let mut rest = parts;
        for (number, entry) in read.frames.iter().zip(entries) {
            let (here, after) = rest.split_at(rest.partition_point(|part| part.location.frame <= number));
            rest = after;
            if !here.is_empty() {
                let from = usize_of(entry.offset);
                let range = from..from + usize_of(entry.sealed_bytes);
                awaited.push(Awaited { range, what: Needed::Frame { number, parts: here } });
            }
        }
        let Memory { reader, room, held } = memory;
        let mut arrived = Ok(());
        // Frames that didn't open, or didn't arrive.
        let mut again: Vec<&[Part]> = Vec::new();
        let mut arriving = Arriving::new(&awaited, usize_of(start), held);
        let read_all =
            self.frames.read_pieces(&pack, start.into(), usize_of(end - start), room, &mut |piece| {
                arriving.take(piece, &mut |awaited, bytes| {
                    let Needed::Frame { number, parts } = awaited.what else {
                        cipher = self.frames.cipher(read.pack, &pack, Some(bytes)).ok();
                        return ControlFlow::Continue(());
                    };
                    let opened = cipher.as_ref().map(|cipher| reader.open(cipher, number.into(), bytes));
                    if !matches!(opened, Some(Ok(()))) {
                        again.push(parts);
                        return ControlFlow::Continue(());
                    }
                    arrived = self.place(parts, reader.plain(), read.pack, &pack);
                    if arrived.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
            });
        let missing = arriving.rest();
        arrived?;
        if read_all.is_ok() {
            again.extend(missing.iter().map(Awaited::parts));
        }
        for parts in again {
            let Some(first) = parts.first() else { continue };
            match self.frames.open(reader, first.location.frame_place()) {
                Ok(pack) => self.place(parts, reader.plain(), read.pack, &pack)?,
                Err(error) => self.place_failed(parts.to_vec(), read.pack, error)?,
            }
        }
        match read_all {
            Ok(()) => Ok(()),
            Err(error) => {
                let parts = missing.iter().flat_map(Awaited::parts).copied().collect();
                self.place_failed(parts, read.pack, error)
            }
        }
    }

    /// Handles parts that couldn't be read from the pack that they were planned to come from. If the pack is
    /// gone, a garbage collection has moved the chunks that are needed; if it is damaged, other packs may have
    /// the same chunks.
    fn place_failed(&self, parts: Vec<Part>, pack: PackNumber, error: EngineError) -> Result<()> {
        match &error {
            EngineError::Missing { .. } => self.frames.refresh_for(pack)?,
            EngineError::Damaged { .. } => self.frames.index().demote(pack, &error, self.run)?,
            EngineError::Backend(_) => {}
            _ => return Err(error),
        }
        self.place_one_by_one(parts)
    }

    /// Looks for the chunks of these parts one by one, in all packs that have them, and writes the parts.
    fn place_one_by_one(&self, mut parts: Vec<Part>) -> Result<()> {
        let found =
            self.frames.index().locate_all(parts.iter().map(Part::wanted).collect(), self.run.pool())?;
        // In the order of their places, so that each frame is opened once.
        parts.sort_by_cached_key(|part| (found.get(part.wanted()).flatten(), part.wanted()));
        for parts in parts.chunk_by(|a, b| a.wanted() == b.wanted()) {
            if self.run.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            let Some(wanted) = parts.first().map(Part::wanted) else { continue };
            match self.frames.chunk(ChunkKind::Data, wanted) {
                Ok(plain) => {
                    let here =
                        |part: &Part| Part { location: Location { offset: 0, ..part.location }, ..*part };
                    self.write_all(parts.iter().map(here).collect(), &plain)?;
                }
                Err(error) => self.give_up(parts, error)?,
            }
        }
        Ok(())
    }

    /// Verifies the chunks of one frame, and writes each file's parts at once.
    fn place(&self, parts: &[Part], plain: &[u8], number: PackNumber, pack: &StoredPack) -> Result<()> {
        let hasher = self.frames.hashers().under(pack.key);
        let mut good: Vec<Part> = Vec::with_capacity(parts.len());
        let mut wrong: Vec<Part> = Vec::new();
        let mut verified = None;
        for part in parts {
            if verified != Some(part.id) {
                let start = usize_of(part.location.offset);
                let chunk = plain.get(start..start + usize_of(part.location.len));
                let is_it =
                    |chunk: &[u8]| hasher.is_some_and(|hasher| hasher.id(ChunkKind::Data, chunk) == part.id);
                verified = chunk.is_some_and(is_it).then_some(part.id);
            }
            if verified.is_some() { &mut good } else { &mut wrong }.push(*part);
        }
        self.write_all(good, plain)?;
        if wrong.is_empty() { Ok(()) } else { self.place_failed(wrong, number, FrameCache::not_it(pack)) }
    }

    /// Writes parts of verified chunks, each file's at once. Many are handed to all threads.
    fn write_all(&self, mut parts: Vec<Part>, plain: &[u8]) -> Result<()> {
        parts.sort_unstable_by_key(|part| (part.file, part.at));
        if !self.is_shared || parts.len() < 2 * PARTS_AT_ONCE || plain.len() > SHARED_BYTES_MAX {
            return self.write_by_file(&parts, plain);
        }
        let plain: Arc<[u8]> = plain.into();
        let mut rest = parts.as_slice();
        while !rest.is_empty() {
            let (here, after) = rest.split_at(self.end_of_batch(rest));
            rest = after;
            let batch = Batch { plain: Arc::clone(&plain), parts: here.to_vec() };
            // If more wait than the threads can take, this one takes part at once.
            if let Some(oldest) = self.jobs.push_piece(batch) {
                self.write_by_file(&oldest.parts, &oldest.plain)?;
            }
        }
        Ok(())
    }

    /// How many parts one thread gets: all of a file, and the rest of a directory if it isn't large, since
    /// two threads get in each other's way there.
    fn end_of_batch(&self, parts: &[Part]) -> usize {
        let Some(last) = parts.get(PARTS_AT_ONCE) else { return parts.len() };
        let directory = |part: &Part| self.plan.file(part.file).directory;
        let near = &parts[PARTS_AT_ONCE..parts.len().min(2 * PARTS_AT_ONCE)];
        let is_next_one = |part: &Part| directory(part) != directory(last);
        let found = near.iter().position(is_next_one).map(|more| PARTS_AT_ONCE + more);
        found.unwrap_or_else(|| {
            let same = parts[PARTS_AT_ONCE..].iter().take_while(|part| part.file == last.file);
            PARTS_AT_ONCE + same.count()
        })
    }

    fn write_by_file(&self, parts: &[Part], plain: &[u8]) -> Result<()> {
        for parts in parts.chunk_by(|a, b| a.file == b.file) {
            self.write(self.plan.file(parts[0].file), parts, plain)?;
        }
        Ok(())
    }

    /// Writes parts of a file; with the last of them the file is complete.
    fn write(&self, file: &FilePlan, parts: &[Part], plain: &[u8]) -> Result<()> {
        let mut state = lock(&file.state);
        if state.failed {
            return Ok(());
        }
        match self.write_parts(file, &mut state, parts, plain) {
            Ok(()) => Ok(()),
            // No other file can be written either.
            Err(denied) if denied.is_fatal() => {
                Err(EngineError::file(self.target.whole_path(file.directory, &file.node.name))(denied))
            }
            Err(denied) => {
                state.failed = true;
                self.close(&mut state);
                self.target.discard(file.directory, &mut state);
                self.target.skipped(file.directory, &file.node.name, denied.why(), self.run);
                Ok(())
            }
        }
    }

    fn write_parts(
        &self,
        file: &FilePlan,
        state: &mut FileState,
        parts: &[Part],
        plain: &[u8],
    ) -> Result<(), Denied> {
        let temporary = match (state.temporary, &state.handle) {
            (Some(temporary), Some(_)) => temporary,
            (Some(temporary), None) => {
                state.handle = Some(self.target.reopen_file(file.directory, temporary, state.identity)?);
                self.open.fetch_add(1, Ordering::Relaxed);
                temporary
            }
            (None, _) => {
                if self.write_whole(file, parts, plain)? {
                    return Ok(());
                }
                let (handle, temporary) = self.target.create_file(file.directory)?;
                state.temporary = Some(temporary);
                let stretched = stretch(&handle, file, parts);
                state.handle = Some(handle);
                self.open.fetch_add(1, Ordering::Relaxed);
                stretched?;
                temporary
            }
        };
        let Some(handle) = state.handle.as_ref() else { return Ok(()) };
        write_runs(handle, parts, plain)?;
        self.run.count(0, bytes_of(parts));
        state.written += u64_of(parts.len());
        if state.written == file.parts && !file.continues {
            let problems = self.target.complete_file(file, handle, temporary)?;
            state.temporary = None;
            self.completed(file, problems);
            self.close(state);
        } else if self.open.load(Ordering::Relaxed) > OPEN_FILES_MAX {
            state.identity = Some(Identity::of_open(handle)?);
            self.close(state);
        }
        Ok(())
    }

    /// Writes a file of which all is here, if it can be made without a name. Returns whether it could.
    fn write_whole(&self, file: &FilePlan, parts: &[Part], plain: &[u8]) -> Result<bool, Denied> {
        if u64_of(parts.len()) != file.parts || file.continues {
            return Ok(false);
        }
        let Some(handle) = self.target.create_nameless(file)? else { return Ok(false) };
        stretch(&handle, file, parts)?;
        write_runs(&handle, parts, plain)?;
        let Some(problems) = self.target.complete_nameless(file, &handle)? else { return Ok(false) };
        self.run.count(0, bytes_of(parts));
        self.completed(file, problems);
        Ok(true)
    }

    fn completed(&self, file: &FilePlan, problems: Vec<String>) {
        for problem in problems {
            self.target.skipped(file.directory, &file.node.name, problem, self.run);
        }
        self.target.count_file(file.size);
        self.run.count(1, 0);
    }

    fn close(&self, state: &mut FileState) {
        if state.handle.take().is_some() {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Skips the files that need parts which can't be read. An index that can't be used concerns all files,
    /// so it ends the restore, as a cancel does.
    fn give_up(&self, parts: &[Part], error: EngineError) -> Result<()> {
        if matches!(error, EngineError::Cache { .. } | EngineError::Interrupted) {
            return Err(error);
        }
        for part in parts {
            let file = self.plan.file(part.file);
            let was_open = lock(&file.state).handle.is_some();
            give_up_file(file, self.target, &error, self.run);
            if was_open {
                self.open.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Skips a file, and removes what has been written of it: a file that has its name is complete.
pub fn give_up_file(file: &FilePlan, target: &Target<'_>, error: &EngineError, run: &RunContext) {
    let mut state = lock(&file.state);
    if !std::mem::replace(&mut state.failed, true) {
        target.discard(file.directory, &mut state);
        let mut why = error.to_string();
        if error.is_unreachable() {
            why.push_str("; it may be sound: restore it again when the store can be reached and read");
        }
        target.skipped(file.directory, &file.node.name, why, run);
    }
}

/// Where a part begins in its frame.
fn start_of(part: &Part) -> usize {
    usize_of(part.location.offset) + usize_of(part.from)
}

fn bytes_of(parts: &[Part]) -> u64 {
    parts.iter().map(|part| u64::from(part.take)).sum()
}

/// Gives a new file its length, if not all of it is here: the rest comes later, or is a hole.
fn stretch(handle: &OwnedFd, file: &FilePlan, parts: &[Part]) -> Result<(), Errno> {
    if bytes_of(parts) < file.size { rustix::fs::ftruncate(handle, file.size) } else { Ok(()) }
}

/// Writes parts of a file. Those that are neighbours in the frame and in the file go out in one write.
fn write_runs(handle: &OwnedFd, parts: &[Part], plain: &[u8]) -> Result<(), Errno> {
    let joined = |a: &Part, b: &Part| {
        a.at + u64::from(a.take) == b.at && start_of(a) + usize_of(a.take) == start_of(b)
    };
    for run in parts.chunk_by(joined) {
        let start = start_of(&run[0]);
        let length: usize = run.iter().map(|part| usize_of(part.take)).sum();
        write_at(handle, &plain[start..start + length], run[0].at)?;
    }
    Ok(())
}

fn write_at(handle: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(handle, bytes, at) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = &bytes[count..];
                at += u64_of(count);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
