//! The stream of events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::client::Client;
use crate::desk::Server;

/// A stream that is read line by line.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(client: &Client, headers: &str) -> Self {
        let mut stream = client.connect();
        let cookie = client.headers["cookie"].to_str().unwrap();
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = Self(BufReader::new(stream));
        let head = stream.until(|line| line.is_empty());
        assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
        let has = |header: &str| head.iter().any(|line| line.eq_ignore_ascii_case(header));
        assert!(has("x-accel-buffering: no") && has("content-type: text/event-stream"), "{head:?}");
        stream
    }

    /// The lines up to one; all that there are if it ends before.
    fn until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return lines;
            }
            let line = line.trim_end().to_owned();
            let is_over = is_last(&line);
            lines.push(line);
            if is_over {
                return lines;
            }
        }
    }

    /// The document of the next message of a kind, and its id.
    fn next(&mut self, kind: &str) -> (Value, Option<u64>) {
        loop {
            let lines = self.until(str::is_empty);
            assert!(!lines.is_empty(), "the stream has ended before {kind}");
            let of = |field: &str| lines.iter().find_map(|line| line.strip_prefix(field).map(str::trim));
            if of("event:") == Some(kind) {
                let id = of("id:").map(|id| id.parse().unwrap());
                return (serde_json::from_str(of("data:").unwrap()).unwrap(), id);
            }
        }
    }
}

#[test]
fn a_stream_tells_of_runs_and_goes_on_where_it_was_lost() {
    let server = Server::start("");
    let admin = server.admin();
    let mut stream = Stream::open(&admin, "");
    let run = admin.post("/runs", json!({ "kind": "backup", "plan": "www" })).is(202).json();
    let (queued, first) = stream.next("run.queued");
    assert_eq!((&queued["run"], &queued["plan"]), (&run["run"], &"www".into()));
    let (ended, last) = stream.next("run.ended");
    assert_eq!((&ended["run"], &ended["verdict"]), (&run["run"], &"ok".into()));
    assert!(last > first);
    drop(stream);
    let mut again = Stream::open(&admin, &format!("Last-Event-ID: {}\r\n", first.unwrap()));
    assert_eq!(again.next("run.ended"), (ended, last));
}

#[test]
fn a_stream_ends_with_its_session_and_has_nothing_of_other_plans() {
    let server =
        Server::start("[plan.etc]\nrepository = \"main\"\nsource = [{ files = [\"/etc/hostname\"] }]\n");
    let admin = server.admin();
    let viewer = server.user(&admin, "bob", "viewer", "plan:etc");
    let mut stream = Stream::open(&viewer, "");
    admin.put("/plans/www/pause", json!({})).is(200);
    admin.put("/plans/etc/pause", json!({})).is(200);
    assert_eq!(stream.next("plan.paused").0["plan"], "etc");
    viewer.delete("/session").is(204);
    let rest = stream.until(|_| false);
    assert!(!rest.iter().any(|line| line.contains("www")), "{rest:?}");
}

#[test]
fn a_stream_of_events_that_are_gone_says_so() {
    let server = Server::start("");
    let admin = server.admin();
    let mut stream = Stream::open(&admin, "Last-Event-ID: 999999\r\n");
    admin.put("/plans/www/pause", json!({})).is(200);
    assert_eq!(stream.next("reset").0, json!({}));
}
