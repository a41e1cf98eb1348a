//! Cron expressions of five fields: on which days, and at which minutes of the day, the clock on the wall shows a
//! match. Zones come later: this file knows no instant.
//!
//! The meaning of the fields is that of the crate `croner`. The checks here come first, because an error has to name the field
//! and say what to write instead.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use croner::Weekday as CronerWeekday;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::Date;

/// Bytes that an expression may have.
const TEXT_BYTES_MAX: usize = 256;

/// A field of a cron expression, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronField {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31, `L`, `LW`, `15W`.
    DayOfMonth,
    /// 1 to 12, or `jan` to `dec`.
    Month,
    /// 0 to 7 (both are Sunday), or `sun` to `sat`; `fri#2`, `friL`.
    DayOfWeek,
}

impl CronField {
    const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    fn bounds(self) -> (u8, u8) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 7),
        }
    }

    /// Names of values, and the value of the first.
    fn names(self) -> (&'static [&'static str], u8) {
        match self {
            Self::Month => {
                (&["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
            }
            Self::DayOfWeek => (&["sun", "mon", "tue", "wed", "thu", "fri", "sat"], 0),
            Self::Minute | Self::Hour | Self::DayOfMonth => (&[], 0),
        }
    }
}

impl fmt::Display for CronField {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of the month",
            Self::Month => "month",
            Self::DayOfWeek => "day of the week",
        })
    }
}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// A nickname such as `@daily`.
    #[error(
        "cron expression {text:?} is a nickname: write its five fields, for example \"0 0 * * *\" for every midnight"
    )]
    Nickname {
        /// What was written.
        text: String,
    },
    /// Not five fields.
    #[error(
        "cron expression has {count} fields instead of 5, which are minute, hour, day of the month, month and day of the week"
    )]
    FieldCount {
        /// How many it has.
        count: usize,
    },
    /// It is too long to be one.
    #[error("cron expression has {bytes} bytes, more than {TEXT_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// A field is wrong.
    #[error("cron field {field} is {text:?}: {why}")]
    Field {
        /// Which one.
        field: CronField,
        /// What it says.
        text: String,
        /// What is wrong with it, and what to write instead.
        why: String,
    },
}

/// A parsed cron expression. Two are equal if they are written alike, but for spaces and case.
#[derive(Clone)]
pub struct Cron {
    /// Shared, because schedules are copied at each look.
    parsed: Arc<Parsed>,
}

struct Parsed {
    text: String,
    pattern: croner::Cron,
    /// Ascending, each one below 24 × 60.
    minutes_of_day: Vec<u16>,
    every_hour: bool,
}

impl Cron {
    /// The expression, with single spaces and in lower case but for `L` and `W`.
    pub fn as_str(&self) -> &str {
        &self.parsed.text
    }

    /// Minutes of a day that match, ascending.
    pub fn minutes_of_day(&self) -> &[u16] {
        &self.parsed.minutes_of_day
    }

    /// Whether the hour doesn't matter. Such an expression means "all the time", and not certain times of
    /// the day: in the hour that the clock shows twice it matches twice.
    pub fn is_every_hour(&self) -> bool {
        self.parsed.every_hour
    }

    /// Whether a day matches. If both the day of the month and that of the week are given, one of them
    /// is enough, as in every cron.
    pub fn matches_day(&self, date: Date) -> bool {
        let [month, day] = [date.month(), date.day()].map(|number| u32::from(number.unsigned_abs()));
        let days = u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs());
        let weekday = CronerWeekday::from_days_from_sunday(days);
        let pattern = &self.parsed.pattern.pattern;
        // Errors are for dates that don't exist.
        pattern.month_match(month).unwrap_or(false)
            && pattern.day_match(date.year().into(), month, day, weekday).unwrap_or(false)
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(CronError::TooLong { bytes: text.len() });
        }
        if text.trim_start().starts_with('@') {
            return Err(CronError::Nickname { text: text.trim().to_owned() });
        }
        let fields: Vec<String> = text.split_whitespace().map(in_one_case).collect();
        if fields.len() != CronField::ALL.len() {
            return Err(CronError::FieldCount { count: fields.len() });
        }
        let mut numbers = Vec::new();
        for (field, text) in CronField::ALL.into_iter().zip(&fields) {
            let wrong = |why| CronError::Field { field, text: text.clone(), why };
            numbers.push(in_numbers(field, text).map_err(wrong)?);
        }
        let pattern = parse_pattern(&numbers, &fields)?;
        let [hours, minutes] = [pattern.pattern.hours.values(), pattern.pattern.minutes.values()];
        let in_hour = |hour: &u16| {
            let hour = *hour;
            minutes.iter().map(move |minute| hour * 60 + minute)
        };
        let parsed = Parsed {
            text: fields.join(" "),
            minutes_of_day: hours.iter().flat_map(in_hour).collect(),
            every_hour: hours.len() == 24,
            pattern,
        };
        Ok(Self { parsed: Arc::new(parsed) })
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Cron({:?})", self.parsed.text)
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.parsed.text)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.parsed.text == other.parsed.text
    }
}

impl Eq for Cron {}

/// Lower case for names, upper case for the letters with a meaning of their own.
fn in_one_case(field: &str) -> String {
    let lower = field.to_ascii_lowercase();
    let items = lower.split(',').map(|item| match item {
        "l" | "lw" => item.to_ascii_uppercase(),
        _ => match item.strip_suffix(['l', 'w']) {
            Some(value) if !value.is_empty() && !item.ends_with("jul") => {
                format!("{value}{}", item[value.len()..].to_ascii_uppercase())
            }
            _ => item.to_owned(),
        },
    });
    items.collect::<Vec<_>>().join(",")
}

fn parse_pattern(numbers: &[String], fields: &[String]) -> Result<croner::Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(&numbers.join(" ")).map_err(|error| {
        // The parser doesn't say which field it means: it is the first that fails alone.
        let alone = |at: &usize| {
            let field = |other: usize| if other == *at { numbers[other].as_str() } else { "*" };
            parser.parse(&(0..numbers.len()).map(field).collect::<Vec<_>>().join(" ")).is_err()
        };
        let at = (0..numbers.len()).find(alone).unwrap_or(0);
        CronError::Field { field: CronField::ALL[at], text: fields[at].clone(), why: error.to_string() }
    })
}

/// A field with numbers in the place of names; or what is wrong with it.
fn in_numbers(field: CronField, text: &str) -> Result<String, String> {
    let items: Vec<&str> = text.split(',').collect();
    if items.contains(&"L") && items.contains(&"LW") {
        return Err("it names both L, the last day, and LW, the last weekday: write one of them".to_owned());
    }
    if items.len() > 1 && items.contains(&"*") {
        return Err("* is every value already: remove the others, or the *".to_owned());
    }
    let items: Result<Vec<String>, String> = items.iter().map(|item| item_in_numbers(field, item)).collect();
    Ok(items?.join(","))
}

fn item_in_numbers(field: CronField, item: &str) -> Result<String, String> {
    if item.is_empty() {
        return Err("a value is missing before or after a comma".to_owned());
    }
    if item == "?" {
        return Err("? has no meaning here: write *".to_owned());
    }
    if item == "*" || (field == CronField::DayOfMonth && matches!(item, "L" | "LW")) {
        return Ok(item.to_owned());
    }
    if let Some((range, step)) = item.split_once('/') {
        return step_in_numbers(field, item, range, step);
    }
    if let Some((first, last)) = item.split_once('-') {
        return range_in_numbers(field, first, last);
    }
    if let Some(day) = item.strip_suffix('W') {
        if field != CronField::DayOfMonth {
            return Err("W, the nearest weekday, is for the day of the month alone".to_owned());
        }
        return Ok(format!("{}W", value(field, day, false)?));
    }
    if let Some(day) = item.strip_suffix('L') {
        return match field {
            CronField::DayOfWeek if day.is_empty() => {
                Err("L needs a day here: write friL for the month's last Friday".to_owned())
            }
            CronField::DayOfWeek => Ok(format!("{}#L", value(field, day, false)?)),
            CronField::DayOfMonth => {
                Err("L, the month's last day, takes no number: write L, or LW for the last weekday"
                    .to_owned())
            }
            _ => Err("L is for days of the month and of the week alone".to_owned()),
        };
    }
    if let Some((day, nth)) = item.split_once('#') {
        if field != CronField::DayOfWeek {
            return Err("# is for the day of the week alone".to_owned());
        }
        let day = value(field, day, false)?;
        return match nth {
            "1" | "2" | "3" | "4" | "5" => Ok(format!("{day}#{nth}")),
            _ => Err(format!("{nth:?} after # is not 1 to 5: write fri#2 for the month's second Friday")),
        };
    }
    Ok(value(field, item, false)?.to_string())
}

fn step_in_numbers(field: CronField, item: &str, range: &str, step: &str) -> Result<String, String> {
    let (_, most) = field.bounds();
    let range = match range.split_once('-') {
        _ if range == "*" => range.to_owned(),
        Some((first, last)) => range_in_numbers(field, first, last)?,
        None => {
            return Err(format!(
                "{item:?} says no range before the /: write */{step}, or {range}-{most}/{step}"
            ));
        }
    };
    match number(step) {
        Some(step) if (1..=most).contains(&step) => Ok(format!("{range}/{step}")),
        _ => Err(format!("step {step:?} is not a number from 1 to {most}")),
    }
}

fn range_in_numbers(field: CronField, first: &str, last: &str) -> Result<String, String> {
    let (from, to) = (value(field, first, false)?, value(field, last, true)?);
    if from > to {
        let (least, most) = field.bounds();
        return Err(format!("range {first}-{last} runs backwards: write {first}-{most},{least}-{last}"));
    }
    Ok(format!("{from}-{to}"))
}

/// The number that a value is. At the end of a range, Sunday is the seventh day.
fn value(field: CronField, text: &str, ends_range: bool) -> Result<u8, String> {
    let (least, most) = field.bounds();
    let (names, first) = field.names();
    if let Some(at) = names.iter().position(|name| *name == text) {
        let number = first + u8::try_from(at).expect("there are at most twelve names");
        return Ok(if ends_range && field == CronField::DayOfWeek && number == 0 { 7 } else { number });
    }
    match number(text) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => {
            let names = match names {
                [first, .., last] => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            Err(format!("{text:?} is not a number from {least} to {most}{names}"))
        }
    }
}

/// A number of digits alone: no sign.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{Cron, CronError, CronField};
    use jiff::civil::{Date, date};

    fn cron(text: &str) -> Cron {
        text.parse().expect("a good expression")
    }

    /// The days of a month that match.
    fn days(text: &str, year: i16, month: i8) -> Vec<i8> {
        let cron = cron(text);
        let first = date(year, month, 1);
        let all = (1..=first.days_in_month()).filter(|day| cron.matches_day(date(year, month, *day)));
        all.collect()
    }

    #[test]
    fn days_are_matched_with_their_letters() {
        assert_eq!(days("0 0 L * *", 2028, 2), [29]);
        assert_eq!(days("0 0 LW * *", 2026, 5), [29], "the 31st is a Sunday");
        assert_eq!(days("0 0 15W * *", 2026, 8), [14], "the 15th is a Saturday");
        assert_eq!(days("0 0 * * fri#2", 2026, 11), [13]);
        assert_eq!(days("0 0 * * friL", 2026, 11), [27]);
        assert_eq!(days("0 0 * * 5l", 2026, 11), [27]);
        assert_eq!(days("0 0 * * sat-sun", 2026, 11), [1, 7, 8, 14, 15, 21, 22, 28, 29]);
        assert_eq!(days("0 0 * * 7", 2026, 11), days("0 0 * * sun", 2026, 11));
        assert_eq!(days("0 0 13 * fri", 2026, 3), [6, 13, 20, 27], "one of the two is enough");
        assert_eq!(days("0 0 31 jan-mar *", 2026, 2), Vec::<i8>::new());
        assert_eq!(days("0 0 1 jul *", 2026, 7), [1], "the L of a name is no letter with a meaning");
        assert!(!cron("0 0 30 2 *").matches_day(Date::constant(2028, 2, 29)));
    }

    #[test]
    fn minutes_of_the_day_come_in_order() {
        assert_eq!(cron("30 1-3 * * *").minutes_of_day(), [90, 150, 210]);
        assert_eq!(cron("*/30 22,2 * * *").minutes_of_day(), [120, 150, 1320, 1350]);
        assert!(cron("15 * * * *").is_every_hour() && cron("15 0-23 * * *").is_every_hour());
        assert!(!cron("15 */2 * * *").is_every_hour());
    }

    #[test]
    fn texts_are_the_same_however_they_are_spaced() {
        assert_eq!(cron(" 0  2 * *\tMON ").as_str(), "0 2 * * mon");
        assert_eq!(cron("0 2 lw * FRIl").as_str(), "0 2 LW * friL");
    }

    #[test]
    fn errors_name_the_field_and_what_to_write() {
        let cases = [
            ("60 * * * *", CronField::Minute, "\"60\" is not a number from 0 to 59"),
            ("mon * * * *", CronField::Minute, "\"mon\" is not a number from 0 to 59"),
            ("* 24 * * *", CronField::Hour, "\"24\" is not a number from 0 to 23"),
            ("0 22-2 * * *", CronField::Hour, "range 22-2 runs backwards: write 22-23,0-2"),
            ("0 1,,2 * * *", CronField::Hour, "a value is missing before or after a comma"),
            ("0 0 0 * *", CronField::DayOfMonth, "\"0\" is not a number from 1 to 31"),
            ("0 0 5L * *", CronField::DayOfMonth, "L, the month's last day, takes no number"),
            ("0 0 L,LW * *", CronField::DayOfMonth, "write one of them"),
            ("0 0 ? * *", CronField::DayOfMonth, "write *"),
            ("0 0 * foo *", CronField::Month, "\"foo\" is not a number from 1 to 12, or jan to dec"),
            ("0 0 * * 8", CronField::DayOfWeek, "\"8\" is not a number from 0 to 7, or sun to sat"),
            ("0 0 * * L", CronField::DayOfWeek, "write friL"),
            ("0 0 * * fri#6", CronField::DayOfWeek, "\"6\" after # is not 1 to 5"),
            ("0 0 * * 15W", CronField::DayOfWeek, "for the day of the month alone"),
            ("0/10 * * * *", CronField::Minute, "write */10, or 0-59/10"),
            ("*/0 * * * *", CronField::Minute, "step \"0\" is not a number from 1 to 59"),
            ("*/+5 * * * *", CronField::Minute, "step \"+5\" is not"),
            ("+5 * * * *", CronField::Minute, "\"+5\" is not"),
            ("0 0 * * +mon", CronField::DayOfWeek, "\"+mon\" is not"),
        ];
        for (text, expected, part) in cases {
            match text.parse::<Cron>() {
                Err(CronError::Field { field, why, .. }) => {
                    assert_eq!(field, expected, "{text}");
                    assert!(why.contains(part), "{text}: {why}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        let error = "60 * * * *".parse::<Cron>().expect_err("no such minute");
        assert_eq!(error.to_string(), "cron field minute is \"60\": \"60\" is not a number from 0 to 59");
    }

    #[test]
    fn five_fields_and_no_other_number() {
        for (text, count) in [("", 0), ("0 0 * *", 4), ("0 0 0 * * *", 6)] {
            assert_eq!(text.parse::<Cron>(), Err(CronError::FieldCount { count }), "{text}");
        }
        assert!(matches!("@daily".parse::<Cron>(), Err(CronError::Nickname { .. })));
        assert!(matches!("*".repeat(300).parse::<Cron>(), Err(CronError::TooLong { bytes: 300 })));
    }
}
