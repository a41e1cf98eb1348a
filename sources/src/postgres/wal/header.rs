//! The first page of a segment: of which server it is, and where it belongs.

use super::super::lsn::{Lsn, SegmentBytes};
use super::super::segment::SegmentName;

/// The bytes of a segment's first header.
pub(super) const HEADER_BYTES: usize = 40;
/// The high byte of the number that each page of the log begins with, in all versions since 9.3.
const MAGIC: u8 = 0xD1;
/// The same in those before 15 that may still be read.
const OLDER_MAGIC: u8 = 0xD0;

/// What the first header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    address: Lsn,
    /// What tells the server and its copies from all others.
    pub system: u64,
    /// The length of its segments.
    pub segment_bytes: SegmentBytes,
}

impl Header {
    /// Reads it. A server writes its numbers as its processor has them; the first one tells how.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let is_magic = |byte: u8| byte == MAGIC || byte == OLDER_MAGIC;
        let is_little = match bytes {
            [_, high, ..] if is_magic(*high) => true,
            [high, ..] if is_magic(*high) => false,
            _ => return Err("it doesn't begin as a segment of PostgreSQL's log does".to_owned()),
        };
        let (number8, number4) = (
            |at: usize| {
                let bytes: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
                Some(if is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
            },
            |at: usize| {
                let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
                Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
            },
        );
        let segment_bytes = number4(32).and_then(|bytes| SegmentBytes::new(bytes.into()));
        match (number8(8), number8(24), segment_bytes) {
            (Some(address), Some(system), Some(segment_bytes)) => {
                Ok(Self { address: Lsn(address), system, segment_bytes })
            }
            _ => Err("its first page isn't one of a segment".to_owned()),
        }
    }

    /// Whether it belongs to a file of this name and length.
    pub(super) fn agrees(&self, name: SegmentName, bytes: u64) -> Result<(), String> {
        if bytes != self.segment_bytes.get() {
            return Err(format!(
                "it has {bytes} bytes, and a segment of this server {}",
                self.segment_bytes.get()
            ));
        }
        if name.start(self.segment_bytes) != Some(self.address) {
            return Err(format!("it says that it begins at {}, which its name doesn't", self.address));
        }
        Ok(())
    }
}

/// For tests: a segment that is empty behind its header.
#[cfg(test)]
pub(super) fn example(name: SegmentName, system: u64, segment_bytes: SegmentBytes) -> Vec<u8> {
    let length = usize::try_from(segment_bytes.get()).expect("it fits into memory");
    let mut bytes = vec![0; length];
    bytes[..4].copy_from_slice(&[0x10, 0xD1, 2, 0]);
    bytes[4..8].copy_from_slice(&name.timeline().number().to_le_bytes());
    bytes[8..16].copy_from_slice(&name.start(segment_bytes).expect("a segment").0.to_le_bytes());
    bytes[24..32].copy_from_slice(&system.to_le_bytes());
    bytes[32..36].copy_from_slice(&u32::try_from(segment_bytes.get()).expect("at most a GiB").to_le_bytes());
    bytes[36..40].copy_from_slice(&8192_u32.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Header, example};
    use crate::postgres::lsn::{SegmentBytes, SegmentNumber, Timeline};
    use crate::postgres::wal::SegmentName;

    #[test]
    fn a_segment_says_of_which_server_it_is_and_where_it_belongs() {
        let length = SegmentBytes::new(1 << 20).expect("a length");
        let name = SegmentName::new(Timeline::FIRST, SegmentNumber(5), length);
        let segment = example(name, 77, length);
        let first: [u8; HEADER_BYTES] = segment[..HEADER_BYTES].try_into().expect("forty");
        let header = Header::parse(&first).expect("a header");
        assert_eq!((header.system, header.segment_bytes), (77, length));
        assert_eq!(header.agrees(name, 1 << 20), Ok(()));
        assert!(header.agrees(name, 100).is_err(), "too short");
        assert!(header.agrees(name.next(length).expect("a segment"), 1 << 20).is_err(), "another place");
        assert!(Header::parse(&[0; HEADER_BYTES]).is_err());
    }
}
