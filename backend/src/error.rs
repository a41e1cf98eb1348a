//! What can go wrong in a store, and with which object.

use std::fmt;
use std::io;

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

/// The cause, and what to do about the causes that users can help.
fn advice(source: &io::Error) -> String {
    // What isn't the system's own error says itself what to do.
    if source.get_ref().is_some() {
        return source.to_string();
    }
    let advice = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there and run the command again; what is stored is sound"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing and run the command again",
        io::ErrorKind::PermissionDenied => "run the command as a user who may use the repository",
        _ => return source.to_string(),
    };
    format!("{source}; {advice}")
}
