//! Where chunks are: one by one, or many together.

use keepfast_format::ids::ChunkId;
use rayon::iter::ParallelIterator;
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

use super::entries::{chunk_key, decode_locations, space};
use super::{Index, Location};
use crate::error::Result;

/// Chunks that one thread looks up together.
const LOOKUP_BATCH: usize = 512;
/// To read over so many entries takes as long as to look one of them up: 0.3 µs each, and 2.6.
const ENTRIES_PER_CHUNK: u64 = 8;

/// Where chunks are that were looked up together, in order of their ids.
pub struct Located(Vec<(ChunkId, Option<Location>)>);

impl Located {
    /// Where a chunk is, or that it is nowhere; `None` if it wasn't looked up.
    #[must_use]
    pub fn get(&self, id: &ChunkId) -> Option<Option<Location>> {
        let place = self.0.binary_search_by_key(id, |(id, _)| *id).ok()?;
        self.0.get(place).map(|(_, location)| *location)
    }

    /// All that was looked up.
    pub fn iter(&self) -> impl Iterator<Item = (&ChunkId, Option<Location>)> {
        self.0.iter().map(|(id, location)| (id, *location))
    }
}

impl Index {
    /// Where a chunk is; `None` if no known pack has it.
    pub fn locate(&self, id: &ChunkId) -> Result<Option<Location>> {
        let mut unreadable = None;
        for space in [space::CHUNK, space::UNLISTED] {
            let found =
                self.database.db.get_pinned(chunk_key(space, id)).map_err(|error| self.failed(&error))?;
            let Some(value) = found else { continue };
            let place = self.best_of(&value).ok_or_else(|| self.malformed())?;
            if self.marks.is_readable(place.pack) {
                return Ok(Some(place));
            }
            unreadable = unreadable.or(Some(place));
        }
        Ok(unreadable)
    }

    /// Of several locations the one that was added last, because what moves a chunk is about to
    /// remove it from where it was; but none that is known to be gone, unless all are.
    fn best_of(&self, value: &[u8]) -> Option<Location> {
        let mut locations = decode_locations(value)?;
        let readable = locations.clone().filter(|place| self.marks.is_readable(place.pack)).last();
        readable.or_else(|| locations.next())
    }

    /// Everywhere that a chunk is known to be, also in packs that are dead.
    pub fn locations(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let mut all = Vec::new();
        for space in [space::CHUNK, space::UNLISTED] {
            let found =
                self.database.db.get_pinned(chunk_key(space, id)).map_err(|error| self.failed(&error))?;
            if let Some(value) = found {
                all.extend(decode_locations(&value).ok_or_else(|| self.malformed())?);
            }
        }
        Ok(all)
    }

    /// Looks many chunks up together, by all threads: neighbours in the index are found with one effort.
    pub fn locate_all(&self, mut ids: Vec<ChunkId>) -> Result<Located> {
        ids.par_sort_unstable();
        ids.dedup();
        let entries = self.database.db.property_int_value("rocksdb.estimate-num-keys");
        let entries = entries.map_err(|error| self.failed(&error))?.unwrap_or(u64::MAX);
        let are_many = ids.len() as u64 >= entries / ENTRIES_PER_CHUNK;
        let locate = |ids| if are_many { self.locate_in_passing(ids) } else { self.locate_together(ids) };
        let batches: Vec<Vec<Option<Location>>> =
            ids.par_chunks(LOOKUP_BATCH).map(locate).collect::<Result<_>>()?;
        Ok(Located(ids.into_iter().zip(batches.concat()).collect()))
    }

    /// Looks each of these up.
    fn locate_together(&self, sorted: &[ChunkId]) -> Result<Vec<Option<Location>>> {
        let keys: Vec<_> = sorted.iter().map(|id| chunk_key(space::CHUNK, id)).collect();
        let table = self.database.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| self.malformed())?;
        let found = self.database.db.batched_multi_get_cf(table, keys.iter(), true);
        let found = found.into_iter().zip(sorted);
        found
            .map(|(found, id)| self.place_of(id, found.map_err(|error| self.failed(&error))?.as_deref()))
            .collect()
    }

    /// Reads over all entries between the first and the last of these.
    fn locate_in_passing(&self, sorted: &[ChunkId]) -> Result<Vec<Option<Location>>> {
        let mut entries = self.database.db.raw_iterator();
        if let Some(first) = sorted.first() {
            entries.seek(chunk_key(space::CHUNK, first));
        }
        let mut places = Vec::with_capacity(sorted.len());
        for id in sorted {
            let key = chunk_key(space::CHUNK, id);
            while entries.key().is_some_and(|entry| entry < &key[..]) {
                entries.next();
            }
            let found = entries.item().filter(|(entry, _)| *entry == &key[..]).map(|(_, value)| value);
            places.push(self.place_of(id, found)?);
        }
        entries.status().map_err(|error| self.failed(&error))?;
        Ok(places)
    }

    /// The place of a chunk for which this was found.
    fn place_of(&self, id: &ChunkId, found: Option<&[u8]>) -> Result<Option<Location>> {
        match found.and_then(|value| self.best_of(value)) {
            Some(place) if self.marks.is_readable(place.pack) => Ok(Some(place)),
            // Rare enough for a lookup of its own.
            _ => self.locate(id),
        }
    }
}
