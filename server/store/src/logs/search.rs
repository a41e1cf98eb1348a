//! Searching the logs of all runs: which parts there are, the newest first, in pages of bounded work.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use super::segments::Place;
use super::{Level, LogBody, LogFolder};
use crate::Store;
use crate::db::{Filter, Row, Value};
use crate::error::Result;
use crate::runs::{Run, RunKind, run_columns};
use crate::types::{HostId, PageSize, PlanId, RepositoryId, RunId, ServerId, UtcTime};

/// Parts whose runs are looked at for one page, at most, whether they are wanted or not.
const LOOKED_AT_MAX: i64 = 2000;

/// Which parts of logs a search has: those that are all of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of runs of this plan.
    pub plan: Option<PlanId>,
    /// Of runs with this repository.
    pub repository: Option<RepositoryId>,
    /// Of runs of this host.
    pub host: Option<HostId>,
    /// Of runs that do this.
    pub kind: Option<RunKind>,
    /// With a line this bad.
    pub least: Level,
    /// With lines of this instant or later.
    pub from: Option<UtcTime>,
    /// With lines before this instant.
    pub until: Option<UtcTime>,
}

/// A place in the order of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKey {
    last: UtcTime,
    run: RunId,
    part: u32,
}

/// A part of the log of a run, without its lines.
#[derive(Debug, Clone)]
pub struct PartOfRun {
    /// The run.
    pub run: Run,
    /// When its first line was written.
    pub first: UtcTime,
    /// When its last line was written.
    pub last: UtcTime,
    /// How many lines it has.
    pub lines: u32,
    /// Bytes of these.
    pub bytes: u64,
    key: LogKey,
    server: ServerId,
    place: Place,
}

/// Parts of logs, the newest first.
#[derive(Debug, Clone)]
pub struct LogParts {
    /// Those that are wanted.
    pub parts: Vec<PartOfRun>,
    /// From where on there may be more.
    pub next: Option<LogKey>,
}

impl LogKey {
    /// When the part's last line was written.
    #[must_use]
    pub fn last(&self) -> UtcTime {
        self.last
    }

    /// The place before which this part is still listed.
    #[must_use]
    pub fn with_itself(&self) -> Self {
        Self { part: self.part.saturating_add(1), ..self.clone() }
    }
}

impl PartOfRun {
    /// Its place in the order of parts.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        &self.key
    }
}

impl Store {
    /// Parts of the logs of all runs, those with the newest lines first: from before a part, or from the newest. There may
    /// be more although a page isn't full: what is looked at for one is bounded.
    pub async fn log_parts(
        &self,
        filter: &LogFilter,
        before: Option<&LogKey>,
        size: PageSize,
    ) -> Result<LogParts> {
        let (sql, values) = listing(filter, before);
        let rows = self.db.rows("listing parts of logs", AssertSqlSafe(sql), values).await?;
        let mut parts = Vec::new();
        let mut last = None;
        let mut looked_at = 0;
        for row in &rows {
            if parts.len() == size.get() {
                break;
            }
            looked_at += 1;
            last = Some(row);
            // Of a run that isn't wanted, or that is gone, there is nothing but its part.
            if row.optional_integer("number")?.is_some() {
                parts.push(part_of(row)?);
            }
        }
        let is_last =
            looked_at == rows.len() && i64::try_from(rows.len()).unwrap_or(i64::MAX) < LOOKED_AT_MAX;
        let next = last.filter(|_| !is_last).map(key_of).transpose()?;
        Ok(LogParts { parts, next })
    }
}

impl LogFolder {
    /// The lines of a part that are this bad.
    pub async fn body(&self, part: &PartOfRun, least: Level) -> Result<LogBody> {
        self.body_at(&part.server, part.place, least).await
    }
}

fn key_of(row: &Row) -> Result<LogKey> {
    Ok(LogKey { last: row.time("last_line")?, run: row.name("part_run")?, part: row.small_count("part")? })
}

fn part_of(row: &Row) -> Result<PartOfRun> {
    let place = Place {
        segment: row.count("segment")?,
        position: row.count("position")?,
        stored_bytes: row.count("part_bytes")?,
        plain_bytes: row.count("plain_bytes")?,
    };
    Ok(PartOfRun {
        run: Run::from_row(row)?,
        first: row.time("first_line")?,
        last: row.time("last_line")?,
        lines: row.small_count("line_count")?,
        bytes: place.plain_bytes,
        key: key_of(row)?,
        server: row.name("part_server")?,
        place,
    })
}

const PARTS: &str = "SELECT run AS part_run, part, server AS part_server, segment, position, \
    stored_bytes AS part_bytes, plain_bytes, line_count, first_line, last_line FROM log_part";

fn listing(filter: &LogFilter, before: Option<&LogKey>) -> (String, Vec<Value>) {
    let mut wanted = Filter::new();
    let order = match &filter.run {
        // The parts of one run are numbered in the order of time.
        Some(run) => {
            wanted.add("run = ", run.as_str());
            wanted.add("part < ", before.map_or(i64::MAX, |key| i64::from(key.part)));
            // Expressions: the index of time would look at the parts of all runs.
            wanted.add_if("last_line + 0 >= ", filter.from);
            "part DESC"
        }
        None => {
            if let Some(LogKey { last, run, part }) = before {
                let place =
                    vec![Value::from(*last), Value::from(run.as_str()), Value::from(i64::from(*part))];
                wanted.add_row("(last_line, run, part) < ", place);
            }
            wanted.add("last_line >= ", filter.from.unwrap_or(UtcTime::MIN));
            "last_line DESC, run DESC, part DESC"
        }
    };
    wanted.add_if("first_line < ", filter.until);
    wanted.add("worst_level >= ", filter.least.number());
    let (inner, mut values) = wanted.select_at_most(PARTS, order, LOOKED_AT_MAX);
    let mut conditions = String::new();
    let on_run = [
        ("plan", filter.plan.as_ref().map(PlanId::as_str)),
        ("repository", filter.repository.as_ref().map(RepositoryId::as_str)),
        ("host", filter.host.as_ref().map(HostId::as_str)),
        ("kind", filter.kind.map(RunKind::as_str)),
    ];
    for (column, value) in on_run {
        let Some(value) = value else { continue };
        values.push(Value::from(value));
        conditions.push_str(&format!(" AND run.{column} || '' = ${}", values.len()));
    }
    let columns = run_columns!();
    let sql = format!(
        "SELECT part_run, part, part_server, segment, position, part_bytes, plain_bytes, line_count, first_line, \
         last_line, {columns} FROM ({inner}) AS found LEFT JOIN run ON run.id = found.part_run{conditions} \
         ORDER BY {order}",
        order = order.replace("run DESC", "part_run DESC"),
    );
    (sql, values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Level, LogFilter, LogKey, listing};
    use crate::db::tests::plan_of;
    use crate::types::{PlanId, RunId, UtcTime};

    #[tokio::test]
    async fn no_search_looks_at_all_parts() {
        let all = LogFilter {
            run: None,
            plan: None,
            repository: None,
            host: None,
            kind: None,
            least: Level::Debug,
            from: None,
            until: None,
        };
        let (from, until) = (Some(UtcTime::from_micros(1)), Some(UtcTime::from_micros(9)));
        let key = LogKey { last: UtcTime::from_micros(5), run: RunId::new("r").unwrap(), part: 3 };
        let of_plan = LogFilter { plan: Some(PlanId::new("p").unwrap()), from, until, ..all.clone() };
        let of_run = LogFilter { run: Some(RunId::new("r").unwrap()), from, until, ..all.clone() };
        for (filter, index) in [
            (all, "INDEX log_part_by_time (last_line>?"),
            (of_plan, "INDEX log_part_by_time (last_line>?"),
            (of_run, "PRIMARY KEY (run=? AND part<?)"),
        ] {
            for before in [None, Some(&key)] {
                let sql = listing(&filter, before).0;
                let plan = plan_of(&sql).await;
                assert!(plan.iter().any(|step| step.contains(index)), "{sql}\n{plan:#?}");
                let by_id = |step: &String| step.contains("run USING INDEX sqlite_autoindex_run_1 (id=?)");
                assert!(plan.iter().any(by_id), "{sql}\n{plan:#?}");
                let of_parts = plan.iter().take_while(|step| !by_id(step));
                let is_bad = |step: &&String| step.contains("SCAN log_part") || step.contains("TEMP B-TREE");
                assert_eq!(of_parts.into_iter().find(is_bad), None, "{sql}\n{plan:#?}");
            }
        }
    }
}
