//! A large file or stream whose pieces are being stored by all threads.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use keepfast_format::content::{ChunkRef, ContentBuilder};
use keepfast_format::node::Node;
use keepfast_format::state::State;
use rustix::fs::Stat;

use super::options::Stream;
use super::parent::Earlier;
use super::pending::Place;
use super::reading::ExtentReader;
use crate::chunk::Piece;
use crate::fs::sparse::DataExtents;

/// A large file or a stream that is to be read.
pub struct StreamJob {
    /// What its pieces come together in.
    pub file: Arc<StreamFile>,
    /// Where its bytes come from.
    pub source: Bytes,
}

/// Where bytes come from.
pub enum Bytes {
    /// From a large file, or a device.
    Extents(ExtentReader),
    /// From a stream.
    Stream(Stream),
    /// From a fifo, which is waited for.
    Fifo(Arc<OwnedFd>),
}

/// A piece of a large file.
pub struct PieceJob {
    pub file: Arc<StreamFile>,
    pub number: u64,
    pub piece: Piece,
}

/// A file whose pieces are being stored.
pub struct StreamFile {
    pub place: Place,
    pub path: Vec<u8>,
    pub node: Mutex<Option<(Node, State)>>,
    /// Where its data are, if it has holes.
    pub extents: Option<DataExtents>,
    /// Its handle and first `fstat`, to see whether it was written to meanwhile.
    pub handle: Option<(Arc<OwnedFd>, Stat)>,
    pub earlier: Earlier,
    pub assembly: Mutex<Assembly>,
    /// Pieces that aren't stored yet, and one for the reading itself.
    pub outstanding: AtomicUsize,
    pub failed: AtomicBool,
}

/// Chunk references, brought back into order.
#[derive(Default)]
pub struct Assembly {
    pub next: u64,
    pub waiting: BTreeMap<u64, Vec<ChunkRef>>,
    pub builder: ContentBuilder,
    pub bytes: u64,
}

impl StreamFile {
    /// A large file, or something else that is read like one.
    pub fn of_file(
        place: &Place,
        node: (Node, State),
        extents: Option<DataExtents>,
        handle: (Arc<OwnedFd>, Stat),
        earlier: Earlier,
    ) -> Arc<Self> {
        Arc::new(Self {
            extents,
            place: place.clone(),
            path: place.path(),
            node: Mutex::new(Some(node)),
            handle: Some(handle),
            earlier,
            assembly: Mutex::default(),
            outstanding: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
        })
    }

    /// A stream that becomes the file `node`.
    pub fn of_stream(place: Place, node: Node, state: State) -> Arc<Self> {
        let path = node.name.clone();
        Arc::new(Self {
            place,
            path,
            node: Mutex::new(Some((node, state))),
            extents: None,
            handle: None,
            earlier: Earlier::Nothing,
            assembly: Mutex::default(),
            outstanding: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
        })
    }
}
