//! Writing chunks: each thread fills frames of its own, and seals them into packs that all threads
//! share; full packs are uploaded by other threads.
//!
//! Memory: each writing thread holds an open frame of each kind, and the frame it is
//! sealing; packs in memory are those being filled (one of each kind), those being uploaded,
//! and one that a thread waits with until an upload has ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use keepfast_backend::Created;
use keepfast_format::compress::Compressor;
use keepfast_format::frame::{ClosedFrame, FrameReader, OpenFrame};
use keepfast_format::ids::{ChunkId, PackId, SessionId};
use keepfast_format::keys::{ChunkIds, ChunkKind, DomainSecrets, KeyRef};
use keepfast_format::names::{PackName, SegmentName};
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::pack::{ChunkEntry, FrameEntry, HEADER_BYTES, PackCipher, PackTable};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::{FormatError, limits};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::claims::Claims;
use super::index::{Index, PackSource, StoredPack, Wanted};
use super::numbers::{FrameNumber, format_length};
use super::repository::Repository;
use super::session::{Session, Stores, WriterTotals};
use crate::error::{EngineError, Result};

/// A checkpoint comes after this many packs, or this many chunks. The first ones come
/// sooner, after 1, 2, … packs: so a run that is killed early loses little.
const PACKS_PER_CHECKPOINT: usize = 8;
/// Packs before the first checkpoint of a run that writes alone.
const PACKS_BEFORE_FIRST_SEGMENT: usize = 4;
const CHUNKS_PER_CHECKPOINT: usize = 1 << 16;

/// A page of memory, on most machines.
const PAGE_BYTES: usize = 4096;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// The zstd level.
    pub compression_level: i32,
    /// Whether each sealed frame is opened again and compared with what went in before it leaves.
    pub verify: bool,
    /// Threads that upload packs; with none, the thread that fills a pack uploads it.
    pub uploads: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { compression_level: 3, verify: true, uploads: 1 }
    }
}

/// The shared side of writing.
pub struct PackWriter<'r> {
    repository: &'r Repository,
    index: &'r Index,
    id: SessionId,
    session: Option<&'r Session<'r>>,
    options: WriterOptions,
    /// The keys that everything goes under.
    secrets: &'r DomainSecrets,
    ids: ChunkIds,
    claims: Claims,
    open: [Mutex<Option<Arc<FillingPack>>>; 2],
    /// To the uploading threads, if there are any.
    full: Option<Sender<Option<Arc<FillingPack>>>>,
    log: Mutex<Log>,
    bytes_new: AtomicU64,
    failed: AtomicBool,
    /// Buffers of packs that are uploaded, for the next ones.
    spare: Mutex<Vec<Vec<u8>>>,
}

/// Packs that are stored, and those of them that no segment lists yet.
#[derive(Default)]
struct Log {
    unlisted: Vec<PackRecord>,
    totals: WriterTotals,
    error: Option<EngineError>,
}

struct FillingPack {
    kind: ChunkKind,
    cipher: PackCipher,
    state: Mutex<Filling>,
}

/// A pack whose frames have their places, though some may still be being sealed.
#[derive(Default)]
struct Filling {
    table: PackTable,
    /// From `start` on, the header and the sealed frames.
    bytes: Vec<u8>,
    /// Where a page of memory begins: a disk takes bytes from there without another copy.
    start: usize,
    /// Length of header and frames so far.
    end: usize,
    being_sealed: usize,
    /// No more frames: it goes out as soon as the last one is sealed.
    closed: bool,
}

impl Filling {
    /// Whether the pack has its size, or as many frames or chunks as may be in one: another
    /// frame, however small its chunks, might be too many.
    fn is_full(&self, pack_bytes: u32) -> bool {
        let (frames, chunks) = (self.table.frames.len(), self.table.chunks.len());
        self.end + PackTable::encoded_bytes(frames, chunks) >= usize_of(pack_bytes)
            || frames >= usize_of(limits::FRAMES_PER_PACK)
            || chunks + usize_of(limits::CHUNKS_PER_FRAME) > usize_of(limits::CHUNKS_PER_PACK)
    }
}

/// Runs `work` with a writer for a session. Whether `work` succeeds or not, what it wrote is
/// uploaded and listed in segments, so that the next run can use it.
pub fn write_packs<T>(
    session: &Session<'_>,
    options: WriterOptions,
    work: impl FnOnce(&PackWriter<'_>) -> Result<T>,
) -> Result<(T, WriterTotals)> {
    let key = session.stores().repository.current().key();
    write_packs_under(session, key, options, work)
}

/// As [`write_packs`], for a session that writes under these keys: what is made from a snapshot goes under
/// that one's.
pub fn write_packs_under<T>(
    session: &Session<'_>,
    key: KeyRef,
    options: WriterOptions,
    work: impl FnOnce(&PackWriter<'_>) -> Result<T>,
) -> Result<(T, WriterTotals)> {
    let Stores { repository, index } = session.stores();
    let writing =
        Writing { id: session.id(), session: Some(session), secrets: repository.secrets_under(key)? };
    write_as(repository, index, writing, options, work)
}

/// As [`write_packs`], for a session that refers to nothing but what it writes, and commits nothing;
/// all goes under these keys.
pub fn rewrite_packs<T>(
    repository: &Repository,
    index: &Index,
    (id, secrets): (SessionId, &DomainSecrets),
    options: WriterOptions,
    work: impl FnOnce(&PackWriter<'_>) -> Result<T>,
) -> Result<(T, WriterTotals)> {
    write_as(repository, index, Writing { id, session: None, secrets }, options, work)
}

/// The session that writes, and its keys.
struct Writing<'r> {
    id: SessionId,
    session: Option<&'r Session<'r>>,
    secrets: &'r DomainSecrets,
}

fn write_as<T>(
    repository: &Repository,
    index: &Index,
    Writing { id, session, secrets }: Writing<'_>,
    options: WriterOptions,
    work: impl FnOnce(&PackWriter<'_>) -> Result<T>,
) -> Result<(T, WriterTotals)> {
    let (full, waiting) = bounded(0);
    let writer = PackWriter {
        repository,
        index,
        id,
        session,
        options,
        secrets,
        ids: secrets.chunk_ids(),
        claims: Claims::default(),
        open: [Mutex::new(None), Mutex::new(None)],
        full: (options.uploads > 0).then_some(full),
        log: Mutex::default(),
        bytes_new: AtomicU64::new(0),
        failed: AtomicBool::new(false),
        spare: Mutex::default(),
    };
    let worked = thread::scope(|scope| {
        for _ in 0..options.uploads {
            let (writer, waiting) = (&writer, waiting.clone());
            scope.spawn(move || writer.upload_all(&waiting));
        }
        // Only the threads receive: if they panic, no thread waits for them.
        drop(waiting);
        let _end = EndOfUploads(&writer);
        let worked = work(&writer);
        writer.close_packs();
        worked
    });
    let mut log = writer.log.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Also after a failure or an interruption: what is listed needn't be uploaded again.
    let listed = list_packs(repository, index, (id, secrets), &writer.claims, &mut log);
    let flushed = index.flush();
    if let Some(error) = log.error.take() {
        return Err(error);
    }
    let value = worked?;
    flushed?;
    listed?;
    log.totals.bytes_new = writer.bytes_new.into_inner();
    Ok((value, log.totals))
}

/// Tells the uploading threads that there will be no more, even when writing panics.
struct EndOfUploads<'w>(&'w PackWriter<'w>);

impl Drop for EndOfUploads<'_> {
    fn drop(&mut self) {
        let Some(full) = &self.0.full else { return };
        for _ in 0..self.0.options.uploads {
            let _ = full.send(None);
        }
    }
}

impl PackWriter<'_> {
    /// The hasher of chunk ids.
    #[must_use]
    pub fn ids(&self) -> &ChunkIds {
        &self.ids
    }

    /// Whether content of the parent may be referred to as it is. If not, each chunk of it has
    /// to be looked up.
    #[must_use]
    pub fn may_take_over(&self) -> bool {
        !self.index.is_doubtful() && self.session.is_some_and(Session::may_take_over)
    }

    /// Refers to a chunk, if the repository is known to have it.
    #[must_use]
    pub fn refer(&self, wanted: Wanted) -> bool {
        self.session.is_some_and(|session| session.refer(wanted))
    }

    /// Looks for a garbage collection, if that is due.
    pub fn poll(&self) -> Result<()> {
        self.session.map_or(Ok(()), Session::poll_if_due)
    }

    /// A frame writer for one thread.
    #[must_use]
    pub fn frames(&self) -> FrameWriter<'_> {
        FrameWriter {
            writer: self,
            data: Pending::default(),
            metadata: Pending::default(),
            compressor: Compressor::new(self.options.compression_level),
            sealed: Vec::new(),
            check: FrameReader::default(),
        }
    }

    /// Whether uploading has failed: then there is no use in going on.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Gives a closed frame its place in the open pack of its kind.
    fn place(
        &self,
        kind: ChunkKind,
        frame: &ClosedFrame,
        chunks: &[ChunkEntry],
    ) -> Result<(Arc<FillingPack>, FrameNumber)> {
        let mut open = lock(&self.open[usize::from(kind.code())]);
        let pack = match open.as_ref() {
            Some(pack) => Arc::clone(pack),
            None => Arc::clone(open.insert(Arc::new(self.new_pack(kind)?))),
        };
        let mut filling = lock(&pack.state);
        // A number is part of a nonce, so no two frames may get the same. A pack without a free one is full,
        // and isn't open any more.
        let number = FrameNumber::after(&filling.table.frames).ok_or_else(|| {
            EngineError::damaged("new pack")(FormatError::OverLimit { what: "pack", field: "frame count" })
        })?;
        let offset = format_length(filling.end);
        filling.table.frames.push(FrameEntry {
            offset,
            sealed_bytes: format_length(frame.sealed_bytes()),
            plain_bytes: frame.plain_bytes(),
            chunks: format_length(chunks.len()),
        });
        filling.table.chunks.extend_from_slice(chunks);
        filling.end += frame.sealed_bytes();
        let end = filling.start + filling.end;
        if filling.bytes.len() < end {
            filling.bytes.resize(end, 0);
        }
        filling.being_sealed += 1;
        if filling.is_full(self.repository.config().pack_bytes) {
            filling.closed = true;
            *open = None;
        }
        drop(filling);
        Ok((pack, number))
    }

    fn new_pack(&self, kind: ChunkKind) -> Result<FillingPack> {
        let repository = self.repository;
        let cipher = PackCipher::create(repository.id(), self.secrets, kind, &repository.random()?)
            .map_err(EngineError::damaged("sealing key"))?;
        let mut bytes = lock(&self.spare).pop().unwrap_or_default();
        if bytes.is_empty() {
            // Most packs end within the frame that makes them full.
            let config = self.repository.config();
            bytes.reserve_exact(PAGE_BYTES + usize_of(config.pack_bytes + config.data_frame_bytes));
        }
        let start = bytes.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        if bytes.len() < start + HEADER_BYTES {
            bytes.resize(start + HEADER_BYTES, 0);
        }
        bytes[start..start + HEADER_BYTES].copy_from_slice(cipher.header());
        let filling = Filling { bytes, start, end: HEADER_BYTES, ..Filling::default() };
        Ok(FillingPack { kind, cipher, state: Mutex::new(filling) })
    }

    /// Puts a sealed frame in its place.
    fn put(&self, pack: &Arc<FillingPack>, number: FrameNumber, sealed: &[u8]) {
        let mut filling = lock(&pack.state);
        let start = filling.start + usize_of(filling.table.frames[number.index()].offset);
        filling.bytes[start..start + sealed.len()].copy_from_slice(sealed);
        debug_assert!(filling.being_sealed > 0, "a frame is put where it was given a place, and once");
        filling.being_sealed -= 1;
        let complete = filling.closed && filling.being_sealed == 0;
        drop(filling);
        if complete {
            self.send(Arc::clone(pack));
        }
    }

    fn send(&self, pack: Arc<FillingPack>) {
        match &self.full {
            // The receivers outlive the senders: they run until they are told to end.
            Some(full) => drop(full.send(Some(pack))),
            None => self.upload_or_fail(&pack),
        }
    }

    /// Closes the packs that are open: the last ones of the run. One with a frame that was
    /// never sealed, because its thread failed, is dropped.
    fn close_packs(&self) {
        for open in &self.open {
            if let Some(pack) = lock(open).take()
                && lock(&pack.state).being_sealed == 0
            {
                self.send(pack);
            }
        }
    }

    /// What an uploading thread does.
    fn upload_all(&self, waiting: &Receiver<Option<Arc<FillingPack>>>) {
        while let Ok(Some(pack)) = waiting.recv() {
            self.upload_or_fail(&pack);
        }
    }

    fn upload_or_fail(&self, pack: &FillingPack) {
        // After a failure packs are only taken out, so that no thread waits for room.
        if self.has_failed() {
            return;
        }
        if let Err(error) = self.upload(pack) {
            self.failed.store(true, Ordering::Relaxed);
            lock(&self.log).error.get_or_insert(error);
        }
    }

    /// Packs after which the next segment is due. The first ones come early: others that write
    /// the same find it there, and a run that is interrupted goes on from there.
    fn packs_due(&self, segments: usize) -> usize {
        let others_write = self.session.is_some_and(Session::others_write);
        PACKS_PER_CHECKPOINT.min((segments + 1) * if others_write { 1 } else { PACKS_BEFORE_FIRST_SEGMENT })
    }

    fn upload(&self, pack: &FillingPack) -> Result<()> {
        let filling = std::mem::take(&mut *lock(&pack.state));
        let tail = pack.cipher.tail(&filling.table, self.repository.config().pack_bytes);
        let parts = [&filling.bytes[filling.start..filling.start + filling.end], &tail];
        let id = PackId::new(*blake3::Hasher::new().update(parts[0]).update(parts[1]).finalize().as_bytes());
        let stored_bytes = parts.iter().map(|part| u64_of(part.len())).sum();
        let name = PackName { id, session: self.id };
        if self.repository.backend().create(&name.to_string(), &parts)? == Created::AlreadyThere {
            return Err(EngineError::AnotherObjectsAnswer { object: name });
        }
        lock(&self.spare).push(filling.bytes);
        let mut log = lock(&self.log);
        log.totals.bytes_stored += stored_bytes;
        log.unlisted.push(PackRecord { id, kind: pack.kind, stored_bytes, table: filling.table });
        let chunks: usize = log.unlisted.iter().map(|pack| pack.table.chunks.len()).sum();
        let packs_due = self.packs_due(usize_of(log.totals.segments));
        if log.unlisted.len() >= packs_due || chunks >= CHUNKS_PER_CHECKPOINT {
            list_packs(self.repository, self.index, (self.id, self.secrets), &self.claims, &mut log)?;
            drop(log);
            self.session.map_or(Ok(()), Session::refresh_if_others_write)?;
        }
        Ok(())
    }
}

/// Writes a segment of the packs that aren't listed yet, and adds them to the index.
fn list_packs(
    repository: &Repository,
    index: &Index,
    (session, secrets): (SessionId, &DomainSecrets),
    claims: &Claims,
    log: &mut Log,
) -> Result<()> {
    if log.unlisted.is_empty() {
        return Ok(());
    }
    let n = log.totals.segments;
    debug_assert!(
        log.unlisted.iter().all(|pack| !log.totals.packs.contains(&pack.id)),
        "no pack is listed twice"
    );
    let (id, identity) = (repository.id(), repository.identity());
    let bytes = segment::seal(id, secrets, identity, session, n, &log.unlisted, *repository.random()?);
    let name = SegmentName { session, n };
    // Others rely on a pack as soon as a segment lists it: it must survive a power cut by then.
    repository.backend().sync()?;
    if repository.backend().create(&name.to_string(), &[&bytes])? == Created::AlreadyThere {
        return Err(EngineError::NameTaken { object: name.into() });
    }
    // A session that has seen the segment counts on it, and can't make its name durable.
    repository.backend().sync()?;
    let packs = std::mem::take(&mut log.unlisted);
    log.totals.segments += 1;
    log.totals.bytes_stored += u64_of(bytes.len());
    log.totals.packs.extend(packs.iter().map(|pack| pack.id));
    let stored: Vec<(StoredPack, &PackTable)> = packs
        .iter()
        .map(|pack| {
            let stored = StoredPack {
                name: PackName { id: pack.id, session },
                key: secrets.key(),
                kind: pack.kind,
                stored_bytes: pack.stored_bytes,
                frames: pack.table.frames.clone(),
            };
            (stored, &pack.table)
        })
        .collect();
    index.add(PackSource::Segment(name), &stored)?;
    for chunk in packs.iter().flat_map(|pack| &pack.table.chunks) {
        claims.release(&chunk.id);
    }
    Ok(())
}

/// New chunks of one kind on their way into a frame.
#[derive(Default)]
struct Pending {
    frame: OpenFrame,
    chunks: Vec<ChunkEntry>,
    /// Of the chunks' bytes, taken when their ids were: what comes out of the sealed frame
    /// must have the same.
    checksum: Xxh3,
}

/// One thread's side of writing: what it stores one after the other lies together.
pub struct FrameWriter<'w> {
    writer: &'w PackWriter<'w>,
    data: Pending,
    metadata: Pending,
    compressor: Compressor,
    /// The last sealed frame, whose buffer the next one takes.
    sealed: Vec<u8>,
    check: FrameReader,
}

impl FrameWriter<'_> {
    /// Stores a chunk unless the repository has it. Returns its id, and whether it was new.
    pub fn store(&mut self, kind: ChunkKind, plain: &[u8]) -> Result<(ChunkId, bool)> {
        let id = self.writer.ids.id(kind, plain);
        let wanted = Wanted { id, len: Some(format_length(plain.len())) };
        if self.writer.refer(wanted) || !self.writer.claims.take(id) {
            return Ok((id, false));
        }
        self.add(kind, id, plain)?;
        Ok((id, true))
    }

    /// The id of a chunk.
    #[must_use]
    pub fn id(&self, kind: ChunkKind, plain: &[u8]) -> ChunkId {
        self.writer.ids.id(kind, plain)
    }

    /// Stores a chunk, whose id this is, wherever else it may be: it moves.
    pub fn store_again(&mut self, kind: ChunkKind, id: ChunkId, plain: &[u8]) -> Result<()> {
        if self.writer.claims.take(id) { self.add(kind, id, plain) } else { Ok(()) }
    }

    fn add(&mut self, kind: ChunkKind, id: ChunkId, plain: &[u8]) -> Result<()> {
        let config = self.writer.repository.config();
        let (pending, frame_bytes) = match kind {
            ChunkKind::Data => {
                self.writer.bytes_new.fetch_add(u64_of(plain.len()), Ordering::Relaxed);
                (&mut self.data, config.data_frame_bytes)
            }
            ChunkKind::Metadata => (&mut self.metadata, config.metadata_frame_bytes),
        };
        pending.checksum.update(plain);
        pending.frame.push(plain);
        pending.chunks.push(ChunkEntry { id, bytes: format_length(plain.len()) });
        if pending.frame.is_full(frame_bytes) { self.close(kind) } else { Ok(()) }
    }

    /// Closes both open frames: at the end of the thread's work.
    pub fn finish(mut self) -> Result<()> {
        self.close(ChunkKind::Data)?;
        self.close(ChunkKind::Metadata)
    }

    fn close(&mut self, kind: ChunkKind) -> Result<()> {
        let pending = match kind {
            ChunkKind::Data => &mut self.data,
            ChunkKind::Metadata => &mut self.metadata,
        };
        if pending.chunks.is_empty() {
            return Ok(());
        }
        let frame = pending.frame.close(&mut self.compressor, std::mem::take(&mut self.sealed));
        let (pack, number) = self.writer.place(kind, &frame, &pending.chunks)?;
        let sealed = frame.seal(&pack.cipher, number.into());
        if self.writer.options.verify {
            let opened = self.check.open(&pack.cipher, number.into(), &sealed);
            let found = self.check.chunks().map(|chunk| format_length(chunk.len()));
            if opened.is_err()
                || !found.eq(pending.chunks.iter().map(|chunk| chunk.bytes))
                || xxh3_64(self.check.plain()) != pending.checksum.digest()
            {
                return Err(EngineError::FaultyMachine);
            }
        }
        pending.chunks.clear();
        pending.checksum.reset();
        self.writer.put(&pack, number, &sealed);
        self.sealed = sealed;
        self.writer.poll()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
