//! Figures of runs, summed up by parts of time. The index `run_figures` answers each of these alone, so that a hundred
//! thousand runs take a tenth of a second.

use sqlx::AssertSqlSafe;

use super::VerdictKind;
use crate::Store;
use crate::db::{Row, Value, values};
use crate::error::{Result, StoreError};
use crate::types::{HostId, PlanId, RepositoryId, UtcTime};

/// What a run has counted, for sums over many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Files in the snapshot of a backup.
    pub files: Option<u64>,
    /// Their bytes.
    pub source_bytes: Option<u64>,
    /// Bytes of them that were read.
    pub read_bytes: Option<u64>,
    /// Bytes of them that the repository didn't have.
    pub new_bytes: Option<u64>,
    /// Bytes that were stored for these.
    pub stored_bytes: Option<u64>,
    /// Bytes that a check has found to be stored, or a prune has left.
    pub found_bytes: Option<u64>,
}

impl Figures {
    /// In the order of the statement that ends a run.
    pub(super) fn values(self) -> [Value; 6] {
        let Self { files, source_bytes, read_bytes, new_bytes, stored_bytes, found_bytes } = self;
        [files, source_bytes, read_bytes, new_bytes, stored_bytes, found_bytes]
            .map(|figure| Value::from(figure.map(|figure| i64::try_from(figure).unwrap_or(i64::MAX))))
    }
}

/// Which backups are summed up: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupFilter {
    /// Of this plan.
    pub plan: Option<PlanId>,
    /// Of this host.
    pub host: Option<HostId>,
}

/// What the backups of a plan with one verdict have counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSum {
    /// In which of the parts of time, from 0.
    pub part: usize,
    /// The plan.
    pub plan: PlanId,
    /// The verdict; `None` for runs that are open.
    pub verdict: Option<VerdictKind>,
    /// How many slots and runs.
    pub slots: u64,
    /// How long each of those took that have figures, in milliseconds, in no order.
    pub durations_ms: Vec<u64>,
    /// Files in their snapshots.
    pub files: u64,
    /// Their bytes.
    pub source_bytes: u64,
    /// Bytes of them that were read.
    pub read_bytes: u64,
    /// Bytes of them that the repository didn't have.
    pub new_bytes: u64,
    /// Bytes that were stored for these.
    pub stored_bytes: u64,
}

/// What the backups of a plan have stored in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSum {
    /// In which of the parts of time, from 0.
    pub part: usize,
    /// The repository.
    pub repository: RepositoryId,
    /// The plan.
    pub plan: PlanId,
    /// Bytes.
    pub stored_bytes: u64,
}

/// How much a check has found to be stored, or a prune has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBytes {
    /// When the run ended.
    pub at: UtcTime,
    /// Bytes.
    pub bytes: u64,
}

impl Store {
    /// What the backups that were due from one of these instants to before the next have counted, for each such part and
    /// each plan and verdict.
    pub async fn backup_sums(&self, bounds: &[UtcTime], filter: &BackupFilter) -> Result<Vec<BackupSum>> {
        let Some((sql, values)) = summing(bounds, filter) else { return Ok(Vec::new()) };
        let rows = self.db.rows("summing up backups", AssertSqlSafe(sql), values).await?;
        rows.iter().map(BackupSum::from_row).collect()
    }

    /// What the backups that were due from one of these instants to before the next have stored, for each such part and each
    /// repository and plan. Those that have stored nothing are left out.
    pub async fn stored_sums(&self, bounds: &[UtcTime]) -> Result<Vec<StoredSum>> {
        let Some((sql, values)) = storing(bounds) else { return Ok(Vec::new()) };
        let rows = self.db.rows("summing up what was stored", AssertSqlSafe(sql), values).await?;
        let sum = |row: &Row| {
            Ok(StoredSum {
                part: part(row)?,
                repository: row.name("repository")?,
                plan: row.name("plan")?,
                stored_bytes: row.count("stored_bytes")?,
            })
        };
        rows.iter().map(sum).collect()
    }

    /// How much the checks and prunes of a repository have found to be stored: all that ended from an instant on, and the
    /// newest one before it, the earliest first.
    pub async fn found_bytes(&self, repository: &RepositoryId, from: UtcTime) -> Result<Vec<FoundBytes>> {
        let values = || values![repository.as_str(), from];
        let doing = "reading how much was stored";
        let mut rows = self.db.rows(doing, FOUND_BEFORE, values()).await?;
        rows.extend(self.db.rows(doing, FOUND_SINCE, values()).await?);
        let found = |row: &Row| Ok(FoundBytes { at: row.time("ended")?, bytes: row.count("found_bytes")? });
        rows.iter().map(found).collect()
    }

    /// What the backups that ended after an instant have stored in a repository.
    pub async fn stored_since(&self, repository: &RepositoryId, after: UtcTime) -> Result<u64> {
        let values = values![repository.as_str(), after];
        let row = self.db.row("summing up what was stored", STORED_SINCE, values).await?;
        row.map_or(Ok(0), |row| row.count("stored_bytes"))
    }
}

impl BackupSum {
    fn from_row(row: &Row) -> Result<Self> {
        let durations = row.optional_string("durations")?.unwrap_or_default();
        let durations = durations.split_ascii_whitespace().map(str::parse::<u64>);
        Ok(Self {
            part: part(row)?,
            plan: row.name("plan")?,
            verdict: match row.optional_string("verdict")? {
                None => None,
                Some(_) => Some(row.word("verdict", VerdictKind::parse)?),
            },
            slots: row.count("slots")?,
            durations_ms: durations
                .collect::<std::result::Result<_, _>>()
                .map_err(|error| StoreError::stored("durations", error))?,
            files: row.count("files")?,
            source_bytes: row.count("source_bytes")?,
            read_bytes: row.count("read_bytes")?,
            new_bytes: row.count("new_bytes")?,
            stored_bytes: row.count("stored_bytes")?,
        })
    }
}

fn part(row: &Row) -> Result<usize> {
    Ok(usize::try_from(row.count("part")?).unwrap_or(usize::MAX))
}

/// The condition that the index `run_figures` answers.
macro_rules! is_backup {
    () => {
        "(CASE kind WHEN 'backup' THEN 1 ELSE 0 END) = 1 AND plan IS NOT NULL"
    };
}

const FOUND_BEFORE: &str = "SELECT ended, found_bytes FROM run WHERE repository = $1 AND ended < $2 \
    AND found_bytes IS NOT NULL ORDER BY ended DESC LIMIT 1";
const FOUND_SINCE: &str = "SELECT ended, found_bytes FROM run WHERE repository = $1 AND ended >= $2 \
    AND found_bytes IS NOT NULL ORDER BY ended";

const STORED_SINCE: &str = "SELECT CAST(COALESCE(SUM(stored_bytes), 0) AS BIGINT) AS stored_bytes FROM run \
    WHERE repository = $1 AND ended > $2 AND stored_bytes IS NOT NULL";

/// Durations come as one text for each group, and not sorted by the database: that would take longer than all the rest. A
/// clock that was set back makes none.
const SUMMED: &str = "plan, verdict, CAST(SUM(slots) AS BIGINT) AS slots, \
    CAST(COALESCE(SUM(files), 0) AS BIGINT) AS files, \
    CAST(COALESCE(SUM(source_bytes), 0) AS BIGINT) AS source_bytes, \
    CAST(COALESCE(SUM(read_bytes), 0) AS BIGINT) AS read_bytes, \
    CAST(COALESCE(SUM(new_bytes), 0) AS BIGINT) AS new_bytes, \
    CAST(COALESCE(SUM(stored_bytes), 0) AS BIGINT) AS stored_bytes, \
    STRING_AGG(CASE WHEN stored_bytes IS NULL THEN NULL WHEN ended < started THEN '0' \
    ELSE CAST((ended - started) / 1000 AS TEXT) END, ' ') AS durations FROM run WHERE ";

fn summing(bounds: &[UtcTime], filter: &BackupFilter) -> Option<(String, Vec<Value>)> {
    let mut conditions = String::from(is_backup!());
    let mut more = Vec::new();
    // Expressions: SQLite would take the index of a plan's or a host's runs, and look at all of them.
    let both = [
        (" AND plan || '' = $", filter.plan.as_ref().map(PlanId::as_str)),
        (" AND host || '' = $", filter.host.as_ref().map(HostId::as_str)),
    ];
    for (condition, value) in both {
        let Some(value) = value else { continue };
        more.push(Value::from(value));
        conditions.push_str(&format!("{condition}{}", bounds.len() + more.len()));
    }
    in_parts(bounds, &format!("{SUMMED}{conditions}"), "plan, verdict", more)
}

fn storing(bounds: &[UtcTime]) -> Option<(String, Vec<Value>)> {
    let select = concat!(
        "repository, plan, CAST(SUM(stored_bytes) AS BIGINT) AS stored_bytes FROM run WHERE ",
        is_backup!(),
        " AND stored_bytes > 0 AND repository IS NOT NULL"
    );
    in_parts(bounds, select, "repository, plan", Vec::new())
}

/// One search of the index for each part of time. `more` are the values of conditions that `select` has, behind the bounds.
fn in_parts(bounds: &[UtcTime], select: &str, group: &str, more: Vec<Value>) -> Option<(String, Vec<Value>)> {
    let last = bounds.len().checked_sub(1).filter(|last| *last > 0)?;
    let mut sql = String::new();
    for part in 0..last {
        let (from, until) = (part + 1, part + 2);
        let union = if part > 0 { " UNION ALL " } else { "" };
        sql.push_str(&format!(
            "{union}SELECT CAST({part} AS BIGINT) AS part, {select} AND due >= ${from} AND due < ${until} \
             GROUP BY {group}"
        ));
    }
    let mut values: Vec<Value> = bounds.iter().map(|bound| Value::from(*bound)).collect();
    values.extend(more);
    Some((sql, values))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{BackupFilter, FOUND_BEFORE, FOUND_SINCE, STORED_SINCE, storing, summing};
    use crate::db::tests::{assert_searches, plan_of};
    use crate::types::{HostId, PlanId, UtcTime};

    #[tokio::test]
    async fn sums_of_backups_are_answered_by_one_index_alone() {
        let bounds = [1, 2, 3].map(UtcTime::from_micros);
        let filter =
            BackupFilter { plan: Some(PlanId::new("p").unwrap()), host: Some(HostId::new("h").unwrap()) };
        let statements = [
            summing(&bounds, &BackupFilter::default()).unwrap().0,
            summing(&bounds, &filter).unwrap().0,
            storing(&bounds).unwrap().0,
        ];
        for sql in statements {
            let plan = plan_of(&sql).await;
            let searches =
                plan.iter().filter(|step| step.starts_with("SEARCH") || step.starts_with("SCAN run"));
            for step in searches {
                assert!(step.contains("COVERING INDEX run_figures (due>? AND due<?)"), "{sql}\n{plan:#?}");
            }
        }
        assert_eq!(summing(&bounds[..1], &filter), None);
        for sql in [FOUND_BEFORE, FOUND_SINCE] {
            assert_searches(sql, &["COVERING INDEX run_found"]).await;
        }
        assert_searches(STORED_SINCE, &["COVERING INDEX run_stored"]).await;
    }
}
