//! The first bytes of a database.

use std::num::NonZeroU32;

/// How long the header is.
pub const HEADER_BYTES: usize = 100;
/// Databases begin with this.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// What the header says of payloads, the same in each database.
const FRACTIONS: [u8; 3] = [64, 32, 32];

/// The length of a page of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageBytes(NonZeroU32);

impl PageBytes {
    /// As a number of bytes.
    #[must_use]
    pub fn get(self) -> NonZeroU32 {
        self.0
    }

    /// The length of this many pages.
    #[must_use]
    pub fn times(self, pages: u64) -> u64 {
        pages.saturating_mul(self.0.get().into())
    }

    /// What a header says.
    pub(super) fn new(bytes: u32) -> Option<Self> {
        let is_possible = (512..=65_536).contains(&bytes) && bytes.is_power_of_two();
        NonZeroU32::new(bytes).filter(|_| is_possible).map(Self)
    }
}

/// Whether a file with this beginning is a database of SQLite, and the length of its pages.
#[must_use]
pub fn looks_like(header: &[u8; HEADER_BYTES]) -> Option<PageBytes> {
    if !header.starts_with(MAGIC) || header[21..24] != FRACTIONS {
        return None;
    }
    match u16::from_be_bytes([header[16], header[17]]) {
        // The longest page doesn't fit into the field.
        1 => PageBytes::new(65_536),
        bytes => PageBytes::new(bytes.into()),
    }
}

/// How often the database was changed, and how many pages it has, as its header says.
pub(super) fn counters(header: &[u8; HEADER_BYTES]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (number(24), number(28))
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, looks_like};

    #[test]
    fn databases_are_known_by_their_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let header = |page: u32| {
            let path = folder.path().join(page.to_string());
            let made = rusqlite::Connection::open(&path).expect("a database");
            made.execute_batch(&format!("PRAGMA page_size={page}; CREATE TABLE t(a)")).expect("a table");
            let bytes = std::fs::read(&path).expect("a file");
            <[u8; HEADER_BYTES]>::try_from(&bytes[..HEADER_BYTES]).expect("it has a header")
        };
        for page in [512, 4096, 65_536] {
            assert_eq!(looks_like(&header(page)).map(|page| page.get().get()), Some(page));
        }
        let mut other = header(1024);
        other[17] = 3;
        assert_eq!(looks_like(&other), None);
        assert_eq!(looks_like(&[0; HEADER_BYTES]), None);
    }
}
