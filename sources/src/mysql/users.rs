//! Users and what they may do, as statements. They aren't part of the databases' one state: the server keeps them apart.

use std::fmt::Write;
use std::io::Read;

use keepfast_process::tool::Feed;

use super::catalog::Catalog;
use super::client::Client;
use super::layout::USERS;
use super::program::Program;
use crate::address::Engine;
use crate::error::{Result, SourceError};
use crate::sink::{NewFile, Sink};

/// A longer list of users isn't kept.
const BYTES_MAX: u64 = 256 << 20;

/// Writes them into a file. It has hashes of passwords, which are secret too.
pub(super) fn dump(client: &Client<'_>, catalog: &Catalog, program: &Program, sink: &dyn Sink) -> Result<()> {
    let statements = if catalog.engine() == Engine::Mariadb && program.has("--system") {
        by_program(client, program)?
    } else {
        by_queries(client, catalog)?
    };
    let failed = |source| SourceError::Transfer { object: USERS.to_owned(), source };
    sink.file(&NewFile::new(USERS), &mut statements.as_bytes()).map_err(failed)?;
    Ok(())
}

fn by_program(client: &Client<'_>, program: &Program) -> Result<String> {
    let file = |source| SourceError::File { path: program.path.clone(), source };
    // A user who is there keeps the password that is there.
    let arguments = ["--system=users", "--insert-ignore", "--skip-dump-date"];
    let tool = client.tool(program)?.args(arguments);
    let started = tool.start(Feed::Nothing, &client.context.cancel).map_err(file)?.started;
    let mut statements = String::new();
    let mut output = started.output.take(BYTES_MAX);
    let read = output.read_to_string(&mut statements);
    drop(output);
    if client.context.cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    read.map_err(file)?;
    let ended = started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    if !ended.status.success() || !statements.contains("-- Dump completed") {
        return Err(SourceError::Program {
            program: program.name.to_owned(),
            status: ended.status.to_string(),
            messages: ended.stderr.unwrap_or_default(),
        });
    }
    let is_sandbox = |line: &str| line.starts_with("/*") && line.contains("999999\\-");
    let rest =
        statements.split_once('\n').filter(|(first, _)| is_sandbox(first)).map(|(_, rest)| rest.to_owned());
    Ok(rest.unwrap_or(statements))
}

fn by_queries(client: &Client<'_>, catalog: &Catalog) -> Result<String> {
    let what = "reading users";
    let users =
        client.query(what, "SELECT user, host FROM mysql.user WHERE user <> '' ORDER BY user, host;")?;
    let mut sql = String::new();
    if catalog.engine() == Engine::Mysql {
        // Hashes of MySQL 8 are bytes of any kind.
        sql.push_str("SET SESSION print_identified_with_as_hex = ON;\n");
    }
    let names = users.iter().filter_map(|row| Some((row.first()?, row.get(1)?)));
    for (user, host) in names.filter(|(user, _)| !user.starts_with("mysql.")) {
        let name = format!("{}@{}", literal(user), literal(host));
        let _ = write!(sql, "SHOW CREATE USER {name};\nSHOW GRANTS FOR {name};\n");
    }
    let rows = client.query(what, &sql)?;
    let mut statements = String::new();
    for row in rows.iter().filter_map(|row| row.first()) {
        let statement = match row.strip_prefix("CREATE USER ") {
            Some(rest) => format!("CREATE USER IF NOT EXISTS {rest}"),
            None => row.clone(),
        };
        let _ = writeln!(statements, "{statement};");
    }
    Ok(statements)
}

/// A text in quotes, for a statement that takes no expression.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}
