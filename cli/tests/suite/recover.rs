//! Backups of a server's own state, and `serve --recover`, which rebuilds a lost server from one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use keepfast_testkit::servers::PostgresServer;
use serde_json::Value;

use crate::plans::{NIGHTLY, Plans};
use crate::program::{Desk, Run};
use crate::serve::{Server, has_ended, runs, wait_for};

/// A configuration in two files: `server` stands in `[server]`, `plan` in the plan `www`.
fn define(plans: &Plans, server: &str, plan: &str) {
    plans.define(plan);
    let file = plans.desk.path("keepfast.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (head, of_plan) = text.split_once("[plan.www]").unwrap();
    let folder = plans.desk.path("conf.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("www.toml"), format!("[plan.www]{of_plan}")).unwrap();
    let head = head.replacen("version = 1", "version = 1\ninclude = [\"conf.d/*.toml\"]", 1);
    fs::write(&file, head.replacen("[server]", &format!("[server]\n{server}"), 1)).unwrap();
}

fn defined(server: &str, plan: &str) -> Plans {
    let plans = Plans::new(plan);
    define(&plans, server, plan);
    plans
}

/// The machine is gone: the state, the logs, the configuration and the cache.
fn lose(plans: &Plans) {
    for name in ["state", "conf.d", "plan-cache", "cache"] {
        let _ = fs::remove_dir_all(plans.desk.path(name));
    }
    fs::remove_file(plans.desk.path("keepfast.toml")).unwrap();
}

fn recover(plans: &Plans, arguments: &[&str]) -> Run {
    plans.run(&[&["serve", "--recover"], arguments].concat())
}

/// What of runs is the same after a recovery.
fn told(runs: &[Value]) -> Vec<String> {
    let told = |run: &Value| {
        ["run", "plan", "verdict", "trigger", "slot", "attempt"].map(|key| run[key].to_string()).join(" ")
    };
    runs.iter().map(told).collect()
}

fn copies(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("copy") || name.contains("recover")).collect()
}

/// Logs and locks are beside the state, and no backup has them.
#[test]
fn an_estimate_of_the_state_counts_what_its_backup_has() {
    let plans = defined("backup = { repository = \"main\" }", "");
    plans.run(&["run", "www"]).succeeds();
    let logs = plans.desk.path("state/logs/old");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("segment"), vec![7; 3 << 20]).unwrap();
    let estimate = plans.document(&["estimate", "_state"]);
    assert_eq!(copies(&plans.desk.path("state")), [""; 0], "the copy is gone");
    let ran = plans.document(&["run", "_state"]);
    let summary = &ran["backup"]["summary"];
    assert_eq!(estimate["files_new"], summary["files_new"], "{estimate} {ran}");
    assert!(estimate["bytes_total"].as_u64().unwrap() < 1 << 20, "{estimate}");
    plans.run(&["pause", "www", "--reason", "a new state"]).succeeds();
    assert_eq!(plans.document(&["estimate", "_state"])["files_new"], 0, "it has the names of the backup");
}

#[test]
fn a_lost_server_is_rebuilt_and_goes_on() {
    let every_minute = "schedule = { cron = \"* * * * *\" }";
    let plans = defined(&format!("backup = {{ repository = \"main\", {every_minute} }}"), every_minute);
    let server = Server::start(&plans);
    let is_done = |run: &Value, plan: &str| {
        run["plan"] == plan && run["trigger"] == "schedule" && run["verdict"] == "ok"
    };
    wait_for(&plans, "both plans have run", |runs| {
        ["www", "_state"].iter().all(|plan| runs.iter().any(|run| is_done(run, plan)))
    });
    assert_eq!(server.stop(), Some(0));
    plans.run(&["pause", "www", "--reason", "new disk"]).succeeds();
    plans.run(&["resume", "www"]).succeeds();
    plans.run(&["run", "_state"]).succeeds();
    assert_eq!(copies(&plans.desk.path("state")), [""; 0], "the copy is gone");
    let before = runs(&plans);
    let standing = plans.document(&["status"]);
    let listed = plans.document(&["schedule", "list", "www", "-n", "1"])[0]["zone"].clone();
    let text = fs::read_to_string(plans.desk.path("conf.d/www.toml")).unwrap();
    lose(&plans);

    let run = recover(&plans, &[]).succeeds();
    for said in ["snapshot", "config", "conf.d/www.toml", "state.db", "service install"] {
        assert!(run.out.contains(said) || run.err.contains(said), "{said}: {run:?}");
    }
    assert_eq!(fs::read_to_string(plans.desk.path("conf.d/www.toml")).unwrap(), text);
    assert_eq!(copies(&plans.desk.path("state")), [""; 0]);
    assert_eq!(told(&runs(&plans)), told(&before), "also the run that made the copy: it is ok");
    let now = plans.document(&["status"]);
    let names = |status: &Value| -> Vec<String> {
        status.as_array().unwrap().iter().map(|plan| plan["plan"].to_string()).collect()
    };
    assert_eq!(names(&now), ["\"_state\"", "\"www\""]);
    assert_eq!((names(&now), &now[1]["achieved"]), (names(&standing), &standing[1]["achieved"]));
    assert_eq!(plans.document(&["schedule", "list", "www", "-n", "1"])[0]["zone"], listed);
    // Its log is lost, and no other is shown in its place.
    let old = before.iter().find(|run| is_done(run, "www")).unwrap()["run"].as_str().unwrap();
    assert!(!plans.run(&["runs", "logs", old]).succeeds().out.contains("backup"));

    let server = Server::start(&plans);
    let count = before.len();
    let is_new = |runs: &[Value], plan: &str| {
        runs.len() > count
            && runs[..runs.len() - count].iter().any(|run| run["plan"] == plan && run["verdict"] == "ok")
    };
    let after = wait_for(&plans, "both go on", |runs| is_new(runs, "www") && is_new(runs, "_state"));
    let slots: Vec<String> = after
        .iter()
        .filter(|run| run["slot"].is_string() && run["trigger"] != "retry")
        .map(|run| format!("{} {}", run["plan"], run["slot"]))
        .collect();
    assert_eq!(slots.iter().collect::<BTreeSet<_>>().len(), slots.len(), "a slot has run twice: {slots:?}");
    wait_for(&plans, "all are over", |runs| runs.iter().filter(|run| !has_ended(run)).count() <= 1);
    assert_eq!(server.stop(), Some(0));
    assert!(plans.desk.is_sound());
}

const DAILY: &str = "backup = { repository = \"main\" }";

#[test]
fn what_was_at_work_is_lost_and_its_hooks_are_told_of() {
    let plans = defined(DAILY, NIGHTLY);
    let wait = format!("echo a; while [ ! -e {} ]; do sleep 0.1; done", plans.desk.path("go").display());
    let undo = plans.desk.path("undone");
    let slow = format!(
        "[plan.slow]\nrepository = \"main\"\nsource = [{{ stream = {{ name = \"s\", command = [\"sh\", \"-c\", {wait:?}] }} }}]\n\
         [[plan.slow.hook]]\non = \"before\"\nrun = [\"true\"]\nundo = [\"touch\", {undo:?}]\n"
    );
    fs::write(plans.desk.path("conf.d/slow.toml"), slow).unwrap();
    let server = Server::start(&plans);
    plans.run(&["runs", "start", "slow"]).succeeds();
    wait_for(&plans, "it works", |runs| runs[0]["phase"] == "backup");
    // What another process had left there isn't backed up.
    fs::create_dir_all(plans.desk.path("state/state-copy")).unwrap();
    fs::write(plans.desk.path("state/state-copy/junk"), "x").unwrap();
    plans.run(&["run", "_state"]).succeeds();
    let parts = plans.desk.run(["ls", "latest", "--recursive"]).succeeds().out;
    assert!(parts.contains("state.jsonl") && !parts.contains("junk"), "{parts}");
    server.kill();
    lose(&plans);
    let document = plans.document(&["serve", "--recover"]);
    assert!(document["state"]["lost_runs"][0].as_str().unwrap().ends_with("of slow"), "{document}");
    assert_eq!(document["state"]["undone_hooks"][0]["program"], "touch");
    let listed = runs(&plans);
    let verdicts: Vec<(&Value, &Value)> = listed.iter().map(|run| (&run["plan"], &run["verdict"])).collect();
    assert_eq!(verdicts, [(&"_state".into(), &"ok".into()), (&"slow".into(), &"lost".into())]);
    // The plan isn't held up, and a service that isn't stopped here isn't started.
    fs::write(plans.desk.path("go"), "").unwrap();
    let server = Server::start(&plans);
    assert!(!undo.exists(), "the hook of the lost machine was undone on this one");
    plans.run(&["runs", "start", "slow"]).succeeds();
    wait_for(&plans, "it runs again", |runs| runs[0]["plan"] == "slow" && runs[0]["verdict"] == "ok");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_rebuilt_is_said_with_the_next_step() {
    let plans = defined(DAILY, NIGHTLY);
    plans.desk.backup();
    recover(&plans, &[]).fails(2, &["no backup of a server's state", "backup = { repository"]);
    plans.run(&["run", "www"]).succeeds();
    plans.run(&["run", "_state"]).succeeds();
    recover(&plans, &[]).fails(1, &["there is a state already", "move it away"]);
    // Someone else's file that says that it is a state.
    let alien = plans.desk.path("src");
    let labels = "state,plan:_state";
    let arguments = ["backup", "--tag", labels, "--host", "other", alien.to_str().unwrap()];
    plans.desk.run(arguments).succeeds();
    lose(&plans);
    recover(&plans, &[]).fails(2, &["states of several servers", "host other", "--host NAME"]);
    recover(&plans, &["--host", "other"]).fails(1, &["labels of a state", "about.json"]);
    recover(&plans, &["--snapshot", "ffff"]).fails(2, &["whose id begins with ffff"]);
    assert!(!plans.desk.path("keepfast.toml").exists() && !plans.desk.path("state").exists());
    let listed = plans.snapshots();
    let own = listed.iter().find(|snapshot| snapshot["tags"].to_string().contains("plan:_state")).unwrap();
    // Another configuration that a person has put there counts, and is told to be another.
    let mine = plans.desk.path("mine.toml");
    let state = plans.desk.path("elsewhere/state.db");
    fs::write(&mine, format!("version = 1\n[server]\nstate = {{ sqlite = {state:?} }}\n")).unwrap();
    let mut command = plans.desk.command();
    command.arg("--config").arg(&mine).args(["serve", "--recover", "--snapshot"]);
    let run = Run::of(command.arg(&own["id"].as_str().unwrap()[..10]).output().unwrap());
    assert!(run.code == 3 && run.err.contains("differs from the one in the snapshot"), "{run:?}");
    assert!(state.exists() && !plans.desk.path("keepfast.toml").exists());
}

#[test]
fn secrets_and_variables_that_are_missing_are_named() {
    let plans = defined(DAILY, NIGHTLY);
    let secret = plans.desk.path("password");
    let file = plans.desk.path("keepfast.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("{ env = \"KEEPFAST_PASSWORD\" }", &format!("{{ file = {secret:?} }}"));
    fs::write(&file, text.replace("Europe/Paris", "${ZONE}")).unwrap();
    fs::write(&secret, "correct horse\n").unwrap();
    let run = |arguments: &[&str]| {
        Run::of(plans.command().env("ZONE", "Europe/Paris").args(arguments).output().unwrap())
    };
    run(&["run", "_state"]).succeeds();
    lose(&plans);
    fs::remove_file(&secret).unwrap();
    // The configuration is there; what it needs isn't.
    recover(&plans, &[]).fails(2, &["`ZONE`", "the state was not rebuilt", "same command again"]);
    assert!(file.exists() && !plans.desk.path("state/state.db").exists());
    let again = run(&["serve", "--recover"]).succeeds();
    assert!(
        again.out.contains(&format!("repository main: password, the file {}", secret.display())),
        "{again:?}"
    );
    assert!(again.err.contains("put the secrets back"), "{again:?}");
    assert!(plans.desk.path("state/state.db").exists());
    // Now the configuration can say by itself where the backups are.
    fs::write(&secret, "correct horse\n").unwrap();
    fs::remove_dir_all(plans.desk.path("state")).unwrap();
    let mut command = plans.command();
    command.env("ZONE", "UTC").env_remove("KEEPFAST_REPOSITORY").env_remove("KEEPFAST_PASSWORD");
    Run::of(command.args(["serve", "--recover"]).output().unwrap()).succeeds();
}

/// With the state in PostgreSQL, the configuration is to be looked at before a password of it is used.
#[test]
fn a_state_in_a_file_can_come_back_in_postgresql_and_the_other_way_round() {
    let server = PostgresServer::shared();
    let plans = defined(DAILY, NIGHTLY);
    plans.run(&["run", "www"]).succeeds();
    plans.run(&["run", "_state"]).succeeds();
    let before = told(&runs(&plans));
    let in_file = fs::read_to_string(plans.desk.path("keepfast.toml")).unwrap();
    let in_postgres = |database: &str| {
        let state = format!(
            "{{ postgres = {{ socket = {:?}, port = {}, dbname = {database:?}, user = {:?} }} }}\nfolder = {:?}",
            server.socket(),
            server.port(),
            server.user(),
            plans.desk.path("state"),
        );
        let file = format!("{{ sqlite = {:?} }}", plans.desk.path("state/state.db"));
        assert!(in_file.contains(&file), "{in_file}");
        in_file.replace(&file, &state)
    };
    // From the file into a database: a person has changed the configuration.
    fs::remove_dir_all(plans.desk.path("state")).unwrap();
    let file = plans.desk.path("keepfast.toml");
    fs::write(&file, in_postgres(&server.database())).unwrap();
    let run = recover(&plans, &[]);
    assert!(run.code == 3 && run.out.contains("PostgreSQL"), "{run:?}");
    assert_eq!(told(&runs(&plans)), before);
    recover(&plans, &[]).fails(1, &["isn't empty"]);
    plans.run(&["run", "_state"]).succeeds();
    let before = told(&runs(&plans));
    // From the database into another: its configuration comes back first, and waits to be looked at.
    lose(&plans);
    let run = recover(&plans, &[]);
    assert!(run.code == 3 && run.err.contains("run the same command again"), "{run:?}");
    fs::write(&file, in_postgres(&server.database())).unwrap();
    assert_eq!(recover(&plans, &[]).code, 3, "it is another configuration");
    assert_eq!(told(&runs(&plans)), before);
    // And from the database into a file.
    fs::write(&file, in_file).unwrap();
    assert_eq!(recover(&plans, &[]).code, 3);
    assert_eq!(told(&runs(&plans)), before);
}

/// Who can write to the database can begin the audit again. The backups of the state know how it was.
#[test]
fn an_audit_that_was_begun_again_is_found_by_what_backups_have_noted() {
    let plans = defined("backup = { repository = \"main\", retention = { last = 9 } }", NIGHTLY);
    let add = |name: &str| plans.run(&["user", "add", name, "--role", "admin", "--no-password"]).succeeds();
    let verify = ["audit", "verify", "--repository", "main"];
    let said = ["repository main has nothing to compare the audit with", "no backup of this", "`backup = {"];
    plans.run(&verify).fails(2, &said);
    plans.run(&["run", "_state"]).succeeds();
    plans.run(&verify).fails(2, &["before the audit had an entry"]);
    for name in ["ann", "bob"] {
        add(name);
        plans.run(&["run", "_state"]).succeeds();
    }
    add("cid");
    let found = plans.run(&verify).succeeds().out;
    for said in
        ["as it was written: 3 entries", "main: 3 backups", "2 anchors agree", "1 backup has no anchor"]
    {
        assert!(found.contains(said), "{said}: {found}");
    }
    plans.run(&["audit", "verify", "--repository", "mian"]).fails(2, &["no repository \"mian\""]);
    // A server that was rebuilt goes on with the chain of the copy.
    lose(&plans);
    recover(&plans, &[]).succeeds();
    add("dan");
    let compared = plans.document(&verify)["repository"].clone();
    assert_eq!((&compared["agree"], &compared["wrong"]), (&2.into(), &serde_json::json!([])), "{compared}");
    // What only says that it is a state is passed over.
    let alien = plans.desk.path("src");
    let alien = alien.to_str().unwrap();
    plans.desk.run(["backup", "--tag", "state,plan:_state", "--host", "other", alien]).succeeds();
    assert_eq!(plans.document(&verify)["repository"], compared);

    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(plans.desk.path("state").join(name));
    }
    let cut = plans.run(&verify);
    assert!(cut.code == 3 && cut.out.contains("the newest entries are missing"), "{cut:?}");
    for name in ["eve", "fay", "gus"] {
        add(name);
    }
    plans.run(&["audit", "verify"]).succeeds();
    let found = plans.run(&verify);
    assert_eq!(found.code, 3, "{found:?}");
    let document = plans.document_of(3, &verify);
    assert_eq!((&document["sound"], &document["repository"]["agree"]), (&false.into(), &0.into()));
    let wrong = document["repository"]["wrong"].as_array().unwrap();
    assert_eq!(wrong.len(), 2, "{document}");
    for (number, wrong) in [2, 1].iter().zip(wrong) {
        let problem = format!("entry {number} has another hash than its anchor");
        assert!(wrong["problem"].as_str().unwrap().contains(&problem), "{document}");
        let (id, time) = (wrong["snapshot"].as_str().unwrap(), wrong["time"].as_str().unwrap());
        let line = format!("snapshot {} of {time}: {problem}", &id[..8]);
        assert!(found.out.contains(&line), "{line}: {found:?}");
    }
}

/// A machine that never had a configuration.
#[test]
fn a_machine_without_a_configuration_is_told_what_to_say() {
    let desk = Desk::bare();
    let mut command = desk.command();
    let file = desk.path("keepfast.toml");
    command.env_remove("KEEPFAST_REPOSITORY").arg("--config").arg(&file).args(["serve", "--recover"]);
    Run::of(command.output().unwrap()).fails(2, &["no repository given", "--repo"]);
    desk.run(["serve", "--snapshot", "1a2b"]).fails(2, &["--recover"]);
}
