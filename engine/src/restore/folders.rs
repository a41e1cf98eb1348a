//! Directories below the target, by number. Of each there is its name and the number of the one
//! above: a path is made when it is asked for, and the handles of a few are kept. No function
//! here recurses: a deep tree needs no more stack than a flat one.

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
pub const ROOT: DirectoryNumber = DirectoryNumber(0);

/// A directory, by its place in the order in which directories were added: one is added after the one that
/// it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DirectoryNumber(pub(super) usize);

/// The identity of an entry, which doesn't depend on its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of an entry with these attributes.
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
    handles: Mutex<LruCache<DirectoryNumber, Arc<OwnedFd>>>,
}

struct Folder {
    name: CString,
    above: DirectoryNumber,
    /// Known from when it is opened first: by then no one else may change what is above it.
    identity: OnceLock<Identity>,
}

/// The way up from a directory whose handle is kept to the first one that another directory is in too.
struct Climb {
    from: DirectoryNumber,
    /// The directory that the way up has reached,
    up: DirectoryNumber,
    /// in this many steps.
    steps_up: usize,
    /// The directory that the way up from the other one has reached.
    to: DirectoryNumber,
}

impl Climb {
    /// Takes a step up from the directory with the higher number: it can't be above the other one, since a
    /// directory has a higher number than the one that it is in. Returns whether both ways have met.
    fn meets(&mut self, list: &[Folder]) -> bool {
        if self.up > self.to {
            self.up = list[self.up.0].above;
            self.steps_up += 1;
        } else {
            self.to = list[self.to.0].above;
        }
        self.up == self.to
    }
}

impl Folders {
    /// The target alone; without a handle of it nothing is opened.
    pub fn new(root: Option<Arc<OwnedFd>>) -> Self {
        let own = Folder { name: c".".to_owned(), above: ROOT, identity: OnceLock::new() };
        Self { list: vec![own], root, handles: Mutex::new(LruCache::new(HANDLES)) }
    }

    /// Adds a directory, and returns its number.
    pub fn add(&mut self, above: DirectoryNumber, name: &[u8]) -> Result<DirectoryNumber, Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        self.list.push(Folder { name, above, identity: OnceLock::new() });
        Ok(DirectoryNumber(self.list.len() - 1))
    }

    /// Removes the directory that was added last.
    pub fn remove_last(&mut self) {
        self.list.pop();
        self.cached().pop(&DirectoryNumber(self.list.len()));
    }

    /// The number of the directory that this one is in.
    pub fn above(&self, number: DirectoryNumber) -> DirectoryNumber {
        self.list[number.0].above
    }

    /// Its name in the one above.
    pub fn name(&self, number: DirectoryNumber) -> &CStr {
        &self.list[number.0].name
    }

    /// Its path below the target.
    pub fn path(&self, number: DirectoryNumber) -> Vec<u8> {
        let mut way = Vec::new();
        let mut at = number;
        while at != ROOT {
            way.push(self.list[at.0].name.to_bytes());
            at = self.list[at.0].above;
        }
        way.reverse();
        way.join(&b'/')
    }

    /// The path below the target of an entry of a directory.
    pub fn path_of(&self, number: DirectoryNumber, name: &[u8]) -> Vec<u8> {
        let mut path = self.path(number);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// The handle of a directory that is there: the very one that was opened first.
    pub fn handle(&self, number: DirectoryNumber) -> Result<Arc<OwnedFd>, Denied> {
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        let mut climb = self.last_used().map(|from| Climb { from, up: from, steps_up: 0, to: number });
        // What has to be opened, the last first.
        let mut way = Vec::new();
        let mut at = number;
        let mut handle = loop {
            if at == ROOT {
                break Arc::clone(root);
            }
            if let Some(handle) = self.cached().get(&at) {
                break Arc::clone(handle);
            }
            // The directory that was used last may be nearer than the root, as on the way up from a deep one.
            // Both ways are followed step by step, so that neither is followed further than the shorter one.
            if climb.as_mut().is_some_and(|climb| climb.meets(&self.list))
                && let Some((met, handle)) = climb.take().and_then(|climb| self.climb(&climb, root))
            {
                way = self.way_between(met, number);
                break handle;
            }
            way.push(at);
            at = self.list[at.0].above;
        };
        while let Some(number) = way.pop() {
            let folder = &self.list[number.0];
            let opened = Arc::new(open(&handle, &folder.name)?);
            let found = Identity::of_open(&*opened)?;
            if *folder.identity.get_or_init(|| found) != found {
                return Err(Denied::REPLACED);
            }
            self.cached().put(number, Arc::clone(&opened));
            handle = opened;
        }
        Ok(handle)
    }

    fn last_used(&self) -> Option<DirectoryNumber> {
        self.cached().iter().next().map(|(number, _)| *number)
    }

    /// Opens the directories above one another, from one whose handle is kept. Each has to be the one that
    /// was opened there before: a program that moves a directory changes what is above it. `None` if one of
    /// them can't be opened, or is another directory.
    fn climb(&self, climb: &Climb, root: &Arc<OwnedFd>) -> Option<(DirectoryNumber, Arc<OwnedFd>)> {
        let mut handle = Arc::clone(self.cached().get(&climb.from)?);
        let mut at = climb.from;
        for _ in 0..climb.steps_up {
            at = self.list[at.0].above;
            if at == ROOT {
                return Some((at, Arc::clone(root)));
            }
            let opened = Arc::new(open(&handle, c"..").ok()?);
            if self.list[at.0].identity.get() != Some(&Identity::of_open(&*opened).ok()?) {
                return None;
            }
            self.cached().put(at, Arc::clone(&opened));
            handle = opened;
        }
        Some((at, handle))
    }

    /// The directories from below one down to another that is in it, the last first.
    fn way_between(&self, above: DirectoryNumber, number: DirectoryNumber) -> Vec<DirectoryNumber> {
        let mut way = Vec::new();
        let mut at = number;
        while at != above {
            way.push(at);
            at = self.list[at.0].above;
        }
        way
    }

    fn cached(&self) -> MutexGuard<'_, LruCache<DirectoryNumber, Arc<OwnedFd>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory that may be searched and not read is opened for what is below it.
fn open(above: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    match dir::open_directory(above, name) {
        Err(Errno::ACCESS) => dir::open_directory_as(above, name, Opening::Reached),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

    use super::{Denied, DirectoryNumber, Folders, HANDLES, Identity, ROOT};

    /// Levels: twice as many as handles are kept.
    const DEPTH: usize = 2 * HANDLES.get();

    fn path_of(root: &Path, level: usize) -> PathBuf {
        root.join(vec!["d"; level].join("/"))
    }

    /// Directories in each other, the last of which has been opened.
    fn nested(root: &Path) -> Folders {
        fs::create_dir_all(path_of(root, DEPTH)).expect("they can be made");
        let handle = rustix::fs::openat(CWD, root, OFlags::DIRECTORY, Mode::empty()).expect("it opens");
        let mut folders = Folders::new(Some(Arc::new(handle)));
        let mut last = ROOT;
        for _ in 0..DEPTH {
            last = folders.add(last, b"d").expect("it is a name");
        }
        folders.handle(last).expect("it is there");
        folders
    }

    fn identity(handle: &OwnedFd) -> Identity {
        Identity::of_open(handle).expect("it can be looked at")
    }

    fn identity_at(path: &Path) -> Identity {
        Identity::of(&rustix::fs::stat(path).expect("it can be looked at"))
    }

    #[test]
    fn the_way_back_up_leads_through_each_directory_once() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let folders = nested(folder.path());
        // The names are gone: a search that begins at the top finds nothing.
        fs::rename(folder.path().join("d"), folder.path().join("moved")).expect("it can be moved");
        for level in (1..DEPTH).rev() {
            let handle = folders.handle(DirectoryNumber(level)).expect("it is reached from the one below");
            assert_eq!(folders.list[level].identity.get(), Some(&identity(&handle)), "level {level}");
        }
    }

    /// The `..` of a directory that was moved leads to another directory, which isn't used as the one above it.
    #[test]
    fn a_directory_that_was_moved_away_leads_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (root, elsewhere) = (folder.path().join("root"), folder.path().join("elsewhere"));
        fs::create_dir(&elsewhere).expect("it can be made");
        let folders = nested(&root);
        let level = DEPTH - HANDLES.get();
        let expected = identity_at(&path_of(&root, level));
        folders.handle(DirectoryNumber(level + 1)).expect("its handle is kept, and now the last one used");
        fs::rename(path_of(&root, level + 1), elsewhere.join("d")).expect("it can be moved");
        assert_eq!(identity(&folders.handle(DirectoryNumber(level)).expect("it is where it was")), expected);
        // Nor is a directory that was put in its place.
        let above = path_of(&root, level - 1);
        fs::rename(above.join("d"), above.join("moved")).expect("it can be moved");
        fs::create_dir(above.join("d")).expect("it can be made");
        folders.cached().clear();
        assert!(
            matches!(folders.handle(DirectoryNumber(level)), Err(Denied::Because(_))),
            "another one has its place"
        );
    }

    /// Another thread swaps a directory on the way for one elsewhere, and back, all the time.
    #[test]
    fn while_directories_are_swapped_each_handle_is_the_right_one_or_none() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (root, other) = (folder.path().join("root"), folder.path().join("other"));
        let folders = nested(&root);
        fs::create_dir_all(path_of(&other, DEPTH)).expect("they can be made");
        let level = DEPTH - HANDLES.get();
        let (here, there) = (path_of(&root, level), path_of(&other, level));
        let stop = AtomicBool::new(false);
        let (mut right, mut none) = (0, 0);
        let swaps = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                // By handles of the directories above: paths of this length take long to follow.
                let open = |path: &Path| {
                    let above = path.parent().expect("it is below");
                    rustix::fs::openat(CWD, above, OFlags::DIRECTORY, Mode::empty()).expect("it opens")
                };
                let (above, above_other) = (open(&here), open(&there));
                let name = CString::new("d").expect("it is a name");
                let mut swaps = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let swap = RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&above, &name, &above_other, &name, swap).expect("it swaps");
                    swaps += 1;
                }
                swaps
            });
            for _ in 0..300 {
                folders.cached().clear();
                // Down, and back up past what is swapped.
                let _ = folders.handle(DirectoryNumber(level + HANDLES.get() / 2));
                for number in (level - 3..level + 3).rev() {
                    match folders.handle(DirectoryNumber(number)) {
                        Ok(handle) => {
                            assert_eq!(folders.list[number].identity.get(), Some(&identity(&handle)));
                            right += 1;
                        }
                        Err(_) => none += 1,
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
            swapping.join().expect("it swaps to the end")
        });
        assert!(swaps > 0 && right > 0 && none > 0, "{swaps} swaps, {right} handles, {none} refused");
    }
}
