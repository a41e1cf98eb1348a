//! Makes the trees of a snapshot once more, without what goes. Of a directory in which nothing goes, nor
//! below it, the new one refers to the tree as it is.
//!
//! Memory: of each directory on the way to the one that is at hand, what has become of the directories in
//! the page that is at hand. Directories may be in each other however deep.

use std::collections::HashMap;

use keepfast_format::content::Content;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;
use keepfast_format::state::State;

use super::bundles::Bundles;
use super::fate::{Fate, Fates};
use super::links;
use super::pages::{Pager, Pages, StatePages, StoredPage, Tops};
use super::scan::Known;
use crate::error::{EngineError, Result};
use crate::fs::sources::Wanted;
use crate::repo::{FrameCache, FrameWriter, PackWriter, Trees, store_blob};
use crate::run::RunContext;

/// Makes trees.
pub struct Rebuild<'a> {
    trees: Trees<'a>,
    data: &'a FrameCache<'a>,
    fates: &'a Fates<'a>,
    /// Where nothing goes.
    known: &'a Known,
    writer: &'a PackWriter<'a>,
    frames: FrameWriter<'a>,
    run: &'a RunContext,
    /// Whether all that was referred to without being looked up could be taken over by the rules.
    is_taken_over: bool,
    lacks_states: bool,
}

/// What a snapshot refers to then.
pub struct Rebuilt {
    pub tops: Tops,
    pub hard_links: Content,
}

/// A directory that is being made again.
struct Level {
    /// Its name in the one above.
    name: Vec<u8>,
    was: Tops,
    wanted: Wanted,
    /// Length of its path, with the slash behind it.
    prefix: usize,
    pages: Pages,
    states: Option<StatePages>,
    bundles: Bundles,
    at: usize,
    /// Whether the directories of the page at hand are being made, or were.
    is_begun: bool,
    below: std::vec::IntoIter<Below>,
    /// Directories of this page that have become others, by their names.
    changed: HashMap<Vec<u8>, Tops>,
    is_changed: bool,
    made: Pager,
}

struct Below {
    name: Vec<u8>,
    was: Tops,
    wanted: Wanted,
}

impl<'a> Rebuild<'a> {
    pub fn new(
        trees: Trees<'a>,
        data: &'a FrameCache<'a>,
        fates: &'a Fates<'a>,
        known: &'a Known,
        writer: &'a PackWriter<'a>,
        run: &'a RunContext,
    ) -> Self {
        let frames = writer.frames();
        Self { trees, data, fates, known, writer, frames, run, is_taken_over: true, lacks_states: false }
    }

    /// Whether it has failed since states can't be read, or don't fit.
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
        let was = Tops { tree: body.tree, state: body.state.filter(|_| has_states) };
        let tops = self.directories(was)?;
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
        Ok(Rebuilt { tops, hard_links })
    }

    fn directories(&mut self, root: Tops) -> Result<Tops> {
        let mut path = b"/".to_vec();
        let begin = Below { name: Vec::new(), was: root, wanted: self.fates.root() };
        let mut stack = vec![self.open(begin, &mut path)?];
        let mut done = root;
        while let Some(level) = stack.last_mut() {
            if self.run.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            path.truncate(level.prefix);
            if let Some(below) = level.below.next() {
                path.extend_from_slice(&below.name);
                if !self.known.has(&below.wanted, &path, &below.was.tree) {
                    path.push(b'/');
                    stack.push(self.open(below, &mut path)?);
                }
            } else if level.is_begun {
                self.make_page(level, &mut path)?;
                self.writer.poll()?;
            } else if level.at < level.pages.count() {
                self.begin_page(level, &mut path)?;
            } else if let Some(Level { name, was, is_changed, made, .. }) = stack.pop() {
                let tops = if is_changed { self.end(made)? } else { was };
                match stack.last_mut() {
                    Some(above) if is_changed => drop(above.changed.insert(name, tops)),
                    Some(_) => {}
                    None => done = tops,
                }
            }
        }
        Ok(done)
    }

    fn end(&mut self, made: Pager) -> Result<Tops> {
        let frames = &mut self.frames;
        made.finish(&mut |plain| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id))
    }

    /// Opens a directory, and makes its bundles again that lose a file. `path` is the directory's, with a
    /// slash behind it.
    fn open(&mut self, below: Below, path: &mut Vec<u8>) -> Result<Level> {
        let Below { name, was, wanted } = below;
        let prefix = path.len();
        let mut pages = Pages::open(self.trees, was.tree)?;
        let states = match was.state {
            Some(state) => Some(self.of_states(|trees| StatePages::open(trees, state, pages.count()))?),
            None => None,
        };
        let mut bundles = Bundles::default();
        for at in 0..pages.count() {
            for node in pages.nodes(self.trees, at)? {
                if self.fate(&wanted, path, prefix, &node.name) == Fate::Goes {
                    bundles.lose(&node);
                }
            }
        }
        if bundles.lose_any() {
            for at in 0..pages.count() {
                for node in pages.nodes(self.trees, at)? {
                    if self.fate(&wanted, path, prefix, &node.name) != Fate::Goes {
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
            was,
            wanted,
            prefix,
            pages,
            bundles,
            at: 0,
            is_begun: false,
            below: Vec::new().into_iter(),
            changed: HashMap::new(),
            is_changed: false,
            made: Pager::new(states.is_some()),
            states,
        })
    }

    fn fate(&self, wanted: &Wanted, path: &mut Vec<u8>, prefix: usize, name: &[u8]) -> Fate {
        path.truncate(prefix);
        path.extend_from_slice(name);
        self.fates.of(wanted, path, name)
    }

    /// Reads states. What can't be read of them doesn't keep a snapshot from being made.
    fn of_states<T>(&mut self, read: impl FnOnce(Trees<'a>) -> Result<T>) -> Result<T> {
        let read = read(self.trees);
        self.lacks_states |= matches!(read, Err(EngineError::Damaged { .. } | EngineError::Missing { .. }));
        read
    }

    /// The nodes of the page at hand, each with its state if states are kept.
    fn entries(&mut self, level: &mut Level) -> Result<(Vec<Node>, Option<Vec<State>>)> {
        let nodes = level.pages.nodes(self.trees, level.at)?;
        let states = match &level.states {
            Some(pages) => Some(self.of_states(|trees| pages.states(trees, level.at, nodes.len()))?),
            None => None,
        };
        Ok((nodes, states))
    }

    /// Looks which directories of the page at hand have to be made first.
    fn begin_page(&mut self, level: &mut Level, path: &mut Vec<u8>) -> Result<()> {
        let (nodes, states) = self.entries(level)?;
        let mut below = Vec::new();
        for (number, node) in nodes.into_iter().enumerate() {
            let NodeKind::Directory { tree } = node.kind else { continue };
            let wanted = match self.fate(&level.wanted, path, level.prefix, &node.name) {
                Fate::Goes => continue,
                Fate::Stays(wanted) | Fate::Named(wanted) => wanted,
            };
            let state = states.as_ref().and_then(|states| states[number].children);
            if states.is_some() && state.is_none() {
                // A directory without states can't be in one with.
                self.lacks_states = true;
                return Err(EngineError::damaged(format!("state tree of tree {tree}"))(
                    keepfast_format::FormatError::Malformed { what: "state tree", why: "it isn't there" },
                ));
            }
            below.push(Below { name: node.name, was: Tops { tree, state }, wanted });
        }
        level.below = below.into_iter();
        level.is_begun = true;
        Ok(())
    }

    /// Makes the page at hand, now that the directories in it are made.
    fn make_page(&mut self, level: &mut Level, path: &mut Vec<u8>) -> Result<()> {
        let (nodes, states) = self.entries(level)?;
        let changed = std::mem::take(&mut level.changed);
        let mut entries: Vec<(Node, Option<State>)> = Vec::with_capacity(nodes.len());
        let mut is_changed = false;
        for (number, mut node) in nodes.iter().cloned().enumerate() {
            let mut state = states.as_ref().map(|states| states[number]);
            if self.fate(&level.wanted, path, level.prefix, &node.name) == Fate::Goes {
                is_changed = true;
                continue;
            }
            if let Some(tops) = changed.get(&node.name) {
                is_changed = true;
                node.kind = NodeKind::Directory { tree: tops.tree };
                state = state.map(|state| State { children: tops.state, ..state });
            } else if let Some(moved) = level.bundles.moved(&node)? {
                is_changed = true;
                node = moved;
            }
            entries.push((node, state));
        }
        // All of it refers to what the original refers to.
        self.is_taken_over &= self.writer.may_take_over();
        level.is_changed |= is_changed;
        if !is_changed && level.made.is_between() {
            if let Some(first) = nodes.first() {
                let state = level.states.as_ref().and_then(|pages| pages.state_of(level.at));
                let tops = Tops { tree: level.pages.tree_of(level.at), state };
                level.made.keep(StoredPage { first: first.name.clone(), tops }, &nodes);
            }
        } else {
            let frames = &mut self.frames;
            let store = &mut |plain: &[u8]| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id);
            for (node, state) in &entries {
                level.made.push(node, state.as_ref(), store)?;
            }
        }
        level.at += 1;
        level.is_begun = false;
        Ok(())
    }

    fn store_blob(&mut self, bytes: &[u8]) -> Result<Content> {
        let frames = &mut self.frames;
        store_blob(bytes, &mut |plain| frames.store(ChunkKind::Metadata, plain).map(|(id, _)| id))
    }
}
