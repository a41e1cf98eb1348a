//! The catalogue: sessions that are decided and dead, in one object instead of several each.
//!
//! All objects `catalogue/<n>` together list the sessions whose small objects may be gone. For
//! such a session the catalogue stands in the place of its register: it counts as fenced,
//! whatever is found under its name.

use crate::FormatError;
use crate::cbor::{Fields, Taker};
use crate::epoch::ascending;
use crate::ids::{RepositoryId, SessionId};
use crate::keys::Identity;
use crate::signed::{self, Envelope, SignedKind};

const WHAT: &str = "catalogue";

/// One object of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Its number, from 0.
    pub n: u32,
    /// Sessions that can't commit any more, and whose snapshots, if they had any, are
    /// forgotten; in ascending order.
    pub sessions: Vec<SessionId>,
}

impl Catalogue {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let sessions: Vec<u8> = self.sessions.iter().flat_map(SessionId::to_bytes).collect();
        let payload =
            Fields::new().bytes(0, repository.as_bytes()).uint(1, self.n.into()).bytes(2, &sessions).encode();
        signed::seal_envelope(SignedKind::Catalogue, repository, owner, &payload)
    }

    /// Reads catalogue `n`, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        n: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let payload = envelope.verify_by_owner(SignedKind::Catalogue, repository, owners)?;
        let mut fields = Taker::decode(WHAT, payload)?;
        let in_repository = fields.fixed(0)? == *repository.as_bytes();
        let found = fields.u32(1)?;
        let sessions = ascending(WHAT, fields.bytes(2)?, SessionId::from_bytes)?;
        fields.finish()?;
        if !in_repository || found != n {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        Ok(Self { n, sessions })
    }
}
