//! A server at work in this process, with a state, a repository and a plan of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keepfast_engine::run::{RunContext, Unheard};
use keepfast_http::pages::dashboard;
use keepfast_http::serve::ApiFront;
use keepfast_operations::host::SystemHost;
use keepfast_operations::requests::{Init, init};
use keepfast_server::connect;
use keepfast_server::daemon::outside::{Level, Manager, Voice, Wish};
use keepfast_server::daemon::{self, Serve, definitions};
use keepfast_server::surroundings::Surroundings;
use keepfast_testkit::servers::PostgresServer;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::client::Client;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The password of the first user.
pub const PASSWORD: &str = "a horse that staples batteries";

/// A folder for a server.
pub struct Desk {
    folder: TempDir,
    listen: String,
    /// The database in which the state is; without one, in a file.
    postgres: Option<(Arc<PostgresServer>, String)>,
}

/// A server at work. It ends when this is dropped.
pub struct Server {
    /// The desk that it works at.
    pub desk: Desk,
    /// Where the API is.
    pub base: String,
    /// The token for the first user.
    pub setup_token: String,
    wishing: UnboundedSender<Wish>,
    thread: Option<JoinHandle<()>>,
}

struct Quiet;

impl Manager for Quiet {
    fn ready(&self) {}
    fn reloading(&self) {}
    fn stopping(&self) {}
    fn alive(&self) {}
    fn status(&self, _: &str) {}
}

struct Ear(Mutex<Sender<String>>);

impl Voice for Ear {
    fn say(&self, _: Level, text: &str) {
        let _ = self.0.lock().unwrap().send(text.to_owned());
    }
}

impl Desk {
    /// A folder with a password and something to back up.
    pub fn new() -> Self {
        let desk =
            Self { folder: tempfile::tempdir().unwrap(), listen: "127.0.0.1:0".to_owned(), postgres: None };
        fs::write(desk.path("password"), "correct horse\n").unwrap();
        fs::create_dir(desk.path("source")).unwrap();
        fs::write(desk.path("source/hello.txt"), "hello").unwrap();
        desk
    }

    /// With an address that is known before the server is at it.
    pub fn listening_at(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// One whose state is in PostgreSQL.
    pub fn with_postgres() -> Self {
        let postgres = PostgresServer::shared();
        let database = postgres.database();
        Self { postgres: Some((postgres, database)), ..Self::new() }
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn state(&self) -> String {
        match &self.postgres {
            None => format!("{{ sqlite = {:?} }}", self.path("state/state.db")),
            Some((server, database)) => format!(
                "{{ postgres = {{ socket = {:?}, port = {}, dbname = {database:?}, user = {:?} }} }}\nfolder = {:?}",
                server.socket(),
                server.port(),
                server.user(),
                self.path("state"),
            ),
        }
    }

    fn definitions(&self, server: &str, more: &str) -> String {
        format!(
            "version = 1\n[server]\nlisten = {:?}\ntimezone = \"Europe/Paris\"\n\
             state = {}\n{server}[repository.main]\nurl = {:?}\npassword = {{ file = {:?} }}\n\
             [plan.www]\ndescription = \"Web <b>pages</b>\"\nrepository = \"main\"\n\
             schedule = {{ cron = \"30 1 * * *\", deadline = \"6h\" }}\n\
             source = [{{ files = [{:?}] }}]\n{more}",
            self.listen,
            self.state(),
            self.path("repository"),
            self.path("password"),
            self.path("source"),
        )
    }

    /// What its server brings to its runs.
    pub fn around(&self) -> Surroundings {
        Surroundings {
            host: "ann".to_owned(),
            cache: self.path("cache"),
            children: Default::default(),
            secrets: Default::default(),
            version: "0".to_owned(),
        }
    }
}

impl Server {
    /// Starts one. `more` stands after the definitions of the plan `www`.
    pub fn start(more: &str) -> Self {
        Self::at(Desk::new(), "", more)
    }

    /// Starts one at a desk. `server` stands at the end of what is defined about the server.
    pub fn at(desk: Desk, server: &str, more: &str) -> Self {
        let first_file = desk.path("keepfast.toml");
        fs::write(&first_file, desk.definitions(server, more)).unwrap();
        let (loaded, _) = definitions::read(&first_file);
        let config = loaded.config.unwrap_or_else(|| panic!("{}", loaded.report.to_json()));
        let around = desk.around();
        let shared = connect::repository(&config, &around, &config.repositories["main"]).unwrap();
        let run = RunContext::new(Arc::new(SystemHost), Arc::new(Unheard));
        init(&Init { pack_bytes: 4 << 20, ..Init::default() }, &shared, &run).unwrap();
        Self::serve(desk)
    }

    /// The same server once more, after it has ended: with what it has stored, and its users.
    pub fn again(mut self) -> Self {
        let desk = self.end();
        Self::serve(desk)
    }

    /// Ends it, and leaves its desk.
    pub fn end(&mut self) -> Desk {
        let _ = self.wishing.send(Wish::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        std::mem::replace(&mut self.desk, Desk::new())
    }

    /// Serves what is at a desk.
    pub fn serve(desk: Desk) -> Self {
        let first_file = desk.path("keepfast.toml");
        let (loaded, footprint) = definitions::read(&first_file);
        let config = loaded.config.unwrap_or_else(|| panic!("{}", loaded.report.to_json()));
        let around = desk.around();
        let is_new = !desk.path("begun").exists();
        fs::write(desk.path("begun"), "").unwrap();
        let (wishing, wishes) = unbounded_channel();
        let (saying, said) = channel();
        let serve = Serve {
            first_file,
            config,
            report: loaded.report,
            footprint,
            around,
            host: Arc::new(SystemHost),
            boot: "a boot".to_owned(),
            manager: Arc::new(Quiet),
            voice: Arc::new(Ear(Mutex::new(saying))),
            wishes,
            wishing: wishing.clone(),
            front: Some(Box::new(ApiFront { pages: Some(dashboard()) })),
        };
        let thread = std::thread::spawn(|| daemon::serve(serve).unwrap());
        let base = after(&said, "the API is at ");
        let setup_token = if is_new { after(&said, "make the first one with ") } else { String::new() };
        Self { desk, base, setup_token, wishing, thread: Some(thread) }
    }

    /// A client that isn't signed in.
    pub fn stranger(&self) -> Client {
        Client::new(&self.base)
    }

    /// The first user, signed in.
    pub fn admin(&self) -> Client {
        let mut client = self.stranger();
        let body = json!({ "token": self.setup_token, "user": "ann", "password": PASSWORD });
        client.sign_in("/setup", body);
        client
    }

    /// Another user with this role for a scope, signed in.
    pub fn user(&self, admin: &Client, name: &str, role: &str, scope: &str) -> Client {
        let grants = json!([{ "role": role, "scope": scope }]);
        let body = json!({ "user": name, "password": PASSWORD, "grants": grants });
        admin.post("/users", body).is(201);
        let mut client = self.stranger();
        client.sign_in("/session", json!({ "user": name, "password": PASSWORD }));
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.wishing.send(Wish::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What stands behind some words that are said.
fn after(said: &Receiver<String>, words: &str) -> String {
    let until = Instant::now() + PATIENCE;
    while let Ok(line) = said.recv_timeout(until.saturating_duration_since(Instant::now())) {
        if let Some((_, rest)) = line.split_once(words) {
            return rest.to_owned();
        }
    }
    panic!("it doesn't say {words:?}");
}
