//! The snapshots of a repository, and choosing among them.

use std::collections::{BTreeSet, HashSet};

use keepfast_format::ids::{HolderId, ObjectHash, SessionId};
use keepfast_format::keys::holder_of;
use keepfast_format::limits;
use keepfast_format::names::{self, ObjectName, SegmentName};
use keepfast_format::node::Timestamp;
use keepfast_format::snapshot::{Register, Snapshot};

use super::catalogue::{DeadSessions, dead_sessions, must_be_authentic};
use super::decisions::Decisions;
use super::lineage::Lineages;
use super::listings::list_sessions;
use super::repository::Repository;
use crate::error::{ChoiceError, EngineError, Finding, Result};
use crate::retention::{edition, has_tag};
use crate::run::RunContext;

/// A snapshot, and the hash of its stored bytes.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The hash of its object.
    pub hash: ObjectHash,
    /// The writer whose history it is part of: the one that has signed it, or, if an owner has
    /// brought it back, the one that had made it.
    pub writer: HolderId,
}

impl StoredSnapshot {
    fn new(snapshot: Snapshot, hash: ObjectHash, owners: &HashSet<HolderId>) -> Self {
        let signer = snapshot.head.id.writer;
        // Only an owner can speak for another writer.
        let origin = snapshot.body.origin.filter(|_| owners.contains(&signer));
        Self { snapshot, hash, writer: origin.map_or(signer, |origin| origin.writer) }
    }

    /// What a snapshot says that stands in this one's place: by it a snapshot that an owner makes stays
    /// part of the history of the writer whose snapshot it is made from.
    #[must_use]
    pub fn origin_of_next(&self) -> SessionId {
        let id = self.snapshot.head.id;
        let is_own = self.writer == id.writer;
        self.snapshot.body.origin.filter(|_| !is_own).unwrap_or(id)
    }

    /// Where it stands among the others: by its time, and behind the one that it was made from.
    fn place(&self) -> (Timestamp, u64, SessionId) {
        (self.snapshot.body.start, edition(&self.snapshot), self.snapshot.head.id)
    }

    /// Names of index segments that it counts on and a sorted listing doesn't have.
    pub fn lacks_segments<'l>(
        &self,
        listed: &'l [SegmentName],
    ) -> impl Iterator<Item = SegmentName> + use<'l> {
        let head = &self.snapshot.head;
        let (session, count) = (head.id, head.segments);
        let names = (0..count).map(move |n| SegmentName { session, n });
        names.filter(|name| listed.binary_search(name).is_err())
    }
}

/// The word for the newest snapshot.
const LATEST: &str = "latest";

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
    /// Which writers continue which.
    pub lineages: Lineages,
    /// Those that can't be read, and what else should say something about snapshots: object and
    /// what is wrong with it.
    pub damaged: Vec<Finding>,
    /// Objects of the catalogue that aren't authentic: no one knows which sessions they named.
    pub ignored: Vec<Finding>,
}

/// Narrows a choice among snapshots.
#[derive(Debug, Clone, Default)]
pub struct SnapshotFilter {
    /// Only of these writers.
    pub writers: Option<BTreeSet<HolderId>>,
    /// Only of this machine.
    pub host: Option<String>,
    /// Only with all of these labels.
    pub tags: Vec<String>,
    /// Only with all of these paths.
    pub paths: Vec<Vec<u8>>,
    /// Only what began at this time or before.
    pub begun_at_latest: Option<Timestamp>,
}

impl SnapshotFilter {
    /// Whether a snapshot passes.
    #[must_use]
    pub fn matches(&self, stored: &StoredSnapshot) -> bool {
        let body = &stored.snapshot.body;
        self.writers.as_ref().is_none_or(|writers| writers.contains(&stored.writer))
            && self.host.as_ref().is_none_or(|host| *host == body.host)
            && self.tags.iter().all(|tag| has_tag(&body.tags, tag))
            && self.paths.iter().all(|path| body.paths.contains(path))
            && self.begun_at_latest.is_none_or(|latest| body.start <= latest)
    }
}

impl Snapshots {
    /// Reads all snapshots, *then* what was decided about them. A damaged one doesn't hide the others.
    pub fn load(repository: &Repository, run: &RunContext) -> Result<Self> {
        let ids = list_sessions(repository, names::SNAPSHOTS)?;
        if ids.is_empty() {
            // There is nothing that anything could have been decided about, but for the catalogue's say.
            let DeadSessions { sessions, ignored } = dead_sessions(repository, run.pool())?;
            return Ok(Self { dead: sessions, ignored, ..Self::default() });
        }
        repository.objects().keep_only(names::SNAPSHOTS, |name| match name {
            ObjectName::Snapshot(id) => ids.contains(&id),
            _ => false,
        });
        let ids: Vec<SessionId> = ids.into_iter().collect();
        let read = run.pool().map(&ids, |id| (*id, load_one(repository, *id)));
        let decisions = Decisions::load(repository, run.pool())?;
        let DeadSessions { sessions: dead, ignored } = dead_sessions(repository, run.pool())?;
        let mut snapshots = Self {
            protected: decisions.protected,
            damaged: decisions.damaged,
            lineages: repository.lineages(),
            ignored,
            ..Self::default()
        };
        let owners = owners_of(repository);
        for (id, register) in read.into_iter().filter(|(id, _)| !dead.contains(id)) {
            match register {
                Ok((Register::Snapshot(snapshot), hash)) => {
                    let stored = StoredSnapshot::new(*snapshot, hash, &owners);
                    let forgotten = decisions.forgotten.contains(&id);
                    if forgotten { &mut snapshots.forgotten } else { &mut snapshots.all }.push(stored);
                }
                Ok((Register::Fence(_), _)) => snapshots.fenced.push(id),
                // Compacted since it was listed.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                // A store that fails says nothing about the snapshot.
                Err(error @ (EngineError::Backend(_) | EngineError::Interrupted)) => return Err(error),
                Err(error) => {
                    snapshots.damaged.push(Finding { object: names::snapshot(id), what: error.to_string() });
                }
            }
        }
        snapshots.dead = dead;
        snapshots.all.sort_by_key(StoredSnapshot::place);
        snapshots.forgotten.sort_by_key(StoredSnapshot::place);
        snapshots.damaged.sort_unstable();
        Ok(snapshots)
    }

    /// Fails if one of these is protected, and so can't be forgotten.
    pub fn must_be_unprotected(&self, ids: &[SessionId]) -> Result<()> {
        match ids.iter().find(|id| self.protected.contains(id)) {
            Some(snapshot) => Err(EngineError::Protected { snapshot: *snapshot }),
            None => Ok(()),
        }
    }

    /// Adds a snapshot that was committed since these were listed.
    pub fn add(&mut self, repository: &Repository, id: SessionId) -> Result<()> {
        if let (Register::Snapshot(snapshot), hash) = load_one(repository, id)? {
            let stored = StoredSnapshot::new(*snapshot, hash, &owners_of(repository));
            let at = self.all.partition_point(|other| other.place() < stored.place());
            self.all.insert(at, stored);
        }
        Ok(())
    }

    /// Notes that a snapshot was forgotten since these were listed.
    pub fn move_to_forgotten(&mut self, id: SessionId) {
        let (gone, all) =
            std::mem::take(&mut self.all).into_iter().partition(|stored| stored.snapshot.head.id == id);
        self.all = all;
        self.forgotten.extend::<Vec<StoredSnapshot>>(gone);
        self.forgotten.sort_by_key(StoredSnapshot::place);
    }

    /// Fails unless it is known of each session whether it is dead: for programs that write or remove.
    pub fn must_be_known(&self) -> Result<()> {
        must_be_authentic(&self.ignored)
    }

    /// The snapshot that `text` names: `latest`, `latest~N`, or the start of an id.
    pub fn find(&self, text: &str, filter: &SnapshotFilter) -> Result<&StoredSnapshot> {
        let back = match text.strip_prefix(LATEST) {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix('~').and_then(|n| n.parse::<usize>().ok()),
            None => None,
        };
        if let Some(back) = back {
            let mut matching = self.all.iter().rev().filter(|stored| filter.matches(stored));
            return Ok(matching.nth(back).ok_or_else(|| ChoiceError::NoneFits { text: text.to_owned() })?);
        }
        let matching: Vec<&StoredSnapshot> = self
            .all
            .iter()
            .filter(|stored| {
                let id = stored.snapshot.head.id;
                id.short().starts_with(text) || id.to_string().starts_with(text)
            })
            .collect();
        let text = text.to_owned();
        Err(match matching.as_slice() {
            _ if text.is_empty() => ChoiceError::Empty,
            [one] => return Ok(one),
            [] => match self.damaged.iter().find(|finding| finding.object.to_string().contains(&text)) {
                Some(finding) => ChoiceError::Unreadable(Box::new(finding.clone())),
                None => ChoiceError::NoSnapshot { text },
            },
            several => ChoiceError::Ambiguous { text, count: several.len() },
        }
        .into())
    }

    /// Sessions that have committed, or can't any more.
    pub fn decided(&self) -> impl Iterator<Item = SessionId> {
        self.all.iter().map(|stored| stored.snapshot.head.id).chain(self.ended())
    }

    /// Sessions whose registers can't be read, and why: no one knows what they need. Objects in the place of
    /// decisions aren't among them, since those count for nothing.
    pub fn unreadable(&self) -> impl Iterator<Item = (SessionId, &Finding)> {
        self.damaged.iter().filter_map(|finding| match finding.object {
            ObjectName::Snapshot(id) => Some((id, finding)),
            _ => None,
        })
    }

    /// All readable snapshots, forgotten ones too, oldest first within both.
    pub(crate) fn with_forgotten(&self) -> impl Iterator<Item = &StoredSnapshot> {
        self.all.iter().chain(&self.forgotten)
    }

    /// Sessions of which nothing counts any more.
    pub fn ended(&self) -> impl Iterator<Item = SessionId> {
        let forgotten = self.forgotten.iter().map(|stored| stored.snapshot.head.id);
        forgotten.chain(self.fenced.iter().copied()).chain(self.dead.iter().copied())
    }

    /// The newest snapshot in a writer's lineage of this machine with exactly these paths. That
    /// another writer says the same host of itself proves nothing.
    #[must_use]
    pub fn parent_for(&self, writer: HolderId, host: &str, paths: &[Vec<u8>]) -> Option<&StoredSnapshot> {
        let lineage = self.lineages.lineage(writer);
        self.all.iter().rev().find(|stored| {
            let body = &stored.snapshot.body;
            lineage.contains(&stored.writer) && body.host == host && body.paths == paths
        })
    }

    /// The snapshot that `text` names, if a backup of this writer may take files over from it: if it
    /// is in the writer's lineage. `latest` is the latest there.
    pub fn find_parent(&self, writer: HolderId, text: &str) -> Result<&StoredSnapshot> {
        let lineage = self.lineages.lineage(writer);
        let is_relative = text.starts_with(LATEST);
        let writers = is_relative.then(|| lineage.clone());
        let found = self.find(text, &SnapshotFilter { writers, ..SnapshotFilter::default() })?;
        if lineage.contains(&found.writer) {
            return Ok(found);
        }
        let snapshot = found.snapshot.head.id;
        Err(ChoiceError::OtherLineage { snapshot, writer: found.writer, own: writer }.into())
    }

    /// The writers whose snapshots fit a filter; of a lineage only the one that continues the others.
    #[must_use]
    pub fn writers(&self, filter: &SnapshotFilter) -> Vec<HolderId> {
        let writers: BTreeSet<HolderId> =
            self.all.iter().filter(|stored| filter.matches(stored)).map(|stored| stored.writer).collect();
        let mut continued: HashSet<HolderId> = HashSet::new();
        for writer in &writers {
            let lineage = self.lineages.lineage(*writer);
            // In a circle each continues the other: the first one stands for both.
            continued.extend(lineage.into_iter().filter(|other| {
                let is_mutual = self.lineages.lineage(*other).contains(writer);
                other != writer && (!is_mutual || writer < other)
            }));
        }
        writers.into_iter().filter(|writer| !continued.contains(writer)).collect()
    }

    /// The lineage of the one writer among those of the snapshots whose id begins with `text`.
    pub fn lineage_of(&self, text: &str) -> Result<BTreeSet<HolderId>> {
        let all = self.with_forgotten().map(|stored| stored.writer);
        let fitting: BTreeSet<HolderId> = all.filter(|writer| writer.to_string().starts_with(text)).collect();
        let mut fitting = fitting.into_iter();
        match (fitting.next(), fitting.next()) {
            (Some(writer), None) if !text.is_empty() => Ok(self.lineages.lineage(writer)),
            (None, _) => Err(ChoiceError::NoWriter { text: text.to_owned() }.into()),
            _ => Err(ChoiceError::AmbiguousWriter { text: text.to_owned() }.into()),
        }
    }
}

fn owners_of(repository: &Repository) -> HashSet<HolderId> {
    repository.identity().owners().iter().map(holder_of).collect()
}

/// Whether a session's register decides it: it is there, and opens. One that went a moment ago was
/// compacted; the catalogue says so.
pub fn is_decided(repository: &Repository, id: SessionId) -> Result<bool> {
    match load_one(repository, id) {
        Ok(_) => Ok(true),
        Err(EngineError::Damaged { .. }) => Ok(false),
        Err(EngineError::Backend(error)) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn load_one(repository: &Repository, id: SessionId) -> Result<(Register, ObjectHash)> {
    let name = names::snapshot(id);
    repository.objects().read(name, limits::SNAPSHOT_BYTES_MAX, |bytes| {
        let hash = ObjectHash::of(bytes);
        let register = Register::open(
            bytes,
            repository.id(),
            id,
            |writer| repository.keyring().register_signer(SessionId { writer, ..id }, hash),
            repository.identity().owners(),
            |key| repository.secrets(key),
        )?;
        Ok((register, hash))
    })
}
