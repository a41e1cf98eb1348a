//! Packs: header, frames, sealed directory, padding, footer.

use crate::aead::{NonceSpace, TAG_BYTES};
use crate::frame::{FrameHead, HEAD_BYTES};
use crate::ids::ChunkId;
use crate::numbers::{u32_of, u64_of, usize_of};
use crate::wire::Reader;
use crate::{FormatError, limits};

pub use crate::sealing::{HEADER_BYTES, PackCipher, PackHeader};

const END_MAGIC: &[u8; 8] = b"KEEPEND\0";
/// The length of a full pack is a multiple of this.
const FULL_PACK_STEP: u64 = 1 << 16;
/// Length of a pack's footer.
pub const FOOTER_BYTES: usize = 24;

/// One frame, as a directory lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameEntry {
    /// Its offset in the pack, in bytes.
    pub offset: u32,
    /// Its sealed length, head and body.
    pub sealed_bytes: u32,
    /// Its plaintext's length.
    pub plain_bytes: u32,
    /// The number of its chunks.
    pub chunks: u32,
}

/// One chunk, as a directory lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Its id.
    pub id: ChunkId,
    /// Its plaintext's length.
    pub bytes: u32,
}

/// The frames of a pack, and their chunks in the same order. The plaintext of a pack's directory and that
/// of its table in an index segment are the same bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackTable {
    /// The frames.
    pub frames: Vec<FrameEntry>,
    /// The chunks of all frames.
    pub chunks: Vec<ChunkEntry>,
}

impl PackTable {
    /// Plaintext length of a table with this many frames and chunks.
    #[must_use]
    pub const fn encoded_bytes(frames: usize, chunks: usize) -> usize {
        8 + 16 * frames + 36 * chunks
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(Self::encoded_bytes(self.frames.len(), self.chunks.len()) + TAG_BYTES);
        out.extend_from_slice(&u32_of(self.frames.len()).to_le_bytes());
        out.extend_from_slice(&u32_of(self.chunks.len()).to_le_bytes());
        for frame in &self.frames {
            for field in [frame.offset, frame.sealed_bytes, frame.plain_bytes, frame.chunks] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        for chunk in &self.chunks {
            out.extend_from_slice(chunk.id.as_bytes());
            out.extend_from_slice(&chunk.bytes.to_le_bytes());
        }
    }

    pub(crate) fn decode(what: &'static str, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Reader::new(what, bytes);
        let frames = usize_of(input.u32_at_most(limits::FRAMES_PER_PACK, "frame count")?);
        let chunks = usize_of(input.u32_at_most(limits::CHUNKS_PER_PACK, "chunk count")?);
        if input.left() < Self::encoded_bytes(frames, chunks) - 8 {
            return Err(FormatError::Truncated { what });
        }
        let mut table = Self { frames: Vec::with_capacity(frames), chunks: Vec::with_capacity(chunks) };
        for _ in 0..frames {
            table.frames.push(FrameEntry {
                offset: input.u32()?,
                sealed_bytes: input.u32()?,
                plain_bytes: input.u32()?,
                chunks: input.u32()?,
            });
        }
        for _ in 0..chunks {
            let id = ChunkId::new(input.array()?);
            table.chunks.push(ChunkEntry { id, bytes: input.u32()? });
        }
        input.finish()?;
        table.validate(what)?;
        Ok(table)
    }

    /// Frames must follow each other without gaps from the header on, and the lengths and counts of their
    /// chunks must add up.
    fn validate(&self, what: &'static str) -> Result<(), FormatError> {
        let mut offset = u64_of(HEADER_BYTES);
        let mut chunks = self.chunks.iter();
        for frame in &self.frames {
            let plain: u64 =
                chunks.by_ref().take(usize_of(frame.chunks)).map(|chunk| u64::from(chunk.bytes)).sum();
            let fits = u64::from(frame.offset) == offset
                && usize_of(frame.sealed_bytes) >= HEAD_BYTES + TAG_BYTES
                && frame.plain_bytes <= limits::FRAME_PLAIN_BYTES_MAX
                && u64::from(frame.plain_bytes) == plain;
            if !fits {
                return Err(FormatError::Malformed {
                    what,
                    why: "a frame contradicts its position or its chunks",
                });
            }
            offset += u64::from(frame.sealed_bytes);
        }
        let listed: u64 = self.frames.iter().map(|frame| u64::from(frame.chunks)).sum();
        if listed != u64_of(self.chunks.len()) || offset > limits::PACK_STORED_BYTES_MAX {
            return Err(FormatError::Malformed {
                what,
                why: "the counts of its frames don't add up to its chunks, or it is too long",
            });
        }
        Ok(())
    }
}

impl PackCipher {
    /// The bytes that follow the last frame: sealed directory, padding, footer. A pack of `pack_bytes`, the
    /// config's pack size, or more is full.
    #[must_use]
    pub fn tail(&self, table: &PackTable, pack_bytes: u32) -> Vec<u8> {
        let frames_end = table
            .frames
            .last()
            .map_or(u64_of(HEADER_BYTES), |frame| u64::from(frame.offset) + u64::from(frame.sealed_bytes));
        let mut tail = Vec::new();
        table.encode(&mut tail);
        self.seal(NonceSpace::Directory, 0, &frames_end.to_le_bytes(), &mut tail, 0);
        let directory_bytes = u32_of(tail.len());
        let bare = frames_end + u64_of(tail.len()) + u64_of(FOOTER_BYTES);
        // The length of a full pack depends on chance. That of a run's last pack tells how much the run has
        // stored, so padding hides it.
        let padded =
            if bare < u64::from(pack_bytes) { padme(bare) } else { bare.next_multiple_of(FULL_PACK_STEP) };
        let padding = usize::try_from(padded - bare).expect("padding is shorter than a pack in memory");
        tail.resize(tail.len() + padding, 0);
        tail.extend_from_slice(&frames_end.to_le_bytes());
        tail.extend_from_slice(&directory_bytes.to_le_bytes());
        tail.extend_from_slice(&[0; 4]);
        tail.extend_from_slice(END_MAGIC);
        tail
    }

    /// Opens the directory of a whole pack.
    pub fn directory(&self, pack: &[u8]) -> Result<PackTable, FormatError> {
        let what = "pack directory";
        let place = DirectoryPlace::decode(pack, u64_of(pack.len()))?;
        let start = usize::try_from(place.offset).map_err(|_| FormatError::Truncated { what })?;
        let sealed = start
            .checked_add(usize_of(place.sealed_bytes))
            .and_then(|end| pack.get(start..end))
            .ok_or(FormatError::Truncated { what })?;
        self.directory_at(place, sealed.to_vec())
    }

    /// Opens a directory that was read alone, from this place of its pack.
    pub fn directory_at(&self, place: DirectoryPlace, mut sealed: Vec<u8>) -> Result<PackTable, FormatError> {
        let what = "pack directory";
        let plain = self.open(NonceSpace::Directory, 0, &place.offset.to_le_bytes(), &mut sealed, what)?;
        let table = PackTable::decode(what, plain)?;
        let frames_end: u64 = u64_of(HEADER_BYTES)
            + table.frames.iter().map(|frame| u64::from(frame.sealed_bytes)).sum::<u64>();
        if frames_end != place.offset {
            return Err(FormatError::Malformed { what, why: "it doesn't begin where its frames end" });
        }
        Ok(table)
    }

    /// Finds the frames of a pack whose directory is lost, by their own heads. Returns the offset and length
    /// of each frame up to the last complete one.
    #[must_use]
    pub fn scan(&self, pack: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut offset = HEADER_BYTES;
        while let Some(rest) = pack.get(offset..) {
            let Ok(head) = FrameHead::open(self, u32_of(found.len()), rest) else { break };
            let length = HEAD_BYTES + usize_of(head.body_bytes);
            if rest.len() < length || found.len() >= usize_of(limits::FRAMES_PER_PACK) {
                break;
            }
            found.push((offset, length));
            offset += length;
        }
        found
    }
}

/// The place of a pack's directory, which the footer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryPlace {
    /// Its offset in the pack, where the frames end.
    pub offset: u64,
    /// Its sealed length.
    pub sealed_bytes: u32,
}

impl DirectoryPlace {
    /// Reads the footer at the end of `tail`, the last bytes of a pack of `pack_bytes` bytes.
    pub fn decode(tail: &[u8], pack_bytes: u64) -> Result<Self, FormatError> {
        let what = "pack footer";
        let start = tail.len().checked_sub(FOOTER_BYTES).ok_or(FormatError::Truncated { what })?;
        let mut input = Reader::new(what, &tail[start..]);
        let place = Self { offset: input.u64()?, sealed_bytes: input.u32()? };
        input.expect(&[0; 4], "a reserved byte isn't zero")?;
        input.expect(END_MAGIC, "it doesn't end like a pack: the pack may be cut short")?;
        let end = place.offset.checked_add(place.sealed_bytes.into());
        let room = pack_bytes.saturating_sub(u64_of(FOOTER_BYTES));
        if place.offset < u64_of(HEADER_BYTES) || end.is_none_or(|end| end > room) {
            return Err(FormatError::Malformed { what, why: "it points outside of the pack" });
        }
        Ok(place)
    }
}

/// PADMÉ (Nikitin et al., PoPETs 2019): rounds a length up by at most 12 %, so that the result tells little
/// about it. The result has the leading bit and as many bits after it as the exponent has; the rest are 0.
fn padme(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let low_bits = exponent - (exponent.ilog2() + 1).min(exponent);
    let mask = (1_u64 << low_bits) - 1;
    (length + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::padme;

    #[test]
    fn padding_adds_at_most_twelve_percent_and_never_shrinks() {
        for length in (1..100_000).chain([1 << 20, (1 << 25) + 1, 33_554_431]) {
            let padded = padme(length);
            assert!(padded >= length && (padded - length) as f64 <= 0.12 * length as f64, "{length}");
        }
    }
}
