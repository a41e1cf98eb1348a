//! A logical dump of a server: its roles, and each database as an archive of definitions beside one file for each table.

use std::collections::{BTreeMap, BTreeSet};

use keepfast_process::child::Ends;
use tokio_postgres::Row;

use super::database;
use super::job::{Job, write};
use super::names::{file_part, matches_any, quoted};
use super::session::{Login, Purpose, Session};
use super::tools::{ChildReader, Programs, knows};
use crate::address::{Address, Engine};
use crate::context::Context;
use crate::dump::{Content, DumpOptions, OnMissing};
use crate::error::{Result, SourceError};
use crate::manifest::{Form, Manifest, Missing};
use crate::sink::Sink;

/// Roles and tablespaces, as SQL.
pub const GLOBALS: &str = "globals.sql";
/// What pg_dump and pg_dumpall write into plain files in place of a random word, so that files of what hasn't changed
/// are the same.
const RESTRICT_KEY: &str = "--restrict-key";
/// The database that is asked about the others, if the address names none; then one that is always there.
const USUAL: [&str; 2] = ["postgres", "template1"];

/// Connects to the database that the address names, or to one that is there on each server.
pub fn connect_to_any(login: &Login<'_>, purpose: Purpose) -> Result<(Session, String)> {
    let names = match &login.address.database {
        Some(name) => vec![name.as_str()],
        None => USUAL.to_vec(),
    };
    let mut first = None;
    for name in names {
        match Session::connect(login, name, purpose) {
            Ok(session) => return Ok((session, name.to_owned())),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or(SourceError::Cancelled))
}

/// The databases that are meant, and which of them the user may not connect to.
pub fn databases(session: &Session, from: &Address, options: &DumpOptions) -> Result<Vec<(String, bool)>> {
    let what = "the list of its databases";
    let sql = "SELECT datname::text, pg_catalog.has_database_privilege(datname, 'CONNECT') FROM pg_catalog.pg_database
        WHERE datallowconn AND NOT datistemplate ORDER BY datname COLLATE \"C\"";
    let pair = |row: &Row| Ok((session.column(what, row, 0)?, session.column(what, row, 1)?));
    let all: Vec<(String, bool)> = session.rows(what, sql, &[])?.iter().map(pair).collect::<Result<_>>()?;
    let patterns = match (&options.selection.databases[..], &from.database) {
        ([], Some(name)) if !all.iter().any(|(known, _)| known == name) => {
            // A template is dumped if it is named.
            return Ok(vec![(name.clone(), true)]);
        }
        ([], Some(name)) => return Ok(all.into_iter().filter(|(known, _)| known == name).collect()),
        ([], None) => return Ok(all),
        (patterns, _) => patterns,
    };
    let is_name = |pattern: &&String| !pattern.contains(['*', '?']);
    if let Some(name) =
        patterns.iter().filter(is_name).find(|&name| !all.iter().any(|(known, _)| known == name))
    {
        let why = "the server has no such database".to_owned();
        return Err(SourceError::Missing { object: format!("database {name}"), why });
    }
    Ok(all.into_iter().filter(|(name, _)| matches_any(patterns, name)).collect())
}

/// Dumps.
pub fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    let login = Login { address: from, timeout: options.connect_timeout, ends: Ends::from(&context.cancel) };
    let (session, first) = connect_to_any(&login, Purpose::Reading)?;
    let mut manifest = Manifest::new(Engine::Postgres, Form::Logical, session.version_text()?);
    manifest.server_id = server_id(&session);
    let programs = Programs::fitting("pg_dump", session.version() / 10_000, context)?;
    manifest.tools.insert("pg_dump".to_owned(), programs.version.to_string());
    let user: String = session.value("its user", "SELECT current_user::text", &[])?;
    let mut names = Vec::new();
    for (name, may_connect) in databases(&session, from, options)? {
        if may_connect {
            names.push(name);
            continue;
        }
        let cure = format!("GRANT CONNECT ON DATABASE {} TO {}", quoted(&name), quoted(&user));
        let why = format!("{user} may not connect to it; this lets it: {cure}");
        missing(&mut manifest, options, format!("database {name}"), why)?;
    }
    if options.selection.content != Content::Data {
        globals(&session, &programs, &login, &first, sink, context, &mut manifest)?;
    }
    drop(session);
    let mut unknown: Option<BTreeSet<String>> = None;
    for name in &names {
        let job =
            Job { login: &login, name, folder: file_part(name), programs: &programs, options, sink, context };
        let done = database::dump(&job, names.len() == 1)?;
        let here: BTreeSet<String> = done.unknown.into_iter().collect();
        unknown = Some(unknown.map_or(here.clone(), |before| &before & &here));
        // The first moment: what was committed before it is in each of them.
        if manifest.moment.as_ref().is_none_or(|first| *first > done.moment) {
            manifest.moment = Some(done.moment.clone());
        }
        let position = BTreeMap::from([
            (format!("lsn of {name}"), done.lsn),
            (format!("moment of {name}"), Some(done.moment)),
        ]);
        let known = position.into_iter().filter_map(|(name, value)| Some((name, value?)));
        manifest.position.extend(known);
        manifest.databases.push(done.database);
        manifest.missing.extend(done.missing);
    }
    match unknown.unwrap_or_default().into_iter().next() {
        Some(object) => {
            Err(SourceError::Missing { object, why: "no database that is dumped has it".to_owned() })
        }
        None => Ok(manifest),
    }
}

/// What can't be dumped ends the dump, or is told of.
fn missing(manifest: &mut Manifest, options: &DumpOptions, object: String, why: String) -> Result<()> {
    if options.on_missing == OnMissing::Fail {
        return Err(SourceError::Missing { object, why });
    }
    manifest.missing.push(Missing { object, why });
    Ok(())
}

/// PostgreSQL's own number of the server; an old one doesn't tell it to everyone.
pub fn server_id(session: &Session) -> Option<String> {
    let sql = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
    session.value("its number", sql, &[]).ok()
}

/// Whether the user may read the hashes of passwords.
pub fn may_read_passwords(session: &Session) -> Result<bool> {
    session.value(
        "its rights",
        "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')",
        &[],
    )
}

fn globals(
    session: &Session,
    programs: &Programs,
    login: &Login<'_>,
    database: &str,
    sink: &dyn Sink,
    context: &Context<'_>,
    manifest: &mut Manifest,
) -> Result<()> {
    (context.progress)(crate::context::Progress { phase: "roles", object: GLOBALS, done: 0, total: None });
    let mut tool = programs.client("pg_dumpall", login, database, context)?.arg("--globals-only");
    // It asks for a list of databases in this one.
    tool = tool.arg("--database").arg(database);
    if !may_read_passwords(session)? {
        tool = tool.arg("--no-role-passwords");
        manifest.missing.push(Missing {
            object: "passwords of roles".to_owned(),
            why: "a superuser or a member of pg_read_all_data may read them: roles are restored without passwords".to_owned(),
        });
    }
    if knows(&programs.path("pg_dumpall"), RESTRICT_KEY, context) {
        tool = tool.arg(format!("{RESTRICT_KEY}=keepfast"));
    }
    let mut output = ChildReader::start(tool, &login.ends)?;
    write(sink, GLOBALS, &mut output)?;
    Ok(())
}
