//! A folder of this machine in which the log waits for the repository.
//!
//! What is taken is durable before the server hears so. The folder has a limit: behind it nothing more is taken, so that
//! the server keeps its segments itself and tries again. So an archive that is away blocks no server and loses nothing.
//! The folder is of one server: WAL of another one, such as a copy that archives into the same place, is refused.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::super::lsn::SegmentBytes;
use super::super::segment::WalName;
use super::super::sum::{Sum, sum_of};
use super::header::{HEADER_BYTES, Header};
use super::history::{HISTORY_BYTES_MAX, History};
use super::ledger::Ledger;
use super::owner::Owner;
use crate::error::{Result, SourceError};
use crate::files::{FileOf, Files};

/// Files that wait to be given away.
const READY: &str = "ready";
/// The segment that a receiver writes.
pub(super) const RECEIVING: &str = "receiving";
/// Sums of what was given away.
const SHIPPED: &str = "shipped";
/// Files that weren't given away, because others of their names were.
const REFUSED: &str = "refused";
/// Of which server the folder is.
const SYSTEM: &str = "system.json";
/// The longest file that says so.
const SYSTEM_BYTES_MAX: u64 = 4096;
/// How names of unfinished files end. No name of the log does.
const UNFINISHED: &str = ".unfinished";

/// The most bytes that may wait in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimit(pub u64);

/// A folder in which the log waits.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: SpoolLimit,
    owner: Owner,
    ledger: Ledger,
}

/// What became of a file that a server archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in the spool, durably.
    Taken,
    /// It was there before, with the same bytes: a server archives its last segment again after a crash.
    WasThere,
}

/// Of which server a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemOf {
    /// What tells the server and its copies from all others.
    pub system: u64,
    /// The length of its segments.
    pub segment_bytes: SegmentBytes,
}

impl Spool {
    /// Uses a folder that only its owner can enter, and makes it if it isn't there. What comes into it belongs to its owner,
    /// who is the user that the server runs as.
    pub fn open(folder: impl Into<PathBuf>, limit: SpoolLimit) -> Result<Self> {
        let folder = folder.into();
        let failed = |path: &Path, source| SourceError::File { path: path.to_owned(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let owner = made.and_then(|()| Owner::of(&folder)).map_err(|source| failed(&folder, source))?;
        for part in [READY, RECEIVING, SHIPPED, REFUSED] {
            let path = folder.join(part);
            owner.make(&path).map_err(|source| failed(&path, source))?;
        }
        let ledger = Ledger::new(folder.join(SHIPPED), owner);
        Ok(Self { folder, limit, owner, ledger })
    }

    /// To whom its files belong.
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// A spool that other programs fill, to be emptied or read; none before they have begun. Nothing is made, so that all of
    /// it belongs to their user.
    pub fn find(folder: impl Into<PathBuf>) -> Result<Option<Self>> {
        let folder = folder.into();
        let failed = |source| SourceError::File { path: folder.clone(), source };
        let owner = Owner::of(&folder).map_err(failed)?;
        if ![READY, RECEIVING, SHIPPED, REFUSED].iter().all(|part| folder.join(part).is_dir()) {
            return Ok(None);
        }
        let ledger = Ledger::new(folder.join(SHIPPED), owner);
        Ok(Some(Self { folder, limit: SpoolLimit(u64::MAX), owner, ledger }))
    }

    /// Takes a file of the log, as a server names it in `archive_command`. It never takes the place of another: the same
    /// bytes again are right, other bytes are an error.
    pub fn push(&self, file: &Path) -> Result<Pushed> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name: WalName =
            name.parse().map_err(|why| SourceError::Refused { object: file.display().to_string(), why })?;
        let failed = |source| SourceError::File { path: file.to_owned(), source };
        let input = File::open(file).map_err(failed)?;
        let bytes = input.metadata().map_err(failed)?.len();
        let _lock = self.lock()?;
        self.take(name, bytes, &mut &input, &failed)
    }

    /// Takes a text of the log that was fetched from the server: a history.
    pub(super) fn put(&self, name: WalName, text: &[u8]) -> Result<Pushed> {
        let _lock = self.lock()?;
        let bytes = text.len().try_into().unwrap_or(u64::MAX);
        let failed = |source| SourceError::Transfer { object: name.to_string(), source };
        self.take(name, bytes, &mut &*text, &failed)
    }

    fn take(
        &self,
        name: WalName,
        bytes: u64,
        input: &mut dyn Read,
        failed: &dyn Fn(io::Error) -> SourceError,
    ) -> Result<Pushed> {
        let refused = |why: String| SourceError::Refused { object: name.to_string(), why };
        let longest = match name {
            WalName::Segment(_) | WalName::Partial(_) => 1 << 30,
            WalName::History(_) | WalName::Label(..) => HISTORY_BYTES_MAX,
        };
        if bytes > longest {
            return Err(refused(format!("it has {bytes} bytes, and no such file has more than {longest}")));
        }
        let path = self.ready(name);
        let earlier = match sum_of_file(&path) {
            Ok(sum) => Some(sum),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ledger.sum(name).map_err(|source| self.failed(SHIPPED, source))?
            }
            Err(source) => return Err(SourceError::File { path, source }),
        };
        if let Some(earlier) = earlier {
            // Of two beginnings of a segment the first stays: behind its end a server leaves what was there before.
            if matches!(name, WalName::Partial(_)) || sum_of(input, bytes).map_err(failed)? == earlier {
                return Ok(Pushed::WasThere);
            }
            return Err(refused(
                "a file of this name with other bytes was archived before, and stays: two servers archive into one \
                 place, such as a copy with `archive_mode` on"
                    .to_owned(),
            ));
        }
        self.refuse_if_full(bytes)?;
        let unfinished = self.folder.join(READY).join(format!("{name}{UNFINISHED}"));
        let written = self.write(&unfinished, name, bytes, input, failed);
        if let Err(error) = written {
            // Only the room that it takes would be lost: the next push of this file takes its place.
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        self.rename(&unfinished, &path)?;
        Ok(Pushed::Taken)
    }

    fn write(
        &self,
        path: &Path,
        name: WalName,
        bytes: u64,
        input: &mut dyn Read,
        failed: &dyn Fn(io::Error) -> SourceError,
    ) -> Result<()> {
        let own = |source| SourceError::File { path: path.to_owned(), source };
        let refused = |why: String| SourceError::Refused { object: name.to_string(), why };
        let mut first = Vec::new();
        input.take(HEADER_BYTES.try_into().unwrap_or(u64::MAX)).read_to_end(&mut first).map_err(failed)?;
        match name {
            WalName::Segment(segment) | WalName::Partial(segment) => {
                let first: &[u8; HEADER_BYTES] = first
                    .as_slice()
                    .try_into()
                    .map_err(|_| refused("it is shorter than a segment".to_owned()))?;
                let header = Header::parse(first).map_err(refused)?;
                header.agrees(segment, bytes).map_err(refused)?;
                self.belong_to(
                    SystemOf { system: header.system, segment_bytes: header.segment_bytes },
                    name,
                )?;
            }
            WalName::History(timeline) => {
                // A short one ends within its first bytes.
                let mut text = first.clone();
                input.take(HISTORY_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
                let parsed =
                    String::from_utf8(text.clone()).map_err(|_| refused("it isn't text".to_owned()))?;
                History::parse(timeline, &parsed)?;
                first = text;
            }
            WalName::Label(..) => {}
        }
        let mut output =
            self.owner.open(OpenOptions::new().write(true).create(true).truncate(true), path).map_err(own)?;
        output.write_all(&first).map_err(own)?;
        let left = bytes.saturating_sub(first.len().try_into().unwrap_or(u64::MAX));
        copy_all(input, &mut output, left, failed, &own)?;
        output.sync_all().map_err(own)
    }

    /// Gives an unfinished file its name, durably. None is replaced.
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let failed = |error: io::Error| SourceError::File { path: to.to_owned(), source: error };
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not all file systems know this; the lock keeps others from making the file meanwhile.
            Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to).map_err(failed)?,
            renamed => renamed.map_err(|error| failed(error.into()))?,
        }
        for folder in [from.parent(), to.parent()].into_iter().flatten() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes a segment that a receiver has written whole, or left where a timeline ends.
    pub(super) fn finish(&self, written: &Path, name: WalName) -> Result<Pushed> {
        let _lock = self.lock()?;
        let path = self.ready(name);
        let failed = |path: &Path, source| SourceError::File { path: path.to_owned(), source };
        let sum = sum_of_file(written).map_err(|source| failed(written, source))?;
        let earlier = match sum_of_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.ledger.sum(name).map_err(|source| self.failed(SHIPPED, source))?
            }
            earlier => Some(earlier.map_err(|source| failed(&path, source))?),
        };
        match earlier {
            None => {
                self.rename(written, &path)?;
                Ok(Pushed::Taken)
            }
            Some(earlier) if earlier == sum || matches!(name, WalName::Partial(_)) => {
                fs::remove_file(written).map_err(|source| failed(written, source))?;
                Ok(Pushed::WasThere)
            }
            Some(_) => Err(SourceError::Refused {
                object: name.to_string(),
                why: "the server streams other bytes than were archived before under this name".to_owned(),
            }),
        }
    }

    /// Notes of which server the spool is, or refuses another one's log.
    pub(super) fn belong_to(&self, system: SystemOf, what: impl ToString) -> Result<()> {
        let path = self.folder.join(SYSTEM);
        let failed = |source| SourceError::File { path: path.clone(), source };
        if let Some(own) = self.system()? {
            if own == system {
                return Ok(());
            }
            let why = format!(
                "it is of the server with the system identifier {}, and {} has the log of {}: give each server a spool of \
                 its own",
                system.system,
                self.folder.display(),
                own.system
            );
            return Err(SourceError::Refused { object: what.to_string(), why });
        }
        let unfinished = self.folder.join(format!("{SYSTEM}{UNFINISHED}"));
        let text = serde_json::to_vec(&system).map_err(|error| failed(error.into()))?;
        let mut file = self
            .owner
            .open(OpenOptions::new().write(true).create(true).truncate(true), &unfinished)
            .map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        self.rename(&unfinished, &path)
    }

    /// Of which server it is; none before the first segment.
    pub(super) fn system(&self) -> Result<Option<SystemOf>> {
        let path = self.folder.join(SYSTEM);
        let failed = |source| SourceError::File { path: path.clone(), source };
        let mut text = Vec::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => {
                file.and_then(|file| file.take(SYSTEM_BYTES_MAX).read_to_end(&mut text)).map_err(failed)?
            }
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
    }

    /// The newest whole segment that came, waiting or given away.
    pub(super) fn newest(&self) -> Result<Option<WalName>> {
        let given = self.ledger.newest().map_err(|source| self.failed(SHIPPED, source))?;
        let waiting = self.waiting()?.into_iter().map(|(name, _)| name);
        Ok(waiting.filter(|name| matches!(name, WalName::Segment(_))).chain(given).max())
    }

    /// Whether a file came before, waiting or given away.
    pub(super) fn has_had(&self, name: WalName) -> Result<bool> {
        if self.ready(name).exists() {
            return Ok(true);
        }
        self.ledger.sum(name).map(|sum| sum.is_some()).map_err(|source| self.failed(SHIPPED, source))
    }

    /// The files that wait, with their lengths, in the order in which they are given away.
    pub(super) fn waiting(&self) -> Result<Vec<(WalName, u64)>> {
        self.files_of(READY).map_err(|source| self.failed(READY, source))
    }

    /// The bytes that wait.
    pub fn waiting_bytes(&self) -> Result<u64> {
        let mut bytes = 0_u64;
        for part in [READY, RECEIVING, REFUSED] {
            let files = self.files_of(part).map_err(|source| self.failed(part, source))?;
            bytes = files.into_iter().fold(bytes, |sum, (_, bytes)| sum.saturating_add(bytes));
        }
        Ok(bytes)
    }

    /// An error if this many bytes more are too many.
    pub(super) fn refuse_if_full(&self, bytes: u64) -> Result<()> {
        let waiting = self.waiting_bytes()?;
        if waiting.saturating_add(bytes) <= self.limit.0 {
            return Ok(());
        }
        let why = format!(
            "{waiting} bytes of the log wait for the repository, and the limit is {}; PostgreSQL keeps what isn't taken, and \
             tries again",
            self.limit.0
        );
        Err(SourceError::Full { path: self.folder.clone(), why })
    }

    /// Where a file waits.
    pub(super) fn ready(&self, name: WalName) -> PathBuf {
        self.folder.join(READY).join(name.to_string())
    }

    /// Where a receiver writes a segment.
    pub(super) fn receiving(&self, name: WalName) -> PathBuf {
        self.folder.join(RECEIVING).join(name.to_string())
    }

    /// The segments that receivers have begun.
    pub(super) fn begun(&self) -> Result<Vec<WalName>> {
        let files = self.files_of(RECEIVING).map_err(|source| self.failed(RECEIVING, source))?;
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    /// Notes what was given away and is stored, and removes it.
    pub(super) fn forget(&self, files: &[(WalName, Sum)]) -> Result<()> {
        let _lock = self.lock()?;
        self.ledger.note(files).map_err(|source| self.failed(SHIPPED, source))?;
        for (name, _) in files {
            match fs::remove_file(self.ready(*name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SourceError::File { path: self.ready(*name), source: error });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes a file out of what is given away. It stays in a folder of its own, for a person to look at.
    pub fn set_aside(&self, name: WalName) -> Result<PathBuf> {
        let _lock = self.lock()?;
        let place = self.folder.join(REFUSED).join(name.to_string());
        self.rename(&self.ready(name), &place)?;
        Ok(place)
    }

    /// Keeps other processes from changing it.
    fn lock(&self) -> Result<File> {
        self.locked("lock")
    }

    /// Keeps other receivers away; none if there is one.
    pub(super) fn lock_receiving(&self) -> Result<Option<File>> {
        let path = self.folder.join("receiving.lock");
        let failed = |source| SourceError::File { path: path.clone(), source };
        let file = self.owner.open(OpenOptions::new().create(true).append(true), &path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn locked(&self, name: &str) -> Result<File> {
        let path = self.folder.join(name);
        let failed = |source| SourceError::File { path: path.clone(), source };
        let file = self.owner.open(OpenOptions::new().create(true).append(true), &path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn files_of(&self, part: &str) -> io::Result<Vec<(WalName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.folder.join(part))? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| name.parse::<WalName>().ok());
            match (name, entry.metadata()) {
                // A shipper may have removed it meanwhile.
                (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
                (None, _) => {}
                (Some(name), found) => files.push((name, found?.len())),
            }
        }
        // By timelines: what is given away first is what a restore reads first.
        files.sort_by_key(|(name, _)| (name.timeline(), *name));
        Ok(files)
    }

    fn failed(&self, part: &str, source: io::Error) -> SourceError {
        SourceError::File { path: self.folder.join(part), source }
    }
}

/// What waits is a part of the archive: a restore reads it before it is given away, and the begin of the segment that is
/// being received, too.
impl Files for Spool {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let mut files = Vec::new();
        for part in [READY, RECEIVING] {
            let of = |(name, bytes): (WalName, u64)| FileOf { path: name.path(), bytes };
            files.extend(self.files_of(part)?.into_iter().map(of));
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.dedup_by(|one, other| one.path == other.path);
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let name = WalName::of_path(path).ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(self.ready(name)).or_else(|_| File::open(self.receiving(name)))?;
        Ok(Box::new(file))
    }
}

fn sum_of_file(path: &Path) -> io::Result<Sum> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    sum_of(file, bytes)
}

/// Copies this many bytes; errors of the two sides are told apart.
fn copy_all(
    input: &mut dyn Read,
    output: &mut File,
    bytes: u64,
    failed: &dyn Fn(io::Error) -> SourceError,
    own: &dyn Fn(io::Error) -> SourceError,
) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..most).unwrap_or(&mut []);
        let read = input.read(piece).map_err(failed)?;
        if read == 0 {
            return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter")));
        }
        output.write_all(piece.get(..read).unwrap_or(&[])).map_err(own)?;
        left = left.saturating_sub(read.try_into().unwrap_or(u64::MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
