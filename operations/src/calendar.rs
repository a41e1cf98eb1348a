//! Retention by the calendar of a time zone.

use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, Zoned};
use keepfast_engine::retention::{Calendar, Candidate, Civil, Group, GroupBy, Policy, Span, decide};
use keepfast_format::node::Timestamp;

use crate::error::Result;
use crate::times;

/// Decides what becomes of each snapshot by the calendar of a time zone. `now` is the present.
///
/// Fails if the policy says nothing about what to keep.
pub fn decide_in<'a>(
    zone: &TimeZone,
    snapshots: &[Candidate<'a>],
    policy: &Policy,
    by: GroupBy,
    now: Timestamp,
) -> Result<Vec<Group<'a>>> {
    let calendar =
        Calendar { civil: &|time| civil(zone, time), before: &|time, span| before(zone, time, span) };
    Ok(decide(snapshots, policy, by, calendar, now)?)
}

/// What calendar and clock show in a zone. Times beyond the calendar are taken for its edges.
fn civil(zone: &TimeZone, time: Timestamp) -> Civil {
    let zoned = zoned(zone, time);
    let week = zoned.date().iso_week_date();
    Civil {
        year: zoned.year(),
        month: zoned.month().unsigned_abs(),
        day: zoned.day().unsigned_abs(),
        hour: zoned.hour().unsigned_abs(),
        offset_seconds: zoned.offset().seconds(),
        iso_year: week.year(),
        iso_week: week.week().unsigned_abs(),
    }
}

/// The time that lies a span before another. Where a month is too short, it is its last day; days
/// end at the same hour of the clock, as far as there is one; hours are hours.
fn before(zone: &TimeZone, time: Timestamp, span: Span) -> Timestamp {
    let earlier = || {
        let span = jiff::Span::new()
            .try_years(span.years)?
            .try_months(span.months)?
            .try_weeks(span.weeks)?
            .try_days(span.days)?
            .try_hours(span.hours)?;
        zoned(zone, time).checked_sub(span)
    };
    // Before the calendar's first day there is only the earliest time.
    let earlier = earlier().map_or(Instant::MIN, |zoned| zoned.timestamp());
    times::stamp(earlier)
}

fn zoned(zone: &TimeZone, time: Timestamp) -> Zoned {
    let edge = if time.seconds < 0 { Instant::MIN } else { Instant::MAX };
    Instant::new(time.seconds, time.nanos.cast_signed()).unwrap_or(edge).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use keepfast_format::node::Timestamp;

    use super::{before, civil};
    use crate::{span, times};

    /// Central Europe by its present rule, without a database of zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule")
    }

    fn time(text: &str) -> Timestamp {
        times::stamp(text.parse().expect(text))
    }

    #[test]
    fn a_span_before_is_by_the_calendar() {
        for (from, text, expected) in [
            ("2026-03-31T10:00:00Z", "1m", "2026-02-28T10:00:00Z"),
            ("2024-03-31T10:00:00Z", "1m", "2024-02-29T10:00:00Z"),
            ("2024-02-29T10:00:00Z", "1y", "2023-02-28T10:00:00Z"),
            ("2026-01-15T10:00:00Z", "1y2m10d3h", "2024-11-05T07:00:00Z"),
            ("2026-01-01T00:00:00Z", "2w", "2025-12-18T00:00:00Z"),
            ("2026-11-20T10:00:00.5Z", "30d", "2026-10-21T10:00:00.5Z"),
            ("1970-01-02T00:00:00.25Z", "2d", "1969-12-31T00:00:00.25Z"),
            ("1960-05-05T05:05:05.000000001Z", "5h", "1960-05-05T00:05:05.000000001Z"),
        ] {
            let span = span::parse(text).expect(text);
            assert_eq!(before(&TimeZone::UTC, time(from), span), time(expected), "{text} before {from}");
        }
    }

    /// Clocks go forward on 2026-03-29 and back on 2026-10-25.
    #[test]
    fn a_day_before_is_the_same_hour_of_the_clock_and_24_hours_are_not() {
        for (from, text, expected) in [
            ("2026-03-29T12:00:00+02:00", "1d", "2026-03-28T12:00:00+01:00"),
            ("2026-03-29T12:00:00+02:00", "24h", "2026-03-28T11:00:00+01:00"),
            ("2026-10-25T12:00:00+01:00", "1d", "2026-10-24T12:00:00+02:00"),
            ("2026-10-25T12:00:00+01:00", "24h", "2026-10-24T13:00:00+02:00"),
            // 02:30 didn't exist on that day.
            ("2026-03-30T02:30:00+02:00", "1d", "2026-03-29T03:30:00+02:00"),
        ] {
            let span = span::parse(text).expect(text);
            assert_eq!(before(&berlin(), time(from), span), time(expected), "{text} before {from}");
        }
    }

    #[test]
    fn too_long_ago_is_the_earliest_time() {
        let all = Timestamp { seconds: jiff::Timestamp::MIN.as_second(), nanos: 0 };
        for text in ["100000y", "20000y", "100000m100000w100000d2000y"] {
            assert_eq!(
                before(&TimeZone::UTC, time("2026-01-01T00:00:00Z"), span::parse(text).expect(text)),
                all
            );
        }
    }

    #[test]
    fn the_clock_shows_the_hour_of_its_zone() {
        let shown = civil(&berlin(), time("2026-12-31T23:30:00Z"));
        assert_eq!((shown.year, shown.month, shown.day, shown.hour), (2027, 1, 1, 0));
        assert_eq!((shown.iso_year, shown.iso_week, shown.offset_seconds), (2026, 53, 3600));
        let shown = civil(&TimeZone::UTC, time("1969-12-31T23:59:59.5Z"));
        assert_eq!((shown.year, shown.month, shown.day, shown.hour), (1969, 12, 31, 23));
        assert_eq!((shown.iso_year, shown.iso_week), (1970, 1));
    }

    #[test]
    fn iso_weeks_belong_to_the_year_of_their_thursday() {
        for (day, year, week) in [
            ("2024-12-29", 2024, 52),
            ("2024-12-30", 2025, 1),
            ("2026-12-31", 2026, 53),
            ("2027-01-03", 2026, 53),
            ("2027-01-04", 2027, 1),
            ("2023-01-01", 2022, 52),
        ] {
            let shown = civil(&TimeZone::UTC, time(&format!("{day}T12:00:00Z")));
            assert_eq!((shown.iso_year, shown.iso_week), (year, week), "{day}");
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_its_edges() {
        let far = |seconds| civil(&TimeZone::UTC, Timestamp { seconds, nanos: 999_999_999 }).year;
        assert_eq!((far(i64::MIN), far(i64::MAX)), (-9999, 9999));
    }
}
