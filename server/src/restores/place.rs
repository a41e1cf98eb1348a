//! Directories that restores write into: reached name by name from a handle, so that no link leads elsewhere and no one can
//! put another directory in the place of one that was looked at.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_config::config::Config;
use keepfast_config::values::address::Place;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, fstatvfs, mkdirat, openat, statat};
use rustix::io::Errno;

use super::error::RestoreError;
use crate::state;
use crate::surroundings::Surroundings;

/// Bytes of a name, at most.
const NAME_BYTES_MAX: usize = 255;
/// Names on the way to a folder below a place, at most.
const DEPTH_MAX: usize = 64;
/// Directories that are looked at on the way up from one, at most.
const ASCENT_MAX: usize = 4096;
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What is done about a directory that isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing: it is only looked.
    Left,
    /// It is made, with this mode.
    Made(Mode),
}

/// A directory, as far as it is there.
#[derive(Debug, Clone)]
pub struct Spot {
    /// Its path, for people.
    pub path: PathBuf,
    /// It, if it is there.
    pub handle: Option<Arc<OwnedFd>>,
    /// The last directory on the way to it that is there.
    pub nearest: Arc<OwnedFd>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// The names of a path below a place.
///
/// # Errors
/// One of them is no name of an entry.
pub fn names(folder: &[u8]) -> Result<Vec<CString>, RestoreError> {
    let wrong = || RestoreError::Name { folder: String::from_utf8_lossy(folder).into_owned() };
    if folder.is_empty() {
        return Ok(Vec::new());
    }
    let names = folder.split(|byte| *byte == b'/').map(|name| match name {
        b"" | b"." | b".." => Err(wrong()),
        name if name.len() > NAME_BYTES_MAX => Err(wrong()),
        name => CString::new(name).map_err(|_| wrong()),
    });
    let names = names.collect::<Result<Vec<_>, _>>()?;
    if names.len() > DEPTH_MAX { Err(wrong()) } else { Ok(names) }
}

impl Spot {
    /// The top of the file system.
    fn top() -> Result<Self, RestoreError> {
        let top = openat(CWD, "/", OPEN, Mode::empty()).map_err(RestoreError::file("/"))?;
        let top = Arc::new(top);
        Ok(Self { path: PathBuf::from("/"), handle: Some(Arc::clone(&top)), nearest: top, is_new: false })
    }

    /// A directory by its path from the top down.
    ///
    /// # Errors
    /// A link or something else is on the way, or it can't be reached.
    pub fn at(path: &Path, absent: Absent) -> Result<Self, RestoreError> {
        let names = path.components().filter_map(|part| match part {
            std::path::Component::Normal(name) => CString::new(name.as_bytes()).ok(),
            _ => None,
        });
        Self::top()?.down(&names.collect::<Vec<_>>(), absent)
    }

    /// A directory below this one.
    ///
    /// # Errors
    /// A link or something else is on the way, or it can't be reached or made.
    pub fn down(self, names: &[CString], absent: Absent) -> Result<Self, RestoreError> {
        let mut at = self;
        for name in names {
            at.path.push(OsStr::from_bytes(name.to_bytes()));
            at.is_new = false;
            let Some(above) = at.handle.take() else { continue };
            let open = || openat(&above, name.as_c_str(), OPEN, Mode::empty());
            let opened = match (open(), absent) {
                (Err(Errno::NOENT), Absent::Made(mode)) => {
                    match mkdirat(&above, name.as_c_str(), mode) {
                        Ok(()) => at.is_new = true,
                        // Another one was faster. What it has made is looked at as anything else.
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(RestoreError::file(&at.path)(error)),
                    }
                    open()
                }
                (opened, _) => opened,
            };
            match opened {
                Ok(handle) => {
                    let handle = Arc::new(handle);
                    (at.handle, at.nearest) = (Some(Arc::clone(&handle)), handle);
                }
                Err(Errno::NOENT) if absent == Absent::Left => {}
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(RestoreError::NoFolder { path: at.path }),
                Err(error) => return Err(RestoreError::file(&at.path)(error)),
            }
        }
        Ok(at)
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// It can't be listed.
    pub fn is_empty(&self) -> Result<bool, RestoreError> {
        let Some(handle) = &self.handle else { return Ok(true) };
        let listed = || -> Result<bool, Errno> {
            for entry in Dir::read_from(handle)? {
                if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        listed().map_err(RestoreError::file(&self.path))
    }

    /// Whether an entry of it is a symbolic link.
    pub fn has_link(&self, name: &OsStr) -> bool {
        let Some(handle) = &self.handle else { return false };
        statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }

    /// Bytes that are free for it; `None` where the file system says nothing of its room.
    pub fn free_bytes(&self) -> Option<u64> {
        let room = fstatvfs(&self.nearest).ok().filter(|room| room.f_blocks > 0)?;
        Some(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// The file system that it is on.
    pub fn device(&self) -> Option<u64> {
        fstat(&self.nearest).ok().map(|stat| stat.st_dev)
    }

    /// Where it really is: a directory above it may have another path by now.
    fn real_path(&self) -> PathBuf {
        let link = format!("/proc/self/fd/{}", self.nearest.as_raw_fd());
        let Ok(real) = std::fs::read_link(link) else { return self.path.clone() };
        let named = self.handle.is_some().then(Vec::new);
        // What isn't there is below the nearest that is.
        let rest = named.unwrap_or_else(|| self.path.components().skip(real.components().count()).collect());
        rest.into_iter().fold(real, |path, part| path.join(part))
    }
}

/// What no restore may write over.
pub struct Guarded {
    places: Vec<(PathBuf, String)>,
}

impl Guarded {
    /// The repositories and the server's own folders.
    #[must_use]
    pub fn of(config: &Config, around: &Surroundings) -> Self {
        let repositories = config.repositories.values().filter_map(|repository| {
            let Place::Directory(path) = &repository.value.url.value else { return None };
            Some((path.clone(), format!("the repository {}", repository.name)))
        });
        let own = state::folders(config).into_iter().map(|path| (path, "the state of the server".to_owned()));
        let cache = (around.cache.clone(), "the cache of repositories".to_owned());
        Self { places: repositories.chain(own).chain([cache]).collect() }
    }

    /// Refuses a target that is one of them, is inside of one, or has one inside. `below` is an entry of the target that is
    /// meant instead of all of it.
    ///
    /// # Errors
    /// It is.
    pub fn check(&self, spot: &Spot, below: Option<&Path>) -> Result<(), RestoreError> {
        let real = below.map_or_else(|| spot.real_path(), |below| spot.real_path().join(below));
        let above = ascent(spot);
        for (place, what) in &self.places {
            let there = std::fs::canonicalize(place).unwrap_or_else(|_| place.clone());
            // A directory can be mounted at a second path: then it is the same one, and not its path.
            let is_same = openat(CWD, place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .and_then(fstat)
                .is_ok_and(|stat| above.contains(&identity(&stat)));
            if is_same || real.starts_with(&there) || there.starts_with(&real) {
                return Err(RestoreError::Own { target: real, what: what.clone() });
            }
        }
        Ok(())
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// The directories that a target is in, and itself.
fn ascent(spot: &Spot) -> Vec<(u64, u64)> {
    let mut seen = Vec::new();
    let Ok(mut at) = spot.nearest.try_clone() else { return seen };
    while let Ok(stat) = fstat(at.as_fd()) {
        if seen.last() == Some(&identity(&stat)) || seen.len() >= ASCENT_MAX {
            break;
        }
        seen.push(identity(&stat));
        let Ok(above) = openat(&at, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        else {
            break;
        };
        at = above;
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::fs::{Mode, OFlags, openat};

    use super::{Absent, Guarded, Spot, names};
    use crate::restores::error::RestoreError;

    const MADE: Absent = Absent::Made(Mode::from_raw_mode(0o755));

    fn named(folder: &str) -> Vec<CString> {
        names(folder.as_bytes()).expect("names")
    }

    #[test]
    fn only_names_lead_below_a_place() {
        for wrong in ["..", "a/..", ".", "a/./b", "/a", "a/", "a//b", "a\0b"] {
            assert!(matches!(names(wrong.as_bytes()), Err(RestoreError::Name { .. })), "{wrong:?}");
        }
        assert!(names(&[b'n'; 256]).is_err() && names("a/".repeat(64).as_bytes()).is_err());
        assert_eq!(named("a/\u{e9}").len(), 2);
        assert!(named("").is_empty());
    }

    #[test]
    fn what_was_opened_stays_what_it_is_when_its_name_is_another_ones() {
        let desk = tempfile::tempdir().expect("a folder");
        let (place, outside) = (desk.path().join("place"), desk.path().join("outside"));
        fs::create_dir(&place).expect("it can be made");
        fs::create_dir(&outside).expect("it can be made");
        let at = |absent| Spot::at(&place, Absent::Left)?.down(&named("a/b"), absent);
        let looked = at(Absent::Left).expect("it can be looked at");
        assert!(looked.handle.is_none() && !place.join("a").exists(), "a look makes nothing");
        assert!(looked.free_bytes().is_some() && looked.is_empty().expect("it isn't there"));
        let made = at(MADE).expect("it can be made");
        assert!(made.is_new && made.is_empty().expect("it can be listed"));
        assert!(!at(MADE).expect("it is there").is_new);
        fs::rename(place.join("a"), place.join("moved")).expect("it can be moved");
        symlink(&outside, place.join("a")).expect("it can be made");
        let handle = made.handle.as_ref().expect("it is there");
        let flags = OFlags::CREATE | OFlags::WRONLY;
        drop(openat(handle, "file", flags, Mode::RUSR).expect("it can be made"));
        assert!(place.join("moved/b/file").exists());
        assert_eq!(fs::read_dir(&outside).expect("it can be listed").count(), 0);
        assert!(matches!(at(MADE), Err(RestoreError::NoFolder { path }) if path == place.join("a")));
        fs::write(place.join("file"), "").expect("it can be written");
        let file = Spot::at(&place, Absent::Left).and_then(|spot| spot.down(&named("file/x"), MADE));
        assert!(matches!(file, Err(RestoreError::NoFolder { .. })));
    }

    #[test]
    fn what_restores_must_not_write_over_is_known_in_both_directions_and_by_its_identity() {
        let desk = tempfile::tempdir().expect("a folder");
        let own = desk.path().join("own");
        fs::create_dir_all(own.join("inside")).expect("it can be made");
        fs::create_dir(desk.path().join("other")).expect("it can be made");
        let check = |guarded: &Path, path: &Path, below: Option<&str>| {
            let guarded = Guarded { places: vec![(guarded.to_owned(), "the state".to_owned())] };
            guarded.check(&Spot::at(path, Absent::Left).expect("a spot"), below.map(Path::new))
        };
        for refused in [own.clone(), own.join("inside"), own.join("not there"), desk.path().to_owned()] {
            let told = check(&own, &refused, None).expect_err("it is refused").to_string();
            assert!(told.contains("the state is there"), "{told}");
        }
        assert!(check(&own, &desk.path().join("other"), None).is_ok());
        // Of a target, only the part that is meant.
        assert!(check(&own, desk.path(), Some("other")).is_ok());
        assert!(check(&own, desk.path(), Some("own/inside")).is_err());
        // By another path, it is the same directory.
        let alias = desk.path().join("alias");
        symlink(&own, &alias).expect("it can be made");
        assert!(check(&alias, &own.join("inside"), None).is_err());
    }
}
