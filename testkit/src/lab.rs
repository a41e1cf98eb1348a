//! A laboratory: a folder with a source tree, a repository, a cache, and room for restores.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use keepfast_backend::{Backend, LocalBackend, MemoryBackend};
use keepfast_engine::archive::{ArchiveOptions, ArchiveReport, CuttingRules, ParentChoice, Source, archive};
use keepfast_engine::check::{CheckOptions, CheckReport, ReadData, check};
use keepfast_engine::error::Result;
use keepfast_engine::forget::forget;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::prune::{PruneOptions, PruneReport, UnusedLimit, prune};
use keepfast_engine::repo::{
    FrameCache, Index, InitOptions, Repository, SnapshotFilter, Snapshots, Trees, WriterOptions, open_index,
};
use keepfast_engine::restore::{Overwrite, Reach, RestoreOptions, RestoreReport, restore};
use keepfast_engine::run::{Host, RunContext};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::ids::ChunkId;
use keepfast_format::limits;
use keepfast_format::node::{NodeKind, Timestamp};
use keepfast_format::slot::PasswordCost;
use keepfast_format::snapshot::Snapshot;
use tempfile::TempDir;

use crate::ear::{Ear, quiet};
use crate::host::TestHost;

/// The password of every laboratory.
pub const PASSWORD: &[u8] = b"lab";
/// Laboratories live in a future in which every file on disk is old.
const CLOCK_START_S: i64 = 4_102_444_800;
const CLOCK_STEP_S: i64 = 600;

/// Where things are backed up and restored. Change `backend` or `cache` to work with others.
pub struct Lab {
    folder: TempDir,
    /// Apart from the folder, so that what happens there changes nothing above the source.
    home: TempDir,
    /// The repository's store.
    pub backend: Arc<dyn Backend>,
    /// The index's folder.
    pub cache: PathBuf,
    /// The password that it is opened with.
    pub password: Vec<u8>,
    /// What the next backup's clock starts from.
    clock_s: Arc<AtomicI64>,
    restores: AtomicU64,
}

/// A repository that is open, with its snapshots and index.
pub struct Opened {
    /// The repository.
    pub repository: Repository,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// Its index.
    pub index: Index,
}

/// How laboratories make repositories.
#[must_use]
pub fn init_options() -> InitOptions {
    InitOptions {
        chunker: ChunkerParams::DEFAULT,
        pack_bytes: limits::PACK_BYTES_MIN,
        single_writer: false,
        password_cost: PasswordCost { memory_kib: 8, passes: 1, lanes: 1 },
        now_unix_s: CLOCK_START_S.unsigned_abs(),
    }
}

/// How laboratories back up.
#[must_use]
pub fn archive_options() -> ArchiveOptions {
    ArchiveOptions {
        host: "lab".to_owned(),
        user: "tester".to_owned(),
        tags: Vec::new(),
        program: "testkit".to_owned(),
        exclude: Patterns::default(),
        exclude_caches: false,
        exclude_if_present: Vec::new(),
        exclude_larger_than: None,
        ignore_files: true,
        exclude_nodump: false,
        one_file_system: false,
        follow_sources: false,
        follow: false,
        read_special: false,
        cutting: CuttingRules::default(),
        stored_as: None,
        skip_if_unchanged: false,
        ignore_ctime: false,
        ignore_inode: false,
        parent: ParentChoice::Newest,
        dry_run: false,
        writer: WriterOptions::default(),
        heartbeat: Duration::ZERO,
        never_enter: Vec::new(),
    }
}

impl Lab {
    /// A repository in a directory, and an empty source tree.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let backend = Arc::new(LocalBackend::new(folder.path().join("repository")));
        Self::in_folder(folder, backend, &init_options())
    }

    /// A repository in memory, made with these options, and an empty source tree.
    #[must_use]
    pub fn made_with(options: &InitOptions) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        Self::in_folder(folder, Arc::new(MemoryBackend::default()), options)
    }

    /// A repository in this store, and an empty source tree.
    #[must_use]
    pub fn on(backend: Arc<dyn Backend>) -> Self {
        Self::in_folder(TempDir::new().expect("a temporary folder can be made"), backend, &init_options())
    }

    /// A repository in a directory, and a source tree that `build` makes.
    #[must_use]
    pub fn with(build: impl FnOnce(&Path)) -> Self {
        let lab = Self::new();
        build(&lab.source());
        lab
    }

    fn in_folder(folder: TempDir, backend: Arc<dyn Backend>, options: &InitOptions) -> Self {
        Repository::init(Arc::clone(&backend), PASSWORD, options).expect("a repository can be made");
        let home = TempDir::new().expect("a temporary folder can be made");
        fs::create_dir(home.path().join("source")).expect("the source can be made");
        let cache = folder.path().join("cache");
        Self {
            folder,
            home,
            backend,
            cache,
            password: PASSWORD.to_vec(),
            clock_s: Arc::new(AtomicI64::new(CLOCK_START_S)),
            restores: AtomicU64::new(0),
        }
    }

    /// A folder of the laboratory's, for whatever a test needs.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is backed up.
    #[must_use]
    pub fn source(&self) -> PathBuf {
        self.home.path().join("source")
    }

    /// Does `work` again until no other test has changed the folders above the source meanwhile:
    /// they are in every snapshot, and tests share them.
    pub fn undisturbed<T>(&self, mut work: impl FnMut() -> T) -> T {
        let above = || -> Vec<(i64, i64)> { self.home.path().ancestors().map(crate::tree::mtime).collect() };
        for _ in 0..200 {
            let before = above();
            let done = work();
            if above() == before {
                return done;
            }
        }
        panic!("the folders above {} never stay the same", self.source().display());
    }

    /// The time, which advances with every question.
    pub fn now(&self) -> Timestamp {
        self.host().now()
    }

    /// A machine with the laboratory's clock.
    #[must_use]
    pub fn host(&self) -> TestHost {
        let clock_s = Arc::clone(&self.clock_s);
        TestHost::new(Arc::new(move || {
            let seconds = clock_s.fetch_add(CLOCK_STEP_S, Ordering::Relaxed);
            Timestamp { seconds, nanos: 1 }
        }))
    }

    /// The same run, on the laboratory's machine.
    #[must_use]
    pub fn run(&self, run: &RunContext) -> RunContext {
        run.clone().with_host(Arc::new(self.host()))
    }

    /// Opens the repository.
    pub fn try_open(&self, run: &RunContext) -> Result<Opened> {
        self.open_with_cache(&self.cache, run)
    }

    fn open_with_cache(&self, cache: &Path, run: &RunContext) -> Result<Opened> {
        let repository = Repository::open(Arc::clone(&self.backend), &self.password)?;
        let snapshots = Snapshots::load(&repository, run)?;
        let index = open_index(&repository, cache, &snapshots, run)?;
        Ok(Opened { repository, snapshots, index })
    }

    /// Opens the repository as another machine would.
    pub fn try_open_with(&self, cache: &Path, run: &RunContext) -> Result<Opened> {
        self.open_with_cache(cache, run)
    }

    /// Opens the repository as another machine would, which must work.
    #[must_use]
    #[track_caller]
    pub fn open_with(&self, cache: &Path) -> Opened {
        self.open_with_cache(cache, &Ear::default()).expect("the repository opens")
    }

    /// Opens the repository, which must work.
    #[must_use]
    #[track_caller]
    pub fn open(&self) -> Opened {
        self.try_open(&Ear::default()).expect("the repository opens")
    }

    /// Backs up anything, with options changed by `change`.
    pub fn archive(
        &self,
        source: Source<'_>,
        run: &RunContext,
        change: impl FnOnce(&mut ArchiveOptions),
    ) -> Result<ArchiveReport> {
        self.archive_with_cache(&self.cache, source, run, change)
    }

    /// Backs up anything as another machine would: with a cache of its own.
    pub fn archive_with_cache(
        &self,
        cache: &Path,
        source: Source<'_>,
        run: &RunContext,
        change: impl FnOnce(&mut ArchiveOptions),
    ) -> Result<ArchiveReport> {
        let run = &self.run(run);
        let opened = self.open_with_cache(cache, run)?;
        let mut options = archive_options();
        change(&mut options);
        archive(&opened.repository, &opened.index, &opened.snapshots, source, &options, run)
    }

    /// Backs up anything on another machine than the laboratory's.
    pub fn archive_on(
        &self,
        host: impl Host + 'static,
        source: Source<'_>,
        run: &RunContext,
        change: impl FnOnce(&mut ArchiveOptions),
    ) -> Result<ArchiveReport> {
        let run = &run.clone().with_host(Arc::new(host));
        let opened = self.open_with_cache(&self.cache, run)?;
        let mut options = archive_options();
        change(&mut options);
        archive(&opened.repository, &opened.index, &opened.snapshots, source, &options, run)
    }

    /// Backs up the source tree.
    pub fn try_backup(&self, run: &RunContext) -> Result<ArchiveReport> {
        self.archive(Source::paths(&[self.source()]), run, |_| {})
    }

    /// Backs up the source tree with other options; it must work, and leave nothing out.
    #[track_caller]
    pub fn backup_with(&self, change: impl FnOnce(&mut ArchiveOptions)) -> ArchiveReport {
        let ear = Ear::default();
        let report = self.archive(Source::paths(&[self.source()]), &ear, change).expect("the backup works");
        ear.assert_content();
        report
    }

    /// Backs up the source tree, which must work.
    #[track_caller]
    pub fn backup(&self) -> ArchiveReport {
        self.backup_with(|_| {})
    }

    /// A folder that nothing was restored into yet.
    #[must_use]
    pub fn fresh_target(&self) -> PathBuf {
        self.path(&format!("restored-{}", self.restores.fetch_add(1, Ordering::Relaxed)))
    }

    /// Restores a snapshot with options changed by `change`.
    pub fn try_restore(
        &self,
        which: &str,
        run: &RunContext,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> Result<RestoreReport> {
        let opened = self.try_open(run)?;
        let snapshot = opened.snapshots.find(which, &SnapshotFilter::default())?;
        opened.restore(&snapshot.snapshot, run, change)
    }

    /// Restores a snapshot whole; returns where the source tree has come to lie.
    #[must_use]
    #[track_caller]
    pub fn restore(&self, which: &str) -> PathBuf {
        let ear = Ear::default();
        let target = self.fresh_target();
        self.try_restore(which, &ear, |options| options.target.clone_from(&target))
            .expect("the restore works");
        ear.assert_content();
        self.restored_source(&target)
    }

    /// Where the source tree lies in a target that a whole snapshot was restored into.
    #[must_use]
    pub fn restored_source(&self, target: &Path) -> PathBuf {
        target.join(self.source().strip_prefix("/").expect("the source has an absolute path"))
    }

    /// The path of something in the source tree as snapshots have it.
    #[must_use]
    pub fn in_snapshot(&self, below: &str) -> Vec<u8> {
        self.source().join(below).as_os_str().as_bytes().to_vec()
    }

    /// The tree of a directory, given by its absolute path, of the newest snapshot.
    #[must_use]
    #[track_caller]
    pub fn tree_of(&self, folder: &Path) -> ChunkId {
        let Opened { repository, snapshots, index } = self.open();
        let frames = FrameCache::new(&repository, &index, quiet());
        let newest = snapshots.find("latest", &SnapshotFilter::default()).expect("there is a snapshot");
        let node = Trees::new(&frames).find(&newest.snapshot.body.tree, folder.as_os_str().as_bytes());
        match node.expect("trees are readable").expect("the folder is in the snapshot").kind {
            NodeKind::Directory { tree } => tree,
            other => panic!("{other:?} isn't a directory"),
        }
    }

    /// Checks the repository, reading everything.
    pub fn try_check(&self, run: &RunContext) -> Result<CheckReport> {
        let opened = self.try_open(run)?;
        let options = CheckOptions { read: ReadData::All };
        check(&opened.repository, &opened.index, &opened.snapshots, &options, run)
    }

    /// Checks the repository, which must be sound.
    #[track_caller]
    pub fn assert_sound(&self) -> CheckReport {
        let ear = Ear::default();
        let report = self.try_check(&ear).expect("the check runs");
        ear.assert_content();
        assert_eq!((report.findings, report.files_hit), (0, 0), "{report:?}");
        report
    }

    /// Forgets snapshots, by the starts of their ids or `latest~N`.
    #[track_caller]
    pub fn forget(&self, which: &[&str]) {
        let Opened { repository, snapshots, .. } = self.open();
        let find = |which: &&str| {
            let found = snapshots.find(which, &SnapshotFilter::default());
            found.expect("there is such a snapshot").snapshot.head.id
        };
        let ids: Vec<_> = which.iter().map(find).collect();
        forget(&repository, &snapshots, &ids, &Ear::default()).expect("they can be forgotten");
    }

    /// Prunes as another machine would, with options changed by `change`.
    pub fn prune_with_cache(
        &self,
        cache: &Path,
        run: &RunContext,
        change: impl FnOnce(&mut PruneOptions),
    ) -> Result<PruneReport> {
        self.prune_on(self.host(), cache, run, change)
    }

    /// As [`Lab::prune_with_cache`], on another machine than the laboratory's.
    pub fn prune_on(
        &self,
        host: impl Host + 'static,
        cache: &Path,
        run: &RunContext,
        change: impl FnOnce(&mut PruneOptions),
    ) -> Result<PruneReport> {
        let run = &run.clone().with_host(Arc::new(host));
        let Opened { repository, index, .. } = self.open_with_cache(cache, run)?;
        let mut options = PruneOptions {
            max_unused: UnusedLimit::Thousandths(0),
            max_rewrite_bytes: u64::MAX,
            session_timeout: Duration::ZERO,
            accept_missing: Vec::new(),
            compact_from: usize::MAX,
            step_back: true,
            writer: WriterOptions::default(),
            program: "testkit".to_owned(),
        };
        change(&mut options);
        prune(&repository, &index, &options, run)
    }

    /// Prunes, which must work: nothing unused stays, and it waits for no backup.
    #[track_caller]
    pub fn prune(&self) -> PruneReport {
        self.prune_with_cache(&self.cache, &Ear::default(), |_| {}).expect("the prune works")
    }

    /// Backs up, restores, and compares the source with what came back.
    #[track_caller]
    pub fn assert_round_trip(&self) {
        self.backup();
        crate::compare::assert_same(&self.source(), &self.restore("latest"));
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Opened {
    /// Restores one of the snapshots.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        run: &RunContext,
        change: impl FnOnce(&mut RestoreOptions),
    ) -> Result<RestoreReport> {
        let mut options = RestoreOptions {
            target: PathBuf::new(),
            reach: Reach::ByPath,
            folder: Vec::new(),
            paths: Vec::new(),
            include: Patterns::default(),
            exclude: Patterns::default(),
            sample: None,
            overwrite: Overwrite::Refuse,
            resume: false,
            delete: false,
            dry_run: false,
            verify: true,
            numeric_owners: true,
            no_privileges: false,
        };
        change(&mut options);
        restore(&self.repository, &self.index, snapshot, &options, run)
    }
}
