//! The values of sequences. A dump of pg_dump without rows has none, so they are asked for, and lie in a file of JSON.

use std::io::Read;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::catalog::Sequence;
use super::names::{literal, qualified};
use super::session::Session;
use crate::error::{Result, SourceError};
use crate::files::Files;

/// The name of the file in a database's folder.
const FILE: &str = "sequences.json";
/// This many are asked for, or set, at once.
const AT_ONCE: usize = 100;
/// A longer file isn't read: a million sequences take half of it.
const BYTES_MAX: u64 = 256 << 20;

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
    /// Whether that value was given out; otherwise it is the next.
    pub is_called: bool,
    /// The schema and the name of the table that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<(String, String)>,
}

/// The file in a dump.
pub fn file(folder: &str) -> String {
    format!("{folder}/{FILE}")
}

/// Asks for the values.
pub fn values(session: &Session, sequences: &[Sequence]) -> Result<Vec<Value>> {
    let what = "the values of its sequences";
    let mut values = Vec::with_capacity(sequences.len());
    for some in sequences.chunks(AT_ONCE) {
        let one = |(at, sequence): (usize, &Sequence)| {
            let place = qualified(&sequence.schema, &sequence.name);
            format!("SELECT {at} AS at, last_value, is_called FROM {place}")
        };
        let parts: Vec<String> = some.iter().enumerate().map(one).collect();
        let sql = format!("{} ORDER BY at", parts.join(" UNION ALL "));
        let rows: Vec<Row> = session.rows(what, &sql, &[])?;
        for (row, sequence) in rows.iter().zip(some) {
            values.push(Value {
                schema: sequence.schema.clone(),
                name: sequence.name.clone(),
                value: session.column(what, row, 1)?,
                is_called: session.column(what, row, 2)?,
                table: sequence.table.clone(),
            });
        }
    }
    Ok(values)
}

/// The values as they are written.
pub fn text(values: &[Value], file: &str) -> Result<Vec<u8>> {
    let failed =
        |error: serde_json::Error| SourceError::Transfer { object: file.to_owned(), source: error.into() };
    serde_json::to_vec_pretty(values).map_err(failed)
}

/// Reads the values from a dump.
pub fn read(files: &dyn Files, folder: &str) -> Result<Vec<Value>> {
    let file = file(folder);
    let mut text = Vec::new();
    let read = files.open(&file).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
    read.map_err(|source| SourceError::Transfer { object: file.clone(), source })?;
    serde_json::from_slice(&text).map_err(|error| SourceError::Dump { object: file, why: error.to_string() })
}

/// Sets the values of sequences that are there.
pub fn set(session: &Session, values: &[Value]) -> Result<()> {
    for some in values.chunks(AT_ONCE) {
        let one = |value: &Value| {
            let place = literal(&qualified(&value.schema, &value.name));
            format!(
                "SELECT pg_catalog.setval({place}::pg_catalog.regclass, {}, {});",
                value.value, value.is_called
            )
        };
        session.execute("the values of its sequences", &some.iter().map(one).collect::<String>())?;
    }
    Ok(())
}
