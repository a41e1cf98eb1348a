//! What becomes of slots and runs: the records that a decision writes, and why a run waits.
//!
//! Records are appended and read in the order in which they were written, never by time: clocks go backwards.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::condition::Unmet;
use crate::names::RunId;
use crate::slot::{Slot, SlotRange};

/// A run of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fire {
    /// The slot.
    pub slot: Slot,
    /// 1 for the first try.
    pub attempt: u32,
    /// Why it starts now.
    pub trigger: Trigger,
    /// The instant after which it may not start any more.
    pub start_by: Option<Timestamp>,
}

/// Why a run of a slot starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// It is time.
    Schedule,
    /// The time passed while no one looked.
    CatchUp,
    /// The run before was lost.
    RetryOfLost,
}

/// One line of a plan's account.
///
/// Each slot has exactly one of `Fire` with attempt 1 or `Closed`, unless a later `Withdrawn` covers the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A slot becomes a run, which waits until it is admitted.
    Fire(Fire),
    /// Slots end without a run.
    Closed {
        /// Which ones. Slots that fired, which may lie in between after the clock was set back, aren't meant.
        slots: SlotRange,
        /// How they end.
        outcome: Outcome,
    },
    /// A run's lease has expired: its program is gone.
    Lost {
        /// The run.
        run: RunId,
    },
    /// A slot that has fired is not tried again.
    GaveUp {
        /// The slot.
        slot: Slot,
        /// How many runs it had.
        attempts: u32,
        /// Why there is no other.
        why: GiveUp,
    },
    /// The clock was set back. Slots in this time lie ahead again, so that what was said of them doesn't hold: except
    /// for those that fired, which never run again.
    Withdrawn {
        /// Slots later than this.
        after: Timestamp,
        /// Slots not later than this.
        until: Timestamp,
    },
}

/// How a slot ends without a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The plan's promise was not kept.
    Missed(Missed),
    /// The plan itself wants no run here.
    Skipped(Skipped),
}

/// Why a slot was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missed {
    /// No one looked when it was time: the server was down, or the machine slept.
    Away,
    /// It could not start before a newer one came.
    Superseded {
        /// The newer one.
        by: Slot,
    },
    /// It could not start before its deadline.
    Deadline,
    /// The host was offline all the time.
    HostOffline,
}

/// Why a slot was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// The plan was paused or disabled.
    Paused,
    /// The plan's last run was not over.
    Overlap {
        /// That run.
        run: RunId,
    },
    /// A condition didn't hold.
    Condition(Unmet),
    /// Its time passed, and the plan never catches up.
    CatchUpNever,
    /// The host was offline, and the plan only runs when it is online.
    HostOffline,
    /// A good run began since, so that an elapsed schedule needs no other.
    Satisfied,
    /// The clock was set back into a time that the plan has been through with another schedule.
    ClockSetBack,
}

/// Why a slot isn't tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// Each of its runs was lost: what it does may be what ends the program.
    Quarantine,
    /// A newer slot takes its place.
    Superseded,
    /// The time in which it may start is over.
    TooLate,
    /// The plan was paused.
    Paused,
    /// A good run began since.
    Satisfied,
    /// The plan's next run has begun.
    Overlap,
    /// The clock was set back to a time before the slot.
    ClockSetBack,
}

impl Outcome {
    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missed(Missed::Away) => "missed.away",
            Self::Missed(Missed::Superseded { .. }) => "missed.superseded",
            Self::Missed(Missed::Deadline) => "missed.deadline",
            Self::Missed(Missed::HostOffline) => "missed.host-offline",
            Self::Skipped(Skipped::Paused) => "skipped.paused",
            Self::Skipped(Skipped::Overlap { .. }) => "skipped.overlap",
            Self::Skipped(Skipped::Condition(_)) => "skipped.condition",
            Self::Skipped(Skipped::CatchUpNever) => "skipped.catch-up-never",
            Self::Skipped(Skipped::HostOffline) => "skipped.host-offline",
            Self::Skipped(Skipped::Satisfied) => "skipped.satisfied",
            Self::Skipped(Skipped::ClockSetBack) => "skipped.clock-set-back",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(Missed::Away) => {
                to.write_str("missed: the server was down or asleep when it was time")
            }
            Self::Missed(Missed::Superseded { by }) => {
                write!(to, "missed: it could not start before the next one at {by}")
            }
            Self::Missed(Missed::Deadline) => to.write_str("missed: it could not start before its deadline"),
            Self::Missed(Missed::HostOffline) => to.write_str("missed: the host was offline"),
            Self::Skipped(Skipped::Paused) => to.write_str("skipped: the plan was paused"),
            Self::Skipped(Skipped::Overlap { run }) => {
                write!(to, "skipped: run {run} of the plan was not over")
            }
            Self::Skipped(Skipped::Condition(unmet)) => write!(to, "skipped: {unmet}"),
            Self::Skipped(Skipped::CatchUpNever) => {
                to.write_str("skipped: its time passed, and the plan never catches up")
            }
            Self::Skipped(Skipped::HostOffline) => {
                to.write_str("skipped: the host was offline, and the plan runs only when it is online")
            }
            Self::Skipped(Skipped::Satisfied) => to.write_str("skipped: a good run began since"),
            Self::Skipped(Skipped::ClockSetBack) => {
                to.write_str("skipped: the clock was set back into a time that the plan has been through")
            }
        }
    }
}

/// Why a run that is due doesn't start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Its start is spread.
    Jitter {
        /// Until when.
        until: Timestamp,
    },
    /// The run before was lost, and the next try comes later.
    Retry {
        /// Until when.
        until: Timestamp,
    },
    /// The plan's last run isn't over.
    Overlap {
        /// That run.
        run: RunId,
    },
    /// The host is offline.
    HostOffline,
    /// A condition doesn't hold.
    Condition(Unmet),
    /// The condition command has not answered yet.
    Command,
}

impl Wait {
    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jitter { .. } => "wait.jitter",
            Self::Retry { .. } => "wait.retry",
            Self::Overlap { .. } => "wait.overlap",
            Self::HostOffline => "wait.host-offline",
            Self::Condition(_) => "wait.condition",
            Self::Command => "wait.command",
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jitter { until } => write!(to, "starts are spread: this one comes at {until}"),
            Self::Retry { until } => write!(to, "the last try was lost: the next one comes at {until}"),
            Self::Overlap { run } => write!(to, "run {run} of the plan is not over"),
            Self::HostOffline => to.write_str("the host is offline"),
            Self::Condition(unmet) => unmet.fmt(to),
            Self::Command => to.write_str("the plan's condition command has not answered yet"),
        }
    }
}
