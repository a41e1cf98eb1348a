//! Rows of tables on their way back, over several connections. Each table must get as many as its file had.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_process::child::Ends;

use super::copy::load;
use super::names::qualified;
use super::session::{Login, Purpose, Session};
use super::tools::source_error;
use crate::check::Check;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Table;

/// What is to be written.
pub struct Load<'a> {
    /// Who connects.
    pub login: &'a Login<'a>,
    /// The database that is filled.
    pub into: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// The dump.
    pub files: &'a dyn Files,
    /// How many connections write at once.
    pub parallel: usize,
    /// Who hears of it.
    pub context: &'a Context<'a>,
    /// How many bytes were read.
    pub bytes: &'a AtomicU64,
    /// How many bytes there are.
    pub total: u64,
}

/// A table's schema and name.
pub type TableName = (String, String);

/// The schema and name of a table of the manifest.
pub fn name_of(table: &Table) -> TableName {
    (table.schema.clone().unwrap_or_else(|| "public".to_owned()), table.name.clone())
}

impl Load<'_> {
    /// Fills tables that are empty, the largest first.
    pub fn fill(&self, tables: &[&Table]) -> Result<Vec<Check>> {
        let mut tables: Vec<&Table> = tables.to_vec();
        tables.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.file.cmp(&other.file)));
        let ends = Ends { run: self.login.ends.run.clone(), ..Ends::default() };
        let group = ends.group.clone();
        let login = Login { ends, ..self.login.clone() };
        let (next, checks, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
        let work = || -> Result<()> {
            let session = Session::connect(&login, self.into, Purpose::Writing)?;
            while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
                let check = self.table(&session, table)?;
                checks.lock().unwrap_or_else(PoisonError::into_inner).push(check);
            }
            Ok(())
        };
        let guarded = || {
            if let Err(error) = work() {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                // The others fail because they are ended.
                if failed.is_none() || matches!(*failed, Some(SourceError::Cancelled)) {
                    *failed = Some(error);
                }
                group.cancel();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.min(tables.len()) {
                scope.spawn(guarded);
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(checks.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Fills tables that were there before, in one transaction: all of them, or none. What is in them goes away first.
    pub fn replace(&self, tables: &[&Table]) -> Result<Vec<Check>> {
        let Some(_) = tables.first() else { return Ok(Vec::new()) };
        let session = Session::connect(self.login, self.into, Purpose::Writing)?;
        session.execute("a transaction", "BEGIN")?;
        let sql = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user";
        if session.value("its rights", sql, &[])? {
            // Triggers have done their work when the rows were written first.
            session.execute("its settings", "SET LOCAL session_replication_role = replica")?;
        }
        let names: BTreeSet<TableName> = tables.iter().map(|table| name_of(table)).collect();
        let places: Vec<String> =
            names.iter().map(|(schema, name)| format!("ONLY {}", qualified(schema, name))).collect();
        session.execute("the removal of old rows", &format!("TRUNCATE {}", places.join(", ")))?;
        let checks = tables.iter().map(|table| self.table(&session, table)).collect::<Result<Vec<_>>>()?;
        session.execute("the end of the transaction", "COMMIT")?;
        Ok(checks)
    }

    fn table(&self, session: &Session, table: &Table) -> Result<Check> {
        let (schema, name) = name_of(table);
        let shown = format!("{}.{schema}.{name}", self.name);
        let (Some(file), Some(statement)) = (&table.file, &table.load) else {
            let why = "the manifest doesn't say how its rows are read back".to_owned();
            return Err(SourceError::Dump { object: shown, why });
        };
        let heard = |bytes| {
            let done = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
            let total = Some(self.total.max(done));
            (self.context.progress)(Progress { phase: "tables", object: &shown, done, total });
        };
        let mut content = self.files.open(file).map_err(|error| source_error(file, error))?;
        let rows = load(session, &shown, statement, &mut content, &heard)?;
        let check = Check::equal(format!("rows of {shown}"), table.rows.unwrap_or(rows), rows);
        if check.is_right {
            return Ok(check);
        }
        let expected = check.expected.unwrap_or_default();
        let why = format!("it has {rows} rows, and there were {expected} when it was written");
        Err(SourceError::Dump { object: file.clone(), why })
    }
}
