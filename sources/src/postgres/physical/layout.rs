//! From a base backup to a folder that a server starts from.

use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use keepfast_process::tool::Account;

use super::super::base::{Base, DATA, FOLDERS, TABLESPACES};
use super::super::lsn::Timeline;
use super::super::wal::{Archive, Chain, WalName};
use super::folder::Folder;
use super::settings::{Then, copying_from, of_recovery, tablespace_map, taken_over};
use super::target::Target;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::{FileOf, Files};
use crate::manifest::Manifest;

/// The folder with segments that are copied there.
const WAL: &str = "wal";
/// A longer file of settings, or list of folders, isn't read.
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Folders that a server needs, if the dump doesn't name them.
const NEEDED: &[&str] = &["pg_wal/archive_status", "pg_tblspc"];
/// Files of the running server, and those that are written again here.
const NOT_WRITTEN: &[&str] = &[
    "postmaster.pid",
    "postmaster.opts",
    "postgresql.auto.conf",
    "recovery.signal",
    "standby.signal",
    "tablespace_map",
];

/// How to restore into a folder.
#[derive(Debug, Clone)]
pub struct FolderRestore {
    /// A folder that is empty or not there. The server's folder becomes `data` in it, tablespaces `tablespaces/OID`.
    pub folder: PathBuf,
    /// Up to where.
    pub target: Target,
    /// Along which timeline; none means that of the base backup.
    pub timeline: Option<Timeline>,
    /// How the server gets the log.
    pub command: RestoreCommand,
    /// What the server does then.
    pub then: Then,
    /// To whom all of it belongs; none means this process's user.
    pub account: Option<Account>,
    /// Whether the server's own settings that were changed by `ALTER SYSTEM` are kept, as far as a copy may have them.
    pub keeps_settings: bool,
    /// Whether all of it is durable before this returns.
    pub is_durable: bool,
    /// How many files are written at once, at most.
    pub parallel: NonZeroU16,
}

/// How a server that recovers gets the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreCommand {
    /// By this command, with `%f` for the name and `%p` for the place.
    Given(String),
    /// What is needed of it is copied into `wal`, and the server copies it from there. That takes its room twice.
    Copied,
}

/// What lies in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidOut {
    /// The server's folder.
    pub data: PathBuf,
    /// Of which base backup.
    pub base: Base,
    /// Up to where it will go.
    pub target: Target,
    /// Along which timeline.
    pub timeline: Timeline,
    /// The log that is there for it.
    pub chain: Chain,
    /// How many files were written.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// Lays out a base backup so that a server that is started there recovers up to the target. `wal` is the archive of the
/// log. Nothing is written if that can't get there.
pub fn restore_to_folder(
    files: &dyn Files,
    wal: &dyn Files,
    options: &FolderRestore,
    context: &Context<'_>,
) -> Result<LaidOut> {
    let base = Base::of(&Manifest::read(files)?)?;
    options.target.refuse_if_before(&base)?;
    let archive = Archive::read(files)?.with(Archive::read(wal)?);
    let timeline = options.timeline.unwrap_or(base.timeline);
    let until = match &options.target {
        Target::Consistent => Some(base.stop),
        other => other.position()?,
    };
    let chain = archive.chain(&base, timeline, until)?;
    let warnings = warnings(&archive, &base, timeline, options, &chain)?;
    let folder = Folder::claim(&options.folder, options.account)?;
    let data = folder.make(DATA)?;
    make_folders(files, &folder)?;
    let mut tablespaces = Vec::new();
    for tablespace in &base.tablespaces {
        let place = folder.make(&format!("{TABLESPACES}/{}", tablespace.oid))?;
        tablespaces.push((tablespace.oid, text_of(&absolute(&place)?)?));
    }
    let (count, bytes) = write_files(files, &folder, options.parallel, context)?;
    let command = match &options.command {
        RestoreCommand::Given(command) => command.clone(),
        RestoreCommand::Copied => {
            let place = folder.make(WAL)?;
            copy_log(files, wal, &chain, &folder, context)?;
            copying_from(&absolute(&place)?)?
        }
    };
    if !tablespaces.is_empty() {
        // The server's own would let the copy write into the tablespaces of the server that it is a copy of.
        folder.write_text(&format!("{DATA}/tablespace_map"), &tablespace_map(&tablespaces))?;
    }
    let own = if options.keeps_settings {
        read_text(files, &format!("{DATA}/postgresql.auto.conf"))?
    } else {
        None
    };
    let recovery = of_recovery(&command, &options.target, timeline, options.then)?;
    let settings = own.map(|own| taken_over(&own)).unwrap_or_default() + &recovery;
    folder.write_text(&format!("{DATA}/postgresql.auto.conf"), &settings)?;
    folder.write_text(&format!("{DATA}/recovery.signal"), "")?;
    if options.is_durable {
        folder.sync()?;
    }
    let target = options.target.clone();
    Ok(LaidOut { data, base, target, timeline, chain, files: count, bytes, warnings })
}

fn warnings(
    archive: &Archive,
    base: &Base,
    timeline: Timeline,
    options: &FolderRestore,
    chain: &Chain,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if let Some(gap) = &chain.gap {
        let gap =
            format!("segment {gap} of the log is missing: nothing behind {} can be restored", chain.end);
        if options.target == Target::End {
            let why =
                format!("{gap}, though later segments are there; name a moment or a position before that");
            return Err(SourceError::Missing { object: options.target.to_string(), why });
        }
        warnings.push(gap);
    }
    for other in archive.descendants(timeline) {
        if let Some(left) = archive.history(other).and_then(|history| history.left(timeline)) {
            warnings.push(format!(
                "timeline {other} left timeline {timeline} at {left}: name it if it was the server that went on"
            ));
        }
    }
    if !base.tablespaces.is_empty() {
        warnings.push(format!(
            "{} tablespaces come into {}",
            base.tablespaces.len(),
            options.folder.join(TABLESPACES).display()
        ));
    }
    Ok(warnings)
}

fn make_folders(files: &dyn Files, folder: &Folder) -> Result<()> {
    let wrong = |why: String| SourceError::Dump { object: FOLDERS.to_owned(), why };
    let text = read_text(files, FOLDERS)?.ok_or_else(|| wrong("it isn't there".to_owned()))?;
    let folders: Vec<String> = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let needed = NEEDED.iter().map(|path| format!("{DATA}/{path}"));
    for path in folders.into_iter().chain(needed) {
        if is_of_server(&path) {
            folder.make(&path)?;
        }
    }
    Ok(())
}

/// Whether a path of the dump belongs to the server.
fn is_of_server(path: &str) -> bool {
    [DATA, TABLESPACES]
        .iter()
        .any(|folder| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}

fn write_files(
    files: &dyn Files,
    folder: &Folder,
    parallel: NonZeroU16,
    context: &Context<'_>,
) -> Result<(u64, u64)> {
    let listed =
        files.list().map_err(|source| SourceError::Transfer { object: "list".to_owned(), source })?;
    let is_written = |file: &FileOf| {
        let own = file.path.strip_prefix(DATA).and_then(|path| path.strip_prefix('/'));
        is_of_server(&file.path) && !own.is_some_and(|path| NOT_WRITTEN.contains(&path))
    };
    let listed: Vec<FileOf> = listed.into_iter().filter(is_written).collect();
    let total = listed.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    let (next, done, failure) = (AtomicUsize::new(0), AtomicU64::new(0), Mutex::new(None));
    let failed = |error: SourceError| {
        let mut first = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.get_or_insert(error);
        next.store(usize::MAX / 2, Ordering::Relaxed);
    };
    let work = || {
        // Each thread takes the next file; nothing else is shared but the count.
        while let Some(file) = listed.get(next.fetch_add(1, Ordering::Relaxed)) {
            if context.cancel.is_cancelled() {
                return failed(SourceError::Cancelled);
            }
            match write_file(files, folder, file) {
                Ok(()) => {
                    let done = done.fetch_add(file.bytes, Ordering::Relaxed).saturating_add(file.bytes);
                    (context.progress)(Progress {
                        phase: "files",
                        object: &file.path,
                        done,
                        total: Some(total),
                    });
                }
                Err(error) => return failed(error),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..parallel.get() {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok((u64::try_from(listed.len()).unwrap_or(u64::MAX), total)),
    }
}

fn write_file(files: &dyn Files, folder: &Folder, file: &FileOf) -> Result<()> {
    let failed = |source| SourceError::Transfer { object: file.path.clone(), source };
    let mut content = files.open(&file.path).map_err(failed)?;
    let written = folder.write(&file.path, &mut content)?;
    if written != file.bytes {
        let why = format!("{written} of {} bytes came", file.bytes);
        return Err(SourceError::Dump { object: file.path.clone(), why });
    }
    Ok(())
}

/// Copies what is needed of the log, each file under the name by which a server asks for it.
fn copy_log(
    files: &dyn Files,
    wal: &dyn Files,
    chain: &Chain,
    folder: &Folder,
    context: &Context<'_>,
) -> Result<()> {
    let list = |files: &dyn Files| {
        files.list().map_err(|source| SourceError::Transfer { object: WAL.to_owned(), source })
    };
    let (of_wal, of_files) = (list(wal)?, list(files)?);
    let total = u64::try_from(chain.files.len()).ok();
    for (name, done) in chain.files.iter().zip(0..) {
        if context.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        let paths = [name.path(), format!("{DATA}/pg_wal/{name}")];
        let sources = [(wal, &of_wal), (files, &of_files)];
        let mut places = sources.iter().flat_map(|(files, listed)| {
            let is_there = |path: &&String| listed.binary_search_by(|file| file.path.cmp(path)).is_ok();
            paths.iter().filter(is_there).map(|path| (*files, path)).collect::<Vec<_>>()
        });
        let (from, path) = places.next().ok_or_else(|| SourceError::Missing {
            object: name.to_string(),
            why: "it was in the archive of the log, and isn't any more".to_owned(),
        })?;
        let asked_for = match name {
            WalName::Partial(segment) => segment.to_string(),
            other => other.to_string(),
        };
        let failed = |source| SourceError::Transfer { object: path.clone(), source };
        folder.write(&format!("{WAL}/{asked_for}"), &mut from.open(path).map_err(failed)?)?;
        (context.progress)(Progress { phase: "log", object: path, done, total });
    }
    Ok(())
}

fn read_text(files: &dyn Files, path: &str) -> Result<Option<String>> {
    let failed = |source| SourceError::Transfer { object: path.to_owned(), source };
    let listed = files.list().map_err(failed)?;
    if listed.binary_search_by(|file| file.path.as_str().cmp(path)).is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    let input = files.open(path).map_err(failed)?;
    let read = std::io::Read::read_to_string(&mut std::io::Read::take(input, TEXT_BYTES_MAX), &mut text);
    read.map(|_| Some(text)).map_err(failed)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| SourceError::File { path: path.to_owned(), source })
}

fn text_of(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| SourceError::Unsupported {
        object: path.display().to_string(),
        why: "the path isn't text".to_owned(),
    })
}
