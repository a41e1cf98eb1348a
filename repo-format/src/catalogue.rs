//! The catalogue: decided, dead sessions in one object instead of several objects each.
//!
//! All objects `catalogue/<n>` together list the sessions whose small objects may have been removed. For
//! such a session the catalogue replaces its register: the session counts as fenced, whatever is found
//! under its name.

use crate::FormatError;
use crate::cbor::Fields;
use crate::ids::{RepositoryId, SessionId};
use crate::keys::Identity;
use crate::records;
use crate::signed::{self, SignedKind};

/// One object of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Its number, from 0.
    pub n: u32,
    /// Sessions that can't commit any more and whose snapshots, if they had any, are
    /// forgotten; in ascending order.
    pub sessions: Vec<SessionId>,
}

impl Catalogue {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let sessions = records::join(&self.sessions, SessionId::to_bytes);
        let fields = Fields::new().bytes(2, &sessions);
        signed::seal_numbered(SignedKind::Catalogue, repository, owner, self.n, fields)
    }

    /// Reads catalogue `n`, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        n: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let mut fields = signed::open_numbered(SignedKind::Catalogue, bytes, repository, n, owners)?;
        let sessions = records::split_ascending("catalogue", fields.bytes(2)?, SessionId::from_bytes)?;
        fields.finish()?;
        Ok(Self { n, sessions })
    }
}
