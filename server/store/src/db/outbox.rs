//! Events on their way into the database: a transaction writes its events with its last statements.

use serde_json::Value as Document;

use super::{Tx, json, values};
use crate::error::{Result, StoreError};
use crate::types::{EventKind, Subject, UtcTime};

/// An event that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// When it happened, by the clock of the server that writes it. Only the sequence gives the order.
    pub at: UtcTime,
    /// What happened.
    pub kind: EventKind,
    /// What it is about.
    pub subject: Subject,
    /// What there is to know about it.
    pub document: Document,
}

/// Writes events with the next numbers of the sequence.
pub async fn append(tx: &mut Tx, events: Vec<NewEvent>) -> Result<()> {
    let Ok(count @ 1..) = i64::try_from(events.len()) else { return Ok(()) };
    let sql = "UPDATE counter SET last = last + $1 WHERE name = 'event' RETURNING last";
    let row = tx.row(sql, values![count]).await?;
    let last = row.ok_or_else(|| StoreError::stored("counter", "there is no row for events"))?;
    let mut sequence = last.integer("last")? - count;
    for event in events {
        sequence += 1;
        let NewEvent { at, kind, subject, document } = event;
        tx.execute(
            "INSERT INTO event (sequence, at, kind, subject, document) VALUES ($1, $2, $3, $4, $5)",
            values![sequence, at, kind.as_str(), subject.as_str(), json(&document)],
        )
        .await?;
    }
    Ok(())
}
