//! The rows of a database's tables, read over several connections that share one state.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_process::Cancel;
use tokio_postgres::error::SqlState;

use super::catalog::Relation;
use super::copy::Rows;
use super::job::Job;
use super::names::{literal, table_file};
use super::session::{Login, Purpose, Session};
use super::tools::source_error;
use crate::context::Progress;
use crate::error::{Result, SourceError};
use crate::manifest::Table;
use crate::sink::NewFile;

/// The lock stays when its savepoint is forgotten.
const RELEASE: &str = "RELEASE SAVEPOINT unlocked";

/// What is to be read, and what was.
pub struct Work<'a> {
    job: &'a Job<'a>,
    snapshot: &'a str,
    encoding: &'a str,
    /// Tables that are loaded into the root of their partitions.
    roots: BTreeMap<u32, String>,
    /// The largest first, so that the last one to be read isn't.
    pub tables: Vec<Relation>,
    next: AtomicUsize,
    /// Those that only the connection that has locked them can read: someone waits for a stronger lock.
    left: Mutex<Vec<usize>>,
    done: Mutex<Vec<(u32, Table)>>,
    bytes: AtomicU64,
    /// Ends all, when one has failed.
    group: Cancel,
    failed: Mutex<Option<SourceError>>,
}

impl<'a> Work<'a> {
    /// Nothing was read.
    pub fn new(
        job: &'a Job<'a>,
        snapshot: &'a str,
        encoding: &'a str,
        roots: Vec<(u32, String)>,
        group: Cancel,
    ) -> Self {
        Self {
            job,
            snapshot,
            encoding,
            roots: roots.into_iter().collect(),
            tables: Vec::new(),
            next: AtomicUsize::new(0),
            left: Mutex::default(),
            done: Mutex::default(),
            bytes: AtomicU64::new(0),
            group,
            failed: Mutex::default(),
        }
    }

    /// Keeps the first failure, and ends the others.
    fn keep(&self, result: Result<()>) {
        if let Err(error) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            // The others fail because they are ended.
            if failed.is_none() || matches!(*failed, Some(SourceError::Cancelled)) {
                *failed = Some(error);
            }
            drop(failed);
            self.group.cancel();
        }
    }

    fn next(&self) -> Option<usize> {
        // Each place is taken once; nothing else depends on the order.
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        (at < self.tables.len()).then_some(at)
    }

    fn read(&self, session: &Session, at: usize) -> Result<()> {
        let table = &self.tables[at];
        let shown = format!("{}.{}", self.job.name, table.shown());
        let file = table_file(&self.job.folder, &table.schema, &table.name, table.oid);
        let total = self.tables.iter().map(|table| table.bytes).sum();
        let heard = |bytes| {
            let done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            let total = Some(done.max(total));
            (self.job.context.progress)(Progress { phase: "tables", object: &shown, done, total });
        };
        let mut rows = Rows::of(session, &shown, &table.read_statement(self.encoding), &heard)?;
        let bytes = self
            .job
            .sink
            .file(&NewFile::new(&file), &mut rows)
            .map_err(|error| source_error(&file, error))?;
        if !rows.is_done() {
            return Err(
                session.error(&format!("the rows of {shown}"), "not all of them were taken".to_owned())
            );
        }
        let own = table.in_sql();
        let into = self.roots.get(&table.oid).unwrap_or(&own);
        let done = Table {
            schema: Some(table.schema.clone()),
            name: table.name.clone(),
            load: Some(table.load_statement(into, self.encoding)),
            rows: Some(rows.rows),
            bytes: Some(bytes),
            file: Some(file),
        };
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((table.oid, done));
        Ok(())
    }

    /// A connection beside the one that has the locks. It may not wait for a lock: a session that waits for a stronger one waits
    /// for the first connection, and this one would wait for them.
    fn help(&self, login: &Login<'_>) -> Result<()> {
        let session = Session::connect(login, self.job.name, Purpose::Reading)?;
        session.execute("a transaction", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let sql = format!("SET TRANSACTION SNAPSHOT {}", literal(self.snapshot));
        session.execute("the state of the first connection", &sql)?;
        while let Some(at) = self.next() {
            let table = self.tables[at].in_sql();
            let sql =
                format!("SAVEPOINT unlocked; LOCK TABLE ONLY {table} IN ACCESS SHARE MODE NOWAIT; {RELEASE}");
            match session.attempt(&sql)? {
                Ok(()) => self.read(&session, at)?,
                Err((Some(SqlState::LOCK_NOT_AVAILABLE), _)) => {
                    session
                        .execute("a transaction", &format!("ROLLBACK TO SAVEPOINT unlocked; {RELEASE}"))?;
                    self.left.lock().unwrap_or_else(PoisonError::into_inner).push(at);
                }
                Err((_, why)) => return Err(session.error(&format!("a lock of {table}"), why)),
            }
        }
        session.execute("the end of the transaction", "COMMIT")
    }
}

/// Reads all tables; `first` is done meanwhile on the first connection, which then reads too. Returns each table with its
/// number.
pub fn write_all(
    work: &Work<'_>,
    login: &Login<'_>,
    session: &Session,
    first: impl FnOnce() -> Result<()>,
) -> Result<Vec<(u32, Table)>> {
    let helpers = usize::from(work.job.options.parallel.get() - 1).min(work.tables.len().saturating_sub(1));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..helpers).map(|_| scope.spawn(|| work.keep(work.help(login)))).collect();
        let own = first().and_then(|()| {
            while let Some(at) = work.next() {
                work.read(session, at)?;
            }
            Ok(())
        });
        work.keep(own);
        for thread in threads {
            if thread.join().is_err() {
                work.keep(Err(session.error("the rows of its tables", "a thread has failed".to_owned())));
            }
        }
    });
    let left = std::mem::take(&mut *work.left.lock().unwrap_or_else(PoisonError::into_inner));
    if !work.group.is_cancelled() {
        work.keep(left.into_iter().try_for_each(|at| work.read(session, at)));
    }
    if let Some(error) = work.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error);
    }
    Ok(std::mem::take(&mut *work.done.lock().unwrap_or_else(PoisonError::into_inner)))
}
