//! Golden tables: what becomes of cron expressions when clocks change, in zones that differ in how they do it.

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::slot::PlannedSlot;
use keepfast_schedule::zone::Zone;

fn schedule(cron: &str, zone: &str) -> Schedule {
    let zone = Zone::named(zone, &TimeZoneDatabase::bundled()).expect("a zone");
    Schedule::calendar(cron.parse().expect("an expression"), zone)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// `2026-03-29 03:00+02 moved`: what the clock shows, its distance to UTC, and codes of notes.
fn line(planned: &PlannedSlot) -> String {
    let notes = planned.notes.iter().map(|note| format!(" {}", note.code())).collect::<String>();
    format!("{}{}{notes}", planned.wall.strftime("%Y-%m-%d %H:%M"), planned.offset)
}

#[track_caller]
fn assert_slots(cron: &str, zone: &str, after: &str, expected: &[&str]) {
    let schedule = schedule(cron, zone);
    let found = schedule.next_slots(at(after), at(after), expected.len());
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, expected, "{cron} in {zone}");
    let unique: std::collections::BTreeSet<_> = found.iter().map(|planned| planned.slot).collect();
    assert_eq!(unique.len(), found.len(), "a slot is unique");
    let instants = found.iter().map(|planned| planned.slot.instant());
    assert!(instants.is_sorted(), "and they come in order");
}

#[test]
fn paris_in_the_gap() {
    let assert =
        |cron, expected: &[&str]| assert_slots(cron, "Europe/Paris", "2026-03-28T23:30:00Z", expected);
    assert("30 2 * * *", &["2026-03-29 03:00+02 moved", "2026-03-30 02:30+02"]);
    assert("0 2 * * *", &["2026-03-29 03:00+02 moved", "2026-03-30 02:00+02"]);
    // Nothing is lost, and nothing runs twice.
    assert("30 1-3 * * *", &["2026-03-29 01:30+01", "2026-03-29 03:00+02 moved", "2026-03-29 03:30+02"]);
    // Two that the clock skips, and one that is due then, are one slot.
    assert("0,30 2,3 * * *", &["2026-03-29 03:00+02 moved", "2026-03-29 03:30+02", "2026-03-30 02:00+02"]);
    assert("0 */2 * * *", &["2026-03-29 03:00+02 moved", "2026-03-29 04:00+02", "2026-03-29 06:00+02"]);
    // Every hour: no hour has passed.
    assert("30 * * * *", &["2026-03-29 01:30+01", "2026-03-29 03:30+02 dropped", "2026-03-29 04:30+02"]);
    assert("0 3 * * *", &["2026-03-29 03:00+02", "2026-03-30 03:00+02"]);
}

#[test]
fn paris_in_the_fold() {
    let assert =
        |cron, expected: &[&str]| assert_slots(cron, "Europe/Paris", "2026-10-24T22:30:00Z", expected);
    assert("30 2 * * *", &["2026-10-25 02:30+02 once-of-two", "2026-10-26 02:30+01"]);
    assert(
        "30 1-3 * * *",
        &["2026-10-25 01:30+02", "2026-10-25 02:30+02 once-of-two", "2026-10-25 03:30+01 hole"],
    );
    assert(
        "0 */2 * * *",
        &["2026-10-25 02:00+02 once-of-two", "2026-10-25 04:00+01 hole", "2026-10-25 06:00+01"],
    );
    assert(
        "30 * * * *",
        &[
            "2026-10-25 01:30+02",
            "2026-10-25 02:30+02 both-of-two",
            "2026-10-25 02:30+01 both-of-two",
            "2026-10-25 03:30+01",
        ],
    );
    assert("0 3 * * *", &["2026-10-25 03:00+01", "2026-10-26 03:00+01"]);
}

#[test]
fn new_york() {
    let assert = |cron, after, expected: &[&str]| assert_slots(cron, "America/New_York", after, expected);
    assert("15 2 * * *", "2026-03-08T05:00:00Z", &["2026-03-08 03:00-04 moved", "2026-03-09 02:15-04"]);
    assert("15 1 * * *", "2026-11-01T04:00:00Z", &["2026-11-01 01:15-04 once-of-two", "2026-11-02 01:15-05"]);
    assert("0 2 * * sun", "2026-11-01T04:00:00Z", &["2026-11-01 02:00-05", "2026-11-08 02:00-05"]);
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let assert = |cron, after, expected: &[&str]| assert_slots(cron, "Australia/Lord_Howe", after, expected);
    // The gap is from 02:00 to 02:30 on October 4.
    assert("15 2 * * *", "2026-10-03T14:00:00Z", &["2026-10-04 02:30+11 moved", "2026-10-05 02:15+11"]);
    assert("30 2 * * *", "2026-10-03T14:00:00Z", &["2026-10-04 02:30+11", "2026-10-05 02:30+11"]);
    assert("*/15 2 * * *", "2026-10-03T14:00:00Z", &["2026-10-04 02:30+11 moved", "2026-10-04 02:45+11"]);
    assert(
        "0 * * * *",
        "2026-10-03T14:00:00Z",
        &["2026-10-04 01:00+10:30", "2026-10-04 03:00+11 dropped", "2026-10-04 04:00+11"],
    );
    // The fold is from 01:30 to 02:00 on April 5.
    assert(
        "45 1 * * *",
        "2026-04-04T14:00:00Z",
        &["2026-04-05 01:45+11 once-of-two", "2026-04-06 01:45+10:30"],
    );
    assert("15 1 * * *", "2026-04-04T13:00:00Z", &["2026-04-05 01:15+11", "2026-04-06 01:15+10:30"]);
    assert(
        "*/15 * * * *",
        "2026-04-04T14:29:00Z",
        &[
            "2026-04-05 01:30+11 both-of-two",
            "2026-04-05 01:45+11 both-of-two",
            "2026-04-05 01:30+10:30 both-of-two",
            "2026-04-05 01:45+10:30 both-of-two",
            "2026-04-05 02:00+10:30",
        ],
    );
}

#[test]
fn cairo_changes_at_midnight() {
    let assert = |cron, after, expected: &[&str]| assert_slots(cron, "Africa/Cairo", after, expected);
    // From Friday 00:00 to 01:00; a slot of Friday stays on Friday.
    assert("0 0 * * *", "2026-04-23T12:00:00Z", &["2026-04-24 01:00+03 moved", "2026-04-25 00:00+03"]);
    assert("30 0 * * fri", "2026-04-23T12:00:00Z", &["2026-04-24 01:00+03 moved", "2026-05-01 00:30+03"]);
    // From Friday 00:00 back to Thursday 23:00: Thursday has its last hour twice.
    assert(
        "30 23 * * *",
        "2026-10-29T12:00:00Z",
        &["2026-10-29 23:30+03 once-of-two", "2026-10-30 23:30+02"],
    );
    assert("0 0 * * *", "2026-10-29T12:00:00Z", &["2026-10-30 00:00+02", "2026-10-31 00:00+02"]);
}

#[test]
fn kathmandu_and_utc_never_change() {
    assert_slots("30 2 * * *", "Asia/Kathmandu", "2026-03-28T12:00:00Z", &["2026-03-29 02:30+05:45"]);
    assert_slots(
        "30 1-3 * * *",
        "UTC",
        "2026-03-29T01:00:00Z",
        &["2026-03-29 01:30+00", "2026-03-29 02:30+00"],
    );
    assert_slots(
        "59 23 L * *",
        "UTC",
        "2028-02-01T00:00:00Z",
        &["2028-02-29 23:59+00", "2028-03-31 23:59+00"],
    );
}

/// A day that a whole country never had.
#[test]
fn apia_has_no_thirtieth_of_december_2011() {
    assert_slots(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        &["2011-12-29 12:00-10", "2011-12-31 00:00+14 moved", "2011-12-31 12:00+14"],
    );
}

#[test]
fn notes_say_what_happens() {
    let note = |cron, after| {
        let slots = schedule(cron, "Europe/Paris").next_slots(at(after), at(after), 3);
        slots.iter().flat_map(|planned| &planned.notes).map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        note("30 2 * * *", "2026-03-28T12:00:00Z"),
        ["the clock skips 02:30: this runs right after the gap instead"]
    );
    assert_eq!(
        note("*/30 2,3 * * *", "2026-03-28T12:00:00Z"),
        [
            "the clock skips 02:00 to 02:30 (2 times): this runs right after the gap instead, together with the run that is due then"
        ]
    );
    assert_eq!(
        note("0 */2 * * *", "2026-10-24T23:00:00Z"),
        [
            "the clock shows this time twice: this runs the first time, and not again at 2026-10-25T01:00:00Z",
            "3 h pass since the run at 2026-10-25T00:00:00Z, though the clock shows 2 h"
        ]
    );
    assert_eq!(
        note("30 * * * *", "2026-03-29T00:30:00Z"),
        ["the clock has skipped 02:30 since the run before: nothing runs for that time"]
    );
}

/// The first slot of a listing has its distance to the one before, too.
#[test]
fn a_listing_that_begins_in_a_hole_says_so() {
    assert_slots("0 */2 * * *", "Europe/Paris", "2026-10-25T00:00:00Z", &["2026-10-25 04:00+01 hole"]);
}

#[test]
fn an_expression_that_never_matches_ends_the_search() {
    for cron in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"] {
        assert_eq!(
            schedule(cron, "Europe/Paris").next(at("2026-01-01T00:00:00Z"), Timestamp::MIN),
            None,
            "{cron}"
        );
    }
    assert_slots("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", &["2104-02-29 00:00+00"]);
    assert_slots("0 0 * 2 1#5", "UTC", "2080-01-01T00:00:00Z", &["2112-02-29 00:00+00"]);
}

#[test]
fn slots_end_with_the_calendar() {
    let schedule = schedule("0 0 1 1 *", "Europe/Paris");
    assert_eq!(schedule.next(Timestamp::MAX, Timestamp::MIN), None);
    assert!(schedule.newest(Timestamp::MAX, Timestamp::MIN).is_some());
    assert!(!schedule.count(Timestamp::MIN, Timestamp::MAX, Timestamp::MIN).is_exact);
}
