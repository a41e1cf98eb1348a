//! What is in the index: keys and values of RocksDB as bytes, and what they mean.

use keepfast_format::FormatError;
use keepfast_format::ids::{ChunkId, DomainId, PackId, SessionId};
use keepfast_format::keys::{ChunkKind, KeyRef};
use keepfast_format::names;
use keepfast_format::pack::{ChunkEntry, FrameEntry, PackTable};

use crate::error::{EngineError, Result};

/// First bytes of keys: what the rest of the key names.
pub mod space {
    pub const CHUNK: u8 = b'c';
    /// Chunks of packs that no segment lists: good for reading, but never referred to by a
    /// new snapshot, since nobody has promised that they stay.
    pub const UNLISTED: u8 = b'u';
    pub const PACK: u8 = b'p';
    pub const SEGMENT: u8 = b's';
    pub const LAYOUT: u8 = b'v';
}

/// Where a chunk is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The pack, by the number that the index gave it.
    pub pack: u32,
    /// The frame in the pack.
    pub frame: u32,
    /// Where the chunk begins in the frame's plaintext, in bytes.
    pub offset: u32,
    /// Its length, in bytes.
    pub len: u32,
}

/// A pack that the index knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// Its id.
    pub id: PackId,
    /// The session that wrote it.
    pub session: SessionId,
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
    /// Its object's name.
    #[must_use]
    pub fn name(&self) -> String {
        names::pack(self.id, self.session)
    }

    /// A frame of the pack.
    pub fn frame(&self, number: u32) -> Result<&FrameEntry> {
        self.frames.get(number as usize).ok_or_else(|| EngineError::Damaged {
            object: self.name(),
            source: FormatError::Malformed { what: "pack", why: "it has fewer frames than the index says" },
        })
    }
}

/// The key of a chunk in one of the spaces.
pub fn chunk_key(space: u8, id: &ChunkId) -> [u8; 1 + ChunkId::SIZE] {
    let mut key = [space; 1 + ChunkId::SIZE];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// The key of a pack.
pub fn pack_key(number: u32) -> [u8; 5] {
    let mut key = [space::PACK; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number of a pack, from its key.
pub fn pack_number(key: &[u8]) -> Option<u32> {
    key.get(1..5)?.try_into().ok().map(u32::from_be_bytes)
}

/// The key of the name of something that was added.
pub fn source_key(name: &str) -> Vec<u8> {
    [&[space::SEGMENT], name.as_bytes()].concat()
}

/// Where the chunks of a pack are.
pub fn locations(pack: u32, table: &PackTable) -> impl Iterator<Item = (ChunkId, Location)> {
    let mut chunks = table.chunks.iter();
    (0..).zip(&table.frames).flat_map(move |(frame, entry)| {
        let mut offset = 0;
        let in_frame = chunks.by_ref().take(entry.chunks as usize);
        let place = |chunk: &ChunkEntry| {
            let location = Location { pack, frame, offset, len: chunk.bytes };
            offset += chunk.bytes;
            (chunk.id, location)
        };
        in_frame.map(place).collect::<Vec<_>>()
    })
}

/// The value of a chunk.
pub fn encode_location(location: Location) -> [u8; 16] {
    let mut value = [0; 16];
    let fields = [location.pack, location.frame, location.offset, location.len];
    for (bytes, field) in value.chunks_exact_mut(4).zip(fields) {
        bytes.copy_from_slice(&field.to_le_bytes());
    }
    value
}

/// What the value of a chunk says, if it says anything.
pub fn decode_location(value: &[u8]) -> Option<Location> {
    let value: &[u8; 16] = value.try_into().ok()?;
    let field = |n: usize| u32::from_le_bytes(value[4 * n..4 * n + 4].try_into().unwrap_or_default());
    Some(Location { pack: field(0), frame: field(1), offset: field(2), len: field(3) })
}

/// The value of a pack.
pub fn encode_pack(pack: &StoredPack) -> Vec<u8> {
    let mut value = Vec::with_capacity(85 + 16 * pack.frames.len());
    value.extend_from_slice(pack.id.as_bytes());
    value.extend_from_slice(&pack.session.to_bytes());
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

/// What the value of a pack says, if it says anything.
pub fn decode_pack(value: &[u8]) -> Option<StoredPack> {
    let (id, rest) = value.split_first_chunk::<32>()?;
    let (session, rest) = rest.split_first_chunk::<{ SessionId::SIZE }>()?;
    let (domain, rest) = rest.split_first_chunk::<16>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<1>()?;
    let (stored_bytes, rest) = rest.split_first_chunk::<8>()?;
    let frames = rest.chunks_exact(16).map(|frame| {
        let field = |n: usize| u32::from_le_bytes(frame[4 * n..4 * n + 4].try_into().unwrap_or_default());
        FrameEntry { offset: field(0), sealed_bytes: field(1), plain_bytes: field(2), chunks: field(3) }
    });
    Some(StoredPack {
        id: PackId::new(*id),
        session: SessionId::from_bytes(session),
        key: KeyRef { domain: DomainId::new(*domain), version: u32::from_le_bytes(*version) },
        kind: ChunkKind::from_code(kind[0])?,
        stored_bytes: u64::from_le_bytes(*stored_bytes),
        frames: frames.collect(),
    })
}
