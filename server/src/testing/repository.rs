//! What the tests of this crate share: configurations from texts, and a repository.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use keepfast_config::config::Config;
use keepfast_engine::run::{RunContext, Unheard};
use keepfast_operations::hooks::Hook;
use keepfast_operations::host::SystemHost;
use keepfast_operations::open::SharedRepository;
use keepfast_operations::requests::{Init, init};
use tempfile::TempDir;

use crate::connect::Repositories;
use crate::definitions;
use crate::surroundings::Surroundings;
use crate::work::record::{Level, Record, Step, UndoTicket};

/// What stands before the definitions of a test.
const HEAD: &str = "version = 1\n[server]\ntimezone = \"Europe/Paris\"\n";

/// A configuration: this text, after a server in Paris.
pub fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("keepfast.toml");
    fs::write(&file, format!("{HEAD}{text}")).expect("it can be written");
    let loaded = definitions::read(&file);
    loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.report.to_json()))
}

/// A folder with a repository, which the configuration calls `main`.
pub struct Desk {
    pub folder: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::write(desk.path("password"), "correct horse\n").expect("it can be written");
        let config = config(&desk.repository(""));
        let shared = desk.shared(&config);
        init(&Init { pack_bytes: 4 << 20, ..Init::default() }, &shared, &run()).expect("a repository");
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The definition of the repository, with these keys in addition.
    pub fn repository(&self, more: &str) -> String {
        format!(
            "[repository.main]\nurl = {:?}\npassword = {{ file = {:?} }}\ncache = {:?}\n{more}\n",
            self.path("repository"),
            self.path("password"),
            self.path("cache"),
        )
    }

    pub fn shared(&self, config: &Config) -> Arc<SharedRepository> {
        let cache = self.path("cache");
        let around = Surroundings {
            host: "ann".to_owned(),
            cache,
            children: Default::default(),
            secrets: Default::default(),
            version: "0".to_owned(),
        };
        Repositories::new(config, &around).get("main").expect("it is defined")
    }
}

/// A run of this machine.
pub fn run() -> RunContext {
    RunContext::new(Arc::new(SystemHost), Arc::new(Unheard))
}

/// Keeps what a run says.
#[derive(Default)]
pub struct Heard {
    pub steps: Mutex<Vec<Step>>,
    pub lines: Mutex<Vec<String>>,
}

impl Record for Heard {
    fn run_id(&self) -> String {
        "1".to_owned()
    }

    fn step(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn line(&self, _: Level, text: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    fn store_undo(&self, _: &Hook) -> Result<UndoTicket, String> {
        Err("there are no hooks".to_owned())
    }

    fn undoing(&self, _: &UndoTicket) -> bool {
        false
    }

    fn undone(&self, _: &UndoTicket, _: Option<&str>) {}
}
