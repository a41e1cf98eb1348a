//! The entries of the local index: keys and values, to bytes and back.

use keepfast_format::ids::{ChunkId, DomainId, PackId, SessionId};
use keepfast_format::keys::{ChunkKind, KeyRef};
use keepfast_format::names::{ObjectName, PackName};
use keepfast_format::numbers::usize_of;
use keepfast_format::pack::{FrameEntry, PackTable};

use super::super::numbers::{FrameNumber, Ordinal, PackNumber, numbered};
use super::seal::{Seal, TAG_BYTES};
use super::{Location, PackSource, StoredPack};

/// First bytes of keys: what the rest of the key names.
pub mod space {
    /// Locations of a chunk.
    pub const CHUNK: u8 = b'c';
    /// Chunks of packs that no segment lists: they can be read, but are never referred to by a
    /// new snapshot, since no one has promised that they stay.
    pub const UNLISTED: u8 = b'u';
    /// A pack, by its number.
    pub const PACK: u8 = b'p';
    /// An object whose packs were added, and the numbers that they got.
    pub const SEGMENT: u8 = b's';
    /// An epoch whose verdict was applied.
    pub const EPOCH: u8 = b'e';
    /// A pack that a verdict has named, by its full name: it may never have been seen here.
    pub const DEAD_NAME: u8 = b'd';
    /// The number of a dead pack.
    pub const DEAD_NUMBER: u8 = b'g';
    /// The layout of all this.
    pub const LAYOUT: u8 = b'v';
}

/// Bytes of one location, without its tag.
const PLACE_BYTES: usize = 16;
/// Bytes of one location.
pub const LOCATION_BYTES: usize = PLACE_BYTES + TAG_BYTES;

/// The key of a chunk's locations.
pub fn chunk_key(space: u8, id: &ChunkId) -> [u8; 1 + ChunkId::SIZE] {
    let mut key = [space; 1 + ChunkId::SIZE];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// The key of something that has a number.
pub fn number_key(space: u8, number: u32) -> [u8; 5] {
    let mut key = [space; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number in such a key.
pub fn number_of_key(key: &[u8]) -> Option<u32> {
    key.get(1..5).and_then(|number| number.try_into().ok()).map(u32::from_be_bytes)
}

/// The key of something about a pack.
pub fn pack_key(space: u8, pack: PackNumber) -> [u8; 5] {
    number_key(space, pack.get())
}

/// The pack in such a key.
pub fn pack_of_key(key: &[u8]) -> Option<PackNumber> {
    number_of_key(key).map(PackNumber::new)
}

/// The key of a dead pack.
pub fn dead_key(pack: &PackName) -> [u8; 1 + PackName::SIZE] {
    let mut key = [space::DEAD_NAME; 1 + PackName::SIZE];
    key[1..].copy_from_slice(&pack.to_bytes());
    key
}

/// The key of an object whose packs were added: its name follows as text.
pub fn source_key(source: PackSource) -> Vec<u8> {
    let name: ObjectName = match source {
        PackSource::Segment(name) => name.into(),
        PackSource::Pack(name) => name.into(),
    };
    let mut key = vec![space::SEGMENT];
    key.extend_from_slice(name.to_string().as_bytes());
    key
}

/// The object in such a key.
pub fn source_of_key(key: &[u8]) -> Option<PackSource> {
    let name = std::str::from_utf8(key.get(1..)?).ok()?;
    match ObjectName::parse(name)? {
        ObjectName::Segment(name) => Some(PackSource::Segment(name)),
        ObjectName::Pack(name) => Some(PackSource::Pack(name)),
        _ => None,
    }
}

/// Numbers of packs.
pub fn encode_numbers(numbers: &[PackNumber]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.get().to_le_bytes()).collect()
}

/// Numbers of packs, read back.
pub fn decode_numbers(value: &[u8]) -> impl Iterator<Item = PackNumber> {
    value.as_chunks::<4>().0.iter().map(|number| PackNumber::new(u32::from_le_bytes(*number)))
}

/// Where the chunks of a pack are. A frame that is said to have more chunks than there are ordinals doesn't
/// open: the rest of its chunks are nowhere.
pub fn locations(pack: PackNumber, table: &PackTable) -> Vec<(ChunkId, Location)> {
    let mut located = Vec::with_capacity(table.chunks.len());
    let mut rest = table.chunks.as_slice();
    for (frame, entry) in numbered(&table.frames) {
        let (chunks, after) = rest.split_at(rest.len().min(usize_of(entry.chunks)));
        rest = after;
        let mut offset = 0;
        for (ordinal, chunk) in Ordinal::all().zip(chunks) {
            located.push((chunk.id, Location { pack, frame, ordinal, offset, len: chunk.bytes }));
            offset += chunk.bytes;
        }
    }
    located
}

/// A location's value under this key, with a tag of its own; a chunk with several has them one after the
/// other.
pub fn encode_location(seal: &Seal, key: &[u8], location: Location) -> [u8; LOCATION_BYTES] {
    let mut value = [0; LOCATION_BYTES];
    value[..4].copy_from_slice(&location.pack.get().to_le_bytes());
    value[4..6].copy_from_slice(&location.frame.get().to_le_bytes());
    value[6..8].copy_from_slice(&location.ordinal.get().to_le_bytes());
    value[8..12].copy_from_slice(&location.offset.to_le_bytes());
    value[12..PLACE_BYTES].copy_from_slice(&location.len.to_le_bytes());
    let tag = seal.tag(key, &value[..PLACE_BYTES]);
    value[PLACE_BYTES..].copy_from_slice(&tag);
    value
}

/// The locations of a chunk, in one of its values.
#[derive(Clone)]
pub struct Locations<'v>(std::slice::Iter<'v, [u8; LOCATION_BYTES]>);

impl<'v> Locations<'v> {
    /// None if the value is malformed, or wasn't written under this key here.
    pub fn of(seal: &Seal, key: &[u8], value: &'v [u8]) -> Option<Self> {
        let (locations, rest) = value.as_chunks::<LOCATION_BYTES>();
        let is_ours = |location: &[u8; LOCATION_BYTES]| seal.open(key, location).is_some();
        let are_whole = rest.is_empty() && !locations.is_empty() && locations.iter().all(is_ours);
        are_whole.then(|| Self(locations.iter()))
    }
}

impl Iterator for Locations<'_> {
    type Item = Location;

    fn next(&mut self) -> Option<Location> {
        let value = self.0.next()?;
        let word = |n: usize| u32::from_le_bytes(value[4 * n..4 * n + 4].try_into().unwrap_or_default());
        let half = |n: usize| u16::from_le_bytes(value[2 * n..2 * n + 2].try_into().unwrap_or_default());
        Some(Location {
            pack: PackNumber::new(word(0)),
            frame: FrameNumber::new(half(2)),
            ordinal: Ordinal::new(half(3)),
            offset: word(2),
            len: word(3),
        })
    }
}

/// Joins what was added under one key at different times: the locations of a chunk.
pub fn join(before: Option<&[u8]>, added: &rocksdb::MergeOperands) -> Option<Vec<u8>> {
    let mut joined = before.unwrap_or_default().to_vec();
    for operand in added {
        for location in operand.chunks(LOCATION_BYTES) {
            // A segment may be added twice, when a crash has kept its name from being written.
            if !joined.chunks(LOCATION_BYTES).any(|known| known == location) {
                joined.extend_from_slice(location);
            }
        }
    }
    Some(joined)
}

/// A pack's value.
pub fn encode_pack(pack: &StoredPack) -> Vec<u8> {
    let mut value = Vec::with_capacity(85 + 16 * pack.frames.len());
    value.extend_from_slice(&pack.name.to_bytes());
    value.extend_from_slice(pack.key.domain.as_bytes());
    value.extend_from_slice(&pack.key.version.to_le_bytes());
    value.push(pack.kind.code());
    value.extend_from_slice(&pack.stored_bytes.to_le_bytes());
    for frame in &pack.frames {
        for field in [frame.offset, frame.sealed_bytes, frame.plain_bytes, frame.chunks] {
            value.extend_from_slice(&field.to_le_bytes());
        }
    }
    value
}

/// The session of a pack, read back alone.
pub fn session_of_pack(value: &[u8]) -> Option<SessionId> {
    let (session, _) = value.get(PackId::SIZE..)?.split_first_chunk::<{ SessionId::SIZE }>()?;
    Some(SessionId::from_bytes(session))
}

/// A pack, read back.
pub fn decode_pack(value: &[u8]) -> Option<StoredPack> {
    let (name, rest) = value.split_first_chunk::<{ PackName::SIZE }>()?;
    let (domain, rest) = rest.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<1>()?;
    let (stored_bytes, rest) = rest.split_first_chunk::<8>()?;
    let frames = rest.chunks_exact(16).map(|frame| {
        let field = |n: usize| u32::from_le_bytes(frame[4 * n..4 * n + 4].try_into().unwrap_or_default());
        FrameEntry { offset: field(0), sealed_bytes: field(1), plain_bytes: field(2), chunks: field(3) }
    });
    Some(StoredPack {
        name: PackName::from_bytes(name),
        key: KeyRef { domain: DomainId::new(*domain), version: u32::from_le_bytes(*version) },
        kind: ChunkKind::from_code(kind[0])?,
        stored_bytes: u64::from_le_bytes(*stored_bytes),
        frames: frames.collect(),
    })
}

#[cfg(test)]
mod tests {
    use keepfast_format::ids::ChunkId;
    use keepfast_format::pack::{ChunkEntry, FrameEntry, PackTable};

    use super::super::super::numbers::{FrameNumber, Ordinal, PackNumber};
    use super::{Location, locations};

    /// Ordinals have 16 bits. Chunks beyond them get no place, and the next frame's keep theirs.
    #[test]
    fn a_frame_of_more_chunks_than_ordinals_hides_no_other_frame() {
        let frame = |chunks| FrameEntry { offset: 112, sealed_bytes: 100, plain_bytes: chunks, chunks };
        let chunk = |first| ChunkEntry { id: ChunkId::new([first; 32]), bytes: 1 };
        let mut chunks = vec![chunk(0); (1 << 16) + 1];
        chunks.push(chunk(1));
        let located = locations(
            PackNumber::new(7),
            &PackTable { frames: vec![frame((1 << 16) + 1), frame(1)], chunks },
        );
        assert_eq!(located.len(), (1 << 16) + 1);
        let last = located.get(1 << 16).map(|(id, location)| (*id, *location));
        let (pack, frame, ordinal) = (PackNumber::new(7), FrameNumber::new(1), Ordinal::new(0));
        assert_eq!(last, Some((ChunkId::new([1; 32]), Location { pack, frame, ordinal, offset: 0, len: 1 })));
        let before = located.get((1 << 16) - 1).map(|(_, location)| location.ordinal);
        assert_eq!(before, Some(Ordinal::new(u16::MAX)));
    }
}
