//! Deliveries: a message about events on its way to a target. It is stored once, by the server whose decision counts,
//! and is tried until it arrives or is given up.

use std::time::Duration;

use serde_json::{Value as Document, json};
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::db::{Filter, NewEvent, Row, Tx, json as column, optional_json, values};
use crate::error::Result;
use crate::leases::{Elapsed, Lease, LeaseWatch};
use crate::problems::ProblemNumber;
use crate::runs::words;
use crate::types::{
    EventKind, Executor, Fence, Generation, Page, PageSize, ReaderId, Sequence, Subject, SubjectKind,
    TargetId, Text, UtcTime,
};

pub use sending::{Tried, TriedOutcome};

mod sending;

/// No attempt is due later than this after the one before: what is has a date of a clock that was set back.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

const RELEASING: i64 = 0x6b66_7265_6c65_6173;

words! {
    /// How far a delivery is.
    DeliveryState {
        /// It waits for its next attempt.
        Waiting = "waiting",
        /// A server is at it.
        Sending = "sending",
        /// It has arrived.
        Delivered = "delivered",
        /// It was given up.
        Undeliverable = "undeliverable",
    }
}

/// Identifies a delivery; targets that can't take the same message twice compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct DeliveryKey(pub(crate) i64);

impl DeliveryKey {
    /// As a number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// From what [`DeliveryKey::number`] gave.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }
}

/// A delivery that is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// The newest event that it tells of. A repeated message tells of an event that was told of before.
    pub event: Sequence,
    /// The problem that the event is about.
    pub problem: Option<ProblemNumber>,
    /// Where it goes.
    pub target: TargetId,
    /// What is to be told; a document of the caller's.
    pub document: Document,
    /// When it may be sent first: later than now where it waits for a group or for the end of quiet hours.
    pub not_before: Option<UtcTime>,
}

/// What a reader of events has decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing<'a> {
    /// The reader.
    pub reader: &'a ReaderId,
    /// The state of the reader from which it was decided.
    pub from: Generation,
    /// The last event that is handled now. A place before the present one leaves that: readers don't go back.
    pub to: Sequence,
    /// What the reader remembers from now on.
    pub document: Option<Document>,
    /// What comes of it, at most once for each success.
    pub deliveries: &'a [NewDelivery],
}

/// A delivery as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Identifies it.
    pub key: DeliveryKey,
    /// The newest event that it tells of.
    pub event: Sequence,
    /// The problem that the event is about.
    pub problem: Option<ProblemNumber>,
    /// Where it goes.
    pub target: TargetId,
    /// What is to be told.
    pub document: Document,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was stored.
    pub created: UtcTime,
    /// When it is tried next.
    pub next_attempt: UtcTime,
    /// When it arrived or was given up.
    pub ended: Option<UtcTime>,
    /// Why the last attempt failed.
    pub last_error: Option<Text>,
}

/// A delivery that this server is to send, and the right to say what came of that.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// What shows that it is held.
    pub fence: Fence,
}

/// The columns of [`Delivery::from_row`].
macro_rules! delivery_columns {
    () => {
        "number, event, problem, target, document, state, attempts, created, next_attempt, ended, last_error"
    };
}

use delivery_columns;

impl Delivery {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            key: DeliveryKey(row.integer("number")?),
            event: Sequence(row.integer("event")?),
            problem: row.optional_integer("problem")?.map(ProblemNumber),
            target: row.name("target")?,
            document: row.json("document")?,
            state: row.word("state", DeliveryState::parse)?,
            attempts: row.small_count("attempts")?,
            created: row.time("created")?,
            next_attempt: row.time("next_attempt")?,
            ended: row.optional_time("ended")?,
            last_error: row.optional_text("last_error")?,
        })
    }

    fn undeliverable(&self, at: UtcTime) -> NewEvent {
        let document = json!({
            "delivery": self.key,
            "target": self.target,
            "event": self.event,
            "problem": self.problem,
            "attempts": self.attempts,
            "error": self.last_error,
        });
        let subject = Subject::of(SubjectKind::Target, self.target.as_str());
        NewEvent { at, kind: EventKind::DELIVERY_UNDELIVERABLE, subject, document }
    }
}

impl Store {
    /// Stores what a reader has decided: how far it has handled the events, what it remembers, and its deliveries,
    /// all at once. False, and nothing is stored, if the reader has another generation by now: another server has
    /// decided.
    pub async fn route(&self, now: UtcTime, routing: &Routing<'_>) -> Result<bool> {
        let mut tx = self.begin("routing events").await?;
        if !move_reader(&mut tx, routing).await? {
            return Ok(false);
        }
        for new in routing.deliveries {
            tx.execute(
                "INSERT INTO delivery (event, problem, target, document, state, attempts, created, \
                 next_attempt) VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $6)",
                values![
                    new.event.0,
                    new.problem.map(|problem| problem.0),
                    new.target.as_str(),
                    column(&new.document),
                    now,
                    new.not_before.unwrap_or(now)
                ],
            )
            .await?;
        }
        if !routing.deliveries.is_empty() {
            tx.wake();
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Takes back deliveries whose senders' leases have ended, so that they are sent again; and makes due what
    /// is due later than any pause is long, which a clock that was set back has left behind.
    /// Returns how many.
    pub async fn release_deliveries(
        &self,
        now: UtcTime,
        watch: &mut LeaseWatch,
        elapsed: Elapsed,
    ) -> Result<u64> {
        let sql = "SELECT number, fence, lease FROM delivery WHERE state = 'sending'";
        let rows = self.db.rows("reading the leases of deliveries", sql, Vec::new()).await?;
        let mut leases = Vec::with_capacity(rows.len());
        for row in &rows {
            let length = Duration::from_micros(row.count("lease")?);
            leases.push(Lease { fence: Fence(row.integer("fence")?), beat: 0, length });
        }
        let ended = watch.ended(&leases, elapsed);
        let mut tx = self.begin("taking deliveries back").await?;
        // Two servers that change the same rows in different orders would wait for each other.
        tx.take_turns(RELEASING).await?;
        let mut released = 0;
        for (row, lease) in rows.iter().zip(&leases).filter(|(_, lease)| ended.contains(&lease.fence)) {
            let sql = "UPDATE delivery SET state = 'waiting', next_attempt = $3 \
                       WHERE number = $1 AND fence = $2 AND state = 'sending'";
            released += tx.execute(sql, values![row.integer("number")?, lease.fence.0, now]).await?;
        }
        let sql = "UPDATE delivery SET next_attempt = $1 \
                   WHERE state = 'waiting' AND next_attempt > $2 AND attempts > 0";
        released += tx.execute(sql, values![now, now.plus(PAUSE_MAX)]).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// The processes that are at a delivery at this moment, or died while they were.
    pub async fn senders(&self) -> Result<Vec<Executor>> {
        let sql = "SELECT DISTINCT server, boot FROM delivery WHERE state = 'sending'";
        let rows = self.db.rows("reading who sends deliveries", sql, Vec::new()).await?;
        rows.iter().map(|row| Ok(Executor { server: row.name("server")?, boot: row.name("boot")? })).collect()
    }

    /// Takes back the deliveries of a process that is known to be gone, without waiting for the ends of their leases.
    /// Returns how many.
    pub async fn release_deliveries_of(&self, now: UtcTime, gone: &Executor) -> Result<u64> {
        let mut tx = self.begin("taking back the deliveries of a process").await?;
        tx.take_turns(RELEASING).await?;
        let sql = "UPDATE delivery SET state = 'waiting', next_attempt = $3 \
                   WHERE state = 'sending' AND server = $1 AND boot = $2";
        let released = tx.execute(sql, values![gone.server.as_str(), gone.boot.as_str(), now]).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// Tries an undeliverable one again, from the first attempt; false if it is none.
    pub async fn redeliver(&self, now: UtcTime, delivery: DeliveryKey) -> Result<bool> {
        let mut tx = self.begin("delivering again").await?;
        let sql = "UPDATE delivery SET state = 'waiting', attempts = 0, next_attempt = $2, ended = NULL \
                   WHERE number = $1 AND state = 'undeliverable'";
        let done = tx.execute(sql, values![delivery.0, now]).await? == 1;
        tx.wake();
        tx.commit().await?;
        Ok(done)
    }

    /// A page of deliveries, the newest first: from before one, or from the newest.
    pub async fn deliveries(
        &self,
        target: Option<&TargetId>,
        state: Option<DeliveryState>,
        before: Option<DeliveryKey>,
        size: PageSize,
    ) -> Result<Page<Delivery, DeliveryKey>> {
        let (sql, values) = listing(target, state, before, size);
        let rows = self.db.rows("listing deliveries", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(Delivery::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|delivery| delivery.key);
        Ok(Page { rows, next })
    }
}

/// Gives a reader its next state; false where its state isn't the one that was seen (any more).
async fn move_reader(tx: &mut Tx, routing: &Routing<'_>) -> Result<bool> {
    let Routing { reader, from, to, document, .. } = routing;
    let next = tx.unused_number().await?;
    tx.execute(
        "INSERT INTO reader (reader, sequence, generation) VALUES ($1, 0, 0) ON CONFLICT (reader) DO NOTHING",
        values![reader.as_str()],
    )
    .await?;
    let sql = "UPDATE reader SET generation = $3, document = $5, \
               sequence = CASE WHEN sequence < $4 THEN $4 ELSE sequence END \
               WHERE reader = $1 AND generation = $2";
    let values = values![reader.as_str(), from.0, next, to.0, optional_json(document.as_ref())];
    Ok(tx.execute(sql, values).await? == 1)
}

fn listing(
    target: Option<&TargetId>,
    state: Option<DeliveryState>,
    before: Option<DeliveryKey>,
    size: PageSize,
) -> (String, Vec<crate::db::Value>) {
    let mut wanted = Filter::new();
    wanted.add("number < ", before.map_or(i64::MAX, |before| before.0));
    wanted.add_if("target = ", target.map(TargetId::as_str));
    wanted.add_if("state = ", state.map(DeliveryState::as_str));
    wanted.select(concat!("SELECT ", delivery_columns!(), " FROM delivery"), "number DESC", size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{DeliveryState, listing};
    use crate::db::tests::assert_searches;
    use crate::types::{PageSize, TargetId};

    #[tokio::test]
    async fn listings_of_deliveries_never_scan() {
        let target = TargetId::new("ops").unwrap();
        let failed = Some(DeliveryState::Undeliverable);
        for (target, state) in [(None, None), (Some(&target), None), (None, failed), (Some(&target), failed)]
        {
            assert_searches(&listing(target, state, None, PageSize::MAX).0, &[]).await;
        }
    }
}
