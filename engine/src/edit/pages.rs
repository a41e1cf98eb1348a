//! The pages of the directories of the original, as they are read.

use keepfast_format::FormatError;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::Node;
use keepfast_format::state::{EntryState, StateTree};
use keepfast_format::tree::PageRef;

use crate::error::{EngineError, Result};
use crate::repo::{DirectoryPages, Trees};

/// The pages of a directory. They are read one after the other, and can be read again.
pub struct Pages {
    tree: ChunkId,
    /// The page, if there is only one: it was read to find that out. It is returned once, and read again then.
    only: Option<Vec<Node>>,
    many: Vec<PageRef>,
    count: usize,
}

impl Pages {
    pub fn open(trees: Trees<'_>, tree: ChunkId) -> Result<Self> {
        Ok(match trees.directory(&tree)? {
            DirectoryPages::One(nodes) => Self { tree, only: Some(nodes), many: Vec::new(), count: 1 },
            DirectoryPages::Many(many) => Self { tree, only: None, count: many.len(), many },
        })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The nodes of a page.
    pub fn nodes(&mut self, trees: Trees<'_>, at: usize) -> Result<Vec<Node>> {
        if !self.many.is_empty() {
            return trees.page(&self.many, at);
        }
        match self.only.take() {
            Some(nodes) => Ok(nodes),
            None => match trees.directory(&self.tree)? {
                DirectoryPages::One(nodes) => Ok(nodes),
                DirectoryPages::Many(_) => Ok(Vec::new()),
            },
        }
    }

    /// The tree of a page.
    pub fn tree_of(&self, at: usize) -> ChunkId {
        self.many.get(at).map_or(self.tree, |page| page.id)
    }
}

/// The state pages that belong to a directory's pages.
pub struct StatePages(Vec<ChunkId>);

impl StatePages {
    /// Those of a directory of `count` pages.
    pub fn open(trees: Trees<'_>, state: ChunkId, count: usize) -> Result<Self> {
        match trees.state(&state)? {
            StateTree::Page(_) if count == 1 => Ok(Self(vec![state])),
            StateTree::Index(pages) if pages.len() == count => Ok(Self(pages)),
            _ => Err(mismatch(state)),
        }
    }

    /// The states of the entries of a page, as many as it has nodes.
    pub fn states(&self, trees: Trees<'_>, at: usize, nodes: usize) -> Result<Vec<EntryState>> {
        let Some(state) = self.0.get(at) else { return Ok(Vec::new()) };
        match trees.state(state)? {
            StateTree::Page(states) if states.len() == nodes => Ok(states),
            _ => Err(mismatch(*state)),
        }
    }

    pub fn state_of(&self, at: usize) -> Option<ChunkId> {
        self.0.get(at).copied()
    }
}

fn mismatch(state: ChunkId) -> EngineError {
    EngineError::damaged(format!("state tree {state}"))(FormatError::Malformed {
        what: "state tree",
        why: "it doesn't fit its tree",
    })
}
