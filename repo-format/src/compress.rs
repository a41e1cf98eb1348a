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
pub struct Compressor(bulk::Compressor<'static>);

impl Compressor {
    /// A compressor of this zstd level.
    #[must_use]
    pub fn new(level: i32) -> Self {
        Self(bulk::Compressor::new(level).expect("zstd takes any level and clamps it"))
    }

    /// Appends the payload for `plain` to `out`: compressed if that saves a sixty-fourth or
    /// more, since opening costs time too.
    pub(crate) fn append(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Compression {
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
        let compressed = self.0.compress_to_buffer(plain, &mut out[start..]);
        match compressed {
            Ok(length) if length < plain.len() - plain.len() / 64 => {
                out.truncate(start + length);
                Compression::Zstd
            }
            _ => {
                out.truncate(start);
                out.extend_from_slice(plain);
                Compression::Stored
            }
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
                plain.resize(length, 0);
                let found = self.0.decompress_to_buffer(payload, plain).map_err(|_| MALFORMED)?;
                plain.truncate(found);
            }
        }
        if plain.len() == length { Ok(()) } else { Err(MALFORMED) }
    }
}
