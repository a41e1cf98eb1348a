//! Where a dump goes.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Takes the entries of a dump, from several threads at once. Paths are relative, with `/` between their parts.
pub trait Sink: Sync {
    /// Takes a file with all that `content` gives; returns its length in bytes. Errors of `content` come back as they are.
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64>;

    /// Takes a folder for its mode, or because nothing is in it. The folders of files need no call.
    fn folder(&self, path: &str, attributes: Attributes) -> io::Result<()>;

    /// Takes a symbolic link.
    fn link(&self, path: &str, target: &str, attributes: Attributes) -> io::Result<()>;
}

/// A file of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewFile<'a> {
    /// Its path in the dump.
    pub path: &'a str,
    /// Its mode and time.
    pub attributes: Attributes,
    /// The bytes of a page, if it is made of pages that are written in place.
    pub page_bytes: Option<NonZeroU32>,
}

impl<'a> NewFile<'a> {
    /// A file that only its owner reads and that is cut by its content.
    #[must_use]
    pub fn new(path: &'a str) -> Self {
        Self { path, attributes: Attributes { mode: 0o600, modified: None }, page_bytes: None }
    }
}

/// What an entry has beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions.
    pub mode: u32,
    /// Seconds since 1970; none means the time of the run.
    pub modified: Option<i64>,
}

/// A folder of this machine that takes a dump.
#[derive(Debug)]
pub struct FolderSink {
    root: PathBuf,
}

impl FolderSink {
    /// Into a folder that is there, and that only the caller writes to.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn place_of(&self, path: &str) -> io::Result<PathBuf> {
        let is_plain = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || !Path::new(path).components().all(is_plain) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{path} isn't a path in a dump"),
            ));
        }
        let place = self.root.join(path);
        if let Some(folder) = place.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(place)
    }
}

impl Sink for FolderSink {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        let place = self.place_of(file.path)?;
        let mut into =
            OpenOptions::new().write(true).create_new(true).mode(file.attributes.mode).open(place)?;
        io::copy(content, &mut into)
    }

    fn folder(&self, path: &str, attributes: Attributes) -> io::Result<()> {
        let place = self.place_of(path)?;
        match fs::DirBuilder::new().mode(attributes.mode).create(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && place.is_dir() => Ok(()),
            made => made,
        }
    }

    fn link(&self, path: &str, target: &str, _: Attributes) -> io::Result<()> {
        std::os::unix::fs::symlink(target, self.place_of(path)?)
    }
}
