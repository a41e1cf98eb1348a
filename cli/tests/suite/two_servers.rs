//! Two servers on one PostgreSQL, as processes: one is killed in the midst of a run, one stops for longer than a lease and
//! comes back, clocks jump by a year in both directions. Each slot runs once, a run that was lost never blocks its plan,
//! and servers whose definitions differ don't both make slots.
//!
//! Leases and looks are the real ones, so these tests take minutes, nearly all of it waiting. They need root: each server
//! has a machine's name of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use keepfast_testkit::servers::PostgresServer;
use serde_json::Value;

use crate::program::{Desk, Run};
use crate::serve::Server;
use crate::signals::signal;

/// Longer than a lease (120 s), a look (30 s) and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(240);
const MINUTE_S: i64 = 60;
const YEAR_S: i64 = 365 * 86_400;

/// Two machines that share a database and a repository.
pub struct Site {
    pub desk: Desk,
    postgres: Arc<PostgresServer>,
    database: String,
    /// Where a proxy reaches them.
    ports: Option<[u16; 2]>,
}

/// One of the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    Ann,
    Ben,
}

use Machine::{Ann, Ben};

impl Machine {
    fn name(self) -> &'static str {
        match self {
            Ann => "ann",
            Ben => "ben",
        }
    }
}

impl Site {
    fn new(plans: &str) -> Self {
        Self::at(None, plans)
    }

    /// One whose servers listen at these ports, with a proxy before them.
    pub fn at(ports: Option<[u16; 2]>, plans: &str) -> Self {
        let postgres = PostgresServer::shared();
        let database = postgres.database();
        let site = Self { desk: Desk::new(), postgres, database, ports };
        site.define(Ann, plans);
        site.define(Ben, plans);
        site
    }

    fn file(&self, machine: Machine) -> PathBuf {
        self.desk.path(&format!("{}.toml", machine.name()))
    }

    /// The definitions of a machine: its own folder and cache, and these plans.
    pub fn define(&self, machine: Machine, plans: &str) {
        let (desk, name) = (&self.desk, machine.name());
        let listen = self.ports.map_or(String::new(), |[ann, ben]| {
            let port = if machine == Ann { ann } else { ben };
            format!("listen = \"127.0.0.1:{port}\"\nbehind_proxy = true\n")
        });
        let text = format!(
            "version = 1\n\
             [server]\n\
             timezone = \"Europe/Paris\"\n\
             state = {{ postgres = {{ socket = {:?}, port = {}, dbname = {:?}, user = {:?} }} }}\n\
             folder = {:?}\n\
             limits = {{ runs = 8, per_host = 8, per_repository = 8 }}\n\
             {listen}\
             [repository.main]\n\
             url = {:?}\n\
             password = {{ env = \"KEEPFAST_PASSWORD\" }}\n\
             cache = {:?}\n\
             {plans}\n",
            self.postgres.socket(),
            self.postgres.port(),
            self.database,
            self.postgres.user(),
            desk.path(&format!("state of {name}")),
            desk.repo(),
            desk.path(&format!("cache of {name}")),
        );
        let new = desk.path("new.toml");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.file(machine)).unwrap();
    }

    pub fn command(&self, machine: Machine) -> Command {
        let program = self.desk.command();
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", "hostname \"$0\" && exec \"$@\"", machine.name()]);
        command.arg(program.get_program()).arg("--config").arg(self.file(machine)).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    pub fn serve(&self, machine: Machine) -> Server {
        let mut command = self.command(machine);
        command.arg("serve");
        Server::of(command)
    }

    /// One whose clock on the wall shows this much more than the true one, as a file says.
    fn serve_by_clock(&self, machine: Machine, clock: &Clock) -> Server {
        let mut command = self.command(machine);
        command
            .arg("serve")
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &clock.file)
            .env("FAKETIME_NO_CACHE", "1")
            // A clock that is set moves neither this one nor the times of files.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        Server::of(command)
    }

    pub fn run(&self, machine: Machine, arguments: &[&str]) -> Run {
        Run::of(self.command(machine).args(arguments).output().unwrap()).succeeds()
    }

    /// All runs, the newest first.
    pub fn runs(&self) -> Vec<Value> {
        self.list(Ann, &["runs", "list", "--count", "5000"])
    }

    fn list(&self, machine: Machine, arguments: &[&str]) -> Vec<Value> {
        let out = self.run(machine, &[&["--json"], arguments].concat()).out;
        match serde_json::from_str(&out).unwrap() {
            Value::Array(rows) => rows,
            other => panic!("{other}"),
        }
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            let runs = self.runs();
            if is_so(&runs) {
                return runs;
            }
            assert!(Instant::now() < until, "{what}: {runs:#?}");
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// The name of a machine's server in the state.
    fn server(&self, machine: Machine) -> String {
        let folder = self.desk.path(&format!("state of {}", machine.name()));
        format!("server {}", fs::read_to_string(folder.join("machine")).unwrap().trim())
    }

    /// The machine that holds a run.
    pub fn holder(&self, run: &Value) -> Machine {
        let executor = run["executor"].as_str().unwrap();
        [Ann, Ben].into_iter().find(|machine| self.server(*machine) == executor).unwrap()
    }
}

/// How wrong a clock is.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn new(site: &Site, machine: Machine) -> Self {
        let clock = Self { file: site.desk.path(&format!("clock of {}", machine.name())) };
        clock.set(0);
        clock
    }

    /// It jumps to this many seconds ahead of the true time.
    fn set(&self, ahead_s: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{ahead_s:+}\n")).unwrap();
        fs::rename(&new, &self.file).unwrap();
    }
}

/// Where Debian has the library that changes what a program's clock shows.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    found.find(|file| file.exists()).expect("libfaketime is installed by the setup script")
}

/// A plan with a slot in each minute.
fn quick(site: &Path, name: &str) -> String {
    let source = format!("{{ files = [{:?}] }}", site.join("src"));
    plan(name, &source)
}

/// The same, of which each run lasts until the file `go NAME` is there.
fn slow(site: &Path, name: &str) -> String {
    let go = site.join(format!("go {name}"));
    let wait = format!("echo a; while [ ! -e '{}' ]; do sleep 0.2; done", go.display());
    plan(name, &format!("{{ stream = {{ name = \"s\", command = [\"sh\", \"-c\", {wait:?}] }} }}"))
}

fn plan(name: &str, source: &str) -> String {
    format!(
        "[plan.{name}]\nrepository = \"main\"\nsource = [{source}]\nschedule = {{ cron = \"* * * * *\" }}\n"
    )
}

fn text<'v>(run: &'v Value, key: &str) -> &'v str {
    run[key].as_str().unwrap_or_default()
}

fn seconds(run: &Value, key: &str) -> i64 {
    text(run, key).parse::<jiff::Timestamp>().unwrap().as_second()
}

fn is_of(plan: &str) -> impl Fn(&&Value) -> bool {
    move |run| run["plan"] == plan
}

fn is_running(run: &Value) -> bool {
    run["state"] == "running" && run["phase"] == "backup"
}

fn has_ended(run: &Value) -> bool {
    run["state"] == "ended"
}

/// What became of each slot of a plan: the verdicts of its runs, the first first.
fn outcomes(runs: &[Value], plan: &str) -> BTreeMap<i64, Vec<String>> {
    let mut slots: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for run in runs.iter().rev().filter(is_of(plan)).filter(|run| !run["slot"].is_null()) {
        slots.entry(seconds(run, "slot")).or_default().push(text(run, "verdict").to_owned());
    }
    slots
}

/// Each slot has one line of runs: at most one of them did its work, and it is the last.
#[track_caller]
fn assert_each_slot_ran_once(runs: &[Value], plan: &str) {
    for (slot, verdicts) in outcomes(runs, plan) {
        let (_, before) = verdicts.split_last().unwrap();
        let roots = runs
            .iter()
            .filter(is_of(plan))
            .filter(|run| run["parent"].is_null() && !run["slot"].is_null() && seconds(run, "slot") == slot);
        assert_eq!(roots.count(), 1, "{plan}, slot {slot}: {verdicts:?}");
        // What a stop has interrupted goes on later.
        let is_again = |verdict: &String| verdict == "lost" || verdict == "cancelled";
        assert!(before.iter().all(is_again), "{plan}, slot {slot}: {verdicts:?}");
    }
}

/// Between the first and the last slot none is left out.
#[track_caller]
fn assert_no_slot_is_left_out(runs: &[Value], plan: &str, from: i64, until: i64) {
    let mut covered = BTreeSet::new();
    for run in runs.iter().filter(is_of(plan)).filter(|run| !run["slot"].is_null()) {
        let first = seconds(run, "slot");
        covered.extend((0..run["slots"].as_i64().unwrap()).map(|number| first + number * MINUTE_S));
    }
    let first = (from + MINUTE_S - 1).div_euclid(MINUTE_S) * MINUTE_S;
    let wanted = (first..until).step_by(usize::try_from(MINUTE_S).unwrap());
    let missing: Vec<i64> = wanted.filter(|slot| !covered.contains(slot)).collect();
    assert!(missing.is_empty(), "{plan}: no word of {missing:?}: {runs:#?}");
}

#[test]
fn a_killed_server_and_a_paused_one_lose_runs_and_no_slot_runs_twice() {
    let site = Site::new("");
    let folder = site.desk.folder.path().to_owned();
    let names = ["a", "b", "c"];
    let mut plans: String = names.iter().map(|name| quick(&folder, name)).collect();
    plans.push_str(&slow(&folder, "killed"));
    plans.push_str(&slow(&folder, "paused"));
    site.define(Ann, &plans);
    site.define(Ben, &plans);
    site.run(Ann, &["pause", "paused"]);
    let begun = jiff::Timestamp::now().as_second();
    let mut servers = BTreeMap::new();
    for machine in [Ann, Ben] {
        servers.insert(machine.name(), site.serve(machine));
    }

    // One is killed in the midst of a run, and starts again: the run is lost, and is done again.
    let runs = site.wait_for("it runs", |runs| runs.iter().filter(is_of("killed")).any(is_running));
    let killed = runs.iter().filter(is_of("killed")).find(|run| is_running(run)).unwrap();
    let (holder, lost) = (site.holder(killed), killed["run"].clone());
    servers.remove(holder.name()).unwrap().kill();
    servers.insert(holder.name(), site.serve(holder));
    fs::write(folder.join("go killed"), "").unwrap();
    site.run(Ann, &["resume", "paused"]);
    site.wait_for("the run of the killed server is lost, and done again", |runs| {
        runs.iter().any(|run| run["run"] == lost && run["verdict"] == "lost")
            && runs.iter().any(|run| run["parent"] == lost && run["verdict"] == "ok")
    });

    // One stops for longer than a lease, and goes on when another has done its run again.
    let runs = site.wait_for("it runs", |runs| runs.iter().filter(is_of("paused")).any(is_running));
    let paused = runs.iter().filter(is_of("paused")).find(|run| is_running(run)).unwrap();
    let (holder, lost) = (site.holder(paused), paused["run"].clone());
    let stopped = servers.get(holder.name()).unwrap();
    signal(&stopped.child, "-STOP");
    let other = if holder == Ann { Ben } else { Ann };
    let runs = site.wait_for("the run of the paused server is lost", |runs| {
        runs.iter().any(|run| run["run"] == lost && run["verdict"] == "lost")
    });
    let lost_at = runs.iter().map(|run| seconds(run, "created")).max().unwrap();
    fs::write(folder.join("go paused"), "").unwrap();
    signal(&stopped.child, "-CONT");
    site.wait_for("the run is done again", |runs| {
        runs.iter().any(|run| run["parent"] == lost && run["verdict"] == "ok")
    });
    // The slots after that run too: of all plans, by whichever server.
    site.wait_for("no plan is blocked", |runs| {
        let names = names.iter().chain(&["killed", "paused"]);
        names.into_iter().all(|name| {
            let mut of = runs.iter().filter(is_of(name)).filter(|run| !run["slot"].is_null());
            of.any(|run| seconds(run, "slot") > lost_at && run["verdict"] == "ok")
        })
    });
    for (_, server) in servers {
        assert_eq!(server.stop(), Some(0));
    }
    let runs = site.runs();
    let run = |id: &Value| runs.iter().find(|run| run["run"] == *id).unwrap();
    assert_eq!(text(run(&lost), "verdict"), "lost", "the paused server has no say any more");
    for name in names.iter().chain(&["killed", "paused"]) {
        assert_each_slot_ran_once(&runs, name);
        let newest = runs.iter().filter(is_of(name)).map(|run| seconds(run, "created")).max().unwrap();
        assert_no_slot_is_left_out(&runs, name, begun + MINUTE_S, newest - 2 * MINUTE_S);
    }
    let executors: BTreeSet<&str> = runs.iter().map(|run| text(run, "executor")).collect();
    assert!(executors.contains(&*site.server(other)) && executors.contains(&*site.server(holder)));
    assert!(site.desk.is_sound());
}

/// A change is rolled out over both servers: at no moment do both make slots by different definitions.
#[test]
fn a_server_with_older_definitions_waits_until_it_has_the_new_ones() {
    let site = Site::new("");
    let folder = site.desk.folder.path().to_owned();
    let older = quick(&folder, "a");
    let newer = format!("{older}{}", quick(&folder, "b"));
    site.define(Ann, &older);
    site.define(Ben, &older);
    let (ann, ben) = (site.serve(Ann), site.serve(Ben));
    site.define(Ann, &newer);
    ann.says("read again");
    ben.says("makes no slots");
    site.wait_for("the new plan runs", |runs| {
        runs.iter().any(|run| run["plan"] == "b" && run["verdict"] == "ok")
    });
    // Started again with the older ones, it doesn't bring them back, and what is new is not forgotten.
    assert_eq!(ben.stop(), Some(0));
    let ben = site.serve(Ben);
    ben.says("makes no slots");
    let runs = site.runs();
    assert!(runs.iter().all(|run| run["plan"] != "b" || run["verdict"] != "skipped"), "{runs:#?}");
    site.define(Ben, &newer);
    ben.says("read again");
    ben.says("are those that were applied last");
    assert_eq!(ann.stop(), Some(0));
    let from = jiff::Timestamp::now().as_second();
    site.wait_for("it makes slots again", |runs| {
        runs.iter().any(|run| run["plan"] == "b" && run["verdict"] == "ok" && seconds(run, "slot") >= from)
    });
    assert_eq!(ben.stop(), Some(0));
}

#[test]
fn clocks_that_jump_a_year_ahead_and_back_run_no_slot_twice_and_stop_no_plan() {
    let site = Site::new("");
    let folder = site.desk.folder.path().to_owned();
    let names = ["a", "b", "c"];
    let plans: String = names.iter().map(|name| quick(&folder, name)).collect();
    site.define(Ann, &plans);
    site.define(Ben, &plans);
    let clocks = [Ann, Ben].map(|machine| Clock::new(&site, machine));
    let begun = jiff::Timestamp::now().as_second();
    let servers = [site.serve_by_clock(Ann, &clocks[0]), site.serve_by_clock(Ben, &clocks[1])];
    let ran = |runs: &[Value], from: i64| {
        names.iter().all(|name| {
            let mut of = runs.iter().filter(is_of(name)).filter(|run| !run["slot"].is_null());
            of.any(|run| seconds(run, "slot") >= from && run["verdict"] == "ok")
        })
    };
    site.wait_for("each plan runs", |runs| ran(runs, begun));
    // Each of them is wrong for some time, in its own direction.
    let wrong = Duration::from_secs(70);
    clocks[0].set(YEAR_S);
    thread::sleep(wrong);
    clocks[0].set(0);
    clocks[1].set(-YEAR_S);
    thread::sleep(wrong);
    // And both at once.
    clocks[0].set(-YEAR_S);
    clocks[1].set(YEAR_S);
    thread::sleep(wrong);
    clocks.iter().for_each(|clock| clock.set(0));
    let right = jiff::Timestamp::now().as_second();
    let is_next = |run: &Value| {
        let slot = seconds(run, "slot");
        slot >= right && slot < right + 10 * MINUTE_S && run["verdict"] == "ok"
    };
    site.wait_for("the plans go on", |runs| {
        names
            .iter()
            .all(|name| runs.iter().filter(is_of(name)).filter(|run| !run["slot"].is_null()).any(is_next))
    });
    for server in servers {
        assert_eq!(server.stop(), Some(0));
    }
    let runs = site.runs();
    let ahead = |run: &&Value| !run["slot"].is_null() && seconds(run, "slot") > right + YEAR_S / 2;
    assert!(runs.iter().any(|run| ahead(&run)), "a server has seen the next year");
    for name in names {
        assert_each_slot_ran_once(&runs, name);
        assert!(runs.iter().filter(is_of(name)).all(|run| has_ended(run) || run["verdict"].is_null()));
    }
    assert!(site.desk.is_sound());
}
