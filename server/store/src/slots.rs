//! Slots: the instants at which a plan has promised to run. Each has exactly one outcome, whatever servers
//! and clocks do.

use crate::Store;
use crate::db::{Row, values};
use crate::error::{Result, StoreError};
use crate::plans::bear;
use crate::runs::{Insert, NewRun, Reason, Run, Slot, Verdict, insert, words};
use crate::types::{PageSize, PlanId, RunId, UtcTime};

words! {
    /// What was decided about a slot.
    SlotVerdict {
        /// It has a run, whose verdict says what came of it.
        Fired = "fired",
        /// It came and went.
        Missed = "missed",
        /// It was right not to run.
        Skipped = "skipped",
    }
}

/// Slots that are to get an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewSlot {
    /// One that runs now.
    Fire {
        /// The slot.
        at: UtcTime,
        /// Its run; its plan is that of the decision.
        run: NewRun,
    },
    /// One or many in a row that were missed.
    Missed(Unfired),
    /// One or many in a row that were right not to run.
    Skipped(Unfired),
}

/// Slots in a row without a run of their own, which share one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfired {
    /// The first.
    pub first: UtcTime,
    /// The last; the first where it is one.
    pub last: UtcTime,
    /// How many they are.
    pub count: u32,
    /// Why.
    pub reason: Reason,
    /// The record that listings of runs show.
    pub record: NewRun,
}

impl NewSlot {
    fn first(&self) -> UtcTime {
        match self {
            Self::Fire { at, .. } => *at,
            Self::Missed(slots) | Self::Skipped(slots) => slots.first,
        }
    }

    fn last(&self) -> UtcTime {
        match self {
            Self::Fire { at, .. } => *at,
            Self::Missed(slots) | Self::Skipped(slots) => slots.last,
        }
    }
}

/// What is decided about the next slots of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The plan.
    pub plan: PlanId,
    /// The last slot that had an outcome when this was decided.
    pub after: Option<UtcTime>,
    /// The slots that follow it, in their order.
    pub slots: Vec<NewSlot>,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// It is stored; these runs wait.
    Stored {
        /// Runs of the slots that fired.
        queued: Vec<Run>,
    },
    /// Another server has decided about slots meanwhile: nothing is stored.
    Overtaken {
        /// The last slot that has an outcome.
        last_slot: Option<UtcTime>,
    },
    /// The slots aren't all after the last one and in their order: nothing is stored. A slot never runs again,
    /// even if a clock was set back.
    OutOfOrder,
}

/// The outcome of a slot, or of many in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRecord {
    /// The plan.
    pub plan: PlanId,
    /// The first slot.
    pub first: UtcTime,
    /// The last slot.
    pub last: UtcTime,
    /// How many they are.
    pub count: u32,
    /// What was decided.
    pub verdict: SlotVerdict,
    /// Why it was missed or skipped.
    pub reason: Option<Reason>,
    /// Its run, or the record that stands in its place.
    pub run: RunId,
    /// When that was decided.
    pub decided: UtcTime,
}

impl SlotRecord {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            plan: row.name("plan")?,
            first: row.time("slot")?,
            last: row.time("last")?,
            count: row.small_count("slots")?,
            verdict: row.word("outcome", SlotVerdict::parse)?,
            reason: row.optional_text("reason")?,
            run: row.name("run")?,
            decided: row.time("decided")?,
        })
    }
}

impl Store {
    /// Stores what is decided about the next slots of a plan: their outcomes, their runs, their events and the
    /// place from which the next decision goes on, all at once. Of several servers that decide from the same
    /// place, one gets its way.
    pub async fn decide(&self, now: UtcTime, decision: &Decision) -> Result<Decided> {
        let plan = decision.plan.as_str();
        let mut reached = decision.after;
        for slot in &decision.slots {
            if slot.last() < slot.first() || reached.is_some_and(|reached| slot.first() <= reached) {
                return Ok(Decided::OutOfOrder);
            }
            reached = Some(slot.last());
        }
        let mut tx = self.begin("deciding about slots").await?;
        bear(&mut tx, now, &decision.plan).await?;
        // First of all: from here on, other servers' decisions about this plan wait for this one.
        let sql = "UPDATE plan_state SET last_slot = $3 \
                   WHERE plan = $1 AND last_slot IS NOT DISTINCT FROM $2";
        if tx.execute(sql, values![plan, decision.after, reached]).await? == 0 {
            let sql = "SELECT last_slot FROM plan_state WHERE plan = $1";
            let row = tx.row(sql, values![plan]).await?;
            let last_slot = row.map_or(Ok(None), |row| row.optional_time("last_slot"))?;
            return Ok(Decided::Overtaken { last_slot });
        }
        let mut queued = Vec::new();
        for new in &decision.slots {
            let (outcome, run, count, verdict) = match new {
                NewSlot::Fire { run, .. } => (SlotVerdict::Fired, run, 1, None),
                NewSlot::Missed(slots) => {
                    let verdict = Verdict::Missed(slots.reason.clone());
                    (SlotVerdict::Missed, &slots.record, slots.count, Some(verdict))
                }
                NewSlot::Skipped(slots) => {
                    let verdict = Verdict::Skipped(slots.reason.clone());
                    (SlotVerdict::Skipped, &slots.record, slots.count, Some(verdict))
                }
            };
            let mut run = run.clone();
            run.subject.plan = Some(decision.plan.clone());
            let values = values![
                plan,
                new.first(),
                new.last(),
                i64::from(count),
                outcome.as_str(),
                verdict.as_ref().and_then(Verdict::reason).map(Reason::as_str),
                run.id.as_str(),
                now
            ];
            let sql = "INSERT INTO slot (plan, slot, last, slots, outcome, reason, run, decided) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (plan, slot) DO NOTHING";
            if tx.execute(sql, values).await? == 0 {
                return Err(StoreError::stored("slot", format!("an outcome after the last one of {plan}")));
            }
            let slot = Slot { at: new.first(), count };
            let is_queued = verdict.is_none();
            let stored =
                insert(&mut tx, now, Insert { run: &run, slot: Some(slot), parent: None, verdict }).await?;
            let twice = || StoreError::stored("run", format!("another run with the id {}", run.id));
            let stored = stored.ok_or_else(twice)?;
            if is_queued {
                queued.push(stored);
            }
        }
        tx.commit().await?;
        Ok(Decided::Stored { queued })
    }

    /// The outcomes of a plan's slots from `from` on, in their order.
    pub async fn slots(&self, plan: &PlanId, from: UtcTime, size: PageSize) -> Result<Vec<SlotRecord>> {
        let sql = "SELECT plan, slot, last, slots, outcome, reason, run, decided FROM slot \
                   WHERE plan = $1 AND slot >= $2 ORDER BY slot LIMIT $3";
        let rows = self.db.rows("reading slots", sql, values![plan.as_str(), from, size.rows()]).await?;
        rows.iter().map(SlotRecord::from_row).collect()
    }
}
