//! Garbage collection's epochs, as the store has them: which there are, what they condemn, and
//! their verdicts.

use std::collections::BTreeSet;

use keepfast_format::epoch::{Condemned, StoredVerdict, Verdict};
use keepfast_format::names::{self, EpochPart};
use keepfast_format::{FormatError, limits};

use super::flaws::Flaw;
use super::index::Index;
use super::repository::Repository;
use crate::error::{EngineError, Result};

/// Which objects of epochs there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Epochs {
    condemned: BTreeSet<u32>,
    done: BTreeSet<u32>,
}

impl Epochs {
    /// Lists them. Each epoch but the newest must have its verdict: without it nobody would
    /// know what is dead.
    pub fn list(repository: &Repository) -> Result<Self> {
        let mut epochs = Self::default();
        repository.backend().list(names::EPOCHS, &mut |listed| match names::parse_epoch(&listed.name) {
            Some((n, EpochPart::Condemned)) => {
                epochs.condemned.insert(n);
            }
            Some((n, EpochPart::Done)) => {
                epochs.done.insert(n);
            }
            None => {}
        })?;
        let newest = epochs.newest();
        let missing = |name| EngineError::Missing {
            object: name,
            consequence: "nobody can tell which packs are dead without it; restore it from a copy of the repository",
        };
        for n in 1..=newest {
            if !epochs.condemned.contains(&n) {
                return Err(missing(names::epoch(n, EpochPart::Condemned)));
            }
            if n < newest && !epochs.done.contains(&n) {
                return Err(missing(names::epoch(n, EpochPart::Done)));
            }
        }
        Ok(epochs)
    }

    /// The newest epoch's number; 0 if there is none.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.condemned.last().max(self.done.last()).copied().unwrap_or(0)
    }

    /// The newest epoch, if it has no verdict yet.
    #[must_use]
    pub fn unfinished(&self) -> Option<u32> {
        self.condemned.last().copied().filter(|n| !self.done.contains(n))
    }

    /// The newest epoch that has its verdict; 0 if there is none.
    #[must_use]
    pub fn newest_finished(&self) -> u32 {
        self.done.last().copied().unwrap_or(0)
    }

    /// Tells the index of every verdict that it hasn't heard.
    pub fn tell_all(&self, repository: &Repository, index: &Index) -> Result<()> {
        match self.tell(repository, index)? {
            Told::All => Ok(()),
            Told::IndexIsAhead => Err(EngineError::Unusable(
                "the repository has lost epochs that this machine knows of: it was set back to an earlier \
                 state; clear this machine's index with `keepfast cache clear` and run the command again"
                    .to_owned(),
            )),
        }
    }

    /// Tells the index of every verdict that it hasn't heard. An index that has heard more than
    /// there is, is one of another time: then this says so.
    pub(super) fn tell(&self, repository: &Repository, index: &Index) -> Result<Told> {
        if repository.has(Flaw::VerdictsNotHeard) {
            return Ok(Told::All);
        }
        let heard = index.epochs()?;
        if heard.iter().any(|n| !self.done.contains(n)) {
            return Ok(Told::IndexIsAhead);
        }
        for n in self.done.iter().filter(|n| !heard.contains(n)) {
            index.bury(*n, &read_verdict(repository, *n)?.packs)?;
        }
        Ok(Told::All)
    }
}

/// Whether an index could be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It has heard every verdict.
    All,
    /// It has heard verdicts that aren't there.
    IndexIsAhead,
}

/// What an epoch condemns; nothing if there is no such epoch.
pub fn find_condemned(repository: &Repository, n: u32) -> Result<Option<Condemned>> {
    let name = names::epoch(n, EpochPart::Condemned);
    let Some(bytes) = find(repository, &name)? else { return Ok(None) };
    let owners = repository.identity().owners();
    Condemned::open(&bytes, repository.id(), n, owners).map(Some).map_err(EngineError::damaged(name))
}

/// What an epoch condemns.
pub fn read_condemned(repository: &Repository, n: u32) -> Result<Condemned> {
    find_condemned(repository, n)?.ok_or_else(|| EngineError::Missing {
        object: names::epoch(n, EpochPart::Condemned),
        consequence: "it was listed a moment ago: the store doesn't keep its promises; see `keepfast doctor`",
    })
}

/// An epoch's verdict; nothing if it has none yet.
pub fn find_verdict(repository: &Repository, n: u32) -> Result<Option<Verdict>> {
    let name = names::epoch(n, EpochPart::Done);
    let Some(bytes) = find(repository, &name)? else { return Ok(None) };
    let stored = open_stored(repository, n, &bytes).map_err(EngineError::damaged(name))?;
    by_names(repository, n, stored).map(Some)
}

/// An epoch's verdict, which must be there.
pub fn read_verdict(repository: &Repository, n: u32) -> Result<Verdict> {
    let name = names::epoch(n, EpochPart::Done);
    let open = |bytes: &[u8]| open_stored(repository, n, bytes);
    let stored = repository.objects().read(&name, limits::EPOCH_OBJECT_BYTES_MAX, open)?;
    by_names(repository, n, stored)
}

fn open_stored(repository: &Repository, n: u32, bytes: &[u8]) -> Result<StoredVerdict, FormatError> {
    StoredVerdict::open(bytes, repository.id(), n, repository.identity().owners())
}

/// A verdict from before names counted says which packs it means together with what its epoch condemns.
fn by_names(repository: &Repository, n: u32, stored: StoredVerdict) -> Result<Verdict> {
    match stored {
        StoredVerdict::Named(verdict) => Ok(verdict),
        by_ids @ StoredVerdict::ByIds(_) => Ok(by_ids.among(&read_condemned(repository, n)?)),
    }
}

fn find(repository: &Repository, name: &str) -> Result<Option<Vec<u8>>> {
    match repository.backend().read(name, limits::EPOCH_OBJECT_BYTES_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
