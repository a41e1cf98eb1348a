//! The RocksDB that the index is: how its files are made, and how much of them is in memory.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, Direction, Env, Error, IteratorMode, Options, WriteBatch, WriteOptions,
};

use super::super::cache::Slot;
use super::entries::{self, join, space};
use super::seal::{GENERATION_BYTES, Generation, IndexSecret, Seal};

/// Changes whenever the layout of entries does; an index of another layout is rebuilt.
const LAYOUT: &[u8] = b"keepfast index 5";
const LAYOUT_KEY: [u8; 1] = [space::LAYOUT];
/// Blocks in memory: this much, and for each byte of the index on disk a part of one, up to a
/// limit. Filters are a fiftieth of an index; when they fit, new chunks are refused without a read.
const BLOCK_CACHE_BYTES: usize = 16 << 20;
const BLOCK_CACHE_BYTES_MAX: usize = 320 << 20;
const BYTES_PER_BLOCK_CACHE_BYTE: u64 = 24;
const WRITE_BUFFER_BYTES: usize = 8 << 20;
const MANIFEST_BYTES: usize = 64 << 10;
/// A hundred million chunks are in about a hundred files: this many may be open.
const OPEN_FILES: i32 = 256;
/// What is read at a time of each file when files are merged. Many loaded ones are at once.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// An open database. The options are also those of files that are made for it.
pub struct Database {
    pub db: DB,
    pub options: Options,
    cache: Cache,
    /// Proves its entries.
    pub seal: Seal,
    generation: Generation,
}

impl Database {
    /// Opens the database in its place, or makes it; a new one becomes the index `fresh`. None if what is
    /// there is no index, or not one of this repository.
    pub fn open(
        slot: &Slot,
        secret: &IndexSecret,
        fresh: Generation,
        threads: usize,
    ) -> Result<Option<Self>, Error> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let mut options = options(&cache, threads);
        if slot.is_in_memory() {
            options.set_env(&Env::mem_env()?);
        }
        // By name, because only then does it give a handle for lookups in batches.
        let table = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let db = DB::open_cf_descriptors(&options, slot.folder(), [table])?;
        let Some(generation) = generation_of(&db, secret, fresh) else { return Ok(None) };
        let opened = Self { db, options, cache, seal: secret.seal(&generation), generation };
        opened.fit_cache();
        Ok(Some(opened))
    }

    /// Says which index it is.
    pub fn put_layout(&self) -> Result<(), Error> {
        let layout = [LAYOUT, &self.generation].concat();
        self.db.put_opt(LAYOUT_KEY, self.seal.close(&LAYOUT_KEY, layout), &unlogged())
    }

    /// Puts an entry into a batch, with its tag.
    pub fn put(&self, batch: &mut WriteBatch, key: &[u8], value: Vec<u8>) {
        batch.put(key, self.seal.close(key, value));
    }

    /// Gives the cache the size that fits the database: one that grows needs more of it.
    pub fn fit_cache(&self) {
        // Without an answer it stays as it is: it is a matter of speed only.
        let Ok(Some(on_disk)) = self.db.property_int_value("rocksdb.live-sst-files-size") else { return };
        let share = usize::try_from(on_disk / BYTES_PER_BLOCK_CACHE_BYTE).unwrap_or(usize::MAX);
        let bytes = BLOCK_CACHE_BYTES.saturating_add(share).min(BLOCK_CACHE_BYTES_MAX);
        self.cache.clone().set_capacity(bytes);
    }

    /// The number for the next pack, if that can be read.
    pub fn next_pack(&self) -> Option<u32> {
        match self.db.iterator(IteratorMode::From(&[space::PACK + 1], Direction::Reverse)).next() {
            Some(Ok((key, _))) if key.first() == Some(&space::PACK) => {
                entries::number_of_key(&key)?.checked_add(1)
            }
            Some(Ok(_)) | None => Some(0),
            Some(Err(_)) => None,
        }
    }
}

/// Which index a database is, if it is one of this repository; `fresh` if there is nothing in it yet.
fn generation_of(db: &DB, secret: &IndexSecret, fresh: Generation) -> Option<Generation> {
    match db.get_pinned(LAYOUT_KEY).ok()? {
        None => db.iterator(IteratorMode::Start).next().is_none().then_some(fresh),
        Some(value) => {
            let after = value.strip_prefix(LAYOUT)?;
            let (generation, _) = after.split_first_chunk::<GENERATION_BYTES>()?;
            secret.seal(generation).open(&LAYOUT_KEY, &value).map(|_| *generation)
        }
    }
}

fn options(cache: &Cache, threads: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(10.0, false);
    table.set_block_cache(cache);
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
    options.set_max_open_files(OPEN_FILES);
    options.set_compaction_readahead_size(READ_AHEAD_BYTES);
    // Threads that merge files together: all of them when very much was loaded.
    options.set_max_subcompactions(threads.try_into().unwrap_or(1));
    options.set_paranoid_checks(true);
    options.set_keep_log_file_num(1);
    // What is for servers costs half of opening an index that is used for seconds: sixteen threads
    // that open few files, and 4 MiB set aside for a list of them.
    options.set_max_file_opening_threads(1);
    options.set_manifest_preallocation_size(MANIFEST_BYTES);
    options.set_stats_dump_period_sec(0);
    options.set_compression_type(DBCompressionType::None);
    // Only locations are added to what is there; everything else is put.
    options.set_merge_operator_associative("join", |_, before, added| join(before, added));
    options
}

/// No write-ahead log: what a crash loses is read from the segments again.
pub fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
