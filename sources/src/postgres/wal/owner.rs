//! To whom the files of a spool belong: to the owner of its folder, whichever program makes them. A server that archives
//! runs as a user of its own, and a program that gives files away may run as root.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown};
use std::path::Path;

use rustix::fs::OFlags;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// That of a folder.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let found = fs::metadata(folder)?;
        Ok(Self { user: found.uid(), group: found.gid() })
    }

    /// Opens a file, and gives it away if it is new. A link isn't followed: it could lead out of the folder.
    pub fn open(self, options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
        let file = options.mode(0o600).custom_flags(no_follow).open(path)?;
        if self.takes(&file.metadata()?) {
            fchown(&file, Some(self.user), Some(self.group))?;
        }
        Ok(file)
    }

    /// Makes a folder, if it isn't there.
    pub fn make(self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::symlink_metadata(path)?.is_dir() {
                    return Ok(());
                }
                Err(error)
            }
            made => {
                made?;
                if self.takes(&fs::metadata(path)?) {
                    chown(path, Some(self.user), Some(self.group))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Only what this process has made as root is given away.
    fn takes(self, found: &fs::Metadata) -> bool {
        let is_new = found.is_dir() || found.len() == 0;
        found.uid() == 0 && is_new && self.user != 0 && rustix::process::geteuid().is_root()
    }
}
