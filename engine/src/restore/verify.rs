//! Reading back what was restored, and comparing it with the snapshot: metadata, and content chunk
//! by chunk.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::ChunkId;
use keepfast_format::keys::{ChunkIds, ChunkKind};
use keepfast_format::node::{Extents, Node, NodeKind, Xattr};
use keepfast_format::numbers::usize_of;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::denied::Denied;
use super::folders::{DirectoryNumber, Folders, Identity, ROOT};
use super::is_local;
use super::plan::Places;
use super::selection::{Picked, SelectedDirectory, Selection};
use super::target::Target;
use crate::error::{EngineError, Result};
use crate::fs::{compare, meta, privileges};
use crate::repo::{FrameCache, Trees};
use crate::run::{Event, RunContext};

/// Compares every entry that was picked and is in the target with the snapshot. Returns how many regular files are right; entries that aren't are events, unless they
/// were reported before.
pub fn verify(comparison: &Comparison<'_>, root: &ChunkId, run: &RunContext) -> Result<u64> {
    let target = comparison.target;
    let mut files_right = 0;
    // Numbered on their own, since all directories are opened again.
    let mut folders =
        Folders::new(Some(target.handle(ROOT).map_err(EngineError::file(&target.options.target))?));
    let mut path_buffer = comparison.selection.path();
    let selected = comparison.selection.at_the_top();
    let mut stack =
        vec![Pending { tree: *root, number: ROOT, path_bytes_above: path_buffer.len(), selected }];
    while let Some(Pending { tree, number, path_bytes_above, selected }) = stack.pop() {
        if number != ROOT {
            path_buffer.turn_to(path_bytes_above, folders.name(number).to_bytes());
        }
        let path_bytes = path_buffer.len();
        let handle = match folders.handle(number) {
            Ok(handle) => handle,
            // The directory itself was reported.
            Err(_) => continue,
        };
        let read = comparison.trees.for_each_node(&tree, &mut |node| {
            if run.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
            let path = path_buffer.of_entry(path_bytes, &node.name);
            let Some(picked) = comparison.selection.pick(path, &node, &selected) else { return Ok(()) };
            let tree = if let NodeKind::Directory { tree } = &node.kind { Some(*tree) } else { None };
            let left_out = target.options.no_privileges && privileges::is_device(&node);
            if left_out || (tree.is_none() && picked != Picked::All) {
                return Ok(());
            }
            let node = target.given(&node);
            match comparison.problems(handle.as_fd(), &node) {
                Ok(None) => {
                    if comparison.missing == Missing::Told {
                        let path = &target.options.target;
                        let path = path.join(super::as_path(&folders.path_of(number, &node.name)));
                        run.tell(&Event::Skipped { path, why: "it isn't there".to_owned() });
                    }
                    return Ok(());
                }
                Ok(Some(problems)) if problems.is_empty() => {
                    files_right += u64::from(matches!(node.kind, NodeKind::File { .. }));
                }
                Ok(Some(problems)) => {
                    let path =
                        target.options.target.join(super::as_path(&folders.path_of(number, &node.name)));
                    if !target.was_reported(&path) {
                        run.tell(&Event::Skipped { path, why: problems.join("; ") });
                    }
                }
                Err(error) => return Err(error),
            }
            if let Some(tree) = tree {
                let below = folders.add(number, &node.name).map_err(|error| {
                    EngineError::file(target.whole_path(ROOT, &node.name))(Denied::from(error))
                })?;
                let selected = comparison.selection.below(&selected, &node.name, picked);
                stack.push(Pending { tree, number: below, path_bytes_above: path_bytes, selected });
            }
            Ok(())
        });
        match read {
            // What can't be read of a directory wasn't restored, and was reported then.
            Err(error) if is_local(&error) => {}
            other => other?,
        }
    }
    Ok(files_right)
}

/// A directory that is to be compared.
struct Pending {
    tree: ChunkId,
    /// Its number.
    number: DirectoryNumber,
    /// How long the path of the directory is that it is in, in bytes.
    path_bytes_above: usize,
    selected: SelectedDirectory,
}

/// Who tells of an entry that isn't in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The restore has: it was left out, or couldn't be written.
    ToldBefore,
    /// The comparison does.
    Told,
}

/// What restored files are compared by.
pub struct Comparison<'f> {
    /// The snapshot's trees.
    pub trees: Trees<'f>,
    /// Its data, for files in bundles, which mostly come in the same order.
    pub data: &'f FrameCache<'f>,
    /// The hasher under the snapshot's keys.
    pub ids: &'f ChunkIds,
    /// Where it was restored.
    pub target: &'f Target<'f>,
    /// What of it was.
    pub selection: &'f Selection<'f>,
    /// Who tells of what isn't there.
    pub missing: Missing,
}

/// An entry as it is in the target.
struct Found {
    stat: Stat,
    xattrs: Result<Vec<Xattr>, String>,
    /// A regular file, open.
    file: Option<File>,
}

impl Comparison<'_> {
    /// What is wrong with an entry; `None` if it isn't there.
    fn problems(&self, directory: BorrowedFd<'_>, node: &Node) -> Result<Option<Vec<String>>> {
        let found = match look(directory, node) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                let error = std::io::Error::from(error);
                return Ok(Some(vec![format!("it can't be read back: {error}")]));
            }
        };
        let Some(Found { stat, xattrs, file }) = found else {
            return Ok(Some(vec!["it is of another kind than in the snapshot".to_owned()]));
        };
        let privileged = rustix::process::geteuid().is_root();
        let mut problems = Vec::new();
        match xattrs {
            Ok(xattrs) => {
                let owner = self.target.owner(node);
                problems = compare::differences(&stat, &xattrs, node, owner, privileged);
            }
            Err(why) => problems.push(why),
        }
        if let NodeKind::Symlink { target } = &node.kind {
            let name = std::ffi::CString::new(node.name.as_slice()).unwrap_or_default();
            if !meta::link_target(directory, &name).is_ok_and(|found| found == *target) {
                problems.push("it points elsewhere".to_owned());
            }
        }
        if let Some(file) = file {
            problems.extend(self.problem(node, &file)?);
        }
        Ok(Some(problems))
    }

    /// What is wrong with a restored file, if anything.
    fn problem(&self, node: &Node, file: &File) -> Result<Option<String>> {
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(None) };
        let same = file.metadata().map_or(0, |metadata| metadata.len()) == *size
            && match (extents, content) {
                (Extents::Bundled { from }, Content::Inline(chunks)) => {
                    match self.is_part(chunks, *from, *size, file) {
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
            chunk_bytes.resize(usize_of(chunk.len), 0);
            places.take(chunk.len, |from, take, at| {
                let part = &mut chunk_bytes[usize_of(from)..usize_of(from + take)];
                same &= file.read_exact_at(part, at).is_ok();
            });
            same &= self.ids.id(ChunkKind::Data, &chunk_bytes) == chunk.id;
            Ok(())
        })?;
        Ok(same)
    }

    /// Whether a file is as it is in its bundle: an id tells that of a whole chunk only.
    fn is_part(&self, bundle: &[ChunkRef], from: u32, size: u64, file: &File) -> Result<bool> {
        let (Some(chunk), Ok(size)) = (bundle.first(), usize::try_from(size)) else { return Ok(false) };
        let from = usize_of(from);
        let expected = self.data.chunk(ChunkKind::Data, *chunk)?;
        let mut found = vec![0; size];
        Ok(file.read_exact_at(&mut found, 0).is_ok() && expected.get(from..from + size) == Some(&found[..]))
    }
}

/// Looks at an entry; nothing if it is of another kind than its node.
fn look(directory: BorrowedFd<'_>, node: &Node) -> Result<Option<Found>, Errno> {
    let name = std::ffi::CString::new(node.name.as_slice()).map_err(|_| Errno::INVAL)?;
    let stat = meta::stat(directory, &name)?;
    if meta::file_type(&stat) != compare::type_of(node) {
        return Ok(None);
    }
    let is_file = matches!(node.kind, NodeKind::File { .. });
    if !is_file && !matches!(node.kind, NodeKind::Directory { .. }) {
        let attributes = meta::xattrs_at(directory, &name)?;
        return Ok(Some(Found { stat, xattrs: attributes.all(), file: None }));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, &name, flags, Mode::empty())?;
    // The entry may have been replaced between the two calls.
    let again = rustix::fs::fstat(&opened)?;
    if Identity::of(&again) != Identity::of(&stat) {
        return Ok(None);
    }
    let xattrs = meta::xattrs_of(&opened).all();
    Ok(Some(Found { stat: again, xattrs, file: is_file.then(|| File::from(opened)) }))
}
