//! Where data is cut: content-defined chunking by FastCDC (Xia et al., IEEE TPDS 2020) with a secret gear table, and
//! the lengths of chunks of files that are made of pages.

use fastcdc::v2020::{self, Normalization};
use zeroize::Zeroize;

use crate::keys::DomainSecrets;
use crate::numbers::usize_of;
use crate::{FormatError, limits};

/// Sizes of data chunks, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkerParams {
    /// No chunk is shorter, except the last one of a stream.
    pub min_bytes: u32,
    /// The target for the average, a power of two.
    pub avg_bytes: u32,
    /// No chunk is longer.
    pub max_bytes: u32,
}

impl ChunkerParams {
    /// 4, 16 and 64 KiB. `docs/decisions` has the measurements.
    pub const DEFAULT: Self = Self::of_average(16 << 10);

    /// A quarter of the average as minimum, and four times the average as maximum.
    #[must_use]
    pub const fn of_average(avg_bytes: u32) -> Self {
        Self { min_bytes: avg_bytes / 4, avg_bytes, max_bytes: avg_bytes.saturating_mul(4) }
    }

    /// The length of the chunks of a file that is made of such pages: the power of two that is nearest to the page's
    /// and lies within these sizes, which must be valid.
    #[must_use]
    pub fn page_chunk_bytes(&self, page: PageBytes) -> u32 {
        // The average is a power of two that lies within them, so there is one.
        let least = self.min_bytes.next_power_of_two();
        let most = 1 << self.max_bytes.checked_ilog2().unwrap_or_default();
        page.get().max(least).min(most)
    }

    /// Refuses sizes for which the algorithm isn't defined.
    pub fn validate(&self) -> Result<(), FormatError> {
        let average_fits = self.avg_bytes.is_power_of_two()
            && (limits::CHUNK_AVG_BYTES_MIN..=limits::CHUNK_AVG_BYTES_MAX).contains(&self.avg_bytes);
        let ordered = self.min_bytes >= 64
            && self.min_bytes <= self.avg_bytes
            && self.avg_bytes <= self.max_bytes
            && self.max_bytes <= limits::CHUNK_BYTES_MAX;
        let even = self.min_bytes.is_multiple_of(2) && self.max_bytes.is_multiple_of(2);
        if average_fits && ordered && even {
            Ok(())
        } else {
            Err(FormatError::Malformed { what: "chunker", why: "its chunk sizes are outside of the limits" })
        }
    }
}

/// The size of the pages that a file is made of, in bytes: a power of two from 512 to 65536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageBytes(u32);

impl PageBytes {
    /// The smallest page, in bytes.
    pub const MIN: u32 = 512;
    /// The largest page, in bytes.
    pub const MAX: u32 = 64 << 10;

    /// This size; `None` if no page has it.
    #[must_use]
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes.is_power_of_two() && bytes >= Self::MIN && bytes <= Self::MAX {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How a stream is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// At places that its content decides.
    ByContent,
    /// At multiples of the size of its pages.
    Pages(PageBytes),
}

/// Finds the ends of chunks.
pub struct Chunker {
    params: ChunkerParams,
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
    mask_strict: u64,
    mask_loose: u64,
}

impl Chunker {
    /// A chunker for a trust domain; `params` must be valid.
    pub fn new(params: ChunkerParams, secrets: &DomainSecrets) -> Result<Self, FormatError> {
        params.validate()?;
        let gear = secrets.gear();
        let gear_shifted = Box::new(gear.map(|entry| entry << 1));
        let (mask_strict, mask_loose) =
            v2020::select_masks(usize_of(params.avg_bytes), Normalization::Level1);
        Ok(Self { params, gear, gear_shifted, mask_strict, mask_loose })
    }

    /// The sizes of chunks.
    #[must_use]
    pub fn params(&self) -> &ChunkerParams {
        &self.params
    }

    /// The longest chunk, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        usize_of(self.params.max_bytes)
    }

    /// The length of the first chunk of `bytes`. `bytes` must be all that is left of the stream, or at
    /// least [`Self::max_bytes`] of it.
    #[must_use]
    pub fn cut(&self, bytes: &[u8]) -> usize {
        let (_, length) = v2020::cut_gear(
            bytes,
            usize_of(self.params.min_bytes),
            usize_of(self.params.avg_bytes),
            usize_of(self.params.max_bytes),
            self.mask_strict,
            self.mask_loose,
            self.mask_strict << 1,
            self.mask_loose << 1,
            self.gear.as_slice(),
            self.gear_shifted.as_slice(),
        );
        length
    }
}

impl Drop for Chunker {
    fn drop(&mut self) {
        self.gear.zeroize();
        self.gear_shifted.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkerParams, PageBytes};

    #[test]
    fn pages_have_powers_of_two_from_512_to_65536() {
        for bytes in [512, 4096, 65_536] {
            assert_eq!(PageBytes::new(bytes).map(PageBytes::get), Some(bytes));
        }
        for bytes in [0, 1, 256, 513, 4095, 65_537, 131_072, u32::MAX] {
            assert_eq!(PageBytes::new(bytes), None, "{bytes}");
        }
    }

    #[test]
    fn chunks_of_pages_are_within_the_sizes_of_chunks() {
        let lengths = |params: ChunkerParams| {
            params.validate().expect("valid");
            let pages = [512, 4096, 8192, 65_536];
            pages.map(|bytes| params.page_chunk_bytes(PageBytes::new(bytes).expect("a page")))
        };
        assert_eq!(lengths(ChunkerParams::DEFAULT), [4096, 4096, 8192, 65_536]);
        assert_eq!(lengths(ChunkerParams::of_average(1 << 10)), [512, 4096, 4096, 4096]);
        assert_eq!(lengths(ChunkerParams::of_average(4 << 20)), [1 << 20; 4]);
        let uneven = ChunkerParams { min_bytes: 66, avg_bytes: 4096, max_bytes: 8190 };
        assert_eq!(lengths(uneven), [512, 4096, 4096, 4096]);
        let equal = ChunkerParams { min_bytes: 4096, avg_bytes: 4096, max_bytes: 4096 };
        assert_eq!(lengths(equal), [4096; 4]);
    }
}
