//! What comes from outside of the command line: the repository, the cache directory, the
//! machine's and the user's names, the time.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use keepfast_backend::{Backend, ProbeReport, RunLink};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{Memory, OpenOptions, Repository, SlotLimits, check_cache};
use keepfast_engine::run::Host;
use keepfast_format::node::Timestamp;
use keepfast_operations::cache::{CacheDirectory, CachePlaces, seen_folder};
use keepfast_operations::host::SystemHost;
use keepfast_operations::place::{Place, connect};
use keepfast_operations::probe;
use keepfast_operations::resources::{RateLimits, Resources};

use crate::args::Common;
use crate::secrets::{self, Purpose};
use crate::usage::Usage;
use crate::{render, s3};

/// Where the repository is.
pub fn place(common: &Common) -> Result<Place> {
    let text = common.repo.as_deref().filter(|place| !place.is_empty());
    let text =
        text.ok_or_else(|| Usage("no repository given: use --repo, or set KEEPFAST_REPOSITORY".to_owned()))?;
    Ok(Place::parse(text)?)
}

/// The store that `--repo` names, as this run uses it.
pub fn backend(common: &Common, link: RunLink) -> Result<Arc<dyn Backend>> {
    Ok(connect(&place(common)?, &s3::settings(common))?.for_run(link))
}

/// What the command line lets a run use.
pub fn resources(common: &Common) -> Resources {
    Resources {
        threads: common.threads.and_then(NonZeroU16::new),
        memory_mib: common.memory,
        limits: RateLimits {
            upload_bytes_per_s: common.upload_bytes_per_s(),
            download_bytes_per_s: common.download_bytes_per_s(),
        },
        nice: common.nice,
    }
}

/// Asks the store whether it keeps the promises that a repository needs.
pub fn probe(common: &Common, link: RunLink) -> Result<ProbeReport> {
    Ok(probe::probe(&place(common)?, &s3::settings(common), link)?)
}

/// Opens the repository.
pub fn open(common: &Common, link: RunLink) -> Result<Repository> {
    if common.no_cache {
        return open_afresh(common, link);
    }
    let cache = cache_dir(common);
    let cache = match check_cache(&cache) {
        Ok(()) => cache,
        // The index is told of where it is opened.
        Err(EngineError::Cache { .. }) => return open_with(common, link, None, Seen::Compared),
        Err(error) => return Err(error.into()),
    };
    if !cache_directory(common).lasts && !common.quiet {
        let line = format!(
            "without a home directory, the local index is kept in {}: HOME, KEEPFAST_CACHE_DIR or --cache-dir says \
             where it lasts",
            cache.display()
        );
        render::note("note", &line, common.json);
    }
    open_with(common, link, Some(cache), Seen::Compared)
}

/// Opens the repository so that everything is read from the store.
pub fn open_afresh(common: &Common, link: RunLink) -> Result<Repository> {
    open_with(common, link, None, Seen::Compared)
}

/// Opens the repository whatever was seen before in its place.
pub fn open_unseen(common: &Common, link: RunLink) -> Result<Repository> {
    open_with(common, link, None, Seen::Ignored)
}

/// What is done with what was seen before at the same place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Compared,
    Ignored,
}

fn open_with(common: &Common, link: RunLink, cache: Option<PathBuf>, seen: Seen) -> Result<Repository> {
    let backend = backend(common, link)?;
    let is_compared = seen == Seen::Compared && !common.no_cache;
    let memory = is_compared.then(|| memory(common, &backend.location()));
    let options = OpenOptions { cache: cache.as_deref(), memory: memory.as_ref(), slots: slots(common) };
    // Ask for a password only where there is something to open.
    let found = Repository::find(backend)?;
    let password = secrets::password(common, Purpose::Open)?;
    let opened = found.open_with(password.as_bytes(), &options);
    if let Err(EngineError::WrongPassword { left, .. }) = &opened
        && left.can_be_tried()
    {
        let line = "--slot-memory SIZE tries every key slot that asks for up to that much memory; some of them may be \
                    there to keep you busy";
        render::note("note", line, common.json);
    }
    let repository = opened.map_err(|error| secrets::explain(error, &password))?;
    if let (Some(why), Some(memory)) = (repository.memory_flaw(), &memory) {
        let line = format!(
            "{}: {why}: what was seen of this repository before is forgotten, so no one can tell whether it is \
             the same",
            memory.path().display()
        );
        render::note("warning", &line, common.json);
    }
    if repository.config().is_single_writer() && !common.quiet {
        let line = "this store lets writers overwrite each other's objects: never run two commands that write \
                    at the same time, and never from two machines";
        render::note("warning", line, common.json);
    }
    Ok(repository)
}

/// Where it is remembered what was seen at a place.
pub fn memory(common: &Common, location: &str) -> Memory {
    Memory::at(&seen_folder(&cache_dir(common)), location)
}

/// Which key slots are tried.
fn slots(common: &Common) -> SlotLimits {
    common.slot_memory.map_or_else(SlotLimits::default, SlotLimits::of_memory)
}

/// Where indexes are kept.
pub fn cache_dir(common: &Common) -> PathBuf {
    cache_directory(common).path
}

fn cache_directory(common: &Common) -> CacheDirectory {
    let from_env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let places = CachePlaces {
        chosen: common.cache_dir.clone(),
        caches: from_env("XDG_CACHE_HOME"),
        home: from_env("HOME"),
        account_home: SystemHost.account_home(),
        temporary: std::env::temp_dir(),
        user_id: SystemHost.effective_user_id(),
    };
    places.directory()
}

/// The machine's name.
pub fn host() -> String {
    SystemHost.name()
}

/// The name of the user who runs this.
pub fn user() -> String {
    SystemHost.user()
}

/// The time.
pub fn now() -> Timestamp {
    SystemHost.now()
}
