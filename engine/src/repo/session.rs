//! A writing run: its announcement, and its commit.

use keepfast_backend::Created;
use keepfast_format::config::SINGLE_WRITER;
use keepfast_format::ids::SessionId;
use keepfast_format::session::Session as SessionObject;
use keepfast_format::snapshot::{Snapshot, SnapshotBody, SnapshotHead};
use keepfast_format::{limits, names};

use super::repository::Repository;
use super::snapshots::Snapshots;
use super::writer::WriterTotals;
use crate::error::{EngineError, Result};

/// A session that has announced itself.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    id: SessionId,
}

/// What a session commits.
#[derive(Debug)]
pub struct CommitRequest<'a> {
    /// What is sealed into the snapshot.
    pub body: SnapshotBody,
    /// What the session wrote.
    pub totals: &'a WriterTotals,
    /// The snapshots that were there when it began.
    pub snapshots: &'a Snapshots,
}

impl Session {
    /// Creates the session object, then looks for garbage collections.
    ///
    /// This version collects no garbage. Where a newer one has, its rules for writers apply,
    /// which this one doesn't know: it refuses rather than refer to what is being removed.
    pub fn begin(repository: &Repository, program: &str) -> Result<Self> {
        if !repository.identity().role().writes() {
            return Err(EngineError::NotAllowed { action: "back up" });
        }
        let features = &repository.config().features.write;
        if let Some(feature) = features.iter().find(|feature| *feature != SINGLE_WRITER) {
            return Err(EngineError::UnknownFeature { feature: feature.clone() });
        }
        let id = SessionId { writer: repository.identity().holder(), random: *repository.random()? };
        let object = SessionObject { id, config_n: repository.config().n, program: program.to_owned() };
        let bytes = object.seal(repository.id(), repository.identity());
        repository.backend().create(&names::session(id), &[&bytes])?;
        let mut collected = false;
        repository.backend().list(names::EPOCHS, &mut |_| collected = true)?;
        if collected {
            return Err(EngineError::UnknownFeature { feature: "garbage collection".to_owned() });
        }
        Ok(Self { id })
    }

    /// The session's id, and its snapshot's.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Commits: everything that was written is made durable, then the snapshot is created, and
    /// made durable too. Returns the snapshot as it is stored.
    pub fn commit(self, repository: &Repository, request: CommitRequest<'_>) -> Result<Snapshot> {
        let (sequence, previous) = request.snapshots.next_of(self.id.writer);
        let head = SnapshotHead {
            id: self.id,
            sequence,
            previous,
            config_n: repository.config().n,
            epoch: 0,
            segments: request.totals.segments,
            pack_list: Snapshot::pack_list_hash(&request.totals.packs),
            heads: request.snapshots.heads(),
            key: repository.current().key(),
        };
        let snapshot = Snapshot::new(head, request.body);
        let bytes = snapshot.seal(repository.id(), repository.current(), repository.identity());
        let backend = repository.backend();
        backend.sync()?;
        let name = names::snapshot(self.id);
        if backend.create(&name, &[&bytes])? == Created::AlreadyThere
            && backend.read(&name, limits::SNAPSHOT_BYTES_MAX)? != bytes
        {
            return Err(EngineError::Fenced);
        }
        backend.sync()?;
        Ok(snapshot)
    }
}
