//! A folder's sink on a dry run: contents are read to their ends and counted, and nothing is stored.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_format::numbers::u64_of;

use super::records::{FolderCount, FolderJob, FolderPath, OpenFolder, Record, RecordKind, ended};
use super::{EntryAttributes, FolderSink, NewFile};
use crate::archive::walk::Walk;
use crate::error::Result;

/// Bytes of content that are read at once.
const READ_BYTES: usize = 1 << 18;

/// What a program writes, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountedFolder {
    /// Its entries.
    pub entries: FolderCount,
    /// The bytes of its files.
    pub bytes: u64,
}

/// What a program writes a folder into.
struct CountingFolder<'s, 'a> {
    walk: &'a Walk<'a>,
    folder: &'s Arc<OpenFolder>,
    bytes: AtomicU64,
}

/// Lets a program write a folder, and counts what it writes.
pub fn count_folder<'a>(walk: &'a Walk<'a>, job: FolderJob) -> Result<CountedFolder> {
    let FolderJob { folder, write } = job;
    let sink = CountingFolder { walk, folder: &folder, bytes: AtomicU64::new(0) };
    let written = write(&sink);
    let bytes = sink.bytes.into_inner();
    if walk.should_stop() {
        // The program could only fail.
        return Ok(CountedFolder::default());
    }
    folder.end(written)?;
    Ok(CountedFolder { entries: folder.count(), bytes })
}

impl CountingFolder<'_, '_> {
    fn go_on(&self) -> io::Result<()> {
        if self.has_ended() { Err(ended()) } else { self.folder.go_on() }
    }

    /// Reads a file to its end. Returns its length in bytes.
    fn take(&self, path: &FolderPath, content: &mut dyn Read) -> io::Result<u64> {
        let mut buffer = vec![0; READ_BYTES];
        let mut size = 0;
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => return Ok(size),
                Ok(count) => u64_of(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    self.folder.fail_at(path, &error);
                    return Err(error);
                }
            };
            size += count;
            self.bytes.fetch_add(count, Ordering::Relaxed);
            self.walk.run.count(0, count);
            self.go_on()?;
        }
    }
}

impl FolderSink for CountingFolder<'_, '_> {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        self.go_on()?;
        let path = self.folder.add(file.path, Record::file(file.attributes))?;
        let size = self.take(&path, content)?;
        self.folder.update(&path, RecordKind::Read);
        self.walk.run.count(1, 0);
        Ok(size)
    }

    fn directory(&self, path: &[u8], attributes: EntryAttributes) -> io::Result<()> {
        self.go_on()?;
        self.folder.add(path, Record::directory(attributes)).map(drop)
    }

    fn symlink(&self, path: &[u8], target: &[u8], attributes: EntryAttributes) -> io::Result<()> {
        self.go_on()?;
        self.folder.add(path, Record::symlink(target, attributes)).map(drop)
    }

    fn has_ended(&self) -> bool {
        self.walk.should_stop()
    }
}
