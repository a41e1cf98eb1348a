//! Directories as pages of nodes, each with a page of states: how a page ends, and how a directory does.

use keepfast_format::ids::ChunkId;
use keepfast_format::node::Node;
use keepfast_format::state::{EntryState, StatePageWriter, StateTree};
use keepfast_format::tree::{PageRef, PageWriter, Tree, page_ends_after};

use crate::error::Result;

/// What a directory, or a page of one, is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeIds {
    /// Its tree.
    pub tree: ChunkId,
    /// Its state tree, if states are kept.
    pub state: Option<ChunkId>,
}

/// A stored page of a directory.
#[derive(Debug, Clone)]
pub struct StoredPage {
    /// The name of its first entry.
    pub first: Vec<u8>,
    /// What it is stored as.
    pub ids: TreeIds,
}

/// Whether a directory's states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum States {
    /// Each entry has one.
    Kept,
    /// There are none.
    Absent,
}

/// A page of a directory that entries are added to.
pub struct OpenPage {
    nodes: PageWriter,
    /// None if states are absent.
    states: Option<StatePageWriter>,
    first: Vec<u8>,
}

impl OpenPage {
    /// A page without entries.
    #[must_use]
    pub fn new(states: States) -> Self {
        let states = (states == States::Kept).then(StatePageWriter::default);
        Self { nodes: PageWriter::default(), states, first: Vec::new() }
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether its nodes are so long that it has to end here, whatever the names say.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.nodes.is_full()
    }

    /// Adds an entry. The caller keeps the names ascending, and gives each entry a state if states are kept.
    pub fn push(&mut self, node: &Node, state: Option<&EntryState>) {
        if self.nodes.is_empty() {
            self.first.clone_from(&node.name);
        }
        self.nodes.push(node);
        if let (Some(states), Some(state)) = (&mut self.states, state) {
            states.push(state);
        }
    }

    /// Stores its entries as a page, and begins the next one. `None` if it has no entries.
    pub fn end(&mut self, store: &mut impl FnMut(&[u8]) -> Result<ChunkId>) -> Result<Option<StoredPage>> {
        if self.nodes.is_empty() {
            return Ok(None);
        }
        let tree = store(&self.nodes.finish())?;
        let state = self.states.as_mut().map(|states| store(&states.finish())).transpose()?;
        let ids = TreeIds { tree, state };
        Ok(Some(StoredPage { first: std::mem::take(&mut self.first), ids }))
    }
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
    /// No entry was taken.
    #[must_use]
    pub fn new(states: States) -> Self {
        Self { page: OpenPage::new(states), states, since_end: 0, stored: Vec::new() }
    }

    /// Whether no page is open.
    #[must_use]
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

/// Stores a directory that has these pages: one page is the directory itself, several have an index.
pub fn end_directory(
    mut pages: Vec<StoredPage>,
    states: States,
    store: &mut impl FnMut(&[u8]) -> Result<ChunkId>,
) -> Result<TreeIds> {
    if pages.len() == 1 {
        return Ok(pages.remove(0).ids);
    }
    let (tree, state) = if pages.is_empty() {
        (Tree::Page(Vec::new()), StateTree::Page(Vec::new()))
    } else {
        let states = pages.iter().filter_map(|page| page.ids.state).collect();
        let index = pages.into_iter().map(|page| PageRef { first: page.first, id: page.ids.tree }).collect();
        (Tree::Index(index), StateTree::Index(states))
    };
    let tree = store(&tree.encode())?;
    let state = if states == States::Kept { Some(store(&state.encode())?) } else { None };
    Ok(TreeIds { tree, state })
}

#[cfg(test)]
mod tests {
    use keepfast_format::ids::ChunkId;
    use keepfast_format::tree::Tree;

    use super::{States, StoredPage, TreeIds, end_directory};

    fn page(number: u8) -> StoredPage {
        let id = |tag| ChunkId::new([tag + number; 32]);
        StoredPage { first: vec![number], ids: TreeIds { tree: id(0), state: Some(id(100)) } }
    }

    #[test]
    fn one_page_is_the_directory_and_several_have_an_index() {
        let mut stored = Vec::new();
        let mut store = |plain: &[u8]| {
            stored.push(plain.to_vec());
            Ok(ChunkId::new([200; 32]))
        };
        let one = end_directory(vec![page(1)], States::Kept, &mut store).expect("nothing can fail");
        assert_eq!(one, page(1).ids);
        let two = end_directory(vec![page(1), page(2)], States::Kept, &mut store).expect("nothing can fail");
        assert_eq!(two.state, Some(two.tree), "both are what was stored last");
        let none = end_directory(Vec::new(), States::Absent, &mut store).expect("nothing can fail");
        assert_eq!(none.state, None);
        assert_eq!(stored.len(), 3, "nothing for one page, an index with its states, and an empty page");
        let Ok(Tree::Index(index)) = Tree::decode(&stored[0]) else { panic!("it isn't an index") };
        assert_eq!(index.iter().map(|page| page.first.clone()).collect::<Vec<_>>(), [[1], [2]]);
        assert!(matches!(Tree::decode(&stored[2]), Ok(Tree::Page(nodes)) if nodes.is_empty()));
    }
}
