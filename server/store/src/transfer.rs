//! The whole state as lines of JSON: a backup of it, and the way from one kind of database to the other.
//!
//! The first line says what it is, the last one how many rows there are; in between, each line is a row.

use serde_json::{Map, Value as Document, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Store;
use crate::db::{Dialect, Filter, Row, Tx, Value};
use crate::error::{Result, StoreError};
use crate::lock::ServerLock;
use crate::types::PageSize;
use tables::{Column, Kind, TABLES, Table};

mod tables;

/// The version of the lines.
const FORMAT: u64 = 1;
/// The version of the tables that the rows are of: that of the newest migration.
const TABLES_VERSION: u64 = 7;
/// Bytes of a line, at most.
const LINE_BYTES_MAX: u64 = 64 << 20;

impl Store {
    /// Writes the whole state, as it is at one moment, and returns the number of rows. Logs are not part of it,
    /// only what the database knows of them.
    pub async fn export(&self, out: &mut (impl AsyncWrite + Unpin)) -> Result<u64> {
        let mut tx = self.db.begin_snapshot("exporting the state").await?;
        write_line(out, &json!({"keepfast_state": FORMAT, "tables": TABLES_VERSION})).await?;
        let mut rows = 0;
        for table in TABLES {
            let mut after = None;
            loop {
                let page = page(&mut tx, table, after.take()).await?;
                for row in &page {
                    write_line(out, &json!({"table": table.name, "row": to_json(table, row)?})).await?;
                    rows += 1;
                }
                let Some(last) = page.last().filter(|_| PageSize::MAX.is_filled_by(page.len())) else {
                    break;
                };
                after = Some(key_of(table, last)?);
            }
        }
        write_line(out, &json!({"rows": rows})).await?;
        out.flush().await.map_err(written)?;
        Ok(rows)
    }

    /// Reads a whole state into this one, which must be empty; all of it or nothing. Returns the number of rows.
    ///
    /// The export has to be of this version's tables: [`Store::rebuild_sqlite`] reads older ones. Runs that were open
    /// then are open now: their leases end, and they are lost.
    pub async fn import(&self, input: &mut (impl AsyncBufRead + Unpin)) -> Result<u64> {
        let mut tx = self.begin("importing a state").await?;
        for table in TABLES.iter().filter(|table| table.name != "counter") {
            let sql = AssertSqlSafe(format!("SELECT 1 AS one FROM {} LIMIT 1", table.name));
            if tx.row(sql, Vec::new()).await?.is_some() {
                return Err(StoreError::NotEmpty { place: self.place.to_string(), table: table.name });
            }
        }
        let mut lines = Lines { input, line: 0 };
        let version = lines.head().await?;
        if version != TABLES_VERSION {
            return Err(lines.wrong(format!(
                "it was made from tables of version {version}; this program can read version {TABLES_VERSION}"
            )));
        }
        let tables: Vec<Target> = TABLES.iter().map(Target::of).collect();
        let rows = insert_all(&mut tx, &mut lines, &tables).await?;
        if tx.dialect() == Dialect::Postgres {
            for table in TABLES.iter().filter(|table| table.is_numbered()) {
                let sql = format!(
                    "SELECT setval(pg_get_serial_sequence('{0}', 'number'), \
                     COALESCE(MAX(number), 0) + 1, false) FROM {0}",
                    table.name
                );
                tx.rows(AssertSqlSafe(sql), Vec::new()).await?;
            }
            // Otherwise it would know for some minutes only that the tables are empty.
            tx.execute("ANALYZE", Vec::new()).await?;
        }
        tx.wake();
        tx.commit().await?;
        Ok(rows)
    }

    /// Makes a SQLite database of an exported state, and returns it with the number of rows. The export may be one of
    /// older tables, which are then brought to this version. Newer ones than this program knows are an error.
    ///
    /// The file must not be there yet. After an error, what was made of it is of no use: remove it.
    pub async fn rebuild_sqlite(
        lock: &ServerLock,
        input: &mut (impl AsyncBufRead + Unpin),
    ) -> Result<(Self, u64)> {
        let mut lines = Lines { input, line: 0 };
        let version = lines.head().await?;
        let known = TABLES_VERSION;
        if version > known {
            let (found, known) =
                (i64::try_from(version).unwrap_or(i64::MAX), i64::try_from(known).unwrap_or(0));
            return Err(StoreError::NewerTables { place: "that was exported".to_owned(), found, known });
        }
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        let store = Self::make_sqlite(lock, version).await?;
        let tables = store.sqlite_tables().await?;
        let mut tx = store.begin("importing a state").await?;
        let rows = insert_all(&mut tx, &mut lines, &tables).await?;
        tx.commit().await?;
        store.close().await;
        Ok((Self::open_sqlite(lock).await?, rows))
    }

    /// The tables that a SQLite database has, whatever its version.
    async fn sqlite_tables(&self) -> Result<Vec<Target>> {
        let sql = "SELECT t.name AS table_name, c.name AS column_name, c.type AS kind FROM pragma_table_list AS t \
                   JOIN pragma_table_info(t.name) AS c \
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '_sqlx_migrations' \
                   ORDER BY t.name, c.cid";
        let mut tables: Vec<Target> = Vec::new();
        for row in self.db.rows("reading which tables there are", sql, Vec::new()).await? {
            let (name, column) = (row.string("table_name")?, row.string("column_name")?);
            let kind = if row.string("kind")? == "INTEGER" { Kind::Integer } else { Kind::Text };
            match tables.last_mut().filter(|table| table.name == name) {
                Some(table) => table.columns.push((column, kind)),
                None => tables.push(Target { name, columns: vec![(column, kind)] }),
            }
        }
        Ok(tables)
    }
}

/// A table that rows are put into.
struct Target {
    name: String,
    columns: Vec<(String, Kind)>,
}

impl Target {
    fn of(table: &Table) -> Self {
        let columns = table.columns.iter().map(|column| (column.name.to_owned(), column.kind));
        Self { name: table.name.to_owned(), columns: columns.collect() }
    }

    /// Writes all columns.
    fn insert(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let values: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, names.join(", "), values.join(", "))
    }
}

/// Puts all rows that follow into their tables. Returns their number, after the last line.
async fn insert_all<I: AsyncBufRead + Unpin>(
    tx: &mut Tx,
    lines: &mut Lines<'_, I>,
    tables: &[Target],
) -> Result<u64> {
    tx.execute("DELETE FROM counter", Vec::new()).await?;
    let mut rows: u64 = 0;
    loop {
        let line = lines.next().await?;
        let mut line = line.ok_or_else(|| lines.wrong("the end is missing: the file was cut off"))?;
        if let Some(count) = line.get("rows") {
            if count.as_u64() != Some(rows) {
                return Err(lines.wrong(format!("it says {count} rows, and {rows} were read")));
            }
            break;
        }
        let (table, row) = (line.remove("table"), line.remove("row"));
        let known = |name: &str| tables.iter().find(|table| table.name == name);
        let table = table.as_ref().and_then(Document::as_str).and_then(known);
        let table = table.ok_or_else(|| lines.wrong("it has no table that is known"))?;
        let Some(Document::Object(row)) = row else { return Err(lines.wrong("it has no row")) };
        let values = from_json(table, row).map_err(|problem| lines.wrong(problem))?;
        tx.execute(AssertSqlSafe(table.insert()), values).await?;
        rows += 1;
    }
    match lines.next().await? {
        Some(_) => Err(lines.wrong("it goes on after its end")),
        None => Ok(rows),
    }
}

async fn page(tx: &mut Tx, table: &'static Table, after: Option<Vec<Value>>) -> Result<Vec<Row>> {
    let mut wanted = Filter::new();
    if let Some(after) = after {
        wanted.add_row(table.after, after);
    }
    let (sql, values) = wanted.select(table.select, table.key, PageSize::MAX);
    tx.rows(AssertSqlSafe(sql), values).await
}

fn value_of(row: &Row, column: &Column) -> Result<Value> {
    Ok(match column.kind {
        Kind::Integer => Value::Integer(row.optional_integer(column.name)?),
        Kind::Text => Value::Text(row.optional_string(column.name)?),
    })
}

fn key_of(table: &Table, row: &Row) -> Result<Vec<Value>> {
    table.key_columns().map(|column| value_of(row, column)).collect()
}

/// A row without the columns that are empty.
fn to_json(table: &Table, row: &Row) -> Result<Map<String, Document>> {
    let mut fields = Map::new();
    for column in table.columns {
        let value = match value_of(row, column)? {
            Value::Integer(Some(number)) => Document::from(number),
            Value::Text(Some(text)) => Document::from(text),
            Value::Integer(None) | Value::Text(None) => continue,
        };
        fields.insert(column.name.to_owned(), value);
    }
    Ok(fields)
}

fn from_json(table: &Target, mut row: Map<String, Document>) -> std::result::Result<Vec<Value>, String> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (column, kind) in &table.columns {
        let field = row.remove(column);
        values.push(match (kind, field) {
            (Kind::Integer, None) => Value::Integer(None),
            (Kind::Text, None) => Value::Text(None),
            (Kind::Integer, Some(Document::Number(number))) if number.is_i64() => {
                Value::Integer(number.as_i64())
            }
            (Kind::Text, Some(Document::String(text))) if !text.contains('\0') => Value::Text(Some(text)),
            (_, Some(other)) => {
                return Err(format!("column {column} of table {} can't be {other}", table.name));
            }
        });
    }
    match row.keys().next() {
        Some(unknown) => Err(format!("table {} has no column {unknown}", table.name)),
        None => Ok(values),
    }
}

fn written(source: std::io::Error) -> StoreError {
    StoreError::Transfer { doing: "written", source }
}

async fn write_line(out: &mut (impl AsyncWrite + Unpin), line: &Document) -> Result<()> {
    let mut line = line.to_string();
    line.push('\n');
    out.write_all(line.as_bytes()).await.map_err(written)
}

/// Lines of an exported state.
struct Lines<'a, I> {
    input: &'a mut I,
    line: u64,
}

impl<I: AsyncBufRead + Unpin> Lines<'_, I> {
    /// The version of the tables that the rows are of, from the first line.
    async fn head(&mut self) -> Result<u64> {
        let head = self.next().await?;
        let head = head.ok_or_else(|| self.wrong("it is empty"))?;
        let version = head.get("tables").and_then(Document::as_u64).filter(|version| *version > 0);
        match (head.get("keepfast_state").and_then(Document::as_u64), version) {
            (Some(FORMAT), Some(version)) => Ok(version),
            _ => Err(self.wrong("this is no exported state that this program knows")),
        }
    }

    async fn next(&mut self) -> Result<Option<Map<String, Document>>> {
        let mut line = Vec::new();
        let read = (&mut *self.input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
        read.map_err(|source| StoreError::Transfer { doing: "read", source })?;
        if line.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        if line.last() != Some(&b'\n') {
            return Err(self.wrong("it is cut off, or too long"));
        }
        serde_json::from_slice(&line)
            .map(Some)
            .map_err(|error| self.wrong(format!("no JSON object: {error}")))
    }

    fn wrong(&self, problem: impl Into<String>) -> StoreError {
        StoreError::Import { line: self.line, problem: problem.into() }
    }
}
