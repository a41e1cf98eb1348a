//! A dump of a database in a snapshot, as engines read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_engine::dump;
use keepfast_engine::list;
use keepfast_engine::run::RunContext;
use keepfast_format::node::NodeKind;
use keepfast_format::snapshot::Snapshot;
use keepfast_sources::files::{FileOf, Files};

use crate::open::Opened;

/// A folder of a snapshot. A file that is opened lies in a file without a name until it is closed: engines want to read
/// several at once, and each in one go.
pub struct DumpFiles<'d> {
    /// The repository.
    pub opened: &'d Opened,
    /// The snapshot.
    pub snapshot: &'d Snapshot,
    /// The folder: an absolute path without a slash at its end.
    pub folder: &'d [u8],
    /// Where files lie while they are read.
    pub scratch: &'d Path,
    /// Numbers them.
    pub count: AtomicU64,
    /// The run.
    pub run: &'d RunContext,
}

impl Files for DumpFiles<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        let Opened { repository, index, .. } = self.opened;
        let mut files = Vec::new();
        let mut unnamed = None;
        list::list(repository, index, self.snapshot, self.folder, true, self.run, &mut |path, node| {
            if let NodeKind::File { size, .. } = &node.kind {
                let below = path.strip_prefix(self.folder).and_then(|path| path.strip_prefix(b"/"));
                match below.map(str::from_utf8) {
                    Some(Ok(path)) => files.push(FileOf { path: path.to_owned(), bytes: *size }),
                    _ => unnamed = Some(String::from_utf8_lossy(path).into_owned()),
                }
            }
            Ok(())
        })
        .map_err(io::Error::other)?;
        if let Some(path) = unnamed {
            return Err(io::Error::other(format!("{path} isn't text")));
        }
        files.sort_by(|one: &FileOf, other| one.path.cmp(&other.path));
        Ok(files)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let place = self.scratch.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&place)?;
        fs::remove_file(&place)?;
        let whole = [self.folder, path.as_bytes()].join(&b'/');
        let Opened { repository, index, .. } = self.opened;
        dump::dump(repository, index, self.snapshot, &whole, &mut file, self.run)
            .map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Box::new(file))
    }
}
