//! Several runs in one process, on one repository whose index and keys stay open.

use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

use keepfast_backend::{Backend, Operation};
use keepfast_engine::EngineError;
use keepfast_engine::archive::{ArchiveReport, Source, archive};
use keepfast_engine::check::{CheckOptions, ReadData, check};
use keepfast_engine::error::Result;
use keepfast_engine::prune::{PruneOptions, UnusedLimit, prune};
use keepfast_engine::repo::{
    CaughtUp, Index, OpenOptions, Repository, Snapshots, Unlocked, WriterOptions, catch_up,
};
use keepfast_engine::run::RunContext;
use keepfast_format::keys::Role;
use keepfast_format::names;
use keepfast_testkit::lab::archive_options;
use keepfast_testkit::{Crafter, Ear, HookedBackend, Lab, assert_same, quiet, store, tree};

/// What runs share.
struct Shared {
    lab: Lab,
    unlocked: Arc<Unlocked>,
    index: Index,
}

impl Shared {
    fn of(lab: Lab) -> Self {
        let opened = lab.open();
        Self { unlocked: opened.repository.unlocked(), index: opened.index, lab }
    }

    /// The repository and its snapshots, as a new run finds them.
    fn load(&self, backend: &Arc<dyn Backend>, run: &RunContext) -> (Repository, Snapshots) {
        let repository =
            Repository::load(Arc::clone(backend), Arc::clone(&self.unlocked), &OpenOptions::default());
        let repository = repository.expect("it loads");
        let snapshots = Snapshots::load(&repository, run).expect("they load");
        let caught_up = catch_up(&repository, &self.index, &snapshots, run).expect("the index can be used");
        assert_eq!(caught_up, CaughtUp::Yes);
        (repository, snapshots)
    }

    fn back_up(&self, name: &str, run: &RunContext) -> Result<ArchiveReport> {
        let run = self.lab.run(run);
        let (repository, snapshots) = self.load(&self.lab.backend, &run);
        let mut options = archive_options();
        name.clone_into(&mut options.host);
        let paths = [self.lab.source().join(name)];
        archive(&repository, &self.index, &snapshots, Source::paths(&paths), &options, &run)
    }
}

fn write_version(lab: &Lab, name: &str, version: u64) {
    let root = lab.source().join(name);
    for (file, kind) in (0..6).zip([0, 1, 2].into_iter().cycle()) {
        // Some of it stays, some of it both have, and most is new.
        let seed = [file, 100 + file, 1000 * version + file][kind];
        tree::write(root.join(format!("{file}")), tree::noise(seed, 900_000));
    }
}

/// Two backups, a check and a prune at once, one of the backups cancelled in the middle; again and again on the same
/// index, which has to stay right about everything.
#[test]
fn backups_a_check_and_a_prune_share_one_opened_repository() {
    let lab = Lab::new();
    write_version(&lab, "a", 0);
    write_version(&lab, "b", 0);
    lab.backup();
    let shared = Shared::of(lab);
    for round in 1..6 {
        write_version(&shared.lab, "a", round);
        write_version(&shared.lab, "b", round);
        let all = shared.load(&shared.lab.backend, quiet()).1.all;
        let going: Vec<String> = all.iter().map(|stored| stored.snapshot.head.id.to_string()).collect();
        shared.lab.forget(&going.iter().map(String::as_str).collect::<Vec<_>>());
        thread::scope(|scope| {
            let shared = &shared;
            scope.spawn(|| {
                let ear = Ear::default();
                let report = shared.back_up("a", &ear).expect("the backup works");
                assert_eq!(report.statistics.files(), 6);
                ear.assert_content();
            });
            scope.spawn(|| {
                let cancelled = shared.back_up("b", &Ear::stopping_after(1 << 20));
                assert!(matches!(cancelled, Err(EngineError::Interrupted)), "{cancelled:?}");
            });
            scope.spawn(|| {
                let ear = Ear::default();
                let (repository, snapshots) = shared.load(&shared.lab.backend, &ear);
                let options = CheckOptions { read: ReadData::All };
                let report = check(&repository, &shared.index, &snapshots, &options, &ear);
                assert_eq!(report.expect("the check runs").findings, 0, "{:?}", ear.findings());
                ear.assert_content();
            });
            scope.spawn(|| {
                let ear = Ear::default();
                let host = shared.lab.host().waiting(|_| thread::sleep(Duration::from_millis(1)));
                let run = ear.run().with_host(Arc::new(host));
                let (repository, _) = shared.load(&shared.lab.backend, &run);
                let options = PruneOptions {
                    max_unused: UnusedLimit::Thousandths(0),
                    max_rewrite_bytes: u64::MAX,
                    session_timeout: Duration::from_secs(1 << 40),
                    accept_missing: Vec::new(),
                    compact_from: usize::MAX,
                    step_back: false,
                    writer: WriterOptions::default(),
                    program: "testkit".to_owned(),
                };
                prune(&repository, &shared.index, &options, &run).expect("the prune works");
                ear.assert_content();
            });
        });
        // Neither the store nor the index has suffered from the run that was cancelled.
        shared.back_up("b", &Ear::default()).expect("it works now");
    }
    let Shared { mut lab, index, .. } = shared;
    let in_use = index.folder();
    drop(index);
    for cache in [lab.cache.clone(), lab.path("another cache")] {
        lab.cache = cache;
        lab.assert_sound();
    }
    assert!(in_use.starts_with(lab.path("cache")), "the index was in the cache");
    for (name, which) in [("b", "latest"), ("a", "latest~1")] {
        assert_same(&lab.source().join(name), &lab.restore(which).join(name));
    }
}

/// What another run of the process stores while packs are listed is in the index and not in the listing. It isn't
/// missing, for all that.
#[test]
fn packs_that_are_stored_while_others_list_them_are_not_missing() {
    let lab = Lab::new();
    write_version(&lab, "a", 0);
    write_version(&lab, "b", 0);
    let shared = Arc::new(Shared::of(lab));
    shared.back_up("a", quiet()).expect("it works");
    let interrupted = |version| -> Arc<dyn Backend> {
        write_version(&shared.lab, "b", version);
        let other = Arc::clone(&shared);
        let once = Once::new();
        // When packs have been listed, and before the one that listed them knows them.
        HookedBackend::after(Arc::clone(&shared.lab.backend), move |operation, name| {
            if operation == Operation::List && (name == names::PACKS || name.is_empty()) {
                once.call_once(|| drop(other.back_up("b", quiet()).expect("it works")));
            }
        })
    };
    let all_readable = || {
        let mut packs = 0;
        let visit = |number, _| {
            packs += 1;
            assert!(shared.index.is_readable(number), "pack {number} is there");
        };
        shared.index.for_each_pack(visit).expect("the index is readable");
        assert!(!shared.index.is_doubtful());
        packs
    };
    let before = all_readable();
    let (repository, _) = shared.load(&interrupted(1), quiet());
    shared.index.compare_with_store(&repository).expect("it can be compared");
    assert!(all_readable() > before, "the other run has stored packs");

    let ear = Ear::default();
    let (repository, snapshots) = shared.load(&interrupted(2), &ear);
    let options = CheckOptions { read: ReadData::No };
    let report = check(&repository, &shared.index, &snapshots, &options, &ear).expect("it runs");
    assert_eq!(report.findings, 0, "{:?}", ear.findings());
    assert!(all_readable() > before + 1, "the other run has stored packs");
}

/// A repository that was unlocked once is loaded again without a password, and as it is now.
#[test]
fn a_run_sees_new_keys_and_revocations() {
    let lab = Lab::new();
    let mut crafter = Crafter::of(&lab);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let owners = lab.open().repository.unlocked();
    let writers = Repository::open(Arc::clone(&lab.backend), b"writer").expect("it opens").unlocked();
    let load = |unlocked: &Arc<Unlocked>| {
        Repository::load(Arc::clone(&lab.backend), Arc::clone(unlocked), &OpenOptions::default())
    };
    let version = |repository: &Repository| repository.current().key().version;
    let before = version(&load(&owners).expect("it loads"));
    load(&writers).expect("it loads").can_be_written().expect("a writer may write");
    crafter.rotate();
    assert_eq!(version(&load(&owners).expect("it loads")), before + 1);
    crafter.revoke(&writer);
    let refused = load(&writers).err().expect("it is refused");
    assert!(matches!(refused, EngineError::NotAllowed { .. }), "{refused}");
    let slots: Vec<(String, Vec<u8>)> = store::names(&*lab.backend, names::KEYS)
        .into_iter()
        .map(|name| {
            let bytes = store::bytes(&*lab.backend, &name);
            (name, bytes)
        })
        .collect();
    for (name, _) in &slots {
        lab.backend.remove(name).expect("it can be removed");
    }
    let refused = load(&owners).err().expect("it is refused");
    assert!(matches!(refused, EngineError::SlotRemoved { .. }), "{refused}");
    // The crafter opens the repository when it ends.
    for (name, bytes) in &slots {
        lab.backend.create(name, &[bytes]).expect("it can be created");
    }
    load(&owners).expect("it loads again");
}
