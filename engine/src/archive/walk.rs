//! Walking directories: listing, comparing with the parent snapshot, reading what is new.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::state::State;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::filter::{Listing, Looked, Said};
use super::ignores::IGNORE_FILE;
use super::parent::{Earlier, Kept, ParentDirectory};
use super::pending::{Directory, DirectoryJob, DirectoryStart, Page, PagesJob, Place};
use super::reading::has_stream;
use super::worker::{Job, Shared, Worker};
use crate::error::{EngineError, Result};
use crate::fs::dir::{self, Opening};
use crate::fs::meta::{self, Attributes, FileId};
use crate::fs::sources::Wanted;
use crate::run::Event;

impl Worker<'_> {
    /// Opens and lists a directory.
    pub fn run_directory(&mut self, job: DirectoryJob) -> Result<()> {
        let opening = job.wanted.opening();
        let begun = dir::open_directory_as(&*job.above, job.place.name(), opening).and_then(|handle| {
            let directory = self.begin_directory(&job, &handle, &job.place.page.directory)?;
            Ok((directory, handle))
        });
        match begun {
            Ok((directory, handle)) => {
                self.tally.statistics.dirs += 1;
                drop(job);
                self.run_pages(PagesJob { directory, handle: Arc::new(handle), from: 0 })
            }
            Err(error) => {
                self.lost(&job.place, error);
                self.tell_of_missing(&job.above);
                self.fill(&job.place, None)
            }
        }
    }

    /// Begins a directory that was opened, in the one `above`.
    pub fn begin_directory(
        &mut self,
        job: &DirectoryJob,
        handle: &OwnedFd,
        above: &Directory,
    ) -> Result<Arc<Directory>, Errno> {
        let stat = rustix::fs::fstat(handle)?;
        let is_followed = job.wanted == (Wanted::All { followed: true }) && !above.wanted.is_way();
        if is_followed && above.is_within(FileId::of(&stat)) {
            // It was another one when it was looked at.
            return Err(Errno::LOOP);
        }
        let attributes = match job.wanted.opening() {
            Opening::Listed | Opening::Followed => meta::xattrs_of(handle),
            Opening::Passed | Opening::Reached => meta::xattrs_at(handle, c".")?,
        };
        let said = self.shared.options.said_below(&above.said, job.place.name().to_bytes());
        let listing = self.listing_of(&job.wanted, handle, said, || job.place.path())?;
        let kind = NodeKind::Directory { tree: ChunkId::new([0; ChunkId::SIZE]) };
        let own = self.node(&job.place, &stat, attributes, kind);
        let start = DirectoryStart {
            names: listing.names,
            parent: job.parent.clone(),
            wanted: job.wanted.clone(),
            file: FileId::of(&stat),
            said: listing.said,
            despite: listing.despite,
            own: Some(own),
            place: Some(job.place.clone()),
        };
        Ok(Directory::begin(start))
    }

    /// Begins the root directory: it has no place, and nothing of its own in a snapshot.
    pub fn begin_root(
        &mut self,
        handle: &OwnedFd,
        parent: ParentDirectory,
        wanted: Wanted,
    ) -> Result<Arc<Directory>> {
        let stat = rustix::fs::fstat(handle).map_err(EngineError::file("/"))?;
        let said = self.shared.options.said_of_root();
        let listing =
            self.listing_of(&wanted, handle, said, || b"/".to_vec()).map_err(EngineError::file("/"))?;
        Ok(Directory::begin(DirectoryStart {
            names: self.shared.with_streams(listing.names)?,
            parent,
            wanted,
            file: FileId::of(&stat),
            said: listing.said,
            despite: listing.despite,
            own: None,
            place: None,
        }))
    }

    /// What is wanted of a directory's entries. Says what is wrong with a file in it that names some.
    pub fn listing_of(
        &mut self,
        wanted: &Wanted,
        handle: &OwnedFd,
        said: Said,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Listing, Errno> {
        let listing = self.shared.options.listing_of(wanted, handle, said, self.shared.sources, &path)?;
        self.tally.ignored += listing.ignored;
        for flaw in &listing.flaws {
            let file = IGNORE_FILE.to_string_lossy();
            let path = path();
            let folder = Path::new(OsStr::from_bytes(&path));
            self.shared.run.notice(format!("{}: {flaw}", folder.join(&*file).display()));
        }
        Ok(listing)
    }

    /// Walks one page; the following ones go onto the stack first, for other threads to take.
    pub fn run_pages(&mut self, job: PagesJob) -> Result<()> {
        let PagesJob { directory, handle, from } = job;
        if from + 1 < directory.pages() {
            let (directory, handle) = (Arc::clone(&directory), Arc::clone(&handle));
            self.shared.jobs.push([Job::Pages(PagesJob { directory, handle, from: from + 1 })]);
        }
        let page = directory.page(from);
        self.walk_page(&page, &handle)?;
        self.end_bundle(handle.as_fd())?;
        self.tell_of_missing(&handle);
        self.end_walk_of(&page)
    }

    fn walk_page(&mut self, page: &Arc<Page>, handle: &Arc<OwnedFd>) -> Result<()> {
        let directory = Arc::clone(&page.directory);
        let shared = self.shared;
        let mut parent = directory.parent.cursor(shared.trees);
        let (mut below, mut streams) = (Vec::new(), Vec::new());
        for (slot, index) in page.name_range().enumerate() {
            let name = directory.names.get(index);
            let place = Place { page: Arc::clone(page), slot };
            if directory.place.is_none()
                && let Some(stream) = self.stream_at(&place)
            {
                streams.push(stream);
                continue;
            }
            let despite = directory.wanted_despite(name.to_bytes());
            let wanted = despite.unwrap_or_else(|| directory.wanted.of(name.to_bytes()));
            let known = shared.of_parent(parent.find(name.to_bytes()));
            // What has to be read anyway is opened at once, and looked at then.
            if known.is_none() && directory.names.is_listed_as_file(index) && self.frames.is_some() {
                self.read_file(&place, handle.as_fd(), Earlier::Nothing, false)?;
                if shared.should_stop() {
                    return Ok(());
                }
                continue;
            }
            let looked = match self.look_at(&directory, &place, handle.as_fd(), &wanted) {
                Ok(looked) => looked,
                Err(error) => {
                    if directory.wanted.is_way() {
                        // It was asked for by name: that it isn't there is no accident of timing.
                        self.skipped(&place.path(), std::io::Error::from(error).to_string());
                    } else {
                        self.lost(&place, error);
                    }
                    self.fill(&place, None)?;
                    continue;
                }
            };
            if meta::file_type(&looked.stat) == FileType::Directory {
                let Some(wanted) = self.enter(&directory, &place, &looked, wanted) else {
                    self.fill(&place, None)?;
                    continue;
                };
                let (above, parent) = (Arc::clone(handle), shared.parent_below(known));
                below.push(Job::Directory(DirectoryJob { place, above, parent, wanted }));
            } else {
                self.walk_entry(&place, handle.as_fd(), &looked, known)?;
            }
            if shared.should_stop() {
                return Ok(());
            }
        }
        below.reverse();
        shared.jobs.push(below);
        shared.jobs.push(streams);
        Ok(())
    }

    /// Looks at an entry. Says so where a link is kept that would lead in a circle.
    fn look_at(
        &self,
        directory: &Directory,
        place: &Place,
        handle: BorrowedFd<'_>,
        wanted: &Wanted,
    ) -> Result<Looked, Errno> {
        let Shared { options, sources, run, .. } = self.shared;
        let keep = |target: &Stat| {
            if directory.is_within(FileId::of(target)) {
                run.notice(format!(
                    "{}: it leads back to a directory that it is in, and is kept as a link",
                    Path::new(OsStr::from_bytes(&place.path())).display()
                ));
                return true;
            }
            options.is_elsewhere(target, directory.file.device) && !directory.wanted.is_way()
        };
        options.look_at(handle, place.name(), wanted, keep, || sources.name(&place.path()))
    }

    fn walk_entry(
        &mut self,
        place: &Place,
        handle: BorrowedFd<'_>,
        looked: &Looked,
        known: Option<(&Node, &State)>,
    ) -> Result<()> {
        let Looked { ref stat, followed } = *looked;
        let Shared { options, sources, .. } = self.shared;
        let earlier = || known.map_or(Earlier::Nothing, |(node, _)| Earlier::Known(Box::new(node.clone())));
        if options.read_special && has_stream(stat) && sources.name(&place.path()) {
            return self.read_special(place, handle, earlier(), looked);
        }
        if meta::file_type(stat) == FileType::RegularFile && self.shared.options.is_too_large(stat) {
            return self.fill(place, None);
        }
        if let Some((node, _)) =
            known.filter(|(node, state)| self.is_unchanged(stat, node, state) && self.is_stored(node))
        {
            let kept = self.kept(place, handle, looked, node);
            return match kept.node.kind {
                NodeKind::File { size, extents: Extents::Dense | Extents::Bundled { .. }, .. }
                    if self.is_bundled(size) && self.frames.is_some() =>
                {
                    self.bundle_kept(place, size, kept, handle)
                }
                _ => self.keep(place, kept),
            };
        }
        if meta::file_type(stat) == FileType::RegularFile {
            return self.read_file(place, handle, earlier(), followed);
        }
        self.note_link(stat, place);
        let entry = match self.special_node(handle, place, looked) {
            Ok(entry) => Some(entry),
            Err(error) => {
                self.lost(place, error);
                None
            }
        };
        self.fill(place, entry)
    }

    /// What is taken over from the parent. ctime tells of other attributes; where it isn't looked at, the
    /// attributes themselves are.
    fn kept(&mut self, place: &Place, handle: BorrowedFd<'_>, looked: &Looked, node: &Node) -> Kept {
        let Looked { ref stat, followed } = *looked;
        let (mut node, mut state) = (node.clone(), meta::state(stat));
        if self.shared.options.ignore_ctime {
            // One that is gone by now has those that it had.
            if let Ok(attributes) = attributes_of(handle, place.name(), followed) {
                self.note_missed(place, &attributes, &mut state);
                node.xattrs = attributes.read;
            }
        }
        Kept { node, state, is_linked: is_linked(stat), followed }
    }

    /// The node of a link, fifo, socket or device, and its state.
    fn special_node(
        &mut self,
        handle: BorrowedFd<'_>,
        place: &Place,
        looked: &Looked,
    ) -> Result<(Node, State), Errno> {
        let Looked { ref stat, followed } = *looked;
        let name = place.name();
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
        let attributes = attributes_of(handle, name, followed)?;
        Ok(self.node(place, stat, attributes, kind))
    }

    /// A node and its state, from what the file system says.
    pub fn node(
        &mut self,
        place: &Place,
        stat: &Stat,
        attributes: Attributes,
        kind: NodeKind,
    ) -> (Node, State) {
        self.tally.users.insert(stat.st_uid);
        self.tally.groups.insert(stat.st_gid);
        let mut state = meta::state(stat);
        self.note_missed(place, &attributes, &mut state);
        let node = Node {
            name: place.name().to_bytes().to_vec(),
            mode: meta::permissions(stat),
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: meta::mtime(stat),
            xattrs: attributes.read,
            kind,
            unknown: None,
        };
        (node, state)
    }

    /// Reports attributes that can't be read. The entry gets a ctime that it never has, so that the next
    /// backup looks again.
    fn note_missed(&mut self, place: &Place, attributes: &Attributes, state: &mut State) {
        if let Some(why) = &attributes.missed {
            state.ctime = Timestamp::default();
            self.skipped(&place.path(), format!("{why}; it is backed up without what can't be read"));
        }
    }

    /// Whether the parent's node can be taken over without reading.
    fn is_unchanged(&self, stat: &Stat, node: &Node, state: &State) -> bool {
        let options = self.shared.options;
        let now = meta::state(stat);
        let same_kind = match (&node.kind, meta::file_type(stat)) {
            (NodeKind::File { size, .. }, FileType::RegularFile) => u64::try_from(stat.st_size) == Ok(*size),
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
        let Kept { node, state, is_linked, .. } = kept;
        if is_linked {
            self.add_link(place, FileId { device: state.device, inode: state.inode });
        }
        self.tally.users.insert(node.uid);
        self.tally.groups.insert(node.gid);
        if let NodeKind::File { size, content, extents } = &node.kind {
            let bytes = match (extents, self.shared.trees) {
                (Extents::Dense | Extents::Bundled { .. }, _) | (_, None) => *size,
                // It was read when it was compared, or it will be told of when it is needed.
                (_, Some(trees)) => {
                    trees.layout(*size, content, extents).map_or(0, |layout| layout.content_bytes)
                }
            };
            self.tally.statistics.files_unchanged += 1;
            self.tally.count_bytes(0, bytes);
            self.shared.run.count(1, bytes);
        }
        self.fill(place, Some((node, state)))
    }

    /// Remembers a path of a file that has others.
    pub fn note_link(&self, stat: &Stat, place: &Place) {
        if is_linked(stat) {
            self.add_link(place, FileId::of(stat));
        }
    }

    fn add_link(&self, place: &Place, file: FileId) {
        let path = place.path();
        let path = path.strip_prefix(b"/").map_or_else(|| path.clone(), <[u8]>::to_vec);
        let mut links = self.shared.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        links.entry(file).or_default().push(path);
    }

    /// What is wanted of a directory that was found; nothing of the repository itself.
    fn enter(&self, above: &Directory, place: &Place, looked: &Looked, wanted: Wanted) -> Option<Wanted> {
        let options = self.shared.options;
        if options.is_own(&looked.stat) {
            self.shared.run.notice(format!(
                "{}: left out, because it is the repository or its cache",
                Path::new(OsStr::from_bytes(&place.path())).display()
            ));
            return None;
        }
        // The paths on the way to what was asked for may well be on other file systems.
        if above.wanted.is_way() || above.wanted_despite(place.name().to_bytes()).is_some() {
            return Some(wanted);
        }
        Some(options.wanted_of(looked, above.file.device, self.shared.sources, || place.path()))
    }

    /// Reports an entry that can't be opened or looked at; one that isn't there at the end of its page.
    pub fn lost(&mut self, place: &Place, error: Errno) {
        if error == Errno::NOENT {
            self.missing.push(place.clone());
        } else {
            self.unreadable(&place.path(), error);
        }
    }

    /// Tells entries that were listed and couldn't be found from those that are gone: what is still
    /// listed and still can't be found is no accident of timing. Servers show names like that.
    fn tell_of_missing(&mut self, handle: &OwnedFd) {
        if self.missing.is_empty() {
            return;
        }
        let listed = dir::list(handle).unwrap_or_default();
        for place in std::mem::take(&mut self.missing) {
            let path = place.path();
            let is_hidden = listed.contains(place.name().to_bytes())
                && matches!(meta::stat(handle.as_fd(), place.name()), Err(Errno::NOENT));
            if is_hidden {
                self.skipped(
                    &path,
                    "it is listed in its directory, but can't be found by its name".to_owned(),
                );
            } else {
                self.unreadable(&path, Errno::NOENT);
            }
        }
    }

    /// Reports an entry that can't be read; one that is gone by now is no loss.
    pub fn unreadable(&mut self, path: &[u8], error: Errno) {
        let why = match error {
            Errno::NOENT => {
                let path = Path::new(OsStr::from_bytes(path));
                return self.shared.run.tell(&Event::Gone { path: path.to_owned() });
            }
            Errno::LOOP | Errno::NOTDIR => {
                "it was replaced by something else while it was backed up".to_owned()
            }
            error => std::io::Error::from(error).to_string(),
        };
        self.skipped(path, why);
    }

    /// Reports an entry that isn't in the snapshot.
    pub fn skipped(&mut self, path: &[u8], why: String) {
        self.tally.statistics.skipped += 1;
        self.shared.run.tell(&Event::Skipped { path: PathBuf::from(OsStr::from_bytes(path)), why });
    }
}

/// The attributes of an entry that isn't opened, or of what a link in its place points to.
fn attributes_of(directory: BorrowedFd<'_>, name: &CStr, followed: bool) -> Result<Attributes, Errno> {
    if followed { meta::xattrs_behind(directory, name) } else { meta::xattrs_at(directory, name) }
}

/// Whether an entry has other names.
fn is_linked(stat: &Stat) -> bool {
    stat.st_nlink > 1
}
