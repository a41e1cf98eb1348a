//! Reading packs in full, by many threads.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::epoch::PackName;
use keepfast_format::frame::FrameReader;

use super::ListedPacks;
use super::chunks::{Bad, BadFrames};
use super::trouble::Outage;
use crate::error::{EngineError, Result};
use crate::repo::{Repository, verify_stored_pack};
use crate::run::{Event, RunContext};

/// What reading found.
pub struct ReadPacks {
    pub bytes: u64,
    pub findings: u64,
    /// What is wrong in them, or may be.
    pub bad: BadFrames,
    /// The names of packs of which something was said.
    pub named: HashSet<String>,
    /// Packs that can't be read now, and why.
    pub unreachable: BTreeMap<String, String>,
    /// Packs that weren't there any more.
    pub gone: Vec<PackName>,
}

/// Threads that read packs.
pub struct Reading<'a> {
    repository: &'a Repository,
    run: &'a RunContext,
    listed: &'a ListedPacks,
    to_read: &'a [(PackName, u64)],
    next: AtomicUsize,
    bytes: AtomicU64,
    findings: AtomicU64,
    bad: Mutex<BadFrames>,
    named: Mutex<HashSet<String>>,
    unreachable: Mutex<BTreeMap<String, String>>,
    outage: Outage,
    gone: Mutex<Vec<PackName>>,
    error: Mutex<Option<EngineError>>,
}

impl<'a> Reading<'a> {
    /// Will read the packs of `to_read`; `bad` is what is known to be wrong before.
    pub fn new(
        repository: &'a Repository,
        run: &'a RunContext,
        listed: &'a ListedPacks,
        to_read: &'a [(PackName, u64)],
        bad: BadFrames,
    ) -> Self {
        Self {
            repository,
            run,
            listed,
            to_read,
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            findings: AtomicU64::new(0),
            bad: Mutex::new(bad),
            named: Mutex::default(),
            unreachable: Mutex::default(),
            outage: Outage::new(repository.backend().is_far()),
            gone: Mutex::default(),
            error: Mutex::new(None),
        }
    }

    /// Reads them.
    pub fn run(self) -> Result<ReadPacks> {
        self.run.pool().in_each_thread(|| self.work());
        if let Some(error) = self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(ReadPacks {
            bytes: self.bytes.into_inner(),
            findings: self.findings.into_inner(),
            bad: self.bad.into_inner().unwrap_or_else(PoisonError::into_inner),
            named: self.named.into_inner().unwrap_or_else(PoisonError::into_inner),
            unreachable: self.unreachable.into_inner().unwrap_or_else(PoisonError::into_inner),
            gone: self.gone.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn work(&self) {
        let (mut reader, mut bytes) = (FrameReader::default(), Vec::new());
        while let Some((pack, _)) = self.to_read.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let read = if self.run.is_cancelled() {
                Err(EngineError::Interrupted)
            } else {
                self.read(*pack, &mut reader, &mut bytes)
            };
            if let Err(error) = read {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.next.store(self.to_read.len(), Ordering::Relaxed);
            }
        }
    }

    /// Reads one pack; `bytes` is memory for it.
    fn read(&self, pack: PackName, reader: &mut FrameReader, bytes: &mut Vec<u8>) -> Result<()> {
        let name = pack.to_string();
        let table = self.listed.get(&pack).map(|(_, table)| table);
        let findings = match verify_stored_pack(self.repository, pack, table, reader, bytes) {
            Ok(findings) => findings,
            Err(EngineError::Interrupted) => return Err(EngineError::Interrupted),
            Err(EngineError::Backend(error)) if error.is_not_found() => {
                self.gone.lock().unwrap_or_else(PoisonError::into_inner).push(pack);
                self.run.count(1, 0);
                return Ok(());
            }
            Err(error) if error.is_unreachable() => {
                let what = self.outage.goes_on(error)?.to_string();
                self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(name, what);
                self.bad().insert(pack, Bad::Whole);
                self.run.count(1, 0);
                return Ok(());
            }
            Err(error) => {
                self.finding(&name, name.clone(), error.to_string());
                self.bad().insert(pack, Bad::Whole);
                return Ok(());
            }
        };
        self.outage.is_over();
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.run.count(1, bytes.len() as u64);
        for finding in findings {
            let object = match finding.frame {
                Some(frame) => format!("{name}, frame {frame}"),
                None => name.clone(),
            };
            self.finding(&name, object, finding.what);
            if table.is_none() {
                // What it holds wasn't looked at.
                self.bad().insert(pack, Bad::Whole);
            } else if let Some(frame) = finding.frame {
                self.bad().entry(pack).or_insert_with(|| Bad::Frames(BTreeSet::new())).add(frame);
            }
        }
        Ok(())
    }

    fn finding(&self, pack: &str, object: String, what: String) {
        self.findings.fetch_add(1, Ordering::Relaxed);
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(pack.to_owned());
        self.run.tell(&Event::Damaged { object, what });
    }

    fn bad(&self) -> MutexGuard<'_, BadFrames> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
