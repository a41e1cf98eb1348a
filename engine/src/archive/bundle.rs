//! Small files that are neighbours in their directory share a chunk, a bundle: a chunk for each of
//! them would cost more than the files where there are very many.

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::state::State;

use super::parent::{Earlier, Kept};
use super::pending::Place;
use crate::error::{EngineError, Result};

/// Small files that will share a chunk, in the order of their names.
#[derive(Default)]
pub struct Bundle {
    /// The files.
    pub members: Vec<Member>,
    /// The bytes of those that were read.
    pub read: Vec<u8>,
    /// The size of all.
    pub bytes: u64,
}

/// A small file.
pub struct Member {
    /// Where it belongs.
    pub place: Place,
    /// Its size, in bytes.
    pub size: u64,
    /// How it was found.
    pub found: Found,
}

/// How a small file was found.
pub enum Found {
    /// It was read: its bytes begin here in the bundle's memory.
    Read { start: u32, node: Node, state: State, earlier: Earlier },
    /// It hasn't changed.
    Kept(Kept),
}

impl Bundle {
    /// Where the bytes of the next file that is read will begin.
    pub fn read_end(&self) -> Result<u32> {
        u32::try_from(self.read.len()).map_err(|_| too_long())
    }

    /// The bytes of a file among those that were read.
    pub fn part(read: &[u8], start: u32, size: u64) -> Result<&[u8]> {
        let size = usize::try_from(size).map_err(|_| too_long())?;
        let bytes = read.get(start as usize..).and_then(|rest| rest.get(..size));
        bytes.ok_or_else(too_long)
    }
}

fn too_long() -> EngineError {
    let source = FormatError::OverLimit { what: "bundle", field: "length" };
    EngineError::damaged("a bundle that is being made")(source)
}

/// Whether these are all the files of one of the parent's bundles, and nothing else was in it.
pub fn is_whole(members: &[Member]) -> bool {
    let mut end = 0;
    let mut bundle: Option<ChunkRef> = None;
    for Member { size, found, .. } in members {
        let Found::Kept(Kept { node, .. }) = found else { return false };
        let NodeKind::File { content: Content::Inline(chunks), extents, .. } = &node.kind else {
            return false;
        };
        let here = match extents {
            Extents::Dense => return members.len() == 1,
            Extents::Bundled { from } => u64::from(*from),
            Extents::Inline(_) | Extents::Blob(_) => return false,
        };
        if here != end || chunks.len() != 1 || bundle.is_some_and(|bundle| bundle != chunks[0]) {
            return false;
        }
        bundle = chunks.first().copied();
        end += size;
    }
    bundle.is_some_and(|bundle| u64::from(bundle.len) == end)
}
