//! Reading files: small ones whole, by the thread that found them; large ones and streams
//! in pieces that all threads share.

use std::ffi::CStr;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_format::content::{ChunkRef, Content, ContentBuilder};
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node, NodeKind, extents_to_bytes};
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::parent::Earlier;
use super::pending::Place;
use super::stream::{PieceJob, StreamFile, StreamJob};
use super::walk::file_kind;
use super::worker::{Job, Worker};
use crate::chunk::PieceReader;
use crate::error::{EngineError, Result};
use crate::fs::{meta, sparse};
use crate::monitor::Event;

/// Files longer than this are read in pieces.
const SMALL_BYTES: u64 = 2 << 20;

impl Worker<'_> {
    /// Reads a regular file that the parent doesn't have like this.
    pub fn read_file(&mut self, place: &Place, directory: BorrowedFd<'_>, earlier: Earlier) -> Result<()> {
        let name = place.name();
        let opened = open_file(directory, name).and_then(|(handle, stat)| {
            let extents = sparse::data_extents(handle.as_fd(), &stat)?;
            let xattrs = meta::xattrs_of(&handle)?;
            Ok((handle, stat, extents, xattrs))
        });
        let (handle, stat, extents, xattrs) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.give_up(place, earlier, error),
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let data_bytes = extents.as_ref().map_or(size, |list| list.iter().map(|(_, length)| length).sum());
        let kind = file_kind(size, Content::empty(), self.store_extents(extents.as_deref())?);
        let node = self.node(name.to_bytes(), &stat, xattrs, kind);
        let state = meta::state(&stat);
        if self.frames.is_none() {
            self.note_link(&stat, place);
            self.count_file(&node, &earlier, data_bytes);
            return self.fill(place, Some((node, state)));
        }
        if data_bytes > SMALL_BYTES {
            self.note_link(&stat, place);
            let handle = Arc::new(handle);
            let source = Box::new(ExtentReader::new(Arc::clone(&handle), extents.clone(), size));
            let file = Arc::new(StreamFile {
                extents,
                place: place.clone(),
                path: place.path(),
                node: Mutex::new(Some((node, state))),
                handle: Some((handle, stat)),
                earlier,
                assembly: Mutex::default(),
                outstanding: AtomicUsize::new(1),
                failed: AtomicBool::new(false),
            });
            self.shared.jobs.push([Job::Stream(StreamJob { file, source })]);
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = read_small(&handle, extents.as_deref(), size, &mut buffer);
        // What came whole at one stroke was the file at one moment: whoever writes to it later gives
        // it a later time.
        let at_one_stroke = read == Ok(1) && buffer.len() as u64 == size;
        if read.is_ok() {
            self.note_link(&stat, place);
            if !at_one_stroke {
                self.note_if_changed(&handle, &stat, || place.path());
            }
        }
        let stored = match read {
            Ok(_) if extents.is_none() && self.is_bundled(buffer.len() as u64) => {
                self.bundle_read(place, (node, state), earlier, &buffer)
            }
            Ok(_) => self.store_bytes(&buffer).and_then(|content| {
                let bytes = buffer.len() as u64;
                let node = self.finish_node(node, content, bytes, data_bytes, extents.as_deref())?;
                self.count_file(&node, &earlier, bytes);
                self.fill(place, Some((node, state)))
            }),
            Err(error) => self.give_up(place, earlier, error),
        };
        self.buffer = buffer;
        stored
    }

    /// A file that can't be read isn't in the snapshot; but one that wouldn't have been read without
    /// its neighbours is, as the parent has it and as it was when it was looked at.
    fn give_up(&mut self, place: &Place, earlier: Earlier, error: Errno) -> Result<()> {
        if let Earlier::Same(kept) = earlier {
            return self.keep(place, *kept);
        }
        self.unreadable(&place.path(), error);
        self.fill(place, None)
    }

    /// Cuts and stores bytes that are a whole file.
    fn store_bytes(&mut self, bytes: &[u8]) -> Result<Content> {
        let mut builder = ContentBuilder::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(self.shared.chunker.cut(rest));
            let reference = self.store_chunk(chunk)?;
            builder.push(reference, &mut |list| self.store_metadata(&list))?;
            rest = after;
        }
        builder.finish(&mut |list| self.store_metadata(&list))
    }

    /// Stores bytes as one chunk.
    pub fn store_chunk(&mut self, plain: &[u8]) -> Result<ChunkRef> {
        let frames = self
            .frames
            .as_mut()
            .ok_or_else(|| EngineError::Unusable("a dry run reads no files".to_owned()))?;
        let (id, _) = frames.store(ChunkKind::Data, plain)?;
        Ok(ChunkRef { id, len: plain.len() as u32 })
    }

    /// Reads a stream and hands out its pieces; does some of them itself when many wait.
    pub fn run_stream(&mut self, job: StreamJob) -> Result<()> {
        let StreamJob { file, source } = job;
        let shared = self.shared;
        let mut reader = PieceReader::new(shared.chunker, source);
        for number in 0.. {
            if shared.should_stop() {
                return Ok(());
            }
            let mut piece = lock(&shared.buffers).pop().unwrap_or_default();
            match reader.next(&mut piece) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if shared.should_stop() => return Ok(()),
                Err(error) if file.handle.is_none() => {
                    return Err(EngineError::file(Path::new(OsStr::from_bytes(&file.path)))(error));
                }
                Err(error) => {
                    file.failed.store(true, Ordering::Release);
                    self.unreadable(&file.path, Errno::from_io_error(&error).unwrap_or(Errno::IO));
                    break;
                }
            }
            file.outstanding.fetch_add(1, Ordering::AcqRel);
            let piece = PieceJob { file: Arc::clone(&file), number, piece };
            if let Some(spilled) = shared.jobs.push_piece(piece) {
                self.run_piece(spilled)?;
            }
        }
        self.end_part_of(&file)
    }

    /// Stores a piece.
    pub fn run_piece(&mut self, job: PieceJob) -> Result<()> {
        let PieceJob { file, number, piece } = job;
        let mut references = Vec::with_capacity(piece.ends.len());
        for chunk in piece.chunks() {
            references.push(self.store_chunk(chunk)?);
        }
        lock(&self.shared.buffers).push(piece);
        let bytes: u64 = references.iter().map(|chunk| u64::from(chunk.len)).sum();
        self.shared.monitor.progress().add(0, bytes);
        let mut assembly = lock(&file.assembly);
        assembly.bytes += bytes;
        assembly.waiting.insert(number, references);
        loop {
            let next = assembly.next;
            let Some(references) = assembly.waiting.remove(&next) else { break };
            assembly.next += 1;
            for chunk in references {
                assembly.builder.push(chunk, &mut |list| self.store_metadata(&list))?;
            }
        }
        drop(assembly);
        self.end_part_of(&file)
    }

    /// Completes a file after its last piece.
    fn end_part_of(&mut self, file: &Arc<StreamFile>) -> Result<()> {
        if file.outstanding.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let taken = lock(&file.node).take();
        let Some((node, state)) = taken.filter(|_| !file.failed.load(Ordering::Acquire)) else {
            return self.fill(&file.place, None);
        };
        let assembly = std::mem::take(&mut *lock(&file.assembly));
        let content = assembly.builder.finish(&mut |list| self.store_metadata(&list))?;
        let expected = match (&file.extents, &node.kind) {
            (Some(list), _) => list.iter().map(|(_, length)| length).sum(),
            (None, NodeKind::File { size, .. }) if file.handle.is_some() => *size,
            _ => assembly.bytes,
        };
        let node = match &file.handle {
            Some(_) => self.finish_node(node, content, assembly.bytes, expected, file.extents.as_deref())?,
            None => Node { kind: file_kind(assembly.bytes, content, Extents::Dense), ..node },
        };
        if let Some((handle, stat)) = &file.handle {
            self.note_if_changed(handle, stat, || file.path.clone());
        }
        self.count_kind(&node, &file.earlier);
        self.tally.statistics.bytes_read += assembly.bytes;
        self.tally.statistics.bytes_total += assembly.bytes;
        self.shared.monitor.progress().add(1, 0);
        self.fill(&file.place, Some((node, state)))
    }

    /// Puts what was read into a node. A file that has become shorter ends where it ended.
    fn finish_node(
        &mut self,
        node: Node,
        content: Content,
        read_bytes: u64,
        expected_bytes: u64,
        extents: Option<&[(u64, u64)]>,
    ) -> Result<Node> {
        let NodeKind::File { size, extents: stored, .. } = &node.kind else { return Ok(node) };
        let kind = match extents {
            None if stored == &Extents::Dense => file_kind(read_bytes, content, Extents::Dense),
            Some(list) if read_bytes < expected_bytes => {
                let cut = cut_extents(list, read_bytes);
                let end = cut.last().map_or(0, |(offset, length)| offset + length);
                file_kind(end, content, self.store_extents(Some(&cut))?)
            }
            _ => file_kind(*size, content, stored.clone()),
        };
        Ok(Node { kind, ..node })
    }

    /// Extents as a node carries them: a long list becomes a blob.
    fn store_extents(&mut self, extents: Option<&[(u64, u64)]>) -> Result<Extents> {
        match extents {
            None => Ok(Extents::Dense),
            Some(list) if list.len() <= limits::INLINE_EXTENTS => Ok(Extents::Inline(list.to_vec())),
            Some(list) => self.store_blob(&extents_to_bytes(list)).map(Extents::Blob),
        }
    }

    fn note_if_changed(&mut self, handle: &OwnedFd, before: &Stat, path: impl FnOnce() -> Vec<u8>) {
        let same = rustix::fs::fstat(handle)
            .is_ok_and(|after| after.st_size == before.st_size && meta::mtime(&after) == meta::mtime(before));
        if !same {
            self.tally.changed_while_read += 1;
            let path = path();
            self.shared.monitor.event(Event::Changed { path: Path::new(OsStr::from_bytes(&path)) });
        }
    }

    /// Counts a file that was read, and so many bytes of it.
    pub fn count_file(&mut self, node: &Node, earlier: &Earlier, bytes: u64) {
        self.count_kind(node, earlier);
        self.tally.statistics.bytes_read += bytes;
        self.tally.statistics.bytes_total += bytes;
        self.shared.monitor.progress().add(1, bytes);
    }

    /// A file whose node is another one counts as changed, also where only its bundle has changed: that
    /// its bytes are the same isn't seen.
    fn count_kind(&mut self, node: &Node, earlier: &Earlier) {
        let statistics = &mut self.tally.statistics;
        let count = match earlier {
            Earlier::Same(_) => &mut statistics.files_unchanged,
            Earlier::Known(known) if **known == *node => &mut statistics.files_unchanged,
            Earlier::Known(known) if matches!(known.kind, NodeKind::File { .. }) => {
                &mut statistics.files_changed
            }
            Earlier::Known(_) | Earlier::Nothing => &mut statistics.files_new,
        };
        *count += 1;
    }
}

/// Opens a regular file for reading; what isn't one any more is refused.
fn open_file(directory: BorrowedFd<'_>, name: &CStr) -> Result<(OwnedFd, Stat), Errno> {
    // NONBLOCK, so that a fifo put in the file's place doesn't hold the thread.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let handle = match rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty()) {
        // Only a file's owner may leave its access time alone.
        Err(Errno::PERM) => rustix::fs::openat(directory, name, flags, Mode::empty()),
        other => other,
    }?;
    let stat = rustix::fs::fstat(&handle)?;
    if meta::file_type(&stat) != FileType::RegularFile {
        return Err(Errno::LOOP);
    }
    Ok((handle, stat))
}

/// Reads the data of a small file as long as it was when it was opened, so that a log that
/// grows ends at a moment that it had; one of size 0 (as in `/proc`) up to its end. Returns in
/// how many strokes.
fn read_small(
    handle: &OwnedFd,
    extents: Option<&[(u64, u64)]>,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<u32, Errno> {
    buffer.clear();
    let mut strokes = 0;
    let whole = [(0, if size == 0 { SMALL_BYTES } else { size })];
    for (offset, length) in extents.unwrap_or(&whole) {
        let start = buffer.len();
        buffer.resize(start + *length as usize, 0);
        let mut filled = start;
        while filled < buffer.len() {
            let at = offset + (filled - start) as u64;
            match rustix::io::pread(handle, &mut buffer[filled..], at) {
                Ok(0) => break,
                Ok(count) => (filled, strokes) = (filled + count, strokes + 1),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let short = filled < buffer.len();
        buffer.truncate(filled);
        if short {
            break;
        }
    }
    Ok(strokes)
}

/// The first `bytes` bytes of data of a list of extents.
fn cut_extents(extents: &[(u64, u64)], bytes: u64) -> Vec<(u64, u64)> {
    let mut left = bytes;
    let mut cut = Vec::new();
    for (offset, length) in extents {
        let taken = left.min(*length);
        if taken == 0 {
            break;
        }
        cut.push((*offset, taken));
        left -= taken;
    }
    cut
}

/// Reads the data of a large file, extent by extent.
struct ExtentReader {
    handle: Arc<OwnedFd>,
    extents: std::vec::IntoIter<(u64, u64)>,
    current: (u64, u64),
}

impl ExtentReader {
    fn new(handle: Arc<OwnedFd>, extents: Option<Vec<(u64, u64)>>, size: u64) -> Self {
        let extents = extents.unwrap_or_else(|| vec![(0, size)]).into_iter();
        Self { handle, extents, current: (0, 0) }
    }
}

impl Read for ExtentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.1 == 0 {
            match self.extents.next() {
                Some(extent) => self.current = extent,
                None => return Ok(0),
            }
        }
        let (offset, left) = self.current;
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = rustix::io::pread(&self.handle, &mut buffer[..wanted], offset)?;
        if read == 0 {
            // The file has become shorter: there is nothing behind this either.
            self.extents = Vec::new().into_iter();
            self.current = (0, 0);
        } else {
            self.current = (offset + read as u64, left - read as u64);
        }
        Ok(read)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::cut_extents;

    #[test]
    fn extents_end_where_the_data_did() {
        let extents = [(0, 10), (100, 10), (200, 10)];
        assert_eq!(cut_extents(&extents, 30), extents);
        assert_eq!(cut_extents(&extents, 15), [(0, 10), (100, 5)]);
        assert_eq!(cut_extents(&extents, 0), []);
    }
}
