//! The handle of a repository: where it is, its parameters and its keys.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use keepfast_backend::{Backend, Created};
use keepfast_format::chunker::{Chunker, ChunkerParams};
use keepfast_format::config::{Config, SINGLE_WRITER};
use keepfast_format::ids::{DomainId, HolderId, RepositoryId, SlotId};
use keepfast_format::keyring::Keyring;
use keepfast_format::keys::{ChunkIds, DomainSecrets, Identity, KeyRef};
use keepfast_format::slot::{KeySlot, PasswordCost};
use keepfast_format::{FormatError, names};
use zeroize::Zeroizing;

use super::flaws::Flaw;
use super::ignored::Ignored;
use super::lineage::Lineages;
use super::memory::{Memory, Recalled, Remembered};
use super::objects::Objects;
use super::parameters::{self, Trust};
use super::slots::{self, SlotLimits, Unlocked};
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
    /// The key slot that opened.
    slot: Option<SlotId>,
    ignored: Vec<Ignored>,
    cut_off: CutOff,
    seen: Option<Remembered>,
    memory: Option<Memory>,
    memory_flaw: Option<String>,
    #[cfg(feature = "flaws")]
    pub(super) flaw: Option<Flaw>,
}

/// A repository that is there, still closed.
pub struct FoundRepository {
    backend: Arc<dyn Backend>,
    /// The numbers of its configs, authentic or not, in ascending order.
    configs: Vec<u32>,
}

/// How to open a repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions<'a> {
    /// Where copies of small objects are kept if the store is far.
    pub cache: Option<&'a Path>,
    /// Where it is remembered what was seen at this place before.
    pub memory: Option<&'a Memory>,
    /// Which key slots are tried.
    pub slots: SlotLimits,
}

/// Whether the newest config and keyring don't follow the ones below them.
#[derive(Debug, Clone, Copy, Default)]
struct CutOff {
    config: bool,
    keyring: bool,
}

impl FoundRepository {
    /// Opens it with a password. If the store is far, small objects that never change are read
    /// from copies below `cache`, as far as there are some.
    pub fn open(self, password: &[u8], cache: Option<&Path>) -> Result<Repository> {
        self.open_with(password, &OpenOptions { cache, ..OpenOptions::default() })
    }

    /// Opens it with a password, and in other ways as these options say. With a memory, another
    /// repository than the one that was seen at this place is refused.
    pub fn open_with(self, password: &[u8], options: &OpenOptions<'_>) -> Result<Repository> {
        Repository::open_found(self, password, options, Arc::new(system_entropy))
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
            backend.expect_one_writer();
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
        let keyring = Keyring::open(&ring, id, 0, identity.owners())
            .map_err(EngineError::damaged(names::keyring(0)))?;
        Ok(Self {
            objects: Objects::new(backend, None, id),
            entropy,
            config,
            identity,
            keyring,
            secrets: vec![secrets],
            slot: Some(SlotId::of(&slot)),
            ignored: Vec::new(),
            cut_off: CutOff::default(),
            seen: None,
            memory: None,
            memory_flaw: None,
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
        Self::open_found(Self::find(backend)?, password, &OpenOptions::default(), entropy)
    }

    /// Looks for a repository, before anybody is asked for its password.
    pub fn find(backend: Arc<dyn Backend>) -> Result<FoundRepository> {
        let configs = list_numbers(&*backend, names::CONFIG)?;
        if configs.is_empty() {
            refuse_without_config(&*backend)?;
            return Err(EngineError::NoRepository { location: backend.location() });
        }
        Ok(FoundRepository { backend, configs })
    }

    fn open_found(
        found: FoundRepository,
        password: &[u8],
        options: &OpenOptions<'_>,
        entropy: Arc<Entropy>,
    ) -> Result<Self> {
        let FoundRepository { backend, configs } = found;
        let keys = list_names(&*backend, names::KEY_OBJECTS)?;
        let (mut seen, mut memory_flaw) = (None, None);
        match options.memory.map_or(Recalled::Nothing, Memory::recall) {
            Recalled::Nothing => {}
            Recalled::Seen(remembered) => seen = Some(*remembered),
            Recalled::Damaged(why) => memory_flaw = Some(why),
        }
        let hint = seen.as_ref().and_then(|seen| seen.slot);
        let Unlocked { slot, repository: id, identity } =
            slots::unlock(&*backend, &keys, password, options.slots, hint)?;
        if let Some(seen) = seen.as_ref().filter(|seen| seen.repository != id) {
            let (location, seen) = (backend.location(), seen.repository);
            return Err(EngineError::Swapped { location, seen, shown: id });
        }
        let objects = Objects::new(Arc::clone(&backend), options.cache, id);
        let trust = Trust { repository: id, owners: identity.owners() };
        let config = parameters::newest::<Config>(&objects, trust, &configs)?;
        if let Some(feature) = config.object.features.read.first() {
            return Err(EngineError::UnknownFeature { feature: feature.clone() });
        }
        if config.object.is_single_writer() {
            backend.expect_one_writer();
        }
        let keyring = parameters::newest::<Keyring>(&objects, trust, &numbers_among(names::KEYRING, &keys))?;
        let name = names::keyring(keyring.object.n);
        let secrets = keyring.object.secrets(&identity).map_err(EngineError::damaged(name))?;
        if secrets.is_empty() {
            return Err(EngineError::NotAllowed { action: "open this repository's keyring" });
        }
        let mut ignored = config.ignored;
        ignored.extend(keyring.ignored);
        Ok(Self {
            objects,
            entropy,
            cut_off: CutOff { config: config.is_cut_off, keyring: keyring.is_cut_off },
            config: config.object,
            identity,
            keyring: keyring.object,
            secrets,
            slot: Some(slot),
            ignored,
            seen,
            memory: options.memory.cloned(),
            memory_flaw,
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

    /// Fails if writing takes a feature that this version doesn't know, or if nobody can tell whether
    /// the parameters are the newest: what the newest config or keyring follows isn't there.
    pub fn can_be_written(&self) -> Result<()> {
        if self.cut_off.config {
            return Err(parameters::cut_off_error::<Config>(self.config.n));
        }
        if self.cut_off.keyring {
            return Err(parameters::cut_off_error::<Keyring>(self.keyring.n));
        }
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

    /// Objects among configs and keyrings that count for nothing, because they aren't authentic, as
    /// far as they were looked at to find the newest.
    #[must_use]
    pub fn ignored(&self) -> &[Ignored] {
        &self.ignored
    }

    /// Checks every config, keyring and key slot, and the chains between them. Returns how
    /// many objects there are, and each that is damaged or a stranger's, with what is wrong.
    pub fn check_parameters(&self) -> Result<(u64, Vec<Ignored>)> {
        let configs = list_numbers(self.backend(), names::CONFIG)?;
        let keys = list_names(self.backend(), names::KEY_OBJECTS)?;
        let keyrings = numbers_among(names::KEYRING, &keys);
        let trust = Trust { repository: self.id(), owners: self.identity.owners() };
        let (slots, slot_flaws) = slots::flaws(self.backend(), &keys)?;
        let mut findings = parameters::flaws::<Config>(&self.objects, trust, &configs)?;
        findings.extend(parameters::flaws::<Keyring>(&self.objects, trust, &keyrings)?);
        findings.extend(slot_flaws);
        Ok((slots + configs.len() as u64 + keyrings.len() as u64, findings))
    }

    /// What was remembered of this repository when it was opened.
    pub(super) fn seen(&self) -> Option<&Remembered> {
        self.seen.as_ref()
    }

    /// Where what is seen of this repository is remembered.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// What of this repository is to be remembered as long as nothing else of it is known.
    pub(super) fn shown(&self) -> Remembered {
        Remembered {
            repository: self.id(),
            config: self.config.n,
            keyring: self.keyring.n,
            verdict: 0,
            slot: self.slot,
            heads: BTreeMap::new(),
        }
    }

    /// Remembers what this program has itself just made. If that can't be written, the next program
    /// that opens the repository says so.
    pub(super) fn remember_own(&self, change: impl FnOnce(&mut Remembered)) {
        if let Some(memory) = &self.memory {
            let mut shown = self.shown();
            change(&mut shown);
            let _ = memory.add(&shown);
        }
    }

    /// Remembers that an epoch has its verdict.
    pub(crate) fn remember_verdict(&self, epoch: u32) {
        self.remember_own(|shown| shown.verdict = epoch);
    }

    /// Why what was seen before at this place isn't known, if it should be.
    #[must_use]
    pub fn memory_flaw(&self) -> Option<&str> {
        self.memory_flaw.as_deref()
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

fn list_numbers(backend: &dyn Backend, prefix: &str) -> Result<Vec<u32>> {
    Ok(numbers_among(prefix, &list_names(backend, prefix)?))
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

/// The numbers of objects with this prefix among others, in ascending order.
fn numbers_among(prefix: &str, names: &[String]) -> Vec<u32> {
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| names::parse_numbered(prefix, name)).collect();
    numbers.sort_unstable();
    numbers
}

fn list_names(backend: &dyn Backend, prefix: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    backend.list(prefix, &mut |listed| found.push(listed.name))?;
    found.sort_unstable();
    Ok(found)
}

fn all_known(features: &[String]) -> Result<()> {
    match features.iter().find(|feature| *feature != SINGLE_WRITER) {
        Some(feature) => Err(EngineError::UnknownFeature { feature: feature.clone() }),
        None => Ok(()),
    }
}
