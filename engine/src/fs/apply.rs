//! Giving restored entries their metadata.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use keepfast_format::node::{Node, NodeKind, Timestamp};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::beside;

/// Owner and group that an entry gets.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// Gives an open file or directory its owner, attributes, mode and times, in the order in
/// which none undoes another. Returns what couldn't be given.
pub fn apply_to_open(file: BorrowedFd<'_>, node: &Node, owner: Owner) -> Vec<String> {
    let mut problems = Vec::new();
    note(&mut problems, "owner", allow_unprivileged(rustix::fs::fchown(file, uid(owner), gid(owner))));
    for (name, value) in &node.xattrs {
        let set = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty());
        note_xattr(&mut problems, name, set);
    }
    note(&mut problems, "mode", rustix::fs::fchmod(file, Mode::from_raw_mode(node.mode.into())));
    note(&mut problems, "times", rustix::fs::futimens(file, &times(node.mtime)));
    problems
}

/// The same for an entry that can't be opened: a link, fifo, socket or device.
pub fn apply_by_name(directory: BorrowedFd<'_>, name: &CStr, node: &Node, owner: Owner) -> Vec<String> {
    let mut problems = Vec::new();
    let nofollow = AtFlags::SYMLINK_NOFOLLOW;
    let chowned = rustix::fs::chownat(directory, name, uid(owner), gid(owner), nofollow);
    note(&mut problems, "owner", allow_unprivileged(chowned));
    for (attribute, value) in &node.xattrs {
        let set = beside::at(directory, name, |path| {
            rustix::fs::lsetxattr(path, attribute.as_slice(), value, XattrFlags::empty())
        });
        note_xattr(&mut problems, attribute, set);
    }
    if !matches!(node.kind, NodeKind::Symlink { .. }) {
        let mode = Mode::from_raw_mode(node.mode.into());
        note(&mut problems, "mode", rustix::fs::chmodat(directory, name, mode, AtFlags::empty()));
    }
    note(&mut problems, "times", rustix::fs::utimensat(directory, name, &times(node.mtime), nofollow));
    problems
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

/// Whoever isn't root can't give files away; what they restore is theirs, as with any archiver.
fn allow_unprivileged(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
        other => other,
    }
}

fn note(problems: &mut Vec<String>, what: &str, result: Result<(), Errno>) {
    if let Err(error) = result {
        problems.push(format!("its {what} can't be set: {}", std::io::Error::from(error)));
    }
}

fn note_xattr(problems: &mut Vec<String>, name: &[u8], result: Result<(), Errno>) {
    let what = format!("attribute {}", String::from_utf8_lossy(name));
    note(problems, &what, result);
}
