//! Why a verb failed.

mod causes;

use std::fmt;
use std::io;
use std::path::PathBuf;

use keepfast_backend::{BackendError, NotAnObject};
use keepfast_format::FormatError;
use keepfast_format::ids::{HolderId, RepositoryId, SessionId, SlotId};
use keepfast_format::names::{self, ObjectName, PackName};

use crate::nouns::counted;
pub use causes::{Loss, Mismatch, PatternFileFlaw, SlotsLeft};

/// Result of most of the engine's functions.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A failure that ends a verb. What concerns one file alone is an event, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store has no repository.
    #[error("{location} holds no repository")]
    NoRepository {
        /// Where.
        location: String,
    },
    /// A repository was to be made where one is.
    #[error("{location} holds a repository already: choose another place, or use the one that is there")]
    RepositoryExists {
        /// Where.
        location: String,
    },
    /// A repository was to be made where an interrupted run has left parts of one.
    #[error("{location} holds the beginnings of a repository that was never completed")]
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
        "{location}: {}, the key slot that was opened, isn't there any more: unlock the repository again",
        names::slot(*slot)
    )]
    SlotRemoved {
        /// Where.
        location: String,
        /// The key slot.
        slot: SlotId,
    },
    /// Another repository is where one was seen before.
    #[error(
        "{location} holds repository {shown}, and held repository {seen} before: nothing was read or written"
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
         that is shown less than there is removes what the rest needs, so nothing was removed"
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
    #[error("{object}: {source}")]
    Damaged {
        /// The object, or what is in objects: a tree, a chunk.
        object: String,
        /// What is wrong with it.
        source: FormatError,
    },
    /// An object that must be there isn't.
    #[error("{object} is missing: {loss}")]
    Missing {
        /// The object, or what is in objects.
        object: String,
        /// What that means.
        loss: Loss,
    },
    /// A repository that a newer program has changed.
    #[error("this repository uses {feature}, which this version doesn't know")]
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
         find out who else writes into the repository"
    )]
    NameTaken {
        /// The name.
        object: ObjectName,
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
    #[error("the local index in {path} can't be used: {why}")]
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
    /// A text doesn't name what was to be chosen by it.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A snapshot can't be forgotten, because an owner has protected it.
    #[error("snapshot {} is protected, and was left as it is", &snapshot.short()[..8])]
    Protected {
        /// The snapshot.
        snapshot: SessionId,
    },
    /// A snapshot can't be protected any more.
    #[error("snapshot {} was forgotten and removed meanwhile: it can't be protected any more", snapshot.short())]
    ForgottenMeanwhile {
        /// The snapshot.
        snapshot: SessionId,
    },
    /// There is no name for another decision about a snapshot.
    #[error(
        "nothing can be decided about snapshot {}: {why}; objects below {} that decide nothing are in the way",
        snapshot.short(),
        names::decisions_about(*snapshot)
    )]
    Undecidable {
        /// The snapshot.
        snapshot: SessionId,
        /// What is in the way.
        why: &'static str,
    },
    /// The local index has applied verdicts that the store doesn't have.
    #[error("the repository has lost epochs that this machine knows of: it was set back to an earlier state")]
    IndexIsAhead,
    /// A garbage collection can't go on.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// No repository can be made with these parameters.
    #[error(transparent)]
    Parameters(FormatError),
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoRandomBytes(getrandom::Error),
    /// A pack that was only just sealed, and so has a name that no one can have known before, is there.
    #[error(
        "{object} is there already, though it was only just sealed: the store answers for another object"
    )]
    AnotherObjectsAnswer {
        /// The pack.
        object: PackName,
    },
    /// What was just sealed isn't what went in.
    #[error(
        "a frame that was just sealed doesn't open to the bytes that went in: this machine's memory or processor \
         is faulty; nothing was stored from it"
    )]
    FaultyMachine,
    /// A snapshot can't be changed.
    #[error("snapshot {} can't be changed: {why}", &snapshot.short()[..8])]
    Unchangeable {
        /// The snapshot.
        snapshot: SessionId,
        /// Why not.
        why: &'static str,
    },
    /// A path that was to be backed up.
    #[error("{} isn't an absolute path without `.` and `..`", path.display())]
    NotAbsolute {
        /// The path.
        path: PathBuf,
    },
    /// One directory can be stored as if it were at another path, and another number of them was named.
    #[error("one directory can be stored as {}, and {count} were named", path.display())]
    NotOneDirectory {
        /// The path at which the snapshot has it.
        path: PathBuf,
        /// How many were named.
        count: usize,
    },
    /// What was to be backed up is the repository that it would go into.
    #[error("{}: it is the repository or its cache, which isn't backed up into itself", path.display())]
    OwnRepository {
        /// Its path.
        path: PathBuf,
    },
    /// A pattern that can't be understood.
    #[error("the pattern {:?} can't be used: {why}", String::from_utf8_lossy(pattern))]
    Pattern {
        /// The pattern.
        pattern: Vec<u8>,
        /// What is wrong with it.
        why: String,
    },
    /// A file of patterns.
    #[error("{0}")]
    PatternFile(PatternFileFlaw),
    /// A stream whose end says that it has failed, or a folder whose program does.
    #[error("{}: {why}; no snapshot was made", String::from_utf8_lossy(name))]
    StreamFailed {
        /// The name of the stream or folder in the snapshot.
        name: Vec<u8>,
        /// What failed.
        why: String,
    },
    /// A stream, or a folder that a program writes, can't have its name.
    #[error("a stream or folder can't be stored as {:?}: {why}", String::from_utf8_lossy(name))]
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
        snapshot: SessionId,
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
        snapshot: SessionId,
    },
    /// The user or the system asked to stop.
    #[error("interrupted; what was uploaded so far will be used by the next run")]
    Interrupted,
    /// The user or the system asked a restore to stop.
    #[error("the restore was interrupted; what has its name in the target is complete")]
    RestoreInterrupted,
}

/// Why a text doesn't name what was to be chosen by it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// An id without a character.
    #[error("a snapshot id can't be empty")]
    Empty,
    /// No snapshot has such an id.
    #[error("there is no snapshot {text:?}")]
    NoSnapshot {
        /// The text.
        text: String,
    },
    /// There are fewer snapshots that a filter lets through.
    #[error("there is no snapshot {text:?} that fits")]
    NoneFits {
        /// The text.
        text: String,
    },
    /// Several snapshots' ids begin with it.
    #[error("{text:?} is the start of {count} snapshots' ids: give more of it")]
    Ambiguous {
        /// The text.
        text: String,
        /// How many.
        count: usize,
    },
    /// The snapshot can't be read.
    #[error("{0}; the snapshot can't be used, but others can")]
    Unreadable(Box<Finding>),
    /// The snapshot is part of another writer's history.
    #[error(
        "snapshot {} is of writer {writer}, and this backup's writer {own} doesn't continue that one's history: \
         what another writer has stored can't be taken over; choose a snapshot of the own writer, or none",
        &snapshot.short()[..8]
    )]
    OtherLineage {
        /// The snapshot.
        snapshot: SessionId,
        /// The writer whose history it is part of.
        writer: HolderId,
        /// The writer that was to take something over.
        own: HolderId,
    },
    /// No writer of a snapshot has such an id.
    #[error("no snapshot is of a writer whose id begins with {text:?}")]
    NoWriter {
        /// The text.
        text: String,
    },
    /// Several writers' ids begin with it.
    #[error("{text:?} is the start of several writers' ids: give more of it")]
    AmbiguousWriter {
        /// The text.
        text: String,
    },
    /// No missing snapshot has such an id.
    #[error("no missing snapshot's id begins with {text:?}, so it can't be given up")]
    NotMissing {
        /// The text.
        text: String,
    },
    /// Several missing snapshots' ids begin with it.
    #[error("{text:?} is the start of several missing snapshots' ids: give more of it")]
    AmbiguousMissing {
        /// The text.
        text: String,
    },
}

/// Why a garbage collection can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PruneError {
    /// Others have published epochs first, every time.
    #[error("other garbage collections were faster, again and again")]
    OthersWereFaster,
    /// An epoch has a limit.
    #[error("{count} snapshots are more than a garbage collection can look at")]
    TooManySnapshots {
        /// How many there are.
        count: usize,
    },
    /// A snapshot can't be read.
    #[error(
        "{0}; as long as it can't be read, no one knows what it needs, and nothing is removed: restore it from a \
         copy of the repository, or remove the object if the snapshot can be given up"
    )]
    UnreadableSnapshot(Box<Finding>),
    /// Snapshots are missing that others name.
    #[error("{}", missing_snapshots(named, *others))]
    MissingSnapshots {
        /// The first of them, and what names each.
        named: Vec<String>,
        /// How many others there are.
        others: usize,
    },
    /// A register can't be created, and isn't listed either: no one can find out what it decides.
    #[error(
        "{object}: something that isn't an object stands there, so the session can't be ended, and nothing is \
         removed: remove what is there, then collect garbage again"
    )]
    UnusableRegister {
        /// The register.
        object: ObjectName,
    },
    /// The catalogue can't have another object.
    #[error("{}: the highest number is taken, so there is none for another object", names::CATALOGUE)]
    CatalogueFull,
}

fn missing_snapshots(named: &[String], others: usize) -> String {
    let mut text = String::from(if named.len() == 1 {
        "a snapshot is missing that another one names, so no one knows what it needs, and nothing is removed: "
    } else {
        "snapshots are missing that others name, so no one knows what they need, and nothing is removed: "
    });
    text.push_str(&named.join("; "));
    if others > 0 {
        text.push_str(&format!("; and {}", counted(others as u64, "other")));
    }
    text.push_str(
        "; the store hides or has lost it, or the writer that names it is lying. Bring it back from a copy of \
         the repository, or give it up for good",
    );
    text
}

/// A stored object that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("{object}: {what}")]
pub struct Finding {
    /// Its name.
    pub object: ObjectName,
    /// What is wrong with it.
    pub what: String,
}

impl Finding {
    /// What is wrong with an object whose damage was the cause of an error; any other error comes back.
    pub(crate) fn from_damage(object: ObjectName, error: EngineError) -> Result<Self> {
        match error {
            EngineError::Damaged { source, .. } => Ok(Self { object, what: source.to_string() }),
            other => Err(other),
        }
    }

    /// The error of a program that can't go on because the object takes a place that matters.
    pub(crate) fn blocks(self, remedy: String) -> EngineError {
        EngineError::Blocked { object: self.object.to_string(), why: self.what, remedy }
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
    pub fn damaged(object: impl fmt::Display) -> impl FnOnce(FormatError) -> Self {
        move |source| Self::Damaged { object: object.to_string(), source }
    }

    /// A maker of [`EngineError::File`] for `map_err`.
    pub fn file<E: Into<io::Error>>(path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::File { path, source: source.into() }
    }
}
