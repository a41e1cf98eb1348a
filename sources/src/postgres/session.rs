//! A connection to PostgreSQL, with a small runtime of its own. Whatever it waits for ends with the run.

use std::error::Error as _;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use keepfast_process::child::Ends;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage};

use super::tls;
use crate::address::{Address, Place, Tls};
use crate::error::{Result, SourceError};

/// How often a wait looks whether the run is cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// How long an end in good order may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// After this much silence the system asks whether the other side is there, so that no firewall forgets the connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The name by which the server's administrator sees the connections.
pub const APPLICATION: &str = "keepfast";

/// As pg_dump sets them, so that rows are written the same whatever a role's or database's settings are.
const READING: &str = "SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3; \
    SET synchronize_seqscans = off; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
    SET row_security = off; SET standard_conforming_strings = on; SET client_min_messages = warning; \
    SELECT pg_catalog.set_config('search_path', '', false)";
/// As a dump of pg_dump sets them when it is restored.
const WRITING: &str = "SET datestyle = ISO; SET intervalstyle = postgres; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET standard_conforming_strings = on; SET row_security = off; \
    SET check_function_bodies = false; SET xmloption = content; SET client_min_messages = warning; \
    SELECT pg_catalog.set_config('search_path', '', false)";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For rows that are read.
    Reading,
    /// For rows that are written.
    Writing,
    /// For questions of a person, with the settings that the person has.
    Asking,
}

/// Who connects where.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    /// The server.
    pub address: &'a Address,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// What ends the connection early.
    pub ends: Ends,
}

/// A connection.
pub struct Session {
    client: Option<Client>,
    driver: Option<JoinHandle<()>>,
    // After the client and its driver, which live in it.
    runtime: Runtime,
    ends: Ends,
    server: String,
    version: u32,
}

/// Who connects if the address doesn't say.
pub fn user_of(address: &Address) -> Result<String> {
    if let Some(user) = &address.user {
        return Ok(user.clone());
    }
    let number = rustix::process::geteuid().as_raw();
    let found = uzers::get_user_by_uid(number).and_then(|user| user.name().to_str().map(str::to_owned));
    found.ok_or_else(|| SourceError::Connect {
        server: address.to_string(),
        why: format!("the address has no user, and user {number} of this machine has no name"),
    })
}

impl Session {
    /// Connects to a database.
    pub fn connect(login: &Login<'_>, database: &str, purpose: Purpose) -> Result<Self> {
        let Login { address, timeout, ends } = login;
        let server = address.with_database(database).to_string();
        let failed = |why: String| SourceError::Connect { server: server.clone(), why };
        let mut config = Config::new();
        config.user(user_of(address)?).dbname(database).application_name(APPLICATION);
        config.connect_timeout(*timeout).keepalives_idle(KEEPALIVE);
        if let Some(password) = &address.password {
            config.password(password.reveal());
        }
        let is_encrypted = match &address.place {
            Place::Server { host, port } => {
                config.host(host).port(port.get());
                address.tls != Tls::Off
            }
            Place::Socket { path, port } => {
                config.host_path(path).port(port.get());
                false
            }
            Place::File(path) => return Err(failed(format!("{} is a file", path.display()))),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let connected = waited(&runtime, ends, async {
            tokio::time::timeout(*timeout, async {
                if is_encrypted {
                    config.ssl_mode(if address.tls == Tls::Verify {
                        SslMode::Require
                    } else {
                        SslMode::Prefer
                    });
                    let tls = tls::connector(address)?;
                    let (client, driver) = config.connect(tls).await.map_err(|error| failed(said(&error)))?;
                    Ok::<_, SourceError>((client, tokio::spawn(async { drop(driver.await) })))
                } else {
                    let (client, driver) =
                        config.connect(NoTls).await.map_err(|error| failed(said(&error)))?;
                    Ok((client, tokio::spawn(async { drop(driver.await) })))
                }
            })
            .await
        })?;
        let too_long = |_| failed(format!("it didn't answer within {} seconds", timeout.as_secs_f32()));
        let (client, driver) = connected.map_err(too_long)??;
        let mut session = Self {
            client: Some(client),
            driver: Some(driver),
            runtime,
            ends: ends.clone(),
            server,
            version: 0,
        };
        match purpose {
            Purpose::Reading => session.execute("its settings", READING)?,
            Purpose::Writing => session.execute("its settings", WRITING)?,
            Purpose::Asking => {}
        }
        let number: i32 =
            session.value("its version", "SELECT current_setting('server_version_num')::int", &[])?;
        session.version = u32::try_from(number).unwrap_or(0);
        if session.version >= 170_000 && purpose != Purpose::Asking {
            session.execute("its settings", "SET transaction_timeout = 0")?;
        }
        Ok(session)
    }

    /// The server's version as a number, such as 150018.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The server's version as it says it, such as `15.18`.
    pub fn version_text(&self) -> Result<String> {
        let text: String = self.value("its version", "SELECT current_setting('server_version')", &[])?;
        Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// What ends it.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// The client, for a future that [`Self::wait`] waits for.
    pub fn client(&self) -> Result<&Client> {
        self.client.as_ref().ok_or_else(|| self.error("a request", "the connection is closed".to_owned()))
    }

    /// Waits for what the client does.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output> {
        waited(&self.runtime, &self.ends, future)
    }

    /// Waits for what the client does; `what` says in an error what was asked.
    pub fn run<T>(&self, what: &str, future: impl Future<Output = PgResult<T>>) -> Result<T> {
        self.wait(future)?.map_err(|error| self.error(what, said(&error)))
    }

    /// Runs statements that answer nothing.
    pub fn execute(&self, what: &str, sql: &str) -> Result<()> {
        self.run(what, self.client()?.batch_execute(sql))
    }

    /// Runs statements that may fail: with the code of the failure.
    pub fn attempt(&self, sql: &str) -> Result<Result<(), (Option<SqlState>, String)>> {
        let done = self.wait(self.client()?.batch_execute(sql))?;
        Ok(done.map_err(|error| (error.code().cloned(), said(&error))))
    }

    /// The rows that a query answers.
    pub fn rows(&self, what: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.run(what, self.client()?.query(sql, values))
    }

    /// The one value that a query answers.
    pub fn value<T>(&self, what: &str, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<T>
    where
        T: for<'b> tokio_postgres::types::FromSql<'b>,
    {
        let row = self.run(what, self.client()?.query_one(sql, values))?;
        self.column(what, &row, 0)
    }

    /// A column of a row.
    pub fn column<'r, T>(&self, what: &str, row: &'r Row, index: usize) -> Result<T>
    where
        T: tokio_postgres::types::FromSql<'r>,
    {
        row.try_get(index).map_err(|error| self.error(what, said(&error)))
    }

    /// The first value of the first row, as text.
    pub fn text(&self, what: &str, sql: &str) -> Result<Option<String>> {
        let messages = self.run(what, self.client()?.simple_query(sql))?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        Ok(row.flatten())
    }

    /// An error of this server.
    pub fn error(&self, what: &str, why: String) -> SourceError {
        SourceError::Server { server: self.server.clone(), what: what.to_owned(), why }
    }
}

/// What the client's functions return.
pub type PgResult<T> = std::result::Result<T, tokio_postgres::Error>;

/// Waits, and looks now and then whether the run shall end.
fn waited<F: Future>(runtime: &Runtime, ends: &Ends, future: F) -> Result<F::Output> {
    runtime.block_on(async {
        let mut future = pin!(future);
        loop {
            if ends.is_over() {
                return Err(SourceError::Cancelled);
            }
            if let Ok(output) = tokio::time::timeout(LOOK, &mut future).await {
                return Ok(output);
            }
        }
    })
}

/// What the server or the connection says of a failure.
pub fn said(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        let more = [server.detail(), server.hint()].into_iter().flatten();
        return more.fold(server.message().to_owned(), |text, more| format!("{text} ({more})"));
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Ends the connection in good order, so that the server's log has no complaint.
impl Drop for Session {
    fn drop(&mut self) {
        let client = self.client.take();
        if self.ends.is_over() {
            // What the server does for this connection is of no use any more, such as a long wait for a lock.
            if let Some(token) = client.as_ref().map(Client::cancel_token) {
                let cancelled = async { tokio::time::timeout(CLOSE_MAX, token.cancel_query(NoTls)).await };
                drop(self.runtime.block_on(cancelled));
            }
        }
        drop(client);
        if let Some(driver) = self.driver.take() {
            drop(self.runtime.block_on(async { tokio::time::timeout(CLOSE_MAX, driver).await }));
        }
    }
}
