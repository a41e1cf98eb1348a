//! A folder's sink that stores. A file that one piece holds is stored by the thread that brings it, and the pieces of a
//! larger one by all threads of the backup, as those of a stream are.
//!
//! Memory: for each call that goes on at the same time, a piece, and what a thread that stores has.

use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_format::content::ContentBuilder;
use keepfast_format::numbers::u64_of;

use super::records::{FolderJob, FolderPath, FolderPlace, OpenFolder, Record, RecordKind, StoredFile, ended};
use super::{EntryAttributes, FolderSink, NewFile};
use crate::archive::pieces::{PieceFile, PieceJob};
use crate::archive::sink::Sink;
use crate::archive::storing::{Storage, StoredChunk, StoringSink, lock};
use crate::archive::tally::Tally;
use crate::archive::walk::Walk;
use crate::chunk::cutting::{CuttingChoice, Layout, StreamCutting};
use crate::chunk::{Piece, PieceReader};
use crate::error::Result;

/// What a program writes a folder into.
struct StoringFolder<'s, 'a> {
    walk: &'a Walk<'a>,
    storage: &'a Storage<'a>,
    folder: &'s Arc<OpenFolder>,
    /// What calls store with, while none of them does: small files of different calls share frames.
    idle: Mutex<Vec<StoringSink<'a>>>,
}

impl StoringSink<'_> {
    /// Lets a program write a folder.
    pub(in crate::archive) fn write_folder(&mut self, job: FolderJob) -> Result<()> {
        let FolderJob { folder, write } = job;
        let idle = Mutex::default();
        let sink = StoringFolder { walk: self.walk, storage: self.storage, folder: &folder, idle };
        let written = write(&sink);
        self.reporter.tally.add(sink.finish());
        if self.should_stop() {
            // The program could only fail.
            return Ok(());
        }
        folder.end(written)?;
        self.end_part_of_folder(&folder)
    }

    /// Completes a file of a folder after its last piece.
    pub(in crate::archive) fn end_in_folder(&mut self, file: &PieceFile, place: &FolderPlace) -> Result<()> {
        let assembly = std::mem::take(&mut *lock(&file.assembly));
        let content = assembly.builder.finish(&mut |list| self.store_metadata(&list))?;
        let has_new_chunks = assembly.has_new_chunks;
        self.record(place, StoredFile { size: assembly.bytes, content, has_new_chunks });
        self.walk.run.count(1, 0);
        self.end_part_of_folder(&place.folder)
    }

    /// Makes the folder's tree after its last part.
    fn end_part_of_folder(&mut self, folder: &OpenFolder) -> Result<()> {
        if folder.end_part() { self.store_folder(folder) } else { Ok(()) }
    }

    /// Stores a file that one piece holds. Returns its length in bytes.
    fn store_whole(&mut self, place: &FolderPlace, piece: &Piece) -> Result<u64> {
        let mut builder = ContentBuilder::default();
        let (mut size, mut has_new_chunks) = (0, false);
        for chunk in piece.chunks() {
            let StoredChunk { reference, is_new } = self.store_chunk(chunk)?;
            has_new_chunks |= is_new;
            size += u64::from(reference.len);
            builder.push(reference, &mut |list| self.store_metadata(&list))?;
        }
        let content = builder.finish(&mut |list| self.store_metadata(&list))?;
        self.record(place, StoredFile { size, content, has_new_chunks });
        self.walk.run.count(1, size);
        Ok(size)
    }

    fn record(&mut self, place: &FolderPlace, file: StoredFile) {
        self.reporter.tally.count_bytes(file.size, file.size);
        place.folder.update(&place.path, RecordKind::Stored(file));
    }
}

impl<'a> StoringFolder<'_, 'a> {
    /// Reads and stores a file. Returns its length in bytes.
    fn take(&self, path: FolderPath, choice: CuttingChoice, content: &mut dyn Read) -> io::Result<u64> {
        let place = FolderPlace { folder: Arc::clone(self.folder), path };
        let cutting = StreamCutting { choice, layout: Layout::Dense };
        let mut reader = PieceReader::new(self.storage.chunker, cutting, content);
        let mut piece = self.buffer();
        let has_content = self.read(&mut reader, &mut piece, &place)?;
        if !has_content || reader.has_ended() {
            let size = self.storing(|sink| sink.store_whole(&place, &piece))?;
            lock(&self.storage.buffers).push(piece);
            return Ok(size);
        }
        let file = PieceFile::in_folder(place.clone());
        self.folder.begin_part();
        let mut size = 0;
        for number in 0.. {
            size += piece.chunks().map(|chunk| u64_of(chunk.len())).sum::<u64>();
            file.outstanding.fetch_add(1, Ordering::AcqRel);
            let job = PieceJob { file: Arc::clone(&file), number, piece };
            if let Some(oldest) = self.walk.jobs.push_piece(job) {
                self.storing(|sink| sink.store_piece(oldest))?;
            }
            piece = self.buffer();
            if !self.read(&mut reader, &mut piece, &place)? {
                lock(&self.storage.buffers).push(piece);
                break;
            }
        }
        self.folder.update(&place.path, RecordKind::Read);
        self.storing(|sink| sink.end_part_of(&file))?;
        Ok(size)
    }

    /// A piece that was stored, to be used again.
    fn buffer(&self) -> Piece {
        lock(&self.storage.buffers).pop().unwrap_or_default()
    }

    /// Reads the next piece of a file; `false` at its end. Only the program knows how long that takes, so nothing is
    /// held meanwhile that others could store with.
    fn read(
        &self,
        reader: &mut PieceReader<'_, &mut dyn Read>,
        piece: &mut Piece,
        place: &FolderPlace,
    ) -> io::Result<bool> {
        let is_more = reader.next(piece).inspect_err(|error| self.folder.fail_at(&place.path, error))?;
        self.go_on()?;
        Ok(is_more)
    }

    /// Stores with what no other call stores with.
    fn storing<T>(&self, work: impl FnOnce(&mut StoringSink<'a>) -> Result<T>) -> io::Result<T> {
        let idle = lock(&self.idle).pop();
        let mut sink = idle.unwrap_or_else(|| StoringSink::new(self.walk, self.storage));
        let worked = work(&mut sink);
        let polled = sink.poll();
        lock(&self.idle).push(sink);
        worked.and_then(|done| polled.map(|()| done)).map_err(|error| {
            self.walk.fail(error);
            ended()
        })
    }

    /// Fails if the backup has ended, or an earlier call has failed.
    fn go_on(&self) -> io::Result<()> {
        if self.has_ended() { Err(ended()) } else { self.folder.go_on() }
    }

    /// Ends what is stored, and returns what was counted.
    fn finish(self) -> Tally {
        let mut tally = Tally::default();
        for sink in self.idle.into_inner().unwrap_or_else(PoisonError::into_inner) {
            tally.add(sink.finish());
        }
        tally
    }
}

impl FolderSink for StoringFolder<'_, '_> {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        self.go_on()?;
        let path = self.folder.add(file.path, Record::file(file.attributes))?;
        self.take(path, file.cutting, content)
    }

    fn directory(&self, path: &[u8], attributes: EntryAttributes) -> io::Result<()> {
        self.go_on()?;
        self.folder.add(path, Record::directory(attributes)).map(drop)
    }

    fn symlink(&self, path: &[u8], target: &[u8], attributes: EntryAttributes) -> io::Result<()> {
        self.go_on()?;
        self.folder.add(path, Record::symlink(target, attributes)).map(drop)
    }

    fn has_ended(&self) -> bool {
        self.storage.should_stop(self.walk)
    }
}
