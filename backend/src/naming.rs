//! Gives files that are complete their names, so that of any number of files one gets each name.
//!
//! A link does that, and a rename that doesn't replace. Some file systems that programs serve can do
//! neither: there a name is given only if nothing else writes to the store meanwhile.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::Created;
use crate::error::Failed;

/// A file system that can't give a name so that another file of that name is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file system can neither link files nor rename them without replacing others, so two writers could overwrite \
     each other's objects ({})",
    self.seen()
)]
pub struct NoExclusiveNames {
    link: Errno,
    rename: Errno,
}

impl NoExclusiveNames {
    /// How the file system answered.
    #[must_use]
    pub fn seen(self) -> String {
        format!("link: {}; rename: {}", io::Error::from(self.link), io::Error::from(self.rename))
    }
}

/// How the names of one store are given.
#[derive(Debug, Default)]
pub struct Naming {
    /// Whether no other process writes to the store. A run sets it before it starts the threads that create,
    /// so it needs no order of its own.
    one_writer: AtomicBool,
    /// Held from looking whether a name is free until it is given, where the file system can't do both at
    /// once: the threads of all runs of this process don't overwrite each other's objects.
    giving: Mutex<()>,
}

impl Naming {
    /// From now on nothing but this value gives names in the store: it stands for all runs of this process.
    pub fn expect_one_writer(&self) {
        self.one_writer.store(true, Ordering::Relaxed);
    }

    /// Gives `temporary` the name `path`, unless there is something of that name. Its own name may stay.
    pub fn give(&self, temporary: &Path, path: &Path) -> Result<Created, Failed> {
        let link = match rustix::fs::link(temporary, path) {
            Ok(()) => return Ok(Created::New),
            // The answer may have been lost, and the request sent again (NFS).
            Err(Errno::EXIST) if is_same(temporary, path) => return Ok(Created::New),
            Err(Errno::EXIST) => return Ok(Created::AlreadyThere),
            Err(error) => error,
        };
        let rename = match rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Created::New),
            // Some servers refuse a link whose name was just taken as they refuse what they can't do (SFTP).
            Err(Errno::EXIST) => return Ok(Created::AlreadyThere),
            Err(error) if !is_lack(error) => return Err(error.into()),
            Err(error) => error,
        };
        if !is_lack(link) {
            return Err(link.into());
        }
        if !self.one_writer.load(Ordering::Relaxed) {
            return Err(NoExclusiveNames { link, rename }.into());
        }
        let _giving = self.giving.lock();
        if is_there(path)? {
            return Ok(Created::AlreadyThere);
        }
        rustix::fs::rename(temporary, path)?;
        Ok(Created::New)
    }
}

/// Whether an error says of something that can be done elsewhere that it can't be done here. The file that
/// it concerns has just been made in the same directory, so it is no question of who asks.
pub fn is_lack(error: Errno) -> bool {
    matches!(
        error,
        Errno::PERM
            | Errno::ACCESS
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::INVAL
            | Errno::MLINK
            | Errno::XDEV
    )
}

fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
