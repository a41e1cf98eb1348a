//! What a backup is asked for, and what it reports.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use keepfast_format::snapshot::{Snapshot, Statistics};

use super::cutting::CuttingRules;
use super::folder::Folder;
use crate::chunk::cutting::CuttingChoice;
use crate::error::{EngineError, Result};
use crate::fs::meta::FileId;
use crate::fs::select::Patterns;
use crate::fs::sources::Sources;
use crate::repo::WriterOptions;
use crate::run::Troubles;

/// What one snapshot is of: files, streams, folders that programs write, or several of them. If a stream or a program
/// fails, there is no snapshot.
#[derive(Default)]
pub struct Source<'a> {
    /// Files and directories, by absolute paths. A path that ends with `/` or `/.` means what a link in its
    /// place points to.
    pub paths: &'a [PathBuf],
    /// Streams, each of which becomes a file in the snapshot's root directory.
    pub streams: Vec<Stream>,
    /// Folders that programs write, in the snapshot's root directory.
    pub folders: Vec<Folder>,
}

/// A stream, and how it ended.
pub struct Stream {
    /// The file's name in the snapshot. It has no slashes, and neither another stream or folder nor an entry of the
    /// root directory that is backed up may have it.
    pub name: Vec<u8>,
    /// Its bytes. A thread of its own reads them.
    pub reader: Box<dyn Read + Send>,
    /// How it is cut.
    pub cutting: CuttingChoice,
    /// Called when all its bytes were read. An error (the command that wrote the stream has failed) ends the
    /// backup, and there will be no snapshot.
    pub ended: Box<dyn FnOnce() -> std::result::Result<(), String> + Send>,
}

impl<'a> Source<'a> {
    /// Files and directories.
    #[must_use]
    pub fn paths(paths: &'a [PathBuf]) -> Self {
        Self { paths, ..Self::default() }
    }

    /// A stream.
    #[must_use]
    pub fn stream(stream: Stream) -> Self {
        Self::streams(vec![stream])
    }

    /// Several streams.
    #[must_use]
    pub fn streams(streams: Vec<Stream>) -> Self {
        Self { streams, ..Self::default() }
    }

    /// Folders that programs write.
    #[must_use]
    pub fn folders(folders: Vec<Folder>) -> Self {
        Self { folders, ..Self::default() }
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
    /// Leave out what is in directories that have an entry of one of these names, except that entry.
    pub exclude_if_present: Vec<Vec<u8>>,
    /// Leave out regular files that have more bytes than this.
    pub exclude_larger_than: Option<u64>,
    /// Leave out what files named `.keepfastignore` name in the directories that they are in.
    pub ignore_files: bool,
    /// Leave out what has the attribute that `chattr +d` sets, unless it was named as a source.
    pub exclude_nodump: bool,
    /// Don't cross into other file systems, unless they are named. The directories where they begin are in the
    /// snapshot, without entries.
    pub one_file_system: bool,
    /// Follow links that are named as sources. Those that end with a slash are followed in any case.
    pub follow_sources: bool,
    /// Follow all links: the snapshot has what a link points to in its place. A link is kept as a link if it
    /// leads back to a directory that it is in, or, with `one_file_system`, to a directory on another one.
    pub follow: bool,
    /// Store the content of block devices and fifos that were named as sources, as regular files.
    pub read_special: bool,
    /// How files are cut; streams say that themselves.
    pub cutting: CuttingRules,
    /// The absolute path at which the snapshot has the one directory that was named. All other paths in options
    /// and reports (what to leave out, what was skipped) are paths in the snapshot.
    pub stored_as: Option<PathBuf>,
    /// Make no snapshot if neither what was named nor the labels have changed since the parent.
    pub skip_if_unchanged: bool,
    /// Don't look at ctime for change detection.
    pub ignore_ctime: bool,
    /// Don't look at inode numbers for change detection.
    pub ignore_inode: bool,
    /// The snapshot to compare with. If the keyring says that a writer is continued by another, their snapshots
    /// count as those of one writer.
    pub parent: ParentChoice,
    /// Only report what would be done.
    pub dry_run: bool,
    /// How to write.
    pub writer: WriterOptions,
    /// How often the session looks for prunes while its threads wait for something, such as a slow stream. With
    /// zero it looks only while its threads work.
    pub heartbeat: Duration,
    /// Directories to leave out: the repository itself, and its cache.
    pub never_enter: Vec<FileId>,
}

/// The snapshot to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentChoice {
    /// The newest in the writer's lineage with the same machine and paths.
    Newest,
    /// The one that this text names; it must be in the writer's lineage.
    Named(String),
    /// None: read everything.
    None,
}

/// What a backup did.
#[derive(Debug)]
pub struct ArchiveReport {
    /// The snapshot; none after a dry run, or if `skip_if_unchanged` was set and nothing has changed.
    pub snapshot: Option<Snapshot>,
    /// Whether nothing has changed since the parent, so that no snapshot was made.
    pub is_unchanged: bool,
    /// What was counted.
    pub statistics: Statistics,
    /// What became of the parent's files; none without a parent, if parts of it can't be read, and on a dry run,
    /// which reads nothing.
    pub changes: Option<Changes>,
    /// Files that changed while they were read.
    pub changed_while_read: u64,
    /// How many entries files named `.keepfastignore` have left out, not counting what is below them.
    pub ignored: u64,
    /// How many packs and segments were stored.
    pub packs: u64,
    /// The short id of the snapshot that it was compared with.
    pub parent: Option<String>,
    /// What kept the snapshot from being complete, and what was found damaged.
    pub troubles: Troubles,
}

/// What became of the files of the parent snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that the parent has.
    pub files_before: u64,
    /// Files of the parent that aren't in their places any more: deleted, moved, replaced by something that is no
    /// file, left out, or skipped.
    pub files_deleted: u64,
    /// Files of the parent whose content is another now. Small files share chunks, and no one compares their bytes
    /// one by one: such a file counts too if its metadata has changed and a file that it shares a chunk with has
    /// another content.
    pub files_rewritten: u64,
    /// Files that are new in their places, were last written before the parent was made, and whose whole content the
    /// repository had: renamed ones, and copies that keep the time of the original. Empty files don't count.
    pub files_moved: u64,
}

impl ArchiveOptions {
    /// The paths that a backup is asked for, as the snapshot has them.
    pub(super) fn sources(&self, paths: &[PathBuf]) -> Result<Sources> {
        match (&self.stored_as, paths) {
            (None, _) | (Some(_), []) => Sources::new(paths, self.follow_sources || self.follow),
            (Some(path), [_]) => Sources::new(&[path], false),
            (Some(path), _) => Err(EngineError::NotOneDirectory { path: path.clone(), count: paths.len() }),
        }
    }
}
