//! A directory that the snapshot has at another path: mostly a file system's own snapshot, which is
//! mounted elsewhere than what it is of.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::state::State;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::parent::ParentDirectory;
use super::pending::{Directory, DirectoryJob, DirectoryStart, PagesJob, Place};
use super::worker::{Job, Shared, Tally, Worker};
use crate::error::{EngineError, Result};
use crate::fs::dir::{Names, Opening, open_directory_as};
use crate::fs::meta::{self, FileId};
use crate::fs::sources::Wanted;

/// The mode of a directory that leads to the path and isn't there.
const WAY_MODE: u16 = 0o755;

/// Begins the walk over `directory`, and the way to its path in the snapshot. The directories on that way
/// are as they are here, as far as they are.
pub fn begin(shared: &Shared<'_>, directory: &Path, parent: ParentDirectory) -> Result<Tally> {
    let handle = open(directory).map_err(EngineError::file(directory))?;
    let stat = rustix::fs::fstat(&handle).map_err(EngineError::file(directory))?;
    if shared.options.is_own(&stat) {
        let why = "it is the repository or its cache, which isn't backed up into itself";
        return Err(EngineError::Unusable(format!("{}: {why}", directory.display())));
    }
    let mut worker = Worker::new(shared);
    let begun = worker.begin_stand_in(directory, Arc::new(handle), parent)?;
    let Begun { directory, handle, way, streams } = begun;
    shared.jobs.push([Job::Pages(PagesJob { directory, handle, from: 0 })]);
    shared.jobs.push(streams);
    for place in way {
        worker.end_walk_of(&place.page)?;
    }
    Ok(worker.tally)
}

fn open(directory: &Path) -> Result<OwnedFd, Errno> {
    let name = CString::new(directory.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    // It may well be a link: to the newest of several.
    open_directory_as(CWD, &name, Opening::Followed)
}

struct Begun {
    directory: Arc<Directory>,
    handle: Arc<OwnedFd>,
    /// The places that lead to it.
    way: Vec<Place>,
    /// Streams that are stored in the root directory.
    streams: Vec<Job>,
}

impl Worker<'_> {
    fn begin_stand_in(
        &mut self,
        stand_in: &Path,
        handle: Arc<OwnedFd>,
        parent: ParentDirectory,
    ) -> Result<Begun> {
        let shared = self.shared;
        let failed = || EngineError::file::<Errno>(stand_in);
        let mut live = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        let (mut wanted, mut parent) = (shared.sources.root(), parent);
        let (mut way, mut streams): (Vec<Place>, Vec<Job>) = (Vec::new(), Vec::new());
        let mut said = shared.options.said_of_root();
        while let Wanted::Below(selection) = &wanted {
            let Some((name, next)) = selection.entries.iter().next() else { break };
            let next = next.clone();
            let name = CString::new(name.as_slice()).map_err(|_| failed()(Errno::INVAL))?;
            let below = shared.options.said_below(&said, name.to_bytes());
            let own = way
                .last()
                .map(|place| self.way_node(place, live.as_ref(), &handle))
                .transpose()
                .map_err(failed())?;
            let mut names = Names::of([name.to_bytes()]);
            if way.is_empty() {
                names = shared.with_streams(names)?;
            }
            let directory = Directory::begin(DirectoryStart {
                names,
                parent: std::mem::take(&mut parent),
                wanted,
                file: FileId { device: 0, inode: 0 },
                said,
                despite: BTreeMap::new(),
                own,
                place: way.last().cloned(),
            });
            let mut known = directory.parent.cursor(shared.trees);
            parent = shared.parent_below(shared.of_parent(known.find(name.to_bytes())));
            let page = directory.page(0);
            if way.is_empty() {
                streams = self.streams_of(&page);
            }
            let slot = page.slot_of(&name);
            way.push(Place { page, slot });
            live = live.and_then(|live| open_directory_as(&live, &name, Opening::Passed).ok());
            (wanted, said) = (next, below);
        }
        self.tally.statistics.dirs += way.len() as u64;
        let directory = match way.last() {
            Some(place) => {
                let job = DirectoryJob { place: place.clone(), above: Arc::clone(&handle), parent, wanted };
                self.begin_directory(&job, &handle, &place.page.directory).map_err(failed())?
            }
            None => self.begin_root(&handle, parent, wanted)?,
        };
        Ok(Begun { directory, handle, way, streams })
    }

    /// The node of a directory that leads to the path: as it is here, or as system directories are.
    fn way_node(
        &mut self,
        place: &Place,
        live: Option<&OwnedFd>,
        stand_in: &OwnedFd,
    ) -> Result<(Node, State), Errno> {
        let kind = NodeKind::Directory { tree: ChunkId::new([0; ChunkId::SIZE]) };
        if let Some(live) = live {
            let attributes = meta::xattrs_at(live, c".")?;
            return Ok(self.node(place, &rustix::fs::fstat(live)?, attributes, kind));
        }
        let stat = rustix::fs::fstat(stand_in)?;
        let node = Node {
            name: place.name().to_bytes().to_vec(),
            mode: WAY_MODE,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime: meta::mtime(&stat),
            xattrs: Vec::new(),
            kind,
            unknown: None,
        };
        Ok((node, State { ctime: meta::mtime(&stat), inode: 0, device: 0, children: None }))
    }
}
