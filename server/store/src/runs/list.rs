//! Listings of runs: by pages, newest first, each answered from an index.

use serde_json::Value as Document;
use sqlx::AssertSqlSafe;

use super::{REQUEST, Run, RunKind, RunNumber, VerdictKind, is_open, is_upkeep, run_columns};
use crate::Store;
use crate::db::{Filter, Row, values};
use crate::error::Result;
use crate::types::{DrillId, Fingerprint, HostId, Page, PageSize, PlanId, RepositoryId, RunId, UtcTime};

/// Which runs a listing has: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this plan.
    pub plan: Option<PlanId>,
    /// With this repository.
    pub repository: Option<RepositoryId>,
    /// Of this host.
    pub host: Option<HostId>,
    /// Of this drill.
    pub drill: Option<DrillId>,
    /// That do this.
    pub kind: Option<RunKind>,
    /// With this verdict.
    pub verdict: Option<VerdictKind>,
    /// With this error.
    pub fingerprint: Option<Fingerprint>,
    /// That repeat this one, and itself.
    pub root: Option<RunId>,
    /// That have not ended.
    pub open_only: bool,
    /// Checks and prunes that ended, and were neither missed nor skipped.
    pub upkeep_only: bool,
    /// Whose slots, or whose storing, were not before this instant.
    pub due_from: Option<UtcTime>,
    /// Or before this one.
    pub due_until: Option<UtcTime>,
}

/// What came of a slot, or when a run was due that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The plan.
    pub plan: Option<PlanId>,
    /// What the run does.
    pub kind: RunKind,
    /// The slot, or when the run was stored.
    pub due: UtcTime,
    /// For how many slots it stands.
    pub slots: u32,
    /// The verdict; `None` while the run is open.
    pub verdict: Option<VerdictKind>,
}

/// How many backups of a plan came to the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeCount {
    /// In which of the parts of time, from 0.
    pub part: usize,
    /// The plan.
    pub plan: PlanId,
    /// The verdict; `None` for runs that are open.
    pub verdict: Option<VerdictKind>,
    /// How many slots and runs.
    pub slots: u64,
}

/// A place in the order of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct OutcomeKey {
    due: UtcTime,
    number: RunNumber,
}

impl Store {
    /// A run.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>> {
        let sql = concat!("SELECT ", run_columns!(), " FROM run WHERE id = $1");
        let row = self.db.row("reading a run", sql, values![id.as_str()]).await?;
        row.as_ref().map(Run::from_row).transpose()
    }

    /// Runs whose ids begin like this, in the order of their ids.
    pub async fn find_runs(&self, beginning: &str, size: PageSize) -> Result<Vec<Run>> {
        // The last character there is sorts behind all that an id can go on with.
        let end = format!("{beginning}\u{10ffff}");
        let rows = self.db.rows("finding runs", FIND, values![beginning, end, size.rows()]).await?;
        rows.iter().map(Run::from_row).collect()
    }

    /// The report of a run, if it has one.
    pub async fn run_report(&self, id: &RunId) -> Result<Option<Document>> {
        let sql = "SELECT report FROM run WHERE id = $1";
        let row = self.db.row("reading a run's report", sql, values![id.as_str()]).await?;
        row.map_or(Ok(None), |row| row.optional_json("report"))
    }

    /// What a run was asked for, if it has an errand.
    pub async fn run_request(&self, id: &RunId) -> Result<Option<Document>> {
        let row = self.db.row("reading what a run was asked for", REQUEST, values![id.as_str()]).await?;
        row.map_or(Ok(None), |row| row.optional_json("request"))
    }

    /// A page of runs with what they were asked for, those that were stored last first.
    pub async fn requested_runs(
        &self,
        filter: &RunFilter,
        before: Option<RunNumber>,
        size: PageSize,
    ) -> Result<Page<(Run, Option<Document>), RunNumber>> {
        let (sql, values) = selecting(REQUESTED, filter, before, size);
        let rows = self.db.rows("listing runs with their requests", AssertSqlSafe(sql), values).await?;
        let read = |row: &Row| Ok((Run::from_row(row)?, row.optional_json("request")?));
        let rows = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|(run, _)| run.number);
        Ok(Page { rows, next })
    }

    /// A page of runs, those that were stored last first: from before the run `before`, or from the newest.
    pub async fn runs(
        &self,
        filter: &RunFilter,
        before: Option<RunNumber>,
        size: PageSize,
    ) -> Result<Page<Run, RunNumber>> {
        let (sql, values) = listing(filter, before, size);
        let rows = self.db.rows("listing runs", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(Run::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|run| run.number);
        Ok(Page { rows, next })
    }

    /// A page of runs with their reports, those that were stored last first.
    pub async fn reported_runs(
        &self,
        filter: &RunFilter,
        before: Option<RunNumber>,
        size: PageSize,
    ) -> Result<Page<(Run, Option<Document>), RunNumber>> {
        let (sql, values) = selecting(REPORTED, filter, before, size);
        let rows = self.db.rows("listing runs with their reports", AssertSqlSafe(sql), values).await?;
        let read = |row: &Row| Ok((Run::from_row(row)?, row.optional_json("report")?));
        let rows = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|(run, _)| run.number);
        Ok(Page { rows, next })
    }

    /// What came of the backups that were due from one of these instants to before the next, for each such part and
    /// each plan and verdict.
    pub async fn outcome_counts(&self, bounds: &[UtcTime]) -> Result<Vec<OutcomeCount>> {
        let Some((sql, values)) = counting(bounds) else { return Ok(Vec::new()) };
        let rows = self.db.rows("counting what came of slots", AssertSqlSafe(sql), values).await?;
        let count = |row: &Row| {
            Ok(OutcomeCount {
                part: usize::try_from(row.count("part")?).unwrap_or(usize::MAX),
                plan: row.name("plan")?,
                verdict: match row.optional_string("verdict")? {
                    None => None,
                    Some(_) => Some(row.word("verdict", VerdictKind::parse)?),
                },
                slots: row.count("slots")?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// What came of the slots from `from` to before `until`, in their order: for a matrix of plans and days.
    pub async fn outcomes(
        &self,
        from: UtcTime,
        until: UtcTime,
        after: Option<OutcomeKey>,
        size: PageSize,
    ) -> Result<Page<Outcome, OutcomeKey>> {
        let begin = OutcomeKey { due: from, number: RunNumber(0) };
        let after = after.unwrap_or(begin);
        let values = values![after.due, after.number.0, until, size.rows()];
        let rows = self.db.rows("listing what came of slots", OUTCOMES, values).await?;
        let mut page = Page { rows: Vec::with_capacity(rows.len()), next: None };
        for row in &rows {
            let verdict = match row.optional_string("verdict")? {
                None => None,
                Some(_) => Some(row.word("verdict", VerdictKind::parse)?),
            };
            page.rows.push(Outcome {
                plan: row.optional_name("plan")?,
                kind: row.word("kind", RunKind::parse)?,
                due: row.time("due")?,
                slots: row.small_count("slots")?,
                verdict,
            });
        }
        if let Some(last) = rows.last().filter(|_| size.is_filled_by(rows.len())) {
            page.next =
                Some(OutcomeKey { due: last.time("due")?, number: RunNumber(last.integer("number")?) });
        }
        Ok(page)
    }
}

/// What the index `run_upkeep` answers alone, up to the repository.
const UPKEEP_OF: &str = concat!(
    "number IN (SELECT number FROM run WHERE ",
    is_upkeep!(),
    " AND kind IN ('check', 'prune') AND repository = "
);
const LISTED: &str = concat!("SELECT ", run_columns!(), " FROM run");
const REQUESTED: &str = concat!("SELECT ", run_columns!(), ", request FROM run");
const REPORTED: &str = concat!("SELECT ", run_columns!(), ", report FROM run");

/// One search of the index `run_by_due` for each part, which answers it alone.
fn counting(bounds: &[UtcTime]) -> Option<(String, Vec<crate::db::Value>)> {
    let last = bounds.len().checked_sub(1).filter(|last| *last > 0)?;
    let (mut sql, mut values) = (String::new(), Vec::with_capacity(bounds.len()));
    for part in 0..last {
        let (from, until) = (part + 1, part + 2);
        if part > 0 {
            sql.push_str(" UNION ALL ");
        }
        sql.push_str(&format!(
            "SELECT CAST({part} AS BIGINT) AS part, plan, verdict, CAST(SUM(slots) AS BIGINT) AS slots FROM run \
             WHERE due >= ${from} AND due < ${until} AND kind || '' = 'backup' AND plan IS NOT NULL \
             GROUP BY plan, verdict"
        ));
    }
    values.extend(bounds.iter().map(|bound| crate::db::Value::from(*bound)));
    Some((sql, values))
}

const FIND: &str =
    concat!("SELECT ", run_columns!(), " FROM run WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3");

/// What the index `run_by_due` answers alone.
const OUTCOMES: &str = "SELECT due, number, plan, kind, verdict, slots FROM run \
    WHERE (due, number) > ($1, $2) AND due < $3 ORDER BY due, number LIMIT $4";

fn listing(filter: &RunFilter, before: Option<RunNumber>, size: PageSize) -> (String, Vec<crate::db::Value>) {
    selecting(LISTED, filter, before, size)
}

fn selecting(
    select: &'static str,
    filter: &RunFilter,
    before: Option<RunNumber>,
    size: PageSize,
) -> (String, Vec<crate::db::Value>) {
    let mut wanted = Filter::new();
    wanted.add("number < ", before.map_or(i64::MAX, |before| before.0));
    wanted.add_if("plan = ", filter.plan.as_ref().map(PlanId::as_str));
    let repository = filter.repository.as_ref().map(RepositoryId::as_str);
    // A repository has many runs, and few of them are its upkeep: their own index has their numbers.
    match repository.filter(|_| filter.upkeep_only) {
        Some(repository) => wanted.add_in_brackets(UPKEEP_OF, repository),
        None => wanted.add_if("repository = ", repository),
    }
    wanted.add_if("host = ", filter.host.as_ref().map(HostId::as_str));
    wanted.add_if("drill = ", filter.drill.as_ref().map(DrillId::as_str));
    wanted.add_if("kind = ", filter.kind.map(RunKind::as_str));
    wanted.add_if("verdict = ", filter.verdict.map(VerdictKind::as_str));
    wanted.add_if("fingerprint = ", filter.fingerprint.as_ref().map(Fingerprint::as_str));
    wanted.add_if("root = ", filter.root.as_ref().map(RunId::as_str));
    if filter.open_only {
        wanted.add_text(is_open!());
    }
    if filter.upkeep_only && repository.is_none() {
        wanted.add_text(is_upkeep!());
    }
    if filter.due_from.is_some() || filter.due_until.is_some() {
        // The index of instants has the numbers of the runs in that time.
        wanted
            .add("number IN (SELECT number FROM run WHERE due >= ", filter.due_from.unwrap_or(UtcTime::MIN));
        wanted.add_if("plan = ", filter.plan.as_ref().map(PlanId::as_str));
        wanted.add_in_brackets("due < ", filter.due_until.unwrap_or(UtcTime::MAX));
    }
    wanted.select(select, "number DESC", size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{FIND, OUTCOMES, RunFilter, listing};
    use crate::db::tests::assert_searches;
    use crate::runs::{RunKind, VerdictKind};
    use crate::types::{DrillId, Fingerprint, HostId, PageSize, PlanId, RepositoryId, RunId, UtcTime};

    #[tokio::test]
    async fn listings_of_runs_never_scan() {
        let all = || RunFilter::default();
        let plan = Some(PlanId::new("p").unwrap());
        let filters = [
            all(),
            RunFilter { plan: plan.clone(), ..all() },
            RunFilter { plan, verdict: Some(VerdictKind::Failed), ..all() },
            RunFilter { repository: Some(RepositoryId::new("r").unwrap()), ..all() },
            RunFilter { host: Some(HostId::new("h").unwrap()), ..all() },
            RunFilter { drill: Some(DrillId::new("d").unwrap()), ..all() },
            RunFilter { kind: Some(RunKind::Check), ..all() },
            RunFilter { verdict: Some(VerdictKind::Failed), ..all() },
            RunFilter { fingerprint: Some(Fingerprint::new("f").unwrap()), ..all() },
            RunFilter { root: Some(RunId::new("i").unwrap()), ..all() },
            RunFilter { open_only: true, ..all() },
            RunFilter { due_from: Some(UtcTime::MIN), due_until: Some(UtcTime::MAX), ..all() },
            RunFilter { repository: Some(RepositoryId::new("r").unwrap()), upkeep_only: true, ..all() },
        ];
        for filter in filters {
            let index: &[&str] = match () {
                () if filter.open_only => &["run_open (<expr>=? AND number<?)"],
                () if filter.upkeep_only => &["run_upkeep (repository=? AND kind=?)", "PRIMARY KEY"],
                () => &[],
            };
            assert_searches(&listing(&filter, None, PageSize::MAX).0, index).await;
        }
        assert_searches(FIND, &[]).await;
        assert_searches(OUTCOMES, &["COVERING INDEX run_by_due"]).await;
    }
}
