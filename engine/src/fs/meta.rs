//! What the file system says about an entry, as a node and a state.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use keepfast_format::node::{Timestamp, Xattr};
use keepfast_format::state::State;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

/// Linux ends values and lists at 64 KiB; other file systems may not.
const ATTRIBUTE_BUFFER_BYTES_MAX: usize = 4 << 20;

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
    (stat.st_mode & 0o7777) as u16
}

/// When the content was last changed.
#[must_use]
pub fn mtime(stat: &Stat) -> Timestamp {
    timestamp(stat.st_mtime, stat.st_mtime_nsec)
}

/// What only change detection needs.
#[must_use]
pub fn state(stat: &Stat) -> State {
    State {
        ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
        inode: stat.st_ino,
        device: stat.st_dev,
        children: None,
    }
}

fn timestamp(seconds: i64, nanos: u64) -> Timestamp {
    Timestamp::new(seconds, nanos as u32).unwrap_or(Timestamp { seconds, nanos: 0 })
}

/// The target of a symbolic link.
pub fn link_target(directory: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>, Errno> {
    rustix::fs::readlinkat(directory, name, Vec::new()).map(|target| target.into_bytes())
}

/// All extended attributes of an open file or directory, sorted by name.
pub fn xattrs_of(file: impl AsFd) -> Result<Vec<Xattr>, Errno> {
    let file = file.as_fd();
    read_xattrs(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

/// All extended attributes of an entry that can't be opened (a link, a fifo, a device).
pub fn xattrs_at(directory: BorrowedFd<'_>, name: &CStr) -> Result<Vec<Xattr>, Errno> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    let path = path.as_slice();
    read_xattrs(
        |buffer| rustix::fs::llistxattr(path, buffer),
        |name, buffer| rustix::fs::lgetxattr(path, name, buffer),
    )
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
) -> Result<Vec<Xattr>, Errno> {
    let names = match read_sized(list) {
        // The file system has none.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        other => other?,
    };
    let mut xattrs = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        match read_sized(|buffer| get(name, buffer)) {
            Ok(value) => xattrs.push((name.to_bytes().to_vec(), value)),
            // Removed meanwhile, or listed for others than us.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}
