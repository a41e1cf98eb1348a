//! The folder of managed files, by its handle: what others put in the place of a file or of the folder itself is never
//! followed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use keepfast_config::managed::MANAGED;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, fstat, fsync, mkdir, open, openat, renameat, unlinkat,
};

use super::{END, ManagedError, ManagedName, TEXT_BYTES_MAX};
use crate::error::{Result, ServerError};
use crate::state::random_name;

/// Files that are listed, at most: more are not read as definitions either.
const FILES_MAX: usize = 256;
/// The modes of the folder and of its files. The group is that of the service's account.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o750);
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);

/// The folder of managed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// That beside the first file of the definitions.
    #[must_use]
    pub fn beside(first_file: &Path) -> Self {
        Self { path: first_file.parent().map(Path::to_owned).unwrap_or_default().join(MANAGED) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file is.
    #[must_use]
    pub fn file(&self, name: &ManagedName) -> PathBuf {
        self.path.join(name.file())
    }

    /// The names of its files, in their order. Files with other names aren't the API's.
    ///
    /// # Errors
    /// It can't be listed.
    pub fn names(&self) -> Result<Vec<ManagedName>> {
        let failed = |source| self.failed("read", source);
        let Some(folder) = self.open().map_err(failed)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in Dir::read_from(&folder).map_err(|error| failed(error.into()))? {
            let entry = entry.map_err(|error| failed(error.into()))?;
            let name = entry.file_name().to_str().ok().and_then(|name| name.strip_suffix(END));
            found.extend(name.and_then(ManagedName::new));
            if found.len() > FILES_MAX {
                break;
            }
        }
        found.sort();
        Ok(found)
    }

    /// What a file says; nothing if there is none.
    ///
    /// # Errors
    /// It can't be read, is no file, or is too large.
    pub fn read(&self, name: &ManagedName) -> Result<Option<String>> {
        let text = match self.open() {
            Ok(Some(folder)) => read_in(&folder, &name.file()),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        text.map_err(|source| self.failed_at(name, "read", source))
    }

    /// Writes a file, all of it or nothing: a program that reads it meanwhile, or after a crash, finds the old text or the new
    /// one.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, name: &ManagedName, text: &str) -> Result<()> {
        // No definition is read from a name with another end.
        let aside = format!(".{}.{}", name.file(), random_name()?);
        let written = self.make().and_then(|folder| {
            let done = write_in(&folder, &aside, text.as_bytes())
                .and_then(|()| Ok(renameat(&folder, aside.as_str(), &folder, name.file())?));
            if done.is_err() {
                // It may not be there.
                let _ = unlinkat(&folder, aside.as_str(), AtFlags::empty());
            }
            done.and_then(|()| Ok(fsync(&folder)?))
        });
        written.map_err(|source| self.failed_at(name, "written", source))
    }

    /// Removes a file; nothing happens if there is none.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self, name: &ManagedName) -> Result<()> {
        let removed = self.open().and_then(|folder| {
            let Some(folder) = folder else { return Ok(()) };
            match unlinkat(&folder, name.file(), AtFlags::empty()) {
                Ok(()) => Ok(fsync(&folder)?),
                Err(rustix::io::Errno::NOENT) => Ok(()),
                Err(error) => Err(error.into()),
            }
        });
        removed.map_err(|source| self.failed_at(name, "removed", source))
    }

    fn open(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open(&self.path, flags, Mode::empty()) {
            Ok(folder) => Ok(Some(folder)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn make(&self) -> io::Result<OwnedFd> {
        match mkdir(&self.path, FOLDER_MODE) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.open()?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> ServerError {
        ManagedError { file: self.path.clone(), doing, source }.into()
    }

    fn failed_at(&self, name: &ManagedName, doing: &'static str, source: io::Error) -> ServerError {
        ManagedError { file: self.file(name), doing, source }.into()
    }
}

fn read_in(folder: &OwnedFd, name: &str) -> io::Result<Option<String>> {
    // A pipe in its place must not hold up anyone.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(TEXT_BYTES_MAX).unwrap_or(u64::MAX);
    File::from(file).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {TEXT_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::Error::other("it isn't UTF-8"))
}

fn write_in(folder: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, FILE_MODE)?);
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::Folder;
    use crate::managed::ManagedName;

    #[test]
    fn files_are_written_read_listed_and_removed() {
        let desk = tempfile::tempdir().unwrap();
        let folder = Folder::beside(&desk.path().join("keepfast.toml"));
        let name = ManagedName::new("www").unwrap();
        assert_eq!(folder.names().unwrap(), []);
        assert_eq!(folder.read(&name).unwrap(), None);
        folder.remove(&name).unwrap();
        folder.write(&name, "one").unwrap();
        folder.write(&name, "two").unwrap();
        assert_eq!(folder.read(&name).unwrap().as_deref(), Some("two"));
        let mode = fs::metadata(folder.file(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
        fs::write(folder.path().join("By Hand.toml"), "").unwrap();
        assert_eq!(folder.names().unwrap(), std::slice::from_ref(&name));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left aside");
        folder.remove(&name).unwrap();
        assert_eq!(folder.names().unwrap(), []);
    }

    #[test]
    fn what_stands_in_the_place_of_a_file_or_of_the_folder_is_not_followed() {
        let desk = tempfile::tempdir().unwrap();
        let folder = Folder::beside(&desk.path().join("keepfast.toml"));
        let (name, other) = (ManagedName::new("www").unwrap(), ManagedName::new("pipe").unwrap());
        let outside = desk.path().join("secret");
        fs::write(&outside, "a secret").unwrap();
        fs::create_dir(folder.path()).unwrap();
        symlink(&outside, folder.file(&name)).unwrap();
        assert!(folder.read(&name).is_err());
        folder.write(&name, "mine").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "a secret");
        assert_eq!(folder.read(&name).unwrap().as_deref(), Some("mine"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.file(&other),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(folder.read(&other).is_err());
        fs::remove_dir_all(folder.path()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), folder.path()).unwrap();
        assert!(folder.write(&name, "x").is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
