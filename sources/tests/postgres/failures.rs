//! Dumps and restores that can't be finished: they say why, at once, and lose nothing.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keepfast_process::Cancel;
use keepfast_sources::SourceError;
use keepfast_sources::context::Progress;
use keepfast_sources::dump::{DumpOptions, dump};
use keepfast_sources::files::{FileOf, Files, FolderFiles};
use keepfast_sources::restore::{Existing, RestoreOptions, restore};
use keepfast_sources::sink::{Attributes, NewFile, Sink};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, error_of};

/// Takes this many bytes, then does something else with the file.
struct Limited<'a> {
    left: AtomicU64,
    then: Box<dyn Fn() -> io::Result<()> + Sync + 'a>,
}

impl<'a> Limited<'a> {
    fn new(bytes: u64, then: impl Fn() -> io::Result<()> + Sync + 'a) -> Self {
        Self { left: AtomicU64::new(bytes), then: Box::new(then) }
    }
}

impl Sink for Limited<'_> {
    fn file(&self, _: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        let mut buffer = vec![0; 16 << 10];
        let mut bytes = 0;
        loop {
            let count = content.read(&mut buffer)? as u64;
            if count == 0 {
                return Ok(bytes);
            }
            bytes += count;
            if self.left.fetch_sub(count.min(self.left.load(Ordering::SeqCst)), Ordering::SeqCst) <= count {
                (self.then)()?;
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

/// A dump in which a file ends early, as if its end had never been written.
struct Short(FolderFiles, &'static str);

impl Files for Short {
    fn list(&self) -> io::Result<Vec<FileOf>> {
        self.0.list()
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        let file = self.0.open(path)?;
        if path.ends_with(self.1) {
            // The last of the rows is cut off at its beginning.
            let mut text = String::new();
            file.take(1 << 30).read_to_string(&mut text)?;
            let lines: Vec<&str> = text.lines().collect();
            let kept = lines[..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect::<String>();
            return Ok(Box::new(io::Cursor::new(kept.into_bytes())));
        }
        Ok(file)
    }
}

fn filled(lab: &Lab) -> String {
    let shop = lab.server.database();
    lab.server.execute(
        &shop,
        "CREATE TABLE big (n integer PRIMARY KEY, x text); INSERT INTO big SELECT n, repeat('x', 500) FROM generate_series(1, 40000) n;
        CREATE TABLE small (n integer); INSERT INTO small VALUES (1), (2)",
    );
    shop
}

/// Sessions of ours that the server has, once those that end have had a moment for it.
fn sessions_left(lab: &Lab) -> String {
    let begun = Instant::now();
    loop {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keepfast'";
        let count = lab.server.query("postgres", sql);
        if count == "0" || begun.elapsed() > Duration::from_secs(10) {
            return count;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_dump_that_can_not_go_on_says_why_and_leaves_no_one_behind() {
    let lab = Lab::of(PostgresVersion::Debian);
    let shop = filled(&lab);
    let options = DumpOptions { parallel: 4.try_into().expect("not zero"), ..DumpOptions::default() };

    let full = Limited::new(1 << 20, || Err(io::Error::from(io::ErrorKind::StorageFull)));
    let (error, text) = error_of(dump(&lab.address(&shop), &options, &full, &lab.context()));
    assert!(
        matches!(error, SourceError::Transfer { .. })
            && text.contains("public.big")
            && text.contains("no storage space"),
        "{text}"
    );
    assert_eq!(sessions_left(&lab), "0");

    let cancel = Cancel::new();
    let other = cancel.clone();
    let cancelling = Limited::new(1 << 20, move || {
        other.cancel();
        Ok(())
    });
    let mut context = lab.context();
    context.cancel = cancel;
    let (error, _) = error_of(dump(&lab.address(&shop), &options, &cancelling, &context));
    assert!(matches!(error, SourceError::Cancelled), "{error}");
    assert_eq!(sessions_left(&lab), "0");

    let (error, text) = error_of(dump(&lab.address("nowhere"), &options, &full, &lab.context()));
    assert!(
        matches!(error, SourceError::Connect { .. }) && text.contains("\"nowhere\" does not exist"),
        "{text}"
    );

    let killing = Limited::new(1 << 20, || {
        lab.server.kill();
        Ok(())
    });
    let (error, text) = error_of(dump(&lab.address(&shop), &options, &killing, &lab.context()));
    // Which of its connections notices first is left to chance.
    assert!(matches!(error, SourceError::Server { .. } | SourceError::Connect { .. }), "{text}");
    lab.server.restart();
}

#[test]
fn a_restore_that_fails_or_is_cancelled_leaves_what_was_there() {
    let lab = Lab::of(PostgresVersion::Debian);
    let shop = filled(&lab);
    lab.dump(&lab.address(&shop), &DumpOptions::default(), "dump").expect("a dump");
    lab.server.execute(&shop, "CREATE TABLE later (x integer); UPDATE small SET n = 7");
    let replacing = RestoreOptions { existing: Existing::Replace, ..RestoreOptions::default() };
    let is_as_before = |what: &str| {
        assert_eq!(lab.server.query(&shop, "SELECT min(n) FROM small"), "7", "{what}");
        let left =
            lab.server.query("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE '%keepfast-%'");
        assert_eq!(left, "0", "{what}");
    };

    let short = Short(lab.files("dump"), "public.big");
    let (error, text) = error_of(restore(&short, &lab.address(&shop), &replacing, &lab.context()));
    assert!(
        matches!(error, SourceError::Dump { .. }) && text.contains("39999 rows") && text.contains("40000"),
        "{text}"
    );
    is_as_before("a short file");

    let cancel = Cancel::new();
    let hears = |progress: Progress<'_>| {
        if progress.phase == "tables" {
            cancel.cancel();
        }
    };
    let mut context = lab.context_with(&hears);
    context.cancel = cancel.clone();
    let (error, _) = error_of(restore(&lab.files("dump"), &lab.address(&shop), &replacing, &context));
    assert!(matches!(error, SourceError::Cancelled), "{error}");
    is_as_before("a cancelled restore");

    lab.restore("dump", &lab.address(&shop), &replacing).expect("a restore");
    assert_eq!(lab.server.query(&shop, "SELECT min(n), to_regclass('later') IS NULL FROM small"), "1|t");
}
