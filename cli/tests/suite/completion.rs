//! What a shell is offered while a command line is typed.

use std::process::Command;

use crate::configured::Configured;
use crate::program::{Desk, Run};

/// What is offered for the last of some words, as the shell's script asks.
fn offered(configured: &Configured, words: &[&str]) -> Vec<String> {
    let config = configured.path("keepfast.toml");
    let typed = [&["keepfast", "--config", config.to_str().unwrap()], words].concat();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keepfast"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("KEEPFAST_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", (typed.len() - 1).to_string());
    let run = Run::of(command.arg("--").args(typed).output().unwrap()).succeeds();
    assert_eq!(run.err, "");
    run.out.lines().map(str::to_owned).collect()
}

#[test]
fn names_come_from_the_configuration_and_the_state() {
    let configured = Configured::new();
    // No repository can be opened meanwhile, and nothing asks for a password.
    configured.run(&["run", "www"]).succeeds();
    let listed = configured.desk.run(["--json", "snapshots"]).succeeds().out;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap()[..8].to_owned();
    std::fs::rename(configured.desk.repo(), configured.path("away")).unwrap();
    assert_eq!(offered(&configured, &["run", ""]), ["www"]);
    assert_eq!(offered(&configured, &["run", "x"]), Vec::<String>::new());
    assert!(offered(&configured, &["schedule", "list", ""]).contains(&"www".to_owned()));
    assert!(offered(&configured, &["config", "show", "plan."]).contains(&"plan.www".to_owned()));
    assert_eq!(offered(&configured, &["uninstall", "--into", ""]), ["main"]);
    assert_eq!(offered(&configured, &["ls", "lat"]), ["latest"]);
    assert!(offered(&configured, &["restore", "--snapshot", ""]).contains(&id), "{id}");
    assert!(offered(&configured, &["sta"]).contains(&"status".to_owned()));
    assert_eq!(offered(&configured, &["uninstall", "--no-b"]), ["--no-backup"]);
    let options = offered(&configured, &["run", "--"]);
    assert!(options.contains(&"--json".to_owned()) && options.contains(&"--help".to_owned()), "{options:?}");
}

#[test]
fn looking_for_names_makes_nothing() {
    let configured = Configured::new();
    assert_eq!(offered(&configured, &["ls", ""]), ["latest"]);
    assert!(!configured.path("state").exists());
    std::fs::write(configured.path("keepfast.toml"), "nonsense [").unwrap();
    let others = offered(&configured, &["run", ""]);
    assert!(others.iter().all(|other| other.starts_with("--")), "no plan is known: {others:?}");
}

/// Shells take the scripts, and ask this program.
#[test]
fn scripts_ask_the_program() {
    let desk = Desk::bare();
    for (shell, word) in
        [("bash", "complete -o nospace"), ("zsh", "#compdef keepfast"), ("fish", "--command keepfast")]
    {
        let script = desk.run(["completions", shell]).succeeds().out;
        assert!(script.contains(word) && script.contains("KEEPFAST_COMPLETE"), "{shell}: {script}");
    }
}

/// Bash itself, with a line that is typed so far.
#[test]
fn bash_completes_a_plan() {
    let configured = Configured::new();
    let config = configured.path("keepfast.toml");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keepfast"), configured.path("bin/keepfast")).unwrap();
    let script = configured.desk.run(["completions", "bash"]).succeeds().out;
    let typed = format!(
        "{script}\nCOMP_WORDS=(keepfast --config {} run w); COMP_CWORD=4; COMP_TYPE=9\n\
         _clap_complete_keepfast keepfast w run\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        config.display()
    );
    let mut command = Command::new("bash");
    command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", configured.path("bin").display()));
    let run = Run::of(command.args(["-c", &typed]).output().unwrap());
    assert_eq!(run.out.trim(), "www", "{run:?}");
}
