//! Entries of snapshots.

use jiff::Timestamp;
use keepfast_api::snapshot::EntryType;
use keepfast_format::node::{Node, NodeKind, Timestamp as FileTime};

/// What an entry is.
pub fn kind_of(node: &Node) -> EntryType {
    match node.kind {
        NodeKind::File { .. } => EntryType::File,
        NodeKind::Directory { .. } => EntryType::Dir,
        NodeKind::Symlink { .. } => EntryType::Symlink,
        NodeKind::Fifo => EntryType::Fifo,
        NodeKind::Socket => EntryType::Socket,
        NodeKind::CharDevice { .. } => EntryType::Chardev,
        NodeKind::BlockDevice { .. } => EntryType::Blockdev,
    }
}

/// The size of a file.
pub fn size_of(node: &Node) -> Option<u64> {
    match node.kind {
        NodeKind::File { size, .. } => Some(size),
        _ => None,
    }
}

/// An instant of a file system; those beyond the calendar are its edges.
pub fn instant(at: FileTime) -> Timestamp {
    let edge = if at.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(at.seconds, at.nanos.cast_signed()).unwrap_or(edge)
}
