//! Recurring stretches of a week, such as `mon-fri 08:00-18:00`, and days of the calendar.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};

use crate::zone::Zone;

/// Bytes that a window or a date may have.
const TEXT_BYTES_MAX: usize = 64;

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "window {text:?}: {why}; a window is written like \"mon-fri 08:00-18:00\", \"22:00-06:00\" or \"sat,sun\""
)]
pub struct WindowError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// A stretch of each week on the clock on the wall: certain days, from a time to a later one or past midnight
/// to an earlier one. The part after midnight belongs to the day on which the window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// One bit a day; Monday is the lowest.
    days: u8,
    /// Minute of the day at which it begins.
    from: u16,
    /// Minute of the day before which it ends. Not later than `from`: of the next day.
    to: u16,
}

impl Window {
    /// Monday to Friday, all day.
    pub const WORKDAYS: Self = Self { days: 0b001_1111, from: 0, to: MINUTES_OF_DAY };

    /// Whether it is open when the clock shows this.
    pub fn contains(&self, wall: DateTime) -> bool {
        let minute = minute_of_day(wall.time());
        let today = self.has_day(wall.weekday());
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        let yesterday = self.has_day(wall.weekday().previous());
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }

    fn has_day(&self, day: Weekday) -> bool {
        self.days & bit(day) != 0
    }

    /// Times on the wall around a day at which it may open or close.
    fn edges(&self, day: Date) -> impl Iterator<Item = DateTime> {
        let edge = move |minute: u16| {
            let [hour, rest] =
                [minute / 60 % 24, minute % 60].map(|part| i8::try_from(part).unwrap_or_default());
            let date = if minute == MINUTES_OF_DAY { day.tomorrow().unwrap_or(day) } else { day };
            date.to_datetime(Time::new(hour, rest, 0, 0).unwrap_or(Time::MIN))
        };
        [self.from, self.to].into_iter().map(edge)
    }
}

fn minute_of_day(time: Time) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset().unsigned_abs()
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let shown: String = text.chars().take(TEXT_BYTES_MAX).collect();
        let wrong = |why: String| WindowError { text: shown.clone(), why };
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong(format!("it is longer than {TEXT_BYTES_MAX} bytes")));
        }
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split_whitespace().collect();
        let is_time = |part: &str| part.contains(':');
        let (days, times) = match parts.as_slice() {
            [times] if is_time(times) => (None, Some(*times)),
            [days] => (Some(*days), None),
            [days, times] if !is_time(days) && is_time(times) => (Some(*days), Some(*times)),
            [] => return Err(wrong("it is empty".to_owned())),
            _ => return Err(wrong("it is not days, then times, with one space between them".to_owned())),
        };
        let days = days.map_or(Ok(0b111_1111), parse_days).map_err(wrong)?;
        let (from, to) = times.map_or(Ok((0, MINUTES_OF_DAY)), parse_times).map_err(wrong)?;
        Ok(Self { days, from, to })
    }
}

fn parse_days(text: &str) -> Result<u8, String> {
    let day = |name: &str| {
        let at = DAY_NAMES.iter().position(|day| *day == name);
        at.ok_or_else(|| format!("{name:?} is not a day from mon to sun"))
    };
    let mut days = 0;
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (mut at, last) = (day(first)?, day(last)?);
        // A range may go over the end of the week: fri-mon.
        loop {
            days |= 1 << at;
            if at == last {
                break;
            }
            at = (at + 1) % DAY_NAMES.len();
        }
    }
    Ok(days)
}

fn parse_times(text: &str) -> Result<(u16, u16), String> {
    let Some((from, to)) = text.split_once('-') else {
        return Err(format!("{text:?} has no time at which it ends"));
    };
    let (from, to) = (parse_time(from)?, parse_time(to)?);
    if from == to {
        return Err("it ends when it begins: leave the times out for the whole day".to_owned());
    }
    if from == MINUTES_OF_DAY {
        return Err("it begins at 24:00: write 00:00 and the next day".to_owned());
    }
    Ok((from, to))
}

fn parse_time(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is not a time from 00:00 to 24:00");
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = (number(hour).ok_or_else(wrong)?, number(minute).ok_or_else(wrong)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > MINUTES_OF_DAY { Err(wrong()) } else { Ok(total) }
}

impl fmt::Display for Window {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> =
            (0..7).filter(|at| self.days & (1 << at) != 0).map(|at| DAY_NAMES[at]).collect();
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        match days.as_slice() {
            [_, _, _, _, _, _, _] => {}
            ["mon", "tue", "wed", "thu", "fri"] => write!(to, "mon-fri ")?,
            days => write!(to, "{} ", days.join(","))?,
        }
        write!(to, "{}-{}", time(self.from), time(self.to))
    }
}

/// The first instant after `now` at which some window may open or close, or the zone's clock changes.
/// Bounded by the days looked at: `None` if nothing happens for more than a week.
pub(crate) fn next_edge(
    windows: &[Window],
    zone: &Zone,
    now: Timestamp,
    mut is_edge: impl FnMut(Timestamp) -> bool,
) -> Option<Timestamp> {
    let mut candidates = Vec::new();
    let stretch = zone.stretch(now);
    candidates.extend(stretch.end);
    let mut day = zone.wall(now).date().yesterday().unwrap_or(Date::MIN);
    for _ in 0..10 {
        for wall in windows.iter().flat_map(|window| window.edges(day)) {
            candidates.push(zone.first_instant_of(wall));
            // In a fold the clock shows it again.
            candidates.extend(stretch.after.and_then(|offset| offset.to_timestamp(wall).ok()));
            candidates.extend(stretch.offset.to_timestamp(wall).ok());
        }
        day = day.tomorrow().unwrap_or(day);
    }
    candidates.retain(|candidate| *candidate > now);
    candidates.sort_unstable();
    candidates.dedup();
    candidates.into_iter().find(|candidate| is_edge(*candidate))
}

/// Why a text is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "date {text:?}: {why}; dates are written like 2026-12-24, 2026-12-24..2027-01-01 or, for each year, 12-25"
)]
pub struct DaysError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

/// Days of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    /// From one day to another, both included.
    Range {
        /// The first.
        first: Date,
        /// The last.
        last: Date,
    },
    /// A day of each year.
    Yearly {
        /// 1 to 12.
        month: i8,
        /// 1 to 31.
        day: i8,
    },
}

impl Days {
    /// Whether a day is one of them.
    pub fn contains(&self, date: Date) -> bool {
        match self {
            Self::Range { first, last } => (*first..=*last).contains(&date),
            Self::Yearly { month, day } => date.month() == *month && date.day() == *day,
        }
    }
}

impl FromStr for Days {
    type Err = DaysError;

    fn from_str(text: &str) -> Result<Self, DaysError> {
        let shown: String = text.chars().take(TEXT_BYTES_MAX).collect();
        let wrong = |why: &str| DaysError { text: shown.clone(), why: why.to_owned() };
        if text.len() > TEXT_BYTES_MAX {
            return Err(wrong("it is too long"));
        }
        let full = |text: &str| {
            let shape = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            shape.then(|| text.parse::<Date>().ok()).flatten()
        };
        let text = text.trim();
        if let Some((first, last)) = text.split_once("..") {
            let first = full(first.trim()).ok_or_else(|| wrong("its first day is no day of the calendar"))?;
            let last = full(last.trim()).ok_or_else(|| wrong("its last day is no day of the calendar"))?;
            if last < first {
                return Err(wrong("it ends before it begins"));
            }
            return Ok(Self::Range { first, last });
        }
        if let Some(date) = full(text) {
            return Ok(Self::Range { first: date, last: date });
        }
        // A leap year, so that February 29 is a day.
        let in_a_leap_year = (text.len() == 5).then(|| full(&format!("2024-{text}"))).flatten();
        let date = in_a_leap_year.ok_or_else(|| wrong("it is no day of the calendar"))?;
        Ok(Self::Yearly { month: date.month(), day: date.day() })
    }
}

impl fmt::Display for Days {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { first, last } if first == last => write!(to, "{first}"),
            Self::Range { first, last } => write!(to, "{first}..{last}"),
            Self::Yearly { month, day } => write!(to, "{month:02}-{day:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Days, Window};
    use jiff::civil::{DateTime, date};

    fn window(text: &str) -> Window {
        text.parse().expect("a window")
    }

    fn open(window: &str, wall: &str) -> bool {
        self::window(window).contains(wall.parse::<DateTime>().expect("a time"))
    }

    #[test]
    fn windows_are_open_when_they_say() {
        // 2026-11-27 is a Friday.
        assert!(open("mon-fri 08:00-18:00", "2026-11-27T08:00:00"));
        assert!(open("mon-fri 08:00-18:00", "2026-11-27T17:59:59"));
        assert!(!open("mon-fri 08:00-18:00", "2026-11-27T18:00:00"));
        assert!(!open("mon-fri 08:00-18:00", "2026-11-28T12:00:00"));
        assert!(open("fri 22:00-06:00", "2026-11-28T05:59:00"), "Friday's night ends on Saturday");
        assert!(!open("fri 22:00-06:00", "2026-11-27T05:59:00"), "that was Thursday's");
        assert!(open("sat,sun", "2026-11-29T23:59:00"));
        assert!(open("fri-mon", "2026-11-30T00:00:00") && !open("fri-mon", "2026-12-01T00:00:00"));
        assert!(open("18:00-24:00", "2026-11-29T23:59:00") && !open("18:00-24:00", "2026-11-29T00:00:00"));
    }

    #[test]
    fn wrong_windows_say_what_is_wrong() {
        let cases = [
            ("", "it is empty"),
            ("mon-fry 08:00-18:00", "\"fry\" is not a day from mon to sun"),
            ("08:00", "has no time at which it ends"),
            ("8:00-18:00", "\"8:00\" is not a time"),
            ("08:00-24:01", "\"24:01\" is not a time"),
            ("08:60-18:00", "\"08:60\" is not a time"),
            ("08:00-08:00", "it ends when it begins"),
            ("08:00-18:00 mon", "not days, then times"),
        ];
        for (text, part) in cases {
            let error = text.parse::<Window>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("mon ".repeat(100).parse::<Window>().is_err());
    }

    #[test]
    fn windows_are_written_as_they_are_read() {
        for text in ["mon-fri 08:00-18:00", "22:00-06:00", "sat,sun 00:00-24:00"] {
            assert_eq!(window(text).to_string(), text);
        }
        assert_eq!(Window::WORKDAYS, window("mon-fri"));
    }

    #[test]
    fn days_are_read() {
        let days = |text: &str| text.parse::<Days>().expect("days");
        assert!(days("2026-12-24..2027-01-01").contains(date(2027, 1, 1)));
        assert!(!days("2026-12-24..2027-01-01").contains(date(2027, 1, 2)));
        assert!(days("12-25").contains(date(2031, 12, 25)) && days("02-29").contains(date(2028, 2, 29)));
        assert!(days("2026-05-01").contains(date(2026, 5, 1)));
        for text in ["2026-02-30", "13-01", "2027-01-01..2026-01-01", "tomorrow", "2026-1-1", ""] {
            assert!(text.parse::<Days>().is_err(), "{text}");
        }
    }
}
