//! Counts for metrics: each run counts once, however often and by whomever it is asked, and removed history counts on.

use std::collections::BTreeMap;

use keepfast_store::{
    DeliveryCount, Ending, NewDelivery, OpenRuns, PageSize, ReaderId, Retention, Routing, RunKind, Sequence,
    SnapshotCount, Store, TargetId, Trigger, VerdictKind,
};
use serde_json::json;

use crate::lab::{Lab, all_events, at, claim, executor, id, new_run, on_both, plan, work};

on_both! {
    runs_are_counted_once_and_stay_counted_when_they_are_removed;
    two_servers_count_the_same;
    open_runs_and_snapshots_are_counted;
    deliveries_are_counted_by_target;
}

const HOUR: i64 = 3600;

async fn ended(store: &Store, name: &str, of: &str, second: i64, ending: Ending) {
    store.queue(at(second), &new_run(name, &plan(of), Trigger::Manual)).await.unwrap();
    let held = claim(store, at(second), &id(name), &executor("a")).await.unwrap();
    store.end(at(second + 1), &held, &work(ending)).await.unwrap();
}

async fn counts(store: &Store, second: i64) -> BTreeMap<String, u64> {
    let counts = store.run_counts(at(second)).await.unwrap();
    counts
        .into_iter()
        .map(|count| (format!("{} {}", count.plan, count.verdict.as_str()), count.runs))
        .collect()
}

fn expected(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, runs)| ((*name).to_owned(), *runs)).collect()
}

async fn runs_are_counted_once_and_stay_counted_when_they_are_removed(lab: Lab) {
    let store = lab.open().await;
    assert_eq!(counts(&store, 0).await, expected(&[]));
    for number in 0..9 {
        let ending = if number % 3 == 2 { Ending::Failed } else { Ending::Ok };
        ended(&store, &format!("run {number}"), "a plan", number * HOUR, ending).await;
        // Asked in between, when the run is new and when it is not.
        counts(&store, number * HOUR + 2).await;
        counts(&store, number * HOUR + 1800).await;
    }
    // One that is open holds nothing up, and counts when it ends.
    store.queue(at(9 * HOUR), &new_run("open", &plan("a plan"), Trigger::Manual)).await.unwrap();
    let mut check = new_run("check", &plan("a plan"), Trigger::Manual);
    check.kind = RunKind::Check;
    store.queue(at(9 * HOUR), &check).await.unwrap();
    let held = claim(&store, at(9 * HOUR), &id("check"), &executor("a")).await.unwrap();
    store.end(at(9 * HOUR), &held, &work(Ending::Ok)).await.unwrap();
    ended(&store, "later", "db", 10 * HOUR, Ending::Findings).await;
    let all = [("a plan failed", 3), ("a plan ok", 6), ("db findings", 1)];
    for second in [10 * HOUR, 20 * HOUR, 20 * HOUR] {
        assert_eq!(counts(&store, second).await, expected(&all), "at {second}");
    }
    let held = claim(&store, at(21 * HOUR), &id("open"), &executor("a")).await.unwrap();
    store.end(at(21 * HOUR), &held, &work(Ending::Cancelled)).await.unwrap();
    let all = [("a plan cancelled", 1), ("a plan failed", 3), ("a plan ok", 6), ("db findings", 1)];
    assert_eq!(counts(&store, 30 * HOUR).await, expected(&all));
    let retention = Retention { runs_before: at(15 * HOUR), events_before: at(0), at_most: PageSize::MAX };
    assert!(store.remove_history(&retention).await.unwrap().runs > 5);
    assert_eq!(counts(&store, 31 * HOUR).await, expected(&all));
    // The sums go with the state to another database.
    let mut lines = Vec::new();
    store.export(&mut lines).await.unwrap();
    let other = Lab::new(lab.on());
    let moved = other.open().await;
    moved.import(&mut &lines[..]).await.unwrap();
    assert_eq!(counts(&moved, 31 * HOUR).await, expected(&all));
}

async fn two_servers_count_the_same(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    for number in 0..40 {
        ended(&one, &format!("run {number}"), "www", number, Ending::Ok).await;
    }
    let later = 2 * HOUR;
    let (first, second) = tokio::join!(counts(&one, later), counts(&other, later));
    assert_eq!((first, second), (expected(&[("www ok", 40)]), expected(&[("www ok", 40)])));
}

async fn open_runs_and_snapshots_are_counted(lab: Lab) {
    let store = lab.open().await;
    assert_eq!(store.open_run_counts().await.unwrap(), OpenRuns::default());
    for name in ["one", "two", "three"] {
        store.queue(at(0), &new_run(name, &plan(name), Trigger::Manual)).await.unwrap();
    }
    claim(&store, at(0), &id("two"), &executor("a")).await.unwrap();
    assert_eq!(store.open_run_counts().await.unwrap(), OpenRuns { waiting: 2, active: 1 });
    assert_eq!(store.snapshot_counts().await.unwrap(), Vec::<SnapshotCount>::new());
}

async fn deliveries_are_counted_by_target(lab: Lab) {
    let store = lab.open().await;
    for number in 0..4 {
        ended(&store, &format!("run {number}"), "www", number, Ending::Ok).await;
    }
    let (mail, chat) = (TargetId::new("mail").unwrap(), TargetId::new("chat").unwrap());
    let events: Vec<Sequence> = all_events(&store).await.iter().map(|event| event.sequence).collect();
    let delivery = |target: &TargetId, event: Sequence| NewDelivery {
        event,
        problem: None,
        target: target.clone(),
        document: json!({}),
        not_before: None,
    };
    let new = [delivery(&mail, events[0]), delivery(&mail, events[1]), delivery(&chat, events[0])];
    let reader = ReaderId::new("routes").unwrap();
    let from = store.reader_place(&reader).await.unwrap().generation;
    let routing = Routing { reader: &reader, from, to: events[2], document: None, deliveries: &new };
    assert!(store.route(at(10), &routing).await.unwrap());
    assert_eq!(store.delivery_count(&mail).await.unwrap(), DeliveryCount { waiting: 2, undeliverable: 0 });
    assert_eq!(store.delivery_count(&chat).await.unwrap().waiting, 1);
    assert_eq!(VerdictKind::parse("ok"), Some(VerdictKind::Ok));
}
