//! Reading single chunks: frames are opened whole, and the last ones are kept. For chunks of
//! metadata, that is: those of one directory mostly lie together. Data is read by the frame.

use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::FormatError;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::{ChunkIds, ChunkKind};
use keepfast_format::pack::{HEADER_BYTES, PackCipher};
use lru::LruCache;

use super::index::{Index, Location, StoredPack};
use super::packs::open_cipher;
use super::repository::Repository;
use crate::error::{EngineError, Result};

/// Frames kept open: 16 MiB of metadata.
const FRAMES: NonZeroUsize = NonZeroUsize::new(64).unwrap();
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
        self.open(&mut reader, pack_number, number)?;
        let frame = Arc::new(reader.plain().to_vec());
        lock(&self.readers).push(reader);
        lock(&self.frames).put(key, Arc::clone(&frame));
        Ok(frame)
    }

    /// Reads and opens a frame, and returns its pack.
    pub fn open(&self, reader: &mut FrameReader, pack_number: u32, number: u32) -> Result<Arc<StoredPack>> {
        let pack = self.index.pack(pack_number)?;
        let cipher = self.cipher(pack_number, &pack)?;
        let entry = pack.frame(number)?;
        let sealed = self.read(&pack, entry.offset.into(), entry.sealed_bytes as usize)?;
        reader.open(&cipher, number, &sealed).map_err(EngineError::damaged(pack.name()))?;
        Ok(pack)
    }

    /// The key of a pack, ready to open its frames.
    pub fn cipher(&self, pack_number: u32, pack: &StoredPack) -> Result<Arc<PackCipher>> {
        if let Some(cipher) = lock(&self.ciphers).get(&pack_number) {
            return Ok(Arc::clone(cipher));
        }
        let header = self.read(pack, 0, HEADER_BYTES)?;
        let (_, cipher) = open_cipher(self.repository, &header).map_err(EngineError::damaged(pack.name()))?;
        let cipher = Arc::new(cipher);
        lock(&self.ciphers).put(pack_number, Arc::clone(&cipher));
        Ok(cipher)
    }

    /// A range of a pack's stored bytes.
    pub fn read(&self, pack: &StoredPack, offset: u64, length: usize) -> Result<Vec<u8>> {
        match self.repository.backend().read_range(&pack.name(), offset, length) {
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
