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
#[derive(Debug, Clone)]
pub enum Earlier {
    /// Nothing.
    Nothing,
    /// This; it may have been changed since.
    Known(Box<Node>),
    /// The same: it is read for its neighbours in a bundle, and was counted before.
    Same,
}

/// Small files that will share a chunk, in the order of their names.
#[derive(Default)]
pub struct Bundle {
    members: Vec<Member>,
    /// The bytes of those that were read.
    read: Vec<u8>,
    /// The bytes of all.
    bytes: u64,
}

/// A small file.
struct Member {
    place: Place,
    node: Node,
    state: State,
    origin: Origin,
}

/// Where a small file's bytes are.
enum Origin {
    /// In the bundle's memory, from here to where the next one's begin.
    Read(usize, Earlier),
    /// Where the parent's node says: it hasn't changed.
    Parent,
}

impl Member {
    fn size(&self) -> u64 {
        if let NodeKind::File { size, .. } = &self.node.kind { *size } else { 0 }
    }
}

impl Worker<'_> {
    /// Whether a file without holes goes into a bundle.
    pub fn is_bundled(&self, size: u64) -> bool {
        (1..=self.bundled_bytes()).contains(&size)
    }

    /// The size of the largest file that goes into a bundle. It would be one chunk.
    fn bundled_bytes(&self) -> u64 {
        limits::BUNDLED_FILE_BYTES.min(self.shared.chunker.params().min_bytes).into()
    }

    /// Takes a small file that is as the parent has it.
    pub fn bundle_known(&mut self, place: Place, node: Node, state: State) -> Result<()> {
        self.bundle(Member { place, node, state, origin: Origin::Parent }, &[])
    }

    /// Takes a small file that was read; its node has no content yet.
    pub fn bundle_read(
        &mut self,
        place: &Place,
        node: Node,
        state: State,
        earlier: Earlier,
        bytes: &[u8],
    ) -> Result<()> {
        let node = Node { kind: file_kind(bytes.len() as u64, Content::empty(), Extents::Dense), ..node };
        self.bundle(Member { place: place.clone(), node, state, origin: Origin::Read(0, earlier) }, bytes)
    }

    fn bundle(&mut self, mut member: Member, bytes: &[u8]) -> Result<()> {
        let size = member.size();
        if self.bundle.bytes + size > self.bundled_bytes() * u64::from(limits::BUNDLED_FILES) {
            self.end_bundle()?;
        }
        let ends = bundle_ends_after(&member.node.name);
        if let Origin::Read(start, _) = &mut member.origin {
            *start = self.bundle.read.len();
            self.bundle.read.extend_from_slice(bytes);
        }
        self.bundle.bytes += size;
        self.bundle.members.push(member);
        if ends { self.end_bundle() } else { Ok(()) }
    }

    /// Stores the files that were bundled so far.
    pub fn end_bundle(&mut self) -> Result<()> {
        let Bundle { mut members, mut read, .. } = std::mem::take(&mut self.bundle);
        let known = members.iter().filter(|member| matches!(member.origin, Origin::Parent)).count();
        if known == 0 {
            self.store_bundle(&mut members, &read)?;
        } else if known == members.len() && is_whole(&members) {
            for Member { place, node, state, .. } in members.drain(..) {
                self.fill(&place, Some((node, state)))?;
            }
        } else {
            self.read_bundle(members.drain(..), &read)?;
        }
        // The memory serves the next one.
        read.clear();
        self.bundle = Bundle { members, read, bytes: 0 };
        Ok(())
    }

    /// Stores a bundle whose files were all read.
    fn store_bundle(&mut self, members: &mut Vec<Member>, read: &[u8]) -> Result<()> {
        if members.is_empty() {
            return Ok(());
        }
        let alone = members.len() == 1;
        let content = Content::Inline(vec![self.store_chunk(read)?]);
        for Member { place, node, state, origin } in members.drain(..) {
            let Origin::Read(start, earlier) = origin else { continue };
            let NodeKind::File { size, .. } = node.kind else { continue };
            let extents = if alone { Extents::Dense } else { Extents::Bundled { from: start as u32 } };
            let node = Node { kind: file_kind(size, content.clone(), extents), ..node };
            self.count_file(&node, &earlier, size);
            self.fill(&place, Some((node, state)))?;
        }
        Ok(())
    }

    /// Bundles the same files once more, now that all of them have to be read.
    fn read_bundle(&mut self, members: impl Iterator<Item = Member>, read: &[u8]) -> Result<()> {
        for member in members {
            let size = member.size() as usize;
            let Member { place, node, state, origin } = member;
            match origin {
                Origin::Read(start, earlier) => {
                    self.bundle_read(&place, node, state, earlier, &read[start..start + size])?;
                }
                Origin::Parent => {
                    let directory = Arc::clone(&place.page.directory);
                    match &directory.handle {
                        Some(handle) => {
                            self.read_file(&place, handle.as_fd(), place.name(), Earlier::Same)?
                        }
                        // What was never walked has no parent.
                        None => self.fill(&place, None)?,
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
    for member in members {
        let NodeKind::File { size, content: Content::Inline(chunks), extents } = &member.node.kind else {
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
