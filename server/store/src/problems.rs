//! Problems: what is wrong with a plan, repository, host or target. One is opened once and resolved once,
//! however often it is seen in between.

use std::time::Duration;

use serde_json::{Value as Document, json};

use crate::Store;
use crate::db::{NewEvent, Row, json as column, values};
use crate::error::Result;
use crate::types::{EventKind, Page, PageSize, ProblemKind, Subject, UserName, UtcTime, micros};

/// Identifies a problem: another one each time it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ProblemNumber(pub(crate) i64);

impl ProblemNumber {
    /// As a number: 1 or more.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// From what [`ProblemNumber::number`] gave.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A place in the order of resolved problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ResolvedKey {
    resolved: UtcTime,
    number: ProblemNumber,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Identifies it.
    pub number: ProblemNumber,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub kind: ProblemKind,
    /// When it was seen first.
    pub opened: UtcTime,
    /// When it was seen last.
    pub last_seen: UtcTime,
    /// How often it was seen.
    pub seen: u64,
    /// When an event last told of it.
    pub told: UtcTime,
    /// How many events told that it is still there.
    pub repeated: u64,
    /// When it was gone.
    pub resolved: Option<UtcTime>,
    /// When a user said to have seen it, and which one.
    pub acknowledged: Option<(UtcTime, UserName)>,
    /// Until when no user wants to hear of it.
    pub muted_until: Option<UtcTime>,
    /// What there is to know; a document of the caller's, as it was seen last.
    pub document: Document,
}

/// What came of seeing a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It wasn't there before; an event tells it.
    Opened,
    /// It is known.
    Known,
    /// It is known, and long enough that an event tells it again.
    Repeated,
}

/// The columns of [`Problem::from_row`].
macro_rules! problem_columns {
    () => {
        "number, subject, kind, opened, last_seen, seen, told, repeated, resolved, acknowledged, \
         acknowledged_by, muted_until, document"
    };
}

impl Problem {
    fn from_row(row: &Row) -> Result<Self> {
        let acknowledged = row.optional_time("acknowledged")?;
        Ok(Self {
            number: ProblemNumber(row.integer("number")?),
            subject: row.name("subject")?,
            kind: row.name("kind")?,
            opened: row.time("opened")?,
            last_seen: row.time("last_seen")?,
            seen: row.count("seen")?,
            told: row.time("told")?,
            repeated: row.count("repeated")?,
            resolved: row.optional_time("resolved")?,
            acknowledged: acknowledged.zip(row.optional_name("acknowledged_by")?),
            muted_until: row.optional_time("muted_until")?,
            document: row.json("document")?,
        })
    }

    fn event(&self, at: UtcTime, kind: EventKind) -> NewEvent {
        let document = json!({
            "problem": self.number,
            "kind": self.kind,
            "opened": self.opened,
            "seen": self.seen,
            "resolved": self.resolved,
            "acknowledged_by": self.acknowledged.as_ref().map(|(_, by)| by),
            "muted_until": self.muted_until,
            "document": self.document,
        });
        NewEvent { at, kind, subject: self.subject.clone(), document }
    }
}

impl Store {
    /// A problem is there. It is opened if it wasn't known; if it was told of `repeat_after` ago, and is neither
    /// acknowledged nor muted, it is told again.
    pub async fn see_problem(
        &self,
        now: UtcTime,
        subject: &Subject,
        kind: &ProblemKind,
        document: &Document,
        repeat_after: Option<Duration>,
    ) -> Result<Seen> {
        let mut tx = self.begin("storing a problem").await?;
        let sql = concat!(
            "INSERT INTO problem (subject, kind, opened, last_seen, seen, told, repeated, document) \
             VALUES ($1, $2, $3, $3, 1, $3, 0, $4) ON CONFLICT (subject, kind) WHERE resolved IS NULL \
             DO UPDATE SET last_seen = excluded.last_seen, seen = problem.seen + 1, \
             document = excluded.document RETURNING ",
            problem_columns!()
        );
        let values = values![subject.as_str(), kind.as_str(), now, column(document)];
        let row = tx.row(sql, values).await?;
        let row = row.ok_or_else(|| crate::StoreError::stored("problem", "it was not stored"))?;
        let mut problem = Problem::from_row(&row)?;
        let is_quiet = problem.acknowledged.is_some() || problem.muted_until.is_some_and(|until| until > now);
        // A clock that was set back may have left it told in the future.
        let since_told = now.as_micros().abs_diff(problem.told.as_micros());
        let is_due = repeat_after.is_some_and(|after| since_told >= micros(after).unsigned_abs());
        let seen = if problem.seen == 1 {
            tx.event(problem.event(now, EventKind::PROBLEM_OPENED));
            Seen::Opened
        } else if is_due && !is_quiet {
            let sql = "UPDATE problem SET told = $2, repeated = repeated + 1 WHERE number = $1";
            tx.execute(sql, values![problem.number.0, now]).await?;
            problem.repeated += 1;
            tx.event(problem.event(now, EventKind::PROBLEM_REPEATED));
            Seen::Repeated
        } else {
            Seen::Known
        };
        tx.commit().await?;
        Ok(seen)
    }

    /// A problem that is known has become worse: it is told again, also where someone knew of it. False if there is none.
    pub async fn problem_is_worse(
        &self,
        now: UtcTime,
        subject: &Subject,
        kind: &ProblemKind,
    ) -> Result<bool> {
        let mut tx = self.begin("storing that a problem is worse").await?;
        let sql = concat!(
            "UPDATE problem SET told = $3, repeated = repeated + 1, acknowledged = NULL, acknowledged_by = NULL \
             WHERE subject = $1 AND kind = $2 AND resolved IS NULL RETURNING ",
            problem_columns!()
        );
        let row = tx.row(sql, values![subject.as_str(), kind.as_str(), now]).await?;
        let Some(row) = row else { return Ok(false) };
        tx.event(Problem::from_row(&row)?.event(now, EventKind::PROBLEM_REPEATED));
        tx.commit().await?;
        Ok(true)
    }

    /// A problem is gone; false if it wasn't known.
    pub async fn resolve_problem(&self, now: UtcTime, subject: &Subject, kind: &ProblemKind) -> Result<bool> {
        let mut tx = self.begin("resolving a problem").await?;
        let sql = concat!(
            "UPDATE problem SET resolved = $3 WHERE subject = $1 AND kind = $2 AND resolved IS NULL RETURNING ",
            problem_columns!()
        );
        let row = tx.row(sql, values![subject.as_str(), kind.as_str(), now]).await?;
        let Some(row) = row else { return Ok(false) };
        tx.event(Problem::from_row(&row)?.event(now, EventKind::PROBLEM_RESOLVED));
        tx.commit().await?;
        Ok(true)
    }

    /// A user has seen a problem: it isn't repeated any more. False if it is resolved.
    pub async fn acknowledge_problem(
        &self,
        now: UtcTime,
        problem: ProblemNumber,
        by: &UserName,
    ) -> Result<bool> {
        let mut tx = self.begin("acknowledging a problem").await?;
        let sql = concat!(
            "UPDATE problem SET acknowledged = $2, acknowledged_by = $3 \
             WHERE number = $1 AND resolved IS NULL RETURNING ",
            problem_columns!()
        );
        let row = tx.row(sql, values![problem.0, now, by.as_str()]).await?;
        let Some(row) = row else { return Ok(false) };
        tx.event(Problem::from_row(&row)?.event(now, EventKind::PROBLEM_ACKNOWLEDGED));
        tx.commit().await?;
        Ok(true)
    }

    /// A problem isn't repeated until then; `None` ends that. False if it is resolved.
    pub async fn mute_problem(
        &self,
        now: UtcTime,
        problem: ProblemNumber,
        until: Option<UtcTime>,
    ) -> Result<bool> {
        let mut tx = self.begin("muting a problem").await?;
        let sql = concat!(
            "UPDATE problem SET muted_until = $2 WHERE number = $1 AND resolved IS NULL RETURNING ",
            problem_columns!()
        );
        let row = tx.row(sql, values![problem.0, until]).await?;
        let Some(row) = row else { return Ok(false) };
        tx.event(Problem::from_row(&row)?.event(now, EventKind::PROBLEM_MUTED));
        tx.commit().await?;
        Ok(true)
    }

    /// The problems that are there, in the order of their subjects and kinds.
    pub async fn open_problems(&self) -> Result<Vec<Problem>> {
        let rows = self.db.rows("reading the problems", OPEN, Vec::new()).await?;
        rows.iter().map(Problem::from_row).collect()
    }

    /// A page of the problems that are gone, those that were resolved last first: from before one, or from the newest.
    pub async fn resolved_problems(
        &self,
        before: Option<ResolvedKey>,
        size: PageSize,
    ) -> Result<Page<Problem, ResolvedKey>> {
        let latest = ResolvedKey { resolved: UtcTime::MAX, number: ProblemNumber(i64::MAX) };
        let before = before.unwrap_or(latest);
        let values = values![before.resolved, before.number.0, size.rows()];
        let rows = self.db.rows("listing resolved problems", RESOLVED, values).await?;
        let rows = rows.iter().map(Problem::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len()));
        let next = next.and_then(|last| Some(ResolvedKey { resolved: last.resolved?, number: last.number }));
        Ok(Page { rows, next })
    }

    /// A problem, open or resolved.
    pub async fn problem(&self, number: ProblemNumber) -> Result<Option<Problem>> {
        let sql = concat!("SELECT ", problem_columns!(), " FROM problem WHERE number = $1");
        let row = self.db.row("reading a problem", sql, values![number.0]).await?;
        row.as_ref().map(Problem::from_row).transpose()
    }
}

const OPEN: &str =
    concat!("SELECT ", problem_columns!(), " FROM problem WHERE resolved IS NULL ORDER BY subject, kind");

/// The condition on `resolved` alone is what the partial index asks for.
const RESOLVED: &str = concat!(
    "SELECT ",
    problem_columns!(),
    " FROM problem WHERE resolved IS NOT NULL AND (resolved, number) < ($1, $2) \
     ORDER BY resolved DESC, number DESC LIMIT $3"
);

#[cfg(test)]
mod tests {
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn listings_of_resolved_problems_never_scan() {
        assert_searches(super::RESOLVED, &["INDEX problem_by_resolution"]).await;
    }
}
