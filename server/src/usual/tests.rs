//! When an anomaly opens, what it holds up, and how it is over.

use jiff::Timestamp;
use keepfast_observe::anomaly::Rules;
use keepfast_operations::reports::{BackupReport, ChangesDocument};
use keepfast_store::{Ending, EventKind, PageSize, PlanId, Sequence, Store};

use super::{Judged, Usual, accept, open_anomaly};
use crate::testing::state::{Desk, backup, plan, ran};

const GIB: u64 = 1 << 30;

fn usual_day() -> BackupReport {
    backup(
        GIB,
        Some(ChangesDocument { files_before: 1000, files_deleted: 2, files_rewritten: 9, files_moved: 0 }),
    )
}

/// Four of ten files are gone.
fn deletion() -> BackupReport {
    let changes =
        ChangesDocument { files_before: 1000, files_deleted: 400, files_rewritten: 9, files_moved: 0 };
    backup(GIB * 6 / 10, Some(changes))
}

fn slow_day() -> BackupReport {
    BackupReport { seconds: 90_000.0, ..usual_day() }
}

struct Lab {
    store: Store,
    plan: PlanId,
    _desk: Desk,
}

impl Lab {
    async fn new() -> Self {
        let desk = Desk::new(&plan("www", ""));
        let store = desk.store().await.expect("it opens");
        Self { store, plan: PlanId::new("www").expect("a name"), _desk: desk }
    }

    /// A run of the plan that did this, as far as its anomalies are concerned.
    async fn run(&self, backup: &BackupReport, rules: &Rules) -> Judged {
        let usual = Usual::read(&self.store, &self.plan).await.expect("it can be read");
        let judged = usual.judge(backup, "run", Timestamp::now(), rules);
        judged.tell(&self.store, &self.plan).await.expect("it can be told");
        ran(&self.store, "www", Ending::Ok, None, None, judged.baseline()).await;
        judged
    }

    async fn experienced() -> Self {
        let lab = Self::new().await;
        for _ in 0..8 {
            assert!(lab.run(&usual_day(), &Rules::default()).await.found.is_empty());
        }
        lab
    }

    async fn told(&self) -> Vec<String> {
        let page = self.store.events_after(Sequence::START, PageSize::MAX).await.expect("events");
        let problems = page.events.into_iter().filter(|event| event.kind.as_str().starts_with("problem."));
        problems.map(|event| format!("{} {}", event.kind, event.subject)).collect()
    }
}

fn kinds(judged: &Judged) -> Vec<&str> {
    judged.found.iter().map(|found| found.kind.as_str()).collect()
}

#[tokio::test]
async fn an_anomaly_of_the_data_stays_open_until_someone_accepts_it() {
    let (lab, rules) = (Lab::experienced().await, Rules::default());
    let found = lab.run(&deletion(), &rules).await;
    assert_eq!(kinds(&found), ["deleted_files"]);
    assert!(found.pauses_retention.is_some());
    // More of them than there are good runs: what was usual before is what they are compared with.
    for _ in 0..40 {
        let like_it = lab.run(&backup(GIB * 6 / 10, usual_day().changes), &rules).await;
        assert!(like_it.found.is_empty() && like_it.pauses_retention.is_some());
    }
    // A second one adds to the first and is told within it.
    let second = lab.run(&backup(GIB / 10, deletion().changes), &rules).await;
    assert_eq!(kinds(&second), ["deleted_files", "shrunk_source"]);
    let open = open_anomaly(&lab.store, &lab.plan).await.expect("it can be read").expect("it is open");
    assert_eq!(open.anomalies.len(), 2);
    assert!(open.text().starts_with("40 % of the files are gone"), "{}", open.text());
    assert_eq!(lab.told().await, ["problem.opened plan:www"]);

    let accepted = accept(&lab.store, "www", "operator").await.expect("it can be accepted");
    assert_eq!(accepted.expect("it was open").anomalies.len(), 2);
    assert_eq!(accept(&lab.store, "www", "operator").await.expect("twice is no error"), None);
    // The source stays as small as it is now, and that is usual at once.
    let next = lab.run(&backup(GIB / 10, usual_day().changes), &rules).await;
    assert!(next.found.is_empty() && next.pauses_retention.is_none(), "{next:?}");
    // What was accepted once is no habit: the same again is told again.
    assert_eq!(kinds(&lab.run(&backup(GIB / 10, deletion().changes), &rules).await), ["deleted_files"]);
    let expected = ["problem.opened", "problem.acknowledged", "problem.resolved", "problem.opened"];
    assert_eq!(lab.told().await, expected.map(|kind| format!("{kind} plan:www")));
    assert_eq!(EventKind::PROBLEM_OPENED.as_str(), "problem.opened");
}

#[tokio::test]
async fn a_slow_run_pauses_nothing_and_is_over_with_the_next() {
    let (lab, rules) = (Lab::experienced().await, Rules::default());
    let slow = lab.run(&slow_day(), &rules).await;
    assert_eq!(kinds(&slow), ["duration"]);
    assert!(slow.pauses_retention.is_none());
    let next = lab.run(&usual_day(), &rules).await;
    assert!(next.found.is_empty());
    assert_eq!(lab.told().await, ["problem.opened plan:www", "problem.resolved plan:www"]);
    // A slow run is no measure of what is usual.
    assert_eq!(kinds(&lab.run(&slow_day(), &rules).await), ["duration"]);
    // One that also deletes keeps both open.
    lab.run(&deletion(), &rules).await;
    lab.run(&usual_day(), &rules).await;
    let open = open_anomaly(&lab.store, &lab.plan).await.expect("it can be read").expect("it is open");
    assert!(open.about_data && open.anomalies.len() == 2, "{open:?}");
}

#[tokio::test]
async fn a_plan_may_let_retention_go_on() {
    let lab = Lab::experienced().await;
    let found = lab.run(&deletion(), &Rules { pause_retention: false, ..Rules::default() }).await;
    assert!(found.found.len() == 1 && found.pauses_retention.is_none());
}

/// A document of another version keeps no backup from being made: what is usual is learned again.
#[tokio::test]
async fn a_baseline_that_cannot_be_read_begins_again() {
    for strange in [serde_json::json!({"version": 99, "good": [], "waiting": []}), serde_json::json!("odd")] {
        let lab = Lab::new().await;
        ran(&lab.store, "www", Ending::Ok, None, None, Some(strange)).await;
        let usual = Usual::read(&lab.store, &lab.plan).await.expect("it can be read");
        assert_eq!((usual.clone(), usual.last_stored_bytes()), (Usual::default(), None));
        lab.run(&usual_day(), &Rules::default()).await;
        let usual = Usual::read(&lab.store, &lab.plan).await.expect("it can be read");
        assert_eq!(usual.last_stored_bytes(), Some(GIB / 40));
    }
}
