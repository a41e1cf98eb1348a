//! A physical dump: the server's own files, as MariaDB's program copies them while the server works.
//!
//! They are kept as they come, not prepared: then a table that didn't change is the same file as the night before, and its
//! pages are found again. A server is started from them after the program has played the redo log that lies beside them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use keepfast_process::tool::{Feed, Tool};

use super::catalog::Catalog;
use super::client::Client;
use super::program::{Program, Purpose};
use super::xbstream::{Event, XbStream};
use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Database, Form, Manifest, Table};
use crate::sink::{NewFile, Sink};

/// The folder in the dump.
pub(super) const DATA: &str = "data";
/// The file with the position in the binary log.
const POSITION: &str = "xtrabackup_binlog_info";
/// The file with the settings without which a server doesn't read the others.
pub(super) const SETTINGS: &str = "backup-my.cnf";
/// The settings of it that a server is started with.
const SETTINGS_PASSED: &[&str] = &["innodb_page_size", "innodb_data_file_path", "innodb_undo_tablespaces"];
/// A small file of the copy is shorter.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// How many pieces of a file wait for its reader, at most, each of 256 KiB.
const PIECES_WAITING: usize = 4;
/// How many files are open at once, at most. The program opens one beside the redo log.
const FILES_OPEN_MAX: usize = 64;
/// Of a program that tells each file it copies, this much of the end is told.
const MESSAGE_LINES: usize = 4;

/// Copies.
pub(crate) fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    let client = Client::new(from, context, options.connect_timeout)?;
    let catalog = Catalog::read_all(&client)?;
    let refused = |why: &str| {
        Err(SourceError::Unsupported { object: "a physical dump".to_owned(), why: why.to_owned() })
    };
    if catalog.engine() != Engine::Mariadb {
        return refused("it is made by MariaDB's program, and this is MySQL: make a logical one");
    }
    if from.database.is_some() || options.selection != crate::dump::Selection::default() {
        return refused("it has the whole server: name no database and no table, or make a logical one");
    }
    let program = Program::find(Purpose::Physical, Engine::Mariadb, context)?;
    let data = catalog.setting("datadir").unwrap_or_default().to_owned();
    if let Err(source) = std::fs::read_dir(&data) {
        return Err(SourceError::File { path: data.into(), source });
    }
    let mut manifest = Manifest::new(Engine::Mariadb, Form::Physical, catalog.version());
    manifest.server_id = catalog.server_id();
    manifest.moment = Some(catalog.now.clone());
    manifest.tools.insert(program.name.to_owned(), program.version.clone());
    let file = |source| SourceError::File { path: context.scratch.clone(), source };
    let scratch = tempfile::Builder::new().prefix("physical-").tempdir_in(&context.scratch).map_err(file)?;
    let tool = client
        .tool(&program)?
        .args(["--backup", "--stream=xbstream", "--parallel=1"])
        .arg(format!("--datadir={data}"))
        .arg(format!("--target-dir={}", scratch.path().display()))
        .arg(format!("--tmpdir={}", scratch.path().display()))
        .args(&options.arguments)
        .folder(scratch.path());
    let page_bytes = catalog.setting("innodb_page_size").and_then(|bytes| bytes.parse().ok());
    let small = copy(tool, &program, page_bytes, catalog.bytes(), sink, context)?;
    manifest.position = position(small.get(POSITION).map_or("", String::as_str));
    manifest.databases = catalog.databases.iter().map(of_catalog).collect();
    Ok(manifest)
}

fn of_catalog(database: &super::catalog::DatabaseOf) -> Database {
    let tables = database.tables.iter().map(|table| Table { name: table.name.clone(), ..Table::default() });
    Database { name: database.name.clone(), folder: None, tables: tables.collect() }
}

/// The log, the byte in it and the GTID, with tabs between them.
fn position(text: &str) -> BTreeMap<String, String> {
    let mut fields = text.trim_end().split('\t').map(str::to_owned);
    let (Some(file), Some(at)) = (fields.next().filter(|file| !file.is_empty()), fields.next()) else {
        return BTreeMap::new();
    };
    let gtid = fields.next().filter(|gtid| !gtid.is_empty());
    let named =
        [("file", Some(file)), ("position", Some(at)), ("gtid", gtid), ("databases", Some("all".to_owned()))];
    named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Gives each file of the stream to the sink, from a thread for each that is open. Returns the small files that have to be
/// known.
fn copy(
    tool: Tool,
    program: &Program,
    page_bytes: Option<NonZeroU32>,
    total: u64,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<BTreeMap<String, String>> {
    let file = |source| SourceError::File { path: program.path.clone(), source };
    let started = tool.start(Feed::Nothing, &context.cancel).map_err(file)?.started;
    let mut stream = XbStream::new(io::BufReader::with_capacity(64 << 10, started.output));
    let taken = std::thread::scope(|scope| {
        let mut open = Open { scope, sink, page_bytes, files: BTreeMap::new(), small: BTreeMap::new() };
        let mut done = 0;
        loop {
            let next = stream.next(&mut |start| open.is_next(&start.path, start.offset));
            match next.map_err(file)? {
                Some(Event::Bytes(path, bytes)) => {
                    done += u64::try_from(bytes.len()).unwrap_or_default();
                    (context.progress)(Progress { phase: "files", object: &path, done, total: Some(total) });
                    open.pass(&path, bytes)?;
                }
                Some(Event::End(path)) => open.end(&path)?,
                None => return open.all_are_whole(),
            }
        }
    });
    if context.cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    // A store that is full is the cause; a stream that is cut off is a consequence, and its program knows the cause.
    if let Err(error @ SourceError::Transfer { .. }) = taken {
        return Err(error);
    }
    let ended = match taken {
        // It may still work on what no one reads any more.
        Err(ref error) if !is_cut_off(error) => return taken,
        _ => started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?,
    };
    let messages = ended.stderr.unwrap_or_default();
    if ended.status.success() && messages.trim_end().ends_with("completed OK!") {
        return taken;
    }
    let lines: Vec<&str> = messages.lines().collect();
    Err(SourceError::Program {
        program: program.name.to_owned(),
        status: ended.status.to_string(),
        messages: lines[lines.len().saturating_sub(MESSAGE_LINES)..].join("\n"),
    })
}

fn is_cut_off(error: &SourceError) -> bool {
    let of_source = |source: &io::Error| source.kind() == io::ErrorKind::UnexpectedEof;
    matches!(error, SourceError::File { source, .. } if of_source(source))
        || matches!(error, SourceError::Missing { .. })
}

/// Files that are being copied.
struct Open<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    sink: &'env dyn Sink,
    page_bytes: Option<NonZeroU32>,
    files: BTreeMap<String, OpenFile<'scope>>,
    small: BTreeMap<String, String>,
}

struct OpenFile<'scope> {
    pieces: SyncSender<Option<Vec<u8>>>,
    thread: ScopedJoinHandle<'scope, io::Result<u64>>,
    bytes: u64,
}

impl<'scope> Open<'scope, '_> {
    /// Pieces of a file follow each other.
    fn is_next(&mut self, path: &str, offset: u64) -> io::Result<()> {
        let have = self.files.get(path).map_or(0, |file| file.bytes);
        if have == offset {
            // A file without a byte is a file too.
            return self.opened(path).map(drop);
        }
        let why = format!("a piece of {path} belongs at byte {offset}, and {have} have come");
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    fn opened(&mut self, path: &str) -> io::Result<&mut OpenFile<'scope>> {
        if !self.files.contains_key(path) {
            if self.files.len() >= FILES_OPEN_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "too many files come at once"));
            }
            let (pieces, coming) = sync_channel(PIECES_WAITING);
            let (sink, name) = (self.sink, format!("{DATA}/{path}"));
            let page_bytes = self.page_bytes.filter(|_| is_of_pages(path));
            let thread = self.scope.spawn(move || {
                let new = NewFile { page_bytes, ..NewFile::new(&name) };
                sink.file(&new, &mut Pieces { coming, piece: Vec::new(), at: 0, is_whole: false })
            });
            self.files.insert(path.to_owned(), OpenFile { pieces, thread, bytes: 0 });
        }
        self.files.get_mut(path).ok_or_else(|| io::Error::other("a file isn't open"))
    }

    fn pass(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        if matches!(path, POSITION | SETTINGS) && bytes.len() < SMALL_BYTES_MAX {
            let text = self.small.entry(path.to_owned()).or_default();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        let count = u64::try_from(bytes.len()).unwrap_or_default();
        let transfer = |source| SourceError::Transfer { object: format!("{DATA}/{path}"), source };
        let file = self.opened(path).map_err(transfer)?;
        file.bytes += count;
        if file.pieces.send(Some(bytes)).is_err() {
            return self.end(path);
        }
        Ok(())
    }

    /// Waits until the sink has a file.
    fn end(&mut self, path: &str) -> Result<()> {
        let transfer = |source| SourceError::Transfer { object: format!("{DATA}/{path}"), source };
        let Some(file) = self.files.remove(path) else {
            // It ends without a piece.
            self.opened(path).map_err(transfer)?;
            return self.end(path);
        };
        let is_open = file.pieces.send(None).is_ok();
        drop(file.pieces);
        match file.thread.join() {
            Ok(Ok(bytes)) if is_open && bytes == file.bytes => Ok(()),
            Ok(Ok(_)) => Err(transfer(io::Error::other("it wasn't read to its end"))),
            Ok(Err(error)) => Err(transfer(error)),
            Err(_) => Err(transfer(io::Error::other("what takes it has ended"))),
        }
    }

    fn all_are_whole(self) -> Result<BTreeMap<String, String>> {
        match self.files.keys().next() {
            Some(path) => Err(SourceError::Missing {
                object: format!("{DATA}/{path}"),
                why: "the copy was cut off within it".to_owned(),
            }),
            None => Ok(self.small),
        }
    }
}

/// Files of InnoDB, which it writes page by page.
fn is_of_pages(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".ibd") || name.starts_with("ibdata") || name.starts_with("undo0")
}

/// A file that comes in pieces.
struct Pieces {
    coming: Receiver<Option<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    is_whole: bool,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.is_whole {
            (self.at, self.piece) = match self.coming.recv() {
                Ok(Some(piece)) => (0, piece),
                Ok(None) => {
                    self.is_whole = true;
                    (0, Vec::new())
                }
                Err(_) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the copy was cut off")),
            };
        }
        let count = into.len().min(self.piece.len() - self.at);
        into[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Writes the files of a dump into an empty folder, where a server is to use them.
pub(super) fn fetch(
    files: &dyn Files,
    into: &std::path::Path,
    context: &Context<'_>,
) -> Result<Vec<PathBuf>> {
    let listed = files.list().map_err(|source| SourceError::Transfer { object: DATA.to_owned(), source })?;
    let mut made = Vec::new();
    let total = listed.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    for listed in &listed {
        let Some(path) = listed.path.strip_prefix(&format!("{DATA}/")) else { continue };
        if !super::names::is_path_in_a_dump(path) {
            let why = "its path leads out of the dump".to_owned();
            return Err(SourceError::Dump { object: listed.path.clone(), why });
        }
        (context.progress)(Progress { phase: "files", object: &listed.path, done, total: Some(total) });
        if context.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        let transfer = |source| SourceError::Transfer { object: listed.path.clone(), source };
        let to = into.join(path);
        let file = |source| SourceError::File { path: to.clone(), source };
        if let Some(folder) = to.parent().filter(|folder| !folder.is_dir()) {
            std::fs::create_dir_all(folder).map_err(file)?;
            made.push(folder.to_owned());
        }
        let mut content = files.open(&listed.path).map_err(transfer)?;
        let mut output = std::fs::File::create_new(&to).map_err(file)?;
        done += io::copy(&mut content, &mut output).map_err(transfer)?;
        made.push(to);
    }
    Ok(made)
}

/// The settings that a server needs to read a copy, as arguments.
pub(super) fn settings(text: &str) -> Vec<String> {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let passed = settings.filter(|(name, _)| SETTINGS_PASSED.contains(&name.trim()));
    passed.map(|(name, value)| format!("--{}={}", name.trim(), value.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_of_pages, position, settings};

    #[test]
    fn positions_and_settings_are_read_as_the_program_writes_them() {
        let read = position("binlog.000002\t339\t0-7-40\n");
        assert_eq!(read.get("file").map(String::as_str), Some("binlog.000002"));
        assert_eq!(read.get("gtid").map(String::as_str), Some("0-7-40"));
        assert!(position("").is_empty());
        let text = "[mysqld]\ninnodb_page_size=16384\ninnodb_log_file_size=1\nplugin_load=x\n";
        assert_eq!(settings(text), ["--innodb_page_size=16384"]);
        assert!(is_of_pages("shop/a.ibd") && is_of_pages("ibdata1") && !is_of_pages("ib_logfile0"));
    }
}
