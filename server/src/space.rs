//! The room in file systems.

use std::path::Path;

use rustix::fs::statvfs;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Its bytes.
    pub total_bytes: u64,
    /// Bytes that this process can write.
    pub free_bytes: u64,
}

/// The file system that a folder is in; nothing if it can't be said: some that are no disks say nothing of their room. Of a
/// server of files that is away, this waits for it.
#[must_use]
pub fn of_folder(folder: &Path) -> Option<Space> {
    let found = statvfs(folder).ok().filter(|found| found.f_blocks > 0)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Space { total_bytes: bytes(found.f_blocks), free_bytes: bytes(found.f_bavail) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::of_folder;

    #[test]
    fn a_folder_is_in_a_file_system_and_nothing_is_in_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let space = of_folder(folder.path()).expect("it is on a disk");
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0, "{space:?}");
        assert_eq!(of_folder(Path::new("/nothing/is/here")), None);
    }
}
