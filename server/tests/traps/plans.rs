//! Traps of retention, locks and messages.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_schedule::plan::JitterSeed;
use keepfast_server::convert::{retention, schedule};
use keepfast_server::notices::Notifier;
use keepfast_server::state::{PlanLock, stored};
use keepfast_store::{
    Claim, ConfigHash, Elapsed, Ending, HostId, NewRun, PageSize, PlanId, RepositoryId, RunId, RunKind,
    RunSubject, Trigger,
};

use crate::lab::{Site, begin, minutes, plan, work};

const NIGHTLY: &str = "cron = \"30 1 * * *\"";

#[test]
fn retention_in_another_zone_than_the_schedule() {
    let text =
        plan("www", NIGHTLY, "timezone = \"America/New_York\"\nretention = { daily = 7, at_least = 1 }");
    let config = Site::alone("").config(&text);
    let www = &config.plans["www"];
    let kept = retention::request(&config, www, "ann").unwrap().unwrap();
    let runs = schedule::plan(&config, www, JitterSeed(1)).unwrap().unwrap();
    assert_eq!(kept.zone.as_deref(), Some("America/New_York"));
    assert_eq!(runs.zone.name(), "America/New_York");
}

#[test]
fn policy_that_says_nothing_wipes_everything() {
    for keys in ["", "retention = {}"] {
        let config = Site::alone("").config(&plan("www", NIGHTLY, keys));
        assert_eq!(retention::request(&config, &config.plans["www"], "ann").unwrap(), None, "{keys}");
    }
}

/// Each snapshot was a group of its own, because its paths were; or snapshots of other plans were judged.
#[test]
fn retention_silently_does_nothing() {
    let text = plan("www", NIGHTLY, "retention = { daily = 7, at_least = 1 }");
    let config = Site::alone("").config(&text);
    let kept = retention::request(&config, &config.plans["www"], "ann").unwrap().unwrap();
    assert_eq!(kept.filter.tags, ["plan:www"]);
    assert!(!kept.group_by.paths && !kept.group_by.tags);
}

/// A lock is the system's, on an open file: a file that was left behind locks no one.
#[test]
fn stale_lock_of_a_process_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let lock = PlanLock::take(folder.path(), "www").unwrap();
    assert!(lock.is_some() && PlanLock::take(folder.path(), "www").unwrap().is_none());
    drop(lock);
    assert!(folder.path().join("locks/plan-www.lock").exists(), "the file is left behind");
    assert!(PlanLock::take(folder.path(), "www").unwrap().is_some());
}

/// Agents' runs, retries and runs by hand were told to no one: what is told comes of the run's end alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_path_and_manual_path_tell_different_things() {
    let mut told = Vec::new();
    for trigger in [Trigger::Schedule, Trigger::CatchUp, Trigger::Manual, Trigger::Api, Trigger::Retry] {
        let text = format!(
            "{}[target.ops]\nwebhook = {{ url = \"http://127.0.0.1:9/\", preset = \"generic\" }}\n[[route]]\nto = [\"ops\"]\n",
            plan("www", NIGHTLY, "")
        );
        let site = Site::alone(&text);
        let (store, config) = (site.store().await, site.config(&text));
        let mut notifier = Notifier::new(store.clone(), "ann");
        let mut now: Timestamp = begin();
        let mut steady = Duration::ZERO;
        notifier.step(&config, now, Elapsed(steady)).await.unwrap();
        let run = NewRun {
            id: RunId::new("run 1").unwrap(),
            kind: RunKind::Backup,
            subject: RunSubject {
                plan: Some(PlanId::new("www").unwrap()),
                repository: Some(RepositoryId::new("main").unwrap()),
                host: Some(HostId::new("ann").unwrap()),
                drill: None,
            },
            trigger,
            config: ConfigHash::new("c").unwrap(),
            not_before: None,
            errand: None,
        };
        store.queue(stored(now), &run).await.unwrap();
        let executor = keepfast_server::state::process("server ann").unwrap();
        let candidates = [run.id.clone()];
        let claim = Claim { candidates: &candidates, limits: &[], executor: &executor, lease: minutes(2) };
        let held = store.claim(stored(now), claim).await.unwrap().pop().unwrap();
        store.start(stored(now), &held).await.unwrap();
        store.end(stored(now), &held, &work(Ending::Failed)).await.unwrap();
        for _ in 0..10 {
            notifier.step(&config, now, Elapsed(steady)).await.unwrap();
            now += minutes(1);
            steady += minutes(1);
        }
        let deliveries = store.deliveries(None, None, None, PageSize::MAX).await.unwrap().rows;
        assert_eq!(deliveries.len(), 1, "{trigger:?}");
        let mut message = deliveries[0].document["message"].clone();
        message.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(message["items"].as_array().unwrap().len(), 1, "{message}");
        told.push((trigger, message));
    }
    let (first, others) = told.split_first().unwrap();
    for (trigger, message) in others {
        assert_eq!(*message, first.1, "{trigger:?}");
    }
}
