//! Frames: consecutive chunks, compressed together and sealed together.
//!
//! A frame describes itself: its sealed head has its length, and its sealed body begins with the lengths
//! of its chunks. So the chunks of a pack can be read without the pack's directory.

use crate::aead::{NonceSpace, TAG_BYTES};
use crate::compress::{self, Compression, Compressor, Decompressor};
use crate::numbers::{u32_of, usize_of};
use crate::sealing::PackCipher;
use crate::wire::Reader;
use crate::{FormatError, limits};

const WHAT: &str = "frame";
const HEAD_PLAIN_BYTES: usize = 16;
/// Length of a frame's sealed head.
pub const HEAD_BYTES: usize = HEAD_PLAIN_BYTES + TAG_BYTES;

/// A frame that is being filled.
#[derive(Debug, Default)]
pub struct OpenFrame {
    plain: Vec<u8>,
    lengths: Vec<u32>,
}

impl OpenFrame {
    /// Appends a chunk's plaintext.
    pub fn push(&mut self, chunk: &[u8]) {
        self.plain.extend_from_slice(chunk);
        self.lengths.push(u32_of(chunk.len()));
    }

    /// Bytes of plaintext so far.
    #[must_use]
    pub fn plain_bytes(&self) -> usize {
        self.plain.len()
    }

    /// Chunks so far.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the frame should be closed: it has reached its size, or the most chunks that a frame may
    /// have.
    #[must_use]
    pub fn is_full(&self, frame_bytes: u32) -> bool {
        self.plain.len() >= usize_of(frame_bytes) || self.lengths.len() >= usize_of(limits::CHUNKS_PER_FRAME)
    }

    /// Compresses the chunks into `buffer`, whose content is lost, and empties the frame for the next one.
    pub fn close(&mut self, compressor: &mut Compressor, mut buffer: Vec<u8>) -> ClosedFrame {
        let (compression, payload) = compressor.payload(&self.plain);
        let lists = HEAD_BYTES + 4 * self.lengths.len();
        buffer.clear();
        buffer.reserve(lists + payload.len() + TAG_BYTES);
        buffer.resize(HEAD_BYTES, 0);
        for length in &self.lengths {
            buffer.extend_from_slice(&length.to_le_bytes());
        }
        buffer.extend_from_slice(payload);
        let closed = ClosedFrame {
            buffer,
            compression,
            plain_bytes: u32_of(self.plain.len()),
            chunks: u32_of(self.lengths.len()),
        };
        self.plain.clear();
        self.lengths.clear();
        closed
    }
}

/// A frame that is compressed but not sealed: sealing needs its number in a pack.
pub struct ClosedFrame {
    buffer: Vec<u8>,
    compression: Compression,
    plain_bytes: u32,
    chunks: u32,
}

impl ClosedFrame {
    /// Length of the sealed frame.
    #[must_use]
    pub fn sealed_bytes(&self) -> usize {
        self.buffer.len() + TAG_BYTES
    }

    /// Bytes of plaintext.
    #[must_use]
    pub fn plain_bytes(&self) -> u32 {
        self.plain_bytes
    }

    /// Seals the frame as frame `number` of a pack and returns its stored bytes.
    #[must_use]
    pub fn seal(mut self, pack: &PackCipher, number: u32) -> Vec<u8> {
        let mut head = [0; HEAD_PLAIN_BYTES];
        let body_bytes = u32_of(self.sealed_bytes() - HEAD_BYTES);
        for (field, value) in
            head.chunks_exact_mut(4).zip([body_bytes, self.chunks, self.plain_bytes, self.compression.code()])
        {
            field.copy_from_slice(&value.to_le_bytes());
        }
        pack.seal(NonceSpace::FrameBody, number, &head, &mut self.buffer, HEAD_BYTES);
        let mut sealed_head = head.to_vec();
        pack.seal(NonceSpace::FrameHead, number, &[], &mut sealed_head, 0);
        self.buffer[..HEAD_BYTES].copy_from_slice(&sealed_head);
        self.buffer
    }
}

/// The content of a frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Length of the sealed body that follows the head.
    pub body_bytes: u32,
    /// Chunks in the frame.
    pub chunks: u32,
    /// Bytes of plaintext.
    pub plain_bytes: u32,
    compression: Compression,
    plain: [u8; HEAD_PLAIN_BYTES],
}

impl FrameHead {
    /// Opens the head of frame `number`: the first [`HEAD_BYTES`] of `frame`.
    pub fn open(pack: &PackCipher, number: u32, frame: &[u8]) -> Result<Self, FormatError> {
        let sealed = frame.get(..HEAD_BYTES).ok_or(FormatError::Truncated { what: WHAT })?;
        let mut sealed: [u8; HEAD_BYTES] =
            sealed.try_into().map_err(|_| FormatError::Truncated { what: WHAT })?;
        let plain = pack.open(NonceSpace::FrameHead, number, &[], &mut sealed, "frame head")?;
        let mut input = Reader::new(WHAT, plain);
        let body_bytes = input.u32_at_most(u32::MAX / 2, "body length")?;
        let chunks = input.u32_at_most(limits::CHUNKS_PER_FRAME, "chunk count")?;
        let plain_bytes = input.u32_at_most(limits::FRAME_PLAIN_BYTES_MAX, "plaintext length")?;
        let compression = Compression::from_code(input.u32()?)
            .ok_or(FormatError::Malformed { what: WHAT, why: "its compression is unknown" })?;
        input.finish()?;
        let mut copy = [0; HEAD_PLAIN_BYTES];
        copy.copy_from_slice(plain);
        Ok(Self { body_bytes, chunks, plain_bytes, compression, plain: copy })
    }
}

/// Opens frames one after the other and holds the plaintext of the last one. It reuses its buffers.
#[derive(Default)]
pub struct FrameReader {
    decompressor: Decompressor,
    /// The opened body: the lengths of the chunks, then the payload.
    body: Vec<u8>,
    lengths: Vec<u32>,
    place: PlainPlace,
    decompressed: Vec<u8>,
}

/// Where the plaintext of an opened frame is.
#[derive(Default)]
enum PlainPlace {
    #[default]
    Nowhere,
    /// In the body, from this offset on: the payload isn't compressed.
    Body(usize),
    Decompressed,
}

impl FrameReader {
    /// Opens frame `number` of a pack from its stored bytes.
    /// After a failure the reader is empty.
    pub fn open(&mut self, pack: &PackCipher, number: u32, frame: &[u8]) -> Result<(), FormatError> {
        self.place = PlainPlace::Nowhere;
        self.lengths.clear();
        match self.try_open(pack, number, frame) {
            Ok(place) => {
                self.place = place;
                Ok(())
            }
            Err(error) => {
                self.lengths.clear();
                Err(error)
            }
        }
    }

    fn try_open(&mut self, pack: &PackCipher, number: u32, frame: &[u8]) -> Result<PlainPlace, FormatError> {
        let head = FrameHead::open(pack, number, frame)?;
        let sealed = &frame[HEAD_BYTES..];
        if sealed.len() != usize_of(head.body_bytes) {
            return Err(FormatError::Malformed { what: WHAT, why: "its length isn't the one in its head" });
        }
        pack.open_into(NonceSpace::FrameBody, number, &head.plain, sealed, &mut self.body, WHAT)?;
        let mut input = Reader::new(WHAT, &self.body);
        let mut total: u64 = 0;
        for _ in 0..head.chunks {
            let length = input.u32_at_most(limits::CHUNK_BYTES_MAX, "chunk length")?;
            total += u64::from(length);
            self.lengths.push(length);
        }
        if total != u64::from(head.plain_bytes) {
            return Err(FormatError::Malformed {
                what: WHAT,
                why: "the lengths of its chunks don't add up to its own",
            });
        }
        let payload = input.bytes(input.left())?;
        let plain_bytes = usize_of(head.plain_bytes);
        match head.compression {
            Compression::Stored if payload.len() == plain_bytes => {
                Ok(PlainPlace::Body(self.body.len() - plain_bytes))
            }
            Compression::Stored => Err(compress::MALFORMED),
            Compression::Zstd => {
                self.decompressor.replace(payload, plain_bytes, &mut self.decompressed)?;
                Ok(PlainPlace::Decompressed)
            }
        }
    }

    /// The plaintext of the frame that was opened last.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        match self.place {
            PlainPlace::Nowhere => &[],
            PlainPlace::Body(start) => &self.body[start..],
            PlainPlace::Decompressed => &self.decompressed,
        }
    }

    /// Its chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.plain();
        self.lengths.iter().map(move |length| {
            let (chunk, after) = rest.split_at(usize_of(*length));
            rest = after;
            chunk
        })
    }
}
