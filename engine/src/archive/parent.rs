//! The parent snapshot's directory beside the one that is being backed up.

use std::sync::Arc;

use keepfast_format::FormatError;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::state::{State, StateTree};
use keepfast_format::tree::{PageRef, Tree};

use crate::error::{EngineError, Result};
use crate::repo::Trees;

/// A directory of the parent snapshot: its nodes and their states.
#[derive(Debug, Clone, Default)]
pub struct ParentDirectory {
    pages: Vec<PageRef>,
    states: Vec<ChunkId>,
    /// The only page, if there is only one: it was read to learn that.
    single: Option<Arc<ParentPage>>,
}

#[derive(Debug)]
struct ParentPage {
    nodes: Vec<Node>,
    states: Vec<State>,
}

impl ParentDirectory {
    /// Reads a directory of the parent.
    pub fn load(trees: Trees<'_>, tree: &ChunkId, state: &ChunkId) -> Result<Self> {
        match (trees.tree(tree)?, trees.state(state)?) {
            (Tree::Page(nodes), StateTree::Page(states)) => {
                Ok(Self { single: Some(Arc::new(pair(state, nodes, states)?)), ..Self::default() })
            }
            (Tree::Index(pages), StateTree::Index(states)) if pages.len() == states.len() => {
                Ok(Self { pages, states, single: None })
            }
            _ => Err(mismatch(state)),
        }
    }

    /// The directory below, as the parent has it.
    pub fn below(trees: Trees<'_>, entry: Option<(&Node, &State)>) -> Result<Self> {
        match entry {
            Some((Node { kind: NodeKind::Directory { tree }, .. }, State { children: Some(state), .. })) => {
                Self::load(trees, tree, state)
            }
            _ => Ok(Self::default()),
        }
    }

    /// Looks up names in ascending order.
    pub fn cursor<'p>(&'p self, trees: Option<Trees<'p>>) -> ParentCursor<'p> {
        ParentCursor { directory: self, trees, page: self.single.clone(), number: None, position: 0 }
    }
}

/// What the parent snapshot has of a file that is to be read.
#[derive(Debug)]
pub enum Earlier {
    /// Nothing.
    Nothing,
    /// This; it may have been changed since.
    Known(Box<Node>),
    /// The same: it is read for its neighbours in a bundle.
    Same(Box<Kept>),
}

/// An entry that is as the parent has it.
#[derive(Debug)]
pub struct Kept {
    /// The parent's node.
    pub node: Node,
    /// Its state now.
    pub state: State,
    /// Whether it has other names.
    pub is_linked: bool,
    /// Whether a link in its place is followed to it.
    pub followed: bool,
}

/// Walks a parent's directory beside a sorted list of names.
pub struct ParentCursor<'p> {
    directory: &'p ParentDirectory,
    trees: Option<Trees<'p>>,
    page: Option<Arc<ParentPage>>,
    number: Option<usize>,
    position: usize,
}

impl ParentCursor<'_> {
    /// The parent's entry of this name. Names must be asked for in ascending order.
    pub fn find(&mut self, name: &[u8]) -> Result<Option<(&Node, &State)>> {
        if self.directory.single.is_none() {
            self.turn_to(name)?;
        }
        let Some(page) = &self.page else { return Ok(None) };
        while page.nodes.get(self.position).is_some_and(|node| node.name.as_slice() < name) {
            self.position += 1;
        }
        let node = page.nodes.get(self.position).filter(|node| node.name == name);
        Ok(node.map(|node| (node, &page.states[self.position])))
    }

    /// Reads the page that a name would be in, unless it is the current one.
    fn turn_to(&mut self, name: &[u8]) -> Result<()> {
        let pages = &self.directory.pages;
        let from = self.number.unwrap_or(0);
        let ahead = pages[from..].partition_point(|page| page.first.as_slice() <= name);
        let Some(wanted) = (from + ahead).checked_sub(1) else { return Ok(()) };
        let Some(trees) = self.trees.filter(|_| self.number != Some(wanted)) else { return Ok(()) };
        let state = &self.directory.states[wanted];
        let nodes = trees.page(pages, wanted)?;
        let StateTree::Page(states) = trees.state(state)? else { return Err(mismatch(state)) };
        self.page = Some(Arc::new(pair(state, nodes, states)?));
        self.number = Some(wanted);
        self.position = 0;
        Ok(())
    }
}

fn pair(state: &ChunkId, nodes: Vec<Node>, states: Vec<State>) -> Result<ParentPage> {
    if nodes.len() == states.len() { Ok(ParentPage { nodes, states }) } else { Err(mismatch(state)) }
}

fn mismatch(state: &ChunkId) -> EngineError {
    EngineError::Damaged {
        object: format!("state tree {state}"),
        source: FormatError::Malformed { what: "state tree", why: "it doesn't fit the tree beside it" },
    }
}
