//! Runs that begin at once, and the newest runs of plans and repositories.

use keepfast_store::{
    Began, Ending, Group, Limit, NewRun, PageSize, PlanId, RepositoryId, Retention, RunFilter, RunKind,
    RunState, RunSubject, Store, Text, Trigger, Unstarted, UtcTime, Verdict,
};

use crate::lab::{LEASE, Lab, at, claim, executor, id, new_run, on_both, plan, told, work};

on_both! {
    a_run_that_begins_at_once_is_never_waiting;
    a_run_without_room_is_skipped_and_names_the_other;
    of_many_processes_that_begin_a_run_at_once_one_does;
    good_starts_are_of_good_backups_that_have_begun;
    the_last_run_of_a_plan_is_of_any_kind_or_of_one;
    the_last_upkeep_is_one_run_for_each_repository_and_kind;
}

fn one_at_a_time(of: &PlanId) -> Vec<Limit> {
    vec![Limit { group: Group::Plan(of.clone()), at_most: 1 }]
}

async fn begin(store: &Store, second: i64, of: &PlanId, run: &str) -> Began {
    let new = new_run(run, of, Trigger::Manual);
    store.begin_run(at(second), &new, &one_at_a_time(of), &executor(run), LEASE).await.unwrap()
}

async fn a_run_that_begins_at_once_is_never_waiting(lab: Lab) {
    let store = lab.open().await;
    let Began::Held(held) = begin(&store, 5, &plan("www"), "run 1").await else { panic!("there is room") };
    assert_eq!((held.run.state, held.run.started), (RunState::Starting, Some(at(5))));
    assert_eq!((held.run.executor.clone(), held.run.lease_until), (Some(executor("run 1")), Some(at(65))));
    assert!(claim(&store, at(6), &id("run 1"), &executor("daemon")).await.is_none());
    store.start(at(6), &held).await.unwrap();
    store.end(at(7), &held, &work(Ending::Ok)).await.unwrap();
    let expected = ["queued", "starting", "running", "ended"].map(|kind| format!("run.{kind} plan:www"));
    assert_eq!(told(&store).await, expected);
    let again = new_run("run 1", &plan("www"), Trigger::Manual);
    let error = store.begin_run(at(8), &again, &[], &executor("a"), LEASE).await.unwrap_err();
    assert!(error.to_string().contains("another run with the id run 1"), "{error}");
}

async fn a_run_without_room_is_skipped_and_names_the_other(lab: Lab) {
    let store = lab.open().await;
    let (www, db) = (plan("www"), plan("db"));
    assert!(matches!(begin(&store, 0, &db, "of another plan").await, Began::Held(_)));
    assert!(matches!(begin(&store, 0, &www, "run 1").await, Began::Held(_)));
    // One that waits is in no one's way.
    store.queue(at(0), &new_run("waits", &www, Trigger::Manual)).await.unwrap();
    let Began::Refused { run, others } = begin(&store, 9, &www, "run 2").await else { panic!("no room") };
    assert_eq!(others.iter().map(|other| &other.id).collect::<Vec<_>>(), [&id("run 1")]);
    let reason = Text::from("run run 1 of the plan was not over");
    assert_eq!((run.state, run.verdict.clone()), (RunState::Ended, Some(Verdict::Skipped(reason))));
    assert_eq!(store.run(&id("run 2")).await.unwrap(), Some(*run));
    assert_eq!(told(&store).await.last().unwrap(), "run.ended plan:www");
}

async fn of_many_processes_that_begin_a_run_at_once_one_does(lab: Lab) {
    let mut stores = vec![lab.open().await];
    for _ in 0..3 {
        stores.push(lab.join().await);
    }
    let tasks: Vec<_> = stores
        .iter()
        .enumerate()
        .map(|(number, store)| {
            let store = store.clone();
            tokio::spawn(async move { begin(&store, 0, &plan("www"), &format!("run {number}")).await })
        })
        .collect();
    let (mut held, mut refused) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            Began::Held(run) => held.push(run.run.id),
            Began::Refused { others, .. } => refused.extend(others.into_iter().map(|run| run.id)),
        }
    }
    assert_eq!(held.len(), 1);
    assert_eq!(refused, vec![held[0].clone(); 3]);
    assert_eq!(stores[0].active_runs().await.unwrap().len(), 1);
}

/// A run of a plan that began at this second and ended a little later.
async fn ran(store: &Store, second: i64, new: &NewRun, ending: Ending) {
    assert!(store.queue(at(second), new).await.unwrap().is_some());
    let held = claim(store, at(second), &new.id, &executor("a")).await.unwrap();
    store.end(at(second + 5), &held, &work(ending)).await.unwrap();
}

async fn good_starts_are_of_good_backups_that_have_begun(lab: Lab) {
    let store = lab.open().await;
    let (www, db) = (plan("www"), plan("db"));
    let backup = |name: &str, of: &PlanId| new_run(name, of, Trigger::Manual);
    ran(&store, 10, &backup("run 1", &www), Ending::Ok).await;
    ran(&store, 20, &backup("run 2", &www), Ending::Findings).await;
    ran(&store, 30, &backup("run 3", &www), Ending::Failed).await;
    ran(&store, 40, &NewRun { kind: RunKind::Drill, ..backup("run 4", &www) }, Ending::Ok).await;
    ran(&store, 5, &backup("run 5", &db), Ending::Ok).await;
    store.bear_plan(at(0), &plan("never ran")).await.unwrap();
    ran(&store, 1, &backup("run 6", &plan("never was good")), Ending::Failed).await;
    let starts = async |not_after: UtcTime| store.good_starts(not_after).await.unwrap();
    assert_eq!(starts(at(100)).await, [(db.clone(), at(5)), (www.clone(), at(20))]);
    // A clock that was ahead: the snapshot that it gave is not proof of anything now.
    ran(&store, 86_400 * 365, &backup("run 7", &www), Ending::Ok).await;
    assert_eq!(starts(at(100)).await, [(db.clone(), at(5)), (www.clone(), at(20))]);
    assert_eq!(starts(at(19)).await, [(db.clone(), at(5)), (www.clone(), at(10))]);
    assert_eq!(starts(at(5)).await, [(db.clone(), at(5))], "at that very instant");
    let of = async |plans: &[PlanId]| store.good_starts_of(plans, at(19)).await.unwrap();
    assert_eq!(of(&[www.clone(), plan("never ran")]).await, [(www.clone(), at(10))]);
    assert_eq!(of(&[www.clone(), db.clone()]).await, [(db, at(5)), (www.clone(), at(10))]);
    assert_eq!(of(&[]).await, []);
    assert_eq!(starts(at(4)).await, []);
    assert_eq!(starts(UtcTime::MAX).await[1], (www, at(86_400 * 365)));
}

async fn the_last_run_of_a_plan_is_of_any_kind_or_of_one(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    ran(&store, 10, &new_run("run 1", &www, Trigger::Manual), Ending::Ok).await;
    ran(&store, 20, &NewRun { kind: RunKind::Drill, ..new_run("run 2", &www, Trigger::Manual) }, Ending::Ok)
        .await;
    let last = async |kind| {
        let runs = store.last_runs(kind).await.unwrap();
        runs.into_iter().map(|run| run.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(last(None).await, ["run 2"]);
    assert_eq!(last(Some(RunKind::Backup)).await, ["run 1"]);
    assert_eq!(last(Some(RunKind::Drill)).await, ["run 2"]);
    assert!(last(Some(RunKind::Check)).await.is_empty());
    store.queue(at(30), &new_run("run 3", &www, Trigger::Manual)).await.unwrap();
    assert_eq!(last(Some(RunKind::Backup)).await, ["run 3"], "the newest, and not the newest that is over");
}

async fn the_last_upkeep_is_one_run_for_each_repository_and_kind(lab: Lab) {
    let store = lab.open().await;
    assert_eq!(store.last_upkeep().await.unwrap(), []);
    let of = |name: &str, repository: &str, kind: RunKind| NewRun {
        kind,
        subject: RunSubject {
            repository: Some(RepositoryId::new(repository).unwrap()),
            ..RunSubject::default()
        },
        ..new_run(name, &plan("none"), Trigger::Manual)
    };
    let (check, prune) = (RunKind::Check, RunKind::Prune);
    ran(&store, 10, &of("check 1", "main", check), Ending::Ok).await;
    ran(&store, 20, &of("check 2", "main", check), Ending::Failed).await;
    ran(&store, 30, &of("prune 1", "main", prune), Ending::Ok).await;
    ran(&store, 40, &of("backup", "main", RunKind::Backup), Ending::Ok).await;
    ran(&store, 50, &of("prune 2", "away", prune), Ending::Findings).await;
    ran(&store, 60, &of("check 3", "main", check), Ending::Skipped(Text::from("paused"))).await;
    store.queue(at(70), &of("check 4", "main", check)).await.unwrap();
    store.end_waiting(at(71), &id("check 4"), Unstarted::Missed(Text::from("too late"))).await.unwrap();
    store.queue(at(80), &of("prune 3", "main", prune)).await.unwrap();
    let last: Vec<_> = store.last_upkeep().await.unwrap().iter().map(|run| run.id.to_string()).collect();
    assert_eq!(last, ["prune 2", "check 2", "prune 1"]);
    let all = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
    assert_eq!(all.rows.len(), 8);
    let (before, at_most) = (at(100_000), PageSize::MAX);
    store.remove_history(&Retention { runs_before: before, events_before: at(0), at_most }).await.unwrap();
    let left: Vec<_> = store.last_upkeep().await.unwrap().iter().map(|run| run.id.to_string()).collect();
    assert_eq!(left, last, "history keeps them");
    assert_eq!(store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap().rows.len(), 4);
}
