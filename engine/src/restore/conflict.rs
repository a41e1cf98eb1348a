//! What is in the target where entries of the snapshot would be written, and what would become of it.

use keepfast_format::node::{Node, Timestamp};
use rustix::fs::{FileType, Stat};

use crate::fs::meta;

/// Hears of each conflict.
pub(super) type Watch<'w> = &'w (dyn Fn(Conflict) + Sync);

/// Something that is there where an entry of the snapshot would be written, and that differs from it.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The path of the entry below the target, without a slash at its beginning.
    pub path: Vec<u8>,
    /// The entry of the snapshot.
    pub node: Node,
    /// What is there.
    pub there: There,
    /// What would become of it.
    pub outcome: Outcome,
}

/// What is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct There {
    /// What it is.
    pub kind: ThereKind,
    /// How many bytes it has.
    pub size: u64,
    /// When its content was changed last.
    pub mtime: Timestamp,
}

/// What something is that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThereKind {
    /// A regular file, or something that the system has no word for.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl ThereKind {
    pub(super) fn of(stat: &Stat) -> Self {
        match meta::file_type(stat) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::RegularFile | FileType::Unknown => Self::File,
        }
    }
}

/// What would become of what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The entry of the snapshot replaces it.
    Replaced,
    /// It stays, as asked for.
    Kept,
    /// It can't be replaced: the entry of the snapshot is not restored.
    Failed,
}
