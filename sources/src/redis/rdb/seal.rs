//! Whether a dump is whole: it begins and ends as it must, and has the checksum that the server made.

use crc::{CRC_64_REDIS, Crc, Digest, Table};

/// Redis's own polynomial.
static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The length of the checksum at the end.
const CHECKSUM_BYTES: usize = 8;
/// `REDIS0010`, or `VALKEY080`.
const MAGIC_BYTES: usize = 9;
/// The last byte before the checksum.
const END: u8 = 0xFF;

/// The checksum of bytes that are complete.
pub fn checksum(bytes: &[u8]) -> u64 {
    CHECKSUM.checksum(bytes)
}

/// Reads along.
pub struct Seal {
    digest: Digest<'static, u64, Table<16>>,
    /// The first bytes.
    magic: Vec<u8>,
    /// What came last, and isn't a part of the checksum if nothing follows.
    tail: Vec<u8>,
    /// The byte before that.
    before_tail: u8,
}

/// What a whole dump says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The version of its format.
    pub version: u16,
    /// Whether it has a checksum: a server can be told to leave it out.
    pub has_checksum: bool,
}

impl Seal {
    /// Before the first byte.
    pub fn new() -> Self {
        Self { digest: CHECKSUM.digest(), magic: Vec::new(), tail: Vec::new(), before_tail: 0 }
    }

    /// More bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let missing = MAGIC_BYTES.saturating_sub(self.magic.len()).min(bytes.len());
        self.magic.extend_from_slice(&bytes[..missing]);
        // The last eight bytes of all that came stay out of the checksum.
        let all = self.tail.len() + bytes.len();
        let done = all.saturating_sub(CHECKSUM_BYTES);
        let of_tail = done.min(self.tail.len());
        let of_bytes = done - of_tail;
        let parts = [&self.tail[..of_tail], &bytes[..of_bytes]];
        for part in parts {
            self.digest.update(part);
            if let Some(last) = part.last() {
                self.before_tail = *last;
            }
        }
        self.tail.drain(..of_tail);
        self.tail.extend_from_slice(&bytes[of_bytes..]);
    }

    /// After the last byte: the version of the format, or what is wrong.
    pub fn finish(self) -> Result<Sealed, String> {
        let version = version(&self.magic).ok_or("it doesn't begin like a dump of Redis")?;
        let tail: [u8; CHECKSUM_BYTES] =
            self.tail.try_into().map_err(|_| "it ends before its checksum".to_owned())?;
        if self.before_tail != END {
            return Err("it doesn't end like a dump of Redis: a part is missing".to_owned());
        }
        let (found, stored) = (self.digest.finalize(), u64::from_le_bytes(tail));
        if stored != 0 && stored != found {
            return Err("its checksum isn't right: bytes were changed or are missing".to_owned());
        }
        Ok(Sealed { version, has_checksum: stored != 0 })
    }
}

/// The version of the format that the first bytes say.
pub fn version(magic: &[u8]) -> Option<u16> {
    let digits = magic.strip_prefix(b"REDIS").or_else(|| magic.strip_prefix(b"VALKEY"))?;
    (magic.len() == MAGIC_BYTES).then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Seal, Sealed, checksum, version};

    /// The check value of the algorithm, as its catalogue has it.
    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn a_dump_is_whole_in_pieces_of_any_size_and_not_if_a_byte_is_missing_or_changed() {
        let mut dump = b"REDIS0010\xfa\x03abc\x01x\xff".to_vec();
        dump.extend_from_slice(&checksum(&dump).to_le_bytes());
        let judged = |dump: &[u8], piece: usize| {
            let mut seal = Seal::new();
            dump.chunks(piece).for_each(|piece| seal.feed(piece));
            seal.finish()
        };
        let whole = Ok(Sealed { version: 10, has_checksum: true });
        for piece in 1..dump.len() + 1 {
            assert_eq!(judged(&dump, piece), whole, "{piece}");
        }
        for at in 0..dump.len() {
            assert!(judged(&dump[..at], 3).is_err(), "{at}");
            let mut flipped = dump.clone();
            flipped[at] ^= 0x10;
            assert!(judged(&flipped, 4).is_err(), "{at}");
        }
        let without = [&dump[..dump.len() - 8], &[0; 8]].concat();
        assert_eq!(judged(&without, 5), Ok(Sealed { version: 10, has_checksum: false }));
        assert_eq!(
            (version(b"VALKEY080"), version(b"REDIS00x1"), version(b"REDIS001")),
            (Some(80), None, None)
        );
    }
}
