//! Counts for metrics. None of them reads all of the history: runs that ended are added up once, and the sums stay when
//! history is removed, as a counter that falls looks like one that began again.

use crate::Store;
use crate::db::{Row, Tx, values};
use crate::error::Result;
use crate::runs::{VerdictKind, is_open};
use crate::types::{PlanId, RepositoryId, TargetId, UtcTime};

/// How many backups of a plan ended with a verdict, since the plan was born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCount {
    /// The plan.
    pub plan: PlanId,
    /// The verdict.
    pub verdict: VerdictKind,
    /// How many: of slots that were missed or skipped together, each counts.
    pub runs: u64,
}

/// How many snapshots the catalogue has of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCount {
    /// The repository.
    pub repository: RepositoryId,
    /// How many.
    pub snapshots: u64,
}

/// How many runs have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenRuns {
    /// Those that no server has taken.
    pub waiting: u64,
    /// Those that a server has taken.
    pub active: u64,
}

/// How deliveries to a target stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryCount {
    /// Those that are still to arrive.
    pub waiting: u64,
    /// Those that were given up since one last arrived.
    pub undeliverable: u64,
}

/// The name of the counter up to which number runs were added up.
const ADDED_UP: &str = "runs added up";
/// What the names of the counters begin with that are sums of runs; the verdict and the plan follow.
const SUM: &str = "runs ";
/// Runs that are added up in one transaction, at most.
const AT_ONCE: i64 = 2000;
/// Runs that were stored less than this many microseconds ago are counted each time. On PostgreSQL, a run may appear
/// after one that has a higher number; no transaction takes this long.
const SETTLED_AFTER_MICROS: i64 = 600_000_000;
/// For servers that add up at the same time.
const ADDING: i64 = 0x6b66_636f_756e_7473;

impl Store {
    /// How many backups of each plan ended how. The numbers never fall, whatever history is removed.
    pub async fn run_counts(&self, now: UtcTime) -> Result<Vec<RunCount>> {
        let settled = UtcTime::from_micros(now.as_micros().saturating_sub(SETTLED_AFTER_MICROS));
        loop {
            let mut tx = self.begin("adding up runs").await?;
            tx.take_turns(ADDING).await?;
            let from = counter(&mut tx, ADDED_UP).await?;
            let row = tx.row(SETTLED, values![settled]).await?;
            let settled = row.map_or(Ok(0), |row| row.integer("number"))?;
            let row = tx.row(FIRST_OPEN, Vec::new()).await?;
            let open = row.map_or(Ok(None), |row| row.optional_integer("number"))?;
            let until = open.map_or(settled, |open| settled.min(open - 1));
            if until <= from {
                let counts = self.counted(&mut tx, from).await?;
                tx.commit().await?;
                return Ok(counts);
            }
            let to = until.min(from.saturating_add(AT_ONCE));
            for row in tx.rows(ENDED, values![from, to]).await? {
                let (verdict, plan) = (row.string("verdict")?, row.string("plan")?);
                add(&mut tx, &format!("{SUM}{verdict} {plan}"), row.integer("runs")?).await?;
            }
            set(&mut tx, ADDED_UP, to).await?;
            tx.commit().await?;
        }
    }

    /// The sums, and what ended after those runs.
    async fn counted(&self, tx: &mut Tx, after: i64) -> Result<Vec<RunCount>> {
        let mut counts: Vec<RunCount> = Vec::new();
        for row in tx.rows(SUMS, Vec::new()).await? {
            let name = row.string("name")?;
            let parts = name.strip_prefix(SUM).and_then(|name| name.split_once(' '));
            let Some((verdict, plan)) = parts else { continue };
            let (Some(verdict), Ok(plan)) = (VerdictKind::parse(verdict), PlanId::new(plan)) else {
                continue;
            };
            counts.push(RunCount { plan, verdict, runs: row.count("last")? });
        }
        for row in tx.rows(ENDED, values![after, i64::MAX]).await? {
            let newer = RunCount {
                plan: row.name("plan")?,
                verdict: row.word("verdict", VerdictKind::parse)?,
                runs: row.count("runs")?,
            };
            let is_same = |count: &&mut RunCount| count.plan == newer.plan && count.verdict == newer.verdict;
            match counts.iter_mut().find(is_same) {
                Some(count) => count.runs = count.runs.saturating_add(newer.runs),
                None => counts.push(newer),
            }
        }
        Ok(counts)
    }

    /// How many snapshots the catalogue has of each repository of which it has any.
    pub async fn snapshot_counts(&self) -> Result<Vec<SnapshotCount>> {
        let rows = self.db.rows("counting snapshots", SNAPSHOTS, Vec::new()).await?;
        let count = |row: &Row| {
            Ok(SnapshotCount { repository: row.name("repository")?, snapshots: row.count("snapshots")? })
        };
        rows.iter().map(count).collect()
    }

    /// How many runs have not ended.
    pub async fn open_run_counts(&self) -> Result<OpenRuns> {
        let mut counts = OpenRuns::default();
        for row in self.db.rows("counting open runs", OPEN, Vec::new()).await? {
            let runs = row.count("runs")?;
            match row.string("state")?.as_str() {
                "waiting" => counts.waiting += runs,
                _ => counts.active += runs,
            }
        }
        Ok(counts)
    }

    /// How deliveries to a target stand.
    pub async fn delivery_count(&self, target: &TargetId) -> Result<DeliveryCount> {
        let row = self.db.row("counting deliveries", DELIVERIES, values![target.as_str()]).await?;
        let Some(row) = row else { return Ok(DeliveryCount::default()) };
        Ok(DeliveryCount { waiting: row.count("waiting")?, undeliverable: row.count("undeliverable")? })
    }
}

async fn counter(tx: &mut Tx, name: &str) -> Result<i64> {
    let row = tx.row("SELECT last FROM counter WHERE name = $1", values![name]).await?;
    row.map_or(Ok(0), |row| row.integer("last"))
}

async fn set(tx: &mut Tx, name: &str, value: i64) -> Result<()> {
    let sql = "INSERT INTO counter (name, last) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET last = excluded.last";
    tx.execute(sql, values![name, value]).await.map(drop)
}

async fn add(tx: &mut Tx, name: &str, more: i64) -> Result<()> {
    let sql = "INSERT INTO counter (name, last) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET last = counter.last + excluded.last";
    tx.execute(sql, values![name, more]).await.map(drop)
}

/// Beginning with the newest, so that few rows are looked at.
const SETTLED: &str = "SELECT number FROM run WHERE created < $1 ORDER BY number DESC LIMIT 1";
const FIRST_OPEN: &str = concat!("SELECT MIN(number) AS number FROM run WHERE ", is_open!());
/// The sign keeps SQLite from searching by kind, and so from looking at all backups that ever were.
const ENDED: &str = "SELECT plan, verdict, CAST(SUM(CASE WHEN verdict IN ('missed', 'skipped') THEN slots \
    ELSE 1 END) AS BIGINT) AS runs FROM run WHERE number > $1 AND number <= $2 AND kind || '' = 'backup' \
    AND plan IS NOT NULL AND verdict IS NOT NULL GROUP BY plan, verdict";
/// Of all counters, which are few: how names are ordered is up to a database, and so no range of them is looked up.
const SUMS: &str = "SELECT name, last FROM counter WHERE substr(name, 1, 5) = 'runs ' ORDER BY name";
const SNAPSHOTS: &str =
    "SELECT repository, COUNT(*) AS snapshots FROM snapshot GROUP BY repository ORDER BY repository";
const OPEN: &str = concat!("SELECT state, COUNT(*) AS runs FROM run WHERE ", is_open!(), " GROUP BY state");
const DELIVERIES: &str = "SELECT \
    (SELECT COUNT(*) FROM delivery WHERE target = $1 AND state IN ('waiting', 'sending')) AS waiting, \
    (SELECT COUNT(*) FROM delivery WHERE target = $1 AND state = 'undeliverable' AND number > COALESCE( \
    (SELECT MAX(number) FROM delivery WHERE target = $1 AND state = 'delivered'), 0)) AS undeliverable";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::FIRST_OPEN;
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn counts_never_scan() {
        assert_searches(FIRST_OPEN, &["run_open"]).await;
    }

    /// A group needs a table of its own, which has as many rows as there are plans.
    #[tokio::test]
    async fn runs_are_added_up_by_their_numbers() {
        let (store, _folder) = crate::db::tests::fresh().await;
        let crate::db::Pools::Sqlite { writer, .. } = store.db.pools() else { panic!("it is SQLite") };
        for (sql, step) in [
            (super::ENDED, "SEARCH run USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (super::OPEN, "SEARCH run USING INDEX run_open (<expr>=?)"),
            (super::SNAPSHOTS, "COVERING INDEX"),
            (super::DELIVERIES, "SEARCH delivery USING INDEX delivery_by_"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
            let rows = sqlx::query(explain).fetch_all(writer).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
            assert!(plan.iter().any(|found| found.contains(step)), "{sql}\n{plan:#?}");
        }
    }
}
