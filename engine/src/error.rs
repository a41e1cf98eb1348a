//! Why a verb failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use keepfast_backend::{BackendError, NotAnObject};
use keepfast_format::FormatError;
use keepfast_format::ids::RepositoryId;

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
    /// No key slot that was tried opens with this password.
    #[error("wrong password for {location}: no key slot opens with it{left}")]
    WrongPassword {
        /// Where.
        location: String,
        /// Key slots that weren't tried.
        left: SlotsLeft,
    },
    /// A repository that was unlocked, and whose key slot was removed since.
    #[error(
        "{location}: {slot}, the key slot that was opened, isn't there any more: unlock the repository again"
    )]
    SlotRemoved {
        /// Where.
        location: String,
        /// The key slot.
        slot: String,
    },
    /// Another repository is where one was seen before.
    #[error(
        "{location} holds repository {shown}, and held repository {seen} before: nothing was read or written. If \
         you have put another in its place, take it with `keepfast cache accept`; if not, find out who has"
    )]
    Swapped {
        /// Where.
        location: String,
        /// The repository that was seen there before.
        seen: RepositoryId,
        /// The one that is there now.
        shown: RepositoryId,
    },
    /// The store shows an older state than was seen before, and this is no moment for that.
    #[error(
        "the store shows an older state of the repository than this machine has seen: {what}. A garbage collection \
         that is shown less than there is removes what the rest needs, so nothing was removed. Find out why; if \
         the repository was set back on purpose, take it as it is with `keepfast cache accept`"
    )]
    Older {
        /// What is older, or gone.
        what: String,
    },
    /// An object, or the lack of one, makes it unsafe to write or to remove.
    #[error("{object}: {why}. Reading commands still work, but nothing is written or removed until {remedy}")]
    Blocked {
        /// The object.
        object: String,
        /// What is wrong with it.
        why: String,
        /// What has to happen.
        remedy: String,
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
    /// A folder of the cache that another user can change, that is a link, or that can't be made.
    #[error("{path} isn't used as a cache: {why}")]
    UnsafeCache {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
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
    /// A stream whose end says that it has failed.
    #[error("{}: {why}; no snapshot was made", String::from_utf8_lossy(name))]
    StreamFailed {
        /// The stream's name in the snapshot.
        name: Vec<u8>,
        /// What failed.
        why: String,
    },
    /// A stream can't have its name.
    #[error("a stream can't be stored as {:?}: {why}", String::from_utf8_lossy(name))]
    StreamName {
        /// The name.
        name: Vec<u8>,
        /// Why not.
        why: &'static str,
    },
    /// A path doesn't name what was asked for in a snapshot.
    #[error("{} {found} in snapshot {}", String::from_utf8_lossy(path), snapshot.short())]
    NotInSnapshot {
        /// The path, as it was given.
        path: Vec<u8>,
        /// What the snapshot has instead.
        found: Mismatch,
        /// The snapshot.
        snapshot: keepfast_format::ids::SessionId,
    },
    /// A restore into a directory that isn't empty, with no word about what is there.
    #[error("{target} isn't empty: choose another target, or what happens to files that are there")]
    TargetNotEmpty {
        /// The directory.
        target: PathBuf,
    },
    /// A whole snapshot was to be restored into `/`, and what it doesn't have removed.
    #[error(
        "nothing is removed from / for a whole snapshot: choose which of its folders or paths are restored"
    )]
    DeletesFromTop,
    /// A forgotten snapshot, parts of which are gone.
    #[error(
        "snapshot {} can't be brought back: a prune has removed parts of it, or is about to",
        &snapshot.short()[..8]
    )]
    PartsRemoved {
        /// The snapshot.
        snapshot: keepfast_format::ids::SessionId,
    },
    /// The user or the system asked to stop.
    #[error("interrupted; what was uploaded so far will be used by the next run")]
    Interrupted,
    /// The user or the system asked a restore to stop.
    #[error("the restore was interrupted; what has its name in the target is complete")]
    RestoreInterrupted,
}

/// What a snapshot has where something else was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Nothing.
    #[error("isn't")]
    Nothing,
    /// Something that isn't a directory.
    #[error("isn't a directory")]
    NoDirectory,
    /// Something that isn't a regular file.
    #[error("isn't a regular file")]
    NoRegularFile,
}

/// Key slots that no password was tried on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SlotsLeft {
    /// How many would take more memory than is allowed.
    pub too_large: u64,
    /// How many came after as many, or as much work, as is allowed.
    pub too_many: u64,
    /// Objects that aren't key slots, or not any more.
    pub unreadable: Vec<String>,
}

impl SlotsLeft {
    /// Whether there are slots that more memory or more patience would try.
    #[must_use]
    pub fn can_be_tried(&self) -> bool {
        self.too_large + self.too_many > 0
    }
}

impl fmt::Display for SlotsLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.too_large > 0 {
            write!(f, "; {} were not tried, because they ask for too much memory", self.too_large)?;
        }
        if self.too_many > 0 {
            write!(
                f,
                "; {} were not tried, because others that ask for less work came first",
                self.too_many
            )?;
        }
        match &self.unreadable[..] {
            [] => Ok(()),
            [one] => write!(f, "; {one} can't be read"),
            [one, others @ ..] => write!(f, "; {one} and {} others can't be read", others.len()),
        }
    }
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
