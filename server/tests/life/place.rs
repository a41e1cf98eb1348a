//! Where the state of a history is: in SQLite, in memory or in a file, or in a PostgreSQL server that is restarted now and
//! then.

use std::fs;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_server::{Result, definitions};
use keepfast_store::{PostgresPlace, ServerLock, Store, Tls};
use keepfast_testkit::servers::PostgresServer;
use tempfile::TempDir;

use crate::dice::Dice;
use crate::plans::{self, Plan};

pub struct Place {
    seed: u64,
    folder: TempDir,
    lock: Option<ServerLock>,
    postgres: Option<Postgres>,
    /// How often the database gave no answer.
    pub failures: u64,
}

struct Postgres {
    server: Arc<PostgresServer>,
    place: PostgresPlace,
    dice: Dice,
    restarting: Option<JoinHandle<()>>,
}

impl Postgres {
    fn settle(&mut self) {
        if let Some(restarting) = self.restarting.take() {
            restarting.join().expect("the database starts again");
        }
    }
}

impl Place {
    fn new(seed: u64, postgres: Option<Postgres>) -> Self {
        // In memory, where that is there: each commit to a file is synced.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        Self { seed, folder, lock: None, postgres, failures: 0 }
    }

    pub fn memory(seed: u64) -> Self {
        Self::new(seed, None)
    }

    pub fn file(seed: u64) -> Self {
        let place = Self::new(seed, None);
        let lock = ServerLock::take(&place.folder.path().join("state.db")).expect("no one else has it");
        Self { lock: Some(lock), ..place }
    }

    pub fn postgres(seed: u64) -> Self {
        let server = Arc::new(PostgresServer::start());
        let place = PostgresPlace {
            host: server.socket().to_str().expect("a path").to_owned(),
            port: server.port(),
            database: server.database(),
            user: server.user().to_owned(),
            password: None,
            tls: Tls::Off,
        };
        Self::new(seed, Some(Postgres { server, place, dice: Dice::of(seed, "database"), restarting: None }))
    }

    /// What the file says that defines these plans.
    pub fn config(&self, plans: &[Plan]) -> Config {
        let file = self.folder.path().join("keepfast.toml");
        fs::write(&file, plans::file(plans, &self.folder.path().join("state.db")))
            .expect("it can be written");
        let loaded = definitions::read(&file);
        let report = loaded.report.render(Style::Plain);
        loaded.config.unwrap_or_else(|| panic!("{report}"))
    }

    pub async fn open(&self) -> Store {
        let opened = match (&self.lock, &self.postgres) {
            (Some(lock), _) => Store::open_sqlite(lock).await,
            (None, Some(postgres)) => Store::open_postgres(&postgres.place).await,
            (None, None) => Store::in_memory().await,
        };
        opened.expect("a state")
    }

    /// Whether the database may give no answer, or lose one.
    pub fn is_shaky(&self) -> bool {
        self.postgres.is_some()
    }

    /// What was done; nothing if the database gave no answer, which SQLite never does.
    pub fn may_fail<T>(&mut self, done: Result<T>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(_) if self.is_shaky() => {
                self.failures += 1;
                None
            }
            Err(error) => panic!("seed {}: {error:?}", self.seed),
        }
    }

    /// Kills the database within the next milliseconds, in the middle of whatever is done, and starts it again.
    pub fn restart_database(&mut self) {
        let Some(postgres) = &mut self.postgres else { return };
        postgres.settle();
        let server = Arc::clone(&postgres.server);
        let wait = Duration::from_micros(postgres.dice.below(30_000));
        postgres.restarting = Some(thread::spawn(move || {
            thread::sleep(wait);
            server.restart();
        }));
    }

    /// Waits until the database is there.
    pub fn settle(&mut self) {
        if let Some(postgres) = &mut self.postgres {
            postgres.settle();
        }
    }
}
