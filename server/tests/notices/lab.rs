//! A server with a state, definitions, and a clock that the test moves.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_operations::child::Children;
use keepfast_server::definitions;
use keepfast_server::notices::log::{DeliveryDocument, Shown, list};
use keepfast_server::notices::{Courier, Notifier, Sender};
use keepfast_server::state::{self, stored};
use keepfast_store::{
    Claim, ConfigHash, Elapsed, Ending, ErrorCategory, Figures, Fingerprint, HostId, NewRun, PlanId,
    ProblemKind, ProgramVersion, RepositoryId, RunError, RunId, RunKind, RunSubject, Store, Subject,
    SubjectKind, Text, Trigger, Unstarted, Work,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const SERVER: &str = "backup1.example.org";
const LEASE: Duration = Duration::from_secs(120);

pub struct Lab {
    pub folder: TempDir,
    pub config: Config,
    pub store: Store,
    pub notifier: Notifier,
    pub sender: Sender,
    pub now: Timestamp,
    begun: Timestamp,
    runs: u32,
}

/// How a run ends.
pub struct End<'e> {
    pub ending: Ending,
    pub report: Value,
    pub error: Option<(&'e str, &'e str)>,
}

pub fn ok() -> End<'static> {
    let summary = json!({
        "files_new": 1, "files_changed": 2, "files_unchanged": 3, "bytes_total": 5000, "bytes_new": 2048,
        "bytes_stored": 1024,
    });
    let report = json!({
        "error": null, "findings": 0, "problems": [],
        "backup": { "summary": summary, "snapshot": { "id": "abcd1234" } },
    });
    End { ending: Ending::Ok, report, error: None }
}

pub fn failed() -> End<'static> {
    failed_by("source", "the path /srv/www isn't there")
}

pub fn failed_by<'e>(category: &'e str, error: &'e str) -> End<'e> {
    let report = json!({ "error": error, "findings": 0, "problems": [], "backup": null });
    End { ending: Ending::Failed, report, error: Some((category, error)) }
}

impl Lab {
    /// With these definitions of routes and targets. `{folder}` is the lab's folder.
    pub async fn new(definitions: &str) -> Self {
        let mut lab = Self::unread(definitions).await;
        // From here on, the events are read.
        assert_eq!(lab.step().await, None);
        lab
    }

    /// The same, and nothing has read the events of its state yet.
    pub async fn unread(definitions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = read(&folder, definitions);
        let now: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        let store = state::open(&config, &Children::default()).await.unwrap();
        let (notifier, sender) = processes(&store);
        Self { folder, config, store, notifier, sender, now, begun: now, runs: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn define(&mut self, definitions: &str) {
        self.config = read(&self.folder, definitions);
    }

    /// The process ends at this moment, and another one begins.
    pub async fn restart(&mut self) {
        self.store = state::open(&self.config, &Children::default()).await.unwrap();
        (self.notifier, self.sender) = processes(&self.store);
    }

    pub fn elapsed(&self) -> Elapsed {
        Elapsed(self.now.duration_since(self.begun).unsigned_abs())
    }

    pub async fn step(&mut self) -> Option<Timestamp> {
        let elapsed = self.elapsed();
        self.notifier.step(&self.config, self.now, elapsed).await.unwrap()
    }

    pub async fn send(&self) -> Option<Timestamp> {
        self.sender.send_due(&self.config, self.now).await.unwrap()
    }

    /// Lets the time go on, and does what a server does whenever something is due.
    pub async fn wait(&mut self, minutes: i64) {
        let end = self.now + SignedDuration::from_mins(minutes);
        loop {
            let decided = self.step().await;
            let sent = self.send().await;
            let next = [decided, sent].into_iter().flatten().min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next.max(self.now),
                None => break,
            }
        }
        self.now = end;
        self.step().await;
        self.send().await;
    }

    /// A run of a plan that goes into a repository has ended.
    pub async fn run(&mut self, plan: &str, end: End<'_>) -> RunId {
        let now = stored(self.now);
        let new = self.new_run(plan);
        self.store.bear_plan(now, &PlanId::new(plan).unwrap()).await.unwrap();
        self.store.queue(now, &new).await.unwrap();
        let executor = state::process("runner").unwrap();
        let candidates = [new.id.clone()];
        let claim = Claim { candidates: &candidates, limits: &[], executor: &executor, lease: LEASE };
        let held = self.store.claim(now, claim).await.unwrap().pop().unwrap();
        self.store.start(now, &held).await.unwrap();
        let work = Work {
            ending: end.ending,
            report: Some(end.report),
            counters: None,
            figures: Figures::default(),
            error: end.error.map(|(category, error)| RunError {
                category: ErrorCategory::new(category).unwrap(),
                fingerprint: Fingerprint::new(error).unwrap(),
                message: Text::from(error),
            }),
            baseline: None,
            retry: None,
            version: ProgramVersion::new("0.1.0").unwrap(),
        };
        let ended = stored(self.now + SignedDuration::from_secs(75));
        self.store.end(ended, &held, &work).await.unwrap();
        new.id
    }

    /// A run of a plan was not started.
    pub async fn unstarted(&mut self, plan: &str, verdict: Unstarted) {
        let new = self.new_run(plan);
        self.store.queue(stored(self.now), &new).await.unwrap();
        assert!(self.store.end_waiting(stored(self.now), &new.id, verdict).await.unwrap());
    }

    fn new_run(&mut self, plan: &str) -> NewRun {
        self.runs += 1;
        NewRun {
            id: RunId::new(format!("run-{}", self.runs)).unwrap(),
            kind: RunKind::Backup,
            subject: RunSubject {
                plan: Some(PlanId::new(plan).unwrap()),
                repository: Some(RepositoryId::new("main").unwrap()),
                host: Some(HostId::new("web1").unwrap()),
                drill: None,
            },
            trigger: Trigger::Manual,
            config: ConfigHash::new("config").unwrap(),
            not_before: None,
            errand: None,
        }
    }

    pub async fn problem(&self, kind: SubjectKind, name: &str, problem: &str, document: Value) {
        let (subject, problem) = (Subject::of(kind, name), ProblemKind::new(problem).unwrap());
        self.store.see_problem(stored(self.now), &subject, &problem, &document, None).await.unwrap();
    }

    pub async fn resolved(&self, kind: SubjectKind, name: &str, problem: &str) {
        let (subject, problem) = (Subject::of(kind, name), ProblemKind::new(problem).unwrap());
        assert!(self.store.resolve_problem(stored(self.now), &subject, &problem).await.unwrap());
    }

    /// All messages to a target, the oldest first.
    pub async fn log(&self, target: &str) -> Vec<DeliveryDocument> {
        let shown = Shown { target: Some(target.to_owned()), failed: false, count: 100 };
        let mut log = list(&self.store, &shown).await.unwrap();
        log.reverse();
        log
    }

    /// Their titles.
    pub async fn titles(&self, target: &str) -> Vec<String> {
        self.log(target).await.into_iter().map(|delivery| delivery.title.unwrap()).collect()
    }
}

fn processes(store: &Store) -> (Notifier, Sender) {
    let executor = state::process("server").unwrap();
    let carrier = Arc::new(Courier::new());
    let sender =
        Sender::new(store.clone(), executor, carrier, Children::default(), Default::default(), SERVER);
    (Notifier::new(store.clone(), SERVER), sender)
}

fn read(folder: &TempDir, definitions: &str) -> Config {
    let at = folder.path().display().to_string();
    let plans = |name: &str, more: &str| {
        format!("[plan.{name}]\nrepository = \"main\"\nsource = [{{ files = [\"/srv/{name}\"] }}]\n{more}\n")
    };
    let text = format!(
        "version = 1\n\
         [server]\n\
         public_url = \"https://backup.example.org\"\n\
         state = {{ sqlite = \"{at}/state.db\" }}\n\
         {}\n\
         [repository.main]\n\
         url = \"{at}/repo\"\n\
         password = {{ file = \"{at}/password\" }}\n\
         [project.shop]\n\
         label = \"team=shop\"\n\
         {}{}",
        definitions.replace("{folder}", &at),
        plans("www", ""),
        plans("shop-db", "project = \"shop\""),
    );
    let file = folder.path().join("keepfast.toml");
    fs::write(&file, text).unwrap();
    let loaded = definitions::read(&file);
    loaded.config.unwrap_or_else(|| panic!("{}", loaded.report.render(Style::Plain)))
}

/// Targets of the mail server, and of the web server at an address that is in a file.
pub fn mail(port: u16) -> String {
    format!(
        "[target.ops]\nsmtp = {{ host = \"127.0.0.1\", port = {port}, tls = \"none\", to = [\"ops@example.org\"] }}\n"
    )
}

pub fn hook(name: &str, url: &str) -> String {
    format!("[target.{name}]\nwebhook = {{ url = \"{url}\", timeout = \"5s\" }}\n")
}

pub fn route(to: &[&str]) -> String {
    format!("[[route]]\nmatch = {{ severity = [\"warning\", \"error\"] }}\nto = {to:?}\n")
}
