//! Telling of what is in the place of entries, while it is found out what a restore would do.

use std::ffi::CStr;
use std::os::fd::AsFd;

use keepfast_format::node::{Node, NodeKind};
use rustix::fs::{FileType, Stat};

use super::Overwrite;
use super::conflict::{Conflict, Outcome, There, ThereKind};
use super::folders::DirectoryNumber;
use super::target::Target;
use crate::fs::{compare, meta};

impl Target<'_> {
    /// Tells of what is in the place of an entry, unless it is like it.
    pub(super) fn watch_entry(&self, above: DirectoryNumber, node: &Node) {
        if self.watch.is_none() || !self.has_others(above) {
            return;
        }
        let Ok(name) = std::ffi::CString::new(node.name.clone()) else { return };
        let Ok(handle) = self.handle(above) else { return };
        let Ok(stat) = meta::stat(handle.as_fd(), &name) else { return };
        if !is_alike(handle.as_fd(), &name, &stat, node) {
            let is_folder = meta::file_type(&stat) == FileType::Directory;
            self.tell_conflict(above, node, &stat, is_folder);
        }
    }

    /// Tells of something that is no directory in the place of one.
    pub(super) fn watch_directory(&self, number: DirectoryNumber, above: DirectoryNumber) {
        let Some(node) = self.directories[number.0].node.clone().filter(|_| self.watch.is_some()) else {
            return;
        };
        let Ok(handle) = self.handle(above) else { return };
        let name = self.folders.name(number);
        let Ok(stat) = meta::stat(handle.as_fd(), name) else { return };
        let node = Node { name: name.to_bytes().to_vec(), ..node };
        self.tell_conflict(above, &node, &stat, self.overwrite == Overwrite::Never);
    }

    fn tell_conflict(&self, above: DirectoryNumber, node: &Node, stat: &Stat, fails: bool) {
        let Some(watch) = self.watch else { return };
        let is_directory = matches!(node.kind, NodeKind::Directory { .. });
        let outcome = match self.overwrite {
            Overwrite::Never if !is_directory => Outcome::Kept,
            _ if fails => Outcome::Failed,
            _ => Outcome::Replaced,
        };
        watch(Conflict {
            path: self.folders.path_of(above, &node.name),
            node: node.clone(),
            there: There {
                kind: ThereKind::of(stat),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                mtime: meta::mtime(stat),
            },
            outcome,
        });
    }
}

/// Whether what is there has the content of an entry, as far as that can be told without reading files.
fn is_alike(directory: impl AsFd, name: &CStr, stat: &Stat, node: &Node) -> bool {
    if meta::file_type(stat) != compare::type_of(node) {
        return false;
    }
    match &node.kind {
        NodeKind::File { size, .. } => {
            u64::try_from(stat.st_size) == Ok(*size) && node.mtime == meta::mtime(stat)
        }
        NodeKind::Symlink { target } => rustix::fs::readlinkat(directory, name, Vec::new())
            .is_ok_and(|there| there.to_bytes() == target.as_slice()),
        _ => compare::device_of(node) == 0 || stat.st_rdev == compare::device_of(node),
    }
}
