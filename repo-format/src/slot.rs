//! Key slots: a holder's identity, encrypted under a password.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::aead::{self, Key};
use crate::cbor::{FieldReader, Fields};
use crate::ids::RepositoryId;
use crate::keys::{Identity, Role};
use crate::{FormatError, limits};

const WHAT: &str = "key slot";
const VERSION: u64 = 1;
const KIND_PASSWORD: u64 = 1;

/// How much work Argon2id (RFC 9106) does for one password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl PasswordCost {
    /// The work for one password: KiB of memory times passes.
    #[must_use]
    pub fn work_kib(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }

    /// About 0.1 s on one core of 2026.
    pub const DEFAULT: Self = Self { memory_kib: 64 << 10, passes: 2, lanes: 1 };
}

/// A stored key slot, not yet opened.
#[derive(Debug, Clone)]
pub struct KeySlot {
    cost: PasswordCost,
    salt: [u8; 16],
    nonce: [u8; 24],
    commitment: [u8; 32],
    sealed: Vec<u8>,
}

impl KeySlot {
    /// Encrypts an identity under a password and returns the slot's stored bytes.
    /// `salt` and `nonce` must be fresh random bytes.
    pub fn wrap(
        identity: &Identity,
        repository: RepositoryId,
        password: &[u8],
        cost: PasswordCost,
        salt: [u8; 16],
        nonce: [u8; 24],
    ) -> Result<Vec<u8>, FormatError> {
        let secrets = Zeroizing::new(
            Fields::new()
                .bytes(0, repository.as_bytes())
                .uint(1, identity.role.code().into())
                .bytes(2, &identity.agreement)
                .bytes(3, &identity.signing)
                .array(4, identity.owners.iter().map(|key| cbor_bytes(key)).collect())
                .encode(),
        );
        let key = stretch(password, cost, &salt)?;
        let commitment = *commitment(&key);
        let slot = Self { cost, salt, nonce, commitment, sealed: Vec::new() };
        let sealed = aead::seal_random_nonce(&wrapping_key(&key), &nonce, &slot.head(), &secrets);
        Ok(slot.fields().bytes(5, &sealed).encode())
    }

    /// Reads a slot's stored bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut fields = FieldReader::decode(WHAT, bytes)?;
        let version = fields.uint(0)?;
        let kind = fields.uint(1)?;
        if version != VERSION || kind != KIND_PASSWORD {
            let found = if version == VERSION { kind } else { version };
            return Err(FormatError::UnknownVersion { what: WHAT, found, newest: VERSION });
        }
        let mut kdf = fields.map(2)?;
        let cost = PasswordCost { memory_kib: kdf.u32(0)?, passes: kdf.u32(1)?, lanes: kdf.u32(2)? };
        let salt = kdf.fixed(3)?;
        kdf.finish()?;
        let too_much = cost.memory_kib > limits::ARGON2_MEMORY_KIB_MAX
            || cost.passes > limits::ARGON2_PASSES_MAX
            || cost.lanes > limits::ARGON2_LANES_MAX;
        if too_much {
            return Err(FormatError::OverLimit { what: WHAT, field: "password cost" });
        }
        let slot = Self {
            cost,
            salt,
            nonce: fields.fixed(3)?,
            commitment: fields.fixed(4)?,
            sealed: fields.bytes(5)?.to_vec(),
        };
        fields.finish()?;
        Ok(slot)
    }

    /// The work that one attempt with a password takes. It is what the slot claims: nothing authenticates it
    /// before the slot is open.
    #[must_use]
    pub fn cost(&self) -> PasswordCost {
        self.cost
    }

    /// Opens the slot. A wrong password gives [`FormatError::WrongPassword`].
    pub fn unwrap(&self, password: &[u8]) -> Result<(RepositoryId, Identity), FormatError> {
        let key = stretch(password, self.cost, &self.salt)?;
        if *commitment(&key) != self.commitment {
            return Err(FormatError::WrongPassword);
        }
        let secrets =
            aead::open_random_nonce(&wrapping_key(&key), &self.nonce, &self.head(), &self.sealed, WHAT)?;
        let mut fields = FieldReader::decode(WHAT, &secrets)?;
        let repository = RepositoryId::new(fields.fixed(0)?);
        let role = Role::from_code(fields.uint(1)?).ok_or_else(|| fields.malformed("the role is unknown"))?;
        let agreement = fields.fixed(2)?;
        let signing = fields.fixed(3)?;
        let owners = fields
            .byte_strings(4)?
            .into_iter()
            .map(|key| key.try_into().map_err(|_| fields.malformed("an owner's key has the wrong length")))
            .collect::<Result<Vec<[u8; 32]>, _>>()?;
        fields.finish()?;
        Ok((repository, Identity { role, agreement, signing, owners }))
    }

    /// The fields before the sealed part. They are also its associated data.
    fn fields(&self) -> Fields {
        let kdf = Fields::new()
            .uint(0, self.cost.memory_kib.into())
            .uint(1, self.cost.passes.into())
            .uint(2, self.cost.lanes.into())
            .bytes(3, &self.salt);
        Fields::new()
            .uint(0, VERSION)
            .uint(1, KIND_PASSWORD)
            .with(2, kdf.value())
            .bytes(3, &self.nonce)
            .bytes(4, &self.commitment)
    }

    fn head(&self) -> Vec<u8> {
        self.fields().encode()
    }
}

fn cbor_bytes(bytes: &[u8]) -> serde_cbor::Value {
    serde_cbor::Value::Bytes(bytes.to_vec())
}

/// Argon2id, version 1.3.
fn stretch(password: &[u8], cost: PasswordCost, salt: &[u8; 16]) -> Result<Key, FormatError> {
    let unusable = FormatError::Malformed { what: WHAT, why: "Argon2id isn't defined for its password cost" };
    let params =
        Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| unusable.clone())?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, key.as_mut())
        .map_err(|_| unusable)?;
    Ok(key)
}

fn wrapping_key(stretched: &Key) -> Key {
    aead::derive("keepfast v1 key slot", &[&**stretched])
}

/// Commits the slot to its key, so that the same sealed bytes can't open under two keys.
fn commitment(stretched: &Key) -> Key {
    aead::derive("keepfast v1 key slot commitment", &[&**stretched])
}

#[cfg(test)]
mod tests {
    use super::{KeySlot, PasswordCost};
    use crate::FormatError;
    use crate::ids::RepositoryId;
    use crate::keys::Identity;
    use zeroize::Zeroizing;

    #[test]
    fn only_the_password_of_the_slot_opens_it() {
        let identity = Identity::first_owner(&Zeroizing::new([9; 64]));
        let cost = PasswordCost { memory_kib: 64, passes: 1, lanes: 1 };
        let repository = RepositoryId::new([4; 16]);
        let bytes = KeySlot::wrap(&identity, repository, b"secret", cost, [1; 16], [2; 24]).expect("wraps");
        let slot = KeySlot::decode(&bytes).expect("decodes");
        let (found, opened) = slot.unwrap(b"secret").expect("opens");
        assert_eq!((found, opened.holder()), (repository, identity.holder()));
        assert!(matches!(slot.unwrap(b"Secret"), Err(FormatError::WrongPassword)));
    }
}
