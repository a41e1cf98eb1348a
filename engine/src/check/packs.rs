//! Reading packs in full, by many threads.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keepfast_format::frame::FrameReader;
use keepfast_format::names::PackName;
use keepfast_format::numbers::u64_of;

use super::ListedPacks;
use super::chunks::{Bad, BadFrames};
use super::trouble::Outage;
use crate::error::{EngineError, Finding, Result};
use crate::repo::{Repository, verify_stored_pack};
use crate::run::{Event, RunContext};

/// What reading found.
#[derive(Default)]
pub struct ReadPacks {
    /// Bytes of packs.
    pub bytes: u64,
    /// How many findings were reported.
    pub findings: u64,
    /// What is wrong in them, or may be.
    pub bad: BadFrames,
    /// Packs of which something was said.
    pub named: HashSet<PackName>,
    /// Packs that can't be read now, and why.
    pub unreachable: BTreeSet<Finding>,
    /// Packs that weren't there any more.
    pub gone: Vec<PackName>,
}

/// Threads that read packs.
pub struct PackReader<'a> {
    repository: &'a Repository,
    run: &'a RunContext,
    listed: &'a ListedPacks,
    to_read: &'a [(PackName, u64)],
    next: AtomicUsize,
    outage: Outage,
    /// A pack takes much longer to read than a thread holds this.
    found: Mutex<ReadPacks>,
    error: Mutex<Option<EngineError>>,
}

impl<'a> PackReader<'a> {
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
            outage: Outage::new(repository.backend().is_far()),
            found: Mutex::new(ReadPacks { bad, ..ReadPacks::default() }),
            error: Mutex::new(None),
        }
    }

    /// Reads them.
    pub fn run(self) -> Result<ReadPacks> {
        self.run.pool().in_each_thread(|| self.work());
        match self.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.found.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
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
        let table = self.listed.get(&pack).map(|listed| &listed.table);
        let findings = match verify_stored_pack(self.repository, pack, table, reader, bytes) {
            Ok(findings) => findings,
            Err(EngineError::Interrupted) => return Err(EngineError::Interrupted),
            Err(EngineError::Backend(error)) if error.is_not_found() => {
                self.found().gone.push(pack);
                self.run.count(1, 0);
                return Ok(());
            }
            Err(error) if error.is_unreachable() => {
                let what = self.outage.goes_on(error)?.to_string();
                let mut found = self.found();
                found.unreachable.insert(Finding { object: pack.into(), what });
                found.bad.insert(pack, Bad::Whole);
                drop(found);
                self.run.count(1, 0);
                return Ok(());
            }
            Err(error) => {
                self.finding(pack, pack.to_string(), error.to_string());
                self.found().bad.insert(pack, Bad::Whole);
                return Ok(());
            }
        };
        self.outage.is_over();
        self.found().bytes += u64_of(bytes.len());
        self.run.count(1, u64_of(bytes.len()));
        for finding in findings {
            let object = match finding.frame {
                Some(frame) => format!("{pack}, frame {frame}"),
                None => pack.to_string(),
            };
            self.finding(pack, object, finding.what);
            if table.is_none() {
                // What it holds wasn't looked at.
                self.found().bad.insert(pack, Bad::Whole);
            } else if let Some(frame) = finding.frame {
                let mut found = self.found();
                found.bad.entry(pack).or_insert_with(|| Bad::Frames(BTreeSet::new())).add(frame);
            }
        }
        Ok(())
    }

    fn finding(&self, pack: PackName, object: String, what: String) {
        let mut found = self.found();
        found.findings += 1;
        found.named.insert(pack);
        drop(found);
        self.run.tell(&Event::Damaged { object, what });
    }

    fn found(&self) -> MutexGuard<'_, ReadPacks> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
