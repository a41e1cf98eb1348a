//! Backup: walks what was asked for, stores what the repository doesn't have, and commits
//! a snapshot.

mod bundle;
mod bundling;
mod cutting;
mod estimate;
mod files;
mod filter;
mod folder;
mod hard_links;
mod ignores;
mod job;
mod options;
mod parent;
mod pending;
mod pieces;
mod reading;
mod sink;
mod stand_in;
mod storing;
mod streams;
mod tally;
mod threads;
mod walk;
mod walker;

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::Duration;

use keepfast_format::content::Content;
use keepfast_format::links;
use keepfast_format::node::Timestamp;
use keepfast_format::numbers::u64_of;
use keepfast_format::snapshot::{Snapshot, SnapshotBody};

use crate::chunk::pages::TreeIds;
use crate::error::{EngineError, Result};
use crate::fs::sources::Sources;
use crate::repo::{
    CommitRequest, FrameCache, Index, PackWriter, Repository, Session, SessionOptions, Snapshots,
    StoredSnapshot, WriterTotals, is_forgotten, refresh_index, write_packs,
};
use crate::run::{Phase, RunContext, Troubles};
pub use cutting::CuttingRules;
pub use estimate::estimate;
pub use folder::{EntryAttributes, Folder, FolderSink, NewFile, WriteFolder};
pub use options::{ArchiveOptions, ArchiveReport, Changes, ParentChoice, Source, Stream};
use parent::Parent;
use sink::{CountingSink, Sink};
use storing::{Storage, StoringSink};
use tally::Tally;
use walk::Walk;

/// Backs up `source`.
///
/// If a prune has assumed that this run is dead, because it was silent for too long, the run has lost its
/// session, and begins again with a new one. It doesn't if it reads a stream, which can't be read twice, or if a program
/// writes a folder.
pub fn archive(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    source: Source<'_>,
    options: &ArchiveOptions,
    run: &RunContext,
) -> Result<ArchiveReport> {
    let (start, skipped_before) = (run.now(), run.troubles().skipped);
    let sources = options.sources(source.paths)?;
    let paths = paths_of(&source, &sources);
    let chosen = choose_parent(repository, snapshots, options, &source, &paths)?;
    let parent = chosen.filter(|parent| parent.snapshot.head.key == repository.current().key());
    if chosen.is_some() && parent.is_none() {
        run.notice(
            "the repository's keys have changed since the last backup: everything is read again, and stored \
             again under the new keys",
        );
    }
    let is_readable_again =
        source.streams.is_empty() && source.folders.is_empty() && can_be_read_again(source.paths, options);
    let again = is_readable_again.then_some(source.paths);
    let backup = Backup {
        repository,
        index,
        snapshots,
        options,
        run,
        start,
        skipped_before,
        sources,
        paths: &paths,
        parent,
    };
    let mut done = backup.attempt(source);
    for _ in 1..ATTEMPTS {
        run.report_suspects(|_| false);
        match (done, again) {
            (Err(error), Some(paths)) if error.is_lost_session() => {
                let why = match error {
                    EngineError::NameTaken { object } => {
                        format!("{object} is taken by something that this backup didn't write")
                    }
                    _ => "a prune assumed that this backup had died, because it was silent for too long"
                        .to_owned(),
                };
                run.notice(format!("{why}: restarting it. Everything uploaded so far is reused"));
                refresh_index(repository, index, run)?;
                done = backup.attempt(Source::paths(paths));
            }
            (other, _) => return other,
        }
    }
    done
}

/// A run begins at most this many times before it fails because it lost its session.
const ATTEMPTS: u32 = 3;

/// A backup, which may need several attempts.
struct Backup<'a> {
    repository: &'a Repository,
    index: &'a Index,
    snapshots: &'a Snapshots,
    options: &'a ArchiveOptions,
    run: &'a RunContext,
    start: Timestamp,
    /// How many entries were skipped before the first attempt.
    skipped_before: u64,
    sources: Sources,
    paths: &'a [Vec<u8>],
    parent: Option<&'a StoredSnapshot>,
}

/// What one attempt has stored.
struct Stored {
    root: TreeIds,
    hard_links: Content,
    tally: Tally,
    /// What became of the parent's files, if that is known.
    changes: Option<Changes>,
    /// Whether something of what was named isn't as the parent has it.
    is_changed: bool,
}

impl Backup<'_> {
    fn attempt(&self, source: Source<'_>) -> Result<ArchiveReport> {
        let Self { repository, index, options, run, parent, .. } = *self;
        run.enter(Phase::Storing);
        index.compare_with_store(repository)?;
        let frames = FrameCache::new(repository, index, run);
        if let Some(parent) = parent {
            let before = &parent.snapshot.body.statistics;
            run.expect(before.files(), before.bytes_total);
        }
        let walk = Walk::new(options, &self.sources, Parent::new(parent, &frames, run), run);
        if options.dry_run {
            let tally = threads::run(&walk, source, || CountingSink::new(&walk))?;
            return Ok(self.report(None, &tally, None, &WriterTotals::default()));
        }
        let session = Session::begin(
            repository,
            index,
            &SessionOptions {
                program: &options.program,
                parent: parent.map(|parent| &parent.snapshot),
                ended: Some(self.snapshots),
            },
            run,
        )?;
        let written = with_heartbeat(&session, options.heartbeat, || {
            write_packs(&session, options.writer, |writer| self.store(&walk, source, writer))
        });
        let committed = written.and_then(|(stored, totals)| {
            if options.skip_if_unchanged && self.is_unchanged(&stored)? {
                session.give_up();
                let report = self.report(None, &stored.tally, stored.changes, &totals);
                return Ok(ArchiveReport { is_unchanged: true, ..report });
            }
            self.commit(&session, stored, &totals)
        });
        match &committed {
            // Giving a session up writes an object, so that no prune waits for the session. A store that fails
            // would refuse that; a full store still has room for it.
            Err(EngineError::Backend(error)) if !error.is_full() => {}
            Err(EngineError::Fenced) | Ok(_) => {}
            Err(_) => session.give_up(),
        }
        committed
    }

    /// Walks the source and stores what the repository doesn't have.
    fn store(&self, walk: &Walk<'_>, source: Source<'_>, writer: &PackWriter<'_>) -> Result<Stored> {
        let chunker = self.repository.chunker()?;
        let storage = Storage::new(writer, &chunker);
        let mut tally = threads::run(walk, source, || StoringSink::new(walk, &storage))?;
        let mut sink = StoringSink::new(walk, &storage);
        let hard_links = sink.store_blob(&links::encode(&walk.links.take_groups()))?;
        tally.add(sink.finish());
        walk.check()?;
        let is_changed = storage.is_changed();
        let changes = if walk.parent.is_readable() { self.changes(&tally) } else { None };
        Ok(Stored { root: storage.into_root()?, hard_links, tally, changes, is_changed })
    }

    /// What became of the parent's files; nothing without a parent. Each of them that was found again was counted as
    /// changed or unchanged, so the others are those that weren't found.
    fn changes(&self, tally: &Tally) -> Option<Changes> {
        let parent = &self.parent?.snapshot.body;
        let files_before = parent.statistics.files();
        let found = tally.statistics.files_changed.saturating_add(tally.statistics.files_unchanged);
        // Streams are compared with nothing, and so count as new each time.
        let is_stream = |path: &&Vec<u8>| !path.starts_with(b"/") && parent.paths.contains(path);
        let streams = u64_of(self.paths.iter().filter(is_stream).count());
        Some(Changes {
            files_before,
            files_deleted: files_before.saturating_sub(found).saturating_sub(streams),
            files_rewritten: tally.files_rewritten,
            files_moved: tally.files_moved,
        })
    }

    fn report(
        &self,
        snapshot: Option<Snapshot>,
        tally: &Tally,
        changes: Option<Changes>,
        totals: &WriterTotals,
    ) -> ArchiveReport {
        ArchiveReport {
            snapshot,
            is_unchanged: false,
            statistics: tally.statistics,
            changes,
            changed_while_read: tally.changed_while_read,
            ignored: tally.ignored,
            packs: u64_of(totals.packs.len()),
            parent: self.parent.map(|parent| parent.snapshot.head.id.short()),
            // What an earlier attempt has skipped was reported, and may be in the snapshot all the same.
            troubles: Troubles {
                skipped: self.skipped_before + tally.statistics.skipped,
                ..self.run.troubles()
            },
        }
    }

    /// Whether a snapshot would be like its parent, not counting the directories that lead to what was named.
    /// A parent that was forgotten meanwhile doesn't count: the new snapshot has to be made.
    fn is_unchanged(&self, stored: &Stored) -> Result<bool> {
        let Some(parent) = self.parent else { return Ok(false) };
        let body = &parent.snapshot.body;
        let leads = self.sources.root().is_on_the_way();
        let is_same = body.paths == self.paths
            && body.tags == self.options.tags
            && body.hard_links == stored.hard_links
            && (body.tree == stored.root.tree || (leads && !stored.is_changed));
        Ok(is_same && !is_forgotten(self.repository, parent.snapshot.head.id)?)
    }

    fn commit(&self, session: &Session<'_>, stored: Stored, totals: &WriterTotals) -> Result<ArchiveReport> {
        self.run.enter(Phase::Committing);
        let options = self.options;
        let mut statistics = stored.tally.statistics;
        statistics.bytes_new = totals.bytes_new;
        statistics.bytes_stored = totals.bytes_stored;
        let names = |ids: &BTreeSet<u32>, name: &dyn Fn(u32) -> Option<Vec<u8>>| {
            ids.iter().filter_map(|id| name(*id).map(|name| (*id, name))).collect()
        };
        let body = SnapshotBody {
            start: self.start,
            end: self.run.now(),
            host: options.host.clone(),
            user: options.user.clone(),
            paths: self.paths.to_vec(),
            tags: options.tags.clone(),
            parent: self.parent.map(|parent| parent.snapshot.head.id),
            tree: stored.root.tree,
            state: stored.root.state,
            hard_links: stored.hard_links,
            users: names(&stored.tally.users, &|id| self.run.host().user_name(id)),
            groups: names(&stored.tally.groups, &|id| self.run.host().group_name(id)),
            statistics,
            program: options.program.clone(),
            origin: None,
        };
        let key = self.repository.current().key();
        let snapshot = session.commit(CommitRequest {
            body,
            key,
            totals,
            snapshots: self.snapshots,
            made_from: None,
        })?;
        let tally = Tally { statistics, ..stored.tally };
        Ok(self.report(Some(snapshot), &tally, stored.changes, totals))
    }
}

/// Runs `work`. Meanwhile the session answers prunes, so that none assumes that it is dead.
fn with_heartbeat<T>(session: &Session<'_>, every: Duration, work: impl FnOnce() -> T) -> T {
    if every.is_zero() {
        return work();
    }
    let (working, ended) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(every).is_err_and(|error| error.is_timeout()) {
                // If this fails, the next poll by a working thread fails too, and ends the run.
                let _ = session.poll();
            }
        });
        let done = work();
        drop(working);
        done
    })
}

/// Whether these paths can be read a second time. What a program has written into a fifo can't.
#[must_use]
pub fn can_be_read_again(paths: &[PathBuf], options: &ArchiveOptions) -> bool {
    let is_fifo = |path: &PathBuf| path.metadata().is_ok_and(|found| found.file_type().is_fifo());
    !(options.read_special && paths.iter().any(is_fifo))
}

/// Whether there is a snapshot that these paths would be compared with.
#[must_use]
pub fn has_parent(
    repository: &Repository,
    snapshots: &Snapshots,
    options: &ArchiveOptions,
    paths: &[PathBuf],
) -> bool {
    let source = Source::paths(paths);
    let chosen = options.sources(paths).and_then(|sources| {
        choose_parent(repository, snapshots, options, &source, &paths_of(&source, &sources))
    });
    chosen.is_ok_and(|parent| parent.is_some())
}

/// The paths as a snapshot has them: those of files, of folders that programs write, and the names of streams.
fn paths_of(source: &Source<'_>, sources: &Sources) -> Vec<Vec<u8>> {
    let files = if source.paths.is_empty() { Vec::new() } else { sources.paths() };
    let folders = source.folders.iter().map(|folder| [b"/", folder.name.as_slice()].concat());
    let streams = source.streams.iter().map(|stream| stream.name.clone());
    files.into_iter().chain(folders).chain(streams).collect()
}

fn choose_parent<'s>(
    repository: &Repository,
    snapshots: &'s Snapshots,
    options: &ArchiveOptions,
    source: &Source<'_>,
    paths: &[Vec<u8>],
) -> Result<Option<&'s StoredSnapshot>> {
    if source.paths.is_empty() && source.folders.is_empty() {
        // A stream is always read: it has no times that would show that it is unchanged.
        return Ok(None);
    }
    let writer = repository.identity().holder();
    match &options.parent {
        ParentChoice::None => Ok(None),
        ParentChoice::Newest => Ok(snapshots.parent_for(writer, &options.host, paths)),
        ParentChoice::Named(text) => snapshots.find_parent(writer, text).map(Some),
    }
}
