//! What an API lists: outcomes by days, runs of a time, events backwards, problems that are gone.

use keepfast_store::{
    Ending, EventKind, PageSize, ProblemKind, Run, RunFilter, RunKind, SlotChange, Store, Subject,
    SubjectKind, Trigger, UserName, VerdictKind, Work,
};
use serde_json::{Value, json};

use crate::lab::{Lab, at, claim, executor, fire, id, new_run, on_both, plan, stored, unfired, work};

on_both! {
    outcomes_are_counted_by_plan_verdict_and_part_of_time;
    runs_of_a_time_are_those_that_were_due_in_it;
    events_are_read_backwards_by_kind;
    problems_that_are_gone_are_listed_the_newest_first;
}

const DAY: i64 = 86_400;

async fn run(store: &Store, of: &str, second: i64, name: &str, ending: Ending) {
    store.queue(at(second), &new_run(name, &plan(of), Trigger::Manual)).await.unwrap();
    let held = claim(store, at(second), &id(name), &executor("a")).await.unwrap();
    store.start(at(second), &held).await.unwrap();
    let work = Work { report: Some(json!({ "of": name })), ..work(ending) };
    store.end(at(second + 1), &held, &work).await.unwrap();
}

async fn outcomes_are_counted_by_plan_verdict_and_part_of_time(lab: Lab) {
    let store = lab.open().await;
    run(&store, "www", 10, "one", Ending::Ok).await;
    run(&store, "www", 20, "two", Ending::Ok).await;
    run(&store, "db", DAY + 5, "three", Ending::Findings).await;
    let missed = unfired(&plan("db"), at(DAY + 10), at(DAY + 30), 3, "the server was down");
    let decision = keepfast_store::Decision {
        changes: vec![SlotChange::Missed(missed)],
        ..crate::lab::decision(&plan("db"), None, Vec::new())
    };
    store.decide(at(DAY + 40), &decision).await.unwrap();
    store.queue(at(2 * DAY - 1), &new_run("waits", &plan("www"), Trigger::Manual)).await.unwrap();
    run(&store, "www", 2 * DAY, "after it", Ending::Ok).await;
    let mut counts: Vec<_> = store
        .outcome_counts(&[at(0), at(DAY), at(2 * DAY)])
        .await
        .unwrap()
        .into_iter()
        .map(|count| {
            (count.part, count.plan.to_string(), count.verdict.map(VerdictKind::as_str), count.slots)
        })
        .collect();
    counts.sort();
    let expected = [
        (0, "www", Some("ok"), 2),
        (1, "db", Some("findings"), 1),
        (1, "db", Some("missed"), 3),
        (1, "www", None, 1),
    ];
    assert_eq!(counts, expected.map(|(part, plan, verdict, slots)| (part, plan.to_owned(), verdict, slots)));
    assert_eq!(store.outcome_counts(&[at(0)]).await.unwrap(), []);
}

async fn runs_of_a_time_are_those_that_were_due_in_it(lab: Lab) {
    let store = lab.open().await;
    let slot = stored(store.decide(at(100), &fire(&plan("www"), None, at(50), "late")).await.unwrap());
    assert_eq!(slot.1, [id("late")]);
    run(&store, "www", 60, "by hand", Ending::Ok).await;
    run(&store, "db", 70, "of another", Ending::Ok).await;
    let due = async |from: i64, until: i64| {
        let filter = RunFilter {
            plan: Some(plan("www")),
            due_from: Some(at(from)),
            due_until: Some(at(until)),
            ..RunFilter::default()
        };
        let runs = store.runs(&filter, None, PageSize::MAX).await.unwrap().rows;
        runs.into_iter().map(|run| run.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(due(50, 60).await, ["late"], "by its slot, and not by when it was stored");
    assert_eq!(due(50, 61).await, ["by hand", "late"]);
    assert_eq!(due(61, 1000).await, Vec::<String>::new());
    let with_reports = RunFilter { kind: Some(RunKind::Backup), ..RunFilter::default() };
    let reported = store.reported_runs(&with_reports, None, PageSize::at_most(2)).await.unwrap();
    assert_eq!(
        reported.rows.iter().map(|(run, _)| run.id.clone()).collect::<Vec<_>>(),
        [id("of another"), id("by hand")]
    );
    let is_its_own = |(run, report): &(Run, Option<Value>)| *report == Some(json!({ "of": run.id.as_str() }));
    assert!(reported.rows.iter().all(is_its_own), "{reported:?}");
    let rest = store.reported_runs(&with_reports, reported.next, PageSize::MAX).await.unwrap();
    assert_eq!(rest.rows.len(), 1);
}

async fn events_are_read_backwards_by_kind(lab: Lab) {
    let store = lab.open().await;
    let user = UserName::new("ann").unwrap();
    for second in 0..5 {
        store.pause(at(second), &plan("www"), None, &user, None).await.unwrap();
        store.unpause(at(second), &plan("www"), at(second)).await.unwrap();
    }
    let kinds = [EventKind::PLAN_PAUSED];
    let first = store.events_before(None, &kinds, PageSize::at_most(3)).await.unwrap();
    let numbers = |rows: &[keepfast_store::Event]| -> Vec<u64> {
        rows.iter().map(|event| event.sequence.number()).collect()
    };
    assert_eq!(numbers(&first.rows), [9, 7, 5]);
    let rest = store.events_before(first.next, &kinds, PageSize::at_most(3)).await.unwrap();
    assert_eq!((numbers(&rest.rows), rest.next), (vec![3, 1], None));
}

async fn problems_that_are_gone_are_listed_the_newest_first(lab: Lab) {
    let store = lab.open().await;
    for (second, name) in [(1, "a"), (2, "b"), (3, "c")] {
        let (subject, kind) = (Subject::of(SubjectKind::Plan, name), ProblemKind::new("overdue").unwrap());
        store.see_problem(at(second), &subject, &kind, &json!({}), None).await.unwrap();
        if name != "b" {
            // Both at one instant.
            store.resolve_problem(at(10), &subject, &kind).await.unwrap();
        }
    }
    let subject = |page: &[keepfast_store::Problem]| -> Vec<String> {
        page.iter().map(|problem| problem.subject.to_string()).collect()
    };
    let first = store.resolved_problems(None, PageSize::at_most(1)).await.unwrap();
    assert_eq!(subject(&first.rows), ["plan:c"]);
    let rest = store.resolved_problems(first.next, PageSize::at_most(5)).await.unwrap();
    assert_eq!((subject(&rest.rows), rest.next), (vec!["plan:a".to_owned()], None));
}
