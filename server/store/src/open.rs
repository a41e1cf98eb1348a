//! Opening the state: where it is, the version of its tables, and bringing them to this one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::task::JoinHandle;

use crate::Store;
use crate::db::{CHANNEL, Database, Pools, Waiting, values};
use crate::error::{Result, StoreError};
use crate::lock::ServerLock;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

const READERS_MAX: u32 = 4;
const CONNECTIONS_MAX: u32 = 8;
/// How long a writer waits until another process has written.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Until the next try to hear of other servers' commits; meanwhile readers go by their period.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How connections to PostgreSQL are protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: for a socket of the same machine.
    Off,
    /// The server's certificate must be signed by one of these roots (a PEM file), and name the host.
    Verified {
        /// The roots; `None` for those that every browser knows.
        roots: Option<PathBuf>,
    },
}

/// A PostgreSQL database.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresPlace {
    /// A name or address; or the folder of a Unix socket, which begins with `/`.
    pub host: String,
    /// The port, which also is part of a socket's name.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user.
    pub user: String,
    /// The user's password, if the server asks for one.
    pub password: Option<String>,
    /// How the connections are protected.
    pub tls: Tls,
}

impl std::fmt::Debug for PostgresPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresPlace").field("place", &self.to_string()).finish_non_exhaustive()
    }
}

impl std::fmt::Display for PostgresPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, database, user, .. } = self;
        write!(f, "{database} of {user} at {host}:{port}")
    }
}

impl PostgresPlace {
    fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            // Empty rather than unset, which would take one from the environment.
            .password(self.password.as_deref().unwrap_or_default())
            .application_name("keepfast");
        let options = if self.host.starts_with('/') { options.socket(&self.host) } else { options };
        match &self.tls {
            Tls::Off => options.ssl_mode(PgSslMode::Disable),
            Tls::Verified { roots: None } => options.ssl_mode(PgSslMode::VerifyFull),
            Tls::Verified { roots: Some(roots) } => {
                options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(roots)
            }
        }
    }
}

/// What ends with the last handle of a store.
pub(crate) struct Listening(Option<JoinHandle<()>>);

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

impl Store {
    /// Opens a SQLite database as its server, and makes it where there is none. Older tables are brought to
    /// this version; before that, the database is copied beside itself, to `STATE.before-VERSION`.
    pub fn open_sqlite(lock: &ServerLock) -> Waiting<'_, Self> {
        Self::open_sqlite_as(lock, &SQLITE)
    }

    /// Makes a SQLite database with the tables of a version.
    pub(crate) async fn make_sqlite(lock: &ServerLock, version: i64) -> Result<Self> {
        let state = lock.state();
        create_for_owner_only(state)?;
        let store = connect_sqlite(state).await?;
        let known = SQLITE.iter().filter(|migration| migration.version <= version).cloned().collect();
        if let Pools::Sqlite { writer, .. } = store.db.pools() {
            migrated(&state.display().to_string(), Migrator::with_migrations(known).run(writer).await)?;
        }
        Ok(store)
    }

    fn open_sqlite_as<'a>(lock: &'a ServerLock, newest_tables: &'a Migrator) -> Waiting<'a, Self> {
        Box::pin(async move {
            let state = lock.state();
            create_for_owner_only(state)?;
            let store = connect_sqlite(state).await?;
            let place = state.display().to_string();
            let found = store.tables(&place, newest_tables).await?;
            if found > 0 && found < newest(newest_tables) {
                let mut copy = state.as_os_str().to_owned();
                copy.push(format!(".before-{}", newest(newest_tables)));
                store.copy_sqlite(Path::new(&copy)).await?;
            }
            // On SQLite, the migrations' own lock does nothing: that of the server is the only one.
            if let Pools::Sqlite { writer, .. } = store.db.pools() {
                migrated(&place, newest_tables.run(writer).await)?;
            }
            Ok(store)
        })
    }

    /// Opens a new SQLite database in memory, which is gone with this handle and its clones: for simulations, whose states
    /// no one needs afterwards. It has one connection, so that what is read waits for what is written.
    pub fn in_memory() -> Waiting<'static, Self> {
        Box::pin(async move {
            const PLACE: &str = "a database in memory";
            let failed = |source| StoreError::Open { place: PLACE.to_owned(), source: Box::new(source) };
            let options =
                SqliteConnectOptions::new().in_memory(true).foreign_keys(false).disable_statement_logging();
            // With the connection, the database would be gone.
            let pool = sqlite_pool().max_connections(1).idle_timeout(None).max_lifetime(None);
            let pool = pool.connect_with(options).await.map_err(failed)?;
            migrated(PLACE, SQLITE.run(&pool).await)?;
            Ok(Self::over(Pools::Sqlite { writer: pool.clone(), readers: pool }, PLACE.to_owned()))
        })
    }

    /// Opens a SQLite database beside its server, or without one: tables have to be of this version.
    pub fn join_sqlite(state: &Path) -> Waiting<'_, Self> {
        Box::pin(async move {
            let store = connect_sqlite(state).await?;
            let place = state.display().to_string();
            let (found, known) = (store.tables(&place, &SQLITE).await?, newest(&SQLITE));
            if found < known { Err(StoreError::OlderTables { place, found, known }) } else { Ok(store) }
        })
    }

    /// Opens a PostgreSQL database as one of its servers. Older tables are brought to this version; servers
    /// that start at the same time take turns at that.
    pub fn open_postgres(place: &PostgresPlace) -> Waiting<'_, Self> {
        Box::pin(async move {
            let failed = |source| StoreError::Open { place: place.to_string(), source: Box::new(source) };
            let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
            let pool = pool.connect_with(place.options()).await.map_err(failed)?;
            let mut store = Self::over(Pools::Postgres(pool.clone()), place.to_string());
            store.tables(&place.to_string(), &POSTGRES).await?;
            migrated(&place.to_string(), POSTGRES.run(&pool).await)?;
            store.listening = Arc::new(Listening(Some(tokio::spawn(listen(pool, store.db.clone())))));
            Ok(store)
        })
    }

    fn over(pools: Pools, place: String) -> Self {
        Self { db: Database::new(pools), place: Arc::from(place), listening: Arc::new(Listening(None)) }
    }

    /// Ends all connections; other handles can't be used afterwards.
    pub async fn close(self) {
        drop(self.listening);
        self.db.close().await;
    }

    /// The version of the tables, 0 where there are none; newer ones than this program knows are an error.
    async fn tables(&self, place: &str, known: &Migrator) -> Result<i64> {
        let exists = match self.db.pools() {
            Pools::Sqlite { .. } => {
                "SELECT COUNT(*) AS tables FROM sqlite_master WHERE name = '_sqlx_migrations'"
            }
            Pools::Postgres(_) => {
                "SELECT COUNT(*) AS tables FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')"
            }
        };
        let doing = "reading the version of the tables";
        let row = self.db.row(doing, exists, Vec::new()).await?;
        if row.map_or(Ok(0), |row| row.integer("tables"))? == 0 {
            return Ok(0);
        }
        let sql = "SELECT COALESCE(MAX(version), 0) AS version FROM _sqlx_migrations";
        let row = self.db.row(doing, sql, values![]).await?;
        let (found, known) = (row.map_or(Ok(0), |row| row.integer("version"))?, newest(known));
        if found > known {
            return Err(StoreError::NewerTables { place: place.to_owned(), found, known });
        }
        Ok(found)
    }
}

/// The newest version of the tables that this program knows.
fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn migrated(place: &str, done: std::result::Result<(), sqlx::migrate::MigrateError>) -> Result<()> {
    done.map_err(|source| StoreError::Migrate { place: place.to_owned(), source: Box::new(source) })
}

/// A connection to a database of SQLite doesn't get lost, so that none is tested before it is used.
fn sqlite_pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new().test_before_acquire(false)
}

async fn connect_sqlite(state: &Path) -> Result<Store> {
    let failed = |source| StoreError::Open { place: state.display().to_string(), source: Box::new(source) };
    let options = SqliteConnectOptions::new().filename(state).busy_timeout(BUSY_TIMEOUT).foreign_keys(false);
    // No one listens to what each statement did.
    let options = options.disable_statement_logging();
    let writing = options
        .clone()
        // Before the first table, or it has no effect: space of removed rows can be given back.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // What was committed survives a loss of power.
        .synchronous(SqliteSynchronous::Full);
    let writer = sqlite_pool().max_connections(1).idle_timeout(None).max_lifetime(None);
    let writer = writer.connect_with(writing).await.map_err(failed)?;
    let readers = sqlite_pool().max_connections(READERS_MAX);
    let readers = readers.connect_lazy_with(options.read_only(true));
    Ok(Store::over(Pools::Sqlite { writer, readers }, state.display().to_string()))
}

/// Passes on what other servers commit, for as long as the store is open.
async fn listen(pool: PgPool, db: Database) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // Whatever was committed before is found by the reader that wakes now.
            db.wake();
            while listener.recv().await.is_ok() {
                db.wake();
            }
        }
        if pool.is_closed() {
            return;
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Makes an empty database, which only its owner can read. SQLite gives its other files the same rights.
fn create_for_owner_only(state: &Path) -> Result<()> {
    let mut options = std::fs::File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.create_new(true).write(true).open(state) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(StoreError::file(state, "created", error))
        }
        _ => Ok(()),
    }
}

impl Store {
    /// Writes a consistent copy of a SQLite database to the file `copy`, while others go on to use the
    /// database. A file that is there already is replaced.
    pub fn copy_sqlite<'a>(&'a self, copy: &'a Path) -> Waiting<'a, ()> {
        Box::pin(async move {
            let Pools::Sqlite { writer, .. } = self.db.pools() else {
                return Err(StoreError::SqliteOnly { what: "a copy of the database file" });
            };
            let mut partial = copy.as_os_str().to_owned();
            partial.push(".partial");
            let partial = PathBuf::from(partial);
            match tokio::fs::remove_file(&partial).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::file(&partial, "removed", error));
                }
                _ => {}
            }
            let target = partial.to_str().ok_or_else(|| {
                let problem = std::io::Error::other("SQLite needs a path that is UTF-8");
                StoreError::file(copy, "written", problem)
            })?;
            // SQLite writes into an empty file that is there.
            create_for_owner_only(&partial)?;
            let copied = sqlx::query("VACUUM INTO $1").bind(target.to_owned()).execute(writer).await;
            copied
                .map_err(|source| StoreError::Database { doing: "copying it", source: Box::new(source) })?;
            sync(&partial).await?;
            let renamed = tokio::fs::rename(&partial, copy).await;
            renamed.map_err(|source| StoreError::file(copy, "written", source))?;
            let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty());
            sync(folder.unwrap_or(Path::new("."))).await
        })
    }
}

async fn sync(path: &Path) -> Result<()> {
    let synced = async { tokio::fs::File::open(path).await?.sync_all().await };
    synced.await.map_err(|source| StoreError::file(path, "synced", source))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::{Migration, MigrationType, Migrator};

    use super::{SQLITE, newest};
    use crate::db::tests::fresh;
    use crate::{
        NewDelivery, PageSize, ReaderId, Routing, ScheduleId, Sequence, ServerLock, Store, StoreError,
        TargetId, UtcTime,
    };

    /// This version's tables, and those of a later one.
    fn later() -> Migrator {
        let mut all: Vec<Migration> = SQLITE.iter().cloned().collect();
        let sql = "CREATE TABLE later (x INTEGER)".into_sql_str();
        all.push(Migration::new(newest(&SQLITE) + 1, "later".into(), MigrationType::Simple, sql, false));
        Migrator::with_migrations(all)
    }

    /// The tables of the first version.
    fn first() -> Migrator {
        Migrator::with_migrations(SQLITE.iter().filter(|migration| migration.version == 1).cloned().collect())
    }

    #[tokio::test]
    async fn what_older_tables_hold_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let lock = ServerLock::take(&folder.path().join("state.db")).unwrap();
        let old = Store::open_sqlite_as(&lock, &first()).await.unwrap();
        let mut tx = old.begin("filling old tables").await.unwrap();
        for sql in [
            "INSERT INTO plan_state (plan, born, last_slot) VALUES ('www', 1, 60)",
            "INSERT INTO slot VALUES ('www', 60, 60, 1, 'fired', NULL, 'run 1', 61)",
            "INSERT INTO reader (reader, sequence) VALUES ('routes', 7)",
            "INSERT INTO delivery (number, event, target, document, state, attempts, created, next_attempt) \
             VALUES (5, 1, 'ops', '{}', 'delivered', 1, 1, 1), (9, 2, 'ops', '{}', 'delivered', 1, 1, 1)",
            "DELETE FROM delivery WHERE number = 9",
        ] {
            tx.execute(sql, Vec::new()).await.unwrap();
        }
        tx.commit().await.unwrap();
        old.close().await;

        let store = Store::open_sqlite(&lock).await.unwrap();
        let slots = store.slots(&ScheduleId::new("plan:www").unwrap(), UtcTime::MIN, PageSize::MAX).await;
        assert_eq!(slots.unwrap().iter().map(|slot| slot.run.as_str()).collect::<Vec<_>>(), ["run 1"]);
        assert_eq!(store.plan_states().await.unwrap()[0].born, UtcTime::from_micros(1));
        let reader = ReaderId::new("routes").unwrap();
        let place = store.reader_place(&reader).await.unwrap();
        assert_eq!((place.at, &place.document), (Sequence::from_number(7), &None));
        let new = NewDelivery {
            event: Sequence::from_number(1),
            problem: None,
            target: TargetId::new("ops").unwrap(),
            document: serde_json::json!({}),
            not_before: None,
        };
        let (from, to) = (place.generation, place.at);
        let routing = Routing { reader: &reader, from, to, document: None, deliveries: &[new] };
        assert!(store.route(UtcTime::from_micros(2), &routing).await.unwrap());
        let stored = store.deliveries(None, None, None, PageSize::MAX).await.unwrap().rows;
        let keys: Vec<_> = stored.iter().map(|delivery| delivery.key.number()).collect();
        assert_eq!(keys, [10, 5], "no number is given twice");
    }

    #[tokio::test]
    async fn a_database_is_copied_before_its_tables_are_changed() {
        let (store, folder) = fresh().await;
        store.close().await;
        let version = newest(&SQLITE);
        let state = folder.path().join("state.db");
        let copy = folder.path().join(format!("state.db.before-{}", version + 1));
        let lock = ServerLock::take(&state).unwrap();
        Store::open_sqlite(&lock).await.unwrap().close().await;
        assert!(!copy.exists(), "nothing was to be changed");
        Store::open_sqlite_as(&lock, &later()).await.unwrap().close().await;
        // The copy is of this version; what it was made from no longer is.
        Store::join_sqlite(&copy).await.unwrap();
        let newer = Store::open_sqlite(&lock).await;
        let Err(StoreError::NewerTables { found, known, .. }) = newer else { panic!("{newer:?}") };
        assert_eq!((found, known), (version + 1, version));
    }
}
