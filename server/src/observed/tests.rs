//! The observation of a state, and the listener that shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use keepfast_operations::child::Children;
use keepfast_store::{Ending, ErrorCategory, Fingerprint, RunError, StoreError, Text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::listener::{BearerToken, serve_metrics, token};
use super::sinks::of_plan;
use super::{Observation, ServerFacts, observation, text};
use crate::error::ServerError;
use crate::listen::Listener;
use crate::testing::state::{Desk, backup, plan, ran};
use crate::work::report::PlanReport;

fn has(text: &str, series: &str, value: &str) -> bool {
    text.lines().any(|line| line == format!("{series} {value}"))
}

fn of_www(name: &str) -> String {
    format!("{name}{{plan=\"www\",project=\"\",repository=\"main\",host=\"web1\"}}")
}

fn facts() -> ServerFacts {
    ServerFacts {
        version: "0.1.0".to_owned(),
        started: Timestamp::UNIX_EPOCH,
        config_valid: true,
        clock_jumps: 2,
    }
}

#[tokio::test]
async fn the_state_is_observed_from_the_birth_of_each_plan() {
    let target = "[target.ops]\nsmtp = { host = \"mx\", user = \"kf\", to = [\"ops@example.org\"] }\n";
    let desk = Desk::new(&[&plan("www", "rpo = \"26h\""), &plan("by-hand", ""), target].concat());
    let store = desk.store().await.expect("it opens");
    let look = async || {
        let seen = observation(&desk.config, &store, Timestamp::now(), "web1", Some(&facts())).await;
        seen.expect("it can be observed")
    };
    let born = text(&look().await).expect("it is text");
    assert!(has(&born, &of_www("keepfast_promise_seconds"), "93600.0"), "{born}");
    assert!(has(&born, &of_www("keepfast_last_run_files"), "0"), "{born}");
    assert!(has(&born, "keepfast_undeliverable_deliveries{target=\"ops\"}", "0"), "{born}");
    assert!(
        has(&born, "keepfast_clock_jumps_total{}", "2") && has(&born, "keepfast_queued_runs{}", "0"),
        "{born}"
    );

    let mut report = PlanReport::failed("www", &ServerError::Disabled { plan: "www".to_owned() });
    report.backup = Some(backup(1 << 30, None));
    let document = serde_json::to_value(&report).expect("a document");
    ran(&store, "www", Ending::Findings, None, Some(document), None).await;
    let seen = text(&look().await).expect("it is text");
    assert!(has(&seen, &of_www("keepfast_last_run_files"), "100"), "{seen}");
    assert!(has(&seen, &of_www("keepfast_last_run_source_bytes"), "1073741824"), "{seen}");
    assert!(!has(&seen, &of_www("keepfast_last_success_timestamp_seconds"), "0"), "{seen}");

    let error = RunError {
        category: ErrorCategory::new("network").expect("a name"),
        fingerprint: Fingerprint::new("04cadc8ce8ba99e9").expect("a name"),
        message: Text::from("the store doesn't answer"),
    };
    ran(&store, "www", Ending::Failed, Some(error), None, None).await;
    let seen = look().await;
    let www = seen.plans.iter().find(|plan| plan.plan == "www").expect("it is observed");
    assert_eq!((www.runs.findings, www.runs.failed, www.runs.ok), (1, 1, 0));
    assert!(seen.repositories[0].unreachable);
    assert_eq!(seen.repositories[0].added, www.added);
    let alone = of_plan(seen, "www");
    assert_eq!((alone.plans.len(), alone.repositories.len(), alone.server.is_none()), (1, 0, true));
}

/// A listener whose source counts how often it is asked, and fails if it is told to.
struct Listening {
    address: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn listen(token: Option<&str>, fails: bool) -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = Listener::Tcp(listener);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let source = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let seen = Observation {
                at: Timestamp::UNIX_EPOCH,
                plans: Vec::new(),
                repositories: Vec::new(),
                targets: Vec::new(),
                server: None,
            };
            let gone = StoreError::Transfer { doing: "read", source: std::io::ErrorKind::NotFound.into() };
            if fails { Err(ServerError::Store(gone)) } else { Ok(seen) }
        }
    };
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let task = tokio::spawn(serve_metrics(listener, source, token.map(BearerToken::new), stopped));
    Listening { address, asked, stop, task }
}

impl Listening {
    /// What is answered to a request with these headers, each with its end of line.
    async fn ask(&self, request: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let text = format!("{request} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}

#[tokio::test]
async fn readers_get_the_form_that_they_ask_for_and_ask_the_state_once_in_a_second() {
    let listening = listen(None, false).await;
    let plain = listening.ask("GET /metrics", "").await;
    assert!(plain.starts_with("HTTP/1.1 200 OK") && plain.contains("text/plain; version=0.0.4"), "{plain}");
    assert!(
        plain.contains("keepfast_observation_timestamp_seconds{} 0") && !plain.contains("# EOF"),
        "{plain}"
    );
    let open =
        listening.ask("GET /metrics?x=1", "Accept: application/openmetrics-text;version=1.0.0\r\n").await;
    assert!(
        open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"),
        "{open}"
    );
    assert_eq!(listening.asked.load(Ordering::Relaxed), 1);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    listening.ask("GET /metrics", "").await;
    assert_eq!(listening.asked.load(Ordering::Relaxed), 2);
    assert!(listening.ask("GET /", "").await.starts_with("HTTP/1.1 404 "));
    assert!(listening.ask("GET /metrics/", "").await.starts_with("HTTP/1.1 404 "));
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let answer = listening.ask(&format!("{method} /metrics"), "Content-Length: 0\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("allow: get"), "{method}: {answer}");
    }
    listening.stop.send(()).expect("it serves");
    listening.task.await.expect("it didn't panic").expect("it ends well");
}

#[tokio::test]
async fn only_a_reader_with_the_token_reads_and_no_other_asks_the_state() {
    let listening = listen(Some("geheim"), false).await;
    for wrong in [
        "",
        "Authorization: Bearer falsch\r\n",
        "Authorization: Basic geheim\r\n",
        "Authorization: geheim\r\n",
    ] {
        let answer = listening.ask("GET /metrics", wrong).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{wrong}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("www-authenticate: bearer"), "{answer}");
    }
    assert_eq!(listening.asked.load(Ordering::Relaxed), 0);
    let answer = listening.ask("GET /metrics", "Authorization: bearer geheim\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The token is read from where the definition says, as other secrets are.
#[test]
fn the_token_is_that_of_the_definition() {
    let desk = Desk::new("");
    std::fs::write(desk.path("token"), "geheim\n").expect("it can be written");
    let defined = |token: &str| {
        let text = format!("[server.metrics]\n{token}");
        Desk::new(&text).config.server.value.metrics.expect("it is defined")
    };
    let named = defined(&format!("token = {{ file = {:?} }}", desk.path("token")));
    let read = |metrics| token(&metrics, &Children::default());
    assert_eq!(read(named).expect("it can be read"), Some(BearerToken::new("geheim")));
    assert_eq!(read(defined("listen = \"127.0.0.1:8401\"")).expect("there is none"), None);
    let gone = defined(&format!("token = {{ file = {:?} }}", desk.path("gone")));
    assert!(read(gone).is_err(), "a listener without its token must not serve everyone");
}

#[tokio::test]
async fn a_state_that_fails_is_no_empty_answer() {
    let listening = listen(None, true).await;
    let answer = listening.ask("GET /metrics", "").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("can't be collected"), "{answer}");
}
