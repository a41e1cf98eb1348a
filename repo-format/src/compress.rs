//! Compression of frames: zstd (RFC 8878). Each thread makes its contexts once.

use zstd::bulk;

use crate::FormatError;

/// How a frame's payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Uncompressed.
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

    /// The payload for `plain`. It is compressed if that saves at least a sixty-fourth: decompression
    /// takes time too.
    pub(crate) fn payload<'a>(&'a mut self, plain: &'a [u8]) -> (Compression, &'a [u8]) {
        if looks_random(plain) {
            return (Compression::Stored, plain);
        }
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let compressed = self.context.compress_to_buffer(plain, &mut self.scratch);
        match compressed {
            Ok(length) if length < plain.len() - plain.len() / 64 => (Compression::Zstd, &self.scratch),
            _ => (Compression::Stored, plain),
        }
    }
}

/// Whether samples from all parts of `plain` have an entropy of 7.98 bits per byte or more, as compressed
/// and encrypted data have. Below that, compression may save something. The test spares media and archives
/// a run of zstd that saves nothing.
fn looks_random(plain: &[u8]) -> bool {
    const STEP: usize = 8 << 10;
    const SAMPLE: usize = 512;
    const SAMPLES_MIN: usize = 64;
    let mut counts = [[0_u32; 256]; 2];
    let samples = plain.chunks_exact(STEP).map(|step| &step[..SAMPLE]);
    let sampled = samples.len() * SAMPLE;
    if samples.len() < SAMPLES_MIN {
        return false;
    }
    // Two tables, because the increments of two equal neighbours in one table would wait for each other.
    for pair in samples.flat_map(|sample| sample.as_chunks::<2>().0) {
        counts[0][usize::from(pair[0])] += 1;
        counts[1][usize::from(pair[1])] += 1;
    }
    let [even, odd] = counts;
    // Shannon entropy in bits, times the number of sampled bytes: Σ count · log2(sampled / count).
    let entropy_bits: f64 = even
        .iter()
        .zip(odd)
        .map(|(a, b)| f64::from(a + b))
        .filter(|count| *count > 0.0)
        .map(|count| count * (sampled as f64 / count).log2())
        .sum();
    entropy_bits >= 7.98 * sampled as f64
}

pub(crate) const MALFORMED: FormatError =
    FormatError::Malformed { what: "frame", why: "its payload doesn't decompress" };

const ZSTD_MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// Whether a payload is exactly one zstd frame. zstd itself also accepts several frames, skippable
/// frames and frames of its older formats. Not every implementation does, so the format excludes them.
fn is_one_frame(payload: &[u8]) -> bool {
    payload.starts_with(&ZSTD_MAGIC)
        && zstd::zstd_safe::find_frame_compressed_size(payload) == Ok(payload.len())
}

/// A reusable decompressor.
pub struct Decompressor(bulk::Decompressor<'static>);

impl Default for Decompressor {
    fn default() -> Self {
        Self(bulk::Decompressor::new().expect("a decompression context is a small allocation"))
    }
}

impl Decompressor {
    /// Replaces the content of `plain` by the decompressed `payload`, which must have `length` bytes. The
    /// length must be authenticated; the one in zstd's own header isn't used.
    pub(crate) fn replace(
        &mut self,
        payload: &[u8],
        length: usize,
        plain: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        plain.clear();
        if !is_one_frame(payload) {
            return Err(MALFORMED);
        }
        plain.reserve(length);
        let done = self.0.decompress_to_buffer(payload, plain);
        if done.is_ok() && plain.len() == length { Ok(()) } else { Err(MALFORMED) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compression, Compressor, looks_random};

    /// Bytes that can't be compressed: the output of a hash.
    fn random(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn only_data_that_is_random_everywhere_skips_compression() {
        let mut bytes = random(2 << 20);
        assert!(looks_random(&bytes));
        assert!(!looks_random(&bytes[..100_000]), "too little to decide");
        let letters: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
        assert!(!looks_random(&letters), "seven bits per byte");
        bytes[300_000..500_000].fill(b'x');
        assert!(!looks_random(&bytes), "a tenth of it is one letter");
        let mut compressor = Compressor::new(3);
        let (compression, payload) = compressor.payload(&bytes);
        assert!(compression == Compression::Zstd && payload.len() < bytes.len() * 19 / 20);
    }
}
