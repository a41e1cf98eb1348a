//! A real MariaDB server on a Unix socket, with a data folder of its own. Nothing of it survives a loss of power, which
//! makes it fast; it does survive being killed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, last_lines};

/// The user that the server belongs to when root runs tests; Debian's package makes it.
const USER: &str = "mysql";

/// A running server; it ends with this value, or with the test's process.
pub struct MariaDbServer {
    folder: Folder,
    settings: Vec<String>,
    running: Mutex<Option<Kept>>,
}

impl MariaDbServer {
    /// Starts one that no other test uses, and waits until it answers. It has a binary log with rows.
    #[must_use]
    pub fn start() -> Self {
        Self::of(&["--log-bin=binlog", "--binlog-format=ROW", "--server-id=7"])
    }

    /// Starts one with these arguments.
    #[must_use]
    pub fn of(settings: &[&str]) -> Self {
        let folder = Folder::new();
        if let Some((user, group)) = Self::account() {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let server = Self { folder, settings, running: Mutex::default() };
        // A server that starts removes others' temporary tables from the folder that is used for them.
        let temporary = server.temporary();
        fs::create_dir(&temporary).expect("a folder for temporary tables");
        if let Some((user, group)) = Self::account() {
            chown(&temporary, Some(user), Some(group)).expect("root may give a folder away");
        }
        server.make_data();
        server.start_process();
        server
    }

    /// A server's first files take a second, so that they are made once for each version, and copied.
    fn make_data(&self) {
        let program =
            fs::metadata(installed("mariadbd")).expect("MariaDB is installed: run scripts/setup.sh");
        let user = rustix::process::geteuid().as_raw();
        let all = self.folder.path().parent().expect("a folder of all servers");
        let first = all.join(format!("mariadb.{user}.{}", program.mtime()));
        if !first.exists() {
            self.install();
            let made = all.join(format!("mariadb.{user}.new.{}", std::process::id()));
            copy(&self.data(), &made);
            // Another process may have been faster.
            if fs::rename(&made, &first).is_err() {
                let _ = fs::remove_dir_all(&made);
            }
            return;
        }
        copy(&first, &self.data());
    }

    fn install(&self) {
        let mut install = self.command("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.args(["--skip-name-resolve", "--innodb-flush-method=nosync", "--innodb-log-file-size=16M"]);
        install.args(self.folder_arguments()).env("TMPDIR", self.temporary());
        let output = install.output().expect("the program starts");
        assert!(output.status.success(), "{output:?}");
    }

    /// Its socket. It listens on nothing else.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A user that may do everything, and needs no password.
    #[must_use]
    pub fn user(&self) -> &'static str {
        "root"
    }

    /// Whom servers run as, by the numbers of user and group; none if tests aren't run by root.
    #[must_use]
    pub fn account() -> Option<(u32, u32)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("the system's users can be read");
        let user = users.lines().find(|line| line.starts_with(&format!("{USER}:")));
        let user = user.unwrap_or_else(|| panic!("there is no user {USER}: run scripts/setup.sh"));
        let number = |field: usize| {
            let number = user.split(':').nth(field).and_then(|field| field.parse::<u32>().ok());
            number.expect("the system's users have numbers")
        };
        Some((number(2), number(3)))
    }

    /// Runs statements, and returns what they answer: a line for each row, with tabs between its fields.
    pub fn query(&self, sql: &str) -> String {
        let output = self.client(sql);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs statements until one fails; returns whether none has.
    pub fn accepts(&self, sql: &str) -> bool {
        self.client(sql).status.success()
    }

    /// Kills it at once (SIGKILL), with all its connections.
    pub fn kill(&self) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Starts it again after [`Self::kill`] (or kills it first) where it was, with what it had stored, and waits until it
    /// answers.
    pub fn restart(&self) {
        self.kill();
        self.start_process();
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.folder.path().join("log"))
    }

    fn client(&self, sql: &str) -> Output {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root", "--protocol=socket", "--batch", "--skip-column-names"]);
        client.args(["--binary-mode", "--comments", "--default-character-set=utf8mb4"]);
        client.arg(format!("--socket={}", self.socket().display()));
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().expect("the client starts");
        let mut input = client.stdin.take().expect("it has a pipe");
        let sql = sql.to_owned();
        // A client that has failed reads no more.
        let feeding = std::thread::spawn(move || drop(input.write_all(sql.as_bytes())));
        let output = client.wait_with_output().expect("the client ends");
        feeding.join().expect("the thread ends");
        output
    }

    fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    fn folder_arguments(&self) -> [String; 2] {
        let (data, temporary) = (self.data(), self.temporary());
        [format!("--datadir={}", data.display()), format!("--tmpdir={}", temporary.display())]
    }

    fn start_process(&self) {
        let mut command = self.command("mariadbd");
        command.arg("--no-defaults").args(self.folder_arguments());
        command.arg(format!("--socket={}", self.socket().display()));
        command.arg(format!("--pid-file={}", self.folder.path().join("pid").display()));
        command.args(["--skip-networking", "--innodb-buffer-pool-size=32M", "--innodb-flush-method=nosync"]);
        command.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--max-allowed-packet=256M",
        ]);
        command.arg("--innodb-log-file-size=16M").args(&self.settings);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = running.insert(Kept::start(command, &self.folder.path().join("log")));
        let begun = Instant::now();
        while !self.accepts("SELECT 1;") {
            assert!(!kept.has_ended(), "MariaDB ended while it started\n{}", self.log());
            assert!(begun.elapsed() < START_MAX, "MariaDB doesn't answer\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }

    /// One of its programs, as its user.
    fn command(&self, program: &str) -> Command {
        let program = installed(program);
        let mut command = if Self::account().is_some() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
            // Another user's process forgets the signal that it was to get.
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The test's own folder may be closed to that user.
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for MariaDbServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its server says")]
            {
                eprintln!("---- the end of MariaDB's log ----\n{}", self.log());
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let mut command = Command::new("cp");
    command.args(["--archive", "--sparse=always"]).arg(from).arg(to);
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
}

/// Debian has the server where not every user's path leads.
fn installed(program: &str) -> PathBuf {
    let system = Path::new("/usr/sbin").join(program);
    if system.exists() { system } else { PathBuf::from(program) }
}
