//! Errors of decoding: why bytes that claim to be part of a repository are refused.

use thiserror::Error;

/// A reason to refuse some bytes. `what` names the structure, in SPEC's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The input ends before the structure does.
    #[error("{what} is cut short")]
    Truncated {
        /// The structure.
        what: &'static str,
    },
    /// Bytes follow where the structure should end.
    #[error("{what} is followed by bytes that don't belong to it")]
    TrailingBytes {
        /// The structure.
        what: &'static str,
    },
    /// A count or length exceeds its limit in SPEC's table.
    #[error("{what}: {field} is over its limit")]
    OverLimit {
        /// The structure.
        what: &'static str,
        /// The field that is too large.
        field: &'static str,
    },
    /// A field is missing, has the wrong type, or has a value without a meaning.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The bytes aren't the canonical encoding of their value.
    #[error("{what} isn't encoded canonically")]
    NotCanonical {
        /// The structure.
        what: &'static str,
    },
    /// A version, suite or algorithm that this program doesn't know.
    #[error("{what} has version {found}; this program knows versions up to {newest}: use a newer keepfast")]
    UnknownVersion {
        /// The structure.
        what: &'static str,
        /// The version that was found.
        found: u64,
        /// The newest version known.
        newest: u64,
    },
    /// A critical field that this program doesn't know.
    #[error("{what} has the field {key}, which this program doesn't know: use a newer keepfast")]
    UnknownField {
        /// The structure.
        what: &'static str,
        /// The field's key.
        key: i128,
    },
    /// A seal, signature, hash or commitment doesn't match.
    #[error("{what} isn't authentic: it was changed, or made under other keys")]
    NotAuthentic {
        /// The structure.
        what: &'static str,
    },
    /// The available keys can't open this.
    #[error("{what} can't be opened with the keys of this role")]
    NoKey {
        /// The structure.
        what: &'static str,
    },
    /// The password doesn't open the key slot.
    #[error("the password doesn't open this key slot")]
    WrongPassword,
}

/// The category of a [`FormatError`], as test vectors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// Cut short.
    Truncated,
    /// Followed by more bytes.
    Trailing,
    /// Over a limit.
    Limit,
    /// Malformed.
    Malformed,
    /// Not canonical.
    Canonical,
    /// Newer than this program.
    Unsupported,
    /// Changed, or made under other keys.
    Authentic,
    /// No key opens it.
    Key,
}

impl FormatError {
    /// The error's category.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Truncated { .. } => Category::Truncated,
            Self::TrailingBytes { .. } => Category::Trailing,
            Self::OverLimit { .. } => Category::Limit,
            Self::Malformed { .. } => Category::Malformed,
            Self::NotCanonical { .. } => Category::Canonical,
            Self::UnknownVersion { .. } | Self::UnknownField { .. } => Category::Unsupported,
            Self::NotAuthentic { .. } => Category::Authentic,
            Self::NoKey { .. } | Self::WrongPassword => Category::Key,
        }
    }
}
