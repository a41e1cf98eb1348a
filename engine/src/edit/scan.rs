//! Searches a snapshot for what is to be left out of it, and counts that.

use std::collections::HashSet;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::u64_of;

use super::fate::{Fate, Fates, Scope, Staying};
use super::pages::Pages;
use crate::error::Result;
use crate::fs::sources::Wanted;
use crate::repo::Trees;
use crate::run::RunContext;

/// At most this many paths that match and stay are reported.
const NAMED_MAX: usize = 16;
/// At most this many directories without a match are remembered, at 40 bytes each.
const WITHOUT_MATCHES_MAX: usize = 1 << 18;

/// What is left out of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, devices, fifos and sockets.
    pub others: u64,
    /// Bytes of the files, holes left out.
    pub bytes: u64,
    /// Paths that match and stay, because they were backed up by name, or lead to what was; not all, if
    /// there are many.
    pub named: Vec<Vec<u8>>,
}

impl Removal {
    /// Whether nothing goes.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.files == 0 && self.dirs == 0 && self.others == 0
    }
}

/// Directories in which nothing matches, by path and tree: most snapshots have most of them in common.
#[derive(Default)]
pub struct WithoutMatches(HashSet<[u8; 32]>);

impl WithoutMatches {
    fn key(path: &[u8], tree: &ChunkId) -> [u8; 32] {
        *blake3::Hasher::new().update(tree.as_bytes()).update(path).finalize().as_bytes()
    }

    /// Whether nothing matches in a directory of which all was wanted.
    pub fn contains(&self, wanted: &Wanted, path: &[u8], tree: &ChunkId) -> bool {
        matches!(wanted, Wanted::All { .. }) && self.0.contains(&Self::key(path, tree))
    }

    fn add(&mut self, wanted: &Wanted, path: &[u8], tree: &ChunkId) {
        if matches!(wanted, Wanted::All { .. }) && self.0.len() < WITHOUT_MATCHES_MAX {
            self.0.insert(Self::key(path, tree));
        }
    }
}

/// A directory that is being searched.
struct Level {
    tree: ChunkId,
    scope: Scope,
    /// Length of its path, with the slash after it.
    prefix: usize,
    pages: Pages,
    /// The page that comes next.
    next_page: usize,
    /// Directories of the last page that was read.
    children: std::vec::IntoIter<Child>,
    has_match: bool,
}

/// A directory that is to be searched.
struct Child {
    name: Vec<u8>,
    tree: ChunkId,
    staying: Staying,
}

/// Searches a tree.
pub fn scan(
    trees: Trees<'_>,
    fates: &Fates<'_>,
    root: &ChunkId,
    without_matches: &mut WithoutMatches,
    run: &RunContext,
) -> Result<Removal> {
    let mut removal = Removal::default();
    let mut path = b"/".to_vec();
    let open = |tree: ChunkId, scope: Scope, prefix: usize| -> Result<Level> {
        let pages = Pages::open(trees, tree)?;
        let children = Vec::new().into_iter();
        Ok(Level { tree, scope, prefix, pages, next_page: 0, children, has_match: false })
    };
    let mut stack = vec![open(*root, fates.root(), path.len())?];
    while let Some(level) = stack.last_mut() {
        run.go_on()?;
        path.truncate(level.prefix);
        if let Some(Child { name, tree, staying }) = level.children.next() {
            path.extend_from_slice(&name);
            if !without_matches.contains(&staying.wanted, &path, &tree) {
                path.push(b'/');
                let scope = fates.below(&level.scope, &name, staying);
                stack.push(open(tree, scope, path.len())?);
            }
        } else if level.next_page < level.pages.count() {
            let nodes = level.pages.nodes(trees, level.next_page)?;
            level.next_page += 1;
            run.count(u64_of(nodes.len()), 0);
            let mut children = Vec::new();
            for node in nodes {
                path.truncate(level.prefix);
                path.extend_from_slice(&node.name);
                let staying = match fates.of(&level.scope, &node.name, &path) {
                    Fate::Goes => {
                        level.has_match = true;
                        count(trees, &node, &mut removal, run)?;
                        continue;
                    }
                    Fate::Named(staying) => {
                        // It stays because of what was named here; in another snapshot it may go.
                        level.has_match = true;
                        if removal.named.len() < NAMED_MAX {
                            removal.named.push(path.clone());
                        }
                        staying
                    }
                    Fate::Stays(staying) => staying,
                };
                if let NodeKind::Directory { tree } = node.kind {
                    children.push(Child { name: node.name, tree, staying });
                }
            }
            level.children = children.into_iter();
        } else {
            let is_match = level.has_match;
            if !is_match {
                let path = path.strip_suffix(b"/").unwrap_or(&path);
                without_matches.add(&level.scope.wanted, path, &level.tree);
            }
            stack.pop();
            if let Some(above) = stack.last_mut() {
                above.has_match |= is_match;
            }
        }
    }
    Ok(removal)
}

/// Counts an entry, and all that is below it.
fn count(trees: Trees<'_>, node: &Node, removal: &mut Removal, run: &RunContext) -> Result<()> {
    let mut below = Vec::new();
    count_one(trees, node, removal, &mut below)?;
    while let Some(tree) = below.pop() {
        run.go_on()?;
        trees.for_each_node(&tree, &mut |node| count_one(trees, &node, removal, &mut below))?;
    }
    Ok(())
}

fn count_one(trees: Trees<'_>, node: &Node, removal: &mut Removal, below: &mut Vec<ChunkId>) -> Result<()> {
    match &node.kind {
        NodeKind::Directory { tree } => {
            removal.dirs += 1;
            below.push(*tree);
        }
        NodeKind::File { size, content, extents } => {
            let bytes = match extents {
                Extents::Dense | Extents::Bundled { .. } => *size,
                Extents::Inline(_) | Extents::Blob(_) => trees.layout(*size, content, extents)?.content_bytes,
            };
            removal.files += 1;
            removal.bytes = removal.bytes.saturating_add(bytes);
        }
        _ => removal.others += 1,
    }
    Ok(())
}
