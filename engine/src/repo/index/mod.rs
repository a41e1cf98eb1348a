//! The index: which pack, frame and position a chunk is in. A RocksDB on the local disk,
//! and no more than a cache of the repository's index segments.

mod database;
mod entries;
mod load;
mod lookup;
mod seal;
mod trust;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, ListItem};
use keepfast_format::ids::{ChunkId, HolderId};
use keepfast_format::keys::{ChunkKind, KeyRef};
use keepfast_format::names::{PackName, SegmentName};
use keepfast_format::numbers::usize_of;
use keepfast_format::pack::{FrameEntry, PackTable};
use rocksdb::{Direction, IteratorMode, WriteBatch};

use super::cache::Slot;
use super::listings::list_packs;
use super::marks::PackMarks;
use super::numbers::{FrameNumber, FramePlace, Ordinal, PackNumber};
use super::repository::Repository;
use crate::error::{EngineError, Result};
use database::{Database, unlogged};
use entries::{
    Locations, chunk_key, dead_key, decode_numbers, decode_pack, encode_location, encode_numbers,
    encode_pack, locations, number_key, number_of_key, pack_key, pack_of_key, session_of_pack, source_key,
    source_of_key, space,
};
pub(super) use load::Loading;
pub use lookup::{Located, Places};
use seal::IndexSecret;
use trust::Demoted;
pub(super) use trust::{LookedInto, Trust};

/// Where a chunk is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The pack.
    pub pack: PackNumber,
    /// The frame in the pack.
    pub frame: FrameNumber,
    /// The chunk in the frame.
    pub ordinal: Ordinal,
    /// Where the chunk begins in the frame's plaintext, in bytes.
    pub offset: u32,
    /// Its length, in bytes.
    pub len: u32,
}

impl Location {
    /// Its frame.
    #[must_use]
    pub fn frame_place(&self) -> FramePlace {
        FramePlace { pack: self.pack, frame: self.frame }
    }

    /// Where the chunk is in the frame's plaintext.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        let start = usize_of(self.offset);
        start..start + usize_of(self.len)
    }
}

/// A chunk that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wanted {
    /// Its id.
    pub id: ChunkId,
    /// Its length in bytes, if the reference to it says one: a place with another one is none.
    pub len: Option<u32>,
}

impl Wanted {
    /// An item of a list. No chunk is as long as the longest length that there is.
    #[must_use]
    pub fn listed(item: &ListItem) -> Self {
        Self { id: item.id, len: Some(u32::try_from(item.bytes).unwrap_or(u32::MAX)) }
    }

    /// Whether a place that is said to have this chunk has it in the right length.
    fn fits(&self, place: &Location) -> bool {
        self.len.is_none_or(|len| len == place.len)
    }
}

impl From<ChunkRef> for Wanted {
    fn from(chunk: ChunkRef) -> Self {
        Self { id: chunk.id, len: Some(chunk.len) }
    }
}

impl From<ChunkId> for Wanted {
    fn from(id: ChunkId) -> Self {
        Self { id, len: None }
    }
}

/// A pack that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// Its name: an id may stand in the store under several sessions.
    pub name: PackName,
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
    /// A frame of the pack.
    pub fn frame(&self, number: FrameNumber) -> Result<&FrameEntry> {
        self.frames.get(number.index()).ok_or_else(|| EngineError::Damaged {
            object: self.name.to_string(),
            source: FormatError::Malformed { what: "pack", why: "it has fewer frames than the index says" },
        })
    }
}

/// What has told the index of packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackSource {
    /// A segment that lists them.
    Segment(SegmentName),
    /// A pack that no segment lists: it speaks for itself.
    Pack(PackName),
}

impl PackSource {
    /// The segment, if it is one.
    pub fn segment(self) -> Option<SegmentName> {
        match self {
            Self::Segment(name) => Some(name),
            Self::Pack(_) => None,
        }
    }
}

/// The packs that an index knew at one moment: their numbers are below this one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Horizon(PackNumber);

impl Horizon {
    /// Whether the pack with this number was known.
    #[must_use]
    pub fn includes(self, number: PackNumber) -> bool {
        number < self.0
    }
}

/// The index, opened by this process alone.
pub struct Index {
    database: Database,
    slot: Slot,
    packs: RwLock<HashMap<PackNumber, Arc<StoredPack>>>,
    next_pack: AtomicU32,
    doubtful: AtomicBool,
    marks: PackMarks,
    loading: Mutex<()>,
    /// Whose segments are preferred.
    trust: Trust,
    /// Whether there is anything that no segment lists.
    has_unlisted: AtomicBool,
    /// Packs in which something is wrong.
    demoted: Mutex<Demoted>,
    looked_into: Mutex<LookedInto>,
}

impl Index {
    /// Opens the index in its folder, empty if there is none or it can't be used.
    pub(super) fn open(slot: Slot, repository: &Repository, threads: usize) -> Result<Self> {
        if slot.is_damaged() {
            slot.wipe()?;
        }
        let secret = IndexSecret::of(repository.current());
        let fresh = *repository.random()?;
        let opened = Database::open(&slot, &secret, fresh, threads).ok().flatten();
        let opened = opened.and_then(|opened| opened.next_pack().map(|next| (opened, next)));
        let (database, next_pack) = match opened {
            Some(opened) => opened,
            None => {
                slot.wipe()?;
                let failed = |why: &str| EngineError::Cache { path: slot.folder(), why: why.to_owned() };
                let made =
                    Database::open(&slot, &secret, fresh, threads).map_err(|error| failed(error.as_ref()))?;
                (made.ok_or_else(|| failed("what was there can't be removed"))?, 0)
            }
        };
        let index = Self {
            database,
            slot,
            packs: RwLock::default(),
            next_pack: AtomicU32::new(next_pack),
            doubtful: AtomicBool::new(false),
            marks: PackMarks::default(),
            loading: Mutex::default(),
            trust: Trust::of(repository),
            has_unlisted: AtomicBool::new(false),
            demoted: Mutex::default(),
            looked_into: Mutex::default(),
        };
        index.has_unlisted.store(index.has_any(space::UNLISTED)?, Ordering::Relaxed);
        index.for_each_key(space::DEAD_NUMBER, |number, _| {
            index.marks.bury(pack_of_key(number)?);
            Some(())
        })?;
        index.database.put_layout().map_err(|error| index.failed(&error))?;
        Ok(index)
    }

    /// Forgets everything.
    pub(super) fn reset(self, repository: &Repository, threads: usize) -> Result<Self> {
        let Self { database, slot, .. } = self;
        drop(database);
        slot.wipe()?;
        Self::open(slot, repository, threads)
    }

    /// Where the index is.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.slot.folder()
    }

    /// Whether nothing was ever added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next_pack.load(Ordering::Relaxed) == 0
    }

    /// Whether a chunk is known, in a pack that can be expected to be stored. Damage counts as
    /// unknown: storing a chunk twice is safe.
    #[must_use]
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.any_of(id, |mut found| found.any(|place| self.marks.is_sound(place.pack)))
    }

    /// Asks what is known of a chunk in packs that a segment lists.
    fn any_of(&self, id: &ChunkId, holds: impl FnOnce(Locations<'_>) -> bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let key = chunk_key(space::CHUNK, id);
        let found = match self.database.db.get_pinned(key) {
            Ok(None) => return false,
            Ok(Some(value)) => Locations::of(&self.database.seal, &key, &value).map(holds),
            Err(_) => None,
        };
        found.unwrap_or_else(|| {
            self.slot.mark_damaged();
            false
        })
    }

    /// The value of an entry, which this program has written.
    fn opened<'v>(&self, key: &[u8], value: &'v [u8]) -> Result<&'v [u8]> {
        self.database.seal.open(key, value).ok_or_else(|| self.malformed())
    }

    /// Waits until no one else loads segments.
    pub(super) fn loading(&self) -> MutexGuard<'_, ()> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which packs' own directories this process has read.
    pub(super) fn looked_into(&self) -> MutexGuard<'_, LookedInto> {
        self.looked_into.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of each pack.
    pub(super) fn marks(&self) -> &PackMarks {
        &self.marks
    }

    /// Whether a pack can be expected to be stored.
    #[must_use]
    pub fn is_readable(&self, number: PackNumber) -> bool {
        self.marks.is_readable(number)
    }

    /// Whether a verdict has named a pack.
    #[must_use]
    pub fn is_dead(&self, number: PackNumber) -> bool {
        self.marks.is_dead(number)
    }

    /// Looks which known packs aren't stored any more; their chunks aren't known from then on.
    pub fn compare_with_store(&self, repository: &Repository) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let before = self.horizon();
        let stored = list_packs(repository)?;
        self.miss_all_but(before, |pack| stored.contains_key(pack))
    }

    /// Which packs are known now. To be asked *before* packs are listed: another run of this process may
    /// store packs while they are listed, and the index knows a pack only after the store has it.
    #[must_use]
    pub fn horizon(&self) -> Horizon {
        Horizon(PackNumber::new(self.next_pack.load(Ordering::SeqCst)))
    }

    /// As [`Index::compare_with_store`], with a listing that is there already: of the packs that were known
    /// before it began, those that it lacks are missing.
    pub fn miss_all_but(&self, before: Horizon, is_stored: impl Fn(&PackName) -> bool) -> Result<()> {
        let mut missing = false;
        self.for_each_pack(|number, pack| {
            if before.includes(number) && !is_stored(&pack.name) && !self.is_dead(number) {
                self.marks.miss(number);
                missing = true;
            }
        })?;
        if missing {
            self.doubt();
        }
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

    /// A pack by its number.
    pub fn pack(&self, number: PackNumber) -> Result<Arc<StoredPack>> {
        if let Some(pack) = self.packs.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(pack));
        }
        let key = pack_key(space::PACK, number);
        let value = self.database.db.get_pinned(key).map_err(|error| self.failed(&error))?;
        let value = value.ok_or_else(|| self.malformed())?;
        let pack = decode_pack(self.opened(&key, &value)?).ok_or_else(|| self.malformed())?;
        let pack = Arc::new(pack);
        self.packs.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::clone(&pack));
        Ok(pack)
    }

    /// The holder in whose session's name a pack is. It doesn't stay in memory for this.
    fn writer_of(&self, number: PackNumber) -> Option<HolderId> {
        let key = pack_key(space::PACK, number);
        let value = self.database.db.get_pinned(key).ok().flatten()?;
        session_of_pack(self.opened(&key, &value).ok()?).map(|session| session.writer)
    }

    /// Calls `visit` with every pack and its number, dead ones too.
    pub fn for_each_pack(&self, mut visit: impl FnMut(PackNumber, StoredPack)) -> Result<()> {
        self.for_each_key(space::PACK, |key, value| {
            visit(pack_of_key(key)?, decode_pack(value)?);
            Some(())
        })
    }

    /// Those of the packs in a listing, with their sizes, that are unknown here.
    pub(super) fn unknown_among(&self, listed: &HashMap<PackName, u64>) -> Result<Vec<PackName>> {
        let mut known = HashSet::new();
        self.for_each_pack(|_, pack| {
            known.insert(pack.name);
        })?;
        Ok(listed.keys().filter(|pack| !known.contains(pack)).copied().collect())
    }

    /// The numbers of these packs, as far as they are known; a pack may have several.
    pub fn numbers_of(&self, packs: &HashSet<PackName>) -> Result<HashMap<PackNumber, PackName>> {
        let mut numbers = HashMap::new();
        self.for_each_pack(|number, pack| {
            let name = pack.name;
            if packs.contains(&name) {
                numbers.insert(number, name);
            }
        })?;
        Ok(numbers)
    }

    /// Whether there is any key of a kind.
    fn has_any(&self, space: u8) -> Result<bool> {
        match self.database.db.iterator(IteratorMode::From(&[space], Direction::Forward)).next() {
            Some(entry) => Ok(entry.map_err(|error| self.failed(&error))?.0.first() == Some(&space)),
            None => Ok(false),
        }
    }

    /// Calls `visit` with every key of a kind and its value; `None` says that they are malformed.
    fn for_each_key(&self, space: u8, mut visit: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Result<()> {
        for item in self.database.db.iterator(IteratorMode::From(&[space], Direction::Forward)) {
            let (key, value) = item.map_err(|error| self.failed(&error))?;
            if key.first() != Some(&space) {
                break;
            }
            visit(&key, self.opened(&key, &value)?).ok_or_else(|| self.malformed())?;
        }
        Ok(())
    }

    /// The segments, and packs outside of segments, that were added, each with whether all that it lists is
    /// dead.
    pub(super) fn sources(&self) -> Result<BTreeMap<PackSource, bool>> {
        let mut sources = BTreeMap::new();
        self.for_each_key(space::SEGMENT, |key, value| {
            let dead = decode_numbers(value).all(|number| self.is_dead(number));
            sources.insert(source_of_key(key)?, dead);
            Some(())
        })?;
        Ok(sources)
    }

    /// Segments that list nothing but dead packs.
    pub fn dead_segments(&self) -> Result<Vec<SegmentName>> {
        let dead = self.sources()?.into_iter().filter(|(_, is_dead)| *is_dead);
        Ok(dead.filter_map(|(source, _)| source.segment()).collect())
    }

    /// Whether a verdict has named a pack, whether it was ever seen here or not.
    pub fn is_dead_pack(&self, pack: &PackName) -> Result<bool> {
        let key = dead_key(pack);
        let found = self.database.db.get_pinned(key).map_err(|error| self.failed(&error))?;
        found.map_or(Ok(false), |value| self.opened(&key, &value).map(|_| true))
    }

    /// Epochs whose verdicts were applied.
    pub(super) fn applied_epochs(&self) -> Result<HashSet<u32>> {
        let mut epochs = HashSet::new();
        self.for_each_key(space::EPOCH, |key, _| {
            epochs.insert(number_of_key(key)?);
            Some(())
        })?;
        Ok(epochs)
    }

    /// Applies a verdict: these packs are dead, wherever and whenever they appear.
    pub fn apply_verdict(&self, epoch: u32, packs: &[PackName]) -> Result<()> {
        debug_assert!(epoch >= 1, "epochs are counted from 1");
        let mut batch = WriteBatch::default();
        for pack in packs {
            self.database.put(&mut batch, &dead_key(pack), Vec::new());
        }
        if !packs.is_empty() {
            for number in self.numbers_of(&packs.iter().copied().collect())?.into_keys() {
                self.database.put(&mut batch, &pack_key(space::DEAD_NUMBER, number), Vec::new());
                self.marks.bury(number);
            }
        }
        self.database.put(&mut batch, &number_key(space::EPOCH, epoch), Vec::new());
        self.database.db.write_opt(batch, &unlogged()).map_err(|error| self.failed(&error))
    }

    /// Adds packs, and what lists them, in one step. Packs that are dead get a number, and nothing of them is
    /// known.
    pub(super) fn add(&self, source: PackSource, packs: &[(StoredPack, &PackTable)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        let space = match source {
            PackSource::Segment(_) => space::CHUNK,
            PackSource::Pack(_) => space::UNLISTED,
        };
        let mut numbers = Vec::with_capacity(packs.len());
        // Until the packs can be found, nothing is condemned that would overlook them.
        let adding = self.marks.adding();
        for (pack, table) in packs {
            let number = PackNumber::new(self.next_pack.fetch_add(1, Ordering::SeqCst));
            numbers.push(number);
            adding.add(&pack.name, number);
            self.database.put(&mut batch, &pack_key(space::PACK, number), encode_pack(pack));
            if self.is_dead_pack(&pack.name)? {
                self.database.put(&mut batch, &pack_key(space::DEAD_NUMBER, number), Vec::new());
                self.marks.bury(number);
                continue;
            }
            let mut located = locations(number, table);
            // RocksDB takes keys in their order with a fraction of the effort.
            located.sort_unstable_by_key(|(id, _)| *id);
            for (id, location) in located {
                let key = chunk_key(space, &id);
                batch.merge(key, encode_location(&self.database.seal, &key, location));
            }
        }
        self.database.put(&mut batch, &source_key(source), encode_numbers(&numbers));
        if space == space::UNLISTED {
            self.has_unlisted.store(true, Ordering::Relaxed);
        }
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
        EngineError::Cache { path: self.slot.folder(), why: format!("{why}; the next run rebuilds it") }
    }
}
