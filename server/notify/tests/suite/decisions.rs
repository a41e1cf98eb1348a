//! What is told, and when: one day after the other in an installation.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use keepfast_notify::decide::{Delivery, MESSAGES_PER_HOUR_MAX, MESSAGES_PER_SUBJECT_AND_DAY_MAX, State};
use keepfast_notify::{
    Condition, DigestName, Event, Kind, Match, Note, Policy, Quiet, Severity, Subject, TargetName, Tone,
    Verdict,
};

use super::lab::{
    DAY, HOUR, Lab, MINUTE, backup, digest, failed, patterns, plan, repository, route, unreachable,
};

fn ops(policy: Policy) -> Lab {
    Lab::new(vec![route("r", &["ops"], policy)])
}

fn quiet_nights(unless: &str) -> Policy {
    let quiet = Quiet::parse(&format!("22:00-07:00{unless}"), TimeZone::UTC).expect("quiet hours");
    Policy { quiet: Some(quiet), ..Policy::default() }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn fact<'d>(delivery: &'d Delivery, name: &str) -> Option<&'d str> {
    let facts = &delivery.message.items.first()?.facts;
    facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str())
}

#[test]
fn a_failure_is_told_once_repeated_each_day_and_resolved_once() {
    let mut lab = ops(Policy::default());
    assert!(lab.happens(&plan("www"), failed()).is_empty(), "it waits for others");
    assert_eq!(lab.titles_after(2 * MINUTE), ["www: backup failed"]);
    assert!(lab.titles_after(20 * HOUR).is_empty());
    assert!(lab.happens(&plan("www"), failed()).is_empty());
    assert_eq!(lab.titles_after(4 * HOUR), ["www: still backup failed (2 in a row)"]);
    assert!(lab.happens(&plan("www"), backup(Verdict::Ok)).is_empty());
    let told = lab.wait(DAY);
    assert_eq!(told.len(), 1);
    let (_, resolved) = &told[0];
    assert_eq!(resolved.message.title, "www: backup works again");
    assert_eq!(resolved.message.tone, Tone::Resolved);
    assert!(fact(resolved, "Until").expect("it says until when").ends_with("(1 d)"), "{resolved:?}");
    assert!(lab.happens(&plan("www"), backup(Verdict::Ok)).is_empty());
    assert!(lab.titles_after(10 * DAY).is_empty(), "there is nothing more to say");
}

#[test]
fn with_findings_is_a_verdict_of_its_own_and_never_becomes_ok() {
    let mut lab = ops(Policy::default());
    lab.happens(&plan("www"), failed());
    lab.wait(HOUR);
    lab.happens(&plan("www"), backup(Verdict::Findings));
    let told = lab.wait(HOUR);
    let items: Vec<_> = told[0].1.message.items.iter().map(|item| (item.title.as_str(), item.tone)).collect();
    assert_eq!(
        items,
        [("www: backup with findings", Tone::Warning), ("www: backup works again", Tone::Resolved)]
    );
    // A route for errors alone hears that it works again, and nothing of findings.
    let mut lab = ops(Policy::default());
    lab.routes[0].matches = Match { severity: vec![Severity::Error], ..Match::default() };
    lab.happens(&plan("www"), failed());
    lab.wait(HOUR);
    lab.happens(&plan("www"), backup(Verdict::Findings));
    assert_eq!(lab.titles_after(HOUR), ["www: backup works again"]);
}

#[test]
fn what_happens_within_the_group_window_is_one_message() {
    let mut lab = ops(Policy::default());
    for name in ["a", "b", "c", "d"] {
        lab.happens(&plan(name), failed());
        assert!(lab.titles_after(20).is_empty());
    }
    assert_eq!(lab.titles_after(HOUR), ["4 problems: a, b, c, …"]);
}

#[test]
fn a_failure_that_is_over_before_it_is_told_is_told_as_over() {
    let mut lab = ops(Policy::default());
    lab.happens(&plan("www"), failed());
    lab.wait(MINUTE);
    lab.happens(&plan("www"), backup(Verdict::Ok));
    let told = lab.wait(DAY);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.message.title, "www: backup works again");
    assert_eq!(fact(&told[0].1, "Since the last message"), Some("began once, was over once"));
}

/// The root cause mutes its children: a repository that is down is one message and not forty.
#[test]
fn a_repository_that_is_down_is_one_message_and_not_forty() {
    let mut lab = ops(Policy::default());
    let (main, plans) = (repository("main"), (0..40).map(|n| plan(&format!("p{n:02}"))).collect::<Vec<_>>());
    // Plans fail first, and only then is it known why.
    for plan in &plans[..20] {
        lab.fails_because_of(plan, &main);
    }
    lab.wait(MINUTE);
    lab.happens(&main, unreachable(true));
    let told = lab.wait(10 * MINUTE);
    assert_eq!(told.len(), 1, "{told:#?}");
    let message = &told[0].1.message;
    assert_eq!(message.title, "main: can't be reached");
    assert_eq!(message.items.len(), 1);
    let named = fact(&told[0].1, "Also affects").expect("it names plans");
    assert!(named.starts_with("p00, p01, ") && named.ends_with("p09 and 10 more"), "{named}");
    // The others fail later, one by one.
    for plan in &plans[20..] {
        lab.fails_because_of(plan, &main);
        assert!(lab.titles_after(5 * MINUTE).is_empty());
    }
    lab.happens(&main, unreachable(false));
    let told = lab.wait(HOUR);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].1.message.title, "main: reachable again");
    assert_eq!(told[0].1.tells[0].affected, 20, "those that no message has counted yet");
    for plan in &plans[1..] {
        lab.happens(plan, backup(Verdict::Ok));
    }
    assert!(lab.titles_after(10 * DAY).is_empty());
    lab.happens(&plans[0], failed());
    assert_eq!(
        lab.titles_after(HOUR),
        ["p00: backup failed (2 in a row)"],
        "this time it isn't the repository"
    );
}

#[test]
fn children_are_told_where_the_cause_is_not() {
    let mut lab = ops(Policy::default());
    lab.routes[0].matches.plan = patterns(&["*"]);
    let main = repository("main");
    lab.happens(&main, unreachable(true));
    lab.fails_because_of(&plan("www"), &main);
    assert_eq!(lab.titles_after(HOUR), ["www: backup failed"]);
}

#[test]
fn what_is_worse_than_its_cause_is_told_by_itself() {
    let mut lab = ops(quiet_nights(" unless critical"));
    lab.now = at("2026-03-02T23:00:00Z");
    let main = repository("main");
    lab.happens(&main, unreachable(true));
    let event = lab.event(&plan("www"), failed());
    lab.decide(&[Event { cause: Some(main), severity: Severity::Critical, ..event }]);
    assert_eq!(lab.titles_after(HOUR), ["www: backup failed"]);
}

#[test]
fn causes_that_name_each_other_hide_nothing_for_ever() {
    let mut lab = ops(Policy::default());
    let (a, b) = (plan("a"), plan("b"));
    lab.fails_because_of(&a, &b);
    lab.fails_because_of(&b, &a);
    let told = lab.wait(HOUR);
    assert_eq!(told.len(), 1);
    let tells: u32 = told[0].1.tells.iter().map(|telling| telling.changes.openings + telling.affected).sum();
    assert_eq!(tells, 2);
}

#[test]
fn quiet_hours_delay_and_lose_nothing() {
    let mut lab = ops(quiet_nights(" unless critical"));
    lab.now = at("2026-03-02T23:00:00Z");
    lab.happens(&plan("a"), failed());
    lab.wait(HOUR);
    lab.happens(&plan("b"), failed());
    lab.wait(HOUR);
    lab.happens(&plan("b"), backup(Verdict::Ok));
    let critical = Event { severity: Severity::Critical, ..lab.event(&plan("c"), failed()) };
    lab.decide(&[critical]);
    let told = lab.wait(HOUR);
    assert_eq!(
        told.iter().map(|(_, told)| told.message.title.as_str()).collect::<Vec<_>>(),
        ["c: backup failed"]
    );
    let told = lab.wait(DAY);
    let (when, morning) = &told[0];
    assert_eq!(*when, at("2026-03-03T07:00:00Z"));
    let titles: Vec<_> = morning.message.items.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(titles, ["a: backup failed", "b: backup works again"]);
}

#[test]
fn a_server_that_was_down_at_seven_keeps_the_next_quiet_hours_too() {
    let mut lab = ops(quiet_nights(""));
    lab.now = at("2026-03-02T23:00:00Z");
    lab.happens(&plan("a"), failed());
    lab.now = at("2026-03-03T23:30:00Z");
    assert!(lab.decide(&[]).is_empty());
    assert_eq!(lab.look_again_at, Some(at("2026-03-04T07:00:00Z")));
}

#[test]
fn from_the_nth_failure_in_a_row_on_it_is_told() {
    let mut lab = ops(Policy { after: 3.try_into().expect("not zero"), ..Policy::default() });
    for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Ok, Verdict::Failed, Verdict::Missed] {
        lab.happens(&plan("www"), backup(verdict));
        assert!(lab.titles_after(HOUR).is_empty());
    }
    lab.happens(&plan("www"), backup(Verdict::Lost));
    assert_eq!(lab.titles_after(HOUR), ["www: backup ended without a result (3 in a row)"]);
    lab.happens(&plan("www"), Kind::Began(Condition::Overdue));
    assert_eq!(lab.titles_after(HOUR), ["www: backup overdue"], "a condition is there or not");
}

/// Silence: what should have run and didn't is an event like a failure.
#[test]
fn missed_and_overdue_are_told_like_failures() {
    let mut lab = ops(Policy::default());
    lab.happens(&plan("www"), backup(Verdict::Missed));
    lab.happens(&plan("www"), Kind::Began(Condition::Overdue));
    let told = lab.wait(HOUR);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.message.title, "2 problems: www");
    assert_eq!(told[0].1.message.thread.as_deref(), Some("plan:www"), "one subject, one thread");
    lab.happens(&plan("www"), Kind::Began(Condition::Overdue));
    assert!(lab.titles_after(HOUR).is_empty(), "the watcher may say it again");
    lab.happens(&plan("www"), Kind::Over(Condition::Overdue));
    assert_eq!(lab.titles_after(HOUR), ["www: no longer overdue"]);
}

#[test]
fn what_gets_worse_is_told_at_once_and_what_gets_better_is_not() {
    let mut lab = ops(Policy::default());
    let quota = Kind::Began(Condition::Quota);
    lab.happens(&repository("main"), quota);
    assert_eq!(lab.titles_after(HOUR), ["main: quota nearly used"]);
    let worse = Event { severity: Severity::Critical, ..lab.event(&repository("main"), quota) };
    lab.decide(&[worse]);
    let told = lab.wait(HOUR);
    assert_eq!(told[0].1.message.title, "main: worse: over its quota");
    assert_eq!(told[0].1.message.tone, Tone::Critical);
    lab.happens(&repository("main"), quota);
    assert!(lab.titles_after(HOUR).is_empty());
}

/// Notification storm: a plan that flaps.
#[test]
fn a_plan_that_flaps_makes_few_messages_and_each_change_is_counted() {
    let mut lab = ops(Policy::default());
    let mut told = Vec::new();
    for _ in 0..288 {
        lab.happens(&plan("www"), failed());
        told.extend(lab.wait(150));
        lab.happens(&plan("www"), backup(Verdict::Ok));
        told.extend(lab.wait(150));
    }
    assert!(told.len() <= MESSAGES_PER_SUBJECT_AND_DAY_MAX, "{}", told.len());
    assert!(told.len() >= 8, "{}", told.len());
    let remark = told.last().expect("a message").1.message.remark.as_deref().expect("it says so");
    assert!(remark.starts_with("There were many messages about www"), "{remark}");
    told.extend(lab.wait(DAY));
    let changes = told.iter().flat_map(|(_, delivery)| &delivery.tells).map(|telling| telling.changes);
    let sum = changes.fold((0, 0), |sum, changes| (sum.0 + changes.openings, sum.1 + changes.closings));
    assert_eq!(sum, (288, 288));
    assert!(!told.last().expect("a message").1.tells[0].open, "the last word is how it is");
}

#[test]
fn a_target_gets_few_messages_in_an_hour_however_many_subjects_there_are() {
    let mut lab = ops(Policy { group: Duration::ZERO, ..Policy::default() });
    let mut told = Vec::new();
    for n in 0..120 {
        told.extend(lab.happens(&plan(&format!("p{n}")), failed()));
        told.extend(lab.wait(29).into_iter().map(|(_, delivery)| delivery));
    }
    assert_eq!(told.len(), MESSAGES_PER_HOUR_MAX);
    told.extend(lab.wait(HOUR).into_iter().map(|(_, delivery)| delivery));
    let items: usize = told.iter().map(|told| told.message.items.len() + told.message.left_out).sum();
    assert_eq!(items, 120);
}

#[test]
fn acknowledged_problems_arent_repeated_and_muted_ones_are_told_later() {
    let mut lab = ops(Policy::default());
    for name in ["a", "b"] {
        lab.happens(&plan(name), failed());
    }
    lab.wait(HOUR);
    lab.state.acknowledge(&plan("a"));
    let until = lab.now + SignedDuration::from_hours(72);
    lab.state.mute(&plan("b"), until);
    lab.look_again_at = Some(lab.now + SignedDuration::from_secs(1));
    assert!(lab.titles_after(2 * DAY).is_empty());
    lab.happens(&plan("b"), backup(Verdict::Ok));
    let told = lab.wait(2 * DAY);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].0, told[0].1.message.title.as_str()), (until, "b: backup works again"));
    lab.happens(&plan("a"), backup(Verdict::Ok));
    assert_eq!(lab.titles_after(HOUR), ["a: backup works again"]);
}

#[test]
fn a_target_that_wants_no_resolved_gets_none() {
    let mut lab = ops(Policy { resolved: false, repeat: None, ..Policy::default() });
    lab.happens(&plan("www"), failed());
    assert_eq!(lab.titles_after(3 * DAY).len(), 1);
    lab.happens(&plan("www"), backup(Verdict::Ok));
    assert!(lab.titles_after(3 * DAY).is_empty());
    lab.happens(&plan("www"), failed());
    assert_eq!(lab.titles_after(3 * DAY).len(), 1, "another time");
}

#[test]
fn successes_are_told_to_those_who_ask_and_not_twice() {
    let mut lab = ops(Policy::default());
    lab.routes[0].matches = Match { kind: patterns(&["backup.*"]), ..Match::default() };
    lab.happens(&plan("www"), backup(Verdict::Ok));
    assert_eq!(lab.titles_after(HOUR), ["www: backup ok"]);
    lab.happens(&plan("www"), failed());
    lab.wait(HOUR);
    lab.happens(&plan("www"), backup(Verdict::Ok));
    assert_eq!(lab.titles_after(HOUR), ["www: backup works again"]);
    lab.happens(&plan("www"), backup(Verdict::Skipped));
    lab.happens(&Subject::Server, Kind::Noted(Note::NewError));
    assert_eq!(lab.titles_after(HOUR), ["www: backup skipped"]);
}

#[test]
fn a_digest_comes_on_schedule_with_what_waits_for_it() {
    let mut lab = ops(Policy { digest: Some(DigestName::new("weekly")), ..Policy::default() });
    lab.digests = vec![digest("weekly", &["boss"], 7 * 86_400)];
    lab.targets.insert(TargetName::new("boss"));
    lab.happens(&plan("a"), failed());
    lab.happens(&plan("b"), failed());
    lab.happens(&plan("b"), backup(Verdict::Ok));
    let told = lab.wait(9 * DAY);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().all(|(when, _)| *when == at("2026-03-05T00:00:00Z")), "{told:?}");
    let (boss, ops) = (&told[0].1, &told[1].1);
    assert_eq!(boss.message.title, "Digest weekly: one open problem");
    assert_eq!(fact(boss, "backup.failed"), Some("2"));
    assert_eq!(fact(boss, "Problems that are over"), Some("1"));
    assert!(fact(boss, "a").expect("it is named").starts_with("backup failed, since 2026-03-02 08:00 UTC"));
    assert_eq!(ops.message.title, "1 problem, 1 resolved: a, b");
    lab.happens(&plan("a"), backup(Verdict::Ok));
    let told = lab.wait(7 * DAY);
    assert_eq!(told[0].1.message.title, "Digest weekly: no open problem");
}

#[test]
fn a_digest_that_is_gone_holds_nothing_back() {
    let mut lab = ops(Policy { digest: Some(DigestName::new("weekly")), ..Policy::default() });
    lab.happens(&plan("a"), failed());
    assert_eq!(lab.titles_after(HOUR), ["a: backup failed"]);
}

/// The clock is set back or forward.
#[test]
fn a_clock_that_jumps_by_a_year_neither_silences_nor_repeats() {
    let year = SignedDuration::from_hours(365 * 24);
    let mut lab = ops(Policy::default());
    lab.happens(&plan("a"), failed());
    assert_eq!(lab.titles_after(HOUR).len(), 1);
    lab.now -= year;
    assert!(lab.decide(&[]).is_empty());
    lab.happens(&plan("b"), failed());
    assert_eq!(lab.titles_after(HOUR), ["b: backup failed"]);
    assert_eq!(lab.titles_after(DAY).len(), 2, "repeated a day later, and not a year");
    lab.now += year;
    assert_eq!(lab.decide(&[]).len(), 1, "repeated once");
    assert!(lab.titles_after(20 * HOUR).is_empty());
}

/// A restart or a reload is nothing special.
#[test]
fn events_that_come_again_are_told_once_and_the_state_survives_a_restart() {
    let mut lab = ops(Policy::default());
    let event = lab.event(&plan("www"), failed());
    lab.decide(std::slice::from_ref(&event));
    let stored = serde_json::to_string(&lab.state).expect("the state is data");
    lab.state = serde_json::from_str::<State>(&stored).expect("and comes back");
    assert_eq!(lab.state.seen(), Some(event.sequence));
    lab.decide(std::slice::from_ref(&event));
    assert_eq!(lab.titles_after(HOUR), ["www: backup failed"]);
    assert_eq!(lab.state.open_problems().count(), 1);
    lab.decide(&[event]);
    assert!(lab.titles_after(HOUR).is_empty());
    lab.happens(&plan("www"), backup(Verdict::Ok));
    lab.wait(2 * DAY);
    lab.decide(&[]);
    let empty = serde_json::to_value(&lab.state).expect("the state is data");
    assert_eq!(empty["problems"], serde_json::json!({}), "what is over is forgotten");
    assert_eq!(empty["voices"], serde_json::json!({}));
}

#[test]
fn a_new_configuration_applies_at_once() {
    let mut lab = ops(Policy { group: Duration::from_secs(6 * 3_600), ..Policy::default() });
    lab.happens(&plan("a"), failed());
    assert!(lab.titles_after(HOUR).is_empty());
    lab.routes[0].policy.group = Duration::from_secs(60);
    assert_eq!(lab.decide(&[]).len(), 1);
    lab.happens(&plan("b"), failed());
    lab.targets.clear();
    lab.decide(&[]);
    assert_eq!(lab.look_again_at, None, "there is no such target any more");
}

#[test]
fn a_test_takes_the_way_of_every_message_and_waits_for_nothing() {
    let mut lab = ops(quiet_nights(""));
    lab.now = at("2026-03-02T23:00:00Z");
    let event = lab.event(&Subject::Server, failed());
    let told = lab.decide(&[Event::test(event.sequence, event.at, TargetName::new("ops"))]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message.title, "ops: test message");
}

/// A target that doesn't work is told elsewhere, and two that don't work don't tell one another for ever.
#[test]
fn two_targets_that_fail_make_no_loop() {
    let policy = Policy { group: Duration::ZERO, repeat: None, ..Policy::default() };
    let mut lab = Lab::new(vec![route("r", &["a", "b"], policy)]);
    let mut count = 0;
    let mut waiting = lab.happens(&plan("www"), failed());
    while let Some(delivery) = waiting.pop() {
        count += 1;
        assert!(count < 20, "they go on and on");
        waiting
            .extend(lab.happens(&Subject::Target(delivery.target), Kind::Began(Condition::DeliveryFailed)));
    }
    assert_eq!(count, 4, "the failure to both, and of each to the other");
}

/// A good run shows that runs are started again.
#[test]
fn a_good_run_ends_a_quarantine() {
    let mut lab = ops(Policy::default());
    lab.happens(&plan("www"), backup(Verdict::Lost));
    lab.happens(&plan("www"), Kind::Began(Condition::Quarantined));
    assert_eq!(lab.titles_after(HOUR).len(), 1, "both in one message");
    lab.happens(&plan("www"), backup(Verdict::Ok));
    assert_eq!(lab.titles_after(HOUR).len(), 1);
    assert_eq!(lab.state.open_problems().count(), 0);
}

/// What is found at one place of the sequence is told as a whole, and once.
#[test]
fn events_at_one_place_are_all_told_once() {
    let mut lab = ops(Policy::default());
    let first = lab.event(&plan("a"), failed());
    let second = Event { subject: plan("b"), ..first.clone() };
    lab.decide(&[first.clone(), second.clone()]);
    assert_eq!(lab.titles_after(HOUR), ["2 problems: a, b"]);
    lab.decide(&[first, second]);
    assert!(lab.titles_after(HOUR).is_empty());
}
