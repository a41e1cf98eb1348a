//! Reading many chunks at once: all are looked up together, and each frame that has some of
//! them is read and opened once, by all threads.

use std::ops::Range;

use keepfast_format::FormatError;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::{ChunkIds, ChunkKind};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use super::frames::FrameCache;
use super::index::Location;
use crate::error::{EngineError, Result};

/// Where each chunk of `ids` is, and its number there; a chunk that is nowhere is an error.
fn locate(frames: &FrameCache<'_>, ids: &[ChunkId]) -> Result<Vec<(Location, usize)>> {
    let found = frames.index().locate_all(ids.to_vec())?;
    let place = |(number, id)| match found.get(id).flatten() {
        Some(location) => Ok((location, number)),
        None => Err(FrameCache::missing(id)),
    };
    ids.iter().enumerate().map(place).collect()
}

/// The plaintext of data chunks, in their order, each verified against its id.
pub fn gather(frames: &FrameCache<'_>, ids: &[ChunkId]) -> Result<Vec<Vec<u8>>> {
    let mut gone = Vec::new();
    loop {
        match gather_once(frames, ids) {
            Err(Failure { pack: Some(pack), error: EngineError::Missing { .. } })
                if frames.may_have_moved(pack, &mut gone)? => {}
            other => return other.map_err(|failure| failure.error),
        }
    }
}

/// An error, and the pack that it is about.
struct Failure {
    pack: Option<u32>,
    error: EngineError,
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { pack: None, error }
    }
}

fn gather_once(frames: &FrameCache<'_>, ids: &[ChunkId]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut located = locate(frames, ids)?;
    located.par_sort_unstable();
    let groups: Vec<&[(Location, usize)]> =
        located.chunk_by(|(a, _), (b, _)| (a.pack, a.frame) == (b.pack, b.frame)).collect();
    let hasher = frames.repository().chunk_ids();
    let opened: Vec<Vec<(usize, Vec<u8>)>> = groups
        .par_iter()
        .map_init(FrameReader::default, |reader, group| {
            let pack = group.first().map(|(place, _)| place.pack);
            open_group(frames, &hasher, reader, group, ids).map_err(|error| Failure { pack, error })
        })
        .collect::<Result<_, Failure>>()?;
    let mut chunks = vec![Vec::new(); ids.len()];
    for (index, bytes) in opened.into_iter().flatten() {
        chunks[index] = bytes;
    }
    Ok(chunks)
}

/// The chunks of one frame, with their places among the wanted ones.
fn open_group(
    frames: &FrameCache<'_>,
    hasher: &ChunkIds,
    reader: &mut FrameReader,
    group: &[(Location, usize)],
    ids: &[ChunkId],
) -> Result<Vec<(usize, Vec<u8>)>> {
    let Some((first, _)) = group.first() else { return Ok(Vec::new()) };
    let pack = frames.open(reader, first.pack, first.frame)?;
    let mut chunks = Vec::with_capacity(group.len());
    for (location, index) in group {
        let chunk = reader
            .plain()
            .get(place(location))
            .filter(|chunk| hasher.id(ChunkKind::Data, chunk) == ids[*index])
            .ok_or_else(|| EngineError::damaged(pack.name())(FormatError::NotAuthentic { what: "chunk" }))?;
        chunks.push((*index, chunk.to_vec()));
    }
    Ok(chunks)
}

/// Where a chunk is in its frame's plaintext.
fn place(location: &Location) -> Range<usize> {
    location.offset as usize..location.offset as usize + location.len as usize
}
