//! Times of day, windows of a week, and quiet hours.

use crate::decode::{Flaw, FromText};
use crate::files::Facts;
use crate::schema::TextShape;

const MINUTES_PER_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time of day by the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// Minutes since midnight; 1440 is the end of the day.
    pub minutes: u16,
}

fn read_time(text: &str) -> Option<TimeOfDay> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && text.is_ascii());
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let all = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && all <= MINUTES_PER_DAY).then_some(TimeOfDay { minutes: all })
}

fn read_span(text: &str) -> Result<(TimeOfDay, TimeOfDay), Flaw> {
    let times = text.split_once('-').and_then(|(from, to)| Some((read_time(from)?, read_time(to)?)));
    let (from, to) = times.ok_or_else(|| Flaw::new("times are written as `08:00-18:00`"))?;
    if from == to {
        return Err(Flaw::new("it has no length").help("all day is `00:00-24:00`"));
    }
    Ok((from, to))
}

/// The days of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays {
    /// From Monday to Sunday.
    pub days: [bool; 7],
}

fn read_days(text: &str) -> Result<Weekdays, Flaw> {
    let unknown = || Flaw::new("days are mon, tue, wed, thu, fri, sat and sun");
    let number = |name: &str| DAYS.iter().position(|day| *day == name).ok_or_else(unknown);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        // A range may go over the end of the week.
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(Weekdays { days })
}

/// Times of some days of each week: `mon-fri 08:00-18:00`, `sat,sun 00:00-24:00`, `22:00-07:00`. One that ends before it
/// begins ends on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The days on which it begins.
    pub days: Weekdays,
    /// When it begins.
    pub from: TimeOfDay,
    /// When it ends.
    pub to: TimeOfDay,
}

impl Window {
    /// Whether a text is one.
    #[must_use]
    pub fn accepts(text: &str) -> bool {
        read_window(text).is_ok()
    }
}

fn read_window(text: &str) -> Result<Window, Flaw> {
    let (days, times) = match text.split_once(' ') {
        Some((days, times)) => (read_days(days)?, times),
        None => (Weekdays { days: [true; 7] }, text),
    };
    let (from, to) = read_span(times)?;
    Ok(Window { days, from, to })
}

impl FromText for Window {
    const TEXT: TextShape = TextShape {
        what: "a window of time",
        examples: &["mon-fri 08:00-18:00", "sat,sun 00:00-24:00", "22:00-07:00"],
    };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        read_window(text)
    }
}

/// Hours in which only what is critical is sent: `22:00-07:00 unless critical`, or nothing at all: `22:00-07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// When.
    pub window: Window,
    /// Whether what is critical is sent all the same.
    pub unless_critical: bool,
}

impl FromText for QuietHours {
    const TEXT: TextShape =
        TextShape { what: "quiet hours", examples: &["22:00-07:00 unless critical", "sat,sun 00:00-24:00"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let window = text.strip_suffix(" unless critical");
        let unless_critical = window.is_some();
        Ok(Self { window: read_window(window.unwrap_or(text))?, unless_critical })
    }
}

from_text!(Window, QuietHours);

#[cfg(test)]
mod tests {
    use super::{FromText, QuietHours, TimeOfDay, Window};
    use crate::testing::NoFacts;

    #[test]
    fn a_window_has_days_and_times() {
        let window = Window::read("mon-fri 08:00-18:30", &NoFacts).expect("a window");
        assert_eq!(window.days.days, [true, true, true, true, true, false, false]);
        assert_eq!((window.from, window.to), (TimeOfDay { minutes: 480 }, TimeOfDay { minutes: 1110 }));
        let over = Window::read("sat-mon,wed 22:00-07:00", &NoFacts).expect("over the week's end");
        assert_eq!(over.days.days, [true, false, true, false, false, true, true]);
        assert_eq!(Window::read("00:00-24:00", &NoFacts).expect("all day").to.minutes, 1440);
        for wrong in [
            "",
            "mon",
            "mon 8:00-9:00",
            "mo 08:00-09:00",
            "08:00-08:00",
            "24:01-25:00",
            "08:60-09:00",
            "mon  08:00-09:00",
        ] {
            assert!(!Window::accepts(wrong), "{wrong}");
        }
    }

    #[test]
    fn quiet_hours_may_let_through_what_is_critical() {
        let of = |text| QuietHours::read(text, &NoFacts).expect(text).unless_critical;
        assert!(of("22:00-07:00 unless critical") && !of("22:00-07:00"));
        assert!(QuietHours::read("22:00-07:00 unless bored", &NoFacts).is_err());
    }
}
