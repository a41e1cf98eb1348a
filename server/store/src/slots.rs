//! Slots: the instants at which a schedule has promised a run. Each has exactly one outcome, whatever servers and
//! clocks do. What is decided about slots is stored together with what the schedule remembers.

use std::collections::BTreeSet;

use serde_json::{Value as Document, json};

use crate::Store;
use crate::db::{NewEvent, Row, Tx, json as column, values};
use crate::error::{Result, StoreError};
use crate::history::take_turns_at_removing;
use crate::plans::bear;
use crate::runs::{Insert, NewRun, Reason, Run, Slot, Verdict, insert, words};
use crate::types::{EventKind, Generation, PageSize, RunId, ScheduleId, Subject, UtcTime};

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

/// What becomes of slots of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotChange {
    /// One runs now. A slot that has an outcome is refused: the decision is an error, and nothing of it is stored.
    Fire {
        /// The slot.
        at: UtcTime,
        /// Its run. Its subject says what it is for.
        run: NewRun,
    },
    /// One or many in a row were missed.
    Missed(Unfired),
    /// One or many in a row were right not to run.
    Skipped(Unfired),
    /// The clock was set back, and these slots lie ahead again. Records that begin in this time go, together with the
    /// ended runs that stand in their place, so that each slot can get its one outcome again. A record of several slots
    /// that begins earlier keeps those up to `after`. Slots that have fired stay, and never fire again.
    Withdrawn {
        /// Slots later than this.
        after: UtcTime,
        /// Slots not later than this: up to here the schedule had decided.
        until: UtcTime,
    },
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

impl Unfired {
    /// The first, the last, and how many they are.
    fn range(&self) -> (UtcTime, UtcTime, u32) {
        (self.first, self.last, self.count)
    }
}

/// What is decided about a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The state from which it was decided; `None` for a schedule that has none yet.
    pub seen: Option<Generation>,
    /// What the schedule remembers from now on; a document of the caller's.
    pub document: Document,
    /// What becomes of its slots, in this order.
    pub changes: Vec<SlotChange>,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// It is stored; these runs wait.
    Stored {
        /// Which state the schedule has now.
        generation: Generation,
        /// Runs of the slots that fired.
        queued: Vec<Run>,
    },
    /// The schedule has another state by now, because another server has decided: nothing is stored.
    Overtaken,
}

/// What is stored of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleState {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Which of its states this is.
    pub generation: Generation,
    /// What it remembers.
    pub document: Document,
}

/// The outcome of a slot, or of many in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRecord {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The first slot.
    pub first: UtcTime,
    /// The last slot.
    pub last: UtcTime,
    /// How many they are. At most: where a clock was set back into their time, some of them may have an outcome of
    /// their own.
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
            schedule: row.name("schedule")?,
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
    /// What is stored of all schedules, in the order of their names.
    pub async fn schedule_states(&self) -> Result<Vec<ScheduleState>> {
        let sql = "SELECT schedule, generation, document FROM schedule_state ORDER BY schedule";
        let rows = self.db.rows("reading the schedules", sql, Vec::new()).await?;
        let state = |row: &Row| {
            Ok(ScheduleState {
                schedule: row.name("schedule")?,
                generation: Generation(row.integer("generation")?),
                document: row.json("document")?,
            })
        };
        rows.iter().map(state).collect()
    }

    /// Forgets what a schedule remembers; its slots stay as history. False if nothing is stored of it.
    pub async fn forget_schedule(&self, schedule: &ScheduleId) -> Result<bool> {
        let mut tx = self.begin("forgetting a schedule").await?;
        let sql = "DELETE FROM schedule_state WHERE schedule = $1";
        let is_done = tx.execute(sql, values![schedule.as_str()]).await? == 1;
        tx.commit().await?;
        Ok(is_done)
    }

    /// Stores what is decided about a schedule: what it remembers, the outcomes of its slots, their runs and events,
    /// all at once. Of several servers that decide from the same state, one gets its way.
    pub async fn decide(&self, now: UtcTime, decision: &Decision) -> Result<Decided> {
        let Decision { schedule, seen, document, changes } = decision;
        let mut tx = self.begin("deciding about slots").await?;
        // Before all rows: old history is removed in another order.
        if changes.iter().any(|change| matches!(change, SlotChange::Withdrawn { .. })) {
            take_turns_at_removing(&mut tx).await?;
        }
        let next = Generation(tx.unused_number().await?);
        // From here on, other servers' decisions about this schedule wait for this one.
        let (sql, mut values) = match seen {
            None => (
                "INSERT INTO schedule_state (schedule, generation, document, changed) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (schedule) DO NOTHING",
                Vec::new(),
            ),
            Some(seen) => (
                "UPDATE schedule_state SET generation = $2, document = $3, changed = $4 \
                 WHERE schedule = $1 AND generation = $5",
                values![seen.0],
            ),
        };
        values.splice(..0, values![schedule.as_str(), next.0, column(document), now]);
        if tx.execute(sql, values).await? == 0 {
            return Ok(Decided::Overtaken);
        }
        let mut queued = Vec::new();
        let mut born = BTreeSet::new();
        for change in changes {
            let (slots, outcome, run, verdict) = match change {
                SlotChange::Fire { at, run } => ((*at, *at, 1), SlotVerdict::Fired, run, None),
                SlotChange::Missed(slots) => {
                    let verdict = Verdict::Missed(slots.reason.clone());
                    (slots.range(), SlotVerdict::Missed, &slots.record, Some(verdict))
                }
                SlotChange::Skipped(slots) => {
                    let verdict = Verdict::Skipped(slots.reason.clone());
                    (slots.range(), SlotVerdict::Skipped, &slots.record, Some(verdict))
                }
                SlotChange::Withdrawn { after, until } => {
                    withdraw(&mut tx, now, schedule, *after, *until).await?;
                    continue;
                }
            };
            let (first, last, count) = slots;
            let values = values![
                schedule.as_str(),
                first,
                last,
                i64::from(count),
                outcome.as_str(),
                verdict.as_ref().and_then(Verdict::reason).map(Reason::as_str),
                run.id.as_str(),
                now
            ];
            let sql = "INSERT INTO slot (schedule, slot, last, slots, outcome, reason, run, decided) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (schedule, slot) DO NOTHING";
            if tx.execute(sql, values).await? == 0 {
                let slot = first.as_micros();
                return Err(StoreError::stored(
                    "slot",
                    format!("an outcome of {schedule} at {slot} µs already"),
                ));
            }
            if let Some(plan) = run.subject.plan.as_ref().filter(|plan| born.insert((*plan).clone())) {
                bear(&mut tx, now, plan).await?;
            }
            let slot = Some(Slot { at: first, count });
            let is_queued = verdict.is_none();
            let stored = insert(&mut tx, now, Insert { run, slot, parent: None, verdict }).await?;
            let twice = || StoreError::stored("run", format!("another run with the id {}", run.id));
            let stored = stored.ok_or_else(twice)?;
            if is_queued {
                queued.push(stored);
            }
        }
        tx.commit().await?;
        Ok(Decided::Stored { generation: next, queued })
    }

    /// The outcomes of a schedule's slots from `from` on, in their order.
    pub async fn slots(
        &self,
        schedule: &ScheduleId,
        from: UtcTime,
        size: PageSize,
    ) -> Result<Vec<SlotRecord>> {
        let sql = "SELECT schedule, slot, last, slots, outcome, reason, run, decided FROM slot \
                   WHERE schedule = $1 AND slot >= $2 ORDER BY slot LIMIT $3";
        let values = values![schedule.as_str(), from, size.rows()];
        let rows = self.db.rows("reading slots", sql, values).await?;
        rows.iter().map(SlotRecord::from_row).collect()
    }
}

/// Takes back what was decided about slots that haven't fired.
async fn withdraw(
    tx: &mut Tx,
    now: UtcTime,
    schedule: &ScheduleId,
    after: UtcTime,
    until: UtcTime,
) -> Result<()> {
    let sql = "DELETE FROM slot WHERE schedule = $1 AND slot > $2 AND slot <= $3 AND outcome <> 'fired' \
               RETURNING run";
    let withdrawn = tx.rows(sql, values![schedule.as_str(), after, until]).await?;
    for row in &withdrawn {
        let sql = "DELETE FROM run WHERE id = $1 AND state = 'ended'";
        tx.execute(sql, values![row.string("run")?]).await?;
    }
    let sql = "UPDATE slot SET last = $2 \
               WHERE schedule = $1 AND slot <= $2 AND last > $2 AND outcome <> 'fired'";
    let shortened = tx.execute(sql, values![schedule.as_str(), after]).await?;
    let document = json!({
        "schedule": schedule,
        "after": after,
        "until": until,
        "records": withdrawn.len(),
        "shortened": shortened,
    });
    let (kind, subject) = (EventKind::SLOTS_WITHDRAWN, Subject::from(schedule));
    tx.event(NewEvent { at: now, kind, subject, document });
    Ok(())
}
