//! What can be done with a database, whichever kind it is: each function asks the engine's own module.

use crate::address::{Address, Engine};
use crate::boot::{Boot, BootOptions};
use crate::check::Check;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;
use crate::{mongodb, mysql, postgres, redis, sqlite};

/// Connects, and looks at what a dump would have. Reads no row.
pub fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    match of.engine {
        Engine::Postgres => postgres::survey(of, options, context),
        Engine::Mysql | Engine::Mariadb => mysql::survey(of, options, context),
        Engine::Mongodb => mongodb::survey(of, options, context),
        Engine::Redis => redis::survey(of, options, context),
        Engine::Sqlite => sqlite::survey(of, options, context),
    }
}

/// Dumps a database, or all of a server, as one consistent state wherever the engine can. When this returns well, the dump
/// is whole, or its manifest says what is missing; otherwise what is in the sink is of no use.
pub fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    let manifest = match from.engine {
        Engine::Postgres => postgres::dump(from, options, sink, context),
        Engine::Mysql | Engine::Mariadb => mysql::dump(from, options, sink, context),
        Engine::Mongodb => mongodb::dump(from, options, sink, context),
        Engine::Redis => redis::dump(from, options, sink, context),
        Engine::Sqlite => sqlite::dump(from, options, sink, context),
    }?;
    manifest.write(sink)?;
    Ok(manifest)
}

/// What a restore would do. Changes nothing.
pub fn plan(
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    let manifest = manifest_for(files, to)?;
    match to.engine {
        Engine::Postgres => postgres::plan(&manifest, files, to, options, context),
        Engine::Mysql | Engine::Mariadb => mysql::plan(&manifest, files, to, options, context),
        Engine::Mongodb => mongodb::plan(&manifest, files, to, options, context),
        Engine::Redis => redis::plan(&manifest, files, to, options, context),
        Engine::Sqlite => sqlite::plan(&manifest, files, to, options, context),
    }
}

/// Restores, counts what is there afterwards, and compares.
pub fn restore(
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let manifest = manifest_for(files, to)?;
    match to.engine {
        Engine::Postgres => postgres::restore(&manifest, files, to, options, context),
        Engine::Mysql | Engine::Mariadb => mysql::restore(&manifest, files, to, options, context),
        Engine::Mongodb => mongodb::restore(&manifest, files, to, options, context),
        Engine::Redis => redis::restore(&manifest, files, to, options, context),
        Engine::Sqlite => sqlite::restore(&manifest, files, to, options, context),
    }
}

fn manifest_for(files: &dyn Files, to: &Address) -> Result<Manifest> {
    let manifest = Manifest::read(files)?;
    let is_related = |engine| matches!(engine, Engine::Mysql | Engine::Mariadb);
    if manifest.engine == to.engine || is_related(manifest.engine) && is_related(to.engine) {
        return Ok(manifest);
    }
    let why = format!("the dump is of {}, and this is {}", manifest.engine, to.engine);
    Err(SourceError::Unsupported { object: to.to_string(), why })
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
