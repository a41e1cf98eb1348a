//! Why a verb failed.

use std::io;
use std::path::PathBuf;

use keepfast_backend::{BackendError, NotAnObject};
use keepfast_format::FormatError;

/// Result of most of the engine's functions.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A failure that ends a verb. What concerns one file alone is an event, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store has no repository.
    #[error("{location} holds no repository: check the address, or make one with `keepfast init`")]
    NoRepository {
        /// Where.
        location: String,
    },
    /// `init` over a repository.
    #[error("{location} holds a repository already: choose another place, or use the one that is there")]
    RepositoryExists {
        /// Where.
        location: String,
    },
    /// `init` over what an earlier, interrupted `init` left.
    #[error(
        "{location} holds the beginnings of a repository whose `init` was interrupted: \
         remove what is there and run `keepfast init` again"
    )]
    HalfMadeRepository {
        /// Where.
        location: String,
    },
    /// No key slot opens with this password.
    #[error("wrong password for {location}: no key slot opens with it")]
    WrongPassword {
        /// Where.
        location: String,
    },
    /// A stored object can't be used.
    #[error("{object}: {source}; run `keepfast check` to see what else is damaged")]
    Damaged {
        /// The object's name.
        object: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// An object that must be there isn't.
    #[error("{object} is missing: {consequence}")]
    Missing {
        /// The object.
        object: String,
        /// What that means, and what to do.
        consequence: &'static str,
    },
    /// A repository that a newer program has changed.
    #[error("this repository uses {feature}, which this version doesn't know: use a newer keepfast")]
    UnknownFeature {
        /// The feature.
        feature: String,
    },
    /// The session lost its right to commit.
    #[error(
        "this backup was fenced by a garbage collection because it was silent for too long: run it again"
    )]
    Fenced,
    /// The session lost its right to commit: a name of its own is taken by bytes that it didn't write, and
    /// that aren't a FENCE.
    #[error(
        "{object} is taken by something that this run didn't write, so it can't commit: run it again, and \
         find out who else writes into the repository; `keepfast check` says what is there"
    )]
    NameTaken {
        /// The name.
        object: String,
    },
    /// A role that may not do this.
    #[error("the keys of this role can't {action}: use the password of a role that can")]
    NotAllowed {
        /// What was asked.
        action: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Backend(BackendError),
    /// The local index can't be used even after rebuilding it.
    #[error(
        "the local index in {path} can't be used: {why}; remove that folder, or choose another with --cache-dir"
    )]
    Cache {
        /// Its folder.
        path: PathBuf,
        /// What RocksDB or the system said.
        why: String,
    },
    /// A file or directory that the verb can't do without.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the arguments that only the engine can see.
    #[error("{0}")]
    Unusable(String),
    /// The user or the system asked to stop.
    #[error("interrupted; what was uploaded so far will be used by the next run")]
    Interrupted,
}

impl From<BackendError> for EngineError {
    fn from(error: BackendError) -> Self {
        if error.is_interrupted() {
            return Self::Interrupted;
        }
        // The store works. What it has under this name is of no more use than damaged bytes are.
        if error.is_unusable() {
            let source = unusable(error.not_an_object());
            return Self::Damaged { object: error.object, source };
        }
        Self::Backend(error)
    }
}

/// What is said of a stored thing that is no object, or is larger than one of its kind can be.
fn unusable(instead: Option<NotAnObject>) -> FormatError {
    let what = "object";
    match instead {
        Some(instead) => FormatError::Malformed { what, why: instead.why() },
        None => FormatError::OverLimit { what, field: "size" },
    }
}

impl EngineError {
    /// Whether a session can't commit any more, for whatever reason. What it stored is used when it is
    /// begun again.
    #[must_use]
    pub fn is_lost_session(&self) -> bool {
        matches!(self, Self::Fenced | Self::NameTaken { .. })
    }

    /// Whether the store failed, or may not be read: that says nothing about what is stored.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Backend(error) if !error.is_not_found())
    }

    /// A maker of [`EngineError::Damaged`] for `map_err`.
    pub fn damaged(object: impl Into<String>) -> impl FnOnce(FormatError) -> Self {
        let object = object.into();
        move |source| Self::Damaged { object, source }
    }

    /// A maker of [`EngineError::File`] for `map_err`.
    pub fn file<E: Into<io::Error>>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::File { path, source: source.into() }
    }
}
