//! The outbox: events are written in the transaction that does what they tell, and are read in the order of
//! their sequence. Notifications, metrics and live pages derive from them and from nothing else.

use serde_json::Value as Document;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;

use crate::Store;
use crate::db::{Filter, NewEvent, Row, Value, values};
use crate::error::Result;
use crate::types::{EventKind, Generation, Page, PageSize, ReaderId, Sequence, Subject, UtcTime};

/// An event that was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place: 1 for the first, and each next one is 1 more.
    pub sequence: Sequence,
    /// When it happened, by the clock of the server that wrote it.
    pub at: UtcTime,
    /// What happened.
    pub kind: EventKind,
    /// What it is about.
    pub subject: Subject,
    /// What there is to know about it.
    pub document: Document,
}

/// What comes after a place in the sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// The events, in their order.
    pub events: Vec<Event>,
    /// Whether events between the place and the first of these were removed because of their age: a reader
    /// has to load the state again.
    pub has_gap: bool,
}

/// What is stored of a reader of events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Place {
    /// The last event that it has handled.
    pub at: Sequence,
    /// Which state of the reader this is.
    pub generation: Generation,
    /// What it remembers; a document of the caller's.
    pub document: Option<Document>,
}

/// The kinds of events that the store writes by itself.
impl EventKind {
    /// A run waits to be started.
    pub const RUN_QUEUED: Self = Self::known("run.queued");
    /// A server has taken a run.
    pub const RUN_STARTING: Self = Self::known("run.starting");
    /// A run has begun with its work.
    pub const RUN_RUNNING: Self = Self::known("run.running");
    /// A run has come to its next phase.
    pub const RUN_PHASE: Self = Self::known("run.phase");
    /// A user wants a run to end.
    pub const RUN_CANCEL_REQUESTED: Self = Self::known("run.cancel_requested");
    /// A run has its verdict. Slots that were missed or skipped are runs that have ended.
    pub const RUN_ENDED: Self = Self::known("run.ended");
    /// A run and its retries were lost too often: it isn't tried again.
    pub const RUN_QUARANTINED: Self = Self::known("run.quarantined");
    /// A clock was set back: what was said of slots that lie ahead again doesn't hold any more.
    pub const SLOTS_WITHDRAWN: Self = Self::known("slots.withdrawn");
    /// Definitions were applied that differ from those of before.
    pub const CONFIG_APPLIED: Self = Self::known("config.applied");
    /// A problem is there that wasn't there before.
    pub const PROBLEM_OPENED: Self = Self::known("problem.opened");
    /// A problem is still there after a while.
    pub const PROBLEM_REPEATED: Self = Self::known("problem.repeated");
    /// A problem is gone.
    pub const PROBLEM_RESOLVED: Self = Self::known("problem.resolved");
    /// A user has seen a problem.
    pub const PROBLEM_ACKNOWLEDGED: Self = Self::known("problem.acknowledged");
    /// A user wants to hear nothing of a problem for a while.
    pub const PROBLEM_MUTED: Self = Self::known("problem.muted");
    /// A notification has failed for as long as it is tried.
    pub const DELIVERY_UNDELIVERABLE: Self = Self::known("delivery.undeliverable");
    /// A plan makes no runs for now.
    pub const PLAN_PAUSED: Self = Self::known("plan.paused");
    /// A plan makes runs again.
    pub const PLAN_UNPAUSED: Self = Self::known("plan.unpaused");
    /// An error was seen for the first time.
    pub const ERROR_FIRST_SEEN: Self = Self::known("error.first_seen");
    /// Someone asks for a second person.
    pub const APPROVAL_ASKED: Self = Self::known("approval.asked");
    /// A request for a second person was agreed to, refused or withdrawn.
    pub const APPROVAL_DECIDED: Self = Self::known("approval.decided");
    /// A command that undoes what a hook has done was carried out, or failed.
    pub const UNDO_DONE: Self = Self::known("undo.done");
}

impl Event {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            sequence: Sequence(row.integer("sequence")?),
            at: row.time("at")?,
            kind: row.name("kind")?,
            subject: row.name("subject")?,
            document: row.json("document")?,
        })
    }
}

/// Tells when something was committed that a reader may want to read.
pub struct Watch(watch::Receiver<u64>);

impl Watch {
    /// Waits until something was committed since the last call, or since this value was made. It may also
    /// return when there is nothing new.
    ///
    /// A signal can get lost: where a connection breaks, and from other processes that use the same SQLite
    /// database. So wait for a period at most, then read.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is closed: nothing changes any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// Writes an event of the caller's own.
    pub async fn publish(&self, event: NewEvent) -> Result<()> {
        let mut tx = self.begin("writing an event").await?;
        tx.event(event);
        tx.commit().await
    }

    /// The events after a place in the sequence, oldest first.
    pub async fn events_after(&self, after: Sequence, limit: PageSize) -> Result<Events> {
        // Before the events: those that come in between are then read too.
        let last = self.last_event().await?;
        let sql = "SELECT sequence, at, kind, subject, document FROM event \
                   WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let rows = self.db.rows("reading events", sql, values![after.0, limit.rows()]).await?;
        let events = rows.iter().map(Event::from_row).collect::<Result<Vec<_>>>()?;
        // Numbers have no gaps of their own: a transaction that fails gives its numbers back.
        let has_gap = match events.first() {
            Some(first) => first.sequence.0 > after.0.saturating_add(1),
            None => last > after,
        };
        Ok(Events { events, has_gap })
    }

    /// Events of some kinds from before a place, the newest first; from the newest without one.
    pub async fn events_before(
        &self,
        before: Option<Sequence>,
        kinds: &[EventKind],
        size: PageSize,
    ) -> Result<Page<Event, Sequence>> {
        let mut wanted = Filter::new();
        wanted.add("sequence < ", before.map_or(i64::MAX, |before| before.0));
        wanted.add_row("kind IN ", kinds.iter().map(|kind| Value::from(kind.as_str())).collect());
        let columns = "SELECT sequence, at, kind, subject, document FROM event";
        let (sql, values) = wanted.select(columns, "sequence DESC", size);
        let rows = self.db.rows("reading events backwards", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(Event::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|event| event.sequence);
        Ok(Page { rows, next })
    }

    /// The place of the newest event.
    pub async fn last_event(&self) -> Result<Sequence> {
        let sql = "SELECT last FROM counter WHERE name = 'event'";
        let row = self.db.row("reading the place of the newest event", sql, Vec::new()).await?;
        row.map_or(Ok(Sequence::START), |row| row.integer("last").map(Sequence))
    }

    /// Up to where a reader has handled the events, and what it has stored of itself. A reader that is new is
    /// before the first event.
    pub async fn reader_place(&self, reader: &ReaderId) -> Result<Place> {
        let sql = "SELECT sequence, generation, document FROM reader WHERE reader = $1";
        let row = self.db.row("reading a reader's place", sql, values![reader.as_str()]).await?;
        let Some(row) = row else { return Ok(Place::default()) };
        Ok(Place {
            at: Sequence(row.integer("sequence")?),
            generation: Generation(row.integer("generation")?),
            document: row.optional_json("document")?,
        })
    }

    /// Tells when something is committed.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.db.changes())
    }
}
