//! Chunks that this run has taken upon itself to store and that the index doesn't list yet.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use keepfast_format::ids::ChunkId;

use crate::sync::{Mutex, PoisonError};

const SHARDS: usize = 64;

/// A set of chunk ids that many threads use at a time.
pub struct Claims {
    shards: Vec<Mutex<HashSet<ChunkId, BuildHasherDefault<IdHasher>>>>,
}

impl Default for Claims {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Claims {
    /// Takes a chunk; `false` if another thread has taken it already.
    pub fn take(&self, id: ChunkId) -> bool {
        self.shard(&id).lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }

    /// Forgets a chunk, once the index lists it.
    pub fn release(&self, id: &ChunkId) {
        self.shard(id).lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn shard(&self, id: &ChunkId) -> &Mutex<HashSet<ChunkId, BuildHasherDefault<IdHasher>>> {
        &self.shards[usize::from(id.as_bytes()[31]) % SHARDS]
    }
}

/// Chunk ids are keyed hashes already: eight of their bytes do.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
