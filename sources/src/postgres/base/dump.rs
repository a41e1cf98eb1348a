//! Makes a base backup.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postgres_protocol::message::backend::Message as Raw;

use super::super::lsn::{Lsn, SegmentBytes, Timeline};
use super::super::replication::{Replication, SlotName, System};
use super::super::sum::Summed;
use super::super::wire::{Message, Table};
use super::described::{Base, Tablespace};
use super::stream::{Part, Parts, WHAT};
use super::tarball::{Entry, Kind, read_all};
use super::verified::{Arrived, LIST_BYTES_MAX, WalRange};
use super::{BACKUP_MANIFEST, DATA, FOLDERS, TABLESPACES};
use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::manifest::{Form, Manifest};
use crate::sink::{Attributes, NewFile, Sink};

/// Files are one state by the log that the server sends with them, so that no archive has to be asked. `WAIT` would wait
/// for the server's own archive, which may be away.
const COMMAND: &str = "BASE_BACKUP (LABEL 'keepfast', PROGRESS true, CHECKPOINT 'fast', WAL true, WAIT false, \
                       MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256', TABLESPACE_MAP true)";
/// The bytes of a page of a table. Servers that were built with others are cut at these, which costs deduplication alone.
const PAGE_BYTES: NonZeroU32 = const { NonZeroU32::new(8192).expect("it isn't zero") };
/// How long a server may send nothing: it writes a checkpoint first. A connection that was cut on the way ends so as well.
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// The name of the tar with the server's folder.
const MAIN: &str = "base.tar";
/// More tablespaces than this are more than a server has.
const TABLESPACES_MAX: usize = 10_000;
/// More folders than this are more than a server has.
const FOLDERS_MAX: usize = 1_000_000;

/// Makes a base backup: `data/`, `tablespaces/OID/`, and the list of folders.
pub(crate) fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    refuse_selection(options)?;
    let mut replication = Replication::connect(from, options.connect_timeout, &context.cancel)?;
    let system = replication.identify()?;
    let segment_bytes = replication.segment_bytes()?;
    let has_checksums = replication.show("data_checksums")? == "on";
    // The server keeps its log for the time of the backup. If all slots are taken, it does so for a while anyway.
    if let Ok(name) = SlotName::new(&format!("keepfast_base_{:x}", system.position.0)) {
        let made = replication.create_temporary_slot(&name);
        if matches!(made, Err(SourceError::Cancelled)) {
            return Err(SourceError::Cancelled);
        }
    }
    let server = replication.version();
    let sent = Sent::take(&mut replication, sink, context)?;
    let base = sent.described(system, segment_bytes, has_checksums, &server, from)?;
    let mut manifest = Manifest::new(Engine::Postgres, Form::Physical, server);
    base.note(&mut manifest);
    Ok(manifest)
}

/// A server's files can't be chosen: any of them may be needed by the others.
fn refuse_selection(options: &DumpOptions) -> Result<()> {
    if options.selection == crate::dump::Selection::default() && options.arguments.is_empty() {
        return Ok(());
    }
    let why = "a physical backup has all of a server: choose databases and tables with a logical one";
    Err(SourceError::Unsupported { object: "selection".to_owned(), why: why.to_owned() })
}

/// What a server has sent.
struct Sent {
    start: (Lsn, Timeline),
    stop: (Lsn, Timeline),
    tablespaces: Vec<Tablespace>,
    ranges: Vec<WalRange>,
    /// The newest time of a file that the server made for the backup: by its own clock, when it sent the last of them.
    made_last: i64,
}

impl Sent {
    fn take(replication: &mut Replication, sink: &dyn Sink, context: &Context<'_>) -> Result<Self> {
        let connection = &mut replication.connection;
        connection.set_patience(Some(SILENCE_MAX));
        connection.send(WHAT, |buffer| postgres_protocol::message::frontend::query(COMMAND, buffer))?;
        let start = connection.rows_of_one(WHAT)?;
        let start =
            position(&start).ok_or_else(|| connection.refused(WHAT, "it doesn't say where it starts"))?;
        let listed = connection.rows_of_one(WHAT)?;
        let (tablespaces, kib) = tablespaces(&listed).map_err(|why| connection.refused(WHAT, why))?;
        let Message::Other(Raw::CopyOutResponse(_)) = connection.receive(WHAT)? else {
            return Err(connection.refused(WHAT, "it sends no files"));
        };
        let mut taking = Taking {
            sink,
            context,
            parts: Parts::new(connection),
            total: kib.saturating_mul(1024),
            arrived: Arrived::default(),
            folders: BTreeSet::new(),
            made_last: 0,
        };
        let list = taking.all(&tablespaces)?;
        let ranges = taking.arrived.compare(&list)?;
        taking.write_folders()?;
        let made_last = taking.made_last;
        let stop = connection.rows_of_one(WHAT)?;
        let stop =
            position(&stop).ok_or_else(|| connection.refused(WHAT, "it doesn't say where it stops"))?;
        match connection.receive(WHAT)? {
            Message::Other(Raw::CommandComplete(_) | Raw::ReadyForQuery(_)) => {}
            _ => return Err(connection.refused(WHAT, "it goes on behind its end")),
        }
        Ok(Self { start, stop, tablespaces, ranges, made_last })
    }

    fn described(
        self,
        system: System,
        segment_bytes: SegmentBytes,
        has_checksums: bool,
        server: &str,
        from: &Address,
    ) -> Result<Base> {
        let refused = |why: &str| SourceError::Server {
            server: from.to_string(),
            what: WHAT.to_owned(),
            why: why.to_owned(),
        };
        let ((start, timeline), (stop, stop_timeline)) = (self.start, self.stop);
        let is_stop = |range: &WalRange| range.end == stop && range.timeline == stop_timeline;
        if timeline != stop_timeline || stop < start || !self.ranges.iter().any(is_stop) {
            return Err(refused("the log that belongs to the files isn't what the server's list says"));
        }
        // The second has begun in which it made the file; it stopped before, and at most that second is told too late.
        let stopped = Timestamp::from_second(self.made_last)
            .and_then(|moment| moment.checked_add(SignedDuration::from_secs(1)))
            .map_err(|_| refused("it doesn't say when it was made"))?;
        Ok(Base {
            server: server.to_owned(),
            system: system.identifier,
            timeline,
            start,
            stop,
            stopped,
            segment_bytes,
            has_checksums,
            tablespaces: self.tablespaces,
        })
    }
}

/// What is taken from the stream.
struct Taking<'a, 'c> {
    sink: &'a dyn Sink,
    context: &'a Context<'a>,
    parts: Parts<'c>,
    total: u64,
    arrived: Arrived,
    folders: BTreeSet<String>,
    made_last: i64,
}

impl Taking<'_, '_> {
    /// Takes all parts; returns the server's list of files.
    fn all(&mut self, tablespaces: &[Tablespace]) -> Result<Vec<u8>> {
        let mut left: BTreeSet<String> =
            tablespaces.iter().map(|tablespace| format!("{}.tar", tablespace.oid)).collect();
        left.insert(MAIN.to_owned());
        let mut list = None;
        while let Some(part) = self.parts.next()? {
            match part {
                Part::Archive(name) if left.remove(&name) => {
                    let oid = name.strip_suffix(".tar").unwrap_or(&name);
                    if name == MAIN {
                        self.archive(&Folder { in_dump: DATA.to_owned(), in_list: String::new() })?;
                    } else {
                        let in_dump = format!("{TABLESPACES}/{oid}");
                        self.archive(&Folder { in_dump, in_list: format!("pg_tblspc/{oid}/") })?;
                    }
                }
                Part::Archive(name) => {
                    return Err(self.refused(&format!("it sends {name}, which it hasn't named")));
                }
                Part::Manifest if list.is_none() => list = Some(self.list()?),
                Part::Manifest => return Err(self.refused("it lists its files twice")),
            }
        }
        if let Some(name) = left.first() {
            return Err(self.refused(&format!("{name} isn't among what it sends")));
        }
        list.ok_or_else(|| self.refused("it doesn't list its files"))
    }

    fn refused(&self, why: &str) -> SourceError {
        SourceError::Dump { object: WHAT.to_owned(), why: why.to_owned() }
    }

    fn archive(&mut self, folder: &Folder) -> Result<()> {
        let (sink, context, total) = (self.sink, self.context, self.total);
        let Self { parts, arrived, folders, made_last, .. } = self;
        let mut object = folder.in_dump.clone();
        let mut take = |entry: &Entry, content: &mut dyn Read| {
            object = format!("{}/{}", folder.in_dump, entry.path);
            let attributes = Attributes { mode: entry.mode, modified: entry.modified };
            let Kind::File(bytes) = entry.kind else {
                if folders.len() >= FOLDERS_MAX {
                    return Err(io::Error::other("the server has more folders than any"));
                }
                folders.insert(object.clone());
                return sink.folder(&object, attributes);
            };
            if is_made_for_the_backup(&entry.path) {
                *made_last = (*made_last).max(entry.modified.unwrap_or(0));
            }
            let in_list = format!("{}{}", folder.in_list, entry.path);
            let page_bytes = is_of_pages(&in_list).then_some(PAGE_BYTES);
            let mut summed = Summed::new(content);
            let taken = sink.file(&NewFile { path: &object, attributes, page_bytes }, &mut summed)?;
            if taken != bytes {
                return Err(io::Error::other(format!("{taken} of {bytes} bytes were taken")));
            }
            arrived.note(in_list, bytes, summed.finish())?;
            Ok(())
        };
        // The callback borrows all but the stream; progress is told between the entries.
        let mut counted = Told { parts, context, total };
        read_all(&mut counted, &mut take).map_err(|error| failed(&object, error))
    }

    /// The server's list is a file of the dump, and compared with what came.
    fn list(&mut self) -> Result<Vec<u8>> {
        let path = format!("{DATA}/{BACKUP_MANIFEST}");
        let mut list = Vec::new();
        let most = u64::try_from(LIST_BYTES_MAX).unwrap_or(u64::MAX);
        let read = self.parts.by_ref().take(most).read_to_end(&mut list);
        read.map_err(|error| failed(&path, error))?;
        if list.len() >= LIST_BYTES_MAX {
            return Err(self.refused("its list of files is longer than that of any server"));
        }
        self.sink.file(&NewFile::new(&path), &mut list.as_slice()).map_err(|error| failed(&path, error))?;
        Ok(list)
    }

    fn write_folders(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.folders).map_err(|error| failed(FOLDERS, error.into()))?;
        self.sink
            .file(&NewFile::new(FOLDERS), &mut text.as_slice())
            .map_err(|error| failed(FOLDERS, error))?;
        let done = self.arrived.count();
        (self.context.progress)(Progress { phase: "files", object: FOLDERS, done, total: Some(done) });
        Ok(())
    }
}

/// Where a tar's entries go, and what the server's list calls them.
struct Folder {
    in_dump: String,
    in_list: String,
}

/// Tells how far it is while it is read.
struct Told<'a, 'c> {
    parts: &'a mut Parts<'c>,
    context: &'a Context<'a>,
    total: u64,
}

impl Read for Told<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.parts.done;
        let bytes = self.parts.read(buffer)?;
        let done = self.parts.done;
        if done != before {
            // The size is an estimate from before: what was written since can be more.
            let total = Some(self.total.max(done));
            (self.context.progress)(Progress { phase: "base backup", object: "", done, total });
        }
        Ok(bytes)
    }
}

/// An error of the connection is told as such; others are of what takes the dump.
fn failed(object: &str, error: io::Error) -> SourceError {
    match error.downcast::<SourceError>() {
        Ok(error) => error,
        Err(source) => SourceError::Transfer { object: object.to_owned(), source },
    }
}

/// `backup_label` is made when a backup starts, and the marks of the log's segments when it has stopped.
fn is_made_for_the_backup(path: &str) -> bool {
    path == "backup_label" || path.starts_with("pg_wal/archive_status/")
}

/// Whether a file is made of pages that are written in place: a table, an index, or what belongs to one.
fn is_of_pages(path: &str) -> bool {
    let in_folder = ["base/", "global/", "pg_tblspc/"].iter().any(|folder| path.starts_with(folder));
    let name = path.rsplit('/').next().unwrap_or(path);
    let (name, part) = name.split_once('.').unwrap_or((name, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let (number, fork) = name.split_once('_').unwrap_or((name, "vm"));
    in_folder && is_number(number) && is_number(part) && matches!(fork, "fsm" | "vm" | "init")
}

fn position(table: &Table) -> Option<(Lsn, Timeline)> {
    let [lsn, timeline, ..] = table.first()?.as_slice() else { return None };
    Some((lsn.as_ref()?.parse().ok()?, timeline.as_ref()?.parse().ok()?))
}

/// The tablespaces outside of the server's folder, and how many KiB all files have.
fn tablespaces(table: &Table) -> Result<(Vec<Tablespace>, u64), String> {
    let mut found = Vec::new();
    let mut kib = 0_u64;
    if table.len() > TABLESPACES_MAX {
        return Err("it has more tablespaces than any server".to_owned());
    }
    for row in table {
        let [oid, path, size, ..] = row.as_slice() else {
            return Err("its list of tablespaces can't be read".to_owned());
        };
        kib = kib.saturating_add(size.as_ref().and_then(|size| size.parse().ok()).unwrap_or(0));
        if let Some(oid) = oid {
            let oid = oid.parse().map_err(|_| format!("{oid} isn't the number of a tablespace"))?;
            found.push(Tablespace { oid, path: path.clone().unwrap_or_default() });
        }
    }
    Ok((found, kib))
}

#[cfg(test)]
mod tests {
    use super::is_of_pages;

    #[test]
    fn files_of_tables_and_indexes_are_cut_at_pages() {
        for path in
            ["base/1/1259", "base/1/1259_fsm", "global/1262_vm", "base/16384/16390.12", "base/1/2_init"]
        {
            assert!(is_of_pages(path), "{path}");
        }
        assert!(is_of_pages("pg_tblspc/16388/PG_15_202209061/5/16389"));
        for path in [
            "PG_VERSION",
            "base/1/PG_VERSION",
            "base/1/pg_filenode.map",
            "global/pg_control",
            "pg_wal/000000010000000000000001",
            "base/1/t3_16450",
            "base/1/1259_old",
            "base/1/1259.",
            "pg_xact/0000",
        ] {
            assert!(!is_of_pages(path), "{path}");
        }
    }
}
