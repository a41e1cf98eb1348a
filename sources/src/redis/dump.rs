//! A dump by replication: the server sends what it sends to a new replica, a picture of one moment.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::{DumpOptions, Selection};
use crate::error::{Result, SourceError};
use crate::manifest::{Database, Form, Manifest, Table};
use crate::sink::{NewFile, Sink};

use super::connection::Connection;
use super::rdb::FILE;
use super::rdb::reader::{Keys, Part, Reader};
use super::rdb::seal::Seal;
use super::resp;
use super::server::Info;

/// The length of the mark that ends a dump whose length the server didn't know.
const MARK_BYTES: usize = 40;
/// How many bytes are read at once.
const PIECE_BYTES: usize = 64 << 10;
/// After how many bytes progress is told.
const TELL_BYTES: u64 = 4 << 20;

/// Dumps all of a server.
pub fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    is_whole_server(from, &options.selection)?;
    let mut connection = Connection::open(from, options.connect_timeout, context)?;
    let info = Info::of(&mut connection)?;
    info.supported(connection.server())?;
    let mut manifest = Manifest::new(Engine::Redis, Form::Physical, info.version());
    manifest.server_id = info.get("run_id").map(str::to_owned);
    let begun = begin(&mut connection)?;
    manifest.position.insert("replication".to_owned(), begun.id.clone());
    manifest.position.insert("offset".to_owned(), begun.offset.clone());
    let mut picture = Picture::new(&mut connection, begun.end, info.number("used_memory_dataset"), context);
    let taken = sink.file(&NewFile::new(FILE), &mut picture);
    let seen = picture.finish(taken)?;
    if let Some(moment) = seen.aux.get("ctime") {
        let moment = moment.parse().ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        manifest.moment = moment.map(|moment| moment.to_string());
    }
    manifest.databases = databases(&seen);
    // Closing the connection tells the server that this replica is gone.
    Ok(manifest)
}

/// A picture has all databases: a part of them can't be asked for.
pub fn is_whole_server(from: &Address, selection: &Selection) -> Result<()> {
    if selection.is_everything() && from.database.is_none() {
        return Ok(());
    }
    let why =
        "a dump of Redis has all databases and keys of the server: select what to restore instead".to_owned();
    Err(SourceError::Unsupported { object: from.to_string(), why })
}

/// The databases of a dump; without numbers if the dump has what this program doesn't know.
fn databases(seen: &Seen) -> Vec<Database> {
    let keys = |number: u64, keys: &Keys| Database {
        name: number.to_string(),
        folder: None,
        tables: vec![Table { name: "keys".to_owned(), rows: Some(keys.all), ..Table::default() }],
    };
    seen.keys.as_ref().map_or_else(
        |_| Vec::new(),
        |databases| databases.iter().map(|(number, of)| keys(*number, of)).collect(),
    )
}

/// How the server announces a picture.
pub struct Begun {
    id: String,
    offset: String,
    pub end: End,
}

/// How one sees where a picture ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// After this many bytes.
    After(u64),
    /// Where this mark comes.
    Mark([u8; MARK_BYTES]),
}

/// Asks for a picture, and waits until it begins.
pub fn begin(connection: &mut Connection) -> Result<Begun> {
    // A replica that takes a picture whose length isn't known gets it from memory, without a file on the server's disk.
    connection.ask(&["REPLCONF", "listening-port", "0"])?;
    connection.ask(&["REPLCONF", "capa", "eof", "capa", "psync2"])?;
    // Since 7.0: the server then keeps no later changes for this replica. Others refuse it, and keep them.
    let words: [&[u8]; 3] = [b"REPLCONF", b"rdb-only", b"1"];
    connection
        .send(&words)
        .and_then(|()| connection.receive())
        .map_err(|error| connection.broken("REPLCONF", error))?;
    let answer = connection.text(&["PSYNC", "?", "-1"])?;
    let strange = |connection: &Connection, answer: &str| {
        connection.refused("PSYNC", &format!("it answers {answer}, which is no picture of its data"))
    };
    let mut words = answer.split_ascii_whitespace();
    let (Some("FULLRESYNC"), Some(id), Some(offset)) = (words.next(), words.next(), words.next()) else {
        return Err(strange(connection, &answer));
    };
    let line = loop {
        // While it prepares, the server sends empty lines, so that both know of each other.
        let line = resp::line(connection.stream()).map_err(|error| connection.broken("PSYNC", error))?;
        if !line.is_empty() {
            break line;
        }
    };
    let end = match line.strip_prefix('$') {
        Some(rest) => match rest.strip_prefix("EOF:") {
            Some(mark) => mark.as_bytes().try_into().ok().map(End::Mark),
            None => rest.parse().ok().map(End::After),
        },
        None => None,
    };
    let end = end.ok_or_else(|| strange(connection, &line))?;
    Ok(Begun { id: id.to_owned(), offset: offset.to_owned(), end })
}

/// What was seen of a picture.
pub struct Seen {
    /// What the server says of itself in it.
    pub aux: BTreeMap<String, String>,
    /// Keys of each database, or why they couldn't be counted.
    pub keys: Result<BTreeMap<u64, Keys>, String>,
}

/// A picture as it comes: what reads it gets an error in place of its end if it isn't whole.
pub struct Picture<'c> {
    connection: &'c mut Connection,
    end: End,
    /// Bytes that came and aren't handed out: the last of them may be the mark.
    held: Vec<u8>,
    /// How many of these may be handed out.
    ready: usize,
    is_over: bool,
    seal: Option<Seal>,
    is_whole: bool,
    reader: Reader,
    aux: BTreeMap<String, String>,
    failed: Option<SourceError>,
    told: u64,
    done: u64,
    total: Option<u64>,
    progress: &'c (dyn Fn(Progress<'_>) + Sync),
}

impl<'c> Picture<'c> {
    /// One that begins with the next byte.
    pub fn new(
        connection: &'c mut Connection,
        end: End,
        estimate: Option<u64>,
        context: &Context<'c>,
    ) -> Self {
        let total = if let End::After(bytes) = end { Some(bytes) } else { estimate };
        Self {
            connection,
            end,
            held: Vec::with_capacity(PIECE_BYTES + MARK_BYTES),
            ready: 0,
            is_over: false,
            seal: Some(Seal::new()),
            is_whole: false,
            reader: Reader::counting(),
            aux: BTreeMap::new(),
            failed: None,
            told: 0,
            done: 0,
            total,
            progress: context.progress,
        }
    }

    /// After it was read: what was in it, or what went wrong.
    pub fn finish(self, taken: io::Result<u64>) -> Result<Seen> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        taken.map_err(|source| SourceError::Transfer { object: FILE.to_owned(), source })?;
        let unread = || {
            let source = io::Error::other("what takes the dump hasn't read all of it");
            SourceError::Transfer { object: FILE.to_owned(), source }
        };
        if !self.is_whole {
            return Err(unread());
        }
        Ok(Seen { aux: self.aux, keys: self.reader.finish() })
    }

    /// Waits for more bytes, and says how many of those that are held belong to the picture.
    fn fill(&mut self) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        if let End::After(0) = self.end {
            self.is_over = true;
            return Ok(());
        }
        let most = match self.end {
            End::After(left) => usize::try_from(left).unwrap_or(usize::MAX),
            End::Mark(_) => usize::MAX,
        };
        let input = self.connection.stream();
        let came = input.fill_buf()?;
        if came.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = came.len().min(most).min(PIECE_BYTES);
        self.held.extend_from_slice(&came[..count]);
        input.consume(count);
        match &mut self.end {
            End::After(left) => {
                *left -= u64::try_from(count).unwrap_or(*left);
                self.ready = self.held.len();
            }
            End::Mark(mark) => {
                // Nothing follows the mark before a replica says that it has the picture.
                self.ready = self.held.len().saturating_sub(MARK_BYTES);
                self.is_over = self.held.ends_with(mark);
            }
        }
        Ok(())
    }

    /// Bytes that are handed out are looked at.
    fn look(&mut self, bytes: &[u8]) {
        if let Some(seal) = &mut self.seal {
            seal.feed(bytes);
        }
        let aux = &mut self.aux;
        let _: Result<(), ()> = self.reader.feed(bytes, &mut |part| {
            if let Part::Aux { name, value } = part
                && aux.len() < 100
            {
                aux.insert(name, value);
            }
            Ok(())
        });
        self.done += u64::try_from(bytes.len()).unwrap_or_default();
        if self.done >= self.told + TELL_BYTES {
            self.told = self.done;
            (self.progress)(Progress {
                phase: "picture",
                object: FILE,
                done: self.done,
                total: self.total.map(|total| total.max(self.done)),
            });
        }
    }

    fn fails(&mut self, error: SourceError) -> io::Error {
        let shown = io::Error::other(error.to_string());
        self.failed = Some(error);
        shown
    }
}

impl Read for Picture<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready == 0 && !self.is_over {
            if let Err(error) = self.fill() {
                let error = self.connection.broken("sending its data", error);
                return Err(self.fails(error));
            }
        }
        let count = self.ready.min(buffer.len());
        if count == 0 {
            // The end, at which it must be whole.
            if let Some(seal) = self.seal.take()
                && !buffer.is_empty()
            {
                match seal.finish() {
                    Ok(_) => self.is_whole = true,
                    Err(why) => {
                        let error = self.connection.refused("sending its data", &why);
                        return Err(self.fails(error));
                    }
                }
            }
            return Ok(0);
        }
        buffer[..count].copy_from_slice(&self.held[..count]);
        self.held.drain(..count);
        self.ready -= count;
        self.look(&buffer[..count]);
        Ok(count)
    }
}
