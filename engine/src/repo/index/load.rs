//! Adding very many chunks: sorted into files of their own, which RocksDB then takes over as
//! they are and merges once, instead of taking in chunk by chunk and merging again and again.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use keepfast_format::ids::ChunkId;
use keepfast_format::names::SegmentName;
use keepfast_format::pack::PackTable;
use rocksdb::{IngestExternalFileOptions, SstFileWriter, WriteBatch};

use super::super::marks::Adding;
use super::super::numbers::PackNumber;
use super::database::unlogged;
use super::entries::{
    chunk_key, encode_location, encode_numbers, encode_pack, locations, pack_key, source_key, space,
};
use super::seal::Seal;
use super::{Index, Location, PackSource, StoredPack};
use crate::error::Result;
use crate::run::Pool;

/// Chunks that are sorted together: 48 MiB of them.
const CHUNKS_SORTED: usize = 1 << 20;
/// Fewer than this go through memory, as those of a backup do.
const CHUNKS_IN_MEMORY: usize = 1 << 17;
/// Chunks of one file: several files are made at a time.
const CHUNKS_PER_FILE: usize = 1 << 18;
/// This many files that were taken over, and not merged yet, make lookups slow: they are merged
/// at once. RocksDB does it with fewer when it finds the time.
const FILES_UNMERGED: u64 = 64;
/// Where the files are made, in the index's folder.
const FOLDER: &str = "load";

/// Segments on their way into an index.
pub struct Loading<'i> {
    index: &'i Index,
    pool: &'i Pool,
    /// Until the packs can be found, nothing is condemned that would overlook them.
    adding: Adding<'i>,
    located: Vec<(ChunkId, Location)>,
    packs: Vec<(PackNumber, StoredPack)>,
    /// Numbers of packs that are dead.
    dead: Vec<PackNumber>,
    /// Segments, and the numbers of their packs.
    sources: Vec<(SegmentName, Vec<PackNumber>)>,
    has_files: bool,
}

impl<'i> Loading<'i> {
    /// Nothing loaded yet.
    pub fn begin(index: &'i Index, pool: &'i Pool) -> Self {
        Self {
            index,
            pool,
            adding: index.marks.adding(),
            located: Vec::new(),
            packs: Vec::new(),
            dead: Vec::new(),
            sources: Vec::new(),
            has_files: false,
        }
    }

    /// Adds the packs of a segment. Packs that are dead get a number, and nothing of them is known.
    pub fn add(&mut self, segment: SegmentName, packs: Vec<(StoredPack, PackTable)>) -> Result<()> {
        let mut numbers = Vec::with_capacity(packs.len());
        for (pack, table) in packs {
            let number = PackNumber::new(self.index.next_pack.fetch_add(1, Ordering::SeqCst));
            numbers.push(number);
            self.adding.add(&pack.name, number);
            if self.index.is_dead_pack(&pack.name)? {
                self.dead.push(number);
                self.index.marks.bury(number);
            } else {
                self.located.extend(locations(number, &table));
            }
            self.packs.push((number, pack));
        }
        self.sources.push((segment, numbers));
        if self.located.len() >= CHUNKS_SORTED { self.write_files() } else { Ok(()) }
    }

    /// Ends loading: everything is in the index then.
    pub fn finish(mut self) -> Result<()> {
        if !self.has_files && self.located.len() < CHUNKS_IN_MEMORY {
            return self.write_batch();
        }
        if !self.sources.is_empty() {
            self.write_files()?;
        }
        let database = &self.index.database;
        let unmerged = database.db.property_int_value("rocksdb.num-files-at-level0");
        if unmerged.is_ok_and(|files| files.is_some_and(|files| files > FILES_UNMERGED)) {
            database.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        }
        self.set_merging(true)?;
        database.fit_cache();
        Ok(())
    }

    /// Sorts what there is, in the order of keys.
    fn sort(&mut self) {
        self.pool.sort(&mut self.located);
        self.sources.sort_unstable();
    }

    /// Everything but chunks: keys, in their order, and values.
    fn others(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let dead =
            self.dead.iter().map(|number| (pack_key(space::DEAD_NUMBER, *number).to_vec(), Vec::new()));
        let pack = |(number, pack): &(PackNumber, StoredPack)| {
            (pack_key(space::PACK, *number).to_vec(), encode_pack(pack))
        };
        let source = |(name, numbers): &(SegmentName, Vec<PackNumber>)| {
            (source_key(PackSource::Segment(*name)), encode_numbers(numbers))
        };
        let entries = dead.chain(self.packs.iter().map(pack)).chain(self.sources.iter().map(source));
        entries.map(|(key, value)| {
            let value = self.seal().close(&key, value);
            (key, value)
        })
    }

    fn seal(&self) -> &Seal {
        &self.index.database.seal
    }

    /// Writes what there is into memory.
    fn write_batch(&mut self) -> Result<()> {
        self.sort();
        let mut batch = WriteBatch::default();
        for (id, location) in &self.located {
            let key = chunk_key(space::CHUNK, id);
            batch.merge(key, encode_location(self.seal(), &key, *location));
        }
        for (key, value) in self.others() {
            batch.put(key, value);
        }
        let database = &self.index.database;
        database.db.write_opt(batch, &unlogged()).map_err(|error| self.index.failed(&error))
    }

    /// Writes what there is into files, and hands them over in one step.
    fn write_files(&mut self) -> Result<()> {
        if !self.has_files {
            self.set_merging(false)?;
            self.has_files = true;
        }
        let folder = self.index.slot.empty_folder(FOLDER);
        let folder = folder.map_err(|error| self.index.unusable(&error.to_string()))?;
        self.sort();
        // All locations of a chunk are one entry: a file has each key once.
        let chunks: Vec<&[(ChunkId, Location)]> = self.located.chunk_by(|(a, _), (b, _)| a == b).collect();
        let numbered: Vec<_> = chunks.chunks(CHUNKS_PER_FILE).enumerate().collect();
        let mut files: Vec<PathBuf> = self
            .pool
            .map(&numbered, |(number, chunks)| {
                let path = folder.join(format!("chunks-{number}"));
                self.write_file(path, |writer| {
                    chunks.iter().try_for_each(|located| {
                        let Some((id, _)) = located.first() else { return Ok(()) };
                        let key = chunk_key(space::CHUNK, id);
                        let encode =
                            |(_, location): &(_, Location)| encode_location(self.seal(), &key, *location);
                        let locations: Vec<u8> = located.iter().flat_map(encode).collect();
                        writer.merge(key, locations)
                    })
                })
            })
            .into_iter()
            .collect::<Result<_>>()?;
        drop(numbered);
        drop(chunks);
        files.push(self.write_file(folder.join("others"), |writer| {
            self.others().try_for_each(|(key, value)| writer.put(key, value))
        })?);
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let database = &self.index.database;
        database.db.ingest_external_file_opts(&options, files).map_err(|error| self.index.failed(&error))?;
        database.fit_cache();
        self.located.clear();
        self.packs.clear();
        self.dead.clear();
        self.sources.clear();
        Ok(())
    }

    fn write_file(
        &self,
        path: PathBuf,
        fill: impl FnOnce(&mut SstFileWriter<'_>) -> std::result::Result<(), rocksdb::Error>,
    ) -> Result<PathBuf> {
        let write = |path: &Path| {
            let mut writer = SstFileWriter::create(&self.index.database.options);
            writer.open(path)?;
            fill(&mut writer)?;
            writer.finish()
        };
        write(&path).map_err(|error| self.index.failed(&error))?;
        Ok(path)
    }

    fn set_merging(&self, on: bool) -> Result<()> {
        let off = if on { "false" } else { "true" };
        let database = &self.index.database;
        let set = database.db.set_options(&[("disable_auto_compactions", off)]);
        set.map_err(|error| self.index.failed(&error))
    }
}
