//! The text itself: values, labels, and that Prometheus' own parsers take it.

use keepfast_observe::metrics::{
    MetricsError, Observation, PlanObservation, TABLE, document, open_metrics_text, prometheus_text,
};
use proptest::prelude::{ProptestConfig, proptest};

use crate::observed::{NOW, everything, experienced, lone, newborn};
use crate::promtool;
use crate::scrape::Scrape;

fn scrape(observation: &Observation) -> Scrape {
    Scrape::of(&prometheus_text(observation).expect("labels differ"))
}

#[test]
fn values_are_those_of_the_observation() {
    let scrape = scrape(&everything());
    let now = NOW as f64;
    let of = |name, expected: f64| assert_eq!(scrape.value(name, &[("plan", "shop-db")]), expected, "{name}");
    of("keepfast_promise_seconds", 93_600.0);
    of("keepfast_plan_added_timestamp_seconds", now - 9_000_000.0);
    of("keepfast_last_success_timestamp_seconds", now - 100_000.0);
    of("keepfast_overdue", 1.0);
    of("keepfast_overdue_seconds", 6400.0);
    of("keepfast_paused", 0.0);
    of("keepfast_next_slot_timestamp_seconds", now + 3600.0);
    of("keepfast_last_run_timestamp_seconds", now - 500.0);
    of("keepfast_last_run_duration_seconds", 12.5);
    of("keepfast_last_run_source_bytes", 4000.0);
    of("keepfast_last_run_read_bytes", 2000.0);
    of("keepfast_last_run_new_bytes", 1000.0);
    of("keepfast_last_run_stored_bytes", 600.0);
    of("keepfast_last_run_files", 42.0);
    of("keepfast_last_run_deduplication_ratio", 0.75);
    of("keepfast_last_run_findings", 3.0);
    of("keepfast_open_anomalies", 2.0);
    of("keepfast_retention_paused", 1.0);
    of("keepfast_drill_promise_seconds", 2_592_000.0);
    of("keepfast_last_passed_drill_timestamp_seconds", now - 200_000.0);
    of("keepfast_last_drill_restore_duration_seconds", 321.0);
    let counts = [100, 5, 3, 2, 1, 4, 6];
    let verdicts = ["ok", "findings", "failed", "missed", "skipped", "cancelled", "lost"];
    for (verdict, count) in verdicts.iter().zip(counts) {
        let labels = [("plan", "shop-db"), ("verdict", *verdict)];
        assert_eq!(scrape.value("keepfast_runs_total", &labels), f64::from(count), "{verdict}");
        let is_last = if *verdict == "failed" { 1.0 } else { 0.0 };
        assert_eq!(scrape.value("keepfast_last_run_verdict", &labels), is_last, "{verdict}");
    }
    for (verdict, count) in [("passed", 7.0), ("failed", 1.0), ("not_tested", 2.0)] {
        let labels = [("plan", "shop-db"), ("verdict", verdict)];
        assert_eq!(scrape.value("keepfast_drills_total", &labels), count, "{verdict}");
        let is_last = if verdict == "not_tested" { 1.0 } else { 0.0 };
        assert_eq!(scrape.value("keepfast_last_drill_verdict", &labels), is_last, "{verdict}");
    }

    let of =
        |name, expected: f64| assert_eq!(scrape.value(name, &[("repository", "main")]), expected, "{name}");
    of("keepfast_repository_added_timestamp_seconds", now - 9_000_000.0);
    of("keepfast_repository_size_bytes", 1_099_511_627_776.0);
    of("keepfast_repository_quota_bytes", 4_398_046_511_104.0);
    of("keepfast_repository_snapshots", 77.0);
    of("keepfast_repository_unreachable", 1.0);
    of("keepfast_repository_check_promise_seconds", 691_200.0);
    of("keepfast_repository_last_check_timestamp_seconds", now - 3000.0);
    of("keepfast_repository_last_check_findings", 9.0);

    assert_eq!(scrape.value("keepfast_waiting_deliveries", &[("target", "ops")]), 4.0);
    assert_eq!(scrape.value("keepfast_undeliverable_deliveries", &[("target", "ops")]), 1.0);
    assert_eq!(scrape.value("keepfast_build_info", &[("version", "0.1.0")]), 1.0);
    assert_eq!(scrape.value("keepfast_observation_timestamp_seconds", &[]), now);
    assert_eq!(scrape.value("keepfast_server_start_timestamp_seconds", &[]), now - 777.0);
    assert_eq!(scrape.value("keepfast_config_valid", &[]), 0.0);
    assert_eq!(scrape.value("keepfast_clock_jumps_total", &[]), 2.0);
    assert_eq!(scrape.value("keepfast_queued_runs", &[]), 5.0);
    assert_eq!(scrape.value("keepfast_active_runs", &[]), 3.0);
}

/// An alert on a metric that is absent never fires.
#[test]
fn a_plan_has_its_metrics_from_birth() {
    let scrape = scrape(&lone(newborn("www")));
    let www = [("plan", "www"), ("project", ""), ("repository", "main"), ("host", "web1")];
    assert_eq!(scrape.value("keepfast_last_success_timestamp_seconds", &www), 0.0);
    assert_eq!(scrape.value("keepfast_overdue", &www), 0.0);
    assert_eq!(scrape.value("keepfast_last_run_duration_seconds", &www), 0.0);
    assert_eq!(scrape.value("keepfast_runs_total", &[("plan", "www"), ("verdict", "failed")]), 0.0);
    assert!(!scrape.has("keepfast_drills_total", &www), "it has no drills");
    assert!(!scrape.has("keepfast_config_valid", &[]), "there is no server");
    assert!(scrape.has("keepfast_observation_timestamp_seconds", &[]));
}

/// An alert on a promise that was never made must not fire.
#[test]
fn a_plan_without_a_promise_shows_none() {
    let scrape = scrape(&lone(PlanObservation { promise: None, ..newborn("by hand") }));
    let by_hand = [("plan", "by hand")];
    assert!(!scrape.has("keepfast_promise_seconds", &by_hand));
    assert_eq!(scrape.value("keepfast_overdue", &by_hand), 0.0);
}

#[test]
fn a_repository_shows_only_what_is_known_of_it() {
    let scrape = scrape(&everything());
    let new = [("repository", "new")];
    assert_eq!(scrape.value("keepfast_repository_unreachable", &new), 0.0);
    for name in ["size_bytes", "quota_bytes", "snapshots", "check_promise_seconds"] {
        assert!(!scrape.has(&format!("keepfast_repository_{name}"), &new), "{name}");
    }
}

#[test]
fn the_table_is_what_is_exposed() {
    let scrape = scrape(&everything());
    let exposed = scrape.names();
    let mut table: Vec<String> = TABLE.iter().map(|metric| metric.name()).collect();
    table.sort();
    assert_eq!(exposed.keys().copied().collect::<Vec<_>>(), table);
    for metric in TABLE {
        let mut labels = [metric.subject().labels(), metric.further_label.as_slice()].concat();
        labels.sort_unstable();
        assert_eq!(exposed[metric.name().as_str()], labels, "{}", metric.name());
        assert!(metric.help.ends_with('.'), "{} is explained in a sentence", metric.name());
    }
}

#[test]
fn two_plans_with_the_same_labels_are_named() {
    let mut observation = lone(newborn("www"));
    observation.plans.push(newborn("www"));
    let error = prometheus_text(&observation).expect_err("no reader takes that");
    assert_eq!(
        error,
        MetricsError::Twice {
            metric: "keepfast_promise_seconds".to_owned(),
            labels: r#"plan="www", project="", repository="main", host="web1""#.to_owned()
        }
    );
    observation.plans[1].host = "web2".to_owned();
    assert!(prometheus_text(&observation).is_ok());
}

#[test]
fn numbers_at_their_ends_are_exposed() {
    let mut plan = experienced("huge");
    let run = plan.last_run.as_mut().expect("it has run");
    run.new_bytes = u64::MAX;
    run.source_bytes = 0;
    run.duration = std::time::Duration::MAX;
    plan.runs.ok = u64::MAX;
    let scrape = scrape(&lone(plan));
    assert_eq!(scrape.value("keepfast_last_run_new_bytes", &[]), i64::MAX as f64);
    assert_eq!(scrape.value("keepfast_last_run_deduplication_ratio", &[]), 1.0, "it added no data");
    assert_eq!(scrape.value("keepfast_runs_total", &[("verdict", "ok")]), i64::MAX as f64);
}

proptest! {
    #![proptest_config(ProptestConfig::default())]
    /// Names are text of strangers: no name makes a second series, a second line, or another name.
    #[test]
    fn any_name_is_one_label(plan in ".*", project in ".*", host in "[\"\\\\\n\r{},=# a]*") {
        let mut observed = newborn(&plan);
        observed.project = Some(project.clone());
        observed.host = host.clone();
        for text in [prometheus_text(&lone(observed.clone())), open_metrics_text(&lone(observed))] {
            let scrape = Scrape::of(&text.expect("one plan"));
            let labels = [("plan", plan.as_str()), ("project", project.as_str()), ("host", host.as_str())];
            assert_eq!(scrape.value("keepfast_promise_seconds", &labels), 93_600.0);
            assert_eq!(scrape.names().len(), TABLE.iter().filter(|metric| {
                scrape.has(&metric.name(), &[])
            }).count());
        }
    }
}

/// Nasty names for tests with the tool itself.
fn nasty() -> Observation {
    let mut observation = everything();
    observation.plans[0].plan = "a \"quoted\" C:\\path\nwith # two lines\r{x=\"y\"} 1 é".to_owned();
    observation
}

#[test]
fn prometheus_finds_nothing_wrong_with_the_text() {
    for observation in [everything(), nasty(), lone(newborn("www")), lone(experienced("shop-db"))] {
        let said = promtool::content(&["check", "metrics"], &prometheus_text(&observation).expect("a text"));
        assert_eq!(said.trim(), "", "the linter has something to say");
    }
}

/// Readers of the older format don't find the description of a counter in OpenMetrics' form.
#[test]
fn prometheus_finds_what_is_wrong_with_a_text() {
    let output = promtool::run(&["check", "metrics"], &open_metrics_text(&everything()).expect("a text"));
    assert!(!output.status.success(), "the linter is awake");
    assert!(String::from_utf8_lossy(&output.stderr).contains("keepfast_runs_total"), "{output:?}");
}

/// The tool reads OpenMetrics only with a time on each sample, which a scrape doesn't have.
#[test]
fn prometheus_reads_the_open_metrics_form() {
    for observation in [everything(), nasty()] {
        let text = open_metrics_text(&observation).expect("a text");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let timed: Vec<String> = text
            .lines()
            .map(|line| if line.starts_with('#') { line.to_owned() } else { format!("{line} {NOW}") })
            .collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("openmetrics.txt");
        std::fs::write(&file, timed.join("\n") + "\n").expect("written");
        let arguments = ["tsdb", "create-blocks-from", "openmetrics"];
        let paths = [file.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8")];
        let said = promtool::content(&[&arguments[..], &paths[..]].concat(), "");
        let samples = timed.iter().filter(|line| !line.starts_with('#')).count();
        assert!(said.split_whitespace().any(|word| word == samples.to_string()), "{samples} samples: {said}");
    }
}

#[test]
fn the_page_about_metrics_is_that_of_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("KEEPFAST_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, document()).expect("written");
    }
    let page = std::fs::read_to_string(&path).expect("a page");
    assert_eq!(page, document(), "KEEPFAST_BLESS=1 writes docs/metrics.md again");
}
