//! `keepfast user`, `token` and `audit`: who may do what, by the rights to the state's files, and what is recorded of it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Desk, Run};

struct People {
    desk: Desk,
}

impl People {
    fn new() -> Self {
        let desk = Desk::bare();
        let text =
            format!("version = 1\n[server]\nstate = {{ sqlite = {:?} }}\n", desk.path("state/state.db"));
        fs::write(desk.path("keepfast.toml"), text).unwrap();
        fs::write(desk.path("new-password"), "correct horse battery\n").unwrap();
        Self { desk }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.desk.command();
        command.arg("--config").arg(self.desk.path("keepfast.toml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    fn document(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    fn add(&self, name: &str, rights: &[&str]) -> Run {
        let file = self.desk.path("new-password");
        self.run(&[&["user", "add", name, "--from-file", file.to_str().unwrap()], rights].concat())
    }
}

#[test]
fn users_get_rights_and_lose_them_and_someone_always_may_do_everything() {
    let people = People::new();
    assert_eq!(people.run(&["user", "list"]).succeeds().out, "no users\n");
    let added = people.add("Ann", &["--role", "admin", "--see-names", "--read-content"]).succeeds();
    assert_eq!(added.out, "user ann: added\n");
    people.add("ann", &["--role", "viewer"]).fails(2, &["there is a user ann already"]);
    people.add("bob", &["--role", "operator", "--scope", "plan:www"]).succeeds();
    let role = ["user", "role", "bob", "--role", "restorer", "--scope", "host:web1"];
    assert_eq!(people.run(&role).succeeds().out, "user bob: is restorer of host:web1\n");
    let users = people.document(&["user", "list"]);
    assert_eq!(
        users[0]["grants"][0],
        json!({"role": "admin", "scope": "all", "see_names": true, "read_content": true})
    );
    assert_eq!(users[1]["grants"].as_array().unwrap().len(), 2);
    let list = people.run(&["user", "list"]).succeeds().out;
    assert!(list.contains("operator of plan:www; restorer of host:web1"), "{list}");
    people.run(&[&role[..], &["--remove"]].concat()).succeeds();
    people
        .run(&[&role[..], &["--remove"]].concat())
        .fails(2, &["user bob has no role restorer for host:web1"]);
    people.run(&["user", "disable", "ann"]).fails(2, &["user ann is the last one who may do everything"]);
    people.run(&["user", "disable", "bob"]).succeeds();
    assert!(people.document(&["user", "list"])[1]["disabled"].is_string());
    people.run(&["user", "enable", "bob"]).succeeds();
    people.run(&["user", "remove", "bob"]).succeeds();
    people.run(&["user", "remove", "bob"]).fails(2, &["there is no user bob"]);
}

#[test]
fn what_can_not_be_is_said_before_anything_happens() {
    let people = People::new();
    people
        .add("b/b", &["--role", "viewer"])
        .fails(2, &["\"b/b\" can't be the name of a user", "letters a to z"]);
    people.add("bob", &["--role", "auditor", "--see-names"]).fails(2, &["an auditor sees no names"]);
    people.add("bob", &["--role", "viewer", "--scope", "galaxy:x"]).fails(2, &["\"galaxy:x\" is no scope"]);
    fs::write(people.desk.path("new-password"), "short\n").unwrap();
    people.add("bob", &["--role", "viewer"]).fails(2, &["a password has at least 12 characters"]);
    people.run(&["user", "add", "bob", "--role", "viewer"]).fails(2, &["no terminal", "--from-file"]);
    people.run(&["audit", "verify", "--anchor", "7"]).fails(2, &["\"7\" is no anchor"]);
    assert_eq!(people.run(&["user", "list"]).succeeds().out, "no users\n");
    assert_eq!(people.run(&["audit", "verify"]).succeeds().out, "the audit is empty\n");
}

#[test]
fn a_token_is_printed_once_and_taken_away() {
    let people = People::new();
    people.add("ann", &["--role", "admin"]).succeeds();
    let make =
        ["token", "make", "ann", "deploy", "--role", "operator", "--scope", "plan:www", "--expires", "90d"];
    let made = people.run(&make).succeeds();
    let token = made.out.trim();
    assert!(token.starts_with("kf_api_") && token.len() == 65, "{token}");
    people.run(&make).fails(2, &["user ann has a token deploy already"]);
    let list = people.run(&["token", "list", "--user", "ann"]).succeeds().out;
    assert!(list.contains("deploy") && list.contains("never") && !list.contains("kf_api_"), "{list}");
    let stored = fs::read(people.desk.path("state/state.db")).unwrap();
    let log = fs::read(people.desk.path("state/state.db-wal")).unwrap_or_default();
    for bytes in [stored, log] {
        assert!(!String::from_utf8_lossy(&bytes).contains(&token[8..]), "the token is in the state");
    }
    assert_eq!(people.run(&["token", "revoke", "1"]).succeeds().out, "token 1 isn't valid any more\n");
    people.run(&["token", "revoke", "1"]).fails(2, &["there is no token 1"]);
}

#[test]
fn the_audit_names_the_account_is_verified_and_exported_without_formulas() {
    let people = People::new();
    people.add("ann", &["--role", "admin", "--display", "=cmd|' /C calc'!A0"]).succeeds();
    people.add("bob", &["--role", "viewer"]).succeeds();
    let verdict = people.document(&["audit", "verify"]);
    assert_eq!((&verdict["sound"], &verdict["entries"]), (&true.into(), &2.into()));
    let anchor = format!("{}:{}", verdict["newest"], verdict["hash"].as_str().unwrap());
    people.run(&["user", "disable", "bob"]).succeeds();
    people.run(&["audit", "verify", "--anchor", &anchor]).succeeds();
    let wrong = format!("2:{}", "0".repeat(64));
    let found = people.run(&["audit", "verify", "--anchor", &wrong]);
    assert_eq!(found.code, 3, "{found:?}");
    assert!(found.out.contains("entry 2 has another hash than its anchor"), "{found:?}");

    let lines = people.run(&["audit", "export"]).succeeds().out;
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.add", "user.add", "user.disable"]);
    assert!(entries.iter().all(|entry| entry["who"].as_str().unwrap().starts_with("local user ")), "{lines}");
    assert_eq!(
        (&entries[2]["before"]["disabled"], &entries[2]["after"]["disabled"]),
        (&false.into(), &true.into())
    );
    assert!(!lines.contains("correct horse") && !lines.contains("argon2"), "{lines}");
    let csv = people.run(&["audit", "export", "--csv"]).succeeds().out;
    assert!(csv.starts_with("sequence,at,who,origin,action,object,before,after,hash\r\n"), "{csv}");
    assert_eq!(csv.lines().count(), 4, "{csv}");
    people.run(&["audit", "export", "--csv", "--json"]).fails(2, &["choose one of --csv and --json"]);
}
