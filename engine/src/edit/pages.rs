//! The pages of directories: those of the original are read, those of the new snapshot are stored.

use keepfast_format::FormatError;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::Node;
use keepfast_format::state::{EntryState, StateTree};
use keepfast_format::tree::{PageRef, page_ends_after};

use crate::chunk::pages::{OpenPage, States, StoredPage, TreeIds, end_directory};
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

/// Cuts a directory's entries into pages where a backup would: a later backup of the same entries makes the
/// same pages.
pub struct Pager {
    page: OpenPage,
    states: States,
    /// Entries since a page has ended by a name or by their number.
    since_end: usize,
    stored: Vec<StoredPage>,
}

impl Pager {
    pub fn new(states: States) -> Self {
        Self { page: OpenPage::new(states), states, since_end: 0, stored: Vec::new() }
    }

    /// Whether no page is open.
    pub fn is_between(&self) -> bool {
        self.page.is_empty()
    }

    /// Takes a stored page as it is; none may be open.
    pub fn keep(&mut self, page: StoredPage, nodes: &[Node]) {
        for node in nodes {
            self.count(&node.name);
        }
        self.stored.push(page);
    }

    /// Takes an entry; names ascend.
    pub fn push(
        &mut self,
        node: &Node,
        state: Option<&EntryState>,
        store: &mut impl FnMut(&[u8]) -> Result<ChunkId>,
    ) -> Result<()> {
        self.page.push(node, state);
        if self.count(&node.name) || self.page.is_full() {
            self.stored.extend(self.page.end(store)?);
        }
        Ok(())
    }

    /// Counts an entry; returns whether a page ends after it.
    fn count(&mut self, name: &[u8]) -> bool {
        self.since_end += 1;
        let ends = page_ends_after(name, self.since_end);
        if ends {
            self.since_end = 0;
        }
        ends
    }

    /// Stores the directory of all entries that were taken.
    pub fn finish(mut self, store: &mut impl FnMut(&[u8]) -> Result<ChunkId>) -> Result<TreeIds> {
        self.stored.extend(self.page.end(store)?);
        end_directory(self.stored, self.states, store)
    }
}
