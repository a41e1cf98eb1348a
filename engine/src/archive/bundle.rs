//! Small files that will share a chunk.

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::node::{Extents, NodeKind};
use keepfast_format::numbers::usize_of;

use super::parent::{InParent, Kept};
use super::pending::{PendingEntry, Place};
use crate::error::{EngineError, Result};

/// Small files that will share a chunk, in the order of their names.
#[derive(Default)]
pub struct Bundle {
    /// The files.
    pub members: Vec<Member>,
    /// The bytes of those that were read.
    pub read: Vec<u8>,
    /// The sum of their sizes.
    pub bytes: u64,
}

/// A small file.
pub struct Member {
    /// Where its node goes.
    pub place: Place,
    /// Its size, in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub origin: Origin,
}

/// Where a member's bytes are.
pub enum Origin {
    /// The file was read: its bytes begin here in the bundle's memory.
    Read { start: u32, entry: PendingEntry, in_parent: InParent },
    /// It is as the parent has it.
    Parent(Kept),
}

/// Whether these are all the files of one of the parent's bundles, and nothing else was in it.
pub fn is_whole(members: &[Member]) -> bool {
    let mut end = 0;
    let mut bundle: Option<ChunkRef> = None;
    for Member { size, origin, .. } in members {
        let Origin::Parent(Kept { node, .. }) = origin else { return false };
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

/// The bytes of a member among those that were read.
pub fn part(read: &[u8], start: u32, size: u64) -> Result<&[u8]> {
    let size = usize::try_from(size).map_err(|_| too_long())?;
    let bytes = read.get(usize_of(start)..).and_then(|rest| rest.get(..size));
    bytes.ok_or_else(too_long)
}

/// A bundle has become longer than its files can be.
pub fn too_long() -> EngineError {
    let source = FormatError::OverLimit { what: "bundle", field: "length" };
    EngineError::damaged("a bundle that is being made")(source)
}
