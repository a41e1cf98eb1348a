//! Folders that only this user can change: what a cache is kept in. Another user who could write there
//! could make this one read, overwrite or remove what it never meant to.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};

use crate::fs::dir;

const FOLDER_MODE: u32 = 0o700;
/// Of files that are made here.
pub const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// Makes a folder, and those above it that aren't there, for this user alone. One that is there must be
/// such that no one else can change it.
pub fn make(folder: &Path) -> io::Result<()> {
    match check(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
            check(folder)
        }
        checked => checked,
    }
}

/// As [`make`], for a folder of which no one else needs to see anything either.
pub fn make_hidden(folder: &Path) -> io::Result<()> {
    make(folder)?;
    hide(folder, FOLDER_MODE)
}

/// Fails if a folder isn't one, or if another user can change what is in it.
pub fn check(folder: &Path) -> io::Result<()> {
    // With a slash at the end, a link would be followed.
    let folder: PathBuf = folder.components().collect();
    let found = folder.symlink_metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if found.is_symlink() {
        return Err(io::Error::other("it is a symbolic link: name the folder itself that it leads to"));
    }
    if !found.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    if found.uid() != own {
        return Err(io::Error::other(format!(
            "it belongs to another user ({}, and this is {own}), who can change what is in it",
            found.uid()
        )));
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(io::Error::other(format!(
            "other users may write into it (mode {:04o}): make a folder of your own, or take that from them (chmod go-w)",
            found.mode() & 0o7777
        )));
    }
    Ok(())
}

/// Whether nothing is in a folder's place, or a folder that no one else can change.
pub fn is_safe(folder: &Path) -> bool {
    match check(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Takes all rights of other users from what is in a folder of this user's. Programs that know nothing of
/// modes make files there.
pub fn hide_files(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // `metadata` of an entry doesn't follow links. What fails is in a folder that no one else can enter.
        if entry.metadata().is_ok_and(|found| found.is_file()) {
            let _ = hide(&entry.path(), FILE_MODE);
        }
    }
}

fn hide(path: &Path, mode: u32) -> io::Result<()> {
    if path.symlink_metadata()?.mode() & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Opens a file in such a folder to lock it, and makes it if it isn't there.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Reads a file of no more than this many bytes. Whatever someone has put in its place, this neither
/// waits nor takes more memory.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let (bytes, _) = dir::read_file(CWD, &name, bytes_max)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::{check, hide_files, is_safe, make, make_hidden, open_lock, read};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o7777
    }

    #[test]
    fn what_is_made_is_for_this_user_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("a/b");
        make(&folder).expect("it can be made");
        assert_eq!((mode(&folder), mode(&home.path().join("a"))), (0o700, 0o700));
        open_lock(&folder.join("lock")).expect("it can be made");
        assert_eq!(mode(&folder.join("lock")), 0o600);
        fs::write(folder.join("other"), "x").expect("it can be written");
        fs::set_permissions(folder.join("other"), Permissions::from_mode(0o664)).expect("own");
        hide_files(&folder);
        assert_eq!(mode(&folder.join("other")), 0o600);
    }

    #[test]
    fn a_folder_that_others_can_change_or_a_link_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let (folder, link) = (home.path().join("folder"), home.path().join("link"));
        make(&folder).expect("it can be made");
        symlink(&folder, &link).expect("it can be made");
        for path in [link.clone(), home.path().join("link/")] {
            assert!(make(&path).expect_err("a link").to_string().contains("symbolic link"));
        }
        fs::write(home.path().join("file"), "x").expect("it can be written");
        assert!(!is_safe(&home.path().join("file")) && !is_safe(&link) && is_safe(&home.path().join("none")));
        for open in [0o770, 0o702, 0o1777] {
            fs::set_permissions(&folder, Permissions::from_mode(open)).expect("own");
            assert!(make_hidden(&folder).expect_err("others write").to_string().contains("chmod go-w"));
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("own");
        make(&folder).expect("others may look");
        assert_eq!(mode(&folder), 0o755);
        make_hidden(&folder).expect("it is ours");
        assert_eq!(mode(&folder), 0o700);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&folder, Some(65_534), None).expect("root may");
            assert!(check(&folder).expect_err("another's").to_string().contains("another user (65534"));
        }
    }

    #[test]
    fn links_fifos_and_large_files_arent_read() {
        let home = tempfile::tempdir().expect("a folder");
        let path = |name: &str| home.path().join(name);
        fs::write(path("file"), "12345").expect("it can be written");
        symlink(path("file"), path("link")).expect("it can be made");
        assert!(std::process::Command::new("mkfifo").arg(path("fifo")).status().expect("it runs").success());
        assert_eq!(read(&path("file"), 5).expect("it is read"), b"12345");
        for (name, most) in [("file", 4), ("link", 5), ("fifo", 5), ("none", 5)] {
            assert!(read(&path(name), most).is_err(), "{name}");
        }
        assert!(open_lock(&path("link")).is_err());
    }
}
