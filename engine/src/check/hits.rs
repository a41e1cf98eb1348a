//! The files that damage hits, by name: snapshot by snapshot, and only through trees that are
//! known to be damaged.

use std::collections::HashSet;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::Check;
use super::trees::{TreeKind, TreeRef, file_damage, states_below};
use crate::error::{EngineError, Result};
use crate::repo::{Index, Trees};

/// Damaged files that are named one by one; of more, only the number is told.
const FILES_NAMED: u64 = 1000;

/// Names what is hit.
pub struct Hits<'w, 'c, 'a> {
    pub trees: Trees<'w>,
    pub index: &'w Index,
    /// Chunks that can't be had.
    pub bad: &'w HashSet<ChunkId>,
    /// Trees with damage in them or below them.
    pub damaged: &'w HashSet<TreeRef>,
    /// State trees that were named.
    pub named_states: HashSet<ChunkId>,
    /// Files and directories that are hit, those that aren't named included.
    pub count: u64,
    pub check: &'c mut Check<'a>,
}

impl Hits<'_, '_, '_> {
    /// Names what is hit in a snapshot.
    pub fn name(&mut self, stored: &Snapshot) -> Result<()> {
        let snapshot = stored.head.id.short();
        self.tree(&snapshot, &stored.body.tree)?;
        if let Some(state) = &stored.body.state {
            self.state(&snapshot, state)?;
        }
        if let Err(error) = self.trees.hard_links(stored) {
            self.check.finding(format!("snapshot {snapshot}"), format!("its hard links are lost: {error}"));
        }
        Ok(())
    }

    fn tree(&mut self, snapshot: &str, root: &ChunkId) -> Result<()> {
        let mut stack = vec![(*root, Vec::new())];
        let mut seen = HashSet::new();
        while let Some((tree, path)) = stack.pop() {
            if self.check.monitor.stopped() {
                return Err(EngineError::Interrupted);
            }
            if !self.damaged.contains(&(TreeKind::Tree, tree)) || !seen.insert(tree) {
                continue;
            }
            let mut nodes = Vec::new();
            let read = self.trees.for_each_node(&tree, &mut |node| {
                nodes.push(node);
                Ok(())
            });
            for node in nodes {
                let path = join(&path, &node.name);
                match &node.kind {
                    NodeKind::Directory { tree } => stack.push((*tree, path)),
                    NodeKind::File { .. } => self.file(snapshot, &node, &path)?,
                    _ => {}
                }
            }
            match read {
                Err(error @ EngineError::Cache { .. }) => return Err(error),
                Err(error) => self.hit(snapshot, &path, &format!("the directory can't be read: {error}")),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, snapshot: &str, node: &Node, path: &[u8]) -> Result<()> {
        let (index, bad) = (self.index, self.bad);
        let damage = file_damage(self.trees, node, &mut |chunk| {
            if bad.contains(&chunk.id) {
                return Ok(Some(format!("chunk {} is damaged", chunk.id)));
            }
            Ok(match index.locate(&chunk.id)? {
                None => Some(format!("chunk {} is in no pack", chunk.id)),
                Some(place) if place.len != chunk.len => {
                    Some(format!("chunk {} isn't as long as the file says", chunk.id))
                }
                Some(_) => None,
            })
        })?;
        if let Some(what) = damage {
            self.hit(snapshot, path, &what);
        }
        Ok(())
    }

    /// What is damaged of a state tree is named for one snapshot only.
    fn state(&mut self, snapshot: &str, root: &ChunkId) -> Result<()> {
        let mut stack = vec![(TreeKind::State, *root)];
        while let Some(tree @ (_, id)) = stack.pop() {
            if !self.damaged.contains(&tree) || !self.named_states.insert(id) {
                continue;
            }
            match self.trees.state(&id) {
                Ok(state) => stack.extend(states_below(state)),
                Err(error @ EngineError::Cache { .. }) => return Err(error),
                Err(error) => self.check.finding(
                    format!("snapshot {snapshot}"),
                    format!("the next backup reads more than it had to: {error}"),
                ),
            }
        }
        Ok(())
    }

    fn hit(&mut self, snapshot: &str, path: &[u8], what: &str) {
        self.count += 1;
        if self.count <= FILES_NAMED {
            let path = String::from_utf8_lossy(path).into_owned();
            self.check.finding(format!("snapshot {snapshot}: {path}"), what);
        } else if self.count == FILES_NAMED + 1 {
            self.check.finding(format!("snapshot {snapshot}"), "more files are hit than can be named here");
        }
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}
