//! The example dashboard: it is JSON, names only metrics and labels that exist, and Prometheus reads each of
//! its queries.

use std::collections::BTreeSet;
use std::path::Path;

use keepfast_observe::metrics::TABLE;
use serde_json::Value;

use crate::alerts::unknown_metrics;
use crate::promtool;

fn dashboard() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/grafana/keepfast.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("read")).expect("JSON")
}

/// Every string under this key, wherever it is.
fn strings<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (name, inside) in fields {
                match inside {
                    Value::String(text) if name == key => found.push(text),
                    _ => strings(inside, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| strings(item, key, found)),
        _ => {}
    }
}

fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    strings(dashboard, "expr", &mut found);
    assert!(found.len() >= 15, "{found:?}");
    found.into_iter().map(|query| query.replace("$__rate_interval", "5m").replace("$__range", "1d")).collect()
}

#[test]
fn the_dashboard_names_only_metrics_that_exist() {
    let dashboard = dashboard();
    assert_eq!(unknown_metrics(&dashboard.to_string()), Vec::<&str>::new());
}

#[test]
fn prometheus_reads_each_query() {
    let rules: Vec<Value> = queries(&dashboard())
        .iter()
        .enumerate()
        .map(|(number, query)| serde_json::json!({ "record": format!("query:{number}"), "expr": query }))
        .collect();
    // JSON is YAML too.
    let file = serde_json::json!({ "groups": [{ "name": "queries", "rules": rules }] }).to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("queries.yml");
    std::fs::write(&path, file).expect("written");
    promtool::content(&["check", "rules", path.to_str().expect("UTF-8")], "");
}

#[test]
fn queries_ask_only_for_labels_that_exist() {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for metric in TABLE {
        known.extend(metric.subject().labels());
        known.extend(metric.further_label);
    }
    for query in queries(&dashboard()) {
        for inside in query.split('{').skip(1).filter_map(|rest| rest.split_once('}')) {
            for matcher in inside.0.split(',') {
                let label = matcher.trim().split(['=', '!']).next().unwrap_or_default();
                assert!(known.contains(label), "{label} in {query}");
            }
        }
    }
}

#[test]
fn variables_that_queries_use_are_defined() {
    let dashboard = dashboard();
    let defined: BTreeSet<&str> = dashboard["templating"]["list"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    for query in queries(&dashboard) {
        for rest in query.split('$').skip(1) {
            let name = rest.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').next();
            assert!(defined.contains(name.unwrap_or_default()), "${name:?} in {query}");
        }
    }
}

#[test]
fn panels_have_different_numbers_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().expect("panels");
    let numbers: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().expect("a number")).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_i64().expect("a place");
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} is on another panel", panel["title"]);
            }
        }
    }
}
