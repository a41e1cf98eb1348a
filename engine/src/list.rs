//! Listing what is in a snapshot.

use std::ops::ControlFlow;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Mismatch, Result};
use crate::repo::{DirectoryPages, FrameCache, Index, Repository, Trees};
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

/// Calls `found` with the nodes of a directory whose names come after `after`, in the order of names, until it has enough.
/// Only those pages of the directory are read that these nodes are in: the work doesn't grow with the directory.
pub fn list_directory(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    after: Option<&[u8]>,
    run: &RunContext,
    found: &mut dyn FnMut(Node) -> ControlFlow<()>,
) -> Result<()> {
    let frames = FrameCache::new(repository, index, run);
    let listed = list_after(Trees::new(&frames), snapshot, path, after, run, found);
    run.report_suspects(|_| false);
    listed
}

fn list_after(
    trees: Trees<'_>,
    snapshot: &Snapshot,
    path: &[u8],
    after: Option<&[u8]>,
    run: &RunContext,
    found: &mut dyn FnMut(Node) -> ControlFlow<()>,
) -> Result<()> {
    let tree = directory(trees, snapshot, path)?;
    let is_wanted = |node: &Node| after.is_none_or(|after| node.name.as_slice() > after);
    match trees.directory(&tree)? {
        DirectoryPages::One(nodes) => {
            let _ = nodes.into_iter().filter(is_wanted).try_for_each(found);
        }
        DirectoryPages::Many(pages) => {
            // The last page that begins at or before the name may have names after it.
            let begins = |name: &[u8]| pages.partition_point(|page| page.first.as_slice() <= name);
            let first = after.map_or(0, |after| begins(after).saturating_sub(1));
            for at in first..pages.len() {
                run.go_on()?;
                let mut nodes = trees.page(&pages, at)?.into_iter().filter(is_wanted);
                if nodes.try_for_each(&mut *found).is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The tree of the directory at a path of a snapshot.
fn directory(trees: Trees<'_>, snapshot: &Snapshot, path: &[u8]) -> Result<ChunkId> {
    let path = normal(path);
    if path.is_empty() {
        return Ok(snapshot.body.tree);
    }
    let missing =
        |found| EngineError::NotInSnapshot { path: path.clone(), found, snapshot: snapshot.head.id };
    match trees.find(&snapshot.body.tree, &path)?.map(|node| node.kind) {
        None => Err(missing(Mismatch::Nothing)),
        Some(NodeKind::Directory { tree }) => Ok(tree),
        Some(_) => Err(missing(Mismatch::NoDirectory)),
    }
}

/// The node at a path of a snapshot; nothing for its root.
pub fn look_up(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    run: &RunContext,
) -> Result<Option<Node>> {
    let path = normal(path);
    if path.is_empty() {
        return Ok(None);
    }
    let frames = FrameCache::new(repository, index, run);
    let node = Trees::new(&frames).find(&snapshot.body.tree, &path);
    run.report_suspects(|_| false);
    match node? {
        Some(node) => Ok(Some(node)),
        None => {
            let (found, snapshot) = (Mismatch::Nothing, snapshot.head.id);
            Err(EngineError::NotInSnapshot { path, found, snapshot })
        }
    }
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
