//! Making what is in the directories of a target: files, which get their names when they are
//! complete, links, fifos, sockets and devices.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use keepfast_format::node::{Node, NodeKind};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::Overwrite;
use super::denied::Denied;
use super::folders::{DirectoryNumber, Identity};
use super::plan::{FilePlan, FileState};
use super::target::{First, LinkGroup, Target};
use super::temporary::Temporary;
use crate::error::Result;
use crate::fs::apply::{self, Unopened};
use crate::fs::{compare, meta};
use crate::run::RunContext;

/// A name is drawn again this often, if it is taken.
const DRAWS_MAX: usize = 100;

/// What is to happen to an entry of the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is written.
    Write,
    /// It is there already, as it is to be.
    Keep(Identity),
    /// What is there is left alone.
    Leave,
    /// It can't be written; an event has said so.
    Failed,
}

/// A link, fifo, socket or device that was made.
#[derive(Debug, Default)]
struct Special {
    /// Which entry it is; `None` in a dry run.
    identity: Option<Identity>,
    /// Which metadata it couldn't be given.
    problems: Vec<String>,
}

/// The outcome of making a further name of a file.
#[derive(Debug)]
pub enum Linked {
    /// It is made, or it can't be restored and an event has said so.
    Done,
    /// Files can't have two names there, or not these two.
    Impossible(String),
}

impl Target<'_> {
    /// Whether an entry is to be written. One that is kept gets the metadata that it lacks.
    pub fn action_for(&mut self, above: DirectoryNumber, node: &Node, run: &RunContext) -> Result<Action> {
        let action = self.make(above).and_then(|()| self.look(above, node, run));
        match action {
            Ok(action) => Ok(action),
            Err(denied) => self.fatal_or_skip(above, &node.name, denied, run).map(|()| Action::Failed),
        }
    }

    /// Makes the directory of an entry. Returns whether it could.
    pub fn make_directory_of(
        &mut self,
        above: DirectoryNumber,
        name: &[u8],
        run: &RunContext,
    ) -> Result<bool> {
        match self.make(above) {
            Ok(()) => Ok(true),
            Err(denied) => self.fatal_or_skip(above, name, denied, run).map(|()| false),
        }
    }

    fn look(&self, above: DirectoryNumber, node: &Node, run: &RunContext) -> Result<Action, Denied> {
        if !self.has_others(above) || self.overwrite == Overwrite::Refuse {
            return Ok(Action::Write);
        }
        let handle = self.handle(above)?;
        let name = c_name(&node.name)?;
        let stat = match meta::stat(handle.as_fd(), &name) {
            Err(Errno::NOENT) => return Ok(Action::Write),
            other => other?,
        };
        self.watch_entry(above, node);
        if self.overwrite == Overwrite::Never {
            self.counts.unchanged.fetch_add(1, Ordering::Relaxed);
            return Ok(Action::Leave);
        }
        if self.overwrite == Overwrite::IfChanged && is_same(&stat, node) {
            return self.keep(above, &handle, &name, &stat, node, run);
        }
        // It is replaced when what replaces it is complete, and not before.
        if meta::file_type(&stat) == FileType::Directory { Err(Denied::DIRECTORY) } else { Ok(Action::Write) }
    }

    /// A file whose content is taken to be right.
    fn keep(
        &self,
        above: DirectoryNumber,
        directory: &OwnedFd,
        name: &CStr,
        seen: &Stat,
        node: &Node,
        run: &RunContext,
    ) -> Result<Action, Denied> {
        let identity = Identity::of(seen);
        let (given, owner) = (self.given(node), self.owner(node));
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
            Ok(file) => file,
            // A file that can't be opened can't be compared, so it is written again.
            Err(Errno::ACCESS) => return Ok(Action::Write),
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&file)?;
        if Identity::of(&stat) != identity {
            return Err(Denied::REPLACED);
        }
        let privileged = rustix::process::geteuid().is_root();
        // A file with other names may be one of another user, to which a link was made here.
        let has_other_names = stat.st_nlink > 1;
        if self.options.dry_run || has_other_names {
            // A file whose attributes can't be read can't be compared, so it is written again.
            let is_right = meta::xattrs_of(&file).all().is_ok_and(|xattrs| {
                compare::differences(&stat, &xattrs, &given, owner, privileged).is_empty()
            });
            if !is_right && has_other_names {
                return Ok(Action::Write);
            }
            let count = if is_right { &self.counts.unchanged } else { &self.counts.corrected };
            count.fetch_add(1, Ordering::Relaxed);
            return Ok(Action::Keep(identity));
        }
        let corrected = apply::put_right(file.as_fd(), &stat, &given, owner);
        let count = if corrected.anything { &self.counts.corrected } else { &self.counts.unchanged };
        count.fetch_add(1, Ordering::Relaxed);
        for problem in corrected.problems {
            self.skipped(above, &node.name, problem, run);
        }
        Ok(Action::Keep(identity))
    }

    /// Makes a file under a name that says that it isn't complete.
    pub fn create_file(&self, directory: DirectoryNumber) -> Result<(OwnedFd, Temporary), Denied> {
        let handle = self.handle(directory)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (made, temporary) = self.under_temporary_name(|name| {
            rustix::fs::openat(&*handle, name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        Ok((made, temporary))
    }

    /// Makes a file that has no name yet. `None` where it couldn't be given one later, or where it may have to
    /// replace something.
    pub fn create_nameless(&self, file: &FilePlan) -> Result<Option<OwnedFd>, Denied> {
        if self.replaces(file.directory) || !self.makes_nameless.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let handle = self.handle(file.directory)?;
        // With its final mode at once: no other process can open it before it has a name.
        let mode = Mode::from_raw_mode(u32::from(file.node.mode) & 0o777);
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&*handle, c".", flags, mode);
        if let Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS | Errno::NOENT) = made {
            self.makes_nameless.store(false, Ordering::Relaxed);
        }
        // After any other error the file is made with a name, which fails with the same error.
        Ok(made.ok())
    }

    /// Gives a complete file that has no name its metadata and its name. Returns which metadata couldn't be
    /// given; `None` if it couldn't get its name.
    pub fn complete_nameless(
        &self,
        file: &FilePlan,
        handle: &OwnedFd,
    ) -> Result<Option<Vec<String>>, Denied> {
        let node = &file.node;
        let given = self.given(node);
        let stat = rustix::fs::fstat(handle)?;
        let (owner, foreign) = (self.owner(node), self.foreign_in(file.directory));
        let problems = apply::apply_to_open(handle.as_fd(), &given, owner, foreign, Some(&stat));
        let directory = self.handle(file.directory)?;
        match rustix::fs::linkat(handle, c"", &*directory, node.name.as_slice(), AtFlags::EMPTY_PATH) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(self.in_the_way(file.directory)),
            Err(error) => {
                // Not permitted, in most cases; older kernels let only root do that.
                if matches!(
                    error,
                    Errno::NOENT | Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::XDEV
                ) {
                    self.makes_nameless.store(false, Ordering::Relaxed);
                }
                return Ok(None);
            }
        }
        self.count_dropped(node, &given);
        self.record_first(file, &stat);
        Ok(Some(problems))
    }

    /// Says that a file is the first name of its group of links.
    fn record_first(&self, file: &FilePlan, stat: &Stat) {
        if let Some(group) = file.group {
            let identity = Some(Identity::of(stat));
            self.set_first_name(
                group,
                First { directory: file.directory, name: file.node.name.clone(), identity },
            );
        }
    }

    fn under_temporary_name<T>(
        &self,
        make: impl Fn(&CStr) -> Result<T, Errno>,
    ) -> Result<(T, Temporary), Errno> {
        let mut draws = 0;
        loop {
            let temporary = self.temporary.draw();
            match make(&self.temporary.name(temporary)) {
                Err(Errno::EXIST) if draws < DRAWS_MAX => draws += 1,
                other => return other.map(|made| (made, temporary)),
            }
        }
    }

    /// Opens a file that was made and isn't complete.
    pub fn reopen_file(
        &self,
        directory: DirectoryNumber,
        temporary: Temporary,
        identity: Option<Identity>,
    ) -> Result<OwnedFd, Denied> {
        let handle = self.handle(directory)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = self.temporary.name(temporary);
        let file = rustix::fs::openat(&*handle, &name, flags, Mode::empty())?;
        if identity == Some(Identity::of_open(&file)?) { Ok(file) } else { Err(Denied::REPLACED) }
    }

    /// Gives a complete file its metadata and its name. Returns what couldn't be given.
    pub fn complete_file(
        &self,
        file: &FilePlan,
        handle: &OwnedFd,
        temporary: Temporary,
    ) -> Result<Vec<String>, Denied> {
        let node = &file.node;
        let stat = rustix::fs::fstat(handle)?;
        let (owner, foreign) = (self.owner(node), self.foreign_in(file.directory));
        let problems = apply::apply_to_open(handle.as_fd(), &self.give(node), owner, foreign, Some(&stat));
        let directory = self.handle(file.directory)?;
        self.place(file.directory, &directory, temporary, &node.name)?;
        self.record_first(file, &stat);
        Ok(problems)
    }

    /// Gives what is complete its name.
    fn place(
        &self,
        number: DirectoryNumber,
        directory: &OwnedFd,
        temporary: Temporary,
        name: &[u8],
    ) -> Result<(), Denied> {
        let temporary = self.temporary.name(temporary);
        if self.replaces(number) {
            return rustix::fs::renameat(directory, &temporary, directory, name).map_err(
                |error| match error {
                    Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => Denied::DIRECTORY,
                    other => other.into(),
                },
            );
        }
        let flags = RenameFlags::NOREPLACE;
        let placed = match rustix::fs::renameat_with(directory, &temporary, directory, name, flags) {
            // A file system that can't rename without replacing.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => place_by_link(directory, &temporary, name),
            other => other,
        };
        placed.map_err(|error| if error == Errno::EXIST { self.in_the_way(number) } else { error.into() })
    }

    fn in_the_way(&self, directory: DirectoryNumber) -> Denied {
        if self.directories[directory.0].fresh { Denied::ONE_NAME } else { Denied::IN_THE_WAY }
    }

    /// Removes what has been written of a file that won't be complete.
    pub fn discard(&self, directory: DirectoryNumber, state: &mut FileState) {
        state.handle = None;
        let Some(temporary) = state.temporary.take() else { return };
        if let Ok(handle) = self.handle(directory) {
            // If this fails too, a restore that resumes this one removes it.
            let _ = rustix::fs::unlinkat(&*handle, self.temporary.name(temporary), AtFlags::empty());
        }
    }

    /// Makes a link, fifo, socket or device.
    pub fn special(
        &self,
        above: DirectoryNumber,
        node: &Node,
        group: Option<LinkGroup>,
        run: &RunContext,
    ) -> Result<()> {
        let made = if self.options.dry_run { Ok(Special::default()) } else { self.make_special(above, node) };
        match made {
            Ok(Special { identity, problems }) => {
                self.counts.others.fetch_add(1, Ordering::Relaxed);
                if let Some(group) = group {
                    self.set_first_name(group, First { directory: above, name: node.name.clone(), identity });
                }
                for problem in problems {
                    self.skipped(above, &node.name, problem, run);
                }
                Ok(())
            }
            Err(denied) => self.fatal_or_skip(above, &node.name, denied, run),
        }
    }

    fn make_special(&self, above: DirectoryNumber, node: &Node) -> Result<Special, Denied> {
        let directory = self.handle(above)?;
        let name = c_name(&node.name)?;
        match create_special(&directory, &name, node) {
            Ok(()) => self.apply_to_special(above, &directory, &name, node),
            Err(Errno::EXIST) if self.replaces(above) => {
                let ((), temporary) =
                    self.under_temporary_name(|name| create_special(&directory, name, node))?;
                let temporary_name = self.temporary.name(temporary);
                let done =
                    self.apply_to_special(above, &directory, &temporary_name, node).and_then(|applied| {
                        self.place(above, &directory, temporary, &node.name).map(|()| applied)
                    });
                done.inspect_err(|_| {
                    let _ = rustix::fs::unlinkat(&*directory, &temporary_name, AtFlags::empty());
                })
            }
            Err(Errno::EXIST) => Err(self.in_the_way(above)),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what was just made under a name its metadata.
    fn apply_to_special(
        &self,
        above: DirectoryNumber,
        directory: &OwnedFd,
        name: &CStr,
        node: &Node,
    ) -> Result<Special, Denied> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&entry)?;
        let is_it = meta::file_type(&stat) == compare::type_of(node)
            && stat.st_nlink <= 1
            && (compare::device_of(node) == 0 || stat.st_rdev == compare::device_of(node));
        if !is_it {
            return Err(Denied::REPLACED);
        }
        let made = Unopened {
            entry: entry.as_fd(),
            stat: &stat,
            directory: directory.as_fd(),
            name,
            directory_is_ours: self.directories[above.0].fresh,
        };
        let foreign = self.foreign_in(above);
        let problems = apply::apply_to_unopened(&made, &self.give(node), self.owner(node), foreign);
        Ok(Special { identity: Some(Identity::of(&stat)), problems })
    }

    /// Makes a further name of a file that is restored.
    pub fn link(
        &self,
        first: &First,
        above: DirectoryNumber,
        name: &[u8],
        run: &RunContext,
    ) -> Result<Linked> {
        let linked = if self.options.dry_run { Ok(()) } else { self.make_link(first, above, name) };
        let shown = || {
            let path = self.folders.path_of(first.directory, &first.name);
            super::as_path(&path).display().to_string()
        };
        match linked {
            Ok(()) => drop(self.counts.hard_links.fetch_add(1, Ordering::Relaxed)),
            Err(Denied::System(
                error @ (Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS),
            )) => {
                let why = format!("it can't be linked to {}: {}", shown(), std::io::Error::from(error));
                return Ok(Linked::Impossible(why));
            }
            Err(denied) if denied.is_fatal() => self.fatal_or_skip(above, name, denied, run)?,
            Err(denied) => {
                let why = format!("it can't be linked to {}: {}", shown(), denied.why());
                self.skipped(above, name, why, run);
            }
        }
        Ok(Linked::Done)
    }

    fn make_link(&self, first: &First, above: DirectoryNumber, name: &[u8]) -> Result<(), Denied> {
        let from = self.handle(first.directory)?;
        let to = self.handle(above)?;
        let to_name = c_name(name)?;
        let link =
            |name: &CStr| rustix::fs::linkat(&*from, first.name.as_slice(), &*to, name, AtFlags::empty());
        let is_it = |name: &CStr| {
            let stat = meta::stat(to.as_fd(), name)?;
            Ok::<_, Errno>(Some(Identity::of(&stat)) == first.identity)
        };
        let remove = |name: &CStr| {
            let _ = rustix::fs::unlinkat(&*to, name, AtFlags::empty());
        };
        match link(&to_name) {
            Ok(()) if is_it(&to_name)? => Ok(()),
            Ok(()) => {
                remove(&to_name);
                Err(Denied::REPLACED)
            }
            Err(Errno::EXIST) if self.replaces(above) => {
                if is_it(&to_name)? {
                    return Ok(());
                }
                let ((), temporary) = self.under_temporary_name(link)?;
                let temporary_name = self.temporary.name(temporary);
                let placed = match is_it(&temporary_name) {
                    Ok(true) => self.place(above, &to, temporary, name),
                    Ok(false) => Err(Denied::REPLACED),
                    Err(error) => Err(error.into()),
                };
                placed.inspect_err(|_| remove(&temporary_name))
            }
            Err(Errno::EXIST) => Err(self.in_the_way(above)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a directory doesn't distinguish upper and lower case.
    pub fn ignores_case(&mut self, number: DirectoryNumber) -> bool {
        if self.options.dry_run || self.make(number).is_err() {
            return false;
        }
        let probe = || -> Result<bool, Denied> {
            let handle = self.handle(number)?;
            let (file, temporary) = self.create_file(number)?;
            let name = self.temporary.name(temporary);
            let other = CString::new(name.to_bytes().to_ascii_uppercase()).unwrap_or_default();
            let found = meta::stat(handle.as_fd(), &other);
            let is_one = found.is_ok_and(|stat| Ok(Identity::of(&stat)) == Identity::of_open(&file));
            let _ = rustix::fs::unlinkat(&*handle, &name, AtFlags::empty());
            Ok(is_one)
        };
        // If no file can be made there, no entry can be overwritten either.
        *self.directories[number.0].ignores_case.get_or_init(|| probe().unwrap_or(false))
    }
}

/// Gives a complete file its name where the file system can't rename without replacing.
fn place_by_link(directory: &OwnedFd, temporary: &CStr, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::linkat(directory, temporary, directory, name, AtFlags::empty()) {
        Ok(()) => {
            // Both names are of the complete file; a leftover one is removed by the next restore.
            let _ = rustix::fs::unlinkat(directory, temporary, AtFlags::empty());
            Ok(())
        }
        // A file system without hard links. An entry that is made between the two calls is replaced.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::INVAL) => {
            match meta::stat(directory.as_fd(), &c_name(name)?) {
                Err(Errno::NOENT) => rustix::fs::renameat(directory, temporary, directory, name),
                Ok(_) => Err(Errno::EXIST),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

fn create_special(directory: &OwnedFd, name: &CStr, node: &Node) -> Result<(), Errno> {
    if let NodeKind::Symlink { target } = &node.kind {
        return rustix::fs::symlinkat(target.as_slice(), directory, name);
    }
    let kind = compare::type_of(node);
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::INVAL);
    }
    // With the mode that it is to have, so that it mostly needs no change.
    let mode = Mode::from_raw_mode(u32::from(node.mode) & 0o777);
    rustix::fs::mknodat(directory, name, kind, mode, compare::device_of(node))
}

fn is_same(stat: &Stat, node: &Node) -> bool {
    match (&node.kind, meta::file_type(stat)) {
        (NodeKind::File { size, .. }, FileType::RegularFile) => {
            u64::try_from(stat.st_size) == Ok(*size) && node.mtime == meta::mtime(stat)
        }
        _ => false,
    }
}

fn c_name(name: &[u8]) -> Result<CString, Errno> {
    CString::new(name).map_err(|_| Errno::INVAL)
}
