//! A folder of a snapshot as a tar archive, made while it is read: no more of it is in memory than a piece of a file.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use keepfast_engine::dump::TakesFolder;
use keepfast_format::node::{Node, NodeKind};
use tar::{Builder, EntryType, Header, HeaderMode};

/// Bytes of a block: the content of a file ends with zeros up to the end of one.
const BLOCK_BYTES: u64 = 512;

/// Writes a tar archive. Names, targets of links, modes, owners by number and times are kept; extended attributes aren't,
/// names of one file (hard links) become files of their own, and sockets are left out, as tar has none.
pub struct TarWriter<W: Write> {
    builder: Builder<Counted<W>>,
}

impl<W: Write> TarWriter<W> {
    /// An archive that is written to `out`.
    pub fn new(out: W) -> Self {
        let mut builder = Builder::new(Counted { out, bytes: 0 });
        builder.mode(HeaderMode::Complete);
        Self { builder }
    }

    /// The archive is whole.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> io::Result<W> {
        let mut counted = self.builder.into_inner()?;
        counted.out.flush()?;
        Ok(counted.out)
    }
}

impl<W: Write> TakesFolder for TarWriter<W> {
    fn entry(&mut self, path: &[u8], node: &Node) -> io::Result<()> {
        let path = Path::new(OsStr::from_bytes(path));
        let mut header = header_of(node);
        match &node.kind {
            NodeKind::File { size, .. } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                // Its bytes follow by `content`.
                self.builder.append_data(&mut header, path, io::empty())?;
                self.builder.get_mut().bytes = 0;
                Ok(())
            }
            NodeKind::Directory { .. } => {
                header.set_entry_type(EntryType::Directory);
                self.builder.append_data(&mut header, path, io::empty())
            }
            NodeKind::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                self.builder.append_link(&mut header, path, OsStr::from_bytes(target))
            }
            NodeKind::Fifo => {
                header.set_entry_type(EntryType::Fifo);
                self.builder.append_data(&mut header, path, io::empty())
            }
            NodeKind::CharDevice { major, minor } => {
                header.set_entry_type(EntryType::Char);
                header.set_device_major(*major)?;
                header.set_device_minor(*minor)?;
                self.builder.append_data(&mut header, path, io::empty())
            }
            NodeKind::BlockDevice { major, minor } => {
                header.set_entry_type(EntryType::Block);
                header.set_device_major(*major)?;
                header.set_device_minor(*minor)?;
                self.builder.append_data(&mut header, path, io::empty())
            }
            NodeKind::Socket => Ok(()),
        }
    }

    fn content(&mut self) -> &mut dyn Write {
        self.builder.get_mut()
    }

    fn end_of_content(&mut self) -> io::Result<()> {
        let counted = self.builder.get_mut();
        let zeros = counted.bytes.next_multiple_of(BLOCK_BYTES) - counted.bytes;
        let zeros = usize::try_from(zeros).unwrap_or_default();
        counted.write_all(&[0; 512][..zeros])
    }
}

fn header_of(node: &Node) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(u32::from(node.mode));
    header.set_uid(u64::from(node.uid));
    header.set_gid(u64::from(node.gid));
    // What was before 1970 isn't told by all programs that read archives.
    header.set_mtime(u64::try_from(node.mtime.seconds).unwrap_or_default());
    header.set_size(0);
    header
}

/// Counts the bytes of a file's content.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
