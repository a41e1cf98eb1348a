//! The state as a process uses it that runs plans: opened, with the name of the process, and the clock.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_config::model::source::Tls as DefinedTls;
use keepfast_operations::child::Children;
use keepfast_operations::secret::{Purpose, SecretReader};
use keepfast_store::{
    BootId, Executor, PostgresPlace, ServerId, ServerLock, Store, StoreError, Tls, UtcTime,
};

use crate::convert::secret;
use crate::error::{Result, ServerError};

/// How often, and how long each time, a process waits for another one that makes the tables.
const MAKING_WAITS: u32 = 120;
const MAKING_WAIT: Duration = Duration::from_millis(250);
/// Where the state is if nothing else is said.
const USUAL_FOLDER: &str = "/var/lib/keepfast";
/// The lock of a machine's server, where the state is in a database that others use as well.
pub const SERVER_LOCK: &str = "server.lock";
/// What the names of servers begin with.
const SERVER_PREFIX: &str = "server ";
/// What the names of processes begin with that run one plan without a server.
const SINGLE_PREFIX: &str = "run ";
/// The port of PostgreSQL.
const POSTGRES_PORT: u16 = 5432;

/// Now, as the state has instants.
#[must_use]
pub fn now() -> UtcTime {
    stored(Timestamp::now())
}

/// An instant as the state has it.
#[must_use]
pub fn stored(at: Timestamp) -> UtcTime {
    UtcTime::from_micros(at.as_microsecond())
}

/// An instant of the state; those beyond the calendar are its edges.
#[must_use]
pub fn instant(at: UtcTime) -> Timestamp {
    let edge = if at.as_micros() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(at.as_micros()).unwrap_or(edge)
}

/// A name of 128 random bits.
pub fn random_name() -> Result<String> {
    Ok(HEXLOWER.encode(&random_bytes()?))
}

/// 128 random bits.
pub fn random_bytes() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(ServerError::Random)?;
    Ok(bytes)
}

/// This process in the state: a server of this name, in a life of its own.
pub fn process(server: &str) -> Result<Executor> {
    let name = ServerError::name;
    Ok(Executor {
        server: ServerId::new(server).map_err(name(server))?,
        boot: BootId::new(random_name()?).map_err(name("boot"))?,
    })
}

/// The name of a machine's server in the state.
#[must_use]
pub fn server_name(machine: &str) -> String {
    format!("{SERVER_PREFIX}{machine}")
}

/// The name, in the state, of a process of a machine that runs one plan. Only a process with the plan's lock has it, so
/// that the processes that had it before are over.
#[must_use]
pub fn single_name(plan: &str, machine: &str) -> String {
    format!("{SINGLE_PREFIX}{plan} {machine}")
}

/// The plan that a process of this name runs; nothing if the process is a server, or something else.
#[must_use]
pub fn single_plan(server: &ServerId) -> Option<&str> {
    server.as_str().strip_prefix(SINGLE_PREFIX)?.rsplit_once(' ').map(|(plan, _)| plan)
}

/// The machine on which a process of this name was; nothing if it is another kind of process.
#[must_use]
pub fn machine_of(server: &ServerId) -> Option<&str> {
    let single = || server.as_str().strip_prefix(SINGLE_PREFIX)?.rsplit_once(' ');
    server.as_str().strip_prefix(SERVER_PREFIX).or_else(|| single().map(|(_, machine)| machine))
}

/// Whether a process of this name is a machine's server.
#[must_use]
pub fn is_server(server: &ServerId) -> bool {
    server.as_str().starts_with(SERVER_PREFIX)
}

/// The folder for what isn't in the database: logs, locks, the socket of the server.
pub fn folder(config: &Config) -> PathBuf {
    let server = &config.server.value;
    match (&server.folder, folder_of_file(config)) {
        (Some(folder), _) => folder.0.clone(),
        (None, Some(folder)) => folder,
        (None, None) => PathBuf::from(USUAL_FOLDER),
    }
}

/// The folder of the database; nothing if it is in PostgreSQL.
fn folder_of_file(config: &Config) -> Option<PathBuf> {
    let file = config.server.value.state.sqlite.as_ref()?;
    Some(file.0.parent().map(Path::to_owned).unwrap_or_default())
}

/// The folders that the state needs on this machine.
#[must_use]
pub fn folders(config: &Config) -> BTreeSet<PathBuf> {
    folder_of_file(config).into_iter().chain([folder(config)]).collect()
}

/// The folder in which drills have theirs, unless they name another one. Backups leave it out.
#[must_use]
pub fn drills(config: &Config) -> PathBuf {
    folder(config).join("drills")
}

/// Makes them, so that only their owner may enter.
pub fn make_folders(config: &Config) -> Result<()> {
    folders(config).iter().try_for_each(|folder| make_folder(folder))
}

/// The file that the state is in; nothing if it is in PostgreSQL.
#[must_use]
pub fn file(config: &Config) -> Option<PathBuf> {
    let state = &config.server.value.state;
    match (&state.sqlite, &state.postgres) {
        (Some(file), _) => Some(file.0.clone()),
        (None, Some(_)) => None,
        (None, None) => Some(folder(config).join("state.db")),
    }
}

/// Opens the state. It is made where there is none, unless a server runs with it.
pub async fn open(config: &Config, children: &Children) -> Result<Store> {
    let state = &config.server.value.state;
    if let Some(database) = &state.postgres {
        let password = |reference| -> Result<String> {
            let source = secret::source(reference, "server")?;
            let cancel = Cancel::new();
            let reader = SecretReader { what: "password of the state database", children, cancel: &cancel };
            Ok(reader.password(&source, Purpose::Open)?.to_string())
        };
        let socket = database.socket.as_ref().map(|socket| socket.0.display().to_string());
        let has_socket = socket.is_some();
        let place = PostgresPlace {
            host: socket.unwrap_or_else(|| database.host.0.clone()),
            port: database.port.map_or(POSTGRES_PORT, u16::from),
            database: database.dbname.clone().unwrap_or_else(|| "keepfast".to_owned()),
            user: database.user.clone().unwrap_or_else(|| "keepfast".to_owned()),
            password: database.password.as_ref().map(password).transpose()?,
            tls: match database.tls {
                DefinedTls::Verify => {
                    Tls::Verified { roots: database.ca_file.as_ref().map(|file| file.0.clone()) }
                }
                DefinedTls::Prefer if !has_socket && !is_this_machine(&database.host.0) => {
                    Tls::Verified { roots: database.ca_file.as_ref().map(|file| file.0.clone()) }
                }
                DefinedTls::Off | DefinedTls::Prefer => Tls::Off,
            },
        };
        return Ok(Store::open_postgres(&place).await?);
    }
    let file = state.sqlite.as_ref().map_or_else(|| folder(config).join("state.db"), |file| file.0.clone());
    make_folders(config)?;
    let mut waits = 0;
    loop {
        let is_new = !file.exists();
        match Store::join_sqlite(&file).await {
            Err(StoreError::OlderTables { .. }) => {}
            Err(StoreError::Open { .. }) if is_new => {}
            joined => return Ok(joined?),
        }
        // No server runs with it, or it would have made the tables: this process does, and lets go of it again.
        match ServerLock::take(&file) {
            Ok(lock) => Store::open_sqlite(&lock).await?.close().await,
            // Another run makes the tables at this moment.
            Err(StoreError::InUse { .. }) if waits < MAKING_WAITS => {
                waits += 1;
                tokio::time::sleep(MAKING_WAIT).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// Makes a folder that only its owner may enter.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| ServerError::StateFolder { folder: folder.to_owned(), source })
}

/// The name of this machine in the state: random, and kept beside the state. A host's own name may change, in a container
/// at each start.
pub fn machine(folder: &Path) -> Result<String> {
    machine_named(folder, &random_name()?)
}

/// The same; a machine that has no name yet gets this one.
pub fn machine_named(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join("machine");
    let failed = |source| ServerError::StateFile { file: path.clone(), source };
    let read = || fs::read_to_string(&path).map(|name| name.trim().to_owned());
    match read() {
        Ok(name) if !name.is_empty() => return Ok(name),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let new = folder.join(format!("machine.{}", random_name()?));
    fs::write(&new, name).map_err(failed)?;
    // Of several processes that make one at once, all take the one that was first.
    let linked = fs::hard_link(&new, &path);
    fs::remove_file(&new).map_err(failed)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => read().map_err(failed),
    }
}

/// The right to run a plan by hand on this machine. It is the system's lock on an open file, so it ends with its
/// process, however that ends: a process that holds it knows that no earlier holder lives.
#[derive(Debug)]
pub struct PlanLock {
    _file: File,
}

impl PlanLock {
    /// Takes the lock of a plan; nothing if another process has it.
    pub fn take(folder: &Path, plan: &str) -> Result<Option<Self>> {
        let locks = folder.join("locks");
        make_folder(&locks)?;
        let path = locks.join(format!("plan-{plan}.lock"));
        let failed = |source| ServerError::StateFile { file: path.clone(), source };
        let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// How long a run may be silent before it is lost, and how often it says something.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// The length.
    pub length: Duration,
    /// The time between two beats.
    pub beat: Duration,
}

impl Lease {
    /// What runs have. A beat every few seconds is also how soon a wish to cancel is heard.
    pub const USUAL: Self = Self { length: Duration::from_secs(120), beat: Duration::from_secs(5) };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::path::Path;

    use super::{folder, folders};
    use crate::testing::repository::config;

    #[test]
    fn logs_and_locks_are_beside_the_database_unless_a_folder_is_named() {
        let beside = config("state = { sqlite = \"/srv/kf/state.db\" }");
        assert_eq!(folder(&beside), Path::new("/srv/kf"));
        assert_eq!(folders(&beside).len(), 1);
        let named = config("state = { sqlite = \"/srv/kf/state.db\" }\nfolder = \"/var/kf\"");
        assert_eq!(folder(&named), Path::new("/var/kf"));
        assert!(folders(&named).contains(Path::new("/srv/kf")), "the database needs its folder, too");
        let shared = "state = { postgres = { host = \"db\" } }";
        assert_eq!(folder(&config(shared)), Path::new("/var/lib/keepfast"));
        let named = config(&format!("{shared}\nfolder = \"/var/kf\""));
        assert_eq!(folders(&named).into_iter().collect::<Vec<_>>(), [Path::new("/var/kf")]);
    }
}
