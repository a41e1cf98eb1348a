//! Reading back what was restored, and comparing it with the snapshot chunk by chunk.

use std::fs::File;
use std::os::unix::fs::FileExt;

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::{ChunkIds, ChunkKind};
use keepfast_format::node::{Extents, Node, NodeKind};

use super::plan::Places;
use super::{RestoreOptions, RestoreReport, as_path, is_local};
use crate::error::{EngineError, Result};
use crate::monitor::{Event, Monitor};
use crate::repo::{Repository, Trees};

/// Compares every regular file that is in the target with the snapshot. Files that aren't
/// there were left out or have been reported.
pub fn verify(
    trees: Trees<'_>,
    repository: &Repository,
    root: &ChunkId,
    options: &RestoreOptions<'_>,
    monitor: &dyn Monitor,
    report: &mut RestoreReport,
) -> Result<()> {
    let ids = repository.chunk_ids();
    let mut stack = vec![(*root, Vec::new())];
    while let Some((tree, path)) = stack.pop() {
        trees.for_each_node(&tree, &mut |node| {
            if monitor.stopped() {
                return Err(EngineError::Interrupted);
            }
            let mut path: Vec<u8> = path.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&node.name);
            match &node.kind {
                NodeKind::Directory { tree } => stack.push((*tree, path)),
                NodeKind::File { .. } => {
                    let whole = options.target.join(as_path(&path));
                    let found = match File::open(&whole) {
                        Ok(file) if matches(trees, &ids, &node, &file)? => Ok(()),
                        Ok(_) => Err("it differs from the snapshot when read back".to_owned()),
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                        Err(error) => Err(format!("it can't be read back: {error}")),
                    };
                    match found {
                        Ok(()) => report.verified += 1,
                        Err(why) => {
                            report.skipped += 1;
                            monitor.event(Event::Skipped { path: &whole, why });
                        }
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn matches(trees: Trees<'_>, ids: &ChunkIds, node: &Node, file: &File) -> Result<bool> {
    let NodeKind::File { size, content, extents } = &node.kind else { return Ok(true) };
    if file.metadata().map_or(0, |metadata| metadata.len()) != *size {
        return Ok(false);
    }
    if let (Extents::Bundled { from }, Content::Inline(chunks)) = (extents, content) {
        return is_part(trees, chunks, *from as usize, *size as usize, file);
    }
    let extents = trees.extents(extents, *size)?;
    let mut places = Places::new(0, &extents);
    let mut same = true;
    let mut chunk_bytes = Vec::new();
    trees.for_each_chunk(content, &mut |chunk| {
        chunk_bytes.clear();
        chunk_bytes.resize(chunk.len as usize, 0);
        places.take(chunk.len, |from, take, at| {
            let part = &mut chunk_bytes[from as usize..(from + take) as usize];
            same &= file.read_exact_at(part, at).is_ok();
        });
        same &= ids.id(ChunkKind::Data, &chunk_bytes) == chunk.id;
        Ok(())
    })?;
    Ok(same)
}

/// Whether a file is as it is in its bundle: an id tells that of a whole chunk only.
fn is_part(trees: Trees<'_>, bundle: &[ChunkRef], from: usize, size: usize, file: &File) -> Result<bool> {
    let Some(chunk) = bundle.first() else { return Ok(false) };
    let expected = match trees.data(&chunk.id) {
        Ok(expected) => expected,
        // There is nothing to compare it with, so it can't be what was restored.
        Err(error) if is_local(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut found = vec![0; size];
    Ok(file.read_exact_at(&mut found, 0).is_ok() && expected.get(from..from + size) == Some(&found[..]))
}
