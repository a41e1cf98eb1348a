//! What retention has to know about clocks and calendars, and is told by its caller.

use std::fmt;

use keepfast_format::node::Timestamp;

use super::policy::{Period, Span};

/// A point in time as a calendar and a clock on the wall of one place show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i16,
    /// The month, from 1 on.
    pub month: u8,
    /// The day of the month, from 1 on.
    pub day: u8,
    /// The hour, from 0 on.
    pub hour: u8,
    /// How many seconds the clock is ahead of UTC. It tells the two hours apart that have the
    /// same name when clocks are set back.
    pub offset_seconds: i32,
    /// The year that the week belongs to by ISO 8601: around New Year it may be another one.
    pub iso_year: i16,
    /// The week of that year, from 1 on.
    pub iso_week: u8,
}

/// The calendar of one place. The engine knows none of its own.
#[derive(Clone, Copy)]
pub struct Calendar<'a> {
    /// What calendar and clock show at a time.
    pub civil: &'a dyn Fn(Timestamp) -> Civil,
    /// The time that lies a span before another; the earliest there is, if it would be earlier.
    pub before: &'a dyn Fn(Timestamp, Span) -> Timestamp,
}

/// One certain period, such as a day: snapshots in the same one compete for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// An hour.
    Hour {
        /// Year, month, day.
        date: (i16, u8, u8),
        /// From 0 on.
        hour: u8,
        /// How many seconds its clock is ahead of UTC.
        offset_seconds: i32,
    },
    /// Year, month and day.
    Day(i16, u8, u8),
    /// Year and week, by ISO 8601.
    Week(i16, u8),
    /// Year and month.
    Month(i16, u8),
    /// A year.
    Year(i16),
}

impl Bucket {
    /// The period that a time is in.
    #[must_use]
    pub const fn of(period: Period, civil: &Civil) -> Self {
        match period {
            Period::Hour => Self::Hour {
                date: (civil.year, civil.month, civil.day),
                hour: civil.hour,
                offset_seconds: civil.offset_seconds,
            },
            Period::Day => Self::Day(civil.year, civil.month, civil.day),
            Period::Week => Self::Week(civil.iso_year, civil.iso_week),
            Period::Month => Self::Month(civil.year, civil.month),
            Period::Year => Self::Year(civil.year),
        }
    }
}

/// `2026-11-20 14h`, `2026-11-20`, `2026-W47`, `2026-11`, `2026`.
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour { date: (year, month, day), hour, .. } => {
                write!(f, "{year:04}-{month:02}-{day:02} {hour:02}h")
            }
            Self::Day(year, month, day) => write!(f, "{year:04}-{month:02}-{day:02}"),
            Self::Week(year, week) => write!(f, "{year:04}-W{week:02}"),
            Self::Month(year, month) => write!(f, "{year:04}-{month:02}"),
            Self::Year(year) => write!(f, "{year:04}"),
        }
    }
}
