//! Bundles that lose a file. A bundle is one chunk with the bytes of several small files, so the files that
//! stay get a new chunk without the bytes of those that go. Otherwise a prune could never remove them.

use std::collections::{BTreeMap, HashMap, HashSet};

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::usize_of;

use crate::chunk::reference_to;
use crate::error::{EngineError, Result};
use crate::repo::FrameCache;

/// Where a file lies in its bundle.
struct Part {
    bundle: ChunkRef,
    from: u32,
    size: u32,
}

impl Part {
    fn of(node: &Node) -> Option<Self> {
        let NodeKind::File { size, content: Content::Inline(chunks), extents: Extents::Bundled { from } } =
            &node.kind
        else {
            return None;
        };
        // A node whose file isn't all in its bundle doesn't decode.
        Some(Self { bundle: *chunks.first()?, from: *from, size: u32::try_from(*size).ok()? })
    }
}

/// The bundles of a directory that lose a file.
#[derive(Default)]
pub struct Bundles {
    losing: HashSet<ChunkId>,
    staying: HashMap<ChunkId, Staying>,
    moved: HashMap<ChunkId, Moved>,
}

/// The files that stay of a bundle.
struct Staying {
    bundle: ChunkRef,
    /// Their sizes, by where they begin.
    sizes: BTreeMap<u32, u32>,
}

/// What becomes of a bundle.
struct Moved {
    chunk: ChunkRef,
    /// Where each file begins, by where it began before. Empty if only one file is left, which is a chunk of
    /// its own then.
    from: HashMap<u32, u32>,
}

impl Bundles {
    /// This file goes.
    pub fn lose(&mut self, node: &Node) {
        self.losing.extend(Part::of(node).map(|part| part.bundle.id));
    }

    /// Whether any bundle loses a file.
    pub fn lose_any(&self) -> bool {
        !self.losing.is_empty()
    }

    /// This file stays. [`Bundles::lose`] must have seen all files that go.
    pub fn stay(&mut self, node: &Node) {
        let part = Part::of(node).filter(|part| self.losing.contains(&part.bundle.id));
        if let Some(Part { bundle, from, size }) = part {
            let new = || Staying { bundle, sizes: BTreeMap::new() };
            let staying = self.staying.entry(bundle.id).or_insert_with(new);
            // If two files begin here and their sizes differ, they overlap; `make` finds that out.
            let longest = staying.sizes.entry(from).or_insert(size);
            *longest = (*longest).max(size);
        }
    }

    /// Stores new bundles of the files that stay.
    pub fn make(
        &mut self,
        data: &FrameCache<'_>,
        store: &mut dyn FnMut(&[u8]) -> Result<ChunkId>,
    ) -> Result<()> {
        for (id, Staying { bundle, sizes }) in std::mem::take(&mut self.staying) {
            let whole = data.chunk(ChunkKind::Data, bundle)?;
            let mut bytes = Vec::with_capacity(whole.len());
            let mut moved = HashMap::with_capacity(sizes.len());
            let mut end = 0;
            for (from, size) in &sizes {
                let range = usize_of(*from)..usize_of(*from) + usize_of(*size);
                let fits = if range.start < end { None } else { whole.get(range.clone()) };
                let part = fits.ok_or_else(|| overlapping(&id))?;
                moved.insert(*from, u32::try_from(bytes.len()).map_err(|_| overlapping(&id))?);
                bytes.extend_from_slice(part);
                end = range.end;
            }
            if sizes.len() == 1 {
                moved.clear();
            }
            let chunk = reference_to(store(&bytes)?, &bytes)?;
            self.moved.insert(id, Moved { chunk, from: moved });
        }
        Ok(())
    }

    /// The node of a file that stays, if its bundle has lost something.
    pub fn moved(&self, node: &Node) -> Result<Option<Node>> {
        let Some(Part { bundle, from, size }) = Part::of(node) else { return Ok(None) };
        let Some(Moved { chunk, from: moved }) = self.moved.get(&bundle.id) else { return Ok(None) };
        let extents = match moved.get(&from) {
            Some(from) => Extents::Bundled { from: *from },
            None if moved.is_empty() && size == chunk.len => Extents::Dense,
            None => return Err(overlapping(&bundle.id)),
        };
        let kind = NodeKind::File { size: size.into(), content: Content::Inline(vec![*chunk]), extents };
        Ok(Some(Node { kind, ..node.clone() }))
    }
}

fn overlapping(id: &ChunkId) -> EngineError {
    EngineError::damaged(format!("bundle {id}"))(FormatError::Malformed {
        what: "bundle",
        why: "some of its files are to be left out, and they overlap with others",
    })
}

#[cfg(test)]
mod tests {
    use keepfast_format::content::{ChunkRef, Content};
    use keepfast_format::ids::ChunkId;
    use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};

    use super::{Bundles, Moved, Part};

    fn node(from: u32, size: u64) -> Node {
        let bundle = ChunkRef { id: ChunkId::new([1; 32]), len: 100 };
        let content = Content::Inline(vec![bundle]);
        Node {
            name: b"x".to_vec(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
            kind: NodeKind::File { size, content, extents: Extents::Bundled { from } },
            unknown: None,
        }
    }

    #[test]
    fn what_stays_in_a_bundle_that_loses_nothing_is_left_alone() {
        let mut bundles = Bundles::default();
        bundles.stay(&node(0, 10));
        assert!(bundles.staying.is_empty() && !bundles.lose_any());
        bundles.lose(&node(10, 10));
        bundles.stay(&node(0, 10));
        assert!(bundles.lose_any() && bundles.staying.len() == 1);
    }

    #[test]
    fn the_last_file_of_a_bundle_becomes_a_chunk_of_its_own() {
        let mut bundles = Bundles::default();
        let chunk = ChunkRef { id: ChunkId::new([2; 32]), len: 10 };
        let is_moved = Moved { chunk, from: std::collections::HashMap::new() };
        bundles.moved.insert(ChunkId::new([1; 32]), is_moved);
        let moved = bundles.moved(&node(20, 10)).expect("it is valid").expect("it moves");
        let alone =
            NodeKind::File { size: 10, content: Content::Inline(vec![chunk]), extents: Extents::Dense };
        assert_eq!(moved.kind, alone);
        assert!(Part::of(&moved).is_none());
        assert!(bundles.moved(&node(20, 11)).is_err(), "a bundle of one file has no room for another size");
    }
}
