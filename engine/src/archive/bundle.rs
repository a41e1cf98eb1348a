//! Small files that are neighbours in their directory share a chunk, a bundle: a chunk for each of
//! them would cost more than the files where there are very many.

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::state::State;

use super::parent::{Earlier, Kept};
use super::pending::Place;

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
    Read { start: usize, node: Node, state: State, earlier: Earlier },
    /// It hasn't changed.
    Kept(Kept),
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
