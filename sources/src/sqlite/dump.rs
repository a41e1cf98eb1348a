//! A dump: the pages of the database, as one transaction sees them. Nothing is read but by SQLite itself, so that what lies
//! in a journal is a part of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Rows};

use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::{DumpOptions, Selection};
use crate::error::{Result, SourceError};
use crate::manifest::{Database, Form, Manifest};
use crate::sink::{NewFile, Sink};

use super::header::{HEADER_BYTES, PageBytes, counters};
use super::open::{ends_with_the_run, failed, path_of, patiently, shared};
use super::tables;

/// The file of a dump.
pub const FILE: &str = "main.db";
/// The rows of a larger database aren't counted: that reads all of it another time.
const COUNTED_BYTES_MAX: u64 = 4 << 30;
/// Pages that are copied at once, where they are copied.
const STEP_PAGES: i32 = 1000;
/// After this many pages progress is told.
const TELL_PAGES: u64 = 1000;

/// Dumps a database.
pub fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    let path = path_of(from)?;
    is_whole_file(path, &options.selection)?;
    let snapshot = Snapshot::begin(path, options.connect_timeout, context)?;
    let before = changed(path)?;
    let mut manifest = Manifest::new(Engine::Sqlite, Form::Physical, rusqlite::version().to_owned());
    snapshot.write(sink, context)?;
    let counts = snapshot.bytes() <= COUNTED_BYTES_MAX;
    let described = ends_with_the_run(&snapshot.connection, context, |of| tables::described(of, counts))?;
    let tables = described.map_err(|error| failed(path, "its tables can't be counted", error))?;
    // All locks of a process on a file end when any part of the process closes that file.
    if snapshot.journal != "wal" && changed(path)? != before {
        let why = "it was changed while it was read: another part of this program has read the file too, which has \
                   ended the lock";
        return Err(strange(path, why));
    }
    manifest.position = snapshot.position(path)?;
    manifest.databases.push(Database { name: "main".to_owned(), folder: None, tables });
    Ok(manifest)
}

/// A dump is all pages: a part of a database can't be asked for.
pub fn is_whole_file(path: &Path, selection: &Selection) -> Result<()> {
    if selection.is_everything() {
        return Ok(());
    }
    let why = "a dump of SQLite is the whole file: select what to restore instead".to_owned();
    Err(SourceError::Unsupported { object: path.display().to_string(), why })
}

/// When the file was changed. With a journal, no one changes it as long as anyone reads.
fn changed(path: &Path) -> Result<(i64, i64, u64)> {
    let found = fs::metadata(path).map_err(|source| SourceError::File { path: path.to_owned(), source })?;
    Ok((found.mtime(), found.mtime_nsec(), found.size()))
}

/// The database as it is at one moment, for as long as this value lives.
pub struct Snapshot<'p> {
    path: &'p Path,
    connection: Connection,
    page: PageBytes,
    pages: u64,
    /// How changes are written: `wal`, or kinds of journals.
    journal: String,
}

impl<'p> Snapshot<'p> {
    /// Takes the lock of a reader.
    pub fn begin(path: &'p Path, time: Duration, context: &Context<'_>) -> Result<Self> {
        let connection = shared(path)?;
        patiently(path, "it can't be read", time, context, || {
            connection.execute_batch("BEGIN")?;
            let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
            if read.is_err() {
                connection.execute_batch("ROLLBACK")?;
            }
            read
        })?;
        let number = |pragma: &str| {
            let read = connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
            read.map_err(|error| failed(path, "it can't be read", error))
        };
        let page = u32::try_from(number("PRAGMA page_size")?).ok().and_then(PageBytes::new);
        let page = page.ok_or_else(|| strange(path, "it has pages of a length that there isn't"))?;
        let pages = u64::try_from(number("PRAGMA page_count")?).unwrap_or_default();
        let journal = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0));
        let journal = journal.map_err(|error| failed(path, "it can't be read", error))?;
        Ok(Self { path, connection, page, pages, journal })
    }

    /// How changes are written.
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// The database, as the snapshot sees it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The length of the file that a dump has.
    pub fn bytes(&self) -> u64 {
        self.page.times(self.pages)
    }

    fn position(&self, path: &Path) -> Result<BTreeMap<String, String>> {
        let mut position = BTreeMap::new();
        position.insert("journal".to_owned(), self.journal.clone());
        position.insert("page_bytes".to_owned(), self.page.get().to_string());
        for pragma in ["schema_version", "user_version", "application_id"] {
            let value =
                self.connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
            let value = value.map_err(|error| failed(path, "it can't be read", error))?;
            position.insert(pragma.to_owned(), value.to_string());
        }
        Ok(position)
    }

    fn write(&self, sink: &dyn Sink, context: &Context<'_>) -> Result<()> {
        if gives_pages(&self.connection).map_err(|error| failed(self.path, "it can't be read", error))? {
            self.write_pages(sink, context)
        } else {
            self.write_copy(sink, context)
        }
    }

    /// Page after page, as SQLite gives them.
    fn write_pages(&self, sink: &dyn Sink, context: &Context<'_>) -> Result<()> {
        let unread = |error| failed(self.path, "its pages can't be read", error);
        let mut question = self
            .connection
            .prepare("SELECT data FROM sqlite_dbpage('main') ORDER BY pgno")
            .map_err(unread)?;
        let rows = question.query([]).map_err(unread)?;
        let mut pages = Pages { rows, page: Vec::new(), at: 0, done: 0, of: self, failed: None, context };
        let taken = sink.file(&self.file(), &mut pages);
        match (pages.failed, taken) {
            (Some(error), _) => Err(error),
            (None, Ok(bytes)) if bytes == self.bytes() => Ok(()),
            (None, Ok(_)) => Err(strange(self.path, "it has another number of pages than it says")),
            (None, Err(source)) => Err(SourceError::Transfer { object: FILE.to_owned(), source }),
        }
    }

    /// By a copy of the database: for a SQLite that was built without what gives its pages.
    pub fn write_copy(&self, sink: &dyn Sink, context: &Context<'_>) -> Result<()> {
        let scratch = |source| SourceError::File { path: context.scratch.clone(), source };
        let copy =
            tempfile::Builder::new().prefix("sqlite-").tempfile_in(&context.scratch).map_err(scratch)?;
        let uncopied = |error| failed(self.path, "it can't be copied", error);
        let mut to = Connection::open(copy.path()).map_err(uncopied)?;
        to.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF").map_err(uncopied)?;
        // It doesn't begin again when others write: the snapshot keeps its lock.
        let backup = Backup::new(&self.connection, &mut to).map_err(uncopied)?;
        while backup.step(STEP_PAGES).map_err(uncopied)? != StepResult::Done {
            if context.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
        }
        drop(backup);
        to.close().map_err(|(_, error)| uncopied(error))?;
        let mut file = File::open(copy.path()).map_err(scratch)?;
        let taken = sink.file(&self.file(), &mut file);
        match taken.map_err(|source| SourceError::Transfer { object: FILE.to_owned(), source })? {
            bytes if bytes == self.bytes() => Ok(()),
            _ => Err(strange(self.path, "its copy has another length than it says")),
        }
    }

    fn file(&self) -> NewFile<'static> {
        NewFile { page_bytes: Some(self.page.get()), ..NewFile::new(FILE) }
    }
}

/// Whether this SQLite was built with what gives the pages of a database.
pub fn gives_pages(connection: &Connection) -> rusqlite::Result<bool> {
    let question = "SELECT count(*) FROM pragma_module_list WHERE name = 'sqlite_dbpage'";
    connection.query_row(question, [], |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// The database isn't as a database should be.
fn strange(path: &Path, why: &str) -> SourceError {
    SourceError::Dump { object: path.display().to_string(), why: why.to_owned() }
}

/// The pages of a database, as a file.
struct Pages<'s> {
    rows: Rows<'s>,
    page: Vec<u8>,
    at: usize,
    done: u64,
    of: &'s Snapshot<'s>,
    failed: Option<SourceError>,
    context: &'s Context<'s>,
}

impl Pages<'_> {
    /// Takes the next page; false at the end.
    fn next(&mut self) -> Result<bool> {
        if self.context.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        let unread = |error| failed(self.of.path, "its pages can't be read", error);
        let Some(row) = self.rows.next().map_err(unread)? else { return Ok(false) };
        let value = row.get_ref(0).map_err(unread)?;
        let bytes = value.as_blob().map_err(|error| unread(error.into()))?;
        if usize::try_from(self.of.page.get().get()) != Ok(bytes.len()) {
            return Err(strange(self.of.path, "it has a page of another length"));
        }
        self.page.clear();
        self.page.extend_from_slice(bytes);
        self.at = 0;
        self.done += 1;
        if self.done.is_multiple_of(TELL_PAGES) {
            (self.context.progress)(Progress {
                phase: "pages",
                object: FILE,
                done: self.of.page.times(self.done),
                total: Some(self.of.bytes()),
            });
        }
        Ok(true)
    }
}

impl Read for Pages<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.page.len() {
            match self.next() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    let shown = io::Error::other(error.to_string());
                    self.failed = Some(error);
                    return Err(shown);
                }
            }
        }
        let count = buffer.len().min(self.page.len() - self.at);
        buffer[..count].copy_from_slice(&self.page[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// What a file of this length must say in its header, if it is whole.
pub fn is_whole(header: &[u8; HEADER_BYTES], page: PageBytes, bytes: u64) -> bool {
    let (_, pages) = counters(header);
    page.times(pages.into()) == bytes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keepfast_process::Cancel;
    use keepfast_process::redact::KnownSecrets;

    use super::{FILE, Snapshot, gives_pages};
    use crate::context::Context;
    use crate::sink::FolderSink;

    /// The one way is taken in this build, and the other where a build lacks it: both must give the same rows.
    #[test]
    fn pages_and_a_copy_have_the_same_rows() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.db");
        let made = rusqlite::Connection::open(&path).expect("a database");
        made.execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE t(a, b); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
             INSERT INTO t SELECT i, hex(randomblob(50)) FROM n",
        )
        .expect("rows");
        let context = Context {
            cancel: Cancel::new(),
            secrets: KnownSecrets::default(),
            programs: Vec::new(),
            scratch: folder.path().join("scratch"),
            progress: &|_| {},
        };
        std::fs::create_dir(&context.scratch).expect("a folder");
        let snapshot = Snapshot::begin(&path, Duration::from_secs(1), &context).expect("a snapshot");
        assert!(
            gives_pages(snapshot.connection()).expect("an answer"),
            "see LIBSQLITE3_FLAGS in .cargo/config.toml"
        );
        let rows = |name: &str, write: &dyn Fn(&FolderSink)| {
            let place = folder.path().join(name);
            std::fs::create_dir(&place).expect("a folder");
            write(&FolderSink::new(&place));
            let copy = rusqlite::Connection::open(place.join(FILE)).expect("a database");
            copy.query_row("SELECT group_concat(a || b) FROM t", [], |row| row.get::<_, String>(0))
                .expect("rows")
        };
        let pages = rows("pages", &|sink| snapshot.write_pages(sink, &context).expect("a dump"));
        let copied = rows("copied", &|sink| snapshot.write_copy(sink, &context).expect("a dump"));
        assert_eq!(pages, copied);
        assert!(std::fs::read_dir(&context.scratch).expect("a folder").next().is_none());
    }
}
