//! Slots: instants at which a plan promised to run, and what is worth knowing about one when clocks change.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::span::in_words;

/// An instant at which a plan promised to run, in whole seconds of UTC. It is unique for its plan: jitter,
/// waiting and retries move the run, never the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Timestamp", into = "Timestamp")]
pub struct Slot(Timestamp);

impl From<Timestamp> for Slot {
    fn from(instant: Timestamp) -> Self {
        Self::at(instant)
    }
}

impl From<Slot> for Timestamp {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

impl Slot {
    /// The slot at an instant, whose part of a second is dropped.
    pub fn at(instant: Timestamp) -> Self {
        let part = SignedDuration::from_nanos(i64::from(instant.subsec_nanosecond()));
        let whole = instant.checked_sub(part).unwrap_or(instant);
        Self(if part.is_negative() {
            whole.checked_sub(SignedDuration::from_secs(1)).unwrap_or(whole)
        } else {
            whole
        })
    }

    /// The instant.
    pub fn instant(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(to)
    }
}

/// Times on the wall that belong together: all that an expression has in a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walls {
    /// The first.
    pub first: DateTime,
    /// The last.
    pub last: DateTime,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for Walls {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |wall: DateTime| wall.strftime("%H:%M").to_string();
        match (self.count, self.first.date() == self.last.date()) {
            (1, _) => write!(to, "{}", time(self.first)),
            (count, true) => write!(to, "{} to {} ({count} times)", time(self.first), time(self.last)),
            (count, false) => write!(to, "{} to {} ({count} times)", self.first, self.last),
        }
    }
}

/// What a change of the clock does to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The clock skips these times of the expression, so that the slot stands at the first instant after the gap.
    Moved {
        /// The times that don't exist on this day.
        walls: Walls,
        /// Whether the expression has the first time after the gap, too: the two are one slot.
        joins: bool,
    },
    /// The clock shows this time twice. The slot is at the first, and there is none at the second.
    OnceOfTwo {
        /// When the clock shows it again.
        again: Timestamp,
    },
    /// The clock shows this time twice, and an expression for every hour has a slot at each.
    BothOfTwo {
        /// The other instant with this time.
        other: Timestamp,
    },
    /// The clock has skipped these times, and an expression for every hour loses nothing by that.
    Dropped {
        /// The times that don't exist on this day.
        walls: Walls,
    },
    /// More time has passed since the slot before than the clock shows.
    Hole {
        /// The slot before.
        since: Slot,
        /// The time that passed.
        lasts: Duration,
        /// The time that the clock shows.
        shown: Duration,
    },
}

impl Note {
    /// A stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Moved { .. } => "moved",
            Self::OnceOfTwo { .. } => "once-of-two",
            Self::BothOfTwo { .. } => "both-of-two",
            Self::Dropped { .. } => "dropped",
            Self::Hole { .. } => "hole",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved { walls, joins } => {
                write!(to, "the clock skips {walls}: this runs right after the gap instead")?;
                if *joins {
                    write!(to, ", together with the run that is due then")?;
                }
                Ok(())
            }
            Self::OnceOfTwo { again } => {
                write!(
                    to,
                    "the clock shows this time twice: this runs the first time, and not again at {again}"
                )
            }
            Self::BothOfTwo { other } => {
                write!(to, "the clock shows this time twice, also at {other}: this runs both times")
            }
            Self::Dropped { walls } => {
                write!(to, "the clock has skipped {walls} since the run before: nothing runs for that time")
            }
            Self::Hole { since, lasts, shown } => {
                let (lasts, shown) = (in_words(*lasts), in_words(*shown));
                write!(to, "{lasts} pass since the run at {since}, though the clock shows {shown}")
            }
        }
    }
}

/// A slot with what the clock shows then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSlot {
    /// The instant.
    pub slot: Slot,
    /// What calendar and clock of the plan's zone show.
    pub wall: DateTime,
    /// The zone's distance to UTC.
    pub offset: Offset,
    /// What changes of the clock do to it; mostly nothing.
    pub notes: Vec<Note>,
}

/// Slots from one to another that share a fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRange {
    /// The oldest.
    pub first: Slot,
    /// The newest.
    pub last: Slot,
    /// How many there are, both included.
    pub count: u64,
    /// Whether that is all. If not, the time was too long to count them.
    pub is_exact: bool,
}

impl SlotRange {
    /// One slot alone.
    pub fn one(slot: Slot) -> Self {
        Self { first: slot, last: slot, count: 1, is_exact: true }
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;
    use jiff::Timestamp;

    #[test]
    fn a_slot_is_a_whole_second() {
        let at = |text: &str| Slot::at(text.parse::<Timestamp>().expect("an instant")).to_string();
        assert_eq!(at("2026-03-29T01:00:00.75Z"), "2026-03-29T01:00:00Z");
        assert_eq!(at("1969-12-31T23:59:59.25Z"), "1969-12-31T23:59:59Z");
    }
}
