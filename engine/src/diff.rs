//! What is different between two snapshots of a repository. Both trees are walked at the same time, and what has the same
//! id in both is passed over unread: the work is in proportion to what is different.

use std::cmp::Ordering;

use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::usize_of;
use keepfast_format::snapshot::Snapshot;
use keepfast_format::tree::PageRef;

use crate::error::{EngineError, Mismatch, Result};
use crate::repo::{DirectoryPages, FrameCache, Index, Repository, Trees, gather};
use crate::run::RunContext;

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It is in the second snapshot alone.
    Added,
    /// It is in the first snapshot alone.
    Removed,
    /// The bytes of a file, or where a link or a device leads, are others.
    Content,
    /// Only its mode, owner, time or extended attributes are others.
    Metadata,
    /// It is of another kind: a folder in the place of a file, say.
    Kind,
}

/// An entry that is different.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its path from the root down.
    pub path: Vec<u8>,
    /// How it differs.
    pub kind: ChangeKind,
    /// What it was.
    pub before: Option<Node>,
    /// What it is.
    pub after: Option<Node>,
}

/// Which part of the differences is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part<'p> {
    /// Only what is at or below this path.
    pub path: &'p [u8],
    /// Only what comes after this path, in the order in which changes are found.
    pub after: Option<&'p [u8]>,
}

/// Calls `found` with each change: in the order of paths, compared name by name, so that a folder comes before what is in
/// it. What is in a folder that was added or removed is told as well.
pub fn diff(
    repository: &Repository,
    index: &Index,
    before: &Snapshot,
    after: &Snapshot,
    part: Part<'_>,
    run: &RunContext,
    found: &mut dyn FnMut(Change) -> Result<()>,
) -> Result<()> {
    let frames = FrameCache::new(repository, index, run);
    let data = FrameCache::of_data(repository, index, run);
    let walk = Walk { trees: Trees::new(&frames), data: &data, run };
    let done = walk.of(before, after, part, found);
    run.report_suspects(|_| false);
    done
}

struct Walk<'f> {
    trees: Trees<'f>,
    data: &'f FrameCache<'f>,
    run: &'f RunContext,
}

/// The names of a path.
fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
}

impl Walk<'_> {
    fn of(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        part: Part<'_>,
        found: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        let wanted = names(part.path);
        let resume = part.after.map(names);
        let Some((name, above)) = wanted.split_last() else {
            let trees = (Some(before.body.tree), Some(after.body.tree));
            return self.folder(trees, &mut Vec::new(), resume.as_deref(), found);
        };
        let of = |snapshot: &Snapshot| self.trees.find(&snapshot.body.tree, part.path);
        let nodes = (of(before)?, of(after)?);
        if let (None, None) = nodes {
            let (path, snapshot) = (part.path.to_vec(), after.head.id);
            return Err(EngineError::NotInSnapshot { path, found: Mismatch::Nothing, snapshot });
        }
        let mut path = Vec::new();
        for name in above {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        // What the place to go on from says of the names above is known already.
        let resume = match &resume {
            Some(resume) if resume.starts_with(&wanted) => Some(&resume[above.len()..]),
            Some(resume) if *resume > wanted => return Ok(()),
            _ => None,
        };
        let resume = resume.filter(|resume| resume.first() == Some(name));
        self.entry(nodes, &mut path, resume, found)
    }

    /// The entries of a folder that is in one or both; `resume` is what comes before those that are wanted.
    fn folder(
        &self,
        (before, after): (Option<ChunkId>, Option<ChunkId>),
        path: &mut Vec<u8>,
        resume: Option<&[&[u8]]>,
        found: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        if before == after {
            return Ok(());
        }
        let first = resume.and_then(|resume| resume.first().copied());
        let mut before = Entries::of(self.trees, before, first)?;
        let mut after = Entries::of(self.trees, after, first)?;
        loop {
            self.run.go_on()?;
            before.pass_equal_pages(&mut after);
            let order = match (before.peek()?, after.peek()?) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name.cmp(&other.name),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { after.next() } else { None };
            let name = old.as_ref().or(new.as_ref()).map(|node| node.name.clone()).unwrap_or_default();
            let below = match first {
                Some(first) if name.as_slice() < first => continue,
                Some(first) if name.as_slice() == first => resume,
                _ => None,
            };
            self.entry((old, new), path, below, found)?;
        }
    }

    /// An entry, and what is below it. `resume` begins with its name if what is wanted comes after it.
    fn entry(
        &self,
        (old, new): (Option<Node>, Option<Node>),
        path: &mut Vec<u8>,
        resume: Option<&[&[u8]]>,
        found: &mut dyn FnMut(Change) -> Result<()>,
    ) -> Result<()> {
        let length = path.len();
        path.push(b'/');
        path.extend_from_slice(old.as_ref().or(new.as_ref()).map_or(b"", |node| &node.name));
        let trees = (old.as_ref().and_then(tree), new.as_ref().and_then(tree));
        let kind = if resume.is_some() { None } else { self.compare(old.as_ref(), new.as_ref())? };
        if let Some(kind) = kind {
            found(Change { path: path.clone(), kind, before: old, after: new })?;
        }
        let below = resume.and_then(|resume| resume.split_first()).map(|(_, below)| below);
        self.folder(trees, path, below.filter(|below| !below.is_empty()), found)?;
        path.truncate(length);
        Ok(())
    }

    /// How two entries of a name differ; nothing if they don't, apart from what is below them.
    fn compare(&self, old: Option<&Node>, new: Option<&Node>) -> Result<Option<ChangeKind>> {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (None, Some(_)) => return Ok(Some(ChangeKind::Added)),
            (Some(_), None) => return Ok(Some(ChangeKind::Removed)),
            (None, None) => return Ok(None),
        };
        let is_same = match (&old.kind, &new.kind) {
            (
                NodeKind::File { size, content, extents },
                NodeKind::File { size: new_size, content: new_content, extents: new_extents },
            ) => {
                size == new_size
                    && self.is_same_content(*size, (content, extents), (new_content, new_extents))?
            }
            (NodeKind::Directory { .. }, NodeKind::Directory { .. }) => true,
            (old, new) if std::mem::discriminant(old) != std::mem::discriminant(new) => {
                return Ok(Some(ChangeKind::Kind));
            }
            (old, new) => old == new,
        };
        if !is_same {
            return Ok(Some(ChangeKind::Content));
        }
        let of = |node: &Node| {
            let Node { mode, uid, gid, mtime, xattrs, .. } = node;
            (*mode, *uid, *gid, *mtime, xattrs.clone())
        };
        Ok((of(old) != of(new)).then_some(ChangeKind::Metadata))
    }

    /// Whether two files of one size have the same bytes. Equal bytes have equal chunks, unless one of the files is in a
    /// bundle with others: such a file is small, and is read.
    fn is_same_content(
        &self,
        size: u64,
        old: (&Content, &Extents),
        new: (&Content, &Extents),
    ) -> Result<bool> {
        if old == new {
            return Ok(true);
        }
        let is_bundled = |extents: &Extents| matches!(extents, Extents::Bundled { .. });
        if !is_bundled(old.1) && !is_bundled(new.1) {
            return Ok(false);
        }
        Ok(self.bytes(size, old)? == self.bytes(size, new)?)
    }

    /// The bytes of a file that has no holes.
    fn bytes(&self, size: u64, (content, extents): (&Content, &Extents)) -> Result<Option<Vec<u8>>> {
        if !matches!(extents, Extents::Bundled { .. } | Extents::Dense) {
            return Ok(None);
        }
        let layout = self.trees.layout(size, content, extents)?;
        let mut chunks = Vec::new();
        self.trees.for_each_chunk(content, layout.content_bytes, &mut |chunk| {
            chunks.push(chunk);
            Ok(())
        })?;
        let bytes: Vec<u8> = gather(self.data, &chunks)?.concat();
        let from = usize_of(extents.content_start());
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(bytes.get(from..from.saturating_add(length)).map(<[u8]>::to_vec))
    }
}

fn tree(node: &Node) -> Option<ChunkId> {
    match &node.kind {
        NodeKind::Directory { tree } => Some(*tree),
        _ => None,
    }
}

/// The entries of a folder, page by page.
struct Entries<'f> {
    trees: Trees<'f>,
    pages: Vec<PageRef>,
    /// The page that is read next.
    next_page: usize,
    /// What is left of the page that was read last, the last entry first.
    left: Vec<Node>,
}

impl<'f> Entries<'f> {
    /// Those of a folder, from the page on that has this name or comes after it; none of no folder.
    fn of(trees: Trees<'f>, tree: Option<ChunkId>, from: Option<&[u8]>) -> Result<Self> {
        let mut entries = Self { trees, pages: Vec::new(), next_page: 0, left: Vec::new() };
        let Some(tree) = tree else { return Ok(entries) };
        match trees.directory(&tree)? {
            DirectoryPages::One(nodes) => entries.left = nodes,
            DirectoryPages::Many(pages) => {
                let begins = |name: &[u8]| pages.partition_point(|page| page.first.as_slice() <= name);
                entries.next_page = from.map_or(0, |name| begins(name).saturating_sub(1));
                entries.pages = pages;
            }
        }
        entries.left.reverse();
        Ok(entries)
    }

    /// Passes over pages that come next in both and are the same.
    fn pass_equal_pages(&mut self, other: &mut Self) {
        while self.left.is_empty() && other.left.is_empty() {
            match (self.pages.get(self.next_page), other.pages.get(other.next_page)) {
                (Some(one), Some(two)) if one.id == two.id => {
                    self.next_page += 1;
                    other.next_page += 1;
                }
                _ => break,
            }
        }
    }

    fn peek(&mut self) -> Result<Option<&Node>> {
        while self.left.is_empty() && self.next_page < self.pages.len() {
            self.left = self.trees.page(&self.pages, self.next_page)?;
            self.left.reverse();
            self.next_page += 1;
        }
        Ok(self.left.last())
    }

    fn next(&mut self) -> Option<Node> {
        self.left.pop()
    }
}
