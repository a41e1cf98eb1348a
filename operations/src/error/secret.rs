//! Why a secret can't be had.

use std::io;
use std::process::ExitStatus;

use super::fetch::{FetchError, SecretErrorKind};
use super::printed::printed;

/// Why a secret can't be had. `what` says what the secret is, such as "password"; no message holds the secret, or
/// a command, which may hold one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No one has said where it is.
    #[error("no {what} given")]
    NotGiven {
        /// What it should be.
        what: String,
    },
    /// A new password was given twice, and not as the same.
    #[error("the two passwords differ: run the command again")]
    Differ,
    /// A new password is empty.
    #[error("the password is empty: without one anyone who can read the repository can read your data")]
    NoPassword,
    /// The file, credential or descriptor can't be read.
    #[error("{place} can't be read")]
    Unreadable {
        /// Where the secret should be.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The variable isn't set.
    #[error("{place} isn't there: the variable isn't set")]
    NotSet {
        /// Where the secret should be.
        place: String,
    },
    /// The service manager has passed no credentials.
    #[error("{place} can't be read: the service manager passes no credentials to this program")]
    NoCredentials {
        /// Where the secret should be.
        place: String,
    },
    /// The name isn't one that a credential can have.
    #[error("{place} can't be read: the name of a credential is that of a file, without a slash")]
    CredentialName {
        /// Where the secret should be.
        place: String,
    },
    /// The command can't be run or watched.
    #[error("{place} can't be run")]
    NotRun {
        /// The command, without what it is.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The command said that it failed.
    #[error("{place} failed: {status}{}", printed(stderr.as_deref()))]
    Failed {
        /// The command, without what it is.
        place: String,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it printed to standard error, if that was captured.
        stderr: Option<String>,
    },
    /// It is longer than any secret.
    #[error("{place} holds more than {bytes_max} bytes: that is no {what}")]
    TooLarge {
        /// Where the secret should be.
        place: String,
        /// What it should be.
        what: String,
        /// How many bytes it may have.
        bytes_max: usize,
    },
    /// It is in another encoding.
    #[error("{place} is in UTF-16: write it in UTF-8")]
    Utf16 {
        /// Where the secret is.
        place: String,
    },
    /// It is no text.
    #[error("{place} isn't UTF-8")]
    NotUtf8 {
        /// Where the secret is.
        place: String,
    },
    /// It begins with an empty line.
    #[error("{place} has no {what} in its first line")]
    EmptyLine {
        /// Where the secret should be.
        place: String,
        /// What it should be.
        what: String,
    },
    /// It is empty.
    #[error("{place} is empty")]
    Empty {
        /// Where the secret should be.
        place: String,
    },
    /// A new password would have a mark in it that no one can type.
    #[error(
        "{place} begins with a byte-order mark (U+FEFF), which an editor has put there and no one can type: write it \
         without the mark"
    )]
    Marked {
        /// Where the secret is.
        place: String,
    },
    /// There is nothing behind the mark.
    #[error("{place} is empty but for a byte-order mark")]
    OnlyMark {
        /// Where the secret should be.
        place: String,
    },
    /// Vault, KMS or a keyring doesn't give it.
    #[error("{place} can't be had")]
    NotFetched {
        /// Where the secret should be.
        place: String,
        /// Why.
        source: FetchError,
    },
}

impl SecretError {
    /// What would have to change for it to succeed.
    #[must_use]
    pub fn kind(&self) -> SecretErrorKind {
        match self {
            Self::NotFetched { source, .. } => source.kind(),
            Self::NotRun { .. } | Self::Failed { .. } => SecretErrorKind::Unknown,
            Self::NotGiven { .. }
            | Self::Differ
            | Self::NoPassword
            | Self::Unreadable { .. }
            | Self::NotSet { .. }
            | Self::NoCredentials { .. }
            | Self::CredentialName { .. }
            | Self::TooLarge { .. }
            | Self::Utf16 { .. }
            | Self::NotUtf8 { .. }
            | Self::EmptyLine { .. }
            | Self::Empty { .. }
            | Self::Marked { .. }
            | Self::OnlyMark { .. } => SecretErrorKind::Configuration,
        }
    }
}
