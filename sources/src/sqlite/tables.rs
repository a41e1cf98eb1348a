//! The tables of a database, and how many rows they have.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::open::{failed, quoted, shared};
use crate::error::{Result, SourceError};
use crate::manifest::Table;

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFound {
    /// Its name.
    pub name: String,
    /// Whether its rows are stored, and not made by a module of SQLite.
    pub is_stored: bool,
    /// Whether its rows have numbers of their own.
    pub has_row_ids: bool,
}

/// All tables but SQLite's own.
pub fn tables(of: &Connection, schema: &str) -> rusqlite::Result<Vec<TableFound>> {
    let mut question = of.prepare(
        "SELECT name, type != 'virtual', wr = 0 FROM pragma_table_list \
         WHERE schema = ?1 AND type IN ('table', 'shadow', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY name",
    )?;
    let rows = question.query_map([schema], |row| {
        Ok(TableFound { name: row.get(0)?, is_stored: row.get(1)?, has_row_ids: row.get(2)? })
    })?;
    rows.collect()
}

/// How many rows a table has.
pub fn rows(of: &Connection, schema: &str, table: &str) -> rusqlite::Result<u64> {
    let question = format!("SELECT count(*) FROM {}.{}", quoted(schema), quoted(table));
    let count: i64 = of.query_row(&question, [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Tables as a manifest has them, with the numbers of their rows if these are counted.
pub fn described(of: &Connection, counts: bool) -> rusqlite::Result<Vec<Table>> {
    tables(of, "main")?
        .into_iter()
        .map(|table| {
            let rows = if counts && table.is_stored { Some(rows(of, "main", &table.name)?) } else { None };
            Ok(Table { name: table.name, rows, ..Table::default() })
        })
        .collect()
}

/// The database that tables are restored into; it is made if it isn't there.
pub fn target(path: &Path) -> Result<Connection> {
    if fs::metadata(path).is_ok() {
        return shared(path);
    }
    let made = File::options().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|source| SourceError::File { path: path.to_owned(), source })?;
    shared(path)
}

/// The tables of a database, if it is there.
pub fn names_in(path: &Path) -> Result<Vec<String>> {
    if fs::metadata(path).is_err() {
        return Ok(Vec::new());
    }
    let there = tables(&shared(path)?, "main");
    let there = there.map_err(|error| failed(path, "its tables can't be read", error))?;
    Ok(there.into_iter().map(|table| table.name).collect())
}
