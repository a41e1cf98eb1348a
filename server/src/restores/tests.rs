//! Restores of a server without a client: a preview that has no time, and a run that is cancelled while it works.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::run::{Event, Listener, Phase, RunContext};
use keepfast_operations::host::SystemHost;
use keepfast_operations::requests::{Backup, Init, backup, init};
use keepfast_operations::sources::PathSources;
use keepfast_store::{Claim, HostId, LogFolder, RunId, Store, Trigger, Verdict};
use keepfast_testkit::tree;

use super::Start;
use super::order::{Destination, Order, OverwriteFiles, SnapshotPath};
use super::preview::{Bounds, look};
use crate::browse::Browser;
use crate::daemon::jobs::Job;
use crate::definitions;
use crate::running::Workshop;
use crate::state::{self, Lease, now};
use crate::surroundings::Surroundings;
use crate::testing::repository::run;
use crate::warm::WarmRepositories;

struct Desk {
    folder: tempfile::TempDir,
    config: Config,
    around: Surroundings,
    order: Order,
}

impl Desk {
    /// A snapshot of two files, which are to be restored.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("password"), "correct horse\n").expect("it can be written");
        fs::create_dir(path("restored")).expect("it can be made");
        let text = format!(
            "version = 1\n[server]\nstate = {{ sqlite = {:?} }}\nrestore_to = [{:?}]\n\
             [repository.main]\nurl = {:?}\npassword = {{ file = {:?} }}\n",
            path("state/state.db"),
            path("restored"),
            path("repository"),
            path("password"),
        );
        fs::write(path("keepfast.toml"), text).expect("it can be written");
        let loaded = definitions::read(&path("keepfast.toml"));
        let config = loaded.config.expect("a configuration");
        let around = Surroundings {
            host: "ann".to_owned(),
            cache: path("cache"),
            children: Default::default(),
            secrets: Default::default(),
            version: "0".to_owned(),
        };
        let shared = crate::connect::repository(&config, &around, &config.repositories["main"]);
        let shared = shared.expect("a repository");
        init(&Init { pack_bytes: 4 << 20, ..Init::default() }, &shared, &run()).expect("it is made");
        let source = path("source");
        tree::write(source.join("large"), tree::noise(1, 3 << 20));
        tree::write(source.join("small"), "small");
        let sources = PathSources { paths: vec![source.clone()], ..PathSources::default() };
        let made = backup(&Backup { sources, ..Backup::default() }, &shared, &run()).expect("a backup");
        let bytes = |path: &Path| SnapshotPath(path.as_os_str().as_encoded_bytes().to_vec());
        let order = Order {
            repository: "main".to_owned(),
            snapshot: made.snapshot.expect("a snapshot").id,
            time: Timestamp::now(),
            host: "ann".to_owned(),
            plan: None,
            machine: "ann".to_owned(),
            paths: Vec::new(),
            destination: Destination::Folder {
                place: path("restored"),
                folder: SnapshotPath(b"t".to_vec()),
                contents_of: bytes(&source),
            },
            overwrite: OverwriteFiles::Refuse,
            verify: true,
            by: "ann".to_owned(),
        };
        Self { folder, config, around, order }
    }

    fn restored(&self) -> BTreeMap<String, Vec<u8>> {
        let folder = fs::read_dir(self.folder.path().join("restored/t")).into_iter().flatten().flatten();
        let read = |path: &Path| fs::read(path).expect("a file");
        folder.map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(&entry.path()))).collect()
    }
}

#[test]
fn a_preview_that_has_no_time_says_that_it_saw_a_part() {
    let desk = Desk::new();
    let warm = WarmRepositories::new(desk.around.clone(), Arc::new(SystemHost));
    let previewed = |cancel: Cancel| {
        let browser = Browser { config: &desk.config, warm: &warm, repository: "main", cancel };
        look(&browser, &desk.around, &desk.order, Bounds { conflicts: 9, warnings: 9 }).expect("a preview")
    };
    let whole = previewed(Cancel::new());
    assert!(whole.is_whole && whole.refused.is_none());
    assert_eq!((whole.report.files, whole.report.bytes), (2, (3 << 20) + 5));
    let over = Cancel::new();
    over.cancel();
    let part = previewed(over);
    assert!(!part.is_whole && part.report.files < 2, "{:?}", part.report);
    assert!(desk.restored().is_empty());
}

/// Ends a run as soon as it writes files.
struct Ends(Cancel);

impl Listener for Ends {
    fn event(&self, event: &Event) {
        if *event == Event::Phase(Phase::Restoring) {
            self.0.cancel();
        }
    }
}

/// A server's hands, without the server.
async fn workshop(desk: &Desk, store: &Store) -> Workshop {
    let folder = state::folder(&desk.config);
    let machine = state::machine(&folder).expect("a name");
    let executor = state::process(&state::server_name(&machine)).expect("a name");
    Workshop {
        handle: tokio::runtime::Handle::current(),
        logs: LogFolder::open(store, &folder.join("logs/server"), &executor.server).await.expect("a folder"),
        store: store.clone(),
        machine: HostId::new(&*machine).expect("a name"),
        executor,
        around: desk.around.clone(),
        retries: true,
        quotas: Mutex::default(),
    }
}

#[test]
fn a_run_that_is_cancelled_leaves_nothing_half_done_and_one_that_repeats_it_goes_on() {
    let desk = Desk::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (store, workshop) = runtime.block_on(async {
        state::make_folders(&desk.config).expect("they can be made");
        let store = state::open(&desk.config, &Default::default()).await.expect("a state");
        let workshop = workshop(&desk, &store).await;
        (store, workshop)
    });
    let server = workshop.executor.server.clone();
    let start = Start { config: &desk.config, store: &store, around: &desk.around, server: &server };
    let first = RunId::new("1").expect("a name");
    runtime.block_on(start.queue(&desk.order, Trigger::Manual, first.clone())).expect("it is stored");
    let carry_out = |id: &RunId, run: &RunContext| {
        let candidates = [id.clone()];
        let executor = &workshop.executor;
        let claim = Claim { candidates: &candidates, limits: &[], executor, lease: Lease::USUAL.length };
        let held = runtime.block_on(store.claim(now(), claim)).expect("a claim").pop().expect("it waits");
        let job = Job::of(&held.run).expect("a job");
        workshop.carry_out(&desk.config, &job, &held, run).expect("it is carried out");
        let report = runtime.block_on(store.run_report(id)).expect("a state").expect("a report");
        (runtime.block_on(store.run(id)).expect("a state").expect("a run"), report)
    };
    let cancel = Cancel::new();
    let cancelled = RunContext::new(Arc::new(SystemHost), Arc::new(Ends(cancel.clone()))).with_cancel(cancel);
    let (ended, report) = carry_out(&first, &cancelled);
    assert_eq!(ended.verdict, Some(Verdict::Cancelled), "{report:#}");
    assert!(ended.error.is_none() && report["restore"].is_null());
    assert_eq!(ended.phase.as_ref().map(|phase| phase.as_str()), Some("restore"));
    assert!(desk.restored().keys().all(|name| !name.starts_with('.')), "{:?}", desk.restored().keys());
    let again = RunId::new("2").expect("a name");
    runtime.block_on(store.retry(now(), &first, again.clone(), None)).expect("it is stored");
    fs::create_dir_all(desk.folder.path().join("restored/t")).expect("it is there");
    fs::write(desk.folder.path().join("restored/t/small"), "half").expect("it can be written");
    let (ended, report) = carry_out(&again, &run());
    assert_eq!(ended.verdict, Some(Verdict::Ok), "{report:#}");
    assert_eq!((&report["restore"]["files"], &report["restore"]["verified"]), (&2.into(), &2.into()));
    let restored = desk.restored();
    assert_eq!(restored["small"], b"small");
    assert!(restored["large"] == tree::noise(1, 3 << 20) && restored.len() == 2);
    // One that hasn't begun to write finds a folder that isn't empty, and so does the one that repeats it.
    let third = RunId::new("3").expect("a name");
    runtime.block_on(start.queue(&desk.order, Trigger::Manual, third.clone())).expect("it is stored");
    let (ended, report) = carry_out(&third, &run());
    assert_eq!(ended.verdict, Some(Verdict::Failed));
    assert!(report["error"].as_str().is_some_and(|error| error.contains("is not empty")), "{report:#}");
    let fourth = RunId::new("4").expect("a name");
    runtime.block_on(store.retry(now(), &third, fourth.clone(), None)).expect("it is stored");
    let (ended, _) = carry_out(&fourth, &run());
    assert_eq!(ended.verdict, Some(Verdict::Failed), "what is there is not of its own making");
    runtime.block_on(store.close());
}
