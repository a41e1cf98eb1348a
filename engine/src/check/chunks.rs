//! Whether chunks of data can be had. A chunk is damaged only if no copy of it is left that is
//! right; so one that may be, is read, wherever a restore would find it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::content::ChunkRef;
use keepfast_format::keys::ChunkKind;
use keepfast_format::names::PackName;

use super::trouble::Trouble;
use crate::error::{EngineError, Loss, Result};
use crate::nouns::counted;
use crate::repo::{FrameCache, FrameNumber, Index, Location, PackNumber, Wanted};

/// What is wrong in packs.
pub type BadFrames = HashMap<PackName, Bad>;

/// What is wrong in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bad {
    /// Perhaps all of it.
    Whole,
    /// These frames.
    Frames(BTreeSet<FrameNumber>),
}

impl Bad {
    /// Adds a frame.
    pub fn add(&mut self, frame: FrameNumber) {
        if let Self::Frames(frames) = self {
            frames.insert(frame);
        }
    }
}

/// Packs in which something is wrong.
pub struct Suspects {
    /// By the numbers that the index knows them by.
    known: HashMap<PackNumber, Bad>,
    /// By their names: the index may learn of them again, by what they say of themselves.
    names: HashSet<PackName>,
}

impl Suspects {
    /// Looks the packs up. Nothing new refers to them from now on, and others are read first.
    pub fn of(index: &Index, bad: &BadFrames) -> Result<Self> {
        let mut known = HashMap::new();
        if !bad.is_empty() {
            index.for_each_pack(|number, pack| {
                known.extend(bad.get(&pack.name).map(|bad| (number, bad.clone())));
            })?;
        }
        for number in known.keys() {
            index.avoid(*number);
        }
        Ok(Self { known, names: bad.keys().copied().collect() })
    }

    fn contains(&self, index: &Index, place: &Location) -> bool {
        match self.known.get(&place.pack) {
            Some(Bad::Whole) => true,
            Some(Bad::Frames(frames)) => frames.contains(&place.frame),
            None if self.names.is_empty() => false,
            None => index.pack(place.pack).is_ok_and(|pack| self.names.contains(&pack.name)),
        }
    }
}

/// Why a chunk can't be had.
fn why_lost(chunk: &ChunkRef, error: EngineError) -> Result<Trouble> {
    let ChunkRef { id, len } = chunk;
    Ok(match error {
        EngineError::Damaged { object, source } => {
            Trouble::damage(format!("chunk {id} is damaged: {object}: {source}"))
        }
        EngineError::Missing { object, loss: Loss::Pack | Loss::DeadPack } => {
            Trouble::damage(format!("chunk {id} is in no pack that is left: {object} is missing"))
        }
        EngineError::Missing { .. } => {
            Trouble::damage(format!("chunk {id} of {} is in no pack", counted(u64::from(*len), "byte")))
        }
        other => Trouble::of(other)?.saying(|why, is_unreachable| {
            let now = if is_unreachable { " now" } else { "" };
            format!("chunk {id} can't be read{now}: {why}")
        }),
    })
}

/// Looks at chunks of data.
pub struct Chunks<'a> {
    data: &'a FrameCache<'a>,
    suspects: &'a Suspects,
    /// What reading those that may be damaged has found: why they can't be had.
    read: Mutex<HashMap<Wanted, Option<Trouble>>>,
}

impl<'a> Chunks<'a> {
    /// Reads what has to be read through `data`.
    pub fn new(data: &'a FrameCache<'a>, suspects: &'a Suspects) -> Self {
        Self { data, suspects, read: Mutex::default() }
    }

    /// The index.
    pub fn index(&self) -> &'a Index {
        self.data.index()
    }

    /// Whether a chunk that is looked for here first may be one that can't be had.
    pub fn is_doubtful(&self, place: Option<Location>) -> bool {
        // Where a verdict or a missing pack leaves only a place that is gone, there is no chunk.
        place.is_none_or(|place| {
            !self.index().is_readable(place.pack) || self.suspects.contains(self.index(), &place)
        })
    }

    /// What keeps a chunk from being had, if anything does.
    pub fn damage(&self, chunk: ChunkRef) -> Result<Option<Trouble>> {
        if self.is_doubtful(self.index().locate(&chunk.into())?) { self.read(chunk) } else { Ok(None) }
    }

    /// Forgets which chunks couldn't be had: they may have moved.
    pub fn look_again(&self) {
        self.known().retain(|_, damage| damage.is_none());
    }

    /// Reads a chunk, once.
    pub fn read(&self, chunk: ChunkRef) -> Result<Option<Trouble>> {
        let key = Wanted::from(chunk);
        if let Some(known) = self.known().get(&key) {
            return Ok(known.clone());
        }
        let damage = match self.data.chunk(ChunkKind::Data, chunk) {
            Ok(_) => None,
            Err(error) => Some(why_lost(&chunk, error)?),
        };
        self.known().insert(key, damage.clone());
        Ok(damage)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Wanted, Option<Trouble>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
