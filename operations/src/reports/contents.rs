//! What is in a snapshot.

use keepfast_engine::run::Troubles;
use keepfast_format::node::{Node, NodeKind, Timestamp};
use serde::{Serialize, Serializer};

use crate::times::serialize_rfc3339;

/// Entries of a snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct EntriesReport {
    /// The snapshot.
    pub snapshot: String,
    /// The entries: each directory before what is in it.
    pub entries: Vec<EntryDocument>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// An entry of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryDocument {
    /// Its path, as far as it is text.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Its permissions, as octal digits.
    #[serde(serialize_with = "serialize_octal")]
    pub mode: u16,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// When its content was changed last.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub mtime: Timestamp,
    /// The bytes of its path as hexadecimal digits, if the path isn't UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// The size of a file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where a symbolic link leads, as far as it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Chardev,
    /// A block device.
    Blockdev,
}

/// What was written of a file. The command line prints nothing of it, since the file itself is the output.
#[derive(Debug, Clone, Serialize)]
pub struct DumpReport {
    /// The snapshot that the file is in.
    pub snapshot: String,
    /// The file's size.
    pub bytes: u64,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

impl EntryKind {
    /// What a node is.
    #[must_use]
    pub fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::File { .. } => Self::File,
            NodeKind::Directory { .. } => Self::Dir,
            NodeKind::Symlink { .. } => Self::Symlink,
            NodeKind::Fifo => Self::Fifo,
            NodeKind::Socket => Self::Socket,
            NodeKind::CharDevice { .. } => Self::Chardev,
            NodeKind::BlockDevice { .. } => Self::Blockdev,
        }
    }
}

impl EntryDocument {
    /// An entry with its path from the root down.
    #[must_use]
    pub fn new(path: &[u8], node: &Node) -> Self {
        let is_text = std::str::from_utf8(path).is_ok();
        let hex = || path.iter().map(|byte| format!("{byte:02x}")).collect();
        let (size, target) = match &node.kind {
            NodeKind::File { size, .. } => (Some(*size), None),
            NodeKind::Symlink { target } => (None, Some(String::from_utf8_lossy(target).into_owned())),
            _ => (None, None),
        };
        Self {
            path: String::from_utf8_lossy(path).into_owned(),
            kind: EntryKind::of(&node.kind),
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            path_hex: (!is_text).then(hex),
            size,
            target,
        }
    }
}

fn serialize_octal<S: Serializer>(mode: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

#[cfg(test)]
mod tests {
    use super::{EntryDocument, EntryKind, Timestamp};

    #[test]
    fn fields_keep_their_names_and_order() {
        let link = EntryDocument {
            path: "/odd\u{fffd}".to_owned(),
            kind: EntryKind::Symlink,
            mode: 0o777,
            uid: 1,
            gid: 2,
            mtime: Timestamp { seconds: 0, nanos: 5 },
            path_hex: Some("2f6f6464ff".to_owned()),
            size: None,
            target: Some("there".to_owned()),
        };
        let text = |entry: &EntryDocument| serde_json::to_string(entry).expect("a document");
        assert_eq!(
            text(&link),
            concat!(
                "{\"path\":\"/odd\u{fffd}\",\"type\":\"symlink\",\"mode\":\"0777\",\"uid\":1,\"gid\":2,",
                "\"mtime\":\"1970-01-01T00:00:00.000000005Z\",\"path_hex\":\"2f6f6464ff\",\"target\":\"there\"}"
            )
        );
        let file = EntryDocument {
            kind: EntryKind::File,
            size: Some(7),
            path_hex: None,
            target: None,
            mode: 0o4,
            ..link
        };
        assert!(text(&file).ends_with("000000005Z\",\"size\":7}") && text(&file).contains("\"0004\""));
    }

    #[test]
    fn kinds_are_words() {
        let kinds = [
            (EntryKind::File, "file"),
            (EntryKind::Dir, "dir"),
            (EntryKind::Fifo, "fifo"),
            (EntryKind::Socket, "socket"),
            (EntryKind::Chardev, "chardev"),
            (EntryKind::Blockdev, "blockdev"),
        ];
        for (kind, word) in kinds {
            assert_eq!(serde_json::to_string(&kind).expect("a word"), format!("{word:?}"));
        }
    }
}
