//! Why an operation can't begin. Messages name things, never a flag or a command of a front end.

mod database;
mod fetch;
mod printed;
mod secret;
mod store;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use keepfast_drills::scratch::ScratchError;
use keepfast_engine::EngineError;
use keepfast_engine::nouns::counted;
use keepfast_engine::retention::PolicyError;

use crate::brake::Brake;
pub use database::DatabaseError;
pub use fetch::{FetchError, SecretErrorKind};
use printed::printed;
pub use secret::SecretError;
pub use store::StoreError;

/// An error and all that caused it, in one line.
pub fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors name their causes themselves.
        let said = error.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = error.source();
    }
    message
}

/// Result of this crate's functions.
pub type Result<T, E = OperationsError> = std::result::Result<T, E>;

/// Why an operation can't begin, or why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationsError {
    /// A text that a person wrote isn't what it should be.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A policy of retention can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// There is no such place, or it can't be reached as it was said.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A secret can't be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A program that was started, or what it printed, can't be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// A path, or a list of paths or patterns, can't be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A database can't be dumped or restored.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The store can't have a repository.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine's share that a run may have isn't enough for it.
    #[error(transparent)]
    Resources(#[from] ResourcesError),
    /// It isn't clear which snapshot is meant.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// Nothing is kept of repositories, so there is nothing to look at, to remove, or to write to.
    #[error("there is no cache: nothing is kept of repositories on this machine")]
    NoCache,
    /// A policy would forget more at once than may go.
    #[error(
        "the policy would forget {} of {all}, and no more than {brake} may go at once: nothing was forgotten",
        counted(*.going, "snapshot")
    )]
    Brake {
        /// How many would go.
        going: u64,
        /// How many it decides about.
        all: u64,
        /// How many may.
        brake: Brake,
    },
    /// The password opens nothing, and begins with a byte-order mark.
    #[error(
        "the password begins with a byte-order mark (U+FEFF), which an editor has put there: write it without"
    )]
    MarkedPassword(#[source] EngineError),
    /// A drill has no folder to restore into.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The engine or the store failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl OperationsError {
    /// Whether the caller's input is wrong, so that the same operation fails again until that is changed.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        match self {
            Self::Text(_) | Self::Policy(_) | Self::Resources(_) | Self::NoCache => true,
            Self::Place(error) => !matches!(
                error,
                PlaceError::Certificates { .. } | PlaceError::Random(_) | PlaceError::NotShared { .. }
            ),
            Self::Source(error) => !matches!(
                error,
                SourceError::NotThere { .. }
                    | SourceError::Unresolvable { .. }
                    | SourceError::UnreadableList { .. }
                    | SourceError::UnreadablePatterns { .. }
                    | SourceError::UnusablePatterns { .. }
            ),
            Self::Secret(error) => matches!(error, SecretError::NotGiven { .. }),
            Self::Choice(error) => matches!(error, ChoiceError::NothingSaid),
            Self::Database(error) => error.is_wrong_input(),
            Self::Scratch(error) => matches!(error, ScratchError::Live { .. }),
            Self::Stream(_)
            | Self::Store(_)
            | Self::Brake { .. }
            | Self::MarkedPassword(_)
            | Self::Engine(_) => false,
        }
    }

    /// The engine's error, if it is one.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            Self::Engine(error) | Self::MarkedPassword(error) => Some(error),
            _ => None,
        }
    }
}

impl From<keepfast_sources::SourceError> for OperationsError {
    fn from(error: keepfast_sources::SourceError) -> Self {
        match error {
            keepfast_sources::SourceError::Cancelled => Self::Engine(EngineError::Interrupted),
            error => Self::Database(DatabaseError::Source(error)),
        }
    }
}

/// Why a text has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is no size.
    #[error("write a size such as 500M, 10GiB or unlimited")]
    Size,
    /// It is a size that no number here can hold.
    #[error("that is more than any store holds")]
    SizeTooLarge,
    /// It is no share.
    #[error("write a percentage below 100, such as 5% or 2.5%, a size, or unlimited")]
    Share,
    /// It doesn't say how files are cut.
    #[error("write auto, content, or pages: and a power of two from 512 to 64KiB, such as pages:8KiB")]
    Chunking,
    /// It is no duration.
    #[error("write a time such as 90s, 30m, 2h or 1d")]
    Duration,
    /// It is no pattern.
    #[error("{0}")]
    Pattern(String),
    /// Something is to be left out, and there is no pattern of what.
    #[error("there is no pattern that says what to leave out")]
    NoPattern,
    /// It is no part of all packs.
    #[error("{0:?} isn't a part: write 1/10 for the first of ten, or 10%")]
    Part(String),
    /// It doesn't name a stream and the command that prints it.
    #[error("write NAME=COMMAND, such as db.sql='pg_dump mydb'")]
    Stream,
    /// It is an empty label.
    #[error("a label can't be empty")]
    EmptyLabel,
    /// It doesn't say how many to keep.
    #[error("give a number, or `all`")]
    Count,
    /// It isn't what snapshots can be judged apart by.
    #[error("{0:?} is none of writer, host, paths and tags")]
    GroupBy(String),
    /// It is no number of snapshots, and no share of them.
    #[error("{0:?} is neither a number of snapshots nor a percentage up to 100%")]
    Brake(String),
    /// There is no such time zone.
    #[error("there is no time zone {0:?}: IANA names are like Europe/Paris")]
    Zone(String),
    /// It is no point in time.
    #[error("{0:?} isn't a time: write it like 2026-01-15, \"2026-01-15 14:30\" or 2026-01-15T14:30:00Z")]
    Time(String),
    /// It is no span of the calendar.
    #[error("{text:?} {why}: write a span like 30d, 2w or 1y6m (years, months, weeks, days, hours)")]
    Span {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: SpanFlaw,
    },
}

/// What is wrong with a span of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpanFlaw {
    /// A number without a unit.
    #[error("lacks a unit")]
    NoUnit,
    /// A unit without a number.
    #[error("lacks a number")]
    NoNumber,
    /// A unit that there isn't.
    #[error("has no unit {0:?} that is known")]
    UnknownUnit(char),
    /// A number beyond all calendars.
    #[error("is longer than any calendar")]
    TooLong,
    /// A zero with a unit.
    #[error("has a zero")]
    Zero,
    /// The same unit again.
    #[error("has a unit twice")]
    UnitTwice,
    /// Nothing.
    #[error("is no time at all")]
    Nothing,
}

/// Why a place can't be a repository's, or can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The text is empty.
    #[error("no repository given")]
    Missing,
    /// Stores of this kind aren't known.
    #[error("{scheme}:// isn't supported: this version keeps repositories in directories and in S3")]
    UnknownScheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// An address in S3 that names no bucket, or a prefix that can't be one.
    #[error("{0}")]
    S3Address(String),
    /// Packs would be in a storage class that can't be read at once.
    #[error(
        "packs can't be in {class}: what is there can't be read at once, and backups, checks and restores must read; \
         GLACIER_IR can be"
    )]
    StorageClass {
        /// The class.
        class: String,
    },
    /// The file with certificates of authorities can't be read.
    #[error("the certificates in {} can't be read", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Who may read what is in a bucket isn't decided here.
    #[error(
        "who may read a bucket is up to the bucket's policy: only a directory can be made readable for a group"
    )]
    GroupOfBucket,
    /// A directory can't be made readable for its group.
    #[error("{} can't be made readable for its group", directory.display())]
    NotShared {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A probe needs a name that no other probe has.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// Why a stream, or a folder that a program writes, can't be backed up.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// One of the streams or folders of a backup failed.
    #[error("{name}: {source}")]
    Of {
        /// Its name in the snapshot.
        name: String,
        /// Why.
        source: Box<StreamError>,
    },
    /// What is open already can't be read.
    #[error("{what} can't be read")]
    Unreadable {
        /// What it is.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// There is no program in the command.
    #[error("the command is empty")]
    NoCommand,
    /// The program can't be started.
    #[error("{program} can't be run")]
    NotRun {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program said that it failed.
    #[error(
        "the command {program} failed ({status}): no snapshot was made; see what it printed, and run the backup \
         again{}",
        printed(stderr.as_deref())
    )]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it printed to standard error, if that was captured.
        stderr: Option<String>,
    },
    /// How the program ended isn't known.
    #[error("it can't be told how {program} ended")]
    Unknown {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// There was nothing to back up, and mostly that is the end of something that has failed.
    #[error("{what}: no snapshot was made")]
    Empty {
        /// What was empty.
        what: String,
    },
    /// What writes a folder has said why it failed.
    #[error("{why}: no snapshot was made")]
    Told {
        /// What it has said.
        why: String,
    },
    /// The run was cancelled before the program ended.
    #[error("the run was cancelled before {program} ended")]
    Cancelled {
        /// The program.
        program: String,
    },
}

impl StreamError {
    /// As the error of the stream with this name.
    pub(crate) fn of(self, name: &str) -> Self {
        Self::Of { name: name.to_owned(), source: Box::new(self) }
    }

    /// Whether there was nothing to back up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Of { source, .. } => source.is_empty(),
            Self::Empty { .. } => true,
            _ => false,
        }
    }
}

/// Why a path, or a list of paths or patterns, can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A directory would be stored as what can't be a path in a snapshot.
    #[error("a directory can't be stored as {}: that must be an absolute path, without `.` and `..`", path.display())]
    StoredAs {
        /// The path.
        path: PathBuf,
    },
    /// Several directories would be stored as one.
    #[error("{count} paths can't be stored as {}: that takes one directory", path.display())]
    StoredAsOne {
        /// The path.
        path: PathBuf,
        /// How many paths were given.
        count: usize,
    },
    /// The path leads to a descriptor of this program; what comes from it isn't behind the path.
    #[error("{} is an open file of this program, as a shell makes one of `<(command)`", path.display())]
    Descriptor {
        /// The path.
        path: PathBuf,
    },
    /// Of all paths none is there.
    #[error("{} can't be backed up", path.display())]
    NotThere {
        /// The last of them.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no path at all.
    #[error("no path is named")]
    NoPath,
    /// A path can't be made one from the root down.
    #[error("{} can't be used", path.display())]
    Unresolvable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A list of paths can't be read.
    #[error("the list of paths {} can't be read", list.display())]
    UnreadableList {
        /// The list.
        list: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of patterns can't be read.
    #[error("the exclude file {} can't be read", file.display())]
    UnreadablePatterns {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of patterns has no patterns in it that can be read.
    #[error("the exclude file {} can't be used", file.display())]
    UnusablePatterns {
        /// The file.
        file: PathBuf,
        /// Why.
        source: EngineError,
    },
}

/// Why it isn't clear which snapshot is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// None is named, and nothing is said that they have in common: all of them are most likely not meant.
    #[error("say which snapshots")]
    NothingSaid,
    /// No forgotten one is.
    #[error("no forgotten snapshot's id begins with {text:?}")]
    NotForgotten {
        /// What was given of its id.
        text: String,
    },
    /// More than one forgotten one is.
    #[error("{text:?} is the start of several forgotten snapshots' ids: give more of it")]
    SeveralForgotten {
        /// What was given of its id.
        text: String,
    },
}

/// Why a run can't have what it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourcesError {
    /// It may use too little memory.
    #[error(
        "{memory_mib} MiB of memory is too little: with packs of {pack_mib} MiB this takes at least {least_mib} MiB"
    )]
    Memory {
        /// What it may use.
        memory_mib: usize,
        /// The size of packs.
        pack_mib: usize,
        /// What it needs with one thread.
        least_mib: usize,
    },
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use super::{
        EngineError, OperationsError, PlaceError, ResourcesError, SecretError, SourceError, TextError,
    };

    #[test]
    fn input_that_must_be_changed_is_told_from_what_may_work_next_time() {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let wrong: [OperationsError; 5] = [
            TextError::Size.into(),
            PlaceError::Missing.into(),
            SourceError::NoPath.into(),
            SourceError::Descriptor { path: PathBuf::from("/dev/fd/3") }.into(),
            ResourcesError::Memory { memory_mib: 1, pack_mib: 32, least_mib: 176 }.into(),
        ];
        assert!(wrong.iter().all(OperationsError::is_wrong_input), "{wrong:?}");
        let failed: [OperationsError; 4] = [
            PlaceError::Certificates { file: PathBuf::from("ca.pem"), source: gone() }.into(),
            SourceError::NotThere { path: PathBuf::from("/gone"), source: gone() }.into(),
            SecretError::Unreadable { place: "the password file x".to_owned(), source: gone() }.into(),
            EngineError::Interrupted.into(),
        ];
        assert!(!failed.iter().any(OperationsError::is_wrong_input), "{failed:?}");
        assert!(matches!(failed[3].engine(), Some(EngineError::Interrupted)));
    }
}
