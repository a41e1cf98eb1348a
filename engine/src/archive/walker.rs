//! A walker: lists directories, looks at their entries, compares them with the parent snapshot, and decides
//! what its sink does with each.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use keepfast_format::node::{Node, NodeKind};
use rustix::fs::{CWD, FileType, Stat};
use rustix::io::Errno;

use super::filter::{Listing, Looked, Rules};
use super::hard_links;
use super::ignores::IGNORE_FILE;
use super::job::{DirectoryJob, Job, PagesJob};
use super::parent::{InParent, Kept, ParentDirectory, ParentEntry};
use super::pending::{Directory, DirectoryStart, Entry, Page, Place};
use super::reading::has_stream;
use super::sink::{Sink, Unread};
use super::tally::Tally;
use super::walk::Walk;
use crate::error::{EngineError, Result};
use crate::fs::dir::{Names, Opening, open_directory_as};
use crate::fs::meta::{self, Attributes, FileId};
use crate::fs::sources::Wanted;
use crate::jobs::Next;

/// One thread of a walk.
pub struct Walker<'a, S> {
    /// What it shares with the others.
    pub walk: &'a Walk<'a>,
    /// Where what it finds goes.
    pub sink: S,
}

impl<'a, S: Sink<'a>> Walker<'a, S> {
    /// Finds entries for this sink.
    pub fn new(walk: &'a Walk<'a>, sink: S) -> Self {
        Self { walk, sink }
    }

    /// Works until all jobs are done, and returns what was counted.
    pub fn run(mut self) -> Tally {
        while let Some(next) = self.walk.jobs.next() {
            let _doing = self.walk.jobs.doing();
            if !self.sink.should_stop() {
                let worked = match next {
                    Next::Piece(piece) => self.sink.run_piece(piece),
                    Next::Job(Job::Directory(job)) => self.run_directory(job),
                    Next::Job(Job::Pages(job)) => self.run_pages(job),
                    Next::Job(Job::Stream(job)) => self.sink.run_stream(job),
                    Next::Job(Job::Folder(job)) => self.sink.run_folder(job),
                };
                let polled = self.sink.poll();
                if let Err(error) = worked.and(polled) {
                    self.walk.fail(error);
                }
            }
        }
        self.sink.finish()
    }

    /// Begins with the root directory, for the paths that were asked for.
    pub fn begin_paths(&mut self, parent: ParentDirectory) -> Result<()> {
        let wanted = self.walk.sources.root();
        let handle = open_directory_as(CWD, c"/", wanted.opening()).map_err(EngineError::file("/"))?;
        let directory = self.begin_root(&handle, parent, wanted)?;
        self.walk.jobs.push([Job::Pages(PagesJob { directory, handle: Arc::new(handle), from: 0 })]);
        Ok(())
    }

    /// Begins with a root directory that has nothing but streams, and folders that programs write.
    pub fn begin_streams(&mut self, parent: ParentDirectory) -> Result<()> {
        let walk = self.walk;
        let directory = Directory::begin(DirectoryStart {
            names: walk.streams.added_to(Names::default())?,
            parent,
            wanted: walk.sources.root(),
            file: FileId { device: 0, inode: 0 },
            rules: walk.options.rules_of_root(),
            exempt: BTreeMap::new(),
            own: None,
            place: None,
        });
        for number in 0..directory.pages() {
            let page = directory.page(number);
            walk.jobs.push(walk.streams.jobs_on(&page, walk.run));
            // There is nothing else to look at.
            self.sink.end_page(&page)?;
        }
        Ok(())
    }

    /// Begins the root directory: it has no place, and a snapshot has nothing of its own metadata.
    pub fn begin_root(
        &mut self,
        handle: &OwnedFd,
        parent: ParentDirectory,
        wanted: Wanted,
    ) -> Result<Arc<Directory>> {
        let stat = rustix::fs::fstat(handle).map_err(EngineError::file("/"))?;
        let rules = self.walk.options.rules_of_root();
        let listing =
            self.listing_of(&wanted, handle, rules, || b"/".to_vec()).map_err(EngineError::file("/"))?;
        Ok(Directory::begin(DirectoryStart {
            names: self.walk.streams.added_to(listing.names)?,
            parent,
            wanted,
            file: FileId::of(&stat),
            rules: listing.rules,
            exempt: listing.exempt,
            own: None,
            place: None,
        }))
    }

    /// Opens and lists a directory.
    fn run_directory(&mut self, job: DirectoryJob) -> Result<()> {
        let opening = job.wanted.opening();
        let begun = open_directory_as(&*job.above, job.place.name(), opening).and_then(|handle| {
            let directory = self.begin_directory(&job, &handle, &job.place.page.directory)?;
            Ok((directory, handle))
        });
        match begun {
            Ok((directory, handle)) => {
                self.sink.reporter().tally.statistics.dirs += 1;
                drop(job);
                self.run_pages(PagesJob { directory, handle: Arc::new(handle), from: 0 })
            }
            Err(error) => {
                self.sink.reporter().lost(&job.place, error);
                self.sink.reporter().report_missing(&job.above);
                self.sink.put(&job.place, None)
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
        let is_followed = job.wanted == (Wanted::All { followed: true }) && !above.wanted.is_on_the_way();
        if is_followed && above.is_within(FileId::of(&stat)) {
            // It was another one when it was looked at.
            return Err(Errno::LOOP);
        }
        let attributes = match job.wanted.opening() {
            Opening::Listed | Opening::Followed => meta::xattrs_of(handle),
            Opening::Passed | Opening::Reached => meta::xattrs_at(handle, c".")?,
        };
        let rules = self.walk.options.rules_below(&above.rules, job.place.name().to_bytes());
        let listing = self.listing_of(&job.wanted, handle, rules, || job.place.path())?;
        let own = self.sink.reporter().pending(&job.place, &stat, attributes);
        Ok(Directory::begin(DirectoryStart {
            names: listing.names,
            parent: job.parent.clone(),
            wanted: job.wanted.clone(),
            file: FileId::of(&stat),
            rules: listing.rules,
            exempt: listing.exempt,
            own: Some(own),
            place: Some(job.place.clone()),
        }))
    }

    /// Lists what is wanted of a directory's entries. Reports what is wrong with the ignore file in it.
    fn listing_of(
        &mut self,
        wanted: &Wanted,
        handle: &OwnedFd,
        rules: Rules,
        path: impl Fn() -> Vec<u8>,
    ) -> Result<Listing, Errno> {
        let listing = self.walk.options.listing_of(wanted, handle, rules, self.walk.sources, &path)?;
        self.sink.reporter().tally.ignored += listing.ignored;
        for flaw in &listing.flaws {
            let file = IGNORE_FILE.to_string_lossy();
            let path = path();
            let folder = Path::new(OsStr::from_bytes(&path));
            self.walk.run.notice(format!("{}: {flaw}", folder.join(&*file).display()));
        }
        Ok(listing)
    }

    /// Walks one page. The following ones go onto the stack first, so that other threads can take them.
    fn run_pages(&mut self, job: PagesJob) -> Result<()> {
        let PagesJob { directory, handle, from } = job;
        if from + 1 < directory.pages() {
            let (directory, handle) = (Arc::clone(&directory), Arc::clone(&handle));
            self.walk.jobs.push([Job::Pages(PagesJob { directory, handle, from: from + 1 })]);
        }
        let page = directory.page(from);
        self.walk_page(&page, &handle)?;
        self.sink.end_bundle(handle.as_fd())?;
        self.sink.reporter().report_missing(&handle);
        self.sink.end_page(&page)
    }

    fn walk_page(&mut self, page: &Arc<Page>, handle: &Arc<OwnedFd>) -> Result<()> {
        let directory = Arc::clone(&page.directory);
        let walk = self.walk;
        let mut parent = directory.parent.cursor(walk.parent.trees());
        let (mut below, mut streams) = (Vec::new(), Vec::new());
        for (slot, index) in page.name_range().enumerate() {
            let name = directory.names.get(index);
            let place = Place { page: Arc::clone(page), slot };
            if directory.place.is_none()
                && let Some(stream) = walk.streams.job_at(&place, walk.run)
            {
                streams.push(stream);
                continue;
            }
            let exempt = directory.exempt(name.to_bytes());
            let wanted = exempt.unwrap_or_else(|| directory.wanted.of(name.to_bytes()));
            let in_parent = walk.parent.or_default(parent.find(name.to_bytes()));
            // A file that has to be read anyway is opened at once, and looked at through its handle: that saves
            // a system call.
            if in_parent.is_none() && directory.names.is_listed_as_file(index) {
                let (place, directory, in_parent) = (&place, handle.as_fd(), InParent::Absent);
                self.sink.read_file(Unread { place, directory, in_parent, followed: false })?;
                if self.sink.should_stop() {
                    return Ok(());
                }
                continue;
            }
            let looked = match self.look_at(&directory, &place, handle.as_fd(), &wanted) {
                Ok(looked) => looked,
                Err(error) => {
                    let reporter = self.sink.reporter();
                    if directory.wanted.is_on_the_way() {
                        // It was asked for by name, so it matters that it isn't there.
                        reporter.skipped(&place.path(), std::io::Error::from(error).to_string());
                    } else {
                        reporter.lost(&place, error);
                    }
                    self.sink.put(&place, None)?;
                    continue;
                }
            };
            if meta::file_type(&looked.stat) == FileType::Directory {
                let Some(wanted) = self.wanted_of(&directory, &place, &looked, wanted) else {
                    self.sink.put(&place, None)?;
                    continue;
                };
                let (above, parent) = (Arc::clone(handle), walk.parent.below(in_parent));
                below.push(Job::Directory(DirectoryJob { place, above, parent, wanted }));
            } else {
                self.walk_entry(&place, handle.as_fd(), &looked, in_parent)?;
            }
            if self.sink.should_stop() {
                return Ok(());
            }
        }
        below.reverse();
        walk.jobs.push(below);
        walk.jobs.push(streams);
        Ok(())
    }

    /// Looks at an entry. Reports a link that is kept because it would lead in a circle.
    fn look_at(
        &self,
        directory: &Directory,
        place: &Place,
        handle: BorrowedFd<'_>,
        wanted: &Wanted,
    ) -> Result<Looked, Errno> {
        let Walk { options, sources, run, .. } = self.walk;
        let keep = |target: &Stat| {
            if directory.is_within(FileId::of(target)) {
                run.notice(format!(
                    "{}: it leads back to a directory that it is in, and is kept as a link",
                    Path::new(OsStr::from_bytes(&place.path())).display()
                ));
                return true;
            }
            options.is_elsewhere(target, directory.file.device) && !directory.wanted.is_on_the_way()
        };
        options.look_at(handle, place.name(), wanted, keep, || sources.name(&place.path()))
    }

    /// Decides what is done with an entry that isn't a directory.
    fn walk_entry(
        &mut self,
        place: &Place,
        handle: BorrowedFd<'_>,
        looked: &Looked,
        in_parent: Option<ParentEntry<'_>>,
    ) -> Result<()> {
        let Looked { ref stat, followed } = *looked;
        let Walk { options, sources, .. } = self.walk;
        let unread = || {
            let earlier = |known: ParentEntry<'_>| InParent::Earlier(Box::new(known.node.clone()));
            Unread {
                place,
                directory: handle,
                in_parent: in_parent.map_or(InParent::Absent, earlier),
                followed,
            }
        };
        if options.read_special && has_stream(stat) && sources.name(&place.path()) {
            return self.sink.read_special(unread(), stat);
        }
        if meta::file_type(stat) == FileType::RegularFile && options.is_too_large(stat) {
            self.sink.reporter().too_large(self.walk, place, stat);
            return self.sink.put(place, None);
        }
        let same = in_parent.filter(|known| {
            self.walk.parent.is_same(stat, *known, options) && self.sink.may_refer(known.node)
        });
        if let Some(ParentEntry { node, .. }) = same {
            let kept = self.kept(place, handle, looked, node);
            return self.sink.keep(place, kept, handle);
        }
        if meta::file_type(stat) == FileType::RegularFile {
            return self.sink.read_file(unread());
        }
        self.walk.links.note(stat, place);
        let entry = match self.other_entry(handle, place, looked) {
            Ok(entry) => Some(entry),
            Err(error) => {
                self.sink.reporter().lost(place, error);
                None
            }
        };
        self.sink.put(place, entry)
    }

    /// An entry that is taken over from the parent. If attributes have changed, so has ctime; where ctime is
    /// ignored, the attributes are read.
    fn kept(&mut self, place: &Place, handle: BorrowedFd<'_>, looked: &Looked, node: &Node) -> Kept {
        let Looked { ref stat, followed } = *looked;
        let (mut node, mut state) = (node.clone(), meta::state(stat));
        if self.walk.options.ignore_ctime {
            // If it was removed meanwhile, it keeps the attributes that the parent has.
            if let Ok(attributes) = attributes_of(handle, place.name(), followed) {
                self.sink.reporter().note_missed(place, &attributes, &mut state);
                node.xattrs = attributes.read;
            }
        }
        Kept { node, state, is_linked: hard_links::has_several(stat), followed }
    }

    /// A link, fifo, socket or device.
    fn other_entry(
        &mut self,
        handle: BorrowedFd<'_>,
        place: &Place,
        looked: &Looked,
    ) -> Result<Entry, Errno> {
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
        Ok(self.sink.reporter().pending(place, stat, attributes).of_kind(kind))
    }

    /// What is wanted of a directory that was found; `None` if it is the repository itself.
    fn wanted_of(&self, above: &Directory, place: &Place, looked: &Looked, wanted: Wanted) -> Option<Wanted> {
        let Walk { options, sources, run, .. } = self.walk;
        if options.is_own(&looked.stat) {
            run.notice(format!(
                "{}: left out, because it is the repository or its cache",
                Path::new(OsStr::from_bytes(&place.path())).display()
            ));
            return None;
        }
        // The paths on the way to what was asked for may be on other file systems.
        if above.wanted.is_on_the_way() || above.exempt(place.name().to_bytes()).is_some() {
            return Some(wanted);
        }
        Some(options.wanted_of(looked, above.file.device, sources, || place.path()))
    }
}

/// The attributes of an entry that isn't opened, or of what a link in its place points to.
fn attributes_of(directory: BorrowedFd<'_>, name: &CStr, followed: bool) -> Result<Attributes, Errno> {
    if followed { meta::xattrs_behind(directory, name) } else { meta::xattrs_at(directory, name) }
}
