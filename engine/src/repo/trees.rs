//! Reading trees, states, chunk lists and blobs by their ids.

use keepfast_format::content::{ChunkRef, Content, List};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::links::{self, LinkGroup};
use keepfast_format::node::{Extents, Node, extents_from_bytes};
use keepfast_format::snapshot::Snapshot;
use keepfast_format::state::StateTree;
use keepfast_format::tree::{PageRef, Tree, decode_blob};

use super::frames::{ChunkBytes, FrameCache};
use super::index::Wanted;
use crate::error::{EngineError, Result};

/// Reads metadata chunks. Shared by many threads.
#[derive(Clone, Copy)]
pub struct Trees<'f> {
    frames: &'f FrameCache<'f>,
}

/// A directory's pages: one, or those of its index.
#[derive(Debug, Clone)]
pub enum DirectoryPages {
    /// The directory is one page.
    One(Vec<Node>),
    /// Its pages, to be read one by one.
    Many(Vec<PageRef>),
}

impl<'f> Trees<'f> {
    /// Reads through this cache of frames.
    #[must_use]
    pub fn new(frames: &'f FrameCache<'f>) -> Self {
        Self { frames }
    }

    fn metadata(&self, id: &ChunkId) -> Result<ChunkBytes> {
        self.frames.chunk(ChunkKind::Metadata, *id)
    }

    /// A tree object.
    pub fn tree(&self, id: &ChunkId) -> Result<Tree> {
        Tree::decode(&self.metadata(id)?).map_err(EngineError::damaged(format!("tree {id}")))
    }

    /// A directory's pages.
    pub fn directory(&self, id: &ChunkId) -> Result<DirectoryPages> {
        Ok(match self.tree(id)? {
            Tree::Page(nodes) => DirectoryPages::One(nodes),
            Tree::Index(pages) => DirectoryPages::Many(pages),
        })
    }

    /// The nodes of one page.
    pub fn page(&self, id: &ChunkId) -> Result<Vec<Node>> {
        match self.tree(id)? {
            Tree::Page(nodes) => Ok(nodes),
            Tree::Index(_) => {
                Err(EngineError::damaged(format!("tree {id}"))(keepfast_format::FormatError::Malformed {
                    what: "tree",
                    why: "an index lists an index",
                }))
            }
        }
    }

    /// Calls `visit` with every node of a directory, in order.
    pub fn for_each_node(&self, id: &ChunkId, visit: &mut dyn FnMut(Node) -> Result<()>) -> Result<()> {
        match self.directory(id)? {
            DirectoryPages::One(nodes) => nodes.into_iter().try_for_each(visit),
            DirectoryPages::Many(pages) => {
                for page in pages {
                    self.page(&page.id)?.into_iter().try_for_each(&mut *visit)?;
                }
                Ok(())
            }
        }
    }

    /// A state object.
    pub fn state(&self, id: &ChunkId) -> Result<StateTree> {
        StateTree::decode(&self.metadata(id)?).map_err(EngineError::damaged(format!("state tree {id}")))
    }

    /// A chunk list.
    pub fn list(&self, id: &ChunkId) -> Result<List> {
        List::decode(&self.metadata(id)?).map_err(EngineError::damaged(format!("chunk list {id}")))
    }

    /// Calls `visit` with every chunk of a content, in order.
    pub fn for_each_chunk(
        &self,
        content: &Content,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        match content {
            Content::Inline(refs) => refs.iter().copied().try_for_each(visit),
            Content::List { level, id } => self.for_each_listed(*level, id, visit),
        }
    }

    /// Whether `holds` is true of every chunk of a content, and of its lists of chunks.
    pub fn all_chunks(&self, content: &Content, holds: &mut dyn FnMut(Wanted) -> bool) -> Result<bool> {
        match content {
            Content::Inline(chunks) => Ok(chunks.iter().all(|chunk| holds((*chunk).into()))),
            Content::List { level, id } => {
                if !holds((*id).into()) {
                    return Ok(false);
                }
                for item in self.list(id)?.items {
                    let all = match level {
                        0 | 1 => holds(Wanted::listed(&item)),
                        _ => self.all_chunks(&Content::List { level: level - 1, id: item.id }, holds)?,
                    };
                    if !all {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn for_each_listed(
        &self,
        level: u8,
        id: &ChunkId,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        let malformed = |why| {
            EngineError::damaged(format!("chunk list {id}"))(keepfast_format::FormatError::Malformed {
                what: "chunk list",
                why,
            })
        };
        let list = self.list(id)?;
        if list.level != level {
            return Err(malformed("it isn't of the level that its reference says"));
        }
        for item in list.items {
            if level == 1 {
                let len = u32::try_from(item.bytes).map_err(|_| malformed("a chunk is too long"))?;
                visit(ChunkRef { id: item.id, len })?;
            } else {
                self.for_each_listed(level - 1, &item.id, visit)?;
            }
        }
        Ok(())
    }

    /// The bytes of a blob.
    pub fn blob(&self, content: &Content) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.for_each_chunk(content, &mut |chunk| {
            let plain = self.frames.chunk(ChunkKind::Metadata, chunk)?;
            let piece = decode_blob(&plain).map_err(EngineError::damaged(format!("blob {}", chunk.id)))?;
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The data extents of a file of this size, as (offset, length).
    pub fn extents(&self, extents: &Extents, size: u64) -> Result<Vec<(u64, u64)>> {
        match extents {
            Extents::Dense if size == 0 => Ok(Vec::new()),
            Extents::Dense | Extents::Bundled { .. } => Ok(vec![(0, size)]),
            Extents::Inline(list) => Ok(list.clone()),
            Extents::Blob(blob) => {
                extents_from_bytes(&self.blob(blob)?).map_err(EngineError::damaged("extents of a file"))
            }
        }
    }

    /// The groups of hard links of a snapshot.
    pub fn hard_links(&self, snapshot: &Snapshot) -> Result<Vec<LinkGroup>> {
        let object = keepfast_format::names::snapshot(snapshot.head.id);
        links::decode(&self.blob(&snapshot.body.hard_links)?).map_err(EngineError::damaged(object))
    }

    /// The node at a path below a root tree; the path has no leading slash. `None` if there is none.
    pub fn find(&self, root: &ChunkId, path: &[u8]) -> Result<Option<Node>> {
        let mut tree = *root;
        let mut found = None;
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let Some(node) = self.entry(&tree, part)? else { return Ok(None) };
            match (&node.kind, parts.peek()) {
                (keepfast_format::node::NodeKind::Directory { tree: below }, _) => tree = *below,
                (_, Some(_)) => return Ok(None),
                _ => {}
            }
            found = Some(node);
        }
        Ok(found)
    }

    fn entry(&self, tree: &ChunkId, name: &[u8]) -> Result<Option<Node>> {
        let nodes = match self.directory(tree)? {
            DirectoryPages::One(nodes) => nodes,
            DirectoryPages::Many(pages) => {
                let after = pages.partition_point(|page| page.first.as_slice() <= name);
                match after.checked_sub(1) {
                    Some(at) => self.page(&pages[at].id)?,
                    None => return Ok(None),
                }
            }
        };
        Ok(nodes.into_iter().find(|node| node.name == name))
    }
}
