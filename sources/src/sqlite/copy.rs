//! Single tables out of a dump, into a database that may have others.

use std::path::Path;
use std::time::Duration;

use globset::Glob;
use rusqlite::{Connection, OptionalExtension, params};

use crate::check::Check;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{Existing, RestoreOptions, RestoreReport};

use super::open::{ends_with_the_run, failed, patiently, quoted, still_name};
use super::stored::{tables_of, unpack};
use super::tables::{TableFound, names_in, rows, tables, target};

/// The dump's name inside of the database into which it is restored.
const DUMP: &str = "keepfast_dump";
/// How long another program may keep the database locked.
const LOCKED_MAX: Duration = Duration::from_secs(10);

/// The tables of the dump that were asked for.
pub fn chosen(manifest: &Manifest, options: &RestoreOptions) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for pattern in &options.tables {
        let bad = |why: String| SourceError::Missing { object: format!("table {pattern}"), why };
        let glob = Glob::new(pattern).map_err(|error| bad(error.to_string()))?.compile_matcher();
        let before = names.len();
        let matching = tables_of(manifest).map(|table| &table.name).filter(|name| glob.is_match(name));
        names.extend(matching.cloned());
        if names.len() == before {
            return Err(bad("it isn't in the dump".to_owned()));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Those of them that are in the database already.
pub fn occupied(path: &Path, names: &[String]) -> Result<Vec<String>> {
    let there = names_in(path)?;
    let is_there = |name: &&String| there.iter().any(|other| other.eq_ignore_ascii_case(name));
    Ok(names.iter().filter(is_there).map(|name| format!("table {name} of {}", path.display())).collect())
}

/// Restores tables, all of them or none.
pub fn tables_into(
    manifest: &Manifest,
    files: &dyn Files,
    path: &Path,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let names = chosen(manifest, options)?;
    if options.existing == Existing::Refuse
        && let Some(object) = occupied(path, &names)?.into_iter().next()
    {
        return Err(SourceError::Occupied { object });
    }
    let scratch = |source| SourceError::File { path: context.scratch.clone(), source };
    let dump = tempfile::Builder::new().prefix("sqlite-").tempfile_in(&context.scratch).map_err(scratch)?;
    let bytes = unpack(files, dump.path(), dump.as_file(), context)?;
    let into = target(path)?;
    let refused = |error| failed(path, "its tables can't be written", error);
    into.execute_batch("PRAGMA query_only=OFF; PRAGMA foreign_keys=OFF").map_err(refused)?;
    into.execute(&format!("ATTACH ?1 AS {DUMP}"), [still_name(dump.path())]).map_err(refused)?;
    patiently(path, "its tables can't be written", LOCKED_MAX, context, || {
        into.execute_batch("BEGIN IMMEDIATE")
    })?;
    let copied = ends_with_the_run(&into, context, |into| copy_all(into, &names, context))?;
    let checks = copied.map_err(refused)?;
    into.execute_batch("COMMIT").map_err(refused)?;
    let rows = checks.iter().filter_map(|check| check.found.parse::<u64>().ok()).sum();
    let mut warnings = Vec::new();
    let broken = into.prepare("PRAGMA foreign_key_check").and_then(|mut question| question.exists([]));
    if broken.map_err(refused)? {
        warnings.push("rows refer to others that aren't there: see `PRAGMA foreign_key_check`".to_owned());
    }
    let tables = u64::try_from(names.len()).unwrap_or_default();
    Ok(RestoreReport { databases: 1, tables, rows, bytes, checks, warnings })
}

fn copy_all(into: &Connection, names: &[String], context: &Context<'_>) -> rusqlite::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let total = u64::try_from(names.len()).ok();
    for (name, done) in names.iter().zip(0..) {
        (context.progress)(Progress { phase: "tables", object: name, done, total });
        copy(into, name)?;
        let (expected, found) = (rows(into, DUMP, name)?, rows(into, "main", name)?);
        checks.push(Check::equal(format!("rows of {name}"), expected, found));
    }
    Ok(checks)
}

/// One table: as it was defined, its rows, then its indexes and triggers.
fn copy(into: &Connection, name: &str) -> rusqlite::Result<()> {
    let found = tables(into, DUMP)?.into_iter().find(|table| table.name == name);
    let Some(found) = found else { return Err(rusqlite::Error::QueryReturnedNoRows) };
    into.execute_batch(&format!("DROP TABLE IF EXISTS main.{}", quoted(name)))?;
    let definition = format!("SELECT sql FROM {DUMP}.sqlite_schema WHERE type = 'table' AND name = ?1");
    let definition: String = into.query_row(&definition, [name], |row| row.get(0))?;
    into.execute_batch(&definition)?;
    if found.is_stored {
        let columns = columns(into, &found)?;
        let table = quoted(name);
        into.execute_batch(&format!(
            "INSERT INTO main.{table} ({columns}) SELECT {columns} FROM {DUMP}.{table}"
        ))?;
    }
    let others = format!(
        "SELECT sql FROM {DUMP}.sqlite_schema \
         WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY type, rowid"
    );
    let others: Vec<String> =
        into.prepare(&others)?.query_map([name], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for other in others {
        into.execute_batch(&other)?;
    }
    sequence(into, name)
}

/// The columns of a table that have values of their own, and the numbers of its rows, to which others may refer.
fn columns(of: &Connection, table: &TableFound) -> rusqlite::Result<String> {
    let mut question = of.prepare("SELECT name, pk FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0")?;
    let columns = question.query_map(params![table.name, DUMP], |row| row.get::<_, String>(0))?;
    let columns: Vec<String> = columns.collect::<rusqlite::Result<_>>()?;
    let is_free = |name: &&str| !columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    let row_id = ["rowid", "_rowid_", "oid"].into_iter().find(is_free).filter(|_| table.has_row_ids);
    let names = row_id.map(str::to_owned).into_iter().chain(columns.iter().map(|column| quoted(column)));
    Ok(names.collect::<Vec<String>>().join(", "))
}

/// The last number that was given away in a table that gives none twice.
fn sequence(into: &Connection, name: &str) -> rusqlite::Result<()> {
    let there = format!("SELECT 1 FROM {DUMP}.sqlite_schema WHERE name = 'sqlite_sequence'");
    if into.query_row(&there, [], |_| Ok(())).optional()?.is_none() {
        return Ok(());
    }
    let last = format!("SELECT seq FROM {DUMP}.sqlite_sequence WHERE name = ?1");
    let last: Option<i64> = into.query_row(&last, [name], |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok(()) };
    into.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [name])?;
    into.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)", params![name, last])?;
    Ok(())
}
