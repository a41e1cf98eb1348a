//! The directory that is restored into. Everything in it is reached from its handle by names that aren't
//! symbolic links, so nothing outside of it can be written to. A directory of another user belongs to root
//! while something is restored into it, so that the user can't replace what a name stands for; it gets its
//! owner back at the end.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use keepfast_format::node::Node;
use keepfast_format::snapshot::Snapshot;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64;

use super::conflict::Watch;
use super::denied::Denied;
use super::folders::{DirectoryNumber, Folders, Identity, ROOT};
use super::temporary::TemporaryNames;
use super::{Overwrite, Reach, RestoreOptions, RestoreReport, as_path, mounts};
use crate::error::{EngineError, Result};
use crate::fs::apply::{self, Foreign};
use crate::fs::compare::Owner;
use crate::fs::{dir, meta, privileges};
use crate::run::{Event, Host, RunContext, Troubles};

/// The target and what has been done in it.
pub struct Target<'a> {
    pub(super) options: &'a RestoreOptions,
    /// What is done to files that are there.
    pub(super) overwrite: Overwrite,
    pub(super) folders: Folders,
    pub(super) directories: Vec<Directory>,
    pub(super) temporary: TemporaryNames,
    /// Whether the target's file system can make files without a name; `false` once it has refused.
    pub(super) makes_nameless: AtomicBool,
    pub(super) counts: Counts,
    /// Whether the target exists. In a dry run it need not.
    is_there: bool,
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
    /// Who hears of conflicts.
    pub(super) watch: Option<Watch<'a>>,
    firsts: Mutex<HashMap<LinkGroup, First>>,
    /// Hashes of the paths of entries that were reported: what is read back reports none of them again.
    reported: Mutex<HashSet<u64>>,
}

/// A directory that is restored into, or may be.
#[derive(Default)]
pub struct Directory {
    /// The metadata that it gets at the end; `None` for a target that was there before.
    pub(super) node: Option<Node>,
    /// Whether it is there.
    pub(super) made: bool,
    /// In a dry run: whether it isn't there, and so nothing is in it.
    pub(super) absent: bool,
    /// Whether this restore has made it, so that all in it is of this restore.
    pub(super) fresh: bool,
    /// Whether what is made in it inherits an access list.
    pub(super) hands_down: bool,
    /// Whether it or one above it is on another file system than the target.
    pub(super) on_other_file_system: bool,
    /// Its owner and mode before it was taken over.
    before: Option<FormerOwner>,
    /// Whether it doesn't distinguish upper and lower case.
    pub(super) ignores_case: OnceLock<bool>,
}

struct FormerOwner {
    uid: u32,
    mode: u32,
}

/// Names of one file in a snapshot, by the group's place in the snapshot's list of hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinkGroup(pub usize);

/// The first name of a file with several.
#[derive(Clone)]
pub struct First {
    /// Its directory's number.
    pub directory: DirectoryNumber,
    /// Its name there.
    pub name: Vec<u8>,
    /// Which file it is; none in a dry run.
    pub identity: Option<Identity>,
}

#[derive(Default)]
pub struct Counts {
    pub(super) files: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) hard_links: AtomicU64,
    pub(super) unchanged: AtomicU64,
    pub(super) corrected: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) privileges_dropped: AtomicU64,
    pub(super) devices_left_out: AtomicU64,
}

impl<'a> Target<'a> {
    /// Opens the target. One that isn't there is made, and becomes what `folder` was.
    pub fn open(
        options: &'a RestoreOptions,
        snapshot: &Snapshot,
        folder: Option<Node>,
        watch: Option<Watch<'a>>,
        host: &dyn Host,
    ) -> Result<Self> {
        let Root { handle: root, existed } = open_root(options)?;
        let here = |names: &[(u32, Vec<u8>)], id: &dyn Fn(&[u8]) -> Option<u32>| -> HashMap<u32, u32> {
            if options.numeric_owners {
                return HashMap::new();
            }
            names.iter().filter_map(|(there, name)| id(name).map(|here| (*there, here))).collect()
        };
        let is_empty = options.overwrite == Overwrite::Refuse && !options.resume;
        let own = Directory {
            node: folder.filter(|_| !existed),
            made: true,
            absent: root.is_none(),
            fresh: is_empty || !existed,
            ..Directory::default()
        };
        let mut target = Self {
            options,
            overwrite: options.overwrite_files(),
            folders: Folders::new(root.clone()),
            directories: vec![own],
            temporary: TemporaryNames::new()?,
            makes_nameless: AtomicBool::new(true),
            counts: Counts::default(),
            is_there: root.is_some(),
            users: here(&snapshot.body.users, &|name| host.user_id(name)),
            groups: here(&snapshot.body.groups, &|name| host.group_id(name)),
            watch,
            firsts: Mutex::default(),
            reported: Mutex::default(),
        };
        if let Some(root) = root.filter(|_| !options.dry_run) {
            target.take_over(ROOT, root.as_fd()).map_err(EngineError::file(&options.target))?;
        }
        Ok(target)
    }

    /// The whole path of an entry, for messages.
    pub fn whole_path(&self, directory: DirectoryNumber, name: &[u8]) -> PathBuf {
        self.options.target.join(as_path(&self.folders.path_of(directory, name)))
    }

    /// The whole path of a directory, for messages.
    pub fn whole_path_of(&self, directory: DirectoryNumber) -> PathBuf {
        self.options.target.join(as_path(&self.folders.path(directory)))
    }

    /// Begins a directory and returns its number; none if there is something else in its place.
    /// One that may turn out to have nothing picked in it is only made once something is.
    pub fn directory(
        &mut self,
        above: DirectoryNumber,
        mut node: Node,
        make: bool,
        run: &RunContext,
    ) -> Result<Option<DirectoryNumber>> {
        let name = std::mem::take(&mut node.name);
        let made = self.folders.add(above, &name).map_err(Denied::from).and_then(|number| {
            self.directories.push(Directory { node: Some(node), ..Directory::default() });
            let made = if make { self.make(number) } else { Ok(()) };
            made.map(|()| number).inspect_err(|_| {
                self.folders.remove_last();
                self.directories.pop();
            })
        });
        match made {
            Ok(number) => Ok(Some(number)),
            Err(denied) => self.fatal_or_skip(above, &name, denied, run).map(|()| None),
        }
    }

    /// Makes a directory and those above it.
    pub fn make(&mut self, number: DirectoryNumber) -> Result<(), Denied> {
        let mut way = Vec::new();
        let mut at = number;
        while !self.directories[at.0].made {
            way.push(at);
            at = self.folders.above(at);
        }
        way.into_iter().rev().try_for_each(|number| self.make_one(number))
    }

    fn make_one(&mut self, number: DirectoryNumber) -> Result<(), Denied> {
        let above = self.folders.above(number);
        if self.options.dry_run {
            return self.look_for_existing(number, above);
        }
        let handle = self.folders.handle(above)?;
        let name = self.folders.name(number);
        let mut fresh = true;
        match rustix::fs::mkdirat(&*handle, name, Mode::RWXU) {
            Err(Errno::EXIST) if self.directories[above.0].fresh => return Err(Denied::ONE_NAME),
            Err(Errno::EXIST) if self.overwrite != Overwrite::Refuse => {
                let stat = meta::stat(handle.as_fd(), name)?;
                fresh = meta::file_type(&stat) != FileType::Directory;
                if fresh && self.overwrite == Overwrite::Never {
                    return Err(Errno::EXIST.into());
                } else if fresh {
                    rustix::fs::unlinkat(&*handle, name, AtFlags::empty())?;
                    rustix::fs::mkdirat(&*handle, name, Mode::RWXU)?;
                }
            }
            other => other?,
        }
        let opened = self.folders.handle(number)?;
        self.directories[number.0].fresh = fresh;
        self.directories[number.0].on_other_file_system = self.directories[above.0].on_other_file_system;
        if !fresh {
            self.take_over(number, opened.as_fd())?;
        } else if self.directories[above.0].hands_down {
            apply::disinherit(opened.as_fd())?;
        }
        self.directories[number.0].made = true;
        Ok(())
    }

    /// In a dry run: whether a directory is there.
    fn look_for_existing(&mut self, number: DirectoryNumber, above: DirectoryNumber) -> Result<(), Denied> {
        let mut absent = self.directories[above.0].absent;
        if !absent {
            match self.folders.handle(number) {
                Ok(handle) => {
                    self.directories[number.0].on_other_file_system =
                        self.is_on_other_file_system(number, handle.as_fd())
                }
                Err(Denied::System(Errno::NOTDIR | Errno::LOOP)) => {
                    self.watch_directory(number, above);
                    if self.overwrite == Overwrite::Never {
                        return Err(Errno::EXIST.into());
                    }
                    absent = true;
                }
                Err(_) => absent = true,
            }
        }
        self.directories[number.0].absent = absent;
        self.directories[number.0].made = true;
        Ok(())
    }

    /// Looks at a directory that was there before, and takes it over.
    fn take_over(&mut self, number: DirectoryNumber, handle: BorrowedFd<'_>) -> Result<(), Denied> {
        self.directories[number.0].hands_down = apply::hands_down(handle);
        self.directories[number.0].on_other_file_system = self.is_on_other_file_system(number, handle);
        if number == ROOT && self.directories[ROOT.0].node.is_some() && self.directories[ROOT.0].hands_down {
            apply::disinherit(handle)?;
            self.directories[ROOT.0].hands_down = false;
        }
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let stat = rustix::fs::fstat(handle)?;
        let (is_ours, is_sticky) = (stat.st_uid == 0, stat.st_mode & 0o1000 != 0);
        // In a sticky directory of ours, others can't touch what is ours.
        if is_ours && (is_sticky || stat.st_mode & 0o022 == 0) {
            return Ok(());
        }
        let before = FormerOwner { uid: stat.st_uid, mode: stat.st_mode & 0o7777 };
        // Users that may read it can still do so meanwhile.
        let mode = Mode::from_raw_mode((before.mode & 0o7755) | 0o700);
        // This fails on a file system without owners: then the restore goes on without it.
        if rustix::fs::fchown(handle, Some(Uid::ROOT), None::<Gid>).is_ok() {
            self.directories[number.0].before = Some(before);
            rustix::fs::fchmod(handle, mode)?;
        }
        Ok(())
    }

    fn is_on_other_file_system(&self, number: DirectoryNumber, handle: BorrowedFd<'_>) -> bool {
        if number == ROOT || !self.options.delete {
            return false;
        }
        let above = self.folders.above(number);
        self.directories[above.0].on_other_file_system
            || self.folders.handle(above).is_ok_and(|above| mounts::differ(above.as_fd(), handle))
    }

    /// The handle of a directory that is there.
    pub fn handle(&self, number: DirectoryNumber) -> Result<Arc<OwnedFd>, Denied> {
        self.folders.handle(number)
    }

    /// Whether an entry that is there may be replaced in this directory. What is in a directory that
    /// this restore has made is of this restore.
    pub(super) fn replaces(&self, directory: DirectoryNumber) -> bool {
        matches!(self.overwrite, Overwrite::Always | Overwrite::IfChanged)
            && !self.directories[directory.0].fresh
    }

    /// What new entries of a directory may have inherited from it.
    pub(super) fn foreign_in(&self, directory: DirectoryNumber) -> Foreign {
        if self.directories[directory.0].hands_down { Foreign::AccessList } else { Foreign::Nothing }
    }

    /// An entry as it is to be: without privileges, if none are to be restored.
    pub fn given<'n>(&self, node: &'n Node) -> Cow<'n, Node> {
        if !self.options.no_privileges {
            return Cow::Borrowed(node);
        }
        let mut given = node.clone();
        privileges::take_from(&mut given);
        Cow::Owned(given)
    }

    /// As [`Target::given`], and counts what has been taken from it.
    pub(super) fn give<'n>(&self, node: &'n Node) -> Cow<'n, Node> {
        let given = self.given(node);
        self.count_dropped(node, &given);
        given
    }

    /// Counts an entry that is given less than it had.
    pub(super) fn count_dropped(&self, node: &Node, given: &Node) {
        if given.mode != node.mode || given.xattrs.len() != node.xattrs.len() {
            self.counts.privileges_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The owner that an entry gets.
    pub fn owner(&self, node: &Node) -> Owner {
        Owner {
            uid: self.users.get(&node.uid).copied().unwrap_or(node.uid),
            gid: self.groups.get(&node.gid).copied().unwrap_or(node.gid),
        }
    }

    /// The first name of a group of links, if it is in the target.
    pub fn first(&self, group: LinkGroup) -> Option<First> {
        self.firsts().get(&group).cloned()
    }

    /// Records the first name of a group of links.
    pub(super) fn set_first_name(&self, group: LinkGroup, first: First) {
        self.firsts().entry(group).or_insert(first);
    }

    fn firsts(&self) -> MutexGuard<'_, HashMap<LinkGroup, First>> {
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is in this directory that was there before.
    pub(super) fn has_others(&self, directory: DirectoryNumber) -> bool {
        let directory = &self.directories[directory.0];
        self.is_there && directory.made && !directory.fresh && !directory.absent
    }

    /// Reports a directory whose listing can't be read in full.
    pub fn unreadable(&self, number: DirectoryNumber, error: &EngineError, run: &RunContext) {
        self.tell_of(self.whole_path_of(number), format!("not all of it can be restored: {error}"), run);
    }

    /// Counts a device that isn't restored, as asked for.
    pub fn count_device_left_out(&self) {
        self.counts.devices_left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a regular file.
    pub fn count_file(&self, bytes: u64) {
        self.counts.files.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Reports an entry that isn't restored, or not in full.
    pub fn skipped(&self, directory: DirectoryNumber, name: &[u8], why: String, run: &RunContext) {
        self.tell_of(self.whole_path(directory, name), why, run);
    }

    fn tell_of(&self, path: PathBuf, why: String, run: &RunContext) {
        self.reported().insert(xxh3_64(path.as_os_str().as_bytes()));
        run.tell(&Event::Skipped { path, why });
    }

    /// Whether an entry was reported while it was restored.
    pub fn was_reported(&self, path: &Path) -> bool {
        self.reported().contains(&xxh3_64(path.as_os_str().as_bytes()))
    }

    fn reported(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Target::skipped`], unless nothing else will work either.
    pub(super) fn fatal_or_skip(
        &self,
        directory: DirectoryNumber,
        name: &[u8],
        denied: Denied,
        run: &RunContext,
    ) -> Result<()> {
        if denied.is_fatal() {
            return Err(EngineError::file(self.whole_path(directory, name))(denied));
        }
        self.skipped(directory, name, denied.why(), run);
        Ok(())
    }

    /// Gives the directories their metadata, the deepest first. Returns how many there are.
    pub fn finish(&mut self, run: &RunContext) -> u64 {
        let mut dirs = 0;
        for number in self.deepest_first() {
            let directory = &self.directories[number.0];
            let Some(node) = directory.node.as_ref().filter(|_| directory.made) else {
                self.give_back(number);
                continue;
            };
            dirs += u64::from(number != ROOT);
            if self.options.dry_run {
                continue;
            }
            let foreign =
                if directory.fresh && number != ROOT { Foreign::Nothing } else { Foreign::Attributes };
            let problems = self.handle(number).map_or_else(
                |denied| vec![denied.why()],
                |handle| {
                    apply::apply_to_open(handle.as_fd(), &self.give(node), self.owner(node), foreign, None)
                },
            );
            for why in problems {
                self.tell_of(self.whole_path_of(number), why, run);
            }
        }
        dirs
    }

    /// Gives all directories that were taken over their owners back: the restore has failed.
    pub fn abandon(&mut self) {
        self.deepest_first().for_each(|number| self.give_back(number));
    }

    /// The numbers of all directories, so that each comes before the one that it is in.
    fn deepest_first(&self) -> impl Iterator<Item = DirectoryNumber> + use<> {
        (0..self.directories.len()).rev().map(DirectoryNumber)
    }

    fn give_back(&self, number: DirectoryNumber) {
        let Some(before) = &self.directories[number.0].before else { return };
        if let Ok(handle) = self.handle(number) {
            // It was possible when the directory was taken over. If it isn't now, nothing else can be done.
            let _ = rustix::fs::fchown(&*handle, Some(Uid::from_raw(before.uid)), None::<Gid>);
            let _ = rustix::fs::fchmod(&*handle, Mode::from_raw_mode(before.mode));
        }
    }

    /// The report of all that was done in the target.
    pub fn report(self, dirs: u64) -> RestoreReport {
        let counts = self.counts;
        RestoreReport {
            troubles: Troubles::default(),
            files: counts.files.into_inner(),
            dirs,
            others: counts.others.into_inner(),
            hard_links: counts.hard_links.into_inner(),
            unchanged: counts.unchanged.into_inner(),
            corrected: counts.corrected.into_inner(),
            deleted: counts.deleted.into_inner(),
            privileges_dropped: counts.privileges_dropped.into_inner(),
            devices_left_out: counts.devices_left_out.into_inner(),
            bytes: counts.bytes.into_inner(),
            verified: 0,
        }
    }
}

/// The target, opened.
struct Root {
    /// `None` in a dry run, if there is no target.
    handle: Option<Arc<OwnedFd>>,
    /// Whether the target was there before this restore.
    existed: bool,
}

fn open_root(options: &RestoreOptions) -> Result<Root> {
    let target = &options.target;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(CWD, target, flags, Mode::empty());
    let (root, existed) = match &options.reach {
        Reach::Open { handle: Some(handle), is_new } => (Arc::clone(handle), !is_new),
        Reach::Open { handle: None, .. } => return Ok(Root { handle: None, existed: false }),
        Reach::ByPath => {
            let (root, existed) = match open() {
                Err(Errno::NOENT) if options.dry_run => return Ok(Root { handle: None, existed: false }),
                Err(Errno::NOENT) => {
                    std::fs::create_dir_all(target).map_err(EngineError::file(target))?;
                    (open(), false)
                }
                other => (other, true),
            };
            (Arc::new(root.map_err(EngineError::file(target))?), existed)
        }
    };
    if options.overwrite == Overwrite::Refuse && !options.resume {
        let names = dir::list(&root).map_err(EngineError::file(target))?;
        if !names.is_empty() {
            return Err(EngineError::TargetNotEmpty { target: target.clone() });
        }
    }
    if options.delete && options.restores_all() {
        let top = rustix::fs::stat("/").map_err(EngineError::file("/"))?;
        if Identity::of_open(&root).map_err(EngineError::file(target))? == Identity::of(&top) {
            return Err(EngineError::DeletesFromTop);
        }
    }
    Ok(Root { handle: Some(root), existed })
}
