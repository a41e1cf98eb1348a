//! Passwords: which are taken, and that they go nowhere else.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use keepfast_backend::LocalBackend;
use keepfast_engine::repo::Repository;
use keepfast_testkit::lab::init_options;

use crate::program::{Desk, Run};

const SECRET: &str = "s3cret-of-the-vault";

/// The program without a password, but with these variables.
fn run(desk: &Desk, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = desk.command();
    command.env_remove("KEEPFAST_PASSWORD").args(arguments).envs(variables.iter().copied());
    Run::of(command.output().unwrap())
}

#[test]
fn an_empty_password_makes_and_opens_no_repository() {
    let desk = Desk::bare();
    fs::write(desk.path("empty"), "").unwrap();
    fs::write(desk.path("line"), "\nsecond\n").unwrap();
    let file = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    let refused = |arguments: &[&str]| {
        run(&desk, arguments, &[("KEEPFAST_PASSWORD", "")]).fails(1, &["KEEPFAST_PASSWORD is empty"]);
        for name in ["empty", "line"] {
            run(&desk, arguments, &[("KEEPFAST_PASSWORD_FILE", &file(name))])
                .fails(1, &[&file(name), "no password"]);
        }
        for printing in ["true", "echo"] {
            run(&desk, arguments, &[("KEEPFAST_PASSWORD_COMMAND", printing)])
                .fails(1, &["password command", "no password"]);
        }
    };
    refused(&["init"]);
    assert!(!desk.repo().join("config").exists(), "a repository was made");
    desk.run(["init"]).succeeds();
    refused(&["snapshots"]);
}

/// An editor's mark would become a part of the password, and no one could type that.
#[test]
fn a_byte_order_mark_begins_no_new_password_and_opens_what_was_made_with_it() {
    let desk = Desk::bare();
    let place = desk.repo();
    let file = desk.path("pw");
    fs::write(&file, "\u{feff}correct horse\n").unwrap();
    let arguments = ["--password-file", file.to_str().unwrap()];
    run(&desk, &[&["init"], &arguments[..]].concat(), &[]).fails(1, &["byte-order mark", "without"]);
    assert!(!place.join("config").exists(), "a repository was made");
    // As it was made before: the mark is a part of its password.
    let with_mark = "\u{feff}correct horse".as_bytes();
    Repository::init(Arc::new(LocalBackend::new(place.clone())), with_mark, &init_options()).unwrap();
    run(&desk, &[&["snapshots"], &arguments[..]].concat(), &[]).succeeds();
    fs::remove_dir_all(&place).unwrap();
    fs::remove_dir_all(desk.path("cache")).unwrap();
    desk.run(["init"]).succeeds();
    run(&desk, &[&["snapshots"], &arguments[..]].concat(), &[])
        .fails(12, &["wrong password", "byte-order mark", "write it without"]);
    fs::write(&file, b"\xff\xfec\0o\0").unwrap();
    run(&desk, &[&["snapshots"], &arguments[..]].concat(), &[]).fails(1, &["UTF-16"]);
}

/// `--command -- sh -c env` stored the password in the snapshot.
#[test]
fn no_program_that_is_started_inherits_the_password() {
    let desk = Desk::new();
    let file = desk.path("pw");
    fs::write(&file, "correct horse").unwrap();
    let with_all = |arguments: &[&str]| {
        let mut command = desk.command();
        command.env("KEEPFAST_PASSWORD_COMMAND", format!("echo {SECRET}"));
        command.env("KEEPFAST_PASSWORD_FILE", &file).env("OTHER", "inherited");
        Run::of(command.args(arguments).output().unwrap()).succeeds()
    };
    with_all(&["backup", "--stdin-name", "env", "--command", "--", "env"]);
    let stored = with_all(&["dump", "latest", "env"]).out;
    assert!(stored.contains("OTHER=inherited"), "{stored}");
    assert!(!stored.contains("KEEPFAST_PASSWORD") && !stored.contains("correct horse"), "{stored}");
    let all = "${KEEPFAST_PASSWORD-}${KEEPFAST_PASSWORD_FILE-}${KEEPFAST_PASSWORD_COMMAND-}";
    let script = format!("test -z \"{all}\" && echo correct horse");
    let mut command = desk.command();
    let command = command.env("KEEPFAST_PASSWORD_COMMAND", script).arg("snapshots");
    Run::of(command.output().unwrap()).succeeds();
}

#[test]
fn help_and_errors_show_no_value_of_the_environment() {
    let desk = Desk::new();
    let shown = |arguments: &[&str]| {
        let value = format!("/nowhere/{SECRET}");
        let names = ["KEEPFAST_REPOSITORY", "KEEPFAST_CACHE_DIR", "KEEPFAST_PASSWORD_FILE"];
        let all = names.iter().chain(&["KEEPFAST_PASSWORD_COMMAND", "AWS_CA_BUNDLE"]);
        let run = run(&desk, arguments, &all.map(|name| (*name, value.as_str())).collect::<Vec<_>>());
        format!("{}{}", run.out, run.err)
    };
    for command in ["init", "backup", "restore", "snapshots", "forget", "prune", "check", "cache", "ls"] {
        let help = shown(&[command, "--help"]);
        assert!(help.contains("KEEPFAST_PASSWORD_COMMAND") && !help.contains(SECRET), "{help}");
    }
    for usage in [&["--help"][..], &["-h"], &["no-such-command"], &["backup"]] {
        let said = shown(usage);
        assert!(!said.contains(SECRET), "{usage:?}: {said}");
    }
    for failing in [format!("false {SECRET}"), format!("/no/such/program {SECRET}"), format!(": {SECRET}")] {
        let run = run(&desk, &["snapshots"], &[("KEEPFAST_PASSWORD_COMMAND", &failing)]);
        assert_eq!(run.code, 1, "{run:?}");
        // What the shell says of it is the shell's.
        let own = run.err.lines().filter(|line| line.starts_with("keepfast")).collect::<String>();
        assert!(own.contains("the password command") && !own.contains(SECRET), "{run:?}");
    }
    assert!(!Path::new("/nowhere").exists());
}
