//! Causes that errors name.

use std::fmt;

use keepfast_format::ids::SlotId;
use keepfast_format::names;

use crate::nouns::{agreeing, counted, grouped};

/// Why a file of patterns isn't used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFileFlaw {
    /// Its bytes aren't those of a text.
    #[error("it is in UTF-16: save it in UTF-8")]
    Utf16,
    /// There are as many above it as there may be.
    #[error("it isn't used, because {0} other ignore files are above it")]
    TooManyAbove(usize),
    /// It is a link.
    #[error("it is a symbolic link, and ignore files may not be links")]
    Link,
    /// It is too large.
    #[error("it is larger than {0} KiB")]
    TooLarge(u64),
    /// The system doesn't let it be read.
    #[error("it can't be read: {0}")]
    Unreadable(String),
    /// In a directory of many users, the file of one must not leave out those of others.
    #[error("it belongs to user {0}, and its directory to another")]
    OtherOwner(u32),
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

/// What it means that an object is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// A config or a keyring.
    #[error("nothing can be opened without it; restore it from a copy of the repository")]
    Parameters,
    /// All key slots.
    #[error("without a key slot nothing can be opened; restore it from a copy of the repository")]
    KeySlots,
    /// A chunk.
    #[error("no pack has it")]
    Chunk,
    /// A chunk that keeps a garbage collection from going on.
    #[error(
        "a snapshot needs it, and no pack that is there has it; nothing was removed. Restore the packs that have \
         it from a copy of the repository, or, if they are lost for good, forget the snapshots that need it"
    )]
    LiveChunk,
    /// A pack.
    #[error("what it holds can't be restored")]
    Pack,
    /// A pack that a verdict has named.
    #[error("a garbage collection has removed it, or is about to")]
    DeadPack,
    /// An object that the store had a moment ago, and that no program removes.
    #[error("it was there a moment ago: the store doesn't keep its promises")]
    BrokenPromise,
}

/// Key slots that no password was tried on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SlotsLeft {
    /// How many would take more memory than is allowed.
    pub too_large: u64,
    /// How many came after as many, or as much work, as is allowed.
    pub too_many: u64,
    /// Objects that aren't key slots, or not any more.
    pub unreadable: Vec<SlotId>,
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
            write!(
                f,
                "; {} {} not tried, because {} for too much memory",
                grouped(self.too_large),
                agreeing(self.too_large, "was", "were"),
                agreeing(self.too_large, "it asks", "they ask")
            )?;
        }
        if self.too_many > 0 {
            write!(
                f,
                "; {} {} not tried, because others that ask for less work came first",
                grouped(self.too_many),
                agreeing(self.too_many, "was", "were")
            )?;
        }
        match &self.unreadable[..] {
            [] => Ok(()),
            [one] => write!(f, "; {} can't be read", names::slot(*one)),
            [one, others @ ..] => {
                let others = counted(others.len() as u64, "other");
                write!(f, "; {} and {others} can't be read", names::slot(*one))
            }
        }
    }
}
