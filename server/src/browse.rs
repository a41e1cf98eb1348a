//! Looking into snapshots that a server knows: folders, contents, differences. All of it works in the thread of its caller,
//! which must be none of an asynchronous runtime's workers.

use std::io::Write;
use std::ops::ControlFlow;

use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::EngineError;
use keepfast_engine::diff::{Change, Part, diff};
use keepfast_engine::dump::{dump, dump_folder};
use keepfast_engine::list::{list_directory, look_up};
use keepfast_engine::run::RunContext;
use keepfast_format::node::{Node, NodeKind};
use keepfast_operations::OperationsError;
use keepfast_operations::archive::TarWriter;

use crate::error::Result;
use crate::warm::{Found, WarmRepositories};

/// Snapshots of a repository that people look into, for one request.
pub struct Browser<'w> {
    /// The definitions.
    pub config: &'w Config,
    /// The repositories.
    pub warm: &'w WarmRepositories,
    /// The repository.
    pub repository: &'w str,
    /// What ends the request.
    pub cancel: Cancel,
}

/// A page of something.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    /// What is on it.
    pub rows: Vec<T>,
    /// Whether there is more.
    pub has_more: bool,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A regular file.
    File {
        /// Its size.
        size: u64,
    },
    /// A folder.
    Folder,
    /// A link, a device or the like: it has no content.
    Other,
}

/// Something of a snapshot that can be read.
pub struct Readable {
    found: Found,
    path: Vec<u8>,
    /// What it is.
    pub thing: Thing,
    run: RunContext,
}

impl Browser<'_> {
    fn run(&self) -> RunContext {
        self.warm.run(self.cancel.clone())
    }

    fn found(&self, snapshot: &str) -> Result<Found> {
        self.warm.snapshot(self.config, self.repository, snapshot)
    }

    /// The entries of a folder whose names come after `after`, at most `limit`, in the order of names.
    ///
    /// # Errors
    /// There is no such folder, or it can't be read.
    pub fn entries(
        &self,
        snapshot: &str,
        folder: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Paged<Node>> {
        let Found { opened, stored } = self.found(snapshot)?;
        let mut rows = Vec::new();
        let mut has_more = false;
        let mut keep = |node| {
            if rows.len() == limit {
                has_more = true;
                return ControlFlow::Break(());
            }
            rows.push(node);
            ControlFlow::Continue(())
        };
        let (repository, index) = (&opened.repository, &opened.index);
        let listed =
            list_directory(repository, index, &stored.snapshot, folder, after, &self.run(), &mut keep);
        listed.map_err(OperationsError::from)?;
        Ok(Paged { rows, has_more })
    }

    /// Whether no one can forget a snapshot.
    ///
    /// # Errors
    /// There is no such snapshot, or the repository can't be reached.
    pub fn is_protected(&self, snapshot: &str) -> Result<bool> {
        let Found { opened, stored } = self.found(snapshot)?;
        Ok(opened.snapshots.protected.contains(&stored.snapshot.head.id))
    }

    /// What is at a path, ready to be read.
    ///
    /// # Errors
    /// There is nothing, or it can't be read.
    pub fn readable(&self, snapshot: &str, path: &[u8]) -> Result<Readable> {
        let found = self.found(snapshot)?;
        let run = self.run();
        let (repository, index) = (&found.opened.repository, &found.opened.index);
        let node = look_up(repository, index, &found.stored.snapshot, path, &run);
        let thing = match node.map_err(OperationsError::from)?.map(|node| node.kind) {
            None | Some(NodeKind::Directory { .. }) => Thing::Folder,
            Some(NodeKind::File { size, .. }) => Thing::File { size },
            Some(_) => Thing::Other,
        };
        Ok(Readable { found, path: path.to_vec(), thing, run })
    }

    /// What is different in `after` from `before`, at most `limit` entries.
    ///
    /// # Errors
    /// A snapshot isn't there or can't be read.
    pub fn changes(&self, [before, after]: [&str; 2], part: Part<'_>, limit: usize) -> Result<Paged<Change>> {
        let before = self.found(before)?;
        let Found { opened, stored: after } = self.found(after)?;
        let mut rows: Vec<Change> = Vec::new();
        let mut has_more = false;
        let (repository, index) = (&opened.repository, &opened.index);
        let (old, new) = (&before.stored.snapshot, &after.snapshot);
        let done = diff(repository, index, old, new, part, &self.run(), &mut |change| {
            if rows.len() == limit {
                has_more = true;
                return Err(EngineError::Interrupted);
            }
            rows.push(change);
            Ok(())
        });
        match done {
            Err(EngineError::Interrupted) if has_more => {}
            done => done.map_err(OperationsError::from)?,
        }
        Ok(Paged { rows, has_more })
    }
}

impl Readable {
    /// Writes a file's bytes, or a folder as a tar archive. What fails on the way leaves it incomplete.
    ///
    /// # Errors
    /// It is damaged, or can't be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        let Self { found: Found { opened, stored }, path, thing, run } = self;
        let (repository, index, snapshot) = (&opened.repository, &opened.index, &stored.snapshot);
        let written = match thing {
            Thing::File { .. } => dump(repository, index, snapshot, path, out, run).map(drop),
            Thing::Folder => {
                let mut tar = TarWriter::new(out);
                dump_folder(repository, index, snapshot, path, &mut tar, run)
                    .and_then(|()| tar.finish().map(drop).map_err(EngineError::file("the output")))
            }
            Thing::Other => Ok(()),
        };
        Ok(written.map_err(OperationsError::from)?)
    }
}
