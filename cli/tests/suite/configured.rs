//! A desk with a configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::program::{Desk, Run};

/// Writes a configuration with the desk's repository, whose password is behind this reference, and a plan of its source;
/// `plan` is what else the plan has.
pub fn define(desk: &Desk, password: &str, plan: &str) {
    let text = format!(
        "version = 1\n\
         [server]\n\
         timezone = \"Europe/Paris\"\n\
         state = {{ sqlite = {:?} }}\n\
         [repository.main]\n\
         url = {:?}\n\
         password = {password}\n\
         cache = {:?}\n\
         [plan.www]\n\
         repository = \"main\"\n\
         source = [{{ files = [{:?}] }}]\n\
         {plan}\n",
        desk.path("state/state.db"),
        desk.repo(),
        desk.path("plan-cache"),
        desk.path("src"),
    );
    fs::write(desk.path("keepfast.toml"), text).unwrap();
}

/// A desk with a configuration: a repository, a plan, a state, and a `systemctl` that writes down what it is told.
pub struct Configured {
    pub desk: Desk,
}

impl Configured {
    pub fn new() -> Self {
        let configured = Self { desk: Desk::new() };
        fs::write(configured.path("password"), "correct horse\n").unwrap();
        fs::set_permissions(configured.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
        configured.define("");
        fs::create_dir(configured.path("units")).unwrap();
        fs::create_dir(configured.path("bin")).unwrap();
        configured.systemctl("exit 0");
        configured
    }

    /// Writes the configuration; `more` stands at the end, in the plan `www`.
    pub fn define(&self, more: &str) {
        let password = format!("{{ file = {:?} }}", self.path("password"));
        define(&self.desk, &password, &format!("description = \"the site\"\n{more}"));
    }

    /// Replaces words of the configuration.
    pub fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("keepfast.toml")).unwrap();
        assert!(text.contains(from), "{from} isn't in {text}");
        fs::write(self.path("keepfast.toml"), text.replace(from, to)).unwrap();
    }

    /// What `systemctl` does after it has written its words down.
    pub fn systemctl(&self, script: &str) {
        let path = self.path("bin/systemctl");
        let text = format!("#!/bin/sh\necho \"$@\" >> {:?}\n{script}\n", self.path("told"));
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What systemctl was told, a command each; forgotten afterwards.
    pub fn told(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("told")).unwrap_or_default();
        let _ = fs::remove_file(self.path("told"));
        text.lines().map(str::to_owned).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    pub fn units(&self) -> String {
        self.path("units").to_str().unwrap().to_owned()
    }

    pub fn command(&self) -> Command {
        let mut command = self.desk.command();
        command
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env_remove("KEEPFAST_REPOSITORY")
            .env_remove("KEEPFAST_PASSWORD")
            .arg("--config")
            .arg(self.path("keepfast.toml"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command().args(arguments).output().unwrap())
    }
}
