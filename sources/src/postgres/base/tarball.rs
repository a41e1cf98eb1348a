//! A tar as a server sends it, read from front to back. Its names and lengths are a stranger's: a name that isn't below
//! the folder, a link, or a length that no file of a server has is an error before anything is written.

use std::io::{self, Read};
use std::path::{Component, Path};

use tar::{EntryType, Header};

/// The length of a header, to which the contents are padded.
const BLOCK_BYTES: usize = 512;
/// No file of a server is longer: its tables are cut into files of a GiB.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// An entry of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path, below the tar's folder.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: Option<i64>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of this length.
    File(u64),
    /// A folder.
    Folder,
}

/// Reads a tar, and gives each entry to `take`, which need not read all of its content.
pub(super) fn read_all(
    input: &mut dyn Read,
    take: &mut dyn FnMut(&Entry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    loop {
        if !is_filled(input, &mut block)? {
            return Err(wrong("it ends without its last block"));
        }
        if block == [0; BLOCK_BYTES] {
            return end(input);
        }
        let entry = entry(Header::from_byte_slice(&block))?;
        let Kind::File(bytes) = entry.kind else {
            take(&entry, &mut io::empty())?;
            continue;
        };
        let mut content = Content { input: &mut *input, left: bytes };
        take(&entry, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        let block_bytes = BLOCK_BYTES.try_into().unwrap_or(u64::MAX);
        let padding = bytes.next_multiple_of(block_bytes) - bytes;
        let skipped = io::copy(&mut input.take(padding), &mut io::sink())?;
        if skipped != padding {
            return Err(wrong("it ends within a file"));
        }
    }
}

/// Whether a whole block was read; not if there is nothing any more.
fn is_filled(input: &mut dyn Read, block: &mut [u8; BLOCK_BYTES]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(wrong("it ends within a header")),
            bytes => filled += bytes,
        }
    }
    Ok(true)
}

/// Behind the last entry there are only zeros.
fn end(input: &mut dyn Read) -> io::Result<()> {
    let mut block = [0; BLOCK_BYTES];
    loop {
        let bytes = input.read(&mut block)?;
        if bytes == 0 {
            return Ok(());
        }
        if block.iter().take(bytes).any(|byte| *byte != 0) {
            return Err(wrong("something stands behind its end"));
        }
    }
}

fn entry(header: &Header) -> io::Result<Entry> {
    let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
    let refused = |why: &str| wrong(&format!("the entry {name:?} {why}"));
    // The sum is what tells a header from other bytes; spaces stand for itself in it.
    let bytes = header.as_bytes();
    let own = bytes.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    if header.cksum()? != own.map(u32::from).sum::<u32>() {
        return Err(refused("has a wrong checksum"));
    }
    let path = std::str::from_utf8(&header.path_bytes())
        .ok()
        .filter(|path| !path.is_empty() && path.chars().all(|letter| letter != '\0'))
        // Some of a server's names begin so.
        .map(|path| path.strip_prefix("./").unwrap_or(path).trim_end_matches('/').to_owned())
        .ok_or_else(|| refused("has a name that isn't text"))?;
    let is_plain = |part| matches!(part, Component::Normal(_));
    if path.is_empty() || path.starts_with('/') || !Path::new(&path).components().all(is_plain) {
        return Err(refused("isn't below the folder"));
    }
    let kind = match header.entry_type() {
        EntryType::Regular => Kind::File(header.entry_size()?),
        EntryType::Directory => Kind::Folder,
        _ => return Err(refused("is neither a file nor a folder")),
    };
    if matches!(kind, Kind::File(bytes) if bytes > FILE_BYTES_MAX) {
        return Err(refused("says that it is longer than any file of a server"));
    }
    let modified = header.mtime().ok().and_then(|seconds| seconds.try_into().ok());
    Ok(Entry { path, kind, mode: header.mode()? & 0o7777, modified })
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sends a tar that is wrong: {why}"))
}

/// The content of a file. If it ends early, that is an error, so that no half file is taken for a whole one.
struct Content<'a> {
    input: &'a mut dyn Read,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let bytes = self.input.read(buffer)?;
        if bytes == 0 {
            return Err(wrong("it ends within a file"));
        }
        self.left -= u64::try_from(bytes).unwrap_or(self.left);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tar::{Builder, EntryType, Header};

    use super::{Entry, Kind, read_all};

    fn header(path: &str, kind: EntryType, bytes: u64) -> Header {
        let mut header = Header::new_ustar();
        // As a stranger writes it: the library refuses such names.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(7);
        header.set_cksum();
        header
    }

    fn tar(entries: &[(Header, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (header, content) in entries {
            builder.append(header, *content).expect("memory");
        }
        builder.into_inner().expect("memory")
    }

    fn read(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, String> {
        let mut found = Vec::new();
        let take = &mut |entry: &Entry, content: &mut dyn Read| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.push((entry.clone(), bytes));
            Ok(())
        };
        read_all(&mut &*tar, take).map_err(|error| error.to_string())?;
        Ok(found)
    }

    #[test]
    fn entries_come_with_their_content() {
        let tar = tar(&[
            (header("base/", EntryType::Directory, 0), b""),
            (header("base/1259", EntryType::Regular, 700), &[7; 700]),
            (header("./empty", EntryType::Regular, 0), b""),
        ]);
        let found = read(&tar).expect("a tar");
        let names: Vec<(&str, Kind)> = found.iter().map(|(entry, _)| (&*entry.path, entry.kind)).collect();
        assert_eq!(names, [("base", Kind::Folder), ("base/1259", Kind::File(700)), ("empty", Kind::File(0))]);
        assert_eq!(
            (found[1].1.as_slice(), found[1].0.mode, found[1].0.modified),
            ([7; 700].as_slice(), 0o600, Some(7))
        );
    }

    #[test]
    fn a_content_that_no_one_reads_is_skipped() {
        let tar = tar(&[
            (header("a", EntryType::Regular, 700), &[7; 700]),
            (header("b", EntryType::Regular, 0), b""),
        ]);
        let mut names = Vec::new();
        let take = &mut |entry: &Entry, _: &mut dyn Read| {
            names.push(entry.path.clone());
            Ok(())
        };
        read_all(&mut tar.as_slice(), take).expect("a tar");
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn hostile_entries_are_refused() {
        for (path, kind, bytes, why) in [
            ("../x", EntryType::Regular, 0, "isn't below the folder"),
            ("a/../../x", EntryType::Regular, 0, "isn't below the folder"),
            ("/etc/passwd", EntryType::Regular, 0, "isn't below the folder"),
            ("//x", EntryType::Directory, 0, "isn't below the folder"),
            (".//x", EntryType::Regular, 0, "isn't below the folder"),
            ("./../x", EntryType::Regular, 0, "isn't below the folder"),
            ("./", EntryType::Directory, 0, "isn't below the folder"),
            ("", EntryType::Regular, 0, "isn't text"),
            ("a", EntryType::Symlink, 0, "neither a file nor a folder"),
            ("a", EntryType::Link, 0, "neither a file nor a folder"),
            ("a", EntryType::Char, 0, "neither a file nor a folder"),
            ("a", EntryType::GNULongName, 1 << 40, "neither a file nor a folder"),
            ("a", EntryType::Regular, (1 << 40) + 1, "longer than any file"),
            ("a", EntryType::Regular, u64::MAX >> 1, "longer than any file"),
        ] {
            let error = read(header(path, kind, bytes).as_bytes()).expect_err(path);
            assert!(error.contains(why), "{path}: {error}");
        }
    }

    #[test]
    fn a_tar_that_ends_early_or_goes_on_behind_its_end_is_refused() {
        let whole = tar(&[(header("a", EntryType::Regular, 700), &[7; 700])]);
        for bytes in [0, 100, 512, 600, 1211, 1212, 1300, 1536] {
            assert!(read(&whole[..bytes]).is_err(), "{bytes}");
        }
        assert_eq!(read(&whole[..1536 + 512]).expect("one block of zeros is an end").len(), 1);
        let mut more = whole.clone();
        more.push(1);
        assert!(read(&more).expect_err("more").contains("behind its end"));
        let mut flipped = whole;
        flipped[0] = b'b';
        assert!(read(&flipped).expect_err("flipped").contains("checksum"));
    }
}
