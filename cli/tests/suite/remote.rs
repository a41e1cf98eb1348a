//! Runs the program against a repository in a bucket of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use keepfast_backend::{RunLink, S3Backend, S3Credentials, S3Options, S3Store};
use keepfast_testkit::proxy::Proxy;
use keepfast_testkit::servers::{Kind, Server};
use keepfast_testkit::tree::noise;
use serde_json::Value;

use crate::program::{Desk, Run, same};

/// A source and a cache here, a bucket there.
pub struct Remote {
    pub desk: Desk,
    pub server: Server,
    pub bucket: String,
}

impl Remote {
    pub fn on(kind: Kind) -> Self {
        let server = Server::start(kind);
        let bucket = server.bucket();
        let desk = Desk::bare();
        fs::create_dir(desk.src("docs")).unwrap();
        fs::write(desk.src("a.txt"), "one").unwrap();
        fs::write(desk.src("docs/b.txt"), "two".repeat(10_000)).unwrap();
        fs::write(desk.src("noise.bin"), noise(1, 3 << 20)).unwrap();
        std::os::unix::fs::symlink("a.txt", desk.src("link")).unwrap();
        Self { desk, server, bucket }
    }

    pub fn command(&self) -> Command {
        let mut command = self.desk.command();
        command
            .env("KEEPFAST_REPOSITORY", format!("s3://{}/some/prefix", self.bucket))
            .envs(self.server.environment(&self.server.endpoint()));
        command
    }

    /// As [`Self::command`], by way of a proxy.
    pub fn command_through(&self, proxy: &Proxy) -> Command {
        let mut command = self.command();
        command.envs(self.server.environment(&proxy.endpoint()));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command().args(arguments).output().unwrap())
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let run = Run::of(self.command().arg("--json").args(arguments).output().unwrap()).succeeds();
        serde_json::from_str(&run.out).unwrap()
    }

    pub fn source(&self) -> String {
        self.desk.path("src").display().to_string()
    }

    pub fn restores_identical(&self) -> bool {
        let target = tempfile::tempdir_in(self.desk.folder.path()).unwrap();
        let snapshot = format!("latest:{}", self.source());
        self.run(&["restore", "--snapshot", &snapshot, "--target", path(target.path())]).succeeds();
        same(&self.desk.path("src"), target.path())
    }

    pub fn is_sound(&self) -> bool {
        let check = self.run(&["check", "--read-data"]).succeeds();
        check.out.contains("no damage found")
    }

    pub fn store(&self) -> S3Backend {
        let options = S3Options {
            endpoint: Some(self.server.endpoint()),
            region: Some(self.server.region().to_owned()),
            credentials: Some(S3Credentials {
                access_key: self.server.access_key().to_owned(),
                secret_key: self.server.secret_key().to_owned(),
                session_token: None,
            }),
            ..S3Options::new(&self.bucket, "some/prefix", Instant::now)
        };
        S3Store::connect(options).unwrap().for_run(RunLink::default())
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
