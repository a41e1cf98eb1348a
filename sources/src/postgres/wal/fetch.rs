//! A file of the log for a server that recovers, as `restore_command` has to give it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::super::segment::WalName;
use crate::error::{Result, SourceError};
use crate::files::Files;

/// The exit status that says that a file isn't in the archive: recovery goes on without it, and may end there.
pub const NOT_THERE: u8 = 1;
/// The exit status of everything else that goes wrong. A server ends its recovery at one above 125, so that it isn't
/// taken for the end of the log.
pub const FAILED: u8 = 200;

/// What came of a request for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is written.
    Written,
    /// It isn't in the archive. A server asks for some files only to see whether they are there.
    NotThere,
}

/// The exit status for `restore_command`.
#[must_use]
pub fn exit_code(fetched: &Result<Fetched>) -> u8 {
    match fetched {
        Ok(Fetched::Written) => 0,
        Ok(Fetched::NotThere) => NOT_THERE,
        Err(_) => FAILED,
    }
}

/// Writes a file of an archive where the server wants it. What was received of a segment that isn't full is given for it:
/// that is how the end of the log is restored.
pub fn fetch(archive: &dyn Files, name: WalName, into: &Path) -> Result<Fetched> {
    let failed = |source| SourceError::Transfer { object: name.to_string(), source };
    let mut paths = vec![name.path(), format!("data/pg_wal/{name}")];
    if let WalName::Segment(segment) = name {
        paths.push(WalName::Partial(segment).path());
    }
    let listed = archive.list().map_err(failed)?;
    let is_there = |path: &&String| listed.binary_search_by(|file| file.path.cmp(path)).is_ok();
    let Some(path) = paths.iter().find(is_there) else { return Ok(Fetched::NotThere) };
    let mut content = archive.open(path).map_err(failed)?;
    let own = |source| SourceError::File { path: into.to_owned(), source };
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(into).map_err(own)?;
    if let Err(source) = io::copy(&mut content, &mut file) {
        // A server that is killed meanwhile must not find half a segment.
        let _ = fs::remove_file(into);
        return Err(failed(source));
    }
    Ok(Fetched::Written)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::{Fetched, exit_code, fetch};
    use crate::files::{FileOf, Files, FolderFiles};

    /// An archive that lists a file and can't give it, as one behind a network that is away.
    struct Away(FolderFiles);

    impl Files for Away {
        fn list(&self) -> io::Result<Vec<FileOf>> {
            self.0.list()
        }

        fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
            let begin = self.0.open(path)?.take(1);
            let gone = std::fs::File::open("/proc/self/mem")?;
            Ok(Box::new(begin.chain(gone)))
        }
    }

    #[test]
    fn only_what_is_not_there_ends_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |path: &str| {
            let path = folder.path().join("archive").join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            path
        };
        std::fs::write(place("wal/00000001/000000010000000000000003"), "three").expect("a file");
        std::fs::write(place("wal/00000001/000000010000000000000004.partial"), "four").expect("a file");
        std::fs::write(place("data/pg_wal/000000010000000000000002"), "two").expect("a file");
        let archive = FolderFiles::new(folder.path().join("archive"));
        let into = folder.path().join("RECOVERYXLOG");
        let get = |files: &dyn Files, name: &str| {
            let fetched = fetch(files, name.parse().expect(name), &into);
            (exit_code(&fetched), std::fs::read_to_string(&into).unwrap_or_default())
        };
        assert_eq!(get(&archive, "000000010000000000000003"), (0, "three".to_owned()));
        assert_eq!(get(&archive, "000000010000000000000004"), (0, "four".to_owned()), "what there is of it");
        assert_eq!(get(&archive, "000000010000000000000002"), (0, "two".to_owned()), "of the base backup");
        assert_eq!(get(&archive, "000000010000000000000005").0, 1);
        assert_eq!(get(&archive, "00000002.history").0, 1);
        std::fs::write(&into, "before").expect("a file");
        assert_eq!(
            get(&Away(archive), "000000010000000000000003"),
            (200, String::new()),
            "no half file stays"
        );
        let nowhere = fetch(
            &FolderFiles::new(folder.path().join("archive")),
            "000000010000000000000003".parse().expect("a name"),
            &folder.path().join("no/such/folder"),
        );
        assert_eq!(exit_code(&nowhere), 200);
        assert_eq!(exit_code(&Ok(Fetched::NotThere)), 1);
    }
}
