//! What a backup is asked for, and what it says of what it did.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use keepfast_format::snapshot::{Snapshot, Statistics};

use crate::error::{EngineError, Result};
use crate::fs::select::Patterns;
use crate::fs::sources::Sources;
use crate::repo::WriterOptions;
use crate::run::Troubles;

/// What one snapshot is of: files, streams, or both. If a stream fails, there is no snapshot.
#[derive(Default)]
pub struct Source<'a> {
    /// Files and directories, by absolute paths. One that ends with `/` or `/.` means what a link in its
    /// place points to.
    pub paths: &'a [PathBuf],
    /// Streams, each of which becomes a file in the snapshot's root directory.
    pub streams: Vec<Stream>,
}

/// A stream, and how it ended.
pub struct Stream {
    /// The file's name in the snapshot: one without slashes, that no other stream has, and nothing that is
    /// backed up from the root directory.
    pub name: Vec<u8>,
    /// Its bytes. A thread of its own reads them.
    pub reader: Box<dyn Read + Send>,
    /// Called when all its bytes were read; a reason given here (the command that wrote the stream has failed)
    /// ends the backup, and there will be no snapshot.
    pub ended: Box<dyn FnOnce() -> std::result::Result<(), String> + Send>,
}

impl<'a> Source<'a> {
    /// Files and directories.
    #[must_use]
    pub fn paths(paths: &'a [PathBuf]) -> Self {
        Self { paths, streams: Vec::new() }
    }

    /// A stream.
    #[must_use]
    pub fn stream(stream: Stream) -> Self {
        Self::streams(vec![stream])
    }

    /// Several streams.
    #[must_use]
    pub fn streams(streams: Vec<Stream>) -> Self {
        Self { paths: &[], streams }
    }
}

/// How to back up.
pub struct ArchiveOptions {
    /// The machine's name.
    pub host: String,
    /// The user's name.
    pub user: String,
    /// Labels for the snapshot.
    pub tags: Vec<String>,
    /// The program's name and version.
    pub program: String,
    /// What to leave out.
    pub exclude: Patterns,
    /// Leave out what is in directories marked as caches.
    pub exclude_caches: bool,
    /// Leave out what is in directories that have an entry of one of these names, but for that.
    pub exclude_if_present: Vec<Vec<u8>>,
    /// Leave out regular files that have more bytes than this.
    pub exclude_larger_than: Option<u64>,
    /// Leave out what files named `.keepfastignore` say of the directories that they are in.
    pub ignore_files: bool,
    /// Leave out what has the attribute that `chattr +d` sets, unless it was named as a source.
    pub exclude_nodump: bool,
    /// Don't cross into other file systems, unless one is named; where they begin, their directories are
    /// kept empty.
    pub one_file_system: bool,
    /// Take what links point to that are named as sources. Those that end with a slash are followed
    /// without it.
    pub follow_sources: bool,
    /// Take what links point to in their place, wherever they are; but not one that leads back to a
    /// directory that it is in, nor, with `one_file_system`, to a directory on another file system.
    pub follow: bool,
    /// Take the content of block devices and fifos that were named as sources, as regular files.
    pub read_special: bool,
    /// The absolute path at which the snapshot has the one directory that was named; whatever is said of
    /// paths (what to leave out, what was skipped) means them as the snapshot has them.
    pub stored_as: Option<PathBuf>,
    /// Make no snapshot if nothing of what was named has changed since the parent, nor the labels.
    pub skip_if_unchanged: bool,
    /// Don't look at ctime for change detection.
    pub ignore_ctime: bool,
    /// Don't look at inode numbers for change detection.
    pub ignore_inode: bool,
    /// The snapshot to compare with: a given one, the newest of the same writer, machine and paths, or
    /// none. Those of writers that the keyring says are continued count as the same writer's.
    pub parent: ParentChoice,
    /// Only say what would be done.
    pub dry_run: bool,
    /// How to write.
    pub writer: WriterOptions,
    /// How often the session looks for garbage collections while its threads wait for something,
    /// such as a stream that is slow to come. With zero it looks only as they go on.
    pub heartbeat: Duration,
    /// Directories to leave out by device and inode: the repository itself.
    pub never_enter: Vec<(u64, u64)>,
}

/// The snapshot to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentChoice {
    /// The newest in the writer's lineage with the same machine and paths.
    Newest,
    /// This one, in the words of the command line; it must be in the writer's lineage.
    Named(String),
    /// None: read everything.
    None,
}

/// What a backup did.
#[derive(Debug)]
pub struct ArchiveReport {
    /// The snapshot; none on a dry run, or if nothing has changed and none was wanted then.
    pub snapshot: Option<Snapshot>,
    /// Nothing has changed since the parent, and so no snapshot was made.
    pub is_unchanged: bool,
    /// What was counted.
    pub statistics: Statistics,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// Entries that files named `.keepfastignore` have left out, each without what is below it.
    pub ignored: u64,
    /// How many packs and segments were stored.
    pub packs: u64,
    /// The snapshot that it was compared with, in short.
    pub parent: Option<String>,
    /// What kept the snapshot from being complete, and what was found damaged.
    pub troubles: Troubles,
}

impl ArchiveOptions {
    /// The paths that a backup is asked for; if they shall be stored elsewhere, where they are stored.
    pub(super) fn sources(&self, paths: &[PathBuf]) -> Result<Sources> {
        match (&self.stored_as, paths) {
            (None, _) | (Some(_), []) => Sources::new(paths, self.follow_sources || self.follow),
            (Some(path), [_]) => Sources::new(&[path], false),
            (Some(path), _) => Err(EngineError::Unusable(format!(
                "one directory can be stored as {}, and {} were named",
                path.display(),
                paths.len()
            ))),
        }
    }
}
