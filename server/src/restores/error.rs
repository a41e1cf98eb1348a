//! Why something can't be restored there.

use std::path::PathBuf;

/// Why something can't be restored there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The configuration doesn't have the folder.
    #[error("{} is no folder for restores: `restore_to` of `[server]` doesn't name it", .place.display())]
    NoPlace {
        /// What was asked for.
        place: PathBuf,
    },
    /// A folder isn't there.
    #[error("the folder {} is not there", .folder.display())]
    NotThere {
        /// Which.
        folder: PathBuf,
    },
    /// Something on the way is no folder.
    #[error("{} is a symbolic link or no folder, and a restore follows no links", .path.display())]
    NoFolder {
        /// What.
        path: PathBuf,
    },
    /// What is named below a place is no folder there.
    #[error(
        "{folder:?} names no folder below a place: a name is empty, `.`, `..`, too long, or has a NUL in it"
    )]
    Name {
        /// What was asked for.
        folder: String,
    },
    /// The target is, has inside, or is inside of what a restore must not write over.
    #[error("nothing can be restored to {}: {what} is there", .target.display())]
    Own {
        /// The target.
        target: PathBuf,
        /// What is there.
        what: String,
    },
    /// The target was to be empty.
    #[error("the folder {} is not empty: choose another one, or say what happens with files that are there", .target.display())]
    NotEmpty {
        /// The target.
        target: PathBuf,
    },
    /// The original place is on another machine.
    #[error(
        "the snapshot has data of {host}, and this server is on {machine}: its original place is not here"
    )]
    OtherHost {
        /// Whose data it is.
        host: String,
        /// The machine of this server.
        machine: String,
    },
    /// No plan says what the original place is.
    #[error("there is no plan whose sources say what the original place of this snapshot is")]
    NoPlan,
    /// A path isn't one of the plan's.
    #[error("{} is not below what plan {plan} backs up now", .path.display())]
    NotOfPlan {
        /// The path.
        path: PathBuf,
        /// The plan.
        plan: String,
    },
    /// At the original place, there always is something.
    #[error("to restore to the original place, say what happens with files that are there")]
    NothingSaid,
    /// The original place has no folder in another one.
    #[error("the run is for the server of another machine")]
    NotHere,
    /// The system says no.
    #[error("{}", .path.display())]
    File {
        /// To what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl RestoreError {
    /// That of a path for which the system says no.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.into();
        move |errno| Self::File { path, source: errno.into() }
    }
}
