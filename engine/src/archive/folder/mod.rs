//! Folders that a program writes while the backup runs: what it is asked for, and what it is given to write into.
//!
//! No one knows before how many files there will be, so the program doesn't hand out a list: it calls a [`FolderSink`]
//! with one entry after the other, from as many threads as it likes. When it says that it is done, the folder's tree is
//! made of what was taken.

pub mod counting;
pub mod records;
pub mod storing;
pub mod tree;

use std::io::{self, Read};

use keepfast_format::node::Timestamp;

use crate::chunk::cutting::CuttingChoice;

/// A folder of files that a program writes while the backup runs, such as the dump of a database.
pub struct Folder {
    /// The folder's name in the snapshot's root directory. It has no slashes, and neither another folder or stream nor
    /// an entry of the root directory that is backed up may have it.
    pub name: Vec<u8>,
    /// Writes the folder.
    pub write: WriteFolder,
}

/// Writes a folder. It is called in a thread of its own, and may call the sink from several threads at once. An error,
/// or a call of the sink that has failed, ends the backup, and there will be no snapshot.
pub type WriteFolder = Box<dyn FnOnce(&dyn FolderSink) -> std::result::Result<(), String> + Send>;

/// Takes the entries of a folder, in any order. Directories that files are in need not be written; those that are can
/// be written before or after what is in them.
///
/// A call fails if the entry can't have its path, or if the backup has ended: for another reason, because an earlier
/// call has failed, or because someone has cancelled it. A call that has begun ends soon then, but for the time that it
/// waits for its content.
pub trait FolderSink: Sync {
    /// Stores a file that has all that `content` gives, and returns its length in bytes. An error of the content ends
    /// the call, and is returned as it is.
    ///
    /// # Errors
    /// The file can't have its path, its content can't be read, or the backup has ended.
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64>;

    /// Stores a directory: an empty one, or what one that has entries is like.
    ///
    /// # Errors
    /// It can't have its path, or the backup has ended.
    fn directory(&self, path: &[u8], attributes: EntryAttributes) -> io::Result<()>;

    /// Stores a symbolic link.
    ///
    /// # Errors
    /// It can't have its path or its target, or the backup has ended.
    fn symlink(&self, path: &[u8], target: &[u8], attributes: EntryAttributes) -> io::Result<()>;

    /// Whether the backup has ended for a reason that isn't this folder. A program that waits for something else than
    /// the sink looks at this from time to time.
    fn has_ended(&self) -> bool;
}

/// A file that is to be in a folder.
#[derive(Debug, Clone, Copy)]
pub struct NewFile<'a> {
    /// Its path below the folder: names, separated by single slashes.
    pub path: &'a [u8],
    /// What it is like.
    pub attributes: EntryAttributes,
    /// How it is cut.
    pub cutting: CuttingChoice,
}

impl<'a> NewFile<'a> {
    /// A file of which nothing is said but its path.
    #[must_use]
    pub fn at(path: &'a [u8]) -> Self {
        Self { path, attributes: EntryAttributes::default(), cutting: CuttingChoice::default() }
    }
}

/// What an entry of a folder is like, as far as the program says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryAttributes {
    /// Permissions, with setuid, setgid and sticky bits; other bits don't count. Else only its owner may use it.
    pub mode: Option<u16>,
    /// When its content was last changed. Else, as far as anyone knows, when it became what it is: the time that it has in
    /// the snapshot that this one is compared with, if it is the same there, or else the time of this run.
    pub mtime: Option<Timestamp>,
    /// Its owner; else the user that this process runs as.
    pub uid: Option<u32>,
    /// Its group; else the group that this process runs as.
    pub gid: Option<u32>,
}
