//! What is different between two snapshots.

use keepfast_engine::diff::{Change, ChangeKind};
use keepfast_engine::run::Troubles;
use keepfast_format::node::{Node, NodeKind};
use serde::Serialize;

use super::EntryKind;

/// What is different between two snapshots.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The first snapshot.
    pub before: String,
    /// The second one.
    pub after: String,
    /// Entries of the second one alone.
    pub added: u64,
    /// Entries of the first one alone.
    pub removed: u64,
    /// Entries that are of another kind, or whose content is another.
    pub changed: u64,
    /// Entries of which only the mode, the owner, the time or extended attributes are others.
    pub metadata: u64,
    /// The entries, in the order of their paths, name by name.
    pub changes: Vec<ChangeDocument>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

impl DiffReport {
    /// Counts a change.
    pub fn count(&mut self, change: ChangeWord) {
        let count = match change {
            ChangeWord::Added => &mut self.added,
            ChangeWord::Removed => &mut self.removed,
            ChangeWord::Content | ChangeWord::Type => &mut self.changed,
            ChangeWord::Metadata => &mut self.metadata,
        };
        *count += 1;
    }
}

/// An entry that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeDocument {
    /// How it differs.
    pub change: ChangeWord,
    /// Its path, as far as it is text.
    pub path: String,
    /// The bytes of its path as hexadecimal digits, if the path isn't UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_hex: Option<String>,
    /// What it is; what it was, if it is no more.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// The size of the file that it was, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_before: Option<u64>,
    /// The size of the file that it is, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_after: Option<u64>,
}

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeWord {
    /// It is in the second snapshot alone.
    Added,
    /// It is in the first snapshot alone.
    Removed,
    /// The bytes of a file, or where a link or a device leads, are others.
    Content,
    /// Only its mode, owner, time or extended attributes are others.
    Metadata,
    /// It is of another kind.
    Type,
}

impl From<ChangeKind> for ChangeWord {
    fn from(kind: ChangeKind) -> Self {
        match kind {
            ChangeKind::Added => Self::Added,
            ChangeKind::Removed => Self::Removed,
            ChangeKind::Content => Self::Content,
            ChangeKind::Metadata => Self::Metadata,
            ChangeKind::Kind => Self::Type,
        }
    }
}

impl From<&Change> for ChangeDocument {
    fn from(change: &Change) -> Self {
        let is_text = std::str::from_utf8(&change.path).is_ok();
        let hex = || change.path.iter().map(|byte| format!("{byte:02x}")).collect();
        let node = change.after.as_ref().or(change.before.as_ref());
        Self {
            change: change.kind.into(),
            path: String::from_utf8_lossy(&change.path).into_owned(),
            path_hex: (!is_text).then(hex),
            kind: node.map_or(EntryKind::File, |node| EntryKind::of(&node.kind)),
            size_before: change.before.as_ref().and_then(size),
            size_after: change.after.as_ref().and_then(size),
        }
    }
}

fn size(node: &Node) -> Option<u64> {
    match &node.kind {
        NodeKind::File { size, .. } => Some(*size),
        _ => None,
    }
}
