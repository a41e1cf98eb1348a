//! What was decided about a snapshot after it was committed: that it is forgotten, or protected.

use crate::FormatError;
use crate::cbor::{Fields, Taker};
use crate::ids::{RepositoryId, SessionId};
use crate::keys::Identity;
use crate::signed::{self, Envelope, SignedKind};

const WHAT: &str = "state";

/// What a state object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The snapshot is dead from the next garbage collection on. Nothing takes this back.
    Forgotten,
    /// It isn't forgotten by policies or by mistake; the newest of these two counts.
    Protected,
    /// It is as any other again.
    Unprotected,
}

/// A decision about one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The snapshot.
    pub snapshot: SessionId,
    /// How many decisions about it came before.
    pub n: u32,
    /// What was decided.
    pub standing: Standing,
}

impl Decision {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .bytes(1, &self.snapshot.to_bytes())
            .uint(2, self.n.into())
            .uint(3, self.standing.code())
            .encode();
        signed::seal_envelope(SignedKind::State, repository, owner, &payload)
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
        let payload = envelope.verify_by_owner(SignedKind::State, repository, owners)?;
        let mut fields = Taker::decode(WHAT, payload)?;
        let in_repository = fields.fixed(0)? == *repository.as_bytes();
        let found = (SessionId::from_bytes(&fields.fixed(1)?), fields.u32(2)?);
        let code = fields.uint(3)?;
        let standing =
            Standing::from_code(code).ok_or_else(|| fields.malformed("it decides nothing known"))?;
        fields.finish()?;
        if !in_repository || found != (snapshot, n) {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        Ok(Self { snapshot, n, standing })
    }
}

impl Standing {
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
