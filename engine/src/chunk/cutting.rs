//! Where the chunks of a stream end: at places that its content decides, or where the pages end that a file is made
//! of.

use keepfast_format::chunker::{Chunker, Cutting, PageBytes};
use keepfast_format::numbers::u64_of;

use super::page_files;
use crate::fs::sparse::{DataExtents, Extent};

/// Streams that are shorter are cut by content: they are few chunks in any case.
pub const PAGED_BYTES_MIN: usize = 64 << 10;

/// How streams are to be cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CuttingChoice {
    /// At its pages, if a stream begins as files of a database do that are made of pages; else by content.
    #[default]
    Auto,
    /// By content.
    ByContent,
    /// At pages of this size.
    Pages(PageBytes),
}

impl CuttingChoice {
    /// How a stream is cut that begins with these bytes: all of it, or at least the first [`PAGED_BYTES_MIN`] bytes.
    #[must_use]
    pub fn cutting(self, start: &[u8]) -> Cutting {
        let page = match self {
            _ if start.len() < PAGED_BYTES_MIN => None,
            Self::Auto => page_files::page_bytes_of(start),
            Self::ByContent => None,
            Self::Pages(page) => Some(page),
        };
        page.map_or(Cutting::ByContent, Cutting::Pages)
    }
}

/// Where the bytes of a stream are in the file that they come from.
#[derive(Debug, Clone, Copy)]
pub enum Layout<'f> {
    /// Without holes: each byte of the stream is at its own offset.
    Dense,
    /// The stream is the data between the holes of a file.
    Sparse {
        /// Where the data is.
        extents: &'f DataExtents,
        /// The file's size. What comes after the extents was appended to it.
        size: u64,
    },
}

impl<'f> Layout<'f> {
    /// The layout of a file of this size.
    #[must_use]
    pub fn of(extents: Option<&'f DataExtents>, size: u64) -> Self {
        extents.map_or(Self::Dense, |extents| Self::Sparse { extents, size })
    }
}

/// How one stream is cut.
#[derive(Debug, Clone, Copy)]
pub struct StreamCutting<'a> {
    /// What was chosen for it.
    pub choice: CuttingChoice,
    /// Where its bytes are in their file.
    pub layout: Layout<'a>,
}

impl<'a> StreamCutting<'a> {
    /// Cuts the stream, which begins with these bytes: all of it, or at least the first [`PAGED_BYTES_MIN`] bytes.
    pub fn cutter(self, chunker: &'a Chunker, start: &[u8]) -> Cutter<'a> {
        match self.choice.cutting(start) {
            Cutting::ByContent => Cutter::ByContent(chunker),
            Cutting::Pages(page) => {
                let chunk_bytes = chunker.params().page_chunk_bytes(page);
                Cutter::Pages(PageCutter::new(chunk_bytes, self.layout))
            }
        }
    }
}

/// Cuts one stream.
pub enum Cutter<'a> {
    /// By content.
    ByContent(&'a Chunker),
    /// At pages.
    Pages(PageCutter<'a>),
}

impl Cutter<'_> {
    /// The length of the stream's next chunk. `bytes` must be all that is left of the stream, or at least
    /// [`Chunker::max_bytes`] of it.
    pub fn cut(&mut self, bytes: &[u8]) -> usize {
        match self {
            Self::ByContent(chunker) => chunker.cut(bytes),
            Self::Pages(pages) => pages.cut(bytes.len()),
        }
    }
}

/// Cuts a stream where offsets in its file are multiples of a length, and where extents end: what is written into a
/// hole then moves no other cut.
pub struct PageCutter<'f> {
    chunk_bytes: u64,
    /// What is left of the extent that is being cut.
    current: Extent,
    extents: std::slice::Iter<'f, Extent>,
    /// Where what is appended begins, until that is being cut.
    size: Option<u64>,
}

impl<'f> PageCutter<'f> {
    fn new(chunk_bytes: u32, layout: Layout<'f>) -> Self {
        let (extents, size) = match layout {
            Layout::Dense => (&[][..], 0),
            Layout::Sparse { extents, size } => (extents.list(), size),
        };
        let nothing = Extent { offset: 0, length: 0 };
        Self { chunk_bytes: chunk_bytes.into(), current: nothing, extents: extents.iter(), size: Some(size) }
    }

    fn cut(&mut self, bytes: usize) -> usize {
        while self.current.length == 0 {
            self.current = match (self.extents.next(), self.size.take()) {
                (Some(extent), size) => {
                    self.size = size;
                    *extent
                }
                (None, Some(size)) => Extent { offset: size, length: u64::MAX - size },
                (None, None) => return bytes,
            };
        }
        let Extent { offset, length } = self.current;
        let to_end = (self.chunk_bytes - offset % self.chunk_bytes).min(length);
        let cut = usize::try_from(to_end).unwrap_or(usize::MAX).min(bytes);
        self.current = Extent { offset: offset + u64_of(cut), length: length - u64_of(cut) };
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::{DataExtents, Extent, Layout, PageCutter};

    /// Where chunks of 8 KiB end in the file, for this many bytes of data.
    fn cuts(pairs: &[(u64, u64)], size: u64, mut bytes: usize) -> Vec<usize> {
        let extents: DataExtents = pairs.iter().map(|&(offset, length)| Extent { offset, length }).collect();
        let layout = if size == 0 { Layout::Dense } else { Layout::of(Some(&extents), size) };
        let mut cutter = PageCutter::new(8192, layout);
        let mut lengths = Vec::new();
        while bytes > 0 {
            lengths.push(cutter.cut(bytes));
            bytes -= lengths[lengths.len() - 1];
        }
        lengths
    }

    #[test]
    fn pages_are_counted_from_the_start_of_the_file_and_end_with_an_extent() {
        assert_eq!(cuts(&[], 0, 20_000), [8192, 8192, 3616]);
        // A hole at the start, a hole within a page, a hole of pages, and a tail that isn't a page.
        let extents = [(4096, 12_288), (20_480, 4096), (40_960, 10_000)];
        assert_eq!(cuts(&extents, 50_960, 26_384), [4096, 8192, 4096, 8192, 1808]);
        // Written into: the hole at 16 KiB is smaller now, and all other chunks are the same.
        let extents = [(4096, 20_480), (40_960, 10_000)];
        assert_eq!(cuts(&extents, 50_960, 30_480), [4096, 8192, 8192, 8192, 1808]);
    }

    #[test]
    fn a_file_that_grows_or_shrinks_while_it_is_read_is_cut_to_its_end() {
        assert_eq!(cuts(&[(0, 8192)], 100_000, 28_192), [8192, 6496, 8192, 5312]);
        assert_eq!(cuts(&[], 16_384, 10_000), [8192, 1808]);
        assert_eq!(cuts(&[(0, 8192), (81_920, 8192)], 100_000, 9000), [8192, 808]);
    }
}
