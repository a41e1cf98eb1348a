//! Large files and streams, and large files that a program writes, whose pieces are stored by all threads.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use keepfast_format::content::{ChunkRef, ContentBuilder};
use rustix::fs::Stat;

use super::folder::records::FolderPlace;
use super::options::Stream;
use super::parent::InParent;
use super::pending::{PendingEntry, Place};
use super::reading::ExtentReader;
use crate::chunk::Piece;
use crate::fs::sparse::DataExtents;

/// A large file or a stream that is to be read.
pub struct StreamJob {
    /// Where its pieces are collected.
    pub file: Arc<PieceFile>,
    /// Where its bytes come from.
    pub source: ByteSource,
}

/// Where bytes come from.
pub enum ByteSource {
    /// From a large file, or a device.
    Extents(ExtentReader),
    /// From a stream.
    Stream(Stream),
    /// From a fifo; the first program that writes into it is waited for.
    Fifo(Arc<OwnedFd>),
}

/// A piece of a large file.
pub struct PieceJob {
    pub file: Arc<PieceFile>,
    pub number: u64,
    pub piece: Piece,
}

/// A file whose pieces are being stored.
pub struct PieceFile {
    pub place: FilePlace,
    pub path: Vec<u8>,
    /// Taken when the file is complete. A folder that a program writes has its own records.
    pub entry: Mutex<Option<PendingEntry>>,
    /// What it was opened as; what comes from a program wasn't opened.
    pub opened: Option<OpenedFrom>,
    pub in_parent: InParent,
    pub assembly: Mutex<Assembly>,
    /// How many pieces aren't stored yet, and one more until the reading has ended. The thread that counts down
    /// to zero completes the file: it has to see what all others have put into `assembly` (`AcqRel`).
    pub outstanding: AtomicUsize,
    pub failed: AtomicBool,
}

/// Where a file belongs.
pub enum FilePlace {
    /// On a page of a directory.
    Page(Place),
    /// In a folder that a program writes.
    Folder(FolderPlace),
}

/// A file as it was when it was opened.
pub struct OpenedFrom {
    pub handle: Arc<OwnedFd>,
    /// To find out whether it was written to meanwhile.
    pub stat: Stat,
    pub size: u64,
    /// Where its data is, if it has holes.
    pub extents: Option<DataExtents>,
}

/// Collects the chunk references of pieces, which may be stored in any order.
#[derive(Default)]
pub struct Assembly {
    pub next: u64,
    pub waiting: BTreeMap<u64, Vec<ChunkRef>>,
    pub builder: ContentBuilder,
    pub bytes: u64,
    /// Whether the repository didn't have some of the chunks.
    pub has_new_chunks: bool,
}

impl PieceFile {
    /// A large file, or a device or fifo that is read like one.
    pub fn of_file(place: &Place, entry: PendingEntry, opened: OpenedFrom, in_parent: InParent) -> Arc<Self> {
        Self::begin(FilePlace::Page(place.clone()), place.path(), Some(entry), Some(opened), in_parent)
    }

    /// A stream that becomes a file.
    pub fn of_stream(place: Place, entry: PendingEntry) -> Arc<Self> {
        let path = entry.metadata.name.clone();
        Self::begin(FilePlace::Page(place), path, Some(entry), None, InParent::Absent)
    }

    /// A file that a program writes. It is compared with the parent when its folder is complete.
    pub fn in_folder(place: FolderPlace) -> Arc<Self> {
        let path = place.path_in_snapshot();
        Self::begin(FilePlace::Folder(place), path, None, None, InParent::Absent)
    }

    fn begin(
        place: FilePlace,
        path: Vec<u8>,
        entry: Option<PendingEntry>,
        opened: Option<OpenedFrom>,
        in_parent: InParent,
    ) -> Arc<Self> {
        Arc::new(Self {
            place,
            path,
            entry: Mutex::new(entry),
            opened,
            in_parent,
            assembly: Mutex::default(),
            outstanding: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
        })
    }
}
