//! Streams that are stored alongside files: their names, and their places in the root directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node};
use keepfast_format::state::State;

use super::options::Stream;
use super::parent::ParentDirectory;
use super::pending::{Directory, DirectoryStart, Page, Place};
use super::reading::file_kind;
use super::stream::{Bytes, StreamFile, StreamJob};
use super::worker::{Job, Shared, Tally, Worker};
use crate::error::{EngineError, Result};
use crate::fs::dir::Names;
use crate::fs::meta::FileId;
use crate::fs::sources::Wanted;

/// A root directory with nothing but streams.
pub fn begin(shared: &Shared<'_>) -> Result<Tally> {
    let directory = Directory::begin(DirectoryStart {
        names: shared.with_streams(Names::default())?,
        parent: ParentDirectory::default(),
        wanted: Wanted::ALL,
        file: FileId { device: 0, inode: 0 },
        said: shared.options.said_of_root(),
        despite: BTreeMap::new(),
        own: None,
        place: None,
    });
    let mut worker = Worker::new(shared);
    for number in 0..directory.pages() {
        let page = directory.page(number);
        shared.jobs.push(worker.streams_of(&page));
        // The page's own walk is over: there is nothing to look at but streams.
        worker.end_walk_of(&page)?;
    }
    Ok(worker.tally)
}

impl Shared<'_> {
    /// Takes the streams that are to be stored alongside files. Fails if one can't have its name.
    pub fn take_streams(&self, streams: Vec<Stream>) -> Result<()> {
        let mut waiting = self.streams();
        for stream in streams {
            let name = &stream.name;
            let is_name =
                !matches!(&name[..], b"" | b"." | b"..") && !name.iter().any(|byte| b"/\0".contains(byte));
            if !is_name || name.len() > limits::NAME_BYTES_MAX {
                return Err(EngineError::StreamName { name: name.clone(), why: "it isn't a file name" });
            }
            if let Some(other) = waiting.insert(name.clone(), stream) {
                return Err(EngineError::StreamName { name: other.name, why: "two streams have it" });
            }
        }
        Ok(())
    }

    /// These names of the root directory, and those of the streams.
    pub fn with_streams(&self, names: Names) -> Result<Names> {
        let streams = self.streams();
        if let Some(name) = streams.keys().find(|name| names.contains(name)) {
            let why = "something in the root directory that is backed up has it too";
            return Err(EngineError::StreamName { name: name.clone(), why });
        }
        Ok(names.and(streams.keys().map(Vec::as_slice)))
    }

    /// The stream of this name, for the one that reads it.
    pub fn take_stream(&self, name: &[u8]) -> Option<Stream> {
        self.streams().remove(name)
    }
}

impl Worker<'_> {
    /// The streams that have places on a page, to be read. They are to be pushed last, and so are begun first:
    /// the programs that write them wait.
    pub fn streams_of(&self, page: &Arc<Page>) -> Vec<Job> {
        let places = (0..page.name_range().len()).map(|slot| Place { page: Arc::clone(page), slot });
        places.filter_map(|place| self.stream_at(&place)).collect()
    }

    /// The stream whose place this is, if there is one.
    pub fn stream_at(&self, place: &Place) -> Option<Job> {
        let stream = self.shared.take_stream(place.name().to_bytes())?;
        let now = self.shared.run.now();
        let node = Node {
            name: stream.name.clone(),
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: now,
            xattrs: Vec::new(),
            kind: file_kind(0, Content::empty(), Extents::Dense),
            unknown: None,
        };
        let state = State { ctime: now, inode: 0, device: 0, children: None };
        let file = StreamFile::of_stream(place.clone(), node, state);
        Some(Job::Stream(StreamJob { file, source: Bytes::Stream(stream) }))
    }
}
