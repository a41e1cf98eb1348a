//! Databases as they are opened: as any program does that uses them, or as files that no one changes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::address::{Address, Place};
use crate::context::Context;
use crate::error::{Result, SourceError};

/// How often one tries to lock a database. A program that writes all the time leaves it free for moments.
const TRY: Duration = Duration::from_millis(2);
/// How often a question that takes long looks whether the run is cancelled.
const NAP: Duration = Duration::from_millis(20);
/// Of that many programs that hold a lock, a message tells.
const HOLDERS_MAX: usize = 3;

/// The file of an address.
pub fn path_of(address: &Address) -> Result<&Path> {
    match &address.place {
        Place::File(path) => Ok(path),
        Place::Server { .. } | Place::Socket { .. } => {
            let why = "SQLite has no servers: its databases are files".to_owned();
            Err(SourceError::Unsupported { object: address.to_string(), why })
        }
    }
}

/// A file beside a database, such as `-wal`.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A database that other programs may use meanwhile.
///
/// It is opened for writing, since only so can what a program has left in a journal be read: nothing is changed by that but
/// what the next program would change, too.
pub fn shared(path: &Path) -> Result<Connection> {
    is_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|opened| {
        opened.busy_timeout(Duration::ZERO)?;
        opened.execute_batch("PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON")?;
        Ok(opened)
    });
    opened.map_err(|error| failed(path, "it can't be opened", error))
}

/// A database that no one changes, such as one that was restored. Nothing is made beside it.
pub fn still(path: &Path) -> Result<Connection> {
    is_file(path)?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let opened = Connection::open_with_flags(still_name(path), flags).and_then(|opened| {
        opened.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON")?;
        Ok(opened)
    });
    opened.map_err(|error| failed(path, "it can't be opened", error))
}

/// Such a database's name, for SQLite.
pub fn still_name(path: &Path) -> String {
    let mut name = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                name.push(char::from(*byte));
            }
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    name.push_str("?immutable=1");
    name
}

fn is_file(path: &Path) -> Result<()> {
    let found = fs::metadata(path).map_err(|source| SourceError::File { path: path.to_owned(), source })?;
    if found.is_file() {
        return Ok(());
    }
    Err(SourceError::Unsupported { object: path.display().to_string(), why: "it isn't a file".to_owned() })
}

/// Does something again as long as another program has locked the database, up to this time.
pub fn patiently<T>(
    path: &Path,
    what: &str,
    time: Duration,
    context: &Context<'_>,
    mut attempt: impl FnMut() -> rusqlite::Result<T>,
) -> Result<T> {
    let tries = time.as_millis().div_ceil(TRY.as_millis()).max(1);
    let mut done = attempt();
    for _ in 1..tries {
        match &done {
            Err(error) if is_busy(error) => {
                if context.cancel.wait(TRY) {
                    return Err(SourceError::Cancelled);
                }
                done = attempt();
            }
            _ => break,
        }
    }
    done.map_err(|error| failed(path, what, error))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Asks something that may take long; a run that is cancelled ends it.
pub fn ends_with_the_run<T>(
    connection: &Connection,
    context: &Context<'_>,
    ask: impl FnOnce(&Connection) -> T,
) -> Result<T> {
    let (handle, is_over) = (connection.get_interrupt_handle(), AtomicBool::new(false));
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A question may begin after the first interrupt.
            while !is_over.load(Ordering::Relaxed) {
                if context.cancel.is_cancelled() {
                    handle.interrupt();
                }
                std::thread::park_timeout(NAP);
            }
        });
        let answer = ask(connection);
        is_over.store(true, Ordering::Relaxed);
        answer
    });
    if context.cancel.is_cancelled() { Err(SourceError::Cancelled) } else { Ok(answer) }
}

/// What SQLite says, with its cause as far as it can be seen.
pub fn failed(path: &Path, what: &str, error: rusqlite::Error) -> SourceError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("it is locked by {}", holders(path).unwrap_or_else(|| "another program".to_owned()))
        }
        Some(ErrorCode::NotADatabase) => "it is encrypted, or isn't a database of SQLite".to_owned(),
        Some(ErrorCode::DatabaseCorrupt) => {
            format!(
                "it is damaged ({error}): `PRAGMA integrity_check` says more, and a restore may be needed"
            )
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => format!(
            "{error}: the user of this program must be allowed to write the file and its folder, since readers lock it, too"
        ),
        _ => error.to_string(),
    };
    SourceError::Server { server: path.display().to_string(), what: what.to_owned(), why }
}

/// Programs that have locked the file or what lies beside it, as the system knows them.
fn holders(path: &Path) -> Option<String> {
    let files = [path.to_owned(), beside(path, "-shm")];
    let inodes: Vec<u64> =
        files.iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.ino()).collect();
    let own = std::process::id().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let mut found: Vec<String> = Vec::new();
    for line in locks.lines() {
        // `1: POSIX  ADVISORY  WRITE 2345 fe:01:131074 1073741826 1073742335`
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "POSIX", _, _, process, file, ..] = words.as_slice() else { continue };
        let inode = file.rsplit(':').next().and_then(|inode| inode.parse().ok());
        if *process == own || !inode.is_some_and(|inode| inodes.contains(&inode)) {
            continue;
        }
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        let named = format!("{} (process {process})", name.trim());
        if !found.contains(&named) && found.len() < HOLDERS_MAX {
            found.push(named);
        }
    }
    (!found.is_empty()).then(|| found.join(" and "))
}

/// A name in SQL.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A value as text; none for NULL.
pub fn text_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}
