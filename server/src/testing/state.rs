//! What tests of this crate share: a configuration and a state in a folder of their own.

use std::fs;
use std::path::PathBuf;

use keepfast_config::config::Config;
use keepfast_operations::child::Children;
use keepfast_operations::reports::{BackupReport, ChangesDocument, StatisticsDocument};
use keepfast_store::{
    BootId, Claim, ConfigHash, Ending, Executor, Figures, HostId, NewRun, PlanId, ProgramVersion,
    RepositoryId, RunError, RunId, RunKind, RunSubject, ServerId, Store, Trigger, Work,
};
use serde_json::Value as Document;
use tempfile::TempDir;

use crate::state::{self, Lease, now};
use crate::{definitions, error::Result};

/// A folder with a configuration: a repository `main`, and plans.
pub struct Desk {
    folder: TempDir,
    pub config: Config,
}

impl Desk {
    /// `plans` is all that stands after the repository.
    pub fn new(plans: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let text = format!(
            "version = 1\n\
             [server]\n\
             state = {{ sqlite = {:?} }}\n\
             [repository.main]\n\
             url = {:?}\n\
             password = {{ file = {:?} }}\n\
             {plans}\n",
            path("state/state.db"),
            path("repo"),
            path("password"),
        );
        let file = path("keepfast.toml");
        fs::write(&file, text).expect("it can be written");
        let loaded = definitions::read(&file);
        let report = loaded.report.render(keepfast_config::diagnostic::render::Style::Plain);
        let config = loaded.config.unwrap_or_else(|| panic!("{report}"));
        Self { folder, config }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub async fn store(&self) -> Result<Store> {
        state::open(&self.config, &Children::default()).await
    }
}

/// A plan that backs up a file.
pub fn plan(name: &str, more: &str) -> String {
    format!("[plan.{name}]\nrepository = \"main\"\nsource = [{{ files = [\"/etc/hostname\"] }}]\n{more}\n")
}

/// What a backup says that has these figures.
pub fn backup(bytes: u64, changes: Option<ChangesDocument>) -> BackupReport {
    let summary = StatisticsDocument {
        files_new: 1,
        files_changed: 2,
        files_unchanged: 97,
        skipped: 0,
        dirs: 5,
        bytes_total: bytes,
        bytes_read: bytes / 10,
        bytes_new: bytes / 20,
        bytes_stored: bytes / 40,
    };
    BackupReport {
        snapshot: None,
        dry_run: false,
        summary,
        unchanged: false,
        changes,
        changed_while_read: 0,
        ignored: 0,
        packs: 1,
        traffic: None,
        seconds: 12.5,
        parent: None,
        troubles: Default::default(),
    }
}

/// A run that begins and ends, and what it left.
pub async fn ran(
    store: &Store,
    of: &str,
    ending: Ending,
    error: Option<RunError>,
    report: Option<Document>,
    baseline: Option<Document>,
) {
    let plan = PlanId::new(of).expect("a name");
    let id = RunId::new(state::random_name().expect("random bytes")).expect("a name");
    let new = NewRun {
        id: id.clone(),
        kind: RunKind::Backup,
        subject: RunSubject {
            plan: Some(plan),
            repository: Some(RepositoryId::new("main").expect("a name")),
            host: Some(HostId::new("web1").expect("a name")),
            drill: None,
        },
        trigger: Trigger::Manual,
        config: ConfigHash::new("config").expect("a name"),
        not_before: None,
        errand: None,
    };
    store.queue(now(), &new).await.expect("it is stored");
    let executor = Executor {
        server: ServerId::new("server").expect("a name"),
        boot: BootId::new("boot").expect("a name"),
    };
    let candidates = [id];
    let claim =
        Claim { candidates: &candidates, limits: &[], executor: &executor, lease: Lease::USUAL.length };
    let held = store.claim(now(), claim).await.expect("it can be claimed").pop().expect("it waits");
    let version = ProgramVersion::new("0.1.0").expect("a name");
    let work = Work {
        ending,
        report,
        counters: None,
        figures: Figures::default(),
        error,
        baseline,
        retry: None,
        version,
    };
    store.end(now(), &held, &work).await.expect("it ends");
}
