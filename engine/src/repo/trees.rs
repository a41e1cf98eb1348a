//! Reading trees, states, chunk lists and blobs by their ids. What refers to one says what must be
//! in it: the level and the sum of a list, the first name of a page, the length of a content. What
//! is otherwise is refused before anything in it is used.

use std::collections::HashSet;

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, Content, List};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
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

/// A list of chunks, as what refers to it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListRef {
    /// The list.
    pub id: ChunkId,
    /// Its level, from 1.
    pub level: u8,
    /// The sum of its items, in bytes.
    pub bytes: u64,
}

/// Where a file's content goes.
#[derive(Debug)]
pub struct FileLayout {
    /// The file's data extents, as (offset, length).
    pub extents: Vec<(u64, u64)>,
    /// Bytes of the content, which is longer than the file if it is a bundle.
    pub content_bytes: u64,
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

    /// The nodes of the page number `at` of a directory of several.
    pub fn page(&self, pages: &[PageRef], at: usize) -> Result<Vec<Node>> {
        let Some(page) = pages.get(at) else { return Ok(Vec::new()) };
        let malformed = |why| {
            EngineError::damaged(format!("tree {}", page.id))(FormatError::Malformed { what: "tree", why })
        };
        let Tree::Page(nodes) = self.tree(&page.id)? else {
            return Err(malformed("an index lists an index"));
        };
        if nodes.first().is_none_or(|node| node.name != page.first) {
            return Err(malformed("it doesn't begin with the name that its index says"));
        }
        let next = pages.get(at + 1);
        if nodes.last().zip(next).is_some_and(|(last, next)| last.name >= next.first) {
            return Err(malformed("it has names that belong into the page after it"));
        }
        Ok(nodes)
    }

    /// Calls `visit` with every node of a directory, in order.
    pub fn for_each_node(&self, id: &ChunkId, visit: &mut dyn FnMut(Node) -> Result<()>) -> Result<()> {
        match self.directory(id)? {
            DirectoryPages::One(nodes) => nodes.into_iter().try_for_each(visit),
            DirectoryPages::Many(pages) => {
                for at in 0..pages.len() {
                    self.page(&pages, at)?.into_iter().try_for_each(&mut *visit)?;
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

    /// A list that is as its reference says.
    pub fn listed(&self, list: ListRef) -> Result<List> {
        let found = self.list(&list.id)?;
        let why = if found.level != list.level {
            "it isn't of the level that its reference says"
        } else if found.bytes() != list.bytes {
            "its items don't add up to what its reference says"
        } else {
            return Ok(found);
        };
        let object = format!("chunk list {}", list.id);
        Err(EngineError::damaged(object)(FormatError::Malformed { what: "chunk list", why }))
    }

    /// Calls `visit` with every chunk of a content of this many bytes, in order. Lists of another sum are
    /// refused before any chunk below them is visited; so nothing is visited beyond these bytes.
    pub fn for_each_chunk(
        &self,
        content: &Content,
        bytes: u64,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        self.walk(content, bytes, &mut |_| true, visit)
    }

    /// As [`Trees::for_each_chunk`], but goes below each list once, however often it is in the content:
    /// the work is in proportion to what is stored, and not to what it claims to be. `enter` says
    /// whether to go below a list at all.
    pub fn for_each_chunk_once(
        &self,
        content: &Content,
        bytes: u64,
        enter: &mut dyn FnMut(ListRef) -> bool,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        self.walk(content, bytes, &mut |list| enter(list) && seen.insert(list), visit)
    }

    fn walk(
        &self,
        content: &Content,
        bytes: u64,
        enter: &mut dyn FnMut(ListRef) -> bool,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        match content {
            Content::Inline(chunks) => {
                if inline_bytes(chunks) != bytes {
                    return Err(EngineError::damaged("content of a file")(FormatError::Malformed {
                        what: "content",
                        why: "its chunks don't add up to its length",
                    }));
                }
                chunks.iter().copied().try_for_each(visit)
            }
            Content::List { level, id } => {
                self.walk_list(ListRef { id: *id, level: *level, bytes }, enter, visit)
            }
        }
    }

    fn walk_list(
        &self,
        list: ListRef,
        enter: &mut dyn FnMut(ListRef) -> bool,
        visit: &mut dyn FnMut(ChunkRef) -> Result<()>,
    ) -> Result<()> {
        if !enter(list) {
            return Ok(());
        }
        for item in self.listed(list)?.items {
            match list.level {
                0 | 1 => {
                    // Longer ones are refused with the list.
                    let len = u32::try_from(item.bytes).unwrap_or(u32::MAX);
                    visit(ChunkRef { id: item.id, len })?;
                }
                level => {
                    let below = ListRef { id: item.id, level: level - 1, bytes: item.bytes };
                    self.walk_list(below, enter, visit)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of a content, as it says itself at its top.
    fn content_bytes(&self, content: &Content) -> Result<u64> {
        match content {
            Content::Inline(chunks) => Ok(inline_bytes(chunks)),
            Content::List { id, .. } => Ok(self.list(id)?.bytes()),
        }
    }

    /// Whether `holds` is true of every chunk of a content, and of its lists of chunks.
    pub fn all_chunks(&self, content: &Content, holds: &mut dyn FnMut(Wanted) -> bool) -> Result<bool> {
        let bytes = self.content_bytes(content)?;
        let (mut lists, mut all) = (Vec::new(), true);
        self.for_each_chunk_once(
            content,
            bytes,
            &mut |list| {
                lists.push(list.id);
                true
            },
            &mut |chunk| {
                all = all && holds(chunk.into());
                Ok(())
            },
        )?;
        Ok(all && lists.into_iter().all(|id| holds(id.into())))
    }

    /// The bytes of a blob, whose chunks have no more than `bytes_max` bytes. Each of them is in it
    /// once: so no more memory is taken than what is stored for it justifies.
    pub fn blob(&self, content: &Content, bytes_max: u64) -> Result<Vec<u8>> {
        let refused = |source| EngineError::damaged("a blob")(source);
        let total = self.content_bytes(content)?;
        if total > bytes_max {
            return Err(refused(FormatError::OverLimit { what: "blob", field: "length" }));
        }
        let (mut bytes, mut seen) = (Vec::new(), HashSet::new());
        self.for_each_chunk(content, total, &mut |chunk| {
            if !seen.insert(chunk.id) {
                let why = "a piece is in it twice";
                return Err(refused(FormatError::Malformed { what: "blob", why }));
            }
            // Of the length that its reference says: another one isn't found.
            let plain = self.frames.chunk(ChunkKind::Metadata, chunk)?;
            let damaged = EngineError::damaged(format!("blob {}", chunk.id));
            bytes.extend_from_slice(decode_blob(&plain).map_err(damaged)?);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Where the content of a file of this size goes.
    pub fn layout(&self, size: u64, content: &Content, extents: &Extents) -> Result<FileLayout> {
        let extents = match extents {
            Extents::Bundled { .. } => {
                let content_bytes = self.content_bytes(content)?;
                return Ok(FileLayout { extents: vec![(0, size)], content_bytes });
            }
            Extents::Dense if size == 0 => Vec::new(),
            Extents::Dense => vec![(0, size)],
            Extents::Inline(list) => list.clone(),
            Extents::Blob(blob) => extents_from_bytes(&self.blob(blob, limits::EXTENTS_BLOB_BYTES_MAX)?)
                .map_err(EngineError::damaged("extents of a file"))?,
        };
        if extents.last().is_some_and(|(offset, length)| offset.saturating_add(*length) > size) {
            let why = "they end over the file's size";
            return Err(EngineError::damaged("extents of a file")(FormatError::Malformed {
                what: "extents",
                why,
            }));
        }
        // They don't overlap and are within the size, and so is their sum.
        let content_bytes = extents.iter().map(|(_, length)| length).sum();
        Ok(FileLayout { extents, content_bytes })
    }

    /// The groups of hard links of a snapshot.
    pub fn hard_links(&self, snapshot: &Snapshot) -> Result<Vec<LinkGroup>> {
        let object = keepfast_format::names::snapshot(snapshot.head.id);
        let blob = self.blob(&snapshot.body.hard_links, limits::LINKS_BLOB_BYTES_MAX)?;
        links::decode(&blob).map_err(EngineError::damaged(object))
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
                    Some(at) => self.page(&pages, at)?,
                    None => return Ok(None),
                }
            }
        };
        Ok(nodes.into_iter().find(|node| node.name == name))
    }
}

fn inline_bytes(chunks: &[ChunkRef]) -> u64 {
    chunks.iter().map(|chunk| u64::from(chunk.len)).sum()
}
