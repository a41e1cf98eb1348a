//! Events are routed once, and what comes of that is delivered, or said to be undeliverable.

use std::time::Duration;

use keepfast_store::{
    DeliveryKey, DeliveryState, EventKind, HeldDelivery, LeaseWatch, NewDelivery, NewEvent, PageSize, Place,
    ReaderId, Routing, Sequence, Store, Subject, TargetId, Text, Tried, TriedOutcome, UtcTime,
};
use serde_json::json;

use crate::lab::{LEASE, Lab, all_events, at, elapsed, executor, on_both, told};

on_both! {
    events_are_routed_once_for_each_reader;
    a_reader_that_repeats_a_message_does_so_once;
    a_reader_that_was_forgotten_is_a_new_one;
    a_delivery_is_tried_until_it_is_given_up;
    a_delivery_whose_sender_died_is_sent_again;
    deliveries_of_a_process_that_is_known_to_be_gone_are_taken_back_at_once;
    a_clock_that_was_set_back_delays_no_delivery_for_long;
    readers_are_woken_by_commits_of_others;
    a_transaction_that_fails_leaves_no_gap_in_the_events;
}

fn reader(name: &str) -> ReaderId {
    ReaderId::new(name).unwrap()
}

fn target(name: &str) -> TargetId {
    TargetId::new(name).unwrap()
}

fn delivery(event: Sequence, to: &str) -> NewDelivery {
    NewDelivery {
        event,
        problem: None,
        target: target(to),
        document: json!({"text": "hello"}),
        not_before: None,
    }
}

async fn publish(store: &Store, text: &str) {
    let kind = EventKind::new("test.said").unwrap();
    let subject = Subject::new("test").unwrap();
    store.publish(NewEvent { at: at(0), kind, subject, document: json!({ "text": text }) }).await.unwrap();
}

/// Takes the delivery that is due.
async fn take(store: &Store, now: UtcTime) -> Option<HeldDelivery> {
    store.claim_delivery(now, &executor("a"), LEASE, &target("ops")).await.unwrap()
}

fn tried(outcome: TriedOutcome, error: Option<&str>) -> Tried {
    Tried { outcome, error: error.map(Text::from), document: json!({"text": "hello", "tried": true}) }
}

/// Says that a delivery has arrived.
async fn arrives(store: &Store, now: UtcTime, held: &HeldDelivery) -> bool {
    store.delivery_tried(now, held, &tried(TriedOutcome::Arrived, None)).await.unwrap()
}

async fn events_are_routed_once_for_each_reader(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    publish(&one, "first").await;
    publish(&other, "second").await;
    let events = all_events(&one).await;
    assert_eq!(events.iter().map(|event| event.sequence.number()).collect::<Vec<_>>(), [1, 2]);
    let (routes, last) = (reader("routes"), events[1].sequence);
    let new_reader = one.reader_place(&routes).await.unwrap();
    assert_eq!(new_reader, Place::default());
    let new = [delivery(events[0].sequence, "ops"), delivery(last, "ops")];
    let from = new_reader.generation;
    let first = Routing { reader: &routes, from, to: last, document: None, deliveries: &new };
    assert!(one.route(at(1), &first).await.unwrap());
    assert!(!other.route(at(1), &first).await.unwrap());
    let place = other.reader_place(&routes).await.unwrap();
    assert_eq!(place.at, last);
    assert!(place.generation > from);
    assert_eq!(other.reader_place(&reader("metrics")).await.unwrap(), Place::default());
    let stored = one.deliveries(None, None, None, PageSize::MAX).await.unwrap().rows;
    assert_eq!(stored.iter().map(|delivery| delivery.event).collect::<Vec<_>>(), [last, events[0].sequence]);
}

/// What a reader decides by time alone moves no place, and still counts once.
async fn a_reader_that_repeats_a_message_does_so_once(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    one_delivery(&one).await;
    let routes = reader("routes");
    let last = one.last_event().await.unwrap();
    let place = one.reader_place(&routes).await.unwrap();
    let repeat = |text: &str| Routing {
        reader: &routes,
        from: place.generation,
        to: last,
        document: Some(json!({ "repeated": text })),
        deliveries: &[],
    };
    let again = [delivery(last, "ops")];
    assert!(one.route(at(60), &Routing { deliveries: &again, ..repeat("one") }).await.unwrap());
    assert!(!other.route(at(60), &Routing { deliveries: &again, ..repeat("other") }).await.unwrap());
    let now = other.reader_place(&routes).await.unwrap();
    assert_eq!((now.at, &now.document), (last, &Some(json!({"repeated": "one"}))));
    assert!(now.generation > place.generation);
    let stored = one.deliveries(None, None, None, PageSize::MAX).await.unwrap().rows;
    assert_eq!(stored.iter().map(|delivery| delivery.event).collect::<Vec<_>>(), [last, last]);

    // A place never goes back, and a document that isn't given is no longer remembered.
    let from = now.generation;
    let back = Routing { reader: &routes, from, to: Sequence::START, document: None, deliveries: &[] };
    assert!(one.route(at(61), &back).await.unwrap());
    let back = one.reader_place(&routes).await.unwrap();
    assert_eq!((back.at, back.document), (last, None));
}

async fn a_reader_that_was_forgotten_is_a_new_one(lab: Lab) {
    let store = lab.open().await;
    one_delivery(&store).await;
    let routes = reader("routes");
    let before = store.reader_place(&routes).await.unwrap();
    store.forget_reader(&routes).await.unwrap();
    assert_eq!(store.reader_place(&routes).await.unwrap(), Place::default());
    let to = before.at;
    let late = Routing { reader: &routes, from: before.generation, to, document: None, deliveries: &[] };
    assert!(!store.route(at(1), &late).await.unwrap());
}

/// Stores one delivery.
async fn one_delivery(store: &Store) {
    publish(store, "something").await;
    let last = store.last_event().await.unwrap();
    let routes = reader("routes");
    let from = store.reader_place(&routes).await.unwrap().generation;
    let new = [delivery(last, "ops")];
    let routing = Routing { reader: &routes, from, to: last, document: None, deliveries: &new };
    assert!(store.route(at(0), &routing).await.unwrap());
}

async fn a_delivery_is_tried_until_it_is_given_up(lab: Lab) {
    let store = lab.open().await;
    one_delivery(&store).await;
    assert_eq!(store.waiting_deliveries().await.unwrap(), [(target("ops"), at(0))]);
    let held = take(&store, at(5)).await.expect("it is due");
    assert_eq!(store.waiting_deliveries().await.unwrap(), []);
    let again = tried(TriedOutcome::Again(at(65)), Some("connection refused"));
    assert!(store.delivery_tried(at(5), &held, &again).await.unwrap());
    assert!(!store.delivery_tried(at(5), &held, &again).await.unwrap(), "it is no longer held");
    assert_eq!(store.waiting_deliveries().await.unwrap(), [(target("ops"), at(65))]);
    assert!(take(&store, at(64)).await.is_none());
    assert!(store.claim_delivery(at(65), &executor("a"), LEASE, &target("other")).await.unwrap().is_none());
    let held = take(&store, at(65)).await.expect("it is due");
    assert_eq!((held.delivery.attempts, &held.delivery.document), (2, &again.document));
    let given_up = tried(TriedOutcome::GivenUp, Some("no such address"));
    assert!(store.delivery_tried(at(66), &held, &given_up).await.unwrap());
    let failed =
        store.deliveries(None, Some(DeliveryState::Undeliverable), None, PageSize::MAX).await.unwrap().rows;
    assert_eq!((failed.len(), failed[0].last_error.clone()), (1, given_up.error));
    assert_eq!(told(&store).await.last().unwrap(), "delivery.undeliverable target:ops");
    assert!(take(&store, UtcTime::MAX).await.is_none());

    let key = failed[0].key;
    assert!(store.redeliver(at(70), key).await.unwrap());
    assert!(!store.redeliver(at(70), key).await.unwrap());
    let held = take(&store, at(70)).await.unwrap();
    assert!(arrives(&store, at(71), &held).await);
    assert!(!arrives(&store, at(71), &held).await);
    assert!(take(&store, UtcTime::MAX).await.is_none());
    let delivered = store.delivery(key).await.unwrap().unwrap();
    assert_eq!((delivered.state, delivered.ended), (DeliveryState::Delivered, Some(at(71))));
    assert_eq!(delivered.last_error, None);
    assert_eq!(store.delivery(DeliveryKey::from_number(key.number() + 1)).await.unwrap(), None);
}

async fn a_delivery_whose_sender_died_is_sent_again(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    one_delivery(&one).await;
    let dead = take(&one, at(1)).await.unwrap();
    assert!(take(&other, at(1)).await.is_none(), "one sender at a time");
    let mut watch = LeaseWatch::new();
    let mut released = 0;
    for second in [0, 30, 59, 61] {
        released += other.release_deliveries(at(2), &mut watch, elapsed(second)).await.unwrap();
        assert_eq!(released, u64::from(second > 60));
    }
    let held = take(&other, at(3)).await.unwrap();
    assert_eq!((held.delivery.key, held.delivery.attempts), (dead.delivery.key, 2));
    assert!(!arrives(&one, at(4), &dead).await, "it was only paused, and is too late");
    assert!(arrives(&other, at(4), &held).await);
}

async fn deliveries_of_a_process_that_is_known_to_be_gone_are_taken_back_at_once(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    one_delivery(&one).await;
    assert_eq!(one.senders().await.unwrap(), []);
    let dead = take(&one, at(1)).await.unwrap();
    assert_eq!(other.senders().await.unwrap(), [executor("a")]);
    assert_eq!(other.release_deliveries_of(at(2), &executor("b")).await.unwrap(), 0, "it is another's");
    assert!(take(&other, at(2)).await.is_none());
    assert_eq!(other.release_deliveries_of(at(2), &executor("a")).await.unwrap(), 1);
    let held = take(&other, at(2)).await.unwrap();
    assert_eq!(held.delivery.key, dead.delivery.key);
    assert!(!arrives(&one, at(3), &dead).await, "what was taken back belongs to another");
}

async fn a_clock_that_was_set_back_delays_no_delivery_for_long(lab: Lab) {
    let store = lab.open().await;
    one_delivery(&store).await;
    let year = 365 * 86_400;
    let held = take(&store, at(year)).await.unwrap();
    let again = tried(TriedOutcome::Again(at(year + 60)), Some("no"));
    assert!(store.delivery_tried(at(year), &held, &again).await.unwrap());
    assert!(take(&store, at(10)).await.is_none());
    let mut watch = LeaseWatch::new();
    assert_eq!(store.release_deliveries(at(10), &mut watch, elapsed(0)).await.unwrap(), 1);
    assert!(take(&store, at(10)).await.is_some());
}

async fn readers_are_woken_by_commits_of_others(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let mut own = one.watch();
    publish(&one, "own").await;
    tokio::time::timeout(Duration::from_secs(20), own.changed()).await.expect("a commit of its own");
    if lab.on() == crate::lab::On::Postgres {
        // The connection that listens may still be on its way; each commit wakes once it is there.
        let mut watch = one.watch();
        let woken = async {
            loop {
                publish(&other, "other").await;
                if tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok() {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), woken).await.expect("a commit of another server");
    }
}

async fn a_transaction_that_fails_leaves_no_gap_in_the_events(lab: Lab) {
    let store = lab.open().await;
    let www = crate::lab::plan("www");
    let mut seen = None;
    for number in 0..5 {
        publish(&store, "between").await;
        // A run with that id is there from the second time on.
        let decided = store.decide(at(1), &crate::lab::fire(&www, seen, at(number), "run 1")).await;
        assert_eq!(decided.is_ok(), number == 0);
        seen = decided.map_or(seen, |decided| crate::lab::stored(decided).0);
    }
    let numbers: Vec<u64> = all_events(&store).await.iter().map(|event| event.sequence.number()).collect();
    assert_eq!(numbers, (1..=6).collect::<Vec<_>>());
}
