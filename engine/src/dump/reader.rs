//! Reading files of a snapshot as streams: several at once, by as many threads, through caches that they share.

use std::io::{self, Read};

use keepfast_format::FormatError;
use keepfast_format::content::{ChunkRef, Content, ListItem};
use keepfast_format::keys::ChunkKind;
use keepfast_format::node::NodeKind;
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Mismatch, Result};
use crate::repo::{FrameCache, Index, ListRef, Repository, Trees, gather};
use crate::run::RunContext;

/// Content of one file that is fetched at once, and in memory.
const WINDOW_BYTES: u64 = 8 << 20;

/// Opens files of a snapshot.
pub struct SnapshotReader<'r> {
    frames: FrameCache<'r>,
    /// Small files share frames, and are mostly read one after the other.
    data: FrameCache<'r>,
    snapshot: &'r Snapshot,
    run: &'r RunContext,
}

impl<'r> SnapshotReader<'r> {
    /// For the files of this snapshot.
    #[must_use]
    pub fn new(
        repository: &'r Repository,
        index: &'r Index,
        snapshot: &'r Snapshot,
        run: &'r RunContext,
    ) -> Self {
        let frames = FrameCache::new(repository, index, run);
        let data = FrameCache::of_data(repository, index, run);
        Self { frames, data, snapshot, run }
    }

    /// The file at this path. It is read while its bytes are asked for.
    pub fn open(&self, path: &[u8]) -> Result<FileReader<'_>> {
        let trees = Trees::new(&self.frames);
        let not_there = |found| EngineError::NotInSnapshot {
            path: path.to_vec(),
            found,
            snapshot: self.snapshot.head.id,
        };
        let node = trees.find(&self.snapshot.body.tree, path)?.ok_or_else(|| not_there(Mismatch::Nothing))?;
        let NodeKind::File { size, content, extents } = node.kind else {
            return Err(not_there(Mismatch::NoRegularFile));
        };
        let layout = trees.layout(size, &content, &extents)?;
        Ok(FileReader {
            data: &self.data,
            run: self.run,
            chunks: Chunks::of(trees, content, layout.content_bytes)?,
            window: Vec::new().into_iter(),
            chunk: Vec::new(),
            used: 0,
            before: usize_of(extents.content_start()),
            extents: layout.extents.into_iter(),
            at: 0,
            size,
            is_counted: false,
        })
    }
}

/// A file of a snapshot, with zeros for its holes. Each of its bytes is verified before it is given. Memory: one window of
/// its content.
pub struct FileReader<'f> {
    data: &'f FrameCache<'f>,
    run: &'f RunContext,
    /// Those that weren't fetched.
    chunks: Chunks<'f>,
    /// Those that were fetched.
    window: std::vec::IntoIter<Vec<u8>>,
    chunk: Vec<u8>,
    /// How many bytes of the chunk were given.
    used: usize,
    /// Bytes of content that come before the file's, where it is in a bundle.
    before: usize,
    /// Where the file has data, from the current place on.
    extents: std::vec::IntoIter<(u64, u64)>,
    at: u64,
    size: u64,
    is_counted: bool,
}

impl FileReader<'_> {
    /// The file's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    fn next_bytes(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let room = u64_of(buffer.len());
        while room > 0 && self.at < self.size {
            let (start, end) = match self.extents.as_slice().first() {
                Some((offset, length)) => (*offset, offset.saturating_add(*length)),
                None => (self.size, self.size),
            };
            if self.at < start {
                let zeros = usize_within(room.min(start - self.at), buffer);
                buffer[..zeros].fill(0);
                self.at += u64_of(zeros);
                return Ok(zeros);
            }
            if self.at >= end {
                self.extents.next();
                continue;
            }
            let rest = &self.chunk[self.used..];
            if rest.is_empty() {
                self.next_chunk()?;
                continue;
            }
            let count = usize_within(room.min(end - self.at), buffer).min(rest.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.used += count;
            self.at += u64_of(count);
            self.run.count(0, u64_of(count));
            return Ok(count);
        }
        if self.at == self.size && !std::mem::replace(&mut self.is_counted, true) {
            self.run.count(1, 0);
            self.run.report_suspects(|_| false);
        }
        Ok(0)
    }

    /// Goes on to the next chunk, and fetches some if there is none.
    fn next_chunk(&mut self) -> Result<()> {
        self.run.go_on()?;
        if self.window.as_slice().is_empty() {
            self.window = self.fetch()?.into_iter();
        }
        // What refers to the chunks was compared with the file's size.
        self.chunk = self.window.next().ok_or_else(|| {
            let why = "its chunks don't add up to its length";
            EngineError::damaged("content of a file")(FormatError::Malformed { what: "content", why })
        })?;
        self.used = self.before.min(self.chunk.len());
        self.before -= self.used;
        Ok(())
    }

    fn fetch(&mut self) -> Result<Vec<Vec<u8>>> {
        let (mut wanted, mut bytes) = (Vec::new(), 0);
        while bytes < WINDOW_BYTES
            && let Some(chunk) = self.chunks.next()?
        {
            bytes += u64::from(chunk.len);
            wanted.push(chunk);
        }
        match wanted[..] {
            // Its frame has those of other small files.
            [chunk] => Ok(vec![self.data.chunk(ChunkKind::Data, chunk)?.to_vec()]),
            _ => gather(self.data, &wanted),
        }
    }
}

impl Read for FileReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next_bytes(buffer).map_err(|error| {
            self.run.report_suspects(|_| false);
            io::Error::other(error)
        })
    }
}

/// A number of bytes, at most those of a buffer.
fn usize_within(count: u64, buffer: &[u8]) -> usize {
    usize::try_from(count).map_or(buffer.len(), |count| count.min(buffer.len()))
}

/// The chunks of a content, one after the other. Memory: one list of each level.
struct Chunks<'f> {
    trees: Trees<'f>,
    inline: std::vec::IntoIter<ChunkRef>,
    /// Lists that are being read, the highest first, with their levels.
    lists: Vec<(u8, std::vec::IntoIter<ListItem>)>,
}

impl<'f> Chunks<'f> {
    /// Those of a content of this many bytes.
    fn of(trees: Trees<'f>, content: Content, bytes: u64) -> Result<Self> {
        let (mut inline, mut lists) = (Vec::new(), Vec::new());
        match content {
            Content::Inline(_) => trees.for_each_chunk(&content, bytes, &mut |chunk| {
                inline.push(chunk);
                Ok(())
            })?,
            Content::List { level, id } => {
                lists.push((level, trees.listed(ListRef { id, level, bytes })?.items.into_iter()));
            }
        }
        Ok(Self { trees, inline: inline.into_iter(), lists })
    }

    fn next(&mut self) -> Result<Option<ChunkRef>> {
        if let Some(chunk) = self.inline.next() {
            return Ok(Some(chunk));
        }
        while let Some((level, items)) = self.lists.last_mut() {
            let level = *level;
            let Some(ListItem { id, bytes }) = items.next() else {
                self.lists.pop();
                continue;
            };
            if level <= 1 {
                // Longer ones are refused with the list.
                return Ok(Some(ChunkRef { id, len: u32::try_from(bytes).unwrap_or(u32::MAX) }));
            }
            let below = ListRef { id, level: level - 1, bytes };
            self.lists.push((below.level, self.trees.listed(below)?.items.into_iter()));
        }
        Ok(None)
    }
}
