//! History is removed by age, and its space goes back to the disk.

use keepfast_store::{
    Ending, EventKind, HostId, NewEvent, PageSize, ReaderId, Removed, Retention, Routing, RunFilter,
    Sequence, Store, Subject, Trigger, UndoId,
};
use serde_json::json;

use crate::lab::{Lab, On, at, claim, executor, fire, id, new_run, on_both, plan, schedule, stored, work};

on_both! {
    old_runs_and_slots_go_and_what_is_needed_stays;
    events_stay_until_all_readers_have_handled_them;
}

async fn remove_all(store: &Store, runs: i64, events: i64) -> Removed {
    let retention =
        Retention { runs_before: at(runs), events_before: at(events), at_most: PageSize::at_most(7) };
    let mut sum = Removed::default();
    loop {
        let removed = store.remove_history(&retention).await.unwrap();
        if removed.is_nothing() {
            return sum;
        }
        sum.runs += removed.runs;
        sum.slots += removed.slots;
        sum.events += removed.events;
        sum.others += removed.others;
    }
}

async fn old_runs_and_slots_go_and_what_is_needed_stays(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let mut seen = None;
    for number in 0..20 {
        let (slot, run) = (at(number * 10), format!("run {number}"));
        seen = stored(store.decide(slot, &fire(&www, seen, slot, &run)).await.unwrap()).0;
        if number == 4 {
            continue; // it waits for ever
        }
        let held = claim(&store, slot, &id(run), &executor("a")).await.unwrap();
        if number == 5 {
            let (undo, host) = (UndoId::new("undo").unwrap(), HostId::new("host").unwrap());
            store.store_undo(slot, &held, &undo, &host, &json!([])).await.unwrap();
        }
        store.end(at(number * 10 + 5), &held, &work(Ending::Ok)).await.unwrap();
    }
    store.queue(at(0), &new_run("other", &plan("db"), Trigger::Manual)).await.unwrap();
    let held = claim(&store, at(0), &id("other"), &executor("a")).await.unwrap();
    store.end(at(1), &held, &work(Ending::Ok)).await.unwrap();

    let removed = remove_all(&store, 125, 0).await;
    assert_eq!((removed.runs, removed.slots, removed.events), (10, 13, 0));
    let left = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap().rows;
    let mut left: Vec<_> = left.into_iter().map(|run| run.id.to_string()).collect();
    left.reverse();
    let expected =
        ["run 4", "run 5", "run 12", "run 13", "run 14", "run 15", "run 16", "run 17", "run 18", "run 19"];
    assert_eq!(left[..10], expected);
    assert_eq!(left[10..], ["other"], "the last run of its plan");
    let removed = remove_all(&store, 100_000, 0).await;
    assert_eq!((removed.runs, removed.slots), (7, 6), "the last run and slot stay, and what is open");
    let slots = store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap();
    assert_eq!(slots.iter().map(|slot| slot.first).collect::<Vec<_>>(), [at(190)]);
}

async fn events_stay_until_all_readers_have_handled_them(lab: Lab) {
    let store = lab.open().await;
    for number in 0..20 {
        let (kind, subject) = (EventKind::new("test.said").unwrap(), Subject::new("test").unwrap());
        store.publish(NewEvent { at: at(number), kind, subject, document: json!(number) }).await.unwrap();
    }
    let (quick, slow) = (ReaderId::new("quick").unwrap(), ReaderId::new("slow").unwrap());
    let place = Sequence::from_number;
    for (reader, to) in [(&quick, place(15)), (&slow, place(5))] {
        let from = store.reader_place(reader).await.unwrap().generation;
        let routing = Routing { reader, from, to, document: None, deliveries: &[] };
        assert!(store.route(at(0), &routing).await.unwrap());
    }
    assert_eq!(remove_all(&store, 0, 1000).await.events, 5);
    store.forget_reader(&slow).await.unwrap();
    assert_eq!(remove_all(&store, 0, 12).await.events, 7, "up to the first that is not old");
    assert_eq!(remove_all(&store, 0, 1000).await.events, 3);
    let rest = store.events_after(place(15), PageSize::MAX).await.unwrap();
    assert_eq!((rest.events.len(), rest.has_gap), (5, false));
    let rest = store.events_after(place(3), PageSize::MAX).await.unwrap();
    assert_eq!((rest.events.len(), rest.has_gap), (5, true));
    assert!(!store.events_after(place(20), PageSize::MAX).await.unwrap().has_gap);
    // Numbers go on where they were.
    let (kind, subject) = (EventKind::new("test.said").unwrap(), Subject::new("test").unwrap());
    store.publish(NewEvent { at: at(0), kind, subject, document: json!(null) }).await.unwrap();
    assert_eq!(store.last_event().await.unwrap(), place(21));
}

#[tokio::test]
async fn removed_history_makes_the_database_smaller() {
    let lab = Lab::new(On::Sqlite);
    let store = lab.open().await;
    let size = || std::fs::metadata(lab.state()).unwrap().len();
    let text = "x".repeat(4000);
    for _ in 0..500 {
        let (kind, subject) = (EventKind::new("test.said").unwrap(), Subject::new("test").unwrap());
        store.publish(NewEvent { at: at(0), kind, subject, document: json!(text) }).await.unwrap();
    }
    store.give_space_back().await.unwrap();
    let full = size();
    assert!(full > 2_000_000, "{full}");
    assert_eq!(remove_all(&store, 0, 10).await.events, 500);
    store.give_space_back().await.unwrap();
    assert!(size() < full / 4, "{} of {full} bytes", size());
    assert!(all_events_are_gone(&store).await);
}

async fn all_events_are_gone(store: &Store) -> bool {
    store.events_after(Sequence::from_number(500), PageSize::MAX).await.unwrap().events.is_empty()
}
