//! Two servers on one PostgreSQL behind a real proxy, as a person who uses them sees it: either of them is killed, and the
//! session, the stream of events and the run that was started go on.

use std::fs;
use std::io::{self, BufRead};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use keepfast_testkit::servers::Ports;
use serde_json::{Value, json};

use crate::asking::{Asking, head};
use crate::serve::PATIENCE;
use crate::two_servers::{Machine, Site};

const PASSWORD: &str = "a horse that staples batteries";

/// A client that follows what happens, and comes back when it is cut off.
struct Follower {
    events: Arc<Mutex<Vec<(u64, Value)>>>,
    cuts: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Follower {
    fn start(asking: &Asking) -> Self {
        let (events, cuts, is_over) = (Arc::default(), Arc::default(), Arc::default());
        let thread = {
            let (asking, events) = (asking.clone(), Arc::clone(&events));
            let (cuts, is_over): (Arc<AtomicU64>, Arc<AtomicBool>) =
                (Arc::clone(&cuts), Arc::clone(&is_over));
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // What ends it is what this test makes happen.
                    let _ = follow(&asking, &events, &is_over);
                    cuts.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(200));
                }
            })
        };
        Self { events, cuts, is_over, thread }
    }

    fn events(&self) -> Vec<(u64, Value)> {
        self.events.lock().unwrap().clone()
    }

    #[track_caller]
    fn hears(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let events = self.events();
            if let Some((_, event)) = events.iter().find(|(_, event)| is_so(event)) {
                return event.clone();
            }
            assert!(Instant::now() < until, "{what}: {events:#?}");
            sleep(Duration::from_millis(100));
        }
    }

    fn stop(self) -> (Vec<(u64, Value)>, u64) {
        self.is_over.store(true, Ordering::Relaxed);
        let heard = (self.events, self.cuts);
        self.thread.join().unwrap();
        (heard.0.lock().unwrap().clone(), heard.1.load(Ordering::Relaxed))
    }
}

/// Follows the stream until it ends, from the last event that was heard.
fn follow(asking: &Asking, events: &Mutex<Vec<(u64, Value)>>, is_over: &AtomicBool) -> io::Result<()> {
    let last = events.lock().unwrap().last().map(|(id, _)| format!("Last-Event-ID: {id}\r\n"));
    let mut stream = asking.begin("GET", "/events?after=0", &last.unwrap_or_default(), None)?;
    assert!(!head(&mut stream)?.contains(" 401 "), "the session goes on");
    let (mut id, mut line) = (None, String::new());
    while !is_over.load(Ordering::Relaxed) {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        // A line of a chunk's length stands between those of messages.
        let (field, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match field {
            "id" => id = value.parse().ok(),
            "data" => {
                if let Some(id) = id.take() {
                    let event = serde_json::from_str(value).unwrap_or_else(|error| panic!("{error}: {line}"));
                    events.lock().unwrap().push((id, event));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn a_session_a_stream_and_a_run_outlive_either_server() {
    let ports = Ports::take();
    let site = Site::at(Some(ports.behind()), "");
    let go = site.desk.path("go");
    let wait = format!("echo a; while [ ! -e '{}' ]; do sleep 0.2; done", go.display());
    let plan = format!(
        "[plan.slow]\nrepository = \"main\"\n\
         source = [{{ stream = {{ name = \"s\", command = [\"sh\", \"-c\", {wait:?}] }} }}]\n"
    );
    let machines = [Machine::Ann, Machine::Ben];
    machines.iter().for_each(|machine| site.define(*machine, &plan));
    let password = site.desk.path("new-password");
    fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let from = password.to_str().unwrap();
    site.run(Machine::Ann, &["user", "add", "ann", "--from-file", from, "--role", "admin"]);
    let mut servers = machines.map(|machine| Some(site.serve(machine)));
    let proxy = ports.start("/api/v1/health");
    let stranger = Asking::at(&proxy.place());
    let until = Instant::now() + PATIENCE;
    while !stranger.try_ask("GET", "/health", "", None).is_ok_and(|answer| answer.status == 200) {
        assert!(Instant::now() < until, "no server answers behind the proxy");
        sleep(Duration::from_millis(100));
    }
    let body = json!({ "user": "ann", "password": PASSWORD });
    let ann = stranger.clone().signed_in(&stranger.ask(201, "POST", "/session", Some(&body)));
    let follower = Follower::start(&ann);
    let start = json!({ "kind": "backup", "plan": "slow" });
    let key = "Idempotency-Key: once\r\n";
    let asked = || ann.try_ask("POST", "/runs", key, Some(&start));
    let run = asked().unwrap().json()["run"].as_str().unwrap().to_owned();
    follower.hears("the run is queued", |event| event["run"] == run.as_str());
    let wait_for = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = ann.get(&format!("/runs/{run}"));
            if is_so(&found) {
                return found;
            }
            assert!(Instant::now() < until, "{what}: {found:#}");
            sleep(Duration::from_millis(200));
        }
    };
    wait_for("it runs", &|found| found["phase"] == "backup");
    let held = site.runs().into_iter().find(|found| found["run"] == run.as_str()).unwrap();
    let holder = usize::from(site.holder(&held) == Machine::Ben);

    // The other server dies: the run goes on, the session and the stream are the other one's.
    servers[1 - holder].take().unwrap().kill();
    let until = Instant::now() + PATIENCE;
    // A request that the dead one had begun is lost; it is sent again, and starts nothing more.
    let again = loop {
        match asked() {
            Ok(answer) if answer.status == 202 => break answer.json(),
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        sleep(Duration::from_millis(200));
    };
    assert_eq!(again["run"], run.as_str());
    for _ in 0..4 {
        assert_eq!(ann.get("/session")["user"], "ann");
    }
    assert_eq!(ann.get(&format!("/runs/{run}"))["state"], "running");
    ann.ask(200, "PUT", "/plans/slow/pause", Some(&json!({})));
    follower.hears("the pause", |event| event["kind"] == "plan.paused");
    servers[1 - holder] = Some(site.serve(machines[1 - holder]));

    // The server that works dies: what it did is lost. A run of a slot is done again by itself (`two_servers`); one that a person
    // has started is told as lost, and the person decides.
    servers[holder].take().unwrap().kill();
    let until = Instant::now() + PATIENCE;
    while !ann.try_ask("GET", "/session", "", None).is_ok_and(|answer| answer.status == 200) {
        assert!(Instant::now() < until, "the session is gone with a server");
        sleep(Duration::from_millis(100));
    }
    ann.ask(204, "DELETE", "/plans/slow/pause", None);
    fs::write(&go, "").unwrap();
    servers[holder] = Some(site.serve(machines[holder]));
    let lost = wait_for("the lost run is told", &|found| found["state"] == "ended");
    assert_eq!(lost["verdict"], "lost", "{lost:#}");
    let retried = ann.ask(202, "POST", &format!("/runs/{run}/retry"), None).json();
    assert_eq!(retried["parent"], run.as_str(), "{retried:#}");
    let done = follower.hears("it is done again", |event| {
        event["kind"] == "run.ended" && event["verdict"] == "ok" && event["run"] != run.as_str()
    });
    let child = ann.get(&format!("/runs/{}", done["run"].as_str().unwrap()));
    assert_eq!((&child["parent"], &child["verdict"]), (&run.as_str().into(), &"ok".into()), "{child:#}");
    let (events, cuts) = follower.stop();
    assert!(cuts > 1, "the stream was cut off");
    let ids: Vec<u64> = events.iter().map(|(id, _)| *id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "each event once, in order: {ids:?}");
    let of = |kind: &str, id: &Value| {
        events.iter().filter(|(_, event)| event["kind"] == kind && event["run"] == *id).count()
    };
    for id in [&json!(run), &child["run"]] {
        assert_eq!((of("run.queued", id), of("run.ended", id)), (1, 1), "{id}: {events:#?}");
    }
    for server in servers.into_iter().flatten() {
        assert_eq!(server.stop(), Some(0));
    }
    assert!(site.desk.is_sound());
}
