//! What a plan expects of what was restored, and how answers are judged.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use keepfast_sources::check::Check;
use serde::{Deserialize, Serialize};

/// From this number on, a number that stands for an instant counts milliseconds: as seconds, it would be in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Something that must be true of what was restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What is asked.
    pub ask: Question,
    /// The least that the answer, or the file's size in bytes, may be.
    #[serde(default)]
    pub min: Option<f64>,
    /// The most.
    #[serde(default)]
    pub max: Option<f64>,
    /// What the answer must be.
    #[serde(default)]
    pub equals: Option<String>,
    /// The answer is a time, and at most this much older than the snapshot.
    #[serde(default)]
    pub newer_than_snapshot: Option<Duration>,
}

/// What is asked of what was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A query with one value as its answer.
    Sql(String),
    /// The size of the file at this path of the snapshot.
    Path(String),
}

impl Expectation {
    /// Judges the answer of a query, of a snapshot of this moment.
    #[must_use]
    pub fn judge_answer(&self, answer: Option<&str>, moment: Timestamp) -> Check {
        let Some(answer) = answer else { return self.wrong("no answer") };
        if let Some(equals) = self.equals.as_deref().filter(|equals| *equals != answer) {
            return Check { expected: Some(equals.to_owned()), ..self.wrong(answer) };
        }
        if let Some(age) = self.newer_than_snapshot {
            let Some(time) = instant(answer) else {
                return self.wrong(format!("{answer}, which isn't a time"));
            };
            let oldest = SignedDuration::try_from(age).ok().and_then(|age| moment.checked_sub(age).ok());
            if oldest.is_some_and(|oldest| time < oldest) {
                return self.wrong(answer);
            }
        }
        if self.min.is_some() || self.max.is_some() {
            let Ok(number) = answer.trim().parse::<f64>() else {
                return self.wrong(format!("{answer}, which isn't a number"));
            };
            if !self.is_within(number) {
                return self.wrong(answer);
            }
        }
        self.right(answer)
    }

    /// Judges the size of a file; none if it isn't there.
    #[must_use]
    pub fn judge_size(&self, bytes: Option<u64>) -> Check {
        let Some(bytes) = bytes else { return self.wrong("it isn't there") };
        // A size of more than 2^53 bytes loses its last digits, which no expectation has.
        let found = format!("{bytes} bytes");
        let is_within = format!("{bytes}").parse().is_ok_and(|number| self.is_within(number));
        if is_within { self.right(found) } else { self.wrong(found) }
    }

    fn is_within(&self, number: f64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// The question as it is named in evidence.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.ask {
            Question::Sql(text) | Question::Path(text) => text,
        }
    }

    /// What is expected, in words.
    fn words(&self) -> Option<String> {
        let mut words = Vec::new();
        words.extend(self.equals.iter().map(|equals| format!("exactly {equals}")));
        words.extend(self.min.map(|min| format!("at least {min}")));
        words.extend(self.max.map(|max| format!("at most {max}")));
        words.extend(
            self.newer_than_snapshot
                .map(|age| format!("at most {} s older than the snapshot", age.as_secs())),
        );
        (!words.is_empty()).then(|| words.join(", "))
    }

    fn right(&self, found: impl Into<String>) -> Check {
        let name = self.name().to_owned();
        Check { name, expected: self.words(), found: found.into(), is_right: true }
    }

    fn wrong(&self, found: impl Into<String>) -> Check {
        Check { is_right: false, ..self.right(found) }
    }
}

/// An instant as databases print it: with an offset, or in UTC; or a number of seconds or milliseconds since 1970.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let is_milliseconds = number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs();
        let read = if is_milliseconds { Timestamp::from_millisecond } else { Timestamp::from_second };
        return read(number).ok();
    }
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    text.parse::<Timestamp>().ok().or_else(in_utc)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Expectation, Question, Timestamp, instant};

    fn ask() -> Expectation {
        Expectation {
            ask: Question::Sql("select max(created_at) from orders".to_owned()),
            min: None,
            max: None,
            equals: None,
            newer_than_snapshot: None,
        }
    }

    fn moment() -> Timestamp {
        "2026-11-29T02:00:00Z".parse().expect("an instant")
    }

    #[test]
    fn numbers_have_bounds() {
        let bounds = Expectation { min: Some(1000.0), max: Some(2e6), ..ask() };
        let is_right = |answer: &str| bounds.judge_answer(Some(answer), moment()).is_right;
        assert!(is_right("1000") && is_right("1500.5") && is_right(" 2000000 "));
        assert!(!is_right("999") && !is_right("2000001") && !is_right("many") && !is_right("NaN"));
        let check = bounds.judge_answer(None, moment());
        assert_eq!((check.is_right, &*check.found), (false, "no answer"));
        assert_eq!(check.expected.as_deref(), Some("at least 1000, at most 2000000"));
    }

    #[test]
    fn texts_are_equal_or_not() {
        let paid = Expectation { equals: Some("paid".to_owned()), ..ask() };
        assert!(paid.judge_answer(Some("paid"), moment()).is_right);
        let check = paid.judge_answer(Some("open"), moment());
        assert_eq!((check.expected.as_deref(), &*check.found), (Some("paid"), "open"));
        assert!(!check.is_right);
    }

    #[test]
    fn times_are_compared_with_the_snapshot_and_not_with_the_present() {
        let fresh = Expectation { newer_than_snapshot: Some(Duration::from_secs(26 * 3600)), ..ask() };
        let is_right = |answer: &str| fresh.judge_answer(Some(answer), moment()).is_right;
        for right in ["2026-11-28 00:00:00", "2026-11-28 00:00:00+00", "2026-11-28T00:00:00Z", "1795917600"] {
            assert!(is_right(right), "{right}");
        }
        for wrong in ["2026-11-27 23:59:59", "2026-11-28 01:00:00+02", "1764200000", "yesterday", ""] {
            assert!(!is_right(wrong), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_as_databases_print_them() {
        let same = Timestamp::from_second(1_795_917_600).expect("an instant");
        for text in [
            "2026-11-29 02:00:00",
            "2026-11-29 02:00:00+00",
            "2026-11-29 03:00:00+01",
            "2026-11-29T02:00:00.000Z",
            "1795917600",
            "1795917600000",
        ] {
            assert_eq!(instant(text), Some(same), "{text}");
        }
        assert_eq!(instant("2026-11-29"), "2026-11-29T00:00:00Z".parse().ok());
    }

    #[test]
    fn a_path_must_be_there_and_have_a_size() {
        let dump = Expectation { ask: Question::Path("/srv/dump".to_owned()), min: Some(10.0), ..ask() };
        assert!(dump.judge_size(Some(10)).is_right);
        assert!(!dump.judge_size(Some(9)).is_right && !dump.judge_size(None).is_right);
        let any = Expectation { min: None, ..dump };
        assert!(any.judge_size(Some(0)).is_right && !any.judge_size(None).is_right);
    }
}
