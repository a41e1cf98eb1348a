//! A pack's header, and the key that seals its frames and its directory.

use zeroize::Zeroizing;

use crate::aead::{self, Cipher, NonceSpace};
use crate::ids::{DomainId, RepositoryId};
use crate::keys::{self, ChunkKind, DomainSecrets, KeyRef, SUITE};
use crate::wire::Reader;
use crate::{FORMAT_VERSION, FormatError};

const WHAT: &str = "pack";
const MAGIC: &[u8; 8] = b"KEEPPACK";
/// Length of a pack's header.
pub const HEADER_BYTES: usize = 112;

/// The public beginning of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackHeader {
    /// Data or metadata.
    pub kind: ChunkKind,
    /// The version of the domain's secrets that it is sealed with.
    pub key: KeyRef,
    /// The repository that it belongs to.
    pub repository: RepositoryId,
    ephemeral: [u8; 32],
    commitment: [u8; 32],
}

impl PackHeader {
    /// Reads the first [`HEADER_BYTES`] of a pack.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(FormatError::Truncated { what: WHAT })?;
        let mut input = Reader::new(WHAT, bytes);
        input.expect(MAGIC, "it doesn't begin like a pack")?;
        let (version, suite, kind) = (input.u8()?, input.u8()?, input.u8()?);
        if version != FORMAT_VERSION {
            return Err(FormatError::UnknownVersion {
                what: WHAT,
                found: version.into(),
                newest: FORMAT_VERSION.into(),
            });
        }
        keys::require_known_suite(suite)?;
        let kind = ChunkKind::from_code(kind)
            .ok_or(FormatError::Malformed { what: WHAT, why: "its kind is unknown" })?;
        input.expect(&[0], "a reserved byte isn't zero")?;
        let version = input.u32()?;
        let domain = DomainId::new(input.array()?);
        let header = Self {
            kind,
            key: KeyRef { domain, version },
            repository: RepositoryId::new(input.array()?),
            ephemeral: input.array()?,
            commitment: input.array()?,
        };
        input.finish()?;
        Ok(header)
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[FORMAT_VERSION, SUITE, self.kind.code(), 0]);
        bytes.extend_from_slice(&self.key.version.to_le_bytes());
        bytes.extend_from_slice(self.key.domain.as_bytes());
        bytes.extend_from_slice(self.repository.as_bytes());
        bytes.extend_from_slice(&self.ephemeral);
        bytes.extend_from_slice(&self.commitment);
        bytes.try_into().expect("the fields add up to the header's length")
    }
}

/// Seals and opens the frames and the directory of one pack.
pub struct PackCipher {
    cipher: Cipher,
    header: [u8; HEADER_BYTES],
}

impl PackCipher {
    /// The cipher of a new pack. `ephemeral` must be fresh random bytes.
    pub fn create(
        repository: RepositoryId,
        secrets: &DomainSecrets,
        kind: ChunkKind,
        ephemeral: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, FormatError> {
        let shared = keys::agree(ephemeral, &secrets.sealing_public, WHAT)?;
        let mut header = PackHeader {
            kind,
            key: secrets.key,
            repository,
            ephemeral: keys::public_of(ephemeral),
            commitment: [0; 32],
        };
        let (key, commitment) = pack_key(&header, secrets, &shared);
        header.commitment = *commitment;
        Ok(Self { cipher: Cipher::new(&key), header: header.encode() })
    }

    /// The cipher of a stored pack, from its header and the secrets that the header names.
    pub fn open_pack(
        header: &PackHeader,
        repository: RepositoryId,
        secrets: &DomainSecrets,
    ) -> Result<Self, FormatError> {
        let secret = secrets.sealing_secret.ok_or(FormatError::NoKey { what: WHAT })?;
        if header.repository != repository || header.key != secrets.key {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        let shared = keys::agree(&secret, &header.ephemeral, WHAT)?;
        let (key, commitment) = pack_key(header, secrets, &shared);
        if *commitment != header.commitment {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        Ok(Self { cipher: Cipher::new(&key), header: header.encode() })
    }

    /// The pack's header, as it is stored.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_BYTES] {
        &self.header
    }

    pub(crate) fn seal(
        &self,
        space: NonceSpace,
        number: u32,
        more: &[u8],
        buffer: &mut Vec<u8>,
        from: usize,
    ) {
        self.cipher.seal(space, number.into(), &self.associated(number, more), buffer, from);
    }

    pub(crate) fn open<'a>(
        &self,
        space: NonceSpace,
        number: u32,
        more: &[u8],
        sealed: &'a mut [u8],
        what: &'static str,
    ) -> Result<&'a mut [u8], FormatError> {
        self.cipher.open(space, number.into(), &self.associated(number, more), sealed, what)
    }

    pub(crate) fn open_into(
        &self,
        space: NonceSpace,
        number: u32,
        more: &[u8],
        sealed: &[u8],
        plain: &mut Vec<u8>,
        what: &'static str,
    ) -> Result<(), FormatError> {
        self.cipher.open_into(space, number.into(), &self.associated(number, more), sealed, plain, what)
    }

    /// The associated data, which binds a message to the pack's header and to its number in the pack.
    fn associated(&self, number: u32, more: &[u8]) -> Vec<u8> {
        let mut data = Vec::with_capacity(HEADER_BYTES + 4 + more.len());
        data.extend_from_slice(&self.header);
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(more);
        data
    }
}

fn pack_key(header: &PackHeader, secrets: &DomainSecrets, shared: &[u8; 32]) -> (aead::Key, aead::Key) {
    let key = aead::derive(
        "keepfast v1 pack key",
        &[
            &[SUITE],
            shared,
            &header.ephemeral,
            &secrets.sealing_public,
            header.repository.as_bytes(),
            header.key.domain.as_bytes(),
            &header.key.version.to_le_bytes(),
            &[header.kind.code()],
            &secrets.domain_key,
        ],
    );
    let commitment = aead::derive("keepfast v1 pack key commitment", &[&*key]);
    (key, commitment)
}
