//! Which version of RocksDB made an index. One version never reads what another one has written: the index is built
//! again, which costs time and nothing else.

use std::fs;
use std::io;
use std::path::Path;

/// The version that is linked.
const LINKED: &str = "11.8.1";

/// Whether all files of RocksDB in a folder were made by the version that is linked. RocksDB itself says so, in the
/// file of its options, which it writes whenever it opens a database.
pub(super) fn is_of_this_version(folder: &Path) -> bool {
    versions_in(folder).is_ok_and(|found| found.iter().all(|version| version.as_deref() == Some(LINKED)))
}

/// The versions that the files of a database name; None for one that can't be told.
fn versions_in(folder: &Path) -> io::Result<Vec<Option<String>>> {
    // Without this file RocksDB takes a folder as empty.
    if !folder.join("CURRENT").try_exists()? {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // One that was still being written has another name.
        if name.starts_with("OPTIONS-") && !name.ends_with(".dbtmp") {
            let text = fs::read_to_string(entry.path())?;
            let version = text.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version="));
            found.push(version.map(ToOwned::to_owned));
        }
    }
    Ok(if found.is_empty() { vec![None] } else { found })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{LINKED, is_of_this_version, versions_in};

    /// A folder with a database that the linked RocksDB made.
    fn database() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let database = rocksdb::DB::open_default(folder.path()).expect("a database");
        database.put("key", "value").expect("written");
        folder
    }

    fn options_of(folder: &tempfile::TempDir) -> PathBuf {
        let mut files =
            fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        files.find(|file| file.to_string_lossy().contains("/OPTIONS-")).expect("options")
    }

    /// Fails when RocksDB is updated and [`LINKED`] isn't.
    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let folder = database();
        assert_eq!(versions_in(folder.path()).expect("versions"), [Some(LINKED.to_owned())]);
        drop(rocksdb::DB::open_default(folder.path()).expect("opened again"));
        assert!(is_of_this_version(folder.path()));
    }

    #[test]
    fn another_version_is_noticed() {
        let folder = database();
        let options = options_of(&folder);
        let text = fs::read_to_string(&options).expect("options");
        fs::write(&options, text.replace(LINKED, "7.8.3")).expect("written");
        assert!(!is_of_this_version(folder.path()));
        fs::write(&options, "").expect("written");
        assert!(!is_of_this_version(folder.path()));
        fs::remove_file(&options).expect("removed");
        assert!(!is_of_this_version(folder.path()), "no one says which version it was");
    }

    #[test]
    fn a_folder_without_a_database_is_of_any_version() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(is_of_this_version(folder.path()));
        fs::write(folder.path().join("damaged"), "").expect("written");
        assert!(is_of_this_version(folder.path()));
    }
}
