//! Block devices and fifos whose content is wanted: they become regular files.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::node::Extents;
use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;

use super::parent::Earlier;
use super::pending::Place;
use super::reading::{ExtentReader, file_kind, has_stream, open_to_read};
use super::stream::{Bytes, StreamFile, StreamJob};
use super::worker::{Job, Worker};
use crate::error::Result;
use crate::fs::meta;

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
