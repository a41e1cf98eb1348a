//! Adding very many chunks: sorted into files of their own, which RocksDB then takes over as
//! they are and merges once, instead of taking in chunk by chunk and merging again and again.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use keepfast_format::ids::ChunkId;
use keepfast_format::pack::PackTable;
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use rocksdb::{IngestExternalFileOptions, SstFileWriter, WriteBatch};

use super::Index;
use super::database::unlogged;
use super::entries::{
    Location, StoredPack, chunk_key, encode_location, encode_pack, locations, pack_key, source_key, space,
};
use crate::error::Result;

/// Chunks that are sorted together: 48 MiB of them.
const CHUNKS_SORTED: usize = 1 << 20;
/// Fewer than this go through memory, as those of a backup do.
const CHUNKS_IN_MEMORY: usize = 1 << 17;
/// Chunks of one file: several files are made at a time.
const CHUNKS_PER_FILE: usize = 1 << 18;
/// So many files that were taken over, and not merged yet, make lookups slow: they are merged
/// at once. RocksDB does it with fewer when it finds the time.
const FILES_UNMERGED: u64 = 64;
/// Where the files are made, in the index's folder.
const FOLDER: &str = "load";

/// Segments on their way into an index.
pub struct Loading<'i> {
    index: &'i Index,
    located: Vec<(ChunkId, Location)>,
    packs: Vec<(u32, StoredPack)>,
    sources: Vec<String>,
    has_files: bool,
}

impl<'i> Loading<'i> {
    /// Nothing loaded yet.
    pub fn begin(index: &'i Index) -> Self {
        Self { index, located: Vec::new(), packs: Vec::new(), sources: Vec::new(), has_files: false }
    }

    /// Adds the packs of a segment.
    pub fn add(&mut self, segment: &str, packs: Vec<(StoredPack, PackTable)>) -> Result<()> {
        for (pack, table) in packs {
            let number = self.index.next_pack.fetch_add(1, Ordering::Relaxed);
            self.located.extend(locations(number, &table));
            self.packs.push((number, pack));
        }
        self.sources.push(segment.to_owned());
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

    /// Sorts what there is, in the order of keys. A chunk that is in several packs is taken from the
    /// one that was added last.
    fn sort(&mut self) {
        self.located.par_sort_unstable_by_key(|(id, location)| (*id, Reverse(*location)));
        self.located.dedup_by_key(|(id, _)| *id);
        self.sources.sort_unstable();
    }

    /// Writes what there is into memory.
    fn write_batch(&mut self) -> Result<()> {
        self.sort();
        let mut batch = WriteBatch::default();
        for (id, location) in &self.located {
            batch.put(chunk_key(space::CHUNK, id), encode_location(*location));
        }
        for (number, pack) in &self.packs {
            batch.put(pack_key(*number), encode_pack(pack));
        }
        for source in &self.sources {
            batch.put(source_key(source), []);
        }
        let database = &self.index.database;
        database.db.write_opt(batch, &unlogged()).map_err(|error| self.index.failed(&error))
    }

    /// Writes what there is into files, and hands them over in one step.
    fn write_files(&mut self) -> Result<()> {
        let folder = self.index.slot.folder.join(FOLDER);
        if !self.has_files {
            self.set_merging(false)?;
            self.has_files = true;
        }
        let io = |error: std::io::Error| self.index.unusable(&error.to_string());
        // A run that was killed may have left some.
        fs::remove_dir_all(&folder).or_else(not_found_is_fine).map_err(io)?;
        fs::create_dir_all(&folder).map_err(io)?;
        self.sort();
        let mut files: Vec<PathBuf> = self
            .located
            .par_chunks(CHUNKS_PER_FILE)
            .enumerate()
            .map(|(number, located)| {
                let entry = |(id, location): &(ChunkId, Location)| {
                    (chunk_key(space::CHUNK, id), encode_location(*location))
                };
                self.write_file(folder.join(format!("chunks-{number}")), located.iter().map(entry))
            })
            .collect::<Result<_>>()?;
        let packs = self.packs.iter().map(|(number, pack)| (pack_key(*number).to_vec(), encode_pack(pack)));
        let sources = self.sources.iter().map(|source| (source_key(source), Vec::new()));
        files.push(self.write_file(folder.join("packs"), packs.chain(sources))?);
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let database = &self.index.database;
        database.db.ingest_external_file_opts(&options, files).map_err(|error| self.index.failed(&error))?;
        database.fit_cache();
        self.located.clear();
        self.packs.clear();
        self.sources.clear();
        Ok(())
    }

    fn write_file<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        path: PathBuf,
        entries: impl Iterator<Item = (K, V)>,
    ) -> Result<PathBuf> {
        let write = |path: &Path| {
            let mut writer = SstFileWriter::create(&self.index.database.options);
            writer.open(path)?;
            for (key, value) in entries {
                writer.put(key, value)?;
            }
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

fn not_found_is_fine(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
