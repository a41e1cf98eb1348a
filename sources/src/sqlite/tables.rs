//! The tables of a database, and how many rows they have.

use rusqlite::Connection;

use crate::manifest::Table;

use super::open::quoted;

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
