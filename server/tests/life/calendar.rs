//! When plans should run, worked out from the rules that users are told: each time of day of each day is looked up in the
//! zone. A time that comes twice counts once, one that is skipped counts when the gap ends. No code of the schedules is
//! used.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::clock::{DAY, HOUR};

/// How far ahead the longest gap is looked for: all changes of the clock lie in there.
const YEAR_AND_MORE: Duration = Duration::from_secs(400 * 86_400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    All,
    Workdays,
    Saturdays,
    /// On which clocks change.
    Sundays,
}

/// Times of day on the clock of a zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    pub zone: &'static str,
    pub days: Days,
    /// Every hour if it is empty: then a time that comes twice counts twice, and one that is skipped doesn't count.
    pub hours: Vec<i8>,
    pub minute: i8,
}

impl Calendar {
    /// As a cron expression.
    pub fn cron(&self) -> String {
        let days = match self.days {
            Days::All => "*",
            Days::Workdays => "1-5",
            Days::Saturdays => "6",
            Days::Sundays => "0",
        };
        let hours: Vec<String> = self.hours.iter().map(ToString::to_string).collect();
        let hours = if hours.is_empty() { "*".to_owned() } else { hours.join(",") };
        format!("{} {hours} * * {days}", self.minute)
    }

    fn has(&self, date: Date) -> bool {
        match self.days {
            Days::All => true,
            Days::Workdays => !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday),
            Days::Saturdays => date.weekday() == Weekday::Saturday,
            Days::Sundays => date.weekday() == Weekday::Sunday,
        }
    }

    /// The slots that are later than `after` and not later than `until`, in their order.
    pub fn slots(&self, after: Timestamp, until: Timestamp) -> BTreeSet<Timestamp> {
        let zone = TimeZone::get(self.zone).expect("a zone");
        let every_hour: Vec<i8> = (0..24).collect();
        let is_every_hour = self.hours.is_empty();
        let hours = if is_every_hour { &every_hour } else { &self.hours };
        let mut slots = BTreeSet::new();
        let last = zone.to_datetime(until).date();
        let mut date = zone.to_datetime(after).date();
        while date <= last {
            for hour in hours.iter().filter(|_| self.has(date)) {
                let wall = date.at(*hour, self.minute, 0, 0);
                let at = zone.to_ambiguous_timestamp(wall);
                match at.offset() {
                    AmbiguousOffset::Unambiguous { .. } => slots.extend(at.unambiguous().ok()),
                    AmbiguousOffset::Fold { .. } if is_every_hour => {
                        slots.extend([at.earlier().ok(), at.later().ok()].into_iter().flatten());
                    }
                    AmbiguousOffset::Fold { .. } => slots.extend(at.earlier().ok()),
                    AmbiguousOffset::Gap { .. } if is_every_hour => {}
                    AmbiguousOffset::Gap { after, .. } => {
                        let before_change = after.to_timestamp(wall).expect("an instant");
                        slots.extend(zone.following(before_change).next().map(|change| change.timestamp()));
                    }
                }
            }
            date = date.checked_add(1.day()).expect("a day");
        }
        slots.retain(|slot| after < *slot && *slot <= until);
        slots
    }

    /// The longest time between two slots.
    pub fn longest_gap(&self, from: Timestamp) -> Duration {
        let slots: Vec<Timestamp> = self.slots(from, from + YEAR_AND_MORE).into_iter().collect();
        let gaps = slots.windows(2).map(|pair| pair[1].duration_since(pair[0]).unsigned_abs());
        gaps.max().expect("it has slots")
    }
}

/// What a plan promises that says nothing about it: the longest gap and its deadline, or else a quarter of the gap, at
/// least an hour and at most a day.
pub fn promise(gap: Duration, deadline: Option<Duration>) -> Duration {
    gap + deadline.unwrap_or_else(|| (gap / 4).clamp(HOUR, DAY))
}
