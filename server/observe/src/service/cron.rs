//! A schedule of cron as expressions of systemd's calendar.
//!
//! Each field becomes the set of its values, which is written as a list: the two languages differ in how they
//! count steps and in what two restricted days mean, and in lists they don't.

use std::collections::BTreeSet;

/// What a field may have.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// Names of values, from `first` on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", first: 0, last: 59, names: &[] };
const HOUR: Field = Field { name: "hour", first: 0, last: 23, names: &[] };
const DAY: Field = Field { name: "day of the month", first: 1, last: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    first: 1,
    last: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
/// 7 is Sunday as 0 is.
const WEEKDAY: Field = Field {
    name: "day of the week",
    first: 0,
    last: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};
/// As systemd names them, from Monday on.
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// Days that each month may have at most.
const DAYS: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One expression or several, each without seconds left open and without a zone; or what is wrong.
pub fn calendar_lines(cron: &str) -> Result<Vec<String>, String> {
    let cron = match cron.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(format!("it has {} fields instead of 5", fields.len()));
    };
    let months = MONTH.values(month)?;
    let clock = format!("{}:{}:00", HOUR.list(&HOUR.values(hour)?), MINUTE.list(&MINUTE.values(minute)?));
    let months_text = MONTH.list(&months);
    let date = |days: &str, weekdays: &str| {
        let sign = if days.starts_with('~') { "" } else { "-" };
        format!("{weekdays}{}*-{months_text}{sign}{days} {clock}", if weekdays.is_empty() { "" } else { " " })
    };

    let mut lines = Vec::new();
    let any_day = is_any(day);
    if !any_day || is_any(weekday) {
        let (last, others) = split(day, |part| part.eq_ignore_ascii_case("L"));
        if !others.is_empty() {
            let days = DAY.values(&others.join(","))?;
            if !months.iter().any(|month| days.iter().any(|day| *day <= DAYS[usize::from(*month) - 1])) {
                return Err("no such day is in any of its months".to_owned());
            }
            lines.push(date(&DAY.list(&days), ""));
        }
        if !last.is_empty() {
            lines.push(date("~01", ""));
        }
    }
    if !is_any(weekday) {
        let is_special = |part: &str| part.contains('#') || (part.len() > 1 && part.ends_with(['L', 'l']));
        let (special, others) = split(weekday, is_special);
        if !others.is_empty() {
            lines.push(date("*", &weekday_list(&WEEKDAY.values(&others.join(","))?)));
        }
        for part in special {
            let (name, days) = which_weekday(part)?;
            let name = weekday_list(&BTreeSet::from([WEEKDAY.value(name)?]));
            lines.push(date(&days, &name));
        }
    }
    Ok(lines)
}

fn is_any(field: &str) -> bool {
    matches!(field, "*" | "?")
}

/// Those parts of a list for which this holds, and the others.
fn split(list: &str, is_special: impl Fn(&str) -> bool) -> (Vec<&str>, Vec<&str>) {
    list.split(',').partition(|part| is_special(part))
}

/// `FRI#2` and `5L`: the weekday, and the days of the month among which it is.
fn which_weekday(part: &str) -> Result<(&str, String), String> {
    if let Some((name, number)) = part.split_once('#') {
        let number = match number.parse::<u8>() {
            Ok(number @ 1..=5) => number,
            _ => return Err(format!("{part:?} isn't from #1 to #5")),
        };
        let first = 7 * (number - 1) + 1;
        return Ok((name, format!("{first:02}..{:02}", (first + 6).min(31))));
    }
    Ok((&part[..part.len() - 1], "~07/1".to_owned()))
}

impl Field {
    /// All values of a list of values, ranges and steps.
    fn values(&self, list: &str) -> Result<BTreeSet<u8>, String> {
        let mut values = BTreeSet::new();
        for part in list.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => {
                    let step = step.parse::<u8>().ok().filter(|step| *step > 0);
                    (range, Some(step.ok_or_else(|| format!("{part:?} has no step in its {}", self.name))?))
                }
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                _ if is_any(range) => (self.first, self.last),
                Some((first, last)) => (self.value(first)?, self.last_value(last)?),
                None => (self.value(range)?, if step.is_some() { self.last } else { self.value(range)? }),
            };
            if first > last {
                return Err(format!("{range:?} goes backwards in its {}", self.name));
            }
            values.extend((first..=last).step_by(usize::from(step.unwrap_or(1))));
        }
        if self.last == WEEKDAY.last && values.remove(&7) {
            values.insert(0);
        }
        Ok(values)
    }

    /// In `FRI-SUN`, the name stands for 7.
    fn last_value(&self, text: &str) -> Result<u8, String> {
        let value = self.value(text)?;
        Ok(if self.last == WEEKDAY.last && value == 0 { WEEKDAY.last } else { value })
    }

    fn value(&self, text: &str) -> Result<u8, String> {
        if text.ends_with(['W', 'w']) && self.names.is_empty() {
            return Err(format!("{text:?}: systemd has no nearest workday"));
        }
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| u8::try_from(at).ok()).map(|at| at + self.first);
        let number = text.parse::<u8>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        named
            .or(number)
            .filter(|value| (self.first..=self.last).contains(value))
            .ok_or_else(|| format!("{text:?} isn't a {} from {} to {}", self.name, self.first, self.last))
    }

    /// The values as systemd's list; `*` for all.
    fn list(&self, values: &BTreeSet<u8>) -> String {
        if values.len() == usize::from(self.last - self.first) + 1 {
            return "*".to_owned();
        }
        let values: Vec<String> = values.iter().map(|value| format!("{value:02}")).collect();
        values.join(",")
    }
}

/// Weekdays by name, from Monday on.
fn weekday_list(values: &BTreeSet<u8>) -> String {
    let mut days: Vec<u8> = values.iter().map(|value| (value + 6) % 7).collect();
    days.sort_unstable();
    days.dedup();
    let names: Vec<&str> = days.into_iter().map(|day| WEEKDAYS[usize::from(day)]).collect();
    names.join(",")
}
