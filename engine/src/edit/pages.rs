//! Directories as pages: those that are read, and those that become of them.

use keepfast_format::FormatError;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::Node;
use keepfast_format::state::{State, StatePageWriter, StateTree};
use keepfast_format::tree::{PageRef, PageWriter, Tree, page_ends_after};

use crate::error::{EngineError, Result};
use crate::repo::{DirectoryPages, Trees};

/// What a directory hangs on: its tree, and its state tree if states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tops {
    pub tree: ChunkId,
    pub state: Option<ChunkId>,
}

/// A page of a directory, stored.
#[derive(Debug, Clone)]
pub struct StoredPage {
    pub first: Vec<u8>,
    pub tops: Tops,
}

/// The pages of a directory, to be read one after the other, and again.
pub struct Pages {
    tree: ChunkId,
    /// The only page, if there is one, which was read to learn that. It is handed out once.
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

/// The state pages beside a directory's pages.
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
    pub fn states(&self, trees: Trees<'_>, at: usize, nodes: usize) -> Result<Vec<State>> {
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
        why: "it doesn't fit the tree beside it",
    })
}

/// Puts a metadata chunk into the repository, unless it is there.
pub type Store<'s> = dyn FnMut(&[u8]) -> Result<ChunkId> + 's;

/// Cuts a directory's entries into pages, where a backup would: so that a backup that comes after and has
/// the same entries makes the same pages.
#[derive(Default)]
pub struct Pager {
    nodes: PageWriter,
    states: StatePageWriter,
    /// The name of the open page's first entry.
    first: Vec<u8>,
    /// Entries since a page has ended by a name or by their number.
    since_end: usize,
    has_states: bool,
    stored: Vec<StoredPage>,
}

impl Pager {
    pub fn new(has_states: bool) -> Self {
        Self { has_states, ..Self::default() }
    }

    /// Whether no page is open.
    pub fn is_between(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes a page as it is; none may be open.
    pub fn keep(&mut self, page: StoredPage, nodes: &[Node]) {
        for node in nodes {
            self.count(&node.name);
        }
        self.stored.push(page);
    }

    /// Takes an entry; names ascend.
    pub fn push(&mut self, node: &Node, state: Option<&State>, store: &mut Store<'_>) -> Result<()> {
        if self.nodes.is_empty() {
            self.first.clone_from(&node.name);
        }
        self.nodes.push(node);
        if let Some(state) = state {
            self.states.push(state);
        }
        if self.count(&node.name) || self.nodes.is_full() { self.end_page(store) } else { Ok(()) }
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

    fn end_page(&mut self, store: &mut Store<'_>) -> Result<()> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        let tree = store(&self.nodes.finish())?;
        let state = if self.has_states { Some(store(&self.states.finish())?) } else { None };
        self.stored.push(StoredPage { first: std::mem::take(&mut self.first), tops: Tops { tree, state } });
        Ok(())
    }

    /// The directory of all that was taken.
    pub fn finish(mut self, store: &mut Store<'_>) -> Result<Tops> {
        self.end_page(store)?;
        let has_states = self.has_states;
        let state_of = |tree: StateTree, store: &mut Store<'_>| {
            if has_states { store(&tree.encode()).map(Some) } else { Ok(None) }
        };
        match self.stored.as_slice() {
            [] => {
                let tree = store(&Tree::Page(Vec::new()).encode())?;
                Ok(Tops { tree, state: state_of(StateTree::Page(Vec::new()), store)? })
            }
            [one] => Ok(one.tops),
            pages => {
                let states = pages.iter().filter_map(|page| page.tops.state).collect();
                let state = state_of(StateTree::Index(states), store)?;
                let refs =
                    self.stored.into_iter().map(|page| PageRef { first: page.first, id: page.tops.tree });
                Ok(Tops { tree: store(&Tree::Index(refs.collect()).encode())?, state })
            }
        }
    }
}
