//! Why a unit can't be written.

use std::path::PathBuf;

/// Why a unit can't be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnitError {
    /// systemd has no directory of its own to begin from.
    #[error("{0:?} can't be in a unit: the path has to begin with /")]
    RelativePath(PathBuf),
    /// A path has what systemd's files can't say there.
    #[error("{path:?} can't be in a unit: {why}")]
    UnsayablePath {
        /// The path.
        path: PathBuf,
        /// What it has.
        why: &'static str,
    },
    /// A name isn't one of an account.
    #[error("{0:?} is no name of an account: letters, digits, '_', '-' and '.' make one, at most 31")]
    Account(String),
    /// A name isn't one of a credential.
    #[error("{0:?} is no name of a credential: letters, digits, '_', '-' and '.' make one, at most 64")]
    Credential(String),
    /// A plan's name can't be in the name of a unit or in a command.
    #[error(
        "the plan {0:?} can't have a unit: its name is empty, too long, begins with '-', or has a line break"
    )]
    Plan(String),
    /// A schedule that systemd can't keep.
    #[error("the schedule {cron:?} can't be a timer of systemd: {why}")]
    Cron {
        /// The schedule.
        cron: String,
        /// What it has.
        why: String,
    },
    /// Not the name of a time zone.
    #[error("{0:?} is no name of a time zone, as Europe/Paris")]
    TimeZone(String),
    /// A time that can't be.
    #[error("{0} of a unit has to be longer than nothing")]
    NoTime(&'static str),
}
