//! The archives that pg_dump writes: their headers say when they were made. That is taken out, so that an archive of what
//! hasn't changed has the same bytes. The manifest says when the dump was made.

use std::io::{self, Read};

/// How such a file begins.
const MAGIC: &[u8] = b"PGDMP";
/// The versions of the format whose headers are known: from PostgreSQL 9.0 to 18.
const KNOWN_MINORS: std::ops::RangeInclusive<u8> = 12..=16;
/// From this version on, the kind of compression is a byte; before, it was a number.
const MINOR_WITH_COMPRESSION_BYTE: u8 = 15;
/// The numbers of the time: seconds, minutes, hours, day, month, year since 1900, whether it is summer time.
const TIME: [u8; 7] = [0, 0, 0, 1, 0, 70, 0];
/// A number is a sign and this many bytes.
const NUMBER_BYTES: u8 = 4;
/// The longest header up to the end of its time.
const HEADER_BYTES: usize = 64;

/// An archive without its time.
pub struct WithoutTime<R> {
    archive: R,
    header: Vec<u8>,
    /// How much of the header was read.
    given: Option<usize>,
}

impl<R: Read> WithoutTime<R> {
    /// From an archive as a program prints it.
    pub fn new(archive: R) -> Self {
        Self { archive, header: Vec::new(), given: None }
    }
}

impl<R: Read> Read for WithoutTime<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = match self.given {
            Some(given) => given,
            None => {
                let limit = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
                self.archive.by_ref().take(limit).read_to_end(&mut self.header)?;
                set_time(&mut self.header);
                0
            }
        };
        let rest = &self.header[given..];
        if rest.is_empty() {
            self.given = Some(given);
            return self.archive.read(buffer);
        }
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given = Some(given + count);
        Ok(count)
    }
}

/// Sets the time to the beginning of 1970 if this is a header that is known; otherwise changes nothing.
fn set_time(header: &mut [u8]) {
    // The magic, three bytes of version, the bytes of a number and of an offset, the format; then the compression.
    let Some((&[_, minor, _, NUMBER_BYTES, _, _], _)) =
        header.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<6>())
    else {
        return;
    };
    if !KNOWN_MINORS.contains(&minor) {
        return;
    }
    let number = usize::from(NUMBER_BYTES) + 1;
    let compression = if minor >= MINOR_WITH_COMPRESSION_BYTE { 1 } else { number };
    let begin = MAGIC.len() + 6 + compression;
    let Some(time) = header.get_mut(begin..begin + TIME.len() * number) else { return };
    for (field, value) in time.chunks_exact_mut(number).zip(TIME) {
        field.fill(0);
        field[1] = value;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::WithoutTime;

    fn read(bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        WithoutTime::new(bytes).read_to_end(&mut all).expect("bytes");
        all
    }

    fn archive(minor: u8, compression: &[u8], second: u8) -> Vec<u8> {
        let numbers = [second, 56, 20, 29, 10, 126, 0].map(|value| [0, value, 0, 0, 0]).concat();
        let rest = [7; 500];
        [b"PGDMP\x01", &[minor, 0, 4, 8, 1][..], compression, &numbers, &rest].concat()
    }

    #[test]
    fn archives_that_differ_in_their_time_are_the_same_without_it() {
        for (minor, compression) in [(14, &[0, 0, 0, 0, 0][..]), (15, &[0]), (16, &[0])] {
            let (one, other) = (archive(minor, compression, 28), archive(minor, compression, 30));
            assert_ne!(one, other);
            assert_eq!(read(&one), read(&other));
            assert_eq!(read(&one).len(), one.len());
            assert_eq!(read(&one)[60..], one[60..], "nothing else changes");
        }
    }

    #[test]
    fn what_is_no_known_archive_stays_as_it_is() {
        for bytes in [&b"PGDMP"[..], b"", b"SELECT 1", &archive(99, &[0], 1), &archive(16, &[0], 1)[..30]] {
            assert_eq!(read(bytes), bytes);
        }
    }
}
