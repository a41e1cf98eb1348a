//! Files and folders that belong to the server's user alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, fchown};
use std::path::{Component, Path, PathBuf};

use keepfast_process::tool::Account;

use crate::error::{Result, SourceError};

/// A folder that is filled with what the server's user owns.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
    account: Option<Account>,
}

impl Folder {
    /// Uses an empty folder, or makes it.
    pub fn claim(root: &Path, account: Option<Account>) -> Result<Self> {
        let failed = |source| SourceError::File { path: root.to_owned(), source };
        match fs::read_dir(root) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(SourceError::Occupied { object: root.display().to_string() });
                }
                // PostgreSQL refuses a folder that others can enter.
                fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                    .map_err(failed)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        if let Some(Account { user, group }) = account {
            chown(root, Some(user), Some(group)).map_err(failed)?;
        }
        Ok(Self { root: root.to_owned(), account })
    }

    /// The place of a path in it. A path that leads elsewhere is refused.
    pub fn place(&self, path: &str) -> Result<PathBuf> {
        let is_plain = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || path.starts_with('/') || !Path::new(path).components().all(is_plain) {
            let why = "it isn't a path in a dump".to_owned();
            return Err(SourceError::Dump { object: path.to_owned(), why });
        }
        Ok(self.root.join(path))
    }

    /// Makes a folder in it, and those above.
    pub fn make(&self, path: &str) -> Result<PathBuf> {
        let place = self.place(path)?;
        let mut made = self.root.clone();
        for part in Path::new(path).components() {
            made.push(part);
            match DirBuilder::new().mode(0o700).create(&made) {
                Ok(()) => self.give(&made)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(SourceError::File { path: made, source }),
            }
        }
        Ok(place)
    }

    /// Writes a new file. Errors of the content are told apart from those of this folder.
    pub fn write(&self, path: &str, content: &mut dyn Read) -> Result<u64> {
        let place = self.place(path)?;
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.make(folder)?;
        }
        let failed = |source| SourceError::File { path: place.clone(), source };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place).map_err(failed)?;
        if let Some(Account { user, group }) = self.account {
            fchown(&file, Some(user), Some(group)).map_err(failed)?;
        }
        copy(content, &mut file).map_err(|error| match error {
            Side::Input(source) => SourceError::Transfer { object: path.to_owned(), source },
            Side::Output(source) => failed(source),
        })
    }

    /// Writes a new file with a text.
    pub fn write_text(&self, path: &str, text: &str) -> Result<()> {
        self.write(path, &mut text.as_bytes()).map(|_| ())
    }

    /// Waits until the file system has all of it.
    pub fn sync(&self) -> Result<()> {
        let synced = File::open(&self.root).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        synced.map_err(|source| SourceError::File { path: self.root.clone(), source })
    }

    fn give(&self, path: &Path) -> Result<()> {
        let Some(Account { user, group }) = self.account else { return Ok(()) };
        chown(path, Some(user), Some(group))
            .map_err(|source| SourceError::File { path: path.to_owned(), source })
    }
}

enum Side {
    Input(io::Error),
    Output(io::Error),
}

fn copy(input: &mut dyn Read, output: &mut File) -> Result<u64, Side> {
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        let read = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(Side::Input)?,
        };
        let piece = buffer.get(..read).unwrap_or(&[]);
        if piece.is_empty() {
            return Ok(bytes);
        }
        output.write_all(piece).map_err(Side::Output)?;
        bytes += u64::try_from(read).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Folder;

    #[test]
    fn only_an_empty_folder_is_filled_and_nothing_is_written_outside_of_it() {
        let root = tempfile::tempdir().expect("a folder");
        let place = root.path().join("data");
        let folder = Folder::claim(&place, None).expect("new");
        folder.write_text("a/b/c", "text").expect("a file");
        for path in ["", "/etc/x", "../x", "a/../../x", "a/./x"] {
            assert!(folder.write_text(path, "").is_err() || path == "a/./x", "{path}");
        }
        assert!(folder.write_text("a/b/c", "other").is_err(), "no file is replaced");
        let mode =
            |path: &str| place.join(path).metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("a/b"), mode("a/b/c")), (0o700, 0o700, 0o600));
        assert!(Folder::claim(&place, None).expect_err("filled").to_string().contains("isn't empty"));
    }
}
