//! Each slot has exactly one outcome.

use keepfast_store::{
    Decided, Decision, Ending, NewSlot, PageSize, RunFilter, RunState, SlotVerdict, Text, Trigger, UserName,
    Verdict,
};

use crate::lab::{
    Lab, all_events, at, claim, executor, fire, id, new_run, on_both, plan, queued, told, unfired, work,
};

on_both! {
    a_slot_that_fires_has_a_run_that_waits;
    a_slot_never_fires_twice;
    a_clock_that_was_set_back_runs_no_slot_again;
    many_missed_slots_are_one_record;
    a_slot_that_was_missed_is_shown_among_the_runs;
    a_plan_knows_its_last_good_run_and_its_figures;
    a_plan_is_paused_once_and_its_pauses_are_remembered;
    a_run_id_that_is_there_already_stores_nothing;
}

async fn a_slot_that_fires_has_a_run_that_waits(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let runs = queued(store.decide(at(5), &fire(&www, None, at(0), "run 1")).await.unwrap());
    assert_eq!(runs, [id("run 1")]);
    let run = store.run(&id("run 1")).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempt, run.trigger), (RunState::Waiting, 1, Trigger::Schedule));
    assert_eq!(run.slot.unwrap().at, at(0));
    assert_eq!(run.created, at(5));
    let slots = store.slots(&www, at(-10), PageSize::MAX).await.unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!((slots[0].verdict, &slots[0].run), (SlotVerdict::Fired, &run.id));
    assert_eq!(told(&store).await, ["run.queued plan:www"]);
}

async fn a_slot_never_fires_twice(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let first = fire(&www, None, at(0), "run 1");
    queued(store.decide(at(5), &first).await.unwrap());
    let again = fire(&www, None, at(0), "run 2");
    assert_eq!(store.decide(at(6), &again).await.unwrap(), Decided::Overtaken { last_slot: Some(at(0)) });
    assert_eq!(store.run(&id("run 2")).await.unwrap(), None);
    assert_eq!(told(&store).await.len(), 1);
}

async fn a_clock_that_was_set_back_runs_no_slot_again(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    queued(store.decide(at(100), &fire(&www, None, at(100), "run 1")).await.unwrap());
    for (slot, run) in [(at(100), "run 2"), (at(40), "run 3")] {
        let decision = fire(&www, Some(at(100)), slot, run);
        assert_eq!(store.decide(at(-1000), &decision).await.unwrap(), Decided::OutOfOrder);
    }
    let slots = vec![
        NewSlot::Fire { at: at(300), run: new_run("run 4", &www, Trigger::Schedule) },
        NewSlot::Fire { at: at(200), run: new_run("run 5", &www, Trigger::Schedule) },
    ];
    let decision = Decision { plan: www.clone(), after: Some(at(100)), slots };
    assert_eq!(store.decide(at(400), &decision).await.unwrap(), Decided::OutOfOrder);
    assert_eq!(store.slots(&www, at(-10_000), PageSize::MAX).await.unwrap().len(), 1);
}

/// A year of missed slots is one row, and the newest one runs.
async fn many_missed_slots_are_one_record(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let missed = unfired(&www, at(0), at(86_400 * 364), 365, "the server was off");
    let newest = at(86_400 * 365);
    let run = new_run("run 1", &www, Trigger::CatchUp);
    let slots = vec![NewSlot::Missed(missed), NewSlot::Fire { at: newest, run }];
    let decision = Decision { plan: www.clone(), after: None, slots };
    assert_eq!(queued(store.decide(newest, &decision).await.unwrap()), [id("run 1")]);
    let slots = store.slots(&www, at(0), PageSize::MAX).await.unwrap();
    let shape: Vec<_> = slots.iter().map(|slot| (slot.verdict, slot.count, slot.first, slot.last)).collect();
    assert_eq!(
        shape,
        [(SlotVerdict::Missed, 365, at(0), at(86_400 * 364)), (SlotVerdict::Fired, 1, newest, newest)]
    );
    assert_eq!(store.plan_states().await.unwrap()[0].last_slot, Some(newest));
}

async fn a_slot_that_was_missed_is_shown_among_the_runs(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let paused = NewSlot::Skipped(unfired(&www, at(0), at(0), 1, "paused"));
    let decision = Decision { plan: www.clone(), after: None, slots: vec![paused] };
    assert!(queued(store.decide(at(9), &decision).await.unwrap()).is_empty());
    let page = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].verdict, Some(Verdict::Skipped(Text::from("paused"))));
    assert_eq!(page.rows[0].state, RunState::Ended);
    let events = all_events(&store).await;
    assert_eq!(events[0].document["verdict"], "skipped");
    assert_eq!(events[0].document["reason"], "paused");
}

async fn a_plan_knows_its_last_good_run_and_its_figures(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let born = store.bear_plan(at(0), &www).await.unwrap();
    assert_eq!((born.born, born.last_ok, born.last_slot), (at(0), None, None));
    queued(store.decide(at(10), &fire(&www, None, at(10), "run 1")).await.unwrap());
    let held = claim(&store, at(11), &id("run 1"), &executor("a")).await.unwrap();
    let baseline = serde_json::json!({"new_bytes": 4096});
    let done = keepfast_store::Work { baseline: Some(baseline.clone()), ..work(Ending::Ok) };
    store.end(at(20), &held, &done).await.unwrap();
    queued(store.decide(at(30), &fire(&www, Some(at(10)), at(30), "run 2")).await.unwrap());
    let held = claim(&store, at(31), &id("run 2"), &executor("a")).await.unwrap();
    store.end(at(40), &held, &work(Ending::Findings)).await.unwrap();
    let state = store.bear_plan(at(99), &www).await.unwrap();
    assert_eq!((state.born, state.last_slot), (at(0), Some(at(30))));
    assert_eq!((state.last_ok, state.last_findings), (Some(at(20)), Some(at(40))));
    assert_eq!(state.baseline, Some(baseline));
    store.bear_plan(at(99), &plan("never ran")).await.unwrap();
    let last: Vec<_> = store.last_runs().await.unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(last, [id("run 2")]);
}

async fn a_plan_is_paused_once_and_its_pauses_are_remembered(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let by = UserName::new("ann").unwrap();
    store.pause(at(0), &www, None, &by, None).await.unwrap();
    store.pause(at(5), &www, Some(at(100)), &by, Some(&Text::from("moving"))).await.unwrap();
    let paused = store.paused_plans().await.unwrap();
    assert_eq!(paused.len(), 1);
    assert_eq!((paused[0].since, paused[0].until), (at(0), Some(at(100))));
    assert!(store.unpause(at(50), &www, at(50)).await.unwrap());
    assert!(!store.unpause(at(51), &www, at(51)).await.unwrap());
    assert!(store.paused_plans().await.unwrap().is_empty());
    store.pause(at(60), &www, None, &by, None).await.unwrap();
    let pauses = store.pauses_since(&www, at(20)).await.unwrap();
    let spans: Vec<_> = pauses.iter().map(|pause| (pause.since, pause.ended)).collect();
    assert_eq!(spans, [(at(0), Some(at(50))), (at(60), None)]);
    assert_eq!(store.pauses_since(&www, at(55)).await.unwrap().len(), 1);
    let told = told(&store).await;
    assert_eq!(told.iter().filter(|event| *event == "plan.unpaused plan:www").count(), 1);
}

async fn a_run_id_that_is_there_already_stores_nothing(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let run = new_run("run 1", &www, Trigger::Manual);
    assert!(store.queue(at(0), &run).await.unwrap().is_some());
    assert_eq!(store.queue(at(1), &run).await.unwrap(), None, "a request that is sent again");
    assert!(store.decide(at(2), &fire(&www, None, at(2), "run 1")).await.is_err());
    assert!(store.slots(&www, at(0), PageSize::MAX).await.unwrap().is_empty());
    assert_eq!(store.bear_plan(at(3), &www).await.unwrap().last_slot, None, "nothing of it was stored");
    assert_eq!(told(&store).await.len(), 1);
}
