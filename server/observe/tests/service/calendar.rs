//! Schedules of cron as calendars of systemd: its own tool says when these come, and a plain reading of the
//! schedule says when they should.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::{DateTime, date};
use keepfast_observe::service::{Calendar, UnitError};

use crate::systemd::analyze;

/// The next instants of an expression, in UTC to the minute.
pub fn next(expression: &str, base: &str, count: usize) -> Vec<String> {
    let (count, base) = (format!("--iterations={count}"), format!("--base-time={base}"));
    let (content, said) = analyze(&["calendar", &count, &base, expression]);
    assert!(content, "{expression}: {said}");
    let instants = said.lines().filter(|line| line.contains("Next elapse:") || line.contains("Iter. #"));
    // `Next elapse: Mon 2026-11-09 01:00:00 UTC`
    let instant = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().rev().take(3).collect();
        assert_eq!(words[0], "UTC", "{line}");
        format!("{} {}", words[2], &words[1][..5])
    };
    instants.map(instant).collect()
}

/// Minute, hour, day of the month, month, day of the week: whether a moment fits.
type Fields<'f> = [&'f dyn Fn(DateTime) -> bool; 5];

/// Whether a schedule has this minute, read as plainly as can be.
fn has(cron: Fields<'_>, at: DateTime, either_day: bool) -> bool {
    let [minute, hour, day, month, weekday] = cron.map(|field| field(at));
    let days = if either_day { day || weekday } else { day && weekday };
    minute && hour && month && days
}

#[test]
fn systemd_comes_when_the_schedule_says() {
    let any = |_: DateTime| true;
    let minute = |of: &'static [i8]| move |at: DateTime| of.contains(&at.minute());
    let hour = |of: &'static [i8]| move |at: DateTime| of.contains(&at.hour());
    let day = |of: &'static [i8]| move |at: DateTime| of.contains(&at.day());
    let month = |of: &'static [i8]| move |at: DateTime| of.contains(&at.month());
    // From Monday as 1 to Sunday as 7.
    let weekday = |of: &'static [i8]| move |at: DateTime| of.contains(&at.weekday().to_monday_one_offset());
    let nth = |of: i8, n: i8| {
        move |at: DateTime| at.weekday().to_monday_one_offset() == of && (at.day() - 1) / 7 + 1 == n
    };
    let last_day = |at: DateTime| at.day() == at.days_in_month();
    let last = |of: i8| {
        move |at: DateTime| at.weekday().to_monday_one_offset() == of && at.day() + 7 > at.days_in_month()
    };

    let zero = minute(&[0]);
    let thirty = minute(&[30]);
    let (one, two, four, midnight) = (hour(&[1]), hour(&[2]), hour(&[4]), hour(&[0]));
    let sevens = minute(&[0, 7, 14, 21, 28, 35, 42, 49, 56]);
    let fives = minute(&[5, 20, 35, 50]);
    let work = hour(&[9, 11, 13, 15, 17]);
    let (first, both, thirteenth) = (day(&[1]), day(&[1, 15]), day(&[13]));
    let odd_days = day(&[2, 12, 22]);
    let (january, quarters, summer) = (month(&[1]), month(&[1, 4, 7, 10]), month(&[6, 7, 8]));
    let (sunday, friday, workdays, weekend) =
        (weekday(&[7]), weekday(&[5]), weekday(&[1, 2, 3, 4, 5]), weekday(&[5, 6, 7]));
    let (second_tuesday, fifth_monday, last_friday) = (nth(2, 2), nth(1, 5), last(5));
    let tuesday_or = |at: DateTime| nth(2, 2)(at) || at.weekday().to_monday_one_offset() == 6;
    let first_or_last = |at: DateTime| at.day() == 1 || last_day(at);
    let table: [(&str, Fields<'_>, bool); 22] = [
        ("30 1 * * *", [&thirty, &one, &any, &any, &any], false),
        ("*/7 4 * * *", [&sevens, &four, &any, &any, &any], false),
        ("5/15 2 * * ?", [&fives, &two, &any, &any, &any], false),
        ("0 9-17/2 * * 1-5", [&zero, &work, &any, &any, &workdays], false),
        ("0 9-17/2 * * mon-fri", [&zero, &work, &any, &any, &workdays], false),
        ("0 4 * * 0", [&zero, &four, &any, &any, &sunday], false),
        ("0 4 * * 7", [&zero, &four, &any, &any, &sunday], false),
        ("0 4 * * FRI-SUN", [&zero, &four, &any, &any, &weekend], false),
        ("0 4 1,15 * *", [&zero, &four, &both, &any, &any], false),
        ("0 4 2/10 6-8 *", [&zero, &four, &odd_days, &summer, &any], false),
        ("0 0 1 JAN,APR,JUL,OCT *", [&zero, &midnight, &first, &quarters, &any], false),
        ("30 2 13 * FRI", [&thirty, &two, &thirteenth, &any, &friday], true),
        ("0 4 L * *", [&zero, &four, &last_day, &any, &any], false),
        ("0 4 1,L * *", [&zero, &four, &first_or_last, &any, &any], false),
        ("0 4 * * TUE#2", [&zero, &four, &any, &any, &second_tuesday], false),
        ("0 4 * * 1#5", [&zero, &four, &any, &any, &fifth_monday], false),
        ("0 4 * * 5L", [&zero, &four, &any, &any, &last_friday], false),
        ("0 4 * * FRIL", [&zero, &four, &any, &any, &last_friday], false),
        ("0 4 * * SAT,TUE#2", [&zero, &four, &any, &any, &tuesday_or], false),
        ("0 4 L * 0", [&zero, &four, &last_day, &any, &sunday], true),
        ("@yearly", [&zero, &midnight, &first, &january, &any], false),
        ("@weekly", [&zero, &midnight, &any, &any, &sunday], false),
    ];
    for (cron, fields, either_day) in table {
        let calendar = Calendar::from_cron(cron, "UTC").expect(cron);
        let from_systemd: BTreeSet<String> =
            calendar.lines().iter().flat_map(|line| next(line, "2027-12-15 12:30 UTC", 24)).collect();
        // Each expression has its own 24; the first ones of all are those of the schedule.
        let mut expected = Vec::new();
        let mut at = date(2027, 12, 15).at(12, 31, 0, 0);
        while expected.len() < 12 && at.year() < 2045 {
            if has(fields, at, either_day) {
                expected.push(at.strftime("%Y-%m-%d %H:%M").to_string());
            }
            at = at.checked_add(1.minute()).expect("in range");
        }
        let found: Vec<String> = from_systemd.into_iter().take(expected.len()).collect();
        assert_eq!(found, expected, "{cron} as {:?}", calendar.lines());
    }
}

#[test]
fn the_zone_is_that_of_the_schedule() {
    let calendar = Calendar::from_cron("30 1 * * *", "America/New_York").expect("a schedule");
    assert_eq!(calendar.lines(), ["*-*-* 01:30:00 America/New_York"]);
    assert_eq!(next(&calendar.lines()[0], "2026-07-01 00:00 UTC", 1), ["2026-07-01 05:30"]);
}

#[test]
fn what_no_timer_can_keep_is_refused_with_the_reason() {
    for (cron, why) in [
        ("0 4 15W * *", "nearest workday"),
        ("0 4 LW * *", "nearest workday"),
        ("0 4 * *", "4 fields instead of 5"),
        ("0 0 4 * * *", "6 fields instead of 5"),
        ("60 4 * * *", "isn't a minute from 0 to 59"),
        ("0 24 * * *", "isn't a hour"),
        ("0 4 0 * *", "isn't a day of the month"),
        ("0 4 31 2,4 *", "no such day"),
        ("0 4 * 13 *", "isn't a month"),
        ("0 4 * * 8", "isn't a day of the week"),
        ("0 4 * * 1#6", "isn't from #1 to #5"),
        ("*/0 4 * * *", "no step"),
        ("30-10 4 * * *", "backwards"),
        ("0 4 * * MONDAY", "isn't a day of the week"),
        ("+5 4 * * *", "isn't a minute"),
        ("0,,5 4 * * *", "isn't a minute"),
        ("", "0 fields"),
        ("0 4 é * *", "isn't a day of the month"),
        ("0 4 * * éL", "isn't a day of the week"),
    ] {
        let error = Calendar::from_cron(cron, "UTC").expect_err(cron);
        assert!(
            matches!(error, UnitError::Cron { .. }) && error.to_string().contains(why),
            "{cron}: {error}"
        );
    }
    for zone in ["", "Europe/Paris\nExecStart=x", "a b", "%h"] {
        assert!(matches!(Calendar::from_cron("0 4 * * *", zone), Err(UnitError::TimeZone(_))), "{zone:?}");
    }
}
