//! The flags of databases, as sources of a backup and by themselves.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keepfast_sources::restore::Until;

/// Databases of a backup.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for databases")]
pub struct DatabaseFlags {
    /// Back up this database, next to the PATHs or alone: postgres://USER@HOST:PORT/NAME, and in the same way mysql,
    /// mariadb, mongodb and redis; sqlite:///PATH. Without a NAME, all databases of the server. Behind it, `?socket=PATH`
    /// names a socket, and `tls=off|prefer|verify` and `ca_file=PATH` say how to connect. May be repeated
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["stdin", "command"])]
    pub source: Vec<String>,
    /// The folder in the snapshot for the one --source [default: made of its address]
    #[arg(long, value_name = "NAME", requires = "source")]
    pub source_name: Option<String>,
    /// The file whose first line is the password of the user of --source
    #[arg(long, value_name = "FILE", requires = "source")]
    pub source_password_file: Option<PathBuf>,
    /// The command that prints the password of the user of --source
    #[arg(long, value_name = "COMMAND", requires = "source", conflicts_with = "source_password_file")]
    pub source_password_command: Option<String>,
    /// Only this schema; may be repeated. `*` and `?` stand for any letters
    #[arg(long, value_name = "NAME", requires = "source")]
    pub source_schema: Vec<String>,
    /// Only this table or collection, as `name` or `schema.name`; may be repeated
    #[arg(long, value_name = "NAME", requires = "source")]
    pub source_table: Vec<String>,
    /// Leave out the rows of this table or collection; may be repeated
    #[arg(long, value_name = "NAME", requires = "source")]
    pub source_exclude_table: Vec<String>,
    /// What of the tables
    #[arg(long, value_enum, value_name = "WHAT", requires = "source", default_value = "all")]
    pub source_content: ContentFlag,
    /// The server's own files in place of what it answers: PostgreSQL and MariaDB. With the log of changes, such a backup
    /// can be restored to any moment
    #[arg(long, requires = "source")]
    pub source_physical: bool,
    /// Make a snapshot although a part of the database can't be read. The command then ends with 3, and the snapshot says
    /// what is missing
    #[arg(long, requires = "source")]
    pub source_partial: bool,
    /// Connections that read at once
    #[arg(long, value_name = "N", requires = "source", default_value = "2")]
    pub source_parallel: NonZeroU16,
}

/// What of a table is dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ContentFlag {
    /// Definitions and rows
    All,
    /// Definitions alone
    Schema,
    /// Rows alone
    Data,
}

/// Options of `sources`.
#[derive(Debug, Args)]
pub struct Sources {
    /// What to do.
    #[command(subcommand)]
    pub action: SourcesAction,
}

/// What to do with databases.
#[derive(Debug, Subcommand)]
pub enum SourcesAction {
    /// Connect to a database, or to all of a plan, and say what a backup would have and lack
    Test(TestSource),
}

/// Options of `sources test`.
#[derive(Debug, Args)]
pub struct TestSource {
    /// The plan whose databases are tried
    #[arg(value_name = "PLAN", required_unless_present = "source", conflicts_with = "source")]
    pub plan: Option<String>,
    /// A database that is in no plan.
    #[command(flatten)]
    pub databases: DatabaseFlags,
}

/// Reads a moment.
pub fn until(text: &str) -> Result<Until, String> {
    let named = |prefix: &str| text.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(str::to_owned);
    if let Some(position) = named("position:") {
        return Ok(Until::Position(position));
    }
    if let Some(name) = named("name:") {
        return Ok(Until::Name(name));
    }
    if let Some(transaction) = named("transaction:") {
        return Ok(Until::Transaction(transaction));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(instant) => Ok(Until::Time(instant.to_string())),
        Err(_) => Err(format!(
            "{text} isn't a moment: write 2026-01-15T14:30:00Z, position:POSITION, name:NAME or transaction:NUMBER"
        )),
    }
}
