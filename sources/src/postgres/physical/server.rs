//! A server that is started from a folder, reached by a socket in a folder alone.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_process::child::{CancellableReader, Ends, Running};
use keepfast_process::tool::{Account, Feed, Tool};
use rustix::process::Signal;

use super::super::tools::Programs;
use super::super::wire::{Mode, connect};
use crate::address::{Address, Engine, Place};
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::served::SOCKET_PATH_BYTES_MAX;

/// A part of the socket's name; nothing listens on it.
const PORT: NonZeroU16 = const { NonZeroU16::new(5432).expect("it isn't zero") };
/// How long a server may take to end when it is asked to, before it is killed.
const END_MAX: Duration = Duration::from_secs(60);
/// How long one that isn't needed any more may take.
const DROP_MAX: Duration = Duration::from_secs(5);
/// How often is looked whether it has ended or answers.
const NAP: Duration = Duration::from_millis(20);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// More isn't read of what a server prints that answers one query.
const SINGLE_BYTES_MAX: u64 = 64 << 10;
/// The database that every server has.
const DATABASE: &str = "template1";

/// How to start one.
pub(super) struct Start<'a> {
    /// The programs of its version.
    pub programs: &'a Programs,
    /// The folder of the data.
    pub data: &'a Path,
    /// A folder that only its user can enter, for the socket and for files of settings.
    pub folder: &'a Path,
    /// As whom.
    pub account: Option<Account>,
    /// Who connects: a user that may do everything.
    pub user: &'a str,
    /// Settings, besides those that every such server has.
    pub settings: &'a [(&'a str, String)],
}

impl Start<'_> {
    /// Nothing of the settings of the server that it is a copy of is read but `postgresql.auto.conf`.
    fn tool(&self, arguments: &[&str], context: &Context<'_>) -> Tool {
        let tool = Tool::new(self.programs.path("postgres"), &context.secrets);
        let mut tool =
            tool.account(self.account).folder(self.folder).args(arguments).arg("-D").arg(self.data);
        let folder = self.folder.display();
        let own = [
            ("config_file", format!("{folder}/postgresql.conf")),
            ("hba_file", format!("{folder}/pg_hba.conf")),
            ("ident_file", format!("{folder}/pg_ident.conf")),
            ("listen_addresses", String::new()),
            ("unix_socket_permissions", "0700".to_owned()),
            ("log_timezone", "UTC".to_owned()),
        ];
        for (name, value) in own.iter().chain(self.settings) {
            tool = tool.arg("-c").arg(format!("{name}={value}"));
        }
        tool
    }

    /// The name of the user that was made with the server, who may do everything. The server must have been stopped.
    pub fn superuser(&self, context: &Context<'_>) -> Result<String> {
        let program = self.programs.path("postgres");
        let failed = |source| SourceError::File { path: program.clone(), source };
        let tool = self.tool(&["--single"], context).arg(DATABASE);
        let mut fed = tool.start(Feed::Pipe, &context.cancel).map_err(failed)?;
        if let Some(mut input) = fed.input.take() {
            input.write_all(b"SELECT rolname FROM pg_authid WHERE oid = 10\n").map_err(failed)?;
        }
        let mut text = String::new();
        fed.started.output.take(SINGLE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let ended = fed.started.running.wait().map_err(failed)?.ok_or(SourceError::Cancelled)?;
        let name = text.split_once("rolname = \"").and_then(|(_, rest)| rest.split_once("\"\t(typeid"));
        name.map(|(name, _)| name.to_owned()).ok_or_else(|| SourceError::Program {
            program: program.display().to_string(),
            status: ended.status.to_string(),
            messages: ended.stderr.unwrap_or_default(),
        })
    }
}

/// A running server. Dropped, it is ended at once.
pub struct Server {
    running: Option<Running>,
    /// What it prints to its standard output is nothing, but the pipe has to stay.
    _output: CancellableReader,
    address: Address,
    program: String,
}

impl Server {
    /// Starts one.
    pub(super) fn start(start: &Start<'_>, context: &Context<'_>) -> Result<Self> {
        let program = start.programs.path("postgres");
        let socket = start.folder.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let why = format!(
                "a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes: choose a folder with a shorter one"
            );
            return Err(SourceError::Unsupported { object: socket.display().to_string(), why });
        }
        let port = PORT.to_string();
        let tool = start.tool(&["-p", &port], context).arg("-k").arg(start.folder);
        let failed = |source| SourceError::File { path: program.clone(), source };
        let fed = tool.start(Feed::Nothing, Ends::from(&context.cancel)).map_err(failed)?;
        let place = Place::Socket { path: start.folder.to_owned(), port: PORT };
        let address = Address::local(Engine::Postgres, place, Some(start.user));
        let (running, output) = (Some(fed.started.running), fed.started.output);
        Ok(Self { running, _output: output, address, program: program.display().to_string() })
    }

    /// How to reach it.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Waits until it has recovered and takes writes. A server that says that it has started may still recover, and end
    /// when it doesn't get to its target.
    pub(super) fn recovered(&mut self, context: &Context<'_>) -> Result<()> {
        loop {
            if self.has_ended()? {
                return Err(self.ended());
            }
            match self.query("SELECT pg_is_in_recovery()", context) {
                Ok(Some(answer)) if answer == "f" => return Ok(()),
                Ok(_) => {}
                Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
                // It doesn't listen, or says that it is starting up. Other refusals stay as they are.
                Err(SourceError::Connect { server, why }) => {
                    if ["role ", "locale", "pg_hba.conf"].iter().any(|reason| why.contains(reason)) {
                        return Err(SourceError::Connect { server, why });
                    }
                }
                Err(SourceError::Server { .. }) => {}
                Err(error) => return Err(error),
            }
            if context.cancel.wait(NAP) {
                return Err(SourceError::Cancelled);
            }
        }
    }

    /// The one value that a query answers, in the database that every server has.
    pub fn query(&self, query: &str, context: &Context<'_>) -> Result<Option<String>> {
        self.query_in(DATABASE, query, context)
    }

    /// The one value that a query answers in a database.
    pub fn query_in(&self, database: &str, query: &str, context: &Context<'_>) -> Result<Option<String>> {
        let to = self.address.with_database(database);
        let mut connection = connect(&to, Mode::Queries, ANSWER_MAX, &context.cancel)?;
        let rows = connection.query(query, query)?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// Ends it with all of its data on disk, so that another start needs no recovery.
    pub fn stop(mut self, context: &Context<'_>) -> Result<()> {
        self.signal(Signal::INT)?;
        let mut waited = Duration::ZERO;
        while !self.has_ended()? {
            if context.cancel.wait(NAP) {
                return Err(SourceError::Cancelled);
            }
            waited += NAP;
            if waited > END_MAX {
                let why = format!("it didn't end within {} seconds", END_MAX.as_secs());
                return Err(SourceError::Program {
                    program: self.program.clone(),
                    status: why,
                    messages: String::new(),
                });
            }
        }
        let ended = self.running.take().and_then(|running| running.wait().ok().flatten());
        match ended {
            Some(ended) if ended.status.success() => Ok(()),
            Some(ended) => Err(SourceError::Program {
                program: self.program.clone(),
                status: ended.status.to_string(),
                messages: ended.stderr.unwrap_or_default(),
            }),
            None => Err(SourceError::Cancelled),
        }
    }

    fn has_ended(&mut self) -> Result<bool> {
        let has_ended = self.running.as_mut().map_or(Ok(true), Running::has_ended);
        has_ended.map_err(|source| SourceError::File { path: PathBuf::from(&self.program), source })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let signalled = self.running.as_ref().map_or(Ok(()), |running| running.signal(signal));
        signalled.map_err(|source| SourceError::File { path: PathBuf::from(&self.program), source })
    }

    /// Why it has ended.
    fn ended(&mut self) -> SourceError {
        match self.running.take().map(Running::wait) {
            Some(Ok(Some(ended))) => SourceError::Program {
                program: self.program.clone(),
                status: ended.status.to_string(),
                messages: ended.stderr.unwrap_or_default(),
            },
            Some(Ok(None)) | None => SourceError::Cancelled,
            Some(Err(source)) => SourceError::File { path: PathBuf::from(&self.program), source },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its children end with it when it is asked; killed, they would take a while to notice.
        let _ = self.signal(Signal::QUIT);
        let mut waited = Duration::ZERO;
        while waited < DROP_MAX && matches!(self.has_ended(), Ok(false)) {
            std::thread::sleep(NAP);
            waited += NAP;
        }
    }
}
