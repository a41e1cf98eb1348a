//! How much snapshots need, one after the other, each piece of data counted once.

use keepfast_format::snapshot::SnapshotBody;

use crate::error::Result;
use crate::repo::{FrameCache, Index, Reach, Repository, Seen};
use crate::run::RunContext;

/// A part of a frame is counted in parts of bytes this small, so that what many small chunks need is not rounded away.
const PARTS_PER_BYTE: u128 = 1 << 20;

/// Sums up the stored bytes that snapshots need. Of what is shared by several that were added, each piece counts once; what
/// others need as well counts in full. Trees are read, and no files. The memory is a bit for each chunk that the index
/// knows.
pub struct NeededBytes<'a> {
    frames: FrameCache<'a>,
    index: &'a Index,
    seen: Seen,
    parts: u128,
}

impl<'a> NeededBytes<'a> {
    /// No snapshot yet.
    pub fn new(repository: &'a Repository, index: &'a Index, run: &'a RunContext) -> Result<Self> {
        let frames = FrameCache::without_refresh(repository, index, run);
        Ok(Self { frames, index, seen: Seen::of(index)?, parts: 0 })
    }

    /// Adds a snapshot, and returns how many stored bytes all that were added need. A frame's chunks count by their share
    /// of its plaintext. It fails if something that the snapshot needs isn't there.
    pub fn add(&mut self, snapshot: &SnapshotBody) -> Result<u64> {
        let (index, parts) = (self.index, &mut self.parts);
        Reach::new(&self.frames).walk([snapshot], &self.seen, &mut |reached| {
            if reached.places.is_empty() {
                return Err(FrameCache::missing(&reached.wanted.id));
            }
            for place in reached.places {
                let pack = index.pack(place.pack)?;
                let frame = pack.frame(place.frame)?;
                let stored = u128::from(place.len) * u128::from(frame.sealed_bytes) * PARTS_PER_BYTE;
                *parts += stored / u128::from(frame.plain_bytes.max(1));
            }
            Ok(())
        })?;
        Ok(u64::try_from(self.parts.div_ceil(PARTS_PER_BYTE)).unwrap_or(u64::MAX))
    }
}
