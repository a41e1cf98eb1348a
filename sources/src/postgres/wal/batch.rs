//! From a spool into a repository: some files at a time, and no file leaves the spool before it is stored.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::super::segment::WalName;
use super::super::sum::{Sum, Summed, sum_of};
use super::spool::Spool;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::sink::{NewFile, Sink};

/// Files that are to be stored together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The files, in the order in which a restore reads them.
    pub files: Vec<BatchFile>,
}

/// A file of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchFile {
    /// Its name.
    pub name: WalName,
    /// Where it waits.
    pub place: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// What of a batch is in an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Files that aren't there: they are to be stored.
    pub new: Batch,
    /// Files that are there with the same bytes: a crash came between storing and confirming.
    pub same: Batch,
    /// Files of whose names there are others: [`Spool::set_aside`] takes them out of the way, and someone has to be told.
    pub other: Batch,
}

/// What was stored. [`Spool::confirm`] takes it when nothing can undo that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "files leave the spool when this is confirmed"]
pub struct Shipped(Vec<(WalName, Sum)>);

impl Spool {
    /// The oldest files that wait, up to this many bytes; at least one, if one waits. With `with_begun`, also what was
    /// received of the segment that isn't full: it stays in the spool, and is stored again when it has grown.
    pub fn batch(&self, bytes_max: u64, with_begun: bool) -> Result<Batch> {
        let mut files = Vec::new();
        let mut sum = 0_u64;
        for (name, bytes) in self.waiting()? {
            sum = sum.saturating_add(bytes);
            if sum > bytes_max && !files.is_empty() {
                return Ok(Batch { files });
            }
            files.push(BatchFile { name, place: self.ready(name), bytes });
        }
        for name in if with_begun { self.begun()? } else { Vec::new() } {
            let place = self.receiving(name);
            let metadata = place.metadata();
            match metadata {
                Ok(metadata) => files.push(BatchFile { name, place, bytes: metadata.len() }),
                // It has become full meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(SourceError::File { path: place, source }),
            }
        }
        Ok(Batch { files })
    }

    /// Lets files go that are stored.
    pub fn confirm(&self, shipped: Shipped) -> Result<()> {
        let begun = self.begun()?;
        let whole: Vec<(WalName, Sum)> =
            shipped.0.into_iter().filter(|(name, _)| !begun.contains(name)).collect();
        self.forget(&whole)
    }
}

impl BatchFile {
    fn sum(&self) -> Result<Sum> {
        let sum = File::open(&self.place).and_then(|file| sum_of(file, self.bytes));
        sum.map_err(|source| SourceError::File { path: self.place.clone(), source })
    }
}

impl Batch {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gives the files to a sink, as `wal/TIMELINE/NAME`.
    pub fn send(&self, sink: &dyn Sink) -> Result<Shipped> {
        let mut shipped = Vec::new();
        for file in &self.files {
            let failed = |source| SourceError::File { path: file.place.clone(), source };
            let mut summed = Summed::new(File::open(&file.place).map_err(failed)?);
            let path = file.name.path();
            let stored = sink.file(&NewFile::new(&path), &mut summed);
            let stored = stored.map_err(|source| SourceError::Transfer { object: path.clone(), source })?;
            if stored != file.bytes {
                let source = io::Error::other(format!("{stored} of {} bytes were stored", file.bytes));
                return Err(SourceError::Transfer { object: path, source });
            }
            shipped.push((file.name, summed.finish()));
        }
        Ok(Shipped(shipped))
    }

    /// Compares with what an archive has, so that nothing takes the place of another file. Only files of names that are
    /// there are read.
    pub fn compare(self, archive: &dyn Files) -> Result<Compared> {
        let failed = |source| SourceError::Transfer { object: "wal".to_owned(), source };
        let listed = archive.list().map_err(failed)?;
        let mut compared = Compared::default();
        for file in self.files {
            let path = file.name.path();
            let found = listed.binary_search_by(|other| other.path.cmp(&path)).ok();
            let found = found.and_then(|at| listed.get(at));
            // What is there of a segment that isn't full grows.
            let Some(found) = found.filter(|_| !matches!(file.name, WalName::Partial(_))) else {
                compared.new.files.push(file);
                continue;
            };
            let is_same = found.bytes == file.bytes && {
                let stored =
                    archive.open(&path).and_then(|stored| sum_of(stored, found.bytes)).map_err(failed)?;
                file.sum()? == stored
            };
            if is_same { compared.same.files.push(file) } else { compared.other.files.push(file) }
        }
        Ok(compared)
    }

    /// Files that needn't be stored, because they are.
    pub fn as_shipped(&self) -> Result<Shipped> {
        self.files.iter().map(|file| Ok((file.name, file.sum()?))).collect::<Result<_>>().map(Shipped)
    }
}
