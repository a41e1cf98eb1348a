//! Runs: claimed once, held by leases, lost, retried, cancelled; and what their holders store.

use keepfast_store::{
    BootId, Claim, Ending, ErrorCategory, Executor, Fingerprint, Group, HostId, LeaseWatch, Limit, NewRun,
    NextTry, PageSize, Phase, Progress, Quarantine, RepositoryId, Retried, RunError, RunFilter, RunState,
    StoreError, Text, Trigger, UndoId, Unstarted, Verdict, VerdictKind, Work, never_again,
};
use serde_json::json;

use crate::lab::{
    LEASE, Lab, all_events, at, claim, elapsed, executor, fire, id, lose_all, new_run, on_both, plan, stored,
    told, version, work,
};

on_both! {
    a_run_goes_from_waiting_to_its_verdict;
    a_run_is_claimed_once;
    limits_hold_for_all_servers_together;
    progress_replaces_progress_and_only_phases_are_events;
    a_server_that_was_paused_cannot_write_over_its_successor;
    only_the_lease_decides_whether_a_run_is_lost;
    a_clock_that_jumps_a_year_loses_no_run;
    a_lost_run_never_blocks_its_plan;
    a_slot_that_was_lost_three_times_is_in_quarantine;
    a_run_is_retried_once_and_has_its_lineage;
    a_run_that_fails_queues_its_next_try_at_once;
    runs_are_found_by_the_beginning_of_their_ids;
    a_run_is_cancelled_where_it_is;
    a_waiting_run_says_why_it_waits;
    errors_are_counted_by_their_fingerprint;
    an_undo_command_is_stored_first_and_carried_out_once;
    runs_are_listed_by_pages;
}

async fn a_run_goes_from_waiting_to_its_verdict(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    stored(store.decide(at(0), &fire(&www, None, at(0), "run 1")).await.unwrap());
    assert_eq!(store.waiting_runs(PageSize::MAX).await.unwrap().len(), 1);
    let held = claim(&store, at(1), &id("run 1"), &executor("a")).await.unwrap();
    assert_eq!(held.run.state, RunState::Starting);
    assert_eq!(held.run.executor, Some(executor("a")));
    assert_eq!(held.run.lease_until, Some(at(61)));
    store.start(at(2), &held).await.unwrap();
    assert_eq!(store.active_runs().await.unwrap()[0].state, RunState::Running);
    let done = Work { report: Some(json!({"files": 3})), ..work(Ending::Ok) };
    let run = store.end(at(9), &held, &done).await.unwrap();
    assert_eq!((run.state, run.verdict), (RunState::Ended, Some(Verdict::Ok)));
    assert_eq!((run.started, run.ended), (Some(at(1)), Some(at(9))));
    assert_eq!(store.run_report(&run.id).await.unwrap(), Some(json!({"files": 3})));
    assert!(store.waiting_runs(PageSize::MAX).await.unwrap().is_empty());
    assert!(store.active_runs().await.unwrap().is_empty());
    let kinds = ["run.queued", "run.starting", "run.running", "run.ended"];
    assert_eq!(told(&store).await, kinds.map(|kind| format!("{kind} plan:www")));
}

async fn a_run_that_fails_queues_its_next_try_at_once(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 1).await;
    let held = claim(&store, at(1), &id("run 0"), &executor("a")).await.unwrap();
    let next = NextTry { id: id("again"), not_before: at(120) };
    let failed = Work { retry: Some(next), ..work(Ending::Failed) };
    store.end(at(9), &held, &failed).await.unwrap();
    let waiting = store.waiting_runs(PageSize::MAX).await.unwrap();
    let [again] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((again.id.as_str(), again.not_before, again.attempt), ("again", Some(at(120)), 2));
    assert_eq!((&again.parent, &again.root), (&Some(id("run 0")), &id("run 0")));
    let events = all_events(&store).await;
    let ended = events.iter().find(|event| event.kind.as_str() == "run.ended").unwrap();
    assert_eq!(ended.document["will_retry"], json!(true));
}

async fn runs_are_found_by_the_beginning_of_their_ids(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 3).await;
    let found = async |beginning: &str| -> Vec<String> {
        let found = store.find_runs(beginning, PageSize::at_most(2)).await.unwrap();
        found.iter().map(|run| run.id.to_string()).collect()
    };
    assert_eq!(found("run 1").await, ["run 1"]);
    assert_eq!(found("run").await, ["run 0", "run 1"]);
    assert!(found("run 1x").await.is_empty() && found("%").await.is_empty());
}

async fn a_run_is_claimed_once(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    store_runs(&one, 1).await;
    assert!(claim(&one, at(1), &id("run 0"), &executor("a")).await.is_some());
    assert!(claim(&other, at(1), &id("run 0"), &executor("b")).await.is_none());
    assert!(claim(&other, at(1), &id("no such run"), &executor("b")).await.is_none());
}

/// Manual runs `run 0`, `run 1` and so on, of two plans and repositories in turn.
async fn store_runs(store: &keepfast_store::Store, count: usize) {
    for number in 0..count {
        let mut run =
            new_run(format!("run {number}"), &plan(&format!("plan {}", number % 2)), Trigger::Manual);
        run.subject.repository = Some(RepositoryId::new(format!("repository {}", number % 2)).unwrap());
        run.subject.host = Some(HostId::new("host").unwrap());
        store.queue(at(0), &run).await.unwrap().unwrap();
    }
}

async fn limits_hold_for_all_servers_together(lab: Lab) {
    let (one, other) = (lab.open().await, lab.join().await);
    store_runs(&one, 6).await;
    let candidates: Vec<_> = (0..6).map(|number| id(format!("run {number}"))).collect();
    let limits = [
        Limit { group: Group::All, at_most: 3 },
        Limit { group: Group::Repository(RepositoryId::new("repository 0").unwrap()), at_most: 1 },
    ];
    let (a, b) = (executor("a"), executor("b"));
    let of = |by| Claim { candidates: &candidates, limits: &limits, executor: by, lease: LEASE };
    let taken: Vec<_> = one.claim(at(1), of(&a)).await.unwrap().into_iter().map(|held| held.run.id).collect();
    assert_eq!(taken, [id("run 0"), id("run 1"), id("run 3")], "run 2 would be the repository's second");
    assert!(other.claim(at(1), of(&b)).await.unwrap().is_empty());
    let by_host = [Limit { group: Group::Host(HostId::new("host").unwrap()), at_most: 4 }];
    let claim = Claim { candidates: &candidates, limits: &by_host, executor: &b, lease: LEASE };
    assert_eq!(other.claim(at(1), claim).await.unwrap().len(), 1);
    let by_plan = [Limit { group: Group::Plan(plan("plan 0")), at_most: 0 }];
    let claim = Claim { candidates: &candidates, limits: &by_plan, executor: &b, lease: LEASE };
    let taken: Vec<_> =
        other.claim(at(1), claim).await.unwrap().into_iter().map(|held| held.run.id).collect();
    assert_eq!(taken, [id("run 5")]);
}

async fn progress_replaces_progress_and_only_phases_are_events(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 1).await;
    let held = claim(&store, at(1), &id("run 0"), &executor("a")).await.unwrap();
    store.start(at(2), &held).await.unwrap();
    let before = all_events(&store).await.len();
    let mut watch = store.watch();
    for bytes in 1..=20 {
        let phase = Some(Phase::new(if bytes < 15 { "read" } else { "commit" }).unwrap());
        let progress = Progress { phase, counters: Some(json!({ "bytes": bytes })) };
        store.beat(at(2 + bytes), &held, Some(&progress)).await.unwrap();
    }
    store.beat(at(30), &held, None).await.unwrap();
    watch.changed().await;
    let run = store.run(&id("run 0")).await.unwrap().unwrap();
    assert_eq!(run.counters, Some(json!({"bytes": 20})));
    assert_eq!(run.phase, Some(Phase::new("commit").unwrap()));
    assert_eq!(run.lease_until, Some(at(90)));
    let phases: Vec<_> =
        all_events(&store).await[before..].iter().map(|event| event.document["phase"].clone()).collect();
    assert_eq!(phases, ["read", "commit"]);
}

async fn a_server_that_was_paused_cannot_write_over_its_successor(lab: Lab) {
    let (paused, other) = (lab.open().await, lab.join().await);
    let www = plan("www");
    stored(paused.decide(at(0), &fire(&www, None, at(0), "run 1")).await.unwrap());
    let held = claim(&paused, at(1), &id("run 1"), &executor("paused")).await.unwrap();
    paused.start(at(1), &held).await.unwrap();
    assert_eq!(lose_all(&other, at(100)).await, [id("run 1")]);
    let retried = other.retry(at(101), &id("run 1"), id("run 2"), None).await.unwrap();
    let Retried::Queued(run) = retried else { panic!("{retried:?}") };
    let successor = claim(&other, at(102), &run.id, &executor("other")).await.unwrap();

    // The first server comes back, and knows nothing of all this.
    let not_held = |error: StoreError| matches!(error, StoreError::NotHeld { run } if run == id("run 1"));
    assert!(not_held(paused.beat(at(2), &held, None).await.unwrap_err()));
    assert!(not_held(paused.start(at(2), &held).await.unwrap_err()));
    let (undo, host) = (UndoId::new("u").unwrap(), HostId::new("h").unwrap());
    assert!(not_held(paused.store_undo(at(2), &held, &undo, &host, &json!([])).await.unwrap_err()));
    assert!(not_held(paused.end(at(2), &held, &work(Ending::Failed)).await.unwrap_err()));

    other.end(at(110), &successor, &work(Ending::Ok)).await.unwrap();
    let verdicts = |name: &str| {
        let (store, run) = (other.clone(), id(name));
        async move { store.run(&run).await.unwrap().unwrap().verdict }
    };
    assert_eq!(verdicts("run 1").await, Some(Verdict::Lost));
    assert_eq!(verdicts("run 2").await, Some(Verdict::Ok));
    assert_eq!(other.plan_states().await.unwrap()[0].last_ok, Some(at(110)));
}

/// A server that starts doesn't touch the runs of others, whenever they began; and a run that shows itself
/// just before it would be lost isn't.
async fn only_the_lease_decides_whether_a_run_is_lost(lab: Lab) {
    let (one, starts_later) = (lab.open().await, lab.join().await);
    store_runs(&one, 1).await;
    let held = claim(&one, at(1), &id("run 0"), &executor("a")).await.unwrap();
    let mut watch = LeaseWatch::new();
    for round in 0..10 {
        let now = 1000 + 30 * round;
        let lost =
            starts_later.lose_runs(at(5000), &mut watch, elapsed(now), &never_again).await.unwrap().lost;
        assert!(lost.is_empty(), "after {round} rounds: {lost:?}");
        one.beat(at(5), &held, None).await.unwrap();
    }
    for (second, lost) in [(1300, 0), (1330, 0), (1359, 0), (1360, 1), (1390, 0)] {
        let losses =
            starts_later.lose_runs(at(5000), &mut watch, elapsed(second), &never_again).await.unwrap().lost;
        assert_eq!(losses.len(), lost, "at {second}");
    }
}

/// Neither the holder's clock nor that of the server which looks has a say, a year ahead or behind.
async fn a_clock_that_jumps_a_year_loses_no_run(lab: Lab) {
    let year = 365 * 86_400;
    let (one, other) = (lab.open().await, lab.join().await);
    store_runs(&one, 2).await;
    let held = claim(&one, at(1), &id("run 0"), &executor("a")).await.unwrap();
    let dead = claim(&one, at(year), &id("run 1"), &executor("dead")).await.unwrap();
    let mut watch = LeaseWatch::new();
    let mut lost = Vec::new();
    for round in 0..12_i64 {
        let jump = [0, year, -year][usize::try_from(round % 3).unwrap()];
        let now = elapsed(u64::try_from(round * 20).unwrap());
        let losses = other.lose_runs(at(jump + round), &mut watch, now, &never_again).await.unwrap().lost;
        lost.extend(losses.into_iter().map(|loss| loss.run.id));
        one.beat(at(round - jump), &held, None).await.unwrap();
    }
    assert_eq!(lost, [dead.run.id], "its lease was written a year ahead, and still ended");
    one.end(at(-year), &held, &work(Ending::Ok)).await.unwrap();
}

async fn a_lost_run_never_blocks_its_plan(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let one_at_a_time = [Limit { group: Group::Plan(www.clone()), at_most: 1 }];
    let (seen, _) = stored(store.decide(at(0), &fire(&www, None, at(0), "run 1")).await.unwrap());
    claim(&store, at(1), &id("run 1"), &executor("dead")).await.unwrap();
    stored(store.decide(at(60), &fire(&www, seen, at(60), "run 2")).await.unwrap());
    let (candidates, alive) = ([id("run 2")], executor("alive"));
    let next = Claim { candidates: &candidates, limits: &one_at_a_time, executor: &alive, lease: LEASE };
    assert!(store.claim(at(61), next).await.unwrap().is_empty(), "the first may still run");
    assert_eq!(lose_all(&store, at(200)).await, [id("run 1")]);
    let held = store.claim(at(201), next).await.unwrap().pop().unwrap();
    store.end(at(210), &held, &work(Ending::Ok)).await.unwrap();
}

async fn a_slot_that_was_lost_three_times_is_in_quarantine(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let (seen, _) = stored(store.decide(at(0), &fire(&www, None, at(0), "run 1")).await.unwrap());
    for attempt in 1..=3_i64 {
        let run = id(format!("run {attempt}"));
        let held = claim(&store, at(attempt), &run, &executor("a")).await.unwrap();
        assert_eq!(i64::from(held.run.attempt), attempt);
        let mut watch = LeaseWatch::new();
        let mut losses = Vec::new();
        for second in [0, 30, 59, 61] {
            losses.extend(
                store.lose_runs(at(99), &mut watch, elapsed(second), &never_again).await.unwrap().lost,
            );
        }
        assert_eq!(losses.len(), 1);
        assert_eq!(i64::from(losses[0].losses), attempt);
        let expected = if attempt < 3 { Quarantine::No } else { Quarantine::Yes };
        assert_eq!(losses[0].quarantine, expected);
        let retried = store.retry(at(100), &run, id(format!("run {}", attempt + 1)), None).await.unwrap();
        assert_eq!(matches!(retried, Retried::Queued(_)), attempt < 3, "{retried:?}");
        assert_eq!(retried == Retried::Quarantined, attempt == 3);
    }
    let told = told(&store).await;
    assert_eq!(told.iter().filter(|event| event.starts_with("run.quarantined")).count(), 1);
    // The next slot is another matter.
    stored(store.decide(at(300), &fire(&www, seen, at(300), "next")).await.unwrap());
    assert!(claim(&store, at(301), &id("next"), &executor("a")).await.is_some());
}

async fn a_run_is_retried_once_and_has_its_lineage(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    stored(store.decide(at(0), &fire(&www, None, at(0), "run 1")).await.unwrap());
    assert_eq!(store.retry(at(1), &id("run 1"), id("x"), None).await.unwrap(), Retried::Open);
    let held = claim(&store, at(1), &id("run 1"), &executor("a")).await.unwrap();
    store.end(at(2), &held, &work(Ending::Failed)).await.unwrap();
    let retried = store.retry(at(3), &id("run 1"), id("run 2"), Some(at(123))).await.unwrap();
    let Retried::Queued(run) = retried else { panic!("{retried:?}") };
    assert_eq!((run.trigger, run.attempt, run.not_before), (Trigger::Retry, 2, Some(at(123))));
    assert_eq!((run.parent, run.root), (Some(id("run 1")), id("run 1")));
    assert_eq!(run.slot.unwrap().at, at(0));
    assert_eq!(store.retry(at(3), &id("run 1"), id("run 3"), None).await.unwrap(), Retried::Already);
    let unknown = store.retry(at(3), &id("unknown"), id("run 4"), None).await;
    assert!(matches!(unknown, Err(StoreError::NoRun { .. })));
    let filter = RunFilter { root: Some(id("run 1")), ..RunFilter::default() };
    let lineage = store.runs(&filter, None, PageSize::MAX).await.unwrap().rows;
    assert_eq!(lineage.iter().map(|run| run.id.clone()).collect::<Vec<_>>(), [id("run 2"), id("run 1")]);
}

async fn a_run_is_cancelled_where_it_is(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 3).await;
    assert_eq!(store.cancel(at(1), &id("run 0")).await.unwrap(), RunState::Waiting);
    let run = store.run(&id("run 0")).await.unwrap().unwrap();
    assert_eq!(run.verdict, Some(Verdict::Cancelled));
    assert!(claim(&store, at(2), &id("run 0"), &executor("a")).await.is_none());

    let held = claim(&store, at(2), &id("run 1"), &executor("a")).await.unwrap();
    assert!(!store.start(at(3), &held).await.unwrap().cancel_requested);
    assert_eq!(store.cancel(at(4), &id("run 1")).await.unwrap(), RunState::Running);
    assert_eq!(store.cancel(at(5), &id("run 1")).await.unwrap(), RunState::Running);
    assert!(store.beat(at(6), &held, None).await.unwrap().cancel_requested);
    store.end(at(7), &held, &work(Ending::Cancelled)).await.unwrap();
    assert_eq!(store.cancel(at(8), &id("run 1")).await.unwrap(), RunState::Ended);
    assert!(matches!(store.cancel(at(8), &id("none")).await, Err(StoreError::NoRun { .. })));
    let told = told(&store).await;
    assert_eq!(told.iter().filter(|event| event.starts_with("run.cancel_requested")).count(), 1);

    assert!(store.end_waiting(at(9), &id("run 2"), Unstarted::Missed("too late".into())).await.unwrap());
    assert!(!store.end_waiting(at(9), &id("run 2"), Unstarted::Cancelled).await.unwrap());
    let run = store.run(&id("run 2")).await.unwrap().unwrap();
    assert_eq!(run.verdict, Some(Verdict::Missed("too late".into())));
}

async fn a_waiting_run_says_why_it_waits(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 2).await;
    let reasons: Vec<_> =
        (0..2).map(|number| (id(format!("run {number}")), json!({"limit": "host"}))).collect();
    store.explain_waiting(&reasons).await.unwrap();
    let run = store.run(&id("run 0")).await.unwrap().unwrap();
    assert_eq!(run.waits, Some(json!({"limit": "host"})));
    let held = claim(&store, at(1), &id("run 0"), &executor("a")).await.unwrap();
    assert_eq!(held.run.waits, None);
    store.explain_waiting(&reasons).await.unwrap();
    assert_eq!(store.run(&id("run 0")).await.unwrap().unwrap().waits, None, "it waits no more");
}

async fn errors_are_counted_by_their_fingerprint(lab: Lab) {
    let store = lab.open().await;
    for (number, host) in ["one", "two", "two"].iter().enumerate() {
        let mut run: NewRun = new_run(format!("run {number}"), &plan("www"), Trigger::Manual);
        run.subject.host = Some(HostId::new(*host).unwrap());
        store.queue(at(0), &run).await.unwrap();
        let held = claim(&store, at(1), &run.id, &executor("a")).await.unwrap();
        let error = RunError {
            category: ErrorCategory::new("network").unwrap(),
            fingerprint: Fingerprint::new("n-17").unwrap(),
            message: Text::from(format!("no answer, try {number}")),
        };
        let second = i64::try_from(number).unwrap() + 10;
        let failed = Work { error: Some(error.clone()), ..work(Ending::Failed) };
        assert_eq!(store.end(at(second), &held, &failed).await.unwrap().error, Some(error));
    }
    let patterns = store.error_patterns(None, PageSize::MAX).await.unwrap().rows;
    assert_eq!(patterns.len(), 1);
    let pattern = &patterns[0];
    assert_eq!((pattern.seen, pattern.hosts), (3, 2));
    assert_eq!((pattern.first_seen, pattern.last_seen), (at(10), at(12)));
    assert_eq!(pattern.message, Text::from("no answer, try 2"));
    assert_eq!((pattern.first_version.clone(), pattern.last_run.clone()), (version(), id("run 2")));
    let told = told(&store).await;
    assert_eq!(told.iter().filter(|event| *event == "error.first_seen error:n-17").count(), 1);
}

async fn an_undo_command_is_stored_first_and_carried_out_once(lab: Lab) {
    let (store, other) = (lab.open().await, lab.join().await);
    store_runs(&store, 1).await;
    let held = claim(&store, at(1), &id("run 0"), &executor("a")).await.unwrap();
    let (undo, host) = (UndoId::new("undo 1").unwrap(), HostId::new("host").unwrap());
    let command = json!(["systemctl", "start", "indexer"]);
    store.store_undo(at(2), &held, &undo, &host, &command).await.unwrap();
    assert!(store.left_undos(&host).await.unwrap().is_empty(), "its run goes on");
    // The server dies while it carries the command out, and starts again.
    assert!(store.take_undo(at(3), &undo, &executor("a")).await.unwrap().is_some());
    assert_eq!(lose_all(&other, at(100)).await, [id("run 0")]);
    let left = other.left_undos(&host).await.unwrap();
    assert_eq!((left.len(), &left[0].command, &left[0].run), (1, &command, &id("run 0")));
    assert!(other.take_undo(at(101), &undo, &executor("b")).await.unwrap().is_none(), "only that server can");
    let again = Executor { boot: BootId::new("boot 2").unwrap(), ..executor("a") };
    assert!(other.take_undo(at(102), &undo, &again).await.unwrap().is_some());
    assert!(other.take_undo(at(102), &undo, &again).await.unwrap().is_none(), "it is at it");
    assert!(!store.undo_done(at(103), &undo, &executor("a"), None).await.unwrap(), "another life has it");
    assert!(other.undo_done(at(103), &undo, &again, None).await.unwrap());
    assert!(!other.undo_done(at(104), &undo, &again, None).await.unwrap());
    assert!(other.take_undo(at(105), &undo, &again).await.unwrap().is_none());
    assert!(other.left_undos(&host).await.unwrap().is_empty());
    assert_eq!(other.undos_of(&id("run 0")).await.unwrap()[0].done, Some(at(103)));
}

async fn runs_are_listed_by_pages(lab: Lab) {
    let store = lab.open().await;
    store_runs(&store, 25).await;
    for number in [3, 4] {
        let held = claim(&store, at(1), &id(format!("run {number}")), &executor("a")).await.unwrap();
        store.end(at(2), &held, &work(Ending::Failed)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = store.runs(&RunFilter::default(), before, PageSize::at_most(10)).await.unwrap();
        seen.extend(page.rows.iter().map(|run| run.id.clone()));
        let Some(next) = page.next else { break };
        before = Some(next);
    }
    assert_eq!(seen, (0..25).rev().map(|number| id(format!("run {number}"))).collect::<Vec<_>>());
    let count = |filter: RunFilter| {
        let store = store.clone();
        async move { store.runs(&filter, None, PageSize::MAX).await.unwrap().rows.len() }
    };
    let all = RunFilter::default;
    assert_eq!(count(RunFilter { plan: Some(plan("plan 1")), ..all() }).await, 12);
    assert_eq!(count(RunFilter { open_only: true, ..all() }).await, 23);
    assert_eq!(count(RunFilter { verdict: Some(VerdictKind::Failed), ..all() }).await, 2);
    let both = RunFilter { verdict: Some(VerdictKind::Failed), plan: Some(plan("plan 1")), ..all() };
    assert_eq!(count(both).await, 1);
    let outcomes = store.outcomes(at(-1), at(1), None, PageSize::at_most(20)).await.unwrap();
    let rest = store.outcomes(at(-1), at(1), outcomes.next, PageSize::at_most(20)).await.unwrap();
    assert_eq!((outcomes.rows.len(), rest.rows.len(), rest.next), (20, 5, None));
    assert_eq!(outcomes.rows[3].verdict, Some(VerdictKind::Failed));
}
