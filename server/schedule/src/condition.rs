//! Conditions of a plan: on which slots it runs at all, and when it may start.
//!
//! Those of the calendar hold for the slot *and* for the moment of the start: a slot outside of them is skipped at
//! once, and a late start waits until they hold again. Those of the machine (mains power, a command's answer) are facts that
//! the caller hands in, and they hold for the start alone.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::span::{between, later};
use crate::window::{Days, Window};
use crate::zone::Zone;

/// How long the answer of a command counts.
pub const ANSWER_LASTS: Duration = Duration::from_secs(120);

/// What has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The day is Monday to Friday, but none of these.
    Workdays {
        /// Holidays.
        except: Vec<Days>,
    },
    /// One of these windows is open.
    Within(Vec<Window>),
    /// The day is one of these.
    OnlyOn(Vec<Days>),
    /// The day is none of these.
    NeverOn(Vec<Days>),
    /// The machine is on mains power, or has no battery.
    MainsPower,
    /// A command says yes.
    CommandSaysYes,
}

/// Which kind of condition doesn't hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmet {
    /// It isn't a workday.
    Workdays,
    /// No window is open.
    Window,
    /// The day is left out.
    Date,
    /// The machine runs on its battery.
    MainsPower,
    /// The command says no.
    Command,
}

impl Unmet {
    /// A stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Workdays => "workdays",
            Self::Window => "window",
            Self::Date => "date",
            Self::MainsPower => "mains-power",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Workdays => "the plan runs on workdays only",
            Self::Window => "none of the plan's windows is open",
            Self::Date => "the plan doesn't run on this date",
            Self::MainsPower => "the machine runs on its battery",
            Self::Command => "the plan's condition command says no",
        })
    }
}

/// What the caller knows of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Whether it is on mains power; `None` if it has no battery or doesn't tell, which counts as yes.
    pub mains_power: Option<bool>,
    /// The newest answer of the plan's condition command.
    pub answer: Option<Answer>,
}

/// What a condition command said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether it said yes.
    pub is_yes: bool,
    /// When.
    pub at: Timestamp,
}

/// Whether a plan may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Closed(Unmet),
    /// All else holds, and the command has to be asked.
    Ask,
}

/// The first of the calendar's conditions that doesn't hold at an instant.
pub fn unmet_by_calendar(conditions: &[Condition], zone: &Zone, at: Timestamp) -> Option<Unmet> {
    if conditions.is_empty() {
        return None;
    }
    let wall = zone.wall(at);
    let is_one = |days: &[Days]| days.iter().any(|days| days.contains(wall.date()));
    conditions.iter().find_map(|condition| match condition {
        Condition::Workdays { except } => {
            let holds = Window::WORKDAYS.contains(wall) && !is_one(except);
            (!holds).then_some(Unmet::Workdays)
        }
        Condition::Within(windows) => {
            let holds = windows.iter().any(|window| window.contains(wall));
            (!holds).then_some(Unmet::Window)
        }
        Condition::OnlyOn(days) => (!is_one(days)).then_some(Unmet::Date),
        Condition::NeverOn(days) => is_one(days).then_some(Unmet::Date),
        Condition::MainsPower | Condition::CommandSaysYes => None,
    })
}

/// Whether a plan may start at an instant.
pub(crate) fn gate(conditions: &[Condition], zone: &Zone, machine: &Machine, now: Timestamp) -> Gate {
    if let Some(unmet) = unmet_by_calendar(conditions, zone, now) {
        return Gate::Closed(unmet);
    }
    if conditions.contains(&Condition::MainsPower) && machine.mains_power == Some(false) {
        return Gate::Closed(Unmet::MainsPower);
    }
    if !conditions.contains(&Condition::CommandSaysYes) {
        return Gate::Open;
    }
    // An answer from the future was given before the clock was set back.
    let fresh = |answer: &Answer| answer.at <= now && between(answer.at, now) < ANSWER_LASTS;
    match machine.answer.filter(fresh) {
        Some(Answer { is_yes: true, .. }) => Gate::Open,
        Some(Answer { is_yes: false, .. }) => Gate::Closed(Unmet::Command),
        None => Gate::Ask,
    }
}

/// When an answer of the command stops to count.
pub(crate) fn answer_ends(answer: Answer) -> Timestamp {
    later(answer.at, ANSWER_LASTS)
}
