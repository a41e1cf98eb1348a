//! Rows of a table as COPY has them: read as a file, and written from one.

use std::io::{self, Read};
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::session::{Session, said};
use super::tools::source_error;
use crate::error::Result;

/// How many bytes are given on at once.
const BUFFER_BYTES: usize = 256 << 10;

/// The rows of a table while they are read.
pub struct Rows<'a> {
    session: &'a Session,
    stream: Pin<Box<CopyOutStream>>,
    table: &'a str,
    buffer: BytesMut,
    is_done: bool,
    /// How many rows were read.
    pub rows: u64,
    heard: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Rows<'a> {
    /// Begins to read. `heard` is told of the bytes of each part.
    pub fn of(
        session: &'a Session,
        table: &'a str,
        statement: &str,
        heard: &'a (dyn Fn(u64) + Sync),
    ) -> Result<Self> {
        let stream = session.run(&format!("the rows of {table}"), session.client()?.copy_out(statement))?;
        let buffer = BytesMut::with_capacity(BUFFER_BYTES * 2);
        Ok(Self { session, stream: Box::pin(stream), table, buffer, is_done: false, rows: 0, heard })
    }

    /// Whether all of them were read.
    pub fn is_done(&self) -> bool {
        self.is_done && self.buffer.is_empty()
    }

    fn fill(&mut self) -> Result<()> {
        let (stream, buffer, is_done) = (&mut self.stream, &mut self.buffer, &mut self.is_done);
        let filled = self.session.wait(async {
            while buffer.len() < BUFFER_BYTES {
                match stream.next().await {
                    Some(row) => buffer.extend_from_slice(&row?),
                    None => {
                        *is_done = true;
                        break;
                    }
                }
            }
            Ok(())
        })?;
        let what = || format!("the rows of {}", self.table);
        filled.map_err(|error: tokio_postgres::Error| self.session.error(&what(), said(&error)))?;
        // A line break inside of a value is written as `\n`, so that each that is there ends a row.
        let ends = self.buffer.iter().filter(|&&byte| byte == b'\n').count();
        self.rows += u64::try_from(ends).unwrap_or(u64::MAX);
        (self.heard)(u64::try_from(self.buffer.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

impl Read for Rows<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() && !self.is_done {
            self.fill().map_err(io::Error::other)?;
        }
        let count = self.buffer.len().min(into.len());
        into[..count].copy_from_slice(&self.buffer.split_to(count));
        Ok(count)
    }
}

/// Writes rows into a table, and returns how many there were. `heard` is told of the bytes of each part.
pub fn load(
    session: &Session,
    table: &str,
    statement: &str,
    content: &mut dyn Read,
    heard: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let what = format!("the rows of {table}");
    let sink = session.run(&what, session.client()?.copy_in::<_, Bytes>(statement))?;
    let mut sink: Pin<&mut CopyInSink<Bytes>> = pin!(sink);
    let mut buffer = BytesMut::new();
    loop {
        buffer.resize(BUFFER_BYTES, 0);
        let count = filled(content, &mut buffer).map_err(|error| source_error(table, error))?;
        if count == 0 {
            return session.run(&what, sink.as_mut().finish());
        }
        heard(u64::try_from(count).unwrap_or(u64::MAX));
        buffer.truncate(count);
        // Bytes that were given away are allocated again, which is cheap beside the rest.
        if session.wait(sink.send(buffer.split().freeze()))?.is_err() {
            // The server's reason comes only at the end.
            session.run(&what, sink.as_mut().finish())?;
            return Err(session.error(&what, "it ended the transfer".to_owned()));
        }
    }
}

fn filled(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match content.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
