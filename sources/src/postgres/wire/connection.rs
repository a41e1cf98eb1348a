//! Messages of a server, one after the other, and answers to its commands.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use keepfast_process::Cancel;
use postgres_protocol::message::backend::{self, DataRowBody, ErrorFields, Header};
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};

use super::socket::Socket;
use crate::error::{Result, SourceError};

/// A longer message isn't read. A server sends its files and its log in pieces of at most 128 KiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// More rows than this are no answer to what is asked here: a server has a row for each tablespace.
const ROWS_MAX: usize = 100_000;
/// More settings than this aren't told by a server.
const SETTINGS_MAX: usize = 1000;
/// `CopyBothResponse`, with which a stream of the log begins.
const COPY_BOTH_TAG: u8 = b'W';

/// The bytes of a connection.
#[expect(clippy::large_enum_variant, reason = "there is one for each connection")]
pub(super) enum Stream {
    /// As they are.
    Plain(Socket),
    /// Encrypted.
    Encrypted(StreamOwned<ClientConnection, Socket>),
}

impl Stream {
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Encrypted(stream) => &stream.sock,
        }
    }

    pub(super) fn set_patience(&mut self, patience: Option<Duration>) {
        match self {
            Self::Plain(socket) => socket.patience = patience,
            Self::Encrypted(stream) => stream.sock.patience = patience,
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(_))
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Encrypted(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Whether bytes are there that were decrypted and not read.
    fn has_decrypted(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(false),
            Self::Encrypted(stream) => {
                let state = stream.conn.process_new_packets().map_err(io::Error::other)?;
                Ok(state.plaintext_bytes_to_read() > 0)
            }
        }
    }
}

/// A message of a server.
pub(crate) enum Message {
    /// Data of a copy.
    Data(Bytes),
    /// A copy has begun that goes both ways.
    CopyBoth,
    /// Anything else that isn't an error.
    Other(backend::Message),
}

/// The rows of an answer, as text.
pub(crate) type Table = Vec<Vec<Option<String>>>;

/// A connection to a server that has let the user in.
pub(crate) struct Connection {
    pub(super) stream: Stream,
    incoming: BytesMut,
    read: Box<[u8]>,
    /// The address, for messages.
    pub(crate) server: String,
    /// What the server said of itself.
    pub(crate) settings: BTreeMap<String, String>,
    cancel: Cancel,
}

impl Connection {
    pub(super) fn new(stream: Stream, server: String, cancel: &Cancel) -> Self {
        let read = vec![0; READ_BYTES].into_boxed_slice();
        let (incoming, settings) = (BytesMut::new(), BTreeMap::new());
        Self { stream, incoming, read, server, settings, cancel: cancel.clone() }
    }

    /// An error of the connection itself.
    pub(crate) fn broken(&self, what: &str, error: &io::Error) -> SourceError {
        if self.cancel.is_cancelled() {
            return SourceError::Cancelled;
        }
        self.refused(what, error.to_string())
    }

    /// An error that the server has told, or an answer that no server gives.
    pub(crate) fn refused(&self, what: &str, why: impl Into<String>) -> SourceError {
        SourceError::Server { server: self.server.clone(), what: what.to_owned(), why: why.into() }
    }

    /// How long the server may send nothing while something is awaited of it; none means for as long as it takes.
    pub(crate) fn set_patience(&mut self, patience: Option<Duration>) {
        self.stream.set_patience(patience);
    }

    /// The number in front of the first point of the server's version.
    pub(crate) fn major(&self) -> u32 {
        let version = self.settings.get("server_version").map_or("", String::as_str);
        let end = version.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(version.len());
        version.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Sends what a function of the protocol's library wrote.
    pub(crate) fn send(
        &mut self,
        what: &str,
        write: impl FnOnce(&mut BytesMut) -> io::Result<()>,
    ) -> Result<()> {
        let mut buffer = BytesMut::new();
        let sent = write(&mut buffer).and_then(|()| self.stream.write_all(&buffer));
        sent.map_err(|error| self.broken(what, &error))
    }

    /// The next message. Notices and changed settings are none; an error of the server is one.
    pub(crate) fn receive(&mut self, what: &str) -> Result<Message> {
        loop {
            if let Some(message) = self.parsed(what)? {
                return Ok(message);
            }
            self.fill(what)?;
        }
    }

    /// The next message, if one comes within this time.
    pub(crate) fn receive_within(&mut self, what: &str, time: Duration) -> Result<Option<Message>> {
        loop {
            if let Some(message) = self.parsed(what)? {
                return Ok(Some(message));
            }
            let has_decrypted = self.stream.has_decrypted().map_err(|error| self.broken(what, &error))?;
            let is_there = has_decrypted
                || self.stream.socket().is_readable(time).map_err(|error| self.broken(what, &error))?;
            if !is_there {
                return Ok(None);
            }
            self.fill(what)?;
        }
    }

    fn fill(&mut self, what: &str) -> Result<()> {
        match self.stream.read(&mut self.read) {
            Ok(0) => Err(self.refused(what, "the server has ended the connection")),
            Ok(bytes) => {
                self.incoming.extend_from_slice(self.read.get(..bytes).unwrap_or(&[]));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.refused(what, "the server has ended the connection"))
            }
            Err(error) => Err(self.broken(what, &error)),
        }
    }

    fn parsed(&mut self, what: &str) -> Result<Option<Message>> {
        loop {
            let header = Header::parse(&self.incoming).map_err(|error| self.broken(what, &error))?;
            let Some(header) = header else { return Ok(None) };
            let bytes = usize::try_from(header.len()).unwrap_or(usize::MAX);
            if bytes > MESSAGE_BYTES_MAX {
                return Err(self.refused(what, format!("a message of {bytes} bytes is none of PostgreSQL's")));
            }
            if self.incoming.len() <= bytes {
                return Ok(None);
            }
            if header.tag() == COPY_BOTH_TAG {
                let _ = self.incoming.split_to(bytes + 1);
                return Ok(Some(Message::CopyBoth));
            }
            let message =
                backend::Message::parse(&mut self.incoming).map_err(|error| self.broken(what, &error))?;
            match message {
                None => return Ok(None),
                Some(backend::Message::CopyData(data)) => return Ok(Some(Message::Data(data.into_bytes()))),
                Some(backend::Message::NoticeResponse(_)) => {}
                Some(backend::Message::ParameterStatus(setting)) => {
                    if let (Ok(name), Ok(value)) = (setting.name(), setting.value())
                        && self.settings.len() < SETTINGS_MAX
                    {
                        self.settings.insert(name.to_owned(), value.to_owned());
                    }
                }
                Some(backend::Message::ErrorResponse(error)) => {
                    return Err(self.refused(what, of_error(error.fields())));
                }
                Some(other) => return Ok(Some(Message::Other(other))),
            }
        }
    }

    /// Sends a command and reads all rows of its answers, up to the end of the command.
    pub(crate) fn query(&mut self, what: &str, command: &str) -> Result<Table> {
        self.send(what, |buffer| frontend::query(command, buffer))?;
        let answer = self.rows(what);
        // A session goes on after an error: what follows up to its end isn't an answer to the next command.
        if answer.is_err() {
            while let Ok(message) = self.receive_within(what, Duration::from_secs(1)) {
                match message {
                    Some(Message::Other(backend::Message::ReadyForQuery(_))) | None => break,
                    Some(_) => {}
                }
            }
        }
        answer
    }

    /// Reads all rows of a command that was sent, up to its end.
    pub(crate) fn rows(&mut self, what: &str) -> Result<Table> {
        let mut rows = Table::new();
        loop {
            match self.receive(what)? {
                Message::Other(backend::Message::DataRow(row)) => rows.push(self.row(what, &row)?),
                Message::Other(backend::Message::ReadyForQuery(_)) => return Ok(rows),
                Message::Other(
                    backend::Message::RowDescription(_)
                    | backend::Message::CommandComplete(_)
                    | backend::Message::EmptyQueryResponse,
                ) => {}
                _ => return Err(self.refused(what, "the server answers something else than rows")),
            }
            if rows.len() > ROWS_MAX {
                return Err(self.refused(what, "the answer has more rows than any server has"));
            }
        }
    }

    /// Reads one set of rows of a command that answers several.
    pub(crate) fn rows_of_one(&mut self, what: &str) -> Result<Table> {
        let mut rows = Table::new();
        loop {
            match self.receive(what)? {
                Message::Other(backend::Message::DataRow(row)) => rows.push(self.row(what, &row)?),
                Message::Other(backend::Message::RowDescription(_)) => {}
                Message::Other(backend::Message::CommandComplete(_)) => return Ok(rows),
                _ => return Err(self.refused(what, "the server answers something else than rows")),
            }
            if rows.len() > ROWS_MAX {
                return Err(self.refused(what, "the answer has more rows than any server has"));
            }
        }
    }

    fn row(&self, what: &str, row: &DataRowBody) -> Result<Vec<Option<String>>> {
        let value = |range: Option<std::ops::Range<usize>>| {
            let bytes = range.and_then(|range| row.buffer().get(range));
            Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        };
        row.ranges().map(value).collect().map_err(|error| self.broken(what, &error))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut buffer = BytesMut::new();
        frontend::terminate(&mut buffer);
        self.stream.set_patience(Some(Duration::ZERO));
        // The server sees the end of the connection as well.
        let _ = self.stream.write_all(&buffer);
    }
}

/// What a server says of an error: its message, and the detail.
pub(super) fn of_error(mut fields: ErrorFields<'_>) -> String {
    let (mut text, mut detail, mut hint) = (String::new(), String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'M' => text = value,
            b'D' => detail = format!(" ({value})"),
            b'H' => hint = format!(" ({value})"),
            _ => {}
        }
    }
    format!("{text}{detail}{hint}")
}
