//! Everything that snapshots refer to: each chunk once, however many references lead to it.
//!
//! What was seen is a bit for each chunk that the index knows, 12 MiB for 100 million chunks.

use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_format::FormatError;
use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::usize_of;
use keepfast_format::snapshot::SnapshotBody;
use keepfast_format::state::StateTree;
use keepfast_format::tree::Tree;

use super::frames::FrameCache;
use super::index::{Index, Location, Places, StoredPack, Wanted};
use super::numbers::{FrameNumber, FramePlace, Ordinal, PackNumber};
use super::trees::Trees;
use crate::error::{EngineError, Result};

/// Metadata chunks that are read together.
const BATCH: usize = 128;
/// Data chunks that are looked up together.
const LEAVES: usize = 1 << 16;

/// A bit for each chunk of each pack that the index knows.
pub struct Seen {
    packs: Vec<PackBits>,
}

#[derive(Default)]
struct PackBits {
    /// The number of each frame's first chunk in the pack, and at the end the number of chunks.
    firsts: Vec<u32>,
    bits: Vec<AtomicU64>,
    /// For metadata: what is below was reached. A chunk may also be referred to as a leaf, by mistake
    /// or with intent, and that must not hide what is below it.
    descended: Vec<AtomicU64>,
}

impl PackBits {
    fn of(pack: &StoredPack) -> Self {
        let mut firsts = Vec::with_capacity(pack.frames.len() + 1);
        let mut chunks = 0;
        for frame in &pack.frames {
            firsts.push(chunks);
            chunks += frame.chunks;
        }
        firsts.push(chunks);
        let words = || (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let descended = if pack.kind == ChunkKind::Metadata { words() } else { Vec::new() };
        Self { firsts, bits: words(), descended }
    }

    /// The bit's word and mask.
    fn place(&self, frame: FrameNumber, ordinal: Ordinal) -> Option<(&AtomicU64, u64)> {
        let number = self.number(frame, ordinal)?;
        Some((self.bits.get(usize_of(number) / 64)?, 1 << (number % 64)))
    }

    fn number(&self, frame: FrameNumber, ordinal: Ordinal) -> Option<u32> {
        Some(*self.firsts.get(frame.index())? + u32::from(ordinal))
    }
}

impl Seen {
    /// Nothing seen yet, of the packs that the index knows now.
    pub fn of(index: &Index) -> Result<Self> {
        let mut packs = Vec::new();
        index.for_each_pack(|number, pack| {
            packs.resize_with(packs.len().max(number.index() + 1), PackBits::default);
            packs[number.index()] = PackBits::of(&pack);
        })?;
        Ok(Self { packs })
    }

    /// Marks a chunk as seen; `false` if it was seen before.
    pub fn insert(&self, place: &Location) -> bool {
        let bits = self.packs.get(place.pack.index());
        match bits.and_then(|bits| bits.place(place.frame, place.ordinal)) {
            Some((word, mask)) => word.fetch_or(mask, Ordering::Relaxed) & mask == 0,
            // A pack that came later, or an index that contradicts itself: at worst it is seen once too often.
            None => true,
        }
    }

    /// Goes below a chunk of metadata; `false` if that was done before.
    fn descend(&self, place: &Location) -> bool {
        let bits = self.packs.get(place.pack.index());
        let found = bits.and_then(|bits| Some((bits, bits.number(place.frame, place.ordinal)?)));
        let Some((bits, number)) = found else { return true };
        let mask = 1 << (number % 64);
        // What lies among data isn't marked: it is refused when it is read.
        bits.descended
            .get(usize_of(number) / 64)
            .is_none_or(|word| word.fetch_or(mask, Ordering::Relaxed) & mask == 0)
    }

    /// Whether a chunk was seen.
    #[must_use]
    pub fn contains(&self, FramePlace { pack, frame }: FramePlace, ordinal: Ordinal) -> bool {
        let bits = self.packs.get(pack.index());
        bits.and_then(|bits| bits.place(frame, ordinal))
            .is_some_and(|(word, mask)| word.load(Ordering::Relaxed) & mask != 0)
    }

    /// How many of a pack's chunks were seen, frame by frame.
    #[must_use]
    pub fn in_frames(&self, pack: PackNumber) -> Vec<u32> {
        let Some(bits) = self.packs.get(pack.index()) else { return Vec::new() };
        let is_seen = |number: &u32| {
            let word = bits.bits.get(usize_of(*number) / 64).map_or(0, |word| word.load(Ordering::Relaxed));
            word & (1 << (number % 64)) != 0
        };
        let in_frame = |ends: &[u32]| (ends[0]..ends[1]).filter(is_seen).map(|_| 1).sum();
        bits.firsts.windows(2).map(in_frame).collect()
    }
}

/// A chunk that is reachable.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'p> {
    /// Its id, and its length as far as the reference says it.
    pub wanted: Wanted,
    /// The places in which it counts and that weren't seen before, the best first; none if it is
    /// nowhere. The first may be gone, if there is no place that is left.
    pub places: &'p [Location],
}

/// What is done with a chunk that is reachable.
pub type Visit<'v> = dyn FnMut(Reached<'_>) -> Result<()> + 'v;

/// Walks over what snapshots refer to.
pub struct Reach<'a> {
    frames: &'a FrameCache<'a>,
    /// What is still to be read; the deepest last.
    todo: Vec<Metadata>,
    leaves: Vec<Wanted>,
    /// Memory for the places of one chunk.
    places: Vec<Location>,
}

/// A chunk of metadata, by what is in it.
#[derive(Debug, Clone, Copy)]
struct Metadata {
    id: ChunkId,
    kind: MetadataKind,
}

#[derive(Debug, Clone, Copy)]
enum MetadataKind {
    Tree,
    State,
    /// A list of chunks, of this level.
    List(u8),
}

/// What a chunk of metadata refers to.
#[derive(Default)]
struct References {
    metadata: Vec<Metadata>,
    leaves: Vec<Wanted>,
}

impl<'a> Reach<'a> {
    /// A walk that reads through this cache of frames.
    #[must_use]
    pub fn new(frames: &'a FrameCache<'a>) -> Self {
        Self { frames, todo: Vec::new(), leaves: Vec::new(), places: Vec::new() }
    }

    /// Calls `visit` with every chunk that these snapshots refer to and that hasn't been `seen`
    /// wherever it counts. One that is nowhere is visited with no place, perhaps several times, and
    /// if `visit` goes on, what is below it isn't reached.
    pub fn walk<'s>(
        &mut self,
        snapshots: impl IntoIterator<Item = &'s SnapshotBody>,
        seen: &Seen,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        for body in snapshots {
            let mut below = References::default();
            below.metadata.push(Metadata { id: body.tree, kind: MetadataKind::Tree });
            below.metadata.extend(body.state.map(|id| Metadata { id, kind: MetadataKind::State }));
            below.content(&body.hard_links);
            self.add(below);
            while !self.todo.is_empty() {
                self.read_some(seen, visit)?;
            }
        }
        self.look_leaves_up(seen, visit)
    }

    fn add(&mut self, below: References) {
        self.todo.extend(below.metadata);
        self.leaves.extend(below.leaves);
    }

    /// Reads the newest of what there is to read.
    fn read_some(&mut self, seen: &Seen, visit: &mut Visit<'_>) -> Result<()> {
        self.frames.run().go_on()?;
        let pool = self.frames.run().pool();
        let batch = self.todo.split_off(self.todo.len().saturating_sub(BATCH));
        let counted =
            self.frames.index().count_all(batch.iter().map(|item| item.id.into()).collect(), pool)?;
        let mut new: Vec<(Location, Metadata)> = Vec::with_capacity(batch.len());
        for item in batch {
            let Some(places) = counted.find(item.id.into()) else { continue };
            see(&item.id.into(), places, seen, &mut self.places, visit)?;
            new.extend(places.first.filter(|place| seen.descend(place)).map(|place| (place, item)));
        }
        // In the order of their places, so that each frame is opened once.
        new.sort_unstable_by_key(|(place, _)| *place);
        let trees = Trees::new(self.frames);
        let read_all =
            || pool.map(&new, |(_, item)| read(trees, item)).into_iter().collect::<Result<Vec<References>>>();
        let read = match read_all() {
            // A garbage collection has moved something since it was looked up.
            Err(EngineError::Missing { .. }) => {
                self.frames.refresh()?;
                read_all()?
            }
            read => read?,
        };
        for below in read.into_iter().rev() {
            self.add(below);
        }
        if self.leaves.len() >= LEAVES { self.look_leaves_up(seen, visit) } else { Ok(()) }
    }

    fn look_leaves_up(&mut self, seen: &Seen, visit: &mut Visit<'_>) -> Result<()> {
        let leaves = std::mem::take(&mut self.leaves);
        for (wanted, places) in self.frames.index().count_all(leaves, self.frames.run().pool())?.iter() {
            see(wanted, places, seen, &mut self.places, visit)?;
        }
        Ok(())
    }
}

/// Marks a chunk as seen in all places in which it counts, and visits it if any of them is new.
fn see(
    wanted: &Wanted,
    places: &Places,
    seen: &Seen,
    new: &mut Vec<Location>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    new.clear();
    new.extend(places.iter().filter(|place| seen.insert(place)));
    if new.is_empty() && places.first.is_some() {
        return Ok(());
    }
    visit(Reached { wanted: *wanted, places: new })
}

fn read(trees: Trees<'_>, item: &Metadata) -> Result<References> {
    let mut below = References::default();
    match item.kind {
        MetadataKind::Tree => match trees.tree(&item.id)? {
            Tree::Page(nodes) => nodes.iter().for_each(|node| below.node(node)),
            Tree::Index(pages) => {
                below
                    .metadata
                    .extend(pages.iter().map(|page| Metadata { id: page.id, kind: MetadataKind::Tree }));
            }
        },
        MetadataKind::State => match trees.state(&item.id)? {
            StateTree::Page(states) => {
                let children = states.iter().filter_map(|state| state.children);
                below.metadata.extend(children.map(|id| Metadata { id, kind: MetadataKind::State }));
            }
            StateTree::Index(pages) => {
                below.metadata.extend(pages.iter().map(|id| Metadata { id: *id, kind: MetadataKind::State }));
            }
        },
        MetadataKind::List(level) => {
            let list = trees.list(&item.id)?;
            if list.level != level {
                return Err(EngineError::damaged(format!("chunk list {}", item.id))(
                    FormatError::Malformed {
                        what: "chunk list",
                        why: "it isn't of the level that its reference says",
                    },
                ));
            }
            for listed in list.items {
                if level <= 1 {
                    below.leaves.push(Wanted::listed(&listed));
                } else {
                    below.metadata.push(Metadata { id: listed.id, kind: MetadataKind::List(level - 1) });
                }
            }
        }
    }
    Ok(below)
}

impl References {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Directory { tree } => {
                self.metadata.push(Metadata { id: *tree, kind: MetadataKind::Tree })
            }
            NodeKind::File { content, extents, .. } => {
                self.content(content);
                if let Extents::Blob(blob) = extents {
                    self.content(blob);
                }
            }
            _ => {}
        }
    }

    /// The chunks of a content, or of a blob: nothing is below either.
    fn content(&mut self, content: &Content) {
        match content {
            Content::Inline(chunks) => self.leaves.extend(chunks.iter().map(|chunk| Wanted::from(*chunk))),
            Content::List { level, id } => {
                self.metadata.push(Metadata { id: *id, kind: MetadataKind::List(*level) })
            }
        }
    }
}
