//! Writing one file of a snapshot to a stream.

use std::io::{self, Write};

use keepfast_format::keys::ChunkKind;
use keepfast_format::node::NodeKind;
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Result};
use crate::monitor::Monitor;
use crate::repo::{FrameCache, Index, Repository, Trees};

/// Writes the file at `path`, with zeros for its holes. Returns its size in bytes.
pub fn dump(
    repository: &Repository,
    index: &Index,
    snapshot: &Snapshot,
    path: &[u8],
    out: &mut dyn Write,
    monitor: &dyn Monitor,
) -> Result<u64> {
    let frames = FrameCache::new(repository, index);
    let trees = Trees::new(&frames);
    let unusable = |what: &str| {
        EngineError::Unusable(format!(
            "{} {what} in snapshot {}; `keepfast ls` shows what there is",
            String::from_utf8_lossy(path),
            snapshot.head.id.short()
        ))
    };
    let node = trees.find(&snapshot.body.tree, path)?.ok_or_else(|| unusable("isn't"))?;
    let NodeKind::File { size, content, extents } = node.kind else {
        return Err(unusable("isn't a regular file"));
    };
    let extents = trees.extents(&extents, size)?;
    let mut extents = extents.iter().copied();
    let (mut end, mut left) = (0, 0);
    trees.for_each_chunk(&content, &mut |chunk| {
        if monitor.stopped() {
            return Err(EngineError::Interrupted);
        }
        let bytes = frames.chunk(ChunkKind::Data, &chunk.id)?;
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            if left == 0 {
                let Some((offset, length)) = extents.next() else { break };
                write_zeros(out, offset - end).map_err(EngineError::file("standard output"))?;
                (end, left) = (offset, length);
            }
            let take = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.write_all(&rest[..take]).map_err(EngineError::file("standard output"))?;
            rest = &rest[take..];
            end += take as u64;
            left -= take as u64;
        }
        monitor.progress().add(0, chunk.len.into());
        Ok(())
    })?;
    write_zeros(out, size.saturating_sub(end))
        .and_then(|()| out.flush())
        .map_err(EngineError::file("standard output"))?;
    Ok(size)
}

fn write_zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    let zeros = [0; 1 << 16];
    let mut left = count;
    while left > 0 {
        let take = left.min(zeros.len() as u64);
        out.write_all(&zeros[..take as usize])?;
        left -= take;
    }
    Ok(())
}
