//! What is known of each plan: its last good run, the figures that later runs are compared with; and whether it
//! is paused.

use serde_json::{Value as Document, json};

use crate::Store;
use crate::db::{NewEvent, Row, Tx, optional_json, values};
use crate::error::Result;
use crate::runs::{Run, RunKind, VerdictKind};
use crate::types::{EventKind, PlanId, Subject, SubjectKind, Text, UserName, UtcTime};

/// What is known of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanState {
    /// The plan.
    pub plan: PlanId,
    /// When it was first seen: no slot before that is owed.
    pub born: UtcTime,
    /// When its last backup ended that was `ok`.
    pub last_ok: Option<UtcTime>,
    /// When its last backup ended that had findings.
    pub last_findings: Option<UtcTime>,
    /// The figures that later runs are compared with; a document of the caller's.
    pub baseline: Option<Document>,
}

impl PlanState {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            plan: row.name("plan")?,
            born: row.time("born")?,
            last_ok: row.optional_time("last_ok")?,
            last_findings: row.optional_time("last_findings")?,
            baseline: row.optional_json("baseline")?,
        })
    }
}

/// A time in which a plan makes no runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The plan.
    pub plan: PlanId,
    /// Since when.
    pub since: UtcTime,
    /// When it is meant to end by itself.
    pub until: Option<UtcTime>,
    /// The user that wants it.
    pub by: UserName,
    /// Why.
    pub reason: Option<Text>,
    /// When it ended; `None` while it lasts.
    pub ended: Option<UtcTime>,
}

impl Pause {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            plan: row.name("plan")?,
            since: row.time("since")?,
            until: row.optional_time("until")?,
            by: row.name("paused_by")?,
            reason: row.optional_text("reason")?,
            ended: row.optional_time("ended")?,
        })
    }
}

impl Store {
    /// Makes sure that a plan is known: it is born now unless it was before. Metrics have it from then on.
    pub async fn bear_plan(&self, now: UtcTime, plan: &PlanId) -> Result<PlanState> {
        let mut tx = self.begin("storing a plan").await?;
        bear(&mut tx, now, plan).await?;
        tx.commit().await?;
        let sql = "SELECT plan, born, last_ok, last_findings, baseline FROM plan_state WHERE plan = $1";
        let rows = self.db.rows("reading a plan", sql, values![plan.as_str()]).await?;
        let row = rows.first().ok_or_else(|| crate::StoreError::stored("plan_state", "a plan is gone"))?;
        PlanState::from_row(row)
    }

    /// Makes sure that plans are known, all at once.
    pub async fn bear_plans(&self, now: UtcTime, plans: &[PlanId]) -> Result<()> {
        let mut tx = self.begin("storing plans").await?;
        for plan in plans {
            bear(&mut tx, now, plan).await?;
        }
        tx.commit().await
    }

    /// What is known of all plans that ever were, in the order of their names.
    pub async fn plan_states(&self) -> Result<Vec<PlanState>> {
        let sql = "SELECT plan, born, last_ok, last_findings, baseline FROM plan_state ORDER BY plan";
        let rows = self.db.rows("reading the plans", sql, Vec::new()).await?;
        rows.iter().map(PlanState::from_row).collect()
    }

    /// Pauses a plan, or changes its pause's end and reason. The first one's beginning stays.
    pub async fn pause(
        &self,
        now: UtcTime,
        plan: &PlanId,
        until: Option<UtcTime>,
        by: &UserName,
        reason: Option<&Text>,
    ) -> Result<()> {
        let mut tx = self.begin("pausing a plan").await?;
        tx.execute(
            "INSERT INTO pause (plan, since, until, paused_by, reason) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (plan) WHERE ended IS NULL \
             DO UPDATE SET until = excluded.until, paused_by = excluded.paused_by, reason = excluded.reason",
            values![plan.as_str(), now, until, by.as_str(), reason.map(Text::as_str)],
        )
        .await?;
        let document = json!({"plan": plan, "until": until, "by": by, "reason": reason});
        tx.event(NewEvent { at: now, kind: EventKind::PLAN_PAUSED, subject: subject(plan), document });
        tx.commit().await
    }

    /// Ends the pause of a plan; false if it isn't paused. `ended` is the instant from which slots count again:
    /// `now`, or the pause's own end when that has come.
    pub async fn unpause(&self, now: UtcTime, plan: &PlanId, ended: UtcTime) -> Result<bool> {
        let mut tx = self.begin("ending the pause of a plan").await?;
        let sql = "UPDATE pause SET ended = $2 WHERE plan = $1 AND ended IS NULL";
        if tx.execute(sql, values![plan.as_str(), ended]).await? == 0 {
            return Ok(false);
        }
        let document = json!({"plan": plan, "ended": ended});
        tx.event(NewEvent { at: now, kind: EventKind::PLAN_UNPAUSED, subject: subject(plan), document });
        tx.commit().await?;
        Ok(true)
    }

    /// The plans that are paused.
    pub async fn paused_plans(&self) -> Result<Vec<Pause>> {
        let sql = "SELECT plan, since, until, paused_by, reason, ended FROM pause \
                   WHERE ended IS NULL ORDER BY plan";
        let rows = self.db.rows("reading the pauses", sql, Vec::new()).await?;
        rows.iter().map(Pause::from_row).collect()
    }

    /// When the newest pause of each plan ended that was over at `now`, by a user or by itself, in the order of plans.
    pub async fn pause_ends(&self, now: UtcTime) -> Result<Vec<(PlanId, UtcTime)>> {
        let sql = "SELECT plan, MAX(COALESCE(ended, until)) AS newest FROM pause \
                   WHERE COALESCE(ended, until) <= $1 GROUP BY plan ORDER BY plan";
        let rows = self.db.rows("reading the ends of pauses", sql, values![now]).await?;
        rows.iter().map(|row| Ok((row.name("plan")?, row.time("newest")?))).collect()
    }

    /// The pauses of all plans that had not ended at `since`, the oldest first.
    pub async fn all_pauses_since(&self, since: UtcTime) -> Result<Vec<Pause>> {
        let sql = "SELECT plan, since, until, paused_by, reason, ended FROM pause \
                   WHERE ended IS NULL OR ended > $1 ORDER BY number";
        let rows = self.db.rows("reading all pauses", sql, values![since]).await?;
        rows.iter().map(Pause::from_row).collect()
    }

    /// The pauses of a plan that had not ended at `since`, the oldest first: slots in them are skipped.
    pub async fn pauses_since(&self, plan: &PlanId, since: UtcTime) -> Result<Vec<Pause>> {
        let sql = "SELECT plan, since, until, paused_by, reason, ended FROM pause \
                   WHERE plan = $1 AND (ended IS NULL OR ended > $2) ORDER BY number";
        let rows = self.db.rows("reading the pauses of a plan", sql, values![plan.as_str(), since]).await?;
        rows.iter().map(Pause::from_row).collect()
    }
}

/// What events about a plan are about.
fn subject(plan: &PlanId) -> Subject {
    Subject::of(SubjectKind::Plan, plan.as_str())
}

pub(crate) async fn bear(tx: &mut Tx, now: UtcTime, plan: &PlanId) -> Result<()> {
    let sql = "INSERT INTO plan_state (plan, born) VALUES ($1, $2) ON CONFLICT (plan) DO NOTHING";
    tx.execute(sql, values![plan.as_str(), now]).await?;
    Ok(())
}

/// A run of the plan has ended.
pub(crate) async fn ran(
    tx: &mut Tx,
    now: UtcTime,
    plan: &PlanId,
    run: &Run,
    baseline: Option<&Document>,
) -> Result<()> {
    let verdict = run.verdict.as_ref().map(crate::runs::Verdict::kind);
    let ended = |kind| (run.kind == RunKind::Backup && verdict == Some(kind)).then_some(now);
    // It is born now if it wasn't known.
    tx.execute(
        "INSERT INTO plan_state (plan, born, last_ok, last_findings, baseline) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (plan) DO UPDATE SET last_ok = COALESCE(excluded.last_ok, plan_state.last_ok), \
         last_findings = COALESCE(excluded.last_findings, plan_state.last_findings), \
         baseline = COALESCE(excluded.baseline, plan_state.baseline)",
        values![
            plan.as_str(),
            now,
            ended(VerdictKind::Ok),
            ended(VerdictKind::Findings),
            optional_json(baseline)
        ],
    )
    .await?;
    Ok(())
}
