//! Traps of schedules: silence, runs that are gone, servers that start, wakes, reloads, pauses, clocks.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lab::{Server, Site, begin, minutes, plan, work};
use jiff::Timestamp;
use keepfast_schedule::clock::{ClockEvent, LOOK_EVERY};
use keepfast_server::daemon::promises::{self, OVERDUE};
use keepfast_server::state::{instant, stored};
use keepfast_server::status::{Promises, View};
use keepfast_store::{
    Apply, Ending, EventKind, NextTry, PageSize, PlanId, RunId, Sequence, SlotRecord, SlotVerdict, UserName,
    Verdict, VerdictKind, Work,
};

const MINUTELY: &str = "cron = \"* * * * *\"";
const HOURLY: &str = "cron = \"0 * * * *\"";
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn www(schedule: &str) -> String {
    plan("www", schedule, "")
}

async fn overdue(server: &Server) -> Vec<String> {
    let Server { config, store, now, .. } = server;
    let view = View { config, store, host: "host", now: *now };
    promises::watch(&view, &mut Promises::default()).await.unwrap();
    server.problems().await
}

/// No slot has more than one outcome, and none that fired did so twice.
async fn assert_one_outcome_each(server: &Server, plan: &str) {
    let slots = server.slots(plan).await;
    let mut before = None;
    // What a wrong clock has fired ahead of its time stays, and may lie among those that are missed later.
    for slot in slots.iter().filter(|slot| slot.verdict != SlotVerdict::Fired) {
        assert!(before < Some(slot.first), "{slots:#?}");
        before = Some(slot.last);
    }
    let runs = server.runs(plan).await;
    let first_tries: Vec<_> = runs.iter().filter(|run| run.attempt == 1).filter_map(|run| run.slot).collect();
    let different: BTreeSet<_> = first_tries.iter().map(|slot| slot.at).collect();
    assert_eq!(different.len(), first_tries.len(), "{runs:#?}");
}

/// A success rate of 100 % while nothing runs. The promise is judged without the scheduler; the slots get their word when
/// there is one again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_while_nothing_runs() {
    let site = Site::alone(&plan("www", HOURLY, "rpo = \"3h\""));
    let mut server = site.serve("ann", begin()).await;
    server.live(minutes(90)).await;
    assert_eq!(overdue(&server).await, [""; 0]);
    // The scheduler hangs: nothing looks any more, nothing fails.
    server.pass(minutes(5 * 60));
    for _ in 0..3 {
        assert_eq!(overdue(&server).await, [format!("plan:www {OVERDUE}")]);
    }
    server.live(minutes(2)).await;
    assert_eq!(overdue(&server).await, [""; 0]);
    let met: u32 = server
        .slots("www")
        .await
        .iter()
        .filter(|slot| slot.verdict == SlotVerdict::Fired)
        .map(|slot| slot.count)
        .sum();
    let all: u32 = server.slots("www").await.iter().map(|slot| slot.count).sum();
    assert_eq!((met, all), (2, 6), "coverage is what was met of what was promised");
}

/// A plan that is new, or that is paused, breaks no promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn false_alarm_of_an_overdue_plan() {
    let site = Site::alone(&plan("www", HOURLY, "rpo = \"3h\""));
    let mut server = site.serve("ann", begin()).await;
    server.pass(minutes(170));
    assert_eq!(overdue(&server).await, [""; 0], "no slot of before its birth is owed");
    let www = PlanId::new("www").unwrap();
    server.store.pause(stored(server.now), &www, None, &UserName::new("ann").unwrap(), None).await.unwrap();
    server.live(minutes(60 * 12)).await;
    assert_eq!(overdue(&server).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zombie_run_blocks_its_schedule_for_ever() {
    let site = Site::shared(&www(MINUTELY));
    let (mut ann, mut ben) = (site.serve("ann", begin()).await, site.serve("ben", begin()).await);
    ann.is_held_up = true;
    ann.live(minutes(1)).await;
    assert_eq!(ann.held.len(), 1);
    // It dies, and no one starts it again.
    ben.live(minutes(2)).await;
    assert_eq!(ben.verdicts("www").await.last(), Some(&Some(VerdictKind::Skipped)), "the run may still live");
    ben.live(minutes(4)).await;
    let verdicts = ben.verdicts("www").await;
    assert_eq!(verdicts[0], Some(VerdictKind::Lost));
    assert!(verdicts.contains(&Some(VerdictKind::Ok)), "{verdicts:?}");
    assert_one_outcome_each(&ben, "www").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_kills_live_runs_of_another_server() {
    let site = Site::shared(&www(MINUTELY));
    let mut ann = site.serve("ann", begin()).await;
    ann.is_held_up = true;
    ann.live(minutes(1)).await;
    let held = ann.held[0].run.id.clone();
    let mut ben = site.serve("ben", ann.now).await;
    for _ in 0..10 {
        ann.live(minutes(1)).await;
        ben.live(minutes(1)).await;
    }
    ben.start().await;
    ben.look().await;
    let run = ann.store.run(&held).await.unwrap().unwrap();
    assert!(run.verdict.is_none(), "{run:?}");
    assert_eq!(run.executor.unwrap().server.as_str(), "server ann", "each run names its executor");
    // Its own earlier life is over for sure.
    ann.start().await;
    assert_eq!(ann.store.run(&held).await.unwrap().unwrap().verdict, Some(Verdict::Lost));
}

/// A server died between the end of a lost run and the retry: the slot was never done. Here it dies at each moment of a
/// look, and the slot is done by its next life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_while_a_run_is_lost_leaves_its_slot_undone() {
    for waits in 0.. {
        let site = Site::alone(&www(HOURLY));
        let mut server = site.serve("ann", begin()).await;
        server.pass(minutes(60));
        server.look().await;
        assert_eq!(server.held.len(), 1);
        // Its run falls silent.
        server.held.clear();
        for _ in 0..4 {
            server.pass(LOOK_EVERY);
            server.look().await;
        }
        server.pass(LOOK_EVERY);
        let has_died = server.die_in_look(waits).await;
        server.start().await;
        server.live(minutes(3)).await;
        let verdicts = server.verdicts("www").await;
        assert_eq!(verdicts, [Some(VerdictKind::Lost), Some(VerdictKind::Ok)], "it dies after {waits} waits");
        if !has_died {
            assert!(waits > 3, "the look was over after {waits} waits");
            return;
        }
    }
}

/// A clock was a day ahead while a run failed: the next try waited for that day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_that_was_a_day_ahead_holds_up_a_retry() {
    let site = Site::alone(&www(HOURLY));
    let mut server = site.serve("ann", begin()).await;
    server.is_held_up = true;
    let day = Duration::from_secs(86_400);
    server.now += day;
    server.live(minutes(1)).await;
    let held = server.held.pop().unwrap();
    let retry =
        NextTry { id: RunId::new("the next try").unwrap(), not_before: stored(server.now).plus(minutes(5)) };
    let work = Work { retry: Some(retry), ..work(Ending::Failed) };
    server.store.end(stored(server.now), &held, &work).await.unwrap();
    server.live(minutes(1)).await;
    assert_eq!(server.held.len(), 0, "it waits");
    server.now -= day;
    server.live(minutes(6)).await;
    assert_eq!(server.held.iter().map(|held| held.run.id.as_str()).collect::<Vec<_>>(), ["the next try"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_loop_of_one_run() {
    let site = Site::alone(&www(HOURLY));
    let mut server = site.serve("ann", begin()).await;
    server.is_held_up = true;
    let mut lives = 0;
    for _ in 0..20 {
        server.live(minutes(5)).await;
        if !server.held.is_empty() && server.now < begin() + minutes(110) {
            lives += 1;
            server.start().await;
        }
    }
    let verdicts = server.verdicts("www").await;
    assert_eq!((lives, &*verdicts), (3, &[Some(VerdictKind::Lost); 3][..]), "it is not tried a fourth time");
    let events = server.store.events_after(Sequence::START, PageSize::MAX).await.unwrap().events;
    let told = events.iter().filter(|event| event.kind == EventKind::RUN_QUARANTINED).count();
    assert_eq!(told, 1);
    server.is_held_up = false;
    server.live(minutes(60)).await;
    assert!(server.verdicts("www").await.contains(&Some(VerdictKind::Ok)), "the next slot runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_after_a_reload() {
    let site = Site::alone(&www(HOURLY));
    let mut server = site.serve("ann", begin()).await;
    server.live(minutes(60)).await;
    for text in [www(HOURLY), plan("www", HOURLY, "rpo = \"9h\""), plan("www", "cron = \"0,1 * * * *\"", "")]
    {
        let config = site.config(&text);
        server.reload(config, Apply::IfNew).await;
        server.look().await;
        server.start().await;
        server.look().await;
    }
    assert_eq!(server.verdicts("www").await, [Some(VerdictKind::Ok)], "a reload makes no slot");
    assert_one_outcome_each(&server, "www").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_after_a_wake_and_a_storm_of_those_that_were_missed() {
    let plans: String = (0..8).map(|number| plan(&format!("p{number}"), HOURLY, "")).collect();
    let site = Site::alone(&plans);
    let mut server = site.serve("ann", begin()).await;
    server.live(minutes(60)).await;
    // It sleeps over two days and wakes up: the clock that counts sleep goes on.
    server.pass(minutes(50 * 60));
    server.live(minutes(10)).await;
    for number in 0..8 {
        let name = format!("p{number}");
        let verdicts = server.verdicts(&name).await;
        let count = |kind| verdicts.iter().filter(|verdict| **verdict == Some(kind)).count();
        assert_eq!((count(VerdictKind::Ok), count(VerdictKind::Missed)), (2, 49), "{verdicts:?}");
        let missed: u32 = server
            .slots(&name)
            .await
            .iter()
            .filter(|slot| slot.verdict == SlotVerdict::Missed)
            .map(|slot| slot.count)
            .sum();
        assert_eq!(missed, 49, "the newest runs, the others are missed");
        assert_one_outcome_each(&server, &name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_piles_up_behind_a_long_run() {
    for (overlap, started_later) in [("skip", 0), ("queue-one", 1)] {
        let site = Site::alone(&plan("www", MINUTELY, &format!("overlap = \"{overlap}\"")));
        let mut server = site.serve("ann", begin()).await;
        server.is_held_up = true;
        server.live(minutes(30)).await;
        assert_eq!(server.held.len(), 1);
        assert_eq!(server.store.waiting_runs(PageSize::MAX).await.unwrap(), [], "{overlap}");
        let outcomes: u32 = server.slots("www").await.iter().map(|slot| slot.count).sum();
        // With `queue-one`, the slot that waits has none yet.
        assert_eq!(outcomes, 30 - started_later, "what doesn't run is recorded");
        server.end_all(Ending::Ok).await;
        server.pass(Duration::from_secs(10));
        server.look().await;
        assert_eq!(server.held.len(), usize::try_from(started_later).unwrap(), "the newest, and no other");
        assert_one_outcome_each(&server, "www").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpause_and_enable_fire_at_once() {
    let site = Site::alone(&www(HOURLY));
    let mut server = site.serve("ann", begin()).await;
    let (www_id, ann) = (PlanId::new("www").unwrap(), UserName::new("ann").unwrap());
    server.store.pause(stored(server.now), &www_id, None, &ann, None).await.unwrap();
    server.live(minutes(150)).await;
    server.store.unpause(stored(server.now), &www_id, stored(server.now)).await.unwrap();
    server.live(minutes(10)).await;
    let disabled = site.config(&plan("www", HOURLY, "enabled = false"));
    server.reload(disabled, Apply::IfNew).await;
    server.live(minutes(120)).await;
    server.reload(site.config(&www(HOURLY)), Apply::IfNew).await;
    server.live(minutes(10)).await;
    let verdicts = server.verdicts("www").await;
    assert!(verdicts.iter().all(|verdict| *verdict == Some(VerdictKind::Skipped)), "{verdicts:?}");
    let skipped: u32 = server.slots("www").await.iter().map(|slot| slot.count).sum();
    assert_eq!(skipped, 4, "the slots of both times have their word");
    server.live(minutes(60)).await;
    assert_eq!(server.verdicts("www").await.last(), Some(&Some(VerdictKind::Ok)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_set_forward_and_back() {
    let site = Site::alone(&www(HOURLY));
    let mut server = site.serve("ann", begin()).await;
    server.live(minutes(60)).await;
    for forward in [true, false] {
        let before = server.now;
        server.now = if forward { server.now + YEAR } else { server.now - YEAR };
        let events = server.live(minutes(3)).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(matches!(events[0], ClockEvent::Set { .. }));
        server.now = before + minutes(3);
        server.live(minutes(120)).await;
        assert_one_outcome_each(&server, "www").await;
    }
    let slots = server.slots("www").await;
    for hour in 12..17 {
        let slot: Timestamp = format!("2026-03-02T{hour}:00:00Z").parse().unwrap();
        let has_run =
            |record: &&SlotRecord| instant(record.first) == slot && record.verdict == SlotVerdict::Fired;
        assert!(
            slots.iter().any(|record| has_run(&record)),
            "the slots of the true time have run: {hour}: {slots:#?}"
        );
    }
}

/// Two servers whose clocks are a year apart share the schedules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_two_servers_a_year_apart() {
    let site = Site::shared(&www(MINUTELY));
    let mut ann = site.serve("ann", begin()).await;
    let mut ben = site.serve("ben", begin()).await;
    ben.now += YEAR;
    for _ in 0..5 {
        ann.live(minutes(1)).await;
        ben.live(minutes(1)).await;
    }
    assert_one_outcome_each(&ann, "www").await;
    ben.now -= YEAR;
    for _ in 0..3 {
        ann.live(minutes(1)).await;
        ben.live(minutes(1)).await;
    }
    assert_one_outcome_each(&ann, "www").await;
    let last = ann.slots("www").await.into_iter().rfind(|slot| instant(slot.first) <= ann.now).unwrap();
    assert!(instant(last.first) + minutes(2) > ann.now, "the plan goes on: {last:?} {}", ann.now);
    assert_eq!(last.verdict, SlotVerdict::Fired);
}

/// Servers that share a state and follow different definitions: each would make slots of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_with_different_definitions_both_make_slots() {
    let site = Site::shared(&www(MINUTELY));
    let mut ann = site.serve("ann", begin()).await;
    let mut ben = site.serve("ben", begin()).await;
    assert!(ben.look().await.differs.is_none());
    let newer = format!("{}{}", www(MINUTELY), plan("etc", MINUTELY, ""));
    ann.reload(site.config(&newer), Apply::IfNew).await;
    ann.is_held_up = true;
    // The new plan begins now: its first slot is the next.
    ann.live(minutes(2)).await;
    assert_eq!(ann.held.len(), 2);
    ann.end_all(Ending::Ok).await;
    // A run of the new plan waits: the older definitions don't know it.
    ann.pass(minutes(1));
    let by_hand = keepfast_server::runs::queue(&ann.config, &ann.store, "etc", "ann").await.unwrap();
    for _ in 0..2 {
        ben.pass(minutes(1));
        let look = ben.look().await;
        assert!(look.differs.is_some() && look.start.is_empty());
        assert_eq!(look.differs.unwrap().host.as_str(), "ann");
        ben.start().await;
    }
    let ids: BTreeSet<_> = ann.runs("etc").await.iter().map(|run| run.id.to_string()).collect();
    assert!(ids.contains(&by_hand) && ann.runs("etc").await.last().unwrap().verdict.is_none());
    let known: Vec<_> = ann.store.schedule_states().await.unwrap();
    assert_eq!(known.len(), 2, "nor does it forget what others follow");
    // It is changed to the same.
    ben.reload(site.config(&newer), Apply::IfNew).await;
    assert!(ben.look().await.differs.is_none());
    assert!(ann.look().await.differs.is_none());
    assert_one_outcome_each(&ann, "etc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_applies_older_definitions_again_and_the_others_wait() {
    let site = Site::shared(&www(MINUTELY));
    let mut ann = site.serve("ann", begin()).await;
    let mut ben = site.serve("ben", begin()).await;
    let newer = site.config(&www(HOURLY));
    ann.reload(newer.clone(), Apply::IfNew).await;
    assert!(ben.look().await.differs.is_some());
    ben.reload(site.config(&www(MINUTELY)), Apply::Anyway).await;
    assert!(ben.look().await.differs.is_none());
    assert!(ann.look().await.differs.is_some());
    ben.live(minutes(2)).await;
    assert!(ben.verdicts("www").await.contains(&Some(VerdictKind::Ok)));
    // The others come back to them without a reload when they are applied there.
    ben.reload(newer, Apply::IfNew).await;
    assert!(ann.look().await.differs.is_none());
}
