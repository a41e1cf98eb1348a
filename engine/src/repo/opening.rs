//! Making a repository, finding one, unlocking and loading it.

use std::path::Path;
use std::sync::Arc;

use keepfast_backend::{Backend, Created};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::config::Config;
use keepfast_format::ids::{DomainId, RepositoryId, SlotId};
use keepfast_format::keyring::Keyring;
use keepfast_format::keys::{DomainSecrets, Identity};
use keepfast_format::names;
use keepfast_format::slot::{KeySlot, PasswordCost};

use super::memory::{Memory, Recalled, Remembered};
use super::objects::Objects;
use super::parameters::{self, ListedKeys, Trust, list_configs};
use super::repository::{CutOff, Entropy, Loaded, Repository, draw};
use super::slots::{self, SlotLimits, Unlocked};
use crate::error::{EngineError, Loss, Result};

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

/// What the store lists of a repository's parameters.
struct ListedParameters {
    configs: Vec<u32>,
    keyrings: Vec<u32>,
}

/// What was seen of the repository at this place before.
struct Past {
    seen: Option<Remembered>,
    flaw: Option<String>,
}

impl Past {
    fn recall(memory: Option<&Memory>) -> Self {
        let (seen, flaw) = match memory.map_or(Recalled::Nothing, Memory::recall) {
            Recalled::Nothing => (None, None),
            Recalled::Seen(remembered) => (Some(*remembered), None),
            Recalled::Damaged(why) => (None, Some(why)),
        };
        Self { seen, flaw }
    }

    /// Fails if another repository was seen here.
    fn must_be_of(&self, shown: RepositoryId, backend: &dyn Backend) -> Result<()> {
        match &self.seen {
            Some(Remembered { repository: seen, .. }) if *seen != shown => {
                Err(EngineError::Swapped { location: backend.location(), seen: *seen, shown })
            }
            _ => Ok(()),
        }
    }
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
        self.open_by(password, options, Arc::new(system_entropy))
    }

    fn open_by(
        self,
        password: &[u8],
        options: &OpenOptions<'_>,
        entropy: Arc<Entropy>,
    ) -> Result<Repository> {
        let Self { backend, configs } = self;
        let ListedKeys { keyrings, slots } = ListedKeys::list(&*backend)?;
        let past = Past::recall(options.memory);
        let hint = past.seen.as_ref().and_then(|seen| seen.slot);
        let unlocked = slots::unlock(&*backend, slots, password, options.slots, hint)?;
        load(backend, Arc::new(unlocked), ListedParameters { configs, keyrings }, past, options, entropy)
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
        if !list_configs(&*backend)?.is_empty() {
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
        config.validate().map_err(EngineError::Parameters)?;
        refuse_without_config(&*backend)?;
        let made = || EngineError::damaged("new repository");
        let identity = Identity::first_owner(&draw(&*entropy)?);
        let domain = DomainId::new(*draw(&*entropy)?);
        let secrets = DomainSecrets::new(domain, &draw(&*entropy)?);
        let (salt, nonce) = (*draw(&*entropy)?, *draw(&*entropy)?);
        let slot =
            KeySlot::wrap(&identity, id, password, options.password_cost, salt, nonce).map_err(made())?;
        let ring = Keyring::create(id, &identity, &secrets, &draw(&*entropy)?).map_err(made())?;
        let half_made = || EngineError::HalfMadeRepository { location: backend.location() };
        if backend.create(&names::keyring(0).to_string(), &[&ring])? == Created::AlreadyThere {
            return Err(half_made());
        }
        backend.create(&names::slot(SlotId::of(&slot)).to_string(), &[&slot])?;
        backend.sync()?;
        let sealed = config.seal(&identity).map_err(EngineError::damaged("new config"))?;
        if backend.create(&names::config(0).to_string(), &[&sealed])? == Created::AlreadyThere {
            return Err(EngineError::RepositoryExists { location });
        }
        backend.sync()?;
        let keyring = Keyring::open(&ring, id, 0, identity.owners())
            .map_err(EngineError::damaged(names::keyring(0)))?;
        Ok(Self::of(Loaded {
            objects: Objects::new(backend, None, id),
            entropy,
            config,
            unlocked: Arc::new(Unlocked { slot: SlotId::of(&slot), repository: id, identity }),
            keyring,
            secrets: vec![secrets],
            ignored: Vec::new(),
            cut_off: CutOff::default(),
            seen: None,
            memory: None,
            memory_flaw: None,
        }))
    }

    /// Opens a repository with a password.
    pub fn open(backend: Arc<dyn Backend>, password: &[u8]) -> Result<Self> {
        Self::open_with(backend, password, Arc::new(system_entropy))
    }

    /// As [`Repository::open`], with random bytes from elsewhere than the operating system.
    pub fn open_with(backend: Arc<dyn Backend>, password: &[u8], entropy: Arc<Entropy>) -> Result<Self> {
        Self::find(backend)?.open_by(password, &OpenOptions::default(), entropy)
    }

    /// Looks for a repository, before anyone is asked for its password.
    pub fn find(backend: Arc<dyn Backend>) -> Result<FoundRepository> {
        let configs = list_configs(&*backend)?;
        if configs.is_empty() {
            refuse_without_config(&*backend)?;
            return Err(EngineError::NoRepository { location: backend.location() });
        }
        Ok(FoundRepository { backend, configs })
    }

    /// Loads a repository again that was unlocked before, for another run: with the newest config and keyring,
    /// and without a password. A holder who was revoked meanwhile, or whose key slot was removed, is refused.
    pub fn load(
        backend: Arc<dyn Backend>,
        unlocked: Arc<Unlocked>,
        options: &OpenOptions<'_>,
    ) -> Result<Self> {
        let FoundRepository { backend, configs } = Self::find(backend)?;
        let ListedKeys { keyrings, slots } = ListedKeys::list(&*backend)?;
        if !slots.contains(&unlocked.slot) {
            return Err(EngineError::SlotRemoved { location: backend.location(), slot: unlocked.slot });
        }
        let past = Past::recall(options.memory);
        let listed = ListedParameters { configs, keyrings };
        load(backend, unlocked, listed, past, options, Arc::new(system_entropy))
    }
}

fn load(
    backend: Arc<dyn Backend>,
    unlocked: Arc<Unlocked>,
    listed: ListedParameters,
    past: Past,
    options: &OpenOptions<'_>,
    entropy: Arc<Entropy>,
) -> Result<Repository> {
    let (id, identity) = (unlocked.repository, &unlocked.identity);
    past.must_be_of(id, &*backend)?;
    let objects = Objects::new(Arc::clone(&backend), options.cache, id);
    let trust = Trust { repository: id, owners: identity.owners() };
    let config = parameters::newest::<Config>(&objects, trust, &listed.configs)?;
    if let Some(feature) = config.object.features.read.first() {
        return Err(EngineError::UnknownFeature { feature: feature.clone() });
    }
    if config.object.is_single_writer() {
        backend.expect_one_writer();
    }
    let keyring = parameters::newest::<Keyring>(&objects, trust, &listed.keyrings)?;
    let name = names::keyring(keyring.object.n);
    let secrets = keyring.object.secrets(identity).map_err(EngineError::damaged(name))?;
    if secrets.is_empty() {
        return Err(EngineError::NotAllowed { action: "open this repository's keyring" });
    }
    let mut ignored = config.ignored;
    ignored.extend(keyring.ignored);
    Ok(Repository::of(Loaded {
        objects,
        entropy,
        cut_off: CutOff { config: config.is_cut_off, keyring: keyring.is_cut_off },
        config: config.object,
        unlocked,
        keyring: keyring.object,
        secrets,
        ignored,
        seen: past.seen,
        memory: options.memory.cloned(),
        memory_flaw: past.flaw,
    }))
}

fn system_entropy(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(EngineError::NoRandomBytes)
}

/// Refuses a store without a config that someone has backed up into: that is a damaged
/// repository, and neither none nor one whose `init` was interrupted.
fn refuse_without_config(backend: &dyn Backend) -> Result<()> {
    let mut used = false;
    backend.list(names::SESSIONS, &mut |_| used = true)?;
    if used {
        return Err(EngineError::Missing { object: names::config(0).to_string(), loss: Loss::Parameters });
    }
    Ok(())
}
