//! The envelope of every signed object: kind, payload, signer, signature.

use crate::cbor::{Fields, Taker};
use crate::ids::{HolderId, RepositoryId};
use crate::keys::{self, Identity};
use crate::{FORMAT_VERSION, FormatError};

/// What a signed object is; part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedKind {
    /// The repository's parameters.
    Config,
    /// Holders and secrets.
    Keyring,
    /// The beginning of a writing run.
    Session,
    /// The commit point of a backup.
    Snapshot,
    /// A snapshot register taken by an owner, so that the session can't commit.
    Fence,
    /// The public head of an index segment.
    Segment,
    /// What an epoch of garbage collection would remove.
    Condemned,
    /// A session's answer to that.
    Ack,
    /// What the epoch removes.
    Verdict,
    /// A decision about a snapshot: forgotten, protected.
    State,
    /// Dead sessions whose objects may be gone.
    Catalogue,
}

impl SignedKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Config => 1,
            Self::Keyring => 2,
            Self::Session => 3,
            Self::Snapshot => 4,
            Self::Fence => 5,
            Self::Segment => 6,
            Self::Condemned => 7,
            Self::Ack => 8,
            Self::Verdict => 9,
            Self::State => 10,
            Self::Catalogue => 11,
        }
    }

    const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Config),
            2 => Some(Self::Keyring),
            3 => Some(Self::Session),
            4 => Some(Self::Snapshot),
            5 => Some(Self::Fence),
            6 => Some(Self::Segment),
            7 => Some(Self::Condemned),
            8 => Some(Self::Ack),
            9 => Some(Self::Verdict),
            10 => Some(Self::State),
            11 => Some(Self::Catalogue),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Keyring => "keyring",
            Self::Session => "session",
            Self::Snapshot => "snapshot",
            Self::Fence => "fence",
            Self::Segment => "index segment",
            Self::Condemned => "condemned",
            Self::Ack => "ack",
            Self::Verdict => "verdict",
            Self::State => "state",
            Self::Catalogue => "catalogue",
        }
    }
}

/// A signed object whose signature hasn't been looked at yet.
#[derive(Debug, Clone)]
pub struct Envelope {
    kind: SignedKind,
    signer: HolderId,
    payload: Vec<u8>,
    signature: [u8; 64],
}

impl Envelope {
    /// Reads an envelope. Nothing in it is to be believed before [`Self::verify`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "signed object";
        let mut fields = Taker::decode(WHAT, bytes)?;
        let version = fields.uint(0)?;
        if version != u64::from(FORMAT_VERSION) {
            return Err(FormatError::UnknownVersion {
                what: WHAT,
                found: version,
                newest: FORMAT_VERSION.into(),
            });
        }
        let kind =
            SignedKind::from_code(fields.uint(1)?).ok_or_else(|| fields.malformed("the kind is unknown"))?;
        let envelope = Self {
            kind,
            payload: fields.bytes(2)?,
            signer: HolderId::new(fields.fixed(3)?),
            signature: fields.fixed(4)?,
        };
        if !fields.finish()?.is_empty() {
            // The envelope itself isn't signed, so nothing may ride along in it.
            return Err(FormatError::Malformed { what: WHAT, why: "it has fields that aren't signed" });
        }
        Ok(envelope)
    }

    /// What the object says it is.
    #[must_use]
    pub fn kind(&self) -> SignedKind {
        self.kind
    }

    /// Who says to have signed it.
    #[must_use]
    pub fn signer(&self) -> HolderId {
        self.signer
    }

    /// The payload, if the object is of this kind and signed with this key.
    pub fn verify(
        &self,
        kind: SignedKind,
        repository: RepositoryId,
        verifying_key: &[u8; 32],
    ) -> Result<&[u8], FormatError> {
        let message = signed_message(self.kind, repository, &self.payload);
        let fits = self.kind == kind
            && keys::holder_of(verifying_key) == self.signer
            && keys::signature_fits(verifying_key, &message, &self.signature);
        if fits { Ok(&self.payload) } else { Err(FormatError::NotAuthentic { what: kind.name() }) }
    }

    /// The payload, if one of these owners signed it.
    pub fn verify_by_owner(
        &self,
        kind: SignedKind,
        repository: RepositoryId,
        owners: &[[u8; 32]],
    ) -> Result<&[u8], FormatError> {
        owners
            .iter()
            .find_map(|owner| self.verify(kind, repository, owner).ok())
            .ok_or(FormatError::NotAuthentic { what: kind.name() })
    }
}

/// Signs a payload and wraps it up. The payload is what it is: what a kind of object has to say,
/// its own type knows.
#[must_use]
pub fn seal_envelope(
    kind: SignedKind,
    repository: RepositoryId,
    signer: &Identity,
    payload: &[u8],
) -> Vec<u8> {
    Fields::new()
        .uint(0, FORMAT_VERSION.into())
        .uint(1, kind.code().into())
        .bytes(2, payload)
        .bytes(3, signer.holder().as_bytes())
        .bytes(4, &signer.sign(&signed_message(kind, repository, payload)))
        .encode()
}

/// What the signature is over.
pub(crate) fn signed_message(kind: SignedKind, repository: RepositoryId, payload: &[u8]) -> Vec<u8> {
    let mut message = b"keepfast v1 signed object\0".to_vec();
    message.push(kind.code());
    message.extend_from_slice(repository.as_bytes());
    message.extend_from_slice(payload);
    message
}
