//! What goes wrong while a dump or a restore runs: an error that names the cause, soon, and no program that is left.

use std::fs;
use std::io::{self, Read};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use keepfast_process::Cancel;
use keepfast_sources::context::Context;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{dump, restore};
use keepfast_sources::error::SourceError;
use keepfast_sources::files::{FileOf, Files, FolderFiles};
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_sources::sink::{Attributes, NewFile, Sink};
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, address, address_of, files};

/// Calls a function once this many bytes of a dump have come, and goes on as it says.
struct At<'a> {
    bytes: u64,
    act: &'a (dyn Fn() -> io::Result<()> + Sync),
    done: Mutex<u64>,
}

impl Sink for At<'_> {
    fn file(&self, _: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        let mut buffer = vec![0; 64 << 10];
        let mut all = 0;
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                return Ok(all);
            }
            all += u64::try_from(count).expect("a number");
            let mut done = self.done.lock().expect("no panic");
            let before = *done;
            *done += u64::try_from(count).expect("a number");
            if before < self.bytes && *done >= self.bytes {
                (self.act)()?;
            }
        }
    }

    fn folder(&self, _: &str, _: Attributes) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _: &str, _: &str, _: Attributes) -> io::Result<()> {
        Ok(())
    }
}

/// Processes whose arguments name something, with all that others may read of them.
fn processes(named: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
    let of_user = all.filter_map(|path| {
        let arguments = fs::read_to_string(path.join("cmdline")).ok()?.replace('\0', " ");
        let variables = fs::read_to_string(path.join("environ")).unwrap_or_default().replace('\0', " ");
        let is_program = arguments.starts_with("/usr/bin/mariadb") && arguments.contains(named);
        is_program.then(|| format!("{arguments} {variables}"))
    });
    of_user.collect()
}

/// A server with a large table, 60 MB of dump.
fn large() -> MariaDbServer {
    let server = MariaDbServer::start();
    server.query(
        "CREATE DATABASE shop; USE shop; CREATE TABLE shop.large (id INT PRIMARY KEY, text LONGTEXT);
         INSERT INTO shop.large SELECT seq, REPEAT('x', 20000) FROM seq_1_to_3000;
         CREATE USER backup@localhost IDENTIFIED BY 'correct-horse-battery'; GRANT ALL ON *.* TO backup@localhost;",
    );
    server
}

fn dump_at(
    server: &MariaDbServer,
    context: &Context<'_>,
    act: &(dyn Fn() -> io::Result<()> + Sync),
) -> SourceError {
    let sink = At { bytes: 5 << 20, act, done: Mutex::new(0) };
    let from = address_of(server, "backup", "correct-horse-battery");
    let begun = Instant::now();
    let failed = dump(&from, &DumpOptions::default(), &sink, context).expect_err("it fails");
    assert!(begun.elapsed() < Duration::from_secs(30), "{failed} came late");
    assert!(*sink.done.lock().expect("no panic") >= 5 << 20, "it failed before: {failed}");
    failed
}

/// A dump whose store is full, that is cancelled, whose program is killed, and whose server is killed.
#[test]
fn a_dump_that_can_t_go_on_fails_and_leaves_no_program() {
    let server = large();
    let lab = Lab::new();
    let context = lab.context();
    let full = dump_at(&server, &context, &|| Err(io::Error::from(io::ErrorKind::StorageFull)));
    assert!(matches!(full, SourceError::Transfer { .. }) && full.to_string().contains("large.sql"), "{full}");

    let seen = Mutex::new(Vec::new());
    let killed = dump_at(&server, &context, &|| {
        let mut seen = seen.lock().expect("no panic");
        *seen = processes("--single-transaction");
        let program = "mariadb-dump.*--single-transaction";
        let pattern = format!("{program}.*shop");
        let pids = std::process::Command::new("pgrep")
            .args(["-P", &std::process::id().to_string(), "-f"])
            .arg(&pattern)
            .output()?;
        let pid = String::from_utf8_lossy(&pids.stdout).trim().to_owned();
        assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status()?.success(), "{pid}");
        Ok(())
    });
    assert!(killed.to_string().contains("mariadb-dump has failed (signal: 9"), "{killed}");
    let seen = seen.into_inner().expect("no panic");
    assert!(!seen.is_empty(), "the program was looked at");
    assert!(seen.iter().all(|shown| !shown.contains("correct-horse")), "{seen:?}");

    let cancel = context.cancel.clone();
    let cancelled = dump_at(&server, &context, &|| {
        cancel.cancel();
        Ok(())
    });
    assert!(matches!(cancelled, SourceError::Cancelled), "{cancelled}");

    let dead = dump_at(&server, &Context { cancel: Cancel::new(), ..lab.context() }, &|| {
        server.kill();
        Ok(())
    });
    assert!(
        dead.to_string().contains("mariadb-dump has failed") && dead.to_string().contains("large"),
        "{dead}"
    );
    let mine = server.socket().display().to_string();
    assert!(processes(&mine).is_empty(), "{:?}", processes(&mine));
}

/// A table that is changed under a dump is named.
#[test]
fn a_table_that_is_altered_under_a_dump_is_named() {
    let server = large();
    server.query("CREATE TABLE shop.later (a INT); INSERT INTO shop.later VALUES (1);");
    let lab = Lab::new();
    let altered = dump_at(&server, &lab.context(), &|| {
        server.query("ALTER TABLE shop.later ADD COLUMN b INT FIRST, ALGORITHM=COPY;");
        Ok(())
    });
    let text = altered.to_string();
    assert!(text.contains("later") && text.contains("definition has changed"), "{text}");
}

/// Gives files whose reading fails after some bytes, or acts then.
struct Failing<'a> {
    files: FolderFiles,
    act: &'a (dyn Fn() -> io::Result<()> + Sync),
}

impl Files for Failing<'_> {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        self.files.list()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let file = self.files.open(path)?;
        if !path.ends_with("large.sql") {
            return Ok(file);
        }
        let left = 20 << 20;
        Ok(Box::new(Late { file, left, act: Some(self.act) }))
    }
}

struct Late<'a> {
    file: Box<dyn Read + Send + 'a>,
    left: u64,
    act: Option<&'a (dyn Fn() -> io::Result<()> + Sync)>,
}

impl Read for Late<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.left = self.left.saturating_sub(u64::try_from(count).expect("a number"));
        if self.left == 0
            && let Some(act) = self.act.take()
        {
            act()?;
        }
        Ok(count)
    }
}

/// A restore whose dump can't be read, that the server refuses, that is cancelled, and whose server is killed.
#[test]
fn a_restore_that_can_t_go_on_fails_and_says_what_is_incomplete() {
    let server = large();
    let lab = Lab::new();
    let (_, folder) = lab.dump(&address(&server).with_database("shop"), "dump");
    let to = address(&server).with_database("copy");
    let attempt = |act: &(dyn Fn() -> io::Result<()> + Sync), context: &Context<'_>| {
        let options = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
        let begun = Instant::now();
        let failed =
            restore(&Failing { files: files(&folder), act }, &to, &options, context).expect_err("it fails");
        assert!(begun.elapsed() < Duration::from_secs(30), "{failed} came late");
        failed
    };
    let damaged = attempt(&|| Err(io::Error::other("its checksum is wrong")), &lab.context());
    assert!(matches!(damaged, SourceError::Transfer { .. }), "{damaged}");
    assert!(damaged.to_string().contains("large.sql: its checksum is wrong"), "{damaged}");

    let context = lab.context();
    let cancelled = attempt(
        &|| {
            context.cancel.cancel();
            Ok(())
        },
        &context,
    );
    assert!(matches!(cancelled, SourceError::Cancelled), "{cancelled}");

    // A statement that fails is told with its file and line.
    let again = Lab::new();
    let table = folder.join("databases/shop/tables/large.sql");
    let text = fs::read_to_string(&table).expect("a file");
    let broken = text.replacen("(2,'", "(none,'", 1);
    assert_ne!(broken, text);
    fs::write(&table, broken).expect("it is written");
    let refused = attempt(&|| Ok(()), &again.context()).to_string();
    assert!(
        refused.contains("Unknown column") && refused.contains("databases/shop/tables/large.sql"),
        "{refused}"
    );
    assert!(refused.contains("incomplete"), "{refused}");

    // Rows that are missing from a file are counted.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("(5,'")).collect();
    fs::write(&table, lines.join("\n") + "\n").expect("it is written");
    let options = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
    let report = restore(&files(&folder), &to, &options, &again.context()).expect("it is restored");
    let wrong: Vec<_> = report.checks.iter().filter(|check| !check.is_right).collect();
    assert_eq!((wrong.len(), wrong[0].found.as_str()), (1, "2999"), "{wrong:?}");

    fs::write(&table, text).expect("it is written");
    let dead = attempt(
        &|| {
            server.kill();
            Ok(())
        },
        &again.context(),
    );
    assert!(dead.to_string().contains("ERROR "), "{dead}");
}
