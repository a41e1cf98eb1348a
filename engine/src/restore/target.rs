//! The directory that is restored into. Everything in it is reached from its handle by
//! names that are no links, so that nothing outside of it can be written to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use lru::LruCache;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Overwrite, RestoreOptions, RestoreReport, as_path};
use crate::error::{EngineError, Result};
use crate::fs::apply::{self, Owner};
use crate::fs::{dir, meta, privileges};
use crate::monitor::{Event, Monitor};

/// Directories whose handles are kept.
const HANDLES: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// The target and what has been done in it.
pub struct Target<'a> {
    options: &'a RestoreOptions<'a>,
    root: Option<OwnedFd>,
    directories: Vec<Directory>,
    handles: Mutex<LruCache<usize, Arc<OwnedFd>>>,
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
    counts: Counts,
}

struct Directory {
    /// Its path below the target.
    path: Vec<u8>,
    above: usize,
    /// What it is to become at the end; none for a target that was there before.
    node: Option<Node>,
    made: bool,
}

#[derive(Default)]
struct Counts {
    files: AtomicU64,
    bytes: AtomicU64,
    others: AtomicU64,
    hard_links: AtomicU64,
    unchanged: AtomicU64,
    deleted: AtomicU64,
    skipped: AtomicU64,
    privileges_dropped: AtomicU64,
    devices_left_out: AtomicU64,
}

impl<'a> Target<'a> {
    /// Opens the target. One that isn't there is made, and becomes what `folder` was.
    pub fn open(options: &'a RestoreOptions<'a>, snapshot: &Snapshot, folder: Option<Node>) -> Result<Self> {
        let own = folder.filter(|_| !options.target.exists());
        let root = if options.dry_run { None } else { Some(open_root(options)?) };
        let here = |names: &[(u32, Vec<u8>)], id: &dyn Fn(&[u8]) -> Option<u32>| -> HashMap<u32, u32> {
            if options.numeric_owners {
                return HashMap::new();
            }
            names.iter().filter_map(|(there, name)| id(name).map(|here| (*there, here))).collect()
        };
        Ok(Self {
            options,
            root,
            directories: vec![Directory { path: Vec::new(), above: 0, node: own, made: true }],
            handles: Mutex::new(LruCache::new(HANDLES)),
            users: here(&snapshot.body.users, &options.user_id),
            groups: here(&snapshot.body.groups, &options.group_id),
            counts: Counts::default(),
        })
    }

    /// The path below the target of an entry.
    pub fn path_of(&self, directory: usize, name: &[u8]) -> Vec<u8> {
        let mut path = self.directories[directory].path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// The whole path of an entry, for messages.
    pub fn whole_path(&self, directory: usize, name: &[u8]) -> PathBuf {
        self.options.target.join(as_path(&self.path_of(directory, name)))
    }

    /// Begins a directory and returns its number; none if there is something else in its place.
    /// One that may turn out to have nothing picked in it is only made once something is.
    pub fn directory(
        &mut self,
        above: usize,
        node: Node,
        make: bool,
        monitor: &dyn Monitor,
    ) -> Result<Option<usize>> {
        let path = self.path_of(above, &node.name);
        self.directories.push(Directory { path, above, node: Some(node), made: false });
        let number = self.directories.len() - 1;
        let made = if make { self.make(number) } else { Ok(()) };
        if let Err(error) = made {
            self.fatal_or_skip(number, error, monitor)?;
            self.directories.pop();
            return Ok(None);
        }
        Ok(Some(number))
    }

    /// Makes a directory and those above it.
    fn make(&mut self, number: usize) -> Result<(), Errno> {
        if self.directories[number].made {
            return Ok(());
        }
        let above = self.directories[number].above;
        self.make(above)?;
        if self.root.is_some() {
            let handle = self.handle(above)?;
            let name = self.name_of(number)?;
            match rustix::fs::mkdirat(&*handle, &*name, Mode::RWXU) {
                Err(Errno::EXIST) if self.options.overwrite != Overwrite::Refuse => {
                    let stat = meta::stat(handle.as_fd(), &name)?;
                    if meta::file_type(&stat) != FileType::Directory {
                        if self.options.overwrite == Overwrite::Never {
                            return Err(Errno::EXIST);
                        }
                        rustix::fs::unlinkat(&*handle, &*name, AtFlags::empty())?;
                        rustix::fs::mkdirat(&*handle, &*name, Mode::RWXU)?;
                    }
                }
                other => other?,
            }
        }
        self.directories[number].made = true;
        Ok(())
    }

    fn name_of(&self, number: usize) -> Result<CString, Errno> {
        let name = self.directories[number].node.as_ref().map_or(b".".as_slice(), |node| &node.name);
        CString::new(name).map_err(|_| Errno::INVAL)
    }

    /// The handle of a directory that is made.
    fn handle(&self, number: usize) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(handle) = self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(handle));
        }
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        let opened = if number == 0 {
            root.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?
        } else {
            let above = self.handle(self.directories[number].above)?;
            dir::open_directory(&*above, &self.name_of(number)?)?
        };
        let opened = Arc::new(opened);
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).put(number, Arc::clone(&opened));
        Ok(opened)
    }

    /// Whether an entry is to be written, after making room for it.
    pub fn may_write(&mut self, above: usize, node: &Node, monitor: &dyn Monitor) -> Result<bool> {
        if self.root.is_none() {
            return Ok(true);
        }
        let ready = self.make(above).and_then(|()| self.make_room(above, node));
        match ready {
            Ok(ready) => {
                if !ready {
                    self.counts.unchanged.fetch_add(1, Ordering::Relaxed);
                }
                Ok(ready)
            }
            Err(error) => {
                let why = match error {
                    Errno::ISDIR => "there is a directory in its place".to_owned(),
                    error if is_fatal(error) => {
                        return Err(EngineError::file(self.whole_path(above, &node.name))(error));
                    }
                    error => std::io::Error::from(error).to_string(),
                };
                self.skipped(above, &node.name, why, monitor);
                Ok(false)
            }
        }
    }

    fn make_room(&self, above: usize, node: &Node) -> Result<bool, Errno> {
        if self.options.overwrite == Overwrite::Refuse {
            return Ok(true);
        }
        let handle = self.handle(above)?;
        let name = c_name(&node.name)?;
        let stat = match meta::stat(handle.as_fd(), &name) {
            Err(Errno::NOENT) => return Ok(true),
            other => other?,
        };
        match self.options.overwrite {
            Overwrite::Never => return Ok(false),
            Overwrite::IfChanged if is_same(&stat, node) => return Ok(false),
            _ => {}
        }
        // It is removed when what replaces it is at hand, and not before.
        if meta::file_type(&stat) == FileType::Directory { Err(Errno::ISDIR) } else { Ok(true) }
    }

    /// Runs `make` for a name; if something is there that may be replaced, it makes room and
    /// runs it again.
    fn replacing<T>(
        &self,
        handle: &OwnedFd,
        name: &[u8],
        make: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match make() {
            Err(Errno::EXIST) if self.options.overwrite != Overwrite::Refuse => {
                rustix::fs::unlinkat(handle, name, AtFlags::empty())?;
                make()
            }
            other => other,
        }
    }

    /// Opens a file for writing; a new one must not be there yet.
    pub fn open_file(&self, directory: usize, name: &[u8], new: bool) -> Result<OwnedFd, Errno> {
        let handle = self.handle(directory)?;
        let mut flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if new {
            flags |= OFlags::CREATE | OFlags::EXCL;
        }
        let open = || rustix::fs::openat(&*handle, name, flags, Mode::RUSR | Mode::WUSR);
        if new { self.replacing(&handle, name, open) } else { open() }
    }

    /// Gives a complete file its metadata.
    pub fn finish_file(&self, file: BorrowedFd<'_>, node: &Node) -> Vec<String> {
        apply::apply_to_open(file, &self.given(node), self.owner(node))
    }

    /// An entry as it is to be: without privileges, if none are to be restored.
    fn given<'n>(&self, node: &'n Node) -> Cow<'n, Node> {
        if !self.options.no_privileges {
            return Cow::Borrowed(node);
        }
        let mut given = node.clone();
        if privileges::take_from(&mut given) {
            self.counts.privileges_dropped.fetch_add(1, Ordering::Relaxed);
        }
        Cow::Owned(given)
    }

    /// Counts a device that isn't restored, as asked for.
    pub fn count_device_left_out(&self) {
        self.counts.devices_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a file that can't be completed.
    pub fn remove_partial(&self, directory: usize, name: &[u8], created: bool) {
        if !created {
            return;
        }
        if let Ok(handle) = self.handle(directory) {
            // If this fails too, the file is named as skipped all the same.
            let _ = rustix::fs::unlinkat(&*handle, name, AtFlags::empty());
        }
    }

    /// Makes a link, fifo, socket or device.
    pub fn special(&self, above: usize, node: &Node, monitor: &dyn Monitor) -> Result<()> {
        self.counts.others.fetch_add(1, Ordering::Relaxed);
        if self.root.is_none() {
            return Ok(());
        }
        let made = self.handle(above).and_then(|handle| {
            let name = c_name(&node.name)?;
            self.replacing(&handle, &node.name, || make_special(&handle, &name, node))?;
            Ok(apply::apply_by_name(handle.as_fd(), &name, &self.given(node), self.owner(node)))
        });
        match made {
            Ok(problems) => {
                for problem in problems {
                    self.incomplete(above, &node.name, problem, monitor);
                }
                Ok(())
            }
            Err(error) if is_fatal(error) => {
                Err(EngineError::file(self.whole_path(above, &node.name))(error))
            }
            Err(error) => {
                self.counts.others.fetch_sub(1, Ordering::Relaxed);
                self.skipped(above, &node.name, std::io::Error::from(error).to_string(), monitor);
                Ok(())
            }
        }
    }

    /// Makes a further name of a file that is restored. Both paths are below the target.
    pub fn link(&mut self, first: &[u8], later: &[u8], monitor: &dyn Monitor) -> Result<()> {
        self.counts.hard_links.fetch_add(1, Ordering::Relaxed);
        let Some(root) = &self.root else { return Ok(()) };
        let link = || {
            let (from, from_name) = self.reach(root, first)?;
            let (to, to_name) = self.reach(root, later)?;
            self.replacing(&to, to_name, || {
                rustix::fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())
            })
        };
        let linked = link();
        if let Err(error) = linked {
            let path = self.options.target.join(as_path(later));
            self.counts.hard_links.fetch_sub(1, Ordering::Relaxed);
            self.counts.skipped.fetch_add(1, Ordering::Relaxed);
            let why = format!(
                "it can't be linked to {}: {}",
                as_path(first).display(),
                std::io::Error::from(error)
            );
            monitor.event(Event::Skipped { path: &path, why });
        }
        Ok(())
    }

    /// The directory of a path below the target, reached step by step through no link, and
    /// the last name.
    fn reach<'p>(&self, root: &OwnedFd, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), Errno> {
        let mut handle =
            root.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Ok((handle, part));
            }
            handle = dir::open_directory(&handle, &c_name(part)?)?;
        }
        Err(Errno::INVAL)
    }

    /// Reports a directory of which not everything is known.
    pub fn unreadable(&self, number: usize, error: &EngineError, monitor: &dyn Monitor) {
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        let path = self.options.target.join(as_path(&self.directories[number].path));
        monitor.event(Event::Skipped { path: &path, why: format!("not all of it can be restored: {error}") });
    }

    /// Removes what is in a directory and not among these names.
    pub fn delete_others(&self, directory: usize, names: &[Vec<u8>], monitor: &dyn Monitor) {
        let Ok(handle) = self.handle(directory) else { return };
        let Ok(found) = dir::list(&*handle) else { return };
        for name in (0..found.len()).map(|index| found.get(index).to_bytes()) {
            if names.iter().any(|kept| kept == name) {
                continue;
            }
            let path = self.whole_path(directory, name);
            let is_directory = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
            let removed =
                if is_directory { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Ok(()) => drop(self.counts.deleted.fetch_add(1, Ordering::Relaxed)),
                Err(error) => self.skipped(directory, name, format!("it can't be removed: {error}"), monitor),
            }
        }
    }

    /// Counts a regular file.
    pub fn count_file(&self, bytes: u64) {
        self.counts.files.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reports an entry that isn't restored.
    pub fn skipped(&self, directory: usize, name: &[u8], why: String, monitor: &dyn Monitor) {
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        monitor.event(Event::Skipped { path: &self.whole_path(directory, name), why });
    }

    /// Reports an entry whose metadata isn't all there.
    pub fn incomplete(&self, directory: usize, name: &[u8], why: String, monitor: &dyn Monitor) {
        self.skipped(directory, name, why, monitor);
    }

    /// Gives the directories their metadata, the deepest first, and sums up.
    pub fn finish(self, monitor: &dyn Monitor) -> RestoreReport {
        let mut dirs = 0;
        for number in (0..self.directories.len()).rev() {
            let directory = &self.directories[number];
            let Some(node) = directory.node.as_ref().filter(|_| directory.made) else { continue };
            dirs += u64::from(number > 0);
            if self.root.is_none() {
                continue;
            }
            let problems = self.handle(number).map_or_else(
                |error| vec![std::io::Error::from(error).to_string()],
                |handle| apply::apply_to_open(handle.as_fd(), &self.given(node), self.owner(node)),
            );
            for problem in problems {
                self.incomplete(directory.above, &node.name, problem, monitor);
            }
        }
        let counts = self.counts;
        RestoreReport {
            files: counts.files.into_inner(),
            dirs,
            others: counts.others.into_inner(),
            hard_links: counts.hard_links.into_inner(),
            unchanged: counts.unchanged.into_inner(),
            deleted: counts.deleted.into_inner(),
            skipped: counts.skipped.into_inner(),
            privileges_dropped: counts.privileges_dropped.into_inner(),
            devices_left_out: counts.devices_left_out.into_inner(),
            bytes: counts.bytes.into_inner(),
            verified: 0,
        }
    }

    fn owner(&self, node: &Node) -> Owner {
        Owner {
            uid: self.users.get(&node.uid).copied().unwrap_or(node.uid),
            gid: self.groups.get(&node.gid).copied().unwrap_or(node.gid),
        }
    }

    fn fatal_or_skip(&self, number: usize, error: Errno, monitor: &dyn Monitor) -> Result<()> {
        let path = self.options.target.join(as_path(&self.directories[number].path));
        if is_fatal(error) {
            return Err(EngineError::file(path)(error));
        }
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        monitor.event(Event::Skipped { path: &path, why: std::io::Error::from(error).to_string() });
        Ok(())
    }
}

fn open_root(options: &RestoreOptions<'_>) -> Result<OwnedFd> {
    let target = &options.target;
    std::fs::create_dir_all(target).map_err(EngineError::file(target))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, target, flags, Mode::empty()).map_err(EngineError::file(target))?;
    let names = dir::list(&root).map_err(EngineError::file(target))?;
    if options.overwrite == Overwrite::Refuse && !names.is_empty() {
        return Err(EngineError::Unusable(format!(
            "{} isn't empty: choose another target, or say with --overwrite what to do with files that are there",
            target.display()
        )));
    }
    Ok(root)
}

fn make_special(handle: &OwnedFd, name: &CStr, node: &Node) -> Result<(), Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let (kind, device) = match &node.kind {
        NodeKind::Symlink { target } => return rustix::fs::symlinkat(target.as_slice(), handle, name),
        NodeKind::Fifo => (FileType::Fifo, 0),
        NodeKind::Socket => (FileType::Socket, 0),
        NodeKind::CharDevice { major, minor } => {
            (FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))
        }
        NodeKind::BlockDevice { major, minor } => {
            (FileType::BlockDevice, rustix::fs::makedev(*major, *minor))
        }
        NodeKind::File { .. } | NodeKind::Directory { .. } => return Err(Errno::INVAL),
    };
    rustix::fs::mknodat(handle, name, kind, mode, device)
}

fn is_same(stat: &Stat, node: &Node) -> bool {
    match (&node.kind, meta::file_type(stat)) {
        (NodeKind::File { size, .. }, FileType::RegularFile) => {
            *size == stat.st_size as u64 && node.mtime == meta::mtime(stat)
        }
        _ => false,
    }
}

/// Errors after which nothing else in the target will work either.
fn is_fatal(error: Errno) -> bool {
    matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::ROFS)
}

fn c_name(name: &[u8]) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}
