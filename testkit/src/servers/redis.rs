//! A real Redis server on a Unix socket and a port of loopback, with a data folder of its own.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, last_lines};

/// The user that Debian's package makes for the server.
const USER: &str = "redis";

/// A running server; it ends with this value, or with the test's process.
pub struct RedisServer {
    folder: Folder,
    settings: String,
    running: Mutex<Option<Kept>>,
}

impl RedisServer {
    /// Starts one with these lines of configuration, and waits until it answers. `FOLDER` in them is its folder.
    #[must_use]
    pub fn start(settings: &str) -> Self {
        let folder = Folder::new();
        let path = folder.path().display().to_string();
        let own = format!(
            "port {}\nbind 127.0.0.1\nunixsocket {path}/redis.sock\ndir {path}\nsave \"\"\nappendonly no\n\
             repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n",
            folder.first_port()
        );
        let settings = own + &settings.replace("FOLDER", &path);
        fs::write(folder.path().join("redis.conf"), &settings).expect("the configuration is written");
        let server = Self { folder, settings, running: Mutex::default() };
        server.start_process();
        server
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.folder.first_port()
    }

    /// What it answers to commands, a line each, given by its own client.
    #[must_use]
    pub fn ask(&self, commands: &str) -> String {
        let input = self.folder.path().join("commands");
        fs::write(&input, commands).expect("commands are written");
        let mut client = self.client();
        client.stdin(fs::File::open(input).expect("commands are there"));
        let output = client.output().expect("the client starts");
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Its own client, connected by the socket.
    #[must_use]
    pub fn client(&self) -> Command {
        let mut client = Command::new("redis-cli");
        client.arg("-s").arg(self.socket());
        if let Some(password) = self.settings.lines().find_map(|line| line.strip_prefix("requirepass ")) {
            client.env("REDISCLI_AUTH", password);
        }
        client
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.folder.path().join("log"))
    }

    fn start_process(&self) {
        let mut command = Command::new("redis-server");
        if rustix::process::geteuid().is_root() {
            give_to_redis(self.folder.path());
            command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
            command.args(["--pdeathsig", "KILL", "--", "redis-server"]);
        }
        command.arg(self.folder.path().join("redis.conf"));
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = running.insert(Kept::start(command, &self.folder.path().join("log")));
        let begun = Instant::now();
        // A user without rights gets an answer, too.
        while !self.client().arg("PING").output().is_ok_and(|output| output.status.success()) {
            assert!(!kept.has_ended(), "Redis ended while it started\n{}", self.log());
            assert!(begun.elapsed() < START_MAX, "Redis doesn't answer\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its server says")]
            {
                eprintln!("---- the end of Redis's log ----\n{}", self.log());
            }
        }
    }
}

/// The server's folder and all in it belong to the server's user, as the system's list of users has it.
fn give_to_redis(folder: &Path) {
    let users = fs::read_to_string("/etc/passwd").expect("the system's users can be read");
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let user = users.lines().map(fields).find(|fields| fields[0] == USER);
    let user = user.unwrap_or_else(|| panic!("there is no user {USER}: run scripts/setup.sh"));
    let number = |field: usize| user[field].parse::<u32>().expect("the system's users have numbers");
    let files = fs::read_dir(folder).expect("the folder can be read").flatten().map(|file| file.path());
    for path in files.chain([folder.to_owned()]) {
        chown(path, Some(number(2)), Some(number(3))).expect("root may give a folder away");
    }
}
