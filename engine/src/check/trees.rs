//! Which trees of all snapshots are damaged: each tree is looked at once, by many threads and
//! in no order. The chunks of files are looked up together, enough at a time that neighbours
//! in the index are found with one effort.
//!
//! Memory: an id for each tree, a pair of numbers for each directory in another, and the
//! chunks that each thread is about to look up.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::SnapshotBody;
use keepfast_format::state::StateTree;

use super::chunks::Chunks;
use super::trouble::{Outage, Trouble};
use crate::error::{EngineError, Result};
use crate::jobs::{Jobs, Next};
use crate::repo::{ListRef, Snapshots, Trees, Wanted};
use crate::run::RunContext;

/// Chunks that a thread looks up together.
const CHUNKS_LOOKED_UP: usize = 1 << 15;

/// What is looked at: a directory, or what change detection knows of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TreeKind {
    /// A directory, or a page of it.
    Tree,
    /// A state tree, or a page of it.
    State,
    /// A list of chunks, as what refers to it says.
    List {
        /// Its level; one of level 1 is looked at with what refers to it.
        level: u8,
        /// The sum of its items.
        bytes: u64,
    },
}

/// A tree of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeRef {
    /// What it is.
    pub kind: TreeKind,
    /// Its chunk.
    pub id: ChunkId,
}

/// A tree, by the order in which the walk has seen it. There are as many as fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct TreeNumber(usize);

/// What a walk over all trees found.
pub struct WalkedTrees {
    /// Directories, each counted once.
    pub trees: u64,
    /// Files in them.
    pub files: u64,
    /// Trees that were looked at, by their numbers.
    numbers: HashMap<TreeRef, TreeNumber>,
    /// Those with damage in them or below them.
    damaged: HashSet<TreeNumber>,
}

impl WalkedTrees {
    /// Whether all trees are sound.
    pub fn all_sound(&self) -> bool {
        self.damaged.is_empty()
    }

    /// Whether a tree was looked at and has no damage, nor anything below it. What is below a tree that
    /// couldn't be read wasn't looked at.
    pub fn is_sound(&self, tree: &TreeRef) -> bool {
        self.numbers.get(tree).is_some_and(|number| !self.damaged.contains(number))
    }
}

/// A walk over trees that looks at each of them once.
pub struct TreeWalk<'w> {
    trees: Trees<'w>,
    chunks: &'w Chunks<'w>,
    outage: &'w Outage,
    run: &'w RunContext,
    /// Trees that no thread has looked at yet; the last one is next, so that the walk stays in one place of the
    /// packs.
    waiting: Jobs<(TreeRef, TreeNumber)>,
    found: Mutex<Found>,
}

/// What is known so far.
#[derive(Default)]
struct Found {
    /// Trees that were seen, by the order in which they were.
    numbers: HashMap<TreeRef, TreeNumber>,
    /// Trees (the second) and those that they are in.
    above: Vec<(TreeNumber, TreeNumber)>,
    damaged: HashSet<TreeNumber>,
    trees: u64,
    files: u64,
    error: Option<EngineError>,
}

impl Found {
    /// Remembers trees, and which one they are in if they are in one. Returns those that weren't seen before, which
    /// have to be looked at.
    fn see(
        &mut self,
        trees: impl IntoIterator<Item = TreeRef>,
        above: Option<TreeNumber>,
    ) -> Vec<(TreeRef, TreeNumber)> {
        let mut new = Vec::new();
        for tree in trees {
            let next = TreeNumber(self.numbers.len());
            let number = *self.numbers.entry(tree).or_insert(next);
            if number == next {
                new.push((tree, number));
                self.trees += u64::from(tree.kind == TreeKind::Tree);
            }
            self.above.extend(above.map(|above| (number, above)));
        }
        new
    }
}

impl<'w> TreeWalk<'w> {
    /// A walk that looks at data through `chunks`.
    pub fn new(trees: Trees<'w>, chunks: &'w Chunks<'w>, outage: &'w Outage, run: &'w RunContext) -> Self {
        Self { trees, chunks, outage, run, waiting: Jobs::default(), found: Mutex::default() }
    }

    /// Walks the trees of all snapshots.
    pub fn run(self, snapshots: &Snapshots) -> Result<WalkedTrees> {
        let trees_of = |body: &SnapshotBody| {
            let state = body.state.map(|id| TreeRef { kind: TreeKind::State, id });
            state.into_iter().chain([TreeRef { kind: TreeKind::Tree, id: body.tree }])
        };
        let roots = snapshots.all.iter().flat_map(|stored| trees_of(&stored.snapshot.body));
        self.waiting.push(self.found().see(roots, None));
        self.run.pool().in_each_thread(|| Walker { walk: &self, chunks: Vec::new() }.run());
        let found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        match found.error {
            Some(error) => Err(error),
            None => Ok(found.into_walked()),
        }
    }

    fn fail(&self, error: EngineError) {
        self.found().error.get_or_insert(error);
        self.waiting.stop();
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// Damage below a directory is damage of the directory.
    fn into_walked(mut self) -> WalkedTrees {
        let mut spreading: Vec<TreeNumber> = self.damaged.iter().copied().collect();
        if !spreading.is_empty() {
            self.above.sort_unstable();
        }
        while let Some(number) = spreading.pop() {
            let first = self.above.partition_point(|(tree, _)| *tree < number);
            for (_, above) in self.above[first..].iter().take_while(|(tree, _)| *tree == number) {
                if self.damaged.insert(*above) {
                    spreading.push(*above);
                }
            }
        }
        WalkedTrees { trees: self.trees, files: self.files, numbers: self.numbers, damaged: self.damaged }
    }
}

/// One thread of a walk.
struct Walker<'w> {
    walk: &'w TreeWalk<'w>,
    /// Chunks to look up, and the trees that refer to them.
    chunks: Vec<(ChunkRef, TreeNumber)>,
}

/// What one tree refers to and whether it is damaged itself.
#[derive(Default)]
struct TreeContents {
    trees: Vec<TreeRef>,
    files: u64,
    is_damaged: bool,
}

impl Walker<'_> {
    fn run(mut self) {
        while let Some(Next::Job((TreeRef { kind, id }, number))) = self.walk.waiting.next() {
            let _looking = self.walk.waiting.doing();
            let below = match kind {
                TreeKind::Tree => self.tree(&id, number),
                TreeKind::State => self.state(&id),
                TreeKind::List { level, bytes } => self.list(ListRef { id, level, bytes }, number),
            };
            let below = below.and_then(|below| self.look_up(CHUNKS_LOOKED_UP).map(|()| below));
            let went_on = self.walk.run.go_on();
            match below.and_then(|below| went_on.map(|()| below)) {
                Ok(below) => self.add(number, below),
                Err(error) => self.walk.fail(error),
            }
        }
        if let Err(error) = self.look_up(1) {
            self.walk.fail(error);
        }
    }

    fn add(&self, number: TreeNumber, below: TreeContents) {
        let mut found = self.walk.found();
        found.files += below.files;
        if below.is_damaged {
            found.damaged.insert(number);
        }
        let new = found.see(below.trees.into_iter().rev(), Some(number));
        drop(found);
        self.walk.waiting.push(new);
    }

    fn tree(&mut self, id: &ChunkId, number: TreeNumber) -> Result<TreeContents> {
        let trees = self.walk.trees;
        let mut below = TreeContents::default();
        let read = trees.for_each_node(id, &mut |node| {
            match &node.kind {
                NodeKind::Directory { tree } => below.trees.push(TreeRef { kind: TreeKind::Tree, id: *tree }),
                NodeKind::File { .. } => {
                    below.files += 1;
                    let lists = &mut below.trees;
                    // Longer lists are looked at by themselves, each once, in whatever files it is.
                    let mut enter = |list: ListRef| {
                        let is_short = list.level == 1;
                        if !is_short {
                            lists.push(list_tree(list));
                        }
                        is_short
                    };
                    let damage = file_damage(trees, &node, &mut enter, &mut |chunk| {
                        self.chunks.push((chunk, number));
                        Ok(None)
                    })?;
                    below.is_damaged |= damage.is_some();
                }
                _ => {}
            }
            Ok(())
        });
        below.is_damaged |= self.failed(read)?;
        Ok(below)
    }

    fn list(&mut self, list: ListRef, number: TreeNumber) -> Result<TreeContents> {
        let trees = self.walk.trees;
        let mut below = TreeContents::default();
        let content = Content::List { level: list.level, id: list.id };
        let lists = &mut below.trees;
        let mut enter = |found: ListRef| {
            let is_looked_at = found == list || found.level == 1;
            if !is_looked_at {
                lists.push(list_tree(found));
            }
            is_looked_at
        };
        let read = trees.for_each_chunk_once(&content, list.bytes, &mut enter, &mut |chunk| {
            self.chunks.push((chunk, number));
            Ok(())
        });
        below.is_damaged = self.failed(read)?;
        Ok(below)
    }

    fn state(&self, id: &ChunkId) -> Result<TreeContents> {
        let mut below = TreeContents::default();
        let read = self.walk.trees.state(id).map(|state| below.trees = states_below(state));
        below.is_damaged = self.failed(read)?;
        Ok(below)
    }

    /// Whether something is damaged or can't be read now: which of the two is told when what it
    /// affects is named.
    fn failed(&self, read: Result<()>) -> Result<bool> {
        let Err(error) = read else {
            self.walk.outage.is_over();
            return Ok(false);
        };
        let error = if error.is_unreachable() { self.walk.outage.goes_on(error)? } else { error };
        Trouble::of(error).map(|_| true)
    }

    /// Looks up the chunks that wait for it, if there are at least this many of them.
    fn look_up(&mut self, at_least: usize) -> Result<()> {
        if self.chunks.len() < at_least {
            return Ok(());
        }
        let chunks = self.walk.chunks;
        let wanted = self.chunks.iter().map(|(chunk, _)| Wanted::from(*chunk)).collect();
        let located = chunks.index().locate_all(wanted, self.walk.run.pool())?;
        let is_doubtful =
            |(chunk, _): &(ChunkRef, TreeNumber)| chunks.is_doubtful(located.get(*chunk).flatten());
        let doubtful: Vec<(ChunkRef, TreeNumber)> = self.chunks.drain(..).filter(is_doubtful).collect();
        for (chunk, number) in doubtful {
            if chunks.read(chunk)?.is_some() {
                self.walk.found().damaged.insert(number);
            }
        }
        Ok(())
    }
}

/// A list as something that the walk looks at.
pub fn list_tree(list: ListRef) -> TreeRef {
    TreeRef { kind: TreeKind::List { level: list.level, bytes: list.bytes }, id: list.id }
}

/// The trees that a state tree refers to.
pub fn states_below(state: StateTree) -> Vec<TreeRef> {
    let below: Vec<ChunkId> = match state {
        StateTree::Index(pages) => pages,
        StateTree::Page(states) => states.into_iter().filter_map(|state| state.children).collect(),
    };
    below.into_iter().map(|id| TreeRef { kind: TreeKind::State, id }).collect()
}

/// What keeps a file from being restored in full, if anything. `enter` says whether to go below a
/// list of its chunks, and `look` what is wrong with a chunk. Damage counts for more than what can't be
/// read now.
pub fn file_damage(
    trees: Trees<'_>,
    node: &Node,
    enter: &mut dyn FnMut(ListRef) -> bool,
    look: &mut dyn FnMut(ChunkRef) -> Result<Option<Trouble>>,
) -> Result<Option<Trouble>> {
    let NodeKind::File { size, content, extents } = &node.kind else { return Ok(None) };
    let mut damage: Option<Trouble> = None;
    let read = trees.layout(*size, content, extents).and_then(|layout| {
        trees.for_each_chunk_once(content, layout.content_bytes, enter, &mut |chunk| {
            if let Some(trouble) = look(chunk)?
                && damage.as_ref().is_none_or(|known| known.is_unreachable)
            {
                damage = Some(trouble);
            }
            Ok(())
        })
    });
    match read {
        Ok(()) => Ok(damage),
        Err(error) => {
            let trouble = Trouble::of(error)?;
            Ok(damage.filter(|known| !known.is_unreachable).or(Some(trouble)))
        }
    }
}
