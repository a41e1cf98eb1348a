//! What holds for any schedule, zone, clock, sleep, pause and crash.

use std::time::Duration;

use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};
use keepfast_schedule::condition::Condition;
use keepfast_schedule::cron::Cron;
use keepfast_schedule::decide::SLOTS_JUDGED_MAX;
use keepfast_schedule::plan::{CatchUp, JitterSeed, Overlap, PlanSchedule, When};
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::state::PlanState;
use keepfast_schedule::zone::Zone;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;

use world::{Dice, End, World, Written};

mod world;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/Santiago",
];

fn zone(name: &str) -> Zone {
    Zone::named(name, &TimeZoneDatabase::bundled()).expect("a zone")
}

fn field(values: std::ops::RangeInclusive<u8>) -> impl Strategy<Value = String> {
    let (least, most) = (*values.start(), *values.end());
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => values.clone().prop_map(|value| value.to_string()),
        1 => (2..=most.max(2)).prop_map(|step| format!("*/{step}")),
        1 => (values.clone(), values.clone()).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        1 => prop::collection::vec(values, 2..4).prop_map(move |values| {
            values.iter().map(|value| value.max(&least).to_string()).collect::<Vec<_>>().join(",")
        }),
    ]
}

fn cron_text() -> impl Strategy<Value = String> {
    let day = prop_oneof![4 => field(1..=31), 1 => Just("L".to_owned()), 1 => Just("LW".to_owned()), 1 => Just("15W".to_owned())];
    let weekday = prop_oneof![4 => Just("*".to_owned()), 2 => field(0..=6), 1 => Just("mon-fri".to_owned()), 1 => Just("fri#2".to_owned()), 1 => Just("sunL".to_owned())];
    let month = prop_oneof![6 => Just("*".to_owned()), 1 => field(1..=12)];
    (field(0..=59), field(0..=23), day, month, weekday)
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

/// An instant near a change of the clock, or any other, with a part of a second.
fn instant() -> impl Strategy<Value = Timestamp> {
    let changes = [
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-04-04T15:00:00Z",
        "2026-04-23T22:00:00Z",
        "2026-10-29T21:00:00Z",
        "2026-02-15T02:00:00Z",
    ];
    let near =
        (prop::sample::select(changes.to_vec()), -200_000_i64..200_000).prop_map(|(change, seconds)| {
            change.parse::<Timestamp>().expect("an instant") + SignedDuration::from_secs(seconds)
        });
    let far = (1_700_000_000_i64..2_000_000_000)
        .prop_map(|second| Timestamp::from_second(second).expect("an instant"));
    (prop_oneof![near, far], 0..2_u64).prop_map(|(at, part)| at + Duration::from_millis(part * 250))
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (cron_text(), prop::sample::select(ZONES.to_vec())).prop_map(|(cron, name)| {
        Schedule::calendar(cron.parse().unwrap_or_else(|error| panic!("{cron}: {error}")), zone(name))
    })
}

proptest! {
    /// Any text is parsed or refused, and what is parsed is written as it is read.
    #[test]
    fn no_text_is_a_surprise(text in "[-*/,0-9a-zLW#? @]{0,24}") {
        if let Ok(cron) = text.parse::<Cron>() {
            prop_assert_eq!(cron.as_str().parse::<Cron>(), Ok(cron.clone()));
            prop_assert!(!cron.minutes_of_day().is_empty());
        }
    }

    /// Whatever way slots are asked for, they are the same.
    #[test]
    fn a_walk_a_count_and_a_search_agree(schedule in schedule(), after in instant(), hours in 0..1000_u64) {
        let until = after + Duration::from_secs(hours * 3600 / 7);
        let slots = schedule.slots_between(after, until, after, usize::MAX);
        let instants: Vec<Timestamp> = slots.iter().map(|planned| planned.slot.instant()).collect();
        prop_assert!(instants.windows(2).all(|pair| pair[0] < pair[1]), "they come in order, each once");
        prop_assert!(instants.iter().all(|at| after < *at && *at <= until));
        let count = schedule.count(after, until, after);
        prop_assert_eq!((count.slots, count.is_exact), (u64::try_from(slots.len()).expect("few"), true));
        let newest = schedule.newest(until, after);
        if let Some(last) = slots.last() {
            prop_assert_eq!(newest, Some(last.slot));
        } else {
            prop_assert!(newest.is_none_or(|newest| newest.instant() <= after));
        }
        // From any instant on, the walk goes on in the same way.
        let middle = after + Duration::from_secs(hours * 3600 / 14);
        let next = instants.iter().find(|at| **at > middle);
        let found = schedule.next(middle, after);
        prop_assert!(next.is_none_or(|next| found.map(|slot| slot.instant()) == Some(*next)));
        prop_assert!(next.is_some() || found.is_none_or(|found| found.instant() > until));
    }

    /// Each time on the wall that an expression for certain hours has, fires once: at its instant, the first of
    /// two, or right after the gap.
    #[test]
    fn each_time_on_the_wall_fires_once(schedule in schedule(), after in instant()) {
        let Schedule::Calendar { cron, zone } = &schedule else { unreachable!("it is a calendar") };
        let until = after + Duration::from_secs(3 * 86_400);
        let slots: Vec<_> = schedule.slots_between(after, until, after, usize::MAX);
        let (first, last) = (zone.wall(after).date(), zone.wall(until).date());
        let mut day = first.tomorrow().expect("a day");
        while day < last && !cron.is_every_hour() {
            for minute in cron.minutes_of_day().iter().filter(|_| cron.matches_day(day)) {
                let wall = day.at(0, 0, 0, 0) + SignedDuration::from_mins(i64::from(*minute));
                let at = slots.iter().filter(|planned| planned.wall == wall).count();
                let moved = slots.iter().filter(|planned| {
                    planned.notes.iter().any(|note| matches!(note,
                        keepfast_schedule::slot::Note::Moved { walls, .. } if walls.first <= wall && wall <= walls.last))
                });
                prop_assert_eq!(at + moved.count(), 1, "{} in {}", wall, zone);
            }
            day = day.tomorrow().expect("a day");
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Look,
    LooksFor(u64),
    Sleep(u64),
    CrashBeforeWriting,
    Restart,
    SetClock(i64),
    Pause(Option<u64>),
    Resume,
    Offline,
    Online,
    RunEnds { is_good: bool },
    RunDies,
    Reload(Schedule),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Look),
        8 => (1..400_u64).prop_map(Event::LooksFor),
        4 => (1..200_000_u64).prop_map(Event::Sleep),
        1 => (1..3_000_000_u64).prop_map(Event::Sleep),
        2 => Just(Event::CrashBeforeWriting),
        2 => Just(Event::Restart),
        2 => prop_oneof![-90_000..90_000_i64, -32_000_000..32_000_000_i64, Just(0)].prop_map(Event::SetClock),
        2 => prop::option::of(1..1_000_000_u64).prop_map(Event::Pause),
        2 => Just(Event::Resume),
        2 => Just(Event::Offline),
        3 => Just(Event::Online),
        5 => any::<bool>().prop_map(|is_good| Event::RunEnds { is_good }),
        2 => Just(Event::RunDies),
    ]
}

fn plan() -> impl Strategy<Value = PlanSchedule> {
    let settings = (
        prop_oneof![Just(0_u64), 1..7200_u64],
        prop::option::of(60..100_000_u64),
        any::<[bool; 5]>(),
        any::<u64>(),
    );
    let elapsed =
        (60..200_000_u64).prop_map(|every| Schedule::elapsed(Duration::from_secs(every)).expect("a length"));
    (prop_oneof![4 => schedule(), 1 => elapsed], settings).prop_map(
        |(schedule, (jitter, deadline, [once, skip, always, workdays, windows], seed))| {
            let zone = match &schedule {
                Schedule::Calendar { zone, .. } => zone.clone(),
                Schedule::Elapsed { .. } => Zone::utc(),
            };
            let workdays = workdays.then(|| Condition::Workdays { except: Vec::new() });
            let windows = windows.then(|| Condition::Within(vec!["06:00-02:30".parse().expect("a window")]));
            PlanSchedule {
                jitter: Duration::from_secs(jitter),
                seed: JitterSeed(seed),
                deadline: deadline.map(Duration::from_secs),
                catch_up: if once { CatchUp::Once } else { CatchUp::Never },
                overlap: if skip { Overlap::Skip } else { Overlap::QueueOne },
                when: if always { When::Always } else { When::Online },
                conditions: workdays.into_iter().chain(windows).collect(),
                ..PlanSchedule::new("plan".into(), schedule, zone)
            }
        },
    )
}

/// What a server reads after a restart, which must be what was written.
fn read_again(state: &PlanState) -> Result<PlanState, String> {
    let document = serde_json::to_string(state).map_err(|error| error.to_string())?;
    let mut from = serde_json::Deserializer::from_str(&document);
    let read = PlanState::read(&mut from, &TimeZoneDatabase::bundled()).map_err(|error| error.to_string())?;
    if read != *state {
        return Err(format!("{state:?} is read again as {read:?} from {document}"));
    }
    Ok(read)
}

/// Plays a history, and checks the account at the end; each record is checked when it is written.
fn play(plan: PlanSchedule, start: Timestamp, events: Vec<Event>) -> Result<Written, String> {
    let mut world = World::new(start);
    let mut written = Written::new(plan, start);
    let mut is_online = true;
    let mut account_from = start;
    for event in events {
        let wall = world.wall();
        match event {
            Event::Look => {}
            Event::LooksFor(looks) => {
                for _ in 0..looks {
                    let lease = world.lease();
                    written
                        .runs
                        .iter_mut()
                        .filter(|(_, dead)| dead.is_none())
                        .for_each(|(open, _)| open.lease = Some(lease));
                    written.look(&world, is_online, true)?;
                    world.pass(Duration::from_secs(30));
                }
            }
            Event::Sleep(seconds) => world.pass(Duration::from_millis(seconds * 999)),
            Event::CrashBeforeWriting => {
                written.look(&world, is_online, false)?;
                world.restart();
            }
            Event::Restart => world.restart(),
            Event::SetClock(seconds) => world.set_clock(SignedDuration::from_secs(seconds)),
            Event::Pause(length) => {
                let until = length.map(|seconds| wall + Duration::from_secs(seconds));
                written.state.pause(wall, until);
            }
            Event::Resume => written.state.resume(wall),
            Event::Offline => is_online = false,
            Event::Online => is_online = true,
            Event::RunEnds { is_good } => {
                if written.runs.pop().is_some() && is_good {
                    written.last_good = Some(wall);
                }
            }
            Event::RunDies => {
                for (open, dies) in &mut written.runs {
                    open.lease = open.lease.or(Some(world.lease()));
                    *dies = Some(world.real);
                }
            }
            Event::Reload(schedule) => {
                // What was promised until now is settled, so that the account of the new schedule begins here.
                written.look(&world, is_online, true)?;
                written.plan.schedule = schedule;
                written.look(&world, is_online, true)?;
                account_from = account_from.max(written.state.accounted);
            }
        }
        let lease = world.lease();
        written
            .runs
            .iter_mut()
            .filter(|(_, dead)| dead.is_none())
            .for_each(|(open, _)| open.lease = Some(lease));
        written.look(&world, is_online, true)?;
        written.state = read_again(&written.state)?;
    }
    written.check_account(account_from)?;
    Ok(written)
}

fn failed(error: String) -> TestCaseError {
    TestCaseError::fail(error)
}

proptest! {
    /// Every slot gets exactly one end, none fires twice, nothing is missed silently, and no look is unbounded.
    #[test]
    fn each_slot_has_one_end(plan in plan(), start in instant(), events in prop::collection::vec(event(), 1..40)) {
        let written = play(plan, start, events).map_err(failed)?;
        prop_assert!(written.records_max <= SLOTS_JUDGED_MAX + 140, "{} records", written.records_max);
    }

    /// With other schedules in between, too.
    #[test]
    fn reloads_make_no_slot_and_lose_none(
        plan in plan(),
        start in instant(),
        schedules in prop::collection::vec(schedule(), 1..4),
        events in prop::collection::vec(event(), 4..30),
    ) {
        let mut events: Vec<Event> = events.into_iter().filter(|event| !matches!(event, Event::SetClock(_))).collect();
        let step = (events.len() / schedules.len()).max(1);
        for (at, schedule) in schedules.into_iter().enumerate() {
            events.insert((at * step).min(events.len()), Event::Reload(schedule));
        }
        play(plan, start, events).map_err(failed)?;
    }

    /// A plan whose clock was wrong goes on as soon as it is right.
    #[test]
    fn a_clock_that_was_wrong_stops_nothing(wrong_by in -40_000_000..40_000_000_i64, seed in any::<u64>()) {
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().expect("an instant");
        let schedule = Schedule::calendar("30 1 * * *".parse().expect("an expression"), Zone::utc());
        let plan = PlanSchedule::new("plan".into(), schedule, Zone::utc());
        let mut dice = Dice(seed);
        let looks = || Event::LooksFor(2);
        let end = || Event::RunEnds { is_good: true };
        let mut events = vec![looks(), Event::SetClock(wrong_by), looks(), end(), Event::Sleep(dice.below(7200)), looks(), end(), Event::SetClock(0)];
        events.extend([looks(), end(), Event::Sleep(2 * 86_400), looks()]);
        let written = play(plan, start, events).map_err(failed)?;
        let since = written.state.accounted - Duration::from_secs(2 * 86_400);
        let fired = written.ends.iter().filter(|(slot, end)| **end == End::Fired && slot.instant() > since);
        prop_assert!(fired.count() >= 1, "{:?}", written.ends);
    }
}
