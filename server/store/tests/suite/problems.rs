//! A problem is opened once and resolved once.

use std::time::Duration;

use keepfast_store::{ProblemKind, Seen, Store, Subject, SubjectKind, UserName, UtcTime};
use serde_json::json;

use crate::lab::{Lab, at, on_both, told};

on_both! {
    a_problem_is_opened_once_and_resolved_once;
    a_problem_is_repeated_after_a_while_unless_a_user_wants_quiet;
    a_problem_that_is_worse_is_told_also_where_someone_knew_of_it;
    a_clock_that_was_set_back_silences_no_problem;
}

async fn see(store: &Store, now: UtcTime, kind: &str) -> Seen {
    let (subject, kind) = (Subject::of(SubjectKind::Plan, "www"), ProblemKind::new(kind).unwrap());
    let day = Some(Duration::from_secs(86_400));
    store.see_problem(now, &subject, &kind, &json!({"since": now}), day).await.unwrap()
}

async fn resolve(store: &Store, now: UtcTime, kind: &str) -> bool {
    let (subject, kind) = (Subject::of(SubjectKind::Plan, "www"), ProblemKind::new(kind).unwrap());
    store.resolve_problem(now, &subject, &kind).await.unwrap()
}

async fn a_problem_is_opened_once_and_resolved_once(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    assert_eq!(see(&one, at(0), "overdue").await, Seen::Opened);
    assert_eq!(see(&other, at(1), "overdue").await, Seen::Known);
    assert_eq!(see(&one, at(2), "quota").await, Seen::Opened);
    let open = one.open_problems().await.unwrap();
    assert_eq!(open.len(), 2);
    assert_eq!((open[0].kind.as_str(), open[0].seen, open[0].opened), ("overdue", 2, at(0)));
    assert_eq!(open[0].document, json!({"since": at(1)}));
    assert!(resolve(&other, at(3), "overdue").await);
    assert!(!resolve(&one, at(4), "overdue").await);
    assert_eq!(see(&one, at(5), "overdue").await, Seen::Opened, "it is there again");
    let first = one.problem(open[0].number).await.unwrap().unwrap();
    assert_eq!(first.resolved, Some(at(3)));
    let kinds = ["opened", "opened", "resolved", "opened"];
    assert_eq!(told(&one).await, kinds.map(|kind| format!("problem.{kind} plan:www")));
}

async fn a_problem_that_is_worse_is_told_also_where_someone_knew_of_it(lab: Lab) {
    let store = lab.open().await;
    let (subject, kind) = (Subject::of(SubjectKind::Plan, "www"), ProblemKind::new("quota").unwrap());
    assert!(!store.problem_is_worse(at(0), &subject, &kind).await.unwrap(), "there is none");
    assert_eq!(see(&store, at(1), "quota").await, Seen::Opened);
    let number = store.open_problems().await.unwrap()[0].number;
    assert!(store.acknowledge_problem(at(2), number, &UserName::new("ann").unwrap()).await.unwrap());
    assert!(store.problem_is_worse(at(3), &subject, &kind).await.unwrap());
    assert_eq!(
        store.problem(number).await.unwrap().unwrap().acknowledged,
        None,
        "what is known is another thing"
    );
    let kinds = ["opened", "acknowledged", "repeated"];
    assert_eq!(told(&store).await, kinds.map(|kind| format!("problem.{kind} plan:www")));
}

async fn a_problem_is_repeated_after_a_while_unless_a_user_wants_quiet(lab: Lab) {
    let store = lab.open().await;
    let day = 86_400;
    assert_eq!(see(&store, at(0), "overdue").await, Seen::Opened);
    assert_eq!(see(&store, at(day - 1), "overdue").await, Seen::Known);
    assert_eq!(see(&store, at(day), "overdue").await, Seen::Repeated);
    assert_eq!(see(&store, at(day + 1), "overdue").await, Seen::Known);
    let number = store.open_problems().await.unwrap()[0].number;
    assert!(store.mute_problem(at(day + 2), number, Some(at(5 * day))).await.unwrap());
    assert_eq!(see(&store, at(3 * day), "overdue").await, Seen::Known);
    assert_eq!(see(&store, at(5 * day), "overdue").await, Seen::Repeated);
    let by = UserName::new("ann").unwrap();
    assert!(store.acknowledge_problem(at(5 * day + 1), number, &by).await.unwrap());
    assert_eq!(see(&store, at(9 * day), "overdue").await, Seen::Known);
    let problem = store.problem(number).await.unwrap().unwrap();
    assert_eq!(problem.acknowledged, Some((at(5 * day + 1), by.clone())));
    assert_eq!((problem.repeated, problem.seen), (2, 7));
    assert!(resolve(&store, at(10 * day), "overdue").await);
    assert!(!store.acknowledge_problem(at(10 * day), number, &by).await.unwrap());
    assert!(!store.mute_problem(at(10 * day), number, None).await.unwrap());
}

async fn a_clock_that_was_set_back_silences_no_problem(lab: Lab) {
    let store = lab.open().await;
    let year = 365 * 86_400;
    assert_eq!(see(&store, at(year), "overdue").await, Seen::Opened);
    assert_eq!(see(&store, at(0), "overdue").await, Seen::Repeated);
    assert_eq!(see(&store, at(1), "overdue").await, Seen::Known);
}
