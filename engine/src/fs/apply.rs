//! Gives restored entries their metadata. After that an entry has what its node says and nothing else, or a
//! problem says what is missing.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use keepfast_format::node::{Node, NodeKind, Timestamp, Xattr};
use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::compare::Owner;
use super::{compare, meta, relative};

/// What new entries of a directory inherit, as the kernel keeps it.
const DEFAULT_ACCESS_LIST: &CStr = c"system.posix_acl_default";
const ACCESS_LISTS: [&CStr; 2] = [c"system.posix_acl_access", DEFAULT_ACCESS_LIST];

/// What an entry may have that its node doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Nothing: it was made in a directory from which it inherits nothing.
    Nothing,
    /// An access list that it has inherited.
    AccessList,
    /// Any attribute: it was there before.
    Attributes,
}

/// Whether new entries of a directory inherit an access list.
#[must_use]
pub fn hands_down(directory: BorrowedFd<'_>) -> bool {
    let mut start = [0_u8; 4];
    matches!(rustix::fs::fgetxattr(directory, DEFAULT_ACCESS_LIST, &mut start), Ok(_) | Err(Errno::RANGE))
}

/// Removes the access lists that a new directory has inherited, so that its entries don't inherit them.
pub fn disinherit(directory: BorrowedFd<'_>) -> Result<(), Errno> {
    ACCESS_LISTS.into_iter().try_for_each(|name| removed(rustix::fs::fremovexattr(directory, name)))
}

/// Gives an open file or directory its owner, attributes, mode and times, in an order in which no step undoes
/// another. What `seen` shows to be right already isn't set again. Returns what couldn't be set.
pub fn apply_to_open(
    file: BorrowedFd<'_>,
    node: &Node,
    owner: Owner,
    foreign: Foreign,
    seen: Option<&Stat>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let was_owned = seen.is_some_and(|stat| Owner::of(stat) == owner);
    let chowned = if was_owned { Ok(()) } else { rustix::fs::fchown(file, uid(owner), gid(owner)) };
    let owned = chowned.is_ok();
    note(&mut problems, "owner", allow_unprivileged(chowned));
    let by_handle = Attributes {
        set: &|name, value| rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
        remove: &|name| rustix::fs::fremovexattr(file, name),
    };
    match foreign {
        Foreign::Attributes => {
            let found = meta::xattrs_of(file);
            problems.extend(found.missed);
            by_handle.make_right(&mut problems, &found.read, node);
        }
        Foreign::AccessList => by_handle.give_without_access_list(&mut problems, node),
        Foreign::Nothing => by_handle.give(&mut problems, &node.xattrs),
    }
    let mode = mode_to_give(&mut problems, node, owned);
    // Attributes may have changed the mode. A new owner only clears setuid and setgid, which a new file hasn't
    // got yet.
    let is_right = foreign == Foreign::Nothing
        && node.xattrs.is_empty()
        && seen.is_some_and(|stat| u32::from(meta::permissions(stat)) == mode.as_raw_mode())
        && (was_owned || mode.as_raw_mode() & 0o6000 == 0);
    if !is_right {
        note(&mut problems, "mode", rustix::fs::fchmod(file, mode));
    }
    note(&mut problems, "times", rustix::fs::futimens(file, &times(node.mtime)));
    problems
}

/// What was wrong with the metadata of an entry that was there already.
#[derive(Debug, Default)]
pub struct Corrected {
    /// Whether anything was.
    pub anything: bool,
    /// What couldn't be corrected.
    pub problems: Vec<String>,
}

/// Corrects the owner, attributes and mode of an open file whose content is kept. Changes nothing that is
/// right.
pub fn put_right(file: BorrowedFd<'_>, stat: &Stat, node: &Node, owner: Owner) -> Corrected {
    let (mut problems, mut anything) = (Vec::new(), false);
    let mut owned = Owner::of(stat) == owner;
    let mut mode_is_sure = true;
    if !owned {
        let chowned = rustix::fs::fchown(file, uid(owner), gid(owner));
        owned = chowned.is_ok();
        anything |= owned;
        // It may have cleared setuid and setgid.
        mode_is_sure = false;
        note(&mut problems, "owner", allow_unprivileged(chowned));
    }
    let found = meta::xattrs_of(file);
    problems.extend(found.missed);
    let by_handle = Attributes {
        set: &|name, value| rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()),
        remove: &|name| rustix::fs::fremovexattr(file, name),
    };
    let wrong = by_handle.make_right(&mut problems, &found.read, node);
    anything |= wrong;
    mode_is_sure &= !wrong;
    let mode = mode_to_give(&mut problems, node, owned);
    if !mode_is_sure || mode.as_raw_mode() != u32::from(meta::permissions(stat)) {
        anything |= mode.as_raw_mode() != u32::from(meta::permissions(stat));
        note(&mut problems, "mode", rustix::fs::fchmod(file, mode));
    }
    Corrected { anything: anything || !problems.is_empty(), problems }
}

/// An entry that can't be opened for reading (a link, fifo, socket or device), and was just made.
pub struct Unopened<'d> {
    /// A handle that only identifies the entry.
    pub entry: BorrowedFd<'d>,
    /// What was seen through the handle.
    pub stat: &'d Stat,
    /// Its directory.
    pub directory: BorrowedFd<'d>,
    /// Its name there.
    pub name: &'d CStr,
    /// Whether no one else can change what has a name in this directory.
    pub directory_is_ours: bool,
}

/// As [`apply_to_open`], for an entry that can't be opened.
pub fn apply_to_unopened(made: &Unopened<'_>, node: &Node, owner: Owner, foreign: Foreign) -> Vec<String> {
    let mut problems = Vec::new();
    let chowned = rustix::fs::chownat(made.entry, c"", uid(owner), gid(owner), AtFlags::EMPTY_PATH);
    let owned = chowned.is_ok();
    note(&mut problems, "owner", allow_unprivileged(chowned));
    // Only through /proc can attributes of an entry that can't be opened be reached by handle. Without /proc
    // they are reached by name, if no one else can have put something else in the entry's place.
    let path = format!("/proc/self/fd/{}", made.entry.as_raw_fd());
    let path = path.as_str();
    let by_name = |error: Errno, call: &dyn Fn(&[u8]) -> Result<(), Errno>| match error {
        Errno::NOENT if made.directory_is_ours => relative::at(made.directory, made.name, call),
        error => Err(error),
    };
    let by_path = Attributes {
        set: &|name, value| {
            rustix::fs::setxattr(path, name, value, XattrFlags::empty()).or_else(|error| {
                by_name(error, &|here| rustix::fs::lsetxattr(here, name, value, XattrFlags::empty()))
            })
        },
        remove: &|name| {
            rustix::fs::removexattr(path, name)
                .or_else(|error| by_name(error, &|here| rustix::fs::lremovexattr(here, name)))
        },
    };
    let is_link = matches!(node.kind, NodeKind::Symlink { .. });
    // Links inherit nothing.
    if foreign == Foreign::Nothing || is_link {
        by_path.give(&mut problems, &node.xattrs);
    } else {
        by_path.give_without_access_list(&mut problems, node);
    }
    if !is_link {
        let mode = mode_to_give(&mut problems, node, owned);
        let is_right = foreign == Foreign::Nothing
            && node.xattrs.is_empty()
            && mode.as_raw_mode() == u32::from(meta::permissions(made.stat))
            // A new owner clears these bits.
            && mode.as_raw_mode() & 0o6000 == 0;
        if !is_right {
            note(&mut problems, "mode", change_mode(made, path, mode));
        }
    }
    let set = rustix::fs::utimensat(made.entry, c"", &times(node.mtime), AtFlags::EMPTY_PATH);
    let set = match set {
        // This kernel can't set times by handle. In the worst case another entry gets this time.
        Err(Errno::INVAL | Errno::NOENT) => {
            let nofollow = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(made.directory, made.name, &times(node.mtime), nofollow)
        }
        other => other,
    };
    note(&mut problems, "times", set);
    problems
}

/// Changes a mode by handle through /proc. Without /proc it is changed by name, if the name can't have become
/// a link.
fn change_mode(made: &Unopened<'_>, path: &str, mode: Mode) -> Result<(), Errno> {
    match rustix::fs::chmod(path, mode) {
        Err(Errno::NOENT) if made.directory_is_ours => {
            rustix::fs::chmodat(made.directory, made.name, mode, AtFlags::empty())
        }
        other => other,
    }
}

/// How the attributes of one entry are changed.
struct Attributes<'f> {
    set: &'f dyn Fn(&[u8], &[u8]) -> Result<(), Errno>,
    remove: &'f dyn Fn(&[u8]) -> Result<(), Errno>,
}

impl Attributes<'_> {
    fn give(&self, problems: &mut Vec<String>, xattrs: &[Xattr]) {
        for (name, value) in xattrs {
            note_xattr(problems, name, "set", (self.set)(name, value));
        }
    }

    fn give_without_access_list(&self, problems: &mut Vec<String>, node: &Node) {
        let access_list = ACCESS_LISTS[0].to_bytes();
        if !node.xattrs.iter().any(|(name, _)| name == access_list) {
            note_xattr(problems, access_list, "removed", removed((self.remove)(access_list)));
        }
        self.give(problems, &node.xattrs);
    }

    /// Removes what a node doesn't have, and sets what differs. Returns whether it changed anything.
    fn make_right(&self, problems: &mut Vec<String>, found: &[Xattr], node: &Node) -> bool {
        let mut wrong = false;
        for (name, _) in found.iter().filter(|(name, _)| compare::is_foreign(name, node)) {
            wrong = true;
            note_xattr(problems, name, "removed", removed((self.remove)(name)));
        }
        for xattr in node.xattrs.iter().filter(|xattr| !found.contains(xattr)) {
            wrong = true;
            self.give(problems, std::slice::from_ref(xattr));
        }
        wrong
    }
}

/// An attribute that isn't there, or that the file system doesn't have, counts as removed.
fn removed(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

/// The mode of an entry. If its owner couldn't be set, it gets no bits that lend its owner's rights.
fn mode_to_give(problems: &mut Vec<String>, node: &Node, owned: bool) -> Mode {
    let mode = compare::mode_of(node, owned);
    if mode != node.mode {
        problems.push("its setuid and setgid bits are left out, because its owner can't be set".to_owned());
    }
    Mode::from_raw_mode(mode.into())
}

fn uid(owner: Owner) -> Option<Uid> {
    Some(Uid::from_raw(owner.uid))
}

fn gid(owner: Owner) -> Option<Gid> {
    Some(Gid::from_raw(owner.gid))
}

fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        // Access times aren't kept.
        last_access: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    }
}

/// Only root can give files away. What another user restores belongs to that user, as with any archiver.
fn allow_unprivileged(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
        other => other,
    }
}

fn note(problems: &mut Vec<String>, what: &str, result: Result<(), Errno>) {
    let error = match result {
        Ok(()) => return,
        // A directory that may be searched but not read is open with a handle that can't change it.
        Err(Errno::BADF) => Errno::ACCESS,
        Err(error) => error,
    };
    problems.push(format!("its {what} can't be set: {}", std::io::Error::from(error)));
}

fn note_xattr(problems: &mut Vec<String>, name: &[u8], verb: &str, result: Result<(), Errno>) {
    if let Err(error) = result {
        let name = String::from_utf8_lossy(name);
        problems.push(format!("its attribute {name} can't be {verb}: {}", std::io::Error::from(error)));
    }
}
