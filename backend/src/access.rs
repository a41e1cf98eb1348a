//! Who may read a repository's directory: its owner alone, or the directory's group too.
//!
//! The directory's own mode says which: with setgid and the group's rights to read and enter, everything
//! that is made in it is for its group to read, whatever a run's umask takes away. Nothing else has to be
//! remembered, and a repository's owner can change it at any time.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

/// Of directories that the group may read. What is made in them gets their group.
const GROUP_DIRECTORY: u32 = 0o2750;
/// Of files in them.
const GROUP_FILE: u32 = 0o640;
/// What a directory has that is meant for its group.
const MARK: u32 = 0o2050;

/// Who may read what is in a directory.
#[derive(Debug, Default)]
pub struct Access(OnceLock<bool>);

impl Access {
    /// Whether the group may read what is in the store in `root`. Asked once.
    pub fn is_for_group(&self, root: &Path) -> bool {
        *self.0.get_or_init(|| root.metadata().is_ok_and(|found| found.mode() & MARK == MARK))
    }
}

/// Makes a directory for a store that its group may read, or lets the group read one that is there.
///
/// Those above it that are missing are made as all programs make directories.
///
/// # Errors
/// What the system says, and of a directory that isn't empty that it is too late: what is in it would stay
/// as it is.
pub fn share_with_group(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    if fs::read_dir(root)?.next().is_some() {
        return Err(io::Error::other("it isn't empty, and what is in it isn't for the group to read"));
    }
    open_directory_to_group(root)?;
    // The kernel takes setgid from what a user makes for a group that they aren't in, and says nothing.
    if Access::default().is_for_group(root) {
        return Ok(());
    }
    Err(io::Error::other("this user isn't in its group"))
}

/// Gives a directory that was made the mode of those that the group may read.
pub fn open_directory_to_group(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(GROUP_DIRECTORY))
}

/// Gives a file that was made the mode of those that the group may read.
pub fn open_file_to_group(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(GROUP_FILE))
}
