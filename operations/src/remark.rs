//! What is worth a line about a run, beyond what the engine tells. A front end may say it in its own words, with the
//! names of its flags.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use keepfast_engine::nouns::counted;
use keepfast_engine::repo::Older;
use keepfast_engine::run::RunContext;
use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::node::Timestamp;

use crate::patterns::Doubt;
use crate::{sources, times};

/// Something worth a line. Nothing of it changes the result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// What was seen at this place before can't be read any more.
    MemoryLost {
        /// The file where it was.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The store lets writers overwrite each other, and the repository was declared to have one writer.
    SingleWriter,
    /// The cache stays larger than it may be.
    CacheTooLarge {
        /// Why.
        why: String,
    },
    /// The local index can't be used where it should be, and is built in memory.
    IndexInMemory {
        /// Why.
        why: String,
    },
    /// The store doesn't show something that was seen there before.
    Older(Older),
    /// What the store shows now can't be remembered.
    NotRemembered {
        /// Why.
        why: String,
    },
    /// It can't be remembered that a repository that was only just made is expected at its place.
    NotExpected {
        /// Why.
        why: String,
    },
    /// The local index failed in the middle of a backup, which begins again with one in memory.
    BeginsAgain {
        /// Why.
        why: String,
    },
    /// A pattern most likely has another effect than the one that was meant.
    Pattern(Doubt),
    /// Something about a path that is backed up.
    Path(sources::Remark),
    /// The newest snapshot was chosen among those of several writers.
    SeveralWriters {
        /// The word by which it was chosen.
        text: String,
        /// The writers.
        writers: Vec<HolderId>,
        /// The snapshot.
        snapshot: SessionId,
        /// Its writer.
        writer: HolderId,
    },
    /// A snapshot that is used says that it was made in the future.
    Ahead {
        /// The snapshot.
        snapshot: SessionId,
        /// The machine that it is of.
        host: String,
        /// When it says that it was made.
        time: Timestamp,
        /// What it is used as.
        used: AheadUse,
    },
}

/// What a snapshot that is later than the present is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AheadUse {
    /// As the latest.
    Latest,
    /// As the one that a backup compares with.
    Parent,
}

impl AheadUse {
    /// What follows from it.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Latest => "it is the latest until then",
            Self::Parent => "unchanged files were taken over from it",
        }
    }
}

/// This many writers a remark names.
const WRITERS_NAMED: usize = 8;

/// Hears of remarks, each with the run that it is about.
pub type Remarks = Arc<dyn Fn(&RunContext, &Remark) + Send + Sync>;

/// Makes notices of the run of all remarks.
#[must_use]
pub fn as_notices() -> Remarks {
    Arc::new(|run, remark| run.notice(remark.to_string()))
}

impl Remark {
    /// Whether something is most likely not as it was meant.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        match self {
            Self::MemoryLost { .. }
            | Self::SingleWriter
            | Self::CacheTooLarge { .. }
            | Self::IndexInMemory { .. }
            | Self::NotExpected { .. }
            | Self::BeginsAgain { .. }
            | Self::Pattern(_) => true,
            Self::Older(_)
            | Self::NotRemembered { .. }
            | Self::Path(_)
            | Self::SeveralWriters { .. }
            | Self::Ahead { .. } => false,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MemoryLost { file, why } => write!(
                f,
                "{}: {why}: what was seen of this repository before is forgotten, so no one can tell whether it is \
                 the same",
                file.display()
            ),
            Self::SingleWriter => f.write_str(
                "this store lets writers overwrite each other's objects: never run two commands that write at the \
                 same time, and never from two machines",
            ),
            Self::CacheTooLarge { why } => write!(f, "the cache can't be made smaller: {why}"),
            Self::IndexInMemory { why } => {
                write!(f, "{why}. Until then it is built in memory, which takes time")
            }
            Self::Older(older) => write!(f, "the store shows an older state: {}: {older}", older.object()),
            Self::NotRemembered { why } => write!(
                f,
                "what was seen of this repository can't be remembered: {why}; the next command can't tell whether \
                 it is the same"
            ),
            Self::NotExpected { why } => write!(
                f,
                "it can't be remembered in the cache that this repository is expected here: {why}"
            ),
            Self::BeginsAgain { why } => {
                write!(f, "{why}. The backup begins again, with an index in memory")
            }
            Self::Pattern(doubt) => doubt.fmt(f),
            Self::Path(remark) => remark.fmt(f),
            Self::SeveralWriters { text, writers, snapshot, writer } => {
                let named: Vec<String> = writers.iter().take(WRITERS_NAMED).copied().map(short).collect();
                let others = writers.len() - named.len();
                let others = match others {
                    0 => String::new(),
                    others => format!(" and {}", counted(others as u64, "other")),
                };
                write!(
                    f,
                    "{text} was chosen among snapshots of {} writers ({}{others}): snapshot {} is of writer {}",
                    writers.len(),
                    named.join(", "),
                    &snapshot.short()[..8],
                    short(*writer),
                )
            }
            Self::Ahead { snapshot, host, time, used } => write!(
                f,
                "snapshot {} of {host} says that it was made at {}, which is in the future: the clock here or there \
                 is wrong; {}",
                &snapshot.short()[..8],
                times::rfc3339(*time),
                used.consequence(),
            ),
        }
    }
}

/// A writer for people: the start of its id.
fn short(writer: HolderId) -> String {
    writer.to_string().chars().take(8).collect()
}
