//! What a run tells while it goes on.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Something that a user wants to know. As JSON it is an object with a `type`, the `object` that it is about,
/// and a `message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another part of the work begins.
    Phase(Phase),
    /// An entry that isn't in the snapshot, or wasn't restored in full.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file that was removed after its directory was listed; nothing is lost.
    Gone {
        /// Which.
        path: PathBuf,
    },
    /// A file that was written to while it was read; the next run reads it again.
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A stored object that is damaged or missing, and what that means.
    Damaged {
        /// The object, or the snapshot and file that it hits.
        object: String,
        /// What is wrong.
        what: String,
    },
    /// A stored object that can't be read now, and what needs it: it may be sound.
    Unreachable {
        /// The object, or the snapshot and file that needs it.
        object: String,
        /// Why it can't be read.
        what: String,
    },
    /// An entry that a restore would remove, if it weren't a dry run.
    WouldRemove {
        /// Which.
        path: PathBuf,
    },
    /// Something worth a line, without consequence for the result.
    Notice(String),
}

/// A part of a run's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The local index learns what others have stored.
    Indexing,
    /// Files and streams are read and stored.
    Storing,
    /// What was stored becomes a snapshot.
    Committing,
    /// Files are written.
    Restoring,
    /// What was written is read again and compared.
    Verifying,
    /// Small objects are read, and listings are compared with them.
    CheckingObjects,
    /// Packs are read in full.
    ReadingPacks,
    /// Trees of snapshots are walked.
    WalkingTrees,
    /// A prune finds out what snapshots need.
    Marking,
    /// A prune moves what is needed out of packs that have little of it.
    Rewriting,
    /// A prune waits until running backups have answered it.
    Waiting,
    /// A prune removes what no one needs.
    Removing,
}

impl Event {
    /// What kind of event it is, as in JSON and in front of lines for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Phase(_) => "phase",
            Self::Skipped { .. } => "skipped",
            Self::Gone { .. } => "gone",
            Self::Changed { .. } => "changed",
            Self::Damaged { .. } => "damaged",
            Self::Unreachable { .. } => "unreachable",
            Self::WouldRemove { .. } => "would_remove",
            Self::Notice(_) => "note",
        }
    }

    /// What it is about, for messages: a path that isn't UTF-8 is shown as far as it is.
    #[must_use]
    pub fn object(&self) -> Cow<'_, str> {
        match self {
            Self::Skipped { path, .. }
            | Self::Gone { path }
            | Self::Changed { path }
            | Self::WouldRemove { path } => path.to_string_lossy(),
            Self::Damaged { object, .. } | Self::Unreachable { object, .. } => Cow::Borrowed(object),
            Self::Phase(_) | Self::Notice(_) => Cow::Borrowed("keepfast"),
        }
    }

    /// What there is to say about it.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Phase(phase) => phase.describe(),
            Self::Skipped { why, .. } => why,
            Self::Gone { .. } => "it was removed before it could be read",
            Self::Changed { .. } => "it was written to while it was read; the next backup reads it again",
            Self::WouldRemove { .. } => "the snapshot doesn't have it",
            Self::Damaged { what, .. } | Self::Unreachable { what, .. } => what,
            Self::Notice(line) => line,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.kind())?;
        if let Self::Phase(phase) = self {
            map.serialize_entry("phase", phase)?;
        }
        map.serialize_entry("object", &self.object())?;
        map.serialize_entry("message", self.message())?;
        map.end()
    }
}

impl Phase {
    /// What is going on, as a line for a person.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Indexing => "updating the local index",
            Self::Storing => "reading and storing files",
            Self::Committing => "making the snapshot",
            Self::Restoring => "restoring files",
            Self::Verifying => "comparing restored files",
            Self::CheckingObjects => "checking objects",
            Self::ReadingPacks => "reading packs",
            Self::WalkingTrees => "walking the trees of snapshots",
            Self::Marking => "finding out what snapshots need",
            Self::Rewriting => "rewriting packs",
            Self::Waiting => "waiting for running backups",
            Self::Removing => "removing what no snapshot needs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Phase};

    #[test]
    fn events_are_json_with_type_object_and_message() {
        let json = |event: Event| serde_json::to_string(&event).expect("it can be written");
        assert_eq!(
            json(Event::Damaged { object: "packs/1".to_owned(), what: "it is missing".to_owned() }),
            r#"{"type":"damaged","object":"packs/1","message":"it is missing"}"#
        );
        assert_eq!(
            json(Event::Phase(Phase::ReadingPacks)),
            r#"{"type":"phase","phase":"reading_packs","object":"keepfast","message":"reading packs"}"#
        );
    }
}
