//! Reading packs in full, by many threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_format::frame::FrameReader;
use keepfast_format::ids::{ChunkId, PackId, SessionId};
use keepfast_format::names;

use super::ListedPacks;
use super::trouble::{BadChunks, Outage};
use crate::error::{EngineError, Result};
use crate::monitor::{Event, Monitor};
use crate::repo::{Repository, verify_stored_pack};
use crate::threads::in_threads;

/// What reading found.
pub struct ReadPacks {
    pub bytes: u64,
    pub findings: u64,
    /// Chunks that can't be had.
    pub bad: BadChunks,
    /// Packs that can't be read now, and why.
    pub unreachable: BTreeMap<String, String>,
    /// Packs that weren't there any more.
    pub gone: Vec<(PackId, SessionId)>,
}

/// Threads that read packs.
pub struct Reading<'a> {
    repository: &'a Repository,
    monitor: &'a dyn Monitor,
    listed: &'a ListedPacks,
    to_read: &'a [(PackId, SessionId, u64)],
    next: AtomicUsize,
    bytes: AtomicU64,
    findings: AtomicU64,
    bad: Mutex<BadChunks>,
    unreachable: Mutex<BTreeMap<String, String>>,
    outage: Outage,
    gone: Mutex<Vec<(PackId, SessionId)>>,
    error: Mutex<Option<EngineError>>,
}

impl<'a> Reading<'a> {
    /// Will read the packs of `to_read`; `bad` are the chunks that can't be had anyway.
    pub fn new(
        repository: &'a Repository,
        monitor: &'a dyn Monitor,
        listed: &'a ListedPacks,
        to_read: &'a [(PackId, SessionId, u64)],
        bad: BadChunks,
    ) -> Self {
        Self {
            repository,
            monitor,
            listed,
            to_read,
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            findings: AtomicU64::new(0),
            bad: Mutex::new(bad),
            unreachable: Mutex::default(),
            outage: Outage::new(repository.backend().is_far()),
            gone: Mutex::default(),
            error: Mutex::new(None),
        }
    }

    /// Reads them.
    pub fn run(self, threads: usize) -> Result<ReadPacks> {
        in_threads(threads, || self.work());
        if let Some(error) = self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(ReadPacks {
            bytes: self.bytes.into_inner(),
            findings: self.findings.into_inner(),
            bad: self.bad.into_inner().unwrap_or_else(PoisonError::into_inner),
            unreachable: self.unreachable.into_inner().unwrap_or_else(PoisonError::into_inner),
            gone: self.gone.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn work(&self) {
        let (mut reader, mut bytes) = (FrameReader::default(), Vec::new());
        while let Some((id, session, _)) = self.to_read.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let read = if self.monitor.stopped() {
                Err(EngineError::Interrupted)
            } else {
                self.read(*id, *session, &mut reader, &mut bytes)
            };
            if let Err(error) = read {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.next.store(self.to_read.len(), Ordering::Relaxed);
            }
        }
    }

    /// Reads one pack; `bytes` is memory for it.
    fn read(
        &self,
        id: PackId,
        session: SessionId,
        reader: &mut FrameReader,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let name = names::pack(id, session);
        // Only of the pack that the segment is about: anybody may have put something under another name.
        let listed = self.listed.get(&id).filter(|(owner, ..)| *owner == session);
        let table = listed.map(|(_, _, table)| table);
        let findings = match verify_stored_pack(self.repository, (id, session), table, reader, bytes) {
            Ok(findings) => findings,
            Err(EngineError::Interrupted) => return Err(EngineError::Interrupted),
            Err(EngineError::Backend(error)) if error.is_not_found() => {
                self.gone.lock().unwrap_or_else(PoisonError::into_inner).push((id, session));
                self.monitor.progress().add(1, 0);
                return Ok(());
            }
            Err(error) if error.is_unreachable() => {
                let what = self.outage.goes_on(error)?.to_string();
                self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(name, what);
                let chunks = table.into_iter().flat_map(|table| &table.chunks);
                let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
                bad.unreachable.extend(chunks.map(|chunk| chunk.id));
                self.monitor.progress().add(1, 0);
                return Ok(());
            }
            Err(error) => {
                self.finding(name, error.to_string());
                if let Some(table) = table {
                    self.mark_bad(table.chunks.iter().map(|chunk| chunk.id));
                }
                return Ok(());
            }
        };
        self.outage.is_over();
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.monitor.progress().add(1, bytes.len() as u64);
        for finding in findings {
            let object = match finding.frame {
                Some(frame) => format!("{name}, frame {frame}"),
                None => name.clone(),
            };
            self.finding(object, finding.what);
            if let (Some(frame), Some(table)) = (finding.frame, table) {
                let before: usize =
                    table.frames.iter().take(frame as usize).map(|frame| frame.chunks as usize).sum();
                let count = table.frames.get(frame as usize).map_or(0, |frame| frame.chunks as usize);
                self.mark_bad(table.chunks.iter().skip(before).take(count).map(|chunk| chunk.id));
            }
        }
        Ok(())
    }

    fn finding(&self, object: String, what: String) {
        self.findings.fetch_add(1, Ordering::Relaxed);
        self.monitor.event(Event::Finding { object, what });
    }

    fn mark_bad(&self, chunks: impl Iterator<Item = ChunkId>) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).damaged.extend(chunks);
    }
}
