//! Makes the trees of a snapshot again, without what goes. If nothing goes in a directory and below it, the
//! new snapshot refers to the directory's tree as it is.
//!
//! Memory: for the current directory and each one that it is in, what became of the directories in its
//! current page. Nothing limits how deep directories are nested, so this doesn't recurse.

use std::collections::HashMap;

use keepfast_format::content::Content;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use keepfast_format::state::EntryState;

use super::bundles::Bundles;
use super::fate::{Fate, Fates, Scope, Staying};
use super::links;
use super::pages::{Pages, StatePages};
use super::scan::WithoutMatches;
use crate::chunk::pages::{Pager, States, StoredPage, TreeIds};
use crate::error::{EngineError, Result};
use crate::repo::{FrameCache, FrameWriter, PackWriter, Trees, store_blob};
use crate::run::RunContext;

/// Makes trees.
pub struct Rebuild<'a> {
    trees: Trees<'a>,
    data: &'a FrameCache<'a>,
    fates: &'a Fates<'a>,
    without_matches: &'a WithoutMatches,
    writer: &'a PackWriter<'a>,
    frames: FrameWriter<'a>,
    run: &'a RunContext,
    /// Whether all that was referred to without being looked up could be taken over by the rules.
    is_taken_over: bool,
    lacks_states: bool,
}

/// What the new snapshot refers to.
pub struct Rebuilt {
    pub ids: TreeIds,
    pub hard_links: Content,
}

/// A directory that is being made again.
struct Level {
    /// Its name in the one above.
    name: Vec<u8>,
    /// What the original has.
    original: TreeIds,
    scope: Scope,
    /// Length of its path, with the slash after it.
    prefix: usize,
    pages: Pages,
    states: Option<StatePages>,
    bundles: Bundles,
    /// The current page.
    page: usize,
    /// Whether the directories of the current page are being made, or were.
    is_begun: bool,
    /// Directories of the current page that are still to be made.
    children: std::vec::IntoIter<Child>,
    /// Directories of the current page that have changed, by their names.
    changed: HashMap<Vec<u8>, TreeIds>,
    is_changed: bool,
    made: Pager,
}

/// A directory that is to be made again.
struct Child {
    name: Vec<u8>,
    original: TreeIds,
    staying: Staying,
}

/// The entries of a page.
struct PageEntries {
    nodes: Vec<Node>,
    /// A state for each node, if states are kept.
    states: Option<Vec<EntryState>>,
}

/// An entry of a page that is made.
struct NewEntry {
    node: Node,
    /// None if states aren't kept.
    state: Option<EntryState>,
}

impl<'a> Rebuild<'a> {
    pub fn new(
        trees: Trees<'a>,
        data: &'a FrameCache<'a>,
        fates: &'a Fates<'a>,
        without_matches: &'a WithoutMatches,
        writer: &'a PackWriter<'a>,
        run: &'a RunContext,
    ) -> Self {
        let frames = writer.frames();
        Self {
            trees,
            data,
            fates,
            without_matches,
            writer,
            frames,
            run,
            is_taken_over: true,
            lacks_states: false,
        }
    }

    /// Whether it has failed because states can't be read, or don't fit.
    pub fn lacks_states(&self) -> bool {
        self.lacks_states
    }

    /// Ends the writing. Returns whether all that is referred to was taken over by the rules.
    pub fn finish(self) -> Result<bool> {
        self.frames.finish()?;
        Ok(self.is_taken_over)
    }

    /// Makes the trees of a snapshot, with states or without.
    pub fn run(&mut self, snapshot: &Snapshot, has_states: bool) -> Result<Rebuilt> {
        self.lacks_states = false;
        let body = &snapshot.body;
        let original = TreeIds { tree: body.tree, state: body.state.filter(|_| has_states) };
        let ids = self.directories(original)?;
        let hard_links = if body.hard_links.is_empty() {
            None
        } else {
            links::without(self.trees.hard_links(snapshot)?, |path| self.fates.goes(path))
        };
        let hard_links = match hard_links {
            Some(groups) => self.store_blob(&keepfast_format::links::encode(&groups))?,
            None => body.hard_links.clone(),
        };
        self.is_taken_over &= self.writer.may_take_over();
        Ok(Rebuilt { ids, hard_links })
    }

    fn directories(&mut self, root: TreeIds) -> Result<TreeIds> {
        let mut path = b"/".to_vec();
        let mut stack = vec![self.open(Vec::new(), root, self.fates.root(), &mut path)?];
        let mut done = root;
        while let Some(level) = stack.last_mut() {
            self.run.go_on()?;
            path.truncate(level.prefix);
            if let Some(Child { name, original, staying }) = level.children.next() {
                path.extend_from_slice(&name);
                if !self.without_matches.contains(&staying.wanted, &path, &original.tree) {
                    path.push(b'/');
                    let scope = self.fates.below(&level.scope, &name, staying);
                    stack.push(self.open(name, original, scope, &mut path)?);
                }
            } else if level.is_begun {
                self.make_page(level, &mut path)?;
                self.writer.poll()?;
            } else if level.page < level.pages.count() {
                self.begin_page(level, &mut path)?;
            } else if let Some(Level { name, original, is_changed, made, .. }) = stack.pop() {
                let ids = if is_changed { self.end(made)? } else { original };
                match stack.last_mut() {
                    Some(above) if is_changed => drop(above.changed.insert(name, ids)),
                    Some(_) => {}
                    None => done = ids,
                }
            }
        }
        Ok(done)
    }

    fn end(&mut self, made: Pager) -> Result<TreeIds> {
        let frames = &mut self.frames;
        made.finish(&mut |plain| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id))
    }

    /// Opens a directory, and makes its bundles again that lose a file. `path` is the directory's, with a
    /// slash after it.
    fn open(&mut self, name: Vec<u8>, original: TreeIds, scope: Scope, path: &mut Vec<u8>) -> Result<Level> {
        let prefix = path.len();
        let mut pages = Pages::open(self.trees, original.tree)?;
        let states = match original.state {
            Some(state) => Some(self.of_states(|trees| StatePages::open(trees, state, pages.count()))?),
            None => None,
        };
        let mut bundles = Bundles::default();
        for at in 0..pages.count() {
            for node in pages.nodes(self.trees, at)? {
                if self.fate(&scope, path, prefix, &node.name) == Fate::Goes {
                    bundles.lose(&node);
                }
            }
        }
        if bundles.lose_any() {
            for at in 0..pages.count() {
                for node in pages.nodes(self.trees, at)? {
                    if self.fate(&scope, path, prefix, &node.name) != Fate::Goes {
                        bundles.stay(&node);
                    }
                }
            }
            let frames = &mut self.frames;
            bundles.make(self.data, &mut |plain| frames.store(ChunkKind::Data, plain).map(|(id, _)| id))?;
        }
        path.truncate(prefix);
        Ok(Level {
            name,
            original,
            scope,
            prefix,
            pages,
            bundles,
            page: 0,
            is_begun: false,
            children: Vec::new().into_iter(),
            changed: HashMap::new(),
            is_changed: false,
            made: Pager::new(if states.is_some() { States::Kept } else { States::Absent }),
            states,
        })
    }

    fn fate(&self, scope: &Scope, path: &mut Vec<u8>, prefix: usize, name: &[u8]) -> Fate {
        path.truncate(prefix);
        path.extend_from_slice(name);
        self.fates.of(scope, name, path)
    }

    /// Reads states. If some can't be read, the snapshot is made without states.
    fn of_states<T>(&mut self, read: impl FnOnce(Trees<'a>) -> Result<T>) -> Result<T> {
        let read = read(self.trees);
        self.lacks_states |= matches!(read, Err(EngineError::Damaged { .. } | EngineError::Missing { .. }));
        read
    }

    /// The entries of the current page.
    fn entries(&mut self, level: &mut Level) -> Result<PageEntries> {
        let nodes = level.pages.nodes(self.trees, level.page)?;
        let states = match &level.states {
            Some(pages) => Some(self.of_states(|trees| pages.states(trees, level.page, nodes.len()))?),
            None => None,
        };
        Ok(PageEntries { nodes, states })
    }

    /// Finds the directories of the current page, which have to be made before the page.
    fn begin_page(&mut self, level: &mut Level, path: &mut Vec<u8>) -> Result<()> {
        let PageEntries { nodes, states } = self.entries(level)?;
        let mut children = Vec::new();
        for (number, node) in nodes.into_iter().enumerate() {
            let NodeKind::Directory { tree } = node.kind else { continue };
            let staying = match self.fate(&level.scope, path, level.prefix, &node.name) {
                Fate::Goes => continue,
                Fate::Stays(staying) | Fate::Named(staying) => staying,
            };
            let state = states.as_ref().and_then(|states| states[number].children);
            if states.is_some() && state.is_none() {
                // Where states are kept, each directory has some.
                self.lacks_states = true;
                return Err(EngineError::damaged(format!("state tree of tree {tree}"))(
                    keepfast_format::FormatError::Malformed { what: "state tree", why: "it is missing" },
                ));
            }
            children.push(Child { name: node.name, original: TreeIds { tree, state }, staying });
        }
        level.children = children.into_iter();
        level.is_begun = true;
        Ok(())
    }

    /// Makes the current page, now that the directories in it are made.
    fn make_page(&mut self, level: &mut Level, path: &mut Vec<u8>) -> Result<()> {
        let PageEntries { nodes, states } = self.entries(level)?;
        let changed = std::mem::take(&mut level.changed);
        let mut entries: Vec<NewEntry> = Vec::with_capacity(nodes.len());
        let mut is_changed = false;
        for (number, mut node) in nodes.iter().cloned().enumerate() {
            let mut state = states.as_ref().map(|states| states[number]);
            if self.fate(&level.scope, path, level.prefix, &node.name) == Fate::Goes {
                is_changed = true;
                continue;
            }
            if let Some(ids) = changed.get(&node.name) {
                is_changed = true;
                node.kind = NodeKind::Directory { tree: ids.tree };
                state = state.map(|state| EntryState { children: ids.state, ..state });
            } else if let Some(moved) = level.bundles.moved(&node)? {
                is_changed = true;
                node = moved;
            }
            entries.push(NewEntry { node, state });
        }
        // The page refers to what the original refers to.
        self.is_taken_over &= self.writer.may_take_over();
        level.is_changed |= is_changed;
        if !is_changed && level.made.is_between() {
            if let Some(first) = nodes.first() {
                let state = level.states.as_ref().and_then(|pages| pages.state_of(level.page));
                let ids = TreeIds { tree: level.pages.tree_of(level.page), state };
                level.made.keep(StoredPage { first: first.name.clone(), ids }, &nodes);
            }
        } else {
            let frames = &mut self.frames;
            let store = &mut |plain: &[u8]| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id);
            for NewEntry { node, state } in &entries {
                level.made.push(node, state.as_ref(), store)?;
            }
        }
        level.page += 1;
        level.is_begun = false;
        Ok(())
    }

    fn store_blob(&mut self, bytes: &[u8]) -> Result<Content> {
        let frames = &mut self.frames;
        store_blob(bytes, &mut |plain| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id))
    }
}
