//! A folder of a snapshot for programs that restore what is in it themselves, such as a database: its files, and the
//! content of each as a stream.

use std::io::Read;

use keepfast_engine::EngineError;
use keepfast_engine::dump::SnapshotReader;
use keepfast_engine::error::Mismatch;
use keepfast_engine::list::{list, normal};
use keepfast_engine::run::RunContext;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use crate::error::Result;
use crate::open::Opened;

/// A folder of a snapshot.
pub struct SnapshotFolder<'a> {
    opened: &'a Opened,
    snapshot: &'a Snapshot,
    /// Its path, with a slash before each name.
    path: Vec<u8>,
    reader: SnapshotReader<'a>,
    run: &'a RunContext,
}

/// A regular file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FolderFile {
    /// Its path below the folder, without a slash at either end.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
}

impl<'a> SnapshotFolder<'a> {
    /// The folder at this path. Whether it is there is found out when its files are asked for.
    #[must_use]
    pub fn new(opened: &'a Opened, snapshot: &'a Snapshot, path: &[u8], run: &'a RunContext) -> Self {
        let reader = SnapshotReader::new(&opened.repository, &opened.index, snapshot, run);
        Self { opened, snapshot, path: normal(path), reader, run }
    }

    /// All regular files in the folder and in folders below it; those of a folder come before those below it.
    pub fn files(&self) -> Result<Vec<FolderFile>> {
        let Opened { repository, index, .. } = self.opened;
        let mut files = Vec::new();
        let mut found = |path: &[u8], node: &Node| {
            let below = path.strip_prefix(self.path.as_slice()).and_then(|path| path.strip_prefix(b"/"));
            let Some(below) = below else {
                let (path, snapshot) = (path.to_vec(), self.snapshot.head.id);
                return Err(EngineError::NotInSnapshot { path, found: Mismatch::NoDirectory, snapshot });
            };
            if let NodeKind::File { size, .. } = &node.kind {
                files.push(FolderFile { path: below.to_vec(), size: *size });
            }
            Ok(())
        };
        list(repository, index, self.snapshot, &self.path, true, self.run, &mut found)?;
        Ok(files)
    }

    /// The bytes of the file at this path below the folder. They are fetched while they are read, and verified before
    /// they are given. Several files can be read at once, by as many threads.
    pub fn open(&self, path: &[u8]) -> Result<Box<dyn Read + Send + '_>> {
        let whole = [self.path.as_slice(), b"/", path].concat();
        Ok(Box::new(self.reader.open(&whole)?))
    }
}
