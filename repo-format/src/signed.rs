//! The envelope of every signed object: kind, payload, signer, signature.

use crate::cbor::{FieldReader, Fields};
use crate::ids::{HolderId, RepositoryId};
use crate::item::Items;
use crate::keys::{self, Identity};
use crate::{FORMAT_VERSION, FormatError};

/// What a signed object is. The signature covers the kind.
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
    /// A decision about a snapshot: it is forgotten, or protected.
    Decision,
    /// Dead sessions whose objects may have been removed.
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
            Self::Decision => 10,
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
            10 => Some(Self::Decision),
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
            Self::Decision => "decision",
            Self::Catalogue => "catalogue",
        }
    }

    /// The error for an object of this kind that isn't what its place says.
    pub(crate) const fn not_authentic(self) -> FormatError {
        FormatError::NotAuthentic { what: self.name() }
    }
}

/// A signed object whose signature hasn't been checked yet. It borrows the object's bytes.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    kind: SignedKind,
    signer: HolderId,
    payload: &'a [u8],
    signature: [u8; 64],
}

/// The fields of an envelope, as they were read.
#[derive(Default)]
struct RawEnvelope<'a> {
    version: Option<u64>,
    kind: Option<u64>,
    payload: Option<&'a [u8]>,
    signer: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

const WHAT: &str = "signed object";

impl<'a> Envelope<'a> {
    /// Reads an envelope, but not its payload. Nothing in it can be trusted before [`Self::verify`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let malformed = |why| FormatError::Malformed { what: WHAT, why };
        let mut items = Items::of(WHAT, bytes);
        let mut raw = RawEnvelope::default();
        let mut last = -1;
        for _ in 0..items.map()? {
            let key = items.key()?;
            if key < 0 {
                // The signature doesn't cover the envelope itself, so the envelope carries nothing else.
                return Err(malformed("it has fields that aren't signed"));
            }
            if key <= last {
                return Err(FormatError::NotCanonical { what: WHAT });
            }
            last = key;
            match key {
                0 => raw.version = Some(items.uint()?),
                1 => raw.kind = Some(items.uint()?),
                2 => raw.payload = Some(items.bytes()?),
                3 => raw.signer = Some(items.bytes()?),
                4 => raw.signature = Some(items.bytes()?),
                _ => return Err(FormatError::UnknownField { what: WHAT, key }),
            }
        }
        items.finish()?;
        raw.into_envelope()
    }

    /// What the object claims to be.
    #[must_use]
    pub fn kind(&self) -> SignedKind {
        self.kind
    }

    /// The holder that claims to have signed it.
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
    ) -> Result<&'a [u8], FormatError> {
        // The message copies the payload, so it is made last, for objects that may fit.
        let fits = self.kind == kind
            && keys::holder_of(verifying_key) == self.signer
            && keys::signature_fits(
                verifying_key,
                &signed_message(self.kind, repository, self.payload),
                &self.signature,
            );
        if fits { Ok(self.payload) } else { Err(kind.not_authentic()) }
    }

    /// The payload, if one of these owners signed it.
    pub fn verify_by_owner(
        &self,
        kind: SignedKind,
        repository: RepositoryId,
        owners: &[[u8; 32]],
    ) -> Result<&'a [u8], FormatError> {
        owners.iter().find_map(|owner| self.verify(kind, repository, owner).ok()).ok_or(kind.not_authentic())
    }

    /// The fields of the payload, if the object is of this kind, signed with this key, and names this
    /// repository.
    pub(crate) fn fields(
        &self,
        kind: SignedKind,
        repository: RepositoryId,
        verifying_key: &[u8; 32],
    ) -> Result<FieldReader<'a>, FormatError> {
        fields_in(kind, repository, self.verify(kind, repository, verifying_key)?)
    }

    /// The fields of the payload, if one of these owners signed it and it names this repository.
    pub(crate) fn fields_by_owner(
        &self,
        kind: SignedKind,
        repository: RepositoryId,
        owners: &[[u8; 32]],
    ) -> Result<FieldReader<'a>, FormatError> {
        fields_in(kind, repository, self.verify_by_owner(kind, repository, owners)?)
    }
}

/// The field of every payload that is a map: the repository that the object belongs to.
const REPOSITORY: i128 = 0;
/// The field of an owner's object that repeats the number in the object's name.
const NUMBER: i128 = 1;

fn fields_in(
    kind: SignedKind,
    repository: RepositoryId,
    payload: &[u8],
) -> Result<FieldReader<'_>, FormatError> {
    let mut fields = FieldReader::decode(kind.name(), payload)?;
    if fields.fixed(REPOSITORY)? == *repository.as_bytes() { Ok(fields) } else { Err(kind.not_authentic()) }
}

/// The fields of the object that has number `n` in its name, if one of these owners signed it for this
/// repository and this number. It refuses an object that was moved to another name.
pub(crate) fn open_numbered<'a>(
    kind: SignedKind,
    bytes: &'a [u8],
    repository: RepositoryId,
    n: u32,
    owners: &[[u8; 32]],
) -> Result<FieldReader<'a>, FormatError> {
    let mut fields = Envelope::decode(bytes)?.fields_by_owner(kind, repository, owners)?;
    if fields.u32(NUMBER)? == n { Ok(fields) } else { Err(kind.not_authentic()) }
}

/// Signs a payload of these fields and of field 0, which names the repository.
pub(crate) fn seal_fields(
    kind: SignedKind,
    repository: RepositoryId,
    signer: &Identity,
    fields: Fields,
) -> Vec<u8> {
    let payload = fields.bytes(REPOSITORY, repository.as_bytes()).encode();
    seal_envelope(kind, repository, signer, &payload)
}

/// As [`seal_fields`], with field 1, which repeats the number in the object's name.
pub(crate) fn seal_numbered(
    kind: SignedKind,
    repository: RepositoryId,
    signer: &Identity,
    n: u32,
    fields: Fields,
) -> Vec<u8> {
    seal_fields(kind, repository, signer, fields.uint(NUMBER, n.into()))
}

impl<'a> RawEnvelope<'a> {
    fn into_envelope(self) -> Result<Envelope<'a>, FormatError> {
        let malformed = |why| FormatError::Malformed { what: WHAT, why };
        let missing = || malformed("a field is missing");
        let wrong_length = |_| malformed("a byte string has the wrong length");
        let version = self.version.ok_or_else(missing)?;
        if version != u64::from(FORMAT_VERSION) {
            let newest = FORMAT_VERSION.into();
            return Err(FormatError::UnknownVersion { what: WHAT, found: version, newest });
        }
        let kind = SignedKind::from_code(self.kind.ok_or_else(missing)?);
        let signer = self.signer.ok_or_else(missing)?.try_into().map_err(wrong_length)?;
        Ok(Envelope {
            kind: kind.ok_or_else(|| malformed("the kind is unknown"))?,
            payload: self.payload.ok_or_else(missing)?,
            signer: HolderId::new(signer),
            signature: self.signature.ok_or_else(missing)?.try_into().map_err(wrong_length)?,
        })
    }
}

/// Signs a payload and puts it into an envelope. It doesn't check the payload: the type of each kind of
/// object makes its own.
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

/// The message that is signed.
pub(crate) fn signed_message(kind: SignedKind, repository: RepositoryId, payload: &[u8]) -> Vec<u8> {
    let mut message = b"keepfast v1 signed object\0".to_vec();
    message.push(kind.code());
    message.extend_from_slice(repository.as_bytes());
    message.extend_from_slice(payload);
    message
}
