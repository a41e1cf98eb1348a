//! What was decided about snapshots after their commits: forgotten, protected.

use std::collections::{BTreeMap, HashSet};

use keepfast_backend::Created;
use keepfast_format::ids::SessionId;
use keepfast_format::keys::Role;
use keepfast_format::standing::{Decision, Standing};
use keepfast_format::{limits, names};

use super::catalogue::{is_named_dead, names_dead};
use super::repository::Repository;
use crate::error::{EngineError, Finding, Result};
use crate::run::{Pool, RunContext};

/// Decisions about snapshots, as far as they are authentic.
#[derive(Debug, Default)]
pub(super) struct Standings {
    pub forgotten: HashSet<SessionId>,
    pub protected: HashSet<SessionId>,
    /// Objects that decide nothing, and why.
    pub damaged: Vec<Finding>,
}

impl Standings {
    /// Reads all of them.
    pub fn load(repository: &Repository, pool: &Pool) -> Result<Self> {
        let mut found = Vec::new();
        repository.backend().list(names::STATES, &mut |listed| {
            found.extend(names::parse_state(&listed.name));
        })?;
        found.sort_unstable();
        repository.objects().keep_only(names::STATES, |name| {
            names::parse_state(name).is_some_and(|state| found.binary_search(&state).is_ok())
        });
        let read = pool.map(&found, |(id, n)| (*id, *n, read_decision(repository, *id, *n)));
        let mut standings = Self::default();
        for (id, n, decision) in read {
            match decision {
                Ok(Decision { standing: Standing::Forgotten, .. }) => {
                    standings.forgotten.insert(id);
                }
                Ok(Decision { standing: Standing::Protected, .. }) => {
                    standings.protected.insert(id);
                }
                Ok(Decision { standing: Standing::Unprotected, .. }) => {
                    standings.protected.remove(&id);
                }
                // Compaction may have removed it since it was listed; the catalogue says the rest.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                Err(error @ (EngineError::Backend(_) | EngineError::Interrupted)) => return Err(error),
                Err(error) => {
                    standings.damaged.push(Finding { object: names::state(id, n), what: error.to_string() })
                }
            }
        }
        Ok(standings)
    }
}

fn read_decision(repository: &Repository, snapshot: SessionId, n: u32) -> Result<Decision> {
    repository.objects().read(&names::state(snapshot, n), limits::SMALL_OBJECT_BYTES_MAX, |bytes| {
        Decision::open(bytes, repository.id(), snapshot, n, repository.identity().owners())
    })
}

/// The objects that say something about one snapshot, by their numbers. Those that aren't authentic
/// decide nothing, and only their names are taken.
type Decisions = BTreeMap<u32, Option<Standing>>;

/// A decision is tried under this many numbers. Each failure is a number that someone else took after
/// it was listed.
const TRIES_MAX: u32 = 64;

/// The decisions about a snapshot; `None` if compaction has begun to remove them.
fn decisions(repository: &Repository, snapshot: SessionId) -> Result<Option<Decisions>> {
    let mut numbers = Vec::new();
    repository.backend().list(&names::states_of(snapshot), &mut |listed| {
        numbers.extend(names::parse_state(&listed.name).map(|(_, n)| n));
    })?;
    let mut decisions = Decisions::new();
    for n in numbers {
        let standing = match read_decision(repository, snapshot, n) {
            Ok(decision) => Some(decision.standing),
            Err(EngineError::Damaged { .. }) => None,
            // It was listed a moment ago.
            Err(EngineError::Backend(error)) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        decisions.insert(n, standing);
    }
    Ok(Some(decisions))
}

/// Whether a snapshot is forgotten, or compacted, so that nothing of it is left. Fails if no one can tell.
pub fn is_forgotten(repository: &Repository, snapshot: SessionId) -> Result<bool> {
    Ok(is_decided_forgotten(repository, snapshot)? || names_dead(repository, snapshot)?)
}

/// As [`is_forgotten`], as far as what is stored is authentic: for readers.
pub fn seems_forgotten(repository: &Repository, snapshot: SessionId) -> Result<bool> {
    Ok(is_decided_forgotten(repository, snapshot)? || is_named_dead(repository, snapshot)?)
}

fn is_decided_forgotten(repository: &Repository, snapshot: SessionId) -> Result<bool> {
    Ok(decisions(repository, snapshot)?
        .is_none_or(|decisions| decisions.values().any(|standing| *standing == Some(Standing::Forgotten))))
}

/// Decides about a snapshot. Nothing happens if that is decided already.
pub fn decide(
    repository: &Repository,
    snapshot: SessionId,
    standing: Standing,
    run: &RunContext,
) -> Result<()> {
    if repository.identity().role() != Role::Owner {
        return Err(EngineError::NotAllowed { action: "decide about snapshots" });
    }
    repository.can_be_written()?;
    // Mostly nothing was decided before: then no listing is needed to create the first decision.
    let mut decided = match standing {
        Standing::Unprotected => decisions(repository, snapshot)?,
        Standing::Forgotten | Standing::Protected => Some(Decisions::new()),
    };
    for _ in 0..TRIES_MAX {
        let Some(known) = decided else {
            return match standing {
                Standing::Forgotten | Standing::Unprotected => Ok(()),
                Standing::Protected => Err(EngineError::ForgottenMeanwhile { snapshot }),
            };
        };
        let newest = known.values().rev().flatten().next().copied();
        let done = match standing {
            Standing::Forgotten => known.values().any(|decided| *decided == Some(Standing::Forgotten)),
            Standing::Protected => newest == Some(Standing::Protected),
            Standing::Unprotected => newest != Some(Standing::Protected),
        };
        if done {
            return Ok(());
        }
        if standing == Standing::Forgotten && newest == Some(Standing::Protected) {
            return Err(EngineError::Protected { snapshot });
        }
        run.go_on()?;
        let n = free_number(&known).ok_or(EngineError::Undecidable { snapshot, why: "no number is free" })?;
        let bytes = Decision { snapshot, n, standing }.seal(repository.id(), repository.identity());
        // If someone else decides at the same time, that decision is looked at first.
        let name = names::state(snapshot, n);
        if repository.backend().create(&name, &[&bytes])? == Created::New {
            repository.backend().sync()?;
            repository.objects().remember(&name, &bytes);
            return Ok(());
        }
        decided = decisions(repository, snapshot)?;
        // A name that is taken and isn't listed: a directory stands there, or the like.
        if let Some(known) = &mut decided {
            known.entry(n).or_insert(None);
        }
    }
    Err(EngineError::Undecidable {
        snapshot,
        why: "each number was taken by someone else first, again and again",
    })
}

/// The lowest number above all decisions that is free; none if there isn't any. Objects that decide
/// nothing are stepped over: anyone that can create objects may have put them there.
fn free_number(known: &Decisions) -> Option<u32> {
    let newest = known.iter().rev().find(|(_, standing)| standing.is_some());
    let mut n = newest.map_or(Some(0), |(n, _)| n.checked_add(1))?;
    while known.contains_key(&n) {
        n = n.checked_add(1)?;
    }
    Some(n)
}

#[cfg(test)]
mod tests {
    use super::{Decisions, free_number};
    use keepfast_format::standing::Standing;

    #[test]
    fn a_decision_gets_the_lowest_free_number_above_all_decisions() {
        let (decided, junk) = (Some(Standing::Protected), None);
        let free =
            |known: &[(u32, Option<Standing>)]| free_number(&known.iter().copied().collect::<Decisions>());
        assert_eq!(free(&[]), Some(0));
        assert_eq!(free(&[(0, junk), (1, junk), (u32::MAX, junk)]), Some(2));
        assert_eq!(free(&[(0, junk), (1, decided), (2, junk), (4, junk)]), Some(3));
        assert_eq!(free(&[(5, decided)]), Some(6));
        assert_eq!(free(&[(u32::MAX - 1, decided), (u32::MAX, junk)]), None);
        assert_eq!(free(&[(u32::MAX, decided)]), None);
    }
}
