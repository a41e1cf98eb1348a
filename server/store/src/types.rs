//! What the tables are made of: instants, names, short texts.

use std::borrow::Cow;
use std::fmt::{Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// Bytes of a name, at most.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a text, at most: the rest is cut off.
const TEXT_BYTES_MAX: usize = 4096;

/// An instant: microseconds since the beginning of 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(i64);

impl UtcTime {
    /// The last instant there is.
    pub const MAX: Self = Self(i64::MAX);
    /// The first instant there is.
    pub const MIN: Self = Self(i64::MIN);

    /// An instant from microseconds since the beginning of 1970, UTC.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the beginning of 1970, UTC.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This much later, or the last instant there is.
    #[must_use]
    pub fn plus(self, length: Duration) -> Self {
        Self(self.0.saturating_add(micros(length)))
    }

    /// This much earlier, or the first instant there is.
    #[must_use]
    pub fn minus(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(micros(length)))
    }
}

/// Microseconds, as the database has lengths of time; at most the longest that it can have.
pub(crate) fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// It has no characters.
    #[error("a name has at least one character")]
    Empty,
    /// It is too long.
    #[error("a name has at most {NAME_BYTES_MAX} bytes, not {bytes}")]
    TooLong {
        /// The bytes that it has.
        bytes: usize,
    },
    /// It would damage a terminal or a line of a log.
    #[error("a name has no control characters")]
    ControlCharacter,
}

fn check_name(name: &str) -> Result<(), InvalidName> {
    match name.len() {
        0 => Err(InvalidName::Empty),
        bytes if bytes > NAME_BYTES_MAX => Err(InvalidName::TooLong { bytes }),
        _ if name.chars().any(char::is_control) => Err(InvalidName::ControlCharacter),
        _ => Ok(()),
    }
}

/// Declares kinds of names, each a type of its own, so that they can't be mixed up.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Checks a name: 1 to 255 bytes without control characters.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                check_name(&name)?;
                Ok(Self(Cow::Owned(name)))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// A plan, as the configuration names it.
    PlanId;
    /// What makes slots: a plan, or the checks or prunes of a repository, for example `plan:www` or `check:main`.
    ScheduleId;
    /// A repository, as the configuration names it.
    RepositoryId;
    /// A host whose data is backed up.
    HostId;
    /// A drill, as the configuration names it.
    DrillId;
    /// A run; the caller makes it from random bits.
    RunId;
    /// A snapshot in its repository.
    SnapshotId;
    /// A server: the same after it has started again.
    ServerId;
    /// One life of a server: another one each time it starts.
    BootId;
    /// A target of notifications, as the configuration names it.
    TargetId;
    /// A consumer of events, with a place of its own in their sequence.
    ReaderId;
    /// A command that undoes what a hook has done; the caller makes it from random bits.
    UndoId;
    /// A user, or what acts for one.
    UserName;
    /// What an event or a problem is about, for example `plan:www`.
    Subject;
    /// What has happened, for example `run.ended`.
    EventKind;
    /// What is wrong, for example `overdue`.
    ProblemKind;
    /// A hash of the effective configuration.
    ConfigHash;
    /// The version of the program.
    ProgramVersion;
    /// What errors with the same cause have in common.
    Fingerprint;
    /// A category of errors, for example `network`.
    ErrorCategory;
    /// Part of a run, for example `upload`.
    Phase;
    /// A tag of a snapshot.
    Tag;
    /// A user; the caller makes it from random bits. A name can be given again, an id never is.
    UserId;
    /// The hash of a token, a device's cookie or a recovery code: what the state has instead of it.
    TokenHash;
    /// A token of the API, by the name that its user gave it.
    TokenName;
    /// A request that needs a second person; the caller makes it from random bits.
    ApprovalId;
    /// A preference of a user, for example `theme`.
    PreferenceName;
    /// What was done, for example `user.disable`.
    AuditAction;
    /// The hash of an entry of the audit, in hexadecimal.
    AuditHash;
}

impl Subject {
    /// A subject of a kind, for example `plan:www`. What doesn't fit is cut off; the documents of events and
    /// problems have whole names.
    #[must_use]
    pub fn of(kind: SubjectKind, name: &str) -> Self {
        let mut subject = format!("{}:{name}", kind.as_str());
        subject.truncate(subject.floor_char_boundary(NAME_BYTES_MAX));
        Self(Cow::Owned(subject))
    }
}

/// What a subject can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectKind {
    /// A plan.
    Plan,
    /// A repository.
    Repository,
    /// A host.
    Host,
    /// A target of notifications.
    Target,
    /// A run that belongs to none of these.
    Run,
    /// A pattern of errors.
    Error,
    /// A file of definitions that is written through the API.
    Definitions,
}

impl SubjectKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Repository => "repository",
            Self::Host => "host",
            Self::Target => "target",
            Self::Run => "run",
            Self::Error => "error",
            Self::Definitions => "definitions",
        }
    }
}

impl From<&ScheduleId> for Subject {
    fn from(schedule: &ScheduleId) -> Self {
        Self(schedule.0.clone())
    }
}

impl EventKind {
    /// A kind that the store itself writes.
    pub(crate) const fn known(kind: &'static str) -> Self {
        Self(Cow::Borrowed(kind))
    }
}

impl AuditHash {
    /// What stands where the hash of the entry before the first one would be.
    pub const START: Self = Self(Cow::Borrowed("-"));

    pub(crate) fn of(hash: &blake3::Hash) -> Self {
        Self(Cow::Owned(hash.to_hex().to_string()))
    }
}

impl AuditAction {
    /// An action that the program knows.
    #[must_use]
    pub const fn known(action: &'static str) -> Self {
        Self(Cow::Borrowed(action))
    }
}

/// A short text from a stranger that is shown in one line and searched for: at most 255 bytes, the rest is cut off, and
/// without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(NAME_BYTES_MAX)];
        // `?` has one byte, as each of the characters has at least.
        Self(text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect())
    }
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl Display for Label {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret that the state has to hold: it is never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret(String);

impl StoredSecret {
    /// The secret, or the hash of a password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for StoredSecret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredSecret(…)")
    }
}

/// A text for people: at most 4096 bytes, the rest is cut off, and no NUL, which a database can't hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        Self(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The process that carries something out: a server in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Executor {
    /// The server.
    pub server: ServerId,
    /// Its life.
    pub boot: BootId,
}

/// The right to write about what was claimed: only the newest holder's is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub(crate) i64);

/// Which of the states of a schedule or reader it is: each change makes one that no state had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub(crate) i64);

/// A place in the sequence of events: 0 is before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub(crate) i64);

impl Sequence {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// The place with this number: 0 or more.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.unsigned_abs()
    }
}

/// How many rows a page has: 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// The largest.
    pub const MAX: Self = Self(500);

    /// This many rows, or the nearest number that is allowed.
    #[must_use]
    pub fn at_most(rows: usize) -> Self {
        Self(u16::try_from(rows).unwrap_or(u16::MAX).clamp(1, Self::MAX.0))
    }

    /// How many.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn rows(self) -> i64 {
        i64::from(self.0)
    }

    /// Whether this many rows fill it, so that there may be more.
    pub(crate) fn is_filled_by(self, rows: usize) -> bool {
        rows >= usize::from(self.0)
    }
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// Its rows.
    pub rows: Vec<T>,
    /// What to ask for to get the next page; `None` on the last one.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// The same page of other rows.
    #[must_use]
    pub fn map<U>(self, row: impl FnMut(T) -> U) -> Page<U, K> {
        Page { rows: self.rows.into_iter().map(row).collect(), next: self.next }
    }

    /// The page without the rows that aren't wanted; what comes next stays.
    #[must_use]
    pub fn only(mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Self {
        self.rows.retain(|row| is_wanted(row));
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{InvalidName, Label, PageSize, PlanId, StoredSecret, TEXT_BYTES_MAX, Text};

    #[test]
    fn names_are_checked() {
        assert_eq!(PlanId::new("").unwrap_err(), InvalidName::Empty);
        assert_eq!(PlanId::new("a\nb").unwrap_err(), InvalidName::ControlCharacter);
        assert_eq!(PlanId::new("x".repeat(256)).unwrap_err(), InvalidName::TooLong { bytes: 256 });
        assert_eq!(PlanId::new("données").unwrap().as_str(), "données");
        assert!(serde_json::from_str::<PlanId>(r#""""#).is_err());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let long = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(Text::from(long.as_str()).as_str().len(), TEXT_BYTES_MAX);
        assert_eq!(Text::from(format!("x{long}")).as_str().len(), TEXT_BYTES_MAX - 1);
        assert_eq!(Text::from("a\0b").as_str(), "a\u{fffd}b");
    }

    #[test]
    fn labels_are_one_short_line_and_secrets_are_never_shown() {
        assert_eq!(Label::from("a\nb\u{9b}c\0").as_str(), "a?b?c?");
        assert_eq!(Label::from("é".repeat(200)).as_str().len(), 254);
        assert_eq!(format!("{:?}", StoredSecret::from("hunter2".to_owned())), "StoredSecret(…)");
    }

    #[test]
    fn pages_have_one_to_five_hundred_rows() {
        assert_eq!([0, 7, 70_000].map(|rows| PageSize::at_most(rows).rows()), [1, 7, 500]);
    }
}
