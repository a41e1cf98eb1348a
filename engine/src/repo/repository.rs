//! The handle of a repository: where it is, its parameters and its keys.

use std::path::Path;
use std::sync::Arc;

use keepfast_backend::{Backend, Created};
use keepfast_format::chunker::{Chunker, ChunkerParams};
use keepfast_format::config::{Config, SINGLE_WRITER};
use keepfast_format::ids::{DomainId, HolderId, ObjectHash, RepositoryId, SlotId};
use keepfast_format::keyring::Keyring;
use keepfast_format::keys::{ChunkIds, DomainSecrets, Identity, KeyRef};
use keepfast_format::slot::{KeySlot, PasswordCost};
use keepfast_format::{FormatError, limits, names};
use zeroize::Zeroizing;

use super::flaws::Flaw;
use super::lineage::Lineages;
use super::objects::Objects;
use super::soundness::until;
use crate::error::{EngineError, Result};

/// What `init` can choose.
#[derive(Debug, Clone, Copy)]
pub struct InitOptions {
    /// How data is cut.
    pub chunker: ChunkerParams,
    /// Stored size of a full pack, in bytes.
    pub pack_bytes: u32,
    /// Whether the store lets writers overwrite each other, and the owner declares that no two
    /// runs ever write at once.
    pub single_writer: bool,
    /// Work for one password.
    pub password_cost: PasswordCost,
    /// The time, in seconds since 1970.
    pub now_unix_s: u64,
}

/// Fills memory with random bytes.
pub type Entropy = dyn Fn(&mut [u8]) -> Result<()> + Send + Sync;

/// An opened repository.
pub struct Repository {
    objects: Objects,
    entropy: Arc<Entropy>,
    config: Config,
    identity: Identity,
    keyring: Keyring,
    secrets: Vec<DomainSecrets>,
    #[cfg(feature = "flaws")]
    pub(super) flaw: Option<Flaw>,
}

/// A repository that is there, still closed.
pub struct FoundRepository {
    backend: Arc<dyn Backend>,
    /// The number of its newest config.
    config_n: u32,
}

impl FoundRepository {
    /// Opens it with a password. If the store is far, small objects that never change are read
    /// from copies below `cache`, as far as there are some.
    pub fn open(self, password: &[u8], cache: Option<&Path>) -> Result<Repository> {
        Repository::open_found(self, password, cache, Arc::new(system_entropy))
    }
}

impl Repository {
    /// Makes a repository. Its config is created last: without it there is no repository.
    pub fn init(backend: Arc<dyn Backend>, password: &[u8], options: &InitOptions) -> Result<Self> {
        Self::init_with(backend, password, options, Arc::new(system_entropy))
    }

    /// As [`Repository::init`], with random bytes from elsewhere than the operating system.
    pub fn init_with(
        backend: Arc<dyn Backend>,
        password: &[u8],
        options: &InitOptions,
        entropy: Arc<Entropy>,
    ) -> Result<Self> {
        let location = backend.location();
        if !list_numbers(&*backend, names::CONFIG)?.is_empty() {
            return Err(EngineError::RepositoryExists { location });
        }
        let id = RepositoryId::new(*draw(&*entropy)?);
        let mut config = Config::new(id, options.now_unix_s);
        config.chunker = options.chunker;
        config.pack_bytes = options.pack_bytes;
        if options.single_writer {
            config.declare_single_writer();
        }
        config.validate().map_err(|error| EngineError::Unusable(error.to_string()))?;
        refuse_without_config(&*backend)?;
        let format = EngineError::damaged("new repository");
        let (identity, secrets, slot, ring) = (|| {
            let identity = Identity::first_owner(&draw(&*entropy)?);
            let domain = DomainId::new(*draw(&*entropy)?);
            let secrets = DomainSecrets::new(domain, &draw(&*entropy)?);
            let (salt, nonce) = (*draw(&*entropy)?, *draw(&*entropy)?);
            let slot = KeySlot::wrap(&identity, id, password, options.password_cost, salt, nonce)?;
            let ring = Keyring::create(id, &identity, &secrets, &draw(&*entropy)?)?;
            Ok((identity, secrets, slot, ring))
        })()
        .map_err(|error| match error {
            Either::Engine(error) => error,
            Either::Format(error) => format(error),
        })?;
        let half_made = || EngineError::HalfMadeRepository { location: backend.location() };
        if backend.create(&names::keyring(0), &[&ring])? == Created::AlreadyThere {
            return Err(half_made());
        }
        backend.create(&names::slot(SlotId::of(&slot)), &[&slot])?;
        backend.sync()?;
        let sealed = config.seal(&identity).map_err(EngineError::damaged("new config"))?;
        if backend.create(&names::config(0), &[&sealed])? == Created::AlreadyThere {
            return Err(EngineError::RepositoryExists { location });
        }
        backend.sync()?;
        let keyring =
            Keyring::open(&ring, id, identity.owners()).map_err(EngineError::damaged(names::keyring(0)))?;
        Ok(Self {
            objects: Objects::new(backend, None, id),
            entropy,
            config,
            identity,
            keyring,
            secrets: vec![secrets],
            #[cfg(feature = "flaws")]
            flaw: None,
        })
    }

    /// Opens a repository with a password.
    pub fn open(backend: Arc<dyn Backend>, password: &[u8]) -> Result<Self> {
        Self::open_with(backend, password, Arc::new(system_entropy))
    }

    /// As [`Repository::open`], with random bytes from elsewhere than the operating system.
    pub fn open_with(backend: Arc<dyn Backend>, password: &[u8], entropy: Arc<Entropy>) -> Result<Self> {
        Self::open_found(Self::find(backend)?, password, None, entropy)
    }

    /// Looks for a repository, before anybody is asked for its password.
    pub fn find(backend: Arc<dyn Backend>) -> Result<FoundRepository> {
        match list_numbers(&*backend, names::CONFIG)?.last() {
            Some(newest) => Ok(FoundRepository { backend, config_n: *newest }),
            None => {
                refuse_without_config(&*backend)?;
                Err(EngineError::NoRepository { location: backend.location() })
            }
        }
    }

    fn open_found(
        found: FoundRepository,
        password: &[u8],
        cache: Option<&Path>,
        entropy: Arc<Entropy>,
    ) -> Result<Self> {
        let FoundRepository { backend, config_n } = found;
        let keys = list_names(&*backend, names::KEY_OBJECTS)?;
        let (id, identity) = unlock(&*backend, &keys, password)?;
        let objects = Objects::new(Arc::clone(&backend), cache, id);
        let config = objects.read(&names::config(config_n), limits::SMALL_OBJECT_BYTES_MAX, |bytes| {
            Config::open(bytes, id, identity.owners())
        })?;
        if let Some(feature) = config.features.read.first() {
            return Err(EngineError::UnknownFeature { feature: feature.clone() });
        }
        let rings = keys.iter().filter_map(|name| names::parse_numbered(names::KEYRING, name));
        let Some(newest) = rings.max() else {
            return Err(EngineError::Missing {
                object: names::keyring(0),
                consequence: "no data can be opened without it; restore it from a copy of the repository",
            });
        };
        let name = names::keyring(newest);
        let keyring = objects.read(&name, limits::SMALL_OBJECT_BYTES_MAX, |bytes| {
            Keyring::open(bytes, id, identity.owners())
        })?;
        let secrets = keyring.secrets(&identity).map_err(EngineError::damaged(&name))?;
        if secrets.is_empty() {
            return Err(EngineError::NotAllowed { action: "open this repository's keyring" });
        }
        Ok(Self {
            objects,
            entropy,
            config,
            identity,
            keyring,
            secrets,
            #[cfg(feature = "flaws")]
            flaw: None,
        })
    }

    /// The store.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        self.objects.backend()
    }

    /// Its small objects that never change.
    pub(super) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>> {
        draw(&*self.entropy)
    }

    /// The repository's number.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.config.repository
    }

    /// Fails if writing takes a feature that this version doesn't know.
    pub fn can_be_written(&self) -> Result<()> {
        all_known(&self.config.features.write)
    }

    /// Fails if collecting garbage takes a feature that this version doesn't know.
    pub fn can_be_collected(&self) -> Result<()> {
        self.can_be_written()?;
        all_known(&self.config.features.collect)
    }

    /// The newest config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whose keys these are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The keys that new data goes under.
    #[must_use]
    pub fn current(&self) -> &DomainSecrets {
        &self.secrets[self.secrets.len() - 1]
    }

    /// The secrets that an object names, if this role has them.
    #[must_use]
    pub fn secrets(&self, key: KeyRef) -> Option<&DomainSecrets> {
        self.secrets.iter().find(|secrets| secrets.key() == key)
    }

    /// As [`Repository::secrets`], for what can't be done without them.
    pub fn secrets_under(&self, key: KeyRef) -> Result<&DomainSecrets> {
        self.secrets(key).ok_or(EngineError::NotAllowed { action: "write under keys of that version" })
    }

    /// The Ed25519 public key of a holder who may write.
    #[must_use]
    pub fn writer_key(&self, holder: HolderId) -> Option<&[u8; 32]> {
        self.keyring.writer(holder)
    }

    /// The Ed25519 public key of a holder who may write, or could once.
    #[must_use]
    pub fn writer_ever(&self, holder: HolderId) -> Option<&[u8; 32]> {
        self.keyring.writer_ever(holder)
    }

    /// The newest keyring.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Which writers continue which, as the newest keyring says.
    #[must_use]
    pub fn lineages(&self) -> Lineages {
        Lineages::of(&self.keyring.holders)
    }

    /// The hasher of chunk ids under the current keys.
    #[must_use]
    pub fn chunk_ids(&self) -> ChunkIds {
        self.current().chunk_ids()
    }

    /// The hashers of chunk ids under all keys that this role has.
    #[must_use]
    pub fn hashers(&self) -> Hashers {
        Hashers(self.secrets.iter().map(|secrets| (secrets.key(), secrets.chunk_ids())).collect())
    }

    /// The chunker under the current keys.
    pub fn chunker(&self) -> Result<Chunker> {
        Chunker::new(self.config.chunker, self.current()).map_err(EngineError::damaged("config"))
    }

    /// Checks every config, keyring and key slot, and the chains between them. Returns how
    /// many objects there are, and each damaged one with what is wrong.
    pub fn check_parameters(&self) -> Result<(u64, Vec<(String, String)>)> {
        let mut findings = Vec::new();
        let mut count = 0;
        let owners = self.identity.owners();
        for (prefix, name_of) in
            [(names::CONFIG, names::config as fn(u32) -> String), (names::KEYRING, names::keyring)]
        {
            let mut before = None;
            for (expected, n) in (0..).zip(list_numbers(self.backend(), prefix)?) {
                let name = name_of(n);
                count += 1;
                if n != expected {
                    findings.push((name_of(expected), "it is missing from its chain".to_owned()));
                }
                let (hash, opened) = until(
                    || {
                        let bytes = read_small(self.backend(), &name)?;
                        let opened = if prefix == names::CONFIG {
                            Config::open(&bytes, self.id(), owners).map(|config| (config.n, config.previous))
                        } else {
                            Keyring::open(&bytes, self.id(), owners).map(|ring| (ring.n, ring.previous))
                        };
                        Ok((ObjectHash::of(&bytes), opened))
                    },
                    |read: &Result<_>| !matches!(read, Ok((_, Err(_)))),
                )?;
                match opened {
                    Err(error) => findings.push((name, error.to_string())),
                    Ok((found, previous)) if found != n || previous != before => {
                        findings.push((name, "it doesn't follow the one before it".to_owned()));
                    }
                    Ok(_) => {}
                }
                before = Some(hash);
            }
        }
        let slots = list_names(self.backend(), names::KEYS)?;
        for (name, slot) in read_slots(self.backend(), &slots)? {
            count += 1;
            if let Err(error) = slot {
                findings.push((name.clone(), error.to_string()));
            }
        }
        Ok((count, findings))
    }
}

/// Hashers of chunk ids. An id belongs to the key version of the pack that the chunk is in.
pub struct Hashers(Vec<(KeyRef, ChunkIds)>);

impl Hashers {
    /// The hasher under these keys, if this role has them.
    #[must_use]
    pub fn under(&self, key: KeyRef) -> Option<&ChunkIds> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, ids)| ids)
    }
}

impl Repository {
    /// Breaks a rule from now on.
    #[cfg(feature = "flaws")]
    pub fn plant(&mut self, flaw: Option<Flaw>) {
        self.flaw = flaw;
    }

    /// Whether a rule is broken.
    #[cfg(feature = "flaws")]
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether a rule is broken: none is.
    #[cfg(not(feature = "flaws"))]
    #[allow(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) const fn has(&self, _: Flaw) -> bool {
        false
    }
}

enum Either {
    Engine(EngineError),
    Format(FormatError),
}

impl From<EngineError> for Either {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<FormatError> for Either {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

fn system_entropy(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| EngineError::Unusable(format!("the system gives no random bytes: {error}")))
}

fn draw<const N: usize>(entropy: &Entropy) -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    entropy(bytes.as_mut())?;
    Ok(bytes)
}

fn read_small(backend: &dyn Backend, name: &str) -> Result<Vec<u8>> {
    Ok(backend.read(name, limits::SMALL_OBJECT_BYTES_MAX)?)
}

fn list_numbers(backend: &dyn Backend, prefix: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    backend.list(prefix, &mut |listed| numbers.extend(names::parse_numbered(prefix, &listed.name)))?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// Refuses a store without a config that somebody has backed up into: that is a damaged
/// repository, and neither none nor one whose `init` was interrupted.
fn refuse_without_config(backend: &dyn Backend) -> Result<()> {
    let mut used = false;
    backend.list(names::SESSIONS, &mut |_| used = true)?;
    if used {
        return Err(EngineError::Missing {
            object: names::config(0),
            consequence: "nothing can be opened without it; restore it from a copy of the repository",
        });
    }
    Ok(())
}

fn list_names(backend: &dyn Backend, prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    backend.list(prefix, &mut |listed| found.push(listed.name))?;
    found.sort_unstable();
    Ok(found)
}

/// The key slots among these objects; one whose bytes don't fit its name, or don't decode, with
/// what is wrong.
fn read_slots<'n>(
    backend: &dyn Backend,
    listed: &'n [String],
) -> Result<Vec<(&'n String, Result<KeySlot, FormatError>)>> {
    let mut slots = Vec::new();
    for name in listed {
        let Some(id) = names::parse_slot(name) else { continue };
        let read = || {
            let bytes = match read_small(backend, name) {
                Err(EngineError::Damaged { source, .. }) => return Ok(Err(source)),
                read => read?,
            };
            Ok(if SlotId::of(&bytes) == id {
                KeySlot::decode(&bytes)
            } else {
                Err(FormatError::NotAuthentic { what: "key slot" })
            })
        };
        let slot = until(read, |slot: &Result<_>| !matches!(slot, Ok(Err(_))))?;
        slots.push((name, slot));
    }
    Ok(slots)
}

/// Opens the first of the key slots among these objects that the password fits.
fn unlock(backend: &dyn Backend, keys: &[String], password: &[u8]) -> Result<(RepositoryId, Identity)> {
    let slots = read_slots(backend, keys)?;
    if slots.is_empty() {
        return Err(EngineError::Missing {
            object: format!("{}: every key slot", names::KEYS),
            consequence: "without a key slot nothing can be opened; restore it from a copy of the repository",
        });
    }
    let mut damaged = None;
    for (name, slot) in slots {
        match slot.and_then(|slot| slot.unwrap(password)) {
            Ok(opened) => return Ok(opened),
            Err(FormatError::WrongPassword) => {}
            Err(error) => damaged = Some(EngineError::Damaged { object: name.clone(), source: error }),
        }
    }
    Err(damaged.unwrap_or_else(|| EngineError::WrongPassword { location: backend.location() }))
}

fn all_known(features: &[String]) -> Result<()> {
    match features.iter().find(|feature| *feature != SINGLE_WRITER) {
        Some(feature) => Err(EngineError::UnknownFeature { feature: feature.clone() }),
        None => Ok(()),
    }
}
