//! A repository that many runs of a process share: connected once, unlocked once, with one local index.
//!
//! Each run gets a handle of its own, with the config, keyring and snapshots that the store shows when the run
//! begins.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use keepfast_backend::{Backend, BackendErrorKind, Store};
use keepfast_engine::EngineError;
use keepfast_engine::error::Finding;
use keepfast_engine::repo::{
    CaughtUp, Index, Memory, OpenOptions, Recollection, Repository, SlotLimits, Snapshots, Unlocked,
    catch_up, check_cache, open_index, open_index_in_memory, remember, trim_cache,
};
use keepfast_engine::run::{Event, RunContext};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cache::seen_folder;
use crate::child::Children;
use crate::error::{OperationsError, Result, SecretError};
use crate::place::{Place, S3Settings, connect};
use crate::remark::{Remark, Remarks, as_notices};
use crate::secret::{Purpose, SecretCache, SecretReader, SecretSource, begins_with_mark};

/// How often a run that waits for another one looks whether it is cancelled.
const LOOK: Duration = Duration::from_millis(20);

/// A repository, and what this machine keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// How to reach it, if it is in a bucket.
    #[serde(default)]
    pub s3: S3Settings,
    /// Where its password is; without this, [`Access::ask`] is asked.
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// The directory where the local index is kept, and what was seen of repositories. Without it, nothing is kept: the
    /// index is built in memory, and no one can tell whether the repository is the one that it was.
    #[serde(default)]
    pub cache: Option<PathBuf>,
    /// While the cache is larger than this, what is in it of other repositories is removed, longest unused first.
    #[serde(default)]
    pub cache_bytes_max: Option<u64>,
    /// All key slots are tried that ask for no more memory than this; else the 64 cheapest, up to 1 GiB each.
    #[serde(default)]
    pub slot_memory_bytes: Option<u64>,
}

impl Target {
    /// A repository whose password is here, with nothing kept of it on this machine.
    #[must_use]
    pub fn new(place: Place, password: SecretSource) -> Self {
        Self {
            place,
            s3: S3Settings::default(),
            password: Some(password),
            cache: None,
            cache_bytes_max: None,
            slot_memory_bytes: None,
        }
    }

    /// Where it is remembered what was seen at a store's location; nowhere without a cache.
    #[must_use]
    pub fn memory(&self, location: &str) -> Option<Memory> {
        self.cache.as_deref().map(|cache| Memory::at(&seen_folder(cache), location))
    }
}

/// Asks a person for the password of a repository that is to be opened, or for a new one.
pub type Ask = Box<dyn Fn(Purpose) -> Result<Zeroizing<String>> + Send + Sync>;

/// How a front end lets a repository be opened.
pub struct Access {
    /// How commands are started: one that prints the password, and those whose output is backed up.
    pub children: Children,
    /// Gives the password where [`Target::password`] says nothing. It is called only where there is a repository, or
    /// where one can be made.
    pub ask: Option<Ask>,
    /// Where secrets are kept that were read a short time ago, if that is wanted.
    pub secrets: Option<Arc<SecretCache>>,
    /// Hears of remarks.
    pub remarks: Remarks,
}

impl Default for Access {
    /// No one can be asked, and remarks are notices of their runs.
    fn default() -> Self {
        Self { children: Children::default(), ask: None, secrets: None, remarks: as_notices() }
    }
}

/// What of what this machine has kept is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Copies of small objects, and what was seen before.
    Usual,
    /// What was seen before; all objects are read from the store. For a check.
    Afresh,
    /// Nothing: the store may show another repository, or an older state.
    Unseen,
}

/// A repository that the runs of a process share.
pub struct SharedRepository {
    target: Target,
    access: Access,
    /// Another one once the keys to it were read again.
    store: Mutex<Arc<dyn Store>>,
    /// Held while the password is stretched, so that this is done once.
    unlocked: Mutex<Option<Arc<Unlocked>>>,
    /// Held while the index is opened, so that there is one.
    index: Mutex<Option<Arc<Index>>>,
}

/// A repository as one run sees it.
pub struct Looked {
    /// The repository.
    pub repository: Repository,
    /// Its snapshots.
    pub snapshots: Snapshots,
}

/// A repository as one run sees it, with the index.
pub struct Opened {
    /// The repository.
    pub repository: Repository,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// The index, which other runs may use at the same time.
    pub index: Arc<Index>,
}

impl SharedRepository {
    /// Makes ready to use a repository. Nothing is asked of the store before a run opens it.
    pub fn connect(target: Target, access: Access) -> Result<Self> {
        let store = connect(&target.place, &target.s3, &access.children, access.secrets.as_deref())?;
        let store = Mutex::new(store);
        Ok(Self { target, access, store, unlocked: Mutex::default(), index: Mutex::default() })
    }

    /// What it was made of.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How programs are started.
    #[must_use]
    pub fn children(&self) -> &Children {
        &self.access.children
    }

    /// Where secrets are kept that were read a short time ago, if that is wanted.
    #[must_use]
    pub fn kept_secrets(&self) -> Option<&SecretCache> {
        self.access.secrets.as_deref()
    }

    /// The store, as a run uses it.
    #[must_use]
    pub fn backend(&self, run: &RunContext) -> Arc<dyn Backend> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).for_run(run.link())
    }

    /// Makes a remark about a run.
    pub fn remark(&self, run: &RunContext, remark: &Remark) {
        (self.access.remarks)(run, remark);
    }

    /// Opens the repository for a run: by its password for the first one, and without it for all others. If the key
    /// slot was removed since, the password has to open another one.
    pub fn repository(&self, run: &RunContext, mode: Mode) -> Result<Repository> {
        let backend = self.backend(run);
        let cache = if mode == Mode::Usual { self.usable_cache()? } else { None };
        let memory = if mode == Mode::Unseen { None } else { self.target.memory(&backend.location()) };
        let slots = self.target.slot_memory_bytes.map_or_else(SlotLimits::default, SlotLimits::of_memory);
        let options = OpenOptions { cache, memory: memory.as_ref(), slots };
        let repository = match self.load(backend, &options, run) {
            Err(error) if is_denied(&error) && self.reconnect()? => {
                self.load(self.backend(run), &options, run)?
            }
            loaded => loaded?,
        };
        if let (Some(why), Some(memory)) = (repository.memory_flaw(), &memory) {
            let (file, why) = (memory.path().to_owned(), why.to_owned());
            self.remark(run, &Remark::MemoryLost { file, why });
        }
        if repository.config().is_single_writer() {
            self.remark(run, &Remark::SingleWriter);
        }
        Ok(repository)
    }

    /// Opens the repository and reads its snapshots. What counts for nothing is told, and so is what was seen before
    /// and isn't there; but not with [`Mode::Afresh`], since a check tells of both.
    pub fn look(&self, run: &RunContext, mode: Mode) -> Result<Looked> {
        let repository = self.repository(run, mode)?;
        let snapshots = Snapshots::load(&repository, run)?;
        let Recollection { older, written } = remember(&repository, &snapshots)?;
        let is_told = mode != Mode::Afresh;
        if is_told {
            for Finding { object, what: why } in repository.ignored().iter().chain(&snapshots.ignored) {
                run.notice(format!("{object} counts for nothing: {why}"));
            }
        }
        if let Err(error) = written {
            self.remark(run, &Remark::NotRemembered { why: error.to_string() });
        }
        older.into_iter().filter(|_| is_told).for_each(|older| self.remark(run, &Remark::Older(older)));
        Ok(Looked { repository, snapshots })
    }

    /// Opens the repository, reads its snapshots and brings the index up to date. Damaged snapshots are told, since
    /// the latest may not be the latest that there was; but not with [`Mode::Afresh`], since a check tells of them.
    pub fn open(&self, run: &RunContext, mode: Mode) -> Result<Opened> {
        let looked = self.look(run, mode)?;
        let opened = self.with_index(looked, run)?;
        if mode != Mode::Afresh {
            tell_damaged(&opened.snapshots, run);
        }
        Ok(opened)
    }

    /// Brings the index up to date with what was looked at.
    pub fn with_index(&self, looked: Looked, run: &RunContext) -> Result<Opened> {
        let Looked { repository, snapshots } = looked;
        let index = self.index(&repository, &snapshots, run)?;
        Ok(Opened { repository, snapshots, index })
    }

    /// The index, brought up to date with what was looked at, for a run that keeps what it looked at.
    pub fn index_of(&self, looked: &Looked, run: &RunContext) -> Result<Arc<Index>> {
        self.index(&looked.repository, &looked.snapshots, run)
    }

    fn load(
        &self,
        backend: Arc<dyn Backend>,
        options: &OpenOptions<'_>,
        run: &RunContext,
    ) -> Result<Repository> {
        let mut held = locked(&self.unlocked, run)?;
        if let Some(unlocked) = held.clone() {
            // Others needn't wait while this one reads.
            drop(held);
            match Repository::load(Arc::clone(&backend), Arc::clone(&unlocked), options) {
                Err(EngineError::SlotRemoved { .. }) => {}
                loaded => return Ok(loaded?),
            }
            held = locked(&self.unlocked, run)?;
            let other = held.clone().filter(|other| !Arc::ptr_eq(other, &unlocked));
            if let Some(other) = other {
                // Another run has unlocked it again meanwhile.
                return Ok(Repository::load(backend, other, options)?);
            }
            *held = None;
        }
        // No one is asked for a password where there is nothing to open.
        let found = Repository::find(Arc::clone(&backend))?;
        let was_kept = self.is_password_kept();
        let password = self.password(run, Purpose::Open)?;
        let repository = match found.open_with(password.as_bytes(), options) {
            Err(EngineError::WrongPassword { .. }) if was_kept && self.forget_password() => {
                // It was read a while ago, and may have been changed since.
                let password = self.password(run, Purpose::Open)?;
                let found = Repository::find(backend)?;
                found.open_with(password.as_bytes(), options).map_err(|error| explained(error, &password))?
            }
            opened => opened.map_err(|error| explained(error, &password))?,
        };
        *held = Some(repository.unlocked());
        Ok(repository)
    }

    /// Opens a repository that was only just made with this password.
    pub(crate) fn open_first(&self, backend: Arc<dyn Backend>, password: &str) -> Result<Repository> {
        let options = OpenOptions { cache: self.target.cache.as_deref(), ..OpenOptions::default() };
        Ok(Repository::find(backend)?.open_with(password.as_bytes(), &options)?)
    }

    /// The password: that of the repository, or a new one.
    pub(crate) fn password(&self, run: &RunContext, purpose: Purpose) -> Result<Zeroizing<String>> {
        if let Some(source) = &self.target.password {
            let children = &self.access.children;
            let cache = self.access.secrets.as_deref();
            let reader = SecretReader { what: "password", children, cancel: run.cancel() };
            let password = reader.password_by(cache, source, purpose);
            // A command that was ended early has failed for that reason alone.
            return if run.is_cancelled() { Err(EngineError::Interrupted.into()) } else { password };
        }
        match &self.access.ask {
            Some(ask) => {
                let password = ask(purpose)?;
                self.access.children.secrets.learn(password.as_bytes());
                Ok(password)
            }
            None => Err(SecretError::NotGiven { what: "password".to_owned() }.into()),
        }
    }

    /// Reads the keys to the store again if they were read a while ago, since they may have been changed. Returns whether
    /// they were.
    fn reconnect(&self) -> Result<bool> {
        let (Some(secrets), Some(keys)) = (self.access.secrets.as_deref(), &self.target.s3.credentials)
        else {
            return Ok(false);
        };
        let was_kept = [&keys.access_key, &keys.secret_key].map(|source| secrets.forget(source));
        if !was_kept.contains(&true) {
            return Ok(false);
        }
        let store = connect(&self.target.place, &self.target.s3, &self.access.children, Some(secrets))?;
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(true)
    }

    /// Whether the password was read a short time ago, and isn't read again.
    fn is_password_kept(&self) -> bool {
        self.kept_password().is_some_and(|(secrets, source)| secrets.get(source).is_some())
    }

    /// Forgets the password that was read a short time ago. Returns whether there was one.
    fn forget_password(&self) -> bool {
        self.kept_password().is_some_and(|(secrets, source)| secrets.forget(source))
    }

    fn kept_password(&self) -> Option<(&SecretCache, &SecretSource)> {
        self.access.secrets.as_deref().zip(self.target.password.as_ref())
    }

    /// The cache, if it can be used at all. One that isn't safe to use is an error.
    fn usable_cache(&self) -> Result<Option<&Path>> {
        let Some(cache) = self.target.cache.as_deref() else { return Ok(None) };
        match check_cache(cache) {
            Ok(()) => Ok(Some(cache)),
            // It is told of where the index is opened.
            Err(EngineError::Cache { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The index: opened by the first run, and brought up to date for each later one.
    fn index(&self, repository: &Repository, snapshots: &Snapshots, run: &RunContext) -> Result<Arc<Index>> {
        let mut held = locked(&self.index, run)?;
        if let Some(index) = &*held {
            // A doubt never ends as long as an index is open, and costs each backup look-ups.
            let is_given_up = index.is_doubtful() && Arc::strong_count(index) == 1;
            if !is_given_up {
                match catch_up(repository, index, snapshots, run) {
                    Ok(CaughtUp::Yes) => return Ok(Arc::clone(index)),
                    Ok(CaughtUp::IndexIsAhead) | Err(EngineError::Cache { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // Closed before it is opened again, unless other runs use it: those keep it, and this one opens another.
            *held = None;
        }
        let index = Arc::new(self.open_best_index(repository, snapshots, run)?);
        *held = Some(Arc::clone(&index));
        Ok(index)
    }

    /// Opens the index where it lasts; if that can't be used, in memory: it costs time and no run.
    fn open_best_index(
        &self,
        repository: &Repository,
        snapshots: &Snapshots,
        run: &RunContext,
    ) -> Result<Index> {
        let Some(cache) = self.target.cache.as_deref() else {
            return Ok(open_index_in_memory(repository, snapshots, run)?);
        };
        if let Some(bytes_max) = self.target.cache_bytes_max
            && let Err(error) = trim_cache(cache, repository.id(), bytes_max)
        {
            self.remark(run, &Remark::CacheTooLarge { why: error.to_string() });
        }
        match open_index(repository, cache, snapshots, run) {
            Err(error @ EngineError::Cache { .. }) => {
                self.remark(run, &Remark::IndexInMemory { why: error.to_string() });
                Ok(open_index_in_memory(repository, snapshots, run)?)
            }
            opened => Ok(opened?),
        }
    }
}

/// Whether the store doesn't let this process in.
fn is_denied(error: &OperationsError) -> bool {
    matches!(error.engine(), Some(EngineError::Backend(error)) if error.kind == BackendErrorKind::Denied)
}

/// Tells of snapshots that can't be read.
pub fn tell_damaged(snapshots: &Snapshots, run: &RunContext) {
    for Finding { object, what } in &snapshots.damaged {
        run.tell(&Event::Damaged { object: object.to_string(), what: what.clone() });
    }
}

/// Why a repository can't be opened with this password. One with a byte-order mark is tried as it is, since a
/// repository may have been made with it.
fn explained(error: EngineError, password: &str) -> OperationsError {
    if begins_with_mark(password) && matches!(error, EngineError::WrongPassword { .. }) {
        return OperationsError::MarkedPassword(error);
    }
    error.into()
}

/// Waits until no other run has this; fails if the run is cancelled meanwhile.
fn locked<'m, T>(mutex: &'m Mutex<T>, run: &RunContext) -> Result<MutexGuard<'m, T>> {
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if run.cancel().wait(LOOK) => {
                return Err(EngineError::Interrupted.into());
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }
}
