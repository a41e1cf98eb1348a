//! Sending deliveries: who has some, whose turn it is, and what came of an attempt.

use std::time::Duration;

use serde_json::Value as Document;

use super::{Delivery, DeliveryKey, DeliveryState, HeldDelivery, delivery_columns};
use crate::Store;
use crate::db::{Dialect, json as column, values};
use crate::error::Result;
use crate::runs::next_fence;
use crate::types::{Executor, TargetId, Text, UtcTime, micros};

/// What an attempt to send a delivery was.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// What comes after it.
    pub outcome: TriedOutcome,
    /// Why it failed; where it has arrived, what is wrong all the same.
    pub error: Option<Text>,
    /// What is to be told from now on, and what is known of it; a document of the caller's.
    pub document: Document,
}

/// What comes after an attempt to send a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriedOutcome {
    /// Nothing: it has arrived.
    Arrived,
    /// Another attempt then, an hour later at most.
    Again(UtcTime),
    /// No other attempt, unless a user wants one: it is undeliverable. An event tells it.
    GivenUp,
}

impl Store {
    /// The targets that deliveries wait for, each with the instant of its next attempt.
    pub async fn waiting_deliveries(&self) -> Result<Vec<(TargetId, UtcTime)>> {
        let rows = self.db.rows("reading which deliveries wait", WAITING, Vec::new()).await?;
        rows.iter().map(|row| Ok((row.name("target")?, row.time("next_attempt")?))).collect()
    }

    /// Takes the delivery to a target that is due the longest; `None` if none is. Those that weren't tried yet are due in
    /// the order in which they were stored.
    pub async fn claim_delivery(
        &self,
        now: UtcTime,
        executor: &Executor,
        lease: Duration,
        target: &TargetId,
    ) -> Result<Option<HeldDelivery>> {
        const LOCKING: &str = concat!(due!(), " FOR UPDATE SKIP LOCKED");
        let mut tx = self.begin("claiming a delivery").await?;
        let sql = match tx.dialect() {
            Dialect::Sqlite => DUE,
            Dialect::Postgres => LOCKING,
        };
        let Some(row) = tx.row(sql, values![target.as_str(), now]).await? else { return Ok(None) };
        let fence = next_fence(&mut tx).await?;
        let sql = concat!(
            "UPDATE delivery SET state = 'sending', attempts = attempts + 1, server = $2, boot = $3, \
             lease = $4, fence = $5 WHERE number = $1 RETURNING ",
            delivery_columns!()
        );
        let (server, boot) = (executor.server.as_str(), executor.boot.as_str());
        let values = values![row.integer("number")?, server, boot, micros(lease), fence.0];
        let row = tx.row(sql, values).await?;
        let held = row.map(|row| Ok(HeldDelivery { delivery: Delivery::from_row(&row)?, fence }));
        tx.commit().await?;
        held.transpose()
    }

    /// Stores what came of an attempt. False if the delivery isn't held any more: another server sends it again.
    pub async fn delivery_tried(&self, now: UtcTime, held: &HeldDelivery, tried: &Tried) -> Result<bool> {
        let (state, next, ended) = match tried.outcome {
            TriedOutcome::Arrived => (DeliveryState::Delivered, now, Some(now)),
            TriedOutcome::Again(at) => (DeliveryState::Waiting, at, None),
            TriedOutcome::GivenUp => (DeliveryState::Undeliverable, now, Some(now)),
        };
        let mut tx = self.begin("storing what came of a delivery").await?;
        let sql = concat!(
            "UPDATE delivery SET state = $3, next_attempt = $4, last_error = $5, ended = $6, document = $7 \
             WHERE number = $1 AND fence = $2 AND state = 'sending' RETURNING ",
            delivery_columns!()
        );
        let values = values![
            held.delivery.key.0,
            held.fence.0,
            state.as_str(),
            next,
            tried.error.as_ref().map(Text::as_str),
            ended,
            column(&tried.document)
        ];
        let Some(row) = tx.row(sql, values).await? else { return Ok(false) };
        if state == DeliveryState::Undeliverable {
            tx.event(Delivery::from_row(&row)?.undeliverable(now));
        }
        tx.wake();
        tx.commit().await?;
        Ok(true)
    }

    /// A delivery; `None` if there is none with this key.
    pub async fn delivery(&self, key: DeliveryKey) -> Result<Option<Delivery>> {
        let sql = concat!("SELECT ", delivery_columns!(), " FROM delivery WHERE number = $1");
        let row = self.db.row("reading a delivery", sql, values![key.0]).await?;
        row.as_ref().map(Delivery::from_row).transpose()
    }
}

const WAITING: &str =
    "SELECT target, MIN(next_attempt) AS next_attempt FROM delivery WHERE state = 'waiting' GROUP BY target";

macro_rules! due {
    () => {
        "SELECT number FROM delivery WHERE state = 'waiting' AND next_attempt <= $2 AND target = $1 \
         ORDER BY next_attempt, number LIMIT 1"
    };
}
use due;

const DUE: &str = due!();

#[cfg(test)]
mod tests {
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn what_is_due_is_found_without_looking_at_what_has_arrived() {
        assert_searches(super::DUE, &["delivery_by_next_attempt"]).await;
    }
}
