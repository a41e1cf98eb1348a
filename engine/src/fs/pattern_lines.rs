//! Files of patterns, one in each line.

use crate::error::{EngineError, PatternFileFlaw, Result};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The patterns in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct PatternLines<'c> {
    /// The patterns, as bytes: in the encoding that the names of files have.
    pub patterns: Vec<&'c [u8]>,
    /// Whether the file begins with a byte-order mark, which is no part of the first pattern.
    pub has_byte_order_mark: bool,
}

impl<'c> PatternLines<'c> {
    /// Splits a file's content into lines. Empty lines and those that begin with `#` are no patterns.
    pub fn of(content: &'c [u8]) -> Result<Self> {
        if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
            return Err(EngineError::PatternFile(PatternFileFlaw::Utf16));
        }
        let text = content.strip_prefix(BYTE_ORDER_MARK);
        let lines = text.unwrap_or(content).split(|byte| *byte == b'\n');
        let is_pattern = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.starts_with(b"#");
        let patterns = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(is_pattern);
        Ok(Self { patterns: patterns.collect(), has_byte_order_mark: text.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::PatternLines;

    #[test]
    fn lines_are_patterns_whatever_program_wrote_them() {
        let lines = PatternLines::of(b"\xef\xbb\xbf*.o\r\n\n  \n# a comment\n \xe9t\xe9\nlast");
        let patterns = vec![b"*.o".as_slice(), b" \xe9t\xe9", b"last"];
        assert_eq!(lines.ok(), Some(PatternLines { patterns, has_byte_order_mark: true }));
        assert!(PatternLines::of(b"\xff\xfe*\0").is_err());
    }
}
