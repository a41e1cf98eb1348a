//! What can go wrong. Each error names the thing; the program adds advice.

use std::path::PathBuf;

use crate::types::RunId;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be opened.
    #[error("the state database {place} can't be opened: {source}")]
    Open {
        /// Where it is.
        place: String,
        /// Why.
        source: Box<sqlx::Error>,
    },
    /// The database's tables can't be brought to this version.
    #[error("the tables of the state database {place} can't be brought to this version: {source}")]
    Migrate {
        /// Where it is.
        place: String,
        /// Why.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// A newer version of the program has changed the tables.
    #[error(
        "the state database {place} has tables of version {found}; this program knows versions up to {known}: \
         a newer keepfast has used it"
    )]
    NewerTables {
        /// Where it is.
        place: String,
        /// The version of its tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The tables have not been brought to this version, and the process that opens them must not do that.
    #[error(
        "the state database {place} has tables of version {found}, and this program needs version {known}: \
         the server brings them there when it starts"
    )]
    OlderTables {
        /// Where it is.
        place: String,
        /// The version of its tables; 0 where there are none.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// Another process is the server of this database.
    #[error("another process holds {lock}: a server runs with this state already")]
    InUse {
        /// The file that is locked.
        lock: PathBuf,
    },
    /// A statement failed.
    #[error("the state database failed at {doing}: {source}")]
    Database {
        /// What it was for.
        doing: &'static str,
        /// Why.
        source: Box<sqlx::Error>,
    },
    /// A row holds what this version doesn't know, or what was changed by hand.
    #[error("the state database holds in {column}: {problem}")]
    Stored {
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Someone else may write about this run by now: its lease has ended, or it has.
    #[error("run {run} isn't held any more: its lease was lost, or it has ended")]
    NotHeld {
        /// The run.
        run: RunId,
    },
    /// There is no such run.
    #[error("there is no run {run}")]
    NoRun {
        /// What was asked for.
        run: RunId,
    },
    /// A file beside the database can't be used.
    #[error("{} can't be {doing}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was to be done with it, as in "can't be read".
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// What was asked to be imported is no export, or isn't whole.
    #[error("line {line} of the exported state: {problem}")]
    Import {
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// An import goes into an empty database only.
    #[error("the state database {place} isn't empty: table {table} has rows")]
    NotEmpty {
        /// Where it is.
        place: String,
        /// A table that has rows.
        table: &'static str,
    },
    /// The export can't be written, or not be read.
    #[error("the exported state can't be {doing}: {source}")]
    Transfer {
        /// `written` or `read`.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// This can be done with one kind of database only.
    #[error("{what} works with SQLite only; the state database is PostgreSQL")]
    SqliteOnly {
        /// What was asked for.
        what: &'static str,
    },
}

/// The result of most calls.
pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    pub(crate) fn file(path: impl Into<PathBuf>, doing: &'static str, source: std::io::Error) -> Self {
        Self::File { path: path.into(), doing, source }
    }

    pub(crate) fn stored(column: impl Into<String>, problem: impl ToString) -> Self {
        Self::Stored { column: column.into(), problem: problem.to_string() }
    }
}
