//! What is stored as chunks: streams, which are read in pieces of about a mebibyte and cut into whole
//! chunks, and the pages of directories.

pub mod cutting;
pub mod page_files;
pub mod pages;

use std::io::{self, Read};

use keepfast_format::FormatError;
use keepfast_format::chunker::Chunker;
use keepfast_format::content::ChunkRef;
use keepfast_format::ids::ChunkId;
use keepfast_format::numbers::u64_of;

use crate::error::{EngineError, Result};
use cutting::{Cutter, StreamCutting};

/// Bytes that are read before they are cut.
pub const PIECE_BYTES: usize = 1 << 20;

/// A reference to the chunk of this id that has these bytes.
pub fn reference_to(id: ChunkId, plain: &[u8]) -> Result<ChunkRef> {
    let len = u32::try_from(plain.len()).map_err(|_| {
        let source = FormatError::OverLimit { what: "chunk", field: "length" };
        EngineError::damaged(format!("chunk {id}"))(source)
    })?;
    Ok(ChunkRef { id, len })
}

/// Consecutive whole chunks of a stream.
#[derive(Debug, Default)]
pub struct Piece {
    /// Their bytes. Bytes after the last end belong to the next piece.
    pub bytes: Vec<u8>,
    /// Where each chunk ends in `bytes`.
    pub ends: Vec<usize>,
}

impl Piece {
    /// The chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Cuts a stream. Memory is one piece and one chunk, however long the stream is.
pub struct PieceReader<'a, R> {
    chunker: &'a Chunker,
    cutting: StreamCutting<'a>,
    /// Known once the first bytes are read.
    cutter: Option<Cutter<'a>>,
    source: R,
    /// The start of a chunk whose end isn't known yet.
    carry: Vec<u8>,
    ended: bool,
}

impl<'a, R: Read> PieceReader<'a, R> {
    /// Starts at the source's current position.
    pub fn new(chunker: &'a Chunker, cutting: StreamCutting<'a>, source: R) -> Self {
        Self { chunker, cutting, cutter: None, source, carry: Vec::new(), ended: false }
    }

    /// Fills `piece` with the next chunks; `false` at the end of the stream.
    pub fn next(&mut self, piece: &mut Piece) -> io::Result<bool> {
        piece.ends.clear();
        piece.bytes.clear();
        piece.bytes.append(&mut self.carry);
        let target = PIECE_BYTES.max(2 * self.chunker.max_bytes());
        if !self.ended {
            let wanted = u64_of(target - piece.bytes.len());
            let got = self.source.by_ref().take(wanted).read_to_end(&mut piece.bytes)?;
            self.ended = (u64_of(got)) < wanted;
        }
        let cutter = self.cutter.get_or_insert_with(|| self.cutting.cutter(self.chunker, &piece.bytes));
        let mut start = 0;
        loop {
            let rest = &piece.bytes[start..];
            if rest.is_empty() || (!self.ended && rest.len() < self.chunker.max_bytes()) {
                break;
            }
            start += cutter.cut(rest);
            piece.ends.push(start);
        }
        self.carry.extend_from_slice(&piece.bytes[start..]);
        Ok(!piece.ends.is_empty())
    }

    /// Whether the stream has ended: what was read of it is all.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The source.
    pub fn get_ref(&self) -> &R {
        &self.source
    }
}

#[cfg(test)]
mod tests {
    use super::cutting::{CuttingChoice, Layout, StreamCutting};
    use super::{Piece, PieceReader};
    use keepfast_format::chunker::{Chunker, ChunkerParams, PageBytes};
    use keepfast_format::ids::DomainId;
    use keepfast_format::keys::DomainSecrets;
    use keepfast_format::numbers::usize_of;
    use zeroize::Zeroizing;

    fn chunker() -> Chunker {
        let secrets = DomainSecrets::new(DomainId::new([1; 16]), &Zeroizing::new([7; 160]));
        Chunker::new(ChunkerParams::DEFAULT, &secrets).expect("valid")
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Where the chunks of a stream end.
    fn ends(chunker: &Chunker, choice: CuttingChoice, bytes: &[u8]) -> Vec<usize> {
        let mut reader = PieceReader::new(chunker, StreamCutting { choice, layout: Layout::Dense }, bytes);
        let mut piece = Piece::default();
        let (mut ends, mut joined) = (Vec::new(), Vec::new());
        while reader.next(&mut piece).expect("reads from memory") {
            for chunk in piece.chunks() {
                joined.extend_from_slice(chunk);
                ends.push(joined.len());
            }
        }
        assert_eq!(joined, bytes);
        ends
    }

    #[test]
    fn cutting_in_pieces_equals_cutting_all_at_once() {
        let (chunker, bytes) = (chunker(), noise(5_000_001));
        let mut whole = Vec::new();
        let mut start = 0;
        while start < bytes.len() {
            start += chunker.cut(&bytes[start..]);
            whole.push(start);
        }
        assert_eq!(ends(&chunker, CuttingChoice::Auto, &bytes), whole);
        assert_eq!(ends(&chunker, CuttingChoice::ByContent, &bytes), whole);
    }

    #[test]
    fn pages_are_cut_at_multiples_of_their_size_across_pieces() {
        let chunker = chunker();
        let bytes = noise((3 << 20) + 1);
        for page in [512, 4096, 8192, 65_536] {
            let choice = CuttingChoice::Pages(PageBytes::new(page).expect("a page's size"));
            for length in [65_535, 65_536, 65_537, 1 << 20, bytes.len()] {
                let bytes = &bytes[..length];
                let chunk = usize_of(page.max(4096));
                let mut expected: Vec<usize> = (1..=length / chunk).map(|number| number * chunk).collect();
                if length % chunk != 0 {
                    expected.push(length);
                }
                if length < 65_536 {
                    expected = ends(&chunker, CuttingChoice::ByContent, bytes);
                }
                assert_eq!(ends(&chunker, choice, bytes), expected, "{length} bytes, pages of {page}");
            }
        }
    }
}
