//! Storing files: small ones whole, by the thread that found them; large ones and streams in pieces that all
//! threads share.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keepfast_format::content::{Content, ContentBuilder};
use keepfast_format::limits;
use keepfast_format::node::{Extents, NodeKind, extents_to_bytes};
use keepfast_format::numbers::u64_of;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::job::Job;
use super::options::Stream;
use super::parent::InParent;
use super::pending::{PendingEntry, Place};
use super::pieces::{ByteSource, FilePlace, OpenedFrom, PieceFile, PieceJob, StreamJob};
use super::reading::{
    ExtentReader, FifoReader, OpenedFile, SMALL_BYTES, SmallRead, file_kind, has_stream, open_to_read,
    read_small,
};
use super::sink::{Sink, Unread};
use super::storing::{StoredChunk, StoringSink, lock};
use crate::chunk::PieceReader;
use crate::chunk::cutting::{Layout, StreamCutting};
use crate::error::{EngineError, Result};
use crate::fs::meta;
use crate::fs::sparse::DataExtents;

/// The bytes of a file that were stored, or that were there.
struct StoredBytes {
    content: Content,
    /// Whether the repository didn't have some of them.
    has_new_chunks: bool,
}

impl StoringSink<'_> {
    /// Reads and stores a regular file. A large one is only opened, and read by a job of its own.
    pub(super) fn store_file(&mut self, file: Unread<'_>) -> Result<()> {
        let Unread { place, directory, in_parent, followed } = file;
        let file = match OpenedFile::open(directory, place.name(), followed, || self.should_stop()) {
            Ok(file) => file,
            Err(error) => return self.give_up(place, in_parent, error),
        };
        if self.walk.options.is_too_large(&file.stat) {
            self.reporter.too_large(self.walk, place, &file.stat);
            return self.put(place, None);
        }
        let entry = self.reporter.pending(place, &file.stat, meta::xattrs_of(&file.handle));
        if file.data_bytes > SMALL_BYTES {
            return self.begin_large(place, file, entry, in_parent);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = read_small(&file.handle, file.extents.as_ref(), file.size, &mut buffer);
        let stored = match read {
            Ok(SmallRead::Whole { reads }) => {
                self.walk.links.note(&file.stat, place);
                // What one call has read was the file at one moment: a program that writes to it later gives it
                // a later time.
                if reads != 1 || u64_of(buffer.len()) != file.size {
                    self.reporter.note_if_changed(&file.handle, &file.stat, || place.path());
                }
                self.store_small(place, &file, entry, in_parent, directory, &buffer)
            }
            Ok(SmallRead::Larger) => self.begin_large(place, file, entry, in_parent),
            Err(error) => self.give_up(place, in_parent, error),
        };
        self.buffer = buffer;
        stored
    }

    /// Stores a file that was read whole.
    fn store_small(
        &mut self,
        place: &Place,
        file: &OpenedFile,
        entry: PendingEntry,
        in_parent: InParent,
        directory: BorrowedFd<'_>,
        bytes: &[u8],
    ) -> Result<()> {
        let read_bytes = u64_of(bytes.len());
        if file.extents.is_none() && self.is_bundled(read_bytes) {
            return self.bundle_read(place, entry, in_parent, bytes, directory);
        }
        let choice = self.walk.options.cutting.choice(|| place.path());
        let layout = Layout::of(file.extents.as_ref(), file.size);
        let StoredBytes { content, has_new_chunks } =
            self.store_bytes(bytes, StreamCutting { choice, layout })?;
        let kind = self.kind_of_read(content, read_bytes, file.size, file.extents.as_ref())?;
        let entry = entry.of_kind(kind);
        let novelty = self.novelty(&entry.node, has_new_chunks);
        self.reporter.count_file(&entry.node, &in_parent, novelty, read_bytes);
        self.put(place, Some(entry))
    }

    /// Hands a file out to be read in pieces.
    fn begin_large(
        &self,
        place: &Place,
        file: OpenedFile,
        entry: PendingEntry,
        in_parent: InParent,
    ) -> Result<()> {
        let OpenedFile { handle, stat, size, extents, .. } = file;
        self.walk.links.note(&stat, place);
        let handle = Arc::new(handle);
        let reader = ExtentReader::new(Arc::clone(&handle), extents.as_ref(), size);
        let opened = OpenedFrom { handle, stat, size, extents };
        let file = PieceFile::of_file(place, entry, opened, in_parent);
        let source = ByteSource::Extents(reader);
        self.walk.jobs.push([Job::Stream(StreamJob { file, source })]);
        Ok(())
    }

    /// Opens a block device or fifo, and hands it out to be read in pieces. It becomes a regular file.
    pub(super) fn begin_special(&mut self, file: Unread<'_>) -> Result<()> {
        let Unread { place, directory, in_parent, followed } = file;
        let opened = open_to_read(directory, place.name(), followed)
            .and_then(|(handle, stat)| if has_stream(&stat) { Ok((handle, stat)) } else { Err(Errno::LOOP) });
        let (handle, stat) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.reporter.lost(place, error);
                return self.put(place, None);
            }
        };
        let entry = self.reporter.pending(place, &stat, meta::xattrs_of(&handle));
        let handle = Arc::new(handle);
        let source = match meta::file_type(&stat) {
            FileType::Fifo => ByteSource::Fifo(Arc::clone(&handle)),
            _ => ByteSource::Extents(ExtentReader::new(Arc::clone(&handle), None, 0)),
        };
        let opened = OpenedFrom { handle, stat, size: 0, extents: None };
        let file = PieceFile::of_file(place, entry, opened, in_parent);
        self.walk.jobs.push([Job::Stream(StreamJob { file, source })]);
        Ok(())
    }

    /// A file that can't be read isn't in the snapshot. But one that was read only because its bundle has
    /// changed is taken over: it is as the parent has it, as far as its metadata shows.
    fn give_up(&mut self, place: &Place, in_parent: InParent, error: Errno) -> Result<()> {
        if let InParent::Same(kept) = in_parent {
            return self.keep_as_it_is(place, *kept);
        }
        self.reporter.lost(place, error);
        self.put(place, None)
    }

    /// Cuts and stores bytes that are a whole file.
    fn store_bytes(&mut self, bytes: &[u8], cutting: StreamCutting<'_>) -> Result<StoredBytes> {
        let mut cutter = cutting.cutter(self.storage.chunker, bytes);
        let mut builder = ContentBuilder::default();
        let mut has_new_chunks = false;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(cutter.cut(rest));
            let StoredChunk { reference, is_new } = self.store_chunk(chunk)?;
            has_new_chunks |= is_new;
            builder.push(reference, &mut |list| self.store_metadata(&list))?;
            rest = after;
        }
        let content = builder.finish(&mut |list| self.store_metadata(&list))?;
        Ok(StoredBytes { content, has_new_chunks })
    }

    /// Reads a large file or stream and hands out its pieces; stores some of them itself if many wait.
    pub(super) fn read_stream(&mut self, job: StreamJob) -> Result<()> {
        let StreamJob { file, source } = job;
        let walk = self.walk;
        let of_path = || walk.options.cutting.choice(|| file.path.clone());
        let (source, choice, ended) = match source {
            ByteSource::Extents(reader) => (Box::new(reader) as Box<dyn Read + '_>, of_path(), None),
            ByteSource::Stream(Stream { reader, cutting, ended, .. }) => {
                (reader as Box<dyn Read + '_>, cutting, Some(ended))
            }
            ByteSource::Fifo(handle) => {
                let reader = FifoReader::new(handle, &file.path, walk.run);
                (Box::new(reader) as Box<dyn Read + '_>, of_path(), None)
            }
        };
        let layout = file
            .opened
            .as_ref()
            .map_or(Layout::Dense, |opened| Layout::of(opened.extents.as_ref(), opened.size));
        let mut reader = PieceReader::new(self.storage.chunker, StreamCutting { choice, layout }, source);
        for number in 0.. {
            if self.should_stop() {
                return Ok(());
            }
            let mut piece = lock(&self.storage.buffers).pop().unwrap_or_default();
            match reader.next(&mut piece) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if self.should_stop() => return Ok(()),
                Err(error) if file.opened.is_none() => {
                    return Err(EngineError::file(Path::new(OsStr::from_bytes(&file.path)))(error));
                }
                Err(error) => {
                    file.failed.store(true, Ordering::Release);
                    let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                    self.reporter.unreadable(&file.path, error);
                    break;
                }
            }
            file.outstanding.fetch_add(1, Ordering::AcqRel);
            let piece = PieceJob { file: Arc::clone(&file), number, piece };
            if let Some(oldest) = walk.jobs.push_piece(piece) {
                self.store_piece(oldest)?;
            }
        }
        if let Some(Err(why)) = ended.map(|ended| ended()) {
            return Err(EngineError::StreamFailed { name: file.path.clone(), why });
        }
        self.end_part_of(&file)
    }

    /// Stores a piece.
    pub(super) fn store_piece(&mut self, job: PieceJob) -> Result<()> {
        let PieceJob { file, number, piece } = job;
        let mut references = Vec::with_capacity(piece.ends.len());
        let mut has_new_chunks = false;
        for chunk in piece.chunks() {
            let StoredChunk { reference, is_new } = self.store_chunk(chunk)?;
            has_new_chunks |= is_new;
            references.push(reference);
        }
        lock(&self.storage.buffers).push(piece);
        let bytes: u64 = references.iter().map(|chunk| u64::from(chunk.len)).sum();
        self.walk.run.count(0, bytes);
        let mut assembly = lock(&file.assembly);
        assembly.bytes += bytes;
        assembly.has_new_chunks |= has_new_chunks;
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
    pub(super) fn end_part_of(&mut self, file: &Arc<PieceFile>) -> Result<()> {
        if file.outstanding.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        let place = match &file.place {
            FilePlace::Page(place) => place,
            FilePlace::Folder(place) => return self.end_in_folder(file, place),
        };
        let taken = lock(&file.entry).take();
        let Some(entry) = taken.filter(|_| !file.failed.load(Ordering::Acquire)) else {
            return self.put(place, None);
        };
        let assembly = std::mem::take(&mut *lock(&file.assembly));
        let content = assembly.builder.finish(&mut |list| self.store_metadata(&list))?;
        let kind = match &file.opened {
            Some(OpenedFrom { size, extents, .. }) => {
                self.kind_of_read(content, assembly.bytes, *size, extents.as_ref())?
            }
            None => file_kind(assembly.bytes, content, Extents::Dense),
        };
        let entry = entry.of_kind(kind);
        if let Some(OpenedFrom { handle, stat, .. }) = &file.opened {
            if meta::file_type(stat) != FileType::Fifo {
                self.reporter.note_if_changed(handle, stat, || file.path.clone());
            } else if assembly.bytes == 0 {
                self.reporter.skipped(&file.path, "nothing was written into it".to_owned());
                return self.put(place, None);
            }
        }
        let novelty = self.novelty(&entry.node, assembly.has_new_chunks);
        self.reporter.count_kind(&entry.node, &file.in_parent, novelty);
        self.reporter.tally.count_bytes(assembly.bytes, assembly.bytes);
        self.walk.run.count(1, 0);
        self.put(place, Some(entry))
    }

    /// The node's kind for a file of `size` bytes of which `read_bytes` bytes of data were read. A file that
    /// has become shorter ends where it ended when it was read; so does one that has become longer.
    fn kind_of_read(
        &mut self,
        content: Content,
        read_bytes: u64,
        size: u64,
        extents: Option<&DataExtents>,
    ) -> Result<NodeKind> {
        let Some(extents) = extents else { return Ok(file_kind(read_bytes, content, Extents::Dense)) };
        let expected_bytes = extents.data_bytes();
        if read_bytes == expected_bytes {
            return Ok(file_kind(size, content, self.store_extents(extents)?));
        }
        if read_bytes < expected_bytes {
            let left = extents.first(read_bytes);
            return Ok(file_kind(left.end(), content, self.store_extents(&left)?));
        }
        let appended = read_bytes - expected_bytes;
        let longer = extents.with_appended(size, appended);
        Ok(file_kind(size.saturating_add(appended), content, self.store_extents(&longer)?))
    }

    /// Extents as a node has them: a long list becomes a blob.
    fn store_extents(&mut self, extents: &DataExtents) -> Result<Extents> {
        let pairs = extents.to_pairs();
        if pairs.len() <= limits::INLINE_EXTENTS {
            Ok(Extents::Inline(pairs))
        } else {
            self.store_blob(&extents_to_bytes(&pairs)).map(Extents::Blob)
        }
    }
}
