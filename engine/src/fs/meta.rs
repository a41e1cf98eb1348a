//! What the file system says about an entry, in the terms of nodes and states.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use keepfast_format::node::{Timestamp, Xattr};
use keepfast_format::state::EntryState;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::relative;

/// Linux limits values and lists to 64 KiB; other file systems may not.
const ATTRIBUTE_BUFFER_BYTES_MAX: usize = 4 << 20;

/// Which file an entry is, whatever name it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device that it is on.
    pub device: u64,
    /// Its inode number there.
    pub inode: u64,
}

impl FileId {
    /// The file that was looked at.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// `fstatat` without following links.
pub fn stat(directory: BorrowedFd<'_>, name: &CStr) -> Result<Stat, Errno> {
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// The kind of an entry.
#[must_use]
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Permissions with setuid, setgid and sticky bits.
#[must_use]
pub fn permissions(stat: &Stat) -> u16 {
    let bits = stat.st_mode & 0o7777;
    u16::try_from(bits).unwrap_or_else(|_| unreachable!("twelve bits fit into sixteen"))
}

/// When the content was last changed.
#[must_use]
pub fn mtime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_mtime, stat.st_mtime_nsec)
}

/// What only change detection needs.
#[must_use]
pub fn state(stat: &Stat) -> EntryState {
    EntryState {
        ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
        inode: stat.st_ino,
        device: stat.st_dev,
        children: None,
    }
}

fn timestamp(seconds: i64, nanos: u64) -> Timestamp {
    let nanos = u32::try_from(nanos).ok();
    nanos.and_then(|nanos| Timestamp::new(seconds, nanos)).unwrap_or(Timestamp { seconds, nanos: 0 })
}

/// The target of a symbolic link.
pub fn link_target(directory: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(directory, name, Vec::new()).map(|target| target.into_bytes())
}

/// Extended attributes, as far as they can be read.
#[derive(Debug, Default)]
pub struct Attributes {
    /// Those that were read, sorted by name.
    pub read: Vec<Xattr>,
    /// Why some are missing here.
    pub missed: Option<String>,
}

impl Attributes {
    /// All of them, or why they can't be read.
    pub fn all(self) -> Result<Vec<Xattr>, String> {
        self.missed.map_or(Ok(self.read), Err)
    }
}

/// The extended attributes of an open file or directory.
pub fn xattrs_of(file: impl AsFd) -> Attributes {
    let file = file.as_fd();
    read_xattrs(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

/// The extended attributes of an entry that can't be opened (a link, a fifo, a device), or of the
/// directory itself, which is `.`, where it may not be read. `NOENT` if the entry isn't there.
pub fn xattrs_at(directory: impl AsFd, name: &CStr) -> Result<Attributes, Errno> {
    let list = |path: &[u8], buffer: &mut [u8]| rustix::fs::llistxattr(path, buffer);
    let get = |path: &[u8], name: &CStr, buffer: &mut [u8]| rustix::fs::lgetxattr(path, name, buffer);
    xattrs_by(directory.as_fd(), name, list, get)
}

/// As [`xattrs_at`], of what a link in the entry's place points to.
pub fn xattrs_behind(directory: impl AsFd, name: &CStr) -> Result<Attributes, Errno> {
    let list = |path: &[u8], buffer: &mut [u8]| rustix::fs::listxattr(path, buffer);
    let get = |path: &[u8], name: &CStr, buffer: &mut [u8]| rustix::fs::getxattr(path, name, buffer);
    xattrs_by(directory.as_fd(), name, list, get)
}

fn xattrs_by(
    directory: BorrowedFd<'_>,
    name: &CStr,
    list: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &CStr, &mut [u8]) -> Result<usize, Errno>,
) -> Result<Attributes, Errno> {
    let mut is_gone = false;
    let read = relative::at(directory, name, |path| {
        Ok(read_xattrs(
            |buffer| {
                let listed = list(path, buffer);
                is_gone = listed == Err(Errno::NOENT);
                listed
            },
            |name, buffer| get(path, name, buffer),
        ))
    });
    match read {
        _ if is_gone => Err(Errno::NOENT),
        Ok(attributes) => Ok(attributes),
        Err(error) => Ok(Attributes { read: Vec::new(), missed: Some(unlisted(error)) }),
    }
}

fn unlisted(error: Errno) -> String {
    format!("its attributes can't be listed: {}", std::io::Error::from(error))
}

/// Asks with a small buffer first, and with larger ones for as long as they are too small.
/// (Asking with an empty buffer for the size is no use: `rustix` then answers 0.)
fn read_sized(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0; 256];
    match read(&mut small) {
        Ok(length) => return Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    let mut buffer = vec![0; 4 << 10];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < ATTRIBUTE_BUFFER_BYTES_MAX => {
                let larger = buffer.len() * 4;
                buffer.resize(larger, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

fn read_xattrs(
    list: impl FnMut(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&CStr, &mut [u8]) -> Result<usize, Errno>,
) -> Attributes {
    let mut attributes = Attributes::default();
    let names = match read_sized(list) {
        Ok(names) => names,
        // The file system has none.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return attributes,
        Err(error) => return Attributes { missed: Some(unlisted(error)), ..attributes },
    };
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match read_sized(|buffer| get(name, buffer)) {
            Ok(value) => attributes.read.push((name.to_bytes().to_vec(), value)),
            // Removed meanwhile, or no attribute that has a value to keep.
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => {
                attributes.missed.get_or_insert_with(|| {
                    format!(
                        "its attribute {} can't be read: {}",
                        name.to_string_lossy(),
                        std::io::Error::from(error)
                    )
                });
            }
        }
    }
    attributes.read.sort_unstable();
    attributes
}

#[cfg(test)]
mod tests {
    use super::read_xattrs;
    use rustix::io::Errno;

    #[test]
    fn attributes_that_cannot_be_read_cost_no_others() {
        let list = |buffer: &mut [u8]| {
            let names = b"user.b\0user.a\0user.away\0user.c\0";
            buffer[..names.len()].copy_from_slice(names);
            Ok(names.len())
        };
        let read = read_xattrs(list, |name, buffer| match name.to_bytes() {
            b"user.a" => Err(Errno::IO),
            b"user.away" => Err(Errno::NODATA),
            name => {
                buffer[0] = name[5];
                Ok(1)
            }
        });
        assert_eq!(read.read, [(b"user.b".to_vec(), b"b".to_vec()), (b"user.c".to_vec(), b"c".to_vec())]);
        assert!(
            read.missed.is_some_and(|why| why.contains("user.a ")),
            "the one that can't be read is named"
        );
        let unlisted = read_xattrs(|_| Err(Errno::IO), |_, _| Ok(0));
        assert!(unlisted.read.is_empty() && unlisted.missed.is_some());
        let without = read_xattrs(|_| Err(Errno::OPNOTSUPP), |_, _| Ok(0));
        assert!(without.read.is_empty() && without.missed.is_none());
    }
}
