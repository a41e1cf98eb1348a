//! Holes of sparse files.

use std::os::fd::BorrowedFd;

use keepfast_format::limits;
use rustix::fs::{SeekFrom, Stat, seek};
use rustix::io::Errno;

/// The extents that hold data, as (offset, length); `None` for a file without holes.
pub fn data_extents(file: BorrowedFd<'_>, stat: &Stat) -> Result<Option<Vec<(u64, u64)>>, Errno> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    // A compressing file system allocates less without a hole; then one seek tells.
    if size == 0 || allocated >= size {
        return Ok(None);
    }
    let mut extents: Vec<(u64, u64)> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data up to the end.
            Err(Errno::NXIO) => break,
            // A file system that doesn't know holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error),
        };
        if start >= size {
            break;
        }
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        match extents.last_mut() {
            // Written to since the last hole was found: no hole is between them any more.
            Some((offset, length)) if *offset + *length == start => *length += end - start,
            _ => extents.push((start, end - start)),
        }
        // More than a node may have, with one for what is written behind the end meanwhile: its holes are
        // read and stored as zeros.
        if extents.len() >= limits::EXTENTS_PER_FILE {
            return Ok(None);
        }
        at = end;
    }
    Ok(if extents == [(0, size)] { None } else { Some(extents) })
}
