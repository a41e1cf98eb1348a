//! Retention that silently does nothing: a plan's runs in a real repository.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use keepfast_config::config::Config;
use keepfast_engine::run::{RunContext, Unheard};
use keepfast_operations::child::Children;
use keepfast_operations::host::SystemHost;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::{Init, NamedSnapshots, Protect, init, protect};
use keepfast_server::connect::Repositories;
use keepfast_server::surroundings::Surroundings;
use keepfast_server::work::report::PlanReport;
use keepfast_server::{definitions, idle, once, state, usual};
use keepfast_store::{
    EventKind, PageSize, PlanId, Problem, ProblemKind, Sequence, Store, Subject, SubjectKind,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A plan that keeps the last two, and its repository.
struct Place {
    folder: TempDir,
    config: Config,
    runtime: Runtime,
}

fn run() -> RunContext {
    RunContext::new(Arc::new(SystemHost), Arc::new(Unheard))
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("source")).unwrap();
        fs::write(path("password"), "correct horse\n").unwrap();
        let text = format!(
            "version = 1\n[server]\nstate = {{ sqlite = {:?} }}\n\
             [repository.main]\nurl = {:?}\npassword = {{ file = {:?} }}\n\
             [plan.www]\nrepository = \"main\"\nsource = [{{ files = [{:?}] }}]\n\
             retention = {{ last = 2, max_removed = 9 }}\n",
            path("state/state.db"),
            path("repository"),
            path("password"),
            path("source"),
        );
        fs::write(path("keepfast.toml"), text).unwrap();
        let config = definitions::read(&path("keepfast.toml")).config.unwrap();
        let place = Self { folder, config, runtime: Runtime::new().unwrap() };
        init(&Init { pack_bytes: 4 << 20, ..Init::default() }, &place.shared("ann"), &run()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn around(&self, host: &str) -> Surroundings {
        Surroundings {
            host: host.to_owned(),
            cache: self.path("cache"),
            children: Children::default(),
            secrets: Arc::default(),
            version: "0".to_owned(),
        }
    }

    fn shared(&self, host: &str) -> Arc<SharedRepository> {
        Repositories::new(&self.config, &self.around(host)).get("main").unwrap()
    }

    /// A run of the plan, while the machine has this name.
    fn run(&self, host: &str) -> PlanReport {
        fs::write(self.path("source/name"), host).unwrap();
        once::run(&self.config, "www", &self.around(host), &run()).report.unwrap()
    }

    fn with_store<T>(&self, does: impl AsyncFnOnce(&Store) -> T) -> T {
        self.runtime.block_on(async {
            let store = state::open(&self.config, &Children::default()).await.unwrap();
            let done = does(&store).await;
            store.close().await;
            done
        })
    }

    fn problem(&self) -> Option<Problem> {
        let open = self.with_store(async |store| store.open_problems().await.unwrap());
        open.into_iter().find(|problem| problem.kind.as_str() == idle::KIND)
    }

    /// How often the problem was opened and resolved.
    fn turns(&self) -> [usize; 2] {
        let events = self.with_store(async |store| {
            store.events_after(Sequence::START, PageSize::MAX).await.unwrap().events
        });
        [EventKind::PROBLEM_OPENED, EventKind::PROBLEM_RESOLVED].map(|kind| {
            events.iter().filter(|event| event.kind == kind && event.document["kind"] == idle::KIND).count()
        })
    }
}

/// The machine was a container with another name at each run, so that each snapshot was judged alone.
#[test]
fn retention_silently_does_nothing_run_after_run() {
    let place = Place::new();
    // A plan that is young, and snapshots that a person wants to keep, are no reason.
    let mut protected = Vec::new();
    for _ in 0..4 {
        let id = place.run("ann").backup.unwrap().snapshot.unwrap().id;
        let which = NamedSnapshots { ids: vec![id.clone()], ..NamedSnapshots::default() };
        protect(&Protect { which, protected: true, dry_run: false }, &place.shared("ann"), &run()).unwrap();
        protected.push(id);
    }
    assert_eq!(place.problem(), None);
    // The third name is one too many; it takes three runs to be told.
    for name in ["c1", "c2", "c3", "c4"] {
        place.run(name);
        assert_eq!(place.problem(), None, "{name}");
    }
    // While an anomaly is open, nothing is to be removed.
    let www = PlanId::new("www").unwrap();
    let subject = Subject::of(SubjectKind::Plan, "www");
    place.with_store(async |store| {
        let kind = ProblemKind::new("anomaly").unwrap();
        store.see_problem(state::now(), &subject, &kind, &json!({ "plan": "www" }), None).await.unwrap();
    });
    assert!(place.run("c5").retention_paused);
    assert_eq!(place.problem(), None);
    assert!(
        place.with_store(async |store| usual::accept(store, www.as_str(), "ann").await.unwrap()).is_some()
    );
    place.run("c6");
    let problem = place.problem().expect("it is told");
    assert_eq!(problem.subject, subject);
    let said = problem.document["summary"].as_str().unwrap();
    assert!(said.contains("in 3 runs, and there are 6 snapshots of which it can keep 2"), "{said}");
    assert!(said.contains("5 were made under other names of the machine"), "{said}");
    assert!(problem.document["advice"].as_str().unwrap().contains("--hostname"), "{problem:?}");
    // Those that are protected are named.
    place.run("ann");
    let said = place.problem().expect("it is open").document["summary"].to_string();
    assert!(said.contains("Not counted are 4 that are protected"), "{said}");
    assert!(protected.iter().all(|id| said.contains(&id[..8])), "{said}");
    // It is over with the first run that removes something.
    for _ in 0..2 {
        assert!(place.problem().is_some());
        place.run("ann");
    }
    assert_eq!((place.problem(), place.turns()), (None, [1, 1]));
}
