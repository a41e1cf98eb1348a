//! Directories below the target, by number. Of each there is its name and the number of the one
//! above: a path is made when someone asks for it, and handles are kept of a few. Nothing here
//! goes deeper into the stack where the tree is deeper.

use std::ffi::{CStr, CString};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lru::LruCache;
use rustix::fs::Stat;
use rustix::io::Errno;

use super::denied::Denied;
use crate::fs::dir::{self, Opening};

/// Directories whose handles are kept.
const HANDLES: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// The number of the target itself.
pub const ROOT: usize = 0;

/// Which entry it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The one that a look has shown.
    pub fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// That of an open file.
    pub fn of_open(file: impl AsFd) -> Result<Self, Errno> {
        rustix::fs::fstat(file).map(|stat| Self::of(&stat))
    }
}

/// The directories.
pub struct Folders {
    list: Vec<Folder>,
    root: Option<Arc<OwnedFd>>,
    handles: Mutex<LruCache<usize, Arc<OwnedFd>>>,
}

struct Folder {
    name: CString,
    above: usize,
    /// Known from when it is opened first: by then no one else may change what is above it.
    identity: OnceLock<Identity>,
}

impl Folders {
    /// The target alone; without a handle of it nothing is opened.
    pub fn new(root: Option<Arc<OwnedFd>>) -> Self {
        let own = Folder { name: c".".to_owned(), above: ROOT, identity: OnceLock::new() };
        Self { list: vec![own], root, handles: Mutex::new(LruCache::new(HANDLES)) }
    }

    /// Adds a directory, and returns its number.
    pub fn add(&mut self, above: usize, name: &[u8]) -> Result<usize, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        self.list.push(Folder { name, above, identity: OnceLock::new() });
        Ok(self.list.len() - 1)
    }

    /// Takes back what was added last.
    pub fn take_back(&mut self) {
        self.list.pop();
        self.kept().pop(&self.list.len());
    }

    /// The number of the directory that this one is in.
    pub fn above(&self, number: usize) -> usize {
        self.list[number].above
    }

    /// Its name in the one above.
    pub fn name(&self, number: usize) -> &CStr {
        &self.list[number].name
    }

    /// Its path below the target.
    pub fn path(&self, number: usize) -> Vec<u8> {
        let mut way = Vec::new();
        let mut at = number;
        while at != ROOT {
            way.push(self.list[at].name.to_bytes());
            at = self.list[at].above;
        }
        way.reverse();
        way.join(&b'/')
    }

    /// The path below the target of an entry of a directory.
    pub fn path_of(&self, number: usize, name: &[u8]) -> Vec<u8> {
        let mut path = self.path(number);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// The handle of a directory that is there: the very one that was opened first.
    pub fn handle(&self, number: usize) -> Result<Arc<OwnedFd>, Denied> {
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        let mut way = Vec::new();
        let mut at = number;
        let mut handle = loop {
            if at == ROOT {
                break Arc::clone(root);
            }
            if let Some(handle) = self.kept().get(&at) {
                break Arc::clone(handle);
            }
            way.push(at);
            at = self.list[at].above;
        };
        while let Some(number) = way.pop() {
            let folder = &self.list[number];
            let opened = Arc::new(open(&handle, &folder.name)?);
            let found = Identity::of_open(&*opened)?;
            if *folder.identity.get_or_init(|| found) != found {
                return Err(Denied::REPLACED);
            }
            self.kept().put(number, Arc::clone(&opened));
            handle = opened;
        }
        Ok(handle)
    }

    fn kept(&self) -> MutexGuard<'_, LruCache<usize, Arc<OwnedFd>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that may be passed and not read is opened for what is below it.
fn open(above: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match dir::open_directory(above, name) {
        Err(Errno::ACCESS) => dir::open_directory_as(above, name, Opening::Reached),
        other => other,
    }
}
