//! The plan of a restore: which part of which frame goes where in which file.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::limits as format_limits;
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::numbers::usize_of;
use keepfast_format::pack::FrameEntry;

use super::folders::{DirectoryNumber, Identity};
use super::target::LinkGroup;
use super::temporary::Temporary;
use crate::error::Result;
use crate::repo::{FrameNumber, FrameSpan, Index, Location, PackNumber, Wanted};
use crate::run::Pool;

/// A plan is run when it has this many parts, and a new one begun: about 40 MB of memory.
const PARTS_MAX: usize = 1 << 19;
/// A plan is run when it has this many files.
const FILES_MAX: usize = 1 << 17;

/// A file, by its place in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileNumber(u32);

/// A file to be written.
pub struct FilePlan {
    /// The number of its directory.
    pub directory: DirectoryNumber,
    /// Its node; the content is in the plan.
    pub node: Node,
    /// The group of links that this is the first name of.
    pub group: Option<LinkGroup>,
    /// Its size, in bytes.
    pub size: u64,
    /// How many parts it has, in this plan and those before it.
    pub parts: u64,
    /// Whether the next plan has more of it.
    pub continues: bool,
    /// How far writing has come.
    pub state: Mutex<FileState>,
}

/// How far writing a file has come.
#[derive(Default)]
pub struct FileState {
    /// The open file, between two of its parts.
    pub handle: Option<OwnedFd>,
    /// The name that it has from when it is made until it is complete.
    pub temporary: Option<Temporary>,
    /// Which file was made, from when it is closed between two of its parts.
    pub identity: Option<Identity>,
    /// Whether it has been given up.
    pub failed: bool,
    /// How many of its parts are written.
    pub written: u64,
}

impl FilePlan {
    /// A file without parts.
    pub fn new(directory: DirectoryNumber, node: Node, size: u64, group: Option<LinkGroup>) -> Self {
        let kind = NodeKind::File { size, content: Content::empty(), extents: Extents::Dense };
        Self {
            directory,
            node: Node { kind, ..node },
            group,
            size,
            parts: 0,
            continues: false,
            state: Mutex::default(),
        }
    }

    /// Whether a part of it couldn't be read or written.
    pub fn was_given_up(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed
    }
}

/// A part of a chunk that goes to one place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Where the chunk is, and how long its reference says that it is.
    pub location: Location,
    /// The file.
    pub file: FileNumber,
    /// Where in the file the part goes, in bytes.
    pub at: u64,
    /// Where in the chunk the part begins.
    pub from: u32,
    /// Its length.
    pub take: u32,
    /// The chunk, to verify it.
    pub id: ChunkId,
}

impl Part {
    /// The chunk that it is of.
    pub fn wanted(&self) -> Wanted {
        Wanted { id: self.id, len: Some(self.location.len) }
    }
}

/// Files, and the parts that they are made of.
#[derive(Default)]
pub struct RestorePlan {
    /// The files.
    pub files: Vec<FilePlan>,
    /// The parts; where they are isn't known before [`RestorePlan::locate`].
    pub parts: Vec<Part>,
}

/// How many neighbouring frames are read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Up to this many bytes are asked for at once, or one frame.
    pub bytes: u64,
    /// Up to this many bytes between two frames are read and thrown away, to save another request.
    pub gap_bytes: u64,
}

impl ReadLimits {
    /// For a disk, which answers at once.
    pub const NEAR: Self = Self { bytes: 4 << 20, gap_bytes: 0 };
    /// For a store in which each request takes long and costs money: a whole pack at once, since its frames
    /// are opened as they arrive.
    pub const FAR: Self = Self { bytes: format_limits::PACK_STORED_BYTES_MAX, gap_bytes: 1 << 20 };
}

/// One read from a pack: neighbouring frames, and the parts that are in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRead {
    /// The pack.
    pub pack: PackNumber,
    /// Its frames; not every one of them may be needed.
    pub frames: FrameSpan,
    /// The parts.
    pub parts: Range<usize>,
}

impl RestorePlan {
    /// Adds a file and returns its number.
    pub fn begin_file(&mut self, file: FilePlan) -> FileNumber {
        let number = u32::try_from(self.files.len());
        self.files.push(file);
        number.map(FileNumber).unwrap_or_else(|_| unreachable!("a plan is run when it has FILES_MAX files"))
    }

    /// A file of the plan.
    pub fn file(&self, number: FileNumber) -> &FilePlan {
        &self.files[usize_of(number.0)]
    }

    /// A file of the plan.
    pub fn file_mut(&mut self, number: FileNumber) -> &mut FilePlan {
        &mut self.files[usize_of(number.0)]
    }

    /// Takes a file out of a plan that has been run. The numbers of others aren't valid any more.
    pub fn take_file(&mut self, number: FileNumber) -> FilePlan {
        self.files.swap_remove(usize_of(number.0))
    }

    /// Adds a part of a file: `take` bytes of a chunk from `from` on go to `at` in the file.
    pub fn need(&mut self, file: FileNumber, chunk: ChunkRef, from: u32, take: u32, at: u64) {
        self.file_mut(file).parts += 1;
        let location = Location { len: chunk.len, ..Location::default() };
        self.parts.push(Part { location, file, at, from, take, id: chunk.id });
    }

    /// Looks up where the parts' chunks are. Parts whose chunks the index doesn't have are removed from the
    /// plan and returned.
    pub fn locate(&mut self, index: &Index, pool: &Pool) -> Result<Vec<Part>> {
        let found = index.locate_all(self.parts.iter().map(Part::wanted).collect(), pool)?;
        let mut lost = Vec::new();
        self.parts.retain_mut(|part| match found.get(part.wanted()).flatten() {
            Some(location) => {
                part.location = location;
                true
            }
            None => {
                lost.push(*part);
                false
            }
        });
        Ok(lost)
    }

    /// Whether the plan should be run before a file is added.
    pub fn is_full(&self) -> bool {
        self.has_all_parts() || self.files.len() >= FILES_MAX
    }

    /// Whether the plan should be run before a part is added.
    pub fn has_all_parts(&self) -> bool {
        self.parts.len() >= PARTS_MAX
    }

    /// Sorts the located parts by place in the repository and groups them into reads. `frame`
    /// looks up a frame of a pack.
    pub fn reads(
        &mut self,
        limits: ReadLimits,
        mut frame: impl FnMut(PackNumber, FrameNumber) -> Result<FrameEntry>,
        pool: &Pool,
    ) -> Result<Vec<FrameRead>> {
        pool.sort(&mut self.parts);
        let mut reads: Vec<FrameRead> = Vec::new();
        // Where the last read begins and ends in its pack.
        let (mut start, mut end) = (0, 0);
        for (index, part) in self.parts.iter().enumerate() {
            let place = part.location;
            let last = reads.last_mut().filter(|read| read.pack == place.pack);
            if let Some(read) = last {
                if read.frames.last == place.frame {
                    read.parts.end = index + 1;
                    continue;
                }
                let next = frame(place.pack, place.frame)?;
                let next_end = u64::from(next.offset) + u64::from(next.sealed_bytes);
                if u64::from(next.offset) - end <= limits.gap_bytes && next_end - start <= limits.bytes {
                    end = next_end;
                    read.frames.last = place.frame;
                    read.parts.end = index + 1;
                    continue;
                }
            }
            let first = frame(place.pack, place.frame)?;
            start = u64::from(first.offset);
            end = start + u64::from(first.sealed_bytes);
            let frames = FrameSpan { first: place.frame, last: place.frame };
            reads.push(FrameRead { pack: place.pack, frames, parts: index..index + 1 });
        }
        Ok(reads)
    }
}

/// Hands out the places of a file's content: its extents, one after the other.
pub struct Places<'e> {
    /// Bytes of content that come before the file's.
    before: u32,
    extents: &'e [(u64, u64)],
    used: u64,
}

impl<'e> Places<'e> {
    /// From the start of the file, which comes after this many bytes of the content.
    pub fn new(before: u32, extents: &'e [(u64, u64)]) -> Self {
        Self { before, extents, used: 0 }
    }

    /// Places the next `length` bytes of content: calls `place` with the offset in these bytes,
    /// how many of them, and where in the file they go. Bytes before the file and beyond the last extent have
    /// no place.
    pub fn take(&mut self, length: u32, mut place: impl FnMut(u32, u32, u64)) {
        let mut from = self.before.min(length);
        self.before -= from;
        while from < length {
            let Some((offset, extent)) = self.extents.first() else { return };
            let left = extent - self.used;
            if left == 0 {
                self.extents = &self.extents[1..];
                self.used = 0;
                continue;
            }
            let take = u32::try_from(left).map_or(length - from, |left| left.min(length - from));
            place(from, take, offset + self.used);
            from += take;
            self.used += u64::from(take);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folders::ROOT;
    use super::{FilePlan, Part, Places, ReadLimits, RestorePlan};
    use crate::repo::{FrameNumber, Location, Ordinal, PackNumber};
    use crate::run::Pool;
    use keepfast_format::content::Content;
    use keepfast_format::ids::ChunkId;
    use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
    use keepfast_format::pack::FrameEntry;

    #[test]
    fn a_chunk_across_a_hole_goes_to_both_sides_of_it() {
        let placed = |mut places: Places<'_>, lengths: &[u32]| {
            let mut found = Vec::new();
            for length in lengths {
                places.take(*length, |from, take, at| found.push((from, take, at)));
            }
            found
        };
        let places = Places::new(0, &[(0, 10), (100, 5), (200, 50)]);
        let expected = [(0, 8, 0), (0, 2, 8), (2, 5, 100), (7, 1, 200), (0, 20, 201)];
        assert_eq!(placed(places, &[8, 8, 20]), expected);
        assert_eq!(placed(Places::new(9, &[(0, 10)]), &[4, 100]), [(5, 10, 0)], "a file in a bundle");
    }

    /// Plans one file of parts in these frames of one pack with frames of a MiB. Returns the first and the last
    /// frame of each read.
    fn reads_of(frames: &[u16], limits: ReadLimits) -> Vec<(u16, u16)> {
        let kind = NodeKind::File { size: 0, content: Content::empty(), extents: Extents::Dense };
        let node = Node {
            name: Vec::new(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Vec::new(),
            kind,
            unknown: None,
        };
        let mut plan = RestorePlan::default();
        let file = plan.begin_file(FilePlan::new(ROOT, node, 0, None));
        for frame in frames {
            let location = Location {
                pack: PackNumber::new(7),
                frame: FrameNumber::new(*frame),
                ordinal: Ordinal::new(0),
                offset: 0,
                len: 9,
            };
            plan.parts.push(Part { location, file, at: 0, from: 0, take: 9, id: ChunkId::new([0; 32]) });
        }
        let entry = |_, frame: FrameNumber| {
            Ok(FrameEntry {
                offset: 200 + (u32::from(frame) << 20),
                sealed_bytes: 1 << 20,
                plain_bytes: 9,
                chunks: 1,
            })
        };
        let reads = plan.reads(limits, entry, &Pool::new(1)).expect("all frames are known");
        assert_eq!(reads.iter().map(|read| read.parts.len()).sum::<usize>(), frames.len());
        reads.iter().map(|read| (read.frames.first.get(), read.frames.last.get())).collect()
    }

    #[test]
    fn neighbouring_frames_are_read_together_and_small_gaps_too_where_answers_take_long() {
        let frames = [0, 0, 1, 3, 4, 7, 8, 9, 10, 11];
        assert_eq!(reads_of(&frames, ReadLimits::NEAR), [(0, 1), (3, 4), (7, 10), (11, 11)]);
        assert_eq!(reads_of(&frames, ReadLimits::FAR), [(0, 4), (7, 11)]);
        let limited = ReadLimits { bytes: 4 << 20, ..ReadLimits::FAR };
        assert_eq!(reads_of(&frames, limited), [(0, 3), (4, 4), (7, 10), (11, 11)]);
    }
}
