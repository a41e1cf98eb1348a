//! A folder of a snapshot as a zip archive, made while it is read. The list of entries that a zip ends with is in memory until
//! then, so that a zip has a bound that a tar has not.

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use keepfast_engine::dump::TakesFolder;
use keepfast_format::node::{Node, NodeKind};
use zip::result::ZipError;
use zip::write::{FullFileOptions, SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Entries of an archive, at most: each takes about half a KiB of memory until the end.
pub const ENTRIES_MAX: u64 = 100_000;
/// How hard files are compressed: the work is done while a client waits.
const LEVEL: i64 = 1;
/// Larger files get the long form of sizes (zip64).
const LARGE_BYTES: u64 = 1 << 31;
/// Rights of a mode.
const PERMISSIONS: u16 = 0o777;

/// Writes a zip archive. Names, targets of links, modes and times are kept; owners and extended attributes aren't, names of
/// one file become files of their own, and sockets, pipes and devices are left out.
///
/// A name that is text stands as it is. One that isn't, or that programs could take for another one, is quoted as paths in
/// documents are: bytes that aren't text, control characters, backslashes and `%` stand as `%` and two hexadecimal digits.
pub struct ZipFolder<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
    left: u64,
}

impl<W: Write> ZipFolder<W> {
    /// An archive that is written to `out`.
    pub fn new(out: W) -> Self {
        Self { zip: ZipWriter::new_stream(out), left: ENTRIES_MAX }
    }

    /// The archive is whole.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> io::Result<()> {
        let mut out = self.zip.finish().map_err(failed)?.into_inner();
        out.flush()
    }
}

impl<W: Write> TakesFolder for ZipFolder<W> {
    fn entry(&mut self, path: &[u8], node: &Node) -> io::Result<()> {
        let is_kept = matches!(
            node.kind,
            NodeKind::File { .. } | NodeKind::Directory { .. } | NodeKind::Symlink { .. }
        );
        if !is_kept {
            return Ok(());
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other(format!("a zip archive has {ENTRIES_MAX} entries at most")))?;
        let name = name_of(path);
        let options = options_of(node).map_err(failed)?;
        match &node.kind {
            NodeKind::File { size, .. } => {
                // Its bytes follow by `content`.
                self.zip.start_file(name, options.large_file(*size >= LARGE_BYTES))
            }
            NodeKind::Directory { .. } => self.zip.add_directory(name, options),
            NodeKind::Symlink { target } => self.zip.add_symlink(name, name_of(target), options),
            _ => Ok(()),
        }
        .map_err(failed)
    }

    fn content(&mut self) -> &mut dyn Write {
        &mut self.zip
    }

    fn end_of_content(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn options_of(node: &Node) -> Result<FullFileOptions<'static, 'static>, ZipError> {
    let mut options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .unix_permissions(u32::from(node.mode & PERMISSIONS));
    if let Some(time) = dos_time(node.mtime.seconds) {
        options = options.last_modified_time(time);
    }
    // The time above has two seconds and no zone. This one has both, and ends in 2106.
    options.with_extended_timestamp(u32::try_from(node.mtime.seconds).ok(), None, None)
}

/// In UTC; nothing for years that a zip doesn't have.
fn dos_time(seconds: i64) -> Option<DateTime> {
    let at = Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC);
    let part = |number: i8| u8::try_from(number).ok();
    let year = u16::try_from(at.year()).ok()?;
    let (month, day) = (part(at.month())?, part(at.day())?);
    DateTime::from_date_and_time(year, month, day, part(at.hour())?, part(at.minute())?, part(at.second())?)
        .ok()
}

/// A name as an archive has it. No two names become one.
fn name_of(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !has_tricks(text) => text.to_owned(),
        _ => quoted(path),
    }
}

/// Whether a text looks quoted, or has what programs don't take for a part of a name.
fn has_tricks(text: &str) -> bool {
    let looks_quoted = |at: usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    text.char_indices().any(|(at, letter)| match letter {
        '%' => looks_quoted(at),
        '\\' => true,
        letter => letter.is_control(),
    })
}

fn quoted(path: &[u8]) -> String {
    let mut name = String::with_capacity(path.len());
    let quote = |bytes: &[u8], name: &mut String| {
        for byte in bytes {
            // Writing into a string never fails.
            let _ = write!(name, "%{byte:02X}");
        }
    };
    for chunk in path.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if matches!(letter, '%' | '\\') || letter.is_control() {
                quote(letter.encode_utf8(&mut [0; 4]).as_bytes(), &mut name);
            } else {
                name.push(letter);
            }
        }
        quote(chunk.invalid(), &mut name);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{dos_time, name_of};

    #[test]
    fn names_are_text_and_no_two_become_one() {
        let names: [&[u8]; 8] =
            [b"a b", b"100%.txt", b"a%FF", b"a\xff", b"a\\b", b"a%5Cb", b"a\nb", "caf\u{e9}".as_bytes()];
        let shown = names.map(name_of);
        assert_eq!(shown, ["a b", "100%.txt", "a%25FF", "a%FF", "a%5Cb", "a%255Cb", "a%0Ab", "caf\u{e9}"]);
    }

    #[test]
    fn times_are_those_that_a_zip_has() {
        assert!(dos_time(0).is_none(), "before 1980");
        let at = dos_time(1_000_000_001).expect("2001");
        assert_eq!((at.year(), at.month(), at.day(), at.hour()), (2001, 9, 9, 1));
        assert!(dos_time(i64::MAX).is_none());
    }
}
