//! What others fell into: each trap is a test by name.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use keepfast_schedule::condition::{Answer, Condition, Machine, Unmet};
use keepfast_schedule::decide::{Decision, Facts, SLOTS_JUDGED_MAX, decide};
use keepfast_schedule::outcome::{Missed, Outcome, Record, Skipped, Trigger, Wait};
use keepfast_schedule::plan::{CatchUp, Overlap, PlanSchedule, When};
use keepfast_schedule::promise::{Promise, Proof, Standing, standing};
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::slot::Slot;
use keepfast_schedule::state::{OpenRun, PlanState};
use keepfast_schedule::zone::Zone;

const HOUR: Duration = Duration::from_secs(3600);

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn calendar(cron: &str) -> Schedule {
    Schedule::calendar(cron.parse().expect("an expression"), Zone::utc())
}

/// A plan, what it remembers, and what is true around it.
struct Lab {
    plan: PlanSchedule,
    state: PlanState,
    runs: Vec<OpenRun>,
    last_good: Option<Timestamp>,
    is_online: bool,
    machine: Machine,
    awake_since: Option<Timestamp>,
}

impl Lab {
    fn new(schedule: Schedule, now: &str) -> Self {
        Self {
            state: PlanState::new(schedule.clone(), at(now)),
            plan: PlanSchedule::new("www".into(), schedule, Zone::utc()),
            runs: Vec::new(),
            last_good: None,
            is_online: true,
            machine: Machine::default(),
            awake_since: None,
        }
    }

    fn decide(&mut self, now: &str) -> Decision {
        let facts = Facts {
            open_runs: &self.runs,
            last_good_start: self.last_good,
            host_is_online: self.is_online,
            machine: self.machine,
            awake_since: self.awake_since,
        };
        let decision = decide(&self.plan, &self.state, &facts, at(now));
        assert!(decision.look_again > at(now) && decision.look_again <= at(now) + Duration::from_secs(30));
        self.state = decision.state.clone();
        decision
    }

    /// What a look writes, in short.
    fn look(&mut self, now: &str) -> Vec<String> {
        self.decide(now).records.iter().map(short).collect()
    }

    fn wait(&mut self, now: &str) -> Option<Wait> {
        self.decide(now).waiting.map(|(_, wait)| wait)
    }

    fn runs(&mut self, run: &str, of: Option<&str>) {
        let of = of.map(|slot| Slot::at(at(slot)));
        self.runs = vec![OpenRun { run: run.into(), of }];
    }
}

fn short(record: &Record) -> String {
    match record {
        Record::Fire(fire) => {
            let trigger = match fire.trigger {
                Trigger::Schedule => "schedule",
                Trigger::CatchUp => "catch-up",
            };
            format!("fire {} {trigger}", fire.slot)
        }
        Record::Closed { slots, outcome } if slots.count == 1 => {
            format!("{} {}", slots.first, outcome.code())
        }
        Record::Closed { slots, outcome } => {
            format!("{}..{} {} {}", slots.first, slots.last, slots.count, outcome.code())
        }
        Record::Withdrawn { after, until } => format!("withdrawn {after}..{until}"),
    }
}

#[test]
fn a_slot_fires_once_at_its_time() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    assert!(lab.look("2026-11-01T01:29:50Z").is_empty());
    assert_eq!(lab.decide("2026-11-01T01:29:50Z").look_again, at("2026-11-01T01:30:00Z"));
    assert_eq!(lab.look("2026-11-01T01:30:00Z"), ["fire 2026-11-01T01:30:00Z schedule"]);
    assert!(lab.look("2026-11-01T01:30:00Z").is_empty());
    assert!(lab.look("2026-11-01T01:30:30Z").is_empty());
}

/// Silence: nothing ran for days, and no run failed. Each expectation has a record, and the promise is broken.
#[test]
fn silence_is_recorded_and_breaks_the_promise() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.is_online = false;
    assert_eq!(lab.wait("2026-11-01T01:30:00Z"), Some(Wait::HostOffline));
    assert_eq!(lab.look("2026-11-02T01:30:00Z"), ["2026-11-01T01:30:00Z missed.host-offline"]);
    assert_eq!(lab.look("2026-11-03T01:30:00Z"), ["2026-11-02T01:30:00Z missed.host-offline"]);
    let promise = Promise::of(&lab.plan, None, None, at("2026-11-01T00:00:00Z")).expect("it runs daily");
    let proof = Proof {
        born: at("2026-11-01T00:00:00Z"),
        achieved: None,
        running_since: None,
        pause: None,
        resumed: None,
    };
    let overdue = Standing::Overdue { since: at("2026-11-02T06:00:00Z"), alerts: true };
    assert_eq!(standing(&promise, &proof, at("2026-11-03T01:30:00Z")), overdue);
}

/// The store of the runs finds lost ones and tries them again. Until then, such a run is as good as one that works.
#[test]
fn a_zombie_run_does_not_block_its_schedule_for_ever() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    assert_eq!(lab.look("2026-11-01T01:30:00Z"), ["fire 2026-11-01T01:30:00Z schedule"]);
    lab.runs("r1", Some("2026-11-01T01:30:00Z"));
    assert_eq!(lab.look("2026-11-02T01:30:00Z"), ["2026-11-02T01:30:00Z skipped.overlap"]);
    // It is lost, and another one for the same slot waits.
    lab.runs("r2", Some("2026-11-01T01:30:00Z"));
    assert_eq!(lab.look("2026-11-03T01:30:00Z"), ["2026-11-03T01:30:00Z skipped.overlap"]);
    lab.runs.clear();
    assert_eq!(lab.look("2026-11-04T01:30:00Z"), ["fire 2026-11-04T01:30:00Z schedule"]);
}

/// Whatever became of a slot's run, the slot fires no second time: a crash loop is not the schedule's.
#[test]
fn a_slot_whose_run_is_gone_does_not_fire_again() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.look("2026-11-01T01:30:00Z");
    lab.awake_since = Some(at("2026-11-01T01:31:00Z"));
    for now in ["2026-11-01T01:31:00Z", "2026-11-01T01:40:00Z", "2026-11-01T23:59:30Z"] {
        assert!(lab.look(now).is_empty(), "{now}");
    }
}

#[test]
fn after_a_wake_the_newest_slot_runs_once_and_older_ones_are_missed() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    assert_eq!(
        lab.look("2026-11-04T09:00:00Z"),
        [
            "2026-11-01T01:30:00Z missed.away",
            "2026-11-02T01:30:00Z missed.away",
            "2026-11-03T01:30:00Z missed.away",
            "fire 2026-11-04T01:30:00Z catch-up"
        ]
    );
    assert!(lab.look("2026-11-04T09:00:30Z").is_empty());
}

/// All plans of a laptop wake up at the same moment.
#[test]
fn runs_that_catch_up_are_spread() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.plan.jitter = HOUR;
    lab.awake_since = Some(at("2026-11-01T09:00:00Z"));
    let wait = lab.wait("2026-11-01T09:00:00Z");
    let Some(Wait::Jitter { until }) = wait else { panic!("{wait:?}") };
    assert!(until > at("2026-11-01T09:00:00Z") && until < at("2026-11-01T10:00:00Z"), "{until}");
    // Looking again changes nothing.
    assert_eq!(lab.wait("2026-11-01T09:00:30Z"), wait);
    assert_eq!(lab.look("2026-11-01T10:00:00Z"), ["fire 2026-11-01T01:30:00Z catch-up"]);
}

#[test]
fn a_plan_that_never_catches_up_skips_what_passed() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.plan.catch_up = CatchUp::Never;
    assert_eq!(
        lab.look("2026-11-02T09:00:00Z"),
        ["2026-11-01T01:30:00Z skipped.catch-up-never", "2026-11-02T01:30:00Z skipped.catch-up-never"]
    );
    assert_eq!(
        lab.look("2026-11-03T01:30:30Z"),
        ["fire 2026-11-03T01:30:00Z schedule"],
        "a look late is on time"
    );
}

#[test]
fn a_slot_past_its_deadline_is_missed() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.plan.deadline = Some(6 * HOUR);
    assert_eq!(lab.look("2026-11-01T07:30:01Z"), ["2026-11-01T01:30:00Z missed.away"]);
    assert_eq!(lab.look("2026-11-02T07:30:00Z"), ["fire 2026-11-02T01:30:00Z catch-up"]);
}

/// Two runs after a reload: a reload makes no slot, and it loses none.
#[test]
fn a_reload_makes_no_slot_and_loses_none() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    assert_eq!(lab.look("2026-11-01T01:30:00Z"), ["fire 2026-11-01T01:30:00Z schedule"]);
    // The same file again.
    lab.plan.schedule = calendar("30  1 * * *");
    assert!(lab.look("2026-11-01T01:30:30Z").is_empty());
    // Another time that has passed today: it begins tomorrow.
    lab.plan.schedule = calendar("0 1 * * *");
    assert!(lab.look("2026-11-01T02:00:00Z").is_empty());
    assert_eq!(lab.look("2026-11-02T01:00:00Z"), ["fire 2026-11-02T01:00:00Z schedule"]);
    // The server was down and the file changed meanwhile: what was promised then was the old schedule.
    lab.plan.schedule = calendar("0 */2 * * *");
    assert_eq!(
        lab.look("2026-11-04T09:00:00Z"),
        ["2026-11-03T01:00:00Z missed.away", "fire 2026-11-04T01:00:00Z catch-up"]
    );
    assert_eq!(lab.look("2026-11-04T10:00:00Z"), ["fire 2026-11-04T10:00:00Z schedule"]);
}

#[test]
fn overlapping_runs_are_skipped() {
    let mut lab = Lab::new(calendar("0 * * * *"), "2026-11-01T00:00:00Z");
    lab.runs("r1", None);
    assert_eq!(lab.look("2026-11-01T01:00:00Z"), ["2026-11-01T01:00:00Z skipped.overlap"]);
    lab.runs.clear();
    assert_eq!(lab.look("2026-11-01T02:00:00Z"), ["fire 2026-11-01T02:00:00Z schedule"]);
}

/// A queue that piles up: of a plan, one run waits and no more.
#[test]
fn of_overlapping_runs_the_newest_waits() {
    let mut lab = Lab::new(calendar("0 * * * *"), "2026-11-01T00:00:00Z");
    lab.plan.overlap = Overlap::QueueOne;
    lab.runs("r1", None);
    assert_eq!(lab.wait("2026-11-01T01:00:00Z"), Some(Wait::Overlap { run: "r1".into() }));
    lab.runs("r1", None);
    assert_eq!(lab.look("2026-11-01T02:00:00Z"), ["2026-11-01T01:00:00Z skipped.overlap"]);
    lab.runs.clear();
    assert_eq!(lab.look("2026-11-01T02:10:00Z"), ["fire 2026-11-01T02:00:00Z schedule"]);
}

/// A run that was there in time and waits behind another isn't caught up. One that waits for its host is.
#[test]
fn a_plan_that_never_catches_up_may_still_queue() {
    let mut lab = Lab::new(calendar("0 * * * *"), "2026-11-01T00:00:00Z");
    (lab.plan.overlap, lab.plan.catch_up) = (Overlap::QueueOne, CatchUp::Never);
    lab.runs("r1", None);
    assert!(lab.look("2026-11-01T01:00:00Z").is_empty());
    lab.runs("r1", None);
    assert!(lab.look("2026-11-01T01:10:00Z").is_empty());
    lab.runs.clear();
    assert_eq!(lab.look("2026-11-01T01:10:30Z"), ["fire 2026-11-01T01:00:00Z schedule"]);
    lab.is_online = false;
    assert!(lab.look("2026-11-01T02:00:00Z").is_empty());
    assert_eq!(lab.look("2026-11-01T02:01:01Z"), ["2026-11-01T02:00:00Z missed.host-offline"]);
}

#[test]
fn enabling_and_unpausing_never_fire_at_once() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T01:30:00Z");
    assert!(lab.look("2026-11-01T01:30:00Z").is_empty(), "a new plan begins with its next slot");
    lab.state.pause(at("2026-11-01T12:00:00Z"), None);
    assert_eq!(lab.look("2026-11-02T01:30:30Z"), ["2026-11-02T01:30:00Z skipped.paused"]);
    // It is told to go on while the server is down.
    lab.state.resume(at("2026-11-03T01:30:00Z"));
    assert_eq!(lab.look("2026-11-03T08:00:00Z"), ["2026-11-03T01:30:00Z skipped.paused"]);
    assert_eq!(lab.look("2026-11-04T01:30:00Z"), ["fire 2026-11-04T01:30:00Z schedule"]);
}

#[test]
fn a_pause_ends_by_itself_and_tells_its_slots_from_missed_ones() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.state.pause(at("2026-11-02T00:00:00Z"), Some(at("2026-11-04T00:00:00Z")));
    assert_eq!(
        lab.look("2026-11-05T08:00:00Z"),
        [
            "2026-11-01T01:30:00Z missed.away",
            "2026-11-02T01:30:00Z skipped.paused",
            "2026-11-03T01:30:00Z skipped.paused",
            "2026-11-04T01:30:00Z missed.away",
            "fire 2026-11-05T01:30:00Z catch-up"
        ]
    );
}

/// Someone pauses a plan for two days while the clock is a year ahead.
#[test]
fn a_pause_by_a_wrong_clock_keeps_its_length() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.look("2027-11-01T00:00:00Z");
    lab.state.pause(at("2027-11-01T00:00:00Z"), Some(at("2027-11-03T00:00:00Z")));
    lab.look("2027-11-01T00:00:30Z");
    lab.look("2026-11-01T12:00:00Z");
    assert_eq!(
        lab.look("2026-11-03T01:30:00Z"),
        ["2026-11-02T01:30:00Z skipped.paused", "2026-11-03T01:30:00Z skipped.paused"]
    );
    assert_eq!(lab.look("2026-11-04T01:30:00Z"), ["fire 2026-11-04T01:30:00Z schedule"]);
}

#[test]
fn a_run_that_waits_ends_with_the_pause() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.is_online = false;
    lab.look("2026-11-01T01:30:00Z");
    lab.state.pause(at("2026-11-01T02:00:00Z"), None);
    lab.is_online = true;
    assert_eq!(lab.look("2026-11-01T02:00:00Z"), ["2026-11-01T01:30:00Z skipped.paused"]);
}

#[test]
fn a_clock_set_back_runs_nothing_again() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.look("2026-11-01T01:30:00Z");
    assert_eq!(
        lab.look("2026-11-01T00:30:00Z"),
        ["withdrawn 2026-11-01T00:30:00Z..2026-11-01T01:30:00Z"],
        "what was only said of slots"
    );
    assert!(lab.look("2026-11-01T01:30:00Z").is_empty(), "it has run");
    assert_eq!(lab.look("2026-11-02T01:30:00Z"), ["fire 2026-11-02T01:30:00Z schedule"]);
}

/// A clock that was a year ahead for a minute must not stop a plan for a year.
#[test]
fn a_clock_a_year_ahead_stops_nothing() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.look("2026-11-01T01:30:00Z");
    assert_eq!(
        lab.look("2027-11-01T12:00:00Z"),
        ["2026-11-02T01:30:00Z..2027-10-31T01:30:00Z 364 missed.away", "fire 2027-11-01T01:30:00Z catch-up"]
    );
    assert_eq!(lab.look("2026-11-01T12:00:00Z"), ["withdrawn 2026-11-01T12:00:00Z..2027-11-01T12:00:00Z"]);
    assert_eq!(lab.look("2026-11-02T01:30:00Z"), ["fire 2026-11-02T01:30:00Z schedule"]);
    // When that time comes in earnest, what fired then doesn't fire again.
    assert_eq!(
        lab.look("2027-11-01T12:00:00Z"),
        ["2026-11-03T01:30:00Z..2027-10-30T01:30:00Z 362 missed.away", "fire 2027-10-31T01:30:00Z catch-up"]
    );
}

/// What was never promised doesn't fire: slots of a year before the plan was made.
#[test]
fn a_clock_set_back_before_the_birth_of_a_plan_fires_nothing_for_a_day() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    for day in ["01", "02", "03"] {
        assert_eq!(lab.look(&format!("2026-11-{day}T01:30:00Z")).len(), 1);
    }
    assert!(lab.look("2025-11-03T12:00:00Z").is_empty());
    let doubting = lab.decide("2025-11-04T01:30:00Z");
    assert_eq!((doubting.records, doubting.next), (Vec::new(), Some(Slot::at(at("2026-11-04T01:30:00Z")))));
    assert!(lab.look("2025-11-04T11:59:59Z").is_empty());
    // It is set right: nothing fires again, and what is next does.
    assert!(lab.look("2026-11-03T12:00:00Z").is_empty());
    assert_eq!(lab.look("2026-11-04T01:30:00Z"), ["fire 2026-11-04T01:30:00Z schedule"]);
    // A clock that stays there is believed after a day: else the plan would stand still for a year.
    assert!(lab.look("2025-11-04T12:00:00Z").is_empty() && lab.look("2025-11-05T01:30:00Z").is_empty());
    assert_eq!(lab.look("2025-11-05T12:00:00Z"), ["withdrawn 2025-11-05T12:00:00Z..2026-11-04T01:30:00Z"]);
    assert_eq!(lab.look("2025-11-06T01:30:00Z"), ["fire 2025-11-06T01:30:00Z schedule"]);
}

#[test]
fn a_plan_that_was_made_while_the_clock_was_a_year_ahead_runs_when_it_is_right() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2027-11-01T00:00:00Z");
    assert_eq!(lab.look("2027-11-01T01:30:00Z"), ["fire 2027-11-01T01:30:00Z schedule"]);
    assert_eq!(lab.look("2026-11-01T00:10:00Z"), ["withdrawn 2026-11-01T00:10:00Z..2027-11-01T01:30:00Z"]);
    assert_eq!(lab.look("2026-11-01T01:30:00Z"), ["fire 2026-11-01T01:30:00Z schedule"]);
}

#[test]
fn a_long_absence_is_bounded_work_and_each_slot_counts() {
    let mut lab = Lab::new(calendar("* * * * *"), "2026-11-01T00:00:00Z");
    let decision = lab.decide("2027-11-01T00:00:00Z");
    let count = |record: &Record| match record {
        Record::Closed { slots, .. } => slots.count,
        Record::Fire(_) => 1,
        _ => 0,
    };
    assert_eq!(decision.records.iter().map(count).sum::<u64>(), 365 * 24 * 60);
    assert!(decision.records.len() <= 3, "{:?}", decision.records);
    // With a condition that tells slots apart, those near now are judged one by one.
    let mut lab = Lab::new(calendar("* * * * *"), "2026-11-01T00:00:00Z");
    lab.plan.conditions = vec![Condition::Within(vec!["08:00-18:00".parse().expect("a window")])];
    let decision = lab.decide("2027-11-01T09:00:00Z");
    assert_eq!(decision.records.iter().map(count).sum::<u64>(), (365 * 24 + 9) * 60);
    assert!(decision.records.len() < SLOTS_JUDGED_MAX, "{}", decision.records.len());
    let away = decision.records.iter().filter(|record| short(record).contains("skipped.condition")).count();
    assert!(away >= 1);
}

#[test]
fn a_pause_counts_in_a_long_absence_too() {
    let mut lab = Lab::new(calendar("* * * * *"), "2026-11-01T00:00:00Z");
    lab.state.pause(at("2026-12-01T00:00:00Z"), Some(at("2026-12-31T00:00:00Z")));
    let records = lab.look("2027-11-01T00:00:00Z");
    assert_eq!(
        records[..3],
        [
            "2026-11-01T00:01:00Z..2026-11-30T23:59:00Z 43199 missed.away",
            "2026-12-01T00:00:00Z..2026-12-31T00:00:00Z 43201 skipped.paused",
            "2026-12-31T00:01:00Z..2027-10-31T23:59:00Z 439199 missed.away",
        ]
    );
}

#[test]
fn a_weekend_is_skipped_and_fridays_slot_is_caught_up() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-26T12:00:00Z");
    lab.plan.conditions = vec![Condition::Workdays { except: vec!["12-25".parse().expect("a day")] }];
    lab.is_online = false;
    // Friday, then Saturday and Sunday.
    assert_eq!(lab.wait("2026-11-27T01:30:00Z"), Some(Wait::HostOffline));
    assert_eq!(
        lab.look("2026-11-29T12:00:00Z"),
        ["2026-11-28T01:30:00Z skipped.condition", "2026-11-29T01:30:00Z skipped.condition"]
    );
    lab.is_online = true;
    assert_eq!(lab.wait("2026-11-29T12:00:00Z"), Some(Wait::Condition(Unmet::Workdays)));
    assert_eq!(lab.look("2026-11-30T00:00:00Z"), ["fire 2026-11-27T01:30:00Z schedule"]);
}

#[test]
fn a_laptop_on_battery_waits_and_a_command_is_asked() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    lab.plan.conditions = vec![Condition::MainsPower, Condition::CommandSaysYes];
    lab.plan.deadline = Some(6 * HOUR);
    lab.machine.mains_power = Some(false);
    assert_eq!(lab.wait("2026-11-01T01:30:00Z"), Some(Wait::Condition(Unmet::MainsPower)));
    lab.machine.mains_power = Some(true);
    let decision = lab.decide("2026-11-01T01:40:00Z");
    assert!(decision.asks_command && decision.waiting.is_some_and(|(_, wait)| wait == Wait::Command));
    lab.machine.answer = Some(Answer { is_yes: false, at: at("2026-11-01T01:40:01Z") });
    assert_eq!(lab.wait("2026-11-01T01:40:02Z"), Some(Wait::Condition(Unmet::Command)));
    assert!(lab.decide("2026-11-01T01:42:02Z").asks_command, "an old answer doesn't count");
    lab.machine.answer = Some(Answer { is_yes: true, at: at("2026-11-01T01:42:03Z") });
    assert_eq!(lab.look("2026-11-01T01:42:04Z"), ["fire 2026-11-01T01:30:00Z schedule"]);
    // If it never holds, the slot is skipped, and that isn't a broken promise of the server.
    lab.machine = Machine { mains_power: Some(false), answer: None };
    lab.look("2026-11-02T01:30:00Z");
    assert_eq!(lab.look("2026-11-02T07:30:01Z"), ["2026-11-02T01:30:00Z skipped.condition"]);
}

/// A host that isn't always there: no alarm for each slot.
#[test]
fn a_host_that_is_rarely_online_skips_and_runs_when_it_comes() {
    let mut lab = Lab::new(Schedule::elapsed(20 * HOUR).expect("a length"), "2026-11-01T00:00:00Z");
    lab.plan.when = When::Online;
    lab.is_online = false;
    assert_eq!(lab.wait("2026-11-01T20:00:00Z"), Some(Wait::HostOffline));
    assert_eq!(lab.look("2026-11-02T16:00:00Z"), ["2026-11-01T20:00:00Z skipped.host-offline"]);
    lab.is_online = true;
    assert_eq!(lab.look("2026-11-02T18:00:00Z"), ["fire 2026-11-02T16:00:00Z schedule"]);
    // Counted from the start of the run, and not from the slot.
    assert_eq!(
        lab.decide("2026-11-02T18:00:30Z").next.map(|slot| slot.instant()),
        Some(at("2026-11-03T14:00:00Z"))
    );
}

#[test]
fn an_elapsed_schedule_counts_from_the_last_good_run_of_any_origin() {
    let mut lab = Lab::new(Schedule::elapsed(20 * HOUR).expect("a length"), "2026-11-01T00:00:00Z");
    lab.last_good = Some(at("2026-11-01T15:00:00Z"));
    let decision = lab.decide("2026-11-01T15:30:00Z");
    assert_eq!(decision.next.map(|slot| slot.instant()), Some(at("2026-11-02T11:00:00Z")));
    // The server was down when a person ran the plan: the slot before that run needs none.
    lab.last_good = Some(at("2026-11-02T20:00:00Z"));
    assert_eq!(lab.look("2026-11-03T09:00:00Z"), ["2026-11-02T11:00:00Z skipped.satisfied"]);
    assert_eq!(lab.look("2026-11-03T16:00:00Z"), ["fire 2026-11-03T16:00:00Z schedule"]);
    // It fails: the next try comes after the same time, and not at once.
    assert!(lab.look("2026-11-04T11:59:30Z").is_empty());
    assert_eq!(lab.look("2026-11-04T12:00:00Z"), ["fire 2026-11-04T12:00:00Z schedule"]);
}

/// Two servers, or one that crashes between two writes: the same look gives the same records.
#[test]
fn a_look_is_a_function_of_what_is_known() {
    let mut lab = Lab::new(calendar("30 1 * * *"), "2026-11-01T00:00:00Z");
    let before = lab.state.clone();
    let first = lab.decide("2026-11-03T09:00:00Z");
    lab.state = before;
    assert_eq!(lab.decide("2026-11-03T09:00:00Z"), first);
}

#[test]
fn the_zone_is_the_plans_own() {
    let zone = Zone::named("America/New_York", &TimeZoneDatabase::bundled()).expect("it is there");
    let schedule = Schedule::calendar("0 2 * * *".parse().expect("an expression"), zone.clone());
    let mut lab = Lab::new(schedule, "2026-11-01T12:00:00Z");
    lab.plan.zone = zone;
    assert_eq!(lab.look("2026-11-02T07:00:00Z"), ["fire 2026-11-02T07:00:00Z schedule"]);
}

#[test]
fn outcomes_and_waits_say_what_happened() {
    let paused = Outcome::Skipped(Skipped::Paused);
    assert_eq!(
        (paused.code(), paused.to_string()),
        ("skipped.paused", "skipped: the plan was paused".to_owned())
    );
    let away = Outcome::Missed(Missed::Away).to_string();
    assert_eq!(away, "missed: the server was down or asleep when it was time");
    let wait = Wait::Condition(Unmet::MainsPower);
    assert_eq!(
        (wait.code(), wait.to_string()),
        ("wait.condition", "the machine runs on its battery".to_owned())
    );
}
