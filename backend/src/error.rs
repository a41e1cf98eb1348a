//! What can go wrong in a store, and with which object.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// What a store was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Preparing to talk to a store.
    Connect,
    /// Creating an object.
    Create,
    /// Making objects durable.
    Sync,
    /// Reading an object.
    Read,
    /// Listing objects.
    List,
    /// Removing an object.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect to",
            Self::Create => "create",
            Self::Sync => "make durable",
            Self::Read => "read",
            Self::List => "list",
            Self::Remove => "remove",
        })
    }
}

/// What is under a name in a store instead of an object. A [`Backend`] makes none of these.
///
/// [`Backend`]: crate::Backend
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.why())]
pub enum NotAnObject {
    /// A directory.
    Directory,
    /// A directory deeper than any object. Listings don't enter it.
    TooDeep,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A symbolic link. Links below the repository's own directory aren't followed.
    SymbolicLink,
    /// An object of an S3 store whose name ends with a slash: some programs make such objects to show a folder.
    FolderMarker,
    /// Its name has more than [`NAME_BYTES_MAX`] bytes, or isn't UTF-8.
    StrangeName,
}

impl NotAnObject {
    /// Describes it in words.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Directory => "it is a directory, not an object",
            Self::TooDeep => "it is a directory deeper than any object; its content isn't listed",
            Self::Fifo => "it is a named pipe (fifo), not an object",
            Self::Socket => "it is a socket, not an object",
            Self::Device => "it is a device, not an object",
            Self::SymbolicLink => "it is a symbolic link, which isn't followed inside a repository",
            Self::FolderMarker => "its name ends with a slash: it is a folder's marker, not an object",
            Self::StrangeName => "its name is longer than an object's can be, or isn't text",
        }
    }

    /// Whether it occupies exactly its own name, so that no object of that name can be created. A folder
    /// doesn't count: it may contain objects.
    pub(crate) fn has_taken_its_name(self) -> bool {
        matches!(self, Self::Fifo | Self::Socket | Self::Device | Self::SymbolicLink)
    }
}

/// A file system that can't give a name without the risk of replacing another file of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file system can neither link files nor rename them without replacing others, so two writers could overwrite \
     each other's objects ({})",
    self.seen()
)]
pub struct NoExclusiveNames {
    pub(crate) link: Errno,
    pub(crate) rename: Errno,
}

impl NoExclusiveNames {
    /// The file system's answers.
    #[must_use]
    pub fn seen(self) -> String {
        format!("link: {}; rename: {}", io::Error::from(self.link), io::Error::from(self.rename))
    }
}

/// The longest name of an object, in bytes. A listing leaves out objects whose names are longer.
pub const NAME_BYTES_MAX: usize = 1024;

/// Why the content under a name can't be used, although the store works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It isn't an object.
    NotAnObject(NotAnObject),
    /// It is larger than the caller takes. It was refused, unread.
    TooLarge,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendErrorKind {
    /// The object isn't there.
    NotFound,
    /// The run was cancelled. That says nothing about the store.
    Cancelled,
    /// The store works; the content under this name can't be used.
    Unusable(Unusable),
    /// The store's file system can't give a name without the risk of replacing another file of that name: only
    /// a single writer may create objects there.
    NoExclusiveNames(NoExclusiveNames),
    /// The store has no room left.
    Full,
    /// The credentials or the user lack a permission.
    Denied,
    /// The store is mounted for reading only.
    ReadOnly,
    /// A setting is wrong: the store's address or bucket, or this machine's clock.
    Misconfigured,
    /// The bucket's region isn't known, or is another one than was said.
    Region,
    /// The connection isn't secure: no authority that is trusted vouches for the store, or the certificates of those
    /// that are to be trusted can't be used.
    Certificates,
    /// The store lacks a feature that is needed.
    Unsupported,
    /// The store couldn't be reached, or failed, until the time for repeats was over.
    Unreachable,
    /// The store contradicts itself, or stores other bytes than it was sent: a repository isn't safe there.
    Untrustworthy,
    /// Any other reason.
    Other,
}

impl BackendErrorKind {
    /// What the system's own kind means for a store.
    fn of_system(kind: io::ErrorKind) -> Self {
        use io::ErrorKind as System;
        match kind {
            System::NotFound => Self::NotFound,
            System::StorageFull | System::QuotaExceeded => Self::Full,
            System::PermissionDenied => Self::Denied,
            System::ReadOnlyFilesystem => Self::ReadOnly,
            System::ConnectionRefused
            | System::ConnectionReset
            | System::ConnectionAborted
            | System::HostUnreachable
            | System::NetworkUnreachable
            | System::NetworkDown
            | System::NotConnected
            | System::TimedOut => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {object}: {}", advice(*.kind, .source))]
pub struct BackendError {
    /// Why it failed, for programs.
    pub kind: BackendErrorKind,
    /// What was tried.
    pub operation: Operation,
    /// Which object, with the store's address.
    pub object: String,
    /// Why it failed, in words.
    pub source: io::Error,
}

impl BackendError {
    /// An operation that failed with an error of the operating system.
    #[must_use]
    pub fn of_system(operation: Operation, object: impl Into<String>, source: io::Error) -> Self {
        Failed::from(source).at(operation, object.into())
    }

    /// An operation that failed for a reason that needs no further explanation.
    #[must_use]
    pub fn of_kind(operation: Operation, object: impl Into<String>, kind: BackendErrorKind) -> Self {
        Failed::of(kind).at(operation, object.into())
    }

    /// Whether the object isn't there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == BackendErrorKind::NotFound
    }

    /// Whether the store works, and the content under this name can't be used: it isn't an object, or it is
    /// larger than an object of its kind can be. Reading it again gives the same result.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        self.operation == Operation::Read && matches!(self.kind, BackendErrorKind::Unusable(_))
    }

    /// Whether the store has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.kind == BackendErrorKind::Full
    }

    /// What is there instead of an object, if that is the reason.
    #[must_use]
    pub fn not_an_object(&self) -> Option<NotAnObject> {
        match self.kind {
            BackendErrorKind::Unusable(Unusable::NotAnObject(what)) => Some(what),
            _ => None,
        }
    }

    /// What the store's file system can't do, if that is the reason: only a single writer may create there.
    #[must_use]
    pub fn no_exclusive_names(&self) -> Option<NoExclusiveNames> {
        match self.kind {
            BackendErrorKind::NoExclusiveNames(lack) => Some(lack),
            _ => None,
        }
    }

    /// Whether the object was refused, unread, because it is larger than the caller takes.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.kind == BackendErrorKind::Unusable(Unusable::TooLarge)
    }

    /// Whether it failed only because the run was cancelled.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.kind == BackendErrorKind::Cancelled
    }
}

/// Why something failed, before the operation and the object are known.
#[derive(Debug)]
pub(crate) struct Failed {
    pub kind: BackendErrorKind,
    pub source: io::Error,
}

impl Failed {
    /// With its own message.
    pub(crate) fn new(kind: BackendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, source: io::Error::other(message.into()) }
    }

    /// With the usual message of its kind.
    pub(crate) fn of(kind: BackendErrorKind) -> Self {
        let source = match kind {
            BackendErrorKind::NotFound => io::ErrorKind::NotFound.into(),
            BackendErrorKind::Cancelled => io::Error::other("interrupted"),
            BackendErrorKind::Unusable(Unusable::NotAnObject(what)) => io::Error::other(what),
            BackendErrorKind::Unusable(Unusable::TooLarge) => {
                io::Error::other("it is larger than such an object can be")
            }
            BackendErrorKind::NoExclusiveNames(lack) => io::Error::other(lack),
            BackendErrorKind::Full => io::ErrorKind::StorageFull.into(),
            BackendErrorKind::Denied => io::ErrorKind::PermissionDenied.into(),
            BackendErrorKind::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
            BackendErrorKind::Misconfigured | BackendErrorKind::Region | BackendErrorKind::Certificates => {
                io::ErrorKind::InvalidInput.into()
            }
            BackendErrorKind::Unsupported => io::ErrorKind::Unsupported.into(),
            BackendErrorKind::Unreachable => io::ErrorKind::ConnectionAborted.into(),
            BackendErrorKind::Untrustworthy => io::ErrorKind::InvalidData.into(),
            BackendErrorKind::Other => io::ErrorKind::Other.into(),
        };
        Self { kind, source }
    }

    pub(crate) fn at(self, operation: Operation, object: String) -> BackendError {
        BackendError { kind: self.kind, operation, object, source: self.source }
    }
}

impl From<io::Error> for Failed {
    fn from(source: io::Error) -> Self {
        Self { kind: BackendErrorKind::of_system(source.kind()), source }
    }
}

impl From<Errno> for Failed {
    fn from(errno: Errno) -> Self {
        io::Error::from(errno).into()
    }
}

impl From<NotAnObject> for Failed {
    fn from(what: NotAnObject) -> Self {
        Self::of(BackendErrorKind::Unusable(Unusable::NotAnObject(what)))
    }
}

impl From<NoExclusiveNames> for Failed {
    fn from(lack: NoExclusiveNames) -> Self {
        Self::of(BackendErrorKind::NoExclusiveNames(lack))
    }
}

/// The cause, and what to do about causes that users can change.
fn advice(kind: BackendErrorKind, source: &io::Error) -> String {
    // Messages of this crate already say what to do.
    if source.get_ref().is_some() {
        return source.to_string();
    }
    let advice = match kind {
        BackendErrorKind::Full => {
            "free some space there and run the command again; everything stored so far is intact"
        }
        BackendErrorKind::ReadOnly => "mount it for writing and run the command again",
        BackendErrorKind::Denied => "run the command as a user who may use the repository",
        _ => return source.to_string(),
    };
    format!("{source}; {advice}")
}
