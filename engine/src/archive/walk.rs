//! Walking directories: listing, comparing with the parent snapshot, reading what is new.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind, Xattr};
use keepfast_format::state::State;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::parent::{Earlier, Kept, ParentDirectory};
use super::pending::{Directory, DirectoryJob, DirectoryStart, Page, PagesJob, Place};
use super::worker::{Job, Worker};
use crate::error::Result;
use crate::fs::{dir, meta};
use crate::monitor::Event;

/// What a directory must begin with to be a cache (Cache Directory Tagging Specification).
const CACHE_TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
const CACHE_TAG_NAME: &CStr = c"CACHEDIR.TAG";

impl Worker<'_> {
    /// Opens and lists a directory.
    pub fn run_directory(&mut self, job: DirectoryJob) -> Result<()> {
        let above = Arc::clone(&job.place.page.directory);
        let name = above.names.get(job.name);
        let path = above.path_of(name.to_bytes());
        let opened = match (&above.handle, &job.selection) {
            // On the way to what was asked for, links are followed, as the user's shell would.
            (_, Some(_)) | (None, _) => open_followed(&path),
            (Some(handle), None) => dir::open_directory(handle, name),
        };
        let begun = opened.and_then(|handle| self.begin_directory(&job, handle, &path));
        match begun {
            Ok(directory) => {
                self.tally.statistics.dirs += 1;
                self.run_pages(PagesJob { directory, from: 0 })
            }
            Err(error) => {
                self.unreadable(&path, error);
                self.fill(&job.place, None)
            }
        }
    }

    fn begin_directory(
        &mut self,
        job: &DirectoryJob,
        handle: OwnedFd,
        path: &[u8],
    ) -> Result<Arc<Directory>, Errno> {
        let stat = rustix::fs::fstat(&handle)?;
        let name = job.place.page.directory.names.get(job.name).to_bytes();
        let kind = NodeKind::Directory { tree: ChunkId::new([0; ChunkId::SIZE]) };
        let node = self.node(name, &stat, meta::xattrs_of(&handle)?, kind);
        let names = match &job.selection {
            Some(selection) => dir::Names::of(selection.entries.keys().map(Vec::as_slice)),
            None => self.list(&handle, path)?,
        };
        Ok(Directory::begin(DirectoryStart {
            path: path.to_vec(),
            handle: Some(handle),
            names,
            parent: job.parent.clone(),
            selection: job.selection.clone(),
            device: stat.st_dev,
            own: Some((node, meta::state(&stat))),
            place: Some(job.place.clone()),
        }))
    }

    /// The names in a directory, without those that are excluded.
    pub fn list(&self, handle: &OwnedFd, path: &[u8]) -> Result<dir::Names, Errno> {
        let mut names =
            dir::list(handle).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let options = self.shared.options;
        if options.exclude_caches && is_cache(handle) {
            names.retain(|name| name == CACHE_TAG_NAME.to_bytes());
        }
        if !options.exclude.is_empty() {
            let mut whole = path.to_vec();
            if whole.last() != Some(&b'/') {
                whole.push(b'/');
            }
            let folder = whole.len();
            names.retain(|name| {
                whole.truncate(folder);
                whole.extend_from_slice(name);
                !options.exclude.matches(&whole, name)
            });
        }
        Ok(names)
    }

    /// Walks one page; the following ones go onto the stack first, for other threads to take.
    pub fn run_pages(&mut self, job: PagesJob) -> Result<()> {
        if job.from + 1 < job.directory.pages() {
            let rest = PagesJob { directory: Arc::clone(&job.directory), from: job.from + 1 };
            self.shared.jobs.push([Job::Pages(rest)]);
        }
        let page = job.directory.page(job.from);
        self.walk_page(&page)?;
        self.end_bundle()?;
        self.end_walk_of(&page)
    }

    fn walk_page(&mut self, page: &Arc<Page>) -> Result<()> {
        let directory = Arc::clone(&page.directory);
        let Some(handle) = &directory.handle else { return Ok(()) };
        let shared = self.shared;
        let mut parent = directory.parent.cursor(shared.trees);
        let mut below = Vec::new();
        for (slot, index) in page.name_range().enumerate() {
            let name = directory.names.get(index);
            let place = Place { page: Arc::clone(page), slot };
            let selection = directory
                .selection
                .as_ref()
                .and_then(|selection| selection.entries.get(name.to_bytes()).cloned().flatten());
            let known = parent.find(name.to_bytes()).unwrap_or_else(|error| {
                shared.report_parent(&error);
                None
            });
            // What has to be read anyway is opened at once, and looked at then.
            if known.is_none() && directory.names.is_listed_as_file(index) && self.frames.is_some() {
                self.read_file(&place, handle.as_fd(), Earlier::Nothing)?;
                if shared.should_stop() {
                    return Ok(());
                }
                continue;
            }
            let flags = if selection.is_some() { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let stat = match rustix::fs::statat(handle, name, flags) {
                Ok(stat) => stat,
                Err(error) => {
                    let path = directory.path_of(name.to_bytes());
                    if directory.selection.is_some() {
                        // It was asked for by name: that it isn't there is no accident of timing.
                        self.skipped(&path, std::io::Error::from(error).to_string());
                    } else {
                        self.unreadable(&path, error);
                    }
                    self.fill(&place, None)?;
                    continue;
                }
            };
            if meta::file_type(&stat) == FileType::Directory {
                if self.is_left_out(&directory, &stat, name) {
                    self.fill(&place, None)?;
                    continue;
                }
                let parent = shared.trees.map_or_else(
                    || Ok(ParentDirectory::default()),
                    |trees| ParentDirectory::below(trees, known),
                );
                let parent = parent.unwrap_or_else(|error| {
                    shared.report_parent(&error);
                    ParentDirectory::default()
                });
                below.push(Job::Directory(DirectoryJob { place, name: index, parent, selection }));
            } else {
                self.walk_entry(&place, handle.as_fd(), &stat, known)?;
            }
            if shared.should_stop() {
                return Ok(());
            }
        }
        below.reverse();
        shared.jobs.push(below);
        Ok(())
    }

    fn walk_entry(
        &mut self,
        place: &Place,
        handle: BorrowedFd<'_>,
        stat: &Stat,
        known: Option<(&Node, &State)>,
    ) -> Result<()> {
        if let Some((node, _)) =
            known.filter(|(node, state)| self.is_unchanged(stat, node, state) && self.is_stored(node))
        {
            let kept = Kept { node: node.clone(), state: meta::state(stat), is_linked: is_linked(stat) };
            return match kept.node.kind {
                NodeKind::File { size, extents: Extents::Dense | Extents::Bundled { .. }, .. }
                    if self.is_bundled(size) && self.frames.is_some() =>
                {
                    self.bundle_kept(place, size, kept)
                }
                _ => self.keep(place, kept),
            };
        }
        if meta::file_type(stat) == FileType::RegularFile {
            let earlier = known.map_or(Earlier::Nothing, |(node, _)| Earlier::Known(Box::new(node.clone())));
            return self.read_file(place, handle, earlier);
        }
        self.note_link(stat, place);
        let entry = match self.special_node(handle, place.name(), stat) {
            Ok(node) => Some((node, meta::state(stat))),
            Err(error) => {
                self.unreadable(&place.path(), error);
                None
            }
        };
        self.fill(place, entry)
    }

    /// The node of a link, fifo, socket or device.
    fn special_node(&mut self, handle: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<Node, Errno> {
        let major = rustix::fs::major(stat.st_rdev);
        let minor = rustix::fs::minor(stat.st_rdev);
        let kind = match meta::file_type(stat) {
            FileType::Symlink => NodeKind::Symlink { target: meta::link_target(handle, name)? },
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharDevice { major, minor },
            FileType::BlockDevice => NodeKind::BlockDevice { major, minor },
            FileType::RegularFile | FileType::Directory | FileType::Unknown => return Err(Errno::INVAL),
        };
        let xattrs = meta::xattrs_at(handle, name)?;
        Ok(self.node(name.to_bytes(), stat, xattrs, kind))
    }

    /// A node from what the file system says.
    pub fn node(&mut self, name: &[u8], stat: &Stat, xattrs: Vec<Xattr>, kind: NodeKind) -> Node {
        self.tally.users.insert(stat.st_uid);
        self.tally.groups.insert(stat.st_gid);
        Node {
            name: name.to_vec(),
            mode: meta::permissions(stat),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: meta::mtime(stat),
            xattrs,
            kind,
            unknown: None,
        }
    }

    /// Whether the parent's node can be taken over without reading.
    fn is_unchanged(&self, stat: &Stat, node: &Node, state: &State) -> bool {
        let options = self.shared.options;
        let now = meta::state(stat);
        let same_kind = match (&node.kind, meta::file_type(stat)) {
            (NodeKind::File { size, .. }, FileType::RegularFile) => *size == stat.st_size as u64,
            (NodeKind::Symlink { .. }, FileType::Symlink)
            | (NodeKind::Fifo, FileType::Fifo)
            | (NodeKind::Socket, FileType::Socket)
            | (NodeKind::CharDevice { .. }, FileType::CharacterDevice)
            | (NodeKind::BlockDevice { .. }, FileType::BlockDevice) => true,
            _ => false,
        };
        same_kind
            && node.mtime == meta::mtime(stat)
            && (options.ignore_ctime || state.ctime == now.ctime)
            && (options.ignore_inode || state.inode == now.inode)
            && node.mode == meta::permissions(stat)
            && node.uid == stat.st_uid
            && node.gid == stat.st_gid
            && node.mtime < self.shared.racy_from
            && (options.ignore_ctime || now.ctime < self.shared.racy_from)
    }

    /// Whether everything that a node of the parent refers to may be referred to again.
    fn is_stored(&self, node: &Node) -> bool {
        let (Some(writer), Some(trees)) = (self.shared.writer, self.shared.trees) else { return true };
        let NodeKind::File { content, extents, .. } = &node.kind else { return true };
        if writer.may_take_over() {
            return true;
        }
        let refer = |content: &Content| {
            trees.all_chunks(content, &mut |wanted| writer.refer(wanted)).unwrap_or(false)
        };
        refer(content)
            && match extents {
                Extents::Blob(blob) => refer(blob),
                _ => true,
            }
    }

    /// Takes an entry over from the parent.
    pub fn keep(&mut self, place: &Place, kept: Kept) -> Result<()> {
        let Kept { node, state, is_linked } = kept;
        if is_linked {
            self.add_link(place, state.device, state.inode);
        }
        self.tally.users.insert(node.uid);
        self.tally.groups.insert(node.gid);
        if let NodeKind::File { size, .. } = node.kind {
            self.tally.statistics.files_unchanged += 1;
            self.tally.statistics.bytes_total += size;
            self.shared.monitor.progress().add(1, size);
        }
        self.fill(place, Some((node, state)))
    }

    /// Remembers a path of a file that has others.
    pub fn note_link(&self, stat: &Stat, place: &Place) {
        if is_linked(stat) {
            self.add_link(place, stat.st_dev, stat.st_ino);
        }
    }

    fn add_link(&self, place: &Place, device: u64, inode: u64) {
        let path = place.path();
        let path = path.strip_prefix(b"/").map_or_else(|| path.clone(), <[u8]>::to_vec);
        let mut links = self.shared.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        links.entry((device, inode)).or_default().push(path);
    }

    /// Whether a directory is left out on purpose: another file system, or the repository itself.
    fn is_left_out(&self, above: &Directory, stat: &Stat, name: &CStr) -> bool {
        let options = self.shared.options;
        if options.never_enter.contains(&(stat.st_dev, stat.st_ino)) {
            let path = above.path_of(name.to_bytes());
            self.shared.monitor.event(Event::Notice(format!(
                "{}: left out, because it is the repository or its cache",
                Path::new(OsStr::from_bytes(&path)).display()
            )));
            return true;
        }
        // The paths on the way to what was asked for may well be on other file systems.
        options.one_file_system && above.selection.is_none() && stat.st_dev != above.device
    }

    /// Reports an entry that can't be read; one that is gone by now is no loss.
    pub fn unreadable(&mut self, path: &[u8], error: Errno) {
        let why = match error {
            Errno::NOENT => {
                let path = Path::new(OsStr::from_bytes(path));
                return self.shared.monitor.event(Event::Vanished { path });
            }
            Errno::LOOP | Errno::NOTDIR => {
                "it was replaced by something else while it was backed up".to_owned()
            }
            error => std::io::Error::from(error).to_string(),
        };
        self.skipped(path, why);
    }

    fn skipped(&mut self, path: &[u8], why: String) {
        self.tally.statistics.skipped += 1;
        self.shared.monitor.event(Event::Skipped { path: Path::new(OsStr::from_bytes(path)), why });
    }
}

/// Whether an entry has other names.
fn is_linked(stat: &Stat) -> bool {
    stat.st_nlink > 1
}

/// The node of an empty file, to be filled with what is read.
pub fn file_kind(size: u64, content: Content, extents: Extents) -> NodeKind {
    NodeKind::File { size, content, extents }
}

/// Opens a directory by path, following links.
pub fn open_followed(path: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_cache(handle: &OwnedFd) -> bool {
    let mut begin = [0; CACHE_TAG.len()];
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(handle, CACHE_TAG_NAME, flags, Mode::empty())
        .and_then(|file| rustix::io::pread(&file, &mut begin, 0))
        .is_ok_and(|read| read == CACHE_TAG.len() && begin == CACHE_TAG)
}
