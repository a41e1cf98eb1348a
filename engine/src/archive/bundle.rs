//! Small files that are neighbours in their directory share a chunk, a bundle: a chunk for each of
//! them would cost more than the files where there are very many.
//!
//! Which files are together depends on their names and sizes alone, never on what the parent has of
//! them, so that the same directory is the same tree whatever came before it. So when one of them has
//! changed, its neighbours are read again.

use std::os::fd::AsFd;
use std::sync::Arc;

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::state::State;
use keepfast_format::tree::bundle_ends_after;

use super::pending::Place;
use super::walk::file_kind;
use super::worker::Worker;
use crate::error::Result;

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
}

/// Small files that will share a chunk, in the order of their names.
#[derive(Default)]
pub struct Bundle {
    members: Vec<Member>,
    /// The bytes of those that were read.
    read: Vec<u8>,
    /// The size of all.
    bytes: u64,
}

/// A small file.
struct Member {
    place: Place,
    size: u64,
    found: Found,
}

/// How a small file was found.
enum Found {
    /// It was read: its bytes begin here in the bundle's memory.
    Read { start: usize, node: Node, state: State, earlier: Earlier },
    /// It hasn't changed.
    Kept(Kept),
}

impl Worker<'_> {
    /// Whether a file without holes goes into a bundle.
    pub fn is_bundled(&self, size: u64) -> bool {
        (1..=self.bundled_bytes()).contains(&size)
    }

    /// The size of the largest file that goes into a bundle: cut, it would be one chunk.
    fn bundled_bytes(&self) -> u64 {
        limits::BUNDLED_FILE_BYTES.min(self.shared.chunker.params().min_bytes).into()
    }

    /// The size of the largest bundle.
    fn bundle_bytes(&self) -> u64 {
        let files = self.bundled_bytes() * u64::from(limits::BUNDLED_FILES);
        files.min(self.shared.chunker.params().max_bytes.into())
    }

    /// Takes a small file that is as the parent has it.
    pub fn bundle_kept(&mut self, place: &Place, size: u64, kept: Kept) -> Result<()> {
        self.make_room(size)?;
        self.bundle(Member { place: place.clone(), size, found: Found::Kept(kept) })
    }

    /// Takes a small file that was read; its node has no content yet.
    pub fn bundle_read(
        &mut self,
        place: &Place,
        (node, state): (Node, State),
        earlier: Earlier,
        bytes: &[u8],
    ) -> Result<()> {
        let size = bytes.len() as u64;
        self.make_room(size)?;
        let start = self.bundle.read.len();
        self.bundle.read.extend_from_slice(bytes);
        self.bundle(Member { place: place.clone(), size, found: Found::Read { start, node, state, earlier } })
    }

    /// Ends the bundle if a file of this size would be too much.
    fn make_room(&mut self, size: u64) -> Result<()> {
        if self.bundle.bytes + size > self.bundle_bytes() { self.end_bundle() } else { Ok(()) }
    }

    fn bundle(&mut self, member: Member) -> Result<()> {
        let ends = bundle_ends_after(member.place.name().to_bytes());
        self.bundle.bytes += member.size;
        self.bundle.members.push(member);
        if ends { self.end_bundle() } else { Ok(()) }
    }

    /// Stores the files that were bundled so far.
    pub fn end_bundle(&mut self) -> Result<()> {
        let Bundle { mut members, mut read, .. } = std::mem::take(&mut self.bundle);
        let kept = members.iter().filter(|member| matches!(member.found, Found::Kept(_))).count();
        if kept == 0 {
            self.store_bundle(members.drain(..), &read)?;
        } else if kept < members.len() || !is_whole(&members) {
            self.read_bundle(members.drain(..), &read)?;
        } else {
            for member in members.drain(..) {
                if let Found::Kept(kept) = member.found {
                    self.keep(&member.place, kept)?;
                }
            }
        }
        // The memory serves the next one.
        read.clear();
        self.bundle = Bundle { members, read, bytes: 0 };
        Ok(())
    }

    /// Stores a bundle whose files were all read.
    fn store_bundle(&mut self, members: impl ExactSizeIterator<Item = Member>, read: &[u8]) -> Result<()> {
        let is_alone = match members.len() {
            0 => return Ok(()),
            files => files == 1,
        };
        let content = Content::Inline(vec![self.store_chunk(read)?]);
        for Member { place, size, found } in members {
            match found {
                Found::Read { start, node, state, earlier } => {
                    let extents =
                        if is_alone { Extents::Dense } else { Extents::Bundled { from: start as u32 } };
                    let node = Node { kind: file_kind(size, content.clone(), extents), ..node };
                    self.count_file(&node, &earlier, size);
                    self.fill(&place, Some((node, state)))?;
                }
                Found::Kept(kept) => self.keep(&place, kept)?,
            }
        }
        Ok(())
    }

    /// Bundles the same files once more, now that all of them have to be read.
    fn read_bundle(&mut self, members: impl Iterator<Item = Member>, read: &[u8]) -> Result<()> {
        for Member { place, size, found } in members {
            match found {
                Found::Read { start, node, state, earlier } => {
                    self.bundle_read(&place, (node, state), earlier, &read[start..start + size as usize])?;
                }
                Found::Kept(kept) => {
                    let directory = Arc::clone(&place.page.directory);
                    match &directory.handle {
                        Some(handle) => {
                            let earlier = Earlier::Same(Box::new(kept));
                            self.read_file(&place, handle.as_fd(), place.name(), earlier)?;
                        }
                        None => self.keep(&place, kept)?,
                    }
                }
            }
        }
        self.end_bundle()
    }
}

/// Whether these are all the files of one of the parent's bundles, and nothing else was in it.
fn is_whole(members: &[Member]) -> bool {
    let mut end = 0;
    let mut bundle: Option<ChunkRef> = None;
    for Member { size, found, .. } in members {
        let Found::Kept(Kept { node, .. }) = found else { return false };
        let NodeKind::File { content: Content::Inline(chunks), extents, .. } = &node.kind else {
            return false;
        };
        let here = match extents {
            Extents::Dense => return members.len() == 1,
            Extents::Bundled { from } => u64::from(*from),
            Extents::Inline(_) | Extents::Blob(_) => return false,
        };
        if here != end || chunks.len() != 1 || bundle.is_some_and(|bundle| bundle != chunks[0]) {
            return false;
        }
        bundle = chunks.first().copied();
        end += size;
    }
    bundle.is_some_and(|bundle| u64::from(bundle.len) == end)
}
