//! The newest run of each plan and of each repository's upkeep, each answered by one search of an index.

use sqlx::AssertSqlSafe;

use super::{Run, RunKind, is_upkeep, run_columns};
use crate::Store;
use crate::db::{Row, Value, values};
use crate::error::Result;
use crate::types::{PlanId, UtcTime};

/// When the newest good backup of a plan began. The conditions are those of the index `run_good_backup`.
macro_rules! newest_good {
    ($plan:literal) => {
        concat!(
            "SELECT started FROM run WHERE plan = ",
            $plan,
            " AND started <= $1 AND kind = 'backup' AND verdict IN ('ok', 'findings') ORDER BY started DESC LIMIT 1"
        )
    };
}

/// The newest run of a plan.
macro_rules! newest_of_plan {
    ($plan:literal) => {
        concat!("SELECT MAX(newest.number) FROM run AS newest WHERE newest.plan = ", $plan)
    };
}

/// The newest run of a kind of a plan.
macro_rules! newest_of_kind {
    ($plan:literal) => {
        concat!(newest_of_plan!($plan), " AND newest.kind = $1")
    };
}

/// The first repository after another one that has upkeep.
macro_rules! next_repository {
    ($after:literal) => {
        concat!("SELECT MIN(repository) FROM run WHERE ", is_upkeep!(), " AND repository > ", $after)
    };
}

/// The newest upkeep of a kind of a repository.
macro_rules! newest_upkeep {
    ($repository:literal, $kind:literal) => {
        concat!(
            "SELECT MAX(number) FROM run WHERE ",
            is_upkeep!(),
            " AND repository = ",
            $repository,
            " AND kind = '",
            $kind,
            "'"
        )
    };
}

macro_rules! good_starts {
    () => {
        concat!("SELECT plan, (", newest_good!("plan_state.plan"), ") AS started FROM plan_state")
    };
}

const GOOD_STARTS: &str = concat!(good_starts!(), " ORDER BY plan");

/// Plans that one statement names. Of more, all plans are asked.
const PLANS_NAMED_MAX: usize = 1000;

/// From repository to repository, so that only the newest of each are looked at.
const LAST_UPKEEP: &str = concat!(
    "WITH RECURSIVE kept (name) AS (",
    next_repository!("''"),
    " UNION ALL SELECT (",
    next_repository!("kept.name"),
    ") FROM kept WHERE kept.name IS NOT NULL) SELECT ",
    run_columns!(),
    " FROM run WHERE number IN (SELECT (",
    newest_upkeep!("kept.name", "check"),
    ") FROM kept UNION ALL SELECT (",
    newest_upkeep!("kept.name", "prune"),
    ") FROM kept) ORDER BY repository, kind"
);

const READING_GOOD: &str = "reading the good runs of plans";

fn starts(rows: &[Row]) -> Result<Vec<(PlanId, UtcTime)>> {
    let mut starts = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(started) = row.optional_time("started")? {
            starts.push((row.name("plan")?, started));
        }
    }
    Ok(starts)
}

impl Store {
    /// When the newest good backup of each plan began: `ok` or with findings, and not later than `not_after`, because
    /// a snapshot that comes from the future proves nothing. In the order of plans; those without one are left out.
    pub async fn good_starts(&self, not_after: UtcTime) -> Result<Vec<(PlanId, UtcTime)>> {
        starts(&self.db.rows(READING_GOOD, GOOD_STARTS, values![not_after]).await?)
    }

    /// The same of these plans. There may be others among them if they are many.
    pub async fn good_starts_of(
        &self,
        plans: &[PlanId],
        not_after: UtcTime,
    ) -> Result<Vec<(PlanId, UtcTime)>> {
        match plans.len() {
            0 => return Ok(Vec::new()),
            1..=PLANS_NAMED_MAX => {}
            _ => return self.good_starts(not_after).await,
        }
        let places: Vec<String> = (2..plans.len() + 2).map(|number| format!("${number}")).collect();
        let sql = format!(concat!(good_starts!(), " WHERE plan IN ({}) ORDER BY plan"), places.join(", "));
        let mut values = values![not_after];
        values.extend(plans.iter().map(|plan| Value::from(plan.as_str())));
        starts(&self.db.rows(READING_GOOD, AssertSqlSafe(sql), values).await?)
    }

    /// The newest run of each plan that is known ([`Store::bear_plan`]), of one kind or of any, in the order of plans.
    pub async fn last_runs(&self, kind: Option<RunKind>) -> Result<Vec<Run>> {
        let (newest, values) = match kind {
            None => (newest_of_plan!("plan_state.plan"), Vec::new()),
            Some(kind) => (newest_of_kind!("plan_state.plan"), values![kind.as_str()]),
        };
        let columns = run_columns!();
        let sql = format!(
            "SELECT {columns} FROM run WHERE number IN (SELECT ({newest}) FROM plan_state) ORDER BY plan"
        );
        let rows = self.db.rows("reading the last run of each plan", AssertSqlSafe(sql), values).await?;
        rows.iter().map(Run::from_row).collect()
    }

    /// The newest check and the newest prune of each repository, of those that have ended and were neither missed nor
    /// skipped. In the order of repositories.
    pub async fn last_upkeep(&self) -> Result<Vec<Run>> {
        let rows = self.db.rows("reading the last upkeep of repositories", LAST_UPKEEP, Vec::new()).await?;
        rows.iter().map(Run::from_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::db::tests::assert_searches;
    use crate::runs::is_upkeep;

    #[tokio::test]
    async fn the_newest_runs_are_found_by_one_search_each() {
        assert_searches(newest_good!("'p'"), &["INDEX run_good_backup (plan=? AND started<?)"]).await;
        assert_searches(newest_of_plan!("'p'"), &["COVERING INDEX run_by_plan (plan=?)"]).await;
        let of_kind = "COVERING INDEX run_by_plan_and_kind (plan=? AND kind=?)";
        assert_searches(newest_of_kind!("'p'"), &[of_kind]).await;
        assert_searches(next_repository!("'r'"), &["INDEX run_upkeep (repository>?)"]).await;
        assert_searches(newest_upkeep!("'r'", "check"), &["INDEX run_upkeep (repository=? AND kind=?)"])
            .await;
    }
}
