//! Spans of time as users write them: `30d`, `1y6m`, `2w`, `12h`, in any order.

use keepfast_engine::retention::Span;

use crate::error::{Result, SpanFlaw, TextError};

/// Longer than any calendar reaches, and short enough to be counted in any unit.
const NUMBER_MAX: u32 = 100_000;

/// Reads a span: numbers with units, each unit at most once, and not zero altogether.
pub fn parse(text: &str) -> Result<Span> {
    Ok(read(text).map_err(|why| TextError::Span { text: text.to_owned(), why })?)
}

fn read(text: &str) -> Result<Span, SpanFlaw> {
    let mut span = Span::default();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(SpanFlaw::NoUnit)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next().unwrap_or_default();
        let field = match unit {
            'y' => &mut span.years,
            'm' => &mut span.months,
            'w' => &mut span.weeks,
            'd' => &mut span.days,
            'h' => &mut span.hours,
            _ => return Err(SpanFlaw::UnknownUnit(unit)),
        };
        if number.is_empty() {
            return Err(SpanFlaw::NoNumber);
        }
        let number = number.parse().ok().filter(|number| *number <= NUMBER_MAX);
        let number = number.ok_or(SpanFlaw::TooLong)?;
        // A zero would hide that its unit was there before.
        if number == 0 {
            return Err(SpanFlaw::Zero);
        }
        if *field != 0 {
            return Err(SpanFlaw::UnitTwice);
        }
        *field = number;
        rest = &after[unit.len_utf8()..];
    }
    if span.is_zero() { Err(SpanFlaw::Nothing) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::{Span, parse};

    #[test]
    fn spans_are_numbers_with_units() {
        let read = |text| parse(text).expect(text);
        assert_eq!(read("30d"), Span { days: 30, ..Span::default() });
        assert_eq!(read("2w"), Span { weeks: 2, ..Span::default() });
        assert_eq!(read("12h"), Span { hours: 12, ..Span::default() });
        assert_eq!(read("1y6m"), Span { years: 1, months: 6, ..Span::default() });
        assert_eq!(read("1y2m10d3h"), Span { years: 1, months: 2, days: 10, hours: 3, ..Span::default() });
        assert_eq!(read("3h10d"), read("10d3h"), "in any order");
        assert_eq!(read("100000d").days, 100_000);
    }

    #[test]
    fn a_span_survives_being_written() {
        for text in ["1y", "6m", "1y6m2w3d12h", "30d", "99999h"] {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_span_is_refused_and_says_why() {
        for (text, why) in [
            ("", "no time at all"),
            ("0d", "a zero"),
            ("1y0d", "a zero"),
            ("30", "lacks a unit"),
            ("1y30", "lacks a unit"),
            ("d", "lacks a number"),
            ("1dd", "lacks a number"),
            ("1d2d", "a unit twice"),
            ("30D", "'D'"),
            ("30s", "'s'"),
            ("-3d", "'-'"),
            ("+3d", "'+'"),
            ("1.5d", "'.'"),
            ("1d 2h", "' '"),
            ("3ä", "'ä'"),
            ("100001d", "any calendar"),
            ("99999999999999999999d", "any calendar"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
