//! `keepfast uninstall`: what goes, what stays, and the last backup of the state.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::configured::Configured;

fn uninstall(configured: &Configured, arguments: &[&str]) -> crate::program::Run {
    let units = configured.units();
    configured.run(&[&["uninstall", "--directory", &units], arguments].concat())
}

#[test]
fn without_a_terminal_nothing_goes_unless_that_was_said() {
    let configured = Configured::new();
    configured.run(&["run", "www"]).succeeds();
    let mut command = configured.command();
    command.args(["uninstall", "--directory", &configured.units()]).stdin(Stdio::null());
    crate::program::Run::of(command.output().unwrap()).fails(2, &["no one can be asked", "--yes"]);
    assert!(configured.path("state/state.db").exists());
}

#[test]
fn state_logs_caches_and_units_go_and_repositories_stay() {
    let configured = Configured::new();
    configured.run(&["run", "www"]).succeeds();
    configured.run(&["service", "install", "--directory", &configured.units()]);
    fs::write(configured.path("plan-cache/mine"), "not the program's").unwrap();
    let run = uninstall(&configured, &["--yes"]);
    assert!(run.code == 0 && run.out.contains("backup    of the state: snapshot"), "{run:?}");
    assert!(!configured.path("state").exists(), "{run:?}");
    let left: Vec<_> = fs::read_dir(configured.path("plan-cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["mine"]);
    assert_eq!(fs::read_dir(configured.path("units")).unwrap().count(), 0);
    assert!(run.out.contains("stays     the repository main"), "{run:?}");
    assert!(configured.path("keepfast.toml").exists() && configured.path("password").exists());
    // The state can be had back, and its own snapshot is marked.
    let listed = configured.desk.run(["--json", "snapshots", "--tag", "state"]).succeeds().out;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let mut command = configured.command();
    command.args(["serve", "--recover", "--repo"]).arg(configured.desk.repo());
    let run = command.env("KEEPFAST_PASSWORD", "correct horse").output().unwrap();
    crate::program::Run::of(run).succeeds();
    let status = configured.run(&["--json", "status"]).succeeds().out;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status[0]["last"]["verdict"], "ok");
    assert!(configured.desk.is_sound());
}

#[test]
fn a_last_backup_that_fails_keeps_everything() {
    let configured = Configured::new();
    configured.run(&["run", "www"]).succeeds();
    fs::write(configured.path("password"), "wrong\n").unwrap();
    uninstall(&configured, &["--yes"])
        .fails(12, &["the last backup of the state failed", "nothing was removed"]);
    assert!(configured.path("state/state.db").exists() && configured.path("state/logs").exists());
    uninstall(&configured, &["--yes", "--into", "mian"]).fails(2, &["no repository \"mian\"", "main"]);
    uninstall(&configured, &["--yes", "--no-backup"]).succeeds();
    assert!(!configured.path("state").exists());
}

/// Someone has put the state into the repository's own directory.
#[test]
fn what_is_inside_of_a_repository_stays() {
    let configured = Configured::new();
    let inside = configured.desk.repo().join("state");
    configured.change(
        configured.path("state/state.db").to_str().unwrap(),
        inside.join("state.db").to_str().unwrap(),
    );
    configured.run(&["status"]).succeeds();
    let run = uninstall(&configured, &["--yes", "--no-backup"]);
    assert!(run.code == 3 && run.err.contains("stays: it has a repository in it"), "{run:?}");
    assert!(inside.join("state.db").exists());
}
