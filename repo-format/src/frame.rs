//! Frames: consecutive chunks, compressed together and sealed together.
//!
//! A frame describes itself: a sealed head says how long it is, and the sealed body
//! begins with the lengths of its chunks. So a pack gives up its chunks without its directory.

use crate::aead::{NonceSpace, TAG_BYTES};
use crate::compress::{self, Compression, Compressor, Decompressor};
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
        self.lengths.push(chunk.len() as u32);
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

    /// Whether the frame should be closed: it has its size, or the most chunks that may be in one.
    #[must_use]
    pub fn is_full(&self, frame_bytes: u32) -> bool {
        self.plain.len() >= frame_bytes as usize || self.lengths.len() >= limits::CHUNKS_PER_FRAME as usize
    }

    /// Compresses what was pushed into `buffer`, whose content is lost, and empties the frame
    /// for the next one.
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
            plain_bytes: self.plain.len() as u32,
            chunks: self.lengths.len() as u32,
        };
        self.plain.clear();
        self.lengths.clear();
        closed
    }
}

/// A frame that is compressed, but not sealed: sealing needs its place in a pack.
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

    /// Seals the frame as number `number` of a pack and returns its stored bytes.
    #[must_use]
    pub fn seal(mut self, pack: &PackCipher, number: u32) -> Vec<u8> {
        let mut head = [0; HEAD_PLAIN_BYTES];
        let body_bytes = (self.sealed_bytes() - HEAD_BYTES) as u32;
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

/// What a frame's head says.
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

/// A frame's plaintext, with buffers that are used again for the next frame.
#[derive(Default)]
pub struct FrameReader {
    decompressor: Decompressor,
    /// What was sealed: the lengths of the chunks, and the payload.
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
    /// In the body, from there on: its payload is stored as it is.
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
        if sealed.len() != head.body_bytes as usize {
            return Err(FormatError::Malformed { what: WHAT, why: "it isn't as long as its head says" });
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
            return Err(FormatError::Malformed { what: WHAT, why: "its chunks don't add up" });
        }
        let payload = input.bytes(input.left())?;
        let plain_bytes = head.plain_bytes as usize;
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
            let (chunk, after) = rest.split_at(*length as usize);
            rest = after;
            chunk
        })
    }
}
