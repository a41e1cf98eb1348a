//! The definitions that a server follows, and whether their files have changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Report;
use keepfast_config::files::{Files, Limits};
use keepfast_config::load::{Loaded, load};

use crate::definitions::ThisMachine;

/// What shows that a file or folder is another than before; nothing if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

/// The files and folders that definitions were read from.
#[derive(Debug, Default)]
pub struct Footprint {
    seen: BTreeMap<PathBuf, Option<Stamp>>,
}

impl Footprint {
    /// Whether one of them is another now, or gone.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.seen.iter().any(|(path, before)| stamp(path) != *before)
    }
}

/// The definitions that a server follows, and what was last found in their files.
#[derive(Debug, Clone)]
pub struct Followed {
    /// What they say.
    pub config: Arc<Config>,
    /// The files that say it.
    pub report: Arc<Report>,
    /// When they were read.
    pub since: Timestamp,
    /// What was found since then, because of which the files aren't followed any more.
    pub wrong: Option<Arc<Report>>,
    /// When files were last read.
    pub read: Timestamp,
}

impl Followed {
    /// Definitions that are followed from now on.
    #[must_use]
    pub fn new(config: Arc<Config>, report: Report, now: Timestamp) -> Self {
        Self { config, report: Arc::new(report), since: now, wrong: None, read: now }
    }

    /// The files say something else now, and something about that is wrong.
    pub fn found_wrong(&mut self, report: Report, now: Timestamp) {
        self.wrong = Some(Arc::new(report));
        self.read = now;
    }
}

/// This machine's files, of which it is noted what was read.
#[derive(Default)]
struct Noted {
    seen: Mutex<BTreeMap<PathBuf, Option<Stamp>>>,
}

impl Noted {
    /// Notes a path before it is read: what changes while it is read is found later.
    fn note(&self, path: &Path) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(path.to_owned()).or_insert_with(|| stamp(path));
    }
}

impl Files for Noted {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        self.note(path);
        ThisMachine.read(path, bytes_max)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.note(folder);
        ThisMachine.list(folder)
    }
}

/// Reads the definitions, and notes what they were read from.
#[must_use]
pub fn read(first: &Path) -> (Loaded, Footprint) {
    let files = Noted::default();
    let loaded = load(first, &files, &ThisMachine, &Limits::default());
    let seen = files.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    (loaded, Footprint { seen })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::read;
    use std::fs;

    #[test]
    fn changed_new_and_removed_files_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("keepfast.toml");
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        fs::write(&first, "version = 1\ninclude = [\"conf.d/*.toml\"]\n").unwrap();
        let footprint = || read(&first).1;
        let before = footprint();
        assert!(!before.has_changed());
        let part = folder.path().join("conf.d/a.toml");
        fs::write(&part, "[repository.a]\nurl = \"/a\"\npassword = { file = \"/p\" }\n").unwrap();
        assert!(before.has_changed(), "a new file in a folder that is included");
        let before = footprint();
        assert!(!before.has_changed());
        fs::write(&part, "[repository.a]\nurl = \"/b\"\npassword = { file = \"/p\" }\n").unwrap();
        assert!(before.has_changed(), "another content of the same size");
        let before = footprint();
        fs::remove_file(&part).unwrap();
        assert!(before.has_changed());
    }
}
