//! The log as it is written: read by streaming replication, and confirmed when it is durable here.
//!
//! A replication slot keeps on the server what wasn't confirmed, so that a receiver that was away goes on where it was. A
//! segment is written as `NAME.partial` and gets its name when it is full: it then has the same bytes as the segment that
//! the server archives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::backend::Message as Raw;
use postgres_protocol::message::frontend::{self, CopyData};

use super::super::lsn::{Lsn, SegmentBytes, SegmentNumber, Timeline};
use super::super::replication::{Replication, SlotName, SlotState};
use super::super::segment::{SegmentName, WalName};
use super::super::wire::{Message, Table};
use super::spool::{Spool, SystemOf};
use crate::address::Address;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};

/// What this is, for messages.
const WHAT: &str = "START_REPLICATION";
/// What a server says of a segment, or of a slot, that it couldn't keep.
const LOST: &[&str] = &["has already been removed", "can no longer", "has been invalidated"];
/// How many questions a server may leave unanswered, one in each interval.
const UNANSWERED_MAX: u32 = 6;
/// At most this much is written before it is made durable.
const UNFLUSHED_BYTES_MAX: u64 = 4 << 20;

/// How to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveOptions {
    /// The slot by which the server keeps what isn't confirmed. It is made if it isn't there.
    pub slot: SlotName,
    /// Where to begin.
    pub begin: Begin,
    /// How long the server may take to answer a connection.
    pub connect_timeout: Duration,
    /// How often the server hears that someone is here, at least.
    pub status_interval: Duration,
}

impl ReceiveOptions {
    /// The usual ones: goes on where the spool ends.
    #[must_use]
    pub fn new(slot: SlotName) -> Self {
        Self {
            slot,
            begin: Begin::Resume,
            connect_timeout: Duration::from_secs(10),
            status_interval: Duration::from_secs(10),
        }
    }
}

/// Where a receiver begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Where the spool ends; with an empty one, at what the slot keeps.
    Resume,
    /// Where the server is now. What lies between is a gap, which takes a new base backup.
    Now,
}

/// What was received until the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// In which history it ended.
    pub timeline: Timeline,
    /// Up to where it is durable here.
    pub position: Lsn,
    /// How many segments became full.
    pub segments: u64,
}

/// Receives until the run is cancelled, which is its good end. Everything else is an error, behind which it can be
/// called again: nothing that was confirmed is lost.
pub fn receive(
    from: &Address,
    spool: &Spool,
    options: &ReceiveOptions,
    context: &Context<'_>,
) -> Result<Received> {
    let _lock = spool.lock_receiving()?.ok_or_else(|| SourceError::Refused {
        object: options.slot.to_string(),
        why: "another program receives into this spool".to_owned(),
    })?;
    let mut replication = Replication::connect(from, options.connect_timeout, &context.cancel)?;
    let system = replication.identify()?;
    let bytes = replication.segment_bytes()?;
    spool.belong_to(SystemOf { system: system.identifier, segment_bytes: bytes }, from)?;
    let slot = ready_slot(&mut replication, options)?;
    let here = || slot.unwrap_or((system.position, system.timeline));
    let (number, timeline) = match (options.begin, spool_end(spool, bytes)?) {
        (Begin::Now, _) => (bytes.of(system.position), system.timeline),
        (Begin::Resume, Some(end)) => (end.0, end.1),
        (Begin::Resume, None) => (bytes.of(here().0), here().1),
    };
    put_away(spool, SegmentName::new(timeline, number, bytes))?;
    let start = bytes.start(number);
    let mut receiver = Receiver {
        replication,
        spool,
        options,
        context,
        bytes,
        timeline,
        position: start,
        durable: start,
        segment: None,
        clock: 0,
        segments: 0,
        told: 0,
        unanswered: 0,
    };
    let ended = receiver.run();
    receiver.end(ended)
}

/// What the slot holds back; it is made if it isn't there, and again if it is lost and nothing of it is wanted.
fn ready_slot(replication: &mut Replication, options: &ReceiveOptions) -> Result<Option<(Lsn, Timeline)>> {
    match replication.slot(&options.slot)? {
        Some(SlotState { restart: None }) if options.begin == Begin::Now => {
            replication.drop_slot(&options.slot)?
        }
        Some(slot) => return Ok(slot.restart),
        None => {}
    }
    replication.create_slot(&options.slot)?;
    Ok(replication.slot(&options.slot)?.and_then(|slot| slot.restart))
}

/// The segment to go on with: the one that isn't full, or the one behind the newest.
fn spool_end(spool: &Spool, bytes: SegmentBytes) -> Result<Option<(SegmentNumber, Timeline)>> {
    let number = |name: WalName| match name {
        WalName::Partial(segment) => segment.number(bytes).map(|number| (segment.timeline(), number)),
        WalName::Segment(segment) => segment.number(bytes).map(|number| (segment.timeline(), number.next())),
        _ => None,
    };
    let newest = spool.begun()?.into_iter().chain(spool.newest()?).filter_map(number).max();
    Ok(newest.map(|(timeline, number)| (number, timeline)))
}

/// What was begun of other segments is given away as it is, unless the whole ones came by the other way.
fn put_away(spool: &Spool, next: SegmentName) -> Result<()> {
    for name in spool.begun()? {
        let path = spool.receiving(name);
        match name {
            WalName::Partial(segment) if segment == next => {}
            WalName::Partial(segment) if spool.has_had(WalName::Segment(segment))? => {
                std::fs::remove_file(&path).map_err(|source| SourceError::File { path, source })?;
            }
            _ => spool.finish(&path, name).map(|_| ())?,
        }
    }
    Ok(())
}

struct Receiver<'a> {
    replication: Replication,
    spool: &'a Spool,
    options: &'a ReceiveOptions,
    context: &'a Context<'a>,
    bytes: SegmentBytes,
    timeline: Timeline,
    /// Up to where it is written.
    position: Lsn,
    /// Up to where it is durable.
    durable: Lsn,
    segment: Option<Open>,
    /// The server's clock, as it said last. Confirmations carry a time, and this program has no clock of its own.
    clock: i64,
    segments: u64,
    /// How many bytes came.
    told: u64,
    /// How often the server was asked for an answer since it sent anything.
    unanswered: u32,
}

/// The segment that is being written.
struct Open {
    name: SegmentName,
    file: File,
    path: PathBuf,
}

impl Open {
    fn failed(&self, source: io::Error) -> SourceError {
        SourceError::File { path: self.path.clone(), source }
    }
}

impl Receiver<'_> {
    /// What was written is made durable at any end.
    fn end(mut self, ended: Result<()>) -> Result<Received> {
        self.flush()?;
        match ended {
            Ok(()) | Err(SourceError::Cancelled) => {
                Ok(Received { timeline: self.timeline, position: self.durable, segments: self.segments })
            }
            Err(error) => Err(error),
        }
    }

    fn run(&mut self) -> Result<()> {
        while !self.context.cancel.is_cancelled() {
            self.fetch_history(self.timeline)?;
            let next = self.stream()?;
            self.switch(next)?;
        }
        Ok(())
    }

    /// A timeline is of use only with the file that says where it comes from.
    fn fetch_history(&mut self, timeline: Timeline) -> Result<()> {
        let name = WalName::History(timeline);
        if timeline == Timeline::FIRST || self.spool.has_had(name)? {
            return Ok(());
        }
        let (called, text) = self.replication.history(timeline)?;
        if called != name.to_string() {
            let why = format!("the server calls it {called}");
            return Err(SourceError::Dump { object: name.to_string(), why });
        }
        self.spool.put(name, text.as_bytes()).map(|_| ())
    }

    /// Receives a timeline up to its end; returns the next one, and where that begins.
    fn stream(&mut self) -> Result<(Timeline, Lsn)> {
        let Self { options, position, timeline, .. } = self;
        let command =
            format!("START_REPLICATION SLOT {} PHYSICAL {position} TIMELINE {timeline}", options.slot);
        let connection = &mut self.replication.connection;
        connection.send(WHAT, |buffer| frontend::query(&command, buffer))?;
        match connection.receive(WHAT) {
            Ok(Message::CopyBoth) => {}
            // The timeline ends here.
            Ok(Message::Other(Raw::RowDescription(_))) => {
                let rows = connection.rows(WHAT)?;
                return self.next_of(&rows);
            }
            Ok(_) => return Err(connection.refused(WHAT, "the server answers what no server should")),
            Err(error) => return Err(self.explained(error)),
        }
        self.confirm()?;
        loop {
            let is_durable = self.durable == self.position;
            let patience = if is_durable { self.options.status_interval } else { Duration::ZERO };
            match self.replication.connection.receive_within(WHAT, patience) {
                Err(error) => return Err(self.explained(error)),
                // What came is durable before anything is waited for.
                Ok(None) if !is_durable => {
                    self.flush()?;
                    self.confirm()?;
                }
                // A connection that was cut somewhere on the way looks like a server that has nothing to say.
                Ok(None) if self.unanswered >= UNANSWERED_MAX => {
                    return Err(self
                        .replication
                        .connection
                        .refused(WHAT, "the server doesn't answer any more"));
                }
                Ok(None) => {
                    self.unanswered += 1;
                    self.send_status(true)?;
                }
                Ok(Some(Message::Data(data))) => {
                    self.unanswered = 0;
                    self.take(data)?;
                }
                Ok(Some(Message::Other(Raw::CopyDone))) => {
                    self.flush()?;
                    let connection = &mut self.replication.connection;
                    connection.send(WHAT, |buffer| {
                        frontend::copy_done(buffer);
                        Ok(())
                    })?;
                    let rows = connection.rows(WHAT)?;
                    return self.next_of(&rows);
                }
                Ok(Some(_)) => {
                    return Err(self.replication.connection.refused(WHAT, "the server has ended the stream"));
                }
            }
            if self.position.0.saturating_sub(self.durable.0) >= UNFLUSHED_BYTES_MAX {
                self.flush()?;
                self.confirm()?;
            }
        }
    }

    /// A segment that the server has removed is a gap: it is named, with what helps.
    fn explained(&self, error: SourceError) -> SourceError {
        match error {
            SourceError::Server { why, .. } if LOST.iter().any(|words| why.contains(words)) => {
                SourceError::Missing {
                    object: self.replication.connection.server.clone(),
                    why: format!(
                        "{why}: what follows {} on timeline {} is lost: begin where the server is now, and make a new base \
                     backup",
                        self.position, self.timeline
                    ),
                }
            }
            other => other,
        }
    }

    fn next_of(&self, rows: &Table) -> Result<(Timeline, Lsn)> {
        let row = rows.first().map_or(&[][..], Vec::as_slice);
        let next = match row {
            [Some(timeline), Some(at), ..] => timeline.parse().ok().zip(at.parse().ok()),
            _ => None,
        };
        next.ok_or_else(|| self.replication.connection.refused(WHAT, "the server has ended the stream"))
    }

    /// Goes on with another timeline: at the begin of the segment in which it branched off.
    fn switch(&mut self, (next, at): (Timeline, Lsn)) -> Result<()> {
        if next <= self.timeline {
            return Err(self
                .replication
                .connection
                .refused(WHAT, format!("timeline {next} isn't a later one")));
        }
        self.flush()?;
        if let Some(open) = self.segment.take() {
            self.spool.finish(&open.path, WalName::Partial(open.name))?;
        }
        self.fetch_history(next)?;
        self.timeline = next;
        self.position = self.bytes.start(self.bytes.of(at));
        self.durable = self.position;
        Ok(())
    }

    fn take(&mut self, mut data: Bytes) -> Result<()> {
        const LOG_BYTES: usize = 24;
        const KEEPALIVE_BYTES: usize = 17;
        let strange = |receiver: &Self| {
            receiver.replication.connection.refused(WHAT, "the server streams what no server should")
        };
        if data.is_empty() {
            return Err(strange(self));
        }
        match data.get_u8() {
            b'w' if data.len() >= LOG_BYTES => {
                let start = Lsn(data.get_u64());
                data.advance(8);
                self.clock = data.get_i64();
                if start != self.position {
                    let why = format!("the log goes on at {start}, and not at {}", self.position);
                    return Err(self.replication.connection.refused(WHAT, why));
                }
                self.write(&data)
            }
            b'k' if data.len() == KEEPALIVE_BYTES => {
                data.advance(8);
                self.clock = data.get_i64();
                if data.get_u8() != 0 {
                    self.flush()?;
                    self.confirm()?;
                }
                Ok(())
            }
            _ => Err(strange(self)),
        }
    }

    fn write(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let number = self.bytes.of(self.position);
            let open = match self.segment.take() {
                Some(open) => open,
                None => self.open(SegmentName::new(self.timeline, number, self.bytes))?,
            };
            let offset = self.position.0 - self.bytes.start(number).0;
            let room = usize::try_from(self.bytes.get() - offset).unwrap_or(usize::MAX);
            let (piece, rest) = data.split_at(data.len().min(room));
            open.file.write_all_at(piece, offset).map_err(|source| open.failed(source))?;
            let open = self.segment.insert(open);
            let written = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.position = Lsn(self.position.0.saturating_add(written));
            self.told = self.told.saturating_add(written);
            let object = open.name.to_string();
            (self.context.progress)(Progress { phase: "log", object: &object, done: self.told, total: None });
            data = rest;
            if piece.len() == room {
                self.finish()?;
            }
        }
        Ok(())
    }

    fn open(&self, name: SegmentName) -> Result<Open> {
        let path = self.spool.receiving(WalName::Partial(name));
        // What is there was confirmed: it is written again with the same bytes, and never cut.
        if !path.exists() {
            self.spool.refuse_if_full(self.bytes.get())?;
        }
        let failed = |source| SourceError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = self.spool.owner().open(&mut options, &path).map_err(failed)?;
        file.set_len(self.bytes.get()).map_err(failed)?;
        if let Some(folder) = path.parent() {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        }
        Ok(Open { name, file, path })
    }

    /// The segment is full.
    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(open) = self.segment.take() {
            self.spool.finish(&open.path, WalName::Segment(open.name))?;
            self.segments += 1;
            self.confirm()?;
        }
        Ok(())
    }

    /// Makes durable what was written.
    fn flush(&mut self) -> Result<()> {
        if self.durable < self.position
            && let Some(open) = &self.segment
        {
            open.file.sync_data().map_err(|source| open.failed(source))?;
        }
        self.durable = self.position;
        Ok(())
    }

    /// Tells the server what is durable here. It may remove that.
    fn confirm(&mut self) -> Result<()> {
        self.send_status(false)
    }

    fn send_status(&mut self, wants_answer: bool) -> Result<()> {
        let mut status = BytesMut::new();
        status.put_u8(b'r');
        status.put_u64(self.position.0);
        status.put_u64(self.durable.0);
        // Nothing is replayed here.
        status.put_u64(0);
        status.put_i64(self.clock);
        status.put_u8(u8::from(wants_answer));
        self.replication.connection.send(WHAT, |buffer| CopyData::new(status).map(|data| data.write(buffer)))
    }
}
