//! A dump as files of documents, several collections at once, with the changes that were made meanwhile.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use mongodb::bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use mongodb::error::Error;
use mongodb::raw_batch_cursor::RawBatchCursor;

use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::{Content, DumpOptions, OnMissing};
use crate::error::{Result, SourceError};
use crate::manifest::{Database, Form, Manifest, Missing, Table};
use crate::sink::{NewFile, Sink};

use super::found::{Chosen, Collection, Kind, USERS, collections, databases};
use super::layout::{self, OPLOG};
use super::link::{GRANT, Link, isnt_there, lacks_rights};

/// Indexes that are asked for at once: no collection has more than 64.
const INDEXES_MAX: i32 = 1000;

/// Dumps databases.
pub fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    let selection = &options.selection;
    if !selection.schemas.is_empty() {
        let why = "MongoDB has no schemas".to_owned();
        return Err(SourceError::Unsupported { object: from.to_string(), why });
    }
    let link = Link::open(from, options.connect_timeout, context)?;
    let version = link.command("admin", doc! { "buildInfo": 1 })?;
    let version = version.get_str("version").unwrap_or("unknown").to_owned();
    let hello = link.command("admin", doc! { "hello": 1 })?;
    let mut manifest = Manifest::new(Engine::Mongodb, Form::Logical, version);
    manifest.server_id = hello.get_str("setName").ok().map(str::to_owned);
    let by_name = [Chosen::new(&selection.databases)?, Chosen::new(&selection.tables)?];
    let is_whole = from.database.is_none() && by_name.iter().all(Chosen::is_all);
    // Changes can be repeated only if all that they change is there.
    let logs = is_whole
        && hello.contains_key("setName")
        && selection.content == Content::All
        && selection.exclude_tables.is_empty();
    let missing = |object: String, why: String, manifest: &mut Manifest| {
        if options.on_missing == OnMissing::Fail {
            return Err(SourceError::Missing { object, why });
        }
        manifest.missing.push(Missing { object, why });
        Ok(())
    };
    let first = if logs { newest(&link)? } else { Ok(None) };
    let first = match first {
        Ok(first) => first,
        Err(why) => {
            missing("the oplog".to_owned(), why, &mut manifest)?;
            None
        }
    };
    let [chosen_databases, chosen] = by_name;
    let mut all = Vec::new();
    for database in databases(&link, from, &chosen_databases)? {
        let found = collections(&link, &database)?.into_iter();
        all.extend(found.filter(|collection| chosen.has(&collection.name) || chosen.has(&collection.path())));
    }
    if is_whole {
        // Who may not see them isn't told that they are there.
        all.extend(
            USERS
                .iter()
                .map(|name| users(name))
                .filter(|users| !all.iter().any(|one| one.path() == users.path()))
                .collect::<Vec<_>>(),
        );
    }
    let excluded = Chosen::new(&selection.exclude_tables)?;
    let leaves_out = |collection: &Collection| {
        selection.content == Content::Schema
            || !excluded.is_all() && (excluded.has(&collection.name) || excluded.has(&collection.path()))
    };
    let work = Work {
        link: &link,
        sink,
        context,
        left: Mutex::new(all.iter().enumerate().collect()),
        done: AtomicU64::new(0),
        total: u64::try_from(all.len()).unwrap_or_default(),
        content: selection.content,
    };
    let results = work.by_threads(options.parallel.get().into(), &leaves_out);
    let mut tables = results?;
    tables.sort_by_key(|(number, _)| *number);
    for (number, result) in tables {
        let collection = &all[number];
        match result {
            Ok(table) => add(&mut manifest, &collection.database, table),
            Err(why) => missing(format!("collection {}", collection.path()), why, &mut manifest)?,
        }
    }
    if let Some(first) = first {
        oplog(&link, first, sink, context, &mut manifest)?;
    }
    Ok(manifest)
}

/// A collection of users and their rights.
fn users(name: &str) -> Collection {
    Collection {
        database: "admin".to_owned(),
        name: name.to_owned(),
        kind: Kind::Plain,
        options: Document::new(),
        uuid: None,
    }
}

fn add(manifest: &mut Manifest, database: &str, table: Table) {
    match manifest.databases.iter_mut().find(|known| known.name == database) {
        Some(known) => known.tables.push(table),
        None => manifest.databases.push(Database {
            name: database.to_owned(),
            folder: Some(database.to_owned()),
            tables: vec![table],
        }),
    }
}

/// Collections that are left to dump.
struct Work<'w> {
    link: &'w Link,
    sink: &'w dyn Sink,
    context: &'w Context<'w>,
    left: Mutex<VecDeque<(usize, &'w Collection)>>,
    done: AtomicU64,
    total: u64,
    content: Content,
}

/// Of each collection its number in the list, and why it isn't there.
type Results = Vec<(usize, Result<Table, String>)>;

impl Work<'_> {
    fn by_threads(&self, count: usize, leaves_out: &(dyn Fn(&Collection) -> bool + Sync)) -> Result<Results> {
        let each = || -> Result<Results> {
            let mut results = Vec::new();
            loop {
                let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((number, collection)) = next else { return Ok(results) };
                let path = collection.path();
                (self.context.progress)(Progress {
                    phase: "collections",
                    object: &path,
                    done: self.done.fetch_add(1, Ordering::Relaxed),
                    total: Some(self.total),
                });
                match self.collection(collection, leaves_out(collection)) {
                    Ok(result) => results.push((number, result)),
                    Err(error) => {
                        // The others end with what they have begun.
                        self.left.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        return Err(error);
                    }
                }
            }
        };
        let mut all = Vec::new();
        let ended: Vec<Result<Results>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(each)).collect();
            let panicked = || SourceError::Transfer {
                object: "a collection".to_owned(),
                source: io::Error::other("a thread has ended without a result"),
            };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        for results in ended {
            all.extend(results?);
        }
        Ok(all)
    }

    /// The inner error says why the user can't read it.
    fn collection(&self, of: &Collection, leaves_out: bool) -> Result<Result<Table, String>> {
        let mut table = Table { name: of.name.clone(), ..Table::default() };
        let mut has_ids = false;
        if self.content != Content::Data {
            let indexes = match self.indexes(of)? {
                Ok(indexes) => indexes,
                Err(why) => return Ok(Err(why)),
            };
            let is_of_ids = |index: &Bson| {
                index
                    .as_document()
                    .is_some_and(|index| index.get_str("name").is_ok_and(|name| name == "_id_"))
            };
            has_ids = indexes.iter().any(is_of_ids);
            let path = layout::metadata(&of.database, &of.name);
            let text = metadata(of, indexes).to_string();
            let taken = self.sink.file(&NewFile::new(&path), &mut text.as_bytes());
            taken.map_err(|source| SourceError::Transfer { object: path, source })?;
        }
        if of.kind == Kind::View || leaves_out {
            return Ok(Ok(table));
        }
        let source = self.link.database(&of.database).collection::<RawDocumentBuf>(&of.stored_in());
        // In the order of their ids, new ones come where they are expected, and the same ones always.
        let is_sorted = has_ids && of.options.get("capped").is_none();
        let mut asked = source.find(doc! {}).no_cursor_timeout(true);
        if is_sorted {
            asked = asked.sort(doc! { "_id": 1 });
        }
        let cursor = match self.link.attempt(asked.batch())? {
            Ok(cursor) => cursor,
            Err(error) if lacks_rights(&error) => return Ok(Err(self.unreadable(&error))),
            Err(error) => return Err(self.link.refused(&of.path(), &error)),
        };
        let path = layout::documents(&of.database, &of.name);
        let (bytes, count) = stream(self.link, cursor, &path, &of.path(), self.sink)?;
        table.file = Some(path);
        table.rows = Some(count);
        table.bytes = Some(bytes);
        Ok(Ok(table))
    }

    fn indexes(&self, of: &Collection) -> Result<Result<Vec<Bson>, String>> {
        if of.kind != Kind::Plain {
            return Ok(Ok(Vec::new()));
        }
        let command = doc! { "listIndexes": &of.name, "cursor": { "batchSize": INDEXES_MAX } };
        let database = self.link.database(&of.database);
        match self.link.attempt(database.run_command(command).into_future())? {
            Ok(answer) => {
                let cursor = answer.get_document("cursor");
                let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch"));
                Ok(Ok(batch.cloned().unwrap_or_default()))
            }
            Err(error) if lacks_rights(&error) => Ok(Err(self.unreadable(&error))),
            Err(error) if isnt_there(&error) => Ok(Ok(Vec::new())),
            Err(error) => Err(self.link.refused(&format!("the indexes of {}", of.path()), &error)),
        }
    }

    fn unreadable(&self, error: &Error) -> String {
        format!("{}: allow it, by {GRANT}", self.link.shown(error))
    }
}

/// What is written beside the documents.
fn metadata(of: &Collection, indexes: Vec<Bson>) -> serde_json::Value {
    let mut document = doc! { "options": of.options.clone(), "indexes": indexes };
    if let Some(uuid) = &of.uuid {
        document.insert("uuid", uuid);
    }
    document.insert("collectionName", &of.name);
    document.insert("type", of.kind.name());
    Bson::Document(document).into_canonical_extjson()
}

/// Writes documents as they come. Returns their bytes and their number.
fn stream(
    link: &Link,
    cursor: RawBatchCursor,
    path: &str,
    object: &str,
    sink: &dyn Sink,
) -> Result<(u64, u64)> {
    let mut documents = Stream { link, cursor, object, batch: Vec::new(), at: 0, count: 0, failed: None };
    let taken = sink.file(&NewFile::new(path), &mut documents);
    match (documents.failed, taken) {
        (Some(error), _) => Err(error),
        (None, Ok(bytes)) => Ok((bytes, documents.count)),
        (None, Err(source)) => Err(SourceError::Transfer { object: path.to_owned(), source }),
    }
}

/// Documents of a collection, as a file.
struct Stream<'s> {
    link: &'s Link,
    cursor: RawBatchCursor,
    object: &'s str,
    batch: Vec<u8>,
    at: usize,
    count: u64,
    failed: Option<SourceError>,
}

impl Stream<'_> {
    /// Takes the next batch; false after the last one.
    fn next(&mut self) -> Result<bool> {
        let cursor = &mut self.cursor;
        let next = self.link.attempt(async { cursor.next().await.transpose() })?;
        let refused = |error: &Error| self.link.refused(self.object, error);
        let Some(batch) = next.map_err(|error| refused(&error))? else { return Ok(false) };
        self.batch.clear();
        self.at = 0;
        for document in batch.doc_slices().map_err(|error| refused(&error))? {
            let document = document.ok().and_then(|document| document.as_document());
            let document = document.ok_or_else(|| SourceError::Server {
                server: self.link.server().to_owned(),
                what: self.object.to_owned(),
                why: "the server sends what is no document".to_owned(),
            })?;
            self.batch.extend_from_slice(document.as_bytes());
            self.count += 1;
        }
        Ok(true)
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.batch.len() {
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
        let count = buffer.len().min(self.batch.len() - self.at);
        buffer[..count].copy_from_slice(&self.batch[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The moment of the newest change; the inner error says why the user can't see it.
fn newest(link: &Link) -> Result<Result<Option<Timestamp>, String>> {
    match edge(link, -1)? {
        Ok(newest) => Ok(Ok(newest)),
        Err(error) if lacks_rights(&error) => {
            Ok(Err(format!("{}: allow it, by {GRANT}", link.shown(&error))))
        }
        Err(error) => Err(link.refused("the oplog", &error)),
    }
}

/// The moment of the oldest (1) or newest (-1) change.
fn edge(link: &Link, direction: i32) -> Result<Result<Option<Timestamp>, Error>> {
    let log = link.database("local").collection::<Document>("oplog.rs");
    let asked = log.find_one(doc! {}).sort(doc! { "$natural": direction });
    let answer = link.attempt(asked.into_future())?;
    Ok(answer.map(|entry| match entry?.get("ts") {
        Some(Bson::Timestamp(moment)) => Some(*moment),
        _ => None,
    }))
}

/// Changes that were made since the dump began: with them, it shows the moment of the last one.
fn oplog(
    link: &Link,
    first: Timestamp,
    sink: &dyn Sink,
    context: &Context<'_>,
    manifest: &mut Manifest,
) -> Result<()> {
    let refused = |error: Error| link.refused("the oplog", &error);
    let last = edge(link, -1)?.map_err(refused)?.unwrap_or(first);
    (context.progress)(Progress { phase: "oplog", object: OPLOG, done: 0, total: None });
    let log = link.database("local").collection::<RawDocumentBuf>("oplog.rs");
    let asked = log.find(doc! { "ts": { "$gt": first, "$lte": last } }).no_cursor_timeout(true);
    let cursor = link.attempt(asked.batch())?.map_err(refused)?;
    stream(link, cursor, OPLOG, "the oplog", sink)?;
    // What was overwritten before it was read would be missing in the middle.
    if edge(link, 1)?.map_err(refused)?.is_none_or(|oldest| oldest > first) {
        return Err(SourceError::Server {
            server: link.server().to_owned(),
            what: "the oplog".to_owned(),
            why: "it is too small: changes of the time of the dump are gone already. Enlarge it, by \
                  `replSetResizeOplog`"
                .to_owned(),
        });
    }
    let position = |moment: Timestamp| format!("{}:{}", moment.time, moment.increment);
    manifest.position.insert("oplog_first".to_owned(), position(first));
    manifest.position.insert("oplog_last".to_owned(), position(last));
    manifest.moment = jiff::Timestamp::from_second(last.time.into()).ok().map(|moment| moment.to_string());
    Ok(())
}
