//! Reading single chunks: frames are opened whole, and the last ones are kept. For chunks of
//! metadata, that is: those of one directory mostly lie together. Data is read by the frame.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Deref, Range};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use keepfast_backend::BackendError;
use keepfast_format::FormatError;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::pack::{FrameEntry, HEADER_BYTES, PackCipher};
use lru::LruCache;

use super::directories::look_into_packs;
use super::epochs::Epochs;
use super::index::{Index, Location, StoredPack, Wanted};
use super::packs::open_cipher;
use super::recover::refresh_index;
use super::repository::{Hashers, Repository};
use super::soundness::until_sound;
use crate::error::{EngineError, Result};
use crate::run::RunContext;

/// Frames kept open: 16 MiB of metadata.
const FRAMES: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// From a store that is far, frames are read with their neighbours, up to so many bytes: the
/// metadata of one directory after the other lies together.
const AHEAD_BYTES: u64 = 8 << 20;
/// Bytes of sealed frames that are kept, if they are read with their neighbours: a directory's
/// metadata is in the packs of all runs that changed something in it.
const AHEAD_KEPT_BYTES: u64 = 32 << 20;
/// Frames that don't open and that are remembered, so that they aren't read for each of their chunks.
const FAILED_FRAMES_MAX: usize = 1 << 12;
/// Frames of data that are kept open where chunks are looked for one by one: what comes after another
/// mostly lies beside it.
const DATA_FRAMES: NonZeroUsize = NonZeroUsize::new(8).unwrap();
/// Packs whose keys are kept.
const CIPHERS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// A chunk's plaintext, inside of its frame's.
#[derive(Debug, Clone)]
pub struct ChunkBytes {
    frame: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for ChunkBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.frame[self.range.clone()]
    }
}

/// Opens frames and remembers the last ones. Shared by many threads.
pub struct FrameCache<'r> {
    repository: &'r Repository,
    index: &'r Index,
    run: &'r RunContext,
    hashers: Hashers,
    ciphers: Mutex<LruCache<u32, Arc<PackCipher>>>,
    frames: Mutex<LruCache<(u32, u32), Arc<Vec<u8>>>>,
    /// Frames that don't open, and why.
    failed: Mutex<HashMap<(u32, u32), FormatError>>,
    /// Readers that nobody uses at the moment.
    readers: Mutex<Vec<FrameReader>>,
    ahead: Mutex<Ahead>,
    /// A range that somebody was reading has come, or hasn't.
    arrived: Condvar,
    /// Bytes that are read together from a store that is far.
    ahead_bytes: u64,
    /// Bytes of such ranges that are kept.
    ahead_kept_bytes: u64,
    /// Packs that weren't there, and for which the index was brought up to date; and no pack, where a chunk
    /// was in none.
    refreshed_for: Mutex<HashSet<Option<u32>>>,
    refreshes: bool,
    reads_dead: bool,
}

/// The search for a chunk that isn't where it was looked for first.
#[derive(Default)]
struct Search {
    tried: Vec<Location>,
    errors: Vec<EngineError>,
    /// Packs that weren't there.
    gone: Vec<u32>,
    is_refreshed: bool,
    has_looked: bool,
}

impl Search {
    /// Why it has failed. A pack that couldn't be reached may have the chunk. A chunk of a pack that is
    /// gone may have moved: for a cache that doesn't hear of that, this comes before damage elsewhere.
    fn into_error(self, id: &ChunkId) -> EngineError {
        let gravity = |error: &EngineError| match error {
            EngineError::Backend(_) => 0,
            EngineError::Missing { .. } if self.gone.is_empty() => 1,
            EngineError::Damaged { .. } => 2,
            _ => 3,
        };
        self.errors.into_iter().min_by_key(gravity).unwrap_or_else(|| FrameCache::missing(id))
    }
}

/// Sealed frames that were read ahead.
#[derive(Default)]
struct Ahead {
    /// Those used last at the end.
    kept: VecDeque<Arc<SealedRange>>,
    /// Pack and first frame of those that are being read.
    coming: HashSet<(u32, u32)>,
}

impl Ahead {
    fn take_out(&mut self, pack: u32, number: u32) -> Option<Arc<SealedRange>> {
        let fits = |range: &Arc<SealedRange>| range.pack == pack && range.frames.contains(&number);
        self.kept.iter().position(fits).and_then(|place| self.kept.remove(place))
    }

    fn keep(&mut self, range: Arc<SealedRange>, bytes_max: u64) {
        self.kept.push_back(range);
        let mut bytes: u64 = self.kept.iter().map(|range| range.bytes.len() as u64).sum();
        while bytes > bytes_max && self.kept.len() > 1 {
            bytes -= self.kept.pop_front().map_or(bytes, |range| range.bytes.len() as u64);
        }
    }
}

/// Neighbouring sealed frames of a pack.
struct SealedRange {
    pack: u32,
    frames: Range<u32>,
    start: usize,
    bytes: Vec<u8>,
}

impl<'r> FrameCache<'r> {
    /// A cache with nothing in it.
    #[must_use]
    pub fn new(repository: &'r Repository, index: &'r Index, run: &'r RunContext) -> Self {
        Self {
            repository,
            index,
            run,
            hashers: repository.hashers(),
            ciphers: Mutex::new(LruCache::new(CIPHERS)),
            frames: Mutex::new(LruCache::new(FRAMES)),
            failed: Mutex::default(),
            readers: Mutex::default(),
            ahead: Mutex::default(),
            arrived: Condvar::new(),
            ahead_bytes: AHEAD_BYTES,
            ahead_kept_bytes: AHEAD_KEPT_BYTES,
            refreshed_for: Mutex::default(),
            refreshes: true,
            reads_dead: true,
        }
    }

    /// A cache that doesn't look by itself for what garbage collections have moved: for tasks of a
    /// thread pool, which must not wait for one another. The code that starts them calls
    /// [`FrameCache::refresh`].
    #[must_use]
    pub fn without_refresh(repository: &'r Repository, index: &'r Index, run: &'r RunContext) -> Self {
        Self { refreshes: false, ..Self::new(repository, index, run) }
    }

    /// Takes nothing from packs that a verdict has named: they are there for a moment only.
    #[must_use]
    pub fn without_dead(self) -> Self {
        Self { reads_dead: false, ..self }
    }

    /// Reads chunks of data. Of those no more than a few frames are kept: they are large.
    #[must_use]
    pub fn of_data(repository: &'r Repository, index: &'r Index, run: &'r RunContext) -> Self {
        Self::new(repository, index, run).keeping(DATA_FRAMES)
    }

    fn keeping(mut self, frames: NonZeroUsize) -> Self {
        self.frames = Mutex::new(LruCache::new(frames));
        self
    }

    /// Reads so many bytes together from a store that is far, and keeps so many of these ranges:
    /// for threads that each need most of one.
    #[must_use]
    pub fn reading_together(self, bytes: u64, ranges: usize) -> Self {
        Self { ahead_bytes: bytes, ahead_kept_bytes: bytes.saturating_mul(ranges as u64), ..self }
    }

    /// Learns what garbage collections have removed, and where everything is now.
    pub fn refresh(&self) -> Result<()> {
        Epochs::list(self.repository)?.tell_authentic(self.repository, self.index)?;
        refresh_index(self.repository, self.index, self.run).map(drop)
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// The run that reads.
    #[must_use]
    pub fn run(&self) -> &'r RunContext {
        self.run
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &'r Index {
        self.index
    }

    /// The hashers of chunk ids.
    #[must_use]
    pub fn hashers(&self) -> &Hashers {
        &self.hashers
    }

    /// What is said of a chunk that is nowhere.
    pub fn missing(id: &ChunkId) -> EngineError {
        EngineError::Missing {
            object: format!("chunk {id}"),
            consequence: "no pack has it; run `keepfast check --read-data` to see which files it hits",
        }
    }

    /// A chunk's plaintext, verified against its id, from wherever it can be had.
    pub fn chunk(&self, kind: ChunkKind, wanted: impl Into<Wanted>) -> Result<ChunkBytes> {
        let wanted = wanted.into();
        match self.index.locate(&wanted)? {
            Some(place) => self
                .chunk_at(kind, &wanted.id, &place)
                .or_else(|error| self.chunk_elsewhere(kind, &wanted, Some((place, error)))),
            None => self.chunk_elsewhere(kind, &wanted, None),
        }
    }

    /// A chunk's plaintext from one place.
    fn chunk_at(&self, kind: ChunkKind, id: &ChunkId, place: &Location) -> Result<ChunkBytes> {
        let pack = self.index.pack(place.pack)?;
        if !self.reads_dead && self.index.is_dead(place.pack) {
            return Err(EngineError::Missing {
                object: pack.name(),
                consequence: "a garbage collection has removed it, or is about to",
            });
        }
        let frame = self.frame(place.pack, place.frame)?;
        let start = place.offset as usize;
        let range = start..start + place.len as usize;
        let hasher = self.hashers.under(pack.key);
        let is_it = |bytes: &[u8]| hasher.is_some_and(|hasher| hasher.id(kind, bytes) == *id);
        if frame.get(range.clone()).is_some_and(is_it) {
            return Ok(ChunkBytes { frame, range });
        }
        Err(Self::not_it(&pack))
    }

    /// What is said of a pack that has something else where a chunk should be.
    pub fn not_it(pack: &StoredPack) -> EngineError {
        EngineError::damaged(pack.name())(FormatError::NotAuthentic { what: "chunk" })
    }

    /// A chunk that can't be had where it was looked for first. All places that are known are tried,
    /// then what garbage collections have moved is heard, then the packs themselves are asked.
    fn chunk_elsewhere(
        &self,
        kind: ChunkKind,
        wanted: &Wanted,
        failed: Option<(Location, EngineError)>,
    ) -> Result<ChunkBytes> {
        let mut search = Search::default();
        if let Some((place, error)) = failed {
            self.note_failure(&mut search, place, error)?;
        }
        loop {
            let untried = |place: &Location| !search.tried.contains(place);
            match self.index.places(wanted)?.into_iter().find(untried) {
                Some(place) => match self.chunk_at(kind, &wanted.id, &place) {
                    Ok(chunk) => return Ok(chunk),
                    Err(error) => self.note_failure(&mut search, place, error)?,
                },
                None if self.has_more_places(&mut search)? => {}
                None => return Err(search.into_error(&wanted.id)),
            }
        }
    }

    /// A place where a chunk can't be had. What hits more than this place ends the search.
    fn note_failure(&self, search: &mut Search, place: Location, error: EngineError) -> Result<()> {
        search.tried.push(place);
        match &error {
            EngineError::Damaged { source: FormatError::NoKey { .. }, .. }
                if !self.repository.current().can_open() =>
            {
                return Err(error);
            }
            EngineError::Damaged { .. } => self.index.demote(place.pack, &error, self.run)?,
            EngineError::Missing { .. } => drop(self.may_have_moved(place.pack, &mut search.gone)?),
            EngineError::Backend(_) => {}
            _ => return Err(error),
        }
        search.errors.push(error);
        Ok(())
    }

    /// Looks for further places of a chunk, once all known ones were tried in vain.
    fn has_more_places(&self, search: &mut Search) -> Result<bool> {
        // Where one couldn't be reached, it isn't known that the chunk isn't there.
        if !self.refreshes || search.errors.iter().any(|error| matches!(error, EngineError::Backend(_))) {
            return Ok(false);
        }
        if search.tried.is_empty() && !std::mem::replace(&mut search.is_refreshed, true) {
            self.refresh_once(None)?;
            return Ok(true);
        }
        if std::mem::replace(&mut search.has_looked, true) {
            return Ok(false);
        }
        // Even if there was nothing left to read: another thread may have read it since the places of
        // this chunk were looked up.
        look_into_packs(self.repository, self.index)?;
        Ok(true)
    }

    /// A pack that isn't there: a garbage collection may have moved what is needed of it. What
    /// was moved was indexed before, so the index hears now where to. `gone` are packs for
    /// which this was tried; for one of these there is nothing more to hear.
    pub fn may_have_moved(&self, pack: u32, gone: &mut Vec<u32>) -> Result<bool> {
        if !self.refreshes || gone.contains(&pack) {
            return Ok(false);
        }
        gone.push(pack);
        self.refresh_once(Some(pack))?;
        Ok(true)
    }

    /// Brings the index up to date, unless that was done for this pack before.
    fn refresh_once(&self, pack: Option<u32>) -> Result<()> {
        // One thread does it for all.
        let mut refreshed_for = lock(&self.refreshed_for);
        if refreshed_for.insert(pack) {
            if let Some(pack) = pack {
                self.index.marks().miss(pack);
            }
            self.refresh()?;
        }
        Ok(())
    }

    /// A frame's plaintext.
    fn frame(&self, pack_number: u32, number: u32) -> Result<Arc<Vec<u8>>> {
        let key = (pack_number, number);
        if let Some(frame) = lock(&self.frames).get(&key) {
            return Ok(Arc::clone(frame));
        }
        if let Some(source) = lock(&self.failed).get(&key) {
            return Err(EngineError::damaged(self.index.pack(pack_number)?.name())(source.clone()));
        }
        let mut reader = lock(&self.readers).pop().unwrap_or_default();
        self.open_neighbours(&mut reader, pack_number, number).inspect_err(|error| {
            if let EngineError::Damaged { source, .. } = error {
                let mut failed = lock(&self.failed);
                if failed.len() < FAILED_FRAMES_MAX {
                    failed.insert(key, source.clone());
                }
            }
        })?;
        let frame = Arc::new(reader.plain().to_vec());
        lock(&self.readers).push(reader);
        lock(&self.frames).put(key, Arc::clone(&frame));
        Ok(frame)
    }

    /// Reads and opens a frame, and returns its pack.
    pub fn open(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<Arc<StoredPack>> {
        let pack = self.index.pack(pack_number)?;
        let entry = pack.frame(number)?;
        until_sound(|| {
            let cipher = self.cipher(pack_number, &pack, None)?;
            let sealed = self.read(&pack, entry.offset.into(), entry.sealed_bytes as usize)?;
            reader.open(&cipher, number, &sealed).map_err(EngineError::damaged(pack.name()))
        })?;
        Ok(pack)
    }

    /// As [`FrameCache::open`], for who opens frames one after the other: from a store that is
    /// far, neighbours are read together.
    pub fn open_neighbours(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<()> {
        if self.repository.backend().is_far() {
            self.open_ahead(reader, pack_number, number)
        } else {
            self.open(reader, pack_number, number).map(drop)
        }
    }

    /// Opens a frame, which may have been read with its neighbours before.
    fn open_ahead(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<()> {
        let pack = self.index.pack(pack_number)?;
        let entry = pack.frame(number)?;
        let range = self.ahead_with(pack_number, &pack, number)?;
        let start = entry.offset as usize - range.start;
        let header = range.bytes.get(..HEADER_BYTES).filter(|_| range.start == 0);
        let sealed = range.bytes.get(start..start + entry.sealed_bytes as usize);
        let opened = match (self.cipher(pack_number, &pack, header), sealed) {
            (Ok(cipher), Some(sealed)) => reader.open(&cipher, number, sealed).is_ok(),
            (Err(EngineError::Damaged { .. }), _) | (_, None) => false,
            (Err(error), _) => return Err(error),
        };
        // What came wrong is read again by itself, before the store is blamed.
        if opened { Ok(()) } else { self.open(reader, pack_number, number).map(drop) }
    }

    /// The range with a frame: one that was read before, or that somebody is reading, or a new one.
    fn ahead_with(&self, pack_number: u32, pack: &StoredPack, number: u32) -> Result<Arc<SealedRange>> {
        let frames = window(&pack.frames, number, self.ahead_bytes);
        let window = (pack_number, frames.start);
        let mut ahead = lock(&self.ahead);
        loop {
            if let Some(range) = ahead.take_out(pack_number, number) {
                ahead.kept.push_back(Arc::clone(&range));
                return Ok(range);
            }
            if ahead.coming.insert(window) {
                break;
            }
            ahead = self.arrived.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
        drop(ahead);
        let read = self.read_ahead(pack_number, pack, frames).map(Arc::new);
        let mut ahead = lock(&self.ahead);
        ahead.coming.remove(&window);
        if let Ok(range) = &read {
            ahead.keep(Arc::clone(range), self.ahead_kept_bytes);
        }
        self.arrived.notify_all();
        read
    }

    /// Reads a frame and its neighbours; with the first, the pack's header too.
    fn read_ahead(&self, pack_number: u32, pack: &StoredPack, frames: Range<u32>) -> Result<SealedRange> {
        let (first, last) = (pack.frame(frames.start)?, pack.frame(frames.end - 1)?);
        let start = if frames.start == 0 { 0 } else { first.offset as usize };
        let end = (last.offset + last.sealed_bytes) as usize;
        let bytes = self.read(pack, start as u64, end - start)?;
        Ok(SealedRange { pack: pack_number, frames, start, bytes })
    }

    /// The key of a pack, ready to open its frames. The pack's header is read if it isn't given.
    pub fn cipher(
        &self,
        pack_number: u32,
        pack: &StoredPack,
        header: Option<&[u8]>,
    ) -> Result<Arc<PackCipher>> {
        if let Some(cipher) = self.known_cipher(pack_number) {
            return Ok(cipher);
        }
        let opened = match header {
            Some(header) => open_cipher(self.repository, header),
            None => open_cipher(self.repository, &self.read(pack, 0, HEADER_BYTES)?),
        };
        let (_, cipher) = opened.map_err(EngineError::damaged(pack.name()))?;
        let cipher = Arc::new(cipher);
        lock(&self.ciphers).put(pack_number, Arc::clone(&cipher));
        Ok(cipher)
    }

    /// The key of a pack that was used before.
    pub fn known_cipher(&self, pack_number: u32) -> Option<Arc<PackCipher>> {
        lock(&self.ciphers).get(&pack_number).cloned()
    }

    /// A range of a pack's stored bytes.
    fn read(&self, pack: &StoredPack, offset: u64, length: usize) -> Result<Vec<u8>> {
        let read = self.repository.backend().read_range(&pack.name(), offset, length);
        read.map_err(|error| unreadable(pack, error))
    }

    /// As [`Backend::read_pieces`], of a pack.
    ///
    /// [`Backend::read_pieces`]: keepfast_backend::Backend::read_pieces
    pub fn read_pieces(
        &self,
        pack: &StoredPack,
        offset: u64,
        length: usize,
        memory: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let read = self.repository.backend().read_pieces(&pack.name(), offset, length, memory, take);
        read.map_err(|error| unreadable(pack, error))
    }
}

fn unreadable(pack: &StoredPack, error: BackendError) -> EngineError {
    if error.is_not_found() {
        return EngineError::Missing {
            object: pack.name(),
            consequence: "what it holds can't be restored; run `keepfast check` to see which files that hits",
        };
    }
    error.into()
}

/// The frames that are read together with one: a pack is cut into windows of up to so many
/// bytes, always the same ones, so that nothing is read twice whatever the order.
fn window(frames: &[FrameEntry], number: u32, bytes_max: u64) -> Range<u32> {
    windows(frames, bytes_max).find(|window| number < window.end).unwrap_or_default()
}

/// All windows of a pack, in order.
pub fn windows(frames: &[FrameEntry], bytes_max: u64) -> impl Iterator<Item = Range<u32>> {
    let mut rest = 0..frames.len() as u32;
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let start = u64::from(frames[first as usize].offset);
        let fits = |frame: &FrameEntry| {
            (u64::from(frame.offset) + u64::from(frame.sealed_bytes)).saturating_sub(start) <= bytes_max
        };
        while rest.start < rest.end && fits(&frames[rest.start as usize]) {
            rest.start += 1;
        }
        Some(first..rest.start)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{AHEAD_BYTES, window};
    use keepfast_format::pack::FrameEntry;

    #[test]
    fn windows_cover_a_pack_without_overlap() {
        let frame = |n: u32| FrameEntry {
            offset: 112 + n * (3 << 20),
            sealed_bytes: 3 << 20,
            plain_bytes: 1,
            chunks: 1,
        };
        let frames: Vec<FrameEntry> = (0..7).map(frame).collect();
        let windows: Vec<_> = (0..7).map(|number| window(&frames, number, AHEAD_BYTES)).collect();
        assert_eq!(windows, [0..2, 0..2, 2..4, 2..4, 4..6, 4..6, 6..7]);
        // One that is larger than a window is one of its own; a small pack is read whole.
        let large = FrameEntry { sealed_bytes: 9 << 20, ..frame(0) };
        assert_eq!(window(&[large], 0, AHEAD_BYTES), 0..1);
        assert_eq!(window(&frames[..2], 1, AHEAD_BYTES), 0..2);
    }
}
