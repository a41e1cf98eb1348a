//! A machine with a simulated process: its source, its cache, and what users do with it.

use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keepfast_engine::EngineError;
use keepfast_engine::archive::{ArchiveOptions, ArchiveReport, Source, Stream, archive};
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_engine::chunk::cutting::CuttingChoice;
use keepfast_engine::edit::{EditOptions, Editor, Exclusion, LabelChange};
use keepfast_engine::error::Result;
use keepfast_engine::forget::{UndeleteOptions, forget, undelete};
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::prune::{PruneOptions, UnusedLimit, prune};
#[cfg(feature = "flaws")]
use keepfast_engine::repo::Flaw;
use keepfast_engine::repo::{Repository, SnapshotFilter, Snapshots, WriterOptions, open_index};
use keepfast_engine::run::Event;
use keepfast_format::ids::SessionId;
use keepfast_format::names::ObjectName;
use keepfast_format::snapshot::Snapshot;

use super::cache::Cache;
use super::files::{Files, any_stream, change, read_tree, write_tree};
use super::mischief;
use super::process::{CLOCK_START_S, SimProcess};
use crate::ear::Ear;
use crate::lab::{Opened, PASSWORD, archive_options};

/// The name of the file that a stream becomes.
const STREAM: &str = "stream";
/// Sources are of a time long before the first backup.
const SOURCE_TIME_S: i64 = CLOCK_START_S / 2;

/// What the snapshots of a history have to bring back.
#[derive(Default)]
pub struct Known(Mutex<Inner>);

#[derive(Default, Clone)]
struct Inner {
    /// By the tag of the backup. It is noted before the backup begins: one that was reported
    /// as failed may have committed all the same.
    files: std::collections::BTreeMap<String, Files>,
    /// Tags of backups that were reported as done.
    done: Vec<String>,
    /// Tags of backups that a user set out to forget.
    forgotten: Vec<String>,
    /// What snapshots with a tag may bring back as well, as a user has set out to leave files out of one.
    rewritten: std::collections::BTreeMap<String, Vec<Files>>,
    /// Names under which a user without a key has put something, or has tried to.
    junk: Vec<ObjectName>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, for the next history.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.lock().clone()))
    }

    /// What a snapshot may bring back, one or another: as it was backed up, or without what a user set
    /// out to leave out.
    pub fn of(&self, snapshot: &Snapshot) -> Result<Vec<Files>, String> {
        let known = self.lock();
        let tag = snapshot.body.tags.first();
        let whole = tag.and_then(|tag| known.files.get(tag)).cloned();
        let whole = whole.ok_or_else(|| format!("no one made snapshot {:?}", snapshot.body.tags))?;
        let rewritten = tag.and_then(|tag| known.rewritten.get(tag)).into_iter().flatten();
        Ok(rewritten.cloned().chain([whole]).collect())
    }

    /// A user sets out to leave the files of this name out of a snapshot.
    fn leave_out(&self, snapshot: &Snapshot, name: &str) -> Result<(), String> {
        let end = format!("/{name}");
        let without = |files: Files| files.into_iter().filter(|(path, _)| !path.ends_with(&end)).collect();
        let more: Vec<Files> = self.of(snapshot)?.into_iter().map(without).collect();
        if let Some(tag) = snapshot.body.tags.first() {
            self.lock().rewritten.entry(tag.clone()).or_default().extend(more);
        }
        Ok(())
    }

    /// Tags of the backups that were reported as done, and that no process set out to forget.
    #[must_use]
    pub fn done(&self) -> Vec<String> {
        let known = self.lock();
        known.done.iter().filter(|tag| !known.forgotten.contains(tag)).cloned().collect()
    }

    /// Whether a finding of a check is about what a user without a key has put into the store.
    #[must_use]
    pub fn is_junk(&self, object: &str) -> bool {
        // Of two packs with one id that no segment lists, names don't tell which one is junk.
        let Some(object) = ObjectName::parse(object) else { return false };
        let is_it = |junk: &ObjectName| match (*junk, object) {
            (ObjectName::Pack(junk), ObjectName::Pack(pack)) => junk.id == pack.id,
            (junk, object) => junk == object,
        };
        self.lock().junk.iter().any(is_it)
    }

    /// Whether a user set out to forget a snapshot, or to put another in its place: a reader may miss it
    /// from then on.
    #[must_use]
    pub fn is_forgotten(&self, snapshot: &Snapshot) -> bool {
        let known = self.lock();
        let is_gone = |tag: &String| known.forgotten.contains(tag) || known.rewritten.contains_key(tag);
        snapshot.body.tags.first().is_some_and(is_gone)
    }
}

/// A machine: a process, and folders of its own.
pub struct Machine<'p> {
    process: &'p SimProcess,
    known: &'p Known,
    name: String,
    folder: PathBuf,
    cache: Cache,
    backups: u32,
    #[cfg(feature = "flaws")]
    flaw: Option<Flaw>,
}

impl<'p> Machine<'p> {
    /// A machine of this name whose folders are in `folder`.
    #[must_use]
    pub fn new(process: &'p SimProcess, known: &'p Known, folder: &Path, name: &str) -> Self {
        let cache = Cache::in_folder(cache_of(folder, name));
        Self {
            process,
            known,
            name: name.to_owned(),
            folder: folder.to_owned(),
            cache,
            backups: 0,
            #[cfg(feature = "flaws")]
            flaw: None,
        }
    }

    /// Breaks a rule in all that the machine does.
    #[cfg(feature = "flaws")]
    #[must_use]
    pub fn with_flaw(mut self, flaw: Option<Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    /// Runs a program on the machine, which may be in any state. If nothing goes wrong with
    /// the store, the program must end well.
    pub fn run<T>(&mut self, what: &str, program: impl FnOnce(&mut Self) -> Result<T>) -> Result<(), String> {
        let process = self.process;
        if !process.begin() {
            return Ok(());
        }
        self.cache.disturb(process);
        process.note(format_args!("{what} begins"));
        let done = program(self);
        self.cache.keep_copy(process);
        match done {
            Ok(_) => process.note(format_args!("{what} is done")),
            Err(EngineError::Fenced) => process.note(format_args!("{what} was fenced")),
            Err(error) if process.was_harmed() => {
                process.note(format_args!("{what} fails"));
                process.aside(&error.to_string());
            }
            Err(error) => return Err(format!("{what} fails though the store works: {error}")),
        }
        Ok(())
    }

    #[cfg(feature = "flaws")]
    fn planted(&self, mut repository: Repository) -> Repository {
        repository.plant(self.flaw);
        repository
    }

    #[cfg(not(feature = "flaws"))]
    #[allow(clippy::unused_self, reason = "with the feature it is used")]
    fn planted(&self, repository: Repository) -> Repository {
        repository
    }

    /// A run of one thread on this machine.
    fn ear(&self) -> Ear {
        Ear::default().with(|run| run.with_threads(1).with_host(self.process.host()))
    }

    /// Opens the repository.
    pub fn open(&self) -> Result<Opened> {
        let repository = Repository::open_with(self.process.backend(), PASSWORD, self.process.entropy())?;
        let repository = self.planted(repository);
        let ear = self.ear();
        let snapshots = Snapshots::load(&repository, &ear)?;
        let index = open_index(&repository, &self.cache.path(), &snapshots, &ear)?;
        Ok(Opened { repository, snapshots, index })
    }

    /// Changes the tree a little and backs it up.
    pub fn back_up_tree(&mut self) -> Result<ArchiveReport> {
        let source = source_of(&self.folder, &self.name);
        let mut files = read_tree(&source);
        change(&mut files, &mut |limit| self.process.below(limit));
        // Nothing else but the time may tell the engine that a file has changed.
        write_tree(
            &source,
            &files,
            SOURCE_TIME_S + i64::try_from(self.process.below(1 << 30)).expect("it is below 2^30"),
        );
        self.back_up(Source::paths(&[source]), files)
    }

    /// Backs up a stream.
    pub fn back_up_stream(&mut self) -> Result<ArchiveReport> {
        let bytes = any_stream(self.process);
        let files = Files::from([(STREAM.to_owned(), bytes.clone())]);
        let (name, reader) = (STREAM.as_bytes().to_vec(), Box::new(Cursor::new(bytes)));
        self.back_up(
            Source::stream(Stream { name, reader, cutting: CuttingChoice::Auto, ended: Box::new(|| Ok(())) }),
            files,
        )
    }

    fn back_up(&mut self, source: Source<'_>, files: Files) -> Result<ArchiveReport> {
        let process = self.process;
        self.backups += 1;
        let tag = format!("{} {} {}", process.name(), self.name, self.backups);
        self.known.lock().files.insert(tag.clone(), files);
        let Opened { repository, snapshots, index } = self.open()?;
        let options = ArchiveOptions {
            host: self.name.clone(),
            user: "user".to_owned(),
            tags: vec![tag.clone()],
            program: "simulator".to_owned(),
            // These are the kernel's, and differ from run to run.
            ignore_ctime: true,
            ignore_inode: true,
            writer: WriterOptions { compression_level: 1, verify: true, uploads: 0 },
            ..archive_options()
        };
        let report = archive(&repository, &index, &snapshots, source, &options, &self.ear())?;
        self.known.lock().done.push(tag);
        Ok(report)
    }

    /// Forgets some snapshots, or none.
    pub fn forget_some(&mut self) -> Result<()> {
        let Opened { repository, snapshots, .. } = self.open()?;
        let all: Vec<&Snapshot> = snapshots.all.iter().map(|stored| &stored.snapshot).collect();
        let chosen: Vec<&Snapshot> = all.into_iter().filter(|_| self.process.below(2) == 0).collect();
        let mut known = self.known.lock();
        known.forgotten.extend(chosen.iter().filter_map(|snapshot| snapshot.body.tags.first().cloned()));
        drop(known);
        let ids: Vec<_> = chosen.iter().map(|snapshot| snapshot.head.id).collect();
        self.process.note(format_args!("{} snapshots are to be forgotten", ids.len()));
        forget(&repository, &snapshots, &ids, &self.ear())
    }

    /// Brings some forgotten snapshot back, if that is possible.
    pub fn undelete_any(&mut self) -> Result<()> {
        let Opened { repository, snapshots, index } = self.open()?;
        if snapshots.forgotten.is_empty() {
            return Ok(());
        }
        let stored = &snapshots.forgotten[self.process.below(snapshots.forgotten.len())];
        let options = UndeleteOptions { program: "simulator".to_owned() };
        match undelete(&repository, &index, &snapshots, stored, &options, &self.ear()) {
            // Parts of it are gone.
            Err(EngineError::PartsRemoved { .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Gives some snapshot another label.
    pub fn relabel_any(&mut self) -> Result<()> {
        let label = format!("label {}", self.process.below(3));
        let change = LabelChange::Alter { add: vec![label], remove: Vec::new() };
        self.edit_any(|editor, snapshots, id| editor.relabel(snapshots, id, &change).map(drop))
    }

    /// Leaves the files of some name out of some snapshot.
    pub fn rewrite_any(&mut self) -> Result<()> {
        let name = format!("f{}", self.process.below(5));
        let patterns = Patterns::new(&[&name])?;
        let known = self.known;
        self.edit_any(|editor, snapshots, id| {
            let stored = snapshots.find(&id.to_string(), &SnapshotFilter::default())?.clone();
            known.leave_out(&stored.snapshot, &name).map_err(failed)?;
            let mut exclusion = Exclusion::new(&patterns);
            let removal = editor.find_matches(&stored, &mut exclusion)?;
            editor.rewrite(snapshots, id, &exclusion, &removal, true).map(drop)
        })
    }

    fn edit_any(
        &mut self,
        edit: impl FnOnce(&Editor<'_>, &mut Snapshots, SessionId) -> Result<()>,
    ) -> Result<()> {
        let process = self.process;
        let Opened { repository, mut snapshots, index } = self.open()?;
        if snapshots.all.is_empty() {
            return Ok(());
        }
        let id = snapshots.all[process.below(snapshots.all.len())].snapshot.head.id;
        let options = EditOptions {
            program: "simulator".to_owned(),
            writer: WriterOptions { compression_level: 1, verify: true, uploads: 0 },
        };
        let ear = self.ear();
        let editor = Editor::new(&repository, &index, options, &ear);
        match edit(&editor, &mut snapshots, id) {
            // A user has forgotten or changed it meanwhile, and what it needs may be gone.
            Err(
                EngineError::Unchangeable { .. }
                | EngineError::Choice(_)
                | EngineError::Protected { .. }
                | EngineError::ForgottenMeanwhile { .. }
                | EngineError::Missing { .. },
            ) => Ok(()),
            other => other,
        }
    }

    /// Prunes, with whatever limits.
    pub fn prune(&mut self) -> Result<()> {
        let process = self.process;
        let Opened { repository, index, .. } = self.open()?;
        let options = PruneOptions {
            max_unused: [UnusedLimit::Thousandths(0), UnusedLimit::Thousandths(300), UnusedLimit::Unlimited]
                [process.below(3)],
            max_rewrite_bytes: if process.below(4) == 0 { 100_000 } else { u64::MAX },
            session_timeout: Duration::from_secs([0, 30, 3600, 100_000][process.below(4)]),
            accept_missing: Vec::new(),
            compact_from: 1 + process.below(4),
            step_back: true,
            writer: WriterOptions { compression_level: 1, verify: true, uploads: 0 },
            program: "simulator".to_owned(),
        };
        let report = prune(&repository, &index, &options, &self.ear())?;
        process.note(format_args!(
            "epochs {:?}: {} packs removed, {} spared, {} rewritten, {} sessions fenced",
            report.epochs,
            report.packs_removed,
            report.packs_spared,
            report.packs_rewritten,
            report.sessions_fenced
        ));
        Ok(())
    }

    /// Checks the repository. Nothing is ever damaged here: whatever is found is a false alarm, or junk.
    pub fn check(&mut self) -> Result<()> {
        let read = [ReadData::No, ReadData::All][self.process.below(2)];
        check_whole(&self.open()?, read, self.known).map_err(failed)
    }

    /// Puts something into the store, as a user does that may only create objects and has no key.
    pub fn put_junk(&mut self) -> Result<()> {
        let (process, known) = (self.process, self.known);
        mischief::put_junk(process, |name| known.lock().junk.push(name))
    }

    /// Restores some snapshot, and compares.
    pub fn restore_any(&mut self) -> Result<()> {
        let opened = self.open()?;
        if opened.snapshots.all.is_empty() {
            return Ok(());
        }
        let which = self.process.below(opened.snapshots.all.len());
        let snapshot = &opened.snapshots.all[which].snapshot;
        let target = self.folder.join("restored").join(&self.name);
        let restored = assert_restores(&opened, snapshot, self.known, &target);
        match restored {
            Err(_) if self.known.is_forgotten(snapshot) => Ok(()),
            other => other.map_err(failed),
        }
    }
}

/// What a program on the machine has found wrong, as an error of its own.
fn failed(what: String) -> EngineError {
    EngineError::file("simulated machine")(io::Error::other(what))
}

/// Where a machine's tree is.
#[must_use]
pub fn source_of(folder: &Path, machine: &str) -> PathBuf {
    folder.join("sources").join(machine)
}

/// Where a machine's cache is.
#[must_use]
pub fn cache_of(folder: &Path, machine: &str) -> PathBuf {
    folder.join("caches").join(machine)
}

/// Restores a snapshot into a new folder, compares, and removes the folder.
pub fn assert_restores(
    opened: &Opened,
    snapshot: &Snapshot,
    known: &Known,
    target: &Path,
) -> Result<(), String> {
    let expected = known.of(snapshot)?;
    let what = format!("snapshot {:?}", snapshot.body.tags);
    let ear = Ear::default().with(|run| run.with_threads(1));
    let restored = opened.restore(snapshot, &ear, |options| {
        options.target = target.to_owned();
        options.verify = false;
        let path = &snapshot.body.paths[0];
        if path.starts_with(b"/") {
            options.folder.clone_from(path);
        }
    });
    let found = read_tree(target);
    let _ = std::fs::remove_dir_all(target);
    let report = restored.map_err(|error| format!("{what} doesn't restore: {error}"))?;
    if report.troubles.skipped > 0 {
        return Err(format!("{what} restores in part: {report:?} {:?}", ear.heard()));
    }
    if !expected.contains(&found) {
        let expected: Vec<Vec<_>> = expected.iter().map(|files| files.keys().collect()).collect();
        let found: Vec<_> = found.keys().collect();
        return Err(format!("{what} restores to other content: {found:?}, not {expected:?}"));
    }
    Ok(())
}

/// Checks a repository in which nothing is damaged. Only junk may be found.
pub fn check_whole(opened: &Opened, read: ReadData, known: &Known) -> Result<(), String> {
    let ear = Ear::default().with(|run| run.with_threads(1));
    let options = CheckOptions { read };
    let report = check(&opened.repository, &opened.index, &opened.snapshots, &options, &ear)
        .map_err(|error| format!("it can't be checked: {error}"))?;
    let is_junk = |event: &Event| match event {
        Event::Damaged { object, .. } => known.is_junk(object),
        event => matches!(event, Event::Notice(_)),
    };
    let heard: Vec<Event> = ear.heard().into_iter().filter(|heard| !is_junk(heard)).collect();
    if !heard.is_empty() || report.files_hit > 0 {
        return Err(format!("check finds {report:?}: {heard:?}"));
    }
    Ok(())
}

/// Makes a machine's tree hold just these files, all of them new.
pub fn lay_out(folder: &Path, machine: &str, files: &Files) {
    let source = source_of(folder, machine);
    let _ = std::fs::remove_dir_all(&source);
    std::fs::create_dir_all(&source).expect("the source can be made");
    write_tree(&source, files, SOURCE_TIME_S);
}
