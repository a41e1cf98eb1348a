//! What the tests of retention share: snapshots in a few words, and a calendar without time
//! zones. (Real ones are tried in the program, which has a library for them.)

use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::node::Timestamp;

use super::{Calendar, Candidate, Civil, Decision, Group, GroupBy, Policy, PolicyError, Span, decide};

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 24 * HOUR;

/// A snapshot that owns what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub number: u8,
    pub writer: HolderId,
    pub time: Timestamp,
    pub edition: u64,
    pub host: String,
    pub paths: Vec<Vec<u8>>,
    pub tags: Vec<String>,
    pub protected: bool,
    pub is_complete: bool,
}

impl Made {
    pub fn new(number: u8, seconds: i64) -> Self {
        Self {
            number,
            writer: HolderId::new([1; 8]),
            time: Timestamp { seconds, nanos: 0 },
            edition: 0,
            host: "ann".to_owned(),
            paths: vec![b"/home".to_vec()],
            tags: Vec::new(),
            protected: false,
            is_complete: true,
        }
    }

    pub fn edition(self, edition: u64) -> Self {
        Self { edition, ..self }
    }

    pub fn writer(self, number: u8) -> Self {
        Self { writer: HolderId::new([number; 8]), ..self }
    }

    pub fn host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    pub fn paths(self, paths: &[&str]) -> Self {
        Self { paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(), ..self }
    }

    pub fn tags(self, tags: &[&str]) -> Self {
        Self { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..self }
    }

    pub fn incomplete(self) -> Self {
        Self { is_complete: false, ..self }
    }

    pub fn protected(self) -> Self {
        Self { protected: true, ..self }
    }

    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            id: id(self.number),
            writer: self.writer,
            time: self.time,
            edition: self.edition,
            host: &self.host,
            paths: &self.paths,
            tags: &self.tags,
            protected: self.protected,
            is_complete: self.is_complete,
        }
    }
}

pub fn id(number: u8) -> SessionId {
    SessionId { writer: HolderId::new([1; 8]), random: [number; 16] }
}

pub const LATE: Timestamp = Timestamp { seconds: i64::MAX, nanos: 0 };

/// Snapshots of one group at these times, numbered from 0 on.
pub fn row(times: &[&str]) -> Vec<Made> {
    (0..).zip(times).map(|(number, time)| Made::new(number, seconds(time))).collect()
}

/// The verdicts in UTC.
pub fn decide_at<'a>(
    made: &'a [Made],
    policy: &Policy,
    by: GroupBy,
    now: Timestamp,
) -> Result<Vec<Group<'a>>, PolicyError> {
    let candidates: Vec<_> = made.iter().map(Made::candidate).collect();
    decide(&candidates, policy, by, Calendar { civil: &civil, before: &before }, now)
}

/// The verdicts on snapshots of one group, oldest first.
pub fn judged<'a>(made: &'a [Made], policy: &Policy) -> Vec<Decision<'a>> {
    let mut groups = decide_at(made, policy, GroupBy::default(), LATE).expect("a policy that says something");
    assert_eq!(groups.len(), 1);
    groups.remove(0).decisions
}

/// Months of 30 days and years of 365: not a real calendar, but a longer span never ends later.
pub fn before(time: Timestamp, span: Span) -> Timestamp {
    let days = i64::from(span.years) * 365
        + i64::from(span.months) * 30
        + i64::from(span.weeks) * 7
        + i64::from(span.days);
    let seconds = time.seconds.saturating_sub(days * DAY + i64::from(span.hours) * HOUR);
    Timestamp { seconds, ..time }
}

/// UTC, by counting days one year and one month after the other.
pub fn civil(time: Timestamp) -> Civil {
    let days = time.seconds.div_euclid(DAY);
    let (year, month, day) = date(days);
    // A week belongs to the year of its Thursday; day 0 was one.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (iso_year, ..) = date(thursday);
    let week = (thursday - first_of(iso_year)) / 7 + 1;
    Civil {
        year: small(year),
        month,
        day,
        hour: small(time.seconds.rem_euclid(DAY) / HOUR),
        offset_seconds: 0,
        iso_year: small(iso_year),
        iso_week: small(week),
    }
}

/// A number of a date of these tests, none of which is far from 1970.
fn small<T: TryFrom<i64, Error: std::fmt::Debug>>(number: i64) -> T {
    T::try_from(number).expect("dates of tests are near 1970")
}

/// Seconds since 1970 of a text such as `2026-11-20 14:30`; the time may be missing.
pub fn seconds(text: &str) -> i64 {
    let numbers: Vec<i64> =
        text.split(['-', ' ', ':']).map(|number| number.parse().expect("a number")).collect();
    let (year, month, day) = (numbers[0], numbers[1], numbers[2]);
    let months = months(year).iter().take(small::<usize>(month) - 1).sum::<i64>();
    let hours = numbers.get(3).copied().unwrap_or(0);
    let minutes = numbers.get(4).copied().unwrap_or(0);
    (first_of(year) + months + day - 1) * DAY + hours * HOUR + minutes * 60
}

fn months(year: i64) -> [i64; 12] {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

fn first_of(year: i64) -> i64 {
    let length = |year| months(year).iter().sum::<i64>();
    (1970..year).map(length).sum::<i64>() - (year..1970).map(length).sum::<i64>()
}

fn date(days: i64) -> (i64, u8, u8) {
    let mut year = 1970 + days.div_euclid(365);
    while first_of(year) > days {
        year -= 1;
    }
    while first_of(year + 1) <= days {
        year += 1;
    }
    let mut rest = days - first_of(year);
    for (month, length) in (1..).zip(months(year)) {
        if rest < length {
            return (year, month, small::<u8>(rest) + 1);
        }
        rest -= length;
    }
    unreachable!("a day is in a month of its year")
}
