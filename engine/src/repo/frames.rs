//! Reading single chunks: frames are opened whole, and the last ones are kept. For chunks of
//! metadata, that is: those of one directory mostly lie together. Data is read by the frame.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::FormatError;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::{ChunkIds, ChunkKind};
use keepfast_format::pack::{FrameEntry, HEADER_BYTES, PackCipher};
use lru::LruCache;

use super::index::{Index, Location, StoredPack};
use super::packs::open_cipher;
use super::repository::Repository;
use crate::error::{EngineError, Result};

/// Frames kept open: 16 MiB of metadata.
const FRAMES: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// From a store that is far, frames are read with those after them, up to so many bytes: the
/// metadata of one directory after the other lies together.
const AHEAD_BYTES: u64 = 8 << 20;
/// Ranges of sealed frames that are kept, if they are read ahead.
const RANGES: usize = 2;
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
    ids: ChunkIds,
    ciphers: Mutex<LruCache<u32, Arc<PackCipher>>>,
    frames: Mutex<LruCache<(u32, u32), Arc<Vec<u8>>>>,
    /// Readers that nobody uses at the moment.
    readers: Mutex<Vec<FrameReader>>,
    /// Sealed frames that were read ahead, the newest last.
    ahead: Mutex<VecDeque<Arc<SealedRange>>>,
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
    pub fn new(repository: &'r Repository, index: &'r Index) -> Self {
        Self {
            repository,
            index,
            ids: repository.chunk_ids(),
            ciphers: Mutex::new(LruCache::new(CIPHERS)),
            frames: Mutex::new(LruCache::new(FRAMES)),
            readers: Mutex::default(),
            ahead: Mutex::default(),
        }
    }

    /// The repository.
    #[must_use]
    pub fn repository(&self) -> &'r Repository {
        self.repository
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &'r Index {
        self.index
    }

    /// Where a chunk is; an error that says so if it is nowhere.
    pub fn locate(&self, id: &ChunkId) -> Result<Location> {
        self.index.locate(id)?.ok_or_else(|| Self::missing(id))
    }

    /// What is said of a chunk that is nowhere.
    pub fn missing(id: &ChunkId) -> EngineError {
        EngineError::Missing {
            object: format!("chunk {id}"),
            consequence: "no pack has it; run `keepfast check --read-data` to see which files it hits",
        }
    }

    /// A chunk's plaintext, verified against its id.
    pub fn chunk(&self, kind: ChunkKind, id: &ChunkId) -> Result<ChunkBytes> {
        let place = self.locate(id)?;
        let frame = self.frame(place.pack, place.frame)?;
        let start = place.offset as usize;
        let range = start..start + place.len as usize;
        let intact = frame.get(range.clone()).is_some_and(|bytes| self.ids.id(kind, bytes) == *id);
        if !intact {
            let pack = self.index.pack(place.pack)?;
            return Err(EngineError::Damaged {
                object: pack.name(),
                source: FormatError::NotAuthentic { what: "chunk" },
            });
        }
        Ok(ChunkBytes { frame, range })
    }

    /// A frame's plaintext.
    fn frame(&self, pack_number: u32, number: u32) -> Result<Arc<Vec<u8>>> {
        let key = (pack_number, number);
        if let Some(frame) = lock(&self.frames).get(&key) {
            return Ok(Arc::clone(frame));
        }
        let mut reader = lock(&self.readers).pop().unwrap_or_default();
        if self.repository.backend().is_far() {
            self.open_ahead(&mut reader, pack_number, number)?;
        } else {
            self.open(&mut reader, pack_number, number)?;
        }
        let frame = Arc::new(reader.plain().to_vec());
        lock(&self.readers).push(reader);
        lock(&self.frames).put(key, Arc::clone(&frame));
        Ok(frame)
    }

    /// Reads and opens a frame, and returns its pack.
    pub fn open(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<Arc<StoredPack>> {
        let pack = self.index.pack(pack_number)?;
        let cipher = self.cipher(pack_number, &pack, None)?;
        let entry = pack.frame(number)?;
        let sealed = self.read(&pack, entry.offset.into(), entry.sealed_bytes as usize)?;
        reader.open(&cipher, number, &sealed).map_err(EngineError::damaged(pack.name()))?;
        Ok(pack)
    }

    /// Opens a frame, which may have been read with one before it.
    fn open_ahead(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<()> {
        let pack = self.index.pack(pack_number)?;
        let entry = pack.frame(number)?;
        let has = |range: &&Arc<SealedRange>| range.pack == pack_number && range.frames.contains(&number);
        let known = lock(&self.ahead).iter().find(has).cloned();
        let range = match known {
            Some(range) => range,
            None => {
                let range = Arc::new(self.read_ahead(pack_number, &pack, number)?);
                let mut ahead = lock(&self.ahead);
                ahead.push_back(Arc::clone(&range));
                if ahead.len() > RANGES {
                    ahead.pop_front();
                }
                range
            }
        };
        let header = range.bytes.get(..HEADER_BYTES).filter(|_| range.start == 0);
        let cipher = self.cipher(pack_number, &pack, header)?;
        let start = entry.offset as usize - range.start;
        let opened = match range.bytes.get(start..start + entry.sealed_bytes as usize) {
            Some(sealed) => reader.open(&cipher, number, sealed),
            None => Err(FormatError::Truncated { what: "pack" }),
        };
        opened.map_err(EngineError::damaged(pack.name()))
    }

    /// Reads a frame and some of those after it; with the first, the pack's header too.
    fn read_ahead(&self, pack_number: u32, pack: &StoredPack, number: u32) -> Result<SealedRange> {
        let first = pack.frame(number)?;
        let start = if number == 0 { 0 } else { first.offset as usize };
        let end_of = |frame: &FrameEntry| u64::from(frame.offset) + u64::from(frame.sealed_bytes);
        let within = |frame: &&FrameEntry| end_of(frame) - u64::from(first.offset) <= AHEAD_BYTES;
        let more = pack.frames[number as usize + 1..].iter().take_while(within);
        let frames = number..number + 1 + more.clone().count() as u32;
        let end = more.last().map_or_else(|| end_of(first), end_of);
        let bytes = self.read(pack, start as u64, end as usize - start)?;
        Ok(SealedRange { pack: pack_number, frames, start, bytes })
    }

    /// The key of a pack, ready to open its frames. The pack's header is read if it isn't given.
    pub fn cipher(
        &self,
        pack_number: u32,
        pack: &StoredPack,
        header: Option<&[u8]>,
    ) -> Result<Arc<PackCipher>> {
        if let Some(cipher) = lock(&self.ciphers).get(&pack_number) {
            return Ok(Arc::clone(cipher));
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

    /// A range of a pack's stored bytes.
    fn read(&self, pack: &StoredPack, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(pack, offset, length, &mut bytes)?;
        Ok(bytes)
    }

    /// A range of a pack's stored bytes, into memory that is used again.
    pub fn read_into(
        &self,
        pack: &StoredPack,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        match self.repository.backend().read_range_into(&pack.name(), offset, length, bytes) {
            Err(error) if error.is_not_found() => Err(EngineError::Missing {
                object: pack.name(),
                consequence: "what it holds can't be restored; run `keepfast check` to see which files that hits",
            }),
            other => Ok(other?),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
