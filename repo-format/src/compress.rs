//! Compression of frames: zstd (RFC 8878) with contexts that are made once per thread.

use zstd::bulk;

use crate::FormatError;

/// How a frame's payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    Stored,
    /// One zstd frame.
    Zstd,
}

impl Compression {
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Stored => 0,
            Self::Zstd => 1,
        }
    }

    pub(crate) const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Stored),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A reusable compressor.
pub struct Compressor {
    context: bulk::Compressor<'static>,
    scratch: Vec<u8>,
}

impl Compressor {
    /// A compressor of this zstd level.
    #[must_use]
    pub fn new(level: i32) -> Self {
        let context = bulk::Compressor::new(level).expect("zstd takes any level and clamps it");
        Self { context, scratch: Vec::new() }
    }

    /// The payload for `plain`: compressed if that saves a sixty-fourth or more, since
    /// opening costs time too.
    pub(crate) fn payload<'a>(&'a mut self, plain: &'a [u8]) -> (Compression, &'a [u8]) {
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let compressed = self.context.compress_to_buffer(plain, &mut self.scratch);
        match compressed {
            Ok(length) if length < plain.len() - plain.len() / 64 => (Compression::Zstd, &self.scratch),
            _ => (Compression::Stored, plain),
        }
    }
}

/// A reusable decompressor.
pub struct Decompressor(bulk::Decompressor<'static>);

impl Default for Decompressor {
    fn default() -> Self {
        Self(bulk::Decompressor::new().expect("a decompression context is a small allocation"))
    }
}

impl Decompressor {
    /// Replaces `plain`'s content by the payload's plaintext, which must be `length` bytes:
    /// a length that was authenticated, never the one in zstd's own header.
    pub(crate) fn replace(
        &mut self,
        compression: Compression,
        payload: &[u8],
        length: usize,
        plain: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        const MALFORMED: FormatError =
            FormatError::Malformed { what: "frame", why: "its payload doesn't decompress" };
        match compression {
            Compression::Stored => {
                plain.clear();
                plain.extend_from_slice(payload);
            }
            Compression::Zstd => {
                plain.clear();
                plain.reserve(length);
                self.0.decompress_to_buffer(payload, plain).map_err(|_| MALFORMED)?;
            }
        }
        if plain.len() == length { Ok(()) } else { Err(MALFORMED) }
    }
}
