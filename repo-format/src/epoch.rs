//! Garbage collection's epochs: what is condemned, what sessions object to, and the verdict.
//!
//! An epoch is published by `condemned`, which an owner signs. Each running session answers
//! with an ack, which its writer signs; `done` is the verdict, an owner's again. All three are
//! created once and never change.

use std::collections::HashSet;

use crate::FormatError;
use crate::cbor::{Fields, Taker};
use crate::ids::{HolderId, PackId, RepositoryId, SessionId};
use crate::keys::Identity;
use crate::limits;
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
    /// The packs' ids.
    #[must_use]
    pub fn pack_ids(&self) -> HashSet<PackId> {
        self.packs.iter().map(|pack| pack.id).collect()
    }

    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let packs: Vec<u8> = self
            .packs
            .iter()
            .flat_map(|pack| pack.id.as_bytes().iter().copied().chain(pack.session.to_bytes()))
            .collect();
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
        let packs = ascending(CONDEMNED, fields.bytes(2)?, |record: &[u8; PackName::SIZE]| {
            let (id, session) = record.split_at(PackId::SIZE);
            PackName {
                id: PackId::new(id.try_into().unwrap_or_default()),
                session: SessionId::from_bytes(session.try_into().unwrap_or(&[0; SessionId::SIZE])),
            }
        })?;
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
    pub objections: Vec<PackId>,
}

impl Ack {
    /// The stored bytes: encoded and signed by the session's writer.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, writer: &Identity) -> Vec<u8> {
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .uint(1, self.epoch.into())
            .bytes(2, &self.session.to_bytes())
            .bytes(3, &joined(&self.objections))
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
        let objections = ascending(ACK, fields.bytes(3)?, |id| PackId::new(*id))?;
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
    pub packs: Vec<PackId>,
}

impl Verdict {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let payload = Fields::new()
            .bytes(0, repository.as_bytes())
            .uint(1, self.epoch.into())
            .bytes(2, &joined(&self.packs))
            .encode();
        signed::seal_envelope(SignedKind::Verdict, repository, owner, &payload)
    }

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
        let packs = ascending(VERDICT, fields.bytes(2)?, |id| PackId::new(*id))?;
        fields.finish()?;
        if !in_repository || found != epoch {
            return Err(FormatError::NotAuthentic { what: VERDICT });
        }
        Ok(Self { epoch, packs })
    }
}

fn joined(packs: &[PackId]) -> Vec<u8> {
    packs.iter().flat_map(|pack| *pack.as_bytes()).collect()
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
