//! Bundling small files with their neighbours.
//!
//! Which files are together depends on their names and sizes alone, never on what the parent has of
//! them, so that the same directory is the same tree whatever came before it. So when one of them has
//! changed, its neighbours are read again.

use std::os::fd::BorrowedFd;

use keepfast_format::content::Content;
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node};
use keepfast_format::state::State;
use keepfast_format::tree::bundle_ends_after;

use super::bundle::{Bundle, Found, Member, is_whole};
use super::parent::{Earlier, Kept};
use super::pending::Place;
use super::reading::file_kind;
use super::worker::Worker;
use crate::error::Result;

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
    pub fn bundle_kept(
        &mut self,
        place: &Place,
        size: u64,
        kept: Kept,
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        self.make_room(size, directory)?;
        self.bundle(Member { place: place.clone(), size, found: Found::Kept(kept) }, directory)
    }

    /// Takes a small file that was read; its node has no content yet.
    pub fn bundle_read(
        &mut self,
        place: &Place,
        (node, state): (Node, State),
        earlier: Earlier,
        bytes: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        let size = bytes.len() as u64;
        self.make_room(size, directory)?;
        let start = self.bundle.read_end()?;
        self.bundle.read.extend_from_slice(bytes);
        let found = Found::Read { start, node, state, earlier };
        self.bundle(Member { place: place.clone(), size, found }, directory)
    }

    /// Ends the bundle if a file of this size would be too much.
    fn make_room(&mut self, size: u64, directory: BorrowedFd<'_>) -> Result<()> {
        if self.bundle.bytes + size > self.bundle_bytes() { self.end_bundle(directory) } else { Ok(()) }
    }

    fn bundle(&mut self, member: Member, directory: BorrowedFd<'_>) -> Result<()> {
        let ends = bundle_ends_after(member.place.name().to_bytes());
        self.bundle.bytes += member.size;
        self.bundle.members.push(member);
        if ends { self.end_bundle(directory) } else { Ok(()) }
    }

    /// Stores the files of a directory that were bundled so far.
    pub fn end_bundle(&mut self, directory: BorrowedFd<'_>) -> Result<()> {
        let Bundle { mut members, mut read, .. } = std::mem::take(&mut self.bundle);
        let kept = members.iter().filter(|member| matches!(member.found, Found::Kept(_))).count();
        if kept == 0 {
            self.store_bundle(members.drain(..), &read)?;
        } else if kept < members.len() || !is_whole(&members) {
            self.read_bundle(members.drain(..), &read, directory)?;
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
                    let extents = if is_alone { Extents::Dense } else { Extents::Bundled { from: start } };
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
    fn read_bundle(
        &mut self,
        members: impl Iterator<Item = Member>,
        read: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        for Member { place, size, found } in members {
            match found {
                Found::Read { start, node, state, earlier } => {
                    let bytes = Bundle::part(read, start, size)?;
                    self.bundle_read(&place, (node, state), earlier, bytes, directory)?;
                }
                Found::Kept(kept) => {
                    let followed = kept.followed;
                    self.read_file(&place, directory, Earlier::Same(Box::new(kept)), followed)?;
                }
            }
        }
        self.end_bundle(directory)
    }
}
