//! What a schedule remembers from one look to the next, as the state keeps it.

use jiff::Timestamp;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::state::{Pause, PlanState};
use keepfast_store::ScheduleId;
use serde::{Deserialize, Serialize};

use crate::error::{Result, ServerError};

/// What a schedule remembers, as the state keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remembered {
    /// What decides its slots.
    pub plan: PlanState,
    /// Since when the definition is not enabled, and until when it wasn't.
    pub disabled: Option<Pause>,
}

/// The same before it is known whether its time zone is there.
#[derive(Deserialize)]
struct Unread {
    plan: serde_json::Value,
    disabled: Option<Pause>,
}

impl Remembered {
    /// A schedule of which nothing is known begins now.
    pub fn new(schedule: Schedule, now: Timestamp) -> Self {
        Self { plan: PlanState::new(schedule, now), disabled: None }
    }

    /// Takes in what pauses there are, and whether its definition is enabled.
    pub fn follow(&mut self, enabled: bool, pauses: &[Pause], now: Timestamp) {
        match (&mut self.disabled, enabled) {
            (Some(pause), true) if pause.until.is_none() => pause.until = Some(now),
            (Some(Pause { until: None, .. }), false) => {}
            (_, false) => self.disabled = Some(Pause { since: now, until: None }),
            _ => {}
        }
        let accounted = self.plan.accounted;
        self.disabled = self.disabled.filter(|pause| pause.until.is_none_or(|until| until > accounted));
        self.plan.pauses = pauses.iter().copied().chain(self.disabled).collect();
        self.plan.pauses.sort_by_key(|pause| pause.since);
    }
}

/// What the state says that a schedule remembers.
pub fn read(schedule: &ScheduleId, document: serde_json::Value) -> Result<Remembered> {
    let failed = |source| ServerError::Document { what: format!("the state of {schedule}"), source };
    let Unread { plan, disabled } = serde_json::from_value(document).map_err(failed)?;
    let plan = PlanState::read(plan, jiff::tz::db()).map_err(failed)?;
    Ok(Remembered { plan, disabled })
}
