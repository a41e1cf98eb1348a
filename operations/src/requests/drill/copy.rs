//! A drill of the check: a part of the repository is copied, one byte of the copy is flipped, and a check of the copy has to
//! find that. The repository itself is only read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_backend::{BackendErrorKind, Listed, LocalStore, RunLink, Store};
use keepfast_drills::corruption::{Findings, PART, flip, judge};
use keepfast_drills::log::Log;
use keepfast_drills::scratch::Scratch;
use keepfast_drills::verdict::Part;
use keepfast_engine::EngineError;
use keepfast_engine::list;
use keepfast_engine::repo::Wanted;
use keepfast_engine::run::{Counters, Event, Listener, RunContext};
use keepfast_format::content::Content;
use keepfast_format::names;
use keepfast_format::node::NodeKind;
use keepfast_format::snapshot::Snapshot;

use crate::error::{OperationsError, Result, with_causes};
use crate::host::{SystemHost, monotonic};
use crate::open::{Access, Opened, SharedRepository, Target};
use crate::place::Place;
use crate::requests::check::{Check, ReadPacks, check};

/// Packs that are copied, at most.
const PACKS_MAX: usize = 4;
/// Files of the snapshot that are looked at to find packs that it needs.
const FILES_LOOKED_AT: usize = 64;
/// Objects beside packs that are copied, at most, and their bytes.
const OBJECTS_MAX: usize = 50_000;
const OBJECTS_BYTES_MAX: u64 = 2 << 30;

/// A drill of the check.
pub struct Corruption<'c> {
    /// The repository.
    pub opened: &'c Opened,
    /// The snapshot whose packs are copied.
    pub snapshot: &'c Snapshot,
    /// How to reach the repository.
    pub shared: &'c SharedRepository,
    /// The drill's folder.
    pub scratch: &'c Scratch,
    /// The drill's log.
    pub log: &'c Arc<Log>,
}

impl Corruption<'_> {
    /// Copies, flips a byte, and checks.
    pub fn prove(&self, seed: u64, run: &RunContext) -> Result<Part> {
        let copy = self.scratch.path().join("copy");
        let packs = self.packs(run)?;
        let Some(at) = usize::try_from(seed % u64::try_from(packs.len()).unwrap_or(1).max(1)).ok() else {
            return Ok(Part::not_tested(PART, "the snapshot has no pack"));
        };
        let Some(chosen) = packs.get(at) else {
            return Ok(Part::not_tested(PART, "the snapshot has no pack"));
        };
        if let Err(why) = self.copy(&copy, &packs, run)? {
            return Ok(Part::not_tested(PART, why));
        }
        let before = match self.check(&copy, run) {
            Ok(found) => found,
            Err(error) if is_interruption(&error) => return Err(error),
            Err(error) => {
                return Ok(Part::not_tested(
                    PART,
                    format!("the copy can't be checked: {}", with_causes(&error)),
                ));
            }
        };
        let flipped = file_of(&copy, chosen).and_then(|file| flip(&file, seed));
        let at = match flipped {
            Ok(Some(at)) => at,
            Ok(None) => return Ok(Part::not_tested(PART, format!("{chosen} is empty"))),
            Err(error) => return Ok(Part::not_tested(PART, format!("{chosen} of the copy: {error}"))),
        };
        self.log.line(&format!("byte {at} of {chosen} of the copy was flipped"));
        match self.check(&copy, run) {
            Ok(after) => Ok(judge(chosen, at, &before, &after)),
            Err(error) if is_interruption(&error) => Err(error),
            Err(error) => {
                let why = format!("the check of the copy failed after byte {at} of {chosen} was flipped");
                Ok(Part::failed(PART, format!("{why}: {}", with_causes(&error))))
            }
        }
    }

    /// Names of some packs that the snapshot needs: that of its root, and of the beginnings of files.
    fn packs(&self, run: &RunContext) -> Result<Vec<String>> {
        let Opened { repository, index, .. } = self.opened;
        let mut wanted = vec![Wanted::from(self.snapshot.body.tree)];
        let mut is_enough = false;
        let listed = list::list(repository, index, self.snapshot, b"/", true, run, &mut |_, node| {
            if let NodeKind::File { content: Content::Inline(chunks), .. } = &node.kind {
                wanted.extend(chunks.first().map(|chunk| Wanted::from(*chunk)));
            }
            is_enough = wanted.len() > FILES_LOOKED_AT;
            if is_enough { Err(EngineError::Interrupted) } else { Ok(()) }
        });
        match listed {
            Err(EngineError::Interrupted) if is_enough => {}
            listed => listed?,
        }
        let mut packs = Vec::new();
        for wanted in wanted {
            let Some(place) = index.locate(&wanted)? else { continue };
            let name = index.pack(place.pack)?.name.to_string();
            if !packs.contains(&name) && packs.len() < PACKS_MAX {
                packs.push(name);
            }
        }
        Ok(packs)
    }

    /// Copies these packs and all objects that aren't packs. Says why, if it is too much.
    fn copy(&self, to: &Path, packs: &[String], run: &RunContext) -> Result<Result<(), String>> {
        let from = self.opened.repository.backend();
        let mut objects: Vec<Listed> = Vec::new();
        for folder in names::FOLDERS {
            let mut found = |listed: Listed| {
                if folder != names::PACKS || packs.contains(&listed.name) {
                    objects.push(listed);
                }
            };
            from.list(folder, &mut found).map_err(EngineError::from)?;
        }
        let bytes: u64 = objects.iter().map(|listed| listed.bytes).sum();
        if objects.len() > OBJECTS_MAX || bytes > OBJECTS_BYTES_MAX {
            let why = format!("{} objects with {bytes} bytes are more than a copy may have", objects.len());
            return Ok(Err(why));
        }
        let store = LocalStore::new(to, monotonic)
            .for_run(RunLink { cancel: run.cancel().clone(), ..RunLink::default() });
        for Listed { name, bytes } in objects {
            run.go_on()?;
            match from.read(&name, bytes) {
                Ok(object) => {
                    if let Err(error) = store.create(&name, &[&object]) {
                        let error = EngineError::from(error);
                        return Ok(Err(format!("{name} can't be copied: {}", with_causes(&error))));
                    }
                }
                // A collection has removed it meanwhile.
                Err(error) if matches!(error.kind, BackendErrorKind::NotFound) => {}
                Err(error) => return Err(EngineError::from(error).into()),
            }
        }
        Ok(Ok(()))
    }

    /// What a check of the copy finds, which reads all packs that are there.
    fn check(&self, copy: &Path, run: &RunContext) -> Result<Findings> {
        let target = Target { place: Place::of_directory(copy), cache: None, ..self.shared.target().clone() };
        let access = Access { children: self.shared.children().clone(), ..Access::default() };
        let shared = SharedRepository::connect(target, access)?;
        let found = Arc::new(Found::default());
        // A run of its own: what is damaged in the copy says nothing about the repository.
        let listener = Arc::clone(&found) as Arc<dyn Listener>;
        let own = RunContext::new(Arc::new(SystemHost), listener).with_cancel(run.cancel().clone());
        let request = Check { read: ReadPacks::All, ..Check::default() };
        check(&request, &shared, &own.with_threads(run.threads()))?;
        let findings = std::mem::take(&mut *found.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(findings)
    }
}

fn is_interruption(error: &OperationsError) -> bool {
    matches!(error.engine(), Some(EngineError::Interrupted))
}

/// The file of an object in a directory: stores may put it into a folder of their own.
fn file_of(directory: &Path, object: &str) -> io::Result<PathBuf> {
    let name = object.rsplit('/').next().unwrap_or(object);
    let mut stack = vec![directory.join(names::PACKS)];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                stack.push(entry.path());
            } else if entry.file_name() == name {
                return Ok(entry.path());
            }
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Objects that a check has found damaged or missing.
#[derive(Default)]
struct Found(Mutex<Findings>);

impl Listener for Found {
    fn event(&self, event: &Event) {
        // Files that are hit follow from the objects.
        if let Event::Damaged { object, .. } = event
            && names::FOLDERS.iter().any(|folder| object.starts_with(folder))
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(object.clone());
        }
    }

    fn counted(&self, _: &Counters) {}
}
