//! The index: which pack, frame and position a chunk is in. A RocksDB on the local disk,
//! and no more than a cache of the repository's index segments.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use keepfast_format::FormatError;
use keepfast_format::ids::{ChunkId, DomainId, PackId, SessionId};
use keepfast_format::keys::{ChunkKind, KeyRef};
use keepfast_format::names;
use keepfast_format::pack::{FrameEntry, PackTable};
use rayon::iter::ParallelIterator;
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBPinnableSlice,
    DEFAULT_COLUMN_FAMILY_NAME, Direction, IteratorMode, Options, WriteBatch, WriteOptions,
};

use super::cache::CacheSlot;
use super::repository::Repository;
use crate::error::{EngineError, Result};

/// Changes whenever the layout below does; an index of another layout is rebuilt.
const LAYOUT: &[u8] = b"keepfast index 2";
/// Blocks in memory: so much, and for each byte of the index on disk a part of one, up to a
/// limit. Filters are a fiftieth of an index; when they fit, new chunks are refused without a read.
const BLOCK_CACHE_BYTES: usize = 16 << 20;
const BLOCK_CACHE_BYTES_MAX: usize = 320 << 20;
const BYTES_PER_BLOCK_CACHE_BYTE: u64 = 24;
/// Chunks that are looked up together.
const LOOKUP_BATCH: usize = 512;
const WRITE_BUFFER_BYTES: usize = 8 << 20;

/// First bytes of keys: what the rest of the key names.
mod space {
    pub const CHUNK: u8 = b'c';
    /// Chunks of packs that no segment lists: good for reading, but never referred to by a
    /// new snapshot, since nobody has promised that they stay.
    pub const UNLISTED: u8 = b'u';
    pub const PACK: u8 = b'p';
    pub const SEGMENT: u8 = b's';
    pub const LAYOUT: u8 = b'v';
}

/// Where a chunk is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The pack, by the number that the index gave it.
    pub pack: u32,
    /// The frame in the pack.
    pub frame: u32,
    /// Where the chunk begins in the frame's plaintext, in bytes.
    pub offset: u32,
    /// Its length, in bytes.
    pub len: u32,
}

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

/// A pack that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// Its id.
    pub id: PackId,
    /// The session that wrote it.
    pub session: SessionId,
    /// The keys that it is sealed with.
    pub key: KeyRef,
    /// Data or metadata.
    pub kind: ChunkKind,
    /// Its stored size, in bytes.
    pub stored_bytes: u64,
    /// Its frames.
    pub frames: Vec<FrameEntry>,
}

impl StoredPack {
    /// Its object's name.
    #[must_use]
    pub fn name(&self) -> String {
        names::pack(self.id, self.session)
    }

    /// A frame of the pack.
    pub fn frame(&self, number: u32) -> Result<&FrameEntry> {
        self.frames.get(number as usize).ok_or_else(|| EngineError::Damaged {
            object: self.name(),
            source: FormatError::Malformed { what: "pack", why: "it has fewer frames than the index says" },
        })
    }
}

/// The index, opened by this process alone.
pub struct Index {
    db: DB,
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
        let opened = match open_db(&slot.folder) {
            Ok(db) => {
                if layout_fits(&db) {
                    next_pack(&db).map(|next| (db, next))
                } else {
                    None
                }
            }
            Err(_) => None,
        };
        let (db, next_pack) = match opened {
            Some(opened) => opened,
            None => {
                slot.wipe()?;
                let db = open_db(&slot.folder).map_err(|error| EngineError::Cache {
                    path: slot.folder.clone(),
                    why: error.into_string(),
                })?;
                (db, 0)
            }
        };
        let index = Self {
            db,
            slot,
            packs: RwLock::default(),
            next_pack: AtomicU32::new(next_pack),
            doubtful: AtomicBool::new(false),
            missing: OnceLock::new(),
        };
        index.db.put_opt([space::LAYOUT], LAYOUT, &unlogged()).map_err(|error| index.failed(&error))?;
        Ok(index)
    }

    /// Forgets everything.
    pub(super) fn reset(self) -> Result<Self> {
        let Self { db, slot, .. } = self;
        drop(db);
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
        match self.db.get_pinned(chunk_key(space::CHUNK, id)) {
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
        let get = |space| self.db.get_pinned(chunk_key(space, id)).map_err(|error| self.failed(&error));
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
        let table = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| self.malformed())?;
        let found = self.db.batched_multi_get_cf(table, keys.iter(), true);
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
        let value = self.db.get_pinned(pack_key(number)).map_err(|error| self.failed(&error))?;
        let pack = value.and_then(|value| decode_pack(&value)).ok_or_else(|| self.malformed())?;
        let pack = Arc::new(pack);
        self.packs.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&pack));
        Ok(pack)
    }

    /// Calls `visit` with every pack and its number.
    pub fn for_each_pack(&self, mut visit: impl FnMut(u32, StoredPack)) -> Result<()> {
        for item in self.db.iterator(IteratorMode::From(&[space::PACK], Direction::Forward)) {
            let (key, value) = item.map_err(|error| self.failed(&error))?;
            if key.first() != Some(&space::PACK) {
                break;
            }
            let number = key.get(1..5).and_then(|number| number.try_into().ok()).map(u32::from_be_bytes);
            match (number, decode_pack(&value)) {
                (Some(number), Some(pack)) => visit(number, pack),
                _ => return Err(self.malformed()),
            }
        }
        Ok(())
    }

    /// Names of the segments, and of packs outside of segments, that were added.
    pub(super) fn sources(&self) -> Result<HashSet<String>> {
        let mut sources = HashSet::new();
        for item in self.db.iterator(IteratorMode::From(&[space::SEGMENT], Direction::Forward)) {
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
            let mut located = Vec::with_capacity(table.chunks.len());
            let mut chunks = table.chunks.iter();
            for (frame, entry) in table.frames.iter().enumerate() {
                let mut offset = 0;
                for chunk in chunks.by_ref().take(entry.chunks as usize) {
                    located.push((
                        &chunk.id,
                        Location { pack: number, frame: frame as u32, offset, len: chunk.bytes },
                    ));
                    offset += chunk.bytes;
                }
            }
            // RocksDB takes keys in their order with a fraction of the effort.
            located.sort_unstable_by_key(|(id, _)| *id);
            for (id, location) in located {
                batch.put(chunk_key(space, id), encode_location(location));
            }
        }
        let mut key = vec![space::SEGMENT];
        key.extend_from_slice(source.as_bytes());
        batch.put(key, []);
        self.db.write_opt(batch, &unlogged()).map_err(|error| self.failed(&error))
    }

    /// Writes what was added to disk. Without it a crash costs the next run some reading.
    pub fn flush(&self) -> Result<()> {
        self.db.flush().map_err(|error| self.failed(&error))
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

fn open_db(folder: &std::path::Path) -> std::result::Result<DB, rocksdb::Error> {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(10.0, false);
    table.set_block_cache(&Cache::new_lru_cache(block_cache_bytes(folder)));
    // Whole filters and indexes of large files wouldn't fit into a shard of the cache, and would
    // be read again for every lookup: so they are cut into blocks too.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    // Most chunks of a backup that are looked for are new: what is in memory refuses them by a filter too.
    options.set_memtable_prefix_bloom_ratio(0.1);
    options.set_memtable_whole_key_filtering(true);
    options.set_max_write_buffer_number(3);
    options.set_max_open_files(64);
    // What is for servers costs half of opening an index that is used for seconds: sixteen threads
    // that open few files, and 4 MiB set aside for a list of them.
    options.set_max_file_opening_threads(1);
    options.set_manifest_preallocation_size(64 << 10);
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(1);
    options.set_stats_dump_period_sec(0);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    // By name, because only then does it give a handle for lookups in batches.
    let table = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
    DB::open_cf_descriptors(&options, folder, [table])
}

/// How much of an index to keep in memory. One that isn't there yet is small.
fn block_cache_bytes(folder: &std::path::Path) -> usize {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let on_disk: u64 = files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum();
    let share = usize::try_from(on_disk / BYTES_PER_BLOCK_CACHE_BYTE).unwrap_or(usize::MAX);
    BLOCK_CACHE_BYTES.saturating_add(share).min(BLOCK_CACHE_BYTES_MAX)
}

/// The number for the next pack; none if the packs can't be read.
fn next_pack(db: &DB) -> Option<u32> {
    match db.iterator(IteratorMode::From(&[space::PACK + 1], Direction::Reverse)).next() {
        Some(Ok((key, _))) if key.first() == Some(&space::PACK) => {
            let number = key.get(1..5)?.try_into().ok()?;
            u32::from_be_bytes(number).checked_add(1)
        }
        Some(Ok(_)) | None => Some(0),
        Some(Err(_)) => None,
    }
}

fn layout_fits(db: &DB) -> bool {
    match db.get_pinned([space::LAYOUT]) {
        Ok(Some(layout)) => *layout == *LAYOUT,
        // A new one: nothing in it yet.
        Ok(None) => db.iterator(IteratorMode::Start).next().is_none(),
        Err(_) => false,
    }
}

/// No write-ahead log: what a crash loses is read from the segments again.
fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn chunk_key(space: u8, id: &ChunkId) -> [u8; 1 + ChunkId::SIZE] {
    let mut key = [space; 1 + ChunkId::SIZE];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

fn pack_key(number: u32) -> [u8; 5] {
    let mut key = [space::PACK; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn encode_location(location: Location) -> [u8; 16] {
    let mut value = [0; 16];
    let fields = [location.pack, location.frame, location.offset, location.len];
    for (bytes, field) in value.chunks_exact_mut(4).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    value
}

fn decode_location(value: &[u8]) -> Option<Location> {
    let value: &[u8; 16] = value.try_into().ok()?;
    let field = |n: usize| u32::from_le_bytes(value[4 * n..4 * n + 4].try_into().unwrap_or_default());
    Some(Location { pack: field(0), frame: field(1), offset: field(2), len: field(3) })
}

fn encode_pack(pack: &StoredPack) -> Vec<u8> {
    let mut value = Vec::with_capacity(85 + 16 * pack.frames.len());
    value.extend_from_slice(pack.id.as_bytes());
    value.extend_from_slice(&pack.session.to_bytes());
    value.extend_from_slice(pack.key.domain.as_bytes());
    value.extend_from_slice(&pack.key.version.to_le_bytes());
    value.push(pack.kind.code());
    value.extend_from_slice(&pack.stored_bytes.to_le_bytes());
    for frame in &pack.frames {
        for field in [frame.offset, frame.sealed_bytes, frame.plain_bytes, frame.chunks] {
            value.extend_from_slice(&field.to_le_bytes());
        }
    }
    value
}

fn decode_pack(value: &[u8]) -> Option<StoredPack> {
    let (id, rest) = value.split_first_chunk::<32>()?;
    let (session, rest) = rest.split_first_chunk::<{ SessionId::SIZE }>()?;
    let (domain, rest) = rest.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<1>()?;
    let (stored_bytes, rest) = rest.split_first_chunk::<8>()?;
    let frames = rest.chunks_exact(16).map(|frame| {
        let field = |n: usize| u32::from_le_bytes(frame[4 * n..4 * n + 4].try_into().unwrap_or_default());
        FrameEntry { offset: field(0), sealed_bytes: field(1), plain_bytes: field(2), chunks: field(3) }
    });
    Some(StoredPack {
        id: PackId::new(*id),
        session: SessionId::from_bytes(session),
        key: KeyRef { domain: DomainId::new(*domain), version: u32::from_le_bytes(*version) },
        kind: ChunkKind::from_code(kind[0])?,
        stored_bytes: u64::from_le_bytes(*stored_bytes),
        frames: frames.collect(),
    })
}
