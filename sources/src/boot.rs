//! Servers of their own, for a drill: started from nothing in a folder of its own, reached by a socket in it alone, as a
//! user without rights, and gone afterwards.

use std::path::PathBuf;

use keepfast_process::tool::Account;

use crate::address::{Address, Engine};
use crate::check::Check;
use crate::context::Context;
use crate::error::Result;
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::Until;
use crate::{mongodb, mysql, postgres, redis, sqlite};

/// How to start a server.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// An empty folder that only the server's user may enter. It is on a file system that has room for the data.
    pub folder: PathBuf,
    /// Whom it runs as; none means this process's user, which must not be root for PostgreSQL.
    pub account: Option<Account>,
    /// The version that is wanted, as the dump has it, such as `15.20`: the same first number for PostgreSQL.
    pub version: String,
    /// The memory that it may take, in bytes.
    pub memory: Option<u64>,
    /// Up to which moment, for what was backed up with its log.
    pub until: Option<Until>,
}

/// A server that was started with a dump inside.
pub struct Booted {
    /// How to reach it.
    pub address: Address,
    /// The version that it says.
    pub version: String,
    /// Keeps it running; dropped, it is ended.
    pub server: Box<dyn Send>,
    /// Seconds from the start of the restore to the first answer.
    pub answered_after: std::time::Duration,
    /// What was compared while the dump was restored.
    pub checks: Vec<Check>,
}

/// What came of an attempt to start a server.
pub enum Boot {
    /// It runs, and has the dump.
    Running(Booted),
    /// It can't be tested here, such as because this version isn't installed. That says nothing about the dump.
    NotHere(String),
}

/// Starts a server of the dump's engine in a folder of its own and restores the dump into it.
///
/// If the dump is of one database, the address that is returned names it, so that queries are asked there.
pub fn boot(engine: Engine, files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let booted = match engine {
        Engine::Postgres => postgres::boot(files, options, context),
        Engine::Mysql | Engine::Mariadb => mysql::boot(files, options, context),
        Engine::Mongodb => mongodb::boot(files, options, context),
        Engine::Redis => redis::boot(files, options, context),
        Engine::Sqlite => sqlite::boot(files, options, context),
    }?;
    let Boot::Running(mut booted) = booted else { return Ok(booted) };
    let has_names = matches!(engine, Engine::Postgres | Engine::Mysql | Engine::Mariadb | Engine::Mongodb);
    if has_names && let [only] = &Manifest::read(files)?.databases[..] {
        booted.address.database.get_or_insert_with(|| only.name.clone());
    }
    Ok(Boot::Running(booted))
}

/// Whether the data of a server is sound, by the engine's own programs and queries.
pub fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    match server.engine {
        Engine::Postgres => postgres::examine(server, context),
        Engine::Mysql | Engine::Mariadb => mysql::examine(server, context),
        Engine::Mongodb => mongodb::examine(server, context),
        Engine::Redis => redis::examine(server, context),
        Engine::Sqlite => sqlite::examine(server, context),
    }
}

/// The one value that a query answers, as text; none for NULL and for no row. With Redis the query is a command, with
/// MongoDB a command as JSON.
pub fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    match server.engine {
        Engine::Postgres => postgres::ask(server, query, context),
        Engine::Mysql | Engine::Mariadb => mysql::ask(server, query, context),
        Engine::Mongodb => mongodb::ask(server, query, context),
        Engine::Redis => redis::ask(server, query, context),
        Engine::Sqlite => sqlite::ask(server, query, context),
    }
}
