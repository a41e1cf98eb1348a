//! What a server sends while it is backed up: tars one after the other, its list of files, and how far it is, in one stream.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use postgres_protocol::message::backend::Message as Raw;

use super::super::wire::{Connection, Message};
use crate::error::{Result, SourceError};

/// What this is, for messages.
pub(super) const WHAT: &str = "BASE_BACKUP";
/// The longest name and path in the stream.
const TEXT_BYTES_MAX: usize = 8192;

/// A part of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A tar of this name.
    Archive(String),
    /// The server's list of its files.
    Manifest,
}

/// The stream, part by part. Reading it gives the part's bytes, up to the part's end.
pub(super) struct Parts<'c> {
    connection: &'c mut Connection,
    piece: Bytes,
    next: Option<Part>,
    is_over: bool,
    /// How many bytes of files the server says it has sent.
    pub done: u64,
}

impl<'c> Parts<'c> {
    pub(super) fn new(connection: &'c mut Connection) -> Self {
        Self { connection, piece: Bytes::new(), next: None, is_over: false, done: 0 }
    }

    /// Begins the next part; none at the end of the stream. What wasn't read of the last one is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Part>> {
        while self.next.is_none() && !self.is_over {
            self.piece.clear();
            self.advance()?;
        }
        Ok(self.next.take())
    }

    /// Reads messages until there are bytes, or the part ends.
    fn advance(&mut self) -> Result<()> {
        let mut data = match self.connection.receive(WHAT)? {
            Message::Data(data) => data,
            Message::Other(Raw::CopyDone) => {
                self.is_over = true;
                return Ok(());
            }
            _ => return Err(self.strange("it stops sending files")),
        };
        if data.is_empty() {
            return Err(self.strange("it sends an empty message"));
        }
        match data.get_u8() {
            b'd' => self.piece = data,
            b'p' if data.len() == 8 => self.done = data.get_u64(),
            b'm' if data.is_empty() => self.next = Some(Part::Manifest),
            b'n' => {
                let name = self.text(&mut data)?;
                // Where the tablespace is on the server: its list has told that before.
                self.text(&mut data)?;
                self.next = Some(Part::Archive(name));
            }
            _ => return Err(self.strange("it sends a message of an unknown kind")),
        }
        Ok(())
    }

    fn text(&self, data: &mut Bytes) -> Result<String> {
        let end = data.iter().position(|byte| *byte == 0).filter(|end| *end <= TEXT_BYTES_MAX);
        let mut text = data.split_to(end.ok_or_else(|| self.strange("it sends a name without an end"))? + 1);
        text.truncate(text.len().saturating_sub(1));
        String::from_utf8(text.into()).map_err(|_| self.strange("it sends a name that isn't text"))
    }

    fn strange(&self, why: &str) -> SourceError {
        self.connection.refused(WHAT, why)
    }
}

/// Errors of the connection go through as they are: [`io::Error::downcast`] finds them again.
impl Read for Parts<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && self.next.is_none() && !self.is_over {
            self.advance().map_err(io::Error::other)?;
        }
        let bytes = self.piece.len().min(buffer.len());
        self.piece.split_to(bytes).copy_to_slice(buffer.get_mut(..bytes).unwrap_or(&mut []));
        Ok(bytes)
    }
}
