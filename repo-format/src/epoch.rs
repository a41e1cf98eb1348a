//! Garbage collection's epochs: what is condemned, what sessions object to, and the verdict.
//!
//! All of them speak of packs by their full names. An id alone says which bytes are meant, and not
//! which object: anybody who may create objects can put another one beside it under the same id.
//!
//! An epoch is published by `condemned`, which an owner signs. Each running session answers
//! with an ack, which its writer signs; `done` is the verdict, an owner's again. All three are
//! created once and never change.

use std::fmt;

use crate::FormatError;
use crate::cbor::{Fields, Taker};
use crate::ids::{HolderId, PackId, RepositoryId, SessionId};
use crate::keys::Identity;
use crate::limits;
use crate::names;
use crate::signed::{self, Envelope, SignedKind};

const CONDEMNED: &str = "condemned";
const ACK: &str = "ack";
const VERDICT: &str = "verdict";

/// A pack, as it is stored: the two halves of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName {
    /// Its id.
    pub id: PackId,
    /// The session that wrote it.
    pub session: SessionId,
}

impl PackName {
    /// Length of the binary form: pack id, then session id.
    pub const SIZE: usize = PackId::SIZE + SessionId::SIZE;

    /// The binary form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let (id, session) = bytes.split_at_mut(PackId::SIZE);
        id.copy_from_slice(self.id.as_bytes());
        session.copy_from_slice(&self.session.to_bytes());
        bytes
    }

    /// The name that a binary form stands for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let (mut id, mut session) = ([0; PackId::SIZE], [0; SessionId::SIZE]);
        id.copy_from_slice(&bytes[..PackId::SIZE]);
        session.copy_from_slice(&bytes[PackId::SIZE..]);
        Self { id: PackId::new(id), session: SessionId::from_bytes(&session) }
    }
}

impl fmt::Display for PackName {
    /// The name of the pack's object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names::pack(self.id, self.session))
    }
}

/// What an epoch would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    /// The epoch's number, from 1.
    pub epoch: u32,
    /// The packs, in ascending order.
    pub packs: Vec<PackName>,
    /// The snapshots that were listed before, in ascending order: what they refer to was looked at.
    pub snapshots: Vec<SessionId>,
}

impl Condemned {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let packs = joined(&self.packs);
        let snapshots: Vec<u8> = self.snapshots.iter().flat_map(SessionId::to_bytes).collect();
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .uint(1, self.epoch.into())
            .bytes(2, &packs)
            .bytes(3, &snapshots)
            .encode();
        signed::seal_envelope(SignedKind::Condemned, repository, owner, &payload)
    }

    /// Reads what epoch `epoch` condemns, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        epoch: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let payload = envelope.verify_by_owner(SignedKind::Condemned, repository, owners)?;
        let mut fields = Taker::decode(CONDEMNED, payload)?;
        let in_repository = fields.fixed(0)? == *repository.as_bytes();
        let found = fields.u32(1)?;
        let packs = ascending(CONDEMNED, fields.bytes(2)?, PackName::from_bytes)?;
        let snapshots = ascending(CONDEMNED, fields.bytes(3)?, SessionId::from_bytes)?;
        fields.finish()?;
        if !in_repository || found != epoch {
            return Err(FormatError::NotAuthentic { what: CONDEMNED });
        }
        Ok(Self { epoch, packs, snapshots })
    }
}

/// A session's answer to an epoch: from now on it refers to nothing that is condemned, but for
/// the packs that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The epoch.
    pub epoch: u32,
    /// The session.
    pub session: SessionId,
    /// Condemned packs that the session refers to already, in ascending order.
    pub objections: Vec<PackName>,
}

impl Ack {
    /// The stored bytes: encoded and signed by the session's writer.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, writer: &Identity) -> Vec<u8> {
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .uint(1, self.epoch.into())
            .bytes(2, &self.session.to_bytes())
            .bytes(4, &joined(&self.objections))
            .encode();
        signed::seal_envelope(SignedKind::Ack, repository, writer, &payload)
    }

    /// Reads the ack of `session` to `epoch`. `writer` looks up the key of a holder who may write.
    pub fn open<'k>(
        bytes: &[u8],
        repository: RepositoryId,
        epoch: u32,
        session: SessionId,
        writer: impl FnOnce(HolderId) -> Option<&'k [u8; 32]>,
    ) -> Result<Self, FormatError> {
        let not_authentic = FormatError::NotAuthentic { what: ACK };
        let envelope = Envelope::decode(bytes)?;
        let key = writer(session.writer).ok_or(not_authentic.clone())?;
        let payload = envelope.verify(SignedKind::Ack, repository, key)?;
        let mut fields = Taker::decode(ACK, payload)?;
        let in_repository = fields.fixed(0)? == *repository.as_bytes();
        let found = (fields.u32(1)?, SessionId::from_bytes(&fields.fixed(2)?));
        let objections = ascending(ACK, fields.bytes(4)?, PackName::from_bytes)?;
        fields.finish()?;
        if !in_repository || found != (epoch, session) {
            return Err(not_authentic);
        }
        Ok(Self { epoch, session, objections })
    }
}

/// What an epoch removes: a part of what it condemned. These packs are dead for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The epoch.
    pub epoch: u32,
    /// The packs, in ascending order.
    pub packs: Vec<PackName>,
}

/// A verdict as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredVerdict {
    /// It names packs.
    Named(Verdict),
    /// It is from before names counted, and gives ids, in ascending order.
    ByIds(Vec<PackId>),
}

impl Verdict {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .uint(1, self.epoch.into())
            .bytes(3, &joined(&self.packs))
            .encode();
        signed::seal_envelope(SignedKind::Verdict, repository, owner, &payload)
    }
}

impl StoredVerdict {
    /// Reads the verdict of epoch `epoch`, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        epoch: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let payload = envelope.verify_by_owner(SignedKind::Verdict, repository, owners)?;
        let mut fields = Taker::decode(VERDICT, payload)?;
        let in_repository = fields.fixed(0)? == *repository.as_bytes();
        let found = fields.u32(1)?;
        let stored = if fields.has(2) {
            Self::ByIds(ascending(VERDICT, fields.bytes(2)?, |id| PackId::new(*id))?)
        } else {
            let packs = ascending(VERDICT, fields.bytes(3)?, PackName::from_bytes)?;
            Self::Named(Verdict { epoch, packs })
        };
        fields.finish()?;
        if !in_repository || found != epoch {
            return Err(FormatError::NotAuthentic { what: VERDICT });
        }
        Ok(stored)
    }

    /// What the verdict names, given what its epoch condemns. Of one that gives ids, that is each
    /// condemned pack of such an id.
    #[must_use]
    pub fn among(self, condemned: &Condemned) -> Verdict {
        match self {
            Self::Named(verdict) => verdict,
            Self::ByIds(ids) => {
                let packs = condemned.packs.iter().filter(|pack| ids.binary_search(&pack.id).is_ok());
                Verdict { epoch: condemned.epoch, packs: packs.copied().collect() }
            }
        }
    }
}

fn joined(packs: &[PackName]) -> Vec<u8> {
    packs.iter().flat_map(PackName::to_bytes).collect()
}

/// Splits a byte string into records of one size, which must ascend strictly: so each set has
/// one encoding, and looking something up in it needs no more than its order.
pub(crate) fn ascending<const N: usize, T: Ord>(
    what: &'static str,
    bytes: &[u8],
    read: impl Fn(&[u8; N]) -> T,
) -> Result<Vec<T>, FormatError> {
    let (records, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(FormatError::Malformed { what, why: "a list ends within an item" });
    }
    if records.len() > limits::EPOCH_ITEMS_MAX {
        return Err(FormatError::OverLimit { what, field: "list" });
    }
    let items: Vec<T> = records.iter().map(read).collect();
    if items.is_sorted_by(|a, b| a < b) {
        Ok(items)
    } else {
        Err(FormatError::Malformed { what, why: "its items don't ascend" })
    }
}
