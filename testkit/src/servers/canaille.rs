//! Canaille, a real server that keeps people and groups and signs them in by OpenID Connect. It keeps all in memory.

use std::process::Command;
use std::time::Instant;

use serde_json::json;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, http, installed, last_lines};

/// A program that relies on it.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name there.
    pub id: &'a str,
    /// And its password.
    pub secret: &'a str,
    /// To where browsers are sent back.
    pub redirect: &'a str,
    /// By what its ID tokens are signed: "RS256".
    pub algorithm: &'a str,
}

/// Someone who can sign in there.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The name.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// The groups.
    pub groups: &'a [&'a str],
}

/// A running server; it ends with this value, or with the test's process.
pub struct Canaille {
    /// Before the folder that it uses.
    _running: Kept,
    folder: Folder,
}

impl Canaille {
    /// Starts one that no other test uses, and waits until it answers.
    #[must_use]
    pub fn start(program: Program<'_>, members: &[Member<'_>]) -> Self {
        let folder = Folder::new();
        let port = folder.first_port();
        let people = members.iter().map(
            |member| json!({ "name": member.name, "password": member.password, "groups": member.groups }),
        );
        let Program { id, secret, redirect, algorithm } = program;
        let plan = json!({
            "port": port,
            "client": { "id": id, "secret": secret, "redirect": redirect, "algorithm": algorithm },
            "people": people.collect::<Vec<_>>(),
        });
        let mut command = Command::new(installed("python/bin/python"));
        command.args(["-c", include_str!("canaille.py"), &plan.to_string()]);
        let log = folder.path().join("log");
        let mut running = Kept::start(command, &log);
        let begun = Instant::now();
        while http::status(port, "GET", "/.well-known/openid-configuration", b"") != Some(200) {
            assert!(!running.has_ended(), "Canaille ended while it started\n{}", last_lines(&log));
            assert!(begun.elapsed() < START_MAX, "Canaille doesn't answer\n{}", last_lines(&log));
            std::thread::sleep(POLL);
        }
        Self { _running: running, folder }
    }

    /// What it calls itself: `http://127.0.0.1:PORT`
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.folder.first_port())
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.folder.path().join("log"))
    }
}
