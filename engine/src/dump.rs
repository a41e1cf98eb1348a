//! Writing one file of a snapshot to a stream, or all that is in a folder of it; and reading files of one.

mod reader;

use std::io::{self, Write};
use std::thread;

use crossbeam_channel::{Sender, bounded};
use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::node::{Node, NodeKind};
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Mismatch, Result};
use crate::repo::{FrameCache, Index, Repository, Trees, gather};
use crate::run::RunContext;
pub use reader::{FileReader, SnapshotReader};

/// Content that is fetched at once. The larger, the fewer frames are read twice when a file's
/// chunks are scattered; three windows are in memory.
const WINDOW_BYTES: u64 = 24 << 20;

/// Writes the file at `path`, with zeros for its holes. Returns its size in bytes.
pub fn dump(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
    run: &RunContext,
) -> Result<u64> {
    let dumped = dump_file(repository, index, snapshot, path, out, run);
    run.report_suspects(|_| false);
    dumped
}

/// Takes what is in a folder, entry by entry: each folder before what is in it, and of each regular file its bytes.
pub trait TakesFolder {
    /// An entry, and its path below the folder, without a slash at either end.
    fn entry(&mut self, path: &[u8], node: &Node) -> io::Result<()>;

    /// Where the bytes of the file go that was the last entry: as many as its size says.
    fn content(&mut self) -> &mut dyn Write;

    /// The bytes of the file are there.
    fn end_of_content(&mut self) -> io::Result<()>;
}

/// Gives all that is in the folder at `path` to `into`. What is damaged ends it with an error: what was given until then is
/// not the whole folder.
pub fn dump_folder(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    into: &mut dyn TakesFolder,
    run: &RunContext,
) -> Result<()> {
    let frames = FrameCache::new(repository, index, run);
    let data = FrameCache::of_data(repository, index, run);
    let folder = Folder { trees: Trees::new(&frames), data: &data, run };
    let not_there =
        |found| EngineError::NotInSnapshot { path: path.to_vec(), found, snapshot: snapshot.head.id };
    let dumped = match folder.trees.find(&snapshot.body.tree, path) {
        Err(error) => Err(error),
        Ok(None) if path.iter().all(|byte| *byte == b'/') => folder.give(snapshot.body.tree, into),
        Ok(None) => Err(not_there(Mismatch::Nothing)),
        Ok(Some(node)) => match node.kind {
            NodeKind::Directory { tree } => folder.give(tree, into),
            _ => Err(not_there(Mismatch::NoDirectory)),
        },
    };
    run.report_suspects(|_| false);
    dumped
}

/// A folder on its way out.
struct Folder<'f> {
    trees: Trees<'f>,
    data: &'f FrameCache<'f>,
    run: &'f RunContext,
}

impl Folder<'_> {
    fn give(&self, tree: ChunkId, into: &mut dyn TakesFolder) -> Result<()> {
        let mut stack = vec![(tree, Vec::new())];
        while let Some((tree, folder)) = stack.pop() {
            let mut below: Vec<(ChunkId, Vec<u8>)> = Vec::new();
            self.trees.for_each_node(&tree, &mut |node| {
                self.run.go_on()?;
                let mut path: Vec<u8> = folder.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(&node.name);
                into.entry(&path, &node).map_err(EngineError::file("the output"))?;
                match node.kind {
                    NodeKind::Directory { tree } => below.push((tree, path)),
                    NodeKind::File { .. } => {
                        self.content(&node, into.content())?;
                        into.end_of_content().map_err(EngineError::file("the output"))?;
                    }
                    _ => {}
                }
                Ok(())
            })?;
            below.reverse();
            stack.extend(below);
        }
        Ok(())
    }

    /// Writes a file's bytes, window by window: files of a folder are mostly small.
    fn content(&self, node: &Node, out: &mut dyn Write) -> Result<()> {
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(()) };
        let before = usize_of(extents.content_start());
        let layout = self.trees.layout(*size, content, extents)?;
        let mut file = Dumped { out, before, extents: layout.extents.into_iter(), end: 0, left: 0 };
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        let mut write = |chunks: &mut Vec<_>| {
            for chunk in gather(self.data, &std::mem::take(chunks))? {
                self.run.go_on()?;
                let written = file.content(&chunk).map_err(EngineError::file("the output"))?;
                self.run.count(0, written);
            }
            Ok(())
        };
        self.trees.for_each_chunk(content, layout.content_bytes, &mut |chunk| {
            chunks.push(chunk);
            bytes += u64::from(chunk.len);
            if bytes >= WINDOW_BYTES {
                bytes = 0;
                return write(&mut chunks);
            }
            Ok(())
        })?;
        write(&mut chunks)?;
        file.finish(*size).map_err(EngineError::file("the output"))?;
        self.run.count(1, 0);
        Ok(())
    }
}

fn dump_file(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
    run: &RunContext,
) -> Result<u64> {
    let frames = FrameCache::new(repository, index, run);
    let trees = Trees::new(&frames);
    let not_there =
        |found| EngineError::NotInSnapshot { path: path.to_vec(), found, snapshot: snapshot.head.id };
    let node = trees.find(&snapshot.body.tree, path)?.ok_or_else(|| not_there(Mismatch::Nothing))?;
    let NodeKind::File { size, content, extents } = node.kind else {
        return Err(not_there(Mismatch::NoRegularFile));
    };
    let before = usize_of(extents.content_start());
    let layout = trees.layout(size, &content, &extents)?;
    let content_bytes = layout.content_bytes;
    let mut file = Dumped { out, before, extents: layout.extents.into_iter(), end: 0, left: 0 };
    thread::scope(|scope| {
        let (windows, fetched) = bounded(0);
        let data = FrameCache::of_data(repository, index, run);
        let fetching = scope.spawn(move || fetch_all(trees, &data, &content, content_bytes, &windows));
        // If writing fails, `fetched` is dropped, and sending the next window fails: so the other thread ends.
        for window in fetched {
            for chunk in window {
                if run.is_cancelled() {
                    return Err(EngineError::Interrupted);
                }
                let written = file.content(&chunk).map_err(EngineError::file("the output"))?;
                run.count(0, written);
            }
        }
        fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    file.finish(size).map_err(EngineError::file("the output"))?;
    Ok(size)
}

/// Fetches a content's chunks window by window: while one is written, the next is on its way.
fn fetch_all(
    trees: Trees<'_>,
    data: &FrameCache<'_>,
    content: &Content,
    content_bytes: u64,
    windows: &Sender<Vec<Vec<u8>>>,
) -> Result<()> {
    let (mut chunks, mut bytes) = (Vec::new(), 0);
    trees.for_each_chunk(content, content_bytes, &mut |chunk| {
        chunks.push(chunk);
        bytes += u64::from(chunk.len);
        if bytes >= WINDOW_BYTES {
            bytes = 0;
            let gathered = gather(data, &std::mem::take(&mut chunks))?;
            windows.send(gathered).map_err(|_| EngineError::Interrupted)?;
        }
        Ok(())
    })?;
    windows.send(gather(data, &chunks)?).map_err(|_| EngineError::Interrupted)
}

/// A file on its way out: what it has of data, with zeros where it has holes.
struct Dumped<'o> {
    out: &'o mut dyn Write,
    /// Bytes of content that come before the file's, where it is in a bundle.
    before: usize,
    extents: std::vec::IntoIter<(u64, u64)>,
    /// How much of the file is out.
    end: u64,
    /// What is left of the current extent.
    left: u64,
}

impl Dumped<'_> {
    /// Writes content, as far as it is the file's, and the holes before it. Returns how much of it was.
    fn content(&mut self, mut bytes: &[u8]) -> io::Result<u64> {
        let skipped = self.before.min(bytes.len());
        self.before -= skipped;
        bytes = &bytes[skipped..];
        let all = bytes.len();
        while !bytes.is_empty() {
            if self.left == 0 {
                let Some((offset, length)) = self.extents.next() else { break };
                write_zeros(self.out, offset - self.end)?;
                (self.end, self.left) = (offset, length);
            }
            let take = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.out.write_all(&bytes[..take])?;
            bytes = &bytes[take..];
            self.end += u64_of(take);
            self.left -= u64_of(take);
        }
        Ok(u64_of(all - bytes.len()))
    }

    fn finish(self, size: u64) -> io::Result<()> {
        write_zeros(self.out, size.saturating_sub(self.end))?;
        self.out.flush()
    }
}

fn write_zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    let mut left = count;
    while left > 0 {
        let take = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        out.write_all(&zeros[..take])?;
        left -= u64_of(take);
    }
    Ok(())
}
