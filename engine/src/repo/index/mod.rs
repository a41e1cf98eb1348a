//! The index: which pack, frame and position a chunk is in. A RocksDB on the local disk,
//! and no more than a cache of the repository's index segments.

mod database;
mod entries;
mod load;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use keepfast_format::ids::ChunkId;
use keepfast_format::names;
use keepfast_format::pack::PackTable;
use rayon::iter::ParallelIterator;
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use rocksdb::{DBPinnableSlice, DEFAULT_COLUMN_FAMILY_NAME, Direction, IteratorMode, WriteBatch};

use super::cache::CacheSlot;
use super::repository::Repository;
use crate::error::{EngineError, Result};
use database::{Database, LAYOUT, unlogged};
pub use entries::{Location, StoredPack};
use entries::{
    chunk_key, decode_location, decode_pack, encode_location, encode_pack, pack_key, source_key, space,
};
pub(super) use load::Loading;

/// Chunks that are looked up together.
const LOOKUP_BATCH: usize = 512;

/// Where chunks are that were looked up together, in order of their ids.
pub struct Located(Vec<(ChunkId, Option<Location>)>);

impl Located {
    /// Where a chunk is, or that it is nowhere; `None` if it wasn't looked up.
    #[must_use]
    pub fn get(&self, id: &ChunkId) -> Option<Option<Location>> {
        let place = self.0.binary_search_by_key(id, |(id, _)| *id).ok()?;
        self.0.get(place).map(|(_, location)| *location)
    }
}

/// The index, opened by this process alone.
pub struct Index {
    database: Database,
    slot: CacheSlot,
    packs: RwLock<HashMap<u32, Arc<StoredPack>>>,
    next_pack: AtomicU32,
    doubtful: AtomicBool,
    missing: OnceLock<HashSet<u32>>,
}

impl Index {
    /// Opens the index in its folder, empty if there is none or it can't be used.
    pub(super) fn open(slot: CacheSlot) -> Result<Self> {
        if slot.is_damaged() {
            slot.wipe()?;
        }
        let opened = Database::open(&slot.folder).ok();
        let (database, next_pack) =
            match opened.and_then(|opened| opened.next_pack().map(|next| (opened, next))) {
                Some(opened) => opened,
                None => {
                    slot.wipe()?;
                    let made = Database::open(&slot.folder).map_err(|error| EngineError::Cache {
                        path: slot.folder.clone(),
                        why: error.into_string(),
                    })?;
                    (made, 0)
                }
            };
        let index = Self {
            database,
            slot,
            packs: RwLock::default(),
            next_pack: AtomicU32::new(next_pack),
            doubtful: AtomicBool::new(false),
            missing: OnceLock::new(),
        };
        let written = index.database.db.put_opt([space::LAYOUT], LAYOUT, &unlogged());
        written.map_err(|error| index.failed(&error))?;
        Ok(index)
    }

    /// Forgets everything.
    pub(super) fn reset(self) -> Result<Self> {
        let Self { database, slot, .. } = self;
        drop(database);
        slot.wipe()?;
        Self::open(slot)
    }

    /// Where the index is.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.slot.folder.clone()
    }

    /// Whether nothing was ever added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next_pack.load(Ordering::Relaxed) == 0
    }

    /// Whether a chunk is known. Damage counts as unknown: storing a chunk twice is safe.
    #[must_use]
    pub fn contains(&self, id: &ChunkId) -> bool {
        if self.is_empty() {
            return false;
        }
        match self.database.db.get_pinned(chunk_key(space::CHUNK, id)) {
            Ok(Some(value)) => match self.missing.get() {
                Some(missing) if !missing.is_empty() => {
                    decode_location(&value).is_some_and(|place| !missing.contains(&place.pack))
                }
                _ => true,
            },
            Ok(None) => false,
            Err(_) => {
                self.slot.mark_damaged();
                false
            }
        }
    }

    /// Looks which known packs aren't stored any more; their chunks aren't known from then on.
    pub fn compare_with_store(&self, repository: &Repository) -> Result<()> {
        let mut stored = HashSet::new();
        repository.backend().list(names::PACKS, &mut |listed| {
            stored.extend(names::parse_pack(&listed.name).map(|(id, _)| id));
        })?;
        let mut missing = HashSet::new();
        self.for_each_pack(|number, pack| {
            if !stored.contains(&pack.id) {
                missing.insert(number);
            }
        })?;
        if !missing.is_empty() {
            self.doubt();
        }
        // The first comparison counts: packs don't come back.
        let _ = self.missing.set(missing);
        Ok(())
    }

    /// Says that something that snapshots refer to may not be stored.
    pub(super) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether something that snapshots refer to may not be stored: then what a parent
    /// snapshot refers to has to be looked up before it is referred to again.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Where a chunk is; `None` if no known pack has it.
    pub fn locate(&self, id: &ChunkId) -> Result<Option<Location>> {
        let get =
            |space| self.database.db.get_pinned(chunk_key(space, id)).map_err(|error| self.failed(&error));
        let found = match get(space::CHUNK)? {
            None => get(space::UNLISTED)?,
            found => found,
        };
        let Some(value) = found else { return Ok(None) };
        decode_location(&value).map(Some).ok_or_else(|| self.malformed())
    }

    /// Looks many chunks up together: neighbours in the index are found with one effort, and by
    /// all threads.
    pub fn locate_all(&self, mut ids: Vec<ChunkId>) -> Result<Located> {
        ids.par_sort_unstable();
        ids.dedup();
        let batches: Vec<Vec<Option<Location>>> =
            ids.par_chunks(LOOKUP_BATCH).map(|ids| self.locate_batch(ids)).collect::<Result<_>>()?;
        Ok(Located(ids.into_iter().zip(batches.concat()).collect()))
    }

    fn locate_batch(&self, sorted: &[ChunkId]) -> Result<Vec<Option<Location>>> {
        let keys: Vec<_> = sorted.iter().map(|id| chunk_key(space::CHUNK, id)).collect();
        let table = self.database.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| self.malformed())?;
        let found = self.database.db.batched_multi_get_cf(table, keys.iter(), true);
        let locate = |(found, id): (std::result::Result<Option<DBPinnableSlice<'_>>, _>, _)| match found {
            Ok(Some(value)) => decode_location(&value).map(Some).ok_or_else(|| self.malformed()),
            // Rare enough for a lookup of its own.
            Ok(None) => self.locate(id),
            Err(error) => Err(self.failed(&error)),
        };
        found.into_iter().zip(sorted).map(locate).collect()
    }

    /// A pack by its number.
    pub fn pack(&self, number: u32) -> Result<Arc<StoredPack>> {
        if let Some(pack) = self.packs.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(pack));
        }
        let value = self.database.db.get_pinned(pack_key(number)).map_err(|error| self.failed(&error))?;
        let pack = value.and_then(|value| decode_pack(&value)).ok_or_else(|| self.malformed())?;
        let pack = Arc::new(pack);
        self.packs.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&pack));
        Ok(pack)
    }

    /// Calls `visit` with every pack and its number.
    pub fn for_each_pack(&self, mut visit: impl FnMut(u32, StoredPack)) -> Result<()> {
        for item in self.database.db.iterator(IteratorMode::From(&[space::PACK], Direction::Forward)) {
            let (key, value) = item.map_err(|error| self.failed(&error))?;
            if key.first() != Some(&space::PACK) {
                break;
            }
            match (entries::pack_number(&key), decode_pack(&value)) {
                (Some(number), Some(pack)) => visit(number, pack),
                _ => return Err(self.malformed()),
            }
        }
        Ok(())
    }

    /// Names of the segments, and of packs outside of segments, that were added.
    pub(super) fn sources(&self) -> Result<HashSet<String>> {
        let mut sources = HashSet::new();
        for item in self.database.db.iterator(IteratorMode::From(&[space::SEGMENT], Direction::Forward)) {
            let (key, _) = item.map_err(|error| self.failed(&error))?;
            match key.split_first() {
                Some((&space::SEGMENT, name)) => sources.insert(String::from_utf8_lossy(name).into_owned()),
                _ => break,
            };
        }
        Ok(sources)
    }

    /// Adds packs, and the name of the object that lists them, in one step.
    pub(super) fn add(&self, source: &str, packs: &[(StoredPack, &PackTable)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        let space = if source.starts_with(names::PACKS) { space::UNLISTED } else { space::CHUNK };
        for (pack, table) in packs {
            let number = self.next_pack.fetch_add(1, Ordering::Relaxed);
            batch.put(pack_key(number), encode_pack(pack));
            let mut located: Vec<_> = entries::locations(number, table).collect();
            // RocksDB takes keys in their order with a fraction of the effort.
            located.sort_unstable_by_key(|(id, _)| *id);
            for (id, location) in located {
                batch.put(chunk_key(space, &id), encode_location(location));
            }
        }
        batch.put(source_key(source), []);
        self.database.db.write_opt(batch, &unlogged()).map_err(|error| self.failed(&error))?;
        self.database.fit_cache();
        Ok(())
    }

    /// Writes what was added to disk. Without it a crash costs the next run some reading.
    pub fn flush(&self) -> Result<()> {
        self.database.db.flush().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rocksdb::Error) -> EngineError {
        self.unusable(error.as_ref())
    }

    fn malformed(&self) -> EngineError {
        self.unusable("an entry is malformed")
    }

    fn unusable(&self, why: &str) -> EngineError {
        self.slot.mark_damaged();
        EngineError::Cache {
            path: self.slot.folder.clone(),
            why: format!("{why}; the next command rebuilds it"),
        }
    }
}
