//! Bundling: small files that are neighbours in their directory share a chunk. In a tree of very many small
//! files, a chunk for each would cost more than the files.
//!
//! Which files are together depends on their names and sizes alone, never on what the parent has of
//! them, so that the same directory is the same tree whatever was backed up before. So if one file of a
//! bundle has changed, the others are read again.

use std::os::fd::BorrowedFd;

use keepfast_format::content::Content;
use keepfast_format::limits;
use keepfast_format::node::Extents;
use keepfast_format::numbers::u64_of;
use keepfast_format::tree::bundle_ends_after;

use super::bundle::{Bundle, Member, Origin, is_whole, part, too_long};
use super::parent::{InParent, Kept};
use super::pending::{PendingEntry, Place};
use super::reading::file_kind;
use super::sink::{Sink, Unread};
use super::storing::{StoredChunk, StoringSink};
use crate::error::Result;

impl StoringSink<'_> {
    /// Whether a file without holes goes into a bundle.
    pub(super) fn is_bundled(&self, size: u64) -> bool {
        (1..=self.bundled_bytes()).contains(&size)
    }

    /// The size of the largest file that goes into a bundle: a file of this size would be one chunk anyway.
    fn bundled_bytes(&self) -> u64 {
        limits::BUNDLED_FILE_BYTES.min(self.storage.chunker.params().min_bytes).into()
    }

    /// The size of the largest bundle.
    fn bundle_bytes(&self) -> u64 {
        let files = self.bundled_bytes() * u64::from(limits::BUNDLED_FILES);
        files.min(self.storage.chunker.params().max_bytes.into())
    }

    /// Adds a small file that is as the parent has it.
    pub(super) fn bundle_kept(
        &mut self,
        place: &Place,
        size: u64,
        kept: Kept,
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        self.make_room(size, directory)?;
        self.add_member(Member { place: place.clone(), size, origin: Origin::Parent(kept) }, directory)
    }

    /// Adds a small file that was read.
    pub(super) fn bundle_read(
        &mut self,
        place: &Place,
        entry: PendingEntry,
        in_parent: InParent,
        bytes: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        let size = u64_of(bytes.len());
        self.make_room(size, directory)?;
        let start = u32::try_from(self.bundle.read.len()).map_err(|_| too_long())?;
        self.bundle.read.extend_from_slice(bytes);
        let origin = Origin::Read { start, entry, in_parent };
        self.add_member(Member { place: place.clone(), size, origin }, directory)
    }

    /// Ends the bundle if a file of this size would make it too large.
    fn make_room(&mut self, size: u64, directory: BorrowedFd<'_>) -> Result<()> {
        if self.bundle.bytes + size > self.bundle_bytes() { self.store_members(directory) } else { Ok(()) }
    }

    fn add_member(&mut self, member: Member, directory: BorrowedFd<'_>) -> Result<()> {
        let ends = bundle_ends_after(member.place.name().to_bytes());
        self.bundle.bytes += member.size;
        self.bundle.members.push(member);
        if ends { self.store_members(directory) } else { Ok(()) }
    }

    /// Ends the bundle: stores its members, or takes them over if all are as the parent has them.
    pub(super) fn store_members(&mut self, directory: BorrowedFd<'_>) -> Result<()> {
        let Bundle { mut members, mut read, .. } = std::mem::take(&mut self.bundle);
        let kept = members.iter().filter(|member| matches!(member.origin, Origin::Parent(_))).count();
        if kept == 0 {
            self.store_bundle(members.drain(..), &read)?;
        } else if kept < members.len() || !is_whole(&members) {
            self.read_members(members.drain(..), &read, directory)?;
        } else {
            for member in members.drain(..) {
                if let Origin::Parent(kept) = member.origin {
                    self.keep_as_it_is(&member.place, kept)?;
                }
            }
        }
        // The next bundle uses the same memory.
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
        let StoredChunk { reference, is_new } = self.store_chunk(read)?;
        let content = Content::Inline(vec![reference]);
        for Member { place, size, origin } in members {
            match origin {
                Origin::Read { start, entry, in_parent } => {
                    let extents = if is_alone { Extents::Dense } else { Extents::Bundled { from: start } };
                    let entry = entry.of_kind(file_kind(size, content.clone(), extents));
                    let novelty = self.novelty(&entry.node, is_new);
                    self.reporter.count_file(&entry.node, &in_parent, novelty, size);
                    self.put(&place, Some(entry))?;
                }
                Origin::Parent(kept) => self.keep_as_it_is(&place, kept)?,
            }
        }
        Ok(())
    }

    /// Bundles the same files once more, now that all of them have to be read.
    fn read_members(
        &mut self,
        members: impl Iterator<Item = Member>,
        read: &[u8],
        directory: BorrowedFd<'_>,
    ) -> Result<()> {
        for Member { place, size, origin } in members {
            match origin {
                Origin::Read { start, entry, in_parent } => {
                    let bytes = part(read, start, size)?;
                    self.bundle_read(&place, entry, in_parent, bytes, directory)?;
                }
                Origin::Parent(kept) => {
                    let followed = kept.followed;
                    let in_parent = InParent::Same(Box::new(kept));
                    self.store_file(Unread { place: &place, directory, in_parent, followed })?;
                }
            }
        }
        self.store_members(directory)
    }
}
