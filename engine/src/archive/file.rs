//! Reading files: small ones whole, by the thread that found them; large ones and streams
//! in pieces that all threads share.

use std::ffi::CStr;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keepfast_format::content::{ChunkRef, Content, ContentBuilder};
use keepfast_format::keys::ChunkKind;
use keepfast_format::limits;
use keepfast_format::node::{Extents, Node, NodeKind, extents_to_bytes};
use keepfast_format::state::State;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::options::Stream;
use super::parent::Earlier;
use super::pending::Place;
use super::reading::{ExtentReader, FifoReader, file_kind, open_to_read};
use super::stream::{Bytes, PieceJob, StreamFile, StreamJob};
use super::worker::{Job, Worker};
use crate::chunk::{PieceReader, reference_to};
use crate::error::{EngineError, Result};
use crate::fs::meta;
use crate::fs::sparse::{self, DataExtents, Extent};
use crate::run::Event;

/// Files longer than this are read in pieces.
const SMALL_BYTES: u64 = 2 << 20;
/// What is read at once behind the size that a file is said to have.
const BEHIND_BYTES: u64 = 64 << 10;
/// How long a file is waited for that another program has a lease on: longer than the kernel waits.
const LEASE_WAIT: Duration = Duration::from_secs(60);
const LEASE_PAUSE: Duration = Duration::from_millis(20);

/// A regular file that was opened.
struct Found {
    stat: Stat,
    /// Where its data are, if it has holes.
    extents: Option<DataExtents>,
    data_bytes: u64,
    /// Its node has no content yet.
    node: Node,
    state: State,
    earlier: Earlier,
}

impl Worker<'_> {
    /// Reads a regular file that the parent doesn't have like this.
    pub fn read_file(
        &mut self,
        place: &Place,
        directory: BorrowedFd<'_>,
        earlier: Earlier,
        followed: bool,
    ) -> Result<()> {
        let opened = self.open_file(directory, place.name(), followed).and_then(|(handle, stat)| {
            let extents = sparse::data_extents(handle.as_fd(), &stat)?;
            Ok((handle, stat, extents))
        });
        let (handle, stat, extents) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.give_up(place, earlier, error),
        };
        if self.shared.options.is_too_large(&stat) {
            return self.fill(place, None);
        }
        let attributes = meta::xattrs_of(&handle);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let data_bytes = extents.as_ref().map_or(size, DataExtents::data_bytes);
        let kind = file_kind(size, Content::empty(), self.store_extents(extents.as_ref())?);
        let (node, state) = self.node(place, &stat, attributes, kind);
        if self.frames.is_none() {
            self.note_link(&stat, place);
            self.count_file(&node, &earlier, data_bytes);
            return self.fill(place, Some((node, state)));
        }
        let found = Found { stat, extents, data_bytes, node, state, earlier };
        if data_bytes > SMALL_BYTES {
            return self.begin_large(place, handle, found);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = read_small(&handle, found.extents.as_ref(), size, &mut buffer);
        let stored = match read {
            Ok(SmallRead::Whole { strokes }) => {
                self.note_link(&stat, place);
                // What came whole at one stroke was the file at one moment: whoever writes to it later
                // gives it a later time.
                if strokes != 1 || buffer.len() as u64 != size {
                    self.note_if_changed(&handle, &stat, || place.path());
                }
                self.store_small(place, found, directory, &buffer)
            }
            Ok(SmallRead::Larger) => self.begin_large(place, handle, found),
            Err(error) => self.give_up(place, found.earlier, error),
        };
        self.buffer = buffer;
        stored
    }

    /// Stores a file that was read whole.
    fn store_small(
        &mut self,
        place: &Place,
        found: Found,
        directory: BorrowedFd<'_>,
        bytes: &[u8],
    ) -> Result<()> {
        let Found { extents, data_bytes, node, state, earlier, .. } = found;
        if extents.is_none() && self.is_bundled(bytes.len() as u64) {
            return self.bundle_read(place, (node, state), earlier, bytes, directory);
        }
        let content = self.store_bytes(bytes)?;
        let read_bytes = bytes.len() as u64;
        let node = self.finish_node(node, content, read_bytes, data_bytes, extents.as_ref())?;
        self.count_file(&node, &earlier, read_bytes);
        self.fill(place, Some((node, state)))
    }

    /// Hands a file out to be read in pieces.
    fn begin_large(&mut self, place: &Place, handle: OwnedFd, found: Found) -> Result<()> {
        let Found { stat, extents, node, state, earlier, .. } = found;
        self.note_link(&stat, place);
        let handle = Arc::new(handle);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let reader = ExtentReader::new(Arc::clone(&handle), extents.as_ref(), size);
        let source = Bytes::Extents(reader);
        let file = StreamFile::of_file(place, (node, state), extents, (handle, stat), earlier);
        self.shared.jobs.push([Job::Stream(StreamJob { file, source })]);
        Ok(())
    }

    /// Opens a regular file. One that another program has a lease on (a file server, for its clients) is
    /// given back by it when it is asked to; the kernel takes it after 45 seconds by default.
    fn open_file(
        &self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        followed: bool,
    ) -> Result<(OwnedFd, Stat), Errno> {
        let mut waited = Duration::ZERO;
        loop {
            match open_file(directory, name, followed) {
                Err(Errno::AGAIN) if waited < LEASE_WAIT && !self.shared.should_stop() => {
                    std::thread::sleep(LEASE_PAUSE);
                    waited += LEASE_PAUSE;
                }
                other => return other,
            }
        }
    }

    /// A file that can't be read isn't in the snapshot; but one that wouldn't have been read without
    /// its neighbours is, as the parent has it and as it was when it was looked at.
    fn give_up(&mut self, place: &Place, earlier: Earlier, error: Errno) -> Result<()> {
        if let Earlier::Same(kept) = earlier {
            return self.keep(place, *kept);
        }
        self.lost(place, error);
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
        reference_to(id, plain)
    }

    /// Reads a stream and hands out its pieces; does some of them itself when many wait.
    pub fn run_stream(&mut self, job: StreamJob) -> Result<()> {
        let StreamJob { file, source } = job;
        let shared = self.shared;
        let (source, ended) = match source {
            Bytes::Extents(reader) => (Box::new(reader) as Box<dyn Read + '_>, None),
            Bytes::Stream(Stream { reader, ended, .. }) => (reader as Box<dyn Read + '_>, Some(ended)),
            Bytes::Fifo(handle) => {
                (Box::new(FifoReader::new(handle, &file.path, shared.run)) as Box<dyn Read + '_>, None)
            }
        };
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
        if let Some(Err(why)) = ended.map(|ended| ended()) {
            return Err(EngineError::StreamFailed { name: file.path.clone(), why });
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
        self.shared.run.count(0, bytes);
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
            (Some(extents), _) => extents.data_bytes(),
            (None, NodeKind::File { size, .. }) if file.handle.is_some() => *size,
            _ => assembly.bytes,
        };
        let node = match &file.handle {
            Some(_) => self.finish_node(node, content, assembly.bytes, expected, file.extents.as_ref())?,
            None => Node { kind: file_kind(assembly.bytes, content, Extents::Dense), ..node },
        };
        if let Some((handle, stat)) = &file.handle {
            if meta::file_type(stat) != FileType::Fifo {
                self.note_if_changed(handle, stat, || file.path.clone());
            } else if assembly.bytes == 0 {
                self.skipped(&file.path, "nothing was written into it".to_owned());
                return self.fill(&file.place, None);
            }
        }
        self.count_kind(&node, &file.earlier);
        self.tally.count_bytes(assembly.bytes, assembly.bytes);
        self.shared.run.count(1, 0);
        self.fill(&file.place, Some((node, state)))
    }

    /// Puts what was read into a node. A file that has become shorter ends where it ended, and one that
    /// has become longer where it ended when all of it was read.
    fn finish_node(
        &mut self,
        node: Node,
        content: Content,
        read_bytes: u64,
        expected_bytes: u64,
        extents: Option<&DataExtents>,
    ) -> Result<Node> {
        let NodeKind::File { size, extents: stored, .. } = &node.kind else { return Ok(node) };
        let kind = match extents {
            None => file_kind(read_bytes, content, Extents::Dense),
            Some(_) if read_bytes == expected_bytes => file_kind(*size, content, stored.clone()),
            Some(list) if read_bytes < expected_bytes => {
                let cut = list.first(read_bytes);
                file_kind(cut.end(), content, self.store_extents(Some(&cut))?)
            }
            Some(list) => {
                let behind = read_bytes - expected_bytes;
                let longer = list.with_appended(*size, behind);
                file_kind(size.saturating_add(behind), content, self.store_extents(Some(&longer))?)
            }
        };
        Ok(Node { kind, ..node })
    }

    /// Extents as a node carries them: a long list becomes a blob.
    fn store_extents(&mut self, extents: Option<&DataExtents>) -> Result<Extents> {
        match extents {
            None => Ok(Extents::Dense),
            Some(data) if data.list().len() <= limits::INLINE_EXTENTS => Ok(Extents::Inline(data.to_pairs())),
            Some(data) => self.store_blob(&extents_to_bytes(&data.to_pairs())).map(Extents::Blob),
        }
    }

    fn note_if_changed(&mut self, handle: &OwnedFd, before: &Stat, path: impl FnOnce() -> Vec<u8>) {
        let same = rustix::fs::fstat(handle)
            .is_ok_and(|after| after.st_size == before.st_size && meta::mtime(&after) == meta::mtime(before));
        if !same {
            self.tally.changed_while_read += 1;
            let path = path();
            self.shared.run.tell(&Event::Changed { path: PathBuf::from(OsStr::from_bytes(&path)) });
        }
    }

    /// Counts a file that was read, and this many bytes of it.
    pub fn count_file(&mut self, node: &Node, earlier: &Earlier, bytes: u64) {
        self.count_kind(node, earlier);
        self.tally.count_bytes(bytes, bytes);
        self.shared.run.count(1, bytes);
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
fn open_file(directory: BorrowedFd<'_>, name: &CStr, followed: bool) -> Result<(OwnedFd, Stat), Errno> {
    let (handle, stat) = open_to_read(directory, name, followed)?;
    if meta::file_type(&stat) != FileType::RegularFile {
        return Err(Errno::LOOP);
    }
    Ok((handle, stat))
}

/// How the reading of a small file has ended.
#[derive(Debug, PartialEq, Eq)]
enum SmallRead {
    /// All of it is there, read in this many strokes.
    Whole { strokes: u32 },
    /// It isn't small.
    Larger,
}

/// Reads the data of a small file up to its end, which may be elsewhere than its size says: that is 0
/// in `/proc`, too little where a file is being written to, and a guess on some file systems.
fn read_small(
    handle: &OwnedFd,
    extents: Option<&DataExtents>,
    size: u64,
    buffer: &mut Vec<u8>,
) -> Result<SmallRead, Errno> {
    buffer.clear();
    let mut strokes = 0;
    for Extent { offset, length } in extents.map(DataExtents::list).unwrap_or_default() {
        let mut done = 0;
        while done < *length {
            let read = read_at(handle, offset + done, length - done, buffer)?;
            if read == 0 {
                return Ok(SmallRead::Whole { strokes });
            }
            (done, strokes) = (done + read, strokes + 1);
        }
    }
    let mut at = if extents.is_some() { size } else { 0 };
    loop {
        // One byte more than should be there: if it doesn't come, the file ends there, and no further
        // read has to tell.
        let wanted = if at < size { size - at + 1 } else { BEHIND_BYTES };
        let read = read_at(handle, at, wanted, buffer)?;
        if read == 0 {
            break;
        }
        (at, strokes) = (at + read, strokes + 1);
        if at == size && read < wanted {
            break;
        }
        if buffer.len() as u64 > SMALL_BYTES {
            return Ok(SmallRead::Larger);
        }
    }
    Ok(SmallRead::Whole { strokes })
}

/// Reads up to this many bytes from a place on to the end of `buffer`; returns how many came.
fn read_at(handle: &OwnedFd, at: u64, bytes: u64, buffer: &mut Vec<u8>) -> Result<u64, Errno> {
    let start = buffer.len();
    buffer.resize(start.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX)), 0);
    let read = loop {
        match rustix::io::pread(handle, &mut buffer[start..], at) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    buffer.truncate(start + *read.as_ref().unwrap_or(&0));
    read.map(|read| read as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use super::{DataExtents, Extent, ExtentReader, SMALL_BYTES, SmallRead, read_small};

    fn file_of(bytes: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().expect("a file can be made");
        file.write_all(bytes).expect("it can be written");
        file.into()
    }

    #[test]
    fn files_are_read_to_their_end_whatever_their_size_says() {
        let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
        let file = Arc::new(file_of(&bytes));
        for size in [0, 1, 299_999, 300_000, 300_001, 2_000_000] {
            let mut buffer = Vec::new();
            let read = read_small(&file, None, size, &mut buffer).expect("it can be read");
            assert!(buffer == bytes, "said to be {size}");
            if size == 300_000 {
                assert_eq!(read, SmallRead::Whole { strokes: 1 }, "the usual file costs one read");
            }
            let mut whole = Vec::new();
            let mut reader = ExtentReader::new(Arc::clone(&file), None, size);
            reader.read_to_end(&mut whole).expect("it can be read");
            assert!(whole == bytes, "said to be {size}");
        }
        let extent = |offset, length| Extent { offset, length };
        let extents: DataExtents = [extent(0, 100_000), extent(200_000, 50_000)].into_iter().collect();
        let expected = [&bytes[..100_000], &bytes[200_000..250_000], &bytes[260_000..]].concat();
        let mut buffer = Vec::new();
        read_small(&file, Some(&extents), 260_000, &mut buffer).expect("it can be read");
        assert!(buffer == expected);
        let mut whole = Vec::new();
        let mut reader = ExtentReader::new(file, Some(&extents), 260_000);
        reader.read_to_end(&mut whole).expect("it can be read");
        assert!(whole == expected);
    }

    #[test]
    fn what_turns_out_to_be_large_is_left_to_be_read_in_pieces() {
        let file = file_of(&vec![1; usize::try_from(SMALL_BYTES).expect("it fits") + 1]);
        assert_eq!(read_small(&file, None, 0, &mut Vec::new()), Ok(SmallRead::Larger));
    }
}
