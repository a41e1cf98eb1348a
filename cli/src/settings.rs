//! What comes from outside of the command line: the password, the cache directory, the
//! machine's and the user's names, the time.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use keepfast_backend::{Backend, LimitedBackend, LocalBackend, Notice, ProbeOptions, ProbeReport};
use keepfast_engine::EngineError;
use keepfast_engine::repo::{Memory, OpenOptions, Repository, SlotLimits};
use keepfast_format::node::Timestamp;
use zeroize::Zeroizing;

use crate::args::Common;
use crate::usage::Usage;
use crate::{render, s3};

/// Set when a command is to end.
pub type StopFlag = Arc<AtomicBool>;

/// The store that `--repo` names. Once it is to stop, it waits for nothing any more.
pub fn backend(common: &Common, stop: Option<StopFlag>) -> Result<Arc<dyn Backend>> {
    store(common, stop, false)
}

fn store(common: &Common, stop: Option<StopFlag>, to_probe: bool) -> Result<Arc<dyn Backend>> {
    let place = common
        .repo
        .as_deref()
        .filter(|place| !place.is_empty())
        .ok_or_else(|| Usage("no repository given: use --repo, or set KEEPFAST_REPOSITORY".to_owned()))?;
    if s3::is_s3(place) {
        return Ok(Arc::new(s3::connect(place, common, notice(common), stop, to_probe)?));
    }
    if let Some((scheme, _)) = place.split_once("://").filter(|(scheme, _)| *scheme != "file") {
        return Err(Usage(format!(
            "{scheme}:// isn't supported: this version keeps repositories in directories and in S3"
        ))
        .into());
    }
    let path = local_path(place);
    // The directory above a relative path may have no name to open it by.
    let mut local = LocalBackend::new(std::path::absolute(&path).unwrap_or(path));
    if let Some(stop) = &stop {
        local = local.stopping_at(Arc::clone(stop));
    }
    let local: Arc<dyn Backend> = Arc::new(local);
    let (up, down) = (common.upload_bytes_per_s(), common.download_bytes_per_s());
    if up.is_none() && down.is_none() {
        return Ok(local);
    }
    Ok(Arc::new(LimitedBackend::new(local, up, down, Instant::now, stop)))
}

/// Whether the repository is in a store beyond a network.
pub fn is_remote(common: &Common) -> bool {
    common.repo.as_deref().is_some_and(s3::is_s3)
}

fn notice(common: &Common) -> Notice {
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
    let backend = store(common, None, true)?;
    let place = local_path(common.repo.as_deref().unwrap_or_default());
    let was_there = place.exists();
    let report = keepfast_backend::probe(&*backend, &options).map_err(EngineError::from)?;
    if !is_remote(common) {
        // Directories that the probe's files were in; one that isn't empty stays.
        let own = ["list/0", "list/2", "list/4", "list", ""].map(|folder| format!("probe/{tag}/{folder}"));
        for folder in own.iter().map(String::as_str).chain(["probe"]) {
            let _ = std::fs::remove_dir(place.join(folder));
        }
        if !was_there {
            let _ = std::fs::remove_dir(&place);
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
    // Commands that need a cache say so when there is no place for one.
    open_with(common, stop, cache_dir(common).ok(), Seen::Compared)
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
    let memory = memory(common, &backend.location()).filter(|_| seen == Seen::Compared);
    let options = OpenOptions { cache: cache.as_deref(), memory: memory.as_ref(), slots: slots(common) };
    // Ask for a password only where there is something to open.
    let found = Repository::find(backend)?;
    let opened = found.open_with(password(common, false)?.as_bytes(), &options);
    if let Err(EngineError::WrongPassword { left, .. }) = &opened
        && left.can_be_tried()
    {
        let line = "--slot-memory SIZE tries every key slot that asks for up to that much memory; some of them may be \
                    there to keep you busy";
        render::note("note", line, common.json);
    }
    let repository = opened?;
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

/// Where it is remembered what was seen at a place, if there is a place for that.
pub fn memory(common: &Common, location: &str) -> Option<Memory> {
    cache_dir(common).ok().map(|cache| Memory::at(&cache.join("seen"), location))
}

/// Which key slots are tried.
fn slots(common: &Common) -> SlotLimits {
    common.slot_memory.map_or_else(SlotLimits::default, SlotLimits::of_memory)
}

/// The password, from wherever it is given. A new one is asked for twice.
pub fn password(common: &Common, new: bool) -> Result<Zeroizing<String>> {
    if let Some(file) = &common.password_file {
        let content = std::fs::read_to_string(file)
            .with_context(|| format!("the password file {} can't be read", file.display()))?;
        return first_line(&Zeroizing::new(content), &format!("the password file {}", file.display()));
    }
    if let Some(command) = &common.password_command {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .stdin(Stdio::inherit())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("the password command {command:?} can't be run"))?;
        if !output.status.success() {
            bail!("the password command {command:?} failed: {}", output.status);
        }
        let printed = String::from_utf8(output.stdout).map_err(|_| {
            anyhow::anyhow!("the password command {command:?} printed something that isn't UTF-8")
        })?;
        return first_line(&Zeroizing::new(printed), "the password command's output");
    }
    if let Ok(password) = std::env::var("KEEPFAST_PASSWORD") {
        return Ok(Zeroizing::new(password));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage(
            "no password given: set KEEPFAST_PASSWORD, or use --password-file or --password-command"
                .to_owned(),
        )
        .into());
    }
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let password = ask("Password: ").context("the password can't be read")?;
    if new && password != ask("Password again: ").context("the password can't be read")? {
        bail!("the two passwords differ: run the command again");
    }
    if new && password.is_empty() {
        bail!("the password is empty: without one anybody who can read the repository can read your data");
    }
    Ok(password)
}

fn first_line(content: &Zeroizing<String>, what: &str) -> Result<Zeroizing<String>> {
    let line = content.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("{what} has no password in its first line");
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Where indexes are kept.
pub fn cache_dir(common: &Common) -> Result<PathBuf> {
    if let Some(dir) = &common.cache_dir {
        return absolute(dir);
    }
    let from_env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from_env("XDG_CACHE_HOME")
        .or_else(|| from_env("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("keepfast"))
        .ok_or_else(|| {
            Usage(
                "no place for the local index: set HOME or KEEPFAST_CACHE_DIR, or use --cache-dir".to_owned(),
            )
            .into()
        })
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
