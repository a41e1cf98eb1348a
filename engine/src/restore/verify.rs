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
use crate::repo::{FrameCache, Trees};

/// Compares every regular file that is in the target with the snapshot. Files that aren't
/// there were left out or have been reported.
pub fn verify(
    comparison: &Comparison<'_>,
    root: &ChunkId,
    options: &RestoreOptions<'_>,
    monitor: &dyn Monitor,
    report: &mut RestoreReport,
) -> Result<()> {
    let trees = comparison.trees;
    let mut stack = vec![(*root, Vec::new())];
    while let Some((tree, path)) = stack.pop() {
        let read = trees.for_each_node(&tree, &mut |node| {
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
                    let problem = match File::open(&whole) {
                        Ok(file) => comparison.problem(&node, &file)?,
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                        Err(error) => Some(format!("it can't be read back: {error}")),
                    };
                    match problem {
                        None => report.verified += 1,
                        Some(why) => {
                            report.skipped += 1;
                            monitor.event(Event::Skipped { path: &whole, why });
                        }
                    }
                }
                _ => {}
            }
            Ok(())
        });
        match read {
            // What can't be read of a directory wasn't restored, and that was said.
            Err(error) if is_local(&error) => {}
            other => other?,
        }
    }
    Ok(())
}

/// What restored files are compared by.
pub struct Comparison<'f> {
    /// The snapshot's trees.
    pub trees: Trees<'f>,
    /// Its data, for files in bundles, which mostly come in the same order.
    pub data: &'f FrameCache<'f>,
    /// The hasher under the snapshot's keys.
    pub ids: &'f ChunkIds,
}

impl Comparison<'_> {
    /// What is wrong with a restored file, if anything.
    fn problem(&self, node: &Node, file: &File) -> Result<Option<String>> {
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(None) };
        let same = file.metadata().map_or(0, |metadata| metadata.len()) == *size
            && match (extents, content) {
                (Extents::Bundled { from }, Content::Inline(chunks)) => {
                    match self.is_part(chunks, *from as usize, *size as usize, file) {
                        Err(error) if is_local(&error) => {
                            return Ok(Some(format!("there is nothing to compare it with: {error}")));
                        }
                        other => other?,
                    }
                }
                _ => match self.has_chunks(content, extents, *size, file) {
                    Err(error) if is_local(&error) => {
                        return Ok(Some(format!("there is nothing to compare it with: {error}")));
                    }
                    other => other?,
                },
            };
        Ok((!same).then(|| "it differs from the snapshot when read back".to_owned()))
    }

    /// Whether a file is made of the chunks that it should be made of.
    fn has_chunks(&self, content: &Content, extents: &Extents, size: u64, file: &File) -> Result<bool> {
        let layout = self.trees.layout(size, content, extents)?;
        let mut places = Places::new(0, &layout.extents);
        let mut same = true;
        let mut chunk_bytes = Vec::new();
        self.trees.for_each_chunk(content, layout.content_bytes, &mut |chunk| {
            chunk_bytes.clear();
            chunk_bytes.resize(chunk.len as usize, 0);
            places.take(chunk.len, |from, take, at| {
                let part = &mut chunk_bytes[from as usize..(from + take) as usize];
                same &= file.read_exact_at(part, at).is_ok();
            });
            same &= self.ids.id(ChunkKind::Data, &chunk_bytes) == chunk.id;
            Ok(())
        })?;
        Ok(same)
    }

    /// Whether a file is as it is in its bundle: an id tells that of a whole chunk only.
    fn is_part(&self, bundle: &[ChunkRef], from: usize, size: usize, file: &File) -> Result<bool> {
        let Some(chunk) = bundle.first() else { return Ok(false) };
        let expected = self.data.chunk(ChunkKind::Data, *chunk)?;
        let mut found = vec![0; size];
        Ok(file.read_exact_at(&mut found, 0).is_ok() && expected.get(from..from + size) == Some(&found[..]))
    }
}
