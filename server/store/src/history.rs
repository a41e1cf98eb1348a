//! Removing old history, and giving its space back to the disk.

use sqlx::SqlSafeStr;

use crate::Store;
use crate::db::{Pools, Tx, Value, values};
use crate::error::{Result, StoreError};
use crate::types::{PageSize, ReaderId, UtcTime};

/// What is old. Each call removes a bounded number of rows, the oldest first; call again until nothing is
/// removed.
///
/// The instants come from the caller's clock: one that has just jumped ahead makes all history old. So wait
/// until the clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Runs that ended before, and slots, pauses, undo commands, patterns of errors and what servers have followed of
    /// that age. The last run
    /// of each plan stays, the last check and prune of each repository ([`Store::last_upkeep`]), the last slot of each
    /// schedule, and what is still open.
    pub runs_before: UtcTime,
    /// Events from before that all readers have handled, deliveries that ended and problems that were resolved
    /// before.
    pub events_before: UtcTime,
    /// How many rows of each kind are removed at once.
    pub at_most: PageSize,
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Runs.
    pub runs: u64,
    /// Records of slots.
    pub slots: u64,
    /// Events.
    pub events: u64,
    /// Pauses, undo commands, patterns, problems and deliveries.
    pub others: u64,
}

impl Removed {
    /// Whether there was nothing left to remove.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

const REMOVING: i64 = 0x6b66_7265_6d6f_7665;

impl Store {
    /// Removes old history, as much as one call may.
    pub async fn remove_history(&self, retention: &Retention) -> Result<Removed> {
        let mut tx = self.begin("removing old history").await?;
        take_turns_at_removing(&mut tx).await?;
        let (runs, events) = (retention.runs_before, retention.events_before);
        let rows = retention.at_most.rows();
        let mut removed = Removed { runs: remove_runs(&mut tx, runs, rows).await?, ..Removed::default() };
        removed.slots = tx.execute(OLD_SLOTS, values![runs, rows]).await?;
        removed.events = remove_events(&mut tx, events, rows).await?;
        for sql in [OLD_PAUSES, OLD_UNDOS, OLD_FOLLOWERS] {
            removed.others += tx.execute(sql, values![runs, rows]).await?;
        }
        for sql in [OLD_PROBLEMS, OLD_DELIVERIES] {
            removed.others += tx.execute(sql, values![events, rows]).await?;
        }
        for row in tx.rows(OLD_PATTERNS, values![runs, rows]).await? {
            let fingerprint = || row.string("fingerprint").map(|fingerprint| values![fingerprint]);
            tx.execute("DELETE FROM error_pattern_host WHERE fingerprint = $1", fingerprint()?).await?;
            let sql = "DELETE FROM error_pattern WHERE fingerprint = $1";
            removed.others += tx.execute(sql, fingerprint()?).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    /// Gives the space of removed rows back to the disk. PostgreSQL does that by itself.
    pub async fn give_space_back(&self) -> Result<()> {
        let Pools::Sqlite { writer, .. } = self.db.pools() else { return Ok(()) };
        for sql in ["PRAGMA incremental_vacuum", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(sql.into_sql_str()).fetch_all(writer).await.map_err(|source| {
                StoreError::Database { doing: "giving space back to the disk", source: Box::new(source) }
            })?;
        }
        Ok(())
    }

    /// Forgets a reader, which then keeps no events any more.
    pub async fn forget_reader(&self, reader: &ReaderId) -> Result<()> {
        let mut tx = self.begin("forgetting a reader").await?;
        tx.execute("DELETE FROM reader WHERE reader = $1", values![reader.as_str()]).await?;
        tx.commit().await
    }
}

/// Two servers that remove the same rows in different orders would wait for each other.
pub(crate) async fn take_turns_at_removing(tx: &mut Tx) -> Result<()> {
    tx.take_turns(REMOVING).await
}

async fn remove_runs(tx: &mut Tx, before: UtcTime, rows: i64) -> Result<u64> {
    let mut removed = 0;
    for row in tx.rows(OLD_RUNS, values![before, rows]).await? {
        let id = row.string("id")?;
        tx.execute("DELETE FROM log_part WHERE run = $1", values![id.as_str()]).await?;
        removed += tx.execute("DELETE FROM run WHERE id = $1", values![id]).await?;
    }
    Ok(removed)
}

/// Only from the beginning of the sequence, so that no reader finds a gap in what it has not read.
async fn remove_events(tx: &mut Tx, before: UtcTime, rows: i64) -> Result<u64> {
    let sql = "SELECT COALESCE(MIN(sequence), (SELECT last FROM counter WHERE name = 'event')) AS handled \
               FROM reader";
    let row = tx.row(sql, Vec::new()).await?;
    let handled = row.map_or(Ok(0), |row| row.integer("handled"))?;
    let sql = "SELECT sequence, at FROM event WHERE sequence <= $1 ORDER BY sequence LIMIT $2";
    let mut last = None;
    for row in tx.rows(sql, values![handled, rows]).await? {
        if row.time("at")? >= before {
            break;
        }
        last = Some(row.integer("sequence")?);
    }
    let Some(last) = last else { return Ok(0) };
    tx.execute("DELETE FROM event WHERE sequence <= $1", vec![Value::from(last)]).await
}

const OLD_RUNS: &str = "SELECT id FROM run WHERE ended IS NOT NULL AND ended < $1 \
    AND (plan IS NULL OR number < (SELECT MAX(newest.number) FROM run AS newest \
        WHERE newest.plan = run.plan AND newest.kind = run.kind)) \
    AND number IS DISTINCT FROM (SELECT MAX(newest.number) FROM run AS newest \
        WHERE newest.repository = run.repository AND newest.kind = run.kind \
        AND CASE WHEN newest.kind IN ('check', 'prune') AND newest.state = 'ended' \
        AND newest.verdict NOT IN ('missed', 'skipped') THEN 1 ELSE 0 END = 1) \
    AND NOT EXISTS (SELECT 1 FROM undo WHERE undo.run = run.id AND undo.done IS NULL) \
    ORDER BY ended LIMIT $2";
const OLD_SLOTS: &str = "DELETE FROM slot WHERE (schedule, slot) IN (SELECT schedule, slot FROM slot \
    WHERE decided < $1 \
    AND slot < (SELECT MAX(newest.slot) FROM slot AS newest WHERE newest.schedule = slot.schedule) \
    ORDER BY decided LIMIT $2)";
const OLD_PAUSES: &str = "DELETE FROM pause WHERE number IN (SELECT number FROM pause \
    WHERE ended IS NOT NULL AND ended < $1 ORDER BY ended LIMIT $2)";
const OLD_UNDOS: &str = "DELETE FROM undo WHERE id IN (SELECT id FROM undo \
    WHERE done IS NOT NULL AND done < $1 ORDER BY done LIMIT $2)";
// One row for each server that ever was: too few for an index.
const OLD_FOLLOWERS: &str = "DELETE FROM followed_config WHERE server IN (SELECT server FROM followed_config \
    WHERE at < $1 AND applied IS DISTINCT FROM (SELECT MAX(newest.applied) FROM followed_config AS newest) \
    ORDER BY at LIMIT $2)";
const OLD_PROBLEMS: &str = "DELETE FROM problem WHERE number IN (SELECT number FROM problem \
    WHERE resolved IS NOT NULL AND resolved < $1 ORDER BY resolved LIMIT $2)";
const OLD_DELIVERIES: &str = "DELETE FROM delivery WHERE number IN (SELECT number FROM delivery \
    WHERE ended IS NOT NULL AND ended < $1 ORDER BY ended LIMIT $2)";
const OLD_PATTERNS: &str = "SELECT fingerprint FROM error_pattern WHERE last_seen < $1 \
    ORDER BY last_seen LIMIT $2";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{OLD_DELIVERIES, OLD_PATTERNS, OLD_PAUSES, OLD_PROBLEMS, OLD_RUNS, OLD_SLOTS, OLD_UNDOS};
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn old_history_is_found_without_a_scan() {
        assert_searches(OLD_RUNS, &["run_by_end", "run_upkeep (repository=? AND kind=?)"]).await;
        assert_searches(OLD_SLOTS, &["slot_by_decision"]).await;
        assert_searches(OLD_PAUSES, &["pause_by_end"]).await;
        assert_searches(OLD_UNDOS, &["undo_by_end"]).await;
        assert_searches(OLD_PROBLEMS, &["problem_by_resolution"]).await;
        assert_searches(OLD_DELIVERIES, &["delivery_by_end"]).await;
        assert_searches(OLD_PATTERNS, &["error_pattern_by_time"]).await;
    }
}
