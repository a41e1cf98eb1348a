//! The session of a collector that moves chunks into new packs.

use keepfast_format::ids::SessionId;
use keepfast_format::keys::{DomainSecrets, KeyRef};
use keepfast_format::node::Timestamp;

use super::index::Index;
use super::repository::Repository;
use super::session::{WriterTotals, announce, fence};
use super::writer::{PackWriter, WriterOptions, rewrite_packs};
use crate::error::Result;

/// A collector's session: it writes again what is there, under the keys that it was under, refers to
/// nothing, and never commits.
pub struct Rewriting<'r> {
    repository: &'r Repository,
    secrets: &'r DomainSecrets,
    id: SessionId,
}

impl<'r> Rewriting<'r> {
    /// Announces it.
    pub fn begin(repository: &'r Repository, key: KeyRef, program: &str, now: Timestamp) -> Result<Self> {
        let secrets = repository.secrets_under(key)?;
        Ok(Self { repository, secrets, id: announce(repository, program, now, true)? })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Writes packs.
    pub fn write<T>(
        &self,
        index: &Index,
        options: WriterOptions,
        work: impl FnOnce(&PackWriter<'_>) -> Result<T>,
    ) -> Result<(T, WriterTotals)> {
        rewrite_packs(self.repository, index, (self.id, self.secrets), options, work)
    }

    /// Ends it, so that its collector doesn't wait for itself. Returns the session that is
    /// decided by this.
    pub fn end(self) -> Result<SessionId> {
        fence(self.repository, self.id).map(|_| self.id)
    }
}
