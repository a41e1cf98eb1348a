//! Lengths of time, ages by the calendar, time zones and moments.

use std::time::Duration;

use crate::decode::{Flaw, FromText};
use crate::files::Facts;
use crate::schema::TextShape;
use crate::values::leading_number;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 86_400;
/// A year that has no leap day: lengths don't know the calendar.
const YEAR_S: u64 = 365 * DAY_S;
/// Longer than anything that is kept.
const LENGTH_S_MAX: u64 = 1000 * YEAR_S;
/// More of a unit than any calendar reaches.
const AGE_NUMBER_MAX: u32 = 100_000;

/// A length of time: `90s`, `15m`, `26h`, `1h30m`, `400d`, `2w`, `7y`. A day has 24 hours, a year 365 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub Duration);

impl FromText for Length {
    const TEXT: TextShape =
        TextShape { what: "a length of time", examples: &["26h", "15m", "1h30m", "400d"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let units = [("s", 1), ("m", MINUTE_S), ("h", HOUR_S), ("d", DAY_S), ("w", 7 * DAY_S), ("y", YEAR_S)];
        let mut rest = text;
        let mut seconds: u64 = 0;
        let mut last = u64::MAX;
        if text.is_empty() {
            return Err(Flaw::default());
        }
        while !rest.is_empty() {
            let (number, after) =
                leading_number(rest).ok_or_else(|| Flaw::new("a unit needs a number before it"))?;
            let unit_end = after.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(after.len());
            let (name, after) = after.split_at(unit_end);
            let unit = units.iter().find(|(unit, _)| *unit == name).map(|(_, unit)| *unit);
            let unit = unit.ok_or_else(|| match name {
                "" => Flaw::new("it lacks a unit").help("units are s, m (minutes), h, d, w and y"),
                "mo" => Flaw::new("a month has no fixed length").help("write days: `30d`"),
                _ => Flaw::new("it has an unknown unit").help("units are s, m (minutes), h, d, w and y"),
            })?;
            if unit >= last {
                return Err(Flaw::new("units go from the largest to the smallest, each once"));
            }
            last = unit;
            let added = number.checked_mul(unit).and_then(|added| seconds.checked_add(added));
            seconds = added.filter(|all| *all <= LENGTH_S_MAX).ok_or_else(|| Flaw::new("it is too long"))?;
            rest = after;
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// An age by the calendar: how long a month is, only the calendar knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Age {
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Weeks.
    pub weeks: u32,
    /// Days.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

impl Age {
    /// About how long it is: a month as 30 days.
    #[must_use]
    pub fn about(&self) -> Duration {
        let of = |number: u32, unit: u64| u64::from(number).saturating_mul(unit);
        let seconds = [
            of(self.years, YEAR_S),
            of(self.months, 30 * DAY_S),
            of(self.weeks, 7 * DAY_S),
            of(self.days, DAY_S),
            of(self.hours, HOUR_S),
        ];
        Duration::from_secs(seconds.into_iter().fold(0, u64::saturating_add))
    }
}

impl FromText for Age {
    const TEXT: TextShape = TextShape { what: "an age", examples: &["30d", "1y6mo", "2w", "12h"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let mut age = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (number, after) =
                leading_number(rest).ok_or_else(|| Flaw::new("a unit needs a number before it"))?;
            let unit_end = after.find(|sign: char| !sign.is_ascii_alphabetic()).unwrap_or(after.len());
            let (name, after) = after.split_at(unit_end);
            let field = match name {
                "y" => &mut age.years,
                "mo" => &mut age.months,
                "w" => &mut age.weeks,
                "d" => &mut age.days,
                "h" => &mut age.hours,
                "m" => return Err(Flaw::new("`m` would be minutes").help("write months as `mo`: `6mo`")),
                _ => return Err(Flaw::new("it has an unknown unit").help("units are y, mo, w, d and h")),
            };
            if *field != 0 {
                return Err(Flaw::new("it has a unit twice"));
            }
            let number = u32::try_from(number).ok().filter(|number| (1..=AGE_NUMBER_MAX).contains(number));
            *field =
                number.ok_or_else(|| Flaw::new("a number is zero, or reaches further than any calendar"))?;
            rest = after;
        }
        if age == Self::default() { Err(Flaw::default()) } else { Ok(age) }
    }
}

/// A time zone by its IANA name, which is known on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneName(pub String);

impl FromText for ZoneName {
    const TEXT: TextShape =
        TextShape { what: "a time zone", examples: &["Europe/Paris", "America/New_York", "UTC"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        if facts.is_zone(text) {
            return Ok(Self(text.to_owned()));
        }
        let zones = facts.zones();
        let near = crate::diagnostic::nearest(text, zones.iter().map(String::as_str));
        let flaw = Flaw::new("this machine knows no zone of this name");
        Err(match near {
            Some(zone) => flaw.help(format!("did you mean `{zone}`?")),
            None if zones.len() < 2 => flaw.help("no zones are installed: install the package `tzdata`"),
            None => flaw,
        })
    }
}

/// A moment by the clock on the wall, in the zone of what it is said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalMoment(pub jiff::civil::DateTime);

impl FromText for LocalMoment {
    const TEXT: TextShape = TextShape {
        what: "a date, or a date and a time of day",
        examples: &["2027-01-02 08:00", "2027-01-02"],
    };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let date = |text: &str| jiff::civil::Date::strptime("%Y-%m-%d", text);
        let moment = match date(text) {
            Ok(date) => Ok(date.at(0, 0, 0, 0)),
            Err(_) => jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text),
        };
        moment.map(Self).map_err(|_| Flaw::default())
    }
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub jiff::civil::Date);

impl FromText for Day {
    const TEXT: TextShape = TextShape { what: "a date", examples: &["2026-12-25"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        jiff::civil::Date::strptime("%Y-%m-%d", text).map(Self).map_err(|_| Flaw::default())
    }
}

from_text!(Length, Age, ZoneName, LocalMoment, Day);

#[cfg(test)]
mod tests {
    use super::{Age, Duration, FromText, Length, LocalMoment, ZoneName};
    use crate::testing::NoFacts;

    #[test]
    fn lengths_have_units_from_the_largest_down() {
        let seconds = |text| Length::read(text, &NoFacts).expect(text).0.as_secs();
        assert_eq!([seconds("90s"), seconds("15m"), seconds("26h")], [90, 900, 93_600]);
        assert_eq!([seconds("1h30m"), seconds("2w"), seconds("1y")], [5400, 1_209_600, 31_536_000]);
        for wrong in
            ["", "5", "h", "1h2h", "1m1h", "1.5h", "-1h", "1 h", "1mo", "9999y", "99999999999999999999s"]
        {
            assert!(Length::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_say_mo_for_months() {
        let age = Age::read("1y6mo", &NoFacts).expect("an age");
        assert_eq!((age.years, age.months), (1, 6));
        assert_eq!(age.about(), Duration::from_secs((365 + 180) * 86_400));
        assert!(Age::read("6m", &NoFacts).expect_err("minutes").help[0].contains("6mo"));
        for wrong in ["", "0d", "1d2d", "30", "1s", "100001d"] {
            assert!(Age::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_zone_is_an_iana_name_and_a_near_one_is_suggested() {
        assert!(ZoneName::read("Europe/Paris", &NoFacts).is_ok());
        let flaw = ZoneName::read("Europe/Pari", &NoFacts).expect_err("no zone");
        assert_eq!(flaw.help, ["did you mean `Europe/Paris`?"]);
    }

    #[test]
    fn moments_are_dates_with_or_without_a_time() {
        let text = |text| LocalMoment::read(text, &NoFacts).map(|moment| moment.0.to_string());
        assert_eq!(text("2027-01-02"), Ok("2027-01-02T00:00:00".to_owned()));
        assert_eq!(text("2027-01-02 08:30"), Ok("2027-01-02T08:30:00".to_owned()));
        assert!(text("2027-02-30").is_err() && text("tomorrow").is_err());
    }
}
