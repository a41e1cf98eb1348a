//! Base backups.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_process::Cancel;
use keepfast_sources::SourceError;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::dump::{DumpOptions, Selection};
use keepfast_sources::engines::{boot, dump};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::{Form, Manifest};
use keepfast_sources::postgres::base::Base;
use keepfast_sources::postgres::physical::Target;
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, WatchedSink, account, contents, refusal};

const ALL: &str = "SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t";
const ALL_ELSEWHERE: &str = "SELECT count(*) || ' ' || sum(hashtext(e::text)) FROM elsewhere e";

/// A base backup that is made while rows are written, with a tablespace, becomes the same server again.
fn is_restored_with_what_came_after_it(version: PostgresVersion) {
    let lab = Lab::new(version);
    let fast = lab.folder("fast");
    lab.execute(&format!("CREATE TABLESPACE fast LOCATION '{}'", fast.display()));
    lab.execute(&format!("CREATE TABLESPACE empty LOCATION '{}'", lab.folder("empty").display()));
    lab.execute("CREATE TABLE elsewhere (id bigint, note text) TABLESPACE fast");
    lab.execute("CREATE UNLOGGED TABLE lost (id int); INSERT INTO lost VALUES (1)");
    lab.execute("ALTER SYSTEM SET archive_command = 'false'");
    lab.execute("ALTER SYSTEM SET work_mem = '7MB'");
    lab.note("before");
    let (is_over, is_busy) = (AtomicBool::new(false), AtomicBool::new(false));
    let (folder, manifest) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                lab.execute("INSERT INTO t (note, filler) SELECT i::text, repeat(md5(i::text), 4) FROM generate_series(1, 500) i");
                lab.execute("INSERT INTO elsewhere SELECT i, md5(i::text) FROM generate_series(1, 500) i");
                is_busy.store(true, Ordering::Relaxed);
            }
        });
        crate::lab::wait_until("rows are written", || is_busy.load(Ordering::Relaxed));
        let backup = lab.backup("base");
        is_over.store(true, Ordering::Relaxed);
        backup
    });
    lab.note("after");
    lab.execute("INSERT INTO elsewhere VALUES (0, 'after')");
    assert_eq!((manifest.form, manifest.engine), (Form::Physical, Engine::Postgres));
    let base = Base::of(&manifest).expect("all of it is said");
    assert_eq!(base.system.to_string(), lab.query("SELECT system_identifier FROM pg_control_system()"));
    assert_eq!(base.server, lab.query("SHOW server_version"));
    assert!(base.start < base.stop);
    assert_eq!(base.tablespaces.len(), 2);
    assert!(base.tablespaces.iter().any(|tablespace| tablespace.path == fast.display().to_string()));
    assert_eq!(
        Base::of(&Manifest::read(&FolderFiles::new(&folder)).expect("it is stored")).expect("and read"),
        base
    );

    let wal = FolderFiles::new(lab.ship("wal"));
    let files = || contents(&fast).into_keys().collect::<Vec<String>>();
    let before = files();
    let restored = lab.restore(&folder, &wal, "r", Target::End).expect("a server");
    assert_eq!(restored.query(ALL), lab.query(ALL));
    assert_eq!(restored.query(ALL_ELSEWHERE), lab.query(ALL_ELSEWHERE));
    assert_eq!(restored.notes(), "before after");
    assert_eq!(
        restored.query("SELECT count(*) FROM lost"),
        "0",
        "unlogged tables are empty, as they must be"
    );
    assert_eq!(restored.query("SELECT pg_is_in_recovery()"), "f");
    // It writes into a tablespace of its own, and into no archive.
    restored.query("CREATE TABLE more TABLESPACE fast AS SELECT 1");
    restored.query("CREATE TABLE first TABLESPACE empty AS SELECT 1");
    assert_eq!(files(), before, "nothing is written where the server has its own");
    let settings = fs::read_to_string(restored.laid_out.data.join("postgresql.auto.conf")).expect("settings");
    assert!(settings.contains("work_mem = '7MB'"), "{settings}");
    assert!(!settings.contains("archive_command"), "{settings}");
    assert_eq!(restored.query("SHOW archive_mode"), "off");
    assert!(restored.laid_out.warnings.iter().any(|text| text.contains("2 tablespaces")));
    // A base backup alone, without an archive, is whole as well.
    let nothing = FolderFiles::new(lab.folder("nothing"));
    drop(restored);
    let alone = lab.restore(&folder, &nothing, "a", Target::Consistent).expect("a server");
    assert_eq!(alone.notes(), "before");
}

#[test]
fn a_base_backup_is_restored_with_what_came_after_it_15() {
    is_restored_with_what_came_after_it(PostgresVersion::Debian);
}

#[test]
fn a_base_backup_is_restored_with_what_came_after_it_18() {
    is_restored_with_what_came_after_it(PostgresVersion::V18);
}

/// What doesn't change between two base backups has the same bytes, and tables are cut at their pages.
#[test]
fn a_second_base_backup_has_the_same_files_but_where_rows_changed() {
    let lab = Lab::new(PostgresVersion::Debian);
    lab.execute("INSERT INTO t (note, filler) SELECT i::text, repeat(md5(i::text), 8) FROM generate_series(1, 20000) i");
    lab.execute("VACUUM (FREEZE) t");
    let (first, _) = lab.backup("first");
    lab.execute("UPDATE t SET note = 'changed' WHERE id IN (5, 6, 7)");
    lab.execute("CHECKPOINT");
    let sink = WatchedSink {
        folder: FolderSink::new(lab.folder("second")),
        pages: Mutex::default(),
        before: &|_| Ok(()),
    };
    lab.backup_into(&sink).expect("a base backup");
    let table = lab.query("SELECT 'data/' || pg_relation_filepath('t')");
    let pages = sink.pages.into_inner().expect("a map");
    let page = NonZeroU32::new(8192);
    assert_eq!(pages[&table], page);
    assert_eq!(pages[&format!("{table}_vm")], page);
    assert!(pages.iter().any(|(path, bytes)| path.starts_with("data/global/") && *bytes == page));
    for path in
        ["data/PG_VERSION", "data/global/pg_control", "data/backup_label", "keepfast.json", "folders.json"]
    {
        assert_eq!(pages[path], None, "{path}");
    }
    let (first, second) = (contents(&first), contents(&lab.path("second")));
    let of_tables = |files: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        files.keys().filter(|path| path.starts_with("data/base/")).cloned().collect()
    };
    let all = of_tables(&first);
    let changed: Vec<&String> = all.iter().filter(|path| second.get(*path) != first.get(*path)).collect();
    assert!(all.len() > 800 && changed.len() < 20, "{} of {}: {changed:?}", changed.len(), all.len());
    let differ = |page: usize| {
        let range = page * 8192..(page + 1) * 8192;
        first[&table].get(range.clone()) != second[&table].get(range)
    };
    let count = (0..first[&table].len() / 8192).filter(|page| differ(*page)).count();
    assert!((1..=3).contains(&count), "{count} pages of the table differ");
}

#[test]
fn a_server_that_dies_and_a_full_disk_are_errors_that_say_so() {
    let lab = Lab::new(PostgresVersion::Debian);
    let sink = |name: &str, before| WatchedSink {
        folder: FolderSink::new(lab.folder(name)),
        pages: Mutex::default(),
        before,
    };
    let full = sink("full", &|path| {
        let is_late = path.starts_with("data/global/");
        if is_late { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    });
    let said = refusal(lab.backup_into(&full));
    assert!(said.starts_with("data/global/") && said.contains("no storage space"), "{said}");
    let cancel = Cancel::new();
    let cancels = |_: &str| {
        cancel.cancel();
        Ok(())
    };
    let cancelled = sink("cancelled", &cancels);
    let options = DumpOptions { physical: true, ..DumpOptions::default() };
    let ended = dump(&lab.address(), &options, &cancelled, &lab.context_of(&cancel));
    assert!(matches!(ended, Err(SourceError::Cancelled)), "{ended:?}");
    let kills = |_: &str| {
        lab.server.kill();
        Ok(())
    };
    let said = refusal(lab.backup_into(&sink("killed", &kills)));
    assert!(said.contains("the server has ended the connection"), "{said}");
    assert!(!lab.path("killed/keepfast.json").exists(), "what is half is no dump");
    let chosen = Selection { databases: vec!["postgres".to_owned()], ..Selection::default() };
    let chosen = DumpOptions { selection: chosen, ..options };
    let said = refusal(dump(&lab.address(), &chosen, &FolderSink::new(lab.folder("chosen")), &lab.context()));
    assert!(said.contains("a physical backup has all of a server"), "{said}");
    let said = refusal(lab.backup_into(&FolderSink::new(lab.folder("away"))));
    assert!(said.contains("can't connect"), "{said}");
}

/// A drill's server: it runs, and pages that were damaged are found.
#[test]
fn a_drill_boots_a_server_and_finds_a_damaged_page() {
    let lab = Lab::new(PostgresVersion::V18);
    lab.execute("INSERT INTO t (note) SELECT i::text FROM generate_series(1, 5000) i; CHECKPOINT");
    // As servers are that were made by another user than `postgres`.
    lab.execute("CREATE ROLE boss SUPERUSER LOGIN");
    let boss = |sql: &str| {
        let mut command = lab.server.command("psql");
        command
            .args(["-X", "-q", "-U", "boss", "-p", &lab.server.port().to_string(), "-h"])
            .arg(lab.server.socket());
        assert!(command.args(["-c", sql, "postgres"]).status().expect("psql").success());
    };
    boss("ALTER ROLE postgres RENAME TO admin");
    let folder = lab.folder("base");
    let from = Address { user: Some("boss".to_owned()), ..lab.address() };
    let physical = DumpOptions { physical: true, ..DumpOptions::default() };
    let manifest = dump(&from, &physical, &FolderSink::new(&folder), &lab.context()).expect("a base backup");
    boss("ALTER ROLE admin RENAME TO postgres");
    let options = |name: &str| BootOptions {
        folder: lab.folder(name),
        account: account(),
        version: manifest.server.clone(),
        memory: Some(128 << 20),
        until: None,
    };
    let run =
        |name: &str| match boot(Engine::Postgres, &FolderFiles::new(&folder), &options(name), &lab.context())
        {
            Ok(Boot::Running(booted)) => booted,
            Ok(Boot::NotHere(why)) => panic!("{why}"),
            Err(error) => panic!("{error}"),
        };
    let booted = run("d");
    assert!(booted.checks.iter().all(|check| check.is_right), "{:?}", booted.checks);
    assert!(booted.checks.iter().any(|check| check.name == "checksums of pages"), "{:?}", booted.checks);
    assert_eq!(booted.version, lab.query("SHOW server_version"));
    assert_eq!(booted.address.user.as_deref(), Some("admin"));
    drop(booted);
    assert!(!lab.path("d/s/.s.PGSQL.5432").exists(), "it has ended");
    let table = folder.join(lab.query("SELECT 'data/' || pg_relation_filepath('t')"));
    let mut bytes = fs::read(&table).expect("a table");
    bytes[3 * 8192 + 4000] ^= 1;
    fs::write(&table, bytes).expect("a damaged table");
    let booted = run("e");
    let found: Vec<&str> =
        booted.checks.iter().filter(|check| !check.is_right).map(|check| &*check.found).collect();
    assert!(matches!(found.as_slice(), [text] if text.contains("checksum")), "{found:?}");
    // Another version can't be tested here, which says nothing of the backup.
    let path = folder.join("keepfast.json");
    let text = fs::read_to_string(&path).expect("a manifest").replace(r#""server": "18"#, r#""server": "99"#);
    fs::write(&path, text).expect("a manifest");
    let other = boot(Engine::Postgres, &FolderFiles::new(&folder), &options("f"), &lab.context());
    assert!(matches!(other, Ok(Boot::NotHere(why)) if why.contains("PostgreSQL 99 isn't installed")));
}
