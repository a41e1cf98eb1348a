//! The stream in which MariaDB's program gives copies of files: pieces of several files by turns, each with a checksum.
//!
//! ```text
//! "XBSTCK01"  flags u8  kind u8  length of the path u32  path
//! kind 'P': length u64  offset u64  CRC-32 u32  bytes
//! kind 'E': nothing more; the file is whole
//! ```

use std::io::{self, Read};

use super::names::is_path_in_a_dump;

const MAGIC: &[u8; 8] = b"XBSTCK01";
/// The flag of a piece that a reader may pass over if it doesn't know its kind.
const MAY_BE_IGNORED: u8 = 1;
const PATH_BYTES_MAX: u32 = 4096;
/// The program writes pieces of ten MiB at most.
const PIECE_BYTES_MAX: u64 = 1 << 30;
/// How much of a piece is passed on at once.
const STEP_BYTES: usize = 256 << 10;

/// What comes of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The next bytes of a file.
    Bytes(String, Vec<u8>),
    /// A file is whole.
    End(String),
}

/// Reads a stream.
pub(super) struct XbStream<R> {
    input: R,
    /// The piece that is being read.
    piece: Option<Piece>,
}

struct Piece {
    path: String,
    left: u64,
    crc: crc32fast::Hasher,
    wanted: u32,
}

/// What a piece begins with.
pub(super) struct Start {
    pub(super) path: String,
    pub(super) offset: u64,
}

impl<R: Read> XbStream<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, piece: None }
    }

    /// The next event; none at the end of the stream. `check` is told where each piece is to lie in its file.
    pub(super) fn next(
        &mut self,
        check: &mut dyn FnMut(&Start) -> io::Result<()>,
    ) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.rest_of_piece()? {
                return Ok(Some(event));
            }
            let mut head = [0; 14];
            if !fill(&mut self.input, &mut head)? {
                return Ok(None);
            }
            let [magic @ .., flags, kind, l0, l1, l2, l3] = head;
            if magic != *MAGIC {
                return Err(wrong("a piece doesn't begin as one"));
            }
            let length = u32::from_le_bytes([l0, l1, l2, l3]);
            if length == 0 || length > PATH_BYTES_MAX {
                return Err(wrong("a path has a length that none has"));
            }
            let mut path = vec![0; usize::try_from(length).map_err(|_| wrong("a path is too long"))?];
            read_all(&mut self.input, &mut path)?;
            let path = String::from_utf8(path).map_err(|_| wrong("a path isn't text"))?;
            if !is_path_in_a_dump(&path) {
                return Err(wrong("a path leads out of the copy"));
            }
            match kind {
                b'P' => check(&self.begin(path)?)?,
                b'E' => return Ok(Some(Event::End(path))),
                _ if flags & MAY_BE_IGNORED != 0 => {}
                other => return Err(wrong(&format!("a piece is of an unknown kind ({other})"))),
            }
        }
    }

    fn begin(&mut self, path: String) -> io::Result<Start> {
        let mut numbers = [0; 20];
        read_all(&mut self.input, &mut numbers)?;
        let u64_at = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&numbers[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let [.., c0, c1, c2, c3] = numbers;
        let (left, offset) = (u64_at(0), u64_at(8));
        if left > PIECE_BYTES_MAX {
            return Err(wrong("a piece is longer than any"));
        }
        let wanted = u32::from_le_bytes([c0, c1, c2, c3]);
        self.piece = Some(Piece { path: path.clone(), left, crc: crc32fast::Hasher::new(), wanted });
        Ok(Start { path, offset })
    }

    fn rest_of_piece(&mut self) -> io::Result<Option<Event>> {
        let Some(piece) = &mut self.piece else { return Ok(None) };
        if piece.left == 0 {
            let Some(Piece { crc, wanted, path, .. }) = self.piece.take() else { return Ok(None) };
            if crc.finalize() != wanted {
                return Err(wrong(&format!("the checksum of a piece of {path} is wrong")));
            }
            return Ok(None);
        }
        let step = usize::try_from(piece.left).map_or(STEP_BYTES, |left| left.min(STEP_BYTES));
        let mut bytes = vec![0; step];
        read_all(&mut self.input, &mut bytes)?;
        piece.crc.update(&bytes);
        piece.left -= u64::try_from(step).unwrap_or_default();
        Ok(Some(Event::Bytes(piece.path.clone(), bytes)))
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Fills the buffer; false if the stream has ended before its first byte.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    let mut have = 0;
    while have < buffer.len() {
        match input.read(&mut buffer[have..]) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn read_all(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<()> {
    if fill(input, buffer)? || buffer.is_empty() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::{Event, XbStream};

    fn piece(path: &str, offset: u64, bytes: &[u8], crc: Option<u32>) -> Vec<u8> {
        let mut text = b"XBSTCK01\0P".to_vec();
        text.extend(u32::try_from(path.len()).expect("short").to_le_bytes());
        text.extend(path.as_bytes());
        text.extend(u64::try_from(bytes.len()).expect("short").to_le_bytes());
        text.extend(offset.to_le_bytes());
        text.extend(crc.unwrap_or_else(|| crc32fast::hash(bytes)).to_le_bytes());
        text.extend(bytes);
        text
    }

    fn end(path: &str) -> Vec<u8> {
        let mut text = b"XBSTCK01\0E".to_vec();
        text.extend(u32::try_from(path.len()).expect("short").to_le_bytes());
        text.extend(path.as_bytes());
        text
    }

    fn read(stream: &[u8]) -> Result<Vec<Event>, String> {
        let (mut reader, mut events) = (XbStream::new(stream), Vec::new());
        loop {
            match reader.next(&mut |_| Ok(())) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return Ok(events),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn files_come_by_turns_and_are_ended_each() {
        let stream =
            [piece("a/b.ibd", 0, b"one", None), piece("c", 0, b"", None), end("a/b.ibd"), end("c")].concat();
        let events = read(&stream).expect("it is sound");
        let bytes = Event::Bytes("a/b.ibd".to_owned(), b"one".to_vec());
        assert_eq!(events, [bytes, Event::End("a/b.ibd".to_owned()), Event::End("c".to_owned())]);
        for cut in 1..stream.len() {
            // A cut between two pieces isn't seen here, but by the file that has no end.
            let is_between = [34 + 7, 34 + 7 + 35, 34 + 7 + 35 + 21].contains(&cut);
            assert!(
                read(&stream[..cut]).is_err()
                    || is_between
                    || read(&stream[..cut]).is_ok_and(|read| read.len() < 3)
            );
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        for (stream, why) in [
            (piece("a", 0, b"one", Some(1)), "checksum of a piece of a"),
            (piece("../a", 0, b"", None), "leads out"),
            (piece("/a", 0, b"", None), "leads out"),
            (piece("", 0, b"", None), "a length that none has"),
            (b"XBSTCK02\0P\x01\0\0\0a".to_vec(), "doesn't begin as one"),
            (b"XBSTCK01\0S\x01\0\0\0a".to_vec(), "unknown kind"),
        ] {
            let error = read(&stream).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
