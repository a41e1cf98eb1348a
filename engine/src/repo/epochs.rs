//! Garbage collection's epochs, as the store has them: which there are, what they condemn, and
//! their verdicts.

use std::collections::BTreeSet;

use keepfast_format::epoch::{Condemned, StoredVerdict, Verdict};
use keepfast_format::names::{self, EpochPart, ObjectName};
use keepfast_format::{FormatError, limits};

use super::flaws::Flaw;
use super::index::Index;
use super::repository::Repository;
use crate::error::{EngineError, Finding, Loss, Result};

/// Which objects of epochs there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Epochs {
    condemned: BTreeSet<u32>,
    done: BTreeSet<u32>,
    flaws: Vec<EpochFlaw>,
}

/// An object below `epochs/` that isn't there, or isn't what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochFlaw {
    /// Its name, and what is wrong with it.
    pub finding: Finding,
    /// Whether it isn't there at all.
    pub is_missing: bool,
    /// Which programs it stops.
    stops: Stops,
}

/// Which programs a flaw stops. Readers always go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stops {
    /// None: it is beyond everything that any program looks at.
    None,
    /// Collectors: it takes the name of a verdict that is yet to come.
    Collectors,
    /// All that write or remove: no one knows which packs are dead, or about to be.
    All,
}

impl Epochs {
    /// Lists them. Only what can't be explained by names alone is read: whatever follows the
    /// first epoch that isn't complete.
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
        let is_complete = |n: &u32| epochs.condemned.contains(n) && epochs.done.contains(n);
        let complete = (1..=u32::MAX).take_while(is_complete).last().unwrap_or(0);
        let unfinished = complete.saturating_add(1);
        let goes_beyond = epochs.condemned.last().is_some_and(|n| *n > unfinished)
            || epochs.done.last().is_some_and(|n| *n > complete);
        if goes_beyond {
            epochs.judge_from(unfinished, repository)?;
        }
        Ok(epochs)
    }

    /// Opens everything from this epoch on, and drops what is beyond the last one of which anything
    /// is authentic.
    fn judge_from(&mut self, first: u32, repository: &Repository) -> Result<()> {
        debug_assert!(first >= 1, "epochs are counted from 1");
        let mut newest = first - 1;
        let mut bad: Vec<(u32, EpochPart, Finding)> = Vec::new();
        for (part, numbers) in [(EpochPart::Condemned, &self.condemned), (EpochPart::Done, &self.done)] {
            for n in numbers.range(first..) {
                match open_part(repository, *n, part) {
                    Ok(()) => newest = newest.max(*n),
                    Err(error) => bad.push((*n, part, Finding::from_damage(names::epoch(*n, part), error)?)),
                }
            }
        }
        self.condemned.retain(|n| *n <= newest);
        self.done.retain(|n| *n <= newest);
        let mut missing = |n: u32, part: EpochPart| {
            self.flaws.push(EpochFlaw {
                finding: Finding { object: names::epoch(n, part), what: "it is missing".to_owned() },
                is_missing: true,
                stops: Stops::All,
            });
        };
        for n in first..=newest {
            if !self.condemned.contains(&n) {
                missing(n, EpochPart::Condemned);
            }
            if n < newest && !self.done.contains(&n) {
                missing(n, EpochPart::Done);
            }
        }
        for (n, part, finding) in bad {
            let stops = match part {
                _ if n <= newest => Stops::All,
                EpochPart::Condemned if n - 1 == newest => Stops::All,
                EpochPart::Done if n - 1 == newest => Stops::Collectors,
                _ => Stops::None,
            };
            self.flaws.push(EpochFlaw { finding, is_missing: false, stops });
        }
        Ok(())
    }

    /// What is wrong with epochs, as far as it was looked at.
    #[must_use]
    pub fn flaws(&self) -> &[EpochFlaw] {
        &self.flaws
    }

    /// Fails if no one can tell what is dead or about to be: then nothing new may be referred to.
    pub fn can_be_written_under(&self) -> Result<()> {
        self.fail_at(Stops::All)
    }

    /// Fails if no one can tell what is dead, or if there is no way to the next verdict.
    pub fn can_be_collected_under(&self) -> Result<()> {
        self.fail_at(Stops::Collectors)
    }

    fn fail_at(&self, least: Stops) -> Result<()> {
        let Some(flaw) = self.flaws.iter().find(|flaw| flaw.stops >= least) else { return Ok(()) };
        let finding = flaw.finding.clone();
        Err(if flaw.is_missing {
            finding.blocks("it is restored from a copy of the repository".to_owned())
        } else {
            in_the_way(finding)
        })
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

    /// Applies every verdict that the index hasn't applied, for a program that writes or removes: it
    /// fails unless all of them are there and authentic.
    pub fn apply_all_verdicts(&self, repository: &Repository, index: &Index) -> Result<()> {
        self.can_be_written_under()?;
        match self.apply_verdicts(repository, index, Required::All)? {
            Applied::All => Ok(()),
            Applied::IndexIsAhead => Err(EngineError::IndexIsAhead),
        }
    }

    /// Applies every authentic verdict that the index hasn't applied. An index that has applied more than
    /// there are is of another time: then this says so.
    pub fn apply_authentic_verdicts(&self, repository: &Repository, index: &Index) -> Result<Applied> {
        self.apply_verdicts(repository, index, Required::Authentic)
    }

    fn apply_verdicts(&self, repository: &Repository, index: &Index, required: Required) -> Result<Applied> {
        if repository.has(Flaw::VerdictsNotApplied) {
            return Ok(Applied::All);
        }
        let applied = index.applied_epochs()?;
        if applied.iter().any(|n| !self.done.contains(n)) {
            return Ok(Applied::IndexIsAhead);
        }
        for n in self.done.iter().filter(|n| !applied.contains(n)) {
            match (read_verdict(repository, *n), required) {
                (Err(EngineError::Damaged { .. }), Required::Authentic) => {}
                (Err(error), Required::All) => return Err(blocked(*n, EpochPart::Done, error)),
                (verdict, _) => index.apply_verdict(*n, &verdict?.packs)?,
            }
        }
        Ok(Applied::All)
    }
}

/// Which verdicts have to be applied.
#[derive(Debug, Clone, Copy)]
enum Required {
    /// All of them.
    All,
    /// Those that are authentic.
    Authentic,
}

/// The newest epoch with an authentic verdict, above `known`, which was one before; 0 if there is none.
pub(super) fn newest_verdict(repository: &Repository, epochs: &Epochs, known: u32) -> Result<u32> {
    for n in epochs.done.iter().rev() {
        if *n <= known {
            return Ok(*n);
        }
        match read_verdict(repository, *n) {
            Ok(_) => return Ok(*n),
            Err(EngineError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(0)
}

/// What applying verdicts to an index has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It has applied every verdict that had to be.
    All,
    /// It has applied verdicts that aren't there.
    IndexIsAhead,
}

/// What an epoch condemns; nothing if there is no such epoch.
pub fn find_condemned(repository: &Repository, n: u32) -> Result<Option<Condemned>> {
    let owners = repository.identity().owners();
    find(repository, n, EpochPart::Condemned, |bytes| Condemned::open(bytes, repository.id(), n, owners))
}

/// What an epoch condemns.
pub fn read_condemned(repository: &Repository, n: u32) -> Result<Condemned> {
    find_condemned(repository, n)?.ok_or_else(|| EngineError::Missing {
        object: names::epoch(n, EpochPart::Condemned).to_string(),
        loss: Loss::BrokenPromise,
    })
}

/// An epoch's verdict; nothing if it has none yet.
pub fn find_verdict(repository: &Repository, n: u32) -> Result<Option<Verdict>> {
    let stored = find(repository, n, EpochPart::Done, |bytes| open_stored(repository, n, bytes))?;
    stored.map(|stored| by_names(repository, n, stored)).transpose()
}

fn read_verdict(repository: &Repository, n: u32) -> Result<Verdict> {
    let name = names::epoch(n, EpochPart::Done);
    let open = |bytes: &[u8]| open_stored(repository, n, bytes);
    let stored = repository.objects().read(name, limits::EPOCH_OBJECT_BYTES_MAX, open)?;
    by_names(repository, n, stored)
}

fn open_stored(repository: &Repository, n: u32, bytes: &[u8]) -> Result<StoredVerdict, FormatError> {
    StoredVerdict::open(bytes, repository.id(), n, repository.identity().owners())
}

/// A verdict from before names counted says which packs it means together with what its epoch condemns.
fn by_names(repository: &Repository, n: u32, stored: StoredVerdict) -> Result<Verdict> {
    let verdict = match stored {
        StoredVerdict::Named(verdict) => verdict,
        by_ids @ StoredVerdict::ByIds(_) => by_ids.among(&read_condemned(repository, n)?),
    };
    debug_assert_eq!(verdict.epoch, n, "a verdict is opened as the one of its name's epoch");
    Ok(verdict)
}

fn open_part(repository: &Repository, n: u32, part: EpochPart) -> Result<()> {
    let (id, owners) = (repository.id(), repository.identity().owners());
    repository.objects().read(names::epoch(n, part), limits::EPOCH_OBJECT_BYTES_MAX, |bytes| match part {
        EpochPart::Condemned => Condemned::open(bytes, id, n, owners).map(drop),
        EpochPart::Done => StoredVerdict::open(bytes, id, n, owners).map(drop),
    })
}

/// Reads an object of an epoch for a program that writes or removes. If it is there and isn't authentic,
/// that program can't go on: whatever it was may have named packs that are dead by now.
fn find<T>(
    repository: &Repository,
    n: u32,
    part: EpochPart,
    open: impl Fn(&[u8]) -> Result<T, FormatError>,
) -> Result<Option<T>> {
    let name = names::epoch(n, part);
    match repository.objects().read_stored(name, limits::EPOCH_OBJECT_BYTES_MAX, open) {
        Ok(opened) => Ok(Some(opened)),
        Err(EngineError::Backend(error)) if error.is_not_found() => Ok(None),
        Err(error) => Err(blocked(n, part, error)),
    }
}

/// The error for programs that write or remove, if it is one of damage to this object.
fn blocked(n: u32, part: EpochPart, error: EngineError) -> EngineError {
    match Finding::from_damage(names::epoch(n, part), error) {
        Ok(finding) => in_the_way(finding),
        Err(other) => other,
    }
}

fn in_the_way(finding: Finding) -> EngineError {
    let acks = match finding.object {
        ObjectName::Epoch(n, _) => names::acks_to(n),
        _ => names::ACKS.to_owned(),
    };
    let remedy = format!(
        "it is restored from a copy of the repository; or, if no owner has ever put it there, until it and \
         everything in {acks} are removed, while no program writes into the repository"
    );
    finding.blocks(remedy)
}
