//! Objects as files below a directory.
//!
//! A file gets its name only after its bytes are on disk: it is written without a name
//! (`O_TMPFILE`), flushed, and linked in, which fails if the name is taken. File systems
//! without that get a temporary name instead. Directories are flushed in `sync`, all at once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::direct::FileWriter;
use crate::{Backend, BackendError, Created, Listed, Operation};

/// Names that begin so are files being written.
const TEMPORARY: &str = ".writing-";

/// A repository's directory.
#[derive(Debug)]
pub struct LocalBackend {
    root: PathBuf,
    /// Directories with names that aren't flushed yet.
    dirty: Mutex<BTreeSet<PathBuf>>,
    counter: AtomicU64,
    /// Tells temporary names from those of other processes, on this machine or another.
    nonce: u64,
    writer: FileWriter,
}

impl LocalBackend {
    /// The store in `root`. Nothing is looked at or made yet: a directory that doesn't
    /// exist lists as empty, and comes into being with the first object.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let nonce = RandomState::new().build_hasher().finish();
        Self {
            root: root.into(),
            dirty: Mutex::default(),
            counter: AtomicU64::new(0),
            nonce,
            writer: FileWriter::default(),
        }
    }

    fn failed(&self, operation: Operation, name: &str, source: impl Into<io::Error>) -> BackendError {
        let object = self.root.join(name).display().to_string();
        BackendError { operation, object, source: source.into() }
    }

    /// Makes a directory and those above it that are missing, and remembers to flush them.
    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let mut missing = directory;
        let mut touched = Vec::new();
        while !missing.exists() {
            let Some(above) = missing.parent() else { break };
            touched.push(above.to_owned());
            missing = above;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        self.mark_dirty(touched);
        Ok(())
    }

    fn mark_dirty(&self, directories: impl IntoIterator<Item = PathBuf>) {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner).extend(directories);
    }

    fn try_create(&self, path: &Path, directory: &Path, parts: &[&[u8]]) -> io::Result<Created> {
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
                self.writer.write(&mut file, parts)?;
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                match rustix::fs::linkat(CWD, source, CWD, path, AtFlags::SYMLINK_FOLLOW) {
                    Ok(()) => Ok(Created::New),
                    Err(Errno::EXIST) => Ok(Created::AlreadyThere),
                    // No /proc, or a file system that can't link nameless files.
                    Err(Errno::NOENT | Errno::OPNOTSUPP | Errno::PERM | Errno::XDEV) => {
                        self.create_by_renaming(path, directory, parts)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                self.create_by_renaming(path, directory, parts)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// For file systems without nameless files: write under a temporary name, then link or
    /// rename it to the name unless that is taken.
    fn create_by_renaming(&self, path: &Path, directory: &Path, parts: &[&[u8]]) -> io::Result<Created> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let temporary = directory.join(format!("{TEMPORARY}{:016x}-{number}", self.nonce));
        let file = open_new(&temporary)?;
        let written = self.writer.write(&mut File::from(file), parts).and_then(|()| {
            match rustix::fs::link(&temporary, path) {
                Ok(()) => Ok(Created::New),
                Err(Errno::EXIST) => Ok(Created::AlreadyThere),
                Err(_) => match rustix::fs::renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE)
                {
                    Ok(()) => Ok(Created::New),
                    Err(Errno::EXIST) => Ok(Created::AlreadyThere),
                    Err(error) => Err(error.into()),
                },
            }
        });
        // After a rename the temporary name is gone already.
        let _ = fs::remove_file(&temporary);
        written
    }

    /// The folders whose names begin with `prefix`.
    fn folders_of(&self, prefix: &str) -> io::Result<Vec<PathBuf>> {
        let (above, beginning) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let above = self.root.join(above);
        if beginning.is_empty() {
            return Ok(vec![above]);
        }
        let entries = match fs::read_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
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

    fn list_folder(&self, folder: &Path, found: &mut dyn FnMut(Listed)) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.list_folder(&path, found)?;
                continue;
            }
            // What isn't UTF-8 can't be an object's name.
            let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str) else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) => found(Listed { name: name.to_owned(), bytes: metadata.len() }),
                // Removed since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Backend for LocalBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let path = self.root.join(name);
        let directory = path.parent().unwrap_or(&self.root).to_owned();
        let created = self
            .try_create(&path, &directory, parts)
            .map_err(|error| self.failed(Operation::Create, name, error))?;
        // Also when it was there, and the directories above: whoever made them may not have
        // flushed their names yet.
        let own = directory.ancestors().take_while(|directory| directory.starts_with(&self.root));
        self.mark_dirty(own.map(Path::to_owned));
        Ok(created)
    }

    fn sync(&self) -> Result<(), BackendError> {
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        let flushed = dirty.iter().try_for_each(|directory| {
            File::open(directory).and_then(|file| file.sync_all()).map_err(|source| BackendError {
                operation: Operation::Sync,
                object: directory.display().to_string(),
                source,
            })
        });
        if flushed.is_err() {
            // None of it counts as durable.
            self.mark_dirty(dirty);
        }
        flushed
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        let mut read = || -> io::Result<()> {
            let file = File::open(self.root.join(name))?;
            let size = file.metadata()?.len();
            if size > bytes_max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            fill(&file, 0, size as usize, bytes)
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
        File::open(self.root.join(name))
            .and_then(|file| fill(&file, offset, length, bytes))
            .map_err(|error| self.failed(Operation::Read, name, error))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let failed = |error| self.failed(Operation::List, prefix, error);
        for folder in self.folders_of(prefix).map_err(failed)? {
            self.list_folder(&folder, found).map_err(failed)?;
            // What was listed may be relied upon, and whoever made it may not have flushed its name.
            if folder.exists() {
                self.mark_dirty([folder]);
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(|error| self.failed(Operation::Remove, name, error)),
        }
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }
}

/// Replaces `bytes` by `length` bytes of a file from `offset` on, or fewer if it ends before.
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
