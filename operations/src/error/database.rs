//! Why a database can't be dumped or restored.

use std::io;
use std::path::PathBuf;

use keepfast_sources::SourceError;

/// Why a database can't be dumped or restored.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The database, or a program that reads it.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No folder for files can be made.
    #[error("{}: no folder for temporary files can be made: {source}", .folder.display())]
    Scratch {
        /// Where it was to be.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The snapshot has no dump.
    #[error("snapshot {snapshot} has no dump of a database")]
    NoDump {
        /// The snapshot.
        snapshot: String,
    },
    /// The snapshot has several.
    #[error("snapshot {snapshot} has several dumps: {folders}. Name one, as in {snapshot}:/FOLDER")]
    WhichDump {
        /// The snapshot.
        snapshot: String,
        /// Their folders.
        folders: String,
    },
    /// A text can't name a log.
    #[error("{name:?} can't name a log: take letters, digits, `.`, `-` and `_`, at most 100")]
    LogName {
        /// The text.
        name: String,
    },
    /// There is no log of this name.
    #[error("there is no log {name}: no snapshot of the repository has the label wal:{name}")]
    NoLog {
        /// Its name.
        name: String,
    },
    /// Two servers would be mixed.
    #[error(
        "the log {name} in the repository is of the server with the system identifier {there}, and {what} is of the one with \
         {here}: the log of each server has a name of its own"
    )]
    OtherServer {
        /// The log.
        name: String,
        /// Whose is the log.
        there: u64,
        /// What is of another server.
        what: String,
        /// Whose that is.
        here: u64,
    },
    /// It isn't known whether a file of a log is there.
    #[error(
        "{file} is in no readable snapshot, but {count} of the repository can't be read, and it may be in one of them"
    )]
    LogUnknown {
        /// The file.
        file: String,
        /// How many are damaged.
        count: usize,
    },
    /// There is no base backup.
    #[error("{place} is no base backup of a PostgreSQL server")]
    NoBase {
        /// The snapshot and folder.
        place: String,
    },
    /// A base backup can't be restored to a moment, and another one can.
    #[error("{why}; {other} can be restored to there")]
    OtherBase {
        /// Why this one can't.
        why: SourceError,
        /// The snapshot and folder of the other one.
        other: String,
    },
}

impl DatabaseError {
    /// Whether the caller's input is wrong, so that the same operation fails again until that is changed.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        matches!(
            self,
            Self::WhichDump { .. }
                | Self::LogName { .. }
                | Self::NoBase { .. }
                | Self::OtherBase { .. }
                | Self::Source(SourceError::Address(_) | SourceError::Unsupported { .. })
        )
    }
}
