//! Points in time as people write them, and as the system and other libraries have them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Instant, Zoned};
use keepfast_format::node::Timestamp;
use serde::Serializer;

use crate::error::{Result, TextError};

/// How far ahead of this clock another one may be: clocks of machines differ.
const CLOCKS_DIFFER_S: i64 = 300;

/// The end of the time that a text names, in this time zone unless the text says another. A time is
/// all of its last given unit: a day lasts until midnight, a minute until the next one, and a second, as
/// `keepfast snapshots` shows it, has its fractions. A fraction is that moment.
pub fn end_of(text: &str, zone: &TimeZone) -> Result<Timestamp> {
    let wrong = || TextError::Time(text.to_owned());
    let rest = rest_of_unit(text).ok_or_else(wrong)?;
    let end = if let Ok(time) = text.parse::<Instant>() {
        time.checked_add(rest)
    } else {
        // A zone's name without an offset would be passed over by the other.
        let (civil, zone) = match text.parse::<Zoned>() {
            Ok(zoned) => (zoned.datetime(), zoned.time_zone().clone()),
            Err(_) => (text.parse::<DateTime>().map_err(|_| wrong())?, zone.clone()),
        };
        // An hour that a clock shows twice lasts until it has shown it the second time.
        civil.checked_add(rest).and_then(|last| zone.to_ambiguous_timestamp(last).later())
    };
    Ok(end.map(stamp).map_err(|_| wrong())?)
}

/// What of the last given unit is to come after its beginning.
fn rest_of_unit(text: &str) -> Option<Span> {
    // The date has dashes of its own, and no `T` or space.
    let clock = text.trim().split_once(['T', 't', ' ']).map_or("", |(_, clock)| clock);
    let clock = clock.split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default().trim();
    let whole = match clock.chars().filter(char::is_ascii_digit).count() {
        0 => Span::new().hours(24),
        _ if clock.contains(['.', ',']) => return Some(Span::new()),
        2 => Span::new().hours(1),
        4 => Span::new().minutes(1),
        6 => Span::new().seconds(1),
        _ => return None,
    };
    whole.checked_sub(Span::new().nanoseconds(1)).ok()
}

/// A time as snapshots have it.
pub fn stamp(time: Instant) -> Timestamp {
    let nanos = time.subsec_nanosecond();
    // Before 1970 they count backwards there.
    let borrowed = i32::from(nanos < 0);
    Timestamp {
        seconds: time.as_second() - i64::from(borrowed),
        nanos: (nanos + borrowed * 1_000_000_000).unsigned_abs(),
    }
}

/// A time as RFC 3339 in UTC. One beyond the calendar is a number of seconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    let nanos = time.nanos.cast_signed();
    Instant::new(time.seconds, nanos).map_or_else(|_| time.seconds.to_string(), |time| time.to_string())
}

/// Writes a time as [`rfc3339`] does, for `serialize_with`.
pub(crate) fn serialize_rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// Whether a time is later than the present by more than clocks differ.
pub fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.seconds.saturating_sub(now.seconds) > CLOCKS_DIFFER_S
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Timestamp, end_of, is_ahead};

    /// Central Europe by its present rule, without a database of zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule")
    }

    fn end(text: &str, zone: &TimeZone) -> String {
        let end = end_of(text, zone).unwrap_or_else(|error| panic!("{text}: {error}"));
        jiff::Timestamp::new(end.seconds, i32::try_from(end.nanos).expect("nanoseconds"))
            .expect("a time")
            .to_string()
    }

    #[test]
    fn a_time_is_all_of_its_last_given_unit() {
        for (text, expected) in [
            ("2026-01-15", "2026-01-15T23:59:59.999999999Z"),
            ("20260115", "2026-01-15T23:59:59.999999999Z"),
            ("2026-01-15 14", "2026-01-15T14:59:59.999999999Z"),
            ("2026-01-15 14:30", "2026-01-15T14:30:59.999999999Z"),
            ("2026-01-15T1430", "2026-01-15T14:30:59.999999999Z"),
            ("2026-01-15 14:30:07", "2026-01-15T14:30:07.999999999Z"),
            ("2026-01-15 14:30:07.25", "2026-01-15T14:30:07.25Z"),
            ("2026-01-15T14:30:00Z", "2026-01-15T14:30:00.999999999Z"),
            ("2026-01-15T14:30:00.000Z", "2026-01-15T14:30:00Z"),
            ("2026-01-15T14:30:00+02:00", "2026-01-15T12:30:00.999999999Z"),
            ("2026-01-15T14:30-05:00", "2026-01-15T19:30:59.999999999Z"),
            ("2026-01-15T14:30[+02:00]", "2026-01-15T12:30:59.999999999Z"),
            ("1969-12-31 23:59:58", "1969-12-31T23:59:58.999999999Z"),
        ] {
            assert_eq!(end(text, &TimeZone::UTC), expected, "{text}");
        }
    }

    /// Clocks go forward on 2026-03-29 at two, and back on 2026-10-25 at three.
    #[test]
    fn a_day_has_the_hours_that_its_clock_shows() {
        for (text, expected) in [
            ("2026-03-29", "2026-03-29T21:59:59.999999999Z"),
            ("2026-10-25", "2026-10-25T22:59:59.999999999Z"),
            ("2026-10-25 01:59", "2026-10-24T23:59:59.999999999Z"),
            ("2026-10-25 02:30", "2026-10-25T01:30:59.999999999Z"),
            ("2026-03-29 02:30", "2026-03-29T01:30:59.999999999Z"),
        ] {
            assert_eq!(end(text, &berlin()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "2026", "2026-13-01", "2026-01-15 25:00", "14:30", "2026-01-15 14:3"] {
            let error = end_of(text, &TimeZone::UTC).expect_err(text);
            assert!(error.to_string().contains("isn't a time"), "{text}: {error}");
        }
    }

    #[test]
    fn clocks_may_differ_by_minutes() {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        assert!(!is_ahead(at(1300), at(1000)) && !is_ahead(at(0), at(1000)));
        assert!(is_ahead(at(1301), at(1000)) && is_ahead(at(i64::MAX), at(-5)));
    }
}
