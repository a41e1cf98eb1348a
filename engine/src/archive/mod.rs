//! Backup: walks what was asked for, stores what the repository doesn't have, and commits
//! a snapshot.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod bundle;
mod estimate;
mod file;
mod filter;
mod ignores;
mod neighbours;
mod options;
mod parent;
mod pending;
mod reading;
mod special;
mod stand_in;
mod store;
mod stream;
mod streams;
mod walk;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use keepfast_format::content::Content;
use keepfast_format::ids::ChunkId;
use keepfast_format::limits;
use keepfast_format::links::{self, LinkGroup};
use keepfast_format::node::Timestamp;
use keepfast_format::snapshot::{Snapshot, SnapshotBody};

use rustix::fs::CWD;

use crate::error::{EngineError, Result};
use crate::fs::dir::open_directory_as;
use crate::fs::sources::Sources;
use crate::repo::{
    CommitRequest, FrameCache, Index, PackWriter, Repository, Session, SessionOptions, Snapshots,
    StoredSnapshot, Trees, WriterTotals, is_forgotten, refresh_index, write_packs,
};
use crate::run::{Phase, RunContext, Troubles, in_threads};
pub use estimate::estimate;
pub use options::{ArchiveOptions, ArchiveReport, ParentChoice, Source, Stream};
use parent::ParentDirectory;
use pending::PagesJob;
use worker::{Job, Shared, Tally, Worker};

/// A file that was changed less than this before the parent began is read again: the file
/// system's clock may be coarser than ours, or behind it.
const RACY_SECONDS: i64 = 2;

/// Backs up `source`.
///
/// A run that a garbage collection has taken for dead, because it was silent for too long, has
/// lost its session, and begins again with a new one; but not with a stream, which can't be
/// read twice.
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
            "the repository's keys have changed since the last backup: everything is read, and stored again \
             under the new ones",
        );
    }
    let is_readable_again = source.streams.is_empty() && can_be_read_again(source.paths, options);
    let again = is_readable_again.then_some(source.paths);
    let once = Once {
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
    let mut done = once.archive(source);
    for _ in 1..ATTEMPTS {
        run.report_suspects(|_| false);
        match (done, again) {
            (Err(error), Some(paths)) if error.is_lost_session() => {
                let why = match error {
                    EngineError::NameTaken { object } => {
                        format!("{object} is taken by something that this run didn't write")
                    }
                    _ => "a garbage collection took this run for dead, as it was silent for too long"
                        .to_owned(),
                };
                run.notice(format!("{why}: it begins again, and what it has stored is used"));
                refresh_index(repository, index, run)?;
                done = once.archive(Source::paths(paths));
            }
            (other, _) => return other,
        }
    }
    done
}

/// How often a run begins before it fails as fenced.
const ATTEMPTS: u32 = 3;

/// What all attempts of a run have in common.
struct Once<'a> {
    repository: &'a Repository,
    index: &'a Index,
    snapshots: &'a Snapshots,
    options: &'a ArchiveOptions,
    run: &'a RunContext,
    start: Timestamp,
    /// What was skipped before the first attempt.
    skipped_before: u64,
    sources: Sources,
    paths: &'a [Vec<u8>],
    parent: Option<&'a StoredSnapshot>,
}

impl Once<'_> {
    fn archive(&self, source: Source<'_>) -> Result<ArchiveReport> {
        let Self { repository, index, options, run, parent, ref sources, .. } = *self;
        run.enter(Phase::Storing);
        index.compare_with_store(repository)?;
        let frames = FrameCache::new(repository, index, run);
        if let Some(parent) = parent {
            let seen = &parent.snapshot.body.statistics;
            run.expect(seen.files(), seen.bytes_total);
        }
        let trees = parent.map(|_| Trees::new(&frames));
        let walk = SourceWalk { repository, source, sources, parent, trees, options, run };
        if options.dry_run {
            let walked = walk.walk(None)?;
            return Ok(self.report(None, &walked.tally, &WriterTotals::default()));
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
            write_packs(&session, options.writer, |writer| walk.walk(Some(writer)))
        });
        let committed = written.and_then(|(walked, totals)| {
            if options.skip_if_unchanged && self.is_unchanged(&walked)? {
                session.give_up();
                let report = self.report(None, &walked.tally, &totals);
                return Ok(ArchiveReport { is_unchanged: true, ..report });
            }
            self.commit(&session, walked, &totals)
        });
        match &committed {
            // No garbage collection waits for it. A store that fails wouldn't take more; one that is full
            // has room for this.
            Err(EngineError::Backend(error)) if !error.is_full() => {}
            Err(EngineError::Fenced) | Ok(_) => {}
            Err(_) => session.give_up(),
        }
        committed
    }

    fn report(&self, snapshot: Option<Snapshot>, tally: &Tally, totals: &WriterTotals) -> ArchiveReport {
        ArchiveReport {
            snapshot,
            is_unchanged: false,
            statistics: tally.statistics,
            changed_while_read: tally.changed_while_read,
            ignored: tally.ignored,
            packs: totals.packs.len() as u64,
            parent: self.parent.map(|parent| parent.snapshot.head.id.short()),
            // What an earlier attempt has skipped is told, and may be in the snapshot all the same.
            troubles: Troubles {
                skipped: self.skipped_before + tally.statistics.skipped,
                ..self.run.troubles()
            },
        }
    }

    /// Whether a snapshot would be as its parent, but for the directories that lead to what was named.
    /// One that was forgotten meanwhile stands for nothing.
    fn is_unchanged(&self, walked: &Walked) -> Result<bool> {
        let Some(parent) = self.parent else { return Ok(false) };
        let body = &parent.snapshot.body;
        let leads = self.sources.root().is_way();
        let is_same = body.paths == self.paths
            && body.tags == self.options.tags
            && body.hard_links == walked.hard_links
            && (body.tree == walked.root.0 || (leads && !walked.is_changed));
        Ok(is_same && !is_forgotten(self.repository, parent.snapshot.head.id)?)
    }

    fn commit(&self, session: &Session<'_>, walked: Walked, totals: &WriterTotals) -> Result<ArchiveReport> {
        self.run.enter(Phase::Committing);
        let options = self.options;
        let mut statistics = walked.tally.statistics;
        statistics.bytes_new = totals.bytes_new;
        statistics.bytes_stored = totals.bytes_stored;
        let (tree, state) = walked.root;
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
            tree,
            state: Some(state),
            hard_links: walked.hard_links,
            users: names(&walked.tally.users, &|id| self.run.host().user_name(id)),
            groups: names(&walked.tally.groups, &|id| self.run.host().group_name(id)),
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
        let tally = Tally { statistics, ..walked.tally };
        Ok(self.report(Some(snapshot), &tally, totals))
    }
}

/// Runs `work`, and lets the session answer garbage collections meanwhile.
fn with_heartbeat<T>(session: &Session<'_>, every: Duration, work: impl FnOnce() -> T) -> T {
    if every.is_zero() {
        return work();
    }
    let (working, ended) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(every).is_err_and(|error| error.is_timeout()) {
                // What fails here, fails again where it ends the run.
                let _ = session.poll();
            }
        });
        let done = work();
        drop(working);
        done
    })
}

/// Whether these paths can be read a second time: what a program has written into a fifo can't.
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

/// The paths as a snapshot has them: those of files, and the names of streams.
fn paths_of(source: &Source<'_>, sources: &Sources) -> Vec<Vec<u8>> {
    let files = if source.paths.is_empty() { Vec::new() } else { sources.paths() };
    files.into_iter().chain(source.streams.iter().map(|stream| stream.name.clone())).collect()
}

fn choose_parent<'s>(
    repository: &Repository,
    snapshots: &'s Snapshots,
    options: &ArchiveOptions,
    source: &Source<'_>,
    paths: &[Vec<u8>],
) -> Result<Option<&'s StoredSnapshot>> {
    if source.paths.is_empty() {
        // A stream is always read: it has no times that could say that it is unchanged.
        return Ok(None);
    }
    let writer = repository.identity().holder();
    match &options.parent {
        ParentChoice::None => Ok(None),
        ParentChoice::Newest => Ok(snapshots.parent_for(writer, &options.host, paths)),
        ParentChoice::Named(text) => snapshots.find_parent(writer, text).map(Some),
    }
}

/// One walk over the source.
struct SourceWalk<'a> {
    repository: &'a Repository,
    source: Source<'a>,
    sources: &'a Sources,
    parent: Option<&'a StoredSnapshot>,
    trees: Option<Trees<'a>>,
    options: &'a ArchiveOptions,
    run: &'a RunContext,
}

/// What a walk found and stored.
struct Walked {
    root: (ChunkId, ChunkId),
    hard_links: Content,
    tally: Tally,
    /// Something of what was named isn't as the parent has it.
    is_changed: bool,
}

impl SourceWalk<'_> {
    fn walk(self, writer: Option<&PackWriter<'_>>) -> Result<Walked> {
        let chunker = self.repository.chunker()?;
        let racy_from = self.parent.map_or(Timestamp::default(), |parent| Timestamp {
            seconds: parent.snapshot.body.start.seconds.saturating_sub(RACY_SECONDS),
            ..parent.snapshot.body.start
        });
        let shared =
            Shared::new(self.options, self.sources, writer, self.trees, racy_from, &chunker, self.run);
        let mut tally = Tally::default();
        // A thread for each stream, since the programs that write them may wait for each other, and one for files.
        let needed = self.source.streams.len() + usize::from(!self.source.paths.is_empty());
        let threads = self.run.threads().max(needed);
        shared.take_streams(self.source.streams)?;
        let parent = root_of_parent(&shared, self.parent);
        tally.add(match (&self.options.stored_as, self.source.paths) {
            (_, []) => streams::begin(&shared)?,
            (Some(_), [directory]) => stand_in::begin(&shared, directory, parent)?,
            _ => begin_paths(&shared, parent)?,
        });
        for counted in in_threads(threads, || Worker::new(&shared).run()) {
            tally.add(counted);
        }
        let groups = link_groups(&shared);
        let mut worker = Worker::new(&shared);
        let hard_links = worker.store_blob(&links::encode(&groups))?;
        tally.add(worker.run());
        let is_changed = shared.is_changed.load(Ordering::Relaxed);
        let root = shared.into_root()?;
        Ok(Walked { root, hard_links, tally, is_changed })
    }
}

fn root_of_parent(shared: &Shared<'_>, parent: Option<&StoredSnapshot>) -> ParentDirectory {
    let loaded = match (shared.trees, parent.map(|parent| &parent.snapshot.body)) {
        (Some(trees), Some(SnapshotBody { tree, state: Some(state), .. })) => {
            ParentDirectory::load(trees, tree, state)
        }
        _ => Ok(ParentDirectory::default()),
    };
    shared.of_parent(loaded)
}

/// The root directory, with the way to each path that was asked for.
fn begin_paths(shared: &Shared<'_>, parent: ParentDirectory) -> Result<Tally> {
    let wanted = shared.sources.root();
    let handle = open_directory_as(CWD, c"/", wanted.opening()).map_err(EngineError::file("/"))?;
    let mut worker = Worker::new(shared);
    let directory = worker.begin_root(&handle, parent, wanted)?;
    shared.jobs.push([Job::Pages(PagesJob { directory, handle: Arc::new(handle), from: 0 })]);
    Ok(worker.tally)
}

/// Files with several links of which more than one is in the snapshot.
fn link_groups(shared: &Shared<'_>) -> Vec<LinkGroup> {
    let links: HashMap<_, Vec<Vec<u8>>> =
        std::mem::take(&mut *shared.links.lock().unwrap_or_else(PoisonError::into_inner));
    let mut groups: Vec<LinkGroup> = links
        .into_values()
        .filter(|paths| paths.len() > 1)
        .map(|mut paths| {
            paths.sort_unstable();
            paths
        })
        .collect();
    groups.sort_unstable();
    // What is beyond the limit can't be read back: these are restored as files of their own.
    let mut room = limits::LINKS_BYTES_MAX;
    groups.retain(|group| {
        let bytes = group.iter().fold(4, |bytes, path| bytes + 4 + path.len() as u64);
        let fits = bytes <= room;
        room -= if fits { bytes } else { 0 };
        fits
    });
    groups
}
