//! Streams that are stored alongside files, and folders that programs write: their names, and their places in the root
//! directory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::limits;
use keepfast_format::state::EntryState;

use super::folder::records::{FolderJob, OpenFolder};
use super::folder::{Folder, WriteFolder};
use super::job::Job;
use super::options::Stream;
use super::pending::{Metadata, Page, PendingEntry, Place};
use super::pieces::{ByteSource, PieceFile, StreamJob};
use crate::error::{EngineError, Result};
use crate::fs::dir::Names;
use crate::run::RunContext;

/// Streams that no thread reads yet, and folders that no program writes yet, by their names.
#[derive(Default)]
pub struct Streams(Mutex<BTreeMap<Vec<u8>, Waiting>>);

/// What comes from a program.
enum Waiting {
    Stream(Stream),
    Folder(WriteFolder),
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the streams and folders that are to be stored. Fails if one can't have its name.
    pub fn take(&self, streams: Vec<Stream>, folders: Vec<Folder>) -> Result<()> {
        let streams = streams.into_iter().map(|stream| (stream.name.clone(), Waiting::Stream(stream)));
        let folders = folders.into_iter().map(|Folder { name, write }| (name, Waiting::Folder(write)));
        let mut waiting = self.lock();
        for (name, comes) in streams.chain(folders) {
            let is_name =
                !matches!(&name[..], b"" | b"." | b"..") && !name.iter().any(|byte| b"/\0".contains(byte));
            if !is_name || name.len() > limits::NAME_BYTES_MAX {
                return Err(EngineError::StreamName { name, why: "it isn't a file name" });
            }
            if waiting.insert(name.clone(), comes).is_some() {
                return Err(EngineError::StreamName { name, why: "two of them have it" });
            }
        }
        Ok(())
    }

    /// The names of the root directory's entries: these, and those of the streams and folders.
    pub fn added_to(&self, names: Names) -> Result<Names> {
        let waiting = self.lock();
        if let Some(name) = waiting.keys().find(|name| names.contains(name)) {
            let why = "something in the root directory that is backed up has it too";
            return Err(EngineError::StreamName { name: name.clone(), why });
        }
        Ok(names.and(waiting.keys().map(Vec::as_slice)))
    }

    /// Jobs for the streams and folders whose places are on a page. They have to be pushed after other jobs: then
    /// they begin first, because the programs that write them wait.
    pub fn jobs_on(&self, page: &Arc<Page>, run: &RunContext) -> Vec<Job> {
        let places = (0..page.name_range().len()).map(|slot| Place { page: Arc::clone(page), slot });
        places.filter_map(|place| self.job_at(&place, run)).collect()
    }

    /// A job for the stream or folder whose place this is, if there is one.
    pub fn job_at(&self, place: &Place, run: &RunContext) -> Option<Job> {
        let comes = self.lock().remove(place.name().to_bytes())?;
        let now = run.now();
        let stream = match comes {
            Waiting::Stream(stream) => stream,
            Waiting::Folder(write) => {
                return Some(Job::Folder(FolderJob { folder: OpenFolder::begin(place.clone(), now), write }));
            }
        };
        let metadata = Metadata {
            name: stream.name.clone(),
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: now,
            xattrs: Vec::new(),
        };
        let state = EntryState { ctime: now, inode: 0, device: 0, children: None };
        let file = PieceFile::of_stream(place.clone(), PendingEntry { metadata, state });
        Some(Job::Stream(StreamJob { file, source: ByteSource::Stream(stream) }))
    }
}
