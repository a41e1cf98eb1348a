//! When a plan promises to run: by the calendar, or when a time has passed since the last run.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::calendar::{Calendar, SlotCount, Walk};
use crate::cron::Cron;
use crate::slot::{PlannedSlot, Slot};
use crate::span::{between, earlier, in_words, later};
use crate::zone::Zone;

/// The shortest time between two runs of an elapsed schedule. A cron expression can't have a shorter one.
pub const EVERY_MIN: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// Why a length of time can't be an elapsed schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EveryError {
    /// It is too short.
    #[error("a run every {} is too often: the shortest time is {}", in_words(*.0), in_words(EVERY_MIN))]
    TooShort(Duration),
    /// Slots are whole seconds.
    #[error("{0:?} is not a number of whole seconds")]
    PartOfSecond(Duration),
}

/// When a plan promises to run. It makes slots and does nothing else: what becomes of one is decided in
/// [`decide`](crate::decide).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At the times of a cron expression on a zone's clock.
    Calendar {
        /// The expression.
        cron: Cron,
        /// Whose clock it means.
        zone: Zone,
    },
    /// Each time that this much has passed since the *start* of the last good run, because a snapshot is as
    /// old as its run's start: so `every` is the age that a snapshot reaches. While no run
    /// is good, since the start of the last run, whatever became of it; and before the first, since the plan was enabled.
    Elapsed {
        /// At least [`EVERY_MIN`], in whole seconds.
        every: Every,
    },
}

/// The time between two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Every(Duration);

impl Every {
    /// The length of time.
    pub fn length(self) -> Duration {
        self.0
    }

    fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}

impl TryFrom<Duration> for Every {
    type Error = EveryError;

    fn try_from(every: Duration) -> Result<Self, EveryError> {
        if every < EVERY_MIN {
            return Err(EveryError::TooShort(every));
        }
        if every.subsec_nanos() > 0 {
            return Err(EveryError::PartOfSecond(every));
        }
        Ok(Self(every))
    }
}

impl Schedule {
    /// A cron expression on a zone's clock.
    pub fn calendar(cron: Cron, zone: Zone) -> Self {
        Self::Calendar { cron, zone }
    }

    /// A run each time that this much has passed.
    pub fn elapsed(every: Duration) -> Result<Self, EveryError> {
        Ok(Self::Elapsed { every: every.try_into()? })
    }

    /// The slots later than an instant, without end unless the expression never matches. `anchor` is the
    /// instant that an elapsed schedule counts from.
    pub fn slots(&self, after: Timestamp, anchor: Timestamp) -> Slots<'_> {
        Slots {
            kind: match self {
                Self::Calendar { cron, zone } => {
                    Kind::Calendar(Box::new(Calendar { cron, zone }.after(after)))
                }
                Self::Elapsed { every } => {
                    Kind::Elapsed { every: *every, anchor: Slot::at(anchor).instant(), last: after }
                }
            },
        }
    }

    /// The slots that are later than `after` and not later than `until`, with notes; at most `most` of them.
    pub fn slots_between(
        &self,
        after: Timestamp,
        until: Timestamp,
        anchor: Timestamp,
        most: usize,
    ) -> Vec<PlannedSlot> {
        // The walk begins one slot before, so that the first one's distance to it is known.
        let before = self.newest(after, anchor).map_or(after, |slot| earlier(slot.instant(), SECOND));
        let slots = self.slots(before, anchor).skip_while(|planned| planned.slot.instant() <= after);
        slots.take_while(|planned| planned.slot.instant() <= until).take(most).collect()
    }

    /// The next `count` slots after an instant, with notes.
    pub fn next_slots(&self, after: Timestamp, anchor: Timestamp, count: usize) -> Vec<PlannedSlot> {
        self.slots_between(after, Timestamp::MAX, anchor, count)
    }

    /// The first slot after an instant.
    pub fn next(&self, after: Timestamp, anchor: Timestamp) -> Option<Slot> {
        match self {
            Self::Calendar { cron, zone } => Calendar { cron, zone }.next(after),
            Self::Elapsed { .. } => self.slots(after, anchor).next().map(|planned| planned.slot),
        }
    }

    /// The newest slot that isn't later than an instant.
    pub fn newest(&self, until: Timestamp, anchor: Timestamp) -> Option<Slot> {
        match self {
            Self::Calendar { cron, zone } => Calendar { cron, zone }.newest(until),
            Self::Elapsed { every } => {
                let anchor = Slot::at(anchor).instant();
                let times = between(anchor, until).as_secs() / every.seconds();
                (times > 0).then(|| Slot::at(later(anchor, Duration::from_secs(times * every.seconds()))))
            }
        }
    }

    /// How many slots are later than `after` and not later than `until`. Bounded work, however long that is.
    pub fn count(&self, after: Timestamp, until: Timestamp, anchor: Timestamp) -> SlotCount {
        match self {
            Self::Calendar { cron, zone } => Calendar { cron, zone }.count(after, until),
            Self::Elapsed { every } => {
                let anchor = Slot::at(anchor).instant();
                let times = |at| between(anchor, at).as_secs() / every.seconds();
                SlotCount { slots: times(until).saturating_sub(times(after)), is_exact: true }
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar { cron, zone } => write!(to, "{cron} in {zone}"),
            Self::Elapsed { every } => write!(to, "every {}", in_words(every.length())),
        }
    }
}

/// A walk from slot to slot.
#[derive(Debug, Clone)]
pub struct Slots<'a> {
    kind: Kind<'a>,
}

#[derive(Debug, Clone)]
enum Kind<'a> {
    Calendar(Box<Walk<'a>>),
    Elapsed { every: Every, anchor: Timestamp, last: Timestamp },
}

impl Iterator for Slots<'_> {
    type Item = PlannedSlot;

    fn next(&mut self) -> Option<PlannedSlot> {
        match &mut self.kind {
            Kind::Calendar(walk) => walk.next(),
            Kind::Elapsed { every, anchor, last } => {
                let times = between(*anchor, *last).as_secs() / every.seconds() + 1;
                let passed = Duration::from_secs(times.checked_mul(every.seconds())?);
                let at = anchor.checked_add(passed).ok()?;
                *last = at;
                let utc = Zone::utc();
                Some(PlannedSlot {
                    slot: Slot::at(at),
                    wall: utc.wall(at),
                    offset: utc.offset(at),
                    notes: Vec::new(),
                })
            }
        }
    }
}
