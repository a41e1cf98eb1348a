//! Decisions about a committed snapshot: it is forgotten, or protected.

use crate::FormatError;
use crate::cbor::Fields;
use crate::ids::{RepositoryId, SessionId};
use crate::keys::Identity;
use crate::signed::{self, Envelope, SignedKind};

/// What a decision says about its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionKind {
    /// The snapshot is dead from the next garbage collection on. No later decision revokes this.
    Forgotten,
    /// Policies and mistakes don't forget it. Of the two decisions `Protected` and `Unprotected`, the newer
    /// one counts.
    Protected,
    /// It isn't protected any more.
    Unprotected,
}

/// A decision about one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The snapshot.
    pub snapshot: SessionId,
    /// The number of earlier decisions about it.
    pub n: u32,
    /// What was decided.
    pub kind: DecisionKind,
}

impl Decision {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let fields = Fields::new()
            .bytes(1, &self.snapshot.to_bytes())
            .uint(2, self.n.into())
            .uint(3, self.kind.code());
        signed::seal_fields(SignedKind::Decision, repository, owner, fields)
    }

    /// Reads decision `n` about `snapshot`, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        snapshot: SessionId,
        n: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let mut fields = envelope.fields_by_owner(SignedKind::Decision, repository, owners)?;
        let found = (SessionId::from_bytes(&fields.fixed(1)?), fields.u32(2)?);
        let code = fields.uint(3)?;
        let kind =
            DecisionKind::from_code(code).ok_or_else(|| fields.malformed("its decision is unknown"))?;
        fields.finish()?;
        if found != (snapshot, n) {
            return Err(SignedKind::Decision.not_authentic());
        }
        Ok(Self { snapshot, n, kind })
    }
}

impl DecisionKind {
    const fn code(self) -> u64 {
        match self {
            Self::Forgotten => 0,
            Self::Protected => 1,
            Self::Unprotected => 2,
        }
    }

    const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Forgotten),
            1 => Some(Self::Protected),
            2 => Some(Self::Unprotected),
            _ => None,
        }
    }
}
