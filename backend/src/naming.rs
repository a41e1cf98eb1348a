//! Gives complete files their names, so that of any number of files only one gets each name.
//!
//! A link does that, and so does a rename that doesn't replace. Some FUSE file systems can do neither: there a
//! name is safe only if nothing else writes to the store at the same time.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use crate::Created;
use crate::error::{Failed, NoExclusiveNames};

/// Gives the names of one store.
#[derive(Debug, Default)]
pub struct Naming {
    /// Whether no other process writes to the store. A run sets the flag before it starts the threads that
    /// create objects, and starting a thread orders memory: relaxed access is enough.
    one_writer: AtomicBool,
    /// Held from the check that a name is free until the name is given, where the file system can't do both in
    /// one step. This keeps the threads of all runs of this process from overwriting each other's objects.
    giving: Mutex<()>,
}

impl Naming {
    /// Declares that only this value gives names in the store from now on. All runs of this process share it.
    pub fn expect_one_writer(&self) {
        self.one_writer.store(true, Ordering::Relaxed);
    }

    /// Gives `temporary` the name `path`, unless something has that name. The temporary name may remain.
    pub fn give(&self, temporary: &Path, path: &Path) -> Result<Created, Failed> {
        let link = match rustix::fs::link(temporary, path) {
            Ok(()) => return Ok(Created::New),
            // NFS may have lost the answer and sent the request again.
            Err(Errno::EXIST) if is_same(temporary, path) => return Ok(Created::New),
            Err(Errno::EXIST) => return Ok(Created::AlreadyThere),
            Err(error) => error,
        };
        let rename = match rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(Created::New),
            // SFTP servers answer alike if the name was just taken and if they can't link at all.
            Err(Errno::EXIST) => return Ok(Created::AlreadyThere),
            Err(error) if !is_unsupported(error) => return Err(error.into()),
            Err(error) => error,
        };
        if !is_unsupported(link) {
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

/// Whether an error means that this file system lacks the operation. The file has just been made in the same
/// directory by the same user, so that missing permissions can't be the reason.
pub fn is_unsupported(error: Errno) -> bool {
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
