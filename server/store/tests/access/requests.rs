//! Requests with a key: of those that come at once, one is carried out.

use keepfast_store::{Label, PageSize, RequestBegun, RequestKey};

use crate::lab::{Lab, at, on_both};
use crate::people::user_id;

on_both! {
    of_many_requests_with_one_key_one_is_carried_out;
    a_key_is_of_one_user_and_one_place;
    what_was_not_done_may_come_again;
}

fn key(user: &str, path: &str) -> RequestKey {
    RequestKey {
        user: user_id(user),
        key: Label::from("key 1"),
        method: Label::from("POST"),
        path: Label::from(path),
    }
}

async fn of_many_requests_with_one_key_one_is_carried_out(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    let mut sent = Vec::new();
    for number in 0..10 {
        let store = if number % 2 == 0 { one.clone() } else { other.clone() };
        sent.push(tokio::spawn(async move {
            store.begin_request(at(number), &key("ann", "/runs"), "digest", at(1000)).await.unwrap()
        }));
    }
    let mut first = 0;
    for sent in sent {
        match sent.await.unwrap() {
            RequestBegun::First => first += 1,
            RequestBegun::UnderWay { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
    one.end_request(&key("ann", "/runs"), 201, "{\"run\":\"1\"}").await.unwrap();
    // Only the first answer counts.
    other.end_request(&key("ann", "/runs"), 500, "late").await.unwrap();
    let again = other.begin_request(at(99), &key("ann", "/runs"), "digest", at(1000)).await.unwrap();
    assert_eq!(again, RequestBegun::Answered { status: 201, body: "{\"run\":\"1\"}".to_owned() });
    let another = other.begin_request(at(99), &key("ann", "/runs"), "other digest", at(1000)).await.unwrap();
    assert_eq!(another, RequestBegun::AnotherOne);
    let late = other.begin_request(at(1000), &key("ann", "/runs"), "other digest", at(2000)).await.unwrap();
    assert_eq!(late, RequestBegun::First, "it is forgotten");
    assert_eq!(one.remove_expired(at(2000), at(0), PageSize::MAX).await.unwrap(), 1);
}

async fn a_key_is_of_one_user_and_one_place(lab: Lab) {
    let store = lab.open().await;
    for (user, path) in [("ann", "/runs"), ("bob", "/runs"), ("ann", "/restores")] {
        let begun = store.begin_request(at(0), &key(user, path), "digest", at(1000)).await.unwrap();
        assert_eq!(begun, RequestBegun::First, "{user} {path}");
    }
}

async fn what_was_not_done_may_come_again(lab: Lab) {
    let store = lab.open().await;
    let begin = async || store.begin_request(at(0), &key("ann", "/runs"), "digest", at(1000)).await.unwrap();
    assert_eq!(begin().await, RequestBegun::First);
    assert_eq!(begin().await, RequestBegun::UnderWay { since: at(0) });
    store.forget_request(&key("ann", "/runs")).await.unwrap();
    assert_eq!(begin().await, RequestBegun::First);
    store.end_request(&key("ann", "/runs"), 200, &"x".repeat(300_000)).await.unwrap();
    store.forget_request(&key("ann", "/runs")).await.unwrap();
    let answered = RequestBegun::Answered { status: 200, body: String::new() };
    assert_eq!(begin().await, answered, "what was done isn't forgotten; its answer was too long");
}
