//! What is unusual about a plan's runs: a tree that is encrypted or deleted between two of them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::plans::Plans;

const FILES: usize = 40;
/// With fewer good runs than this, no run is judged.
const GOOD_RUNS: usize = 7;

fn files(plans: &Plans) -> Vec<PathBuf> {
    (0..FILES).map(|number| plans.desk.src(&format!("documents/{number:02}.txt"))).collect()
}

/// A plan with a tree of documents, of which one changes in each run.
fn experienced(plan: &str) -> Plans {
    let plans = Plans::new(plan);
    fs::create_dir_all(plans.desk.src("documents")).unwrap();
    for (number, file) in files(&plans).iter().enumerate() {
        fs::write(file, format!("document {number}, as people write them\n").repeat(300)).unwrap();
    }
    for run in 0..GOOD_RUNS {
        fs::write(plans.desk.src("diary"), format!("entry {run}\n").repeat(run + 1)).unwrap();
        plans.run(&["run", "www"]).succeeds();
    }
    plans
}

/// Each file is replaced by one with another name, and bytes that don't compress.
fn encrypt(plans: &Plans) {
    for (number, file) in files(plans).iter().enumerate() {
        let noise = keepfast_testkit::tree::noise(number as u64, 9000);
        fs::write(file.with_extension("locked"), noise).unwrap();
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn an_encrypted_tree_is_a_finding_and_pauses_retention_until_someone_accepts_it() {
    let plans = experienced("retention = { last = 3, max_removed = 100 }");
    assert_eq!(plans.snapshots().len(), 3);
    encrypt(&plans);

    let run = plans.run(&["run", "www"]);
    assert_eq!(run.code, 3, "{} {}", run.out, run.err);
    for said in ["unusual:", "of the files are gone", "retention is paused", "keepfast accept-anomaly www"] {
        assert!(run.err.contains(said), "{said}: {}", run.err);
    }
    assert_eq!(plans.snapshots().len(), 4, "the good ones stay");

    // However many runs are like it, nothing is removed.
    for _ in 0..3 {
        let report = plans.document_of(3, &["run", "www"]);
        assert_eq!((&report["verdict"], &report["retention_paused"]), (&"findings".into(), &true.into()));
        assert_eq!(report["retention"], Value::Null);
    }
    assert_eq!(plans.snapshots().len(), 7);
    let metrics = plans.run(&["metrics"]).succeeds().out;
    assert!(value(&metrics, "keepfast_open_anomalies") >= 1.0, "{metrics}");
    assert_eq!(value(&metrics, "keepfast_retention_paused"), 1.0);

    let accepted = plans.run(&["accept-anomaly", "www"]).succeeds().out;
    assert!(accepted.contains("of the files are gone"), "{accepted}");
    let report = plans.document(&["run", "www"]);
    assert_eq!((&report["verdict"], &report["retention_paused"]), (&"ok".into(), &false.into()));
    assert_eq!(plans.snapshots().len(), 3, "retention runs again");
    let metrics = plans.run(&["metrics"]).succeeds().out;
    assert_eq!(value(&metrics, "keepfast_open_anomalies"), 0.0);
    let again = plans.run(&["accept-anomaly", "www"]).succeeds().out;
    assert!(again.contains("nothing about plan www waits to be accepted"), "{again}");
    plans.run(&["accept-anomaly", "other"]).fails(2, &["there is no plan \"other\""]);
}

#[test]
fn a_deleted_tree_is_told_and_a_plan_may_let_retention_go_on() {
    let plans =
        experienced("retention = { last = 3, max_removed = 100 }\nanomaly = { pause_retention = false }");
    fs::remove_dir_all(plans.desk.src("documents")).unwrap();
    let report = plans.document_of(3, &["run", "www"]);
    let kinds: Vec<&str> =
        report["anomalies"].as_array().unwrap().iter().map(|found| found["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["deleted_files", "shrunk_source"]);
    assert_eq!(report["retention_paused"], false);
    assert_eq!(plans.snapshots().len(), 3);
}

#[test]
fn what_a_plan_allows_is_not_unusual() {
    let plans =
        experienced("retention = { last = 3, max_removed = 100 }\nanomaly = { deleted_files = \"60%\" }");
    for file in files(&plans).iter().take(12) {
        fs::remove_file(file).unwrap();
    }
    let report = plans.document(&["run", "www"]);
    assert_eq!((&report["verdict"], report["anomalies"].as_array().unwrap().len()), (&"ok".into(), 0));
}

#[test]
fn what_no_rule_can_be_is_refused() {
    let plans = Plans::new("anomaly = { deleted_files = \"3GiB\" }");
    plans.run(&["run", "www"]).fails(2, &["anomaly.deleted_files as anything but a share"]);
}

/// The value of the first series of a metric.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{")));
    let line = line.unwrap_or_else(|| panic!("no {name}: {metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
