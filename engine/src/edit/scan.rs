//! Looks for what is to be left out of a snapshot, and counts it.

use std::collections::HashSet;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Extents, Node, NodeKind};

use super::fate::{Fate, Fates};
use super::pages::Pages;
use crate::error::{EngineError, Result};
use crate::fs::sources::Wanted;
use crate::repo::Trees;
use crate::run::RunContext;

/// This many paths are named that match and stay.
const NAMED_MAX: usize = 16;
/// This many directories without a match are remembered, at 40 bytes each.
const KNOWN_MAX: usize = 1 << 18;

/// What is left out of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
    /// Links, devices, and the like.
    pub others: u64,
    /// Bytes of the files, holes left out.
    pub bytes: u64,
    /// Paths that match and stay, since they were backed up by name, or lead to what was; not all, if
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
pub struct Known(HashSet<[u8; 32]>);

impl Known {
    fn key(path: &[u8], tree: &ChunkId) -> [u8; 32] {
        *blake3::Hasher::new().update(tree.as_bytes()).update(path).finalize().as_bytes()
    }

    /// Whether nothing matches in a directory of which all was wanted.
    pub fn has(&self, wanted: &Wanted, path: &[u8], tree: &ChunkId) -> bool {
        matches!(wanted, Wanted::All { .. }) && self.0.contains(&Self::key(path, tree))
    }

    fn add(&mut self, wanted: &Wanted, path: &[u8], tree: &ChunkId) {
        if matches!(wanted, Wanted::All { .. }) && self.0.len() < KNOWN_MAX {
            self.0.insert(Self::key(path, tree));
        }
    }
}

/// A directory that is being looked through.
struct Level {
    tree: ChunkId,
    wanted: Wanted,
    /// Length of its path, with the slash behind it.
    prefix: usize,
    pages: Pages,
    at: usize,
    /// Directories of the last page that was read.
    below: std::vec::IntoIter<Below>,
    has_match: bool,
}

struct Below {
    name: Vec<u8>,
    tree: ChunkId,
    wanted: Wanted,
}

/// Looks through a tree.
pub fn scan(
    trees: Trees<'_>,
    fates: &Fates<'_>,
    root: &ChunkId,
    known: &mut Known,
    run: &RunContext,
) -> Result<Removal> {
    let mut removal = Removal::default();
    let mut path = b"/".to_vec();
    let open = |tree: ChunkId, wanted: Wanted, prefix: usize| -> Result<Level> {
        let pages = Pages::open(trees, tree)?;
        Ok(Level { tree, wanted, prefix, pages, at: 0, below: Vec::new().into_iter(), has_match: false })
    };
    let mut stack = vec![open(*root, fates.root(), path.len())?];
    while let Some(level) = stack.last_mut() {
        if run.is_cancelled() {
            return Err(EngineError::Interrupted);
        }
        path.truncate(level.prefix);
        if let Some(Below { name, tree, wanted }) = level.below.next() {
            path.extend_from_slice(&name);
            if !known.has(&wanted, &path, &tree) {
                path.push(b'/');
                stack.push(open(tree, wanted, path.len())?);
            }
        } else if level.at < level.pages.count() {
            let nodes = level.pages.nodes(trees, level.at)?;
            level.at += 1;
            run.count(nodes.len() as u64, 0);
            let mut below = Vec::new();
            for node in nodes {
                path.truncate(level.prefix);
                path.extend_from_slice(&node.name);
                let wanted = match fates.of(&level.wanted, &path, &node.name) {
                    Fate::Goes => {
                        level.has_match = true;
                        count(trees, &node, &mut removal, run)?;
                        continue;
                    }
                    Fate::Named(wanted) => {
                        // It stays for what this snapshot is of, and may go from another.
                        level.has_match = true;
                        if removal.named.len() < NAMED_MAX {
                            removal.named.push(path.clone());
                        }
                        wanted
                    }
                    Fate::Stays(wanted) => wanted,
                };
                if let NodeKind::Directory { tree } = node.kind {
                    below.push(Below { name: node.name, tree, wanted });
                }
            }
            level.below = below.into_iter();
        } else {
            let is_match = level.has_match;
            if !is_match {
                let path = path.strip_suffix(b"/").unwrap_or(&path);
                known.add(&level.wanted, path, &level.tree);
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
        if run.is_cancelled() {
            return Err(EngineError::Interrupted);
        }
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
