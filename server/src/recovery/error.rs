//! Why a server can't be rebuilt.

use std::path::PathBuf;

use keepfast_operations::OperationsError;

/// Why a server can't be rebuilt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The repository has no state.
    #[error("the repository has no backup of a server's state{of}")]
    NoBackup {
        /// What was asked for, if anything was: ` of the host www`.
        of: String,
    },
    /// No backup of this server's state has noted a place in its audit.
    #[error("repository {repository} has nothing to compare the audit with: {}", why_no_anchor(snapshots))]
    NoAnchor {
        /// Its name.
        repository: String,
        /// The backups of this server's state that were looked at.
        snapshots: usize,
    },
    /// It has those of several servers.
    #[error("the repository has backups of the states of several servers: {}", found.join("; "))]
    Several {
        /// The newest of each: `host www, snapshot 1a2b of 2026-11-29T05:15:00Z`.
        found: Vec<String>,
    },
    /// A snapshot isn't what a server has made of its state.
    #[error("snapshot {snapshot} has the labels of a state, and its {part} can't be read")]
    NoState {
        /// Which.
        snapshot: String,
        /// The part that isn't as it should be.
        part: String,
        /// Why.
        source: Box<OperationsError>,
    },
    /// A part of a snapshot isn't what a server would have written.
    #[error("{part} of snapshot {snapshot}: {why}")]
    Wrong {
        /// Which.
        snapshot: String,
        /// The part.
        part: String,
        /// What is wrong with it.
        why: String,
    },
    /// A newer program has made the snapshot.
    #[error("snapshot {snapshot} was made by keepfast {program}, which stores a state in a newer form")]
    Newer {
        /// Which.
        snapshot: String,
        /// The version of the program.
        program: String,
    },
    /// There is a state already.
    #[error("there is a state already: {}", .place.display())]
    StateThere {
        /// Where.
        place: PathBuf,
    },
    /// A file is there already, and has another content.
    #[error("{} is there already, and isn't what the snapshot has", .file.display())]
    FileThere {
        /// Which.
        file: PathBuf,
    },
    /// A file of the configuration has a name that no other machine can be told.
    #[error("the path of {} can't be stored: it isn't UTF-8, or isn't below the folder of the first file", .file.display())]
    Path {
        /// Which.
        file: PathBuf,
    },
    /// A file can't be written or read.
    #[error("{} can't be {doing}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What was to be done with it: `written`.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

fn why_no_anchor(snapshots: &usize) -> &'static str {
    match snapshots {
        0 => "there is no backup of this server's state in it",
        _ => {
            "the backups of this server's state in it were made by an older program, or before the audit had an entry"
        }
    }
}

impl RecoveryError {
    /// Whether the caller has to say something else.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        matches!(self, Self::NoBackup { .. } | Self::NoAnchor { .. } | Self::Several { .. })
    }
}
