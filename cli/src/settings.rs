//! What comes from outside of the command line: the repository, the cache directory, the
//! machine's and the user's names, the time.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use keepfast_backend::{
    Backend, Cancel, LocalStore, Notices, ProbeOptions, ProbeReport, RateLimits, RunLink, Store,
};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{Memory, OpenOptions, Repository, SlotLimits, check_cache};
use keepfast_format::node::Timestamp;

use uzers::os::unix::UserExt;

use crate::args::Common;
use crate::secrets::{self, Purpose};
use crate::usage::Usage;
use crate::{render, s3};

/// Set when a command is to end.
pub type StopFlag = Arc<AtomicBool>;

/// The store that `--repo` names. Once it is to stop, it waits for nothing any more.
pub fn backend(common: &Common, stop: Option<StopFlag>) -> Result<Arc<dyn Backend>> {
    Ok(store(common, false)?.for_run(link(common, stop)))
}

/// What this run brings along to the store.
fn link(common: &Common, stop: Option<StopFlag>) -> RunLink {
    RunLink {
        cancel: stop.map_or_else(Cancel::new, Cancel::from),
        limits: RateLimits {
            upload_bytes_per_s: common.upload_bytes_per_s(),
            download_bytes_per_s: common.download_bytes_per_s(),
        },
        notices: Some(notices(common)),
    }
}

fn store(common: &Common, to_probe: bool) -> Result<Arc<dyn Store>> {
    let place = common
        .repo
        .as_deref()
        .filter(|place| !place.is_empty())
        .ok_or_else(|| Usage("no repository given: use --repo, or set KEEPFAST_REPOSITORY".to_owned()))?;
    if s3::is_s3(place) {
        return Ok(Arc::new(s3::connect(place, common, to_probe)?));
    }
    if let Some((scheme, _)) = place.split_once("://").filter(|(scheme, _)| *scheme != "file") {
        return Err(Usage(format!(
            "{scheme}:// isn't supported: this version keeps repositories in directories and in S3"
        ))
        .into());
    }
    let path = local_path(place);
    // The directory above a relative path may have no name to open it by.
    Ok(Arc::new(LocalStore::new(std::path::absolute(&path).unwrap_or(path), Instant::now)))
}

/// Whether the repository is in a store beyond a network.
pub fn is_remote(common: &Common) -> bool {
    common.repo.as_deref().is_some_and(s3::is_s3)
}

fn notices(common: &Common) -> Notices {
    let (json, quiet) = (common.json, common.quiet);
    Arc::new(move |line| {
        if !quiet {
            render::note("note", line, json);
        }
    })
}

/// Asks the store whether it keeps the promises that a repository needs.
pub fn probe(common: &Common) -> Result<ProbeReport> {
    let mut tag = [0; 8];
    getrandom::fill(&mut tag)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let tag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let options = ProbeOptions { tag: &tag, large_bytes: s3::PROBE_LARGE_BYTES, clock: Instant::now };
    let backend = store(common, true)?.for_run(link(common, None));
    let place = local_path(common.repo.as_deref().unwrap_or_default());
    let missing: Vec<&Path> = place.ancestors().take_while(|above| !above.exists()).collect();
    let report = keepfast_backend::probe(&*backend, &options).map_err(EngineError::from)?;
    if !is_remote(common) {
        // Directories that the probe's files were in; one that isn't empty stays.
        let own = ["list/0", "list/2", "list/4", "list", ""].map(|folder| format!("probe/{tag}/{folder}"));
        for folder in own.iter().map(String::as_str).chain(["probe"]) {
            let _ = std::fs::remove_dir(place.join(folder));
        }
        for folder in missing {
            let _ = std::fs::remove_dir(folder);
        }
    }
    Ok(report)
}

/// The directory that a place names.
pub fn local_path(place: &str) -> PathBuf {
    let path = Path::new(place.strip_prefix("file://").unwrap_or(place));
    // Threads that read attributes have current directories of their own, for moments others.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Opens the repository.
pub fn open(common: &Common, stop: Option<StopFlag>) -> Result<Repository> {
    if common.no_cache {
        return open_afresh(common, stop);
    }
    let cache = cache_dir(common);
    let cache = match check_cache(&cache) {
        Ok(()) => cache,
        // The index is told of where it is opened.
        Err(EngineError::Cache { .. }) => return open_with(common, stop, None, Seen::Compared),
        Err(error) => return Err(error.into()),
    };
    if lasting_cache_dir(common).is_none() && !common.quiet {
        let line = format!(
            "without a home directory, the local index is kept in {}: HOME, KEEPFAST_CACHE_DIR or --cache-dir says \
             where it lasts",
            cache.display()
        );
        render::note("note", &line, common.json);
    }
    open_with(common, stop, Some(cache), Seen::Compared)
}

/// Opens the repository so that everything is read from the store.
pub fn open_afresh(common: &Common, stop: Option<StopFlag>) -> Result<Repository> {
    open_with(common, stop, None, Seen::Compared)
}

/// Opens the repository whatever was seen before in its place.
pub fn open_unseen(common: &Common, stop: Option<StopFlag>) -> Result<Repository> {
    open_with(common, stop, None, Seen::Ignored)
}

/// What is done with what was seen before at the same place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Compared,
    Ignored,
}

fn open_with(
    common: &Common,
    stop: Option<StopFlag>,
    cache: Option<PathBuf>,
    seen: Seen,
) -> Result<Repository> {
    let backend = backend(common, stop)?;
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
            "{}: {why}: what was seen of this repository before is forgotten, so nobody can tell whether it is \
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
    Memory::at(&cache_dir(common).join("seen"), location)
}

/// Which key slots are tried.
fn slots(common: &Common) -> SlotLimits {
    common.slot_memory.map_or_else(SlotLimits::default, SlotLimits::of_memory)
}

/// Where indexes are kept.
pub fn cache_dir(common: &Common) -> PathBuf {
    lasting_cache_dir(common).unwrap_or_else(|| {
        // In a folder that all users share. What another one has put there isn't used.
        std::env::temp_dir().join(format!("keepfast-{}", rustix::process::geteuid().as_raw()))
    })
}

/// Where they are kept if there is a place for what shall last: without HOME, the one that the system
/// knows the user to have.
fn lasting_cache_dir(common: &Common) -> Option<PathBuf> {
    if let Some(dir) = &common.cache_dir {
        return Some(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()));
    }
    let from_env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || {
        let user = uzers::get_user_by_uid(rustix::process::geteuid().as_raw())?;
        // Users that are no people have homes that aren't there, or the root.
        Some(user.home_dir().to_owned()).filter(|home| home.parent().is_some() && home.is_dir())
    };
    from_env("XDG_CACHE_HOME")
        .or_else(|| from_env("HOME").or_else(home).map(|home| home.join(".cache")))
        .map(|cache| cache.join("keepfast"))
}

/// The machine's name.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The name of the user who runs this.
pub fn user() -> String {
    uzers::get_current_username().map_or_else(
        || rustix::process::getuid().as_raw().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The time.
pub fn now() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() },
        // A clock before 1970 isn't worth more than this.
        Err(_) => Timestamp::default(),
    }
}

/// The name of a user id here.
pub fn user_name(uid: u32) -> Option<Vec<u8>> {
    uzers::get_user_by_uid(uid).map(|user| user.name().as_bytes().to_vec())
}

/// The name of a group id here.
pub fn group_name(gid: u32) -> Option<Vec<u8>> {
    uzers::get_group_by_gid(gid).map(|group| group.name().as_bytes().to_vec())
}

/// The id of a user's name here.
pub fn user_id(name: &[u8]) -> Option<u32> {
    uzers::get_user_by_name(std::ffi::OsStr::from_bytes(name)).map(|user| user.uid())
}

/// The id of a group's name here.
pub fn group_id(name: &[u8]) -> Option<u32> {
    uzers::get_group_by_name(std::ffi::OsStr::from_bytes(name)).map(|group| group.gid())
}

/// A path from the root down, without `.` and `..`.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let is_dots = |part| matches!(part, std::path::Component::ParentDir);
    let absolute = match (path.parent(), path.file_name()) {
        _ if !path.components().any(is_dots) => std::path::absolute(path),
        // A link at the end stays one, unless a slash says that what it points to is meant.
        (Some(above), Some(name)) => above.canonicalize().map(|above| {
            let mut absolute = above.join(name);
            let bytes = path.as_os_str().as_encoded_bytes();
            if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
                absolute.push("");
            }
            absolute
        }),
        _ => path.canonicalize(),
    };
    absolute.with_context(|| format!("{} can't be used", path.display()))
}
