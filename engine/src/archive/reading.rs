//! Regular files, block devices and fifos: how they are opened and read, whatever is done with what was read.

use std::ffi::{CStr, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keepfast_format::content::Content;
use keepfast_format::node::{Extents, NodeKind};
use keepfast_format::numbers::u64_of;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::fs::meta;
use crate::fs::sparse::{self, DataExtents, Extent};
use crate::run::RunContext;

/// Files longer than this are read in pieces.
pub const SMALL_BYTES: u64 = 2 << 20;
/// This much is read at once after the size that a file is said to have.
const APPENDED_BYTES: u64 = 64 << 10;
/// How long to wait for a file that another program has a lease on: longer than the kernel waits.
const LEASE_WAIT: Duration = Duration::from_secs(60);
const LEASE_PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for a fifo before looking whether the run was cancelled.
const FIFO_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The kind of node that a regular file has.
pub fn file_kind(size: u64, content: Content, extents: Extents) -> NodeKind {
    NodeKind::File { size, content, extents }
}

/// After this many pauses a notice says that a fifo is waited for.
const PAUSES_BEFORE_NOTICE: u32 = 20;

/// Whether something other than a regular file has content that can be read. That of a character device may
/// have no end, so it isn't read.
pub fn has_stream(stat: &Stat) -> bool {
    matches!(meta::file_type(stat), FileType::BlockDevice | FileType::Fifo)
}

/// A regular file that was opened to be read.
pub struct OpenedFile {
    /// Its handle.
    pub handle: OwnedFd,
    /// What `fstat` said before anything was read.
    pub stat: Stat,
    /// Its size then.
    pub size: u64,
    /// Where its data is, if it has holes.
    pub extents: Option<DataExtents>,
    /// How many bytes of data it has.
    pub data_bytes: u64,
}

impl OpenedFile {
    /// Opens a regular file. If another program has a lease on it (a file server does, for its clients), the
    /// kernel asks that program to give it back, and takes it after 45 seconds by default.
    pub fn open(
        directory: BorrowedFd<'_>,
        name: &CStr,
        followed: bool,
        should_stop: impl Fn() -> bool,
    ) -> Result<Self, Errno> {
        let mut waited = Duration::ZERO;
        let (handle, stat) = loop {
            match open_to_read(directory, name, followed) {
                Err(Errno::AGAIN) if waited < LEASE_WAIT && !should_stop() => {
                    std::thread::sleep(LEASE_PAUSE);
                    waited += LEASE_PAUSE;
                }
                other => break other?,
            }
        };
        if meta::file_type(&stat) != FileType::RegularFile {
            // It was replaced after it was looked at.
            return Err(Errno::LOOP);
        }
        let extents = sparse::data_extents(handle.as_fd(), &stat)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let data_bytes = extents.as_ref().map_or(size, DataExtents::data_bytes);
        Ok(Self { handle, stat, size, extents, data_bytes })
    }
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
    /// Reads these extents; the whole file if there are none.
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
            // The end. If it is before the size, nothing comes after the size either.
            self.extents = Vec::new().into_iter();
            self.current = NOTHING;
        } else {
            let read = u64_of(read);
            self.current = Extent { offset: offset + read, length: length - read };
        }
        Ok(read)
    }
}

/// Reads a fifo until the last program that writes into it closes it. Waits for the first such program.
pub struct FifoReader<'m> {
    /// Opened with `NONBLOCK`.
    handle: Arc<OwnedFd>,
    path: &'m [u8],
    run: &'m RunContext,
    /// How many pauses there were before the first program came.
    pauses: u32,
}

impl<'m> FifoReader<'m> {
    /// Reads from this handle, which was opened with `NONBLOCK`.
    pub fn new(handle: Arc<OwnedFd>, path: &'m [u8], run: &'m RunContext) -> Self {
        Self { handle, path, run, pauses: 0 }
    }

    fn note_pause(&mut self) {
        self.pauses = self.pauses.saturating_add(1);
        if self.pauses == PAUSES_BEFORE_NOTICE {
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
            // If no program has the fifo open to write, a read ends at once; `poll` waits for such a program.
            let mut waiting = [PollFd::from_borrowed_fd(self.handle.as_fd(), PollFlags::IN)];
            match poll(&mut waiting, Some(&FIFO_PAUSE)) {
                Ok(0) => self.note_pause(),
                Err(Errno::INTR) => {}
                Ok(_) => match rustix::io::read(&self.handle, &mut *buffer) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    read => {
                        // Now a program has it open, and how long that takes is no reason for a notice.
                        self.pauses = PAUSES_BEFORE_NOTICE;
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

/// How much there is to read from a block device. For a fifo that can't be known. A fifo isn't even opened
/// here: the program that writes into it would take this process for its reader.
pub fn bytes_of_special(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat, followed: bool) -> u64 {
    if meta::file_type(stat) != FileType::BlockDevice {
        return 0;
    }
    let opened = open_to_read(directory, name, followed);
    let device = opened.ok().filter(|(_, stat)| meta::file_type(stat) == FileType::BlockDevice);
    device.and_then(|(handle, _)| rustix::fs::seek(handle, SeekFrom::End(0)).ok()).unwrap_or(0)
}

/// How the reading of a small file has ended.
#[derive(Debug, PartialEq, Eq)]
pub enum SmallRead {
    /// All of it was read, with this many system calls.
    Whole { reads: u32 },
    /// It isn't small.
    Larger,
}

/// Reads the data of a small file up to its end, which may not be where its size says: the size is 0 in
/// `/proc`, too small if the file is being written to, and a guess on some file systems.
pub fn read_small(
    handle: &OwnedFd,
    extents: Option<&DataExtents>,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<SmallRead, Errno> {
    buffer.clear();
    let mut reads = 0;
    for Extent { offset, length } in extents.map(DataExtents::list).unwrap_or_default() {
        let mut done = 0;
        while done < *length {
            let read = read_at(handle, offset + done, length - done, buffer)?;
            if read == 0 {
                return Ok(SmallRead::Whole { reads });
            }
            (done, reads) = (done + read, reads + 1);
        }
    }
    let mut at = if extents.is_some() { size } else { 0 };
    loop {
        // One byte more than there should be: if it doesn't come, the file ends here, and another read isn't
        // needed to find that out.
        let wanted = if at < size { size - at + 1 } else { APPENDED_BYTES };
        let read = read_at(handle, at, wanted, buffer)?;
        if read == 0 {
            break;
        }
        (at, reads) = (at + read, reads + 1);
        if at == size && read < wanted {
            break;
        }
        if u64_of(buffer.len()) > SMALL_BYTES {
            return Ok(SmallRead::Larger);
        }
    }
    Ok(SmallRead::Whole { reads })
}

/// Reads up to this many bytes from `at` on, and appends them to `buffer`; returns how many there were.
fn read_at(handle: &OwnedFd, at: u64, bytes: u64, buffer: &mut Vec<u8>) -> Result<u64, Errno> {
    let start = buffer.len();
    buffer.resize(start.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX)), 0);
    let read = loop {
        match rustix::io::pread(handle, &mut buffer[start..], at) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    buffer.truncate(start + *read.as_ref().unwrap_or(&0));
    read.map(u64_of)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use super::{DataExtents, Extent, ExtentReader, SMALL_BYTES, SmallRead, read_small};

    fn file_of(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(bytes).expect("it can be written");
        file.into()
    }

    #[test]
    fn files_are_read_to_their_end_whatever_size_they_claim() {
        let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let file = Arc::new(file_of(&bytes));
        for size in [0, 1, 299_999, 300_000, 300_001, 2_000_000] {
            let mut buffer = Vec::new();
            let read = read_small(&file, None, size, &mut buffer).expect("it can be read");
            assert!(buffer == bytes, "with {size} as its size");
            if size == 300_000 {
                assert_eq!(read, SmallRead::Whole { reads: 1 }, "the usual file costs one read");
            }
            let mut whole = Vec::new();
            let mut reader = ExtentReader::new(Arc::clone(&file), None, size);
            reader.read_to_end(&mut whole).expect("it can be read");
            assert!(whole == bytes, "with {size} as its size");
        }
        let extent = |offset, length| Extent { offset, length };
        let extents: DataExtents = [extent(0, 100_000), extent(200_000, 50_000)].into_iter().collect();
        let expected = [&bytes[..100_000], &bytes[200_000..250_000], &bytes[260_000..]].concat();
        let mut buffer = Vec::new();
        read_small(&file, Some(&extents), 260_000, &mut buffer).expect("it can be read");
        assert!(buffer == expected);
        let mut whole = Vec::new();
        let mut reader = ExtentReader::new(file, Some(&extents), 260_000);
        reader.read_to_end(&mut whole).expect("it can be read");
        assert!(whole == expected);
    }

    #[test]
    fn a_small_file_that_turns_out_to_be_large_is_read_in_pieces() {
        let file = file_of(&vec![1; usize::try_from(SMALL_BYTES).expect("it fits") + 1]);
        assert_eq!(read_small(&file, None, 0, &mut Vec::new()), Ok(SmallRead::Larger));
    }
}
