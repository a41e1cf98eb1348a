//! The snapshots of a repository, and choosing among them.

use std::collections::HashSet;

use keepfast_format::ids::{HolderId, ObjectHash, SessionId};
use keepfast_format::node::Timestamp;
use keepfast_format::snapshot::{Head, Register, Snapshot};
use keepfast_format::{limits, names};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::catalogue::{DeadSessions, dead_sessions};
use super::ignored::Ignored;
use super::listings::list_sessions;
use super::repository::Repository;
use super::states::Standings;
use crate::error::{EngineError, Result};

/// A snapshot, and the hash of its stored bytes.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The hash of its object.
    pub hash: ObjectHash,
}

impl StoredSnapshot {
    /// Names of index segments that it counts on and a sorted listing doesn't have.
    pub fn lacks_segments<'l>(&self, listed: &'l [String]) -> impl Iterator<Item = String> + use<'l> {
        let head = &self.snapshot.head;
        let (id, count) = (head.id, head.segments);
        let names = (0..count).map(move |n| names::segment(id, n));
        names.filter(|name| listed.binary_search(name).is_err())
    }
}

/// All snapshots, in the order of their times.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// Those that are readable and not forgotten.
    pub all: Vec<StoredSnapshot>,
    /// Those that are forgotten, and not yet gone.
    pub forgotten: Vec<StoredSnapshot>,
    /// Those that no policy forgets.
    pub protected: HashSet<SessionId>,
    /// Sessions that were ended without a snapshot.
    pub fenced: Vec<SessionId>,
    /// Sessions that the catalogue names: nothing of them counts.
    pub dead: HashSet<SessionId>,
    /// Those that can't be read, and what else should say something about snapshots: object and
    /// what is wrong with it.
    pub damaged: Vec<(String, String)>,
    /// Objects of the catalogue that aren't authentic: nobody knows which sessions they named.
    pub ignored: Vec<Ignored>,
}

/// Narrows a choice among snapshots.
#[derive(Debug, Clone, Default)]
pub struct SnapshotFilter {
    /// Only of this machine.
    pub host: Option<String>,
    /// Only with all of these labels.
    pub tags: Vec<String>,
    /// Only with all of these paths.
    pub paths: Vec<Vec<u8>>,
    /// Only what ended at this time or before.
    pub until: Option<Timestamp>,
}

impl SnapshotFilter {
    /// Whether a snapshot passes.
    #[must_use]
    pub fn matches(&self, snapshot: &Snapshot) -> bool {
        let body = &snapshot.body;
        self.host.as_ref().is_none_or(|host| *host == body.host)
            && self.tags.iter().all(|tag| body.tags.contains(tag))
            && self.paths.iter().all(|path| body.paths.contains(path))
            && self.until.is_none_or(|until| body.start <= until)
    }
}

impl Snapshots {
    /// Reads all snapshots, *then* what was decided about them. A damaged one doesn't hide the others.
    pub fn load(repository: &Repository) -> Result<Self> {
        let ids = list_sessions(repository, names::SNAPSHOTS)?;
        if ids.is_empty() {
            // There is nothing that anything could have been decided about.
            let DeadSessions { sessions, ignored } = dead_sessions(repository)?;
            return Ok(Self { dead: sessions, ignored, ..Self::default() });
        }
        repository.objects().keep_only(names::SNAPSHOTS, |name| {
            names::parse_session(names::SNAPSHOTS, name).is_some_and(|id| ids.contains(&id))
        });
        let read: Vec<_> = ids.par_iter().map(|id| (*id, load_one(repository, *id))).collect();
        let standings = Standings::load(repository)?;
        let DeadSessions { sessions: dead, ignored } = dead_sessions(repository)?;
        let mut snapshots =
            Self { protected: standings.protected, damaged: standings.damaged, ignored, ..Self::default() };
        for (id, register) in read.into_iter().filter(|(id, _)| !dead.contains(id)) {
            match register {
                Ok((Register::Snapshot(snapshot), hash)) => {
                    let stored = StoredSnapshot { snapshot: *snapshot, hash };
                    let forgotten = standings.forgotten.contains(&id);
                    if forgotten { &mut snapshots.forgotten } else { &mut snapshots.all }.push(stored);
                }
                Ok((Register::Fence(_), _)) => snapshots.fenced.push(id),
                // Compacted since it was listed.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                // A store that fails says nothing about the snapshot.
                Err(error @ (EngineError::Backend(_) | EngineError::Interrupted)) => return Err(error),
                Err(error) => snapshots.damaged.push((names::snapshot(id), error.to_string())),
            }
        }
        let by_time = |stored: &StoredSnapshot| (stored.snapshot.body.start, stored.snapshot.head.id);
        snapshots.dead = dead;
        snapshots.all.sort_by_key(by_time);
        snapshots.forgotten.sort_by_key(by_time);
        snapshots.damaged.sort_unstable();
        Ok(snapshots)
    }

    /// Fails unless it is known of each session whether it is dead: for programs that write or remove.
    pub fn must_be_known(&self) -> Result<()> {
        let known = DeadSessions { ignored: self.ignored.clone(), ..DeadSessions::default() };
        known.must_be_all()
    }

    /// The snapshot that `text` names: `latest`, `latest~N`, or the start of an id.
    pub fn find(&self, text: &str, filter: &SnapshotFilter) -> Result<&StoredSnapshot> {
        let back = match text.strip_prefix("latest") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix('~').and_then(|n| n.parse::<usize>().ok()),
            None => None,
        };
        if let Some(back) = back {
            let mut matching = self.all.iter().rev().filter(|stored| filter.matches(&stored.snapshot));
            return matching.nth(back).ok_or_else(|| {
                EngineError::Unusable(format!(
                    "there is no snapshot {text:?} that fits; `keepfast snapshots` lists what there is"
                ))
            });
        }
        let matching: Vec<&StoredSnapshot> = self
            .all
            .iter()
            .filter(|stored| {
                let id = stored.snapshot.head.id;
                id.short().starts_with(text) || id.to_string().starts_with(text)
            })
            .collect();
        match matching.as_slice() {
            _ if text.is_empty() => Err(EngineError::Unusable("a snapshot id can't be empty".to_owned())),
            [one] => Ok(one),
            [] => Err(match self.damaged.iter().find(|(name, _)| name.contains(text)) {
                Some((name, what)) => EngineError::Unusable(format!(
                    "{name}: {what}; the snapshot can't be used, but others can"
                )),
                None => EngineError::Unusable(format!(
                    "there is no snapshot {text:?}; `keepfast snapshots` lists what there is"
                )),
            }),
            several => Err(EngineError::Unusable(format!(
                "{text:?} is the start of {} snapshots' ids: give more of it",
                several.len()
            ))),
        }
    }

    /// Sessions that have committed, or can't any more.
    pub fn decided(&self) -> impl Iterator<Item = SessionId> {
        self.all.iter().map(|stored| stored.snapshot.head.id).chain(self.ended())
    }

    /// Sessions of which nothing counts any more.
    pub fn ended(&self) -> impl Iterator<Item = SessionId> {
        let forgotten = self.forgotten.iter().map(|stored| stored.snapshot.head.id);
        forgotten.chain(self.fenced.iter().copied()).chain(self.dead.iter().copied())
    }

    /// The newest snapshot of this machine with exactly these paths.
    #[must_use]
    pub fn parent_for(&self, host: &str, paths: &[Vec<u8>]) -> Option<&StoredSnapshot> {
        self.all.iter().rev().find(|stored| {
            let body = &stored.snapshot.body;
            body.host == host && body.paths == paths
        })
    }

    /// The newest snapshot of each writer, forgotten or not.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        let mut heads: Vec<Head> = Vec::new();
        for stored in self.all.iter().chain(&self.forgotten) {
            let head = &stored.snapshot.head;
            let seen = Head { writer: head.id.writer, sequence: head.sequence, hash: stored.hash };
            match heads.iter_mut().find(|known| known.writer == seen.writer) {
                Some(known) if known.sequence < seen.sequence => *known = seen,
                Some(_) => {}
                None => heads.push(seen),
            }
        }
        heads.sort_unstable_by_key(|head| head.writer);
        heads
    }

    /// The sequence number for a writer's next snapshot, and the hash of its last one.
    #[must_use]
    pub fn next_of(&self, writer: HolderId) -> (u64, Option<ObjectHash>) {
        self.heads()
            .iter()
            .find(|head| head.writer == writer)
            .map_or((0, None), |head| (head.sequence + 1, Some(head.hash)))
    }
}

pub(super) fn load_one(repository: &Repository, id: SessionId) -> Result<(Register, ObjectHash)> {
    let name = names::snapshot(id);
    repository.objects().read(&name, limits::SNAPSHOT_BYTES_MAX, |bytes| {
        let register = Register::open(
            bytes,
            repository.id(),
            id,
            |holder| repository.writer_key(holder),
            repository.identity().owners(),
            |key| repository.secrets(key),
        )?;
        Ok((register, ObjectHash::of(bytes)))
    })
}
