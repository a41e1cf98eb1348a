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
}

impl DatabaseError {
    /// Whether the caller's input is wrong, so that the same operation fails again until that is changed.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        matches!(
            self,
            Self::WhichDump { .. } | Self::Source(SourceError::Address(_) | SourceError::Unsupported { .. })
        )
    }
}
