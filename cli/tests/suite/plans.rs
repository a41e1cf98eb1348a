//! Plans: `keepfast run`, `status`, `schedule` and `config`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::configured::define;
use crate::program::{Desk, Run};

/// A desk with a configuration. The repository is that of the desk.
pub struct Plans {
    pub desk: Desk,
}

impl Plans {
    pub fn new(plan: &str) -> Self {
        let plans = Self { desk: Desk::new() };
        fs::write(plans.desk.path("password"), "secret\n").unwrap();
        plans.define(plan);
        plans
    }

    /// `plan` is what stands after the plan's repository and source.
    pub fn define(&self, plan: &str) {
        define(&self.desk, "{ env = \"KEEPFAST_PASSWORD\" }", plan);
    }

    pub fn command(&self) -> Command {
        let mut command = self.desk.command();
        command.arg("--config").arg(self.desk.path("keepfast.toml"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command().args(arguments).output().unwrap())
    }

    pub fn document(&self, arguments: &[&str]) -> Value {
        self.document_of(0, arguments)
    }

    /// The document of a command that ends with this exit code.
    pub fn document_of(&self, code: i32, arguments: &[&str]) -> Value {
        let run = self.run(&[&["--json"], arguments].concat());
        assert_eq!(run.code, code, "{} {}", run.out, run.err);
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.out))
    }

    pub fn snapshots(&self) -> Vec<Value> {
        let text = self.desk.run(["snapshots", "--json"]).succeeds().out;
        serde_json::from_str(&text).unwrap()
    }
}

pub const NIGHTLY: &str = "schedule = { cron = \"30 1 * * *\", deadline = \"6h\" }";

#[test]
fn a_plan_runs_and_says_how_it_stands() {
    let plans = Plans::new(&format!("{NIGHTLY}\nretention = {{ last = 2, at_least = 1 }}"));
    let status = plans.document(&["status"]);
    assert_eq!((&status[0]["plan"], &status[0]["standing"]), (&"www".into(), &"ok".into()));
    assert_eq!(status[0]["achieved"], Value::Null, "a plan that is new owes nothing yet");
    // The longest gap between two nights is that in which clocks are set back.
    assert_eq!(status[0]["promise_s"], (25 + 6) * 3600);
    let report = plans.document(&["run", "www"]);
    assert_eq!((&report["verdict"], &report["findings"]), (&"ok".into(), &0.into()));
    let snapshots = plans.snapshots();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(snapshots[0]["tags"], serde_json::json!(["plan:www"]));
    let status = plans.document(&["status"]);
    assert_eq!(status[0]["last"]["verdict"], "ok");
    assert!(status[0]["achieved"].is_string() && status[0]["next"].is_string(), "{status}");
    assert!(plans.run(&["status"]).succeeds().out.contains("www"));
    assert!(plans.desk.is_sound());
}

/// Retention judges the plan's own snapshots, and no others.
#[test]
fn retention_leaves_what_other_commands_have_made() {
    let plans = Plans::new(&format!("{NIGHTLY}\nretention = {{ last = 1, max_removed = 5 }}"));
    plans.desk.backup().succeeds();
    for content in ["one", "two", "three"] {
        fs::write(plans.desk.src("a"), content).unwrap();
        plans.run(&["run", "www"]).succeeds();
    }
    let snapshots = plans.snapshots();
    let of_plan = |snapshot: &&Value| snapshot["tags"] == serde_json::json!(["plan:www"]);
    assert_eq!((snapshots.len(), snapshots.iter().filter(of_plan).count()), (2, 1));
}

/// A policy that would remove too much removes nothing; the backup is made all the same.
#[test]
fn the_brake_of_retention_is_a_finding() {
    let plans = Plans::new(NIGHTLY);
    for content in ["one", "two", "three", "four"] {
        fs::write(plans.desk.src("a"), content).unwrap();
        plans.run(&["run", "www"]).succeeds();
    }
    plans.define(&format!("{NIGHTLY}\nretention = {{ last = 1 }}"));
    let run = plans.run(&["run", "www"]);
    assert_eq!(run.code, 3, "{} {}", run.out, run.err);
    assert_eq!(plans.snapshots().len(), 5);
    let status = plans.document(&["status"]);
    assert_eq!(status[0]["last"]["verdict"], "findings");
}

/// What a hook stopped is started again before anything else, however the backup goes.
#[test]
fn hooks_run_in_their_order_and_are_undone() {
    let plans = Plans::new("");
    let log = plans.desk.path("log");
    let say = |word: &str| {
        format!(
            "[\"/bin/sh\", \"-c\", \"echo {word} $$KEEPFAST_PLAN $$KEEPFAST_PASSWORD >> {}\"]",
            log.display()
        )
    };
    let hooks = format!(
        "[[plan.www.hook]]\non = \"before\"\nrun = {}\nundo = {}\n\
         [[plan.www.hook]]\non = \"after\"\nrun = {}\n\
         [[plan.www.hook]]\non = \"success\"\nrun = {}\n\
         [[plan.www.hook]]\non = \"failure\"\nrun = {}\n\
         [[plan.www.hook]]\non = \"always\"\nrun = {}\n",
        say("stop"),
        say("start"),
        say("after"),
        say("success"),
        say("failure"),
        say("always"),
    );
    plans.define(&hooks);
    plans.run(&["run", "www"]).succeeds();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said, "stop www\nstart www\nafter www\nsuccess www\nalways www\n", "and no secret");
    // A source that isn't there.
    fs::remove_file(&log).unwrap();
    fs::remove_dir_all(plans.desk.path("src")).unwrap();
    plans.run(&["run", "www"]).fails(1, &["plan www failed"]);
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "stop www\nstart www\nafter www\nfailure www\nalways www\n"
    );
}

#[test]
fn a_hook_that_fails_before_keeps_the_backup_from_beginning() {
    let plans = Plans::new("[[plan.www.hook]]\non = \"before\"\nrun = [\"/bin/false\"]\n");
    plans.run(&["run", "www"]).fails(1, &["the hook /bin/false failed"]);
    assert!(plans.snapshots().is_empty());
    plans.define("[[plan.www.hook]]\non = \"before\"\nrun = [\"/bin/false\"]\non_error = \"warn\"\n");
    assert_eq!(plans.run(&["run", "www"]).code, 3);
    assert_eq!(plans.snapshots().len(), 1);
}

/// The next run finds the record of the one that was killed: it is lost, and its service is started.
#[test]
fn a_killed_run_is_lost_and_what_it_stopped_is_started_by_the_next() {
    let plans = Plans::new("");
    let (log, begun) = (plans.desk.path("log"), plans.desk.path("begun"));
    let hook = format!(
        "[[plan.www.hook]]\non = \"before\"\nrun = [\"/bin/sh\", \"-c\", \"test -e {0} && exit 0; touch {0}; sleep 600\"]\n\
         undo = [\"/bin/sh\", \"-c\", \"echo start >> {1}\"]\n",
        begun.display(),
        log.display()
    );
    plans.define(&hook);
    let mut child =
        plans.command().args(["run", "www"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&begun);
    // A second run of the plan is refused while the first one lives.
    plans.run(&["run", "www"]).fails(1, &["plan www is already running"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!log.exists());
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(fs::read_to_string(&log).unwrap(), "start\nstart\n", "that of the killed run, and its own");
    assert_eq!(plans.snapshots().len(), 1);
}

/// The last one first, as they would be undone without a crash.
#[test]
fn what_a_killed_run_has_stopped_is_started_in_the_opposite_order() {
    let plans = Plans::new("");
    let (log, begun) = (plans.desk.path("log"), plans.desk.path("begun"));
    let say =
        |word: &str| format!("[\"/bin/sh\", \"-c\", \"echo {word} $$KEEPFAST_PLAN >> {}\"]", log.display());
    let hook =
        |run: &str, undo: &str| format!("[[plan.www.hook]]\non = \"before\"\nrun = {run}\nundo = {undo}\n");
    let wait = format!("[\"/bin/sh\", \"-c\", \"touch {}; sleep 600\"]", begun.display());
    plans.define(&[hook("[\"/bin/true\"]", &say("first")), hook(&wait, &say("second"))].concat());
    let mut child =
        plans.command().args(["run", "www"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&begun);
    child.kill().unwrap();
    child.wait().unwrap();
    plans.define("");
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(fs::read_to_string(&log).unwrap(), "second www\nfirst www\n");
}

/// What a service needs is told even if nothing else is wrong.
#[test]
fn what_cannot_be_undone_after_a_crash_is_a_finding() {
    let plans = Plans::new("");
    let begun = plans.desk.path("begun");
    plans.define(&format!(
        "[[plan.www.hook]]\non = \"before\"\nrun = [\"/bin/sh\", \"-c\", \"touch {}; sleep 600\"]\nundo = [\"/bin/false\"]\n",
        begun.display()
    ));
    let mut child =
        plans.command().args(["run", "www"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&begun);
    child.kill().unwrap();
    child.wait().unwrap();
    plans.define("");
    let run = plans.run(&["--quiet", "run", "www"]);
    assert_eq!(run.code, 3);
    assert!(run.err.contains("what undoes a hook of the interrupted run"), "{}", run.err);
}

/// Whatever variable a secret is in, no hook inherits it.
#[test]
fn hooks_inherit_no_secret_and_learn_of_the_snapshot() {
    let plans = Plans::new("");
    let (log, config) = (plans.desk.path("log"), plans.desk.path("keepfast.toml"));
    plans.define(&format!(
        "[[plan.www.hook]]\non = \"success\"\nrun = [\"/bin/sh\", \"-c\", \"env > {}\"]\n",
        log.display()
    ));
    let text = fs::read_to_string(&config).unwrap().replace("KEEPFAST_PASSWORD", "OTHER_SECRET");
    fs::write(&config, text).unwrap();
    let mut command = plans.command();
    command.env_remove("KEEPFAST_PASSWORD").env("OTHER_SECRET", "correct horse");
    Run::of(command.args(["run", "www"]).output().unwrap()).succeeds();
    let seen = fs::read_to_string(&log).unwrap();
    assert!(!seen.contains("correct horse") && !seen.contains("OTHER_SECRET"), "{seen}");
    let id = plans.snapshots()[0]["id"].as_str().unwrap().to_owned();
    for told in
        [format!("KEEPFAST_SNAPSHOT={id}"), "KEEPFAST_PLAN=www".to_owned(), "KEEPFAST_FINDINGS=0".to_owned()]
    {
        assert!(seen.lines().any(|line| line == told), "{told}: {seen}");
    }
}

/// The exit codes are those of the commands that do the work, and the record says what happened.
#[test]
fn a_run_that_cannot_begin_has_its_own_exit_code_and_a_record() {
    let plans = Plans::new(NIGHTLY);
    let mut command = plans.command();
    command.env("KEEPFAST_PASSWORD", "wrong");
    Run::of(command.args(["run", "www"]).output().unwrap()).fails(12, &["plan www failed", "wrong password"]);
    fs::rename(plans.desk.repo(), plans.desk.path("away")).unwrap();
    plans.run(&["run", "www"]).fails(10, &["plan www failed"]);
    let last = &plans.document(&["status"])[0]["last"];
    assert_eq!(last["verdict"], "failed");
    assert!(last["error"].as_str().unwrap().contains("no repository"), "{last}");
    // What keeps it from even being prepared is recorded as well.
    fs::rename(plans.desk.path("away"), plans.desk.repo()).unwrap();
    plans.define("hosts = { names = [\"other\"] }");
    plans.run(&["run", "www"]).fails(2, &["hosts"]);
    assert!(plans.document(&["status"])[0]["last"]["error"].as_str().unwrap().contains("hosts"));
}

/// A promise without a schedule is for plans that something else runs.
#[test]
fn a_plan_without_a_good_snapshot_in_time_is_overdue() {
    let plans = Plans::new("rpo = \"1s\"");
    assert_eq!(plans.document(&["status"])[0]["standing"], "ok", "it is new");
    std::thread::sleep(Duration::from_millis(2100));
    let status = plans.run(&["status"]);
    assert_eq!(status.code, 3);
    assert!(status.out.contains("overdue"), "{}", status.out);
    plans.define("rpo = \"1h\"");
    plans.run(&["run", "www"]).succeeds();
    assert_eq!(plans.run(&["status"]).code, 0);
}

/// Another machine that shares the repository may have a plan of the same name.
#[test]
fn retention_leaves_the_snapshots_of_other_hosts() {
    let plans = Plans::new("retention = { last = 1, max_removed = 5 }");
    let source = plans.desk.path("src");
    for _ in 0..2 {
        let arguments =
            ["backup", "--force", "--host", "other", "--tag", "plan:www", source.to_str().unwrap()];
        plans.desk.run(arguments).succeeds();
    }
    plans.run(&["run", "www"]).succeeds();
    plans.run(&["run", "www"]).succeeds();
    let snapshots = plans.snapshots();
    let of_other = snapshots.iter().filter(|snapshot| snapshot["host"] == "other").count();
    assert_eq!((of_other, snapshots.len()), (2, 3));
}

/// Both make the state, and both run.
#[test]
fn two_plans_may_start_at_once_where_there_is_no_state_yet() {
    let plans = Plans::new("[plan.other]\nrepository = \"main\"\nsource = [{ files = [\"/etc/hostname\"] }]");
    let start = |plan: &str| {
        let mut command = plans.command();
        command.args(["run", plan]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (one, two) = (start("www"), start("other"));
    for child in [one, two] {
        Run::of(child.wait_with_output().unwrap()).succeeds();
    }
    assert_eq!(plans.snapshots().len(), 2);
}

fn wait_for(path: &std::path::Path) {
    for _ in 0..1500 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} never came", path.display());
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_at_once_with_its_lines() {
    let plans = Plans::new("retension = { last = 1 }\nshedule = { cron = \"30 1 * * *\" }");
    let run = plans.run(&["config", "check"]);
    assert_eq!(run.code, 2);
    for said in ["unknown key `retension`", "unknown key `shedule`", "keepfast.toml:12", "did you mean"] {
        assert!(run.out.contains(said), "{said}: {}", run.out);
    }
    plans.run(&["run", "www"]).fails(2, &["retension", "the configuration has errors"]);
    plans.run(&["status"]).fails(2, &["the configuration has errors"]);
    plans.define(NIGHTLY);
    plans.run(&["run", "other"]).fails(2, &["there is no plan \"other\""]);
    assert!(
        plans
            .run(&["config", "show", "plan.www.schedule", "--origin"])
            .succeeds()
            .out
            .contains("keepfast.toml:12")
    );
}

#[test]
fn what_this_version_cannot_do_is_refused_and_never_left_out() {
    let plans = Plans::new("tags = [\"plan:other\"]");
    plans.run(&["run", "www"]).fails(2, &["plan www", "plan:other", "not supported yet"]);
    plans.define("hosts = { names = [\"other\"] }");
    plans.run(&["run", "www"]).fails(2, &["plan www", "hosts", "not supported yet"]);
    assert!(plans.snapshots().is_empty());
}

#[test]
fn the_next_runs_are_listed_with_what_the_clock_does_to_them() {
    let plans = Plans::new("schedule = { cron = \"30 2 * * *\" }");
    let listed = plans.document(&["schedule", "list", "-n", "400"]);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 400);
    assert!(listed.iter().all(|slot| slot["zone"] == "Europe/Paris"));
    let noted: Vec<&Value> =
        listed.iter().filter(|slot| !slot["notes"].as_array().unwrap().is_empty()).collect();
    assert!(noted.len() >= 2, "two changes of the clock lie within 400 nights: {noted:?}");
    let human = plans.run(&["schedule", "list"]).succeeds().out;
    assert_eq!(human.lines().count(), 4, "{human}");
}

/// A pause that the file says, and one that a person has asked for, are shown alike.
#[test]
fn a_pause_of_the_configuration_is_shown() {
    let plans = Plans::new(&format!("{NIGHTLY}\n[[pause]]\nplan = [\"www\"]\nfrom = \"2020-01-01 00:00\"\n"));
    plans.run(&["status"]).succeeds();
    assert_eq!(plans.document(&["status"])[0]["standing"], "paused");
    plans.define(&format!("{NIGHTLY}\n[[pause]]\nplan = [\"www\"]\nuntil = \"2020-01-01 00:00\"\n"));
    assert_eq!(plans.document(&["status"])[0]["standing"], "ok");
}
