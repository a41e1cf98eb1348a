//! Removing what is in the target and not in the snapshot: by handle, from the bottom up, and never
//! on another file system than the directory that it begins in.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::denied::Denied;
use super::folders::{DirectoryNumber, Identity};
use super::spelling::Spellings;
use super::target::Target;
use super::{mounts, temporary};
use crate::error::{EngineError, Result};
use crate::fs::dir::{self, Names};
use crate::fs::meta;
use crate::fs::select::Reached;
use crate::run::{Event, RunContext};

/// What a directory of the snapshot has.
#[derive(Default)]
pub struct Listing {
    /// The names of its entries, sorted before anything is removed.
    pub names: Vec<Vec<u8>>,
    /// The same, for a target that doesn't distinguish upper and lower case.
    pub spellings: Spellings,
}

/// A directory in which what isn't in the snapshot is removed.
pub struct Emptied<'t> {
    /// Its number.
    pub number: DirectoryNumber,
    /// Its path in the snapshot, with a slash at its end.
    pub path: &'t [u8],
    /// What that has matched of the patterns of what is left out.
    pub excluded: &'t Reached,
}

/// One entry after the other, from the bottom up.
struct Removal<'t, 'a> {
    target: &'t Target<'a>,
    run: &'t RunContext,
    /// The directory that it begins in.
    top: &'t Emptied<'t>,
    /// From there down to the directory that is being emptied.
    levels: Vec<Level>,
}

/// A directory that is being emptied.
struct Level {
    name: CString,
    /// What its path has matched of the patterns of what is left out.
    excluded: Reached,
    /// The directory that it is in: checked on the way back, since this one may have been moved meanwhile.
    above: Identity,
    /// What was in it.
    below: Names,
    /// How many of these are handled.
    done: usize,
    /// Whether something in it stays, and so it does.
    stays: bool,
}

impl Target<'_> {
    /// Removes what is in a directory and not in this listing. In a dry run it names what would be removed.
    pub fn delete_others(
        &self,
        emptied: &Emptied<'_>,
        listing: &mut Listing,
        run: &RunContext,
    ) -> Result<()> {
        let directory = emptied.number;
        if !self.has_others(directory) {
            return Ok(());
        }
        let handle = match self.handle(directory) {
            Ok(handle) => handle,
            Err(denied) => return self.not_emptied(directory, &denied.why(), run),
        };
        let found = match dir::list(&*handle) {
            Ok(found) => found,
            Err(error) => return self.not_emptied(directory, &error.to_string(), run),
        };
        if self.directories[directory.0].on_other_file_system {
            let above = self.folders.above(directory);
            if !self.directories[above.0].on_other_file_system && !found.is_empty() {
                let why =
                    "it is on another file system than the directory it is in: nothing in it is removed";
                return self.not_emptied(directory, why, run);
            }
            return Ok(());
        }
        listing.names.sort_unstable();
        let removal = &mut Removal { target: self, run, top: emptied, levels: Vec::new() };
        for name in (0..found.len()).map(|index| found.get(index)) {
            let bytes = name.to_bytes();
            let is_kept = listing.names.binary_search_by(|kept| kept.as_slice().cmp(bytes)).is_ok()
                || self.temporary.is_own(bytes)
                || is_spelled_otherwise(handle.as_fd(), name, listing);
            if !is_kept {
                removal.run(&handle, name)?;
            }
        }
        Ok(())
    }

    fn not_emptied(&self, directory: DirectoryNumber, why: &str, run: &RunContext) -> Result<()> {
        let path = self.whole_path_of(directory);
        run.tell(&Event::Skipped { path, why: why.to_owned() });
        Ok(())
    }

    /// Removes files that a killed restore has left, but none that the snapshot has under such a name.
    pub fn remove_leftovers(&self, directory: DirectoryNumber, names: &[Vec<u8>]) {
        if self.options.dry_run || !self.has_others(directory) {
            return;
        }
        let Ok(handle) = self.handle(directory) else { return };
        let Ok(found) = dir::list(&*handle) else { return };
        for name in (0..found.len()).map(|index| found.get(index)) {
            let bytes = name.to_bytes();
            let is_leftover = temporary::is_one(bytes)
                && !self.temporary.is_own(bytes)
                && !names.iter().any(|kept| kept == bytes);
            let is_directory = || {
                meta::stat(handle.as_fd(), name)
                    .is_ok_and(|stat| meta::file_type(&stat) == FileType::Directory)
            };
            if is_leftover && !is_directory() {
                // If this fails, the leftover does no harm, and the user can remove it.
                let _ = rustix::fs::unlinkat(&*handle, name, AtFlags::empty());
            }
        }
    }
}

/// Whether an entry is one of the snapshot's under another spelling: the target doesn't distinguish them.
fn is_spelled_otherwise(directory: BorrowedFd<'_>, name: &CStr, listing: &Listing) -> bool {
    if !listing.spellings.has(name.to_bytes()) {
        return false;
    }
    let identity = |name: &CStr| meta::stat(directory, name).ok().map(|stat| Identity::of(&stat));
    let own = identity(name);
    let same = listing.names.iter().filter(|kept| Spellings::are_one(kept, name.to_bytes()));
    own.is_some()
        && same.filter_map(|kept| CString::new(kept.as_slice()).ok()).any(|kept| identity(&kept) == own)
}

impl Removal<'_, '_> {
    /// Removes an entry of the directory that it begins in.
    fn run(&mut self, top: &Arc<OwnedFd>, name: &CStr) -> Result<()> {
        let mut handle = Arc::clone(top);
        if let Some(entered) = self.take(&handle, name) {
            handle = entered;
        }
        while let Some(level) = self.levels.last_mut() {
            if self.run.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            if level.done < level.below.len() {
                let name = level.below.get(level.done).to_owned();
                level.done += 1;
                if let Some(entered) = self.take(&handle, &name) {
                    handle = entered;
                }
                continue;
            }
            match self.leave(&handle, top) {
                Ok(above) => handle = above,
                Err(denied) => {
                    // The directory was moved, so it isn't known what is above it: nothing there is removed.
                    self.stays::<()>(c"", &denied.why());
                    self.levels.clear();
                }
            }
        }
        Ok(())
    }

    /// Removes an entry; a directory is entered instead, and its handle returned.
    fn take(&mut self, above: &OwnedFd, name: &CStr) -> Option<Arc<OwnedFd>> {
        let exclude = &self.target.options.exclude;
        let is_excluded =
            || exclude.matches_in(self.excluded_here(), name.to_bytes(), || self.in_snapshot(name));
        if !exclude.is_empty() && is_excluded() {
            // An excluded entry isn't touched, whether the snapshot has it or not.
            self.mark_kept();
            return None;
        }
        let is_directory = match meta::stat(above.as_fd(), name) {
            Ok(stat) => meta::file_type(&stat) == FileType::Directory,
            Err(Errno::NOENT) => return None,
            Err(error) => return self.stays(name, &std::io::Error::from(error).to_string()),
        };
        if !is_directory {
            self.remove(above, name, AtFlags::empty());
            return None;
        }
        match self.enter(above, name) {
            Ok(handle) => Some(handle),
            Err(denied) => self.stays(name, &denied.why()),
        }
    }

    fn enter(&mut self, above: &OwnedFd, name: &CStr) -> Result<Arc<OwnedFd>, Denied> {
        let handle = dir::open_directory(above, name)?;
        if mounts::differ(above.as_fd(), handle.as_fd()) {
            let why =
                "it is on another file system than the directory it is in: it stays, with all that is in it";
            return Err(Denied::Because(why.into()));
        }
        let below = dir::list(&handle).map_err(|error| Denied::Because(error.to_string().into()))?;
        let above = Identity::of_open(above)?;
        let excluded = self.target.options.exclude.below(self.excluded_here(), name.to_bytes());
        self.levels.push(Level { name: name.to_owned(), excluded, above, below, done: 0, stays: false });
        Ok(Arc::new(handle))
    }

    /// Goes back up from an empty directory, and removes it.
    fn leave(&mut self, handle: &OwnedFd, top: &Arc<OwnedFd>) -> Result<Arc<OwnedFd>, Denied> {
        let above = if self.levels.len() > 1 {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Arc::new(rustix::fs::openat(handle, c"..", flags, Mode::empty())?)
        } else {
            Arc::clone(top)
        };
        let found = Identity::of_open(&*above)?;
        let Some(level) = self.levels.last().filter(|level| level.above == found) else {
            return Err(Denied::REPLACED);
        };
        let (name, stays) = (level.name.clone(), level.stays);
        self.levels.pop();
        if stays {
            self.mark_kept();
        } else {
            self.remove(&above, &name, AtFlags::REMOVEDIR);
        }
        Ok(above)
    }

    fn remove(&mut self, above: &OwnedFd, name: &CStr, flags: AtFlags) {
        let dry_run = self.target.options.dry_run;
        let removed = if dry_run { Ok(()) } else { rustix::fs::unlinkat(above, name, flags) };
        match removed {
            Ok(()) => {
                self.target.counts.deleted.fetch_add(1, Ordering::Relaxed);
                if dry_run {
                    self.run.tell(&Event::WouldRemove { path: self.whole_path(name) });
                }
            }
            Err(Errno::NOENT) => {}
            Err(error) => {
                let why = format!("it can't be removed: {}", std::io::Error::from(error));
                self.stays::<()>(name, &why);
            }
        }
    }

    /// Says why an entry stays.
    fn stays<T>(&mut self, name: &CStr, why: &str) -> Option<T> {
        self.mark_kept();
        self.run.tell(&Event::Skipped { path: self.whole_path(name), why: why.to_owned() });
        None
    }

    fn mark_kept(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.stays = true;
        }
    }

    /// What the path of the directory that is being emptied has matched.
    fn excluded_here(&self) -> &Reached {
        self.levels.last().map_or(self.top.excluded, |level| &level.excluded)
    }

    /// The path of an entry below the directory that it begins in.
    fn below(&self, name: &CStr) -> Vec<u8> {
        let names: Vec<&[u8]> = self
            .levels
            .iter()
            .map(|level| level.name.to_bytes())
            .chain([name.to_bytes()])
            .filter(|name| !name.is_empty())
            .collect();
        names.join(&b'/')
    }

    fn in_snapshot(&self, name: &CStr) -> Vec<u8> {
        [self.top.path, &self.below(name)].concat()
    }

    fn whole_path(&self, name: &CStr) -> PathBuf {
        self.target.whole_path(self.top.number, &self.below(name))
    }
}
