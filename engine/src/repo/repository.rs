//! The handle of a repository: where it is, its parameters and its keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use keepfast_backend::Backend;
use keepfast_format::chunker::Chunker;
use keepfast_format::config::{Config, SINGLE_WRITER};
use keepfast_format::ids::{HolderId, RepositoryId};
use keepfast_format::keyring::Keyring;
use keepfast_format::keys::{ChunkIds, DomainSecrets, Identity, KeyRef};
use zeroize::Zeroizing;

use super::flaws::Flaw;
use super::lineage::Lineages;
use super::memory::{Memory, Remembered};
use super::objects::Objects;
use super::parameters;
use super::slots::Unlocked;
use crate::error::{EngineError, Finding, Result};

/// Fills memory with random bytes.
pub type Entropy = dyn Fn(&mut [u8]) -> Result<()> + Send + Sync;

/// An opened repository, as one run sees it: through its own way to the store, with the config and keyring that
/// were the newest when it was loaded.
pub struct Repository {
    loaded: Loaded,
    #[cfg(feature = "flaws")]
    pub(super) flaw: Option<Flaw>,
}

/// What loading a repository has found.
pub(super) struct Loaded {
    pub objects: Objects,
    pub entropy: Arc<Entropy>,
    pub config: Config,
    pub unlocked: Arc<Unlocked>,
    pub keyring: Keyring,
    pub secrets: Vec<DomainSecrets>,
    pub ignored: Vec<Finding>,
    pub cut_off: CutOff,
    pub seen: Option<Remembered>,
    pub memory: Option<Memory>,
    pub memory_flaw: Option<String>,
}

/// Whether the newest config and keyring don't follow the ones below them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CutOff {
    pub config: bool,
    pub keyring: bool,
}

impl Repository {
    /// What was loaded.
    pub(super) fn of(loaded: Loaded) -> Self {
        Self {
            loaded,
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// What its password has opened: with it, other runs load the repository without one.
    #[must_use]
    pub fn unlocked(&self) -> Arc<Unlocked> {
        Arc::clone(&self.loaded.unlocked)
    }

    /// The store.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        self.loaded.objects.backend()
    }

    /// Its small objects that never change.
    pub(super) fn objects(&self) -> &Objects {
        &self.loaded.objects
    }

    /// Fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>> {
        draw(&*self.loaded.entropy)
    }

    /// The repository's number.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.loaded.config.repository
    }

    /// Fails if writing takes a feature that this version doesn't know, or if no one can tell whether
    /// the parameters are the newest: what the newest config or keyring follows isn't there.
    pub fn can_be_written(&self) -> Result<()> {
        if self.loaded.cut_off.config {
            return Err(parameters::cut_off_error::<Config>(self.loaded.config.n));
        }
        if self.loaded.cut_off.keyring {
            return Err(parameters::cut_off_error::<Keyring>(self.loaded.keyring.n));
        }
        all_known(&self.loaded.config.features.write)
    }

    /// Fails if collecting garbage takes a feature that this version doesn't know.
    pub fn can_be_collected(&self) -> Result<()> {
        self.can_be_written()?;
        all_known(&self.loaded.config.features.collect)
    }

    /// The newest config.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Whose keys these are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.loaded.unlocked.identity
    }

    /// The keys that new data goes under.
    #[must_use]
    pub fn current(&self) -> &DomainSecrets {
        &self.loaded.secrets[self.loaded.secrets.len() - 1]
    }

    /// The secrets that an object names, if this role has them.
    #[must_use]
    pub fn secrets(&self, key: KeyRef) -> Option<&DomainSecrets> {
        self.loaded.secrets.iter().find(|secrets| secrets.key() == key)
    }

    /// As [`Repository::secrets`], for what can't be done without them.
    pub fn secrets_under(&self, key: KeyRef) -> Result<&DomainSecrets> {
        self.secrets(key).ok_or(EngineError::NotAllowed { action: "write under keys of that version" })
    }

    /// The Ed25519 public key of a holder who may write.
    #[must_use]
    pub fn writer_key(&self, holder: HolderId) -> Option<&[u8; 32]> {
        self.loaded.keyring.writer(holder)
    }

    /// The Ed25519 public key of a holder who may write, or could once.
    #[must_use]
    pub fn writer_ever(&self, holder: HolderId) -> Option<&[u8; 32]> {
        self.loaded.keyring.writer_ever(holder)
    }

    /// The newest keyring.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.loaded.keyring
    }

    /// Which writers continue which, as the newest keyring says.
    #[must_use]
    pub fn lineages(&self) -> Lineages {
        Lineages::of(&self.loaded.keyring.holders)
    }

    /// The hasher of chunk ids under the current keys.
    #[must_use]
    pub fn chunk_ids(&self) -> ChunkIds {
        self.current().chunk_ids()
    }

    /// The hashers of chunk ids under all keys that this role has.
    #[must_use]
    pub fn hashers(&self) -> Hashers {
        Hashers(self.loaded.secrets.iter().map(|secrets| (secrets.key(), secrets.chunk_ids())).collect())
    }

    /// The chunker under the current keys.
    pub fn chunker(&self) -> Result<Chunker> {
        Chunker::new(self.loaded.config.chunker, self.current()).map_err(EngineError::damaged("config"))
    }

    /// Objects among configs and keyrings that count for nothing, because they aren't authentic, as
    /// far as they were looked at to find the newest.
    #[must_use]
    pub fn ignored(&self) -> &[Finding] {
        &self.loaded.ignored
    }

    /// What was remembered of this repository when it was opened.
    pub(super) fn seen(&self) -> Option<&Remembered> {
        self.loaded.seen.as_ref()
    }

    /// Where what is seen of this repository is remembered.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.loaded.memory.as_ref()
    }

    /// What of this repository is to be remembered as long as nothing else of it is known.
    pub(super) fn shown(&self) -> Remembered {
        Remembered {
            repository: self.id(),
            config: self.loaded.config.n,
            keyring: self.loaded.keyring.n,
            verdict: 0,
            slot: Some(self.loaded.unlocked.slot),
            heads: BTreeMap::new(),
        }
    }

    /// Remembers what this program has itself just made. If that can't be written, the next program
    /// that opens the repository says so.
    pub(super) fn remember_own(&self, change: impl FnOnce(&mut Remembered)) {
        if let Some(memory) = &self.loaded.memory {
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
        self.loaded.memory_flaw.as_deref()
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

/// Fresh random bytes.
pub(super) fn draw<const N: usize>(entropy: &Entropy) -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    entropy(bytes.as_mut())?;
    Ok(bytes)
}

fn all_known(features: &[String]) -> Result<()> {
    match features.iter().find(|feature| *feature != SINGLE_WRITER) {
        Some(feature) => Err(EngineError::UnknownFeature { feature: feature.clone() }),
        None => Ok(()),
    }
}
