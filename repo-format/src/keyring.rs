//! The keyring: the holders of keys, and each trust domain's secrets sealed to each holder.

use serde_cbor::Value;
use zeroize::Zeroizing;

use crate::aead::{self, Cipher, NonceSpace};
use crate::cbor::{FieldReader, Fields};
use crate::ids::{DomainId, HolderId, ObjectHash, RepositoryId, SessionId};
use crate::keys::{self, DomainSecrets, Identity, KeyRef, Role};
use crate::signed::{self, SignedKind};
use crate::{FORMAT_VERSION, FormatError, limits};

const WHAT: &str = "keyring";

/// The public side of a holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it may do.
    pub role: Role,
    /// Its X25519 public key.
    pub agreement: [u8; 32],
    /// Its Ed25519 public key.
    pub verifying: [u8; 32],
    /// The holders whose history this one continues, as an owner has decided: at most
    /// [`limits::CONTINUED_HOLDERS_MAX`].
    pub continues: Vec<HolderId>,
    /// For a holder that has written and whose role may not write any more: the registers of it that
    /// still count. Such a holder gets no secrets.
    pub kept: Vec<KeptRegister>,
}

/// A snapshot or a FENCE that still counts, of a holder that may not write any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptRegister {
    /// The random part of its session id.
    pub random: [u8; 16],
    /// How many index segments the session wrote.
    pub segments: u32,
    /// The hash of its stored bytes.
    pub hash: ObjectHash,
}

impl KeptRegister {
    /// Length of the binary form: random part, number of segments, hash.
    const SIZE: usize = 16 + 4 + ObjectHash::SIZE;

    fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..16].copy_from_slice(&self.random);
        bytes[16..20].copy_from_slice(&self.segments.to_le_bytes());
        bytes[20..].copy_from_slice(self.hash.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (random, rest) = bytes.split_first_chunk()?;
        let (segments, hash) = rest.split_first_chunk()?;
        let hash = ObjectHash::new(hash.try_into().ok()?);
        Some(Self { random: *random, segments: u32::from_le_bytes(*segments), hash })
    }
}

impl Holder {
    /// The public side of an identity that continues no other holder's history.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        Self {
            role: identity.role(),
            agreement: identity.agreement_key(),
            verifying: identity.verifying_key(),
            continues: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// The holder's name.
    #[must_use]
    pub fn id(&self) -> HolderId {
        keys::holder_of(&self.verifying)
    }
}

/// One domain's secrets, sealed to one holder.
#[derive(Debug, Clone)]
struct KeyBox {
    holder: HolderId,
    ephemeral: [u8; 32],
    sealed: Vec<u8>,
}

#[derive(Debug, Clone)]
struct DomainEntry {
    key: KeyRef,
    sealing_public: [u8; 32],
    boxes: Vec<KeyBox>,
}

/// A keyring whose signature was checked.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// Its number in the chain.
    pub n: u32,
    /// The hash of the keyring before it.
    pub previous: Option<ObjectHash>,
    /// All holders of keys.
    pub holders: Vec<Holder>,
    repository: RepositoryId,
    domains: Vec<DomainEntry>,
}

impl Keyring {
    /// A repository's first keyring: one owner, one domain. `ephemeral` must be fresh
    /// random bytes. Returns the stored bytes.
    pub fn create(
        repository: RepositoryId,
        owner: &Identity,
        secrets: &DomainSecrets,
        ephemeral: &Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, FormatError> {
        let holders = vec![Holder::of(owner)];
        Self::seal(repository, owner, None, holders, &[secrets], || ephemeral.clone())
    }

    /// A keyring of these holders. Each holder gets the secrets that its role may have. `previous` is the
    /// number and hash of the keyring before it; the first keyring has none. Each call of `ephemeral` must
    /// give fresh random bytes. Returns the stored bytes.
    pub fn seal(
        repository: RepositoryId,
        owner: &Identity,
        previous: Option<(u32, ObjectHash)>,
        holders: Vec<Holder>,
        secrets: &[&DomainSecrets],
        mut ephemeral: impl FnMut() -> Zeroizing<[u8; 32]>,
    ) -> Result<Vec<u8>, FormatError> {
        if holders.iter().any(|holder| holder.continues.len() > limits::CONTINUED_HOLDERS_MAX) {
            return Err(FormatError::OverLimit { what: WHAT, field: "continued holders" });
        }
        let n = match previous {
            None => 0,
            Some((n, _)) => n.checked_add(1).ok_or(FormatError::OverLimit { what: WHAT, field: "number" })?,
        };
        let mut domains = Vec::with_capacity(secrets.len());
        for secrets in secrets {
            let boxes = holders
                .iter()
                .filter(|holder| holder.kept.is_empty())
                .map(|holder| seal_box(repository, holder, secrets, &ephemeral()));
            domains.push(DomainEntry {
                key: secrets.key,
                sealing_public: secrets.sealing_public,
                boxes: boxes.collect::<Result<_, _>>()?,
            });
        }
        let ring = Self { n, previous: previous.map(|(_, hash)| hash), holders, repository, domains };
        Ok(signed::seal_numbered(SignedKind::Keyring, repository, owner, n, ring.fields()))
    }

    /// Reads keyring `n` and checks that one of `owners` signed it for this repository and this number.
    pub fn open(
        bytes: &[u8],
        repository: RepositoryId,
        n: u32,
        owners: &[[u8; 32]],
    ) -> Result<Self, FormatError> {
        let mut fields = signed::open_numbered(SignedKind::Keyring, bytes, repository, n, owners)?;
        let ring = Self {
            n,
            previous: fields.optional_fixed(2)?.map(ObjectHash::new),
            holders: fields.maps(3, read_holder)?,
            domains: fields.maps(4, read_domain)?,
            repository,
        };
        fields.finish()?;
        Ok(ring)
    }

    /// The Ed25519 public key of this holder, if it may write.
    #[must_use]
    pub fn writer(&self, id: HolderId) -> Option<&[u8; 32]> {
        let holder = self.holders.iter().find(|holder| holder.id() == id)?;
        holder.role.writes().then_some(&holder.verifying)
    }

    /// The Ed25519 public key that must have signed the register of this session. `None` if no register
    /// with this hash of its stored bytes can count.
    #[must_use]
    pub fn register_signer(&self, session: SessionId, hash: ObjectHash) -> Option<&[u8; 32]> {
        self.signer(session, |kept| kept.hash == hash)
    }

    /// The Ed25519 public key that must have signed the session's index segment `n`. `None` if that
    /// segment can't count.
    #[must_use]
    pub fn segment_signer(&self, session: SessionId, n: u32) -> Option<&[u8; 32]> {
        self.signer(session, |kept| n < kept.segments)
    }

    /// The Ed25519 public key of a holder that may write or could write earlier. It is for objects that
    /// decide nothing.
    #[must_use]
    pub fn writer_ever(&self, id: HolderId) -> Option<&[u8; 32]> {
        let holder = self.holders.iter().find(|holder| holder.id() == id)?;
        (holder.role.writes() || !holder.kept.is_empty()).then_some(&holder.verifying)
    }

    fn signer(&self, session: SessionId, counts: impl Fn(&KeptRegister) -> bool) -> Option<&[u8; 32]> {
        let holder = self.holders.iter().find(|holder| holder.id() == session.writer)?;
        let is_kept = || holder.kept.iter().any(|kept| kept.random == session.random && counts(kept));
        (holder.role.writes() || is_kept()).then_some(&holder.verifying)
    }

    /// The domains' secrets that are sealed to this holder; the newest version is last.
    pub fn secrets(&self, identity: &Identity) -> Result<Vec<DomainSecrets>, FormatError> {
        let me = identity.holder();
        let mut opened = Vec::new();
        for domain in &self.domains {
            if let Some(sealed) = domain.boxes.iter().find(|sealed| sealed.holder == me) {
                opened.push(open_box(self.repository, identity, domain, sealed)?);
            }
        }
        opened.sort_by_key(|secrets| secrets.key.version);
        Ok(opened)
    }

    fn fields(&self) -> Fields {
        let holders = self.holders.iter().map(|holder| {
            Fields::new()
                .uint(0, holder.role.code().into())
                .bytes(1, &holder.agreement)
                .bytes(2, &holder.verifying)
                .maybe(ids_value(&holder.continues), |fields, ids| fields.with(CONTINUES, ids))
                .maybe(kept_bytes(&holder.kept), |fields, kept| fields.bytes(KEPT, &kept))
                .value()
        });
        let domains = self.domains.iter().map(|domain| {
            let boxes = domain.boxes.iter().map(|sealed| {
                Fields::new()
                    .bytes(0, sealed.holder.as_bytes())
                    .bytes(1, &sealed.ephemeral)
                    .bytes(2, &sealed.sealed)
                    .value()
            });
            Fields::new()
                .bytes(0, domain.key.domain.as_bytes())
                .uint(1, domain.key.version.into())
                .bytes(2, &domain.sealing_public)
                .array(3, boxes.collect::<Vec<Value>>())
                .value()
        });
        Fields::new()
            .maybe(self.previous, |fields, hash| fields.bytes(2, hash.as_bytes()))
            .array(3, holders.collect())
            .array(4, domains.collect())
    }
}

fn read_holder(mut fields: FieldReader<'_>) -> Result<Holder, FormatError> {
    let role = Role::from_code(fields.uint(0)?).ok_or_else(|| fields.malformed("a role is unknown"))?;
    let continues = fields.optional(CONTINUES).as_ref().and_then(read_continued).unwrap_or_default();
    let kept = fields.ignorable_bytes(KEPT).and_then(read_kept).unwrap_or_default();
    let holder = Holder { role, agreement: fields.fixed(1)?, verifying: fields.fixed(2)?, continues, kept };
    fields.finish()?;
    Ok(holder)
}

/// The ignorable field of a holder that has the ids of the holders that it continues.
const CONTINUES: i128 = -1;

fn ids_value(ids: &[HolderId]) -> Option<Value> {
    let items = || ids.iter().map(|id| Value::Bytes(id.as_bytes().to_vec())).collect();
    (!ids.is_empty()).then(|| Value::Array(items()))
}

/// The ignorable field of a holder that may not write any more: its registers that still count.
const KEPT: i128 = -2;

fn kept_bytes(kept: &[KeptRegister]) -> Option<Vec<u8>> {
    let mut items: Vec<[u8; KeptRegister::SIZE]> = kept.iter().map(|kept| kept.to_bytes()).collect();
    items.sort_unstable();
    items.dedup();
    (!items.is_empty()).then(|| items.concat())
}

/// The registers in a byte string. A byte string of another form has none.
fn read_kept(bytes: &[u8]) -> Option<Vec<KeptRegister>> {
    if !bytes.len().is_multiple_of(KeptRegister::SIZE) {
        return None;
    }
    let items: Vec<&[u8]> = bytes.chunks(KeptRegister::SIZE).collect();
    let ascends = items.is_sorted_by(|before, after| before < after);
    items.into_iter().map(KeptRegister::from_bytes).collect::<Option<_>>().filter(|_| ascends)
}

/// The ids in a value. A value of another form has none.
fn read_continued(value: &Value) -> Option<Vec<HolderId>> {
    let Value::Array(items) = value else { return None };
    if items.len() > limits::CONTINUED_HOLDERS_MAX {
        return None;
    }
    let read = |item: &Value| match item {
        Value::Bytes(bytes) => bytes.as_slice().try_into().ok().map(HolderId::new),
        _ => None,
    };
    items.iter().map(read).collect()
}

fn read_domain(mut fields: FieldReader<'_>) -> Result<DomainEntry, FormatError> {
    let key = KeyRef { domain: DomainId::new(fields.fixed(0)?), version: fields.u32(1)? };
    let sealing_public = fields.fixed(2)?;
    let boxes = fields.maps(3, |mut fields| {
        let sealed = KeyBox {
            holder: HolderId::new(fields.fixed(0)?),
            ephemeral: fields.fixed(1)?,
            sealed: fields.bytes(2)?.to_vec(),
        };
        fields.finish()?;
        Ok(sealed)
    })?;
    fields.finish()?;
    Ok(DomainEntry { key, sealing_public, boxes })
}

/// Seals to `holder` those of `secrets` that its role may have.
fn seal_box(
    repository: RepositoryId,
    holder: &Holder,
    secrets: &DomainSecrets,
    ephemeral: &Zeroizing<[u8; 32]>,
) -> Result<KeyBox, FormatError> {
    let public = keys::public_of(ephemeral);
    let shared = keys::agree(ephemeral, &holder.agreement, WHAT)?;
    let sealing = secrets.sealing_secret.filter(|_| holder.role.reads_data());
    let mut buffer = Zeroizing::new(
        Fields::new()
            .bytes(0, &secrets.id_key)
            .bytes(1, &secrets.gear_key)
            .bytes(2, &secrets.index_key)
            .bytes(3, &secrets.domain_key)
            .maybe(sealing, |fields, key| fields.bytes(4, &key))
            .encode(),
    );
    let cipher =
        box_cipher(repository, &shared, &public, &holder.agreement, secrets.key, &secrets.sealing_public);
    cipher.seal(NonceSpace::Record, 0, &[], &mut buffer, 0);
    Ok(KeyBox { holder: holder.id(), ephemeral: public, sealed: buffer.to_vec() })
}

fn open_box(
    repository: RepositoryId,
    identity: &Identity,
    domain: &DomainEntry,
    sealed: &KeyBox,
) -> Result<DomainSecrets, FormatError> {
    let shared = identity.agree(&sealed.ephemeral, WHAT)?;
    let cipher = box_cipher(
        repository,
        &shared,
        &sealed.ephemeral,
        &identity.agreement_key(),
        domain.key,
        &domain.sealing_public,
    );
    let mut buffer = Zeroizing::new(sealed.sealed.clone());
    let plain = cipher.open(NonceSpace::Record, 0, &[], &mut buffer, WHAT)?;
    let mut fields = FieldReader::decode(WHAT, plain)?;
    let secrets = DomainSecrets {
        key: domain.key,
        id_key: fields.fixed(0)?,
        gear_key: fields.fixed(1)?,
        index_key: fields.fixed(2)?,
        domain_key: fields.fixed(3)?,
        sealing_public: domain.sealing_public,
        sealing_secret: fields.optional_fixed(4)?,
    };
    fields.finish()?;
    if secrets.sealing_secret.is_some_and(|secret| keys::public_of(&secret) != domain.sealing_public) {
        return Err(FormatError::Malformed {
            what: WHAT,
            why: "a secret sealing key isn't that of the public key",
        });
    }
    Ok(secrets)
}

fn box_cipher(
    repository: RepositoryId,
    shared: &[u8; 32],
    ephemeral: &[u8; 32],
    agreement: &[u8; 32],
    key: KeyRef,
    sealing_public: &[u8; 32],
) -> Cipher {
    Cipher::new(&aead::derive(
        "keepfast v1 keyring box",
        &[
            &[FORMAT_VERSION],
            shared,
            ephemeral,
            agreement,
            repository.as_bytes(),
            key.domain.as_bytes(),
            &key.version.to_le_bytes(),
            sealing_public,
        ],
    ))
}
