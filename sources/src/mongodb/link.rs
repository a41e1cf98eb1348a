//! A connection to a server, by the makers' own driver. Whatever is asked ends with the run.

use std::future::Future;
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use mongodb::{Client, Database};
use tokio::runtime::{Builder, Runtime};

use crate::address::{self, Address, Place};
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::tls;

/// How often a wait looks whether the run is cancelled.
const LOOK: Duration = Duration::from_millis(50);
/// What of an answer is shown in a message.
const SHOWN_BYTES_MAX: usize = 1 << 10;
/// Users are kept in this database, unless someone has put them elsewhere.
const USERS: &str = "admin";
/// The user's rights that a whole dump needs.
pub const GRANT: &str = "`db.grantRolesToUser(USER, [{ role: \"backup\", db: \"admin\" }])`";
/// The code of a refusal for lack of rights.
const UNAUTHORIZED: i32 = 13;
/// The code of a refusal because there is no such collection.
const NAMESPACE_NOT_FOUND: i32 = 26;

/// A server that a user was let into. Threads may share it.
pub struct Link {
    client: Client,
    runtime: Runtime,
    server: String,
    cancel: Cancel,
    secrets: KnownSecrets,
}

impl Link {
    /// Connects to this server, and to no other of its replica set.
    pub fn open(to: &Address, timeout: Duration, context: &Context<'_>) -> Result<Self> {
        let server = to.to_string();
        let failed = |why: String| SourceError::Connect { server: server.clone(), why };
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("mongodb").enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let options = options(to, timeout).map_err(failed)?;
        let client = runtime.block_on(async { Client::with_options(options) });
        let client = client.map_err(|error| failed(error.to_string()))?;
        let (cancel, secrets) = (context.cancel.clone(), context.secrets.clone());
        let link = Self { client, runtime, server: server.clone(), cancel, secrets };
        match link.attempt(link.client.database(USERS).run_command(doc! { "ping": 1 }).into_future())? {
            Ok(_) => Ok(link),
            Err(error) => Err(failed(link.shown(&error))),
        }
    }

    /// The address, for messages.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A database of the server.
    pub fn database(&self, name: &str) -> Database {
        self.client.database(name)
    }

    /// Waits for an answer, unless the run is cancelled before.
    pub fn attempt<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<Result<T, Error>> {
        self.runtime.block_on(async {
            let cancelled = async {
                while !self.cancel.is_cancelled() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                biased;
                () = cancelled => Err(SourceError::Cancelled),
                answer = asked => Ok(answer),
            }
        })
    }

    /// The same; a refusal is an error.
    pub fn wait<T>(&self, what: &str, asked: impl Future<Output = Result<T, Error>>) -> Result<T> {
        self.attempt(asked)?.map_err(|error| self.refused(what, &error))
    }

    /// A command.
    pub fn command(&self, database: &str, command: Document) -> Result<Document> {
        let what = command.keys().next().cloned().unwrap_or_default();
        self.wait(&what, self.database(database).run_command(command).into_future())
    }

    /// What the server or the driver says.
    pub fn refused(&self, what: &str, error: &Error) -> SourceError {
        SourceError::Server { server: self.server.clone(), what: what.to_owned(), why: self.shown(error) }
    }

    /// An error as a message may show it.
    pub fn shown(&self, error: &Error) -> String {
        let text = match error.kind.as_ref() {
            ErrorKind::Command(refusal) => refusal.message.clone(),
            ErrorKind::Io(_) => format!("the connection has ended ({})", error.kind),
            other => other.to_string(),
        };
        String::from_utf8_lossy(&self.secrets.last_of(text.as_bytes(), SHOWN_BYTES_MAX)).into_owned()
    }
}

/// Whether something was refused for lack of rights.
pub fn lacks_rights(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(refusal) if refusal.code == UNAUTHORIZED)
}

/// Whether a collection isn't there.
pub fn isnt_there(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(refusal) if refusal.code == NAMESPACE_NOT_FOUND)
}

fn options(to: &Address, timeout: Duration) -> Result<ClientOptions, String> {
    let (host, tls) = match &to.place {
        Place::Socket { path, .. } => (ServerAddress::Unix { path: path.clone() }, None),
        Place::Server { host, port } => {
            let address = ServerAddress::Tcp { host: host.clone(), port: Some(port.get()) };
            (address, encryption(to, host, port.get(), timeout)?)
        }
        Place::File(_) => return Err("a file isn't a server".to_owned()),
    };
    let mut options = ClientOptions::default();
    options.hosts = vec![host];
    options.tls = tls;
    options.app_name = Some("keepfast".to_owned());
    options.direct_connection = Some(true);
    options.connect_timeout = Some(timeout);
    options.server_selection_timeout = Some(timeout);
    options.credential = to.user.as_ref().map(|user| {
        let mut credential = Credential::default();
        credential.username = Some(user.clone());
        credential.password = to.password.as_ref().map(|password| password.reveal().to_owned());
        credential.source = Some(USERS.to_owned());
        credential
    });
    Ok(options)
}

/// Whether the connection is to be encrypted. One that is preferred is tried first: a server that can't ends it.
fn encryption(to: &Address, host: &str, port: u16, timeout: Duration) -> Result<Option<Tls>, String> {
    let mut options = TlsOptions::default();
    match to.tls {
        address::Tls::Off => return Ok(None),
        address::Tls::Verify => options.ca_file_path = to.ca_file.clone(),
        address::Tls::Prefer => {
            if !tls::answers(to, host, port, timeout).map_err(|error| error.to_string())? {
                return Ok(None);
            }
            options.allow_invalid_certificates = Some(true);
        }
    }
    Ok(Some(Tls::Enabled(options)))
}
