//! What can go wrong in a store, and with which object.

use std::fmt;
use std::io;

use crate::NoExclusiveNames;

/// What was asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Making ready to talk to a store.
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

/// What stands under a name in a store and isn't an object: nothing that a [`Backend`] makes.
///
/// [`Backend`]: crate::Backend
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.why())]
pub enum NotAnObject {
    /// A directory.
    Directory,
    /// A directory that lies deeper than any object. Listings don't look into it.
    TooDeep,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A symbolic link. None below the repository's own directory is followed.
    SymbolicLink,
    /// An object of an S3 store whose name ends with a slash: some programs make these, to show a folder.
    FolderMarker,
    /// Its name has more than [`NAME_BYTES_MAX`] bytes, or isn't UTF-8.
    StrangeName,
}

impl NotAnObject {
    /// What is said of it.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Directory => "it is a directory, not an object",
            Self::TooDeep => {
                "it is a directory that lies deeper than objects do; what is in it isn't looked at"
            }
            Self::Fifo => "it is a named pipe (fifo), not an object",
            Self::Socket => "it is a socket, not an object",
            Self::Device => "it is a device, not an object",
            Self::SymbolicLink => "it is a symbolic link, which isn't followed inside of a repository",
            Self::FolderMarker => "its name ends with a slash: it is a folder's marker, not an object",
            Self::StrangeName => "its name is longer than an object's can be, or isn't text",
        }
    }

    /// Whether it stands at the name that it is told with, so that no object can be created there, and
    /// isn't a folder, in which there may be objects.
    pub(crate) fn has_taken_its_name(self) -> bool {
        matches!(self, Self::Fifo | Self::Socket | Self::Device | Self::SymbolicLink)
    }
}

/// The longest name of an object, in bytes. A listing leaves out what has a longer one.
pub const NAME_BYTES_MAX: usize = 1024;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {object}: {}", advice(.source))]
pub struct BackendError {
    /// What was tried.
    pub operation: Operation,
    /// On which object, with the store's own location.
    pub object: String,
    /// Why it failed.
    pub source: io::Error,
}

impl BackendError {
    /// Whether the object isn't there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the store works, and what it has under this name can't be used: it isn't an object, or is
    /// larger than one of its kind can be. Reading it again gives the same.
    #[must_use]
    pub fn is_unusable(&self) -> bool {
        let why = self.not_an_object().is_some() || self.is_too_large();
        self.operation == Operation::Read && why
    }

    /// Whether the store has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        is_full(&self.source)
    }

    /// What stands there instead of an object, if that is the reason.
    #[must_use]
    pub fn not_an_object(&self) -> Option<NotAnObject> {
        self.source.get_ref()?.downcast_ref().copied()
    }

    /// What the store's file system can't do, if that is the reason: only a single writer may create there.
    #[must_use]
    pub fn no_exclusive_names(&self) -> Option<NoExclusiveNames> {
        self.source.get_ref()?.downcast_ref().copied()
    }

    /// Whether the object was refused, unread, because it is larger than the caller takes.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.source.kind() == io::ErrorKind::FileTooLarge
    }

    /// Whether it failed only because the caller wanted to end.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        // A call that the system interrupted says so too, but is no backend's own error.
        self.source.kind() == io::ErrorKind::Interrupted && self.source.get_ref().is_some()
    }
}

impl From<NotAnObject> for io::Error {
    fn from(what: NotAnObject) -> Self {
        Self::new(io::ErrorKind::InvalidData, what)
    }
}

/// Whether there was no room left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The cause, and what to do about the causes that users can help.
fn advice(source: &io::Error) -> String {
    // What isn't the system's own error says itself what to do.
    if source.get_ref().is_some() {
        return source.to_string();
    }
    let advice = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there (`keepfast prune` removes what failed runs have left) and run the command \
             again; what is stored is sound"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing and run the command again",
        io::ErrorKind::PermissionDenied => "run the command as a user who may use the repository",
        _ => return source.to_string(),
    };
    format!("{source}; {advice}")
}
