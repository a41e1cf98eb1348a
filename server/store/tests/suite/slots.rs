//! Each slot has exactly one outcome.

use keepfast_store::{
    Decided, Ending, PageSize, RunFilter, RunState, SlotChange, SlotVerdict, StoreError, Text, Trigger,
    UserName, Verdict,
};
use serde_json::json;

use crate::lab::{
    Lab, all_events, at, claim, decision, executor, fire, id, new_run, on_both, plan, schedule, stored, told,
    unfired, work,
};

on_both! {
    a_slot_that_fires_has_a_run_that_waits;
    of_two_decisions_from_one_state_the_first_counts;
    what_a_schedule_remembers_goes_with_its_decisions;
    a_slot_that_has_fired_never_fires_again;
    after_a_clock_was_set_back_slots_that_have_not_fired_are_decided_again;
    a_record_of_many_slots_is_withdrawn_in_part;
    only_the_slots_of_one_schedule_are_withdrawn;
    a_forgotten_schedule_begins_again_and_keeps_its_slots;
    a_run_of_a_repository_has_no_plan;
    many_missed_slots_are_one_record;
    a_slot_that_was_missed_is_shown_among_the_runs;
    a_plan_knows_its_last_good_run_and_its_figures;
    a_plan_is_paused_once_and_its_pauses_are_remembered;
    a_run_id_that_is_there_already_stores_nothing;
}

async fn a_slot_that_fires_has_a_run_that_waits(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let (_, runs) = stored(store.decide(at(5), &fire(&www, None, at(0), "run 1")).await.unwrap());
    assert_eq!(runs, [id("run 1")]);
    let run = store.run(&id("run 1")).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempt, run.trigger), (RunState::Waiting, 1, Trigger::Schedule));
    assert_eq!(run.slot.unwrap().at, at(0));
    assert_eq!(run.created, at(5));
    let slots = store.slots(&schedule(&www), at(-10), PageSize::MAX).await.unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!((slots[0].verdict, &slots[0].run), (SlotVerdict::Fired, &run.id));
    assert_eq!(told(&store).await, ["run.queued plan:www"]);
}

async fn of_two_decisions_from_one_state_the_first_counts(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let (first, _) = stored(store.decide(at(5), &fire(&www, None, at(0), "run 1")).await.unwrap());
    let second = fire(&www, None, at(10), "run 2");
    assert_eq!(store.decide(at(16), &second).await.unwrap(), Decided::Overtaken);
    let (second, _) = stored(store.decide(at(15), &fire(&www, first, at(10), "run 2")).await.unwrap());
    assert!(second > first);
    let late = fire(&www, first, at(20), "run 3");
    assert_eq!(store.decide(at(26), &late).await.unwrap(), Decided::Overtaken);
    assert_eq!(store.run(&id("run 3")).await.unwrap(), None);
    assert_eq!(told(&store).await.len(), 2);
}

async fn what_a_schedule_remembers_goes_with_its_decisions(lab: Lab) {
    let store = lab.open().await;
    let (www, db) = (plan("www"), plan("db"));
    let mut first = decision(&www, None, Vec::new());
    first.document = json!({"accounted": 1});
    let (seen, _) = stored(store.decide(at(1), &first).await.unwrap());
    stored(store.decide(at(1), &decision(&db, None, Vec::new())).await.unwrap());
    let mut second = decision(&www, seen, Vec::new());
    second.document = json!({"accounted": 2});
    let (seen, _) = stored(store.decide(at(2), &second).await.unwrap());
    // A decision that can't be stored leaves the document as well.
    let twice = vec![
        SlotChange::Fire { at: at(2), run: new_run("run 1", &www, Trigger::Schedule) },
        SlotChange::Fire { at: at(2), run: new_run("run 2", &www, Trigger::Schedule) },
    ];
    let mut third = decision(&www, seen, twice);
    third.document = json!({"accounted": 3});
    assert!(matches!(store.decide(at(3), &third).await, Err(StoreError::Stored { .. })));
    let states = store.schedule_states().await.unwrap();
    let states: Vec<_> = states.iter().map(|state| (state.schedule.as_str(), &state.document)).collect();
    assert_eq!(states, [("plan:db", &json!({})), ("plan:www", &json!({"accounted": 2}))]);
    assert!(told(&store).await.is_empty());
}

async fn a_slot_that_has_fired_never_fires_again(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let (seen, _) = stored(store.decide(at(100), &fire(&www, None, at(100), "run 1")).await.unwrap());
    // The clock was set back: what is decided about other slots is withdrawn, and this one fires no second time.
    let back = SlotChange::Withdrawn { after: at(-1000), until: at(100) };
    let (seen, _) = stored(store.decide(at(-1000), &decision(&www, seen, vec![back])).await.unwrap());
    let error = store.decide(at(100), &fire(&www, seen, at(100), "run 2")).await.unwrap_err();
    assert!(error.to_string().contains("an outcome of plan:www at"), "{error}");
    let slots = store.slots(&schedule(&www), at(-10_000), PageSize::MAX).await.unwrap();
    assert_eq!(slots.iter().map(|slot| slot.run.clone()).collect::<Vec<_>>(), [id("run 1")]);
    assert_eq!(store.run(&id("run 2")).await.unwrap(), None);
    assert!(store.run(&id("run 1")).await.unwrap().is_some());
}

async fn after_a_clock_was_set_back_slots_that_have_not_fired_are_decided_again(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let fired = |second: i64, run: &str| SlotChange::Fire {
        at: at(second),
        run: new_run(run, &www, Trigger::Schedule),
    };
    let changes = vec![
        SlotChange::Skipped(unfired(&www, at(10), at(10), 1, "paused")),
        fired(20, "run 1"),
        SlotChange::Missed(unfired(&www, at(30), at(30), 1, "the server was off")),
        SlotChange::Skipped(unfired(&www, at(40), at(40), 1, "paused")),
    ];
    let (seen, _) = stored(store.decide(at(45), &decision(&www, None, changes)).await.unwrap());
    let mut again = unfired(&www, at(30), at(30), 1, "paused");
    again.record.id = id("the second record of slot 30");
    let changes = vec![
        SlotChange::Withdrawn { after: at(15), until: at(45) },
        SlotChange::Skipped(again),
        fired(40, "run 2"),
    ];
    let (_, runs) = stored(store.decide(at(15), &decision(&www, seen, changes)).await.unwrap());
    assert_eq!(runs, [id("run 2")]);
    let slots = store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap();
    let shape: Vec<_> = slots.iter().map(|slot| (slot.first, slot.verdict)).collect();
    let (skipped, fires) = (SlotVerdict::Skipped, SlotVerdict::Fired);
    assert_eq!(shape, [(at(10), skipped), (at(20), fires), (at(30), skipped), (at(40), fires)]);
    // Listings of runs say the same: each slot has one record.
    let page = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
    let mut due: Vec<_> = page.rows.iter().map(|run| run.slot.unwrap().at).collect();
    due.sort();
    assert_eq!(due, [at(10), at(20), at(30), at(40)]);
    let events = all_events(&store).await;
    let withdrawn = events.iter().find(|event| event.kind.as_str() == "slots.withdrawn").unwrap();
    assert_eq!(withdrawn.subject.as_str(), "plan:www");
    assert_eq!((&withdrawn.document["after"], &withdrawn.document["records"]), (&json!(at(15)), &json!(2)));
}

async fn a_record_of_many_slots_is_withdrawn_in_part(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let missed = SlotChange::Missed(unfired(&www, at(0), at(900), 10, "the server was off"));
    let (seen, _) = stored(store.decide(at(950), &decision(&www, None, vec![missed])).await.unwrap());
    let changes = vec![
        SlotChange::Withdrawn { after: at(450), until: at(950) },
        SlotChange::Fire { at: at(500), run: new_run("run 1", &www, Trigger::Schedule) },
    ];
    stored(store.decide(at(450), &decision(&www, seen, changes)).await.unwrap());
    let slots = store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap();
    let shape: Vec<_> = slots.iter().map(|slot| (slot.first, slot.last, slot.verdict)).collect();
    let (missed, fired) = (SlotVerdict::Missed, SlotVerdict::Fired);
    assert_eq!(shape, [(at(0), at(450), missed), (at(500), at(500), fired)]);
    assert_eq!(store.run(&slots[0].run).await.unwrap().unwrap().slot.unwrap().at, at(0), "its record stays");
    let events = all_events(&store).await;
    let withdrawn = events.iter().find(|event| event.kind.as_str() == "slots.withdrawn").unwrap();
    assert_eq!((&withdrawn.document["records"], &withdrawn.document["shortened"]), (&json!(0), &json!(1)));
}

async fn only_the_slots_of_one_schedule_are_withdrawn(lab: Lab) {
    let store = lab.open().await;
    let mut seen = Vec::new();
    for of in [plan("db"), plan("www")] {
        let missed = SlotChange::Missed(unfired(&of, at(10), at(10), 1, "the server was off"));
        seen.push(stored(store.decide(at(20), &decision(&of, None, vec![missed])).await.unwrap()).0);
    }
    let back = vec![SlotChange::Withdrawn { after: at(0), until: at(20) }];
    stored(store.decide(at(0), &decision(&plan("www"), seen[1], back)).await.unwrap());
    assert!(store.slots(&schedule(&plan("www")), at(0), PageSize::MAX).await.unwrap().is_empty());
    assert_eq!(store.slots(&schedule(&plan("db")), at(0), PageSize::MAX).await.unwrap().len(), 1);
    let page = store.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap();
    assert_eq!(page.rows.iter().map(|run| run.subject.plan.clone()).collect::<Vec<_>>(), [Some(plan("db"))]);
}

async fn a_forgotten_schedule_begins_again_and_keeps_its_slots(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let (seen, _) = stored(store.decide(at(5), &fire(&www, None, at(0), "run 1")).await.unwrap());
    assert!(store.forget_schedule(&schedule(&www)).await.unwrap());
    assert!(!store.forget_schedule(&schedule(&www)).await.unwrap());
    assert!(store.schedule_states().await.unwrap().is_empty());
    assert_eq!(store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap().len(), 1);
    let (again, _) = stored(store.decide(at(6), &fire(&www, None, at(6), "run 2")).await.unwrap());
    // A server that has seen the state from before decides nothing about the new one.
    assert_ne!(seen, again);
    let late = store.decide(at(7), &fire(&www, seen, at(7), "run 3")).await.unwrap();
    assert_eq!(late, Decided::Overtaken);
}

async fn a_run_of_a_repository_has_no_plan(lab: Lab) {
    let store = lab.open().await;
    let mut run = new_run("check 1", &plan("none"), Trigger::Schedule);
    run.kind = keepfast_store::RunKind::Check;
    run.subject.plan = None;
    run.subject.repository = Some(keepfast_store::RepositoryId::new("main").unwrap());
    let check = keepfast_store::ScheduleId::new("check:main").unwrap();
    let changes = vec![SlotChange::Fire { at: at(0), run }];
    let new = keepfast_store::Decision { schedule: check.clone(), seen: None, document: json!(1), changes };
    stored(store.decide(at(0), &new).await.unwrap());
    assert_eq!(store.run(&id("check 1")).await.unwrap().unwrap().subject.plan, None);
    assert!(store.plan_states().await.unwrap().is_empty(), "a schedule of a repository is no plan");
    assert_eq!(told(&store).await, ["run.queued repository:main"]);
    assert_eq!(store.slots(&check, at(0), PageSize::MAX).await.unwrap().len(), 1);
}

/// A year of missed slots is one row, and the newest one runs.
async fn many_missed_slots_are_one_record(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let missed = unfired(&www, at(0), at(86_400 * 364), 365, "the server was off");
    let newest = at(86_400 * 365);
    let run = new_run("run 1", &www, Trigger::CatchUp);
    let changes = vec![SlotChange::Missed(missed), SlotChange::Fire { at: newest, run }];
    let (_, runs) = stored(store.decide(newest, &decision(&www, None, changes)).await.unwrap());
    assert_eq!(runs, [id("run 1")]);
    let slots = store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap();
    let shape: Vec<_> = slots.iter().map(|slot| (slot.verdict, slot.count, slot.first, slot.last)).collect();
    assert_eq!(
        shape,
        [(SlotVerdict::Missed, 365, at(0), at(86_400 * 364)), (SlotVerdict::Fired, 1, newest, newest)]
    );
}

async fn a_slot_that_was_missed_is_shown_among_the_runs(lab: Lab) {
    let store = lab.open().await;
    let www = plan("www");
    let paused = SlotChange::Skipped(unfired(&www, at(0), at(0), 1, "paused"));
    let new = decision(&www, None, vec![paused]);
    assert!(stored(store.decide(at(9), &new).await.unwrap()).1.is_empty());
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
    assert_eq!((born.born, born.last_ok), (at(0), None));
    let (seen, _) = stored(store.decide(at(10), &fire(&www, None, at(10), "run 1")).await.unwrap());
    let held = claim(&store, at(11), &id("run 1"), &executor("a")).await.unwrap();
    let baseline = serde_json::json!({"new_bytes": 4096});
    let done = keepfast_store::Work { baseline: Some(baseline.clone()), ..work(Ending::Ok) };
    store.end(at(20), &held, &done).await.unwrap();
    stored(store.decide(at(30), &fire(&www, seen, at(30), "run 2")).await.unwrap());
    let held = claim(&store, at(31), &id("run 2"), &executor("a")).await.unwrap();
    store.end(at(40), &held, &work(Ending::Findings)).await.unwrap();
    let state = store.bear_plan(at(99), &www).await.unwrap();
    assert_eq!(state.born, at(0));
    assert_eq!((state.last_ok, state.last_findings), (Some(at(20)), Some(at(40))));
    assert_eq!(state.baseline, Some(baseline));
    store.bear_plans(at(99), &[plan("never ran"), www.clone()]).await.unwrap();
    assert_eq!(store.plan_states().await.unwrap().len(), 2);
    let last: Vec<_> = store.last_runs(None).await.unwrap().into_iter().map(|run| run.id).collect();
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
    assert_eq!(store.pause_ends(at(70)).await.unwrap(), [(www.clone(), at(50))]);
    store.pause(at(80), &www, Some(at(90)), &by, None).await.unwrap();
    assert_eq!(store.pause_ends(at(89)).await.unwrap(), [(www.clone(), at(50))]);
    assert_eq!(store.pause_ends(at(90)).await.unwrap(), [(www.clone(), at(90))], "it ends by itself");
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
    assert!(store.slots(&schedule(&www), at(0), PageSize::MAX).await.unwrap().is_empty());
    assert!(store.schedule_states().await.unwrap().is_empty(), "nothing of it was stored");
    assert_eq!(told(&store).await.len(), 1);
}
