//! The log of PostgreSQL by the command line: archived by a server, shipped, looked at, and restored to a moment.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepfast_testkit::servers::{PostgresServer, PostgresVersion};
use serde_json::Value;

use crate::program::{Desk, Run};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: &str = r#"SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;

/// A server that archives by the program, in a folder that its user owns.
struct Archiving {
    desk: Desk,
    server: PostgresServer,
}

impl Archiving {
    fn new() -> Self {
        let server = PostgresServer::of(
            PostgresVersion::Debian,
            &[
                "wal_level=replica",
                "archive_mode=on",
                // The working directory is that of the data.
                "archive_command=../keepfast wal push --spool ../spool %p",
                "full_page_writes=on",
                "min_wal_size=32MB",
                "max_wal_size=1GB",
            ],
        );
        let archiving = Self { desk: Desk::new(), server };
        // A copy of the program where the server's user may run it.
        fs::copy(env!("CARGO_BIN_EXE_keepfast"), archiving.path("keepfast")).unwrap();
        archiving.execute("CREATE TABLE t (id bigserial PRIMARY KEY, note text NOT NULL)");
        archiving
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.socket().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn execute(&self, sql: &str) {
        self.server.execute("postgres", sql);
    }

    fn query(&self, sql: &str) -> String {
        self.server.query("postgres", sql)
    }

    fn note(&self, note: &str) {
        self.execute(&format!("INSERT INTO t (note) VALUES ('{note}')"));
    }

    /// Ends the segment that is written, waits until the server has archived it, and ships it; returns its name.
    fn ship(&self) -> String {
        let segment = self.query("SELECT pg_walfile_name(pg_switch_wal())");
        let begun = Instant::now();
        while self.query("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < segment {
            assert!(begun.elapsed() < PATIENCE, "{segment} isn't archived");
            std::thread::sleep(Duration::from_millis(50));
        }
        let shipped =
            self.desk.run(["--json", "wal", "ship", "--spool", &self.text("spool"), "shop"]).succeeds();
        let report: Value = serde_json::from_str(&shipped.out).unwrap();
        assert!(report["snapshot"].is_string() && report["files"].as_u64() >= Some(1), "{report}");
        segment
    }

    fn status(&self, code: i32) -> Value {
        let run = self.desk.run(["--json", "wal", "status", "--spool", &self.text("spool"), "shop"]);
        assert_eq!(run.code, code, "{run:?}");
        serde_json::from_str(&run.out).unwrap()
    }

    /// Snapshots of the log, the oldest first.
    fn logs(&self) -> Vec<String> {
        let listed = self.desk.run(["snapshots", "--json", "--tag", "wal:shop"]).succeeds();
        let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
        listed.iter().map(|snapshot| snapshot["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The copy of the program, with a password that the server's user can read.
    fn copied_program(&self) -> Command {
        fs::write(self.path("password"), "correct horse\n").unwrap();
        let data = fs::metadata(self.server.data()).unwrap();
        chown(self.path("password"), Some(data.uid()), Some(data.gid())).unwrap();
        let mut command = Command::new(self.path("keepfast"));
        // The home directory of the test isn't one of the server's user.
        command.env_clear().env("PATH", "/usr/bin:/bin").arg("--no-cache");
        command.arg("--repo").arg(self.desk.repo()).arg("--password-file").arg(self.path("password"));
        command
    }
}

/// A server that was started in a restored folder.
struct Restored<'a> {
    archiving: &'a Archiving,
    data: PathBuf,
}

impl<'a> Restored<'a> {
    fn start(archiving: &'a Archiving, data: &Path) -> Self {
        // The server's user reads the repository.
        let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(archiving.desk.folder.path()).status();
        assert!(opened.unwrap().success());
        let restored = Self { archiving, data: data.to_owned() };
        let socket = archiving.server.socket().display();
        let options = format!("-p {} -k {socket} -c listen_addresses= -c hot_standby=off", restored.port());
        restored.control(&["-w", "-t", "60", "-l", &archiving.text("restored.log"), "-o", &options, "start"]);
        restored
    }

    fn port(&self) -> u16 {
        self.archiving.server.port() + 1
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = self.archiving.server.command("pg_ctl");
        // What it starts keeps a pipe open.
        command.arg("-D").arg(&self.data).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let log = || fs::read_to_string(self.archiving.path("restored.log")).unwrap_or_default();
        assert!(command.status().unwrap().success(), "{arguments:?}: {}", log());
    }

    fn query(&self, sql: &str) -> String {
        let place = format!(
            "host={} port={} user=postgres dbname=postgres",
            self.archiving.server.socket().display(),
            self.port()
        );
        let begun = Instant::now();
        loop {
            let mut command = self.archiving.server.command("psql");
            command.args([
                "--no-psqlrc",
                "--no-align",
                "--tuples-only",
                "--dbname",
                &place,
                "--command",
                sql,
            ]);
            let run = Run::of(command.output().unwrap());
            // It takes connections when it has come to the moment.
            let is_early = run.code == 2 && run.err.contains("not accepting connections");
            if !is_early || begun.elapsed() > PATIENCE {
                return run.succeeds().out.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        let mut command = self.archiving.server.command("pg_ctl");
        command.arg("-D").arg(&self.data).args(["-m", "immediate", "-w", "stop"]);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_server_is_restored_to_a_moment_from_its_log_and_what_is_missing_is_told() {
    let lab = Archiving::new();
    let desk = &lab.desk;
    let spool = lab.text("spool");
    lab.note("first");
    lab.ship();
    let address = format!(
        "postgres://postgres@localhost:{}?socket={}",
        lab.server.port(),
        lab.server.socket().display()
    );
    desk.run(["backup", "--source", &address, "--source-physical", "--source-name", "base"]).succeeds();
    // The moment of a base backup is rounded up to a second.
    lab.execute("SELECT pg_sleep(1)");
    lab.note("before");
    let time = lab.query(NOW);
    lab.note("after");
    lab.ship();
    lab.note("middle");
    let middle = lab.ship();
    lab.note("last");
    let last = lab.ship();

    // Nothing waits, so that nothing is stored.
    let nothing = desk.run(["wal", "ship", "--spool", &spool, "shop"]).succeeds();
    assert!(nothing.out.contains("nothing"), "{}", nothing.out);
    assert_eq!(lab.logs().len(), 4);
    let status = lab.status(0);
    assert_eq!((&status["gaps"], &status["waiting_bytes"]), (&Value::Array(Vec::new()), &0.into()));
    assert_eq!(status["newest"], last.as_str(), "{status}");
    assert_eq!(status["bases"][0]["folder"], "base", "{status}");

    // Only what lies before the base backup goes.
    let expired = |arguments: &[&str]| -> Value {
        let run = desk.run([&["--json", "wal", "expire", "shop"], arguments].concat()).succeeds();
        serde_json::from_str(&run.out).unwrap()
    };
    let oldest = &lab.logs()[0];
    for arguments in [&["--dry-run"][..], &[]] {
        let report = expired(arguments);
        let forgotten = report["forgotten"].as_array().unwrap();
        assert_eq!(forgotten.len(), 1, "{report}");
        assert!(oldest.contains(forgotten[0].as_str().unwrap()), "{oldest}: {report}");
    }
    assert_eq!(expired(&[])["forgotten"], Value::Array(Vec::new()));
    assert_eq!(lab.status(0)["snapshots"], 3);

    // A restore to a moment.
    let into = lab.text("restored");
    let restore = |arguments: &[&str]| {
        let mut command = lab.copied_program();
        command.args(["wal", "restore", "--into", &into, "shop"]).args(arguments);
        Run::of(command.output().unwrap())
    };
    let early = restore(&["--snapshot", "latest:/base", "--host", "nowhere"]);
    assert_eq!(early.code, 1, "{early:?}");
    let early = restore(&["--until", "2020-01-01T00:00:00Z"]);
    assert!(early.code != 0 && early.err.contains("the first moment that can be restored"), "{early:?}");
    let restored = restore(&["--until", &time]).succeeds();
    assert!(restored.out.contains("wal get") && restored.out.contains("PostgreSQL 15"), "{}", restored.out);
    let again = restore(&["--until", &time]);
    assert!(again.code == 1 && again.err.contains("isn't empty"), "{again:?}");
    {
        let copy = Restored::start(&lab, &lab.path("restored/data"));
        assert_eq!(copy.query("SELECT pg_is_in_recovery()"), "f");
        assert_eq!(copy.query("SELECT string_agg(note, ' ' ORDER BY id) FROM t"), "first before");
    }

    // A segment that is lost is told before someone needs it.
    let logs = lab.logs();
    desk.run(["forget", &logs[1]]).succeeds();
    let status = lab.status(3);
    let gaps = status["gaps"].as_array().unwrap();
    assert!(gaps.len() == 1 && gaps[0].as_str().unwrap().contains(&middle), "{status}");
    assert!(desk.is_sound());

    // Only what is surely not there may look to a server as if the log ended.
    let out = desk.path("segment").to_str().unwrap().to_owned();
    let get = |arguments: &[&str]| desk.run([&["wal", "get"], arguments].concat()).code;
    assert_eq!(get(&["shop", &last, &out]), 0);
    assert_eq!(fs::metadata(&out).unwrap().len(), 16 << 20);
    assert_eq!(get(&["shop", &middle, &out]), 1);
    assert_eq!(get(&["shop", "00000002.history", &out]), 1);
    assert_eq!(get(&["other", &last, &out]), 200, "a log that isn't there at all");
    assert_eq!(get(&["shop", &last, "/no/such/folder/x"]), 200);
    assert_eq!(get(&["--no-such-option", "shop", &last, &out]), 200);
    assert_eq!(get(&["--repo", "/no/such/repository", "shop", "00000002.history", &out]), 200);
}

#[test]
fn a_name_that_is_no_file_of_the_log_is_refused() {
    let desk = Desk::bare();
    let (file, spool) = (desk.src("notes"), desk.path("spool"));
    fs::write(&file, "no log").unwrap();
    let push = |file: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepfast"));
        // Neither a repository nor a password.
        command.env_clear().args(["wal", "push", "--spool"]).arg(&spool).arg(file);
        Run::of(command.output().unwrap())
    };
    push(&file).fails(1, &["isn't the name of a file of PostgreSQL's log"]);
    let segment = desk.src("000000010000000000000001");
    fs::write(&segment, vec![0; 1 << 20]).unwrap();
    push(&segment).fails(1, &["000000010000000000000001", "doesn't begin as a segment"]);
    desk.run(["wal", "status", "a/b"]).fails(2, &["can't name a log"]);
}
