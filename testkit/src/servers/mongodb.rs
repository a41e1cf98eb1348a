//! A server that speaks like MongoDB, on a port of loopback, with a data folder of its own. The real one isn't in any
//! registry; this one is slow, so tests have few documents.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, installed, last_lines};

/// A running server; it ends with this value, or with the test's process.
pub struct MongoServer {
    folder: Folder,
    running: Mutex<Option<Kept>>,
}

impl MongoServer {
    /// Starts one, and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        let server = Self { folder: Folder::new(), running: Mutex::default() };
        server.start_process(&[]);
        server
    }

    /// Starts it again, so that it lets in those alone who say their password.
    pub fn require_passwords(&self) {
        self.kill();
        self.start_process(&["--auth"]);
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.folder.first_port()
    }

    /// Runs a script with the makers' client for Python, connected as `client`; returns what it prints.
    #[must_use]
    pub fn script(&self, script: &str) -> String {
        let output = self.python(script).output().expect("Python starts");
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.path("log"))
    }

    fn python(&self, script: &str) -> Command {
        let mut command = Command::new(installed("databases/bin/python"));
        let connect = format!(
            "import pymongo\nclient = pymongo.MongoClient('127.0.0.1', {}, directConnection=True)\n",
            self.port()
        );
        command.arg("-c").arg(connect + script);
        command
    }

    fn start_process(&self, arguments: &[&str]) {
        let data = self.path("data");
        fs::create_dir_all(&data).expect("the data folder is made");
        let mut command = Command::new(installed("databases/bin/secantusd-py"));
        command.args(["--host", "127.0.0.1", "--port", &self.port().to_string(), "--storage-path"]);
        command.arg(data).args(["--log-level", "WARNING"]).args(arguments);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = running.insert(Kept::start(command, &self.path("log")));
        let begun = Instant::now();
        loop {
            let mut ping = self.python("client.admin.command('ping')");
            if ping.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success()) {
                return;
            }
            assert!(!kept.has_ended(), "the server ended while it started\n{}", self.log());
            assert!(begun.elapsed() < START_MAX, "the server doesn't answer\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its server says")]
            {
                eprintln!("---- the end of the server's log ----\n{}", self.log());
            }
        }
    }
}
