//! Decides who may read a repository's directory: only its owner, or the directory's group too.
//!
//! The directory's own mode decides: if it has setgid and lets the group read and enter, the group may read
//! everything that is made in it, whatever the umask of a run is. No other record is needed, and the
//! repository's owner can change the mode at any time.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

/// The mode of directories that the group may read. Files that are made in them get their group.
const GROUP_DIRECTORY: u32 = 0o2750;
/// The mode of files that the group may read.
const GROUP_FILE: u32 = 0o640;
/// The bits that mark a directory as readable for its group.
const GROUP_MARK: u32 = 0o2050;

/// Who may read the content of a directory.
#[derive(Debug, Default)]
pub struct Access(OnceLock<bool>);

impl Access {
    /// Whether the group may read the store in `root`. The system is asked once.
    pub fn is_for_group(&self, root: &Path) -> bool {
        *self.0.get_or_init(|| root.metadata().is_ok_and(|found| found.mode() & GROUP_MARK == GROUP_MARK))
    }
}

/// Makes a directory for a store that its group may read, or lets the group read an existing empty one.
///
/// Missing directories above it get the usual mode.
///
/// # Errors
/// The system's error; and an error if the directory isn't empty: the modes of its content would stay
/// unchanged.
pub fn share_with_group(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    if fs::read_dir(root)?.next().is_some() {
        return Err(io::Error::other("it isn't empty, and its content isn't for the group to read"));
    }
    open_directory_to_group(root)?;
    // For a user who isn't in the group, the kernel clears setgid without an error.
    if Access::default().is_for_group(root) {
        return Ok(());
    }
    Err(io::Error::other("this user isn't in its group"))
}

/// Gives a new directory the mode that lets the group read it.
pub fn open_directory_to_group(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(GROUP_DIRECTORY))
}

/// Gives a new file the mode that lets the group read it.
pub fn open_file_to_group(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(GROUP_FILE))
}
