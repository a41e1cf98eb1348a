//! Requests for a second person: each step is taken once.

use keepfast_store::{
    Approval, ApprovalId, ApprovalState, ApprovalStep, EventKind, Label, NewEvent, PageSize, Sequence, Store,
    Subject, Text, UtcTime,
};
use serde_json::json;

use crate::lab::{Lab, at, on_both};
use crate::people::{name, note, recorded};

on_both! {
    of_several_steps_at_once_one_is_taken;
    nothing_follows_when_a_request_has_expired;
    requests_are_listed_by_pages;
}

fn told(kind: EventKind) -> NewEvent {
    NewEvent { at: at(0), kind, subject: Subject::new("repository:main").unwrap(), document: json!({}) }
}

fn id(number: i64) -> ApprovalId {
    ApprovalId::new(format!("request {number:03}")).unwrap()
}

async fn ask(store: &Store, number: i64) {
    let request = Approval {
        id: id(number),
        action: Label::from("prune"),
        object: Label::from("repository:main"),
        document: json!({"max_unused": "5%"}),
        state: ApprovalState::Open,
        requested_by: name("ann"),
        requested: at(number),
        expires: at(1000),
        decided: None,
        reason: None,
        used: None,
    };
    store
        .request_approval(&request, &note("approval.ask", "x"), told(EventKind::APPROVAL_ASKED))
        .await
        .unwrap();
}

async fn step(store: &Store, now: UtcTime, number: i64, from: ApprovalState, to: ApprovalState) -> bool {
    let step = ApprovalStep { from, to, by: name("bob"), reason: Some(Text::from("looked at it")) };
    store
        .step_approval(
            now,
            &id(number),
            &step,
            &note("approval.step", "x"),
            Some(told(EventKind::APPROVAL_DECIDED)),
        )
        .await
        .unwrap()
}

async fn of_several_steps_at_once_one_is_taken(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    for number in 0..8 {
        ask(&one, number).await;
        let (granted, denied) = tokio::join!(
            step(&one, at(20), number, ApprovalState::Open, ApprovalState::Granted),
            step(&other, at(20), number, ApprovalState::Open, ApprovalState::Denied),
        );
        assert!(granted != denied, "{granted} {denied}");
        let used = tokio::join!(
            step(&one, at(30), number, ApprovalState::Granted, ApprovalState::Used),
            step(&other, at(30), number, ApprovalState::Granted, ApprovalState::Used),
        );
        assert_eq!(u32::from(used.0) + u32::from(used.1), u32::from(granted));
        let request = one.approval(&id(number)).await.unwrap().unwrap();
        assert_eq!(request.decided, Some((name("bob"), at(20))));
        assert_eq!(request.reason, Some(Text::from("looked at it")));
        assert_eq!((request.used, request.document), (granted.then(|| at(30)), json!({"max_unused": "5%"})));
    }
    let steps = recorded(&one).await.into_iter().filter(|action| action == "approval.step").count();
    assert!((8..=16).contains(&steps));
    // What wasn't done isn't told either.
    let told = one.events_after(Sequence::START, PageSize::MAX).await.unwrap().events;
    let decided = told.iter().filter(|event| event.kind == EventKind::APPROVAL_DECIDED).count();
    assert_eq!((decided, told.len()), (steps, 8 + steps));
}

async fn nothing_follows_when_a_request_has_expired(lab: Lab) {
    let store = lab.open().await;
    ask(&store, 1).await;
    assert!(!step(&store, at(1000), 1, ApprovalState::Open, ApprovalState::Granted).await);
    assert!(step(&store, at(999), 1, ApprovalState::Open, ApprovalState::Granted).await);
    assert!(!step(&store, at(1000), 1, ApprovalState::Granted, ApprovalState::Used).await);
    assert!(store.approval(&id(2)).await.unwrap().is_none());
}

async fn requests_are_listed_by_pages(lab: Lab) {
    let store = lab.open().await;
    for number in 0..5 {
        ask(&store, number).await;
    }
    step(&store, at(9), 3, ApprovalState::Open, ApprovalState::Denied).await;
    let numbers = async |state, before: Option<_>| {
        let page = store.approvals(state, before.as_ref(), PageSize::at_most(2)).await.unwrap();
        let ids: Vec<_> = page.rows.iter().map(|request| request.requested).collect();
        (ids, page.next)
    };
    let (first, next) = numbers(Some(ApprovalState::Open), None).await;
    assert_eq!(first, [at(4), at(2)]);
    let (second, next) = numbers(Some(ApprovalState::Open), next).await;
    assert_eq!((second, next.is_some()), (vec![at(1), at(0)], true));
    assert_eq!(numbers(None, None).await.0, [at(4), at(3)]);
    assert_eq!(store.remove_expired(at(0), at(2000), PageSize::MAX).await.unwrap(), 5);
}
