//! Stores objects as files below a directory.
//!
//! A file gets its name only after its bytes are on disk: it is written without a name
//! (`O_TMPFILE`), flushed, and then linked, which fails if the name is taken. On file systems
//! without nameless files it gets a temporary name first. `sync` flushes the directories.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Instant;

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::access::{Access, open_directory_to_group, open_file_to_group};
use crate::direct::FileWriter;
use crate::error::Failed;
use crate::naming::{Naming, is_unsupported};
use crate::probe::FOLDER as PROBE_FOLDER;
use crate::reserve::Reserve;
use crate::{
    Backend, BackendError, BackendErrorKind, Cancel, Created, Found, LimitedBackend, Listed, NAME_BYTES_MAX,
    NotAnObject, Odd, Operation, RunLink, Store, Unusable,
};

/// Files being written have names that begin with this.
const TEMPORARY: &str = ".writing-";
/// A directory that file systems keep for themselves in their root, where a repository may be.
const OF_THE_FILE_SYSTEM: &str = "lost+found";
/// Listings don't go deeper: names of objects have far fewer parts.
const PARTS_MAX: usize = 16;
/// Messages show this many characters of a name that is too long for an object.
const NAME_SHOWN: usize = 100;

/// A repository's directory, for all runs of a process.
#[derive(Debug, Clone)]
pub struct LocalStore {
    directory: Arc<Directory>,
    clock: fn() -> Instant,
}

/// What all runs share.
#[derive(Debug)]
struct Directory {
    root: PathBuf,
    /// Makes temporary names unique within this process.
    counter: AtomicU64,
    /// Makes temporary names differ from those of other processes, on this machine or another.
    nonce: u64,
    naming: Naming,
    reserve: Reserve,
    /// Directories with names that a run relies on and that aren't flushed yet. Runs share what they know of the
    /// store, so that one run may rely on a name that another one has listed and not flushed.
    dirty: Mutex<BTreeSet<PathBuf>>,
    /// Held while directories are flushed. A second thread that syncs must wait for the directories that the
    /// first one has taken from `dirty`: they may hold names that the second thread relies on.
    syncing: Mutex<()>,
}

/// One run's handle to a repository's directory.
#[derive(Debug)]
pub struct LocalBackend {
    directory: Arc<Directory>,
    cancel: Cancel,
    writer: FileWriter,
    /// Determined by each run: the directory's owner may change it between runs.
    access: Access,
    /// Each run makes the reserve at most once: a run that had to free it needs the space itself.
    reserve_made: Once,
}

impl LocalStore {
    /// The store in `root`. Nothing is read or made yet: a directory that doesn't exist lists as empty, and is
    /// made with the first object. Only limits use the clock, which must never go back.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, clock: fn() -> Instant) -> Self {
        Self { directory: Directory::new(root.into()), clock }
    }
}

impl Store for LocalStore {
    fn for_run(&self, link: RunLink) -> Arc<dyn Backend> {
        let RunLink { cancel, limits, notices: _ } = link;
        let directory = Arc::clone(&self.directory);
        let backend: Arc<dyn Backend> = Arc::new(LocalBackend::in_directory(directory, cancel.clone()));
        if limits.are_none() {
            return backend;
        }
        Arc::new(LimitedBackend::new(backend, limits, cancel, self.clock))
    }

    fn location(&self) -> String {
        self.directory.root.display().to_string()
    }
}

impl Directory {
    fn new(root: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            counter: AtomicU64::new(0),
            nonce: RandomState::new().build_hasher().finish(),
            naming: Naming::default(),
            reserve: Reserve::of(&root),
            dirty: Mutex::default(),
            syncing: Mutex::default(),
            root,
        })
    }
}

impl LocalBackend {
    /// The only handle to the store in `root`, for a run that nothing cancels or limits.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::in_directory(Directory::new(root.into()), Cancel::new())
    }

    fn in_directory(directory: Arc<Directory>, cancel: Cancel) -> Self {
        Self {
            directory,
            cancel,
            writer: FileWriter::default(),
            access: Access::default(),
            reserve_made: Once::new(),
        }
    }

    fn root(&self) -> &Path {
        &self.directory.root
    }

    fn failed(&self, operation: Operation, name: &str, why: impl Into<Failed>) -> BackendError {
        why.into().at(operation, self.root().join(name).display().to_string())
    }

    /// Makes a directory and the missing ones above it, and marks them to be flushed.
    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = directory.ancestors().take_while(|folder| !folder.exists()).collect();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        if self.access.is_for_group(self.root()) {
            // From the top down, so that the group never sees a directory that it can't read.
            missing.iter().rev().try_for_each(|folder| open_directory_to_group(folder))?;
        }
        self.mark_dirty(missing.into_iter().filter_map(Path::parent).map(Path::to_owned));
        Ok(())
    }

    /// Writes a file that was just made.
    fn write(&self, file: &mut File, parts: &[&[u8]]) -> io::Result<()> {
        if self.access.is_for_group(self.root()) {
            open_file_to_group(file)?;
        }
        self.writer.write(file, parts)
    }

    fn mark_dirty(&self, directories: impl IntoIterator<Item = PathBuf>) {
        self.directory.dirty.lock().extend(directories);
    }

    fn try_create(&self, path: &Path, directory: &Path, parts: &[&[u8]]) -> Result<Created, Failed> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let nameless = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::NOENT) => {
                self.make_directory(directory)?;
                rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR)
            }
            other => other,
        };
        match nameless {
            Ok(fd) => {
                let mut file = File::from(fd);
                self.write(&mut file, parts)?;
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                match rustix::fs::linkat(CWD, source, CWD, path, AtFlags::SYMLINK_FOLLOW) {
                    Ok(()) => Ok(Created::New),
                    Err(Errno::EXIST) => Ok(Created::AlreadyThere),
                    // There is no /proc, or the file system can't link nameless files.
                    Err(error) if error == Errno::NOENT || is_unsupported(error) => {
                        self.create_under_another_name(path, directory, parts)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                self.create_under_another_name(path, directory, parts)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// For file systems without nameless files: writes the file under a temporary name, and then gives it its
    /// own name, unless that is taken.
    fn create_under_another_name(
        &self,
        path: &Path,
        directory: &Path,
        parts: &[&[u8]],
    ) -> Result<Created, Failed> {
        let number = self.directory.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!("{TEMPORARY}{:016x}-{number}", self.directory.nonce));
        let file = open_new(&temporary)?;
        let written = self.write(&mut File::from(file), parts);
        let written =
            written.map_err(Failed::from).and_then(|()| self.directory.naming.give(&temporary, path));
        // A rename has removed the temporary name already.
        let _ = fs::remove_file(&temporary);
        written
    }

    /// The folders whose names begin with `prefix`.
    fn folders_of(&self, prefix: &str) -> Result<Vec<PathBuf>, Failed> {
        let (above, beginning) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        self.refuse_links(above)?;
        let above = self.root().join(above);
        if beginning.is_empty() {
            return Ok(vec![above]);
        }
        let Some(entries) = read_folder(&above)? else { return Ok(Vec::new()) };
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry?;
            let fits = entry.file_name().as_encoded_bytes().starts_with(beginning.as_bytes());
            if fits && entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
        Ok(folders)
    }

    /// Fails if a part of a folder's name is a symbolic link: a link could lead anywhere. The path of the
    /// repository's own directory may contain links.
    fn refuse_links(&self, folder: &str) -> Result<(), Failed> {
        let mut path = self.root().to_owned();
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            path.push(part);
            if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(NotAnObject::SymbolicLink.into());
            }
        }
        Ok(())
    }

    /// Calls `found` with everything below a folder. Its name has this many parts.
    fn walk(&self, folder: &Path, parts: usize, found: &mut dyn FnMut(Found)) -> Result<(), Failed> {
        let Some(entries) = read_folder(folder)? else { return Ok(()) };
        for entry in entries {
            if self.cancel.is_cancelled() {
                return Err(Failed::of(BackendErrorKind::Cancelled));
            }
            let entry = entry?;
            let (path, file_name, kind) = (entry.path(), entry.file_name(), entry.file_type()?);
            let below = path.strip_prefix(self.root()).unwrap_or(&path);
            let Some(name) = below.to_str().filter(|name| name.len() <= NAME_BYTES_MAX) else {
                let name = below.to_string_lossy().chars().take(NAME_SHOWN).collect();
                found(Found::Odd(Odd { name, what: NotAnObject::StrangeName }));
                continue;
            };
            let odd = |what| Found::Odd(Odd { name: name.to_owned(), what });
            if kind.is_dir() {
                if parts == 0 && file_name == OF_THE_FILE_SYSTEM {
                    continue;
                }
                if parts + 1 >= PARTS_MAX {
                    found(odd(NotAnObject::TooDeep));
                    continue;
                }
                found(odd(NotAnObject::Directory));
                self.walk(&path, parts + 1, found)?;
                continue;
            }
            if file_name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => {
                    found(Found::Object(Listed { name: name.to_owned(), bytes: metadata.len() }));
                }
                Ok(metadata) => {
                    let kind = FileType::from_raw_mode(metadata.mode());
                    found(odd(not_an_object(kind).unwrap_or(NotAnObject::Device)));
                }
                // It was removed after the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Opens an object, and returns its size too. It doesn't wait for a writer if this is a named pipe.
    fn open(&self, name: &str) -> Result<(File, u64), Failed> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.root().join(name), flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::LOOP) => return Err(NotAnObject::SymbolicLink.into()),
            Err(Errno::NXIO) => return Err(NotAnObject::Socket.into()),
            // A file is in the place of a folder, so that there is no such object.
            Err(Errno::NOTDIR) => return Err(Failed::of(BackendErrorKind::NotFound)),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        match not_an_object(FileType::from_raw_mode(metadata.mode())) {
            None => Ok((file, metadata.len())),
            Some(what) => Err(what.into()),
        }
    }
}

/// What a file of this type is, if not an object.
fn not_an_object(kind: FileType) -> Option<NotAnObject> {
    Some(match kind {
        FileType::RegularFile => return None,
        FileType::Directory => NotAnObject::Directory,
        FileType::Fifo => NotAnObject::Fifo,
        FileType::Socket => NotAnObject::Socket,
        FileType::Symlink => NotAnObject::SymbolicLink,
        _ => NotAnObject::Device,
    })
}

/// A folder's entries; none if there is no such folder.
fn read_folder(folder: &Path) -> io::Result<Option<fs::ReadDir>> {
    match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        other => other.map(Some),
    }
}

impl Backend for LocalBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let path = self.root().join(name);
        let directory = path.parent().unwrap_or(self.root()).to_owned();
        let mut created = self.try_create(&path, &directory, parts);
        if created.as_ref().is_err_and(|failed| failed.kind == BackendErrorKind::Full) {
            let bytes = parts.iter().map(|part| part.len()).sum();
            let again = || self.try_create(&path, &directory, parts);
            created = self.directory.reserve.free_for(bytes, again).unwrap_or(created);
        }
        let created = created.map_err(|failed| self.failed(Operation::Create, name, failed))?;
        // The directory exists only now. A probe must leave nothing behind.
        if !name.starts_with(PROBE_FOLDER) {
            self.reserve_made.call_once(|| self.directory.reserve.make());
        }
        // Even if the object was there, and the directories above: the process that made them may not have
        // flushed their names yet.
        let own = directory.ancestors().take_while(|directory| directory.starts_with(self.root()));
        self.mark_dirty(own.map(Path::to_owned));
        Ok(created)
    }

    fn sync(&self) -> Result<(), BackendError> {
        let _syncing = self.directory.syncing.lock();
        let dirty = std::mem::take(&mut *self.directory.dirty.lock());
        let flushed = dirty.iter().try_for_each(|directory| {
            let object = directory.display().to_string();
            flush(directory).map_err(|error| BackendError::of_system(Operation::Sync, object, error))
        });
        if flushed.is_err() {
            // None of them counts as durable.
            self.mark_dirty(dirty);
        }
        flushed
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        let too_large = || Failed::of(BackendErrorKind::Unusable(Unusable::TooLarge));
        let mut read = || {
            let (file, size) = self.open(name)?;
            if size > bytes_max {
                return Err(too_large());
            }
            let size = usize::try_from(size).map_err(|_| too_large())?;
            Ok(fill(&file, 0, size, bytes)?)
        };
        read().map_err(|error| self.failed(Operation::Read, name, error))
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.open(name)
            .and_then(|(file, _)| Ok(fill(&file, offset, length, bytes)?))
            .map_err(|error| self.failed(Operation::Read, name, error))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let failed = |error| self.failed(Operation::List, prefix, error);
        for folder in self.folders_of(prefix).map_err(failed)? {
            let parts = folder.strip_prefix(self.root()).map_or(0, |below| below.components().count());
            let mut take = |entry| match entry {
                Found::Object(listed) => found(listed),
                // Their names are taken. Others, such as directories, can't be taken for objects.
                Found::Odd(Odd { name, what }) if what.has_taken_its_name() => {
                    found(Listed { name, bytes: 0 })
                }
                Found::Odd(_) => {}
            };
            self.walk(&folder, parts, &mut take).map_err(failed)?;
            // The caller may rely on what was listed, and the process that made it may not have flushed its name.
            if folder.exists() {
                self.mark_dirty([folder]);
            }
        }
        Ok(())
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.walk(self.root(), 0, found).map_err(|error| self.failed(Operation::List, "", error))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        match fs::remove_file(self.root().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| self.failed(Operation::Remove, name, error)),
        }
    }

    fn expect_one_writer(&self) {
        self.directory.naming.expect_one_writer();
    }

    fn location(&self) -> String {
        self.root().display().to_string()
    }
}

/// Flushes the names in a directory. If the file system can't flush a directory, it flushes everything.
fn flush(directory: &Path) -> io::Result<()> {
    let directory = File::open(directory)?;
    match rustix::fs::fsync(&directory) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(rustix::fs::syncfs(&directory)?),
        other => Ok(other?),
    }
}

/// Replaces `bytes` by `length` bytes of a file from `offset` on, or by fewer if the file ends before.
fn fill(file: &File, offset: u64, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.resize(length, 0);
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

fn open_new(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?)
}
