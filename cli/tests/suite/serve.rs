//! `keepfast serve`, and the commands that reach into it: runs by schedule and by hand, kills, reloads, the end.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plans::{NIGHTLY, Plans};
use crate::signals::signal;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// A server at work. It is killed when this value is dropped.
pub struct Server {
    pub child: Child,
    said: Receiver<String>,
    heard: RefCell<Vec<String>>,
}

impl Server {
    /// Starts one, and waits until it serves.
    pub fn start(plans: &Plans) -> Self {
        let mut command = plans.command();
        command.arg("serve");
        Self::of(command)
    }

    /// Starts one by this command, and waits until it serves.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = child.stderr.take().unwrap();
        let (to, said) = channel();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines() {
                let Ok(line) = line else { return };
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        let server = Self { child, said, heard: RefCell::default() };
        server.says("serving");
        server
    }

    /// Waits until it says this.
    #[track_caller]
    pub fn says(&self, part: &str) {
        self.next(part);
    }

    /// What it says, or has said before, behind these words.
    #[track_caller]
    pub fn said_of(&self, words: &str) -> String {
        let before = self.heard.borrow().iter().rfind(|line| line.contains(words)).cloned();
        let line = before.unwrap_or_else(|| self.next(words));
        line.split_once(words).unwrap().1.to_owned()
    }

    #[track_caller]
    fn next(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let begin = self.heard.borrow().len();
        while let Ok(line) = self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.heard.borrow_mut().push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
        panic!("the server doesn't say {part:?}, but {:?}", &self.heard.borrow()[begin..]);
    }

    /// Ends it in order, and says its exit code.
    pub fn stop(mut self) -> Option<i32> {
        signal(&self.child, "-TERM");
        self.child.wait().unwrap().code()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn runs(plans: &Plans) -> Vec<Value> {
    match plans.document(&["runs", "list", "-n", "500"]) {
        Value::Array(runs) => runs,
        other => panic!("{other}"),
    }
}

/// Waits until something about the runs is so; the newest run is the first.
#[track_caller]
pub fn wait_for(plans: &Plans, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let runs = runs(plans);
        if is_so(&runs) {
            return runs;
        }
        assert!(Instant::now() < until, "{what}: {runs:#?}");
        thread::sleep(Duration::from_millis(200));
    }
}

pub fn has_ended(run: &Value) -> bool {
    run["state"] == "ended"
}

#[test]
fn a_server_runs_what_is_due_and_what_it_is_asked_for() {
    let plans = Plans::new("schedule = { cron = \"* * * * *\" }");
    let server = Server::start(&plans);
    // At once, because the server is told.
    let begun = Instant::now();
    plans.run(&["runs", "start", "www"]).succeeds();
    let ended = wait_for(&plans, "the run is done", |runs| runs.iter().any(has_ended));
    assert!(begun.elapsed() < Duration::from_secs(25), "it waited for a look");
    assert_eq!((&ended[0]["verdict"], &ended[0]["trigger"]), (&"ok".into(), &"manual".into()));
    // Within the next minute, because its slot comes.
    let scheduled = |run: &Value| run["trigger"] == "schedule" && run["verdict"] == "ok";
    let done = wait_for(&plans, "a slot has run", |runs| runs.iter().any(scheduled));
    let run = done.iter().find(|run| scheduled(run)).unwrap();
    let at = |name: &str| run[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("began") >= at("slot"), "{run}");
    let id = run["run"].as_str().unwrap();
    let shown = plans.document(&["runs", "show", &id[..8]]);
    assert!(shown["report"]["backup"]["snapshot"]["id"].is_string(), "{shown}");
    assert!(plans.run(&["runs", "logs", id]).succeeds().out.contains("backup"));
    assert_eq!(server.stop(), Some(0));
    assert!(plans.desk.is_sound() && plans.snapshots().len() >= 2);
}

#[test]
fn one_process_is_the_server_and_runs_by_hand_go_on_beside_it() {
    let plans = Plans::new(NIGHTLY);
    let server = Server::start(&plans);
    plans.run(&["serve"]).fails(1, &["another", "state"]);
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(plans.document(&["status"])[0]["last"]["verdict"], "ok");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn definitions_that_change_are_followed_and_invalid_ones_change_nothing() {
    let plans = Plans::new(NIGHTLY);
    let server = Server::start(&plans);
    let second = format!(
        "{NIGHTLY}\n[plan.etc]\nrepository = \"main\"\nsource = [{{ files = [{:?}] }}]\n",
        plans.desk.path("src")
    );
    plans.define(&second);
    server.says("read again");
    plans.run(&["runs", "start", "etc"]).succeeds();
    wait_for(&plans, "the new plan runs", |runs| {
        runs.iter().any(|run| run["plan"] == "etc" && has_ended(run))
    });
    let valid = fs::read(plans.desk.path("keepfast.toml")).unwrap();
    fs::write(plans.desk.path("keepfast.toml"), "version = 1\n[plan.www]\nretension = 3\n").unwrap();
    server.says("those of before are followed");
    fs::write(plans.desk.path("keepfast.toml"), valid).unwrap();
    server.says("read again");
    plans.run(&["runs", "start", "www"]).succeeds();
    wait_for(&plans, "the old plan runs", |runs| {
        runs.iter().any(|run| run["plan"] == "www" && has_ended(run))
    });
    assert_eq!(server.stop(), Some(0));
}

/// A plan whose stream doesn't end before the file `go` is there.
fn slow(plans: &Plans) -> String {
    let wait = format!("echo a; while [ ! -e {} ]; do sleep 0.1; done", plans.desk.path("go").display());
    format!(
        "{NIGHTLY}\n[plan.slow]\nrepository = \"main\"\nsource = [{{ stream = {{ name = \"s\", command = [\"sh\", \"-c\", {wait:?}] }} }}]\n"
    )
}

fn is_running(run: &Value) -> bool {
    run["state"] == "running"
}

#[test]
fn a_server_that_stops_ends_its_runs_and_goes_on_with_them_later() {
    let plans = Plans::new(NIGHTLY);
    plans.define(&slow(&plans));
    let server = Server::start(&plans);
    plans.run(&["runs", "start", "slow"]).succeeds();
    wait_for(&plans, "it runs", |runs| runs.iter().any(is_running));
    assert_eq!(server.stop(), Some(0));
    let after = runs(&plans);
    assert_eq!(
        (&after[1]["verdict"], &after[0]["state"]),
        (&"cancelled".into(), &"waiting".into()),
        "{after:#?}"
    );
    assert_eq!(after[0]["parent"], after[1]["run"]);
    fs::write(plans.desk.path("go"), "").unwrap();
    let server = Server::start(&plans);
    let done = wait_for(&plans, "it goes on", |runs| runs.iter().all(has_ended));
    assert_eq!(
        (done[0]["verdict"].as_str(), done[0]["attempt"].as_u64()),
        (Some("ok"), Some(2)),
        "{done:#?}"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_a_killed_server_left_is_undone_and_named_when_it_starts_again() {
    let plans = Plans::new(NIGHTLY);
    let (stopped, started) = (plans.desk.path("stopped"), plans.desk.path("started"));
    plans.define(&format!(
        "{}\n[[plan.slow.hook]]\non = \"before\"\nrun = [\"touch\", {stopped:?}]\nundo = [\"touch\", {started:?}]\n",
        slow(&plans)
    ));
    let server = Server::start(&plans);
    plans.run(&["runs", "start", "slow"]).succeeds();
    wait_for(&plans, "it runs", |runs| runs.iter().any(|run| is_running(run) && run["phase"] == "backup"));
    assert!(stopped.exists() && !started.exists());
    server.kill();
    let server = Server::start(&plans);
    assert!(started.exists(), "what undoes the hook was not run");
    let after = runs(&plans);
    assert_eq!(
        (after.len(), &after[0]["verdict"]),
        (1, &"lost".into()),
        "a person's run isn't started again"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_run_is_cancelled_and_repeated_by_hand() {
    let plans = Plans::new(NIGHTLY);
    plans.define(&slow(&plans));
    let server = Server::start(&plans);
    plans.run(&["runs", "start", "slow"]).succeeds();
    let running = wait_for(&plans, "it runs", |runs| runs.iter().any(is_running));
    let id = running[0]["run"].as_str().unwrap().to_owned();
    plans.run(&["runs", "retry", &id]).fails(1, &["is not over"]);
    assert!(plans.run(&["runs", "cancel", &id]).succeeds().out.contains("asked to end"));
    let ended = wait_for(&plans, "it ends", |runs| has_ended(&runs[0]));
    assert_eq!(ended[0]["verdict"], "cancelled");
    fs::write(plans.desk.path("go"), "").unwrap();
    plans.run(&["runs", "retry", &id]).succeeds();
    let done = wait_for(&plans, "the retry ends", |runs| runs.len() == 2 && runs.iter().all(has_ended));
    assert_eq!((&done[0]["verdict"], &done[0]["parent"]), (&"ok".into(), &id.as_str().into()));
    plans.run(&["runs", "retry", &id]).fails(1, &["tried again before"]);
    plans.run(&["runs", "show", "ffff"]).fails(2, &["there is no run ffff"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_store_that_cannot_be_reached_is_tried_again_and_a_wrong_password_is_not() {
    let plans = Plans::new(&format!("{NIGHTLY}\nretry = {{ attempts = 2, first = \"2s\" }}"));
    let text = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    // Nothing listens there.
    let away = text.replacen(
        &format!("url = {:?}", plans.desk.repo()),
        "url = \"s3://bucket/repo\"\nendpoint = \"http://127.0.0.1:9\"\nregion = \"r\"\nretry_for = \"1s\"\naccess_key = { env = \"KEEPFAST_PASSWORD\" }\nsecret_key = { env = \"KEEPFAST_PASSWORD\" }",
        1,
    );
    assert_ne!(away, text);
    fs::write(plans.desk.path("keepfast.toml"), away).unwrap();
    let server = Server::start(&plans);
    plans.run(&["runs", "start", "www"]).succeeds();
    let done = wait_for(&plans, "two attempts", |runs| runs.len() == 2 && runs.iter().all(has_ended));
    assert_eq!(done[0]["error"]["category"], "network", "{done:#?}");
    assert_eq!((&done[0]["parent"], &done[0]["trigger"]), (&done[1]["run"], &"retry".into()));
    fs::write(
        plans.desk.path("keepfast.toml"),
        text.replace(
            "{ env = \"KEEPFAST_PASSWORD\" }",
            &format!("{{ file = {:?} }}", plans.desk.path("wrong")),
        ),
    )
    .unwrap();
    fs::write(plans.desk.path("wrong"), "not it\n").unwrap();
    server.says("read again");
    plans.run(&["runs", "start", "www"]).succeeds();
    let done = wait_for(&plans, "one attempt", |runs| runs.len() == 3 && runs.iter().all(has_ended));
    assert_eq!(done[0]["error"]["category"], "credentials", "{done:#?}");
    thread::sleep(Duration::from_secs(3));
    assert_eq!(runs(&plans).len(), 3, "a wrong password is tried once");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_paused_plan_skips_its_slots_and_says_so() {
    let plans = Plans::new("schedule = { cron = \"* * * * *\" }");
    plans.run(&["pause", "www", "--until", "1d", "--reason", "the disk is full"]).succeeds();
    let server = Server::start(&plans);
    assert_eq!(plans.document(&["status"])[0]["standing"], "paused");
    let skipped = wait_for(&plans, "a slot is skipped", |runs| !runs.is_empty());
    assert_eq!(
        (&skipped[0]["verdict"], &skipped[0]["reason"]),
        (&"skipped".into(), &"the plan was paused".into())
    );
    plans.run(&["resume", "www"]).succeeds();
    let ran = wait_for(&plans, "the next slot runs", |runs| runs.iter().any(|run| run["verdict"] == "ok"));
    assert!(ran.len() <= 3, "nothing fires at once: {ran:#?}");
    assert_eq!(server.stop(), Some(0));
    plans.run(&["pause", "www", "--until", "tomorrow"]).fails(2, &["is no time"]);
}

#[test]
fn a_repository_is_checked_and_pruned_by_its_schedule() {
    let plans = Plans::new(NIGHTLY);
    plans.run(&["run", "www"]).succeeds();
    let text = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    let kept = text.replacen(
        "[repository.main]",
        "[repository.main]\ncheck = { cron = \"* * * * *\", read_data = \"100%\" }\nprune = { cron = \"* * * * *\" }",
        1,
    );
    fs::write(plans.desk.path("keepfast.toml"), kept).unwrap();
    let server = Server::start(&plans);
    let is = |kind: &'static str| move |run: &Value| run["kind"] == kind && run["verdict"] == "ok";
    let done = wait_for(&plans, "check and prune", |runs| {
        runs.iter().any(is("check")) && runs.iter().any(is("prune"))
    });
    let check = done.iter().find(|run| is("check")(run)).unwrap();
    let shown = plans.document(&["runs", "show", check["run"].as_str().unwrap()]);
    assert_eq!(shown["report"]["read"]["bytes_read"], shown["report"]["read"]["bytes_all"], "{shown}");
    assert_eq!(server.stop(), Some(0));
}

/// The service manager hears that the server is ready, alive and about to end.
#[test]
fn the_service_manager_is_told() {
    let plans = Plans::new(NIGHTLY);
    let socket = plans.desk.path("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child =
        plans.command().arg("serve").env("NOTIFY_SOCKET", &socket).stderr(Stdio::piped()).spawn().unwrap();
    let hears = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let length = manager.recv(&mut bytes).unwrap();
            if String::from_utf8_lossy(&bytes[..length]).contains(wanted) {
                return;
            }
        }
    };
    hears("READY=1");
    hears("WATCHDOG=1");
    signal(&child, "-HUP");
    hears("RELOADING=1");
    hears("READY=1");
    signal(&child, "-TERM");
    hears("STOPPING=1");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{errors}");
}

/// What came of it is told: all that is wrong, and that the server follows what is right.
#[test]
fn a_reload_says_what_came_of_it_and_the_doctor_knows_the_server() {
    let plans = Plans::new(NIGHTLY);
    plans.run(&["config", "reload"]).fails(1, &["no server answers", "`keepfast serve` starts one"]);
    let found = |what: &str| {
        let doctor = plans.run(&["doctor"]).out;
        let line = doctor.lines().find(|line| line.contains("server: ")).map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("no server in {doctor}"));
        assert!(line.contains(what), "{line}");
    };
    found("none runs with this state");
    let server = Server::start(&plans);
    found(&format!("version {} runs as process {}, for ", env!("CARGO_PKG_VERSION"), server.child.id()));
    plans.define("schedule = { cron = \"0 2 * * *\" }");
    let run = plans.run(&["config", "reload"]).succeeds();
    assert!(run.out.contains("the server follows the definitions as they are now"), "{run:?}");
    let document = plans.document(&["config", "reload"]);
    assert_eq!(document["is_followed"], true);
    plans.define("schedule = { cron = \"never\" }");
    plans.run(&["config", "reload"]).fails(2, &["the configuration has errors"]);
    assert_eq!(server.stop(), Some(0));
    let left = plans.desk.path("state/control.sock");
    assert!(left.exists(), "what is left of it is replaced at the next start");
    let again = {
        plans.define(NIGHTLY);
        Server::start(&plans)
    };
    plans.run(&["config", "reload"]).succeeds();
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn metrics_are_read_at_a_socket_in_the_file_system() {
    let plans = Plans::new(NIGHTLY);
    let socket = plans.desk.path("metrics.sock");
    let config = plans.desk.path("keepfast.toml");
    let text = fs::read_to_string(&config).unwrap();
    let listen = format!("[server.metrics]\nlisten = \"unix:{}\"\n[repository.main]", socket.display());
    fs::write(&config, text.replace("[repository.main]", &listen)).unwrap();
    let server = Server::start(&plans);
    let until = Instant::now() + PATIENCE;
    while !socket.exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(100));
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("keepfast_build_info"), "{answer}");
    assert_eq!(server.stop(), Some(0));
}
