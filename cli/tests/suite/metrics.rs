//! Metrics without a server: printed, written for node_exporter, and pushed to a gateway.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::plans::Plans;
use crate::program::Run;

/// What a gateway was asked.
#[derive(Debug, Clone, Default)]
struct Asked {
    line: String,
    content_type: String,
    body: String,
}

/// A gateway that records what it is asked, and answers each time the same.
struct Gateway {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Gateway {
    fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let mut one = Asked::default();
                reader.read_line(&mut one.line).unwrap();
                let mut length = 0;
                loop {
                    let mut header = String::new();
                    reader.read_line(&mut header).unwrap();
                    let Some((name, value)) = header.trim().split_once(": ") else { break };
                    match name.to_ascii_lowercase().as_str() {
                        "content-length" => length = value.parse().unwrap(),
                        "content-type" => one.content_type = value.to_owned(),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                one.body = String::from_utf8(body).unwrap();
                record.lock().unwrap().push(one);
                let text = "pushed metrics are invalid";
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                    text.len()
                );
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// Two plans, of which one never ran.
fn two() -> Plans {
    Plans::new(
        "rpo = \"26h\"\n[plan.other]\nrepository = \"main\"\nsource = [{ files = [\"/etc/hostname\"] }]",
    )
}

fn has(metrics: &str, start: &str, labels: &[&str], value: &str) -> bool {
    metrics.lines().any(|line| {
        line.starts_with(&format!("{start}{{"))
            && labels.iter().all(|label| line.contains(label))
            && line.rsplit(' ').next() == Some(value)
    })
}

#[test]
fn metrics_are_there_from_the_birth_of_a_plan() {
    let plans = two();
    let born = plans.run(&["metrics"]).succeeds().out;
    for plan in ["plan=\"www\"", "plan=\"other\""] {
        assert!(has(&born, "keepfast_last_success_timestamp_seconds", &[plan], "0"), "{born}");
        assert!(has(&born, "keepfast_runs_total", &[plan, "verdict=\"failed\""], "0"), "{born}");
    }
    assert!(has(&born, "keepfast_promise_seconds", &["plan=\"www\""], "93600.0"), "{born}");
    assert!(!born.contains("keepfast_promise_seconds{plan=\"other\""), "it promises nothing");
    plans.run(&["--json", "metrics"]).fails(2, &["no --json"]);
}

#[test]
fn a_run_writes_all_plans_into_a_file_and_pushes_its_own() {
    let plans = two();
    let gateway = Gateway::answering("200 OK");
    let file = plans.desk.path("keepfast.prom");
    let arguments =
        ["run", "www", "--metrics-file", file.to_str().unwrap(), "--metrics-push", &gateway.address];
    plans.run(&arguments).succeeds();
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        has(&written, "keepfast_last_run_verdict", &["plan=\"www\"", "verdict=\"ok\""], "1"),
        "{written}"
    );
    assert!(has(&written, "keepfast_runs_total", &["plan=\"www\"", "verdict=\"ok\""], "1"), "{written}");
    assert!(!has(&written, "keepfast_last_run_source_bytes", &["plan=\"www\""], "0"), "{written}");
    assert!(written.contains("plan=\"other\"") && written.contains("keepfast_repository_unreachable"));
    let asked = gateway.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].line.starts_with("PUT /metrics/job/keepfast/plan/www/host"), "{}", asked[0].line);
    assert!(asked[0].content_type.starts_with("text/plain; version=0.0.4"), "{}", asked[0].content_type);
    assert!(has(&asked[0].body, "keepfast_last_run_verdict", &["verdict=\"ok\""], "1"), "{}", asked[0].body);
    assert!(!asked[0].body.contains("plan=\"other\"") && !asked[0].body.contains("repository_unreachable"));
}

/// Monitoring hears of failures most of all.
#[test]
fn a_run_that_fails_writes_and_pushes_too() {
    let plans = two();
    let gateway = Gateway::answering("202 Accepted");
    let mut command = plans.command();
    command.env("KEEPFAST_PASSWORD", "wrong").args(["run", "www", "--metrics-push", &gateway.address]);
    Run::of(command.output().unwrap()).fails(12, &["plan www failed"]);
    let body = &gateway.asked()[0].body;
    assert!(has(body, "keepfast_last_run_verdict", &["verdict=\"failed\""], "1"), "{body}");
    assert!(has(body, "keepfast_runs_total", &["verdict=\"failed\""], "1"), "{body}");
}

#[test]
fn metrics_that_do_not_arrive_are_a_warning_and_the_run_is_what_it_is() {
    let plans = two();
    let gateway = Gateway::answering("400 Bad Request");
    let run = plans.run(&["run", "www", "--metrics-push", &gateway.address]).succeeds();
    assert!(run.err.contains("400 Bad Request: pushed metrics are invalid"), "{}", run.err);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let missing = plans.desk.path("no folder/keepfast.prom");
    let arguments = ["run", "www", "--metrics-file", missing.to_str().unwrap(), "--metrics-push"];
    let run = plans.run(&[&arguments[..], &[&format!("http://{closed}")]].concat()).succeeds();
    for said in ["the metrics were not written", "the metrics were not pushed"] {
        assert!(run.err.contains(said), "{said}: {}", run.err);
    }
}

#[test]
fn where_metrics_cannot_go_is_told_before_the_run() {
    let plans = two();
    plans.run(&["run", "www", "--metrics-file", "keepfast.txt"]).fails(2, &["has to end in .prom"]);
    let run = plans.run(&["run", "www", "--metrics-push", "http://me:geheim@push:9091"]);
    assert!(run.code == 2 && run.err.contains("can't have a name and password"), "{}", run.err);
    assert!(!run.err.contains("geheim"), "{}", run.err);
    assert!(plans.snapshots().is_empty());
}
