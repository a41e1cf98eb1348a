//! Where chunks are: one by one, or many together.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use keepfast_format::ids::ChunkId;
use keepfast_format::numbers::u64_of;
use rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

use super::entries::{Locations, chunk_key, space};
use super::trust::Rank;
use super::{Index, Location, Wanted};
use crate::error::Result;
use crate::run::Pool;

/// Chunks that one thread looks up together.
const LOOKUP_BATCH: usize = 512;
/// Reading over this many entries takes as long as looking one of them up: 0.3 µs each, and 2.6 µs.
const ENTRIES_PER_CHUNK: u64 = 8;

/// What is known of chunks that were looked up together, in order of their ids.
pub struct Located<T = Option<Location>>(Vec<(Wanted, T)>);

impl Located {
    /// Where a chunk is, or that it is nowhere; `None` if it wasn't looked up.
    #[must_use]
    pub fn get(&self, wanted: impl Into<Wanted>) -> Option<Option<Location>> {
        self.find(wanted.into()).copied()
    }
}

impl<T> Located<T> {
    /// What is known of a chunk; `None` if it wasn't looked up.
    #[must_use]
    pub fn find(&self, wanted: Wanted) -> Option<&T> {
        let place = self.0.binary_search_by_key(&wanted, |(wanted, _)| *wanted).ok()?;
        self.0.get(place).map(|(_, found)| found)
    }

    /// All that was looked up.
    pub fn iter(&self) -> impl Iterator<Item = (&Wanted, &T)> {
        self.0.iter().map(|(wanted, found)| (wanted, found))
    }
}

/// The places in which a chunk that is needed counts.
#[derive(Debug, Default)]
pub struct Places {
    /// Where it is read first. Gone, if there is no place that is left.
    pub first: Option<Location>,
    /// The others.
    pub others: Vec<Location>,
}

impl Places {
    fn one(place: Location) -> Self {
        Self { first: Some(place), others: Vec::new() }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Location> {
        self.first.iter().chain(&self.others)
    }
}

/// Places in packs that are left.
pub(super) struct Readable {
    /// As segments list them.
    pub listed: Vec<Location>,
    /// As packs themselves say.
    pub unlisted: Vec<Location>,
}

impl Index {
    /// The places of a chunk that were found in a space; nothing if they are malformed.
    fn fitting<'v>(
        &self,
        wanted: &Wanted,
        value: &'v [u8],
        space: u8,
    ) -> Option<impl Iterator<Item = Location> + Clone + use<'v>> {
        let wanted = *wanted;
        let places = Locations::of(&self.database.seal, &chunk_key(space, &wanted.id), value)?;
        Some(places.filter(move |place| wanted.fits(place)))
    }

    /// Where a chunk is; `None` if no known pack has it, in this length if one is given.
    pub fn locate(&self, wanted: &Wanted) -> Result<Option<Location>> {
        let mut best: Option<(Rank, Location)> = None;
        for space in self.spaces() {
            let found = self.database.db.get_pinned(chunk_key(*space, &wanted.id));
            let Some(value) = found.map_err(|error| self.failed(&error))? else { continue };
            let is_listed = *space == space::CHUNK;
            let found = self.best_of(wanted, &value, is_listed).ok_or_else(|| self.malformed())?;
            let Some(place) = found else { continue };
            if self.marks.is_sound(place.pack) {
                return Ok(Some(place));
            }
            let rank = self.rank(&place, is_listed);
            if best.is_none_or(|(before, _)| rank < before) {
                best = Some((rank, place));
            }
        }
        Ok(best.map(|(_, place)| place))
    }

    /// Of several places the one to try first; the outer `None` says that they are malformed.
    fn best_of(&self, wanted: &Wanted, value: &[u8], is_listed: bool) -> Option<Option<Location>> {
        let space = if is_listed { space::CHUNK } else { space::UNLISTED };
        let fitting = self.fitting(wanted, value, space)?;
        let sound = fitting.clone().filter(|place| self.marks.is_sound(place.pack));
        let mut several = sound.clone();
        Some(match (several.next(), several.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => sound.min_by_key(|place| self.rank(place, is_listed)),
            (None, _) => fitting.min_by_key(|place| self.rank(place, is_listed)),
        })
    }

    fn spaces(&self) -> &'static [u8] {
        let has_unlisted = self.has_unlisted.load(Ordering::Relaxed);
        if has_unlisted { &[space::CHUNK, space::UNLISTED] } else { &[space::CHUNK] }
    }

    /// Everywhere that a chunk may be in this length, if one is given, the best place first; also in
    /// packs that are gone.
    pub fn places(&self, wanted: &Wanted) -> Result<Vec<Location>> {
        let mut ranked = Vec::new();
        self.for_each_place(&wanted.id, |place, is_listed| {
            if wanted.fits(&place) {
                ranked.push((self.rank(&place, is_listed), place));
            }
        })?;
        ranked.sort_unstable();
        Ok(ranked.into_iter().map(|(_, place)| place).collect())
    }

    /// Everywhere that a chunk is known to be, in whatever length, also in packs that are dead.
    pub fn locations(&self, id: &ChunkId) -> Result<Vec<Location>> {
        let mut all = Vec::new();
        self.for_each_place(id, |place, _| all.push(place))?;
        Ok(all)
    }

    fn for_each_place(&self, id: &ChunkId, mut visit: impl FnMut(Location, bool)) -> Result<()> {
        for space in self.spaces() {
            let key = chunk_key(*space, id);
            let found = self.database.db.get_pinned(key).map_err(|error| self.failed(&error))?;
            if let Some(value) = found {
                let places = Locations::of(&self.database.seal, &key, &value);
                let places = places.ok_or_else(|| self.malformed())?;
                places.for_each(|place| visit(place, *space == space::CHUNK));
            }
        }
        Ok(())
    }

    /// The places of a chunk in packs that are left, each pack once.
    pub(super) fn readable_places(&self, wanted: &Wanted) -> Result<Readable> {
        let mut readable = Readable { listed: Vec::new(), unlisted: Vec::new() };
        self.for_each_place(&wanted.id, |place, is_listed| {
            if wanted.fits(&place) && self.marks.is_readable(place.pack) {
                if is_listed { &mut readable.listed } else { &mut readable.unlisted }.push(place);
            }
        })?;
        if readable.listed.len() + readable.unlisted.len() > 1 {
            // A pack that was read before its segment was has several numbers.
            let mut names = HashSet::new();
            let mut is_new =
                |place: &Location| self.pack(place.pack).map_or(true, |pack| names.insert(pack.name));
            readable.listed.retain(&mut is_new);
            readable.unlisted.retain(&mut is_new);
        }
        Ok(readable)
    }

    /// Looks many chunks up together, by all threads: neighbours in the index are found together.
    pub fn locate_all(&self, wanted: Vec<Wanted>, pool: &Pool) -> Result<Located> {
        self.look_up(wanted, pool, |wanted, found| self.place_of(wanted, found))
    }

    /// As [`Index::locate_all`], and finds all places in which each chunk counts: one pack of an
    /// owner that has it, the newest; or if there is none, every pack that has it. What an owner has
    /// moved was verified; what writers say can't be decided without reading it.
    pub fn count_all(&self, wanted: Vec<Wanted>, pool: &Pool) -> Result<Located<Places>> {
        self.look_up(wanted, pool, |wanted, found| self.places_of(wanted, found))
    }

    fn look_up<T: Send>(
        &self,
        mut wanted: Vec<Wanted>,
        pool: &Pool,
        pick: impl Fn(&Wanted, Option<&[u8]>) -> Result<T> + Send + Sync,
    ) -> Result<Located<T>> {
        pool.sort(&mut wanted);
        wanted.dedup();
        let entries = self.database.db.property_int_value("rocksdb.estimate-num-keys");
        let entries = entries.map_err(|error| self.failed(&error))?.unwrap_or(u64::MAX);
        let are_many = u64_of(wanted.len()) >= entries / ENTRIES_PER_CHUNK;
        let look_up = |wanted: &[Wanted]| {
            if are_many {
                self.look_up_in_passing(wanted, &pick)
            } else {
                self.look_up_together(wanted, &pick)
            }
        };
        let batches =
            pool.map_chunks(&wanted, LOOKUP_BATCH, look_up).into_iter().collect::<Result<Vec<Vec<T>>>>()?;
        Ok(Located(wanted.into_iter().zip(batches.into_iter().flatten()).collect()))
    }

    /// Looks each of these up.
    fn look_up_together<T>(
        &self,
        sorted: &[Wanted],
        pick: &impl Fn(&Wanted, Option<&[u8]>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let keys: Vec<_> = sorted.iter().map(|wanted| chunk_key(space::CHUNK, &wanted.id)).collect();
        let table = self.database.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).ok_or_else(|| self.malformed())?;
        let found = self.database.db.batched_multi_get_cf(table, keys.iter(), true);
        let found = found.into_iter().zip(sorted);
        found
            .map(|(found, wanted)| pick(wanted, found.map_err(|error| self.failed(&error))?.as_deref()))
            .collect()
    }

    /// Reads over all entries between the first and the last of these.
    fn look_up_in_passing<T>(
        &self,
        sorted: &[Wanted],
        pick: &impl Fn(&Wanted, Option<&[u8]>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut entries = self.database.db.raw_iterator();
        if let Some(first) = sorted.first() {
            entries.seek(chunk_key(space::CHUNK, &first.id));
        }
        let mut picked = Vec::with_capacity(sorted.len());
        for wanted in sorted {
            let key = chunk_key(space::CHUNK, &wanted.id);
            while entries.key().is_some_and(|entry| entry < &key[..]) {
                entries.next();
            }
            let found = entries.item().filter(|(entry, _)| *entry == &key[..]).map(|(_, value)| value);
            picked.push(pick(wanted, found)?);
        }
        entries.status().map_err(|error| self.failed(&error))?;
        Ok(picked)
    }

    /// The place of a chunk for which this was found.
    fn place_of(&self, wanted: &Wanted, found: Option<&[u8]>) -> Result<Option<Location>> {
        match found.and_then(|value| self.best_of(wanted, value, true)).flatten() {
            Some(place) if self.marks.is_sound(place.pack) => Ok(Some(place)),
            // Rare enough for a lookup of its own.
            _ => self.locate(wanted),
        }
    }

    /// The place of a chunk that is nowhere else.
    fn only_place(&self, wanted: &Wanted, value: &[u8]) -> Option<Location> {
        let mut fitting = self.fitting(wanted, value, space::CHUNK)?;
        let only = fitting.next().filter(|place| self.marks.is_sound(place.pack))?;
        (fitting.next().is_none() && !self.has_unlisted.load(Ordering::Relaxed)).then_some(only)
    }

    /// The places in which a chunk counts for which this was found.
    fn places_of(&self, wanted: &Wanted, found: Option<&[u8]>) -> Result<Places> {
        if let Some(value) = found {
            let fitting = self.fitting(wanted, value, space::CHUNK).ok_or_else(|| self.malformed())?;
            let owners = fitting.filter(|place| self.marks.is_sound(place.pack));
            let owners = owners.filter(|place| self.is_owners(place.pack)).max_by_key(|place| place.pack);
            if let Some(place) = owners.or_else(|| self.only_place(wanted, value)) {
                return Ok(Places::one(place));
            }
        }
        let Readable { mut listed, mut unlisted } = self.readable_places(wanted)?;
        listed.sort_by_cached_key(|place| self.rank(place, true));
        unlisted.sort_by_cached_key(|place| self.rank(place, false));
        let mut places = listed.into_iter().chain(unlisted);
        match places.next() {
            Some(first) => Ok(Places { first: Some(first), others: places.collect() }),
            None => Ok(Places { first: self.locate(wanted)?, others: Vec::new() }),
        }
    }
}
