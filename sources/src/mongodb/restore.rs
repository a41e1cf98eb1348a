//! The way back: collections as they were made, their documents, then indexes, then views, then the changes that were made
//! while the dump was.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use crate::address::Address;
use crate::check::Check;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Manifest, Table};
use crate::restore::{Existing, RestoreOptions, RestorePlan, RestoreReport};

use super::found::{Chosen, Kind, USERS, collections, stored_in};
use super::layout::{self, Documents, OPLOG};
use super::link::Link;

/// How long a server may take to answer a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Documents that are sent at once.
const BATCH_DOCUMENTS: usize = 1000;
/// Bytes of them, after which no more are added.
const BATCH_BYTES: usize = 8 << 20;
/// Options and fields that belong to the old collection alone.
const OF_ITSELF: [&str; 3] = ["uuid", "ns", "autoIndexId"];

/// A collection that comes back.
struct Piece<'m> {
    source: &'m str,
    target: String,
    table: &'m Table,
    metadata: Document,
    kind: Kind,
}

impl Piece<'_> {
    fn path(&self) -> String {
        format!("{}.{}", self.target, self.table.name)
    }
}

/// What would happen.
pub fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    let pieces = pieces(manifest, files, to, options)?;
    let link = Link::open(to, CONNECT_MAX, context)?;
    let version = link.command("admin", doc! { "buildInfo": 1 })?;
    let version = version.get_str("version").unwrap_or("unknown");
    let there = occupied(&link, &pieces)?;
    let mut steps = Vec::new();
    for piece in &pieces {
        let what = match (piece.kind, piece.table.rows) {
            (Kind::View, _) => "the view".to_owned(),
            (_, Some(rows)) => format!("the collection with {rows} documents"),
            (_, None) => "the collection, without documents,".to_owned(),
        };
        steps.push(format!("{what} {}.{} is made as {}", piece.source, piece.table.name, piece.path()));
    }
    let mut warnings = warnings(manifest, options);
    if has_log(manifest, options, to) {
        steps.push("changes that were made during the dump are repeated, from its oplog".to_owned());
    }
    if release(version) < release(&manifest.server) {
        warnings.push(format!(
            "the dump is of MongoDB {}, and the server is {version}: an older one may not know all options",
            manifest.server
        ));
    }
    let bytes = pieces.iter().filter_map(|piece| piece.table.bytes).sum();
    Ok(RestorePlan {
        steps,
        warnings,
        replaces: there.iter().map(|path| format!("collection {path}")).collect(),
        bytes,
    })
}

/// The first number of a version, to compare.
pub fn release(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Restores.
pub fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let pieces = pieces(manifest, files, to, options)?;
    let link = Link::open(to, CONNECT_MAX, context)?;
    let there = occupied(&link, &pieces)?;
    if options.existing == Existing::Refuse
        && let Some(path) = there.first()
    {
        return Err(SourceError::Occupied { object: format!("collection {path}") });
    }
    for piece in pieces.iter().filter(|piece| there.contains(&piece.path())) {
        link.command(&piece.target, doc! { "drop": &piece.table.name })?;
    }
    let work = Work { link: &link, files, context, left: Mutex::new(VecDeque::new()) };
    let (views, stored): (Vec<&Piece<'_>>, Vec<&Piece<'_>>) =
        pieces.iter().partition(|piece| piece.kind == Kind::View);
    work.left.lock().unwrap_or_else(PoisonError::into_inner).extend(stored);
    let done = work.by_threads(options.parallel.get().into())?;
    // A view may ask another view: those that can't be made are tried again after the others.
    let mut left: Vec<&Piece<'_>> = views;
    while !left.is_empty() {
        let before = left.len();
        let mut failed = None;
        left.retain(|piece| work.create(piece).map_err(|error| failed = Some(error)).is_err());
        if let Some(error) = failed
            && left.len() == before
        {
            return Err(error);
        }
    }
    let mut report = RestoreReport {
        databases: 0,
        tables: u64::try_from(pieces.len()).unwrap_or_default(),
        rows: 0,
        bytes: 0,
        checks: Vec::new(),
        warnings: warnings(manifest, options),
    };
    let mut databases: Vec<&str> = pieces.iter().map(|piece| piece.target.as_str()).collect();
    databases.sort_unstable();
    databases.dedup();
    report.databases = u64::try_from(databases.len()).unwrap_or_default();
    for (rows, bytes, checks) in done {
        report.rows += rows;
        report.bytes += bytes;
        report.checks.extend(checks);
    }
    report.checks.sort_by(|one, other| one.name.cmp(&other.name));
    if has_log(manifest, options, to) {
        repeat(&link, files, context)?;
    }
    Ok(report)
}

/// Changes can be repeated only where all that they change was restored under its own name.
fn has_log(manifest: &Manifest, options: &RestoreOptions, to: &Address) -> bool {
    manifest.position.contains_key("oplog_last")
        && options.database.is_none()
        && options.tables.is_empty()
        && to.database.is_none()
}

fn warnings(manifest: &Manifest, options: &RestoreOptions) -> Vec<String> {
    let mut warnings: Vec<String> = manifest
        .missing
        .iter()
        .map(|missing| format!("{} isn't in the dump: {}", missing.object, missing.why))
        .collect();
    let has_users = manifest.databases.iter().any(|database| {
        database.name == "admin" && database.tables.iter().any(|table| USERS.contains(&table.name.as_str()))
    });
    if has_users && (options.globals || options.database.is_none()) {
        let text = "users and roles aren't restored: they lie in the dump's folder admin, from which mongorestore \
                    restores them";
        warnings.push(text.to_owned());
    }
    warnings
}

/// What of the dump is meant, and where it goes.
fn pieces<'m>(
    manifest: &'m Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
) -> Result<Vec<Piece<'m>>> {
    let unsupported = |why: &str| SourceError::Unsupported { object: to.to_string(), why: why.to_owned() };
    if options.until.is_some() || !options.schemas.is_empty() {
        return Err(unsupported("of a dump of MongoDB, databases and collections can be restored"));
    }
    let databases: Vec<_> = match &options.database {
        Some(name) => manifest.databases.iter().filter(|database| database.name == *name).collect(),
        None => manifest.databases.iter().collect(),
    };
    if let Some(name) = &options.database
        && databases.is_empty()
    {
        let object = format!("database {name}");
        return Err(SourceError::Missing { object, why: "it isn't in the dump".to_owned() });
    }
    let named = databases.iter().filter(|database| database.name != "admin").count();
    if to.database.is_some() && named > 1 {
        return Err(unsupported("the dump has several databases: say which of them goes there"));
    }
    let listed =
        files.list().map_err(|source| SourceError::Transfer { object: "the dump".to_owned(), source })?;
    let chosen = Chosen::new(&options.tables)?;
    let mut pieces = Vec::new();
    for database in databases {
        let target = to.database.clone().unwrap_or_else(|| database.name.clone());
        if to.database.is_some() && database.name == "admin" && options.database.is_none() {
            continue;
        }
        for table in &database.tables {
            let is_own = USERS.contains(&table.name.as_str());
            if is_own || !chosen.has(&table.name) && !chosen.has(&format!("{}.{}", database.name, table.name))
            {
                continue;
            }
            let path = layout::metadata(&database.name, &table.name);
            let has_metadata = listed.iter().any(|file| file.path == path);
            let metadata = if has_metadata { layout::read_metadata(files, &path)? } else { Document::new() };
            let kind = metadata.get_str("type").ok().and_then(Kind::of).unwrap_or(Kind::Plain);
            let target = target.clone();
            pieces.push(Piece { source: &database.name, target, table, metadata, kind });
        }
    }
    if pieces.is_empty() && !chosen.is_all() {
        let object = format!("collections {}", options.tables.join(", "));
        return Err(SourceError::Missing { object, why: "none of them is in the dump".to_owned() });
    }
    Ok(pieces)
}

/// Those of them that are there.
fn occupied(link: &Link, pieces: &[Piece<'_>]) -> Result<Vec<String>> {
    let mut targets: Vec<&str> = pieces.iter().map(|piece| piece.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    let mut there = Vec::new();
    for target in targets {
        let names = collections(link, target)?;
        let of_target = pieces.iter().filter(|piece| piece.target == target);
        let found = of_target.filter(|piece| names.iter().any(|known| known.name == piece.table.name));
        there.extend(found.map(Piece::path));
    }
    Ok(there)
}

/// Rows and bytes that were written, and what was compared.
type Done = (u64, u64, Vec<Check>);

struct Work<'w> {
    link: &'w Link,
    files: &'w dyn Files,
    context: &'w Context<'w>,
    left: Mutex<VecDeque<&'w Piece<'w>>>,
}

impl Work<'_> {
    fn by_threads(&self, count: usize) -> Result<Vec<Done>> {
        let each = || -> Result<Vec<Done>> {
            let mut all = Vec::new();
            loop {
                let next = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(piece) = next else { return Ok(all) };
                match self.collection(piece) {
                    Ok(done) => all.push(done),
                    Err(error) => {
                        self.left.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        return Err(error);
                    }
                }
            }
        };
        let ended: Vec<Result<Vec<Done>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(each)).collect();
            let panicked = || SourceError::Transfer {
                object: "a collection".to_owned(),
                source: io::Error::other("a thread has ended without a result"),
            };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        let mut all = Vec::new();
        for done in ended {
            all.extend(done?);
        }
        Ok(all)
    }

    fn create(&self, piece: &Piece<'_>) -> Result<()> {
        let mut command = doc! { "create": &piece.table.name };
        if let Ok(options) = piece.metadata.get_document("options") {
            command.extend(without_own(options));
        }
        self.link.command(&piece.target, command).map(|_| ())
    }

    fn collection(&self, piece: &Piece<'_>) -> Result<Done> {
        self.create(piece)?;
        let (mut rows, mut bytes) = (0, 0);
        if let Some(path) = &piece.table.file {
            let mut documents = Documents::open(self.files, path)?;
            let into = stored_in(&piece.table.name, piece.kind);
            let into = self.link.database(&piece.target).collection::<RawDocumentBuf>(&into);
            let (mut batch, mut batch_bytes) = (Vec::new(), 0);
            loop {
                let next = documents.next()?;
                let is_last = next.is_none();
                if let Some(document) = next {
                    batch_bytes += document.as_bytes().len();
                    batch.push(document);
                }
                if !batch.is_empty()
                    && (is_last || batch.len() >= BATCH_DOCUMENTS || batch_bytes >= BATCH_BYTES)
                {
                    rows += u64::try_from(batch.len()).unwrap_or_default();
                    let insert = into.insert_many(std::mem::take(&mut batch)).into_future();
                    self.link.wait(&format!("writing into {}", piece.path()), insert)?;
                    batch_bytes = 0;
                    (self.context.progress)(Progress {
                        phase: "documents",
                        object: &piece.table.name,
                        done: rows,
                        total: piece.table.rows,
                    });
                }
                if is_last {
                    break;
                }
            }
            bytes = documents.bytes;
        }
        self.indexes(piece)?;
        Ok((rows, bytes, self.compared(piece, rows)?))
    }

    fn indexes(&self, piece: &Piece<'_>) -> Result<()> {
        let Ok(indexes) = piece.metadata.get_array("indexes") else { return Ok(()) };
        let others: Vec<Bson> = indexes
            .iter()
            .filter_map(Bson::as_document)
            .filter(|index| index.get_str("name").is_ok_and(|name| name != "_id_"))
            .map(|index| Bson::Document(without_own(index)))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
        self.link
            .command(&piece.target, doc! { "createIndexes": &piece.table.name, "indexes": others })
            .map(|_| ())
    }

    /// Documents in the manifest, in the file and in the collection.
    fn compared(&self, piece: &Piece<'_>, rows: u64) -> Result<Vec<Check>> {
        let Some(expected) = piece.table.rows else { return Ok(Vec::new()) };
        let into = stored_in(&piece.table.name, piece.kind);
        let into = self.link.database(&piece.target).collection::<Document>(&into);
        let path = piece.path();
        let found =
            self.link.wait(&format!("counting {path}"), into.count_documents(doc! {}).into_future())?;
        Ok(vec![
            Check::equal(format!("documents of {path} in the dump"), expected, rows),
            Check::equal(format!("documents of {path}"), expected, found),
        ])
    }
}

fn without_own(options: &Document) -> Document {
    let others = options.iter().filter(|(name, _)| !OF_ITSELF.contains(&name.as_str()));
    others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Repeats changes of the oplog, in its order.
fn repeat(link: &Link, files: &dyn Files, context: &Context<'_>) -> Result<()> {
    let mut entries = Documents::open(files, OPLOG)?;
    let mut done = 0;
    while let Some(entry) = entries.next()? {
        let wrong = |why: String| SourceError::Dump { object: OPLOG.to_owned(), why };
        let mut entry = Document::try_from(&entry).map_err(|error| wrong(error.to_string()))?;
        done += 1;
        (context.progress)(Progress { phase: "oplog", object: OPLOG, done, total: None });
        let changes = entry.get_str("ns").unwrap_or_default();
        let is_own = changes.is_empty()
            || ["config.", "local.", "admin.system."].iter().any(|own| changes.starts_with(own));
        if entry.get_str("op").is_ok_and(|op| op == "n") || is_own {
            continue;
        }
        let is_part = entry.get_document("o").is_ok_and(|o| {
            o.contains_key("partialTxn") || o.contains_key("prepare") || o.contains_key("commitTransaction")
        });
        if is_part {
            let why = "it has a transaction of several entries, which this program doesn't repeat: mongorestore does";
            return Err(wrong(why.to_owned()));
        }
        for name in ["ui", "lsid", "txnNumber", "prevOpTime", "stmtId"] {
            entry.remove(name);
        }
        link.command("admin", doc! { "applyOps": [entry] })?;
    }
    Ok(())
}
