//! What the threads of a walk have to do.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::folder::records::FolderJob;
use super::parent::ParentDirectory;
use super::pending::{Directory, Place};
use super::pieces::StreamJob;
use crate::fs::sources::Wanted;

/// Something that a thread of a walk has to do.
pub enum Job {
    /// Open a directory and list it.
    Directory(DirectoryJob),
    /// Walk a directory's pages.
    Pages(PagesJob),
    /// Read a large file, or a stream, and hand out its pieces.
    Stream(StreamJob),
    /// Let a program write a folder.
    Folder(FolderJob),
}

/// A directory to open.
pub struct DirectoryJob {
    /// Where its node goes.
    pub place: Place,
    /// The directory that it is in. A handle stays open only for as long as there is something to open from
    /// it: nothing limits how deep directories are nested.
    pub above: Arc<OwnedFd>,
    /// What the parent snapshot has of it.
    pub parent: ParentDirectory,
    /// Which of its entries were asked for.
    pub wanted: Wanted,
}

/// A directory whose pages, from a number on, are to be walked.
pub struct PagesJob {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Its handle.
    pub handle: Arc<OwnedFd>,
    /// The first page.
    pub from: usize,
}
