//! What the dashboard remembers for each user: preferences, and which events the user has read.

use serde_json::Value as Document;

use crate::Store;
use crate::db::values;
use crate::error::Result;
use crate::types::{PageSize, PreferenceName, Sequence, UserId, UtcTime};

/// Preferences of a user, at most.
const PREFERENCES_MAX: i64 = 200;
/// Bytes of a preference, at most.
const PREFERENCE_BYTES_MAX: usize = 64 << 10;
/// Events that a user has read one by one, at most: the oldest are forgotten, and so is that they were read.
const READ_EVENTS_MAX: i64 = 10_000;

/// Which events of a page a user has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMarks {
    /// All up to this one.
    pub up_to: Sequence,
    /// And these.
    pub also: Vec<Sequence>,
}

impl ReadMarks {
    /// Whether an event of the page was read.
    #[must_use]
    pub fn contains(&self, event: Sequence) -> bool {
        event <= self.up_to || self.also.contains(&event)
    }
}

impl Store {
    /// Stores a preference; `None` removes it. False if it is too long, or there are too many.
    pub async fn store_preference(
        &self,
        now: UtcTime,
        user: &UserId,
        name: &PreferenceName,
        document: Option<&Document>,
    ) -> Result<bool> {
        let mut tx = self.begin("storing a preference").await?;
        let Some(document) = document else {
            let sql = "DELETE FROM preference WHERE user_id = $1 AND name = $2";
            tx.execute(sql, values![user.as_str(), name.as_str()]).await?;
            tx.commit().await?;
            return Ok(true);
        };
        let text = document.to_string();
        if text.len() > PREFERENCE_BYTES_MAX {
            return Ok(false);
        }
        let sql = "INSERT INTO preference (user_id, name, document, changed) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (user_id, name) DO UPDATE SET document = excluded.document, changed = excluded.changed";
        tx.execute(sql, values![user.as_str(), name.as_str(), text, now]).await?;
        let sql = "SELECT COUNT(*) AS preferences FROM preference WHERE user_id = $1";
        let row = tx.row(sql, values![user.as_str()]).await?;
        if row.map_or(Ok(0), |row| row.integer("preferences"))? > PREFERENCES_MAX {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The preferences of a user, in the order of their names.
    pub async fn preferences(&self, user: &UserId) -> Result<Vec<(PreferenceName, Document)>> {
        let sql = "SELECT name, document FROM preference WHERE user_id = $1 ORDER BY name LIMIT $2";
        let rows = self.db.rows("reading preferences", sql, values![user.as_str(), PREFERENCES_MAX]).await?;
        rows.iter().map(|row| Ok((row.name("name")?, row.json("document")?))).collect()
    }

    /// A user has read an event.
    pub async fn mark_read(&self, user: &UserId, event: Sequence) -> Result<()> {
        let mut tx = self.begin("marking an event as read").await?;
        let sql = "INSERT INTO read_event (user_id, sequence) SELECT $1, $2 WHERE NOT EXISTS \
                   (SELECT 1 FROM read_up_to WHERE user_id = $1 AND sequence >= $2) ON CONFLICT DO NOTHING";
        tx.execute(sql, values![user.as_str(), event.0]).await?;
        let sql = "DELETE FROM read_event WHERE user_id = $1 AND sequence <= \
                   (SELECT sequence FROM read_event WHERE user_id = $1 ORDER BY sequence DESC LIMIT 1 OFFSET $2)";
        tx.execute(sql, values![user.as_str(), READ_EVENTS_MAX]).await?;
        tx.commit().await
    }

    /// A user has read all events up to this one. What was read further before stays so.
    pub async fn mark_read_up_to(&self, user: &UserId, event: Sequence) -> Result<()> {
        let mut tx = self.begin("marking events as read").await?;
        let sql = "INSERT INTO read_up_to (user_id, sequence) VALUES ($1, $2) ON CONFLICT (user_id) \
                   DO UPDATE SET sequence = excluded.sequence WHERE read_up_to.sequence < excluded.sequence";
        tx.execute(sql, values![user.as_str(), event.0]).await?;
        let sql = "DELETE FROM read_event WHERE user_id = $1 AND sequence <= $2";
        tx.execute(sql, values![user.as_str(), event.0]).await?;
        tx.commit().await
    }

    /// Which events a user has read, among `first` to `last`, of which there are at most as many as fill a page.
    pub async fn read_marks(&self, user: &UserId, first: Sequence, last: Sequence) -> Result<ReadMarks> {
        let doing = "reading which events were read";
        let sql = "SELECT sequence FROM read_up_to WHERE user_id = $1";
        let row = self.db.row(doing, sql, values![user.as_str()]).await?;
        let up_to = Sequence(row.map_or(Ok(0), |row| row.integer("sequence"))?);
        let sql = "SELECT sequence FROM read_event WHERE user_id = $1 AND sequence >= $2 AND sequence <= $3 \
                   ORDER BY sequence LIMIT $4";
        let values = values![user.as_str(), first.0, last.0, PageSize::MAX.rows()];
        let rows = self.db.rows(doing, sql, values).await?;
        let also = rows.iter().map(|row| row.integer("sequence").map(Sequence)).collect::<Result<_>>()?;
        Ok(ReadMarks { up_to, also })
    }
}
