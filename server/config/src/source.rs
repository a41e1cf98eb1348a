//! The files' texts, and where in them something stands.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// Where a value comes from: a range of bytes in a file, or nothing but the default of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    file: Option<FileId>,
    start: u32,
    end: u32,
}

impl Origin {
    /// No file has it: it is the default of its key.
    pub const DEFAULT: Self = Self { file: None, start: 0, end: 0 };

    /// A range of bytes. Files are bounded, so that what lies beyond 4 GiB can't be.
    #[must_use]
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file: Some(file), start: byte(range.start), end: byte(range.end) }
    }

    /// The file, unless this is a default.
    #[must_use]
    pub fn file(self) -> Option<FileId> {
        self.file
    }

    /// The bytes in the file.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        let byte = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        byte(self.start)..byte(self.end)
    }
}

/// A line and a column as editors count them: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// An origin as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file, as it was named or found.
    pub file: PathBuf,
    /// The first character.
    pub start: Point,
    /// Behind the last character.
    pub end: Point,
}

/// A file that was read. Its text isn't shown: a secret may be written into it.
#[derive(Clone)]
pub struct SourceFile {
    path: PathBuf,
    text: String,
    line_starts: Vec<usize>,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.path.display())
    }
}

impl SourceFile {
    /// The file, as it was named or found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it. No secret stands in a file of which a configuration was made, but what isn't one may have passwords in
    /// it: it isn't for logs and messages.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    fn point(&self, byte: usize) -> Point {
        let byte = floor_boundary(&self.text, byte);
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        Point { line: line + 1, column: self.text[start..byte].chars().count() + 1 }
    }

    /// The number of a line, from 1, and its bytes without the end, for the line that has this byte.
    pub(crate) fn line_of(&self, byte: usize) -> (usize, Range<usize>) {
        let byte = byte.min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let end = self.line_starts.get(line + 1).copied().unwrap_or(self.text.len());
        let content = self.text[start..end].trim_end_matches(['\n', '\r']);
        (line + 1, start..start + content.len())
    }
}

/// The last boundary of characters at or before this byte.
pub(crate) fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// All files that were read, in the order in which they were.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.files.push(SourceFile { path, text, line_starts });
        FileId(number)
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    pub(crate) fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(usize::try_from(id.0).ok()?)
    }

    /// Where something stands; nothing for a default.
    #[must_use]
    pub fn position(&self, origin: Origin) -> Option<Position> {
        let file = self.file(origin.file?)?;
        let range = origin.range();
        Some(Position { file: file.path.clone(), start: file.point(range.start), end: file.point(range.end) })
    }

    /// `file:line`, or `default`.
    #[must_use]
    pub fn short(&self, origin: Origin) -> String {
        self.position(origin).map_or_else(
            || "default".to_owned(),
            |position| format!("{}:{}", position.file.display(), position.start.line),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, PathBuf, Point, Sources};

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add(PathBuf::from("a"), "é = 1\r\nb = 2\n".to_owned());
        let start = |range| sources.position(Origin::new(file, range)).expect("a position").start;
        assert_eq!(start(0..2), Point { line: 1, column: 1 });
        assert_eq!(start(2..3), Point { line: 1, column: 2 });
        assert_eq!(start(8..9), Point { line: 2, column: 1 });
        assert_eq!(start(1..1), Point { line: 1, column: 1 }, "inside of a character");
        assert_eq!(start(900..901).line, 3, "beyond the end");
        assert_eq!(sources.position(Origin::DEFAULT), None);
        assert_eq!(sources.short(Origin::new(file, 8..9)), "a:2");
    }
}
