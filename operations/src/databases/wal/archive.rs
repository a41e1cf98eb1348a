//! The snapshots of a log as one archive.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::run::RunContext;
use keepfast_format::ids::SessionId;
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::SourceError;
use keepfast_sources::files::{FileOf, Files};
use keepfast_sources::postgres::wal::{Spool, SystemOf, Union, system_of};
use tempfile::SpooledTempFile;

use super::super::{FromFolder, SCRATCH, path_of};
use super::LogName;
use crate::choose::Filter;
use crate::error::{DatabaseError, Result};
use crate::folder::SnapshotFolder;
use crate::open::Opened;

/// A file that has more bytes goes through a disk.
const MEMORY_MAX: usize = 32 << 20;

/// What snapshots have, which never changes: kept, so that a program that ships every minute lists each of them once.
#[derive(Debug, Default)]
pub struct Lists(Mutex<BTreeMap<SessionId, Arc<Vec<FileOf>>>>);

impl Lists {
    fn of(
        &self,
        snapshot: SessionId,
        list: impl FnOnce() -> io::Result<Vec<FileOf>>,
    ) -> io::Result<Arc<Vec<FileOf>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&snapshot).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let files = Arc::new(list()?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(snapshot, Arc::clone(&files));
        Ok(files)
    }
}

/// The files of a log in one snapshot.
pub(super) struct Part<'a> {
    opened: &'a Opened,
    snapshot: &'a Snapshot,
    run: &'a RunContext,
    path: Vec<u8>,
    files: Arc<Vec<FileOf>>,
}

impl<'a> Part<'a> {
    /// Lists what there is of a log in a snapshot.
    pub fn new(
        name: &LogName,
        opened: &'a Opened,
        stored: &'a StoredSnapshot,
        lists: &Lists,
        run: &'a RunContext,
    ) -> Result<Self> {
        let (snapshot, path) = (&stored.snapshot, path_of(&name.folder()));
        let list = || FromFolder(&SnapshotFolder::new(opened, snapshot, &path, run)).list();
        let files = lists.of(snapshot.head.id, list).map_err(|source| failed(name, source))?;
        Ok(Self { opened, snapshot, run, path, files })
    }

    /// Whether it has a file.
    pub fn has(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
    }

    /// Of which server the log is, if a segment is in this part.
    fn system(&self) -> Result<Option<SystemOf>> {
        let folder = SnapshotFolder::new(self.opened, self.snapshot, &self.path, self.run);
        Ok(system_of(&FromFolder(&folder))?)
    }
}

impl Files for Part<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        Ok(self.files.to_vec())
    }

    /// A file is read whole here: there may be thousands of parts, and none of them keeps what it has read.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let folder = SnapshotFolder::new(self.opened, self.snapshot, &self.path, self.run);
        let mut content = SpooledTempFile::new_in(MEMORY_MAX, Path::new(SCRATCH));
        io::copy(&mut FromFolder(&folder).open(path)?, &mut content)?;
        content.rewind()?;
        Ok(Box::new(content))
    }
}

/// The snapshots of a log, the newest first.
pub(super) fn snapshots_of<'a>(name: &LogName, opened: &'a Opened) -> Result<Vec<&'a StoredSnapshot>> {
    let filter = Filter { tags: vec![name.label()], ..Filter::default() }.resolve(&opened.snapshots)?;
    Ok(opened.snapshots.all.iter().rev().filter(|stored| filter.matches(stored)).collect())
}

/// All parts of a log, the newest first.
pub(super) fn parts_of<'a>(
    name: &LogName,
    opened: &'a Opened,
    lists: &Lists,
    run: &'a RunContext,
) -> Result<Vec<Part<'a>>> {
    let stored = snapshots_of(name, opened)?.into_iter();
    stored.map(|stored| Part::new(name, opened, stored, lists, run)).collect()
}

/// What waits and what is stored as one. What waits comes first: a segment that wasn't full is longer there.
pub(super) fn joined<'f>(
    name: &LogName,
    spool: Option<&'f Spool>,
    parts: &'f [Part<'f>],
) -> Result<Union<'f>> {
    let mut all: Vec<&'f dyn Files> = Vec::new();
    if let Some(spool) = spool {
        all.push(spool);
    }
    for part in parts {
        all.push(part);
    }
    Ok(Union::new(all).map_err(|source| failed(name, source))?)
}

/// Of which server a log is, by its newest segment.
pub(super) fn system_of_log(spool: Option<&Spool>, parts: &[Part<'_>]) -> Result<Option<SystemOf>> {
    for part in parts {
        if let Some(system) = part.system()? {
            return Ok(Some(system));
        }
    }
    Ok(match spool {
        Some(spool) => system_of(spool)?,
        None => None,
    })
}

/// An error if what is to be a part of a log is of another server.
pub(super) fn refuse_other(name: &LogName, there: u64, here: u64, what: String) -> Result<()> {
    if there == here {
        return Ok(());
    }
    Err(DatabaseError::OtherServer { name: name.to_string(), there, what, here }.into())
}

fn failed(name: &LogName, source: io::Error) -> SourceError {
    SourceError::Transfer { object: format!("the log {name}"), source }
}
