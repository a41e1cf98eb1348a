//! Reading many chunks at once: all are looked up together, and each frame that has some of
//! them is read and opened once, by all threads. What can't be had there is looked for one by one.

use keepfast_format::content::ChunkRef;
use keepfast_format::frame::FrameReader;
use keepfast_format::keys::ChunkKind;

use super::frames::FrameCache;
use super::index::{Location, Wanted};
use crate::error::{EngineError, Result};

/// The plaintext of data chunks, in their order, each verified against its id.
pub fn gather(frames: &FrameCache<'_>, wanted: &[ChunkRef]) -> Result<Vec<Vec<u8>>> {
    let pool = frames.run().pool();
    let found = frames.index().locate_all(wanted.iter().map(|chunk| Wanted::from(*chunk)).collect(), pool)?;
    let place = |(number, chunk): (usize, &ChunkRef)| Some((found.get(*chunk)??, number));
    let mut located: Vec<(Location, usize)> = wanted.iter().enumerate().filter_map(place).collect();
    pool.sort(&mut located);
    let groups: Vec<&[(Location, usize)]> =
        located.chunk_by(|(a, _), (b, _)| a.frame_place() == b.frame_place()).collect();
    let opened: Vec<Vec<(usize, Vec<u8>)>> = pool
        .map_with(&groups, FrameReader::default, |reader, group| open_group(frames, reader, group, wanted))
        .into_iter()
        .collect::<Result<_>>()?;
    let mut chunks: Vec<Option<Vec<u8>>> = vec![None; wanted.len()];
    for (number, bytes) in opened.into_iter().flatten() {
        chunks[number] = Some(bytes);
    }
    let elsewhere = |(bytes, chunk): (Option<Vec<u8>>, &ChunkRef)| match bytes {
        Some(bytes) => Ok(bytes),
        None => frames.chunk(ChunkKind::Data, *chunk).map(|bytes| bytes.to_vec()),
    };
    chunks.into_iter().zip(wanted).map(elsewhere).collect()
}

/// The chunks of one frame, with their places among the wanted ones; those that aren't there are
/// left out.
fn open_group(
    frames: &FrameCache<'_>,
    reader: &mut FrameReader,
    group: &[(Location, usize)],
    wanted: &[ChunkRef],
) -> Result<Vec<(usize, Vec<u8>)>> {
    let Some((first, _)) = group.first() else { return Ok(Vec::new()) };
    let pack = match frames.open(reader, first.frame_place()) {
        Ok(pack) => pack,
        Err(EngineError::Damaged { .. } | EngineError::Missing { .. } | EngineError::Backend(_)) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let hasher = frames.hashers().under(pack.key);
    let mut chunks = Vec::with_capacity(group.len());
    for (location, number) in group {
        let chunk = reader.plain().get(location.range()).filter(|chunk| {
            hasher.is_some_and(|hasher| hasher.id(ChunkKind::Data, chunk) == wanted[*number].id)
        });
        chunks.extend(chunk.map(|chunk| (*number, chunk.to_vec())));
    }
    Ok(chunks)
}
