//! Logs of runs. Their lines are in files beside the database, compressed; the database only knows which part
//! of which file they are. So old logs cost no more than the removal of a file.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Document};

use crate::Store;
use crate::db::values;
use crate::error::Result;
use crate::types::{PageSize, RunId, ServerId, Text, UtcTime};

pub use search::{LogFilter, LogKey, LogParts, PartOfRun};
use segments::{Place, Segments, WrongPart};

mod search;
mod segments;

/// Bytes of lines that a part has, about: then it is written.
const PART_BYTES: usize = 64 << 10;
/// Bytes of a message or of its fields, at most: the rest is cut off, or the fields left out.
const LINE_BYTES_MAX: usize = 16 << 10;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For a person that looks for a fault in the program.
    Debug,
    /// What happens.
    Info,
    /// Something that a person should look at.
    Warning,
    /// Something that failed.
    Error,
}

impl Level {
    fn number(self) -> i64 {
        match self {
            Self::Debug => 1,
            Self::Info => 2,
            Self::Warning => 3,
            Self::Error => 4,
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: UtcTime,
    /// How bad it is.
    pub level: Level,
    /// What it says, without secrets.
    pub message: String,
    /// What belongs to it, by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Document>,
}

/// What a part of a log has.
#[derive(Debug, Clone, PartialEq)]
pub enum LogBody {
    /// Its lines.
    Lines(Vec<LogLine>),
    /// They are in the folder of another server.
    Elsewhere(ServerId),
    /// Its file is gone or damaged; this says how.
    Unreadable(Text),
}

/// A part of a log: lines that were written together.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPart {
    /// Its number in the log: 1 for the first.
    pub part: u32,
    /// When its first line was written.
    pub first: UtcTime,
    /// When its last line was written.
    pub last: UtcTime,
    /// How many lines it has.
    pub lines: u32,
    /// What it has.
    pub body: LogBody,
}

/// The folder with the logs that this server has written. No other server uses it.
#[derive(Clone)]
pub struct LogFolder {
    store: Store,
    server: ServerId,
    segments: Segments,
}

impl LogFolder {
    /// Uses a folder, and makes it where there is none.
    pub async fn open(store: &Store, folder: &Path, server: &ServerId) -> Result<Self> {
        let segments = Segments::open(folder).await?;
        Ok(Self { store: store.clone(), server: server.clone(), segments })
    }

    /// Writes more of the log of a run.
    #[must_use]
    pub fn writer(&self, run: &RunId) -> LogWriter {
        LogWriter { folder: self.clone(), run: run.clone(), open: None }
    }

    /// Parts of the log of a run that have a line this bad, after a part or from the first.
    pub async fn read(
        &self,
        run: &RunId,
        after: Option<u32>,
        least: Level,
        size: PageSize,
    ) -> Result<Vec<LogPart>> {
        let sql = "SELECT part, server, segment, position, stored_bytes, plain_bytes, line_count, \
                   first_line, last_line FROM log_part \
                   WHERE run = $1 AND part > $2 AND worst_level >= $3 ORDER BY part LIMIT $4";
        let values = values![run.as_str(), after.map_or(0, i64::from), least.number(), size.rows()];
        let rows = self.store.db.rows("reading the parts of a log", sql, values).await?;
        let mut parts = Vec::with_capacity(rows.len());
        for row in &rows {
            let place = Place {
                segment: row.count("segment")?,
                position: row.count("position")?,
                stored_bytes: row.count("stored_bytes")?,
                plain_bytes: row.count("plain_bytes")?,
            };
            let body = self.body_at(&row.name("server")?, place, least).await?;
            parts.push(LogPart {
                part: row.small_count("part")?,
                first: row.time("first_line")?,
                last: row.time("last_line")?,
                lines: row.small_count("line_count")?,
                body,
            });
        }
        Ok(parts)
    }

    /// The lines of a part that are this bad.
    async fn body_at(&self, server: &ServerId, place: Place, least: Level) -> Result<LogBody> {
        if *server != self.server {
            return Ok(LogBody::Elsewhere(server.clone()));
        }
        Ok(match self.segments.read(place).await {
            Ok(lines) => lines_of(&lines, least),
            Err(WrongPart(problem)) => LogBody::Unreadable(Text::from(problem)),
        })
    }

    /// Removes this server's files that have no line from `before` on; what the database knows of them first.
    /// Then also files that it knows nothing of, which a crash has left. Returns how many files are gone.
    pub async fn remove_before(&self, before: UtcTime) -> Result<u64> {
        let current = self.segments.current().await?;
        let mut tx = self.store.begin("removing old logs").await?;
        let server = self.server.as_str();
        let sql = "DELETE FROM log_segment WHERE last_line < $1 AND server = $2 AND segment < $3 \
                   RETURNING segment";
        let values = values![before, server, i64::try_from(current).unwrap_or(i64::MAX)];
        for row in tx.rows(sql, values).await? {
            let sql = "DELETE FROM log_part WHERE server = $1 AND segment = $2";
            tx.execute(sql, values![server, row.integer("segment")?]).await?;
        }
        tx.commit().await?;
        let sql = "SELECT segment FROM log_segment WHERE server = $1 ORDER BY segment";
        let rows = self.store.db.rows("reading which logs there are", sql, values![server]).await?;
        let known = rows.iter().map(|row| row.count("segment")).collect::<Result<_>>()?;
        self.segments.keep_only(known, current).await
    }
}

impl Store {
    /// Forgets where all logs are. For a state that was restored without their files, before anything uses it: new files
    /// get the names of the old ones.
    pub async fn forget_logs(&self) -> Result<()> {
        let mut tx = self.begin("forgetting logs").await?;
        tx.execute("DELETE FROM log_part", Vec::new()).await?;
        tx.execute("DELETE FROM log_segment", Vec::new()).await?;
        tx.commit().await
    }
}

fn lines_of(text: &[u8], least: Level) -> LogBody {
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<LogLine>(line) {
            Ok(line) if line.level >= least => lines.push(line),
            Ok(_) => {}
            Err(error) => return LogBody::Unreadable(Text::from(format!("a line is damaged: {error}"))),
        }
    }
    LogBody::Lines(lines)
}

/// Lines that are not in a file yet.
#[derive(Clone)]
struct OpenPart {
    text: Vec<u8>,
    lines: u32,
    worst: Level,
    first: UtcTime,
    last: UtcTime,
}

/// Writes the log of a run, part by part. Call [`LogWriter::flush`] from time to time, and at the end: lines
/// that were not flushed are lost with this value.
pub struct LogWriter {
    folder: LogFolder,
    run: RunId,
    open: Option<OpenPart>,
}

impl LogWriter {
    /// Adds a line. True when there is enough for a part: then flush.
    pub fn line(&mut self, mut line: LogLine) -> bool {
        line.message.truncate(line.message.floor_char_boundary(LINE_BYTES_MAX));
        let open = self.open.get_or_insert_with(|| OpenPart {
            text: Vec::new(),
            lines: 0,
            worst: line.level,
            first: line.at,
            last: line.at,
        });
        if serde_json::to_vec(&line.fields).is_ok_and(|fields| fields.len() > LINE_BYTES_MAX) {
            line.fields.clear();
            line.fields.insert("fields_left_out".to_owned(), Document::Bool(true));
        }
        // A line of strings and documents is always valid JSON.
        open.text.extend(serde_json::to_vec(&line).expect("a line can be written as JSON"));
        open.text.push(b'\n');
        open.lines += 1;
        open.worst = open.worst.max(line.level);
        open.last = open.last.max(line.at);
        open.text.len() >= PART_BYTES
    }

    /// Writes what there is as a part. If that fails, the lines are kept for the next try.
    pub async fn flush(&mut self) -> Result<()> {
        let Some(part) = self.open.clone() else { return Ok(()) };
        let place = self.folder.segments.append(part.text).await?;
        let server = self.folder.server.as_str();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut tx = self.folder.store.begin("storing a part of a log").await?;
        tx.execute(
            "INSERT INTO log_segment (server, segment, last_line) VALUES ($1, $2, $3) \
             ON CONFLICT (server, segment) DO UPDATE SET last_line = CASE \
             WHEN excluded.last_line > log_segment.last_line THEN excluded.last_line \
             ELSE log_segment.last_line END",
            values![server, number(place.segment), part.last],
        )
        .await?;
        tx.execute(
            "INSERT INTO log_part (run, part, server, segment, position, stored_bytes, plain_bytes, \
             line_count, worst_level, first_line, last_line) \
             SELECT $1, COALESCE(MAX(part), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10 \
             FROM log_part WHERE run = $1",
            values![
                self.run.as_str(),
                server,
                number(place.segment),
                number(place.position),
                number(place.stored_bytes),
                number(place.plain_bytes),
                i64::from(part.lines),
                part.worst.number(),
                part.first,
                part.last
            ],
        )
        .await?;
        tx.wake();
        tx.commit().await?;
        self.open = None;
        Ok(())
    }
}
