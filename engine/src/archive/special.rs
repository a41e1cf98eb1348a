//! Block devices and fifos whose content is wanted: they become regular files.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::node::Extents;
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;

use super::filter::Looked;
use super::parent::Earlier;
use super::pending::Place;
use super::reading::{ExtentReader, file_kind, has_stream, open_to_read};
use super::stream::{Bytes, StreamFile, StreamJob};
use super::worker::{Job, Worker};
use crate::error::Result;
use crate::fs::meta::{self, Attributes};

impl Worker<'_> {
    /// Reads a block device or fifo; a dry run only counts it.
    pub fn read_special(
        &mut self,
        place: &Place,
        directory: BorrowedFd<'_>,
        earlier: Earlier,
        looked: &Looked,
    ) -> Result<()> {
        let empty = file_kind(0, Content::empty(), Extents::Dense);
        if self.frames.is_none() {
            let (node, state) = self.node(place, &looked.stat, Attributes::default(), empty);
            self.count_file(&node, &earlier, bytes_of_special(directory, place.name(), looked));
            return self.fill(place, Some((node, state)));
        }
        let opened = open_to_read(directory, place.name(), looked.followed)
            .and_then(|(handle, stat)| if has_stream(&stat) { Ok((handle, stat)) } else { Err(Errno::LOOP) });
        let (handle, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.lost(place, error);
                return self.fill(place, None);
            }
        };
        let attributes = meta::xattrs_of(&handle);
        let (node, state) = self.node(place, &stat, attributes, empty);
        let handle = Arc::new(handle);
        let source = match meta::file_type(&stat) {
            FileType::Fifo => Bytes::Fifo(Arc::clone(&handle)),
            _ => Bytes::Extents(ExtentReader::new(Arc::clone(&handle), None, 0)),
        };
        let file = StreamFile::of_file(place, (node, state), None, (handle, stat), earlier);
        self.shared.jobs.push([Job::Stream(StreamJob { file, source })]);
        Ok(())
    }
}

/// How much there is to read from a block device. How much comes from a fifo, nothing tells; and it isn't
/// opened to learn that: the program that writes into it would take this for the one that reads.
pub fn bytes_of_special(directory: BorrowedFd<'_>, name: &CStr, looked: &Looked) -> u64 {
    if meta::file_type(&looked.stat) != FileType::BlockDevice {
        return 0;
    }
    let opened = open_to_read(directory, name, looked.followed);
    let device = opened.ok().filter(|(_, stat)| meta::file_type(stat) == FileType::BlockDevice);
    device.and_then(|(handle, _)| rustix::fs::seek(handle, SeekFrom::End(0)).ok()).unwrap_or(0)
}
