//! One way to run statements on both databases. Each statement is written once, with `$1` for its values;
//! what the two databases say differently is chosen here.
//!
//! What waits for a database is [`Waiting`], which is compiled here. As an `async fn` it would be compiled again in each
//! crate that calls it, down to the two drivers, and be a part of each caller's future.

use std::pin::Pin;

use sqlx::postgres::{PgArguments, PgPool};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool};
use sqlx::{Postgres, SqlSafeStr, SqlStr, Sqlite, Transaction};
use tokio::sync::watch;

use crate::error::{Result, StoreError};

pub use filter::Filter;
pub use outbox::NewEvent;
pub use trail::{AuditNote, HEAD, Hashed};
pub(crate) use value::values;
pub use value::{Row, Value, json, optional_json};

mod filter;
mod outbox;
#[cfg(test)]
pub(crate) mod tests;
mod trail;
mod value;

/// The channel on which PostgreSQL says that something has changed.
pub const CHANNEL: &str = "keepfast_state";

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, in a file.
    Sqlite,
    /// PostgreSQL, a server.
    Postgres,
}

/// Connections to either database.
#[derive(Clone)]
pub enum Pools {
    /// SQLite has one writer at a time, so one connection writes and others read meanwhile.
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Connections that see the last state that was committed.
        readers: SqlitePool,
    },
    /// PostgreSQL orders its writers itself.
    Postgres(PgPool),
}

/// Connections for one statement.
enum One<'p> {
    Sqlite(&'p SqlitePool),
    Postgres(&'p PgPool),
}

/// Either database.
#[derive(Clone)]
pub struct Database {
    pools: Pools,
    /// Tells the waiting readers of this process that something was committed.
    changed: watch::Sender<u64>,
}

/// What comes of asking a database.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { doing, source: Box::new(source) }
}

fn bind_sqlite(sql: SqlStr, values: &[Value]) -> Query<'static, Sqlite, SqliteArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Integer(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.clone()),
    })
}

fn bind_postgres(sql: SqlStr, values: &[Value]) -> Query<'static, Postgres, PgArguments> {
    values.iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Integer(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.clone()),
    })
}

impl Database {
    pub fn new(pools: Pools) -> Self {
        Self { pools, changed: watch::Sender::new(0) }
    }

    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// Wakes waiting readers of this process.
    pub fn wake(&self) {
        self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads outside of a transaction.
    pub fn rows(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Waiting<'_, Vec<Row>> {
        self.alone(doing, sql.into_sql_str(), values, |pools| match pools {
            Pools::Sqlite { readers, .. } => One::Sqlite(readers),
            Pools::Postgres(pool) => One::Postgres(pool),
        })
    }

    /// One statement by itself, with the connections that it may use.
    fn alone(
        &self,
        doing: &'static str,
        sql: SqlStr,
        values: Vec<Value>,
        by: fn(&Pools) -> One<'_>,
    ) -> Waiting<'_, Vec<Row>> {
        Box::pin(async move {
            let rows = match by(&self.pools) {
                One::Sqlite(pool) => {
                    let rows = bind_sqlite(sql, &values).fetch_all(pool).await;
                    rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                }
                One::Postgres(pool) => {
                    let rows = bind_postgres(sql, &values).fetch_all(pool).await;
                    rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
                }
            };
            rows.map_err(failed(doing))
        })
    }

    /// Reads at most one row outside of a transaction.
    pub async fn row(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(self.rows(doing, sql, values).await?.into_iter().next())
    }

    /// Writes with one statement, which is a transaction by itself, and tells of no change. Returns what it says with
    /// `RETURNING`.
    pub fn write(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        values: Vec<Value>,
    ) -> Waiting<'_, Vec<Row>> {
        self.alone(doing, sql.into_sql_str(), values, |pools| match pools {
            Pools::Sqlite { writer, .. } => One::Sqlite(writer),
            Pools::Postgres(pool) => One::Postgres(pool),
        })
    }

    /// Begins a transaction that writes.
    pub fn begin(&self, doing: &'static str) -> Waiting<'_, Tx> {
        Box::pin(async move {
            let inner = match &self.pools {
                // A transaction that reads first and then wants to write could be refused in the middle.
                Pools::Sqlite { writer, .. } => writer.begin_with("BEGIN IMMEDIATE").await.map(Inner::Sqlite),
                Pools::Postgres(pool) => pool.begin().await.map(Inner::Postgres),
            };
            Ok(self.begun(inner.map_err(failed(doing))?, doing))
        })
    }

    /// Begins a transaction in which all reads see one state.
    pub fn begin_snapshot(&self, doing: &'static str) -> Waiting<'_, Tx> {
        Box::pin(async move {
            let inner = match &self.pools {
                Pools::Sqlite { readers, .. } => readers.begin().await.map(Inner::Sqlite),
                Pools::Postgres(pool) => {
                    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
                    pool.begin_with(begin).await.map(Inner::Postgres)
                }
            };
            Ok(self.begun(inner.map_err(failed(doing))?, doing))
        })
    }

    fn begun(&self, inner: Inner, doing: &'static str) -> Tx {
        let changed = self.changed.clone();
        Tx { inner, doing, events: Vec::new(), notes: Vec::new(), wakes: false, changed }
    }

    /// Ends all connections.
    pub fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            match &self.pools {
                Pools::Sqlite { writer, readers } => {
                    readers.close().await;
                    // The last one: it moves what is in the log of SQLite into the database.
                    writer.close().await;
                }
                Pools::Postgres(pool) => pool.close().await,
            }
        })
    }
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A transaction. Without [`Tx::commit`], nothing of it happens.
pub struct Tx {
    inner: Inner,
    doing: &'static str,
    events: Vec<NewEvent>,
    notes: Vec<AuditNote>,
    wakes: bool,
    changed: watch::Sender<u64>,
}

impl Tx {
    pub fn dialect(&self) -> Dialect {
        match self.inner {
            Inner::Sqlite(_) => Dialect::Sqlite,
            Inner::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Writes, and says how many rows that changed.
    pub fn execute(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Waiting<'_, u64> {
        self.write(sql.into_sql_str(), values)
    }

    fn write(&mut self, sql: SqlStr, values: Vec<Value>) -> Waiting<'_, u64> {
        Box::pin(async move {
            let done = match &mut self.inner {
                Inner::Sqlite(tx) => {
                    bind_sqlite(sql, &values).execute(&mut **tx).await.map(|done| done.rows_affected())
                }
                Inner::Postgres(tx) => {
                    bind_postgres(sql, &values).execute(&mut **tx).await.map(|done| done.rows_affected())
                }
            };
            done.map_err(failed(self.doing))
        })
    }

    /// Reads, or writes with `RETURNING`.
    pub fn rows(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Waiting<'_, Vec<Row>> {
        self.read(sql.into_sql_str(), values)
    }

    fn read(&mut self, sql: SqlStr, values: Vec<Value>) -> Waiting<'_, Vec<Row>> {
        Box::pin(async move {
            let rows = match &mut self.inner {
                Inner::Sqlite(tx) => {
                    let rows = bind_sqlite(sql, &values).fetch_all(&mut **tx).await;
                    rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                }
                Inner::Postgres(tx) => {
                    let rows = bind_postgres(sql, &values).fetch_all(&mut **tx).await;
                    rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
                }
            };
            rows.map_err(failed(self.doing))
        })
    }

    /// At most one row.
    pub async fn row(&mut self, sql: impl SqlSafeStr, values: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Waits until no other transaction has this key. On SQLite, only one writes anyway.
    pub async fn take_turns(&mut self, key: i64) -> Result<()> {
        if let Inner::Postgres(_) = self.inner {
            self.rows("SELECT pg_advisory_xact_lock($1)", values![key]).await?;
        }
        Ok(())
    }

    /// A number that was never given before: for fences and generations.
    pub async fn unused_number(&mut self) -> Result<i64> {
        let sql = "UPDATE counter SET last = last + 1 WHERE name = 'fence' RETURNING last";
        let row = self.row(sql, Vec::new()).await?;
        row.ok_or_else(|| StoreError::stored("counter", "there is no row for fences"))?.integer("last")
    }

    /// Adds an event: it is written when the transaction commits, and only then.
    pub fn event(&mut self, event: NewEvent) {
        self.events.push(event);
    }

    /// Adds an entry to the audit: it is written when the transaction commits, and only then.
    pub fn audit(&mut self, note: &AuditNote) {
        self.notes.push(note.clone());
    }

    /// Wakes waiting readers at the commit, without an event.
    pub fn wake(&mut self) {
        self.wakes = true;
    }

    /// Makes everything happen at once, and wakes the readers that wait for events.
    pub fn commit(self) -> Waiting<'static, ()> {
        Box::pin(self.committed())
    }

    async fn committed(mut self) -> Result<()> {
        let (events, notes) = (std::mem::take(&mut self.events), std::mem::take(&mut self.notes));
        let wakes = self.wakes || !events.is_empty();
        // As late as can be, because other transactions wait for it, and before the events, so that all lock in one order.
        trail::append(&mut self, notes).await?;
        // Last of all: from here to the commit no other transaction can get a number, so that events can be
        // read in the order of their numbers and none appears behind a reader.
        outbox::append(&mut self, events).await?;
        if wakes && let Inner::Postgres(_) = self.inner {
            self.rows("SELECT pg_notify($1, '')", values![CHANNEL]).await?;
        }
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await,
            Inner::Postgres(tx) => tx.commit().await,
        }
        .map_err(failed(self.doing))?;
        if wakes {
            self.changed.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
        Ok(())
    }
}
