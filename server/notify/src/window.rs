//! Hours of days, in a zone: when a route matches, and when it is quiet.

use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

use crate::event::Severity;

const NAMES: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days([bool; 7]);

impl Days {
    /// Every day.
    pub const ALL: Self = Self([true; 7]);

    fn has(self, day: Weekday) -> bool {
        NAMES.iter().zip(self.0).any(|((_, name), there)| there && *name == day)
    }
}

/// A text that is no window.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WindowError {
    /// A part of it can't be read.
    #[error("{text:?} is no window: {part:?} isn't {wanted}")]
    Unreadable {
        /// All of it.
        text: String,
        /// The part.
        part: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// It would hold messages back for ever.
    #[error("{text:?} is quiet all the time, so no message would ever be sent")]
    AlwaysQuiet {
        /// All of it.
        text: String,
    },
}

/// From one time of the day to another, on some days. One that ends before it begins lasts until the next day, and
/// belongs to the day on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    days: Days,
    from: Time,
    /// The same as `from`: a whole day.
    to: Time,
    zone: TimeZone,
}

impl Window {
    /// Reads `mon-fri 08:00-18:00`, `22:00-07:00` or `sat,sun 00:00-24:00`.
    ///
    /// # Errors
    ///
    /// If it is none of these.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, WindowError> {
        let unreadable = |part: &str, wanted| WindowError::Unreadable {
            text: text.to_owned(),
            part: part.to_owned(),
            wanted,
        };
        let (days, hours) = match text.trim().split_once(' ') {
            None => (Days::ALL, text.trim()),
            Some((days, hours)) => {
                let days =
                    parse_days(days).ok_or_else(|| unreadable(days, "a list of days, as in mon-fri"))?;
                (days, hours.trim())
            }
        };
        let (from, to) =
            hours.split_once('-').ok_or_else(|| unreadable(hours, "two times, as in 22:00-07:00"))?;
        let time = |part: &str| match part.trim() {
            "24:00" => Ok(Time::midnight()),
            part if part.len() == 5 => {
                Time::strptime("%H:%M", part).map_err(|_| unreadable(part, "a time, as in 07:00"))
            }
            part => Err(unreadable(part, "a time, as in 07:00")),
        };
        Ok(Self { days, from: time(from)?, to: time(to)?, zone })
    }

    /// Whether an instant is in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        let at = at.to_zoned(self.zone.clone());
        let (today, time) = (self.days.has(at.weekday()), at.time());
        if self.from < self.to {
            return today && self.from <= time && time < self.to;
        }
        let yesterday = self.days.has(at.weekday().previous());
        (today && self.from <= time) || (yesterday && time < self.to)
    }

    /// The first instant from this one on that isn't in it.
    #[must_use]
    pub fn end(&self, at: Timestamp) -> Timestamp {
        let mut at = at;
        // A week of whole days has this many ends; nothing lasts longer, but what lasts for ever.
        for _ in 0..8 {
            if !self.contains(at) {
                break;
            }
            let zoned = at.to_zoned(self.zone.clone());
            let on = |days: i64| {
                let date = zoned.date().checked_add(days.days()).ok()?;
                Some(date.to_datetime(self.to).to_zoned(self.zone.clone()).ok()?.timestamp())
            };
            let Some(next) = [on(0), on(1)].into_iter().flatten().find(|end| *end > at) else { break };
            at = next;
        }
        at
    }

    fn is_always(&self) -> bool {
        self.days == Days::ALL && self.from == self.to
    }
}

fn parse_days(text: &str) -> Option<Days> {
    let day = |name: &str| NAMES.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Some(Days(days))
}

/// When a route holds messages back. They are sent when it is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Quiet {
    /// The hours.
    pub window: Window,
    /// Messages that are at least this bad are sent nevertheless.
    pub unless: Option<Severity>,
}

impl Quiet {
    /// Reads `22:00-07:00 unless critical`, or a window alone.
    ///
    /// # Errors
    ///
    /// If it is neither, or is quiet all the time.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, WindowError> {
        let (hours, unless) = match text.split_once(" unless ") {
            None => (text, None),
            Some((hours, severity)) => {
                let severity = severity.trim();
                let unreadable = |()| WindowError::Unreadable {
                    text: text.to_owned(),
                    part: severity.to_owned(),
                    wanted: "info, warning, error or critical",
                };
                (hours, Some(severity.parse().map_err(unreadable)?))
            }
        };
        let window = Window::parse(hours, zone)?;
        if window.is_always() {
            return Err(WindowError::AlwaysQuiet { text: text.to_owned() });
        }
        Ok(Self { window, unless })
    }

    /// Whether it holds back what is this bad.
    pub(crate) fn holds(&self, severity: Severity, at: Timestamp) -> bool {
        self.unless.is_none_or(|unless| severity < unless) && self.window.contains(at)
    }
}

impl FromStr for Severity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Info, Self::Warning, Self::Error, Self::Critical];
        all.into_iter().find(|severity| severity.word() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::{Quiet, Window, WindowError};
    use crate::event::Severity;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn utc(text: &str) -> Window {
        Window::parse(text, TimeZone::UTC).expect("a window")
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let window = utc("fri 22:00-07:00");
        // 2026-01-02 is a Friday.
        assert!(!window.contains(at("2026-01-02T06:59:00Z")));
        assert!(window.contains(at("2026-01-02T22:00:00Z")));
        assert!(window.contains(at("2026-01-03T06:59:59Z")));
        assert!(!window.contains(at("2026-01-03T07:00:00Z")));
        assert!(!window.contains(at("2026-01-03T22:00:00Z")));
        assert_eq!(window.end(at("2026-01-02T23:00:00Z")), at("2026-01-03T07:00:00Z"));
        assert_eq!(window.end(at("2026-01-03T10:00:00Z")), at("2026-01-03T10:00:00Z"));
    }

    #[test]
    fn whole_days_end_after_the_last() {
        let weekend = utc("sat,sun 00:00-24:00");
        assert_eq!(weekend.end(at("2026-01-03T10:00:00Z")), at("2026-01-05T00:00:00Z"));
        assert!(!weekend.contains(at("2026-01-02T23:59:00Z")));
        let over_sunday = utc("fri-mon 09:00-10:00");
        assert!(over_sunday.contains(at("2026-01-04T09:30:00Z")));
        assert!(!over_sunday.contains(at("2026-01-06T09:30:00Z")));
    }

    #[test]
    fn a_window_keeps_to_the_clock_on_the_wall_when_that_changes() {
        let zone = TimeZone::get("Europe/Paris").expect("a zone");
        let quiet = Window::parse("22:00-07:00", zone).expect("a window");
        // The night in which the clock goes forward has one hour less.
        assert_eq!(quiet.end(at("2026-03-28T22:00:00Z")), at("2026-03-29T05:00:00Z"));
        assert_eq!(quiet.end(at("2026-10-24T21:00:00Z")), at("2026-10-25T06:00:00Z"));
        let gap =
            Window::parse("01:00-02:30", TimeZone::get("Europe/Paris").expect("a zone")).expect("a window");
        assert_eq!(
            gap.end(at("2026-03-29T00:30:00Z")),
            at("2026-03-29T01:30:00Z"),
            "02:30 isn't on the clock"
        );
    }

    #[test]
    fn texts_that_are_no_windows_say_why() {
        for (text, why) in [
            ("22-7", "\"22\" isn't a time"),
            ("22:00", "isn't two times"),
            ("mon-xxx 08:00-09:00", "\"mon-xxx\" isn't a list of days"),
            ("25:00-07:00", "\"25:00\" isn't a time"),
            ("22:00-07:00 unless bad", "\"bad\" isn't info, warning"),
            ("00:00-24:00", "quiet all the time"),
        ] {
            let error = Quiet::parse(text, TimeZone::UTC).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
        let parsed = Quiet::parse("22:00-07:00 unless critical", TimeZone::UTC).expect("quiet hours");
        assert_eq!(parsed.unless, Some(Severity::Critical));
        assert!(matches!(
            Quiet::parse("mon-sun 08:00-08:00", TimeZone::UTC),
            Err(WindowError::AlwaysQuiet { .. })
        ));
    }
}
