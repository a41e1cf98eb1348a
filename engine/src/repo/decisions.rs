//! What was decided about snapshots after their commits: forgotten, protected.

use std::collections::{BTreeMap, HashSet};

use keepfast_backend::Created;
use keepfast_format::decision::{Decision, DecisionKind};
use keepfast_format::ids::SessionId;
use keepfast_format::keys::Role;
use keepfast_format::limits;
use keepfast_format::names::{self, DecisionName, ObjectName};

use super::catalogue::{is_named_dead, names_dead};
use super::repository::Repository;
use crate::error::{EngineError, Finding, Result};
use crate::run::{Pool, RunContext};

/// Decisions about snapshots, as far as they are authentic.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    pub forgotten: HashSet<SessionId>,
    pub protected: HashSet<SessionId>,
    /// Objects that decide nothing, and why.
    pub damaged: Vec<Finding>,
}

impl Decisions {
    /// Reads all of them.
    pub fn load(repository: &Repository, pool: &Pool) -> Result<Self> {
        let mut found = Vec::new();
        repository.backend().list(names::DECISIONS, &mut |listed| {
            found.extend(names::parse_decision(&listed.name));
        })?;
        found.sort_unstable();
        repository.objects().keep_only(names::DECISIONS, |name| match name {
            ObjectName::Decision(name) => found.binary_search(&name).is_ok(),
            _ => false,
        });
        let read = pool.map(&found, |name| read_decision(repository, *name));
        let mut decisions = Self::default();
        for (name, decision) in found.into_iter().zip(read) {
            match decision.map(|decision| decision.kind) {
                Ok(DecisionKind::Forgotten) => {
                    decisions.forgotten.insert(name.snapshot);
                }
                Ok(DecisionKind::Protected) => {
                    decisions.protected.insert(name.snapshot);
                }
                Ok(DecisionKind::Unprotected) => {
                    decisions.protected.remove(&name.snapshot);
                }
                // Compaction may have removed it since it was listed; the catalogue says the rest.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                Err(error @ (EngineError::Backend(_) | EngineError::Interrupted)) => return Err(error),
                Err(error) => {
                    decisions.damaged.push(Finding { object: name.into(), what: error.to_string() });
                }
            }
        }
        Ok(decisions)
    }
}

fn read_decision(repository: &Repository, name: DecisionName) -> Result<Decision> {
    repository.objects().read(name.into(), limits::SMALL_OBJECT_BYTES_MAX, |bytes| {
        Decision::open(bytes, repository.id(), name.snapshot, name.n, repository.identity().owners())
    })
}

/// The objects that say something about one snapshot, by their numbers. Those that aren't authentic
/// decide nothing, and only their names are taken.
type ByNumber = BTreeMap<u32, Option<DecisionKind>>;

/// A decision is tried under this many numbers. Each failure is a number that someone else took after
/// it was listed.
const TRIES_MAX: u32 = 64;

/// The decisions about a snapshot; `None` if compaction has begun to remove them.
fn decisions_about(repository: &Repository, snapshot: SessionId) -> Result<Option<ByNumber>> {
    let mut found = Vec::new();
    repository.backend().list(&names::decisions_about(snapshot), &mut |listed| {
        found.extend(names::parse_decision(&listed.name));
    })?;
    let mut decisions = ByNumber::new();
    for name in found {
        let kind = match read_decision(repository, name) {
            Ok(decision) => Some(decision.kind),
            Err(EngineError::Damaged { .. }) => None,
            // It was listed a moment ago.
            Err(EngineError::Backend(error)) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        decisions.insert(name.n, kind);
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
    let decisions = decisions_about(repository, snapshot)?;
    Ok(decisions.is_none_or(|known| known.values().any(|kind| *kind == Some(DecisionKind::Forgotten))))
}

/// Decides about a snapshot. Nothing happens if that is decided already.
pub fn decide(
    repository: &Repository,
    snapshot: SessionId,
    kind: DecisionKind,
    run: &RunContext,
) -> Result<()> {
    if repository.identity().role() != Role::Owner {
        return Err(EngineError::NotAllowed { action: "decide about snapshots" });
    }
    repository.can_be_written()?;
    // Mostly nothing was decided before: then no listing is needed to create the first decision.
    let mut decided = match kind {
        DecisionKind::Unprotected => decisions_about(repository, snapshot)?,
        DecisionKind::Forgotten | DecisionKind::Protected => Some(ByNumber::new()),
    };
    for _ in 0..TRIES_MAX {
        let Some(known) = decided else {
            return match kind {
                DecisionKind::Forgotten | DecisionKind::Unprotected => Ok(()),
                DecisionKind::Protected => Err(EngineError::ForgottenMeanwhile { snapshot }),
            };
        };
        let newest = known.values().rev().flatten().next().copied();
        let done = match kind {
            DecisionKind::Forgotten => {
                known.values().any(|decided| *decided == Some(DecisionKind::Forgotten))
            }
            DecisionKind::Protected => newest == Some(DecisionKind::Protected),
            DecisionKind::Unprotected => newest != Some(DecisionKind::Protected),
        };
        if done {
            return Ok(());
        }
        if kind == DecisionKind::Forgotten && newest == Some(DecisionKind::Protected) {
            return Err(EngineError::Protected { snapshot });
        }
        run.go_on()?;
        let n = free_number(&known).ok_or(EngineError::Undecidable { snapshot, why: "no number is free" })?;
        let bytes = Decision { snapshot, n, kind }.seal(repository.id(), repository.identity());
        // If someone else decides at the same time, that decision is looked at first.
        let name = names::decision(snapshot, n);
        if repository.backend().create(&name.to_string(), &[&bytes])? == Created::New {
            repository.backend().sync()?;
            repository.objects().remember(name, &bytes);
            return Ok(());
        }
        decided = decisions_about(repository, snapshot)?;
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
fn free_number(known: &ByNumber) -> Option<u32> {
    let newest = known.iter().rev().find(|(_, kind)| kind.is_some());
    let mut n = newest.map_or(Some(0), |(n, _)| n.checked_add(1))?;
    while known.contains_key(&n) {
        n = n.checked_add(1)?;
    }
    Some(n)
}

#[cfg(test)]
mod tests {
    use super::{ByNumber, free_number};
    use keepfast_format::decision::DecisionKind;

    #[test]
    fn a_decision_gets_the_lowest_free_number_above_all_decisions() {
        let (decided, junk) = (Some(DecisionKind::Protected), None);
        let free =
            |known: &[(u32, Option<DecisionKind>)]| free_number(&known.iter().copied().collect::<ByNumber>());
        assert_eq!(free(&[]), Some(0));
        assert_eq!(free(&[(0, junk), (1, junk), (u32::MAX, junk)]), Some(2));
        assert_eq!(free(&[(0, junk), (1, decided), (2, junk), (4, junk)]), Some(3));
        assert_eq!(free(&[(5, decided)]), Some(6));
        assert_eq!(free(&[(u32::MAX - 1, decided), (u32::MAX, junk)]), None);
        assert_eq!(free(&[(u32::MAX, decided)]), None);
    }
}
