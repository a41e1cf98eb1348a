//! Listing what is in a snapshot.

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Mismatch, Result};
use crate::repo::{FrameCache, Index, Repository, Trees};
use crate::run::RunContext;

/// Calls `found` with the absolute path and node of each entry at or below `path`: with
/// `recursive` of all of them, otherwise of the directory's own entries. Parents come first.
pub fn list(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    recursive: bool,
    run: &RunContext,
    found: &mut dyn FnMut(&[u8], &Node) -> Result<()>,
) -> Result<()> {
    let frames = FrameCache::new(repository, index, run);
    let listed = list_entries(Trees::new(&frames), snapshot, path, recursive, run, found);
    run.report_suspects(|_| false);
    listed
}

fn list_entries(
    trees: Trees<'_>,
    snapshot: &Snapshot,
    path: &[u8],
    recursive: bool,
    run: &RunContext,
    found: &mut dyn FnMut(&[u8], &Node) -> Result<()>,
) -> Result<()> {
    let mut stack = Vec::new();
    if path.iter().all(|byte| *byte == b'/') {
        stack.push((snapshot.body.tree, Vec::new()));
    } else {
        let path = normal(path);
        let Some(node) = trees.find(&snapshot.body.tree, &path)? else {
            let (found, snapshot) = (Mismatch::Nothing, snapshot.head.id);
            return Err(EngineError::NotInSnapshot { path, found, snapshot });
        };
        match node.kind {
            NodeKind::Directory { tree } => stack.push((tree, path)),
            _ => return found(&path, &node),
        }
    }
    while let Some((tree, folder)) = stack.pop() {
        let mut below: Vec<(ChunkId, Vec<u8>)> = Vec::new();
        trees.for_each_node(&tree, &mut |node| {
            let mut path = folder.clone();
            path.push(b'/');
            path.extend_from_slice(&node.name);
            found(&path, &node)?;
            if let (NodeKind::Directory { tree }, true) = (&node.kind, recursive) {
                below.push((*tree, path));
            }
            run.go_on()
        })?;
        below.reverse();
        stack.extend(below);
    }
    Ok(())
}

/// A path with one leading slash and none at the end.
#[must_use]
pub fn normal(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len() + 1);
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    normal
}
