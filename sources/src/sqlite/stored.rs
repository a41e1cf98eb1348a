//! A database that lies in a dump, on its way to a file.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::check::Check;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Manifest, Table};

use super::dump::{FILE, is_whole};
use super::header::{HEADER_BYTES, looks_like};
use super::open::{ends_with_the_run, failed, still, text_of};
use super::tables;

/// How many bytes are read at once.
const PIECE_BYTES: usize = 256 << 10;
/// This many faults are told.
const FAULTS_MAX: usize = 10;

/// Its length, as the dump says it.
pub fn length(files: &dyn Files) -> Result<u64> {
    let list = files.list().map_err(|source| SourceError::Transfer { object: FILE.to_owned(), source })?;
    let found = list.into_iter().find(|file| file.path == FILE);
    found.map(|file| file.bytes).ok_or_else(|| wrong("it isn't there"))
}

/// Writes it into a file, and looks whether it is whole. Returns its length.
pub fn unpack(files: &dyn Files, path: &Path, mut into: &File, context: &Context<'_>) -> Result<u64> {
    let failed = |source| SourceError::Transfer { object: FILE.to_owned(), source };
    let local = |source| SourceError::File { path: path.to_owned(), source };
    let total = length(files)?;
    let mut from = files.open(FILE).map_err(failed)?;
    let (mut piece, mut done) = (vec![0; PIECE_BYTES], 0);
    loop {
        if context.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        into.write_all(&piece[..count]).map_err(local)?;
        done += u64::try_from(count).unwrap_or_default();
        (context.progress)(Progress { phase: "pages", object: FILE, done, total: Some(total) });
    }
    into.sync_all().map_err(local)?;
    // A database that has nothing has no header.
    if done > 0 {
        let mut header = [0; HEADER_BYTES];
        into.read_exact_at(&mut header, 0).map_err(|_| wrong("it is too short for a database"))?;
        let page = looks_like(&header).ok_or_else(|| wrong("it doesn't begin like a database of SQLite"))?;
        if !is_whole(&header, page, done) {
            return Err(wrong("it has another length than its header says: a part is missing"));
        }
    }
    Ok(done)
}

/// The database isn't what a dump has.
pub fn wrong(why: &str) -> SourceError {
    SourceError::Dump { object: FILE.to_owned(), why: why.to_owned() }
}

/// The tables that a manifest has.
pub fn tables_of(manifest: &Manifest) -> impl Iterator<Item = &Table> {
    manifest.databases.iter().flat_map(|database| &database.tables)
}

/// Rows of a database that no one changes, and those of the manifest.
pub fn compared(path: &Path, manifest: &Manifest, context: &Context<'_>) -> Result<Vec<Check>> {
    let database = still(path)?;
    let counted = tables_of(manifest).filter_map(|table| Some((&table.name, table.rows?)));
    let checks = counted.map(|(name, expected)| {
        let found = ends_with_the_run(&database, context, |of| tables::rows(of, "main", name))?;
        Ok(match found {
            Ok(found) => Check::equal(format!("rows of {name}"), expected, found),
            Err(error) => Check {
                name: format!("rows of {name}"),
                expected: Some(expected.to_string()),
                found: error.to_string(),
                is_right: false,
            },
        })
    });
    checks.collect()
}

/// What SQLite finds when it looks through a database: each page, each index, each reference.
pub fn examined(path: &Path, context: &Context<'_>) -> Result<Vec<Check>> {
    let database = still(path)?;
    let faults = |pragma: &str| -> Result<Option<String>> {
        let asked = ends_with_the_run(&database, context, |of| -> rusqlite::Result<Vec<String>> {
            let mut question = of.prepare(pragma)?;
            let columns = question.column_count();
            let rows = question.query_map([], |row| {
                let parts = (0..columns)
                    .map(|column| row.get_ref(column).map(|value| text_of(value).unwrap_or_default()));
                parts.collect::<rusqlite::Result<Vec<String>>>().map(|parts| parts.join(" "))
            })?;
            rows.take(FAULTS_MAX).collect()
        })?;
        match asked {
            Ok(lines) if lines.is_empty() || lines == ["ok"] => Ok(None),
            Ok(lines) => Ok(Some(lines.join("; "))),
            // What is damaged enough can't be looked through.
            Err(error) => Ok(Some(error.to_string())),
        }
    };
    Ok(vec![
        Check::sound("integrity_check", faults(&format!("PRAGMA integrity_check({FAULTS_MAX})"))?),
        Check::sound("foreign_key_check", faults("PRAGMA foreign_key_check")?),
    ])
}

/// The one value that a question answers.
pub fn answer(path: &Path, question: &str, context: &Context<'_>) -> Result<Option<String>> {
    let database = still(path)?;
    let asked = ends_with_the_run(&database, context, |of| -> rusqlite::Result<Option<String>> {
        let mut question = of.prepare(question)?;
        let mut rows = question.query([])?;
        match rows.next()? {
            Some(row) => row.get_ref(0).map(text_of),
            None => Ok(None),
        }
    })?;
    asked.map_err(|error| failed(path, question, error))
}
