//! Listing a directory into one allocation, in the order that trees have.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use keepfast_format::numbers::{u64_of, usize_of};
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

/// The names of a directory's entries, sorted by their bytes.
#[derive(Debug, Default)]
pub struct Names {
    /// Each name, a zero byte, and 1 if the entry was listed as a regular file, otherwise 0.
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Names {
    /// Sorted names from a list.
    #[must_use]
    pub fn of<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut list = Self::default();
        for name in names {
            list.push(name, false);
        }
        list.sort();
        list
    }

    /// These names, and others that aren't among them.
    #[must_use]
    pub fn and<'a>(mut self, others: impl IntoIterator<Item = &'a [u8]>) -> Self {
        others.into_iter().for_each(|name| self.push(name, false));
        self.sort();
        self
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The name in place `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> &CStr {
        let start = usize_of(self.starts[index]);
        CStr::from_bytes_until_nul(&self.bytes[start..]).unwrap_or_default()
    }

    /// Whether the listing said that the entry in place `index` is a regular file. Not all file
    /// systems say what an entry is, and it may be another one by now.
    #[must_use]
    pub fn is_listed_as_file(&self, index: usize) -> bool {
        let end = usize_of(self.starts[index]) + self.get(index).count_bytes();
        self.bytes.get(end + 1) == Some(&1)
    }

    /// Whether a name is among them.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        let found = self.starts.binary_search_by(|start| {
            let here = CStr::from_bytes_until_nul(&self.bytes[usize_of(*start)..]).unwrap_or_default();
            here.to_bytes().cmp(name)
        });
        found.is_ok()
    }

    /// Keeps the names that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(&CStr) -> bool) {
        let bytes = &self.bytes;
        self.starts
            .retain(|start| CStr::from_bytes_until_nul(&bytes[usize_of(*start)..]).is_ok_and(&mut keep));
    }

    fn push(&mut self, name: &[u8], is_file: bool) {
        let start = u32::try_from(self.bytes.len());
        self.starts.push(start.unwrap_or_else(|_| unreachable!("`list` refuses names of 4 GiB together")));
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(&[0, is_file.into()]);
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        // A name ends with a zero byte, below any other: comparing with it keeps prefixes first.
        self.starts.sort_unstable_by_key(|start| {
            CStr::from_bytes_until_nul(&bytes[usize_of(*start)..]).unwrap_or_default()
        });
    }
}

/// What a directory is opened for, and whether a symbolic link in its place is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// To list it; a link is refused.
    Listed,
    /// To list it; a link is followed.
    Followed,
    /// To reach its entries by name: it need not be readable. A link is followed.
    Passed,
    /// For its own metadata alone; a link is refused.
    Reached,
}

/// Opens a directory below another.
pub fn open_directory_as(parent: impl AsFd, name: &CStr, opening: Opening) -> Result<OwnedFd, Errno> {
    let flags = match opening {
        Opening::Listed => OFlags::RDONLY | OFlags::NOFOLLOW,
        Opening::Followed => OFlags::RDONLY,
        Opening::Passed => OFlags::PATH,
        Opening::Reached => OFlags::PATH | OFlags::NOFOLLOW,
    };
    rustix::fs::openat(parent, name, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory below another, refusing symbolic links.
pub fn open_directory(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    open_directory_as(parent, name, Opening::Listed)
}

/// Reads a regular file of at most this many bytes; returns its owner, too. Whatever is in the file's place,
/// this doesn't wait, takes no more memory than that, and follows no link.
pub fn read_file(directory: impl AsFd, name: &CStr, bytes_max: u64) -> io::Result<(Vec<u8>, u32)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(directory, name, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it isn't a file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64_of(bytes.len()) > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((bytes, metadata.uid()))
}

/// Lists an open directory, without `.` and `..`.
pub fn list(directory: impl AsFd) -> io::Result<Names> {
    let mut buffer = [MaybeUninit::uninit(); 32 << 10];
    let mut names = Names::default();
    // The handle, or a copy of it, may have been listed before.
    rustix::fs::seek(&directory, SeekFrom::Start(0))?;
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            if names.bytes.len() + name.len() + 2 >= usize_of(u32::MAX) {
                return Err(io::Error::other("the names of its entries are longer than 4 GiB together"));
            }
            names.push(name, entry.file_type() == FileType::RegularFile);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_come_in_byte_order() {
        let names = Names::of([b"b".as_slice(), b"a-b", b"a", b"a/", b"\xff"]);
        let sorted: Vec<&[u8]> = (0..names.len()).map(|i| names.get(i).to_bytes()).collect();
        assert_eq!(sorted, [b"a".as_slice(), b"a-b", b"a/", b"b", b"\xff"]);
        assert!(sorted.iter().all(|name| names.contains(name)) && !names.contains(b"a-"));
    }
}
