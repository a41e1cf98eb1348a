//! What is known of a folder while a program writes it: a record of each entry, by its path.
//!
//! Memory: the records of all entries, since a tree can be made only when all names in it are known.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::mem::size_of;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::node::Timestamp;

use super::{EntryAttributes, WriteFolder};
use crate::archive::pending::Place;
use crate::error::{EngineError, Result};

/// Longest name of an entry, in bytes. Most file systems have this limit, and a folder has to be restored to one.
const NAME_BYTES_MAX: usize = 255;
/// Longest path of an entry below its folder, in bytes; and longest target of a link.
const PATH_BYTES_MAX: usize = 4000;
/// Memory for the records of one folder: that of about two million entries.
const RECORDS_BYTES_MAX: usize = 512 << 20;

/// A folder that a program is to write.
pub struct FolderJob {
    /// Where its entries are collected.
    pub folder: Arc<OpenFolder>,
    /// The program.
    pub write: WriteFolder,
}

/// A folder that a program writes.
pub struct OpenFolder {
    /// Its name in the root directory.
    pub name: Vec<u8>,
    /// Its place there.
    pub place: Place,
    /// When it was begun.
    pub begun: Timestamp,
    records: Mutex<Records>,
    /// How many files have pieces that aren't stored, and one more until the program has ended. The thread that counts
    /// down to zero makes the tree: it has to see what all others have recorded (`AcqRel`).
    outstanding: AtomicUsize,
    /// What the first call that has failed has failed of.
    failure: Mutex<Option<String>>,
}

#[derive(Default)]
struct Records {
    by_path: BTreeMap<FolderPath, Record>,
    bytes: usize,
}

/// The path of an entry below its folder. A zero byte separates the names, which is below any other: so a directory's
/// entries follow it at once, and in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderPath(Box<[u8]>);

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is like.
    pub attributes: EntryAttributes,
    /// What it is.
    pub kind: RecordKind,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKind {
    /// A directory.
    Directory {
        /// Whether the program has said so, and not only written something into it.
        is_said: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: Box<[u8]>,
    },
    /// A file whose content is being read.
    Coming,
    /// A file whose content was read, and isn't stored.
    Read,
    /// A file that is stored.
    Stored(StoredFile),
}

/// A file's content, stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes.
    pub content: Content,
    /// Whether the repository didn't have some of them.
    pub has_new_chunks: bool,
}

/// The place of a file in a folder.
#[derive(Clone)]
pub struct FolderPlace {
    /// The folder.
    pub folder: Arc<OpenFolder>,
    /// The file's path below it.
    pub path: FolderPath,
}

/// Entries of a folder, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FolderCount {
    /// Files.
    pub files: u64,
    /// Directories, with the folder itself.
    pub dirs: u64,
}

impl FolderPlace {
    /// The file's path in the snapshot, for messages.
    pub fn path_in_snapshot(&self) -> Vec<u8> {
        let mut path = self.folder.place.path();
        for name in self.path.names() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }
}

impl FolderPath {
    /// The names on the path.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == 0)
    }

    /// How many directories of the folder the entry is in.
    pub fn depth(&self) -> usize {
        self.0.iter().filter(|byte| **byte == 0).count()
    }

    /// The entry's own name.
    pub fn name(&self) -> &[u8] {
        self.names().next_back().unwrap_or_default()
    }

    /// The directories of the folder that the entry is in, from the top.
    fn above(&self) -> impl Iterator<Item = Self> {
        let ends = self.0.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(end, _)| end);
        ends.map(move |end| Self(self.0[..end].into()))
    }

    /// Reads a path as a program gives it.
    fn parse(path: &[u8]) -> Result<Self, String> {
        if path.len() > PATH_BYTES_MAX {
            return Err(format!("its path has more than {PATH_BYTES_MAX} bytes"));
        }
        for name in path.split(|byte| *byte == b'/') {
            if matches!(name, b"" | b"." | b"..") || name.contains(&0) {
                let why = "its path isn't made of names that are separated by single slashes";
                return Err(why.to_owned());
            }
            if name.len() > NAME_BYTES_MAX {
                return Err(format!("a name on its path has more than {NAME_BYTES_MAX} bytes"));
            }
        }
        Ok(Self(path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()))
    }

    fn shown(&self) -> String {
        let names: Vec<_> = self.names().map(String::from_utf8_lossy).collect();
        names.join("/")
    }
}

impl Record {
    /// A file whose content comes.
    pub fn file(attributes: EntryAttributes) -> Self {
        Self { attributes, kind: RecordKind::Coming }
    }

    /// A directory of which the program has told.
    pub fn directory(attributes: EntryAttributes) -> Self {
        Self { attributes, kind: RecordKind::Directory { is_said: true } }
    }

    /// A symbolic link.
    pub fn symlink(target: &[u8], attributes: EntryAttributes) -> Self {
        Self { attributes, kind: RecordKind::Symlink { target: target.into() } }
    }

    /// A directory that something is in.
    fn implied() -> Self {
        let attributes = EntryAttributes::default();
        Self { attributes, kind: RecordKind::Directory { is_said: false } }
    }

    /// Memory that it takes with its path, about.
    fn bytes(&self, path: &FolderPath) -> usize {
        let target = if let RecordKind::Symlink { target } = &self.kind { target.len() } else { 0 };
        // A file's content is mostly one reference.
        path.0.len() + target + size_of::<(FolderPath, Self)>() + size_of::<ChunkRef>()
    }
}

impl Records {
    fn add(&mut self, path: &FolderPath, record: Record) -> Result<(), String> {
        for above in path.above() {
            match self.by_path.get(&above).map(|found| &found.kind) {
                Some(RecordKind::Directory { .. }) => {}
                Some(_) => return Err(format!("{} is no directory", above.shown())),
                None => self.insert(above, Record::implied())?,
            }
        }
        if let RecordKind::Symlink { target } = &record.kind
            && (target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0))
        {
            return Err("its target can't be that of a link".to_owned());
        }
        match self.by_path.get_mut(path) {
            None => self.insert(path.clone(), record),
            Some(found) => {
                let is_told = RecordKind::Directory { is_said: true };
                if found.kind != (RecordKind::Directory { is_said: false }) || record.kind != is_told {
                    return Err("something else has its path already".to_owned());
                }
                *found = record;
                Ok(())
            }
        }
    }

    fn insert(&mut self, path: FolderPath, record: Record) -> Result<(), String> {
        let bytes = self.bytes.saturating_add(record.bytes(&path));
        if bytes > RECORDS_BYTES_MAX {
            let count = self.by_path.len();
            return Err(format!("the folder has {count} entries, and more than those need too much memory"));
        }
        self.bytes = bytes;
        self.by_path.insert(path, record);
        Ok(())
    }
}

impl OpenFolder {
    /// A folder of which nothing was written.
    pub fn begin(place: Place, begun: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            name: place.name().to_bytes().to_vec(),
            place,
            begun,
            records: Mutex::default(),
            outstanding: AtomicUsize::new(1),
            failure: Mutex::default(),
        })
    }

    /// Fails if a call has failed before.
    pub fn go_on(&self) -> io::Result<()> {
        match &*lock(&self.failure) {
            Some(why) => Err(io::Error::other(format!("the folder has failed before: {why}"))),
            None => Ok(()),
        }
    }

    /// Takes an entry, whose path no other one may have. If it can't be taken, the folder has failed.
    pub fn add(&self, path: &[u8], record: Record) -> io::Result<FolderPath> {
        let added = FolderPath::parse(path).and_then(|parsed| {
            lock(&self.records).add(&parsed, record)?;
            Ok(parsed)
        });
        added.map_err(|why| {
            let shown = String::from_utf8_lossy(&path[..path.len().min(PATH_BYTES_MAX)]);
            let error = io::Error::other(format!("{shown:?} can't be stored: {why}"));
            self.fail(&error);
            error
        })
    }

    /// Says what a file has become.
    pub fn update(&self, path: &FolderPath, kind: RecordKind) {
        if let Some(record) = lock(&self.records).by_path.get_mut(path) {
            record.kind = kind;
        }
    }

    /// The content of a file can't be read.
    pub fn fail_at(&self, path: &FolderPath, error: &io::Error) {
        self.fail(&format!("{}: {error}", path.shown()));
    }

    fn fail(&self, why: &dyn Display) {
        lock(&self.failure).get_or_insert_with(|| why.to_string());
    }

    /// A file's pieces are stored by others.
    pub fn begin_part(&self) {
        self.outstanding.fetch_add(1, Ordering::AcqRel);
    }

    /// The pieces of a file are stored, or the program has ended. Returns whether that was the last of the folder.
    pub fn end_part(&self) -> bool {
        self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The program has ended. Fails if it, or one of its calls, has failed. No call goes on any more.
    pub fn end(&self, written: std::result::Result<(), String>) -> Result<()> {
        let ended = written.and_then(|()| lock(&self.failure).take().map_or(Ok(()), Err)).and_then(|()| {
            let records = lock(&self.records);
            // A thread that panics ends a call without an error.
            let broken_off = records.by_path.iter().find(|(_, record)| record.kind == RecordKind::Coming);
            broken_off.map_or(Ok(()), |(path, _)| Err(format!("{}: its content has no end", path.shown())))
        });
        ended.map_err(|why| EngineError::StreamFailed { name: self.name.clone(), why })
    }

    /// Its entries, each directory followed by what is in it. It has none any more.
    pub fn take_records(&self) -> impl Iterator<Item = (FolderPath, Record)> + use<> {
        std::mem::take(&mut *lock(&self.records)).by_path.into_iter()
    }

    /// How many entries it has.
    pub fn count(&self) -> FolderCount {
        let mut count = FolderCount { files: 0, dirs: 1 };
        for record in lock(&self.records).by_path.values() {
            match &record.kind {
                RecordKind::Directory { .. } => count.dirs += 1,
                RecordKind::Symlink { .. } => {}
                RecordKind::Coming | RecordKind::Read | RecordKind::Stored(_) => count.files += 1,
            }
        }
        count
    }
}

/// What a call fails of when the backup has ended for a reason that isn't its folder.
pub fn ended() -> io::Error {
    io::Error::other("the backup has ended")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
