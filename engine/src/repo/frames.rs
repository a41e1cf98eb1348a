//! Reading single chunks: frames are opened whole, and those used last are kept. This is for chunks of
//! metadata: those of one directory mostly lie together. Data is read by the frame.

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Deref, Range};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use keepfast_backend::BackendError;
use keepfast_format::FormatError;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::pack::{FrameEntry, HEADER_BYTES, PackCipher};
use lru::LruCache;

use super::directories::look_into_packs;
use super::epochs::Epochs;
use super::index::{Index, Location, StoredPack, Wanted};
use super::numbers::{FrameNumber, FramePlace, FrameSpan, PackNumber, numbered};
use super::packs::open_cipher;
use super::recover::refresh_index;
use super::repository::{Hashers, Repository};
use super::soundness::read_until_sound;
use crate::error::{EngineError, Loss, Result};
use crate::run::RunContext;

/// Frames kept open: 16 MiB of metadata.
const FRAMES: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// From a store that is far, frames are read with their neighbours, up to this many bytes: the
/// metadata of one directory after the other lies together.
const AHEAD_BYTES: u64 = 8 << 20;
/// Bytes of sealed frames that are kept, if they are read with their neighbours: a directory's
/// metadata is in the packs of all runs that changed something in it.
const AHEAD_KEPT_BYTES: u64 = 32 << 20;
/// Frames that don't open and that are remembered, so that they aren't read for each of their chunks.
const FAILED_FRAMES_MAX: usize = 1 << 12;
/// Frames of data that are kept open where chunks are looked for one by one: what comes after another
/// mostly lies next to it.
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
    ciphers: Mutex<LruCache<PackNumber, Arc<PackCipher>>>,
    frames: Mutex<LruCache<FramePlace, Arc<Vec<u8>>>>,
    /// Frames that don't open, and why.
    failed: Mutex<HashMap<FramePlace, FormatError>>,
    /// Readers that no thread uses at the moment.
    readers: Mutex<Vec<FrameReader>>,
    ahead: Mutex<Ahead>,
    /// A range that another thread was reading has come, or has failed to.
    arrived: Condvar,
    /// Bytes that are read together from a store that is far.
    ahead_bytes: u64,
    /// Bytes of such ranges that are kept.
    ahead_kept_bytes: u64,
    /// Packs that weren't there, and for which the index was brought up to date; and no pack, where a chunk
    /// was in none.
    refreshed_for: Mutex<HashSet<Option<PackNumber>>>,
    refreshes: bool,
    reads_dead: bool,
}

/// The search for a chunk that isn't where it was looked for first.
#[derive(Default)]
struct Search {
    tried: Vec<Location>,
    errors: Vec<EngineError>,
    /// A pack wasn't there, and the index has learned what became of it.
    has_moved: bool,
    is_refreshed: bool,
    has_looked: bool,
}

impl Search {
    /// Why it has failed. A pack that couldn't be reached may have the chunk. A chunk of a pack that is
    /// gone may have moved: for a cache that doesn't learn of that, this comes before damage elsewhere.
    fn into_error(self, id: &ChunkId) -> EngineError {
        let gravity = |error: &EngineError| match error {
            EngineError::Backend(_) => 0,
            EngineError::Missing { .. } if !self.has_moved => 1,
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
    /// The first frames of those that are being read.
    coming: HashSet<FramePlace>,
}

impl Ahead {
    fn take_out(&mut self, place: FramePlace) -> Option<Arc<SealedRange>> {
        let fits = |range: &Arc<SealedRange>| range.pack == place.pack && range.frames.contains(place.frame);
        self.kept.iter().position(fits).and_then(|place| self.kept.remove(place))
    }

    fn keep(&mut self, range: Arc<SealedRange>, bytes_max: u64) {
        self.kept.push_back(range);
        let mut bytes: u64 = self.kept.iter().map(|range| u64_of(range.bytes.len())).sum();
        while bytes > bytes_max && self.kept.len() > 1 {
            bytes -= self.kept.pop_front().map_or(bytes, |range| u64_of(range.bytes.len()));
        }
    }
}

/// Neighbouring sealed frames of a pack.
struct SealedRange {
    pack: PackNumber,
    frames: FrameSpan,
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

    /// Reads this many bytes together from a store that is far, and keeps this many of these ranges:
    /// for threads that each need most of one.
    #[must_use]
    pub fn reading_together(self, bytes: u64, ranges: usize) -> Self {
        Self { ahead_bytes: bytes, ahead_kept_bytes: bytes.saturating_mul(u64_of(ranges)), ..self }
    }

    /// Learns what garbage collections have removed, and where everything is now.
    pub fn refresh(&self) -> Result<()> {
        Epochs::list(self.repository)?.apply_authentic_verdicts(self.repository, self.index)?;
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
        EngineError::Missing { object: format!("chunk {id}"), loss: Loss::Chunk }
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
            return Err(EngineError::Missing { object: pack.name.to_string(), loss: Loss::DeadPack });
        }
        let frame = self.frame(place.frame_place())?;
        let range = place.range();
        let hasher = self.hashers.under(pack.key);
        let is_it = |bytes: &[u8]| hasher.is_some_and(|hasher| hasher.id(kind, bytes) == *id);
        if frame.get(range.clone()).is_some_and(is_it) {
            return Ok(ChunkBytes { frame, range });
        }
        Err(Self::not_it(&pack))
    }

    /// What is said of a pack that has something else where a chunk should be.
    pub fn not_it(pack: &StoredPack) -> EngineError {
        EngineError::damaged(pack.name)(FormatError::NotAuthentic { what: "chunk" })
    }

    /// A chunk that can't be had where it was looked for first. All places that are known are tried,
    /// then the index learns what garbage collections have moved, then the packs' own directories are read.
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

    /// A place where a chunk can't be had. An error that concerns more than this place ends the search.
    fn note_failure(&self, search: &mut Search, place: Location, error: EngineError) -> Result<()> {
        search.tried.push(place);
        match &error {
            EngineError::Damaged { source: FormatError::NoKey { .. }, .. }
                if !self.repository.current().can_open() =>
            {
                return Err(error);
            }
            EngineError::Damaged { .. } => self.index.demote(place.pack, &error, self.run)?,
            EngineError::Missing { .. } => {
                search.has_moved |= self.refreshes;
                self.refresh_for(place.pack)?;
            }
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

    /// Brings the index up to date because a pack isn't there: a garbage collection may have moved what is
    /// needed of it. What was moved was indexed before the pack was removed, so the index learns now where it
    /// is. For a pack for which this was done before there is nothing more to learn.
    pub fn refresh_for(&self, pack: PackNumber) -> Result<()> {
        if self.refreshes { self.refresh_once(Some(pack)) } else { Ok(()) }
    }

    /// Brings the index up to date, unless that was done for this pack before.
    fn refresh_once(&self, pack: Option<PackNumber>) -> Result<()> {
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
    fn frame(&self, place: FramePlace) -> Result<Arc<Vec<u8>>> {
        if let Some(frame) = lock(&self.frames).get(&place) {
            return Ok(Arc::clone(frame));
        }
        if let Some(source) = lock(&self.failed).get(&place) {
            return Err(EngineError::damaged(self.index.pack(place.pack)?.name)(source.clone()));
        }
        let mut reader = lock(&self.readers).pop().unwrap_or_default();
        self.open_neighbours(&mut reader, place).inspect_err(|error| {
            if let EngineError::Damaged { source, .. } = error {
                let mut failed = lock(&self.failed);
                if failed.len() < FAILED_FRAMES_MAX {
                    failed.insert(place, source.clone());
                }
            }
        })?;
        let frame = Arc::new(reader.plain().to_vec());
        lock(&self.readers).push(reader);
        lock(&self.frames).put(place, Arc::clone(&frame));
        Ok(frame)
    }

    /// Reads and opens a frame, and returns its pack.
    pub fn open(&self, reader: &mut FrameReader, place: FramePlace) -> Result<Arc<StoredPack>> {
        let pack = self.index.pack(place.pack)?;
        let entry = pack.frame(place.frame)?;
        read_until_sound(|| {
            let cipher = self.cipher(place.pack, &pack, None)?;
            let sealed = self.read(&pack, entry.offset.into(), usize_of(entry.sealed_bytes))?;
            reader.open(&cipher, place.frame.into(), &sealed).map_err(EngineError::damaged(pack.name))
        })?;
        Ok(pack)
    }

    /// As [`FrameCache::open`], for a caller that opens frames one after the other: from a store that
    /// is far, neighbours are read together.
    pub fn open_neighbours(&self, reader: &mut FrameReader, place: FramePlace) -> Result<()> {
        if self.repository.backend().is_far() {
            self.open_ahead(reader, place)
        } else {
            self.open(reader, place).map(drop)
        }
    }

    /// Opens a frame, which may have been read with its neighbours before.
    fn open_ahead(&self, reader: &mut FrameReader, place: FramePlace) -> Result<()> {
        let pack = self.index.pack(place.pack)?;
        let entry = pack.frame(place.frame)?;
        let range = self.ahead_with(place, &pack)?;
        let start = usize_of(entry.offset) - range.start;
        let header = range.bytes.get(..HEADER_BYTES).filter(|_| range.start == 0);
        let sealed = range.bytes.get(start..start + usize_of(entry.sealed_bytes));
        let opened = match (self.cipher(place.pack, &pack, header), sealed) {
            (Ok(cipher), Some(sealed)) => reader.open(&cipher, place.frame.into(), sealed).is_ok(),
            (Err(EngineError::Damaged { .. }), _) | (_, None) => false,
            (Err(error), _) => return Err(error),
        };
        // What came wrong is read again by itself, before the store is blamed.
        if opened { Ok(()) } else { self.open(reader, place).map(drop) }
    }

    /// The range with a frame: one that was read before, or that another thread is reading, or a new one.
    fn ahead_with(&self, place: FramePlace, pack: &StoredPack) -> Result<Arc<SealedRange>> {
        let frames = window(&pack.frames, place.frame, self.ahead_bytes);
        let window = FramePlace { frame: frames.first, ..place };
        let mut ahead = lock(&self.ahead);
        loop {
            if let Some(range) = ahead.take_out(place) {
                ahead.kept.push_back(Arc::clone(&range));
                return Ok(range);
            }
            if ahead.coming.insert(window) {
                break;
            }
            ahead = self.arrived.wait(ahead).unwrap_or_else(PoisonError::into_inner);
        }
        drop(ahead);
        let read = self.read_ahead(place.pack, pack, frames).map(Arc::new);
        let mut ahead = lock(&self.ahead);
        ahead.coming.remove(&window);
        if let Ok(range) = &read {
            ahead.keep(Arc::clone(range), self.ahead_kept_bytes);
        }
        self.arrived.notify_all();
        read
    }

    /// Reads a frame and its neighbours; with the first, the pack's header too.
    fn read_ahead(&self, number: PackNumber, pack: &StoredPack, frames: FrameSpan) -> Result<SealedRange> {
        let (first, last) = (pack.frame(frames.first)?, pack.frame(frames.last)?);
        let start = if frames.first.index() == 0 { 0 } else { usize_of(first.offset) };
        let end = usize_of(last.offset + last.sealed_bytes);
        let bytes = self.read(pack, u64_of(start), end - start)?;
        Ok(SealedRange { pack: number, frames, start, bytes })
    }

    /// The key of a pack, ready to open its frames. The pack's header is read if it isn't given.
    pub fn cipher(
        &self,
        number: PackNumber,
        pack: &StoredPack,
        header: Option<&[u8]>,
    ) -> Result<Arc<PackCipher>> {
        if let Some(cipher) = self.known_cipher(number) {
            return Ok(cipher);
        }
        let opened = match header {
            Some(header) => open_cipher(self.repository, header),
            None => open_cipher(self.repository, &self.read(pack, 0, HEADER_BYTES)?),
        };
        let (_, cipher) = opened.map_err(EngineError::damaged(pack.name))?;
        let cipher = Arc::new(cipher);
        lock(&self.ciphers).put(number, Arc::clone(&cipher));
        Ok(cipher)
    }

    /// The key of a pack that was used before.
    pub fn known_cipher(&self, number: PackNumber) -> Option<Arc<PackCipher>> {
        lock(&self.ciphers).get(&number).cloned()
    }

    /// A range of a pack's stored bytes.
    fn read(&self, pack: &StoredPack, offset: u64, length: usize) -> Result<Vec<u8>> {
        let read = self.repository.backend().read_range(&pack.name.to_string(), offset, length);
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
        let read =
            self.repository.backend().read_pieces(&pack.name.to_string(), offset, length, memory, take);
        read.map_err(|error| unreadable(pack, error))
    }
}

fn unreadable(pack: &StoredPack, error: BackendError) -> EngineError {
    if error.is_not_found() {
        return EngineError::Missing { object: pack.name.to_string(), loss: Loss::Pack };
    }
    error.into()
}

/// The frames that are read together with one: a pack is cut into windows of up to this many
/// bytes, always the same ones, so that nothing is read twice whatever the order.
fn window(frames: &[FrameEntry], number: FrameNumber, bytes_max: u64) -> FrameSpan {
    let found = windows(frames, bytes_max).find(|window| window.contains(number));
    found.unwrap_or(FrameSpan { first: number, last: number })
}

/// All windows of a pack, in order.
pub fn windows(frames: &[FrameEntry], bytes_max: u64) -> impl Iterator<Item = FrameSpan> {
    let mut rest = numbered(frames).peekable();
    std::iter::from_fn(move || {
        let (first, entry) = rest.next()?;
        let start = u64::from(entry.offset);
        let fits = |(_, frame): &(FrameNumber, &FrameEntry)| {
            (u64::from(frame.offset) + u64::from(frame.sealed_bytes)).saturating_sub(start) <= bytes_max
        };
        let mut last = first;
        while let Some((number, _)) = rest.next_if(fits) {
            last = number;
        }
        Some(FrameSpan { first, last })
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::numbers::FrameNumber;
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
        let window_of = |frames: &[FrameEntry], number| {
            let window = window(frames, FrameNumber::new(number), AHEAD_BYTES);
            (window.first.get(), window.last.get())
        };
        let windows: Vec<_> = (0..7).map(|number| window_of(&frames, number)).collect();
        assert_eq!(windows, [(0, 1), (0, 1), (2, 3), (2, 3), (4, 5), (4, 5), (6, 6)]);
        // One that is larger than a window is one of its own; a small pack is read whole.
        let large = FrameEntry { sealed_bytes: 9 << 20, ..frame(0) };
        assert_eq!(window_of(&[large], 0), (0, 0));
        assert_eq!(window_of(&frames[..2], 1), (0, 1));
    }
}
