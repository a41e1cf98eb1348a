//! The files that damage affects, by name: snapshot by snapshot, and only through trees that aren't
//! known to be sound.

use std::collections::HashSet;

use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::chunks::Chunks;
use super::trees::{TreeKind, TreeRef, WalkedTrees, file_damage, list_tree, states_below};
use super::trouble::Trouble;
use crate::error::{EngineError, Result};
use crate::repo::{ListRef, Trees};
use crate::run::RunContext;

/// Damaged files that are named one by one; of more, only their number and their snapshots are reported.
const FILES_NAMED: u64 = 1000;

/// Finds the names of what damage affects.
pub struct AffectedFiles<'w> {
    trees: Trees<'w>,
    chunks: &'w Chunks<'w>,
    walked: &'w WalkedTrees,
    run: &'w RunContext,
    /// State trees that were named, and those of them that were named for the newest snapshot.
    named_states: HashSet<ChunkId>,
    newly_named: Vec<ChunkId>,
    found: Affected,
    /// Files and directories that may still be named.
    nameable: u64,
}

/// An object or a file, and what is wrong with it.
pub struct Named {
    /// The object or the file.
    pub object: String,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What damage affects in a snapshot.
#[derive(Default)]
pub struct Affected {
    /// Objects and files, and what is wrong with them.
    pub named: Vec<Named>,
    /// Files and directories that are damaged, those that aren't named included.
    pub damaged: u64,
    /// Files and directories that can't be read now, likewise.
    pub unreachable: u64,
}

impl<'w> AffectedFiles<'w> {
    /// `walked` says which trees are sound.
    pub fn new(
        trees: Trees<'w>,
        chunks: &'w Chunks<'w>,
        walked: &'w WalkedTrees,
        run: &'w RunContext,
    ) -> Self {
        let (named_states, newly_named, found) = (HashSet::new(), Vec::new(), Affected::default());
        Self { trees, chunks, walked, run, named_states, newly_named, found, nameable: 0 }
    }

    /// What damage affects in a snapshot, after this many files and directories in others.
    pub fn of(&mut self, stored: &Snapshot, before: u64) -> Result<Affected> {
        self.nameable = FILES_NAMED.saturating_sub(before);
        self.newly_named.clear();
        let snapshot = stored.head.id.short();
        self.tree(&snapshot, &stored.body.tree)?;
        if let Some(state) = &stored.body.state {
            self.state(&snapshot, state)?;
        }
        if let Err(error) = self.trees.hard_links(stored) {
            let trouble = Trouble::of(error)?.saying(|why, is_unreachable| {
                let lost = if is_unreachable { "can't be read now" } else { "are lost" };
                format!("its hard links {lost}: {why}")
            });
            self.name(format!("snapshot {snapshot}"), trouble);
        }
        Ok(std::mem::take(&mut self.found))
    }

    /// Says that the newest result wasn't reported: its state trees are named again.
    pub fn take_back(&mut self) {
        for state in self.newly_named.drain(..) {
            self.named_states.remove(&state);
        }
    }

    fn tree(&mut self, snapshot: &str, root: &ChunkId) -> Result<()> {
        let mut stack = vec![(*root, Vec::new())];
        let mut seen = HashSet::new();
        while let Some((tree, path)) = stack.pop() {
            if self.run.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            if self.walked.is_sound(&TreeRef { kind: TreeKind::Tree, id: tree }) || !seen.insert(tree) {
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
            if let Err(error) = read {
                let trouble = Trouble::of(error)?;
                let trouble = trouble.saying(|why, _| format!("the directory can't be read: {why}"));
                self.add(snapshot, &path, trouble);
            }
        }
        Ok(())
    }

    fn file(&mut self, snapshot: &str, node: &Node, path: &[u8]) -> Result<()> {
        let (chunks, walked) = (self.chunks, self.walked);
        let mut enter = |list: ListRef| list.level == 1 || !walked.is_sound(&list_tree(list));
        let damage = file_damage(self.trees, node, &mut enter, &mut |chunk| chunks.damage(chunk))?;
        if let Some(trouble) = damage {
            self.add(snapshot, path, trouble);
        }
        Ok(())
    }

    /// What is damaged of a state tree is named for one snapshot only.
    fn state(&mut self, snapshot: &str, root: &ChunkId) -> Result<()> {
        let mut stack = vec![TreeRef { kind: TreeKind::State, id: *root }];
        while let Some(tree) = stack.pop() {
            let id = tree.id;
            if self.walked.is_sound(&tree) || !self.named_states.insert(id) {
                continue;
            }
            self.newly_named.push(id);
            match self.trees.state(&id) {
                Ok(state) => stack.extend(states_below(state)),
                Err(error) => {
                    let trouble = Trouble::of(error)?;
                    let trouble =
                        trouble.saying(|why, _| format!("the next backup reads more than it had to: {why}"));
                    self.name(format!("snapshot {snapshot}"), trouble);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, snapshot: &str, path: &[u8], trouble: Trouble) {
        *if trouble.is_unreachable { &mut self.found.unreachable } else { &mut self.found.damaged } += 1;
        let count = self.found.damaged + self.found.unreachable;
        if count <= self.nameable {
            let path = String::from_utf8_lossy(path).into_owned();
            self.name(format!("snapshot {snapshot}: {path}"), trouble);
        } else if count == self.nameable + 1 {
            let trouble = trouble.saying(|_, _| "more files are affected than can be named here".to_owned());
            self.name(format!("snapshot {snapshot}"), trouble);
        }
    }

    fn name(&mut self, object: String, trouble: Trouble) {
        self.found.named.push(Named { object, trouble });
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}
