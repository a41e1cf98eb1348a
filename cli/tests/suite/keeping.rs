//! `keepfast cleanup`, `keepfast estimate`, and limits of size and time.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plans::{NIGHTLY, Plans};

/// The keys of a document, in the order of the alphabet.
fn keys(document: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// What has changed less than two seconds before a snapshot is read again by the next one.
fn wait_until_settled() {
    std::thread::sleep(std::time::Duration::from_secs(3));
}

/// Runs the plan with another content each time.
fn runs(plans: &Plans, contents: &[&str]) {
    for content in contents {
        fs::write(plans.desk.src("a.txt"), content.repeat(1000)).unwrap();
        plans.run(&["run", "www"]).succeeds();
    }
}

#[test]
fn a_cleanup_shows_what_goes_and_then_does_it() {
    let plans = Plans::new(NIGHTLY);
    runs(&plans, &["one", "two", "three", "four"]);
    plans.define(&format!("{NIGHTLY}\nretention = {{ last = 3, at_least = 1 }}"));
    let document = plans.document(&["cleanup", "--dry-run"]);
    assert_eq!(keys(&document), ["dry_run", "plans"]);
    let plan = &document["plans"][0];
    assert_eq!(
        keys(plan),
        [
            "braked_later",
            "braked_now",
            "frees_in_all",
            "frees_next_run",
            "next_run",
            "plan",
            "repository",
            "runs",
            "size",
            "snapshots",
            "until"
        ]
    );
    let snapshots = plan["snapshots"].as_array().unwrap();
    assert_eq!(
        keys(&snapshots[0]),
        ["goes", "host", "id", "paths", "protected", "reasons", "tags", "time", "verdict", "writer"]
    );
    let goes: Vec<&Value> = snapshots.iter().map(|snapshot| &snapshot["goes"]["run"]).collect();
    assert_eq!(goes, [&json!(1), &json!(1), &json!(2), &json!(3)]);
    assert_eq!(snapshots[0]["goes"]["at"], plan["next_run"]);
    assert!(plan["frees_next_run"]["bytes"].as_u64() < plan["frees_in_all"]["bytes"].as_u64());
    let text = plans.run(&["cleanup", "-n", "www"]).succeeds().out;
    assert!(text.contains("plan www: 0 stay, 2 go at the next run, 2 go later, within"), "{text}");
    assert!(text.contains("next run") && text.contains("last: 3 are newer"), "{text}");
    assert_eq!(plans.snapshots().len(), 4, "a dry run forgets nothing");
    let text = plans.run(&["cleanup", "www"]).succeeds().out;
    assert!(text.contains("plan www: 1 snapshot forgotten"), "{text}");
    assert_eq!(plans.snapshots().len(), 3);
    plans.run(&["cleanup", "other"]).fails(2, &["no plan \"other\""]);
}

#[test]
fn a_brake_is_told_before_it_is_needed() {
    let plans = Plans::new(NIGHTLY);
    runs(&plans, &["one", "two", "three"]);
    plans.define("retention = { last = 1 }");
    let run = plans.run(&["cleanup", "--dry-run"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.out.contains("nothing goes: the policy would forget 2 snapshots of 3"), "{}", run.out);
    let run = plans.run(&["cleanup"]);
    assert!(run.code != 0 && run.err.contains("2 snapshots of 3"), "{run:?}");
    assert_eq!(plans.snapshots().len(), 3);
}

/// Oldest first, until the rest fits: the newest stays, even if it alone is too large.
#[test]
fn snapshots_go_until_the_rest_fits() {
    let plans = Plans::new("retention = { max_size = \"1KiB\", max_removed = 9 }");
    runs(&plans, &["one", "two", "three"]);
    assert_eq!(plans.snapshots().len(), 1);
    plans.define("");
    runs(&plans, &["one", "two", "three"]);
    let all = plans.desk.run(["forget", "--tag", "plan:www", "--keep-size", "1G"]).succeeds();
    assert!(all.out.contains("size: it fits into") && all.out.contains("what stays needs"), "{}", all.out);
    assert_eq!(plans.snapshots().len(), 4);
    let some = ["--json", "forget", "--tag", "plan:www", "--keep-size", "1", "--keep-at-least", "2"];
    let report: Value = serde_json::from_str(&plans.desk.run(some).succeeds().out).unwrap();
    assert_eq!(report["size"]["max_bytes"], 1);
    assert!(
        report["size"]["bytes"].as_u64().unwrap() > 1,
        "what has to stay is told, even if it does not fit"
    );
    assert_eq!(plans.snapshots().len(), 2);
}

#[test]
fn an_estimate_says_what_a_run_would_do_and_stores_nothing() {
    let plans = Plans::new("");
    let first = plans.document(&["estimate", "www"]);
    assert_eq!(
        keys(&first),
        [
            "bytes_to_read",
            "bytes_to_store",
            "bytes_total",
            "earlier_runs",
            "files_changed",
            "files_new",
            "files_unchanged",
            "plan",
            "repository",
            "seconds",
            "skipped",
            "streams"
        ]
    );
    assert_eq!(
        (&first["files_new"], &first["bytes_to_read"], &first["bytes_total"]),
        (&2.into(), &30_003.into(), &30_003.into())
    );
    assert_eq!((&first["seconds"], &first["bytes_to_store"]), (&Value::Null, &Value::Null));
    assert!(plans.run(&["estimate", "www"]).succeeds().out.contains("no run of this plan has ended yet"));
    assert!(plans.snapshots().is_empty());
    wait_until_settled();
    plans.run(&["run", "www"]).succeeds();
    fs::write(plans.desk.src("new"), "n".repeat(500)).unwrap();
    let second = plans.document(&["estimate", "www"]);
    assert_eq!((&second["files_new"], &second["files_unchanged"]), (&1.into(), &2.into()));
    assert_eq!((&second["bytes_to_read"], &second["earlier_runs"]), (&500.into(), &1.into()));
    assert!(second["seconds"].as_f64().unwrap() > 0.0 && second["bytes_to_store"].is_u64(), "{second}");
    let text = plans.run(&["estimate", "www"]).succeeds().out;
    assert!(text.contains("500 B to read") && text.contains("as the last 1 run"), "{text}");
    assert_eq!(plans.snapshots().len(), 1);
}

/// The commands of streams aren't run.
#[test]
fn an_estimate_expects_of_streams_what_they_had() {
    let plans = Plans::new("");
    let marker = plans.desk.path("marker");
    let command = format!("echo ran >> {}; seq 100", marker.display());
    let text = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    let stream = format!(
        "source = [{{ stream = {{ name = \"db.sql\", command = [\"/bin/sh\", \"-c\", {command:?}] }} }}, "
    );
    fs::write(plans.desk.path("keepfast.toml"), text.replace("source = [", &stream)).unwrap();
    wait_until_settled();
    plans.run(&["run", "www"]).succeeds();
    let estimate = plans.document(&["estimate", "www"]);
    assert_eq!(estimate["streams"], json!([{"bytes_before": 292, "name": "db.sql"}]));
    assert_eq!((&estimate["files_unchanged"], &estimate["bytes_to_read"]), (&2.into(), &292.into()));
    assert_eq!(fs::read_to_string(marker).unwrap(), "ran\n", "once, by the run");
}

/// All day is a window like any other: the rate of the plan holds outside of it.
#[test]
fn a_window_of_time_limits_a_run() {
    let plans = Plans::new("limits = { upload = \"1GiB/s\", \"00:00-24:00\" = \"512KiB/s\", nice = 3 }");
    fs::write(plans.desk.src("noise"), noise(3 << 20)).unwrap();
    let begun = Instant::now();
    plans.run(&["run", "www"]).succeeds();
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(2), "three mebibytes, of which the first pack doesn't wait: {took:?}");
}

/// Bytes that don't compress.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}
