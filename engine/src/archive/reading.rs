//! Regular files, block devices and fifos as something that is opened and read, whatever a walk does with
//! it.

use std::ffi::{CStr, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::node::{Extents, NodeKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::fs::meta;
use crate::fs::sparse::{DataExtents, Extent};
use crate::run::RunContext;

/// How long a fifo is waited for before it is seen whether anyone still wants it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The node of an empty file, to be filled with what is read.
pub fn file_kind(size: u64, content: Content, extents: Extents) -> NodeKind {
    NodeKind::File { size, content, extents }
}

/// It isn't told of before it was waited for as often as this.
const WAITS_UNTOLD: u32 = 20;

/// Whether there is content to be read from it, other than from a regular file. A character device's may
/// have no end.
pub fn has_stream(stat: &Stat) -> bool {
    matches!(meta::file_type(stat), FileType::BlockDevice | FileType::Fifo)
}

/// Opens an entry for reading, or what a link in its place points to.
pub fn open_to_read(
    directory: BorrowedFd<'_>,
    name: &CStr,
    followed: bool,
) -> Result<(OwnedFd, Stat), Errno> {
    // NONBLOCK, so that a fifo put in a file's place doesn't hold the thread.
    let links = if followed { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | links;
    let handle = match rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only a file's owner may leave its access time alone.
        Err(Errno::PERM) => rustix::fs::openat(directory, name, flags, Mode::empty()),
        other => other,
    }?;
    let stat = rustix::fs::fstat(&handle)?;
    Ok((handle, stat))
}

const NOTHING: Extent = Extent { offset: 0, length: 0 };

/// Reads the data of a large file, extent by extent, and then what comes after its size.
pub struct ExtentReader {
    handle: Arc<OwnedFd>,
    extents: std::vec::IntoIter<Extent>,
    /// What is left of the extent that is being read.
    current: Extent,
}

impl ExtentReader {
    /// From the first of these extents on, or from the beginning where there are none.
    pub fn new(handle: Arc<OwnedFd>, extents: Option<&DataExtents>, size: u64) -> Self {
        let whole = Extent { offset: 0, length: size };
        let mut all = extents.map_or_else(|| vec![whole], |extents| extents.list().to_vec());
        all.push(Extent { offset: size, length: u64::MAX - size });
        Self { handle, extents: all.into_iter(), current: NOTHING }
    }
}

impl Read for ExtentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.length == 0 {
            match self.extents.next() {
                Some(extent) => self.current = extent,
                None => return Ok(0),
            }
        }
        let Extent { offset, length } = self.current;
        let wanted = buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let read = rustix::io::pread(&self.handle, &mut buffer[..wanted], offset)?;
        if read == 0 {
            // The end; if it is before the size, there is nothing behind it either.
            self.extents = Vec::new().into_iter();
            self.current = NOTHING;
        } else {
            let read = read as u64;
            self.current = Extent { offset: offset + read, length: length - read };
        }
        Ok(read)
    }
}

/// Reads a fifo until the last program that writes into it closes it. Waits for the first.
pub struct FifoReader<'m> {
    /// Opened so that nothing waits.
    handle: Arc<OwnedFd>,
    path: &'m [u8],
    /// Says when to stop, and hears what is waited for.
    run: &'m RunContext,
    /// How often it was waited for the first program.
    waits: u32,
}

impl<'m> FifoReader<'m> {
    /// Reads from this handle, which was opened so that nothing waits.
    pub fn new(handle: Arc<OwnedFd>, path: &'m [u8], run: &'m RunContext) -> Self {
        Self { handle, path, run, waits: 0 }
    }

    fn tell_of_waiting(&mut self) {
        self.waits = self.waits.saturating_add(1);
        if self.waits == WAITS_UNTOLD {
            self.run.notice(format!(
                "{}: waiting for a program that writes into it",
                Path::new(OsStr::from_bytes(self.path)).display()
            ));
        }
    }
}

impl Read for FifoReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // A fifo that no one has opened to write ends at once when it is read; poll waits for a program that does.
            let mut waiting = [PollFd::from_borrowed_fd(self.handle.as_fd(), PollFlags::IN)];
            match poll(&mut waiting, Some(&PATIENCE)) {
                Ok(0) => self.tell_of_waiting(),
                Err(Errno::INTR) => {}
                Ok(_) => match rustix::io::read(&self.handle, &mut *buffer) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    read => {
                        // From now on it is a program's own matter how long it takes.
                        self.waits = WAITS_UNTOLD;
                        return Ok(read?);
                    }
                },
                Err(error) => return Err(error.into()),
            }
            if self.run.is_cancelled() {
                return Err(io::Error::other("interrupted"));
            }
        }
    }
}
