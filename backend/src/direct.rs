//! Writes large files without the page cache.
//!
//! A pack is written once and not read again soon. Copying it into the page cache costs as
//! much as encrypting it, and evicts pages that the machine's users need. So large objects
//! go to the disk directly (`O_DIRECT`), from aligned memory; on file systems without direct
//! writes they take the usual way.

use std::fs::File;
use std::io::{self, IoSlice, Write};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Smaller files go through the page cache.
const DIRECT_BYTES_MIN: usize = 1 << 20;
/// The size of one write. Disks of all kinds reach their full speed with it.
const WINDOW_BYTES: usize = 4 << 20;
/// Addresses, offsets and lengths of direct writes must be multiples of this: the largest
/// block size of today's disks.
const ALIGNMENT: usize = 4096;

/// Writes files, and reuses its buffers.
#[derive(Debug, Default)]
pub struct FileWriter {
    spare: Mutex<Vec<Vec<u8>>>,
}

impl FileWriter {
    /// Writes `parts` one after the other into the empty `file`, and flushes it to the disk.
    pub fn write(&self, file: &mut File, parts: &[&[u8]]) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total < DIRECT_BYTES_MIN || set_direct(file, true).is_err() {
            write_buffered(file, parts)?;
        } else {
            let mut buffer = self.take_buffer();
            let written = write_direct(file, parts, &mut buffer);
            self.spare.lock().push(buffer);
            written?;
        }
        file.sync_data()
    }

    fn take_buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().pop();
        spare.unwrap_or_else(|| vec![0; WINDOW_BYTES + ALIGNMENT])
    }
}

fn write_buffered(file: &mut File, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) if rest.iter().all(|slice| slice.is_empty()) => break,
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Copies the parts into an aligned window and writes the window whenever it is full; whole blocks
/// that are aligned already are written without a copy. The last bytes, less than a block, go through
/// the page cache.
fn write_direct(file: &mut File, parts: &[&[u8]], buffer: &mut [u8]) -> io::Result<()> {
    let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let window = &mut buffer[start..start + WINDOW_BYTES];
    let mut direct = true;
    let mut filled = 0;
    for part in parts {
        let mut rest = *part;
        if filled == 0 && rest.as_ptr().align_offset(ALIGNMENT) == 0 {
            let (blocks, after) = rest.split_at(rest.len() - rest.len() % ALIGNMENT);
            write_window(file, blocks, &mut direct)?;
            rest = after;
        }
        while !rest.is_empty() {
            let take = rest.len().min(WINDOW_BYTES - filled);
            window[filled..filled + take].copy_from_slice(&rest[..take]);
            (filled, rest) = (filled + take, &rest[take..]);
            if filled == WINDOW_BYTES {
                write_window(file, window, &mut direct)?;
                filled = 0;
            }
        }
    }
    let blocks = filled - filled % ALIGNMENT;
    write_window(file, &window[..blocks], &mut direct)?;
    end_direct(file, &mut direct)?;
    file.write_all(&window[blocks..filled])
}

/// Writes whole blocks, directly for as long as the file system accepts it.
fn write_window(file: &mut File, mut bytes: &[u8], direct: &mut bool) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                if count % ALIGNMENT != 0 {
                    end_direct(file, direct)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if *direct && error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                end_direct(file, direct)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn end_direct(file: &File, direct: &mut bool) -> io::Result<()> {
    if std::mem::take(direct) { set_direct(file, false) } else { Ok(()) }
}

fn set_direct(file: &File, direct: bool) -> io::Result<()> {
    let mut flags = rustix::fs::fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(rustix::fs::fcntl_setfl(file, flags)?)
}
