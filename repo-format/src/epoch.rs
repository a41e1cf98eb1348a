//! The objects of garbage collection's epochs: what is condemned, what sessions object to, the verdict.
//!
//! All of them identify packs by their full names. An id alone identifies bytes, not an object: anyone
//! who may create objects can create another object with the same id.
//!
//! `condemned` publishes an epoch; an owner signs it. Each running session answers with an ack, which its
//! writer signs. `done` is the verdict, which an owner signs. All three are created once and never change.

use crate::FormatError;
use crate::cbor::Fields;
use crate::ids::{HolderId, PackId, RepositoryId, SessionId};
use crate::keys::Identity;
use crate::names::PackName;
use crate::records;
use crate::signed::{self, Envelope, SignedKind};

const CONDEMNED: &str = "condemned";
const ACK: &str = "ack";
const VERDICT: &str = "verdict";

/// What an epoch would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    /// The epoch's number, from 1.
    pub epoch: u32,
    /// The packs, in ascending order.
    pub packs: Vec<PackName>,
    /// The snapshots that the collector had listed when it marked, in ascending order: it has marked what
    /// they refer to.
    pub snapshots: Vec<SessionId>,
}

impl Condemned {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let fields = Fields::new()
            .bytes(2, &records::join(&self.packs, PackName::to_bytes))
            .bytes(3, &records::join(&self.snapshots, SessionId::to_bytes));
        signed::seal_numbered(SignedKind::Condemned, repository, owner, self.epoch, fields)
    }

    /// Reads what epoch `epoch` condemns, if an owner has signed it.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        epoch: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let mut fields = signed::open_numbered(SignedKind::Condemned, bytes, repository, epoch, owners)?;
        let packs = records::split_ascending(CONDEMNED, fields.bytes(2)?, PackName::from_bytes)?;
        let snapshots = records::split_ascending(CONDEMNED, fields.bytes(3)?, SessionId::from_bytes)?;
        fields.finish()?;
        Ok(Self { epoch, packs, snapshots })
    }
}

/// A session's answer to an epoch: from now on it refers to no condemned pack except those that the
/// answer names.
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
        let fields = Fields::new()
            .bytes(2, &self.session.to_bytes())
            .bytes(4, &records::join(&self.objections, PackName::to_bytes));
        signed::seal_numbered(SignedKind::Ack, repository, writer, self.epoch, fields)
    }

    /// Reads the ack of `session` to `epoch`. `writer` looks up the key of a holder that may write.
    pub fn open<'k>(
        bytes: &[u8],
        repository: RepositoryId,
        epoch: u32,
        session: SessionId,
        writer: impl FnOnce(HolderId) -> Option<&'k [u8; 32]>,
    ) -> Result<Self, FormatError> {
        let not_authentic = SignedKind::Ack.not_authentic();
        let envelope = Envelope::decode(bytes)?;
        let key = writer(session.writer).ok_or(not_authentic.clone())?;
        let mut fields = envelope.fields(SignedKind::Ack, repository, key)?;
        let found = (fields.u32(1)?, SessionId::from_bytes(&fields.fixed(2)?));
        let objections = records::split_ascending(ACK, fields.bytes(4)?, PackName::from_bytes)?;
        fields.finish()?;
        if found != (epoch, session) {
            return Err(not_authentic);
        }
        Ok(Self { epoch, session, objections })
    }
}

/// What an epoch removes: some or all of what it condemned. These packs are dead for ever.
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
    /// An older program wrote it: it has pack ids instead of names, in ascending order.
    ByIds(Vec<PackId>),
}

impl Verdict {
    /// The stored bytes: encoded and signed by an owner.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, owner: &Identity) -> Vec<u8> {
        let fields = Fields::new().bytes(3, &records::join(&self.packs, PackName::to_bytes));
        signed::seal_numbered(SignedKind::Verdict, repository, owner, self.epoch, fields)
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
        let mut fields = signed::open_numbered(SignedKind::Verdict, bytes, repository, epoch, owners)?;
        let stored = if fields.has(2) {
            Self::ByIds(records::split_ascending(VERDICT, fields.bytes(2)?, |id| PackId::new(*id))?)
        } else {
            let packs = records::split_ascending(VERDICT, fields.bytes(3)?, PackName::from_bytes)?;
            Self::Named(Verdict { epoch, packs })
        };
        fields.finish()?;
        Ok(stored)
    }

    /// What the verdict names, given what its epoch condemns. A verdict with ids names each condemned pack
    /// that has one of the ids.
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
