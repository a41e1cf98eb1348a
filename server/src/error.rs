//! Why a plan can't be run, or its state can't be read.

use std::path::PathBuf;

use keepfast_notify::PatternError;
use keepfast_operations::OperationsError;
use keepfast_schedule::cron::CronError;
use keepfast_schedule::schedule::EveryError;
use keepfast_schedule::window::{DaysError, WindowError};
use keepfast_schedule::zone::ZoneError;
use keepfast_store::StoreError;

use crate::managed::ManagedError;
use crate::recovery::RecoveryError;
use crate::restores::error::RestoreError;

/// Result of this crate's functions.
pub type Result<T, E = ServerError> = std::result::Result<T, E>;

/// Why something about plans can't be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No plan has this name.
    #[error("there is no plan {name:?}; there is {}", known.join(", "))]
    NoPlan {
        /// What was asked for.
        name: String,
        /// The plans that there are.
        known: Vec<String>,
    },
    /// No drill has this name.
    #[error("there is no drill {name:?}; there is {}", known.join(", "))]
    NoDrill {
        /// What was asked for.
        name: String,
        /// The drills that there are.
        known: Vec<String>,
    },
    /// No repository has this name.
    #[error("there is no repository {name:?}; there is {}", known.join(", "))]
    NoRepository {
        /// What was asked for.
        name: String,
        /// The repositories that there are.
        known: Vec<String>,
    },
    /// The plan doesn't run.
    #[error("plan {plan} is not enabled")]
    Disabled {
        /// Which.
        plan: String,
    },
    /// A definition says something that this program can't do.
    #[error("{definition}: {what} is not supported yet")]
    Unsupported {
        /// The plan or repository: `plan www`.
        definition: String,
        /// What it says.
        what: String,
    },
    /// A part of a schedule can't be used.
    #[error("{definition}: the schedule can't be used")]
    Schedule {
        /// The plan or repository.
        definition: String,
        /// Why.
        source: ScheduleError,
    },
    /// No target has this name.
    #[error("there is no target {name:?}; {}", known_targets(known))]
    NoTarget {
        /// What was asked for.
        name: String,
        /// The targets that there are.
        known: Vec<String>,
    },
    /// A route or digest can't be used.
    #[error("{definition} can't be used")]
    Notices {
        /// Which: `route 2`.
        definition: String,
        /// Why.
        source: NoticeError,
    },
    /// A delivery can't be sent again.
    #[error("delivery {delivery} can't be sent again: {why}")]
    NotUndeliverable {
        /// Which.
        delivery: i64,
        /// What it is instead.
        why: String,
    },
    /// A run of the plan is not over.
    #[error("plan {plan} is already running (run {run})")]
    Running {
        /// The plan.
        plan: String,
        /// Its run.
        run: String,
    },
    /// A run of the drill is not over.
    #[error("drill {drill} is already running (run {run})")]
    DrillRuns {
        /// The drill.
        drill: String,
        /// Its run.
        run: String,
    },
    /// The folder of the state can't be made.
    #[error("the folder {} of the state can't be made", .folder.display())]
    StateFolder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file beside the state can't be used.
    #[error("the file {} can't be used", .file.display())]
    StateFile {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A managed file can't be read or written.
    #[error(transparent)]
    Managed(#[from] ManagedError),
    /// A repository doesn't have this snapshot.
    #[error("repository {repository} has no snapshot {id}")]
    NoSnapshot {
        /// The repository.
        repository: String,
        /// What was asked for.
        id: String,
    },
    /// A thread has ended before its work was done.
    #[error("{what} was cut short: the program has a fault")]
    Ended {
        /// What it did.
        what: &'static str,
    },
    /// No run has this id.
    #[error("there is no run {id}")]
    NoRun {
        /// What was asked for.
        id: String,
    },
    /// Several runs have ids that begin like this.
    #[error("the ids of several runs begin with {id}")]
    SeveralRuns {
        /// What was asked for.
        id: String,
    },
    /// A run can't be tried again.
    #[error("run {run} can't be tried again: {why}")]
    NoRetry {
        /// Which.
        run: String,
        /// Why.
        why: &'static str,
    },
    /// A word isn't one of those that there are.
    #[error("{word:?} is no {what}")]
    NoWord {
        /// What it should be.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// Another process is the server.
    #[error("another process is the server of this machine: it holds {}", .lock.display())]
    ServerRuns {
        /// The lock that it holds.
        lock: PathBuf,
    },
    /// A document of the state can't be read or written.
    #[error("{what} can't be read or written")]
    Document {
        /// Which.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// The runtime that waits for the state can't be started.
    #[error("the threads that wait for the state can't be started")]
    Runtime(#[source] std::io::Error),
    /// A name can't be kept in the state.
    #[error("the name {name:?} can't be kept in the state")]
    Name {
        /// Which.
        name: String,
        /// Why.
        source: keepfast_store::InvalidName,
    },
    /// Something can't be restored there.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A server can't be rebuilt, or its state not be copied.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An operation failed.
    #[error(transparent)]
    Operations(#[from] OperationsError),
}

impl ServerError {
    /// Whether the caller's input is wrong, so that the same fails again until that is changed.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        match self {
            Self::NoPlan { .. }
            | Self::NoDrill { .. }
            | Self::NoRun { .. }
            | Self::NoSnapshot { .. }
            | Self::SeveralRuns { .. }
            | Self::NoWord { .. }
            | Self::NoRepository { .. }
            | Self::Disabled { .. }
            | Self::Unsupported { .. }
            | Self::NoTarget { .. }
            | Self::Notices { .. }
            | Self::NotUndeliverable { .. }
            | Self::Schedule { .. } => true,
            Self::Operations(error) => error.is_wrong_input(),
            Self::Recovery(error) => error.is_wrong_input(),
            Self::Restore(error) => !matches!(error, RestoreError::File { .. }),
            Self::Running { .. }
            | Self::DrillRuns { .. }
            | Self::Ended { .. }
            | Self::NoRetry { .. }
            | Self::StateFolder { .. }
            | Self::StateFile { .. }
            | Self::Managed(_)
            | Self::ServerRuns { .. }
            | Self::Document { .. }
            | Self::Random(_)
            | Self::Runtime(_)
            | Self::Name { .. }
            | Self::Store(_) => false,
        }
    }

    /// Says that a name can't be kept in the state.
    pub(crate) fn name(name: &str) -> impl Fn(keepfast_store::InvalidName) -> Self + use<'_> {
        move |source| Self::Name { name: name.to_owned(), source }
    }
}

fn known_targets(known: &[String]) -> String {
    match known {
        [] => "the configuration defines none".to_owned(),
        known => format!("there is {}", known.join(", ")),
    }
}

/// Why a route or a digest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// A pattern of names.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Quiet hours.
    #[error(transparent)]
    Quiet(#[from] keepfast_notify::WindowError),
    /// The zone of times in messages.
    #[error(transparent)]
    TimeZone(#[from] jiff::Error),
    /// A digest's zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// A digest's cron expression.
    #[error(transparent)]
    Cron(#[from] CronError),
}

/// Why a schedule can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Its cron expression.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// Its time between runs.
    #[error(transparent)]
    Every(#[from] EveryError),
    /// Its zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// A window.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// A day.
    #[error(transparent)]
    Days(#[from] DaysError),
}
