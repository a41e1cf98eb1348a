//! The example alerts: Prometheus takes them, they name only what is exposed, and each one fires when it
//! should and not before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use keepfast_observe::metrics::TABLE;

use crate::promtool;

/// A file of the project.
fn path_of(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All names in a text that begin as our metrics do.
pub fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    words.filter(|word| word.starts_with("keepfast_")).collect()
}

/// Those names that no metric has.
pub fn unknown_metrics(text: &str) -> Vec<&str> {
    let known: BTreeSet<String> = TABLE.iter().map(|metric| metric.name()).collect();
    metrics_in(text).into_iter().filter(|name| !known.contains(*name)).collect()
}

#[test]
fn alerts_name_only_metrics_that_exist() {
    let text = std::fs::read_to_string(path_of("../../docs/grafana/alerts.yml")).expect("read");
    assert_eq!(unknown_metrics(&text), Vec::<&str>::new());
    assert!(metrics_in(&text).len() > 15, "it names some");
    assert_eq!(unknown_metrics("sum(keepfast_runs_total) - keepfast_runs"), ["keepfast_runs"]);
}

#[test]
fn prometheus_takes_the_alerts() {
    let path = path_of("../../docs/grafana/alerts.yml");
    let said = promtool::content(&["check", "rules", "--lint-fatal", path.to_str().expect("UTF-8")], "");
    let text = std::fs::read_to_string(&path).expect("read");
    let alerts = text.lines().filter(|line| line.trim_start().starts_with("- alert:")).count();
    assert!(said.contains(&format!("SUCCESS: {alerts} rules found")), "{alerts}: {said}");
}

#[test]
fn alerts_fire_when_they_should() {
    let path = path_of("tests/metrics/alerts_test.yml");
    promtool::content(&["test", "rules", path.to_str().expect("UTF-8")], "");
}

#[test]
fn each_alert_is_played_both_silent_and_firing() {
    let rules = std::fs::read_to_string(path_of("../../docs/grafana/alerts.yml")).expect("read");
    let tests = std::fs::read_to_string(path_of("tests/metrics/alerts_test.yml")).expect("read");
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let silent = tests.contains(&format!("alertname: {name} }}"));
        let firing = tests.contains(&format!("alertname: {name}\n        exp_alerts:"));
        assert!(silent && firing, "{name}");
    }
}
