//! Block devices and fifos whose content is wanted: they become regular files.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::node::Extents;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, SeekFrom, Stat};
use rustix::io::Errno;

use super::file::{ExtentReader, open_to_read};
use super::parent::Earlier;
use super::pending::Place;
use super::stream::{Bytes, StreamFile, StreamJob};
use super::walk::file_kind;
use super::worker::{Job, Worker};
use crate::error::Result;
use crate::fs::meta;
use crate::monitor::Monitor;

/// How long a fifo is waited for before it is seen whether anyone still wants it.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Whether there is content to be read from it, other than from a regular file. A character device's may
/// have no end.
pub fn has_stream(stat: &Stat) -> bool {
    matches!(meta::file_type(stat), FileType::BlockDevice | FileType::Fifo)
}

impl Worker<'_> {
    /// Reads a block device or fifo.
    pub fn read_special(
        &mut self,
        place: &Place,
        directory: BorrowedFd<'_>,
        earlier: Earlier,
        followed: bool,
    ) -> Result<()> {
        let opened = open_to_read(directory, place.name(), followed)
            .and_then(|(handle, stat)| if has_stream(&stat) { Ok((handle, stat)) } else { Err(Errno::LOOP) });
        let (handle, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.lost(place, error);
                return self.fill(place, None);
            }
        };
        let attributes = meta::xattrs_of(&handle);
        let (node, state) =
            self.node(place, &stat, attributes, file_kind(0, Content::empty(), Extents::Dense));
        if self.frames.is_none() {
            // How much comes from a fifo, nothing tells.
            let bytes = rustix::fs::seek(&handle, SeekFrom::End(0)).unwrap_or(0);
            self.count_file(&node, &earlier, bytes);
            return self.fill(place, Some((node, state)));
        }
        let handle = Arc::new(handle);
        let source = match meta::file_type(&stat) {
            FileType::Fifo => Bytes::Fifo(Arc::clone(&handle)),
            _ => Bytes::Reader(Box::new(ExtentReader::new(Arc::clone(&handle), None, 0))),
        };
        let file = StreamFile::of_file(place, (node, state), None, (handle, stat), earlier);
        self.shared.jobs.push([Job::Stream(StreamJob { file, source })]);
        Ok(())
    }
}

/// Reads a fifo until the last program that writes into it closes it. Waits for the first.
pub struct FifoReader<'m> {
    /// Opened so that nothing waits.
    pub handle: Arc<OwnedFd>,
    /// Says when to stop.
    pub monitor: &'m dyn Monitor,
}

impl Read for FifoReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // A fifo that no one has opened to write ends at once when it is read; poll waits for one who does.
            let mut waiting = [PollFd::from_borrowed_fd(self.handle.as_fd(), PollFlags::IN)];
            match poll(&mut waiting, Some(&PATIENCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => match rustix::io::read(&self.handle, &mut *buffer) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    read => return Ok(read?),
                },
                Err(error) => return Err(error.into()),
            }
            if self.monitor.stopped() {
                return Err(io::Error::other("interrupted"));
            }
        }
    }
}
