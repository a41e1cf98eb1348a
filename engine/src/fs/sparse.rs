//! Holes of sparse files.

use std::os::fd::BorrowedFd;

use keepfast_format::limits;
use rustix::fs::{SeekFrom, Stat, seek};
use rustix::io::Errno;

/// A range of a file that holds data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

impl Extent {
    /// Where it ends in the file.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.offset + self.length
    }
}

/// The extents of a sparse file that hold data, in ascending order. All else of the file is holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataExtents(Vec<Extent>);

impl DataExtents {
    /// The extents.
    #[must_use]
    pub fn list(&self) -> &[Extent] {
        &self.0
    }

    /// How many bytes of data the file has.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.0.iter().map(|extent| extent.length).sum()
    }

    /// Where the last extent ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |last| last.end())
    }

    /// The first `bytes` bytes of the data.
    #[must_use]
    pub fn first(&self, bytes: u64) -> Self {
        let mut left = bytes;
        let mut cut = Vec::new();
        for extent in &self.0 {
            let length = left.min(extent.length);
            if length == 0 {
                break;
            }
            cut.push(Extent { length, ..*extent });
            left -= length;
        }
        Self(cut)
    }

    /// These extents of a file of `size` bytes, and `bytes` bytes of data that were appended to it since.
    #[must_use]
    pub fn with_appended(&self, size: u64, bytes: u64) -> Self {
        let mut longer = self.0.clone();
        match longer.last_mut() {
            Some(last) if last.end() == size => last.length += bytes,
            _ => longer.push(Extent { offset: size, length: bytes }),
        }
        Self(longer)
    }

    /// As pairs of offset and length, as the format has them.
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(u64, u64)> {
        self.0.iter().map(|extent| (extent.offset, extent.length)).collect()
    }
}

impl FromIterator<Extent> for DataExtents {
    fn from_iter<I: IntoIterator<Item = Extent>>(extents: I) -> Self {
        Self(extents.into_iter().collect())
    }
}

/// The extents of a file that hold data; `None` for a file without holes.
pub fn data_extents(file: BorrowedFd<'_>, stat: &Stat) -> Result<Option<DataExtents>, Errno> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    // A file system that compresses also allocates less; then one seek finds out that there is no hole.
    if size == 0 || allocated >= size {
        return Ok(None);
    }
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data up to the end.
            Err(Errno::NXIO) => break,
            // This file system has no holes.
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
            // The hole between them was written to after it was found: there is no hole any more.
            Some(last) if last.end() == start => last.length += end - start,
            _ => extents.push(Extent { offset: start, length: end - start }),
        }
        // A node can't have more, counting one for what is appended to the file while it is read. The
        // holes of such a file are read, and stored as zeros.
        if extents.len() >= limits::EXTENTS_PER_FILE {
            return Ok(None);
        }
        at = end;
    }
    let is_dense = extents == [Extent { offset: 0, length: size }];
    Ok(if is_dense { None } else { Some(DataExtents(extents)) })
}

#[cfg(test)]
mod tests {
    use super::{DataExtents, Extent};

    fn extents(pairs: &[(u64, u64)]) -> DataExtents {
        pairs.iter().map(|&(offset, length)| Extent { offset, length }).collect()
    }

    #[test]
    fn extents_end_where_the_data_did() {
        let all = extents(&[(0, 10), (100, 10), (200, 10)]);
        assert_eq!(all.first(30), all);
        assert_eq!(all.first(15), extents(&[(0, 10), (100, 5)]));
        assert_eq!((all.first(15).end(), all.data_bytes()), (105, 30));
        assert_eq!(all.first(0), extents(&[]));
        assert_eq!(all.with_appended(210, 5), extents(&[(0, 10), (100, 10), (200, 15)]));
        assert_eq!(all.with_appended(300, 5), extents(&[(0, 10), (100, 10), (200, 10), (300, 5)]));
    }
}
