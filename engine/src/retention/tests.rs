//! Retention by example: calendars that can be checked by hand.

use keepfast_format::node::Timestamp;

use super::testing::{DAY, HOUR, LATE, Made, before, civil, decide_at, id, judged, row, seconds};
use super::{
    Calendar, Civil, Count, Decision, GroupBy, Policy, PolicyError, Reason, Span, Verdict, decide, has_tag,
};

/// `+` and its reasons or `-` and what it missed, for each snapshot from old to new.
fn said(decisions: &[Decision<'_>]) -> Vec<String> {
    let join = |texts: Vec<String>| texts.join("; ");
    decisions
        .iter()
        .map(|decision| match &decision.verdict {
            Verdict::Keep(reasons) => {
                format!("+ {}", join(reasons.iter().map(ToString::to_string).collect()))
            }
            Verdict::Forget(misses) => {
                format!("- {}", join(misses.iter().map(ToString::to_string).collect()))
            }
        })
        .collect()
}

/// The numbers of those that stay, from old to new.
fn kept(decisions: &[Decision<'_>]) -> Vec<u8> {
    let kept = decisions.iter().filter(|decision| decision.verdict.keeps());
    kept.map(|decision| decision.snapshot.id.random[0]).collect()
}

fn n(number: u32) -> Option<Count> {
    Some(Count::Number(number))
}

fn days(days: u32) -> Option<Span> {
    Some(Span { days, ..Span::default() })
}

/// Bad runs push no good snapshot out: the floor counts complete ones alone, from the newest on, and only fills up.
#[test]
fn the_newest_complete_snapshots_stay_whatever_the_rules_say() {
    let mut made = row(&["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]);
    made[3] = made[3].clone().incomplete();
    made[4] = made[4].clone().incomplete();
    let policy = Policy { last: n(1), at_least: 2, ..Policy::default() };
    let decided = judged(&made, &policy);
    let kept: Vec<usize> = (0..5).filter(|place| decided[*place].verdict.keeps()).collect();
    assert_eq!(kept, [1, 2, 4], "the newest, and the two newest that are complete");
    assert_eq!(decided[1].verdict, Verdict::Keep(vec![Reason::Floor { nth: 2, of: 2 }]));
    assert_eq!(decided[4].verdict, Verdict::Keep(vec![Reason::Last { nth: 1, of: Count::Number(1) }]));
    let alone = Policy { at_least: 2, ..Policy::default() };
    assert_eq!(alone.check(), Err(PolicyError::Empty), "a floor is no rule");
}

#[test]
fn the_last_ones_are_the_newest() {
    let made = row(&["2026-11-18", "2026-11-19", "2026-11-20"]);
    assert_eq!(
        said(&judged(&made, &Policy { last: n(2), ..Policy::default() })),
        ["- last: 2 are newer", "+ last 2 of 2", "+ last 1 of 2"]
    );
    let all = Policy { last: Some(Count::All), ..Policy::default() };
    assert_eq!(said(&judged(&made, &all)), ["+ last 3 of all", "+ last 2 of all", "+ last 1 of all"]);
}

/// An edit has the time of what it is made from, and an id that says nothing.
#[test]
fn of_one_time_the_one_that_was_made_from_another_is_the_newer() {
    let at = |number, edition| Made::new(number, seconds("2026-11-20")).edition(edition);
    let policy = Policy { last: n(1), daily: n(1), ..Policy::default() };
    assert_eq!(kept(&judged(&[at(9, 0), at(5, 3), at(7, 2)], &policy)), [5]);
}

#[test]
fn the_newest_of_a_day_stands_for_it_and_empty_days_do_not_count() {
    let made = row(&[
        "2026-11-02 09:00",
        "2026-11-09 09:00",
        "2026-11-09 23:59",
        "2026-11-20 00:00",
        "2026-11-20 08:00",
    ]);
    assert_eq!(
        said(&judged(&made, &Policy { daily: n(2), ..Policy::default() })),
        [
            "- daily: 2 newer days are kept",
            "- daily: 02020202 stands for 2026-11-09",
            "+ daily 2026-11-09",
            "- daily: 04040404 stands for 2026-11-20",
            "+ daily 2026-11-20",
        ]
    );
}

#[test]
fn hours_months_and_years_are_those_of_the_calendar() {
    let made = row(&[
        "2025-11-20 14:10",
        "2026-11-19 14:10",
        "2026-11-20 13:59",
        "2026-11-20 14:00",
        "2026-11-20 14:59",
    ]);
    let of = |policy| kept(&judged(&made, &policy));
    assert_eq!(of(Policy { hourly: n(3), ..Policy::default() }), [1, 2, 4]);
    assert_eq!(of(Policy { monthly: n(2), ..Policy::default() }), [0, 4]);
    assert_eq!(of(Policy { yearly: n(2), ..Policy::default() }), [0, 4]);
    assert_eq!(of(Policy { yearly: n(1), ..Policy::default() }), [4]);
}

/// 2026 has a week 53, which ends on January 3rd of 2027; 2024-12-30 is in week 1 of 2025.
#[test]
fn weeks_are_those_of_iso_8601_around_new_year() {
    let made = row(&["2026-12-27", "2026-12-28", "2027-01-03", "2027-01-04"]);
    assert_eq!(
        said(&judged(&made, &Policy { weekly: n(3), ..Policy::default() })),
        [
            "+ weekly 2026-W52",
            "- weekly: 02020202 stands for 2026-W53",
            "+ weekly 2026-W53",
            "+ weekly 2027-W01",
        ]
    );
    let made = row(&["2024-01-01", "2024-12-29", "2024-12-30", "2025-01-05"]);
    assert_eq!(
        said(&judged(&made, &Policy { weekly: n(3), ..Policy::default() })),
        [
            "+ weekly 2024-W01",
            "+ weekly 2024-W52",
            "- weekly: 03030303 stands for 2025-W01",
            "+ weekly 2025-W01",
        ]
    );
}

#[test]
fn the_oldest_stays_until_there_are_enough_periods() {
    let made = row(&["2026-11-20 08:00", "2026-11-20 12:00", "2026-11-21 08:00"]);
    let of = |policy| said(&judged(&made, &policy));
    let yearly = of(Policy { yearly: n(2), ..Policy::default() });
    assert_eq!(yearly, ["+ oldest, yearly 2 of 2", "- yearly: 02020202 stands for 2026", "+ yearly 2026"]);
    let enough = of(Policy { daily: n(2), ..Policy::default() });
    assert_eq!(
        enough,
        ["- daily: 01010101 stands for 2026-11-20", "+ daily 2026-11-20", "+ daily 2026-11-21"]
    );
    let unlimited = of(Policy { monthly: Some(Count::All), ..Policy::default() });
    assert_eq!(unlimited[0], "+ oldest, monthly");
}

/// A machine that was off for long keeps what was near its last snapshot.
#[test]
fn within_counts_from_the_newest_and_takes_its_edge_in() {
    let made = row(&["2020-01-01 11:59", "2020-01-01 12:00", "2020-01-02 07:00", "2020-01-03 12:00"]);
    assert_eq!(
        said(&judged(&made, &Policy { within: days(2), ..Policy::default() })),
        [
            "- within 2d: older",
            "+ within 2d of the newest",
            "+ within 2d of the newest",
            "+ within 2d of the newest"
        ]
    );
}

#[test]
fn within_daily_keeps_one_a_day_and_the_oldest_only_if_it_is_within() {
    let policy = Policy { within_daily: days(2), ..Policy::default() };
    let made = row(&["2026-11-18 20:00", "2026-11-19 08:00", "2026-11-19 20:00", "2026-11-20 08:00"]);
    assert_eq!(
        said(&judged(&made, &policy)),
        [
            "+ within-daily 2d 2026-11-18",
            "- within-daily 2d: 02020202 stands for 2026-11-19",
            "+ within-daily 2d 2026-11-19",
            "+ within-daily 2d 2026-11-20",
        ]
    );
    assert_eq!(said(&judged(&made[1..], &policy))[0], "+ oldest, within-daily 2d");
    let old = row(&["2026-11-01", "2026-11-20"]);
    assert_eq!(said(&judged(&old, &policy))[0], "- within-daily 2d: older");
}

#[test]
fn a_list_of_tags_wants_all_of_them() {
    let made = [
        Made::new(0, 0).tags(&["a"]),
        Made::new(1, DAY).tags(&["b", "x", "a"]),
        Made::new(2, 2 * DAY).tags(&["c"]),
        Made::new(3, 3 * DAY),
    ];
    let lists: [&[&str]; 3] = [&["a", "b"], &["c"], &[]];
    let tags = lists.iter().map(|list| list.iter().map(|tag| (*tag).to_owned()).collect()).collect();
    assert_eq!(
        said(&judged(&made, &Policy { tags, ..Policy::default() })),
        ["- tag: none of them", "+ tag a,b", "+ tag c", "+ the newest always stays"]
    );
}

#[test]
fn all_reasons_are_given_and_all_misses() {
    let made = row(&["2026-11-19", "2026-11-20 08:00", "2026-11-20 09:00"]);
    let policy = Policy { last: n(1), daily: n(1), weekly: n(1), within: days(0), ..Policy::default() };
    assert_eq!(
        said(&judged(&made, &policy)),
        [
            "- last: 1 is newer; daily: 1 newer day is kept; weekly: 02020202 stands for 2026-W47",
            "- last: 1 is newer; daily: 02020202 stands for 2026-11-20; weekly: 02020202 stands for 2026-W47",
            "+ last 1 of 1; daily 2026-11-20; weekly 2026-W47",
        ]
    );
}

#[test]
fn a_protected_snapshot_stays_and_counts() {
    let made = [Made::new(0, 0).protected(), Made::new(1, DAY), Made::new(2, 2 * DAY).protected()];
    assert_eq!(
        said(&judged(&made, &Policy { last: n(1), ..Policy::default() })),
        ["+ protected", "- last: 1 is newer", "+ protected; last 1 of 1"]
    );
}

/// A clock that ran ahead for one backup doesn't cost the others their places.
#[test]
fn a_snapshot_from_the_future_stays_and_counts_nowhere() {
    let made = row(&["2026-11-18", "2026-11-19", "2026-11-20", "2077-01-01"]);
    let now = Timestamp { seconds: seconds("2026-11-20"), nanos: 0 };
    for policy in
        [Policy { last: n(1), ..Policy::default() }, Policy { within: days(1), ..Policy::default() }]
    {
        let with = decide_at(&made, &policy, GroupBy::default(), now).expect("a policy");
        let without = decide_at(&made[..3], &policy, GroupBy::default(), now).expect("a policy");
        assert_eq!(with[0].decisions[..3], without[0].decisions[..]);
        assert_eq!(said(&with[0].decisions)[3], "+ its time is in the future");
        assert!(without[0].decisions[2].verdict.keeps(), "the present is not the future");
    }
    let last = Policy { last: n(1), ..Policy::default() };
    let groups = decide_at(&made, &last, GroupBy::default(), now).expect("a policy");
    assert_eq!(kept(&groups[0].decisions), [2, 3]);
    assert_eq!(groups[0].forgotten().collect::<Vec<_>>(), [id(0), id(1)]);
}

#[test]
fn times_before_1970_fall_into_the_right_periods() {
    let made = row(&["1968-12-31 23:00", "1969-12-31 00:30", "1969-12-31 23:59", "1970-01-01 00:00"]);
    assert_eq!(kept(&judged(&made, &Policy { daily: n(3), ..Policy::default() })), [0, 2, 3]);
    assert_eq!(kept(&judged(&made, &Policy { weekly: n(1), ..Policy::default() })), [3]);
    assert_eq!(kept(&judged(&made, &Policy { within: days(1), ..Policy::default() })), [1, 2, 3]);
}

/// At 03:00 summer time the clock goes back to 02:00: the day has two hours of that name.
#[test]
fn an_hour_that_comes_twice_is_two_hours() {
    let change = seconds("2026-10-25 01:00");
    let wall = |time: Timestamp| {
        let ahead = if time.seconds < change { 2 * HOUR } else { HOUR };
        let shown = civil(Timestamp { seconds: time.seconds + ahead, ..time });
        Civil { offset_seconds: i32::try_from(ahead).expect("it is two hours at most"), ..shown }
    };
    let made = row(&["2026-10-25 00:10", "2026-10-25 00:50", "2026-10-25 01:10", "2026-10-25 01:50"]);
    let candidates: Vec<_> = made.iter().map(Made::candidate).collect();
    let of = |policy| {
        let calendar = Calendar { civil: &wall, before: &before };
        let groups = decide(&candidates, &policy, GroupBy::default(), calendar, LATE).expect("a policy");
        said(&groups[0].decisions)
    };
    let hourly = of(Policy { hourly: n(2), ..Policy::default() });
    assert_eq!(hourly[1..], ["+ hourly 2026-10-25 02h", hourly[2].as_str(), "+ hourly 2026-10-25 02h"]);
    assert_eq!(hourly[2], "- hourly: 03030303 stands for 2026-10-25 02h");
    assert!(of(Policy { daily: n(1), ..Policy::default() })[..3].iter().all(|said| said.starts_with('-')));
}

/// Where clocks go back just after midnight, a day begins, stops and begins again.
#[test]
fn a_day_that_begins_twice_is_one_day() {
    let change = seconds("2026-11-01 00:01");
    let wall = |time: Timestamp| {
        let ahead = if time.seconds < change { 0 } else { -HOUR };
        civil(Timestamp { seconds: time.seconds + ahead, ..time })
    };
    let made = row(&["2026-10-31 12:00", "2026-11-01 00:00", "2026-11-01 00:30", "2026-11-01 01:30"]);
    let candidates: Vec<_> = made.iter().map(Made::candidate).collect();
    let calendar = Calendar { civil: &wall, before: &before };
    let policy = Policy { daily: n(2), ..Policy::default() };
    let groups = decide(&candidates, &policy, GroupBy::default(), calendar, LATE).expect("a policy");
    assert_eq!(kept(&groups[0].decisions), [2, 3], "October 31st and November 1st");
}

#[test]
fn groups_are_judged_apart_and_the_order_of_paths_means_nothing() {
    let made = [
        Made::new(0, 0).paths(&["/etc", "/home"]),
        Made::new(1, 1).paths(&["/home", "/etc"]).tags(&["x"]),
        Made::new(2, 2).host("bob").paths(&["/etc", "/home"]),
        Made::new(3, 3).paths(&["/home"]),
    ];
    let last = Policy { last: n(1), ..Policy::default() };
    let groups = |host, paths, tags| {
        let by = GroupBy { writer: false, host, paths, tags };
        let groups = decide_at(&made, &last, by, LATE).expect("a policy");
        let numbers = |decisions: &[Decision<'_>]| -> Vec<u8> {
            decisions.iter().map(|decision| decision.snapshot.id.random[0]).collect()
        };
        groups.iter().map(|group| (numbers(&group.decisions), kept(&group.decisions))).collect::<Vec<_>>()
    };
    assert_eq!(
        groups(true, true, false),
        [(vec![0, 1], vec![1]), (vec![3], vec![3]), (vec![2], vec![2])],
        "sorted by host, then paths"
    );
    assert_eq!(groups(true, false, false), [(vec![0, 1, 3], vec![3]), (vec![2], vec![2])]);
    assert_eq!(groups(false, true, false), [(vec![0, 1, 2], vec![2]), (vec![3], vec![3])]);
    assert_eq!(groups(false, false, true), [(vec![0, 2, 3], vec![3]), (vec![1], vec![1])]);
    assert_eq!(groups(false, false, false), [(vec![0, 1, 2, 3], vec![3])]);

    let keys = decide_at(&made, &last, GroupBy::default(), LATE).expect("a policy");
    assert_eq!(keys[0].key.host, Some("ann"));
    assert_eq!(keys[0].key.paths, Some(vec![&b"/etc"[..], b"/home"]));
    assert_eq!(keys[0].key.tags, None);
}

#[test]
fn what_another_writer_says_of_itself_pushes_nothing_out() {
    let forged = (1..4).map(|number| Made::new(number, i64::from(number)).writer(2));
    let made: Vec<Made> = [Made::new(0, 0)].into_iter().chain(forged).collect();
    let last = Policy { last: n(3), ..Policy::default() };
    let groups = decide_at(&made, &last, GroupBy::default(), LATE).expect("a policy");
    assert_eq!(
        groups.iter().map(|group| kept(&group.decisions)).collect::<Vec<_>>(),
        [vec![0], vec![1, 2, 3]]
    );
    let by = GroupBy { writer: false, ..GroupBy::default() };
    let together = decide_at(&made, &last, by, LATE).expect("a policy");
    assert_eq!(kept(&together[0].decisions), [1, 2, 3], "unless the owner says so");
}

#[test]
fn a_policy_that_keeps_nothing_is_an_error() {
    let zero = n(0);
    let no_time = Some(Span::default());
    for policy in [
        Policy::default(),
        Policy { last: zero, hourly: zero, daily: zero, weekly: zero, monthly: zero, ..Policy::default() },
        Policy { yearly: zero, within: no_time, within_daily: no_time, ..Policy::default() },
        Policy { tags: vec![Vec::new()], ..Policy::default() },
    ] {
        assert_eq!(policy.check(), Err(PolicyError::Empty));
        let made = row(&["2026-11-20"]);
        assert_eq!(decide_at(&made, &policy, GroupBy::default(), LATE), Err(PolicyError::Empty));
    }
    assert_eq!(Policy { last: zero, within: days(1), ..Policy::default() }.check(), Ok(()));
    assert_eq!(Policy { tags: vec![vec!["a".to_owned()]], ..Policy::default() }.check(), Ok(()));
}

#[test]
fn no_snapshots_make_no_groups() {
    let policy = Policy { last: n(1), ..Policy::default() };
    assert_eq!(decide_at(&[], &policy, GroupBy::default(), LATE), Ok(Vec::new()));
}

#[test]
fn spans_are_written_as_they_are_read() {
    let span = Span { years: 1, months: 6, weeks: 2, days: 3, hours: 12 };
    assert_eq!(span.to_string(), "1y6m2w3d12h");
    assert_eq!(Span { days: 30, ..Span::default() }.to_string(), "30d");
    assert_eq!(Span::default().to_string(), "0h");
}

/// `--tag db,weekly` made one label once, and `--keep-tag db,weekly` has always meant two.
#[test]
fn a_label_with_commas_stands_for_its_parts() {
    let tags = |list: &[&str]| list.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
    for (own, tag, has) in [
        (&["db,weekly"][..], "db", true),
        (&["db, weekly"], "weekly", true),
        (&["db,weekly"], "db,weekly", true),
        (&["db", "weekly"], "weekly", true),
        (&["db,weekly"], "week", false),
        (&[], "db", false),
    ] {
        assert_eq!(has_tag(&tags(own), tag), has, "{own:?} {tag}");
    }
    let mut made = row(&["2026-11-18", "2026-11-19", "2026-11-20"]);
    made[0].tags = tags(&["db,weekly"]);
    let policy = Policy { tags: vec![tags(&["db", "weekly"])], ..Policy::default() };
    assert_eq!(kept(&judged(&made, &policy)), [0, 2]);
}
