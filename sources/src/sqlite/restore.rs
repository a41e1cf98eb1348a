//! The way back: to a file, whose name comes last, or table by table into a database that is there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::address::Address;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{Existing, RestoreOptions, RestorePlan, RestoreReport};

use super::copy;
use super::open::{beside, failed, path_of};
use super::stored::{compared, examined, length, tables_of, unpack, wrong};

/// Files that belong to a database, and would be read with another one of its name.
const LEFTOVERS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long another program may keep a database locked that is replaced.
const LOCKED_MAX: Duration = Duration::from_secs(1);

/// What would happen.
pub fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    _: &Context<'_>,
) -> Result<RestorePlan> {
    let path = path_of(to)?;
    is_possible(to, options)?;
    let names = if options.tables.is_empty() { Vec::new() } else { copy::chosen(manifest, options)? };
    let (mut steps, mut replaces) = (Vec::new(), Vec::new());
    if names.is_empty() {
        let count = tables_of(manifest).count();
        steps.push(format!("the database with its {count} tables is written to {}", path.display()));
        if let Some(object) = occupied(path)? {
            replaces.push(format!("all of {object}"));
        }
    } else {
        for name in &names {
            steps.push(format!("table {name} with its indexes and triggers is made in {}", path.display()));
        }
        replaces.extend(copy::occupied(path, &names)?);
    }
    let mut warnings = Vec::new();
    if !manifest.missing.is_empty() {
        warnings.push(format!("{} objects aren't in the dump", manifest.missing.len()));
    }
    Ok(RestorePlan { steps, warnings, replaces, bytes: length(files)? })
}

/// Restores.
pub fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let path = path_of(to)?;
    is_possible(to, options)?;
    if options.tables.is_empty() {
        whole(manifest, files, path, options, context)
    } else {
        copy::tables_into(manifest, files, path, options, context)
    }
}

fn is_possible(to: &Address, options: &RestoreOptions) -> Result<()> {
    let why = if options.until.is_some() {
        "a dump of SQLite is one moment: there is no log up to another"
    } else if !options.schemas.is_empty() || options.database.as_ref().is_some_and(|name| name != "main") {
        "a dump of SQLite has one database, main, and no schemas"
    } else {
        return Ok(());
    };
    Err(SourceError::Unsupported { object: to.to_string(), why: why.to_owned() })
}

/// What is there and would be lost.
fn occupied(path: &Path) -> Result<Option<String>> {
    // A log or journal alone would be read with the database that gets its name.
    let others = [path.to_owned(), beside(path, "-wal"), beside(path, "-journal")];
    for other in others {
        match fs::metadata(&other) {
            Ok(found) if found.len() > 0 => return Ok(Some(other.display().to_string())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(SourceError::File { path: other, source }),
        }
    }
    Ok(None)
}

/// The whole database.
fn whole(
    manifest: &Manifest,
    files: &dyn Files,
    path: &Path,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    if options.existing == Existing::Refuse
        && let Some(object) = occupied(path)?
    {
        return Err(SourceError::Occupied { object });
    }
    // What a link leads to is replaced, as it was dumped.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(source) => return Err(SourceError::File { path: path.to_owned(), source }),
    };
    let folder = path.parent().ok_or_else(|| SourceError::Unsupported {
        object: path.display().to_string(),
        why: "it isn't the name of a file".to_owned(),
    })?;
    let in_folder = |source| SourceError::File { path: folder.to_owned(), source };
    let part = tempfile::Builder::new().prefix(".keepfast-").tempfile_in(folder).map_err(in_folder)?;
    let bytes = unpack(files, part.path(), part.as_file(), context)?;
    // Nothing is replaced by a database that isn't sound.
    let mut checks = examined(part.path(), context)?;
    if let Some(fault) = checks.iter().find(|check| check.name == "integrity_check" && !check.is_right) {
        return Err(wrong(&format!("SQLite finds a fault: {}", fault.found)));
    }
    checks.extend(compared(part.path(), manifest, context)?);
    let old = Old::hold(&path)?;
    old.give_owner(part.as_file()).map_err(in_folder)?;
    part.persist(&path).map_err(|error| SourceError::File { path: path.clone(), source: error.error })?;
    drop(old);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_folder)?;
    let rows = tables_of(manifest).filter_map(|table| table.rows).sum();
    let tables = u64::try_from(tables_of(manifest).count()).unwrap_or_default();
    Ok(RestoreReport { databases: 1, tables, rows, bytes, checks, warnings: Vec::new() })
}

/// A database that is replaced: no other program has it open, for as long as this value lives.
struct Old {
    found: Option<fs::Metadata>,
    /// Keeps the lock.
    _lock: Option<Connection>,
}

impl Old {
    /// Makes sure that no one uses it, and that nothing of it is left beside it.
    fn hold(path: &Path) -> Result<Self> {
        let found = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(SourceError::File { path: path.to_owned(), source }),
        };
        let lock = match &found {
            Some(found) if found.len() > 0 => exclusive(path)?,
            _ => None,
        };
        for ending in LEFTOVERS {
            let leftover = beside(path, ending);
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SourceError::File { path: leftover, source: error });
                }
                _ => {}
            }
        }
        Ok(Self { found, _lock: lock })
    }

    /// The new file belongs to whom the old one did.
    fn give_owner(&self, to: &File) -> io::Result<()> {
        let Some(found) = &self.found else { return Ok(()) };
        let own = to.metadata()?;
        if (own.uid(), own.gid()) != (found.uid(), found.gid()) {
            // Only root may give a file away; who isn't root keeps it.
            let _ = fchown(to, Some(found.uid()), Some(found.gid()));
        }
        to.set_permissions(fs::Permissions::from_mode(found.mode() & 0o777))
    }
}

/// Locks out all others; the log is written into the database and removed. None if it isn't a database.
fn exclusive(path: &Path) -> Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let lock = Connection::open_with_flags(path, flags).and_then(|opened| {
        opened.busy_timeout(LOCKED_MAX)?;
        // With a log this is refused as long as others have the database open, even if they do nothing.
        opened.execute_batch(
            "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT; PRAGMA journal_mode=DELETE; \
             BEGIN EXCLUSIVE; COMMIT",
        )?;
        Ok(opened)
    });
    match lock {
        Ok(opened) => Ok(Some(opened)),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(failed(path, "it can't be replaced", error)),
    }
}
