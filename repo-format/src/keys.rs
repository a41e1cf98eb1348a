//! The secrets of holders and trust domains, and what is derived from them (SPEC, "Keys and sealing").

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::FormatError;
use crate::aead::{self, Cipher, Key};
use crate::ids::{ChunkId, DomainId, HolderId, RepositoryId, SessionId};

/// The only cipher suite: X25519, BLAKE3, ChaCha20-Poly1305, Ed25519.
pub const SUITE: u8 = 1;

/// Refuses any other cipher suite.
pub(crate) fn require_known_suite(suite: u8) -> Result<(), FormatError> {
    if suite == SUITE {
        Ok(())
    } else {
        Err(FormatError::UnknownVersion { what: "cipher suite", found: suite.into(), newest: SUITE.into() })
    }
}

/// What a holder of keys may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Back up, but not read backed-up data.
    Writer,
    /// Restore and check, but not write.
    Reader,
}

impl Role {
    /// The number that stands for the role in stored objects.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Owner => 0,
            Self::Writer => 1,
            Self::Reader => 2,
        }
    }

    /// The role that a number stands for.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Owner),
            1 => Some(Self::Writer),
            2 => Some(Self::Reader),
            _ => None,
        }
    }

    /// Whether this role may open packs, which are sealed to the domain.
    #[must_use]
    pub const fn reads_data(self) -> bool {
        matches!(self, Self::Owner | Self::Reader)
    }

    /// Whether this role may make packs, segments and snapshots.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Owner | Self::Writer)
    }
}

/// A holder's private keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Identity {
    #[zeroize(skip)]
    pub(crate) role: Role,
    pub(crate) agreement: [u8; 32],
    pub(crate) signing: [u8; 32],
    #[zeroize(skip)]
    pub(crate) owners: Vec<[u8; 32]>,
}

impl Identity {
    /// The first owner, from 64 fresh random bytes. It trusts itself as the only owner.
    #[must_use]
    pub fn first_owner(random: &Zeroizing<[u8; 64]>) -> Self {
        let mut identity = Self::new(Role::Owner, random, Vec::new());
        identity.owners = vec![identity.verifying_key()];
        identity
    }

    /// Another holder, from 64 fresh random bytes. It trusts these owners and no others.
    #[must_use]
    pub fn new(role: Role, random: &Zeroizing<[u8; 64]>, owners: Vec<[u8; 32]>) -> Self {
        let mut identity = Self { role, agreement: [0; 32], signing: [0; 32], owners };
        identity.agreement.copy_from_slice(&random[..32]);
        identity.signing.copy_from_slice(&random[32..]);
        identity
    }

    /// What this holder may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// This holder's id, from its Ed25519 public key.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        holder_of(&self.verifying_key())
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn verifying_key(&self) -> [u8; 32] {
        SigningKey::from_bytes(&self.signing).verifying_key().to_bytes()
    }

    /// The X25519 public key.
    #[must_use]
    pub fn agreement_key(&self) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(self.agreement)).to_bytes()
    }

    /// The Ed25519 public keys of the owners that this holder trusts. They are stored in its key slot.
    #[must_use]
    pub fn owners(&self) -> &[[u8; 32]] {
        &self.owners
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        SigningKey::from_bytes(&self.signing).sign(message).to_bytes()
    }

    pub(crate) fn agree(&self, ephemeral: &[u8; 32], what: &'static str) -> Result<Key, FormatError> {
        agree(&self.agreement, ephemeral, what)
    }
}

/// A holder's id: the first bytes of a hash of its Ed25519 public key.
#[must_use]
pub fn holder_of(verifying_key: &[u8; 32]) -> HolderId {
    let mut id = [0; HolderId::SIZE];
    let hash = aead::derive("keepfast v1 holder id", &[verifying_key]);
    id.copy_from_slice(&hash[..HolderId::SIZE]);
    HolderId::new(id)
}

/// Whether `signature` is a valid signature of `message` by `verifying_key`.
pub(crate) fn signature_fits(verifying_key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(verifying_key)
        .is_ok_and(|key| key.verify_strict(message, &signature.into()).is_ok())
}

/// X25519. It refuses a shared secret of zero, which a public key of small order leads to.
pub(crate) fn agree(secret: &[u8; 32], public: &[u8; 32], what: &'static str) -> Result<Key, FormatError> {
    let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public));
    if !shared.was_contributory() {
        return Err(FormatError::Malformed { what, why: "the public key is of small order" });
    }
    Ok(Zeroizing::new(shared.to_bytes()))
}

/// The public key of an X25519 secret.
pub(crate) fn public_of(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Identifies one version of a trust domain's secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRef {
    /// The trust domain.
    pub domain: DomainId,
    /// The version of its keys, from 1.
    pub version: u32,
}

/// The kind of a chunk. The two kinds have separate ids and separate packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// Bytes of files and streams.
    Data,
    /// Tree pages, state pages, chunk lists, blobs.
    Metadata,
}

impl ChunkKind {
    /// The number that stands for the kind in stored objects.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Metadata => 1,
        }
    }

    /// The kind that a number stands for.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// Those secrets of one trust domain in one version that a role has.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DomainSecrets {
    #[zeroize(skip)]
    pub(crate) key: KeyRef,
    pub(crate) id_key: [u8; 32],
    pub(crate) gear_key: [u8; 32],
    pub(crate) index_key: [u8; 32],
    pub(crate) domain_key: [u8; 32],
    #[zeroize(skip)]
    pub(crate) sealing_public: [u8; 32],
    pub(crate) sealing_secret: Option<[u8; 32]>,
}

impl DomainSecrets {
    /// A new domain's secrets, version 1, from 160 fresh random bytes.
    #[must_use]
    pub fn new(domain: DomainId, random: &Zeroizing<[u8; 160]>) -> Self {
        Self::of_version(KeyRef { domain, version: 1 }, random)
    }

    /// A domain's secrets in any version, from 160 fresh random bytes.
    #[must_use]
    pub fn of_version(key: KeyRef, random: &Zeroizing<[u8; 160]>) -> Self {
        let part = |n: usize| {
            let mut key = [0; 32];
            key.copy_from_slice(&random[32 * n..32 * (n + 1)]);
            key
        };
        Self {
            key,
            id_key: part(0),
            gear_key: part(1),
            index_key: part(2),
            domain_key: part(3),
            sealing_public: public_of(&part(4)),
            sealing_secret: Some(part(4)),
        }
    }

    /// The domain and version of these secrets.
    #[must_use]
    pub fn key(&self) -> KeyRef {
        self.key
    }

    /// Whether these secrets open packs.
    #[must_use]
    pub fn can_open(&self) -> bool {
        self.sealing_secret.is_some()
    }

    /// The hasher of chunk ids.
    #[must_use]
    pub fn chunk_ids(&self) -> ChunkIds {
        ChunkIds {
            data: aead::derive("keepfast v1 chunk id, data", &[&self.id_key]),
            metadata: aead::derive("keepfast v1 chunk id, metadata", &[&self.id_key]),
        }
    }

    /// The key that authenticates the entries of a local index. It isn't stored, and no object depends on
    /// it.
    #[must_use]
    pub fn local_index_key(&self) -> Zeroizing<[u8; 32]> {
        aead::derive("keepfast v1 local index", &[&self.id_key])
    }

    /// The gear table: 256 numbers of 64 bits, from an extendable hash of `K_gear`.
    #[must_use]
    pub fn gear(&self) -> Box<[u64; 256]> {
        let mut bytes = [0; 2048];
        blake3::Hasher::new_derive_key("keepfast v1 gear table")
            .update(&self.gear_key)
            .finalize_xof()
            .fill(&mut bytes);
        let mut table = Box::new([0; 256]);
        for (entry, bytes) in table.iter_mut().zip(bytes.chunks_exact(8)) {
            *entry = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
        bytes.zeroize();
        table
    }

    pub(crate) fn segment_cipher(&self, repository: RepositoryId, header: &[u8]) -> Cipher {
        Cipher::new(&aead::derive(
            "keepfast v1 index segment",
            &[&self.index_key, repository.as_bytes(), header],
        ))
    }

    pub(crate) fn snapshot_cipher(&self, repository: RepositoryId, sid: SessionId) -> Cipher {
        Cipher::new(&aead::derive(
            "keepfast v1 snapshot",
            &[&self.index_key, repository.as_bytes(), &sid.to_bytes()],
        ))
    }
}

/// Computes chunk ids.
#[derive(Clone)]
pub struct ChunkIds {
    data: Key,
    metadata: Key,
}

impl ChunkIds {
    /// The id of a chunk with this plaintext.
    #[must_use]
    pub fn id(&self, kind: ChunkKind, plaintext: &[u8]) -> ChunkId {
        let key = match kind {
            ChunkKind::Data => &self.data,
            ChunkKind::Metadata => &self.metadata,
        };
        ChunkId::new(*blake3::keyed_hash(key, plaintext).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkKind, DomainSecrets, agree};
    use crate::ids::DomainId;
    use zeroize::Zeroizing;

    #[test]
    fn a_public_key_of_small_order_is_refused() {
        assert!(agree(&[5; 32], &[0; 32], "test").is_err());
    }

    #[test]
    fn ids_of_the_two_kinds_differ_for_the_same_bytes() {
        let ids = DomainSecrets::new(DomainId::new([0; 16]), &Zeroizing::new([3; 160])).chunk_ids();
        assert_ne!(ids.id(ChunkKind::Data, b"x"), ids.id(ChunkKind::Metadata, b"x"));
    }
}
