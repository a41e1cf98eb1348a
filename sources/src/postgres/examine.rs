//! Whether the data of a server is sound, and single answers of it.

use keepfast_process::child::Ends;
use keepfast_process::tool::Tool;

use super::catalog::relations;
use super::dump::{connect_to_any, databases};
use super::restore::login;
use super::session::{Login, Purpose, Session};
use super::tools::{Programs, finished};
use crate::address::Address;
use crate::check::Check;
use crate::context::Context;
use crate::dump::{DumpOptions, Selection};
use crate::error::{Result, SourceError};

/// What pg_amcheck ends with when it has found a fault, by its manual.
const FOUND_FAULTS: i32 = 2;
/// Of what it says of faults, this much is kept: the first says the most.
const FAULT_LETTERS: usize = 2000;

/// Checks each database: all tables and indexes by pg_amcheck, or else all rows by reading them.
pub fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    let login = login(server, context);
    let (session, _) = connect_to_any(&login, Purpose::Reading)?;
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'amcheck')";
    let has_amcheck: bool = session.value("its extensions", sql, &[])?;
    let major = session.version() / 10_000;
    let programs = if has_amcheck { Programs::fitting("pg_amcheck", major, context).ok() } else { None };
    let mut checks = Vec::new();
    for (name, _) in databases(&session, server, &DumpOptions::default())? {
        checks.push(match &programs {
            Some(programs) => {
                amcheck(programs.client("pg_amcheck", &login, &name, context)?, &name, &login.ends)?
            }
            None => count(&login, &name)?,
        });
    }
    Ok(checks)
}

fn amcheck(tool: Tool, name: &str, ends: &Ends) -> Result<Check> {
    let program = tool.program().display().to_string();
    let tool = tool.args(["--install-missing", "--heapallindexed", "--parent-check", "--jobs=2"]);
    let done = finished(tool, ends)?;
    let what = format!("amcheck of {name}");
    match done.code {
        Some(0) => Ok(Check::sound(what, None)),
        Some(FOUND_FAULTS) => {
            Ok(Check::sound(what, Some(done.printed.chars().take(FAULT_LETTERS).collect())))
        }
        code => {
            let status = code.map_or_else(|| "a signal".to_owned(), |code| format!("exit status: {code}"));
            Err(SourceError::Program { program, status, messages: done.messages })
        }
    }
}

fn count(login: &Login<'_>, name: &str) -> Result<Check> {
    let session = Session::connect(login, name, Purpose::Reading)?;
    let mut rows = 0_i64;
    let mut fault = None;
    for table in relations(&session, &Selection::default(), false)?.iter().filter(|table| table.has_rows) {
        let sql = format!("SELECT count(*) FROM ONLY {}", table.in_sql());
        match session.value::<i64>(&format!("the rows of {}", table.shown()), &sql, &[]) {
            Ok(count) => rows += count,
            Err(SourceError::Server { what, why, .. }) => fault = fault.or(Some(format!("{what}: {why}"))),
            Err(error) => return Err(error),
        }
    }
    let what = format!("rows of {name} that can be read");
    Ok(match fault {
        Some(fault) => Check::sound(what, Some(fault)),
        None => Check { name: what, expected: None, found: rows.to_string(), is_right: true },
    })
}

/// The one value that a query answers.
pub fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    let login = login(server, context);
    let (session, _) = connect_to_any(&login, Purpose::Asking)?;
    session.execute("its settings", "SET default_transaction_read_only = on")?;
    session.text(&format!("the query {query}"), query)
}
