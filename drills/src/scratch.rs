//! The folder that a drill restores into: made for it alone, removed afterwards, and removed by a later drill if the
//! process was killed.
//!
//! A folder is in use as long as its lease is locked. The kernel ends a lock with the process that holds it, so what a
//! dead process has left is told from what a living one uses without any clock. The lock of the folder above is held while
//! a folder is made or leftovers are looked for: a folder without a locked lease is therefore never one that is just made.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use thiserror::Error;

use crate::processes;

/// What the names of such folders begin with. 32 hexadecimal digits follow.
const PREFIX: &str = "drill-";
/// The file in each of them whose lock says that it is in use.
const LEASE: &str = "lease";
/// The file beside them whose lock is held while they are made and removed.
const LOCK: &str = "drills.lock";
/// The mode of folders that only their owner may enter.
const OWN: u32 = 0o700;
/// The mode of folders that others may go through.
const PASSABLE: u32 = 0o711;

/// Why there is no folder to restore into.
#[derive(Debug, Error)]
pub enum ScratchError {
    /// Something of it can't be made, opened or removed.
    #[error("the folder {} for drills can't be used", .path.display())]
    Folder {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is, is in, or has in it something that is in use.
    #[error("drills can't use the folder {}, because it overlaps {what} ({})", .folder.display(), .path.display())]
    Live {
        /// The folder.
        folder: PathBuf,
        /// What is there, such as `the repository main`.
        what: String,
        /// Its path.
        path: PathBuf,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ScratchError {
    let path = path.to_owned();
    |source| ScratchError::Folder { path, source }
}

/// Something that a drill must not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// What it is, such as `a source of plan www`.
    pub what: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Refuses a folder that overlaps anything that is in use, by where both really are.
pub fn refuse_live(folder: &Path, live: &[Live]) -> Result<(), ScratchError> {
    let own = real(folder);
    for Live { what, path } in live {
        let other = real(path);
        if own.starts_with(&other) || other.starts_with(&own) {
            let (folder, what, path) = (folder.to_owned(), what.clone(), path.clone());
            return Err(ScratchError::Live { folder, what, path });
        }
    }
    Ok(())
}

/// A path without symbolic links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    path.to_owned()
}

/// A folder of its own, removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    name: [u8; 16],
    _lease: File,
}

impl Scratch {
    /// Makes a folder in `above`, which is made too if it isn't there. `random` is its name: no two drills have the same.
    pub fn make(above: &Path, random: [u8; 16]) -> Result<Self, ScratchError> {
        Self::with_mode(above, random, OWN)
    }

    /// The same, for programs of another user: who knows the name of a folder in it can go there, and no one can list it.
    pub fn make_passable(above: &Path, random: [u8; 16]) -> Result<Self, ScratchError> {
        Self::with_mode(above, random, PASSABLE)
    }

    fn with_mode(above: &Path, random: [u8; 16], mode: u32) -> Result<Self, ScratchError> {
        DirBuilder::new().recursive(true).mode(mode).create(above).map_err(failed(above))?;
        check_own(above)?;
        let _lock = lock_of(above)?;
        let path = above.join(format!("{PREFIX}{}", HEXLOWER.encode(&random)));
        DirBuilder::new().mode(mode).create(&path).map_err(failed(&path))?;
        let lease = path.join(LEASE);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lease);
        let file = made.map_err(failed(&lease))?;
        file.lock().map_err(failed(&lease))?;
        Ok(Self { path, name: random, _lease: file })
    }

    /// The name for another folder of the same drill: both may be in the same one.
    #[must_use]
    pub fn name_of_servers(&self) -> [u8; 16] {
        self.name.map(|byte| !byte)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes an empty folder in it that only this user may enter.
    pub fn folder(&self, name: &str) -> Result<PathBuf, ScratchError> {
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed(&path))?;
        Ok(path)
    }

    /// Removes it, and says if that fails.
    pub fn remove(self) -> Result<(), ScratchError> {
        remove(&self.path).map_err(failed(&self.path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed by the next drill.
        let _ = remove(&self.path);
    }
}

/// What was left of drills whose processes are gone.
#[derive(Debug, Default)]
pub struct Reaped {
    /// Folders that were removed.
    pub removed: Vec<PathBuf>,
    /// Folders that couldn't be, and why.
    pub left: Vec<ScratchError>,
    /// Processes that still ran in them and were ended.
    pub ended: usize,
}

/// Removes what drills have left in `above` whose processes are gone, and ends servers that still run in there. Nothing
/// else is touched: not a folder that is in use, of another name, of another user, or behind a symbolic link.
pub fn reap(above: &Path) -> Result<Reaped, ScratchError> {
    let mut reaped = Reaped::default();
    if !above.exists() {
        return Ok(reaped);
    }
    check_own(above)?;
    let _lock = lock_of(above)?;
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(above).map_err(failed(above))? {
        let entry = entry.map_err(failed(above))?;
        let path = entry.path();
        let is_ours = is_name(&entry.file_name().to_string_lossy())
            && fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir() && found.uid() == user);
        if !is_ours || is_in_use(&path) {
            continue;
        }
        reaped.ended += processes::end_in(&path);
        match remove(&path) {
            Ok(()) => reaped.removed.push(path),
            Err(error) => reaped.left.push(failed(&path)(error)),
        }
    }
    Ok(reaped)
}

/// Refuses a folder in which another user could put something in the place of a drill, or hold its lock.
fn check_own(above: &Path) -> Result<(), ScratchError> {
    let found = fs::symlink_metadata(above).map_err(failed(above))?;
    let is_own = found.is_dir()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.permissions().mode() & 0o022 == 0;
    if is_own {
        return Ok(());
    }
    let why = "it has to be a folder of the user that runs the drill, to which no one else can write";
    Err(failed(above)(io::Error::new(io::ErrorKind::PermissionDenied, why)))
}

/// The first folder on the way to a place through which other users can't go.
#[must_use]
pub fn closed_above(place: &Path) -> Option<&Path> {
    let is_closed =
        |folder: &&Path| fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o001 == 0);
    place.ancestors().skip(1).find(is_closed)
}

fn lock_of(above: &Path) -> Result<File, ScratchError> {
    let path = above.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(failed(&path))?;
    file.lock().map_err(failed(&path))?;
    Ok(file)
}

fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|digits| digits.len() == 32 && HEXLOWER.decode(digits.as_bytes()).is_ok())
}

/// Whether a process holds its lease. If that can't be said, one may.
fn is_in_use(folder: &Path) -> bool {
    match OpenOptions::new().write(true).open(folder.join(LEASE)) {
        Ok(lease) => match lease.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        },
        // The process that made it died before it had a lease, or while it was removed.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Removes a folder with all that is in it, also what was restored with modes that keep its owner out. The lease goes
/// last: until then, the folder is known for what it is.
fn remove(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LEASE {
            continue;
        }
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            open_up(&path)?;
            fs::remove_dir_all(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    fs::remove_dir_all(folder)
}

/// Lets the owner into all folders below.
fn open_up(folder: &Path) -> io::Result<()> {
    let mut stack = vec![folder.to_owned()];
    while let Some(folder) = stack.pop() {
        let found = fs::symlink_metadata(&folder)?;
        if found.permissions().mode() & 0o700 != 0o700 {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                stack.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::{LEASE, Live, Scratch, ScratchError, closed_above, reap, refuse_live};

    #[test]
    fn it_is_ones_own_and_gone_afterwards() {
        let above = tempfile::tempdir().expect("a folder");
        let place = above.path().join("drills");
        let scratch = Scratch::make(&place, [7; 16]).expect("made");
        let path = scratch.path().to_owned();
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o7777, 0o700);
        assert!(Scratch::make(&place, [7; 16]).is_err(), "one name, one drill");
        let closed = scratch.folder("files").expect("a folder");
        fs::create_dir(closed.join("closed")).expect("made");
        fs::write(closed.join("closed/file"), "x").expect("written");
        fs::set_permissions(closed.join("closed"), fs::Permissions::from_mode(0o000)).expect("set");
        scratch.remove().expect("removed");
        assert!(!path.exists());
        drop(Scratch::make(&place, [8; 16]).expect("made"));
        assert_eq!(fs::read_dir(&place).expect("listed").count(), 1, "the lock alone is left");
    }

    #[test]
    fn only_what_the_dead_have_left_is_reaped() {
        let above = tempfile::tempdir().expect("a folder");
        let place = above.path();
        let alive = Scratch::make(place, [1; 16]).expect("made");
        let dead = Scratch::make(place, [2; 16]).expect("made");
        let dead_path = dead.path().to_owned();
        fs::write(dead_path.join("data"), "x").expect("written");
        // What a killed process leaves: the folder, and a lock that is free.
        let Scratch { _lease: lease, .. } = &dead;
        lease.unlock().expect("it is free");
        std::mem::forget(dead);
        let early = place.join(format!("drill-{}", "0".repeat(32)));
        fs::create_dir(&early).expect("a drill that died before it had a lease");
        let others = ["drill-notes", "drill-", "data", &format!("drill-{}", "G".repeat(32))];
        for name in others {
            fs::create_dir(place.join(name)).expect("made");
        }
        let elsewhere = tempfile::tempdir().expect("a folder");
        let link = place.join(format!("drill-{}", "a".repeat(32)));
        symlink(elsewhere.path(), &link).expect("linked");
        fs::write(elsewhere.path().join("kept"), "x").expect("written");
        let mut removed = reap(place).expect("reaped").removed;
        removed.sort();
        assert_eq!(removed, [early, dead_path]);
        assert!(alive.path().join(LEASE).exists() && elsewhere.path().join("kept").exists());
        assert!(others.iter().all(|name| place.join(name).exists()));
        assert!(reap(&place.join("none")).expect("nothing to reap").removed.is_empty());
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let above = tempfile::tempdir().expect("a folder");
        let open = above.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("set");
        let error = Scratch::make(&open, [1; 16]).expect_err("anyone can write there");
        assert!(matches!(&error, ScratchError::Folder { path, .. } if *path == open), "{error}");
        assert!(reap(&open).is_err());
        let link = above.path().join("link");
        symlink(above.path(), &link).expect("linked");
        assert!(Scratch::make(&link, [1; 16]).is_err(), "another user may change where it leads");
        let scratch = Scratch::make_passable(&above.path().join("new"), [1; 16]).expect("made");
        let folder = scratch.folder("server").expect("a folder");
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o700)).expect("set");
        assert_eq!(closed_above(&folder), Some(above.path()));
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o711)).expect("set");
        assert_eq!(closed_above(&folder), None);
    }

    #[test]
    fn a_live_place_is_refused_whatever_the_path_looks_like() {
        let above = tempfile::tempdir().expect("a folder");
        let (srv, link) = (above.path().join("srv"), above.path().join("link"));
        fs::create_dir_all(srv.join("www")).expect("made");
        symlink(&srv, &link).expect("linked");
        let live = [Live { what: "a source of plan www".to_owned(), path: srv.join("www") }];
        for folder in [srv.join("www"), srv.join("www/drills/new"), srv.clone(), link.join("www/drills")] {
            let refused = refuse_live(&folder, &live).expect_err("it is live");
            assert!(matches!(&refused, ScratchError::Live { what, .. } if what.contains("www")), "{refused}");
        }
        for folder in [srv.join("www2"), srv.join("drills"), above.path().join("other/new")] {
            assert!(refuse_live(&folder, &live).is_ok(), "{}", folder.display());
        }
    }
}
