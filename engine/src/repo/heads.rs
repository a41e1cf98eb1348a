//! The newest snapshots of each writer, as every snapshot names them: so one that the store hides
//! is missed by those that have seen it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use keepfast_format::ids::{HolderId, ObjectHash, SessionId};
use keepfast_format::snapshot::Head;

use super::repository::Repository;
use super::snapshots::{Snapshots, StoredSnapshot};
use crate::error::Result;
use crate::run::RunContext;

/// Runs that write at once with one key take the same sequence number. A snapshot names up to
/// this many of a writer's newest: a writer with more of them has made them only to be a burden.
const SIBLINGS_MAX: usize = 8;

/// A snapshot that another one names and that isn't in the store, nor in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSnapshot {
    /// The session that is said to have committed it.
    pub id: SessionId,
    /// Its number among its writer's.
    pub sequence: u64,
    /// The oldest snapshot that names it: its session begins with its writer's id.
    pub witness: SessionId,
}

impl Snapshots {
    /// The newest snapshots of each writer, forgotten or not. A writer has several if several of
    /// its runs have ended at once.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        let mut newest: BTreeMap<HolderId, Vec<Head>> = BTreeMap::new();
        for stored in self.with_forgotten() {
            let head = &stored.snapshot.head;
            let seen = Head {
                writer: head.id.writer,
                sequence: head.sequence,
                hash: stored.hash,
                random: Some(head.id.random),
            };
            let known = newest.entry(seen.writer).or_default();
            let sequence = known.first().map_or(seen.sequence, |known| known.sequence);
            if seen.sequence > sequence {
                known.clear();
            }
            if seen.sequence >= sequence {
                known.push(seen);
            }
        }
        for siblings in newest.values_mut() {
            siblings.sort_unstable_by_key(|head| head.random);
            siblings.truncate(SIBLINGS_MAX);
        }
        newest.into_values().flatten().collect()
    }

    /// The sequence number for a writer's next snapshot, and the hash of its last one.
    #[must_use]
    pub fn next_of(&self, writer: HolderId) -> (u64, Option<ObjectHash>) {
        self.heads()
            .iter()
            .find(|head| head.writer == writer)
            .map_or((0, None), |head| (head.sequence.saturating_add(1), Some(head.hash)))
    }

    /// Snapshots that others name by their sessions and that aren't here, in the order of their ids.
    /// One that can't be read isn't among them: it is damaged. A session that was ended is: it can't
    /// have committed what the other has seen.
    #[must_use]
    pub fn missing(&self) -> Vec<MissingSnapshot> {
        let mut here: HashSet<SessionId> =
            self.with_forgotten().map(|stored| stored.snapshot.head.id).collect();
        here.extend(&self.dead);
        here.extend(self.unreadable().map(|(id, _)| id));
        let mut missing: BTreeMap<SessionId, MissingSnapshot> = BTreeMap::new();
        for (witness, seen) in self.claims() {
            let Some(id) = seen.session() else { continue };
            if !here.contains(&id) {
                missing.entry(id).or_insert(MissingSnapshot { id, sequence: seen.sequence, witness });
            }
        }
        missing.into_values().collect()
    }

    /// Snapshots that are missing here and also in a listing that began later. A snapshot that is
    /// committed while snapshots are listed may be in a listing that lacks one which it names.
    pub fn surely_missing(&self, repository: &Repository, run: &RunContext) -> Result<Vec<MissingSnapshot>> {
        let mut missing = self.missing();
        if !missing.is_empty() {
            let again: BTreeSet<SessionId> =
                Self::load(repository, run)?.missing().iter().map(|missing| missing.id).collect();
            missing.retain(|missing| again.contains(&missing.id));
        }
        Ok(missing)
    }

    /// What snapshots name whose programs didn't say sessions yet, and that isn't here: each with
    /// the oldest that names it. It may have been removed for good reason, or be damaged.
    #[must_use]
    pub fn missing_by_hash(&self) -> Vec<(SessionId, Head)> {
        let mut there: HashSet<ObjectHash> = self.with_forgotten().map(|stored| stored.hash).collect();
        let old = self.claims().filter(|(_, seen)| seen.random.is_none());
        old.filter(|(_, seen)| there.insert(seen.hash)).map(|(witness, seen)| (witness, *seen)).collect()
    }

    /// What each readable snapshot says of the newest ones that it has seen, oldest first.
    fn claims(&self) -> impl Iterator<Item = (SessionId, &Head)> {
        let mut witnesses: Vec<&StoredSnapshot> = self.with_forgotten().collect();
        witnesses.sort_by_key(|stored| (stored.snapshot.body.start, stored.snapshot.head.id));
        witnesses.into_iter().flat_map(|stored| {
            let head = &stored.snapshot.head;
            head.heads.iter().map(|seen| (head.id, seen))
        })
    }
}
