//! Categories of errors: each has one thing that a person does about it.

use std::io::ErrorKind;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Something on the network doesn't answer, or says that it is busy.
    Network,
    /// A password, key or token isn't taken, or can't be had.
    Credentials,
    /// There is no room: a full disk, a quota, memory.
    Space,
    /// The account is known and may not do that.
    Permission,
    /// What is to be backed up isn't there or fails while it is read: a path, a command, a database.
    Source,
    /// Bytes in the repository aren't what was written.
    Damage,
    /// A definition says what can't be done: an address that isn't one, a repository that isn't there.
    Configuration,
    /// What must not happen in the program.
    Bug,
}

/// On which side of a backup something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where data is read that is backed up.
    Source,
    /// Where it is stored.
    Store,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Network,
        Self::Credentials,
        Self::Space,
        Self::Permission,
        Self::Source,
        Self::Damage,
        Self::Configuration,
        Self::Bug,
    ];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Credentials => "credentials",
            Self::Space => "space",
            Self::Permission => "permission",
            Self::Source => "source",
            Self::Damage => "damage",
            Self::Configuration => "configuration",
            Self::Bug => "bug",
        }
    }

    /// That with this name in records.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }

    /// That of what the system said about a file or a connection. What isn't known is a fault of that side: of
    /// the source, or of the way to the store.
    #[must_use]
    pub fn of_io(kind: ErrorKind, side: Side) -> Self {
        match (kind, side) {
            (ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge, _) => Self::Space,
            (ErrorKind::OutOfMemory, _) => Self::Space,
            (ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem, _) => Self::Permission,
            (
                ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::NotConnected
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::AddrNotAvailable
                | ErrorKind::TimedOut
                | ErrorKind::StaleNetworkFileHandle,
                _,
            ) => Self::Network,
            (ErrorKind::InvalidData | ErrorKind::UnexpectedEof, Side::Store) => Self::Damage,
            (_, Side::Source) => Self::Source,
            (_, Side::Store) => Self::Network,
        }
    }

    /// That of an answer of a store or another server by HTTP; none if it is no error, or only the caller
    /// knows, as with 404.
    #[must_use]
    pub const fn of_http_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::Credentials),
            403 => Some(Self::Permission),
            408 | 425 | 429 | 500 | 502..=504 | 509 => Some(Self::Network),
            413 | 507 => Some(Self::Space),
            // The server says that the request makes no sense.
            400 | 405 | 411 | 414 | 415 | 422 | 501 => Some(Self::Bug),
            _ => None,
        }
    }

    /// What a person does about it, in whole sentences. The error itself names the object.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Network => {
                "The other side didn't answer, or was busy. Nothing is lost: the next run continues where this one \
                 ended. If it stays, see whether that host's name resolves and its port answers from here, and \
                 whether a firewall or proxy is between."
            }
            Self::Credentials => {
                "A secret was refused or couldn't be read. See whether it has expired or was changed, whether the \
                 reference in the configuration names the right file or variable, and whether this clock is right: \
                 signed requests are refused when it is minutes off."
            }
            Self::Space => {
                "There is no room left. Free some, or raise the quota. Fewer snapshots free space in a repository \
                 only after the next prune, and a prune needs some space itself."
            }
            Self::Permission => {
                "The account is known and may not do that. See whose account the program runs under, what that \
                 account may do with the object that the message names, and whether the file system or bucket is \
                 read-only or locked."
            }
            Self::Source => {
                "What should be backed up couldn't be read. See whether the path is mounted, whether the command \
                 works when you run it yourself, and whether the database is up. Until then, the newest snapshot \
                 stays the last good one."
            }
            Self::Damage => {
                "Bytes in the repository aren't what was written. Run a full check, which names what is damaged and \
                 what depends on it. Don't prune and don't remove snapshots before you know the cause: often it is \
                 a disk or memory that fails, and then new backups are damaged too."
            }
            Self::Configuration => {
                "The definition asks for what can't be done, and the message says for what. Change it; the same run \
                 fails again until then."
            }
            Self::Bug => {
                "That must not happen, and it isn't your fault. Please report it with the log of this run and the \
                 version of the program. If it began with an update, the version before may work."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{Category, Side};

    #[test]
    fn names_lead_back() {
        for category in Category::ALL {
            assert_eq!(Category::named(category.name()), Some(category));
        }
        assert_eq!(Category::named("other"), None);
    }

    #[test]
    fn the_side_decides_where_the_system_does_not() {
        use Category::{Damage, Network, Permission, Source, Space};
        for (kind, at_source, at_store) in [
            (ErrorKind::NotFound, Source, Network),
            (ErrorKind::PermissionDenied, Permission, Permission),
            (ErrorKind::StorageFull, Space, Space),
            (ErrorKind::TimedOut, Network, Network),
            (ErrorKind::UnexpectedEof, Source, Damage),
            (ErrorKind::BrokenPipe, Source, Network),
        ] {
            assert_eq!(Category::of_io(kind, Side::Source), at_source, "{kind}");
            assert_eq!(Category::of_io(kind, Side::Store), at_store, "{kind}");
        }
    }

    #[test]
    fn answers_of_servers_have_categories() {
        assert_eq!(Category::of_http_status(200), None);
        assert_eq!(Category::of_http_status(404), None);
        assert_eq!(Category::of_http_status(401), Some(Category::Credentials));
        assert_eq!(Category::of_http_status(403), Some(Category::Permission));
        assert_eq!(Category::of_http_status(429), Some(Category::Network));
        assert_eq!(Category::of_http_status(503), Some(Category::Network));
        assert_eq!(Category::of_http_status(507), Some(Category::Space));
        assert_eq!(Category::of_http_status(501), Some(Category::Bug));
    }

    #[test]
    fn each_advice_is_of_its_own_and_in_sentences() {
        for category in Category::ALL {
            let advice = category.advice();
            assert!(advice.ends_with('.') && !advice.contains("  "), "{advice}");
            let same = Category::ALL.into_iter().filter(|other| other.advice() == advice);
            assert_eq!(same.count(), 1);
        }
    }
}
